"""The live line at a terminal: how far an upload or a wait is, and the time left. The only importer of `rich`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePath
from textwrap import fill
from typing import TYPE_CHECKING, Final, cast

from rich.console import Console as Screen
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gate.reporters.closing import LineKind
from gate.text.wording import seconds

if TYPE_CHECKING:
    from typing import IO, TextIO

    from rich.console import RenderableType

    from gate.reporters.closing import Line
    from gate.reporters.console import Progress, Sending
    from gate.reporters.streams import BackgroundStream

MARGIN: Final = 4  # columns of the live line that its text leaves free: for the spinner, and at the end
BAR: Final = 30  # columns of the bar of an upload, at most


class Terminal:
    """A live line under the log lines, while its block runs."""

    def __init__(self, stream: TextIO | BackgroundStream) -> None:
        self._screen = Screen(file=cast("IO[str]", stream), highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._spinner = Spinner("dots", style="cyan")
        # Redrawn by `draw` alone; standard output and error stay as they are.
        self._live = Live(
            console=self._screen, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def __enter__(self) -> Terminal:  # noqa: PYI034 - `Self` is not in Python 3.10
        with suppress(OSError, ValueError):
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The terminal may be gone. That must not change the verdict.
        with suppress(OSError, ValueError):
            self._live.stop()

    def write(self, line: Line) -> None:
        """Print a line above the live line: prose wrapped to the terminal's width, a command as it is."""
        text = line.text
        if line.kind is not LineKind.COMMAND:
            # Broken between words only: a link stays whole.
            width, indent = max(self._screen.width, line.indent + 1), " " * line.indent
            text = fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        self._screen.print(Text(text, style=line.kind.value[1]))

    def draw(self, progress: Progress) -> None:
        """Draw the live line of a wait anew."""
        self._spinner.update(text=live_text(progress, self._screen.width - MARGIN))
        self._draw(self._spinner)

    def draw_upload(self, sending: Sending | None) -> None:
        """Draw the live line of an upload; without `sending`, remove the line."""
        self._spinner.update(text="")
        self._draw(upload_line(self._spinner, sending) if sending else "")

    def _draw(self, line: RenderableType) -> None:
        if self._live.is_started:
            with suppress(OSError, ValueError):
                self._live.update(line, refresh=True)


def live_text(progress: Progress, width: int) -> Text:
    """Return the live line, cut from the left to `width` characters: the newest part stays in sight."""
    phases = " › ".join(f"{status} {seconds(lasted)}" for status, lasted in progress.phases) or "asking"
    if progress.outage:
        phases += " (outage)"
    if progress.subject:
        phases = f"{progress.subject}: {phases}"
    if progress.waits > 1:
        phases = f"{progress.decided} of {progress.waits} decided · {phases}"
    left = f" · {seconds(progress.left)} left"
    room = max(width - len(left), 10)
    if len(phases) > room:
        phases = f"…{phases[-(room - 1) :]}"
    return Text(phases + left, no_wrap=True, overflow="crop")


def upload_line(spinner: Spinner, sending: Sending) -> Table:
    """Return the live line of an upload: the file's name, a bar, the numbers."""
    place = f"{sending.number} of {sending.files} " if sending.files > 1 else ""
    state = "sent; waiting for ThreadFix's response" if sending.is_sent else sending.numbers
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(no_wrap=True)
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(max_width=BAR, ratio=1)
    line.add_column(no_wrap=True)
    names = ", ".join(PurePath(file.shown).name for file in sending.file.files)
    bar = ProgressBar(total=sending.file.size, completed=sending.sent)
    line.add_row(spinner, Text(place + names), bar, Text(state))
    return line

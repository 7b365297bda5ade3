"""The live line at a terminal: a spinner, the phases so far, the time left. The only importer of `rich`."""

from __future__ import annotations

import textwrap
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, cast

from rich.console import Console as Screen
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from gate.reporters.lines import LineKind
from gate.wording import seconds

if TYPE_CHECKING:
    from types import TracebackType
    from typing import IO, TextIO

    from gate.reporters.console import Progress
    from gate.reporters.lines import Line
    from gate.reporters.streams import BackgroundStream

_STYLES: Final = {
    LineKind.PASS: "bold green",
    LineKind.FAIL: "bold red",
    LineKind.UNKNOWN: "bold yellow",
    LineKind.CHECK_PASSED: "green",
    LineKind.CHECK_FAILED: "red",
    LineKind.WARNING: "yellow",
    LineKind.ADVICE: "cyan",
    LineKind.COMMAND: "cyan",
}
"""What each kind of line is coloured; a plain one is not."""


class Terminal:
    """A live line under the log lines, while its block runs.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO | BackgroundStream) -> None:
        """Prepare; nothing is drawn yet."""
        self._screen = Screen(file=cast("IO[str]", stream), highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._spinner = Spinner("dots", style="cyan")
        # Redrawn by `draw` alone; standard output and error stay as they are.
        self._live = Live(
            console=self._screen, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        with suppress(OSError, ValueError):
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The terminal may be gone; that must not change what the gate does.
        with suppress(OSError, ValueError):
            self._live.stop()

    def write(self, line: Line) -> None:
        """Print a line above the live one: prose wrapped to the terminal's width, a command as it is."""
        text = line.text if line.kind is LineKind.COMMAND else wrapped(line, self._screen.width)
        self._screen.print(Text(text, style=_STYLES.get(line.kind, "")))

    def draw(self, progress: Progress) -> None:
        """Draw the live line anew."""
        if self._live.is_started:
            self._spinner.update(text=live_text(progress, self._screen.width - 4))
            with suppress(OSError, ValueError):
                self._live.update(self._spinner, refresh=True)


def wrapped(line: Line, width: int) -> str:
    """The line's text in lines of at most `width` characters, broken between words only: a link stays whole."""
    return textwrap.fill(
        line.text,
        max(width, line.indent + 1),
        subsequent_indent=" " * line.indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def live_text(progress: Progress, width: int) -> Text:
    """The live line, cut from the left to `width` characters: what is newest stays in sight."""
    phases = " › ".join(f"{status} {seconds(lasted)}" for status, lasted in progress.phases) or "asking"
    if progress.outage:
        phases += " (outage)"
    if progress.scans > 1:
        phases = f"{progress.decided} of {progress.scans} decided · {phases}"
    left = f" · {seconds(progress.left)} left"
    room = max(width - len(left), 10)
    if len(phases) > room:
        phases = "…" + phases[-(room - 1) :]
    return Text(phases + left, no_wrap=True, overflow="crop")

"""The live line at a terminal: a spinner, the phases walked so far, the time left. The only importer of `rich`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, cast

from rich.console import Console as Screen
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from gate.wording import seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import IO, TextIO

    from gate.reporters.console import Progress
    from gate.reporters.streams import BackgroundStream

_STYLES: Final = (
    ("PASS (", "bold green"),
    ("FAIL (", "bold red"),
    ("UNKNOWN (", "bold yellow"),
    ("OK: ", "bold green"),
    ("NOT OK (", "bold red"),
    ("✓ ", "green"),
    ("✗ ", "red"),
    ("warning: ", "yellow"),
    ("What ", "cyan"),
    ("Wait ", "cyan"),
)


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

    def write(self, line: str) -> None:
        """Print a line above the live one."""
        style = next((style for start, style in _STYLES if line.startswith(start)), "")
        self._screen.print(Text(line, style=style))

    def draw(self, progress: Callable[[], Progress]) -> None:
        """Draw the live line anew."""
        if self._live.is_started:
            self._spinner.update(text=live_text(progress(), self._screen.width - 4))
            with suppress(OSError, ValueError):
                self._live.update(self._spinner, refresh=True)


def live_text(progress: Progress, width: int) -> Text:
    """The live line, cut from the left to `width` characters: what is newest stays in sight."""
    walked = " › ".join(f"{status} {seconds(lasted)}" for status, lasted in progress.phases) or "asking"
    if progress.failure:
        walked += " (in trouble)"
    if progress.scans > 1:
        walked = f"{progress.decided} of {progress.scans} decided · {walked}"
    left = f" · {seconds(progress.left)} left"
    room = max(width - len(left), 10)
    if len(walked) > room:
        walked = "…" + walked[-(room - 1) :]
    return Text(walked + left, no_wrap=True, overflow="crop")

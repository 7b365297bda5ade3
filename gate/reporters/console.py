"""What a person reads while the gate runs: few lines, each worth it, the verdict last.

In a log: a line with the server, the scan and the deadline, a line for each change, and a heartbeat each minute of
silence. At a terminal `gate.reporters.terminal` adds a live line under them.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gate import __version__
from gate.conclusions import describe
from gate.events import CutOff, OutageBegan, OutageEnded, Stalled, StatusSeen
from gate.history import Application
from gate.naming import FLAGS
from gate.reasons import Kind
from gate.reporters.lines import Line, LineKind
from gate.text import log_line
from gate.wording import count, plain, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from gate.events import Event, UploadEvent
    from gate.history import History, ScanReading
    from gate.http import RequestMade
    from gate.naming import Naming
    from gate.settings import Settings
    from gate.subjects import Target
    from gate.verdict import Verdict

HEARTBEAT: Final = 60.0
"""Seconds of silence after which the log says that the gate still waits."""
_INDENT: Final = 9
"""Characters of the time in front of what happened, with its blank."""


def to_log(line: str) -> None:
    """Write a line to the log, standard error. One that nobody reads any more must not change what the gate does."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - the log of a command is standard error


@dataclass(frozen=True, slots=True)
class Progress:
    """What the live line shows: the phases of the first scan that is not decided, and how far the others are.

    Attributes:
        phases: each status and the seconds that it has lasted.
        decided: scans that are not waited for any more.
        scans: all of them.
        left: seconds until the deadline.
        outage: whether the newest poll failed.
    """

    phases: tuple[tuple[str, float], ...]
    decided: int
    scans: int
    left: float
    outage: bool

    @classmethod
    def of(cls, histories: Sequence[History[Any, Any]], left: float) -> Progress:
        """How far waits are."""
        running = [history for history in histories if history.ended is None]
        first = running[0] if running else None
        return cls(
            phases=tuple((phase.status, first.lasted(i)) for i, phase in enumerate(first.phases)) if first else (),
            decided=len(histories) - len(running),
            scans=len(histories),
            left=left,
            outage=bool(first and first.outages and first.outages[-1].ended is None),
        )


class Console:
    """Turns what happens into lines.

    Args:
        write: writes one line.
        warn: shows a warning where people look for warnings; by default in the log.
        quiet: whether only the verdict is wanted.
        verbose: whether every request is.
        naming: how texts name an option.
        clock: monotonic.
    """

    def __init__(  # noqa: PLR0913 - what a log can be asked for
        self,
        write: Callable[[Line], None],
        *,
        warn: Callable[[str], None] | None = None,
        quiet: bool = False,
        verbose: bool = False,
        naming: Naming = FLAGS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep where to write."""
        self._write = write
        self._warn = warn
        self._quiet = quiet
        self._verbose = verbose
        self._clock = clock
        self._naming = naming
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._several = False
        self._began = self._last_output = clock()
        self._warned: set[str] = set()
        self._hinted: set[str] = set()

    def line(self, text: str, kind: LineKind = LineKind.PLAIN, *, indent: int = 2, always: bool = False) -> None:
        """Log a line, unless only the verdict is wanted. Safe to call from several threads.

        Args:
            text: safe text.
            kind: what kind of line it is.
            indent: blanks in front of what follows, where a terminal wraps it.
            always: also when only the verdict is wanted.
        """
        if always or not self._quiet:
            self._put(text, kind, indent)

    def warning(self, text: str, *, always: bool = False) -> None:
        """Log a warning; with `always` also when only the verdict is wanted."""
        if self._warn and (always or not self._quiet):
            with suppress(OSError, ValueError):
                self._warn(text)
        else:
            self.line(f"warning: {text}", LineKind.WARNING, always=always)

    def requested(self, request: RequestMade) -> None:
        """Log a request, if every one is wanted."""
        if self._verbose:
            code = request.http_status or "no response"
            self.line(f"{self._at()} {request.method} {request.path} → {code}, {request.milliseconds:.0f} ms")

    def opening(self, settings: Settings) -> None:
        """Log what must be known before the first request: the dangers that were accepted."""
        self._settings = settings
        self._began = self._last_output = self._clock()
        # Also with --quiet: a danger that was accepted once must not be forgotten.
        if settings.server.insecure:
            # Also where only the verdict is wanted: whoever made it quiet once must not forget it.
            name = self._naming.switch("insecure")
            risk = f"{name}: the server's certificate is not verified, so somebody else may get the API key."
            self.warning(risk, always=True)
        if settings.server.allow_http and settings.server.url.startswith("http://"):
            self.warning(f"{self._naming.switch('allow-http')}: the API key is sent unencrypted.", always=True)

    def waiting(self, settings: Settings, targets: Sequence[Target], until: datetime) -> None:
        """Log what is asked of which server, and until when."""
        self._began = self._last_output = self._clock()
        self._several = len(targets) > 1
        target = f"{len(targets)} pending scans of application {targets[0].application_id}"
        target = target if self._several else str(targets[0])
        limit = (
            f", until {until:%H:%M:%S} UTC ({seconds(settings.plan.timeout)})" if settings.plan.timeout else ", once"
        )
        self.line(f"threadfix-gate {__version__}: asking {settings.server.url} for {target}{limit}.")

    def handle_upload(self, event: UploadEvent) -> None:
        """Log what happened during an upload."""
        raise NotImplementedError

    def handle(self, event: Event[Any, Any]) -> None:
        """Log what happened."""
        match event:
            case StatusSeen(reading=Application() as application):
                self._event(event, f"{event.target} is there" + f": {application.name}" * bool(application.name))
            case StatusSeen():
                before = f" ({event.previous} took {seconds(event.lasted)})" if event.previous else ""
                self._event(event, f"{event.reading.status}{before}")
                self._warn_once(event)
            case OutageBegan():
                retrying = f" Retrying for up to {seconds(event.limit)}." if event.limit else ""
                self._event(event, f"error: {event.failure.what}{retrying}")
                self._hint_once(event)
            case OutageEnded():
                polls = count(event.outage.polls, "failed poll")
                self._event(event, f"recovered after {seconds(event.at - event.outage.began)} ({polls})")
            case Stalled():
                self.warning(
                    f"{event.target.label} has been {event.status} for {seconds(event.unchanged)}. ThreadFix may be "
                    "busy or stuck; the gate keeps waiting."
                )
            case CutOff():
                self._event(event, "the request under way was cut off at the deadline; asking once more")

    def tick(self, progress: Progress) -> None:
        """Log that the gate still waits, when nothing else was logged for a while."""
        now = self._clock()
        if now - self._last_output < HEARTBEAT:
            return
        if progress.scans > 1:
            state = f"{progress.decided} of {progress.scans} decided"
        elif progress.phases:
            status, lasted = progress.phases[-1]
            state = f"{'outage, had been' if progress.outage else 'still'} {status} for {seconds(lasted)}"
        else:
            state = "waiting for a first response"
        self.line(f"{self._at()} {state}; {seconds(progress.left)} left", indent=_INDENT)
        # Also where nothing is logged: a quiet gate must not come here four times a second.
        self._last_output = now

    def progress(self, histories: Sequence[History[Any, Any]]) -> Progress:
        """How far the waits are, by their histories so far."""
        timeout = self._settings.plan.timeout if self._settings else 0.0
        return Progress.of(histories, max(0.0, timeout - (self._clock() - self._began)))

    def closing(self, verdict: Verdict) -> None:
        """Log the verdict, in one line, last; before it what it means and what to do."""
        conclusion = verdict.conclusion
        if len(verdict.scans) > 1:
            for scan in verdict.scans:
                if scan.conclusion.kind is not Kind.PASS:
                    self.line(f"  {scan.conclusion.kind.value}: {describe(scan)}", indent=4)
        for invalid_option in verdict.mistakes:
            self.line(f"  {invalid_option}", indent=4)
        if conclusion.kind is not Kind.PASS:
            self.line(f"What it means: {plain(conclusion.meaning)}", LineKind.ADVICE)
            if verdict.resume:
                self.line(verdict.resume_line, LineKind.COMMAND)
            self.line(f"What to do: {plain(conclusion.hint)}", LineKind.ADVICE)
        if conclusion.downgraded:
            # Not by `warning`, which on a runner would be a second annotation of the verdict.
            option = self._naming.option(f"on-{conclusion.reason}", "warn")
            job = f"The job continues because of {option}."
            self._put(f"warning: the verdict is unknown, with exit code 0. {job}", LineKind.WARNING)
        message = conclusion.message
        if verdict.mistakes and not self._quiet:
            message = f"{count(len(verdict.mistakes), 'invalid option')} (above); nothing was sent."
        link = f" {verdict.deciding_scan.url}" if verdict.deciding_scan and verdict.deciding_scan.url else ""
        code = f", exit code {conclusion.exit_code}" if conclusion.exit_code else ""
        kind = conclusion.kind.value
        self._put(f"{kind.upper()} ({conclusion.reason.value}{code}): {message}{link}", LineKind(kind))

    def _event(self, event: StatusSeen[Any] | OutageBegan | OutageEnded | CutOff, text: str) -> None:
        number = f" {event.target.label}" if self._several else ""
        self.line(f"{self._at(event.at)}{number} {text}", indent=_INDENT)

    def _warn_once(self, event: StatusSeen[ScanReading]) -> None:
        first = event.previous is None
        text = self._settings.rules.warning(event.reading, first=first) if self._settings else None
        if text and text not in self._warned:
            self._warned.add(text)
            self.warning(f"pending scan {event.target.label} {self._naming.fill(text)}")

    def _hint_once(self, event: OutageBegan) -> None:
        # After a good response the address is right, and most hints are about the address.
        hint = event.failure.hint if event.first_contact else None
        if hint and hint not in self._hinted:
            self._hinted.add(hint)
            self.line(f"{'':<{_INDENT}}{plain(hint)}", LineKind.ADVICE, indent=_INDENT)

    def _put(self, text: str, kind: LineKind, indent: int = 2) -> None:
        with self._lock:
            self._last_output = self._clock()
            # A log that nobody reads any more must not change what the gate does.
            with suppress(OSError, ValueError):
                self._write(Line(log_line(text), kind, indent))

    def _at(self, at: float | None = None) -> str:
        return f"[{seconds(round(self._clock() - self._began if at is None else at)):>6}]"

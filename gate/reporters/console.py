"""What a person reads while the gate runs: few lines, each worth it, the verdict last.

In a log: a line that says what is asked of whom and until when, a line a change, a heartbeat a minute. At a terminal
`gate.reporters.terminal` adds a live line under them.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gate import __version__
from gate.reasons import Kind
from gate.text import log_line
from gate.verdict import told
from gate.waiting import CutOff, Ended, OutageBegan, OutageEnded, Stalled, StatusSeen
from gate.wording import count, plain, seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gate.history import Target
    from gate.http import RequestMade
    from gate.settings import Settings
    from gate.verdict import Verdict
    from gate.waiting import Event

HEARTBEAT: Final = 60.0
"""Seconds of silence after which the log says that the gate still waits."""


def to_log(line: str) -> None:
    """Write a line to the log, standard error. One that nobody reads any more must not change what the gate does."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - the log of a command is standard error


@dataclass(frozen=True, slots=True)
class Progress:
    """What the live line shows: the phases of the first scan that is not decided, and how far the others are."""

    phases: tuple[tuple[str, float], ...]
    decided: int
    scans: int
    left: float
    failure: bool


class Console:
    """Turns what happens into lines.

    Args:
        write: writes one line.
        warn: says a warning where people look for warnings; by default in the log.
        quiet: whether only the verdict is wanted.
        verbose: whether every request is.
        clock: monotonic.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        warn: Callable[[str], None] | None = None,
        quiet: bool = False,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep where to write."""
        self._write = write
        self._warn = warn
        self._quiet = quiet
        self._verbose = verbose
        self._clock = clock
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._began = self._said = clock()
        self._walked: dict[Target, list[tuple[str, float]]] = {}
        self._in_trouble: set[Target] = set()
        self._decided: set[Target] = set()
        self._warned: set[str] = set()

    def line(self, text: str) -> None:
        """Say a line, unless only the verdict is wanted. Safe to call from several threads."""
        if not self._quiet:
            self._put(text)

    def warning(self, text: str, *, always: bool = False) -> None:
        """Say a warning; a loud one also when only the verdict is wanted."""
        if self._quiet and not always:
            return
        if self._warn:
            with suppress(OSError, ValueError):
                self._warn(text)
        else:
            self._put(f"warning: {text}")

    def requested(self, request: RequestMade) -> None:
        """Say that a request was made, if every one is wanted."""
        if self._verbose:
            code = request.http_status or "no answer"
            self.line(f"{self._at()} {request.method} {request.path} → {code}, {request.milliseconds:.0f} ms")

    def opening(self, settings: Settings, now: datetime) -> None:
        """Say what is asked of whom, and until when."""
        self._settings = settings
        self._began = self._said = self._clock()
        self._walked = {target: [] for target in settings.targets}
        first = settings.targets[0]
        what = str(first)
        if len(settings.targets) > 1:
            what = f"{len(settings.targets)} pending scans of application {first.application_id}"
        until = f", until {now:%H:%M:%S} UTC ({seconds(settings.plan.timeout)})" if settings.plan.timeout else ", once"
        self.line(f"threadfix-gate {__version__}: asking {settings.server.url} for {what}{until}.")
        if settings.server.insecure:
            # Loud: who made it quiet once must not forget it.
            what = "--insecure: the server's certificate is not verified, so somebody else may get the API key."
            self.warning(what, always=True)
        if settings.server.allow_http and settings.server.url.startswith("http://"):
            self.warning("--allow-http: the API key travels in clear; everybody on the way can read it.", always=True)

    def handle(self, event: Event) -> None:
        """Say what happened."""
        match event:
            case StatusSeen():
                self._walked[event.target].append((event.reading.status, event.at))
                was = f" ({event.previous} took {seconds(event.lasted)})" if event.previous else ""
                self.line(f"{self._at(event.at)}{self._number(event.target)} {event.reading.status}{was}")
                self._warn_once(event)
            case OutageBegan():
                self._in_trouble.add(event.target)
                until = f" This is put up with for {seconds(event.limit)}." if event.limit else ""
                self.line(f"{self._at(event.at)}{self._number(event.target)} trouble: {event.failure.what}{until}")
            case OutageEnded():
                self._in_trouble.discard(event.target)
                lasted = seconds(event.at - event.outage.began)
                what = f"answering again after {lasted} of trouble ({count(event.outage.polls, 'poll')})"
                self.line(f"{self._at(event.at)}{self._number(event.target)} {what}")
            case Stalled():
                number = event.target.pending_scan_id
                self.warning(
                    f"pending scan {number} has been {event.status} for {seconds(event.unchanged)}. ThreadFix may be "
                    "busy or stuck; the gate waits on."
                )
            case CutOff():
                what = "the request under way was cut off at the deadline; asking once more"
                self.line(f"{self._at(event.at)}{self._number(event.target)} {what}")
            case Ended():
                self._decided.add(event.history.target)

    def tick(self) -> None:
        """Say that the gate still waits, when nothing else was said for a while."""
        now = self._clock()
        if now - self._said < HEARTBEAT:
            return
        progress = self.progress()
        what = f"{progress.decided} of {progress.scans} decided" if progress.scans > 1 else "waiting for a first answer"
        if progress.scans == 1 and progress.phases:
            status, lasted = progress.phases[-1]
            what = f"{'in trouble, was' if progress.failure else 'still'} {status} for {seconds(lasted)}"
        self.line(f"{self._at()} {what}; {seconds(progress.left)} left")
        # Also where nothing is to be said: a quiet gate must not come here four times a second.
        self._said = now

    def progress(self) -> Progress:
        """How far the wait is."""
        now = self._clock() - self._began
        undecided = [target for target in self._walked if target not in self._decided]
        walked = self._walked[undecided[0]] if undecided else []
        ends = [at for _, at in walked[1:]] + [now]
        return Progress(
            phases=tuple((status, end - at) for (status, at), end in zip(walked, ends, strict=False)),
            decided=len(self._decided),
            scans=len(self._walked),
            left=max(0.0, (self._settings.plan.timeout if self._settings else 0.0) - now),
            failure=bool(undecided) and undecided[0] in self._in_trouble,
        )

    def closing(self, verdict: Verdict) -> None:
        """Say the verdict, in one line, last; before it what it means and what to do."""
        conclusion = verdict.conclusion
        if len(verdict.scans) > 1:
            for scan in verdict.scans:
                if scan.conclusion.kind is not Kind.PASS:
                    self.line(f"  {scan.conclusion.kind.value}: {told(scan)}")
        for mistake in verdict.mistakes:
            self.line(f"  {mistake}")
        if conclusion.kind is not Kind.PASS:
            self.line(f"What it means: {plain(conclusion.meaning)}")
            if verdict.resume:
                self.line(f"Wait on with:  {verdict.resume}")
            self.line(f"What to do:    {plain(conclusion.hint)}")
        if conclusion.downgraded:
            option = f"--on-{conclusion.reason} warn"
            self._put(f"warning: the verdict is unknown, and the job goes on with exit code 0, because of {option}.")
        message = conclusion.message
        if verdict.mistakes and not self._quiet:
            message = f"{count(len(verdict.mistakes), 'mistake')} in the options, named above; nothing was sent."
        link = f" {verdict.deciding_scan.url}" if verdict.deciding_scan and verdict.deciding_scan.url else ""
        code = f", exit code {conclusion.exit_code}" if conclusion.exit_code else ""
        self._put(f"{conclusion.kind.value.upper()} ({conclusion.reason.value}{code}): {message}{link}")

    def _warn_once(self, event: StatusSeen) -> None:
        first = event.previous is None
        text = self._settings.rules.warning(event.reading, first=first) if self._settings else None
        if text and text not in self._warned:
            self._warned.add(text)
            self.warning(f"pending scan {event.target.pending_scan_id} {text}")

    def _put(self, text: str) -> None:
        with self._lock:
            self._said = self._clock()
            # A log that nobody reads any more must not change what the gate does.
            with suppress(OSError, ValueError):
                self._write(log_line(text))

    def _at(self, at: float | None = None) -> str:
        return f"[{seconds(round(self._clock() - self._began if at is None else at)):>6}]"

    def _number(self, target: Target) -> str:
        return f" #{target.pending_scan_id}" if len(self._walked) > 1 else ""

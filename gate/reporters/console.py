"""Log the progress of a run in few lines, and the verdict.

In a log: a line with the server, the scan and the deadline, a line for each change, a line per tenth of a large upload,
and a heartbeat each minute of silence. At a terminal `gate.reporters.terminal` adds a live line under them.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gate import __version__
from gate.model import events
from gate.model.history import Application, CheckReading, Failure, ListedScans, Queued, Refused, ScanReading
from gate.model.subjects import AllPolicies, ApplicationId, ApplicationName, PassCriteria, Policy, Target
from gate.reporters import closing, phrases
from gate.reporters.closing import Line, LineKind
from gate.text.sanitizer import log_line
from gate.text.wording import FLAGS, capitalized, count, seconds, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from gate.judge.verdict import Verdict
    from gate.model.history import History, Upload
    from gate.model.subjects import ScanFile, Subject
    from gate.net.http import RequestMade
    from gate.options.settings import Settings
    from gate.text.wording import Naming

HEARTBEAT: Final = 60.0  # seconds of silence after which a line shows that the gate still waits
LARGE: Final = 10_000_000  # bytes of the smallest file whose upload has a line per tenth in the log
REDRAW: Final = 0.1  # seconds between two drawings of an upload at a terminal
_INDENT: Final = 9  # characters of the time at the start of a line, with its blank


def to_log(line: str) -> None:
    """Write a line to standard error. An unread log must not change the verdict."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - the log of a command is standard error


class Console:
    """Turns events into lines."""

    def __init__(  # noqa: PLR0913 - the options of a log
        self,
        write: Callable[[Line], None],
        *,
        warn: Callable[[str, str], None] | None = None,  # annotates with a text and its kind; None: a line
        draw: Callable[[Sending | None], None] | None = None,  # draws an upload at a terminal; None removes the drawing
        quiet: bool = False,  # log only the verdict and warnings
        verbose: bool = False,  # log requests
        naming: Naming = FLAGS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._warn = warn
        self._draw = draw
        self._quiet = quiet
        self._verbose = verbose
        self._clock = clock
        self._naming = naming
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._several = False
        self._announced = False
        self._files: dict[Target, str] = {}
        self._sending: Sending | None = None
        self._began = self._last_output = self._drawn = clock()
        self._shown: set[str] = set()

    def line(self, text: str, kind: LineKind = LineKind.PLAIN, *, indent: int = 2, always: bool = False) -> None:
        """Log a line of safe text, in a quiet log only if `always`. Safe to call from several threads."""
        if always or not self._quiet:
            self._put(text, kind, indent)

    def warning(self, text: str, kind: LineKind = LineKind.WARNING) -> None:
        """Log a warning (or a notice), also in a quiet log."""
        word = kind.value[0]
        if self._warn:
            with suppress(OSError, ValueError):
                self._warn(text, word)
        else:
            self.line(f"{word}: {text}", kind, always=True)

    def requested(self, request: RequestMade) -> None:
        """Log a request, if the log is verbose."""
        if self._verbose:
            code = request.http_status or "no response"
            self.line(f"{self._at()} {request.method} {request.path} → {code}, {request.milliseconds:.0f} ms")

    def opening(self, settings: Settings) -> None:
        """Log the first step and the accepted dangers, before the first request."""
        self._settings = settings
        self._began = self._last_output = self._clock()
        url, application = settings.server.url, settings.application
        if settings.files:
            (first, *others), whole = settings.files, size(sum(file.size for file in settings.files))
            files = count(len(settings.files), "file") if others else first.shown
            self._announce(settings, f"uploading {files} ({whole}) to {application} on {url}.")
        elif settings.rules_only:
            self._announce(settings, f"asking {url} for the rules of {application}, without a scan of this run.")
        elif isinstance(application, ApplicationName):
            self._announce(settings, f"looking up {application} on {url}.")

    def waiting(self, settings: Settings, targets: Sequence[Target], until: datetime) -> None:
        """Log the server, the scans and the deadline."""
        self._began = self._last_output = self._clock()
        self._several = len(targets) > 1
        target = f"{len(targets)} pending scans of application {targets[0].application_id}"
        if not self._several:
            file = self._files.get(targets[0])
            target = f"{targets[0]} ({file})" if file else f"{targets[0]}"
        timeout = settings.plan.timeout
        limit = f"until {until:%H:%M:%S} UTC ({seconds(timeout)})" if timeout else "once"
        self._announce(settings, f"asking {settings.server.url} for {target}, {limit}.")

    def _announce(self, settings: Settings, text: str) -> None:
        """Log a step that begins. The first such line names the gate, and the accepted dangers follow it."""
        if self._announced:
            self.line(capitalized(text))
            return
        self._announced = True
        self.line(f"threadfix-gate {__version__}: {text}")
        server, switch = settings.server, self._naming.switch
        # Also with --quiet: a danger that was accepted once must not be forgotten.
        if server.insecure:
            risk = "the server's certificate is not verified, so somebody else may get the API key."
            self.warning(f"{switch('insecure')}: {risk}")
        if server.allow_http and server.url.startswith("http://"):
            self.warning(f"{switch('allow-http')}: the API key is sent unencrypted.")
        for risk in settings.risks:
            self.warning(self._naming.fill(risk))

    def tick_upload(self) -> None:
        """Show that an upload continues, if there was no event for a while."""
        if self._sending:
            self._show(self._sending)
            if self._clock() - self._last_output >= HEARTBEAT:
                self._log_progress(self._sending)

    def _advanced(self, before: Sending, event: events.UploadProgress) -> None:
        """Show progress: a bar at a terminal; in a log a line per tenth of a large file."""
        self._sending = sending = before.after(event)
        if not self._draw and sending.file.size > LARGE and int(sending.share * 10) > int(before.share * 10):
            self._log_progress(sending, event.elapsed)
        self.tick_upload()

    def _log_progress(self, sending: Sending, elapsed: float | None = None) -> None:
        """Log the progress of an upload; `elapsed` are its seconds, if it has just reached this tenth."""
        if sending.is_sent:
            sent = "still" if elapsed is None else f"{size(sending.file.size)} sent in {seconds(elapsed)};"
            self._now(f"{sent} waiting for ThreadFix's response")
        else:
            self._now(sending.numbers)
        # Also if nothing is logged: a quiet gate must not do this four times a second.
        self._last_output = self._clock()

    def _show(self, sending: Sending | None) -> None:
        """Draw the progress of an upload, at most ten times a second."""
        now = self._clock()
        if self._draw and (sending is None or sending.is_sent or not sending.sent or now - self._drawn >= REDRAW):
            self._drawn = now
            self._draw(sending)

    def _uploaded(self, upload: Upload) -> None:
        """Log the result of an upload."""
        more = ""
        match upload.receipt:
            case Queued(targets):
                self._files |= dict.fromkeys(targets, upload.file.shown)
            case Refused(text) if text:
                more = f"; ThreadFix says: '{text.rstrip('.')}'"
            case Failure() as failure:
                more = f": {failure.what}"
        self._now(f"{upload.file.shown}: {phrases.outcome(upload)} after {seconds(upload.elapsed)}{more}")

    def handle(self, event: events.Event[Any, Any] | events.UploadEvent) -> None:
        """Log an event of a wait or of an upload."""
        match event:
            case events.UploadBegan():
                self._sending = Sending(event.file, event.number, event.files)
                place = f", {event.number} of {event.files}" if event.files > 1 else ""
                self._now(f"uploading {event.file.shown} ({size(event.file.size)}){place}")
                self._show(self._sending)
            case events.UploadProgress():
                self._advanced(self._sending or Sending(event.file), event)
            case events.UploadEnded():
                self._sending = None
                self._show(None)
                self._uploaded(event.upload)
            case events.StatusSeen():
                self._event(event, _change(event))
                if isinstance(event.reading, ScanReading):
                    self._warn_once(event)
            case events.OutageBegan():
                retrying = f" Retrying for up to {seconds(event.limit)}." if event.limit else ""
                self._event(event, f"error: {event.failure.what}{retrying}")
            case events.OutageEnded():
                polls = count(event.outage.polls, "failed poll")
                self._event(event, f"recovered after {seconds(event.at - event.outage.began)} ({polls})")
            case events.Stalled():
                self.warning(
                    f"{_name(event.target)} has been {event.status} for {seconds(event.unchanged)}. ThreadFix may be "
                    "busy or stuck; the gate keeps waiting."
                )
            case events.CutOff():
                self._event(event, "the request under way was cut off at the deadline; asking once more")

    def tick(self, progress: Progress) -> None:
        """Log that the gate still waits, if there was no other line for a while."""
        now = self._clock()
        if now - self._last_output < HEARTBEAT:
            return
        subject = f"{progress.subject}: " if progress.subject else ""
        if progress.waits > 1:
            state = f"{progress.decided} of {progress.waits} decided"
        elif progress.phases:
            status, lasted = progress.phases[-1]
            state = f"{subject}{'outage, had been' if progress.outage else 'still'} {status} for {seconds(lasted)}"
        else:
            state = f"{subject}waiting for a first response"
        self._now(f"{state}; {seconds(progress.left)} left")
        # Also if nothing is logged: a quiet gate must not do this four times a second.
        self._last_output = now

    def progress(self, histories: Sequence[History[Any, Any]]) -> Progress:
        """Return the progress of the waits."""
        running = [history for history in histories if history.ended is None]
        decided, waits, left = len(histories) - len(running), len(histories), max(0.0, self._left(histories))
        if not running:
            return Progress((), decided, waits, left, outage=False)
        first = running[0]
        phases = tuple((phase.status, first.lasted(index)) for index, phase in enumerate(first.phases))
        outage = bool(first.outages and first.outages[-1].ended is None)
        subject = "" if isinstance(first.target, Target) else str(first.target)
        return Progress(phases, decided, waits, left, outage, subject)

    def _left(self, histories: Sequence[History[Any, Any]]) -> float:
        if self._settings is None:
            return 0.0
        plan, waited = self._settings.plan, max(history.elapsed for history in histories)
        match histories[0].target:
            case PassCriteria() | Policy() | AllPolicies():
                return plan.settle_timeout - waited
            case ApplicationId() | ApplicationName():
                return plan.first_contact_limit - waited
            case _:
                return plan.timeout - (self._clock() - self._began)

    def closing(self, verdict: Verdict) -> None:
        """Log the verdict, its meaning and the advice."""
        # Not by `warning`, which on a runner would be a second annotation of the verdict.
        for line in closing.lines(verdict, quiet=self._quiet, annotated=bool(self._warn)):
            self._put(line.text, line.kind, line.indent)

    def _event(
        self, event: events.StatusSeen[Any] | events.OutageBegan | events.OutageEnded | events.CutOff, text: str
    ) -> None:
        match event.target:
            case Target() as target:
                if self._several:
                    file = self._files.get(target)
                    # The number identifies the scan; the file name is for people.
                    name = f" ({PurePath(file).name})" if file else ""
                    text = f"#{target.pending_scan_id}{name} {text}"
                self._now(text, event.at)
            case PassCriteria() | Policy() | AllPolicies() as check:
                # A check's own time begins when the scans' has ended; the log goes on with theirs.
                self._now(f"{check}: {text}")
            case _:
                self._now(text)

    def _now(self, text: str, at: float | None = None) -> None:
        self.line(f"{self._at(at)} {text}", indent=_INDENT)

    def _warn_once(self, event: events.StatusSeen[ScanReading]) -> None:
        first = event.previous is None
        text = self._settings.rules.warning(event.reading, self._naming, first=first) if self._settings else None
        if text and text not in self._shown:
            self._shown.add(text)
            self.warning(f"{_name(event.target)} {text}")

    def _put(self, text: str, kind: LineKind, indent: int = 2) -> None:
        with self._lock:
            self._last_output = self._clock()
            # An unread log must not change the verdict.
            with suppress(OSError, ValueError):
                self._write(Line(log_line(text), kind, indent))

    def _at(self, at: float | None = None) -> str:
        return f"[{seconds(round(self._clock() - self._began if at is None else at)):>6}]"


def _name(subject: Subject) -> str:
    """Return the name in a sentence."""
    return f"pending scan {subject.pending_scan_id}" if isinstance(subject, Target) else str(subject)


def _change(event: events.StatusSeen[Any]) -> str:
    """Return a new status in words; of an unknown kind of reading only the status."""
    previous, lasted = event.previous, seconds(event.lasted)
    match event.reading:
        case Application(id=number) if isinstance(event.target, ApplicationName):
            return f"{event.target} is application {number}"
        case Application(name=name):
            return f"{event.target} found{f': {name}' if name else ''}"
        case ListedScans(updated):
            return f"{event.target} has {count(len(updated), 'scan')}"
        case CheckReading() as reading:
            return f"{phrases.reading(reading)}{f' ({previous} for {lasted})' if previous else ''}"
        case reading:
            return f"{reading.status}{f' ({previous} took {lasted})' if previous else ''}"


class Progress(NamedTuple):
    """The progress of waits: the first undecided wait, and the number of decided waits."""

    phases: tuple[tuple[str, float], ...]  # each status, and the seconds that it has lasted
    decided: int
    waits: int
    left: float  # seconds until the deadline
    outage: bool  # whether the newest poll failed
    subject: str = ""  # the name of the wait; empty for a pending scan


class Sending(NamedTuple):
    """The upload of a file, the `number`th of `files`: `sent` bytes in `elapsed` seconds."""

    file: ScanFile
    number: int = 1
    files: int = 1
    sent: int = 0
    elapsed: float = 0.0

    def after(self, event: events.UploadProgress) -> Sending:
        """Return the state after an event."""
        # The request is a little longer than the file.
        return self._replace(sent=min(event.sent, self.file.size), elapsed=event.elapsed)

    @property
    def is_sent(self) -> bool:
        """Whether only ThreadFix's response is missing."""
        return self.sent >= self.file.size

    @property
    def share(self) -> float:
        """The part that has been sent, from 0 to 1."""
        return self.sent / self.file.size

    @property
    def numbers(self) -> str:
        """The share, and the average speed and the time left if they are known, for people."""
        numbers = f"{int(self.share * 100)}% of {size(self.file.size)}"
        if self.sent and self.elapsed:
            speed = self.sent / self.elapsed
            numbers += f", {size(speed)}/s, {seconds((self.file.size - self.sent) / speed)} left"
        return numbers

"""The stages of a run: find the application, upload, wait, evaluate. Each builds on the results of those before."""

from __future__ import annotations

import random
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gate.flow.waiting import Deadline, Schedule, Wait, wait_all
from gate.judge.checks import judge_check
from gate.judge.conclusions import Conclusion, conclude, from_failure
from gate.judge.scans import ACCEPTED, judge_scan
from gate.judge.uploads import judge_upload
from gate.model.errors import Cancelled
from gate.model.history import Application, Failure, Finished, History, NotSent, R, StopCause, Upload
from gate.model.reasons import UPLOAD_AGAIN, UPLOAD_UNCERTAIN, Kind, Reason
from gate.model.subjects import ApplicationId, ApplicationName, Target
from gate.threadfix.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gate.flow.context import CommandContext
    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import Part
    from gate.judge.scans import ScanVerdict
    from gate.judge.uploads import UploadVerdict
    from gate.model.history import Observation, ScanHistory
    from gate.model.subjects import Subject
    from gate.options.settings import Settings

SANDBOX_ADVICE: Final = (
    "Nothing: the sandbox has stopped, and its scans are gone. With your own ThreadFix, the command to keep waiting is "
    "printed here."
)
NEVER: Final = 365 * 24 * 3600.0
"""Seconds of a deadline that is never reached."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of the stages; the fields are those of `Verdict`."""

    conclusion: Conclusion
    scans: tuple[ScanVerdict, ...] = ()
    ended_uploads: tuple[UploadVerdict, ...] = ()
    checks: tuple[CheckVerdict, ...] = ()
    uploads: tuple[Upload, ...] = ()
    application_id: int | None = None
    resume: str = ""


@dataclass(slots=True)
class Stages:
    """One run's stages.

    Attributes:
        settings: the requests.
        context: the log and the signal.
        left: seconds of the wait that are left when it begins.
        in_sandbox: whether the server stops with this run, so that no other run can keep waiting.
    """

    settings: Settings
    context: CommandContext
    left: float
    in_sandbox: bool = False
    _client: Client = field(init=False)
    _application: Application | None = None
    _missing: tuple[Failure, Conclusion] | None = None
    _uploads: tuple[Upload, ...] = ()
    _histories: tuple[ScanHistory, ...] = ()
    _checks: tuple[CheckVerdict, ...] = ()
    _stopped: Cancelled | None = None

    def run(self) -> Outcome:
        """Go through the requested stages in their order.

        Raises:
            Cancelled: there was a signal before the application was known.
            OutOfThreadsError: a wait could not be started.
            BaseException: a bug.
        """
        settings, context = self.settings, self.context
        # Before the first look at the signal: this upload is known already.
        self._uploads = (settings.uploaded,) if settings.uploaded else ()
        self._client = Client(settings.server, context.sanitizer, trace=context.console.requested)
        group = context.github.group("Waiting for ThreadFix") if context.github else nullcontext()
        try:
            try:
                with group, context.terminal or nullcontext():
                    context.console.opening(settings)
                    self._advance()
            finally:
                self._client.http.close()
        except Cancelled as error:
            # The results so far are reported.
            self._fill(error)
        return self._outcome()

    def _fill(self, stopped: Cancelled) -> None:
        """Mark everything that the signal interrupted as cancelled. A missing result must not count as a pass."""
        if self._application_id is None:
            raise stopped
        self._stopped = stopped
        known = {upload.file for upload in self._uploads}
        self._uploads += tuple(Upload(file, NotSent()) for file in self.settings.files if file not in known)
        waited = {history.target for history in self._histories}
        self._histories += tuple(
            History(target, StopCause.CANCELLED) for target in self._targets() if target not in waited
        )
        if self._all_passed():
            made = {verdict.check for verdict in self._checks}
            missing = (check for check in self.settings.checks if check not in made)
            self._checks += tuple(
                judge_check(History(check, StopCause.CANCELLED), self.settings, stopped) for check in missing
            )

    def _advance(self) -> None:
        """Go through the stages.

        Raises:
            Cancelled: there was a signal.
        """
        settings, check = self.settings, self.context.signals.check
        check()
        if settings.files or isinstance(settings.application, ApplicationName):
            self._find_application()
        check()
        self._upload()
        check()
        self._wait()
        check()
        if settings.checks and not self._missing and self._parts() and self._all_passed():
            self._evaluate()
            check()

    def _outcome(self) -> Outcome:
        ended, scans = self._ended(), self._scans()
        parts = self._parts()
        if self._missing and self._all_passed():
            # An accepted upload from before this run is no result for the requests that failed.
            return Outcome(self._missing[1], ended_uploads=ended, uploads=self._uploads)
        conclusion, resume = conclude(parts), ""
        if conclusion.kind is Kind.PASS and not self._complete():
            raise RuntimeError("something that was asked for has no result")
        # A resumed run does not see uploads without a pending scan.
        if conclusion.resumable and scans and all(part.conclusion.kind is Kind.PASS for part in ended):
            if self.in_sandbox:
                conclusion = replace(conclusion, hint=SANDBOX_ADVICE)
            else:
                resume = self.settings.resume([scan.target for scan in scans], self.context.naming.program)
        return Outcome(conclusion, scans, ended, self._checks, self._uploads, self._application_id, resume)

    def _complete(self) -> bool:
        """Return whether every requested file, pending scan and check has a result."""
        settings = self.settings
        return (
            {upload.file for upload in self._uploads} >= set(settings.files)
            and {history.target for history in self._histories} == set(self._targets())
            and (self._application_id is not None or not settings.pending_scan_ids)
            and (settings.uploaded is None or settings.uploaded in self._uploads)
            and {verdict.check for verdict in self._checks} == set(settings.checks)
        )

    @property
    def _application_id(self) -> int | None:
        return self._application.id if self._application else self.settings.application_id

    @property
    def _team_id(self) -> int | None:
        return self._application.team_id if self._application else None

    def _parts(self) -> tuple[Part, ...]:
        return (*self._ended(), *self._scans(), *self._checks)

    def _all_passed(self) -> bool:
        return all(part.conclusion.kind is Kind.PASS for part in self._parts())

    def _ended(self) -> tuple[UploadVerdict, ...]:
        """Return the verdicts of the uploads without a pending scan."""
        judged = (
            judge_upload(
                upload, self.settings, self._stopped, application_id=self._application_id, team_id=self._team_id
            )
            for upload in self._uploads
        )
        return tuple(verdict for verdict in judged if verdict)

    def _scans(self) -> tuple[ScanVerdict, ...]:
        """Return the verdicts of the pending scans."""
        by_target = {target: upload for upload in reversed(self._uploads) for target in upload.targets}
        return tuple(
            judge_scan(
                history, self.settings, self._stopped, upload=by_target.get(history.target), team_id=self._team_id
            )
            for history in self._histories
        )

    # --- The application.

    def _find_application(self) -> None:
        """Ask for the application, with the patience of a first poll, so that a wrong URL, key or id ends it here."""
        subject = self.settings.application
        assert subject is not None  # noqa: S101 - the settings have one if there is an upload or a look-up
        observe = (
            partial(self._client.look_up, subject)
            if isinstance(subject, ApplicationName)
            else partial(self._client.application, subject.id)
        )
        application = self._ask(subject, observe)
        if isinstance(application, Failure):
            missing = from_failure(application, str(subject)).downgrade(self.settings.downgraded)
            self._missing = (application, missing)
        else:
            self._application = application

    def _ask(self, subject: Subject, observe: Callable[[float], R | Failure]) -> R | Failure:
        """Ask with the patience of a first poll; return the reading, or the failure if there is no reading.

        Raises:
            Cancelled: there was a signal.
        """
        stop, console = threading.Event(), self.context.console
        wait = Wait(subject, observe=observe, settled=lambda _: True, schedule=self._schedule(NEVER, stop))
        signals = self.context.signals
        (history,) = wait_all([wait], stop=stop, signals=signals, notify=console.handle, tick=self._tick)
        signals.check()
        return history.newest

    # --- Uploads.

    def _upload(self) -> None:
        """Upload the files."""
        settings, console = self.settings, self.context.console
        if not settings.files:
            return
        if self._missing:
            failure, conclusion = self._missing
            failure = replace(failure, what=f"not sent; {conclusion.message}", unsent=True)
            self._uploads += tuple(Upload(file, failure) for file in settings.files)
            return
        from gate.flow.uploading import upload_all

        assert self._application is not None  # noqa: S101 - it was found, or is missing
        uploads = upload_all(
            settings.files,
            partial(self._client.upload, self._application.id, settings.plan),
            plan=settings.plan,
            jitter=_jitter,
            signals=self.context.signals,
            notify=console.handle_upload,
            tick=console.tick_upload,
        )
        self._uploads += tuple(self._with_their_own_scans(uploads))

    def _with_their_own_scans(self, uploads: Sequence[Upload]) -> Iterator[Upload]:
        """Yield the uploads, with a failure for each whose scan, pending or finished, was known before.

        If a server returns the same scan for two files, it did not take one of them.
        """
        known: set[Target | str] = set(self._targets())
        for upload in uploads:
            finished = [f"scan {upload.receipt.scan_id}"] if isinstance(upload.receipt, Finished) else []
            made: list[Target | str] = [*upload.targets, *finished]
            shared = [scan for scan in made if scan in known]
            known.update(made)
            if shared:
                what = (
                    f"ThreadFix returned {shared[0]}, which is not this file's: it was known before. Whether ThreadFix "
                    "has the file is not known."
                )
                receipt = Failure(Reason.PROTOCOL, what, UPLOAD_AGAIN, final=True, meaning=UPLOAD_UNCERTAIN)
                yield replace(upload, receipt=receipt)
            else:
                yield upload

    # --- The wait.

    def _wait(self) -> None:
        """Wait for the pending scans: those given by id, and those of the uploads."""
        settings, console, targets = self.settings, self.context.console, self._targets()
        if not targets:
            return
        stop = threading.Event()
        schedule = self._schedule(self.left, stop)
        settled = settings.rules.settled
        began = {target: upload.began for upload in self._uploads for target in upload.targets}
        waits = [
            Wait(target, observe=self._observer(target, began.get(target)), settled=settled, schedule=schedule)
            for target in targets
        ]
        console.waiting(settings, targets, datetime.now(timezone.utc) + timedelta(seconds=self.left))
        signals = self.context.signals
        self._histories = wait_all(waits, stop=stop, signals=signals, notify=console.handle, tick=self._tick)

    def _observer(self, target: Target, began: float | None) -> Callable[[float], Observation]:
        """Return the function that asks for a scan; of an upload that began then, it refuses another upload's scan."""
        is_first = True

        def observe(timeout: float) -> Observation:
            nonlocal is_first
            reading = self._client.observe(target, timeout)
            if began is None or not is_first or isinstance(reading, Failure):
                return reading
            is_first = False
            if not self.settings.rules.is_another_uploads(reading, time.monotonic() - began):
                return reading
            what = (
                f"ThreadFix returned a scan that was {reading.status} long before the upload: it is another upload's."
            )
            return Failure(Reason.PROTOCOL, what, UPLOAD_AGAIN, final=True, meaning=UPLOAD_UNCERTAIN)

        return observe

    def _targets(self) -> tuple[Target, ...]:
        application_id = self._application_id
        ids = self.settings.pending_scan_ids
        named = [] if application_id is None else [Target(application_id, number) for number in ids]
        uploaded = [target for upload in self._uploads for target in upload.targets]
        return tuple(dict.fromkeys([*named, *uploaded]))

    def _tick(self, histories: Sequence[History[Any, Any]]) -> None:
        progress = self.context.console.progress(histories)
        self.context.console.tick(progress)
        if self.context.terminal:
            self.context.terminal.draw(progress)

    # --- The checks.

    def _evaluate(self) -> None:
        """Ask whether the application may be released, now that every scan has passed."""
        from gate.flow.evaluating import Evaluation, moment_of

        application_id = self._application_id
        assert application_id is not None  # noqa: S101 - a part has passed that is about one
        evaluation = Evaluation(self.settings, self.context, self._client, application_id, self._team_id)
        moment = None
        if self.settings.needs_moment:
            listed = self._ask(ApplicationId(application_id), partial(self._client.scans, application_id))
            if isinstance(listed, Failure):
                self.context.console.warning(f"the scans of the application could not be listed: {listed.what}")
            moment = moment_of(
                self._scans(),
                self._uploads,
                None if isinstance(listed, Failure) else listed,
                accepted=any(part.conclusion.reason in ACCEPTED.values() for part in self._parts()),
            )
        self._checks = evaluation.judge(moment, jitter=_jitter, tick=self._tick)
        # A signal from here on loses no verdict.
        self._checks = tuple(map(evaluation.decorate, self._checks))

    def _schedule(self, seconds: float, stop: threading.Event) -> Schedule:
        return Schedule(
            plan=self.settings.plan,
            deadline=Deadline.after(seconds, time.monotonic),
            sleep=stop.wait,
            jitter=_jitter,
        )


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311 - no secret depends on it

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
from gate.judge.checks import doubted, judge_check, with_counts, without_scan
from gate.judge.conclusions import conclude, concluded_from, decide
from gate.judge.scanners import are_several, contest_duplicates, doubt_of, run_scans
from gate.judge.scans import ACCEPTED, UploadVerdict, judge_scan, judge_upload
from gate.model.advice import Doing
from gate.model.history import Application, Failure, History, R, StopCause, T, Unfinished, Upload
from gate.model.reasons import Cancelled, Kind, Reason
from gate.model.subjects import ApplicationId, ApplicationName, PassCriteria, Target
from gate.text.wording import seconds
from gate.threadfix.client import Client
from gate.threadfix.rules import OLD, newest_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.flow.context import CommandContext
    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import Conclusion, Part
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict
    from gate.model.history import CheckReading, NewestScan, Observation, ScanHistory, ScanReading
    from gate.model.subjects import Check, Subject
    from gate.options.settings import Settings

SANDBOX_ADVICE: Final = (
    "Nothing: the sandbox has stopped, and its scans are gone. With your own ThreadFix, the command to keep waiting is "
    "printed here."
)
FILES_AGAIN: Final = "Run the gate again with the same files, or allow more time with `{--timeout}`."
NOTHING_UPLOADED: Final = "Nothing was uploaded, so it is safe to run the gate again."
NEVER: Final = 365 * 24 * 3600.0
"""Seconds of a deadline that is never reached."""


@dataclass(slots=True)
class Stages:
    """The stages of one run, and their results so far; `in_sandbox` as for `run_gate`."""

    settings: Settings
    context: CommandContext
    in_sandbox: bool = False
    _left: float = field(init=False)
    _client: Client = field(init=False)
    _application: Application | None = None
    _missing: tuple[Failure, Conclusion] | None = None  # for each file, and for the whole run
    _uploads: tuple[Upload, ...] = ()
    _histories: tuple[ScanHistory, ...] = ()
    _checks: tuple[CheckVerdict, ...] = ()
    _stopped: Cancelled | None = None
    _newest: NewestScan | None = None  # of the application, if the rules are judged without a scan of this run

    def run(self) -> Verdict:
        """Go through the requested stages in their order; return the verdict, with texts that are templates.

        Raises:
            Cancelled: there was a signal before the application was known.
            OutOfThreadsError: a wait could not be started.
            BaseException: a bug.
        """
        settings, context = self.settings, self.context
        # The timeout includes the time to read the options, because an input may be slow.
        self._left = max(0.0, settings.plan.timeout - context.elapsed)
        # This upload is known before the first check for a signal.
        self._uploads = (settings.uploaded,) if settings.uploaded else ()
        self._application = Application(settings.application_id) if settings.application_id else None
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
            self._cancel_the_rest(error)
        return self._verdict()

    def _cancel_the_rest(self, stopped: Cancelled) -> None:
        """Mark everything that the signal interrupted as cancelled. A missing result must not count as a pass."""
        if self._application_id is None:
            raise stopped
        self._stopped = stopped
        files = {upload.file for upload in self._uploads}
        self._uploads += tuple(Upload(file, Unfinished.NOT_SENT) for file in self.settings.files if file not in files)
        targets = {history.target for history in self._histories}
        self._histories += tuple(
            History(target, StopCause.CANCELLED) for target in self._targets() if target not in targets
        )
        self._uploads, self._histories = contest_duplicates(self._uploads, self._histories)
        if self._all_passed():
            checks = {verdict.check for verdict in self._checks}
            self._checks += tuple(
                judge_check(History(check, StopCause.CANCELLED), self.settings, stopped)
                for check in self.settings.checks
                if check not in checks
            )

    def _advance(self) -> None:
        """Go through the stages.

        Raises:
            Cancelled: there was a signal.
        """
        settings, check = self.settings, self.context.signals.check
        check()
        if settings.files or settings.rules_only or isinstance(settings.application, ApplicationName):
            self._find_application()
        check()
        self._upload()
        check()
        self._wait()
        self._uploads, self._histories = contest_duplicates(self._uploads, self._histories)
        check()
        if settings.checks and not self._missing and self._all_passed() and (settings.rules_only or self._parts()):
            self._evaluate()
            check()

    def _verdict(self) -> Verdict:
        ended, scans = self._ended(), self._scans()
        resume = ""
        if self._missing and self._missing_decides(self._missing[0]):
            conclusion = self._missing[1]
        else:
            conclusion = conclude(self._parts(), self._application)
        if conclusion.kind is Kind.PASS and not self._complete():
            raise RuntimeError("something that was asked for has no result")
        # A resumed run does not see uploads without a pending scan.
        if conclusion.resumable and scans and all(part.conclusion.kind is Kind.PASS for part in ended):
            if self.settings.checks and any(
                part.conclusion.reason is Reason.ALREADY_IMPORTED for part in self._parts()
            ):
                # A resumed run could not compare the scanner of the duplicate with those of the other scans.
                conclusion = replace(conclusion, hint=FILES_AGAIN)
            elif self.in_sandbox:
                conclusion = replace(conclusion, hint=SANDBOX_ADVICE)
            else:
                resume = self.settings.resume([scan.target for scan in scans], self.context.naming.program)
        if self._newest:
            conclusion = replace(conclusion, message=f"{conclusion.message} {self._newest}.")
        return replace(
            self.context.verdict(conclusion),
            scans=scans,
            ended_uploads=ended,
            checks=self._checks,
            uploads=self._uploads,
            application=self._application,
            newest_scan=self._newest,
            resume=resume,
        )

    def _missing_decides(self, unsent: Failure) -> bool:
        """Return whether the verdict is that of the missing application; the files share its failure `unsent`.

        An accepted upload from before this run is no result for the requests that failed.
        """
        deciding = None if self._all_passed() else decide(self._parts())
        return deciding is None or (isinstance(deciding, UploadVerdict) and deciding.upload.receipt is unsent)

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
        return self._application.id if self._application else None

    def _parts(self) -> tuple[Part, ...]:
        return (*self._ended(), *self._scans(), *self._checks)

    def _all_passed(self) -> bool:
        return all(part.conclusion.kind is Kind.PASS for part in self._parts())

    def _ended(self) -> tuple[UploadVerdict, ...]:
        """Return the verdicts of the uploads without a pending scan."""
        judged = (
            judge_upload(upload, self.settings, self._stopped, application=self._application)
            for upload in self._uploads
        )
        return tuple(verdict for verdict in judged if verdict)

    def _scans(self) -> tuple[ScanVerdict, ...]:
        """Return the verdicts of the pending scans."""
        by_target = {target: upload for upload in reversed(self._uploads) for target in upload.targets}
        return tuple(
            judge_scan(
                history,
                self.settings,
                self._stopped,
                upload=by_target.get(history.target),
                application=self._application,
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
        application = self._ask(subject, observe, self.settings.plan.first_contact_limit)
        if isinstance(application, Failure):
            missing = concluded_from(application, f"{subject}: {application.complete}")
            missing = missing.downgrade(self.settings.downgraded)
            unsent = replace(application, what=f"not sent; {missing.message}", unsent=True)
            if self.settings.files:
                missing = replace(missing, meaning=f"{missing.meaning} {NOTHING_UPLOADED}")
            self._missing = (unsent, missing)
        else:
            self._application = application

    def _ask(self, subject: Subject, observe: Callable[[float], R | Failure], patience: float) -> R | Failure:
        """Ask until there is a reading, or errors for `patience` seconds; return the reading or the failure.

        Raises:
            Cancelled: there was a signal.
        """
        plan = replace(self.settings.plan, first_contact_limit=patience)

        def waits(schedule: Schedule) -> list[Wait[Subject, R]]:
            schedule = replace(schedule, plan=plan)
            return [Wait(subject, observe=observe, settled=lambda _: True, schedule=schedule)]

        (history,) = self._run_waits(waits)
        self.context.signals.check()
        return history.newest

    # --- Uploads.

    def _upload(self) -> None:
        """Upload the files."""
        settings, console = self.settings, self.context.console
        if not settings.files:
            return
        if self._missing:
            self._uploads += tuple(Upload(file, self._missing[0]) for file in settings.files)
            return
        from gate.flow.uploading import refuse_known_scans, upload_all

        assert self._application is not None  # noqa: S101 - otherwise `_missing` is set
        uploads = upload_all(
            settings.files,
            partial(self._client.upload, self._application.id, settings.plan),
            plan=settings.plan,
            jitter=_jitter,
            signals=self.context.signals,
            notify=console.handle,
            tick=console.tick_upload,
        )
        self._uploads += tuple(refuse_known_scans(uploads, self._targets()))

    # --- The wait.

    def _wait(self) -> None:
        """Wait for the pending scans: those given by id, and those of the uploads."""
        settings, targets = self.settings, self._targets()
        if not targets:
            return

        def waits(schedule: Schedule) -> list[Wait[Target, ScanReading]]:
            return [
                Wait(target, observe=self._observer(target), settled=settings.rules.settled, schedule=schedule)
                for target in targets
            ]

        self.context.console.waiting(settings, targets, datetime.now(timezone.utc) + timedelta(seconds=self._left))
        self._histories = self._run_waits(waits, self._left)

    def _observer(self, target: Target) -> Callable[[float], Observation]:
        """Return the function that asks for a scan once."""
        observe = partial(self._client.observe, target)
        for upload in self._uploads:
            if target in upload.targets and upload.began is not None:
                from gate.flow.uploading import refuse_older_scan

                return refuse_older_scan(observe, self.settings.rules, upload.began)
        return observe

    def _targets(self) -> tuple[Target, ...]:
        application_id = self._application_id
        ids = self.settings.pending_scan_ids
        named = [] if application_id is None else [Target(application_id, number) for number in ids]
        uploaded = [target for upload in self._uploads for target in upload.targets]
        return tuple(dict.fromkeys([*named, *uploaded]))

    # --- The checks.

    def _evaluate(self) -> None:
        """Make all checks, after every scan has passed."""
        from gate.flow.evaluating import moment_of, wait_for
        from gate.threadfix.policies import CheckReader

        settings, found = self.settings, self._application
        assert found is not None  # noqa: S101 - a part of an application has passed
        application_id = found.id
        moment, listed, unlisted = None, None, None
        application = ApplicationId(application_id)
        needs_list = settings.rules_only or are_several(run_scans(self._uploads, self._histories))
        if settings.needs_moment or needs_list:
            patience = settings.plan.outage_limit if needs_list else settings.plan.first_contact_limit
            response = self._ask(application, partial(self._client.scans, application_id), patience)
            if not isinstance(response, Failure):
                listed = response
            elif settings.rules_only:
                message = f"the scans of {application}: {response.what}"
                missing = concluded_from(replace(response, doing=Doing.LOOKUP), message)
                self._missing = (response, missing.downgrade(settings.downgraded))
                return
            else:
                self.context.console.warning(f"the scans of the application could not be listed: {response.what}")
                unlisted = response if needs_list else None
        if settings.rules_only and listed:
            self._newest = newest_scan(listed)
            if not self._newest:
                self._checks = tuple(without_scan(check, str(application)) for check in settings.checks)
                return
            if self._newest.age > OLD:
                self.context.console.warning(f"{self._newest}, {seconds(self._newest.age)} ago. Is it the right scan?")
        if settings.needs_moment:
            is_accepted = any(part.conclusion.reason in ACCEPTED.values() for part in self._parts())
            moment = moment_of(self._scans(), self._uploads, listed, accepted=settings.rules_only or is_accepted)

        def waits(schedule: Schedule) -> list[Wait[Check, CheckReading]]:
            cached = not settings.plan.settle_timeout
            readers = [CheckReader(self._client.api, check, application_id, cached=cached) for check in settings.checks]
            return [wait_for(check, ask, moment, schedule) for check, ask in zip(settings.checks, readers, strict=True)]

        doubt = doubt_of(run_scans(self._uploads, self._histories, listed), unlisted)
        histories = self._run_waits(waits)
        url = settings.server.application_page(found.team_id, application_id)
        cancelled = self.context.signals.cancelled
        self._checks = tuple(
            doubted(judge_check(history, settings, cancelled, url=url), doubt) for history in histories
        )
        # From here on, a signal must not lose these verdicts.
        self._checks = tuple(self._with_obstacles(verdict, application_id) for verdict in self._checks)

    def _with_obstacles(self, verdict: CheckVerdict, application_id: int) -> CheckVerdict:
        """Return a failed verdict with the open vulnerabilities, if they can be looked up. Its reason stays.

        Pass criteria get those that break them, a policy gets the numbers of all, by severity.

        Raises:
            Cancelled: there was a signal before they were looked up.
        """
        reading = verdict.history.reading
        if verdict.conclusion.reason is not Reason.POLICY_FAILED:
            return verdict
        assert reading is not None  # noqa: S101 - only a reading fails
        from gate.threadfix.vulnerabilities import search

        settings, context = self.settings, self.context
        limit = settings.plan.request_timeout
        results = reading.results if isinstance(verdict.check, PassCriteria) else ()
        details = context.signals.call(partial(search, self._client.api, application_id, results, limit))
        if details.failure:
            context.console.warning(f"not all open vulnerabilities could be looked up: {details.failure.what}")
        url = verdict.url or settings.server.application_page(details.team_id, application_id)
        if not results:
            return replace(with_counts(verdict, details.counts), url=url)
        reading = replace(reading, results=details.results)
        history = replace(verdict.history, newest=reading, reading=reading)
        decorated = judge_check(history, settings, obstacles=details.obstacles, url=url)
        # The numbers change the message only.
        message = decorated.conclusion.message
        return replace(decorated, conclusion=replace(verdict.conclusion, message=message))

    # --- Waits.

    def _run_waits(
        self, waits: Callable[[Schedule], Sequence[Wait[T, R]]], limit: float = NEVER
    ) -> tuple[History[T, R], ...]:
        """Run waits side by side until all are over, the deadline in `limit` seconds is reached, or a signal comes."""
        stop, console = threading.Event(), self.context.console
        deadline = Deadline.after(limit, time.monotonic)
        schedule = Schedule(self.settings.plan, deadline, sleep=stop.wait, jitter=_jitter)
        if any(upload.began is not None for upload in self._uploads) or any(scan.reading for scan in self._histories):
            schedule.progress.set()
        return wait_all(
            waits(schedule), stop=stop, signals=self.context.signals, notify=console.handle, tick=self._tick
        )

    def _tick(self, histories: Sequence[History[Any, Any]]) -> None:
        progress = self.context.console.progress(histories)
        self.context.console.tick(progress)
        if self.context.terminal:
            self.context.terminal.draw(progress)


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311 - no secret depends on it

"""Evaluate the rules after the wait, and look up the vulnerabilities that break them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gate.evaluating import evaluate_all
from gate.history import Finished, Queued
from gate.moments import ProcessedScan, newest
from gate.parts.checks import judge_check
from gate.reasons import Reason
from gate.subjects import PassCriteria
from gate.threadfix.policies import Asker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gate.commands.context import CommandContext
    from gate.history import History, ListedScans, Upload
    from gate.parts.checks import CheckVerdict
    from gate.parts.scans import ScanVerdict
    from gate.settings import Settings
    from gate.threadfix.client import Client


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Evaluate the rules of one application.

    Attributes:
        settings: of the run.
        context: its outputs.
        client: asks ThreadFix.
        application_id: the application.
        team_id: its team, for links; None if unknown.
    """

    settings: Settings
    context: CommandContext
    client: Client
    application_id: int
    team_id: int | None

    def judge(
        self,
        moment: float | None,
        *,
        jitter: Callable[[], float],
        tick: Callable[[Sequence[History[Any, Any]]], None],
    ) -> tuple[CheckVerdict, ...]:
        """Make all checks; return their verdicts. A check that a signal cut short is cancelled.

        Args:
            moment: since when the newest scan is processed; None if unknown.
            jitter: draws a number in [-1, 1].
            tick: called with the histories so far while nothing happens.
        """
        plan, signals = self.settings.plan, self.context.signals
        histories = evaluate_all(
            self.settings.checks,
            lambda check: Asker(self.client.api, check, self.application_id, cached=not plan.settle_timeout),
            moment=moment,
            plan=plan,
            jitter=jitter,
            signals=signals,
            notify=self.context.console.handle,
            tick=tick,
        )
        url = self.settings.server.application_page(self.team_id, self.application_id)
        cancelled = signals.cancelled
        return tuple(judge_check(history, self.settings, cancelled, url=url) for history in histories)

    def decorate(self, verdict: CheckVerdict) -> CheckVerdict:
        """Return a verdict with the vulnerabilities that break it, if they can be looked up; its reason stays.

        Raises:
            Cancelled: there was a signal before they were looked up.
        """
        reading = verdict.history.reading
        if verdict.conclusion.reason is not Reason.POLICY_FAILED or not isinstance(verdict.check, PassCriteria):
            return verdict
        assert reading is not None  # noqa: S101 - nothing fails without one
        from gate.threadfix.vulnerabilities import decorate

        limit = self.settings.plan.request_timeout
        look_up = partial(decorate, self.client.api, self.application_id, reading.results, limit)
        found = self.context.signals.call(look_up)
        if found.failure:
            self.context.console.warning(f"not all blocking vulnerabilities could be looked up: {found.failure.what}")
        known = replace(reading, results=found.results)
        history = replace(verdict.history, newest=known, reading=known)
        url = self.settings.server.application_page(found.team_id, self.application_id)
        decorated = judge_check(history, self.settings, obstacles=found.obstacles, url=verdict.url or url)
        # The numbers change the message only.
        message = decorated.conclusion.message
        return replace(decorated, conclusion=replace(verdict.conclusion, message=message))


def moment_of(
    scans: Iterable[ScanVerdict], uploads: Sequence[Upload], listed: ListedScans | None, *, accepted: bool
) -> float | None:
    """Return the moment since which the newest scan of a run is processed; None if unknown.

    Args:
        scans: the pending scans of the run.
        uploads: its uploads.
        listed: the application's scans; None if they could not be listed.
        accepted: whether a file was accepted that ThreadFix did not take.
    """
    sent = {
        target: upload.receipt.sent
        for upload in uploads
        if isinstance(upload.receipt, Queued)
        for target in upload.receipt.targets
    }
    processed = [
        ProcessedScan(reading.scan_id, reading.modified, reading.sent, scan.history.unfinished, sent.get(scan.target))
        for scan in scans
        if scan.conclusion.reason is Reason.PROCESSED and (reading := scan.history.reading)
    ]
    for upload in uploads:
        match upload.receipt:
            case Finished(scan_id, at):
                processed.append(ProcessedScan(scan_id, finished=at, uploaded=at))
    return newest(processed, listed, accepted=accepted)

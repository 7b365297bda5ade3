"""Ask about a check until its response is about the newest scan.

The response of a policy counts if the policy was evaluated after the scan. The response of the pass criteria has no
date: it counts if two responses agree. Until then a response is stale, and the check is made again. An error is not
stale: it has its own limit, and the time to settle does not end during an outage.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from gate.flow.waiting import Wait
from gate.model.history import FRESH, STALE, UNCHECKED, CheckReading, CheckResult, Failure, Finished, Queued, all_hold
from gate.model.reasons import Reason
from gate.model.subjects import AllPolicies, PassCriteria
from gate.threadfix.rules import ProcessedScan, newest, plausible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gate.flow.waiting import Schedule
    from gate.judge.scans import ScanVerdict
    from gate.model.history import ListedScans, Upload
    from gate.model.subjects import Check, Plan
    from gate.threadfix.policies import CheckReader


class Settling:
    """Decides which responses of one check count, and limits the time for that.

    It is the `TimeLimit` of the check's wait. The time to settle starts with the first good response, and does not end
    while the newest response is an error.

    Args:
        check: the check.
        ask: asks ThreadFix.
        moment: when the newest scan was processed; if it is unknown, no dated response counts.
        plan: the limits and intervals.
        clock: monotonic.
    """

    def __init__(
        self, check: Check, ask: CheckReader, moment: float | None, plan: Plan, clock: Callable[[], float]
    ) -> None:
        self.clock = clock
        self._check = check
        self._ask = ask
        self._moment = moment
        self._plan = plan
        self._ends = math.inf
        self._failing = False
        self._first: tuple[CheckReading, float] | None = None
        self._evaluated: dict[int, CheckResult | None] = {}

    @property
    def at(self) -> float:
        """The end of the time to settle, on the clock."""
        return math.inf if self._failing else self._ends

    def remaining(self) -> float:
        """Return infinity: the end of the time to settle cuts no request off."""
        return math.inf

    def settled(self, reading: CheckReading) -> bool:
        """Return whether a reading ends the wait: it is not stale, or there is no time left to ask again."""
        return reading.status != STALE or self.clock() >= self._ends

    def observe(self, timeout: float) -> CheckReading | Failure:
        """Ask once, and decide whether the response counts.

        Args:
            timeout: the limit of a request in seconds. If more of the time to settle is left, that is the limit,
                because evaluating may be slow.
        """
        plan, began = self._plan, self.clock()
        limit = max(timeout, min(plan.settle_timeout, self._ends - began))
        response = self._ask(limit)
        self._failing = isinstance(response, Failure)
        if isinstance(response, Failure):
            return response
        if not plan.settle_timeout:
            self._ends = self.clock()
            return replace(response, status=UNCHECKED, results=_undated(response.results))
        if isinstance(self._check, PassCriteria):
            reading = self._repeated(response)
        else:
            reading = dated(response, self._moment)
            if isinstance(self._check, AllPolicies) and not math.isinf(self._ends):
                reading = self._evaluate_stale(reading, began + limit)
        if math.isinf(self._ends):
            # Without the moment of the scan, no later response of a policy can count either.
            is_futile = self._moment is None and not isinstance(self._check, PassCriteria)
            self._ends = self.clock() + (0 if is_futile else plan.settle_timeout)
        return reading

    def _repeated(self, reading: CheckReading) -> CheckReading:
        """Return a reading without dates; it is fresh if it agrees with an earlier reading."""
        now = self.clock()
        if self._first is None or self._first[0].agreement != reading.agreement:
            self._first = reading, now
        if now - self._first[1] >= self._plan.max_interval:
            return replace(reading, status=FRESH)
        return replace(reading, status=STALE, results=_undated(reading.results))

    def _evaluate_stale(self, reading: CheckReading, until: float) -> CheckReading:
        """Have each stale policy evaluated, once, and return the combined reading.

        Args:
            reading: the second or a later status of every policy of the application.
            until: the limit on the clock.
        """
        results = tuple(result if result.behind == 0 else self._evaluate(result, until) for result in reading.results)
        return _combined(replace(reading, holds=all_hold(results), results=results))

    def _evaluate(self, stale: CheckResult, until: float) -> CheckResult:
        """Return a fresh result if the policy could be evaluated, otherwise the stale result."""
        number = stale.policy_id
        if number is None or self._moment is None:
            return stale
        if number not in self._evaluated:
            left = until - self.clock()
            if left <= 0:
                return stale
            response = self._ask.evaluate(number, left)
            reading = None if isinstance(response, Failure) else dated(response, self._moment)
            self._evaluated[number] = reading.results[0] if reading and reading.status == FRESH else None
        evaluated = self._evaluated[number]
        # A policy with the same id is not enough: the list may have another policy with it.
        return evaluated if evaluated and evaluated.is_about(stale) else stale


def dated(reading: CheckReading, moment: float | None) -> CheckReading:
    """Return a reading with the age of its results; it is fresh if all are from `moment` or later."""
    results = []
    for result in reading.results:
        evaluated = plausible(result.evaluated, reading.sent)
        results.append(replace(result, evaluated=evaluated, behind=_behind(evaluated, moment)))
    return _combined(replace(reading, results=tuple(results)))


def _behind(evaluated: float | None, moment: float | None) -> float | None:
    """Return the seconds from an evaluation to a later moment, to the millisecond; None if either is unknown."""
    if evaluated is None or moment is None:
        return None
    # Both are whole milliseconds.
    return max(0, round(moment * 1000) - round(evaluated * 1000)) / 1000


def _combined(reading: CheckReading) -> CheckReading:
    return replace(reading, status=FRESH if all(result.behind == 0 for result in reading.results) else STALE)


def _undated(results: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    return tuple(replace(result, behind=None) for result in results)


def wait_for(check: Check, ask: CheckReader, moment: float | None, schedule: Schedule) -> Wait[Check, CheckReading]:
    """Return the wait for one check, not running yet.

    Args:
        check: the check.
        ask: asks ThreadFix.
        moment: as for `Settling`.
        schedule: of the run; its deadline does not count.
    """
    plan = schedule.plan
    settling = Settling(check, ask, moment, plan, schedule.deadline.clock)
    # ThreadFix has responded before, so an error is an outage. `Settling` has the deadline.
    plan = replace(plan, timeout=math.inf, first_contact_limit=plan.outage_limit)
    if isinstance(check, PassCriteria):
        # Two responses that are closer to each other could both be from before the statistics are updated.
        plan = replace(plan, interval=plan.max_interval)
    schedule = replace(schedule, plan=plan, deadline=settling)
    return Wait(check, observe=settling.observe, settled=settling.settled, schedule=schedule)


def moment_of(
    scans: Iterable[ScanVerdict], uploads: Sequence[Upload], listed: ListedScans | None, *, accepted: bool
) -> float | None:
    """Return the moment when the newest scan of a run was processed; None if unknown.

    Args:
        scans: the pending scans of the run.
        uploads: the uploads of the run.
        listed: the application's scans; None if they could not be listed.
        accepted: whether the user accepted that ThreadFix refused a file.
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
            case Finished(scan_id, at, _):
                processed.append(ProcessedScan(scan_id, finished=at, uploaded=at))
    return newest(processed, listed, accepted=accepted)

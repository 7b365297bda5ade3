"""Ask for every check until its response is about the newest scan, side by side and with the same wait.

Knows no ThreadFix. A policy's response counts once it was evaluated after the scan. The response of the pass criteria
has no date: it counts once two responses agree. Until then a response is stale, and the check is made again. Errors are
not staleness: they have their own limit, and the time to settle does not end during one.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gate.flow.waiting import REQUESTS_AT_ONCE, Schedule, Wait, wait_all
from gate.judge.checks import judge_check
from gate.judge.moments import ProcessedScan, newest, plausible
from gate.model.history import FRESH, STALE, UNCHECKED, CheckReading, CheckResult, Failure, Finished, Queued, all_hold
from gate.model.reasons import Reason
from gate.model.subjects import AllPolicies, PassCriteria
from gate.threadfix.policies import Asker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gate.flow.context import CommandContext
    from gate.flow.signals import Signals
    from gate.judge.checks import CheckVerdict
    from gate.judge.scans import ScanVerdict
    from gate.model.events import Event
    from gate.model.history import CheckHistory, History, ListedScans, Upload
    from gate.model.subjects import Check
    from gate.options.settings import Plan, Settings
    from gate.threadfix.client import Client


class Asks(Protocol):
    """Asks ThreadFix about one check; both methods return within the seconds that they are given."""

    def __call__(self, timeout: float, /) -> CheckReading | Failure:
        """Ask once. The status of the reading is not used."""
        ...

    def evaluate(self, policy_id: int, timeout: float, /) -> CheckReading | Failure:
        """Have one policy evaluated, once."""
        ...


class Settling:
    """The responses of one check: which of them count, and how long that may take.

    It is the limit of the check's wait as well: the time to settle, from the first good response on. It has no end
    before that response, and while the newest response is an error.

    Args:
        check: the check.
        ask: asks ThreadFix.
        moment: since when the newest scan is processed; None if unknown, then no dated response counts.
        plan: how long, how often.
        clock: monotonic.
    """

    def __init__(self, check: Check, ask: Asks, moment: float | None, plan: Plan, clock: Callable[[], float]) -> None:
        """Start without a response."""
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
        """When the time to settle is over, by the clock."""
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
            timeout: seconds that any request may take. If more of the time to settle is left, that is the limit:
                evaluating may be slow.
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
            self._ends = self.clock() + plan.settle_timeout
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
        """Have each policy evaluated, once, that is stale in the second response or later.

        Args:
            reading: the status of every policy of the application.
            until: when the response must be there.
        """
        results = tuple(result if result.behind == 0 else self._evaluate(result, until) for result in reading.results)
        return _combined(replace(reading, holds=all_hold(results), results=results))

    def _evaluate(self, stale: CheckResult, until: float) -> CheckResult:
        """Return a fresh result in place of a stale result, if that policy has been evaluated."""
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
        return self._evaluated[number] or stale


def dated(reading: CheckReading, moment: float | None) -> CheckReading:
    """Return a reading with dates; it is fresh if none of its results is from before the moment.

    Args:
        reading: the response.
        moment: since when the newest scan is processed; None if unknown, then no result is fresh.
    """
    results = []
    for result in reading.results:
        evaluated = plausible(result.evaluated, reading.sent)
        results.append(replace(result, evaluated=evaluated, behind=_behind(evaluated, moment)))
    return _combined(replace(reading, results=tuple(results)))


def _behind(evaluated: float | None, moment: float | None) -> float | None:
    """Return the seconds, to the millisecond, from an evaluation to a later moment; None if either is unknown."""
    if evaluated is None or moment is None:
        return None
    # Both are whole milliseconds.
    return max(0, round(moment * 1000) - round(evaluated * 1000)) / 1000


def _combined(reading: CheckReading) -> CheckReading:
    return replace(reading, status=FRESH if all(result.behind == 0 for result in reading.results) else STALE)


def _undated(results: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    return tuple(replace(result, behind=None) for result in results)


def wait_for(  # noqa: PLR0913 - what to ask, and on which terms
    check: Check,
    ask: Asks,
    *,
    moment: float | None,
    plan: Plan,
    clock: Callable[[], float],
    sleep: Callable[[float], bool],
    jitter: Callable[[], float],
    slots: threading.Semaphore,
) -> Wait[Check, CheckReading]:
    """Return the wait for one check, not running yet.

    Args:
        check: the check.
        ask: asks ThreadFix.
        moment: as for `Settling`.
        plan: how long, how often.
        clock: monotonic.
        sleep: sleeps that many seconds; returns whether the gate was stopped.
        jitter: draws a number in [-1, 1].
        slots: held during a request.
    """
    settling = Settling(check, ask, moment, plan, clock)
    # ThreadFix has responded before, so an error is an outage. `Settling` has the deadline.
    terms = replace(plan, timeout=math.inf, first_contact_limit=plan.outage_limit)
    if isinstance(check, PassCriteria):
        # Two responses that are closer to each other could both be from before the statistics are updated.
        terms = replace(terms, interval=plan.max_interval)
    schedule = Schedule(terms, settling, sleep, jitter, slots)
    return Wait(check, observe=settling.observe, settled=settling.settled, schedule=schedule)


def evaluate_all(  # noqa: PLR0913 - what to ask, and on which terms
    checks: Sequence[Check],
    ask: Callable[[Check], Asks],
    *,
    moment: float | None,
    plan: Plan,
    jitter: Callable[[], float],
    signals: Signals,
    notify: Callable[[Event[CheckReading, Check]], None],
    tick: Callable[[Sequence[CheckHistory]], None],
) -> tuple[CheckHistory, ...]:
    """Make all checks side by side.

    Args:
        checks: not empty.
        ask: returns the object that asks ThreadFix about a check.
        moment: as for `Settling`.
        plan: how long, how often.
        jitter: draws a number in [-1, 1].
        signals: the signal that stops the gate.
        notify: called with every event in the calling thread.
        tick: given the histories so far several times a second while nothing happens.

    Returns:
        The histories in the order of the checks; those that a signal cut short are cancelled.

    Raises:
        OutOfThreadsError: a check could not be started.
        BaseException: a bug.
    """
    stop, slots = threading.Event(), threading.Semaphore(REQUESTS_AT_ONCE)
    waits = [
        wait_for(
            check,
            ask(check),
            moment=moment,
            plan=plan,
            clock=time.monotonic,
            sleep=stop.wait,
            jitter=jitter,
            slots=slots,
        )
        for check in checks
    ]
    return wait_all(waits, stop=stop, signals=signals, notify=notify, tick=tick)


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

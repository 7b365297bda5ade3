"""Asks every check until what it hears is about the newest scan, side by side and with the same wait.

Knows no ThreadFix. A response counts once it is fresh: a policy's when it was evaluated after the scan; that of the
pass criteria, which has no date, when it was given twice. Until then it is stale, and is asked for again. Errors are
not staleness: they have their own limit, and no time to settle ends during one.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gate.history import CheckReading, CheckResult, Failure
from gate.subjects import PassCriteria
from gate.waiting import REQUESTS_AT_ONCE, Schedule, Wait, wait_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.errors import Cancelled
    from gate.events import Event
    from gate.history import CheckHistory
    from gate.settings import Plan
    from gate.subjects import Check

STALE: Final = "stale"
"""Status of a reading that may be from before the scan."""
FRESH: Final = "fresh"
"""Status of a reading that is about the scan."""


class Settling:
    """One check's responses: which of them count, and how long that may take.

    It is the limit of the check's wait as well: there is none before the first good response, and while the newest one
    is an error; else it is the time to settle, from the first good response on.

    Args:
        check: which one.
        ask: asks once; takes the seconds it may take, and returns within them. The status of its readings is not read.
        reference: the moment since which the newest scan is processed; None where there is no such scan.
        plan: how long, how often.
        clock: monotonic.
    """

    def __init__(
        self,
        check: Check,
        ask: Callable[[float], CheckReading | Failure],
        reference: float | None,
        plan: Plan,
        clock: Callable[[], float],
    ) -> None:
        """Nothing is asked yet."""
        self.clock = clock
        self._ask = ask
        self._reference = reference
        self._plan = plan
        self._dated = not isinstance(check, PassCriteria)
        self._ends = math.inf
        self._failing = False
        self._first: tuple[CheckReading, float] | None = None

    @property
    def at(self) -> float:
        """The moment at which the time to settle is over."""
        return math.inf if self._failing else self._ends

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self.clock())

    def settled(self, reading: CheckReading) -> bool:
        """Whether a reading ends the wait: it is fresh, or there is no time left for another one."""
        return reading.status == FRESH or self.clock() >= self._ends

    def observe(self, timeout: float) -> CheckReading | Failure:
        """Ask once, and see whether the response counts."""
        response = self._ask(timeout)
        self._failing = isinstance(response, Failure)
        if isinstance(response, Failure):
            return response
        now = self.clock()
        if math.isinf(self._ends):
            self._ends = now + self._plan.settle_timeout
        return dated(response, self._reference) if self._dated else self._repeated(response, now)

    def _repeated(self, reading: CheckReading, now: float) -> CheckReading:
        """A reading without a date: fresh where one that is old enough says the same."""
        if self._first is None or self._first[0] != reading:
            self._first = reading, now
        fresh = now - self._first[1] >= self._plan.interval or not self._plan.settle_timeout
        results = reading.results if fresh else tuple(replace(result, behind=None) for result in reading.results)
        return replace(reading, status=FRESH if fresh else STALE, results=results)


def dated(reading: CheckReading, reference: float | None) -> CheckReading:
    """A reading with dates: fresh where each of its results is from after the reference, or nothing is.

    Args:
        reading: as it was heard.
        reference: a moment in seconds since the epoch; None where everything counts, infinite where nothing does.
    """
    results = tuple(replace(result, behind=_behind(result, reference)) for result in reading.results)
    fresh = all(result.behind == 0 for result in results)
    return replace(reading, status=FRESH if fresh else STALE, results=results)


def _behind(result: CheckResult, reference: float | None) -> float | None:
    """Seconds, to the millisecond, by which a result is older than the reference; None where that cannot be told."""
    if reference is None:
        return 0.0
    if result.evaluated is None or math.isinf(reference):
        return None
    # Both come as whole milliseconds.
    return max(0, round(reference * 1000) - round(result.evaluated * 1000)) / 1000


def wait_for(  # noqa: PLR0913 - what to ask, and on which terms
    check: Check,
    ask: Callable[[float], CheckReading | Failure],
    *,
    reference: float | None,
    plan: Plan,
    clock: Callable[[], float],
    sleep: Callable[[float], bool],
    jitter: Callable[[], float],
    slots: threading.Semaphore,
) -> Wait[Check, CheckReading]:
    """The wait for one check, not running yet.

    Args:
        check: which one.
        ask: asks once; takes the seconds it may take, and returns within them.
        reference: the moment since which the newest scan is processed; None where there is no such scan.
        plan: how long, how often.
        clock: monotonic.
        sleep: sleeps so many seconds, and says whether it was told to stop.
        jitter: draws a number in [-1, 1].
        slots: one is held during a request.
    """
    settling = Settling(check, ask, reference, plan, clock)
    # ThreadFix has responded before, so an error here is an outage; and when to stop is for `Settling` to say.
    terms = replace(plan, timeout=math.inf, first_contact_limit=plan.outage_limit)
    schedule = Schedule(terms, settling, sleep, jitter, slots)
    return Wait(check, observe=settling.observe, settled=settling.settled, schedule=schedule)


def evaluate_all(  # noqa: PLR0913 - likewise
    checks: Sequence[Check],
    ask: Callable[[Check], Callable[[float], CheckReading | Failure]],
    *,
    reference: float | None,
    plan: Plan,
    jitter: Callable[[], float],
    notify: Callable[[Event[CheckReading, Check]], None],
    tick: Callable[[Sequence[CheckHistory]], None],
) -> tuple[tuple[CheckHistory, ...], Cancelled | None]:
    """Make every check, side by side.

    Args:
        checks: which ones; at least one.
        ask: what asks once for a check.
        reference: as for `wait_for`.
        plan: how long, how often.
        jitter: draws a number in [-1, 1].
        notify: told of every event in the calling thread.
        tick: given the histories so far several times a second while nothing happens.

    Returns:
        The histories in the order of the checks, and the cancellation that cut them short, if one did.

    Raises:
        OutOfThreadsError: a check could not be started.
        BaseException: a bug.
    """
    stop, slots = threading.Event(), threading.Semaphore(REQUESTS_AT_ONCE)
    waits = [
        wait_for(
            check,
            ask(check),
            reference=reference,
            plan=plan,
            clock=time.monotonic,
            sleep=stop.wait,
            jitter=jitter,
            slots=slots,
        )
        for check in checks
    ]
    return wait_all(waits, stop=stop, notify=notify, tick=tick)

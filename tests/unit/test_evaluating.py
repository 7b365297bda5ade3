"""When a check's response counts, and how long one that does not is waited for. The clock is the test's own."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from gate.commands.evaluation import latest, moments_of
from gate.errors import Cancelled
from gate.evaluating import FRESH, STALE, Settling, dated, evaluate_all, wait_for
from gate.events import CutOff, Ended, OutageBegan, OutageEnded, StatusSeen
from gate.history import Accept, CheckReading, CheckResult, Failure, Finished, Refused, ScanReading, StopCause, Upload
from gate.reasons import Reason
from gate.rules import Rules
from gate.settings import Plan
from gate.subjects import AllPolicies, PassCriteria, Policy, ScanFile
from gate.threadfix.refusals import refusal_of
from tests.builders import history_of, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.events import Event
    from gate.history import CheckHistory
    from gate.parts.scans import ScanVerdict
    from gate.subjects import Check

    Heard = CheckReading | Failure

DONE_AT = 1_570_117_773.123
"""The moment since which the scan is processed."""
PCI = Policy(name="PCI")
DOWN = Failure(Reason.UNREACHABLE, "HTTP 502.")
DENIED = Failure(Reason.DENIED, "HTTP 401.", final=True)
LATE = Failure(Reason.UNREACHABLE, "no response in time.", timed_out=True)


def policy(evaluated: float | None, *, holds: bool | None = True) -> CheckReading:
    """What the server says about a policy that it evaluated at that moment."""
    return CheckReading("", holds, (CheckResult("PCI", holds, "PASSING", evaluated=evaluated),))


def criteria(*, holds: bool = True, limit: int = 0) -> CheckReading:
    """What the server says about the pass criteria."""
    return CheckReading("", holds, (CheckResult("High", holds, "", (f"at most {limit} open",)),))


OLD, NEW = policy(DONE_AT - 200), policy(DONE_AT)


@dataclass
class World:
    """A server that responds by a script, and a clock that only it and sleeping move.

    Attributes:
        respond: what the server responds to the n-th request (from 0) that is made at a time.
        plan: how long, how often.
        takes: seconds that the n-th request takes; it is cut off at its budget.
        early: seconds by which every sleep is too short.
        now: seconds since the wait began.
        asked: when each request was made, and its budget.
        events: what the wait told.
    """

    respond: Callable[[int, float], Heard]
    plan: Plan = field(default_factory=Plan)
    takes: Callable[[int], float] = lambda _: 0.0
    early: float = 0.0
    now: float = 0.0
    asked: list[tuple[float, float]] = field(default_factory=list)
    events: list[Event[CheckReading, Check]] = field(default_factory=list)

    def ask(self, budget: float) -> Heard:
        number, started = len(self.asked), self.now
        self.asked.append((started, budget))
        takes = self.takes(number)
        self.now += min(takes, budget)
        return LATE if takes > budget else self.respond(number, started)

    def sleep(self, seconds: float) -> bool:
        self.now += max(0.0, seconds - self.early)
        return False

    def evaluate(self, check: Check = PCI, reference: float | None = DONE_AT) -> CheckHistory:
        """Wait until the check has settled."""
        return wait_for(
            check, self.ask, reference=reference, plan=self.plan, clock=lambda: self.now, sleep=self.sleep,
            jitter=lambda: 0.0, slots=threading.Semaphore(),
        ).run(self.events.append)  # fmt: skip

    @property
    def starts(self) -> list[float]:
        return [started for started, _ in self.asked]


def statuses(history: CheckHistory) -> list[str]:
    """The phases of a history."""
    return [phase.status for phase in history.phases]


# --- What counts.


@pytest.mark.parametrize(
    ("evaluated", "reference", "behind"),
    [
        (DONE_AT, DONE_AT, 0), (DONE_AT + 1, DONE_AT, 0), (DONE_AT - 0.001, DONE_AT, 0.001),
        (DONE_AT - 200, DONE_AT, 200), (1.0, DONE_AT, DONE_AT - 1), (None, DONE_AT, None), (None, None, 0),
        (1.0, None, 0), (DONE_AT, math.inf, None),
    ],
)  # fmt: skip
def test_a_policy_counts_when_it_was_evaluated_after_the_scan(
    evaluated: float | None, reference: float | None, behind: float | None
) -> None:
    """To the millisecond; without a date it never does, and without a scan that was processed it always does."""
    reading = dated(policy(evaluated), reference)
    assert reading.status == (FRESH if behind == 0 else STALE)
    assert reading.results[0].behind == pytest.approx(behind)


def scan(since: float | None, status: str = "DONE", *, error_message: str = "") -> ScanVerdict:
    """What a pending scan came to that reached its status at that moment; a duplicate is accepted."""
    refusal = refusal_of(error_message)
    reading = ScanReading(status, bool(refusal), error_message or None, refusal=refusal, since=since)
    return judged(history_of(reading), rules=Rules(accepted=frozenset(Accept)))


def finished(at: float | None) -> Upload:
    """A file that was processed at once, at that moment."""
    return Upload(ScanFile("a.fpr", 3, "a.fpr"), Finished(12, at))


TWICE = "Scan file has already been uploaded."


@pytest.mark.parametrize(
    ("scans", "uploads", "reference"),
    [
        ([scan(DONE_AT)], [], DONE_AT),
        ([scan(DONE_AT - 9), scan(DONE_AT), scan(1.0)], [], DONE_AT),
        ([scan(DONE_AT)], [finished(DONE_AT + 1)], DONE_AT + 1),
        ([], [finished(DONE_AT)], DONE_AT),
        ([scan(DONE_AT, error_message=TWICE)], [replace(finished(1.0), receipt=Refused(TWICE))], None),
        ([scan(DONE_AT, error_message=TWICE), scan(1.0)], [], 1.0),
        ([scan(DONE_AT), scan(None)], [], math.inf),
        ([scan(DONE_AT)], [finished(None)], math.inf),
        ([], [], None),
    ],
)
def test_the_newest_scan_is_the_reference(
    scans: list[ScanVerdict], uploads: list[Upload], reference: float | None
) -> None:
    """What ThreadFix took nothing of has changed nothing; nothing is newer than a scan of which no date is known."""
    assert latest(moments_of(scans, uploads)) == reference


def test_several_policies_count_together() -> None:
    """One that is too old is enough to wait; each says by how much it is."""
    both = replace(OLD, results=NEW.results + OLD.results)
    reading = dated(both, DONE_AT)
    assert (reading.status, [result.behind for result in reading.results]) == (STALE, [0, 200])
    assert dated(replace(OLD, results=()), DONE_AT).status == FRESH


def test_a_fresh_policy_costs_one_request() -> None:
    """The first request is at once, and its response is judged."""
    world = World(lambda _n, _at: NEW)
    history = world.evaluate()
    assert (history.ended, history.polls, statuses(history), world.starts) == (StopCause.DECIDED, 1, [FRESH], [0.0])
    assert [type(event) for event in world.events] == [StatusSeen, Ended]


def test_a_stale_policy_is_asked_for_again_at_the_cadence() -> None:
    """Until it was evaluated after the scan; both phases stand in the history."""
    world = World(lambda _n, at: NEW if at >= 30 else OLD)
    history = world.evaluate()
    assert (history.ended, statuses(history)) == (StopCause.DECIDED, [STALE, FRESH])
    assert world.starts[:4] == [0, 2, 4, 6]
    assert history.reading is not None
    assert history.reading.results[0].behind == 0


def test_what_stays_stale_is_asked_for_until_the_time_to_settle_is_over() -> None:
    """The last request is made at its end, with a time of its own."""
    world = World(lambda _n, _at: OLD)
    history = world.evaluate()
    assert (statuses(history), world.asked[-1]) == ([STALE], (120.0, 30.0))
    assert isinstance(history.newest, CheckReading)
    assert history.newest.status == STALE


def test_a_response_at_the_last_moment_counts() -> None:
    """It is judged before anything is called stale."""
    world = World(lambda _n, at: NEW if at >= 120 else OLD)
    assert statuses(world.evaluate()) == [STALE, FRESH]


def test_without_time_to_settle_the_first_response_is_taken() -> None:
    """As it is; its status still says how old it is."""
    world = World(lambda _n, _at: OLD, Plan(settle_timeout=0))
    history = world.evaluate()
    assert (history.polls, statuses(history), history.ended) == (1, [STALE], StopCause.DECIDED)


# --- The pass criteria, which have no date.


def test_pass_criteria_count_when_they_were_said_twice() -> None:
    """One interval apart, whatever the scan's moment is."""
    for reference in (DONE_AT, None):
        world = World(lambda _n, _at: criteria())
        history = world.evaluate(PassCriteria(), reference)
        assert (world.starts, statuses(history)) == ([0, 2], [STALE, FRESH])
        assert history.reading == replace(criteria(), status=FRESH)
        (first, *_) = [event for event in world.events if isinstance(event, StatusSeen)]
        assert [result.behind for result in first.reading.results] == [None]


def test_what_changes_in_between_begins_anew() -> None:
    """Statistics that are still being updated say something else each time."""
    script = [criteria(limit=1), criteria(limit=2), criteria(limit=1), criteria(holds=False), criteria(holds=False)]
    world = World(lambda n, _at: script[min(n, 4)])
    history = world.evaluate(PassCriteria())
    assert (history.polls, history.reading) == (5, replace(script[4], status=FRESH))


def test_an_error_in_between_changes_nothing() -> None:
    """Two responses say the same, however many failed."""
    world = World(lambda n, _at: DOWN if n == 1 else criteria())
    assert world.evaluate(PassCriteria()).polls == 3


def test_two_responses_too_close_to_each_other_are_one() -> None:
    """Where the time to settle is shorter than an interval, the second comes too early to say anything."""
    world = World(lambda _n, _at: criteria(), Plan(settle_timeout=1))
    history = world.evaluate(PassCriteria())
    assert (world.starts, statuses(history)) == ([0, 1], [STALE])


def test_without_time_to_settle_the_first_criteria_count() -> None:
    """There is nothing to compare them with."""
    world = World(lambda _n, _at: criteria(), Plan(settle_timeout=0))
    assert statuses(world.evaluate(PassCriteria())) == [FRESH]


# --- Errors are not staleness.


@pytest.mark.parametrize("settle", [0.0, 10.0])
def test_errors_before_the_first_good_response_have_their_own_limit(settle: float) -> None:
    """They are an outage, since ThreadFix has responded before; the time to settle has not begun."""
    world = World(lambda _n, at: DOWN if at < 200 else NEW, Plan(settle_timeout=settle))
    history = world.evaluate()
    assert (statuses(history), len(history.outages)) == ([FRESH], 1)
    (began,) = [event for event in world.events if isinstance(event, OutageBegan)]
    assert began.limit == 300


def test_an_outage_ends_at_its_limit() -> None:
    """There is one more request, and its error is the newest."""
    world = World(lambda _n, _at: DOWN)
    history = world.evaluate()
    assert (history.ended, history.newest, history.reading, world.starts[-1]) == (StopCause.LIMIT, DOWN, None, 300)


def test_the_time_to_settle_does_not_end_during_an_outage() -> None:
    """What comes after it is judged: fresh counts, and stale is the end."""
    for after, expected in ((NEW, [STALE, FRESH]), (OLD, [STALE])):
        world = World(lambda _n, at, after=after: OLD if at < 100 else (DOWN if at < 300 else after))  # type: ignore[misc]
        history = world.evaluate()
        assert statuses(history) == expected
        assert history.ended is StopCause.DECIDED
        assert history.newest == history.reading
        assert isinstance(world.events[-2], OutageEnded if after is OLD else StatusSeen)


def test_an_error_at_the_end_of_the_time_to_settle_is_an_outage() -> None:
    """Nobody knows whether it would have been fresh, so it is asked for until the outage's limit."""
    world = World(lambda _n, at: OLD if at < 120 else (DOWN if at < 130 else NEW))
    assert statuses(world.evaluate()) == [STALE, FRESH]
    world = World(lambda _n, at: OLD if at < 120 else DOWN)
    history = world.evaluate()
    assert (history.ended, history.newest) == (StopCause.LIMIT, DOWN)
    assert world.now == pytest.approx(420)


def test_a_server_that_is_stale_and_down_by_turns_does_not_keep_the_gate() -> None:
    """After the time to settle the first good response decides."""
    world = World(lambda n, _at: OLD if n % 2 else DOWN)
    history = world.evaluate()
    assert statuses(history) == [STALE]
    assert world.now <= 120 + 15


def test_a_request_that_the_time_to_settle_cuts_off_is_no_error() -> None:
    """It is made once more, with its own time."""
    world = World(lambda n, _at: NEW if n > 1 else OLD, Plan(settle_timeout=10), takes=lambda n: 25 if n == 1 else 0)
    history = world.evaluate()
    assert (statuses(history), history.errors) == ([STALE, FRESH], 0)
    assert [type(event) for event in world.events] == [StatusSeen, CutOff, StatusSeen, Ended]
    assert world.asked[-1] == (10, 30)


def test_a_request_that_is_cut_off_twice_is_an_outage() -> None:
    """The server hangs: it has the outage's limit to come back."""
    world = World(lambda _n, _at: OLD, Plan(settle_timeout=10), takes=lambda n: 99 if n else 0)
    history = world.evaluate()
    assert (history.ended, history.newest) == (StopCause.LIMIT, LATE)


def test_a_final_error_ends_it_at_once() -> None:
    """Asking again cannot help."""
    world = World(lambda n, _at: DENIED if n else OLD)
    history = world.evaluate()
    assert (history.ended, history.polls, history.newest) == (StopCause.DECIDED, 2, DENIED)


def test_a_sleep_that_wakes_early_buys_no_other_round() -> None:
    """The request that was meant for the end is the last one."""
    world = World(lambda _n, _at: OLD, early=1e-6)
    history = world.evaluate()
    assert (history.ended, statuses(history)) == (StopCause.DEADLINE, [STALE])


def test_the_limit_is_infinite_while_nothing_good_has_come() -> None:
    """A wait asks it at any time."""
    script: list[Heard] = [DOWN, OLD, DOWN, OLD]
    now = [0.0]
    settling = Settling(PCI, lambda _: script.pop(0), DONE_AT, Plan(), lambda: now[0])
    limits = []
    for _ in range(4):
        settling.observe(1)
        limits.append((settling.at, settling.remaining()))
        now[0] += 100
    assert limits == [(math.inf, math.inf), (220, 120), (math.inf, math.inf), (220, 0)]


# --- Several checks side by side, in real threads.


def together(
    scripts: dict[Check, Callable[[], Heard]],
    notify: Callable[[Event[CheckReading, Check]], None] = lambda _: None,
    tick: Callable[[Sequence[CheckHistory]], None] = lambda _: None,
) -> tuple[tuple[CheckHistory, ...], Cancelled | None]:
    """Make several checks whose responses come from `scripts`."""
    plan = Plan(interval=0.001, max_interval=0.002)

    def ask(check: Check) -> Callable[[float], Heard]:
        return lambda _: scripts[check]()

    return evaluate_all(
        list(scripts), ask, reference=DONE_AT, plan=plan, jitter=lambda: 0.0, notify=notify, tick=tick
    )  # fmt: skip


def test_every_check_is_made_and_has_its_place() -> None:
    """One that is refused stops no other."""
    histories, cancelled = together({PassCriteria(): criteria, PCI: lambda: NEW, AllPolicies(): lambda: DENIED})
    assert cancelled is None
    assert [history.target for history in histories] == [PassCriteria(), PCI, AllPolicies()]
    assert [statuses(history) for history in histories] == [[STALE, FRESH], [FRESH], []]
    assert histories[2].newest == DENIED


def test_a_cancelled_check_has_no_result() -> None:
    """Whatever it heard before; one that was over keeps its own."""

    def cancel(histories: Sequence[CheckHistory]) -> None:
        if histories[1].ended:
            raise Cancelled(15)

    histories, cancelled = together({PCI: lambda: OLD, AllPolicies(): lambda: NEW}, tick=cancel)
    assert cancelled is not None
    assert cancelled.exit_code == 143
    assert [history.ended for history in histories] == [StopCause.CANCELLED, StopCause.DECIDED]

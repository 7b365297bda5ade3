"""When a check's response counts, and how long the gate waits for a response that does. With a simulated clock."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from gate.flow.evaluating import Settling, dated, moment_of, wait_for
from gate.flow.signals import Signals
from gate.flow.waiting import Deadline, Schedule, Wait, wait_all
from gate.model.advice import FailureKind
from gate.model.events import Ended, OutageBegan, OutageEnded, StatusSeen
from gate.model.history import (
    FRESH,
    STALE,
    UNCHECKED,
    Accept,
    CheckReading,
    CheckResult,
    Failure,
    Finished,
    ListedScans,
    Queued,
    Refused,
    ScanReading,
    StopCause,
    Upload,
)
from gate.model.reasons import Reason
from gate.model.subjects import AllPolicies, PassCriteria, Plan, Policy, ScanFile, Target
from gate.threadfix.policies import CheckReader
from gate.threadfix.refusals import refusal_of
from gate.threadfix.rules import Rules
from tests.builders import history_of, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.judge.scans import ScanVerdict
    from gate.model.events import Event
    from gate.model.history import CheckHistory, Receipt
    from gate.model.subjects import Check

    Response = CheckReading | Failure

DONE_AT = 1_570_117_773.123
"""The moment since which the scan is processed."""
PCI = Policy(name="PCI")
DOWN = Failure(Reason.UNREACHABLE, "HTTP 502.")
DENIED = Failure(Reason.DENIED, "HTTP 401.", final=True)
LATE = Failure(Reason.UNREACHABLE, "no response in time.", FailureKind.TIMEOUT)


def policy(evaluated: float | None, *, holds: bool | None = True, number: int = 3) -> CheckReading:
    """Return a response about a policy that was evaluated at that moment; the response is a minute after the scan."""
    result = CheckResult("PCI", holds, "PASSING", evaluated=evaluated, policy_id=number)
    return CheckReading("", holds, (result,), DONE_AT + 60)


def criteria(*, holds: bool = True, limit: int = 0) -> CheckReading:
    """Return a response about the pass criteria."""
    results = (CheckResult("High", holds, "", (f"at most {limit} open",)),)
    return CheckReading("", holds, results, agreement=(holds, limit))


OLD, NEW = policy(DONE_AT - 200), policy(DONE_AT)


@dataclass
class World:
    """A server that responds by a script, and a clock that only it and sleeping move.

    Attributes:
        respond: returns the response to the n-th request (from 0), made at a time.
        plan: how long, how often.
        takes: seconds that the n-th request takes; it is cut off at its budget.
        early: seconds that are missing from every sleep.
        now: seconds since the wait began.
        requests: when each request was made, and its budget.
        evaluate: returns the response to the evaluation of a policy, made at a time.
        evaluated: the time of each evaluation, the policy, and its budget.
        events: all events of the wait.
    """

    respond: Callable[[int, float], Response]
    plan: Plan = field(default_factory=Plan)
    takes: Callable[[int], float] = lambda _: 0.0
    early: float = 0.0
    now: float = 0.0
    requests: list[tuple[float, float]] = field(default_factory=list)
    evaluate: Callable[[int, float], Response] = lambda _number, _at: DOWN
    evaluated: list[tuple[float, int, float]] = field(default_factory=list)
    events: list[Event[CheckReading, Check]] = field(default_factory=list)

    def sleep(self, seconds: float) -> bool:
        self.now += max(0.0, seconds - self.early)
        return False

    def wait(self, check: Check = PCI, moment: float | None = DONE_AT) -> CheckHistory:
        """Wait until the check has settled."""
        deadline = Deadline(0.0, lambda: self.now)
        schedule = Schedule(self.plan, deadline, self.sleep, lambda: 0.0, threading.Semaphore())
        return wait_for(check, Server(self), moment, schedule).run(self.events.append)

    @property
    def starts(self) -> list[float]:
        return [started for started, _ in self.requests]


@dataclass
class Server(CheckReader):
    """Asks the world."""

    world: World

    def __call__(self, budget: float) -> Response:
        world = self.world
        number, started = len(world.requests), world.now
        world.requests.append((started, budget))
        takes = world.takes(number)
        world.now += min(takes, budget)
        return LATE if takes > budget else world.respond(number, started)

    def evaluate(self, number: int, budget: float) -> Response:
        self.world.evaluated.append((self.world.now, number, budget))
        return self.world.evaluate(number, self.world.now)


def statuses(history: CheckHistory) -> list[str]:
    """The phases of a history."""
    return [phase.status for phase in history.phases]


# --- Fresh and stale.


@pytest.mark.parametrize(
    ("evaluated", "moment", "behind"),
    [
        (DONE_AT, DONE_AT, 0), (DONE_AT + 1, DONE_AT, 0), (DONE_AT - 0.001, DONE_AT, 0.001),
        (DONE_AT - 200, DONE_AT, 200), (None, DONE_AT, None), (None, None, None), (DONE_AT, None, None),
        (1.0, DONE_AT, None), (DONE_AT + 2 * 86400, DONE_AT, None), (1e12, DONE_AT, None),
    ],
)  # fmt: skip
def test_a_policy_counts_when_it_was_evaluated_after_the_scan(
    evaluated: float | None, moment: float | None, behind: float | None
) -> None:
    """To the millisecond; never without a date that can be true, or without the scan's moment."""
    reading = dated(policy(evaluated), moment)
    assert reading.status == (FRESH if behind == 0 else STALE)
    assert reading.results[0].behind == pytest.approx(behind)
    assert dated(replace(policy(DONE_AT), sent=None), DONE_AT).status == STALE


def scan(at: float, status: str = "DONE", *, error_message: str = "", number: int = 41) -> ScanVerdict:
    """Return the verdict on a pending scan that was processed at that moment; a duplicate is accepted."""
    refusal = refusal_of(error_message)
    reading = ScanReading(
        status, bool(refusal), error_message or None, refusal=refusal, scan_id=number - 29, modified=at, sent=at + 1
    )
    history = replace(history_of(reading), target=Target(6, number), unfinished=at - 5)
    return judged(history, rules=Rules(accepted=frozenset(Accept)))


def uploaded(receipt: Receipt) -> Upload:
    """Return an upload with that result."""
    return Upload(ScanFile("a.fpr", 3, "a.fpr"), receipt)


TWICE = "Scan file has already been uploaded."
LISTED = ListedScans(((12, DONE_AT + 7), (13, DONE_AT - 300)), DONE_AT + 60)


@pytest.mark.parametrize(
    ("scans", "uploads", "listed", "moment"),
    [
        ([scan(DONE_AT)], [], None, DONE_AT),
        ([scan(DONE_AT)], [], LISTED, DONE_AT + 7),
        ([scan(DONE_AT - 9), scan(DONE_AT, number=43)], [], None, DONE_AT),
        ([scan(DONE_AT)], [uploaded(Queued((Target(6, 41),), DONE_AT + 601))], None, DONE_AT + 1),
        ([scan(DONE_AT)], [uploaded(Finished(99, DONE_AT + 2))], None, DONE_AT + 2),
        ([], [uploaded(Finished(12, DONE_AT + 2))], LISTED, DONE_AT + 7),
        ([scan(DONE_AT)], [uploaded(Finished(99, None))], None, None),
        ([scan(DONE_AT, error_message=TWICE)], [uploaded(Refused(TWICE))], LISTED, DONE_AT + 7),
        ([scan(DONE_AT, error_message=TWICE)], [uploaded(Refused(TWICE))], None, None),
        ([scan(DONE_AT, error_message=TWICE), scan(DONE_AT + 30, number=42)], [], LISTED, DONE_AT + 30),
        ([scan(DONE_AT, error_message=TWICE), scan(DONE_AT - 30, number=42)], [], LISTED, DONE_AT + 7),
    ],
)
def test_the_moment_is_that_of_the_newest_scan(
    scans: list[ScanVerdict], uploads: list[Upload], listed: ListedScans | None, moment: float | None
) -> None:
    """Also a scan that ThreadFix already had. If a date is missing, nothing is newer than that scan."""
    accepted = any(part.conclusion.reason is Reason.ALREADY_IMPORTED for part in scans)
    assert moment_of(scans, uploads, listed, accepted=accepted) == moment


def test_several_policies_count_together() -> None:
    """A single old policy is enough to wait; each has its own age."""
    both = replace(OLD, results=NEW.results + OLD.results)
    reading = dated(both, DONE_AT)
    assert (reading.status, [result.behind for result in reading.results]) == (STALE, [0, 200])
    assert dated(replace(OLD, results=()), DONE_AT).status == FRESH


def test_a_fresh_policy_costs_one_request() -> None:
    """The first request is immediate, and its response is judged."""
    world = World(lambda _n, _at: NEW)
    history = world.wait()
    assert (history.ended, history.polls, statuses(history), world.starts) == (StopCause.DECIDED, 1, [FRESH], [0.0])
    assert [type(event) for event in world.events] == [StatusSeen, Ended]


def test_a_stale_policy_is_requested_again_at_the_cadence() -> None:
    """Until it was evaluated after the scan; the history has both phases."""
    world = World(lambda _n, at: NEW if at >= 30 else OLD)
    history = world.wait()
    assert (history.ended, statuses(history)) == (StopCause.DECIDED, [STALE, FRESH])
    assert world.starts[:4] == [0, 2, 4, 6]
    assert history.reading is not None
    assert history.reading.results[0].behind == 0


def test_a_stale_policy_is_requested_until_the_end_of_the_time_to_settle() -> None:
    """The last request is made at its end; each may take the time that is left, but at least its own limit."""
    world = World(lambda _n, _at: OLD)
    history = world.wait()
    assert (statuses(history), world.requests[-1]) == ([STALE], (120.0, 30.0))
    assert world.requests[:2] == [(0.0, 120.0), (2.0, 118.0)]
    assert isinstance(history.newest, CheckReading)
    assert history.newest.status == STALE


def test_a_response_at_the_last_moment_counts() -> None:
    """It is judged before anything is called stale."""
    world = World(lambda _n, at: NEW if at >= 120 else OLD)
    assert statuses(world.wait()) == [STALE, FRESH]


def test_without_time_to_settle_the_first_response_counts() -> None:
    """With any date, or without a date."""
    for response in (OLD, NEW, policy(None), policy(1e12)):
        world = World(lambda _n, _at, response=response: response, Plan(settle_timeout=0))  # type: ignore[misc]
        history = world.wait()
        assert (history.polls, statuses(history), history.ended) == (1, [UNCHECKED], StopCause.DECIDED)


# --- The pass criteria, which have no date.


def test_pass_criteria_count_if_two_responses_agree() -> None:
    """The longest interval apart, with any moment of the scan."""
    for moment in (DONE_AT, None):
        world = World(lambda _n, _at: criteria())
        history = world.wait(PassCriteria(), moment)
        assert (world.starts, statuses(history)) == ([0, 15], [STALE, FRESH])
        assert history.reading == replace(criteria(), status=FRESH)
        (first, *_) = [event for event in world.events if isinstance(event, StatusSeen)]
        assert [result.behind for result in first.reading.results] == [None]


def test_changed_pass_criteria_must_be_repeated() -> None:
    """Statistics that are still being updated differ each time."""
    script = [criteria(limit=1), criteria(limit=2), criteria(limit=1), criteria(holds=False), criteria(holds=False)]
    world = World(lambda n, _at: script[min(n, 4)])
    history = world.wait(PassCriteria())
    assert (history.polls, history.reading) == (5, replace(script[4], status=FRESH))


def test_an_error_between_two_responses_changes_nothing() -> None:
    """Two responses agree, with any number of errors between them."""
    world = World(lambda n, _at: DOWN if n == 1 else criteria())
    assert world.wait(PassCriteria()).polls == 3


def test_two_responses_that_are_too_close_do_not_agree() -> None:
    """If the time to settle is shorter than the longest interval, the second is too early to count."""
    world = World(lambda _n, _at: criteria(), Plan(settle_timeout=1))
    history = world.wait(PassCriteria())
    assert (world.starts, statuses(history)) == ([0, 1], [STALE])


def test_without_time_to_settle_the_first_pass_criteria_count() -> None:
    """There is nothing to compare them with."""
    world = World(lambda _n, _at: criteria(), Plan(settle_timeout=0))
    assert statuses(world.wait(PassCriteria())) == [UNCHECKED]


# --- Errors are not staleness.


@pytest.mark.parametrize("settle", [0.0, 10.0])
def test_errors_before_the_first_good_response_have_their_own_limit(settle: float) -> None:
    """They are an outage, since ThreadFix has responded before; the time to settle has not begun."""
    world = World(lambda _n, at: DOWN if at < 200 else NEW, Plan(settle_timeout=settle))
    history = world.wait()
    assert (statuses(history), len(history.outages)) == ([FRESH if settle else UNCHECKED], 1)
    (began,) = [event for event in world.events if isinstance(event, OutageBegan)]
    assert began.limit == 300


def test_an_outage_ends_at_its_limit() -> None:
    """There is one more request, and its error is the newest."""
    world = World(lambda _n, _at: DOWN)
    history = world.wait()
    assert (history.ended, history.newest, history.reading, world.starts[-1]) == (StopCause.LIMIT, DOWN, None, 300)


def test_the_time_to_settle_does_not_end_during_an_outage() -> None:
    """The response after it is judged: a fresh response counts, and a stale response is the end."""
    for after, expected in ((NEW, [STALE, FRESH]), (OLD, [STALE])):
        world = World(lambda _n, at, after=after: OLD if at < 100 else (DOWN if at < 300 else after))  # type: ignore[misc]
        history = world.wait()
        assert statuses(history) == expected
        assert history.ended is StopCause.DECIDED
        assert history.newest == history.reading
        assert isinstance(world.events[-2], OutageEnded if after is OLD else StatusSeen)


def test_an_error_at_the_end_of_the_time_to_settle_is_an_outage() -> None:
    """The response could have been fresh, so the gate asks until the outage's limit."""
    world = World(lambda _n, at: OLD if at < 120 else (DOWN if at < 130 else NEW))
    assert statuses(world.wait()) == [STALE, FRESH]
    world = World(lambda _n, at: OLD if at < 120 else DOWN)
    history = world.wait()
    assert (history.ended, history.newest) == (StopCause.LIMIT, DOWN)
    assert world.now == pytest.approx(420)


def test_alternating_errors_and_stale_responses_do_not_prolong_the_wait() -> None:
    """After the time to settle the first good response decides."""
    world = World(lambda n, _at: OLD if n % 2 else DOWN)
    history = world.wait()
    assert statuses(history) == [STALE]
    assert world.now <= 120 + 15


def test_the_end_of_the_time_to_settle_cuts_no_request_off() -> None:
    """Evaluating may be slow: a request has the time that is left, but at least its own limit."""
    world = World(lambda n, _at: NEW if n else OLD, Plan(settle_timeout=10), takes=lambda n: 25 if n else 9)
    history = world.wait()
    assert (statuses(history), history.errors) == ([STALE, FRESH], 0)
    assert world.requests == [(0, 30), (11, 30)]
    slow = World(lambda _n, _at: NEW, takes=lambda _: 119)
    assert (slow.wait().newest, slow.requests) == (dated(NEW, DONE_AT), [(0, 120)])


def test_a_hanging_request_is_an_outage() -> None:
    """The server has the outage's limit to come back."""
    world = World(lambda _n, _at: OLD, Plan(settle_timeout=10), takes=lambda n: 99 if n else 0)
    history = world.wait()
    assert (history.ended, history.newest) == (StopCause.LIMIT, LATE)


# --- All policies of an application: ThreadFix may not evaluate each by itself.


def several(*evaluated: float) -> CheckReading:
    """Return a response about policies 1, 2 ... that were evaluated at these moments."""
    single = [policy(at, number=number) for number, at in enumerate(evaluated, 1)]
    return replace(single[0], results=tuple(result for reading in single for result in reading.results))


def test_a_policy_that_is_stale_in_the_second_response_is_evaluated_once() -> None:
    """By its id; a fresh policy is left alone, and so are all in the first response."""
    world = World(lambda _n, _at: several(DONE_AT - 200, DONE_AT, DONE_AT - 1))
    world.evaluate = lambda number, _at: policy(DONE_AT, holds=number != 3, number=number)
    history = world.wait(AllPolicies())
    assert [(at, number) for at, number, _ in world.evaluated] == [(2, 1), (2, 3)]
    assert (statuses(history), history.reading and history.reading.holds) == ([STALE, FRESH], False)
    assert world.evaluated[0][2] == world.requests[1][1] == 118


def test_an_evaluation_without_a_fresh_result_leaves_a_policy_stale() -> None:
    """With any other response, or an error; it is not made again."""
    for response in (DOWN, DENIED, LATE, policy(DONE_AT - 1, number=1), policy(None, number=1)):
        world = World(lambda _n, _at: several(DONE_AT - 200))
        world.evaluate = lambda _number, _at, response=response: response  # type: ignore[misc]
        history = world.wait(AllPolicies())
        assert (statuses(history), history.errors, len(world.evaluated)) == ([STALE], 0, 1)


def test_an_evaluation_is_remembered() -> None:
    """The list may stay as it was while another policy is still stale."""
    world = World(lambda _n, at: several(DONE_AT - 200, DONE_AT if at >= 10 else DONE_AT - 1))
    world.evaluate = lambda number, _at: policy(DONE_AT, number=number) if number == 1 else DOWN
    history = world.wait(AllPolicies())
    assert (statuses(history), world.now, len(world.evaluated)) == ([STALE, FRESH], 10, 2)


def test_a_policy_without_an_id_a_moment_or_time_is_not_evaluated() -> None:
    """It stays stale. Without the scan's moment no evaluation would count, so none is made."""
    old = several(DONE_AT - 200)
    world = World(lambda _n, _at: old)
    assert (statuses(world.wait(AllPolicies(), None)), world.evaluated) == ([STALE], [])
    world = World(lambda _n, _at: replace(old, results=(replace(old.results[0], policy_id=None),)))
    assert (statuses(world.wait(AllPolicies())), world.evaluated) == ([STALE], [])
    world = World(lambda _n, _at: old, takes=lambda n: 118.0 if n == 1 else 0.0)
    world.evaluate = lambda number, _at: policy(DONE_AT, number=number)
    assert statuses(world.wait(AllPolicies())) == [STALE]
    assert world.evaluated == []


def test_a_final_error_ends_the_wait_immediately() -> None:
    """Asking again cannot help."""
    world = World(lambda n, _at: DENIED if n else OLD)
    history = world.wait()
    assert (history.ended, history.polls, history.newest) == (StopCause.DECIDED, 2, DENIED)


def test_a_sleep_that_wakes_early_does_not_lead_to_another_request() -> None:
    """The request that was meant for the end is the last request."""
    world = World(lambda _n, _at: OLD, early=1e-6)
    history = world.wait()
    assert (history.ended, statuses(history)) == (StopCause.DEADLINE, [STALE])


def test_the_limit_is_infinite_until_a_good_response() -> None:
    """A wait asks it at any time; it cuts no request off."""
    script: list[Response] = [DOWN, OLD, DOWN, OLD]
    world = World(lambda n, _at: script[n])
    settling = Settling(PCI, Server(world), DONE_AT, Plan(), lambda: world.now)
    limits = []
    for _ in range(4):
        settling.observe(1)
        limits.append((settling.at, settling.remaining()))
        world.now += 100
    assert limits == [(math.inf, math.inf), (220, math.inf), (math.inf, math.inf), (220, math.inf)]


# --- Several checks side by side, in real threads.


def together(
    scripts: dict[Check, Callable[[], Response]],
    notify: Callable[[Event[CheckReading, Check]], None] = lambda _: None,
    tick: Callable[[Sequence[CheckHistory]], None] = lambda _: None,
    signals: Signals | None = None,
) -> tuple[CheckHistory, ...]:
    """Make several checks whose responses come from `scripts`."""
    stop = threading.Event()
    deadline = Deadline(0.0, time.monotonic)
    schedule = Schedule(Plan(interval=0.001, max_interval=0.002), deadline, stop.wait, lambda: 0.0)

    def wait(check: Check) -> Wait[Check, CheckReading]:
        return wait_for(check, Server(World(lambda _n, _at: scripts[check]())), DONE_AT, schedule)

    return wait_all([*map(wait, scripts)], stop=stop, signals=signals or Signals(), notify=notify, tick=tick)


def test_every_check_runs_and_keeps_its_place() -> None:
    """A refused check stops no other check."""
    histories = together({PassCriteria(): criteria, PCI: lambda: NEW, AllPolicies(): lambda: DENIED})
    assert [history.target for history in histories] == [PassCriteria(), PCI, AllPolicies()]
    assert [statuses(history) for history in histories] == [[STALE, FRESH], [FRESH], []]
    assert histories[2].newest == DENIED


def test_a_cancelled_check_has_no_result() -> None:
    """Also after a response; a check that was over keeps its result."""
    signals = Signals()

    def stop(histories: Sequence[CheckHistory]) -> None:
        if histories[1].ended:
            signals.stop(15)

    histories = together({PCI: lambda: OLD, AllPolicies(): lambda: NEW}, tick=stop, signals=signals)
    assert [history.ended for history in histories] == [StopCause.CANCELLED, StopCause.DECIDED]

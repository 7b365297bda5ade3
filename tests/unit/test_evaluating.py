"""When a check's response counts, and how long the gate waits for a response that does. With a simulated clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from gate.flow.evaluating import dated, moment_of, wait_for
from gate.flow.waiting import Deadline, Schedule
from gate.model.advice import FailureKind
from gate.model.events import OutageBegan
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
    from collections.abc import Callable, Mapping, Sequence

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
    """A server that responds by a script, and a clock that only it and sleeping move."""

    respond: Callable[[int, float], Response]  # to the n-th request (from 0), made at a time
    plan: Plan = field(default_factory=Plan)
    takes: Callable[[int], float] = lambda _: 0.0  # seconds of the n-th request; it is cut off at its budget
    early: float = 0.0  # seconds that are missing from every sleep
    now: float = 0.0
    requests: list[tuple[float, float]] = field(default_factory=list)  # the time of each request, and its budget
    evaluate: Callable[[int, float], Response] = lambda _number, _at: DOWN  # the response about a policy at a time
    evaluated: list[tuple[float, int, float]] = field(default_factory=list)  # time, policy and budget
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


def test_a_policy_is_asked_for_once_if_the_moment_of_the_scan_is_unknown() -> None:
    world = World(lambda *_: NEW)
    assert statuses(world.wait(moment=None)) == [STALE]
    assert len(world.requests) == 1
    assert statuses(World(lambda *_: criteria()).wait(PassCriteria(), None)) == [STALE, FRESH]


def scan(
    at: float, status: str = "DONE", *, error_message: str = "", number: int = 41, age: float = 0.0
) -> ScanVerdict:
    """Return the verdict on a pending scan that was processed at that moment; a duplicate is accepted."""
    refusal = refusal_of(error_message)
    error, scan_id = error_message or None, number - 29
    reading = ScanReading(status, bool(refusal), error, scan_id, refusal=refusal, modified=at - age, sent=at + 1)
    history = replace(history_of(reading), target=Target(6, number), unfinished=at - 5)
    return judged(history, rules=Rules(accepted=frozenset(Accept)))


def uploaded(receipt: Receipt) -> Upload:
    """Return an upload with that result."""
    return Upload(ScanFile("a.fpr", 3, "a.fpr"), receipt)


TWICE = "Scan file has already been uploaded."
LISTED = ListedScans(((12, DONE_AT + 7), (13, DONE_AT - 300)), DONE_AT + 60)
NEWER = LISTED._replace(updated=((12, DONE_AT + 7), (13, DONE_AT + 9)))


@pytest.mark.parametrize(
    ("scans", "uploads", "listed", "moment"),
    [
        ([scan(DONE_AT)], [], None, DONE_AT), ([scan(DONE_AT)], [], LISTED, DONE_AT + 7),
        ([scan(DONE_AT)], [], NEWER, DONE_AT + 7), ([scan(DONE_AT, age=700)], [], None, DONE_AT + 1),
        ([scan(DONE_AT - 9), scan(DONE_AT, number=43)], [], None, DONE_AT),
        ([scan(DONE_AT)], [uploaded(Queued((Target(6, 41),), DONE_AT + 601))], None, DONE_AT + 1),
        ([scan(DONE_AT)], [uploaded(Finished(99, DONE_AT + 2))], None, DONE_AT + 2),
        ([], [uploaded(Finished(12, DONE_AT + 2))], LISTED, DONE_AT + 7),
        ([], [uploaded(Finished(12, DONE_AT + 2))], NEWER, DONE_AT + 7),
        ([], [uploaded(Finished(12, DONE_AT + 2))], LISTED._replace(updated=((12, DONE_AT - 700),)), DONE_AT + 2),
        ([scan(DONE_AT)], [uploaded(Finished(99, None))], None, None),
        ([scan(DONE_AT, error_message=TWICE)], [uploaded(Refused(TWICE))], LISTED, DONE_AT + 7),
        ([scan(DONE_AT, error_message=TWICE)], [uploaded(Refused(TWICE))], None, None),
        ([scan(DONE_AT, error_message=TWICE), scan(DONE_AT + 30, number=42)], [], LISTED, DONE_AT + 30),
        ([scan(DONE_AT, error_message=TWICE), scan(DONE_AT - 30, number=42)], [], LISTED, DONE_AT + 7),
    ],
)  # fmt: skip
def test_the_moment_is_that_of_the_newest_scan(
    scans: list[ScanVerdict], uploads: list[Upload], listed: ListedScans | None, moment: float | None
) -> None:
    accepted = any(part.conclusion.reason is Reason.ALREADY_IMPORTED for part in scans)
    assert moment_of(scans, uploads, listed, accepted=accepted) == moment


def test_several_policies_count_together() -> None:
    both = replace(OLD, results=NEW.results + OLD.results)
    reading = dated(both, DONE_AT)
    assert (reading.status, [result.behind for result in reading.results]) == (STALE, [0, 200])
    assert dated(replace(OLD, results=()), DONE_AT).status == FRESH


class Case(NamedTuple):
    """The responses to a check, and the history that results from them."""

    respond: Callable[[int, float], Response]
    phases: Sequence[str]
    check: Check = PCI
    settle: float = 120.0
    moment: float | None = DONE_AT
    world: Mapping[str, Any] = {}  # other attributes of the world
    starts: Mapping[int, float] = {}  # the times of some requests by their index
    polls: int | None = None  # None if it does not matter
    ended: StopCause = StopCause.DECIDED
    newest: Failure | None = None  # None if the newest response is good
    outages: int = 0


CRITERIA, BOTH = PassCriteria(), [STALE, FRESH]
CHANGING = [criteria(limit=1), criteria(limit=2), criteria(limit=1), criteria(holds=False), criteria(holds=False)]
CASES = {
    "fresh-immediately": Case(lambda _n, _at: NEW, [FRESH], starts={0: 0}, polls=1),
    "at-the-cadence": Case(lambda _n, at: NEW if at >= 30 else OLD, BOTH, starts={0: 0, 1: 2, 2: 4, 3: 6}),
    "stale-until-the-end": Case(lambda _n, _at: OLD, [STALE], starts={-1: 120}),
    "fresh-at-the-end": Case(lambda _n, at: NEW if at >= 120 else OLD, BOTH),
    **{
        f"unchecked-{name}": Case(lambda _n, _at, found=found: found, [UNCHECKED], settle=0, polls=1)  # type: ignore[misc]
        for name, found in {"old": OLD, "new": NEW, "undated": policy(None), "of-the-future": policy(1e12)}.items()
    },
    "unchecked-criteria": Case(lambda _n, _at: criteria(), [UNCHECKED], CRITERIA, settle=0, polls=1),
    # The pass criteria have no date.
    "criteria-agree": Case(lambda _n, _at: criteria(), BOTH, CRITERIA, starts={0: 0, 1: 15}, polls=2),
    "criteria-without-a-moment": Case(lambda _n, _at: criteria(), BOTH, CRITERIA, moment=None, polls=2),
    "criteria-change": Case(lambda n, _at: CHANGING[min(n, 4)], BOTH, CRITERIA, polls=5),
    "criteria-after-an-error": Case(lambda n, _at: DOWN if n == 1 else criteria(), BOTH, CRITERIA, polls=3, outages=1),
    "criteria-too-close": Case(lambda _n, _at: criteria(), [STALE], CRITERIA, settle=1, starts={0: 0, 1: 1}, polls=2),
    # Errors are not stale: they are outages, and the time to settle does not end during an outage.
    "errors-first": Case(lambda _n, at: DOWN if at < 200 else NEW, [FRESH], settle=10, outages=1),
    "errors-first-unchecked": Case(lambda _n, at: DOWN if at < 200 else NEW, [UNCHECKED], settle=0, outages=1),
    "errors-only": Case(
        lambda _n, _at: DOWN, [], starts={-1: 300}, ended=StopCause.LIMIT, newest=DOWN, outages=1
    ),
    "fresh-after-an-outage": Case(
        lambda _n, at: OLD if at < 100 else DOWN if at < 300 else NEW, BOTH, outages=1
    ),
    "stale-after-an-outage": Case(
        lambda _n, at: OLD if at < 100 else DOWN if at < 300 else OLD, [STALE], outages=1
    ),
    "an-outage-at-the-end": Case(lambda _n, at: OLD if at < 120 else DOWN if at < 130 else NEW, BOTH, outages=1),
    "an-outage-from-the-end": Case(
        lambda _n, at: OLD if at < 120 else DOWN, [STALE], starts={-1: 420}, ended=StopCause.LIMIT, newest=DOWN,
        outages=1,
    ),
    "hanging": Case(
        lambda _n, _at: OLD, [STALE], settle=10, world={"takes": lambda n: 99 if n else 0}, ended=StopCause.LIMIT,
        newest=LATE, outages=1,
    ),
    "a-final-error": Case(lambda n, _at: DENIED if n else OLD, [STALE], polls=2, newest=DENIED, outages=1),
    "waking-early": Case(lambda _n, _at: OLD, [STALE], world={"early": 1e-6}, ended=StopCause.DEADLINE),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_check_is_requested_until_its_response_counts(case: Case) -> None:
    """The limit is the time to settle; errors have the limit of an outage."""
    world = World(case.respond, Plan(settle_timeout=case.settle), **case.world)
    history = world.wait(case.check, case.moment)
    assert (statuses(history), history.ended, len(history.outages)) == (case.phases, case.ended, case.outages)
    assert {index: world.starts[index] for index in case.starts} == pytest.approx(case.starts)
    assert case.polls in {None, history.polls}
    assert history.newest == (case.newest or history.reading)
    assert all(event.limit == 300 for event in world.events if isinstance(event, OutageBegan))
    if history.reading and history.reading.status == STALE and case.check is CRITERIA:
        assert [result.behind for result in history.reading.results] == [None]


def test_alternating_errors_and_stale_responses_do_not_prolong_the_wait() -> None:
    world = World(lambda n, _at: OLD if n % 2 else DOWN)
    assert statuses(world.wait()) == [STALE]
    assert world.now <= 120 + 15


def test_the_end_of_the_time_to_settle_cuts_no_request_off() -> None:
    """Evaluating may be slow: a request has the time that is left, but at least its own limit."""
    world = World(lambda n, _at: NEW if n else OLD, Plan(settle_timeout=10), takes=lambda n: 25 if n else 9)
    history = world.wait()
    assert (statuses(history), history.errors) == ([STALE, FRESH], 0)
    assert world.requests == [(0, 30), (11, 30)]
    slow = World(lambda _n, _at: NEW, takes=lambda _: 119)
    assert (slow.wait().newest, slow.requests) == (dated(NEW, DONE_AT), [(0, 120)])


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
    for response in (DOWN, DENIED, LATE, policy(DONE_AT - 1, number=1), policy(None, number=1)):
        world = World(lambda _n, _at: several(DONE_AT - 200))
        world.evaluate = lambda _number, _at, response=response: response  # type: ignore[misc]
        history = world.wait(AllPolicies())
        assert (statuses(history), history.errors, len(world.evaluated)) == ([STALE], 0, 1)


def test_an_evaluation_is_remembered() -> None:
    world = World(lambda _n, at: several(DONE_AT - 200, DONE_AT if at >= 10 else DONE_AT - 1))
    world.evaluate = lambda number, _at: policy(DONE_AT, number=number) if number == 1 else DOWN
    history = world.wait(AllPolicies())
    assert (statuses(history), world.now, len(world.evaluated)) == ([STALE, FRESH], 10, 2)


def test_a_policy_without_an_id_a_moment_or_time_is_not_evaluated() -> None:
    """It stays stale. Without the scan's moment no evaluation would count, so none is made."""
    old = several(DONE_AT - 200)
    nameless = replace(old, results=(replace(old.results[0], policy_id=None),))
    for response, moment, seconds in ((old, None, 0.0), (nameless, DONE_AT, 0.0), (old, DONE_AT, 118.0)):
        world = World(lambda _n, _at, it=response: it, takes=lambda n, long=seconds: long if n == 1 else 0.0)  # type: ignore[misc]
        world.evaluate = lambda number, _at: policy(DONE_AT, number=number)
        assert (statuses(world.wait(AllPolicies(), moment)), world.evaluated) == ([STALE], [])

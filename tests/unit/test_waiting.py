"""Tests of the wait: when it polls, and when it stops. With a simulated clock."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gate.flow.signals import Signals
from gate.flow.waiting import NO_SLOT, REQUESTS_AT_ONCE, Deadline, Schedule, Wait, cadence, wait_all
from gate.model.advice import Doing, FailureKind
from gate.model.events import CutOff, Ended, OutageBegan, OutageEnded, Stalled, StatusSeen
from gate.model.history import NOT_POLLED, Failure, Observation, Outage, ScanHistory, ScanReading, StopCause
from gate.model.reasons import Reason
from gate.model.subjects import Plan, Target
from tests.simulation import TARGET, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.simulation import ScanEvent

QUEUED, MERGING, DONE = ScanReading("QUEUED"), ScanReading("CHANNEL_MERGING"), ScanReading("DONE", scan_id=12)
DOWN = Failure(Reason.UNREACHABLE, "HTTP 502.")
MISSING = Failure(Reason.NOT_FOUND, "HTTP 404.")
LOGIN = Failure(Reason.PROTOCOL, "HTTP 302.", FailureKind.REDIRECT_TO_LOGIN)
NO_PATH = Failure(Reason.NOT_FOUND, "unrecognized path.", FailureKind.UNRECOGNIZED_PATH)
NO_NAME = Failure(Reason.NOT_FOUND, "no such name.", FailureKind.NOT_FOUND, Doing.LOOKUP_BY_NAME)
DENIED = Failure(Reason.DENIED, "HTTP 401.", final=True)


def test_a_finished_scan_costs_one_request() -> None:
    world = World(lambda _n, _at: DONE)
    history = world.wait()
    assert (history.ended, history.polls, history.elapsed) == (StopCause.DECIDED, 1, 0)
    assert (world.starts, world.sleeps) == ([0.0], [])


@pytest.mark.parametrize(
    ("waited", "jitter", "seconds"),
    [
        (0, 0, 2), (20, 0, 2), (50, 0, 5), (149, 0, 14.9), (3600, 0, 15), (50, 1, 5.5), (50, -1, 4.5), (0, -1, 2),
        (3600, 1, 15),
    ],
)  # fmt: skip
def test_the_cadence_is_a_tenth_of_the_time_waited(waited: float, jitter: float, seconds: float) -> None:
    """The jitter stays within the bounds."""
    assert cadence(waited, Plan(), jitter) == pytest.approx(seconds)


def test_the_polls_follow_the_cadence() -> None:
    world = World(lambda _n, at: DONE if at > 60 else QUEUED)
    world.wait()
    gaps = [later - sooner for sooner, later in zip(world.starts, world.starts[1:], strict=False)]
    assert gaps == pytest.approx([cadence(start, Plan()) for start in world.starts[:-1]])


LATE = {"oversleeps": 1.5}
AT_THE_DEADLINE: dict[str, tuple[Any, ...]] = {
    "a-whole-request-timeout": (lambda _, at: DONE if at >= 10 else QUEUED, {}, {}, StopCause.DECIDED, 10),
    "its-response-is-the-last": (lambda _n, _at: QUEUED, {}, {}, StopCause.DEADLINE, 10),
    # So the wait ends no later than the timeout plus one request timeout.
    "after-a-request-cut-off": (lambda _n, _at: QUEUED, {}, {"takes": lambda _: 100.0}, StopCause.DEADLINE, 10),
    # The server could not respond in no time.
    "a-sleep-past-it": (lambda n, _: DONE if n else QUEUED, {"timeout": 3}, LATE, StopCause.DECIDED, 3.5),
    "and-then": (lambda _n, _at: QUEUED, {"timeout": 3}, LATE, StopCause.DEADLINE, 3.5),
    "asked-once": (lambda _n, _at: QUEUED, {"timeout": 0}, {}, StopCause.DEADLINE, 0),
}


@pytest.mark.parametrize(("respond", "plan", "world", "ended", "at"), AT_THE_DEADLINE.values(), ids=AT_THE_DEADLINE)
def test_the_last_poll_starts_at_the_deadline_with_a_whole_request_timeout(
    *,
    respond: Callable[[int, float], Observation],
    plan: dict[str, float],
    world: dict[str, Any],
    ended: StopCause,
    at: float,
) -> None:
    simulated = World(respond, Plan(**{"timeout": 10, **plan}), **world)
    assert (simulated.wait().ended, simulated.polls[-1]) == (ended, (at, 30))


def test_errors_before_the_first_good_response_are_tolerated_until_their_limit() -> None:
    """Then there is one more poll, and the newest response counts. The first request may have hung."""
    world = World(lambda _n, at: DOWN if at < 80 else MISSING, takes=lambda number: 20.0 if number == 0 else 0.0)
    history = world.wait()
    assert (history.ended, history.newest, history.elapsed) == (StopCause.LIMIT, MISSING, 80)
    assert world.starts[-1] == 80


def test_an_outage_after_a_good_response_has_the_longer_limit() -> None:
    """A good response ends an outage, and the next outage has the whole limit."""
    world = World(lambda _n, at: QUEUED if at < 10 or 100 < at < 110 else DOWN)
    history = world.wait()
    assert history.ended is StopCause.LIMIT
    first, second = history.outages
    assert first.ended is not None
    assert second.ended is None
    assert history.elapsed == pytest.approx(second.began + 300)


def test_a_good_response_at_the_limit_ends_the_outage_and_not_the_wait() -> None:
    world = World(lambda _n, at: DOWN if at < 60 else (DONE if at > 70 else QUEUED))
    assert world.wait().ended is StopCause.DECIDED


def test_a_limit_after_the_deadline_does_not_prolong_the_wait() -> None:
    world = World(lambda _n, _at: DOWN, Plan(timeout=30))
    history = world.wait()
    assert (history.ended, history.elapsed) == (StopCause.DEADLINE, 30)
    assert world.events[0] == OutageBegan(TARGET, 0, DOWN, 30)


@pytest.mark.parametrize(("at_deadline", "reading"), [(StopCause.DECIDED, DONE), (StopCause.DEADLINE, QUEUED)])
def test_one_poll_serves_a_limit_at_the_deadline(at_deadline: StopCause, reading: ScanReading) -> None:
    world = World(lambda _n, at: DOWN if at < 60 else reading, Plan(timeout=60))
    assert world.wait().ended is at_deadline
    assert world.starts[-1] == 60
    assert world.starts.count(60) == 1


LASTING = {
    "the-name-does-not-exist": ([(0, NO_NAME)], {}, 8),
    "kinds-may-change": ([(0, LOGIN), (3, NO_PATH), (5, NO_NAME)], {}, 8),
    "by-threadfix-itself-with-404": ([(0, replace(NO_NAME, kind=FailureKind.NO_ENDPOINT, refused=True))], {}, 8),
    "another-404-page": ([(0, replace(NO_NAME, kind=FailureKind.NO_ENDPOINT))], {}, 60),
    "a-pending-scan-of-another-node": ([(0, replace(NO_NAME, doing=Doing.STATUS, refused=True))], {}, 60),
    "any-other-error-starts-it-again": ([(0, LOGIN), (5, DOWN), (7, LOGIN)], {}, 16),
    "another-error-at-its-end": ([(0, LOGIN), (8, DOWN)], {}, 60),
    "after-other-errors": ([(0, DOWN), (55, LOGIN)], {}, 60),
    "the-limit-is-shorter": ([(0, LOGIN)], {"first_contact_limit": 3}, 3),
    "the-deadline-is-earlier": ([(0, LOGIN)], {"timeout": 5}, 5),
    "retry-after-is-longer": ([(0, replace(LOGIN, retry_after=100)), (1, DOWN)], {}, 60),
}


@pytest.mark.parametrize(("errors", "plan", "ends"), LASTING.values(), ids=LASTING)
def test_an_error_that_seldom_passes_by_itself_is_final_after_eight_seconds(
    errors: list[tuple[float, Failure]], plan: dict[str, float], ends: float
) -> None:
    world = World(lambda _n, at: [error for since, error in errors if at >= since][-1], Plan(**plan))
    assert world.wait().elapsed == pytest.approx(ends)


def test_no_error_is_final_early_after_an_upload_or_a_status() -> None:
    """Also if another wait received the status: the redirects may be a failover. The log has the limit."""
    world = World(lambda _n, at: QUEUED if at < 2 else LOGIN, Plan(outage_limit=30))
    assert world.wait().elapsed == 32
    for progress, limit in ((True, 60), (False, 8)):
        world = World(lambda _n, _at: NO_PATH)
        if progress:
            world.progress.set()
        assert world.wait().elapsed == limit
        assert world.events[0] == OutageBegan(TARGET, 0, NO_PATH, limit)


def test_a_final_error_ends_the_wait_immediately() -> None:
    world = World(lambda number, _at: DENIED if number else QUEUED)
    history = world.wait()
    assert (history.ended, history.newest, history.polls, history.errors) == (StopCause.DECIDED, DENIED, 2, 1)


@pytest.mark.parametrize(
    ("retry_after", "plan", "until"),
    [(40, Plan(), 40), (1e9, Plan(), 60), (1e9, Plan(timeout=20), 20), (0, Plan(), 2), (None, Plan(), 2)],
)
def test_retry_after_is_honoured_beyond_the_longest_interval(
    retry_after: float | None, plan: Plan, until: float
) -> None:
    """Up to the limit or the deadline, after any error; jitter does not undercut it."""
    for failure in (DOWN, MISSING):
        patient = replace(failure, retry_after=retry_after)
        world = World.playing([(patient, 0.0), (DONE, 0.0)], plan=plan, jitter=-1)
        world.wait()
        assert world.starts == [0, until]


def test_a_stopped_sleep_ends_the_wait_without_another_poll() -> None:
    world = World(lambda _n, _at: QUEUED, stop_at=10)
    history = world.wait()
    assert (history.ended, history.polls) == (StopCause.CANCELLED, len(world.sleeps))


def test_the_history_has_each_phase_with_its_polls_and_errors() -> None:
    unfinished, done = replace(QUEUED, sent=7.0), replace(DONE, sent=9.0)
    script: list[Observation] = [QUEUED, unfinished, DOWN, MERGING, DOWN, MERGING, done]
    history = World(lambda number, _at: script[number], now=64.0).wait()
    assert [(p.status, p.first_seen, p.last_seen, p.polls, p.errors) for p in history.phases] == [
        ("QUEUED", 0, 2, 2, 1),
        ("CHANNEL_MERGING", 6, 10, 2, 1),
        ("DONE", 12, 12, 1, 0),
    ]
    assert [history.lasted(index) for index in range(3)] == [6, 6, 0]
    assert (history.polls, history.errors) == (7, 2)
    assert (history.reading, history.newest, history.unfinished) == (done, done, 7.0)


def test_each_event_is_reported_once() -> None:
    """A new status, the start and the end of an outage, the end of the wait; no event per poll."""
    script: list[Observation] = [DOWN, DOWN, QUEUED, QUEUED, DOWN, MERGING, DONE]
    world = World(lambda number, _at: script[number])
    history = world.wait()
    assert world.events == [
        OutageBegan(TARGET, 0, DOWN, 60),
        OutageEnded(TARGET, 4, history.outages[0]),
        StatusSeen(TARGET, 4, QUEUED),
        OutageBegan(TARGET, 8, DOWN, 300),
        OutageEnded(TARGET, 10, history.outages[1]),
        StatusSeen(TARGET, 10, MERGING, "QUEUED", 6),
        StatusSeen(TARGET, 12, DONE, "CHANNEL_MERGING", 2),
        Ended(history),
    ]
    assert history.outages == (Outage(0, DOWN, 2, 4), Outage(8, DOWN, 1, 10))


def test_a_stall_is_reported_once_for_each_status() -> None:
    world = World(lambda _n, at: QUEUED if at < 700 else (MERGING if at < 1400 else DONE), Plan(max_interval=5))
    world.wait()
    stalls = [event for event in world.events if isinstance(event, Stalled)]
    seen = [(stall.target, stall.status, stall.at // 100) for stall in stalls]
    assert seen == [(TARGET, "QUEUED", 6), (TARGET, "CHANNEL_MERGING", 13)]
    assert all(600 <= stall.unchanged < 606 for stall in stalls)


def test_a_snapshot_is_the_history_so_far() -> None:
    """A snapshot of a finished wait is its final history."""
    world = World(lambda _n, _at: DONE)
    wait = Wait(TARGET, observe=world.observe, settled=lambda _: True, schedule=world.schedule)
    before = wait.snapshot(StopCause.LIMIT)
    assert (before.ended, before.newest, before.polls, before.elapsed) == (StopCause.LIMIT, NOT_POLLED, 0, 0.0)
    assert wait.run(world.events.append) == wait.snapshot(StopCause.LIMIT)
    assert wait.snapshot(StopCause.CANCELLED).ended is StopCause.DECIDED


# --- Several waits side by side, in real threads.


def together(
    scripts: dict[int, Callable[[], Observation]],
    notify: Callable[[ScanEvent], None] = lambda _: None,
    tick: Callable[[Sequence[ScanHistory]], None] = lambda _: None,
    signals: Signals | None = None,
) -> tuple[ScanHistory, ...]:
    """Wait for several scans with responses from `scripts`, by pending scan id."""
    stop = threading.Event()
    schedule = Schedule(Plan(), Deadline.after(60, lambda: 0.0), stop.wait, lambda: 0.0)
    waits = [
        Wait(
            Target(6, number),
            observe=lambda _, script=script: script(),  # type: ignore[misc]
            settled=lambda reading: reading.status == "DONE",
            schedule=schedule,
        )
        for number, script in scripts.items()
    ]
    return wait_all(waits, stop=stop, signals=signals or Signals(), notify=notify, tick=tick)


def test_histories_are_in_the_order_of_the_waits() -> None:
    first = threading.Event()
    histories = together({1: lambda: DONE if first.wait(5) else DOWN, 2: lambda: DONE}, lambda _: first.set())
    assert [history.target.pending_scan_id for history in histories] == [1, 2]
    assert all(history.ended is StopCause.DECIDED for history in histories)


def test_a_signal_stops_all_waits() -> None:
    """The histories contain everything received before the signal."""
    signals = Signals()
    (history,) = together({1: lambda: QUEUED}, notify=lambda _: signals.stop(15), signals=signals)
    assert (history.ended, history.reading) == (StopCause.CANCELLED, QUEUED)


def test_a_bug_in_a_thread_is_raised_in_the_calling_thread() -> None:
    with pytest.raises(ZeroDivisionError):
        together({1: lambda: 1 // 0, 2: lambda: QUEUED})  # type: ignore[dict-item,return-value]


def test_the_calling_thread_ticks_while_no_event_comes() -> None:
    """The ticks move the live line and drive the heartbeat."""
    ticked = threading.Event()
    running: list[StopCause | None] = []

    def tick(histories: Sequence[ScanHistory]) -> None:
        running.extend(history.ended for history in histories)
        ticked.set()

    (history,) = together({1: lambda: DONE if ticked.wait(5) else DOWN}, tick=tick)
    assert (history.ended, set(running)) == (StopCause.DECIDED, {None})


# --- Slots: the limit of concurrent requests.


def test_there_are_no_more_concurrent_requests_than_slots() -> None:
    """The other requests wait for a slot, and all are made in the end."""
    lock, under_way, most = threading.Lock(), [0], [0]

    def poll() -> Observation:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.01)
        with lock:
            under_way[0] -= 1
        return DONE

    histories = together(dict.fromkeys(range(1, 101), poll))
    assert all(history.ended is StopCause.DECIDED for history in histories)
    assert 1 < most[0] <= REQUESTS_AT_ONCE == 32


def test_a_last_poll_without_a_slot_ends_in_time() -> None:
    """It waits for a slot as long as a request may take, and then reports that no request was made."""
    taken = threading.Semaphore(0)
    world = World(lambda _n, _at: DONE, Plan(timeout=0, request_timeout=0.05), slots=taken)
    history = world.wait()
    assert world.polls == []
    assert (history.ended, history.newest) == (StopCause.DEADLINE, NO_SLOT)


class Slots:
    """Slots of which each is free after at most `seconds`; `limits` has the time limit of each request for a slot."""

    def __init__(self, world: World, seconds: float) -> None:
        self._world, self._seconds = world, seconds
        self.limits: list[float] = []
        self.taken = 0

    def acquire(self, *, timeout: float) -> bool:
        self.limits.append(timeout)
        self.taken += 1
        self._world.now += min(timeout, self._seconds)
        return True

    def release(self) -> None:
        self.taken -= 1


@pytest.mark.parametrize(
    ("response", "plan", "seconds", "ended", "polls"),
    [
        # Waiting and request together take at most one request timeout.
        (DONE, Plan(timeout=0, request_timeout=30), 20, StopCause.DECIDED, [(20.0, 10.0)]),
        # A slot that is free only at the deadline serves the last poll, with a whole request timeout.
        (QUEUED, Plan(timeout=60, request_timeout=30), math.inf, StopCause.DEADLINE, [(60.0, 30.0)]),
    ],
)
def test_waiting_for_a_slot_takes_from_the_time_of_the_last_request_only(
    response: ScanReading, plan: Plan, seconds: float, ended: StopCause, polls: list[tuple[float, float]]
) -> None:
    world = World(lambda _n, _at: response, plan)
    world.slots = slots = Slots(world, seconds)  # type: ignore[assignment]
    assert (world.wait().ended, world.polls, slots.taken) == (ended, polls, 0)


def test_a_request_cut_off_by_the_deadline_is_no_error() -> None:
    """It is reported as cut off, and the last poll follows immediately."""
    world = World(
        lambda n, _at: DONE if n else QUEUED, Plan(timeout=10, request_timeout=30), takes=lambda n: 25 - 24 * n
    )
    history = world.wait()
    assert (history.ended, history.polls, history.errors, history.outages) == (StopCause.DECIDED, 2, 0, ())
    assert [type(event) for event in world.events] == [CutOff, StatusSeen, Ended]
    assert world.polls == [(0.0, 10.0), (10.0, 30.0)]

    # A request that used its whole timeout is an error, even if the deadline is at the same moment.
    world = World(lambda _n, _at: DONE, Plan(timeout=10, request_timeout=10), takes=lambda n: 25 - 24 * n)
    assert world.wait().errors == 1

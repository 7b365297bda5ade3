"""When the gate asks, and when it stops. The clock is the test's own: nothing here sleeps."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gate.flow.signals import Signals
from gate.flow.waiting import NO_SLOT, REQUESTS_AT_ONCE, Deadline, Schedule, Wait, cadence, wait_all
from gate.model.events import CutOff, Ended, OutageBegan, OutageEnded, ScanEvent, Stalled, StatusSeen
from gate.model.history import UNASKED, Failure, Observation, ScanHistory, ScanReading, StopCause
from gate.model.reasons import Reason
from gate.model.subjects import Target
from gate.options.settings import Plan
from tests.simulation import TARGET, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUEUED, MERGING, DONE = ScanReading("QUEUED"), ScanReading("CHANNEL_MERGING"), ScanReading("DONE", scan_id=12)
DOWN = Failure(Reason.UNREACHABLE, "HTTP 502.")
MISSING = Failure(Reason.NOT_FOUND, "HTTP 404.")
DENIED = Failure(Reason.DENIED, "HTTP 401.", final=True)


def test_a_finished_scan_costs_one_request() -> None:
    """The first poll is at once, and its answer ends the wait."""
    world = World(lambda _n, _at: DONE)
    history = world.wait()
    assert (history.ended, history.polls, history.elapsed) == (StopCause.DECIDED, 1, 0)
    assert (world.starts, world.sleeps) == ([0.0], [])


@pytest.mark.parametrize(("waited", "seconds"), [(0, 2), (10, 2), (20, 2), (50, 5), (149, 14.9), (150, 15), (3600, 15)])
def test_the_cadence_is_a_tenth_of_the_time_waited(waited: float, seconds: float) -> None:
    """Within the bounds of the interval."""
    assert cadence(waited, Plan()) == pytest.approx(seconds)


def test_the_jitter_stays_within_the_bounds() -> None:
    """It is ten per cent to either side, but an interval is a promise."""
    assert cadence(50, Plan(), 1) == pytest.approx(5.5)
    assert cadence(50, Plan(), -1) == pytest.approx(4.5)
    assert cadence(0, Plan(), -1) == 2
    assert cadence(3600, Plan(), 1) == 15


def test_the_polls_follow_the_cadence() -> None:
    """Each waits a tenth of what has been waited, and never less than the interval."""
    world = World(lambda _n, at: DONE if at > 60 else QUEUED)
    world.wait()
    gaps = [later - sooner for sooner, later in zip(world.starts, world.starts[1:], strict=False)]
    assert gaps == pytest.approx([cadence(start, Plan()) for start in world.starts[:-1]])


def test_the_last_poll_starts_at_the_deadline_with_a_budget_of_its_own() -> None:
    """Its answer is judged before anybody says timeout."""
    world = World(lambda _n, at: DONE if at >= 10 else QUEUED, Plan(timeout=10))
    history = world.wait()
    assert history.ended is StopCause.DECIDED
    assert world.polls[-1] == (10.0, 30.0)


def test_at_the_deadline_the_wait_is_over() -> None:
    """After that one poll there is none."""
    world = World(lambda _n, _at: QUEUED, Plan(timeout=10))
    history = world.wait()
    assert (history.ended, history.elapsed) == (StopCause.DEADLINE, 10)
    assert world.starts[-1] == 10


def test_a_request_under_way_at_the_deadline_is_cut_off_there() -> None:
    """So the wait ends at the latest at the timeout plus one request timeout."""
    world = World(lambda _n, _at: QUEUED, Plan(timeout=10), takes=lambda _: 100.0)
    history = world.wait()
    assert world.polls == [(0.0, 10.0), (10.0, 30.0)]
    assert (history.ended, history.elapsed) == (StopCause.DEADLINE, 40)


@pytest.mark.parametrize("last", [DONE, QUEUED])
def test_a_sleep_that_wakes_past_the_deadline_is_followed_by_the_last_poll(last: ScanReading) -> None:
    """With a budget of its own: one of nothing could not be answered."""
    world = World(lambda number, _at: last if number else QUEUED, Plan(timeout=3), oversleeps=1.5)
    assert world.wait().ended is (StopCause.DECIDED if last is DONE else StopCause.DEADLINE)
    assert world.polls == [(0.0, 3.0), (3.5, 30.0)]


def test_a_timeout_of_zero_asks_once() -> None:
    """With a whole request's time."""
    world = World(lambda _n, _at: QUEUED, Plan(timeout=0))
    assert world.wait().ended is StopCause.DEADLINE
    assert world.polls == [(0.0, 30.0)]


def test_trouble_before_the_first_good_answer_is_put_up_with_until_its_limit() -> None:
    """Then there is one more poll, and the newest answer is what counts."""
    world = World(lambda _n, at: DOWN if at < 60 else MISSING)
    history = world.wait()
    assert (history.ended, history.newest, history.elapsed) == (StopCause.LIMIT, MISSING, 60)
    assert world.starts[-1] == 60


def test_the_limit_counts_from_the_first_bad_answer() -> None:
    """Not from the start of the wait: the first request may have hung for a while."""
    world = World(lambda _n, _at: DOWN, takes=lambda number: 20.0 if number == 0 else 0.0)
    assert world.wait().elapsed == 80


def test_after_a_good_answer_trouble_has_the_longer_limit() -> None:
    """Each stretch its own; a good answer ends it."""
    world = World(lambda _n, at: QUEUED if at < 10 or 100 < at < 110 else DOWN)
    history = world.wait()
    assert history.ended is StopCause.LIMIT
    first, second = history.outages
    assert first.ended is not None
    assert second.ended is None
    assert history.elapsed == pytest.approx(second.began + 300)


def test_a_good_answer_to_the_last_poll_of_a_limit_goes_on() -> None:
    """The limit ends trouble, not the wait."""
    world = World(lambda _n, at: DOWN if at < 60 else (DONE if at > 70 else QUEUED))
    assert world.wait().ended is StopCause.DECIDED


def test_the_deadline_comes_before_a_limit_that_lies_behind_it() -> None:
    """A wait never outlasts its timeout for the sake of trouble."""
    world = World(lambda _n, _at: DOWN, Plan(timeout=30))
    history = world.wait()
    assert (history.ended, history.elapsed) == (StopCause.DEADLINE, 30)
    assert world.events[0] == OutageBegan(TARGET, 0, DOWN, 30, first_contact=True)


@pytest.mark.parametrize(("at_deadline", "answer"), [(StopCause.DECIDED, DONE), (StopCause.DEADLINE, QUEUED)])
def test_a_limit_at_the_deadline_is_both(at_deadline: StopCause, answer: ScanReading) -> None:
    """One poll serves both."""
    world = World(lambda _n, at: DOWN if at < 60 else answer, Plan(timeout=60))
    assert world.wait().ended is at_deadline
    assert world.starts[-1] == 60
    assert world.starts.count(60) == 1


def test_final_trouble_ends_the_wait_at_once() -> None:
    """Asking again cannot help."""
    world = World(lambda number, _at: DENIED if number else QUEUED)
    history = world.wait()
    assert (history.ended, history.newest, history.polls, history.errors) == (StopCause.DECIDED, DENIED, 2, 1)


@pytest.mark.parametrize("failure", [DOWN, MISSING])
def test_retry_after_is_honoured_beyond_the_longest_interval(failure: Failure) -> None:
    """On any trouble, and jitter does not undercut it."""
    patient = Failure(failure.reason, failure.what, retry_after=40)
    world = World(lambda number, _at: DONE if number else patient, jitter=-1)
    world.wait()
    assert world.starts == [0, 40]


@pytest.mark.parametrize(("plan", "until"), [(Plan(), 60), (Plan(timeout=20), 20)])
def test_retry_after_is_clipped_to_limit_and_deadline(plan: Plan, until: float) -> None:
    """A server cannot make the gate sleep through its own limits."""
    world = World(lambda _n, _at: Failure(Reason.UNREACHABLE, "busy", retry_after=1e9), plan)
    world.wait()
    assert world.starts == [0, until]


def test_an_error_without_a_retry_after_changes_no_pause() -> None:
    """After an error the gate asks again when it would have asked after a status, even if that is at once."""
    plan = Plan(timeout=3, interval=0.01, max_interval=15)
    worlds = [World(lambda _n, _at: DOWN, plan), World(lambda _n, _at: QUEUED, plan)]
    for world in worlds:
        world.wait()
    after_errors, after_statuses = (world.sleeps for world in worlds)
    assert after_errors == after_statuses
    assert after_errors[0] == 0.01


def test_a_short_retry_after_does_not_speed_the_polls_up() -> None:
    """It is a lower bound."""
    world = World(lambda number, _at: DONE if number else Failure(Reason.UNREACHABLE, "busy", retry_after=0))
    world.wait()
    assert world.starts == [0, 2]


def test_a_sleep_that_is_told_to_stop_ends_the_wait() -> None:
    """Without another poll."""
    world = World(lambda _n, _at: QUEUED, stop_at=10)
    history = world.wait()
    assert history.ended is StopCause.CANCELLED
    assert history.polls == len(world.sleeps)


def test_the_history_has_each_phase_with_its_polls_and_errors() -> None:
    """When it was first seen, how long it lasted, and what went wrong in it."""
    script: list[Observation] = [QUEUED, QUEUED, DOWN, MERGING, MERGING, DONE]
    history = World(lambda number, _at: script[number]).wait()
    assert [(p.status, p.first_seen, p.last_seen, p.polls, p.errors) for p in history.phases] == [
        ("QUEUED", 0, 2, 2, 1),
        ("CHANNEL_MERGING", 6, 8, 2, 0),
        ("DONE", 10, 10, 1, 0),
    ]
    assert [history.lasted(index) for index in range(3)] == [6, 4, 0]
    assert (history.polls, history.errors) == (6, 1)
    assert (history.reading, history.newest) == (DONE, DONE)


def test_events_are_said_once_each() -> None:
    """A change of status, the start and the end of trouble, the end of the wait; nothing per poll."""
    script: list[Observation] = [DOWN, DOWN, QUEUED, QUEUED, DOWN, DOWN, MERGING, DONE]
    world = World(lambda number, _at: script[number])
    history = world.wait()
    kinds = [type(event) for event in world.events]
    assert kinds == [
        OutageBegan, OutageEnded, StatusSeen, OutageBegan, OutageEnded, StatusSeen, StatusSeen, Ended
    ]  # fmt: skip
    first, _, seen, again, ended, changed, _, _ = world.events
    assert first == OutageBegan(TARGET, 0, DOWN, 60, first_contact=True)
    assert seen == StatusSeen(TARGET, 4, QUEUED)
    assert isinstance(again, OutageBegan)
    assert again.limit == 300
    assert isinstance(ended, OutageEnded)
    assert (ended.outage.polls, ended.outage.began, ended.at) == (2, 8, 12)
    assert changed == StatusSeen(TARGET, 12, MERGING, "QUEUED", 8)
    assert world.events[-1] == Ended(history)


def test_a_stall_is_told_once_for_each_status() -> None:
    """And again only when another status stalls."""
    world = World(lambda _n, at: QUEUED if at < 700 else (MERGING if at < 1400 else DONE), Plan(max_interval=5))
    world.wait()
    stalls = [event for event in world.events if isinstance(event, Stalled)]
    assert [stall.status for stall in stalls] == ["QUEUED", "CHANNEL_MERGING"]
    assert all(600 <= stall.unchanged < 606 for stall in stalls)


def test_a_snapshot_tells_what_is_known_so_far() -> None:
    """For a wait that is cut short; one that is over tells its end."""
    world = World(lambda _n, _at: DONE)
    wait = Wait(TARGET, observe=world.observe, settled=lambda _: True, schedule=world.schedule)
    before = wait.snapshot(StopCause.LIMIT)
    assert (before.ended, before.newest, before.polls) == (StopCause.LIMIT, UNASKED, 0)
    assert wait.run(world.events.append) == wait.snapshot(StopCause.LIMIT)
    assert wait.snapshot(StopCause.CANCELLED).ended is StopCause.DECIDED


# --- Several waits side by side, in real threads.


def together(
    scripts: dict[int, Callable[[], Observation]],
    notify: Callable[[ScanEvent], None] = lambda _: None,
    tick: Callable[[Sequence[ScanHistory]], None] = lambda _: None,
    signals: Signals | None = None,
) -> tuple[ScanHistory, ...]:
    """Wait for several scans whose answers come from `scripts`, by pending scan id."""
    stop = threading.Event()
    schedule = Schedule(Plan(), Deadline.after(60, lambda: 0.0), stop.wait, lambda: 0.0)
    waits = [
        Wait(
            Target(6, number),
            observe=lambda _, script=script: script(),  # type: ignore[misc]
            settled=lambda answer: answer.status == "DONE",
            schedule=schedule,
        )
        for number, script in scripts.items()
    ]
    return wait_all(waits, stop=stop, signals=signals or Signals(), notify=notify, tick=tick)


def test_histories_come_in_the_order_asked() -> None:
    """Whichever is finished first."""
    first = threading.Event()

    def later() -> Observation:
        first.wait(5)
        return DONE

    def sooner() -> Observation:
        first.set()
        return DONE

    histories = together({1: later, 2: sooner})
    assert [history.target.pending_scan_id for history in histories] == [1, 2]
    assert all(history.ended is StopCause.DECIDED for history in histories)


def test_a_signal_stops_all() -> None:
    """The histories have what was received until then."""
    signals = Signals()

    def notify(_: ScanEvent) -> None:
        signals.stop(15)

    (history,) = together({1: lambda: QUEUED}, notify=notify, signals=signals)
    assert (history.ended, history.reading) == (StopCause.CANCELLED, QUEUED)


def test_a_bug_in_a_thread_is_raised_in_the_calling_one() -> None:
    """It must not look like a wait that goes on."""

    def broken() -> Observation:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        together({1: broken, 2: lambda: QUEUED})


def test_the_calling_thread_ticks_while_nothing_happens() -> None:
    """That is what moves the live line, and what the heartbeat hangs on."""
    ticked = threading.Event()
    running: list[StopCause | None] = []

    def tick(histories: Sequence[ScanHistory]) -> None:
        running.extend(history.ended for history in histories)
        ticked.set()

    def slow() -> Observation:
        ticked.wait(5)
        return DONE

    histories = together({1: slow}, tick=tick)
    assert ticked.is_set()
    assert set(running) == {None}
    assert histories[0].ended is StopCause.DECIDED


# --- Slots: how many requests may be under way at once.


def test_no_more_requests_than_slots_are_under_way() -> None:
    """Those that find none wait for one, and all are asked in the end."""
    lock, under_way, most = threading.Lock(), [0], [0]

    def asked() -> Observation:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.01)
        with lock:
            under_way[0] -= 1
        return DONE

    histories = together(dict.fromkeys(range(1, 101), asked))
    assert all(history.ended is StopCause.DECIDED for history in histories)
    assert 1 < most[0] <= REQUESTS_AT_ONCE == 32


def test_a_last_poll_that_finds_no_slot_ends_in_time() -> None:
    """It waits for one as long as its request may take, and says then that it was not asked."""
    taken = threading.Semaphore(0)
    world = World(lambda _n, _at: DONE, Plan(timeout=0, request_timeout=0.05), slots=taken)
    history = world.wait()
    assert world.polls == []
    assert (history.ended, history.newest) == (StopCause.DEADLINE, NO_SLOT)


def test_the_time_for_the_last_request_is_what_waiting_for_a_slot_has_left() -> None:
    """Both together take no longer than one request may."""
    slots = threading.Semaphore(0)
    world = World(lambda _n, _at: DONE, Plan(timeout=0, request_timeout=30), slots=slots)

    class Late:
        def acquire(self, *, timeout: float) -> bool:
            world.now += min(timeout, 20)
            return True

        def release(self) -> None:
            slots.release()

    world.slots = Late()  # type: ignore[assignment]
    assert world.wait().ended is StopCause.DECIDED
    assert [budget for _, budget in world.polls] == [10]
    assert slots.acquire(blocking=False), "the slot was not given back"


def test_a_slot_is_waited_for_until_the_deadline() -> None:
    """What is free only then is used for the last poll, which has the time of a whole request."""
    world = World(lambda _n, _at: QUEUED, Plan(timeout=60, request_timeout=30))

    class FreeAtTheDeadline:
        def acquire(self, *, timeout: float) -> bool:
            world.now += timeout
            return True

        def release(self) -> None:
            pass

    world.slots = FreeAtTheDeadline()  # type: ignore[assignment]
    assert world.wait().ended is StopCause.DEADLINE
    assert world.polls == [(60.0, 30.0)]


class Unset:
    """A deadline that is not known yet: it is `at` seconds from the start once a status was seen, else never."""

    def __init__(self, world: World, at: float) -> None:
        self.clock: Callable[[], float] = lambda: world.now
        self._world = world
        self._at = at

    @property
    def at(self) -> float:
        newest = self._world.heard[-1][2] if self._world.heard else DOWN
        return math.inf if isinstance(newest, Failure) else self._at

    def remaining(self) -> float:
        return max(0.0, self.at - self._world.now)


def with_unset_deadline(world: World, at: float) -> ScanHistory:
    """Wait until such a deadline."""
    schedule = replace(world.schedule, deadline=Unset(world, at))
    return Wait(TARGET, observe=world.observe, settled=world.settled, schedule=schedule).run(world.events.append)


def test_a_deadline_may_be_infinite_at_first() -> None:
    """Then a slot is waited for as long as a machine can wait, and errors end by their own limit."""
    world = World(lambda _n, _at: DOWN)
    limits = []

    class Free:
        def acquire(self, *, timeout: float) -> bool:
            limits.append(timeout)
            return True

        def release(self) -> None:
            pass

    world.slots = Free()  # type: ignore[assignment]
    history = with_unset_deadline(world, 100)
    assert (history.ended, world.starts[-1], set(limits)) == (StopCause.LIMIT, 60, {threading.TIMEOUT_MAX})


def test_a_deadline_that_an_error_puts_off_ends_nothing() -> None:
    """It is the last poll again only once it is known again."""
    world = World(lambda _n, at: DOWN if 100 <= at < 130 else QUEUED)
    history = with_unset_deadline(world, 100)
    assert (history.ended, history.newest) == (StopCause.DEADLINE, QUEUED)
    assert [outage.began for outage in history.outages] == [100]
    assert world.now > 130


def test_a_request_that_the_deadline_cuts_off_is_no_error() -> None:
    """It is told as what it is, and the last poll follows at once."""
    world = World(
        lambda n, _at: DONE if n else QUEUED, Plan(timeout=10, request_timeout=30), takes=lambda n: 25 - 24 * n
    )
    history = world.wait()
    assert (history.ended, history.polls, history.errors, history.outages) == (StopCause.DECIDED, 2, 0, ())
    assert [type(event) for event in world.events] == [CutOff, StatusSeen, Ended]
    assert world.polls == [(0.0, 10.0), (10.0, 30.0)]


def test_a_request_that_had_its_own_time_is_an_error() -> None:
    """Also where the deadline comes in the same moment."""
    world = World(lambda _n, _at: DONE, Plan(timeout=10, request_timeout=10), takes=lambda n: 25 - 24 * n)
    assert world.wait().errors == 1

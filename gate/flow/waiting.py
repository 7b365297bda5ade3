"""The wait: its deadline, cadence and loop.

This module knows no ThreadFix and does no I/O: it polls through a function, and clock, sleep and jitter are arguments.
`wait_all` runs each `Wait` in its own thread; the calling thread receives their events.
"""

from __future__ import annotations

import math
import queue
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Generic, Protocol

from gate.model.advice import FailureKind
from gate.model.events import Broken, CutOff, Ended, OutageBegan, OutageEnded, Stalled, StatusSeen
from gate.model.history import Failure, History, Outage, Phase, R, StopCause, T
from gate.model.reasons import Reason
from gate.net import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from gate.flow.signals import Signals
    from gate.model.events import Event
    from gate.model.subjects import Plan

LATENESS = 0.1  # the pause before the next poll, as a fraction of the time waited so far
JITTER = 0.1  # the maximum deviation from that pause, as a fraction, so that many gates do not poll in step
REQUESTS_AT_ONCE = 32  # of one gate; each needs a file descriptor or two, and some systems allow only 256
STALLED_AFTER = 600.0  # seconds without a change of the status after which it is reported, once
LASTING_LIMIT = 8.0  # seconds to the end for errors that seldom pass by themselves, before any upload and status
SHORTEST = 0.001  # seconds for a request whose time was over before it began
NO_SLOT = Failure(
    Reason.UNREACHABLE,
    f"this scan could not be asked for: {REQUESTS_AT_ONCE} other requests were under way all the time.",
    FailureKind.NO_SLOT,
)


class TimeLimit(Protocol):
    """The end of a wait: a fixed moment, or a moment that depends on the responses."""

    @property
    def at(self) -> float:
        """The moment on the clock; infinite while only an error can end the wait."""

    @property
    def clock(self) -> Callable[[], float]:
        """A monotonic clock, in seconds."""

    def remaining(self) -> float:
        """Return the seconds left, never negative."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock."""

    at: float
    clock: Callable[[], float]

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float]) -> Deadline:
        """Return the deadline in `seconds` from now."""
        return cls(clock() + seconds, clock)

    def remaining(self) -> float:
        """Return the seconds left, never negative."""
        return max(0.0, self.at - self.clock())


def cadence(waited: float, plan: Plan, jitter: float = 0.0) -> float:
    """Return the seconds to the next poll after `waited` seconds: a tenth of them, within the plan's bounds.

    `jitter` in [-1, 1] shortens or lengthens the pause by up to `JITTER`, also within the bounds.
    """

    def bounded(value: float) -> float:
        return min(max(value, plan.interval), plan.max_interval)

    return bounded(bounded(waited * LATENESS) * (1 + JITTER * jitter))


@dataclass(frozen=True, slots=True)
class Schedule:
    """The limits of requests, shared by waits that run side by side."""

    plan: Plan
    deadline: TimeLimit
    sleep: Callable[[float], bool]  # takes seconds; returns whether the gate is stopped
    jitter: Callable[[], float]  # draws a number in [-1, 1]
    # Each request holds a slot.
    slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(REQUESTS_AT_ONCE))
    # Set once a file was uploaded or a status was received. Then `LASTING_LIMIT` does not apply.
    progress: threading.Event = field(default_factory=threading.Event)


class Wait(Generic[T, R]):
    """The wait for a pending scan or another subject with a status; generic in its reading.

    `observe` polls once, within the given seconds; `settled` returns whether a reading ends the wait.
    """

    def __init__(
        self,
        target: T,
        *,
        observe: Callable[[float], R | Failure],
        settled: Callable[[R], bool],
        schedule: Schedule,
    ) -> None:
        self.target = target
        self._observe = observe
        self._settled = settled
        self._plan = schedule.plan
        self._deadline = schedule.deadline
        self._clock = schedule.deadline.clock
        self._sleep = schedule.sleep
        self._jitter = schedule.jitter
        self._slots = schedule.slots
        self._progress = schedule.progress
        self._notify: Callable[[Event[R, T]], None] = lambda _: None
        self._began = self._clock()
        # Whether the next poll starts at the deadline, or at a limit of errors. The clock must not decide this: a sleep
        # that wakes a microsecond early must not lead to another poll.
        self._at_deadline = self._plan.timeout == 0
        self._at_limit = self._at_lasting_limit = False
        # When the newest consecutive errors began that seldom pass by themselves; None without such an error.
        self._lasting_since: float | None = None
        # Whether the deadline shortened the newest request.
        self._clipped = False
        self._stall_reported = False
        self._is_over = False
        self._lock = threading.Lock()
        self._history: History[T, R] = History(target, StopCause.CANCELLED)

    def run(self, notify: Callable[[Event[R, T]], None]) -> History[T, R]:
        """Poll until a reading decides, a limit or the deadline is reached, or the gate is stopped.

        `notify` is called with every event, in the thread of `run`.
        """
        self._notify = notify
        newest = self._poll()
        if not self._decided(newest):
            self._poll_again(newest)
        with self._lock:
            self._is_over = True
        self._notify(Ended(self._history))
        return self._history

    def _poll_again(self, first: R | Failure) -> None:
        """Poll again after a first response that decided nothing."""
        # Imported only for an unfinished scan: the import takes longer than a poll.
        import backoff

        observations = [first]
        # `backoff` drives the loop; `_pauses` decides whether to wait, and how long.
        backoff.on_predicate(
            self._pauses,  # type: ignore[arg-type]  # its stub forgets that a wait generator is sent the last value
            lambda observation: not self._decided(observation),
            jitter=None,
            logger=None,
        )(lambda: observations.pop() if observations else self._poll())()

    def snapshot(self, ended: StopCause | None = None) -> History[T, R]:
        """Return the history, from any thread. If the wait is not over, it is cut off now, and ended by `ended`."""
        with self._lock:
            return self._history if self._is_over else replace(self._history, ended=ended, elapsed=self._now())

    def _now(self) -> float:
        return self._clock() - self._began

    def _update(self, **changes: object) -> History[T, R]:
        with self._lock:
            self._history = replace(self._history, elapsed=self._now(), **changes)  # type: ignore[arg-type]
            return self._history

    def _decided(self, observation: R | Failure) -> bool:
        decided = observation.final if isinstance(observation, Failure) else self._settled(observation)
        if decided:
            self._update(ended=StopCause.DECIDED)
        return decided

    def _pauses(self) -> Generator[float, R | Failure, None]:
        """Sleep after each poll that decided nothing, until the last poll has been made.

        This is a wait generator for `backoff`, and always yields 0: `backoff` would use `time.sleep`, which neither a
        signal nor a test's clock can shorten.
        """
        observation = yield 0.0
        while (seconds := self._pause(observation)) is not None:
            if self._sleep(seconds):
                return
            observation = yield 0.0

    def _pause(self, observation: R | Failure) -> float | None:
        """Return the seconds to the next poll, clipped to the limits; None if the last poll has been made."""
        # A deadline that an error has postponed does not count: the error has its own limit.
        if self._at_deadline and not math.isinf(self._deadline.at):
            self._update(ended=StopCause.DEADLINE)
            return None
        is_lasting = self._at_lasting_limit and self._lasting_since is not None
        if isinstance(observation, Failure) and (self._at_limit or is_lasting):
            self._update(ended=StopCause.LIMIT)
            return None
        now = self._clock()
        wait = cadence(now - self._began, self._plan, self._jitter())
        limit = self._deadline.at
        self._at_limit = self._at_lasting_limit = False
        if isinstance(observation, Failure):
            # `Retry-After` is the lower bound; jitter must not undercut it.
            wait = max(wait, observation.retry_after or 0.0)
            outage_limit, lasting_limit = self._limits()
            first = min(outage_limit, lasting_limit)
            self._at_limit = now + wait >= outage_limit == first
            self._at_lasting_limit = now + wait >= lasting_limit == first
            limit = min(limit, first)
        self._at_deadline = now + wait >= self._deadline.at and limit == self._deadline.at
        return min(wait, max(0.0, limit - now))

    def _limits(self) -> tuple[float, float]:
        """Return the moments when the newest outage, and its errors that seldom pass by themselves, end the wait."""
        patience = self._plan.outage_limit if self._history.reading else self._plan.first_contact_limit
        since = self._lasting_since
        lasting = math.inf if since is None else since + min(LASTING_LIMIT, self._plan.first_contact_limit)
        return self._began + self._history.outages[-1].began + patience, lasting

    def _poll(self) -> R | Failure:
        observation = self._ask()
        if isinstance(observation, Failure) and observation.timed_out and self._clipped:
            self._at_deadline = True
            self._update(polls=self._history.polls + 1)
            self._notify(CutOff(self.target, self._now()))
            observation = self._ask()
        if isinstance(observation, Failure):
            self._record_failure(observation)
        else:
            self._record_reading(observation)
        return observation

    def _ask(self) -> R | Failure:
        """Poll once, in a slot. Waiting for the slot counts against the request timeout only for the last poll."""
        patience = min(self._deadline.remaining(), threading.TIMEOUT_MAX)
        has_slot = not self._at_deadline and self._slots.acquire(timeout=patience)
        budget, left = self._plan.request_timeout, self._deadline.remaining()
        # After a sleep that woke past the deadline, this is the last poll, with its own budget.
        self._at_deadline = self._at_deadline or not left
        self._clipped = not self._at_deadline and left < budget
        if self._clipped:
            budget = left
        if not has_slot:
            ends = self._clock() + budget
            if not self._slots.acquire(timeout=budget):
                return NO_SLOT
            budget = max(ends - self._clock(), SHORTEST)
        try:
            return self._observe(budget)
        finally:
            self._slots.release()

    def _record_failure(self, failure: Failure) -> None:
        history = self._history
        phases, outages = history.phases, history.outages
        if phases:
            phases = (*phases[:-1], phases[-1]._replace(errors=phases[-1].errors + 1))
        goes_on = bool(outages) and outages[-1].ended is None
        if goes_on:
            outages = (*outages[:-1], outages[-1]._replace(newest=failure, polls=outages[-1].polls + 1))
        else:
            outages = (*outages, Outage(self._now(), failure))
        self._update(polls=history.polls + 1, errors=history.errors + 1, phases=phases, outages=outages, newest=failure)
        if not failure.is_lasting or self._progress.is_set():
            self._lasting_since = None
        elif self._lasting_since is None:
            self._lasting_since = self._clock()
        if not goes_on and not failure.final:
            limit = min(min(self._limits()) - self._clock(), self._deadline.remaining())
            self._notify(OutageBegan(self.target, outages[-1].began, failure, limit))

    def _record_reading(self, reading: R) -> None:
        self._progress.set()
        history, now = self._history, self._now()
        phases, outages = history.phases, history.outages
        recovered = bool(outages) and outages[-1].ended is None
        if recovered:
            outages = (*outages[:-1], outages[-1]._replace(ended=now))
        before = phases[-1] if phases else None
        if before and before.status == reading.status:
            phase = before._replace(last_seen=now, polls=before.polls + 1)
            phases = (*phases[:-1], phase)
        else:
            phase = Phase(reading.status, now, now)
            phases = (*phases, phase)
        unfinished = history.unfinished if reading.sent is None or self._settled(reading) else reading.sent
        polls = history.polls + 1
        self._update(
            polls=polls, phases=phases, outages=outages, newest=reading, reading=reading, unfinished=unfinished
        )
        if recovered:
            self._notify(OutageEnded(self.target, now, outages[-1]))
        if phase.polls == 1:
            self._stall_reported = False
            previous, lasted = (before.status, now - before.first_seen) if before else (None, 0.0)
            self._notify(StatusSeen(self.target, now, reading, previous, lasted))
        elif not self._stall_reported and now - phase.first_seen >= STALLED_AFTER:
            self._stall_reported = True
            self._notify(Stalled(self.target, now, reading.status, now - phase.first_seen))


def wait_all(
    waits: Sequence[Wait[T, R]],
    *,
    stop: threading.Event,
    signals: Signals,
    notify: Callable[[Event[R, T]], None],
    tick: Callable[[Sequence[History[T, R]]], None],
) -> tuple[History[T, R], ...]:
    """Run waits side by side until all are over or a signal comes; return their histories in the same order.

    `stop` ends every sleep of the waits, and is set at the end. `notify` and `tick` are called in this thread: with
    every event, and with the histories so far, several times a second while no event comes.

    Raises:
        OutOfThreadsError: a wait could not be started.
        BaseException: a bug in a wait.
    """
    events: queue.SimpleQueue[Event[R, T] | Broken] = queue.SimpleQueue()
    try:
        _start(waits, events.put)
        signals.relay(events, len(waits), Ended, notify, lambda: tick([wait.snapshot() for wait in waits]))
    finally:
        stop.set()
    # After a signal, unfinished waits are cancelled in their histories.
    return tuple(wait.snapshot(StopCause.CANCELLED) for wait in waits)


def _start(waits: Sequence[Wait[T, R]], notify: Callable[[Event[R, T] | Broken], None]) -> None:
    """Start each wait in its own thread."""

    def run(wait: Wait[T, R]) -> None:
        try:
            wait.run(notify)
        except BaseException as error:  # noqa: BLE001 - carried to the calling thread, which raises it
            notify(Broken(error))

    if len(waits) > 1:
        # Import it before the waits may hold every file descriptor.
        import_module("backoff")
    for wait in waits:
        start_thread(partial(run, wait), str(wait.target))

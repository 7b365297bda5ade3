"""A simulated server, and a clock that only it and sleeping move: the wait without a second of waiting."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gate.events import CutOff
from gate.history import Failure
from gate.reasons import Reason
from gate.settings import Plan
from gate.subjects import Target
from gate.waiting import Deadline, Schedule, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.events import ScanEvent
    from gate.history import Observation, ScanHistory, ScanReading

TARGET = Target(6, 41)


def is_done(reading: ScanReading) -> bool:
    """Whether the status is DONE, as it is written."""
    return reading.status == "DONE"


@dataclass
class World:
    """A server that responds by a script, and a clock.

    Attributes:
        respond: what the server responds to the n-th poll (from 0) that starts at a time.
        plan: how long to wait, how often.
        takes: seconds that the n-th poll takes; it is cut off at its budget.
        jitter: what is drawn for every pause.
        stop_at: when sleeping says that the wait is to stop.
        oversleeps: seconds by which every sleep is too long.
        settled: which readings end the wait.
        now: seconds since the wait began.
        polls: when each poll started, and its budget.
        heard: when each poll started and ended, and what came of it.
        sleeps: how long each sleep was to be.
        events: what the wait told.
        slots: those of the schedule.
    """

    respond: Callable[[int, float], Observation]
    plan: Plan = field(default_factory=Plan)
    takes: Callable[[int], float] = lambda _: 0.0
    jitter: float = 0.0
    stop_at: float | None = None
    oversleeps: float = 0.0
    settled: Callable[[ScanReading], bool] = is_done
    now: float = 0.0
    polls: list[tuple[float, float]] = field(default_factory=list)
    heard: list[tuple[float, float, Observation]] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)
    events: list[ScanEvent] = field(default_factory=list)
    slots: threading.Semaphore = field(default_factory=threading.Semaphore)

    @classmethod
    def playing(cls, schedule: Sequence[tuple[Observation, float]], **options: object) -> World:
        """One that responds by a schedule of responses and the seconds that they take; the last one for ever."""

        def part(number: int) -> tuple[Observation, float]:
            return schedule[min(number, len(schedule) - 1)]

        return cls(lambda number, _: part(number)[0], takes=lambda number: part(number)[1], **options)  # type: ignore[arg-type]

    def observe(self, budget: float) -> Observation:
        """One poll."""
        assert budget > 0
        number, started = len(self.polls), self.now
        self.polls.append((started, budget))
        takes = self.takes(number)
        self.now += min(takes, budget)
        observation: Observation = Failure(Reason.UNREACHABLE, "no response in time.", timed_out=True)
        if takes <= budget:
            observation = self.respond(number, started)
        self.heard.append((started, self.now, observation))
        return observation

    def sleep(self, seconds: float) -> bool:
        """Let time pass; whether the wait is to stop."""
        assert seconds >= 0
        self.sleeps.append(seconds)
        self.now += seconds + self.oversleeps
        return self.stop_at is not None and self.now >= self.stop_at

    @property
    def schedule(self) -> Schedule:
        """For a wait in this world."""
        return Schedule(
            plan=self.plan,
            deadline=Deadline.after(self.plan.timeout, lambda: self.now),
            sleep=self.sleep,
            jitter=lambda: self.jitter,
            slots=self.slots,
        )

    def wait(self) -> ScanHistory:
        """Wait for the pending scan."""
        wait = Wait(TARGET, observe=self.observe, settled=self.settled, schedule=self.schedule)
        return wait.run(self.events.append)

    @property
    def starts(self) -> list[float]:
        """When each poll started."""
        return [started for started, _ in self.polls]

    @property
    def cut_off(self) -> int:
        """How many polls the deadline cut off."""
        return sum(isinstance(event, CutOff) for event in self.events)

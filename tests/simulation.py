"""A simulated server and clock, for tests of the wait without waiting."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gate.flow.waiting import Deadline, Schedule, Wait
from gate.model.advice import FailureKind
from gate.model.events import CutOff
from gate.model.history import Failure
from gate.model.reasons import Reason
from gate.model.subjects import Plan, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.model.events import Event
    from gate.model.history import Observation, ScanHistory, ScanReading

    ScanEvent = Event[ScanReading, Target]

TARGET = Target(6, 41)


def is_done(reading: ScanReading) -> bool:
    """Return whether the status is exactly DONE."""
    return reading.status == "DONE"


@dataclass
class World:
    """A scripted server and a clock. Only polls and sleeps advance the clock."""

    respond: Callable[[int, float], Observation]  # to a poll, by its number (from 0) and its start
    plan: Plan = field(default_factory=Plan)
    takes: Callable[[int], float] = lambda _: 0.0  # seconds of the n-th poll; its budget cuts it off
    jitter: float = 0.0  # the random number for every pause
    stop_at: float | None = None  # the time when a sleep stops the wait; None to never stop it
    oversleeps: float = 0.0  # extra seconds of every sleep
    settled: Callable[[ScanReading], bool] = is_done
    now: float = 0.0  # seconds since the start of the wait
    polls: list[tuple[float, float]] = field(default_factory=list)  # start and budget of each
    observations: list[tuple[float, float, Observation]] = field(default_factory=list)  # start, end and observation
    sleeps: list[float] = field(default_factory=list)  # the requested seconds of each
    events: list[ScanEvent] = field(default_factory=list)
    slots: threading.Semaphore = field(default_factory=threading.Semaphore)
    progress: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def playing(cls, schedule: Sequence[tuple[Observation, float]], **options: object) -> World:
        """Return a world that plays pairs of a response and its seconds, and repeats the last pair."""

        def part(number: int) -> tuple[Observation, float]:
            return schedule[min(number, len(schedule) - 1)]

        return cls(lambda number, _: part(number)[0], takes=lambda number: part(number)[1], **options)  # type: ignore[arg-type]

    def observe(self, budget: float) -> Observation:
        """Poll the server."""
        assert budget > 0
        number, started = len(self.polls), self.now
        self.polls.append((started, budget))
        takes = self.takes(number)
        self.now += min(takes, budget)
        observation: Observation = Failure(Reason.UNREACHABLE, "no response in time.", FailureKind.TIMEOUT)
        if takes <= budget:
            observation = self.respond(number, started)
        self.observations.append((started, self.now, observation))
        return observation

    def sleep(self, seconds: float) -> bool:
        """Advance the clock; return whether the wait must stop."""
        assert seconds >= 0
        self.sleeps.append(seconds)
        self.now += seconds + self.oversleeps
        return self.stop_at is not None and self.now >= self.stop_at

    @property
    def schedule(self) -> Schedule:
        """The schedule of a wait in this world."""
        return Schedule(
            plan=self.plan,
            deadline=Deadline.after(self.plan.timeout, lambda: self.now),
            sleep=self.sleep,
            jitter=lambda: self.jitter,
            slots=self.slots,
            progress=self.progress,
        )

    def wait(self) -> ScanHistory:
        """Wait for the pending scan."""
        wait = Wait(TARGET, observe=self.observe, settled=self.settled, schedule=self.schedule)
        return wait.run(self.events.append)

    @property
    def starts(self) -> list[float]:
        """The start of each poll."""
        return [started for started, _ in self.polls]

    @property
    def cut_off(self) -> int:
        """The number of polls that the deadline cut off."""
        return sum(isinstance(event, CutOff) and event.target == TARGET for event in self.events)

"""The promise of the gate, over random schedules of answers and faults.

It passes if and only if the server said success for that scan of that application, and it is never later than the
timeout plus one request timeout.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gate.history import Answer, End, Observation, Target, Trouble
from gate.reasons import Kind, Reason
from gate.settings import Server, Settings
from gate.text import Secret
from gate.threadfix.statuses import STATUSES, SUCCESS
from gate.verdict import judge_scan
from gate.waiting import Deadline, Plan, Schedule, Wait, cadence

if TYPE_CHECKING:
    from gate.history import History

TARGET = Target(6, 41)
ASKED = Settings(Server("https://tf.example.com", Secret("key")), (TARGET,))

lengths = st.floats(0.01, 400)
plans = st.builds(
    Plan,
    timeout=st.one_of(st.just(0.0), st.floats(0.1, 4000)),
    interval=st.floats(0.05, 10),
    max_interval=st.floats(10, 40),
    request_timeout=st.floats(0.05, 60),
    first_contact_limit=lengths,
    outage_limit=lengths,
    stall_after=lengths,
)
answers = st.builds(
    Answer, st.sampled_from([*STATUSES, "NEW", "done ", ""]), error=st.sampled_from([False] * 5 + [True])
)
waits = st.sampled_from([Reason.UNREACHABLE, Reason.PROTOCOL, Reason.NOT_FOUND])
troubles = st.one_of(
    st.builds(Trouble, waits, st.just("x"), retry_after=st.one_of(st.none(), st.floats(0, 1000))),
    st.builds(Trouble, waits, st.just("x"), final=st.sampled_from([False] * 7 + [True])),
)
in_flight = st.builds(Answer, st.sampled_from(sorted(set(STATUSES) - set(SUCCESS))[:8]))
schedules = st.lists(
    st.tuples(st.one_of(in_flight, troubles, answers), st.one_of(st.just(0.0), st.floats(0, 100))), min_size=1
)


class World:
    """A server that answers by a schedule, its last answer for ever, and a clock that only it and sleeping move."""

    def __init__(
        self, schedule: list[tuple[Observation, float]], plan: Plan, jitter: float, oversleeps: float = 0.0
    ) -> None:
        self.schedule = schedule
        self.plan = plan
        self.jitter = jitter
        self.oversleeps = oversleeps
        self.now = 0.0
        self.heard: list[tuple[float, float, Observation]] = []

    def observe(self, budget: float) -> Observation:
        assert budget > 0
        observation, takes = self.schedule[min(len(self.heard), len(self.schedule) - 1)]
        if takes > budget:
            observation, takes = Trouble(Reason.UNREACHABLE, "no answer in time"), budget
        started = self.now
        self.now += takes
        self.heard.append((started, self.now, observation))
        return observation

    def sleep(self, seconds: float) -> bool:
        assert seconds >= 0
        self.now += seconds + self.oversleeps
        return False

    def wait(self) -> History:
        return Wait(
            TARGET,
            observe=self.observe,
            settled=ASKED.rules.settled,
            schedule=Schedule(
                plan=self.plan,
                deadline=Deadline.after(self.plan.timeout, lambda: self.now),
                sleep=self.sleep,
                jitter=lambda: self.jitter,
            ),
        ).run(lambda _: None)


def says_success(observation: Observation) -> bool:
    """What the promise means by it, written without the code under test."""
    if isinstance(observation, Trouble) or observation.error:
        return False
    return observation.status.strip().upper() in {"DONE", "FINISHED_FINDING_PULLING"}


@settings(max_examples=600, deadline=None)
@given(schedules, plans, st.floats(-1, 1), st.one_of(st.just(0.0), st.floats(0, 20)))
def test_pass_if_and_only_if_the_server_said_success_in_time(
    schedule: list[tuple[Observation, float]], plan: Plan, jitter: float, oversleeps: float
) -> None:
    """Nothing that was heard before may change that, and a machine that wakes late delays it by that much only."""
    world = World(schedule, plan, jitter, oversleeps)
    history = world.wait()
    finding = judge_scan(history, replace(ASKED, plan=plan)).finding
    event(str(finding.reason))
    heard = [observation for _, _, observation in world.heard]
    assert (finding.kind is Kind.PASS) is says_success(heard[-1])
    assert not any(says_success(observation) for observation in heard[:-1])
    assert (finding.exit_code == 0) is (finding.kind is Kind.PASS)
    assert world.now <= plan.timeout + oversleeps + plan.request_timeout + 1e-6
    assert history.polls == len(heard)
    assert history.errors == sum(isinstance(observation, Trouble) for observation in heard)


@settings(max_examples=400, deadline=None)
@given(schedules, plans, st.floats(-1, 1))
def test_every_pause_is_within_its_bounds(schedule: list[tuple[Observation, float]], plan: Plan, jitter: float) -> None:
    """Between the intervals; longer only where the server asked for it; shorter only at a limit or the deadline."""
    world = World(schedule, plan, jitter)
    history = world.wait()
    stretch: float | None = None
    answered = False
    for (_, ended, observation), (started, _, _) in zip(world.heard, world.heard[1:], strict=False):
        pause = started - ended
        asked = 0.0
        limits = [plan.timeout]
        if isinstance(observation, Trouble):
            stretch = ended if stretch is None else stretch
            asked = observation.retry_after or 0.0
            limits.append(stretch + (plan.outage_limit if answered else plan.first_contact_limit))
        else:
            stretch, answered = None, True
        clipped = started >= min(limits) - 1e-6
        assert pause <= max(plan.max_interval, asked) + 1e-6
        assert clipped or pause >= max(plan.interval, asked) - 1e-6
        assert started <= max(min(limits), ended) + 1e-6
    if history.ended is End.DEADLINE:
        assert world.heard[-1][0] >= plan.timeout - 1e-6


@given(st.floats(0, 1e7), plans, st.floats(-1, 1))
def test_the_cadence_never_leaves_its_bounds(waited: float, plan: Plan, jitter: float) -> None:
    """Jitter strays by ten per cent at most, and not past an interval."""
    pause = cadence(waited, plan, jitter)
    assert plan.interval <= pause <= plan.max_interval
    assert abs(pause - cadence(waited, plan)) <= 0.1 * cadence(waited, plan) + 1e-9

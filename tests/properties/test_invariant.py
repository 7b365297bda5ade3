"""Properties of the gate over random schedules of responses and errors.

The gate passes if and only if the server reported success for that scan of that application, and it ends no later than
the timeout plus one request timeout.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gate.flow.signals import Signals
from gate.flow.waiting import Deadline, Schedule, Wait, wait_all
from gate.judge.scans import judge_scan
from gate.model.history import Failure, Observation, ScanReading
from gate.model.reasons import Kind, Reason
from gate.model.subjects import ApplicationId, Plan, Target
from gate.options.settings import Settings
from gate.sandbox.server import envelope
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix.client import Client
from gate.threadfix.links import Server
from gate.threadfix.rules import STATUSES, SUCCESS
from tests.raw import request_head, talking
from tests.simulation import TARGET, World

if TYPE_CHECKING:
    import socket


SETTINGS = Settings(
    Server("https://tf.example.com", Secret("key")), ApplicationId(TARGET.application_id), (TARGET.pending_scan_id,)
)

lengths = st.floats(0.01, 400)
plans = st.builds(
    Plan,
    timeout=st.one_of(st.just(0.0), st.floats(0.1, 4000)),
    interval=st.floats(0.05, 10),
    max_interval=st.floats(10, 40),
    request_timeout=st.floats(0.05, 60),
    first_contact_limit=lengths,
    outage_limit=lengths,
)
readings = st.builds(
    ScanReading, st.sampled_from([*STATUSES, "NEW", "done ", ""]), error=st.sampled_from([False] * 5 + [True])
)
waits = st.sampled_from([Reason.UNREACHABLE, Reason.PROTOCOL, Reason.NOT_FOUND])
failures = st.one_of(
    st.builds(Failure, waits, st.just("x"), retry_after=st.one_of(st.none(), st.floats(0, 1000))),
    st.builds(Failure, waits, st.just("x"), final=st.sampled_from([False] * 7 + [True])),
)
in_flight = st.builds(ScanReading, st.sampled_from(sorted(set(STATUSES) - set(SUCCESS))[:8]))
schedules = st.lists(
    st.tuples(st.one_of(in_flight, failures, readings), st.one_of(st.just(0.0), st.floats(0, 100))), min_size=1
)


def is_success(observation: Observation) -> bool:
    """Return whether an observation is a success, independently of the code under test."""
    if isinstance(observation, Failure) or observation.error:
        return False
    return observation.status.strip().upper() in {"DONE", "FINISHED_FINDING_PULLING"}


@settings(max_examples=3 * settings().max_examples)
@given(schedules, plans, st.floats(-1, 1), st.one_of(st.just(0.0), st.floats(0, 20)))
def test_pass_if_and_only_if_the_server_reported_success_in_time(
    schedule: list[tuple[Observation, float]], plan: Plan, jitter: float, oversleeps: float
) -> None:
    """No earlier response may change that. A machine that wakes late delays the end by no more than that."""
    world = World.playing(schedule, plan=plan, jitter=jitter, oversleeps=oversleeps, settled=SETTINGS.rules.settled)
    history = world.wait()
    conclusion = judge_scan(history, replace(SETTINGS, plan=plan)).conclusion
    event(str(conclusion.reason))
    observations = [observation for _, _, observation in world.observations]
    assert (conclusion.kind is Kind.PASS) is is_success(observations[-1])
    assert not any(is_success(observation) for observation in observations[:-1])
    assert (conclusion.exit_code == 0) is (conclusion.kind is Kind.PASS)
    assert world.now <= plan.timeout + oversleeps + plan.request_timeout + 1e-6
    assert history.polls == len(observations)
    # A request that the deadline cut off is no error.
    assert history.errors == sum(isinstance(observation, Failure) for observation in observations) - world.cut_off


# --- Several scans over real sockets, with responses that are stray, late or doubled.


def response(status: str, code: bytes = b"200 OK") -> bytes:
    content = envelope({"status": status, "error": False, "appId": TARGET.application_id}).body
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (code, len(content), content)


LATE = b""
"""A moment without data from the server."""
INTERIM = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", LATE)
PASSES = response("DONE")
OTHERS = (
    response("QUEUED"),
    response("DONE", b"202 Accepted"),
    response("DONE", b"500 Oops"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
)
scripts = st.lists(st.sampled_from([*INTERIM, PASSES, *OTHERS]), min_size=1, max_size=5)


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(st.lists(scripts, min_size=1, max_size=3), min_size=2, max_size=5))
def test_pass_if_and_only_if_the_scans_own_first_response_is_a_success(plays: list[list[list[bytes]]]) -> None:
    """Any other data on a connection, before, after or late, belongs to no scan. Each scan has a script per poll."""
    polls = dict.fromkeys(range(41, 41 + len(plays)), 0)
    lock = threading.Lock()

    def talk(connection: socket.socket) -> None:
        # The server keeps its connections, and serves another request on each.
        while head := request_head(connection):
            number = int(head.partition(b"/pendingScan/")[2].partition(b"/")[0])
            with lock:
                script = plays[number - 41][min(polls[number], len(plays[number - 41]) - 1)]
                polls[number] += 1
            for part in script:
                if part == LATE:
                    time.sleep(0.002)
                connection.sendall(part)
            if all(part in INTERIM for part in script):
                return

    def passes(script: list[bytes]) -> bool:
        return next((part for part in script if part not in INTERIM), None) == PASSES

    with talking(talk) as url:
        client = Client(Server(url, Secret("key")), Sanitizer(), trace=lambda _: None)
        plan = Plan(timeout=0, request_timeout=30)
        for turn in range(max(map(len, plays))):
            stop = threading.Event()
            schedule = Schedule(plan, Deadline.after(0, time.monotonic), stop.wait, lambda: 0.0)
            waits = [
                Wait(target, observe=partial(client.observe, target), settled=SETTINGS.rules.settled, schedule=schedule)
                for target in (Target(TARGET.application_id, number) for number in polls)
            ]
            histories = wait_all(waits, stop=stop, signals=Signals(), notify=lambda _: None, tick=lambda _: None)
            for history, play in zip(histories, plays, strict=True):
                verdict = judge_scan(history, replace(SETTINGS, plan=plan)).conclusion.kind
                assert (verdict is Kind.PASS) is passes(play[min(turn, len(play) - 1)])

"""Tests of uploads: their order, attempts, limits and events."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from gate.flow.signals import Signals
from gate.flow.uploading import refuse_known_scans, refuse_older_scan, upload_all
from gate.model.advice import FailureKind
from gate.model.events import OutageBegan, OutageEnded, UploadBegan, UploadEnded, UploadProgress
from gate.model.history import Failure, Finished, Outage, Queued, Refused, ScanReading, Unfinished, Upload
from gate.model.reasons import OutOfThreadsError, Reason
from gate.model.subjects import Plan, ScanFile, Target
from gate.threadfix.rules import Rules
from tests.builders import uploaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.model.events import SendProgress, UploadEvent
    from gate.model.history import Receipt

    Step = Receipt | Callable[[SendProgress], Receipt]

A, B, C = (ScanFile(name, 1000, name) for name in "abc")
QUEUED = Queued((Target(6, 41),))
REFUSED = Refused("Full.")
DOWN = Failure(Reason.UNREACHABLE, "tf refused the connection.", FailureKind.REFUSED, unsent=True)
LOST = Failure(Reason.UNREACHABLE, "tf closed the connection.", final=True)
PLAN = Plan(interval=2, max_interval=15, first_contact_limit=60)


@dataclass
class World:
    """A server that takes uploads by a script, and a clock that only its responses and sleeps move."""

    script: Sequence[Step]  # the result of each attempt, or a function from the progress callback to it
    takes: float = 0.0  # seconds of each attempt
    plan: Plan = PLAN
    jitter: float = 0.0
    attempts: list[tuple[str, float]] = field(default_factory=list)  # the file and the start of each attempt
    sleeps: list[float] = field(default_factory=list)
    events: list[UploadEvent] = field(default_factory=list)
    now: float = 1000.0

    def send(self, file: ScanFile, progress: SendProgress) -> Receipt:
        step = self.script[len(self.attempts)]
        self.attempts.append((file.path, self.now - 1000))
        self.now += self.takes
        return step(progress) if callable(step) else step

    def sleep(self, seconds: float) -> bool:
        self.sleeps.append(seconds)
        self.now += seconds
        return False

    def upload(
        self,
        *files: ScanFile,
        notify: Callable[[UploadEvent], None] = lambda _: None,
        sleep: Callable[[float], bool] | None = None,
        signals: Signals | None = None,
    ) -> tuple[Upload, ...]:
        def record(event: UploadEvent) -> None:
            self.events.append(event)
            notify(event)

        return upload_all(
            files or (A,), self.send, plan=self.plan, jitter=lambda: self.jitter, signals=signals or Signals(),
            notify=record, clock=lambda: self.now, sleep=sleep or self.sleep,
        )  # fmt: skip


def receipts(uploads: Sequence[Upload]) -> list[Receipt]:
    return [upload.receipt for upload in uploads]


def join_sender() -> None:
    """Wait for the sending thread."""
    for thread in threading.enumerate():
        if thread.name == "uploads":
            thread.join(5)


def test_each_file_is_sent_once_and_in_order() -> None:
    world = World([REFUSED, LOST, QUEUED], takes=3)
    uploads = world.upload(A, B, C)
    assert [upload.file for upload in uploads] == [A, B, C]
    assert receipts(uploads) == [REFUSED, LOST, QUEUED]
    assert world.attempts == [("a", 0), ("b", 3), ("c", 6)]
    assert [upload.elapsed for upload in uploads] == [3, 3, 3]
    assert world.events == [
        event
        for number, upload in enumerate(uploads, 1)
        for event in (UploadBegan(upload.file, number, 3), UploadEnded(upload))
    ]


@pytest.mark.parametrize(
    "receipt",
    [QUEUED, REFUSED, LOST, replace(LOST, final=False), replace(DOWN, final=True), replace(DOWN, unsent=False)],
)
def test_only_an_unsent_failure_that_is_not_final_is_tried_again(receipt: Receipt) -> None:
    world = World([receipt])
    (upload,) = world.upload()
    assert upload.receipt == receipt
    assert (len(world.attempts), world.sleeps) == (1, [])


def test_an_unsent_file_is_tried_again_at_the_cadence_of_the_wait() -> None:
    """`Retry-After` is the lower bound of a pause."""
    script: list[Step] = [*[DOWN] * 4, replace(DOWN, retry_after=20.0), QUEUED]
    world = World(script, takes=5, jitter=1.0, plan=replace(PLAN, max_interval=2.5))
    (upload,) = world.upload()
    assert upload.receipt == QUEUED
    assert world.sleeps == pytest.approx([2.2, 2.2, 2.2, 2.5, 20])
    assert upload.elapsed == pytest.approx(6 * 5 + sum(world.sleeps))


def test_there_is_a_last_attempt_at_the_limit() -> None:
    """Each file has its own limit, from its first error on. The message has the duration and the number of attempts."""
    world = World([DOWN] * 32 + [QUEUED], takes=1, plan=replace(PLAN, first_contact_limit=10))
    uploads = world.upload(A, B)
    first = uploads[0].receipt
    assert isinstance(first, Failure)
    assert first == replace(DOWN, what="tf refused the connection. This went on for 11s (5 attempts).")
    assert [began for name, began in world.attempts if name == "a"] == [0, 3, 6, 9, 11]
    assert [began for name, began in world.attempts if name == "b"] == [12, 15, 18, 21, 23]
    assert isinstance(uploads[1].receipt, Failure)


def test_the_end_of_an_outage_is_reported() -> None:
    def late(progress: SendProgress) -> Receipt:
        progress(500, ())
        world.now += 100
        progress(1000, ())
        return QUEUED

    world = World([DOWN, replace(DOWN, what="tf is starting."), late], takes=1)
    (upload,) = world.upload()
    newest = replace(DOWN, what="tf is starting.")
    assert world.events == [
        UploadBegan(A),
        OutageBegan(A, 1, DOWN, 60),
        OutageEnded(A, 7, Outage(1, newest, 2, ended=7)),
        UploadProgress(A, 500, 7),
        UploadProgress(A, 1000, 107),
        UploadEnded(upload),
    ]


def test_a_response_ends_an_outage_and_a_final_failure_does_not() -> None:
    for receipt, ends in ((REFUSED, [4]), (replace(DOWN, final=True), [])):
        world = World([DOWN, receipt], takes=1)
        (upload,) = world.upload()
        assert [event.outage.ended for event in world.events if isinstance(event, OutageEnded)] == ends
    assert isinstance(upload.receipt, Failure)
    assert "(2 attempts)" in upload.receipt.what


def test_progress_is_reported_ten_times_a_second_and_at_the_end() -> None:
    def many(progress: SendProgress) -> Receipt:
        for sent in range(1, 1000):
            world.now += 0.001
            progress(sent, ())
        return LOST

    world = World([many])
    world.upload()
    events = [event for event in world.events if isinstance(event, UploadProgress)]
    assert len(events) <= 12
    assert all(later.elapsed - event.elapsed >= 0.1 for event, later in pairwise(events[:-1]))
    assert (events[0].sent, events[-1].sent) == (1, 999)


def test_progress_of_an_attempt_that_is_over_is_ignored() -> None:
    meters: list[SendProgress] = []

    def kept(progress: SendProgress) -> Receipt:
        meters.append(progress)
        return LOST

    def again(progress: SendProgress) -> Receipt:
        meters[0](777, ("late",))
        progress(1, ())
        return QUEUED

    world = World([kept, again])
    assert [upload.digests for upload in world.upload(A, B)] == [(), ()]
    assert [event.sent for event in world.events if isinstance(event, UploadProgress)] == [1]


@pytest.mark.parametrize("digests", [(), ("f00d",)])
def test_a_signal_ends_the_uploads(digests: tuple[str, ...]) -> None:
    """A file that was sent whole has its digest, also without a response."""
    under_way, go_on, signals = threading.Event(), threading.Event(), Signals()

    def hangs(progress: SendProgress) -> Receipt:
        progress(1000, digests)
        world.now += 7
        under_way.set()
        go_on.wait(60)
        return QUEUED

    def notify(event: UploadEvent) -> None:
        if isinstance(event, UploadBegan) and event.file is B:
            under_way.wait(60)
            signals.stop(15)

    world = World([QUEUED, hangs, QUEUED], takes=2)
    uploads = world.upload(A, B, C, notify=notify, signals=signals)
    assert receipts(uploads) == [QUEUED, Unfinished.BROKEN_OFF, Unfinished.NOT_SENT]
    assert [upload.digests for upload in uploads] == [(), digests, ()]
    assert uploads[1].elapsed == 9
    go_on.set()
    join_sender()
    assert [name for name, _ in world.attempts] == ["a", "b"]


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "sleep-without-a-result"])
def test_no_attempt_begins_after_a_signal(*, stopped: bool) -> None:
    """A file in a pause between two attempts is unsent, not broken off."""

    def notify(event: UploadEvent) -> None:
        if isinstance(event, OutageBegan):
            slept.wait(60)
            signals.stop(2)

    def sleep(_: float) -> bool:
        slept.set()
        go_on.wait(60)
        return stopped

    slept, go_on, signals = threading.Event(), threading.Event(), Signals()
    world = World([DOWN, QUEUED])
    uploads = world.upload(A, B, notify=notify, sleep=sleep, signals=signals)
    go_on.set()
    join_sender()
    assert receipts(uploads) == [Unfinished.NOT_SENT] * 2
    assert len(world.attempts) == 1


def test_a_bug_in_the_sending_thread_is_raised() -> None:
    def breaks(_: SendProgress) -> Receipt:
        raise LookupError("a bug")

    world = World([breaks, QUEUED])
    with pytest.raises(LookupError, match="a bug"):
        world.upload(A, B)
    assert len(world.attempts) == 1


def test_without_a_thread_nothing_is_sent_and_an_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    world = World([QUEUED])
    with pytest.raises(OutOfThreadsError):
        world.upload()
    assert not world.attempts


def test_the_calling_thread_wakes_up_for_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems do not let a signal interrupt an endless wait. The clock and the sleep have defaults."""
    monkeypatch.setattr("gate.flow.signals.TICK", 0.01)
    ticked = threading.Event()

    def slow(_: SendProgress) -> Receipt:
        assert ticked.wait(5)
        return QUEUED

    (upload,) = upload_all(
        [A], World([DOWN, slow]).send, plan=Plan(interval=0.01, max_interval=0.01), jitter=lambda: 0.0,
        signals=Signals(), notify=lambda _: None, tick=ticked.set,
    )  # fmt: skip
    assert upload.receipt == QUEUED
    assert upload.elapsed > 0


# --- Scans of other files.

OLD = ScanReading("DONE", modified=0.0, sent=10_000.0)
NEW = ScanReading("DONE", modified=9_990.0, sent=10_000.0)


def test_a_scan_that_is_known_or_older_than_the_upload_is_refused() -> None:
    def refused(what: str) -> Failure:
        return Failure(Reason.PROTOCOL, what, FailureKind.ANOTHER_UPLOAD, final=True)

    uploads = [uploaded(41), uploaded(42), uploaded(42), uploaded(Finished(12)), uploaded(Finished(12)), uploaded(43)]
    found = list(refuse_known_scans(uploads, [Target(6, 41)]))
    lost = "which is not this file's: it was known before. Whether ThreadFix has the file is not known."
    names = {0: Target(6, 41), 2: Target(6, 42), 4: "scan 12"}
    assert found == [
        upload._replace(receipt=refused(f"ThreadFix returned {names[index]}, {lost}")) if index in names else upload
        for index, upload in enumerate(uploads)
    ]
    readings: list[ScanReading | Failure] = [LOST, OLD, OLD]
    observe = refuse_older_scan(lambda _: readings.pop(0), Rules(), time.monotonic() - 5.0)
    what = "ThreadFix returned a scan that was DONE long before the upload: it is another upload's."
    assert [observe(1.0) for _ in range(3)] == [LOST, refused(what), OLD]
    observe = refuse_older_scan(lambda _: NEW, Rules(), time.monotonic())
    assert [observe(1.0), observe(1.0)] == [NEW, NEW]
    assert refuse_older_scan(lambda _: OLD, Rules(), time.monotonic() - 10_000.0)(1.0) == OLD

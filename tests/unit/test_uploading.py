"""How uploads are sent one after the other: what is tried again, what ends them, and what is told meanwhile."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from gate.flow.signals import Signals
from gate.flow.uploading import upload_all
from gate.model.advice import FailureKind
from gate.model.errors import OutOfThreadsError
from gate.model.events import OutageBegan, OutageEnded, UploadBegan, UploadEnded, UploadProgress
from gate.model.history import Failure, Outage, Queued, Refused, Unfinished, Upload
from gate.model.reasons import Reason
from gate.model.subjects import ScanFile, Target
from gate.options.settings import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gate.model.events import UploadEvent
    from gate.model.history import Receipt

    Step = Receipt | Callable[[Callable[[int], None]], Receipt]

A, B, C = (ScanFile(name, 1000, name) for name in "abc")
QUEUED = Queued((Target(6, 41),))
REFUSED = Refused("Full.")
DOWN = Failure(Reason.UNREACHABLE, "tf refused the connection.", FailureKind.REFUSED, unsent=True)
LOST = Failure(Reason.UNREACHABLE, "tf closed the connection.", final=True)
PLAN = Plan(interval=2, max_interval=15, first_contact_limit=60)


@dataclass
class World:
    """A server that takes uploads by a script, and a clock that only it and sleeping move.

    Attributes:
        script: what comes of each attempt, in their order; or what makes it, given the progress.
        takes: seconds that each attempt takes.
        attempts: the files of the attempts, and when each began.
        sleeps: how long each sleep was to be.
        events: what was told.
        now: the clock.
    """

    script: Sequence[Step]
    takes: float = 0.0
    plan: Plan = PLAN
    jitter: float = 0.0
    attempts: list[tuple[str, float]] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)
    events: list[UploadEvent] = field(default_factory=list)
    now: float = 1000.0

    def send(self, file: ScanFile, progress: Callable[[int], None]) -> Receipt:
        """One attempt."""
        step = self.script[len(self.attempts)]
        self.attempts.append((file.path, self.now - 1000))
        self.now += self.takes
        return step(progress) if callable(step) else step

    def sleep(self, seconds: float) -> bool:
        """Let time pass."""
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
        """Upload the files."""

        def told(event: UploadEvent) -> None:
            self.events.append(event)
            notify(event)

        return upload_all(
            files or (A,), self.send, plan=self.plan, jitter=lambda: self.jitter, signals=signals or Signals(),
            notify=told, clock=lambda: self.now, sleep=sleep or self.sleep,
        )  # fmt: skip


def receipts(uploads: Sequence[Upload]) -> list[Receipt]:
    """What became of each."""
    return [upload.receipt for upload in uploads]


def let_it_end() -> None:
    """Wait for the thread that sends."""
    for thread in threading.enumerate():
        if thread.name == "uploads":
            thread.join(5)


def test_files_go_one_after_the_other() -> None:
    """Each once and in its order; one that is refused or lost does not stop the others."""
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
def test_only_what_is_unsent_and_not_final_is_tried_again(receipt: Receipt) -> None:
    """Everything else is the last word, also a failure that would be worth a second try."""
    world = World([receipt])
    (upload,) = world.upload()
    assert upload.receipt == receipt
    assert (len(world.attempts), world.sleeps) == (1, [])


def test_what_was_not_sent_is_tried_again_at_the_cadence_of_the_wait() -> None:
    """With its bounds and its jitter, from when the file's upload began."""
    world = World([DOWN] * 5 + [QUEUED], takes=5, jitter=1.0, plan=replace(PLAN, max_interval=2.5))
    (upload,) = world.upload()
    assert upload.receipt == QUEUED
    assert world.sleeps == pytest.approx([2.2, 2.2, 2.2, 2.5, 2.5])
    assert upload.elapsed == pytest.approx(6 * 5 + sum(world.sleeps))


def test_a_server_may_ask_to_be_left_alone() -> None:
    """Its Retry-After is the lower bound of a pause."""
    world = World([replace(DOWN, retry_after=20.0), QUEUED])
    world.upload()
    assert world.sleeps == [20]


def test_trying_ends_at_the_limit_with_one_last_attempt() -> None:
    """The limit runs from the first error on, and for each file anew; the message says how long and how often."""
    world = World([DOWN] * 32 + [QUEUED], takes=1, plan=replace(PLAN, first_contact_limit=10))
    uploads = world.upload(A, B)
    first = uploads[0].receipt
    assert isinstance(first, Failure)
    assert first == replace(DOWN, what="tf refused the connection. This went on for 11s (5 attempts).")
    assert [began for name, began in world.attempts if name == "a"] == [0, 3, 6, 9, 11]
    assert [began for name, began in world.attempts if name == "b"] == [12, 15, 18, 21, 23]
    assert isinstance(uploads[1].receipt, Failure)


def test_one_error_at_the_limit_is_no_stretch() -> None:
    """A final failure after an outage is told with the outage; one without is told as it is."""
    world = World([replace(DOWN, final=True)])
    (upload,) = world.upload()
    assert upload.receipt == replace(DOWN, final=True)


def test_an_outage_is_told_with_its_end() -> None:
    """It ends when the first bytes of the file go out, not when all of it has been sent."""

    def late(progress: Callable[[int], None]) -> Receipt:
        progress(500)
        world.now += 100
        progress(1000)
        return QUEUED

    world = World([DOWN, replace(DOWN, what="tf is starting."), late], takes=1)
    (upload,) = world.upload()
    newest = replace(DOWN, what="tf is starting.")
    assert world.events == [
        UploadBegan(A),
        OutageBegan(A, 1, DOWN, 60, first_contact=True),
        OutageEnded(A, 7, Outage(1, newest, 2, ended=7)),
        UploadProgress(A, 500, 7),
        UploadProgress(A, 1000, 107),
        UploadEnded(upload),
    ]


def test_an_outage_ends_with_a_response_too() -> None:
    """Where no byte of the file was told to be sent, as with a refusal of its head."""
    world = World([DOWN, REFUSED], takes=1)
    world.upload()
    assert any(isinstance(event, OutageEnded) and event.outage.ended == 4 for event in world.events)


def test_an_outage_that_ends_unsent_has_no_end() -> None:
    """Nothing has recovered."""
    world = World([DOWN, replace(DOWN, final=True)])
    (upload,) = world.upload()
    assert not any(isinstance(event, OutageEnded) for event in world.events)
    assert isinstance(upload.receipt, Failure)
    assert "(2 attempts)" in upload.receipt.what


def test_progress_is_told_ten_times_a_second_and_at_the_end() -> None:
    """However often it is reported; and the last time too."""

    def many(progress: Callable[[int], None]) -> Receipt:
        for sent in range(1, 1000):
            world.now += 0.001
            progress(sent)
        return LOST

    world = World([many])
    world.upload()
    told = [event for event in world.events if isinstance(event, UploadProgress)]
    assert len(told) <= 12
    assert all(later.elapsed - event.elapsed >= 0.1 for event, later in pairwise(told[:-1]))
    assert (told[0].sent, told[-1].sent) == (1, 999)


def test_progress_of_an_attempt_that_was_given_up_is_not_told() -> None:
    """Its thread may go on for a moment; nobody hears it then."""
    meters: list[Callable[[int], None]] = []

    def kept(progress: Callable[[int], None]) -> Receipt:
        meters.append(progress)
        return LOST

    def again(progress: Callable[[int], None]) -> Receipt:
        meters[0](777)
        progress(1)
        return QUEUED

    world = World([kept, again])
    world.upload(A, B)
    assert [event.sent for event in world.events if isinstance(event, UploadProgress)] == [1]


def test_a_signal_ends_the_uploads() -> None:
    """What is over stays, what is under way is not known, the rest is not sent; nor is it later."""
    under_way, go_on, signals = threading.Event(), threading.Event(), Signals()

    def hangs(_: Callable[[int], None]) -> Receipt:
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
    assert uploads[1].elapsed == 9
    go_on.set()
    let_it_end()
    assert [name for name, _ in world.attempts] == ["a", "b"]


def test_a_signal_while_the_gate_waits_to_try_again_leaves_nothing_behind() -> None:
    """What was never sent is not called broken off; the sleep says that the gate was stopped."""

    def notify(event: UploadEvent) -> None:
        if isinstance(event, OutageBegan):
            slept.wait(60)
            signals.stop(2)

    slept, go_on, signals = threading.Event(), threading.Event(), Signals()
    world = World([DOWN, QUEUED])

    def sleep(_: float) -> bool:
        slept.set()
        go_on.wait(60)
        return True

    uploads = world.upload(A, B, notify=notify, sleep=sleep, signals=signals)
    go_on.set()
    assert receipts(uploads) == [Unfinished.NOT_SENT] * 2
    assert len(world.attempts) == 1


def test_no_attempt_begins_after_a_signal() -> None:
    """Also where the sleep has not heard of it."""
    slept, go_on, signals = threading.Event(), threading.Event(), Signals()

    def notify(event: UploadEvent) -> None:
        if isinstance(event, OutageBegan):
            slept.wait(60)
            signals.stop(2)

    world = World([DOWN, QUEUED])

    def sleep(_: float) -> bool:
        slept.set()
        go_on.wait(60)
        return False

    world.upload(A, B, notify=notify, sleep=sleep, signals=signals)
    go_on.set()
    let_it_end()
    assert len(world.attempts) == 1


def test_what_breaks_in_the_thread_that_sends_is_raised() -> None:
    """A bug is no verdict about a file."""

    def breaks(_: Callable[[int], None]) -> Receipt:
        raise LookupError("a bug")

    world = World([breaks, QUEUED])
    with pytest.raises(LookupError, match="a bug"):
        world.upload(A, B)
    assert len(world.attempts) == 1


def test_without_a_thread_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the gate says why."""

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    world = World([QUEUED])
    with pytest.raises(OutOfThreadsError):
        world.upload()
    assert not world.attempts


def test_the_calling_thread_waits_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every system lets a signal interrupt a wait without an end."""
    monkeypatch.setattr("gate.flow.signals.TICK", 0.01)
    ticked = threading.Event()

    def slow(_: Callable[[int], None]) -> Receipt:
        # Whoever watches sees that the gate is alive.
        assert ticked.wait(5)
        return QUEUED

    uploads = upload_all(
        [A], World([slow]).send, plan=PLAN, jitter=lambda: 0.0, signals=Signals(),
        notify=lambda _: None, tick=ticked.set,
    )  # fmt: skip
    assert receipts(uploads) == [QUEUED]


def test_the_gate_s_own_clock_and_sleep_do_as_well() -> None:
    """They are what it has where a test gives it no others."""
    script: Iterator[Receipt] = iter([DOWN, QUEUED])
    uploads = upload_all(
        [A], lambda *_: next(script), plan=Plan(interval=0.01, max_interval=0.01), jitter=lambda: 0.0,
        signals=Signals(), notify=lambda _: None,
    )  # fmt: skip
    assert receipts(uploads) == [QUEUED]
    assert uploads[0].elapsed > 0

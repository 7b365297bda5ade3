"""Tests of streams with a background writer."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gate.reporters import streams
from gate.reporters.streams import BackgroundStream, print_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """Return the reading end of a pipe, and a text stream into it."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as stream:
        yield reader, stream
    os.close(reader)


def test_a_late_reader_gets_everything(pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.05)
    reader, stream = pipe
    log = BackgroundStream(stream)
    # More than a pipe holds.
    log.write("." * 500_000 + "\n")
    log.write("läßt\n")
    assert not log.drain()
    read = bytearray()

    def read_all() -> None:
        while part := os.read(reader, 65536):
            read.extend(part)

    reading = threading.Thread(target=read_all)
    reading.start()
    assert log.close()
    stream.close()
    reading.join()
    assert read.decode().splitlines()[1:] == ["l\\xe4\\xdft"]


def test_the_end_waits_for_a_slow_reader(pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.002)
    moves = count()

    class Moving(BackgroundStream):
        # Simulate progress at each check.
        _taken = property(lambda _: next(moves), lambda *_: None)

    reader, stream = pipe
    log = Moving(stream)
    log.write("." * 500_000 + "\n")

    def read_late() -> None:
        while next(moves) < 100:
            time.sleep(0.001)
        left = 500_001
        while left:
            left -= len(os.read(reader, left))

    reading = threading.Thread(target=read_late)
    reading.start()
    assert log.close()
    reading.join()


PAUSED = """
import os, signal, sys, time
from gate.reporters import streams
class Paused:
    def write(self, part):
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.01)
        return os.write(2, part)
streams.PATIENCE = 0.15
log = streams.BackgroundStream(sys.stderr)
log._raw = Paused()
log.write("the end")
log.close()
os._exit(3)
"""


def test_a_pause_of_the_process_does_not_count_as_a_reader_s() -> None:
    """A machine may suspend the gate, or give it no time, while the end of the log is written."""
    with subprocess.Popen([sys.executable, "-c", PAUSED], stderr=subprocess.PIPE) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        time.sleep(0.2)
        process.send_signal(signal.SIGCONT)
        assert (process.communicate()[1], process.returncode) == (b"the end", 3)


def test_nothing_is_lost_in_a_full_pipe_that_does_not_block(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    log = BackgroundStream(stream)
    log.write("." * 500_000)
    while not log._taken:  # noqa: SLF001 - fill the pipe before the first read
        time.sleep(0.001)
    time.sleep(0.1)
    left = 500_000
    while left:
        left -= len(os.read(reader, left))
    assert log.close()


def test_an_error_of_writing_is_kept_and_not_raised(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reader, stream = pipe
    os.close(reader)
    log = BackgroundStream(stream)
    log.write("x\n")
    assert log.close()
    assert isinstance(log.error, BrokenPipeError)
    os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
    closed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    log = BackgroundStream(closed)
    closed.buffer.close()
    log.write("x\n")
    assert log.close()
    assert "closed" in str(log.error)


def test_without_a_thread_the_caller_writes(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This may block, but a log that blocks is better than no log."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    reader, stream = pipe
    log = BackgroundStream(stream)
    assert log.write("x\n") == 2
    log.flush()
    assert os.read(reader, 10) == b"x\n"
    assert log.close()
    assert (log.isatty(), log.fileno(), log.encoding) == (False, stream.fileno(), "ascii")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no POSIX system but Linux has a device that is always full")
def test_a_document_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left"):
            print_whole("{}")

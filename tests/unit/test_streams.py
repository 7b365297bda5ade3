"""Streams that are written to in the background."""

from __future__ import annotations

import io
import os
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
    """A pipe: its reading end, and a text stream into it."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as stream:
        yield reader, stream
    os.close(reader)


def test_a_reader_that_comes_late_gets_everything(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer does not wait for it, except for a moment at the end; characters of other encodings are escaped."""
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


def test_a_slow_reader_is_waited_for(pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as something more was taken, however little, what is left is not given up."""
    monkeypatch.setattr(streams, "PATIENCE", 0.002)
    moves = count()

    class Moving(BackgroundStream):
        # Each look at it finds that more was taken.
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


def test_a_pipe_that_is_full_and_must_not_block_is_tried_again(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """Nothing is lost in it, however much more there is than it holds."""
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    log = BackgroundStream(stream)
    log.write("." * 500_000)
    while not log._taken:  # noqa: SLF001 - it is to be full before it is read
        time.sleep(0.001)
    time.sleep(0.1)
    left = 500_000
    while left:
        left -= len(os.read(reader, left))
    assert log.close()


def test_what_cannot_be_written_is_kept_as_an_error(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """Nobody is disturbed by it; who asks is told."""
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


def test_without_a_thread_it_is_written_at_once(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may block then; that is better than no log."""

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
    """Standard output may be a file on a full disk."""
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left"):
            print_whole("{}")

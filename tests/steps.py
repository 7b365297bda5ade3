"""The gate in its own process, as a step of a job on GitHub."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tests.conftest import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.conftest import Gate

KILLED = 60
"""Seconds after which a hanging gate is killed, and the test fails."""


class Step:
    """A step with its outputs and summary in `folder`, which is the working folder too."""

    def __init__(self, gate: Gate, folder: Path) -> None:
        self.gate, self.threadfix, self.folder = gate, gate.threadfix, folder
        folder.mkdir(exist_ok=True)
        files = {"GITHUB_OUTPUT": folder / "output", "GITHUB_STEP_SUMMARY": folder / "summary.md"}
        for file in files.values():
            file.touch()
        on_github = {"GITHUB_ACTIONS": "true"} | {name: str(file) for name, file in files.items()}
        self.env = dict(os.environ) | QUICK | gate.env | on_github

    def output(self, name: str) -> str:
        """Return an output of the step; empty if it was not written."""
        lines = (self.folder / "output").read_text().partition(f"{name}<<")[2].splitlines()
        return lines[1] if lines else ""

    @property
    def reason(self) -> str:
        """The reason in the step's outputs."""
        return self.output("reason")

    @contextmanager
    def start(
        self,
        *args: str,
        command: str = "run",
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - for `subprocess.Popen`
    ) -> Iterator[subprocess.Popen[str]]:
        """Run the gate, with its log in a pipe, and kill it in the end."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(
            [*prefix, sys.executable, "-m", "gate", command, *args],
            env=self.env | dict(env or {}), cwd=self.folder, **(streams | options),
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def run(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401 - as for `start`
        """Run the gate to its end, with all streams in pipes."""
        with self.start(*args, **({"stdout": subprocess.PIPE} | options)) as process:
            out, log = process.communicate(timeout=KILLED)
            return subprocess.CompletedProcess(process.args, process.returncode, out, log)


def until(true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until `true` returns a true value. The process must not end before."""
    give_up = time.monotonic() + KILLED
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.01)


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """Yield the reader and the writer of a pipe that is full and unread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        with suppress(BlockingIOError):
            while True:
                os.write(writer, b" " * 4096)
        os.set_blocking(writer, True)
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)

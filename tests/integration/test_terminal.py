"""The lines of a run at a terminal, and in a log file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gate.model.reasons import Reason
from gate.sandbox.scenarios import Scenario

if TYPE_CHECKING:
    from tests.conftest import Gate

pty = pytest.importorskip("pty", reason="only POSIX has pseudo-terminals")
STUCK = Scenario("stuck", "", Reason.TIMEOUT, (("FINDINGS_GENERATING", 0),))
SLOWLY = ("--interval", "300ms", "--max-interval", "1s", "--timeout", "400ms")


def watched(gate: Gate, *args: str, timeout: str = "400ms", **env: str) -> tuple[int, str]:
    """Return the exit code of a gate whose log is a terminal, and the bytes that the terminal received."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gate", "run", *SLOWLY[:-1], timeout, *args]
    scan = {"THREADFIX_PENDING_SCAN_ID": str(gate.threadfix.add(STUCK))}
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        command, env=clean | gate.env | scan | {"TERM": "xterm", "COLUMNS": "100"} | env, stderr=theirs, text=True
    )
    os.close(theirs)
    sent = b""
    # Linux returns EIO after the last process at the other end has closed it.
    with suppress(OSError):
        while chunk := os.read(ours, 4096):
            sent += chunk
    os.close(ours)
    return process.wait(20), sent.decode()


def test_a_terminal_shows_a_live_line(gate: Gate) -> None:
    # A busy machine may need a second to the first response.
    code, sent = watched(gate, timeout="3s")
    assert code == 3
    assert re.search(r"FINDINGS_GENERATING [\d.]+s · [\d.]+s left", sent)
    assert "[    0s] FINDINGS_GENERATING" in sent
    assert sent.index("\x1b[?25l") < sent.index("\x1b[?25h") < sent.index("UNKNOWN (timeout, exit code 3)")


def test_a_terminal_shows_the_upload(gate: Gate) -> None:
    file = gate.folder / "stuck.fpr"
    with file.open("wb") as opened:
        opened.truncate(20_000_000)
    code, sent = watched(gate, "--scan-file", str(file))
    assert code == 3
    assert "0% of 20 MB" in sent
    assert "━ sent; waiting for ThreadFix's response" in re.sub(r"\x1b\[[0-9;]*m", "", sent)
    shown = " ".join(sent.split())
    assert f"{file}: queued as pending scan " in shown


@pytest.mark.parametrize(
    ("args", "env", "has_rich", "is_live"),
    [((), {}, True, True), ((), {}, False, False), (("--quiet",), {}, True, False), ((), {"TERM": "dumb"}, True, False),
     ((), {"CI": "true"}, True, False)],
)  # fmt: skip
def test_some_terminals_get_plain_lines(  # noqa: PLR0913 - a table
    *, args: tuple[str, ...], env: dict[str, str], has_rich: bool, is_live: bool, gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if not has_rich:
        monkeypatch.setitem(sys.modules, "gate.reporters.terminal", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = gate.play(STUCK, "--timeout", "0", *args, env={"TERM": "xterm"} | env)
    assert (ran.code, "\x1b" in ran.err, "UNKNOWN (timeout, exit code 3)" in ran.err) == (3, is_live, True)


def test_a_terminal_that_disconnects_changes_nothing(gate: Gate) -> None:
    ours, theirs = pty.openpty()
    scan = {"THREADFIX_PENDING_SCAN_ID": str(gate.threadfix.add(STUCK)), "TERM": "xterm"}
    command = [sys.executable, "-m", "gate", "run", *SLOWLY, "--result-file", str(gate.folder / "result.json")]
    process = subprocess.Popen(command, env=dict(os.environ) | gate.env | scan, stderr=theirs)
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)
    assert process.wait(20) == 3
    assert json.loads((gate.folder / "result.json").read_text())["reason"] == "timeout"

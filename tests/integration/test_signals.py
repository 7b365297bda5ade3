"""Tests of SIGINT and SIGTERM, with real signals to processes.

If the reports exist, the gate stopped in time: after two seconds it ends without them.
"""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from gate.flow.signals import Signals, install
from gate.model.errors import Cancelled
from gate.model.reasons import Reason
from gate.sandbox.scenarios import Scenario, Trickle
from gate.sandbox.server import API_KEY
from tests.conftest import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

STUCK = Scenario("stuck", "", Reason.TIMEOUT, walk=(("FINDINGS_GENERATING", 0),))
HANGS = Scenario("hangs", "", Reason.UNREACHABLE, fault=lambda _: Trickle(headers_too=True))
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
RUN = (sys.executable, "-m", "gate", "run")


class Running:
    """A running gate and its folder."""

    def __init__(self, gate: Gate, process: subprocess.Popen[str]) -> None:
        self.folder = gate.folder
        self.process = process

    def wait(self) -> tuple[int, list[str]]:
        """Return the exit code and the lines of the log."""
        log = self.process.communicate(timeout=30)[1]
        return self.process.returncode, log.splitlines()

    def output(self, name: str) -> str:
        """Return an output of the step."""
        return (self.folder / "output").read_text().partition(f"{name}<<")[2].splitlines()[1]

    def check_reports(self, code: int) -> dict[str, object]:
        """Return the result document, after a check that the outputs and the other reports agree with it."""
        document: dict[str, object] = json.loads((self.folder / "result.json").read_text())
        assert (document["verdict"], document["reason"], document["exit_code"]) == ("unknown", "cancelled", code)
        outputs = [self.output(name) for name in ("verdict", "reason", "exit-code")]
        assert outputs == ["unknown", "cancelled", str(code)]
        assert f"THREADFIX_GATE_EXIT_CODE={code}\n" in (self.folder / "gate.env").read_text()
        assert 'type="cancelled"' in (self.folder / "junit.xml").read_text()
        assert "unknown (cancelled)" in (self.folder / "summary.md").read_text()
        return document


@contextmanager
def started(
    gate: Gate,
    *args: str,
    command: Sequence[str] = RUN,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[Running]:
    """Run the gate in a process on GitHub, with all reports."""
    for name in ("output", "summary.md"):
        (gate.folder / name).touch()
    reports = ("--result-file", "result.json", "--junit-file", "junit.xml", "--dotenv-file", "gate.env")
    with subprocess.Popen(
        [*command, "--interval", "20ms", *reports, *args],
        env=dict(os.environ) | gate.env | {
            "GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary.md"
        },
        cwd=gate.folder,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        try:
            yield Running(gate, process)
        finally:
            process.kill()


def until(true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until `true` returns a true value. The process must not end before."""
    give_up = time.monotonic() + 30
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.01)


def handles_signals(process: int) -> bool:
    """Return whether a process handles_signals both signals. Python itself handles_signals only SIGINT."""
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


@pytest.mark.parametrize("number", CODES)
def test_a_stopped_gate_writes_all_its_outputs_and_reports(number: signal.Signals, gate: Gate) -> None:
    """Exit code, outputs, reports, the last status, and the command to keep waiting."""
    scan = gate.threadfix.add(STUCK)
    with started(gate, "--pending-scan-id", str(scan), "--timeout", "1h") as running:
        until(lambda: len(gate.threadfix.seen) > 1, running.process)
        running.process.send_signal(number)
        code, log = running.wait()
    assert code == CODES[number]
    document = running.check_reports(code)
    assert document["status"] == "FINDINGS_GENERATING"
    assert f"pending scan {scan} of application 6 " in str(document["message"])
    label = "To keep waiting, run: "
    resume = next(line for line in log if line.startswith(label)).removeprefix(label)
    assert resume == document["resume"]
    assert API_KEY not in resume
    assert log[-1].startswith(f"UNKNOWN (cancelled, exit code {code}): ")


def test_the_command_to_keep_waiting_works_as_printed(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shell with the key in its environment."""
    scan = gate.threadfix.add(Scenario("slow", "", Reason.PROCESSED, walk=(("QUEUED", 30), ("DONE", 0))))
    with started(gate, "--pending-scan-id", str(scan)) as running:
        until(lambda: gate.threadfix.seen, running.process)
        running.process.terminate()
        running.wait()
    resume = shlex.split(str(json.loads((gate.folder / "result.json").read_text())["resume"]))
    command = resume.index("run")
    assert resume[command - 2 : command] == ["-m", "gate"]
    monkeypatch.chdir(gate.folder)
    ran = gate(*resume[command + 1 :])
    assert (ran.code, ran.document["pending_scan_id"]) == (0, scan)


@pytest.mark.parametrize("number", CODES)
def test_a_hanging_request_does_not_delay_the_end(number: signal.Signals, gate: Gate) -> None:
    """Neither the reports nor the end of the process wait for a server."""
    scan = gate.threadfix.add(HANGS)
    with started(gate, "--pending-scan-id", str(scan), "--request-timeout", "1h") as running:
        until(lambda: gate.threadfix.seen, running.process)
        running.process.send_signal(number)
        code, _ = running.wait()
    assert code == CODES[number]
    assert "no status received yet" in str(running.check_reports(code)["message"])


@pytest.mark.parametrize("number", CODES)
def test_an_endless_input_does_not_delay_the_end(number: signal.Signals, gate: Gate) -> None:
    """A gate that reads an upload response from a pipe stops, and writes its reports."""
    import fcntl
    import termios

    reading, writing = os.pipe()
    try:
        with started(gate, "--upload-response", "-", stdin=reading) as running:
            os.write(writing, b'{"success":')

            def unread() -> int:
                return int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), sys.byteorder)

            until(lambda: unread() == 0, running.process)
            running.process.send_signal(number)
            code, log = running.wait()
    finally:
        os.close(reading)
        os.close(writing)
    assert code == CODES[number]
    assert log[0] == f"::add-mask::{API_KEY}"
    assert gate.threadfix.seen == []
    running.check_reports(code)


def test_only_the_first_signal_counts(gate: Gate) -> None:
    """Runners, shells and `make` send several. Only the first counts, and the others do not interrupt the reports."""
    scan = gate.threadfix.add(STUCK)
    with started(gate, "--pending-scan-id", str(scan)) as running:
        until(lambda: gate.threadfix.seen, running.process)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            running.process.send_signal(number)
        code, log = running.wait()
    assert code in CODES.values()
    running.check_reports(code)
    assert not [line for line in log if "Traceback" in line]


@pytest.mark.parametrize("starting", [False, True], ids=["while it waits", "while it starts"])
@pytest.mark.parametrize("number", CODES)
def test_it_stops_as_process_1_too(number: signal.Signals, starting: bool, gate: Gate) -> None:  # noqa: FBT001
    """In a container the gate is process 1. The kernel has no default action for its signals."""
    ways = [["unshare", *more, "--pid", "--fork", "--mount-proc", "--kill-child"] for more in ([], ["--map-root-user"])]
    unshare = shutil.which("unshare")
    alone = next(
        (way for way in ways if unshare and not subprocess.call([*way, "true"], stderr=subprocess.DEVNULL)), None
    )
    if not alone:
        pytest.skip("unshare --pid needs root here, so nothing can be process 1")
    scan = gate.threadfix.add(STUCK)
    with started(gate, "--pending-scan-id", str(scan), command=[*alone, *RUN]) as running:
        parent = running.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children")
        until(children.read_text, running.process)
        (first,) = children.read_text().split()
        until(lambda: handles_signals(int(first)) if starting else gate.threadfix.seen, running.process)
        assert "NSpid:\t" in (status := Path(f"/proc/{first}/status").read_text())
        assert status.partition("NSpid:")[2].splitlines()[0].split()[-1] == "1"
        os.kill(int(first), number)
        code, _ = running.wait()
    assert code == CODES[number]
    running.check_reports(code)


# --- The start: the handler comes before the imports.


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Start processes with both signals blocked. The gate unblocks them when its handler is installed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CODES)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux shows as files what is handled; not POSIX"
)
@pytest.mark.parametrize("number", CODES)
def test_a_signal_during_the_imports_is_handled(number: signal.Signals, gate: Gate) -> None:
    """After the handler is installed, a signal leads to all reports."""
    scan = gate.threadfix.add(STUCK)
    with started(gate, "--pending-scan-id", str(scan)) as running:
        until(lambda: handles_signals(running.process.pid), running.process)
        running.process.send_signal(number)
        code, log = running.wait()
    assert code == CODES[number]
    running.check_reports(code)
    assert gate.threadfix.seen == []
    assert not [line for line in log if "Traceback" in line]


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("args", [("--help",), ("run", "--help"), ("demo", "--list")])
def test_a_command_without_requests_is_stopped_too(number: signal.Signals, args: Sequence[str]) -> None:
    """Its exit code is the signal's."""
    with signals_blocked():
        process = subprocess.Popen([*RUN[:-1], *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process.send_signal(number)
    log = process.communicate(timeout=30)[1]
    assert (process.returncode, log) == (CODES[number], "")


EARLY = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "gate.flow.signals":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from gate.__main__ import entry
entry()
"""


def test_a_signal_before_the_handler_kills_the_process() -> None:
    """The signal kills the process. An exception would end with the exit code of a bug."""
    process = subprocess.run([sys.executable, "-c", EARLY, "--help"], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (-signal.SIGINT, "", "")


# --- Other moments.


def test_a_second_signal_during_the_reports_changes_nothing(gate: Gate) -> None:
    """The outputs are written first, the unread document is dropped, and the exit code is the first signal's."""
    reader, writer = os.pipe()
    fill(writer)
    scan = gate.threadfix.add(STUCK)
    with started(gate, "--pending-scan-id", str(scan), "--json", stdout=writer) as running:
        until(lambda: gate.threadfix.seen, running.process)
        running.process.send_signal(signal.SIGTERM)
        until((gate.folder / "output").read_text, running.process)
        running.process.send_signal(signal.SIGINT)
        code, log = running.wait()
    os.close(reader)
    os.close(writer)
    assert code == 143
    running.check_reports(code)
    assert not [line for line in log if "Traceback" in line]


def fill(pipe: int) -> None:
    """Fill a pipe, so that its next writer waits."""
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b" " * 4096)
    os.set_blocking(pipe, True)


@pytest.mark.parametrize("number", CODES)
def test_a_demo_is_stopped_as_its_gate_is(number: signal.Signals, gate: Gate) -> None:
    command = [sys.executable, "-m", "gate", "demo", "stuck"]
    with subprocess.Popen(command, cwd=gate.folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while "QUEUED" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        log = process.stderr.read()
    assert process.returncode == CODES[number]
    assert f"UNKNOWN (cancelled, exit code {CODES[number]})" in log


WAYS: dict[str, tuple[str, ...]] = {
    "status": ("--pending-scan-id", "{stuck}"),
    "hanging status": ("--pending-scan-id", "{hangs}", "--request-timeout", "1h"),
    "standard input": ("--upload-response", "-"),
    "upload": ("--scan-file", "stuck.json"),
}


@pytest.mark.parametrize("way", WAYS)
def test_ten_signals_at_random_moments_stop_the_gate(way: str, gate: Gate) -> None:
    """From the start of Python on. None of these gates would end by itself, so no signal is lost."""
    chance = random.Random()  # noqa: S311 - not a secret
    scans = {"stuck": gate.threadfix.add(STUCK), "hangs": gate.threadfix.add(HANGS)}
    args = [arg.format_map(scans) for arg in WAYS[way]]
    reader, writer = os.pipe()

    def stop(turn: int) -> tuple[float, signal.Signals, int, str]:
        moment, number = chance.uniform(0, 0.6), chance.choice(list(CODES))
        folder = gate.folder / str(turn)
        folder.mkdir()
        (folder / "stuck.json").write_text(f'{{"results": [{turn}]}}')
        own = Gate(gate.threadfix, gate.url, folder, gate._capfd)  # noqa: SLF001 - the same, in another folder
        with signals_blocked(), started(own, *args, stdin=reader) as running:
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(moment)
            running.process.send_signal(number)
            code, _ = running.wait()
            # The outputs are written first. On a very slow machine, there may be no time for the other reports.
            return moment, number, code, running.output("reason")

    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(stop, range(10)))
    os.close(reader)
    os.close(writer)
    assert [(code, reason) for _, _, code, reason in ends] == [(CODES[end[1]], "cancelled") for end in ends], ends


# --- The handler, and the wait of the main thread.


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[Signals]:
    """Install handlers for both signals in this process, which goes on."""
    monkeypatch.setattr(Signals, "end_late", lambda _: None)
    before = {number: signal.getsignal(number) for number in CODES}
    yield install()
    for number, handler in before.items():
        signal.signal(number, handler)


class Lost:
    """Calls `end` in `__del__`. Python ignores exceptions there."""

    def __init__(self, end: Callable[[], None]) -> None:
        self.end = end

    def __del__(self) -> None:
        self.end()


def test_a_handler_raises_nothing(signals: Signals) -> None:
    """Only the first signal counts, and no signal is lost if Python ignores exceptions."""
    Lost(lambda: signal.raise_signal(signal.SIGTERM))
    signal.raise_signal(signal.SIGINT)
    assert signals.number == signal.SIGTERM
    with pytest.raises(Cancelled) as caught:
        signals.check()
    assert caught.value.exit_code == 143


@pytest.mark.parametrize("waits", [lambda signals: signals.receive(SimpleQueue()), lambda signals: signals.call(hang)])
def test_a_signal_wakes_the_main_thread(
    waits: Callable[[Signals], object], signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the next tick, and even if `work` hangs."""
    monkeypatch.setattr("gate.flow.signals.TICK", 60)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with suppress(Cancelled):
        assert waits(signals) is None
    assert signals.number == signal.SIGINT
    timer.join()


def hang() -> None:
    """Block until the test is over."""
    threading.Event().wait(60)


def test_work_is_done_in_another_thread() -> None:
    """Its result is returned, and its error raised. After a signal it does not begin."""
    signals = Signals()
    assert signals.call(threading.get_ident) != threading.get_ident()
    assert signals.call(lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        signals.call(lambda: 1 / 0)
    signals.stop(15)
    with pytest.raises(Cancelled):
        signals.call(hang)


@pytest.mark.parametrize(
    ("number", "decided", "code", "ends"),
    [(None, None, 2, 2), (15, None, 0, 143), (2, None, 70, 130), (15, 0, 0, 0), (15, 1, 70, 1), (None, 0, 70, 70)],
)
def test_only_a_verdict_outlives_a_signal(number: int | None, decided: int | None, code: int, ends: int) -> None:
    """Any other process ends with the signal's exit code."""
    signals = Signals()
    signals.number, signals.exit_code = number, decided
    assert signals.end(code) == ends

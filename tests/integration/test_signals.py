"""SIGINT and SIGTERM, with real signals to processes.

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import jsonschema
import pytest

from gate.flow.signals import Signals, install
from gate.model.reasons import Cancelled, Reason
from gate.sandbox.scenarios import Scenario, Trickle
from gate.sandbox.server import API_KEY
from tests.steps import KILLED, Step, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.conftest import Gate

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

STUCK = Scenario("stuck", "", Reason.TIMEOUT, walk=(("FINDINGS_GENERATING", 0),))
HANGS = Scenario("hangs", "", Reason.UNREACHABLE, fault=lambda _: Trickle(headers_too=True))
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "result.schema.json").read_text())
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
REPORTS = ("--result-file", "result.json", "--junit-file", "junit.xml", "--dotenv-file", "gate.env")


@pytest.fixture
def step(gate: Gate) -> Step:
    return Step(gate, gate.folder)


def stopped(
    step: Step, process: subprocess.Popen[str], *numbers: signal.Signals
) -> tuple[dict[str, object], list[str]]:
    """Send the signals; check that all outputs and reports agree; return the result document and the log's lines."""
    for number in numbers:
        process.send_signal(number)
    lines = process.communicate(timeout=KILLED)[1].splitlines()
    code = process.returncode
    assert code in {CODES[number] for number in numbers}
    document: dict[str, object] = json.loads((step.folder / "result.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert (document["verdict"], document["reason"], document["exit_code"]) == ("unknown", "cancelled", code)
    assert [step.output(name) for name in ("verdict", "reason", "exit-code")] == ["unknown", "cancelled", str(code)]
    assert f"THREADFIX_GATE_EXIT_CODE={code}\n" in (step.folder / "gate.env").read_text()
    assert 'type="cancelled"' in (step.folder / "junit.xml").read_text()
    assert "unknown (cancelled)" in (step.folder / "summary.md").read_text()
    assert not [line for line in lines if "Traceback" in line]
    return document, lines


def handles_signals(process: int) -> bool:
    """Return whether a process handles SIGTERM. Python itself handles only SIGINT."""
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


@pytest.mark.parametrize(
    ("numbers", "scenario", "message"),
    [
        ((signal.SIGINT,), STUCK, "pending scan {} of application 6 "),
        # A request under way does not delay the end.
        ((signal.SIGTERM,), HANGS, "no status received yet"),
        # Runners, shells and `make` send several. Only the first counts, and the others do not interrupt the reports.
        ((*CODES, *CODES), STUCK, "FINDINGS_GENERATING"),
    ],
)
def test_a_stopped_gate_writes_all_its_outputs_and_reports(
    numbers: tuple[signal.Signals, ...], scenario: Scenario, message: str, step: Step
) -> None:
    scan = step.threadfix.add(scenario)
    args = ("--pending-scan-id", str(scan), "--timeout", "1h", "--request-timeout", "1h", *REPORTS)
    with step.start(*args) as process:
        until(lambda: len(step.threadfix.seen) > (scenario is STUCK), process)
        document, log = stopped(step, process, *numbers)
    assert document["status"] == (None if scenario is HANGS else "FINDINGS_GENERATING")
    assert message.format(scan) in str(document["message"])
    resume = next(line for line in log if line.startswith("To keep waiting, run: ")).partition(": ")[2]
    assert resume == document["resume"]
    assert API_KEY not in resume
    assert any(line.startswith(f"UNKNOWN (cancelled, exit code {document['exit_code']}): ") for line in log)


def test_the_command_to_keep_waiting_works_as_printed(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = step.threadfix.add(Scenario("slow", "", Reason.PROCESSED, walk=(("QUEUED", 30), ("DONE", 0))))
    with step.start("--pending-scan-id", str(scan), *REPORTS) as process:
        until(lambda: step.threadfix.seen, process)
        document, _ = stopped(step, process, signal.SIGTERM)
    resume = shlex.split(str(document["resume"]))
    assert resume[1:4] == ["-m", "gate", "run"]
    monkeypatch.chdir(step.folder)
    ran = step.gate(*resume[4:])
    assert (ran.code, ran.document["pending_scan_id"]) == (0, scan)


@pytest.mark.parametrize(
    ("number", "starting"), [(signal.SIGINT, False), (signal.SIGTERM, True)], ids=["while it waits", "while it starts"]
)
def test_it_stops_as_process_1_too(number: signal.Signals, starting: bool, step: Step) -> None:  # noqa: FBT001
    """In a container the gate is process 1. The kernel has no default action for its signals."""
    ways = [["unshare", *more, "--pid", "--fork", "--mount-proc", "--kill-child"] for more in ([], ["--map-root-user"])]
    unshare = shutil.which("unshare")
    alone = next(
        (way for way in ways if unshare and not subprocess.call([*way, "true"], stderr=subprocess.DEVNULL)), None
    )
    if not alone:
        pytest.skip("unshare --pid needs root here, so nothing can be process 1")
    scan = str(step.threadfix.add(STUCK))
    with step.start("--pending-scan-id", scan, *REPORTS, prefix=alone) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(children.read_text, process)
        (first,) = children.read_text().split()
        until(lambda: handles_signals(int(first)) if starting else step.threadfix.seen, process)
        assert "NSpid:\t" in (status := Path(f"/proc/{first}/status").read_text())
        assert status.partition("NSpid:")[2].splitlines()[0].split()[-1] == "1"
        os.kill(int(first), number)
        process.communicate(timeout=KILLED)
    assert process.returncode == CODES[number]
    # On a busy machine, the start may take longer than the time that a signal leaves for the outputs.
    assert step.reason == "cancelled" or (starting and not step.reason)


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
def test_a_signal_during_the_imports_is_handled(step: Step) -> None:
    with step.start("--pending-scan-id", str(step.threadfix.add(STUCK)), *REPORTS) as process:
        until(lambda: handles_signals(process.pid), process)
        stopped(step, process, signal.SIGTERM)
    assert step.threadfix.seen == []


@pytest.mark.parametrize(("number", "args"), [(signal.SIGTERM, ("run", "--help")), (signal.SIGINT, ("demo", "--list"))])
def test_a_command_without_requests_is_stopped_too(number: signal.Signals, args: Sequence[str]) -> None:
    with signals_blocked():
        command = [sys.executable, "-m", "gate", *args]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process.send_signal(number)
    log = process.communicate(timeout=KILLED)[1]
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
    process = subprocess.run([sys.executable, "-c", EARLY, "--help"], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (-signal.SIGINT, "", "")


# --- Other moments.


def test_a_demo_is_stopped_as_its_gate_is(step: Step) -> None:
    with step.start("stuck", command="demo") as process:
        assert process.stderr
        while "QUEUED" not in process.stderr.readline():
            assert process.poll() is None
        process.terminate()
        log = process.stderr.read()
    assert process.wait() == 143
    assert "UNKNOWN (cancelled, exit code 143)" in log


WAYS = (
    ("--pending-scan-id", "{stuck}"),
    ("--pending-scan-id", "{hangs}", "--request-timeout", "1h"),
    ("--upload-response", "-"),
    ("--scan-file", "stuck.fpr"),
)


@pytest.mark.unmeasured
def test_ten_signals_at_random_moments_stop_the_gate(step: Step) -> None:
    """From the start of Python on. None of these gates would end by itself, so no signal is lost."""
    chance = random.Random()  # noqa: S311 - not a secret
    scans = {"stuck": step.threadfix.add(STUCK), "hangs": step.threadfix.add(HANGS)}
    reader, writer = os.pipe()

    def stop(turn: int) -> tuple[float, signal.Signals, int, str]:
        moment, number = chance.uniform(0, 0.6), chance.choice(list(CODES))
        own = Step(step.gate, step.folder / str(turn))
        (own.folder / "stuck.fpr").write_text(f'{{"results": [{turn}]}}')
        args = [arg.format_map(scans) for arg in WAYS[turn % len(WAYS)]]
        with signals_blocked(), own.start(*args, stdin=reader) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            process.send_signal(number)
            process.communicate(timeout=KILLED)
            # The outputs are written first. On a very slow machine, there may be no time for the other reports.
            return moment, number, process.returncode, own.reason

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


def test_a_handler_raises_nothing(signals: Signals) -> None:
    """Only the first signal counts, and no signal is lost if Python ignores exceptions."""

    class Lost:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    Lost()
    signal.raise_signal(signal.SIGINT)
    assert signals.number == signal.SIGTERM
    with pytest.raises(Cancelled) as caught:
        signals.check()
    assert caught.value.exit_code == 143


@pytest.mark.parametrize("waits", [lambda signals: signals.receive(SimpleQueue()), lambda signals: signals.call(hang)])
def test_a_signal_wakes_the_main_thread(
    waits: Callable[[Signals], object], signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gate.flow.signals.TICK", 60)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with suppress(Cancelled):
        assert waits(signals) is None
    assert signals.number == signal.SIGINT
    timer.join()


def hang() -> None:
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

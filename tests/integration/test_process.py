"""The gate's process: streams, folders, proxies, threads and endless files, with the limits of the system."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from gate.cli import main
from gate.model.reasons import Reason
from gate.sandbox.scenarios import Scenario
from gate.sandbox.server import API_KEY
from tests.steps import KILLED, Step, full_pipe, until

if TYPE_CHECKING:
    from tests.conftest import Gate

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither such pipes nor such limits")

DONE = Scenario("done", "", Reason.PROCESSED)
SLOW = Scenario("slow", "", Reason.PROCESSED, walk=(("QUEUED", 10), ("CHANNEL_MERGING", 10), ("DONE", 0)))
STUCK = Scenario("stuck", "", Reason.TIMEOUT, walk=(("QUEUED", 0),))


@pytest.fixture
def step(gate: Gate) -> Step:
    return Step(gate, gate.folder / "step")


def scan(step: Step, scenario: Scenario = DONE) -> tuple[str, str]:
    return "--pending-scan-id", str(step.threadfix.add(scenario))


# --- Streams.


def test_an_unread_log_delays_nothing(step: Step) -> None:
    with full_pipe() as (_, writer):
        done = step.run(*scan(step, SLOW), "-v", "--result-file", "result.json", stderr=writer)
    document = json.loads((step.folder / "result.json").read_text())
    assert (done.returncode, document["reason"], step.reason) == (0, "processed", "processed")
    assert document["polls"] > 2


def test_a_signal_ends_a_gate_with_an_unread_log(step: Step) -> None:
    with full_pipe() as (_, writer), step.start(*scan(step, STUCK), stderr=writer) as process:
        until(lambda: len(step.threadfix.seen) > 1, process)
        process.terminate()
        assert process.wait(KILLED) == 143
    assert step.reason == "cancelled"


def test_an_unread_document_delays_nothing(step: Step) -> None:
    with full_pipe() as (_, writer):
        done = step.run(*scan(step), "--json", "--result-file", "result.json", stdout=writer)
    assert (done.returncode, step.reason) == (0, "processed")
    assert json.loads((step.folder / "result.json").read_text())["verdict"] == "pass"
    assert "--json could not be written (nobody reads it). The verdict stands." in done.stderr
    assert done.stderr.splitlines()[-1].startswith("PASS (processed)")
    with full_pipe() as (_, writer):
        done = step.run("--json", command="doctor", stdout=writer)
    assert (done.returncode, "--json could not be written (nobody reads it)" in done.stderr) == (0, True)


def test_the_key_is_not_written_into_a_log_file(step: Step) -> None:
    """With `2>gate.log`, no runner reads the mask command, so it is not written."""
    with (step.folder / "gate.log").open("w") as log:
        done = step.run(*scan(step), "-v", stderr=log)
    written = (step.folder / "gate.log").read_text()
    assert (done.returncode, step.reason) == (0, "processed")
    assert "PASS (processed)" in written
    assert API_KEY not in written + done.stdout


def test_a_closed_standard_input_is_a_usage_error(step: Step) -> None:
    done = step.run("--upload-response", "-", prefix=("sh", "-c", 'exec "$0" "$@" <&-'))
    assert (done.returncode, step.reason) == (2, "usage")
    assert "cannot be read (standard input is closed)" in done.stderr


def test_a_standard_input_that_does_not_block_is_read_to_its_end(step: Step) -> None:
    """An empty pipe is not its end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with step.start("--upload-response", "-", stdin=reader) as process:
        os.close(reader)
        assert process.stderr
        process.stderr.readline()
        time.sleep(0.1)
        os.write(writer, b"<html>")
        os.close(writer)
        log = process.stderr.read()
        assert process.wait(KILLED) == 2
    assert "--upload-response: this is not ThreadFix's response" in log


# --- Folders and names.


def test_a_deleted_working_folder_is_a_usage_error(step: Step) -> None:
    gone = shlex.quote(str(step.folder / "gone"))
    shell = ("sh", "-c", f'mkdir {gone} && cd {gone} && rmdir {gone} && exec "$0" "$@"')
    done = step.run("--result-file", "r.json", "--junit-file", "r.xml", prefix=shell)
    assert (done.returncode, step.reason) == (2, "usage")
    assert "the folder that the gate was started in, which is gone; write the whole path" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such names; not POSIX")
def test_a_value_that_is_not_utf_8_is_a_usage_error(step: Step) -> None:
    options = ("--result-file", "--html-file", "--dotenv-file", "--success-statuses")
    done = step.run(*(word for option in options for word in (option, os.fsdecode(b"\xff.json"))), *scan(step))
    assert (done.returncode, step.reason) == (2, "usage")
    assert all(f"{option}: the value is not UTF-8" in done.stderr for option in options)


def test_a_link_to_nothing_is_not_followed(step: Step) -> None:
    """The report replaces it. No link in a checked-out folder may choose the place of a new file."""
    elsewhere = step.gate.folder / "elsewhere"
    elsewhere.mkdir()
    (step.folder / "report.json").symlink_to(elsewhere / "planted.json")
    (step.folder / "reports").symlink_to(elsewhere / "folder")
    done = step.run(*scan(step), "--result-file", "report.json", "--junit-file", "reports/junit.xml")
    assert (done.returncode, list(elsewhere.iterdir())) == (0, [])
    assert not (step.folder / "report.json").is_symlink()
    assert json.loads((step.folder / "report.json").read_text())["verdict"] == "pass"
    assert "--junit-file reports/junit.xml could not be written" in done.stderr


# --- Proxies.


@pytest.mark.parametrize(
    "proxy",
    ["http://robot:hunter2", "robot:hunter2", "https://robot:hunter2@:8080", "http://robot:hunter2@127.0.0.1:99999",
     "ftp://hunter2", "http://robot:hunter2@[bad", "socks5h://robot:hunter2@127.0.0.1:1080", "SOCKS4://hunter2",
     "socks4a://hunter2"],
)  # fmt: skip
def test_an_invalid_proxy_is_a_usage_error(proxy: str, gate: Gate) -> None:
    """The message names the variable and shows nothing of its value, which may contain a password."""
    env = {"HTTPS_PROXY": proxy, "THREADFIX_URL": "https://tf.invalid"}
    ran = gate("--pending-scan-id", "41", "--json", env=env)
    assert (ran.code, ran.document["reason"], "HTTPS_PROXY " in ran.err) == (2, "usage", True)
    assert ("SOCKS" in ran.err) is proxy.lower().startswith("socks")
    assert "hunter2" not in ran.err + ran.out


# --- Threads.


def no_threads() -> None:
    """Let this process start no thread: the stack of each would exceed any memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_STACK, (1 << 47, resource.getrlimit(resource.RLIMIT_STACK)[1]))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux makes a thread's stack so; other POSIX systems do not")
def test_a_machine_without_threads_is_unreachable_with_advice(step: Step) -> None:
    """It is no bug of the gate. The log names the limit to raise, and the outputs are written."""
    (step.folder / "key").write_text(API_KEY)
    args = (*scan(step), "--api-key-file", "key", "--json")
    done = step.run(*args, env={"THREADFIX_API_KEY": ""}, preexec_fn=no_threads)
    assert (done.returncode, step.reason) == (6, "unreachable"), done.stderr
    assert "ulimit -u" in done.stderr
    assert json.loads(done.stdout)["reason"] == "unreachable"
    assert "Traceback" not in done.stderr


# --- Files that never end.


def test_an_endless_file_is_too_long(gate: Gate) -> None:
    for option, env in (("--api-key-file", {"THREADFIX_API_KEY": ""}), ("--upload-response", {})):
        ran = gate("--pending-scan-id", "41", option, "/dev/zero", env=env)
        assert (ran.code, ran.document["reason"]) == (2, "usage")
        assert "longer than 1 MiB" in ran.err


@pytest.mark.parametrize(
    ("option", "number"), [("--api-key-file", signal.SIGINT), ("--upload-response", signal.SIGTERM)]
)
def test_an_endless_pipe_does_not_delay_a_stopped_gate(number: signal.Signals, option: str, step: Step) -> None:
    """The gate reads it in another thread, and writes its outputs."""
    pipe, writers = step.folder / "pipe", []
    os.mkfifo(pipe)

    def is_read() -> bool:
        try:
            writers.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    with step.start(option, "pipe", env={"THREADFIX_API_KEY": ""} if option == "--api-key-file" else {}) as process:
        until(is_read, process)
        process.send_signal(number)
        _, log = process.communicate(timeout=KILLED)
    os.close(writers[0])
    assert (process.returncode, step.reason) == (128 + number, "cancelled"), log
    assert "Traceback" not in log


def test_a_slow_input_shortens_the_wait(step: Step) -> None:
    """The deadline counts from the start, not from the end of the input."""
    link = f"{step.gate.url}/rest/latest/applications/6/pendingScan/{step.threadfix.add(STUCK)}/status"
    response = json.dumps({"success": True, "object": "", "links": [{"href": link}]})
    args = ("--upload-response", "-", "--result-file", "result.json", "--timeout", "600ms")
    with step.start(*args, stdin=subprocess.PIPE) as process:
        assert process.stderr
        assert process.stderr.readline() == f"::add-mask::{API_KEY}\n"
        time.sleep(0.2)
        process.communicate(response, timeout=KILLED)
    document: dict[str, Any] = json.loads((step.folder / "result.json").read_text())
    assert (process.returncode, document["reason"]) == (3, "timeout")
    assert document["scans"][0]["elapsed_seconds"] < document["elapsed_seconds"] - 0.1


# --- The caller's settings.


def test_python_does_not_change_the_exit_code(step: Step) -> None:
    """With PYTHONINSPECT, Python would read commands from standard input at the end, and exit with their exit code."""
    with step.start("--timeout", "x", env={"PYTHONINSPECT": "1"}, stdin=subprocess.PIPE) as process:
        _, log = process.communicate("raise SystemExit(9)", timeout=KILLED)
    assert process.returncode == 2, log


def test_a_caller_can_replace_the_streams(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    out, log = io.StringIO(), io.StringIO()
    for name, value in step.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", log)
    assert main(["run", *scan(step), "--json"]) == 0
    assert json.loads(out.getvalue())["verdict"] == "pass"
    assert log.getvalue().startswith(f"::add-mask::{API_KEY}\n")
    assert log.getvalue().splitlines()[-1].startswith("PASS (processed)")

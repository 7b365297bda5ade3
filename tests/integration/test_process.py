"""Tests of the gate's process: streams, folders, proxies, threads and endless files.

The tests start real processes, with the limits of the system.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from gate.model.reasons import Reason
from gate.sandbox.scenarios import Scenario
from gate.sandbox.server import API_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.conftest import Gate

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither such pipes nor such limits")

DONE = Scenario("done", "", Reason.PROCESSED)
SLOW = Scenario("slow", "", Reason.PROCESSED, walk=(("QUEUED", 20), ("CHANNEL_MERGING", 20), ("DONE", 0)))
STUCK = Scenario("stuck", "", Reason.TIMEOUT, walk=(("QUEUED", 0),))
QUICK = ("--interval", "10ms", "--max-interval", "40ms")
KILLED = 60
"""Seconds after which a hanging gate is killed, and the test fails."""


class Step:
    """The gate as a step of a job on GitHub."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.folder = gate.folder / "step"
        self.folder.mkdir()
        for name in ("output", "summary.md"):
            (self.folder / name).touch()
        self.env = (
            dict(os.environ)
            | gate.env
            | {
                "GITHUB_ACTIONS": "true",
                "GITHUB_OUTPUT": str(self.folder / "output"),
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            }
        )

    @property
    def reason(self) -> str:
        """The reason in the step's outputs."""
        return (self.folder / "output").read_text().partition("reason<<")[2].splitlines()[1]

    def run(self, *args: str, env: Mapping[str, str] | None = None, **streams: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401 - for `subprocess.run`
        """Run the gate to its end."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        return subprocess.run(
            [sys.executable, "-m", "gate", "run", *QUICK, *args],
            env=self.env | dict(env or {}),
            cwd=options.pop("cwd", self.folder),
            text=True,
            timeout=KILLED,
            check=False,
            **options,
        )

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell with the gate as `$GATE`."""
        # Use a program, because the path of this Python may contain a space.
        program = self.folder / "gate"
        program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-m", "gate", "run", *QUICK])} "$@"\n')
        program.chmod(0o755)
        env = self.env | {"GATE": str(program)}
        return subprocess.run(
            ["sh", "-c", line], env=env, cwd=self.folder, capture_output=True, text=True, timeout=KILLED, check=False
        )


@pytest.fixture
def step(gate: Gate) -> Step:
    """Return a step that runs the gate."""
    return Step(gate)


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


# --- Streams.


def test_an_unread_log_delays_nothing(step: Step) -> None:
    """With a full pipe for standard error, the wait goes on, the reports are written, and the process ends."""
    scan = step.gate.threadfix.add(SLOW)
    with full_pipe() as (_, writer):
        done = step.run("--pending-scan-id", str(scan), "-v", "--result-file", "result.json", stderr=writer)
    document = json.loads((step.folder / "result.json").read_text())
    assert (done.returncode, document["reason"], step.reason) == (0, "processed", "processed")
    assert document["polls"] > 2


def test_an_unread_log_does_not_delay_the_deadline(step: Step) -> None:
    """A full pipe for the log delays neither the wait nor the end by more than a moment."""
    scan = step.gate.threadfix.add(STUCK)
    with full_pipe() as (_, writer):
        done = step.run("--pending-scan-id", str(scan), "-v", "--timeout", "300ms", stderr=writer)
    assert (done.returncode, step.reason) == (3, "timeout")
    (elapsed,) = (step.folder / "output").read_text().partition("elapsed-seconds<<")[2].splitlines()[1:2]
    assert float(elapsed) < 20


def test_a_signal_ends_a_gate_with_an_unread_log(step: Step) -> None:
    """The outputs are written first, and the log does not delay the end."""
    scan = step.gate.threadfix.add(STUCK)
    command = [sys.executable, "-m", "gate", "run", *QUICK, "--pending-scan-id", str(scan)]
    with full_pipe() as (_, writer):
        process = subprocess.Popen(command, env=step.env, cwd=step.folder, stdout=subprocess.DEVNULL, stderr=writer)
        give_up = time.monotonic() + KILLED
        while len(step.gate.threadfix.seen) < 2 and time.monotonic() < give_up:
            time.sleep(0.01)
        process.terminate()
        assert process.wait(KILLED) == 143
    assert step.reason == "cancelled"


def test_an_unread_document_delays_nothing(step: Step) -> None:
    """With a full pipe for `--json`, outputs and files are written, the log has a warning, and the process ends."""
    scan = step.gate.threadfix.add(DONE)
    with full_pipe() as (_, writer):
        done = step.run("--pending-scan-id", str(scan), "--json", "--result-file", "result.json", stdout=writer)
    assert (done.returncode, step.reason) == (0, "processed")
    assert json.loads((step.folder / "result.json").read_text())["verdict"] == "pass"
    assert "--json could not be written (nobody reads it). The verdict stands." in done.stderr
    assert done.stderr.splitlines()[-1].startswith("PASS (processed)")


def test_unread_checks_still_run(step: Step) -> None:
    """A full pipe for `doctor --json` or its log changes neither the checks nor the exit code."""
    command = [sys.executable, "-m", "gate", "doctor", "--json"]
    with full_pipe() as (_, writer):
        done = subprocess.run(
            command, env=step.env, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=KILLED, check=False
        )
        assert "--json could not be written (nobody reads it)" in done.stderr
        done = subprocess.run(
            command, env=step.env, stdout=subprocess.PIPE, stderr=writer, text=True, timeout=KILLED, check=False
        )
        assert json.loads(done.stdout)["ok"]
    assert done.returncode == 0


def test_a_late_reader_gets_everything(step: Step) -> None:
    """No line of the log is lost, the order is kept, and the verdict is the last line."""
    scan = step.gate.threadfix.add(SLOW)
    command = [sys.executable, "-m", "gate", "run", *QUICK, "-v", "--pending-scan-id", str(scan)]
    with full_pipe() as (reader, writer):
        with subprocess.Popen(command, env=step.env, cwd=step.folder, stdout=subprocess.DEVNULL, stderr=writer) as run:
            give_up = time.monotonic() + KILLED
            # A slow gate may make only two requests.
            while not step.gate.threadfix.seen and time.monotonic() < give_up:
                time.sleep(0.01)
            os.set_blocking(reader, False)
            read = b""
            while run.poll() is None or is_readable(reader):
                read += os.read(reader, 65536) if is_readable(reader) else b""
        code = run.returncode
    log = read.decode().lstrip().splitlines()
    polls = [line for line in log if " GET /" in line]
    assert code == 0
    assert log[0] == f"::add-mask::{API_KEY}"
    assert log[-1].startswith("PASS (processed)")
    assert len(polls) == len(step.gate.threadfix.seen)
    assert polls == sorted(polls, key=lambda line: float(line[1:].partition("s]")[0]))


def is_readable(handle: int) -> bool:
    """Return whether there is something to read within a moment."""
    import select

    return bool(select.select([handle], [], [], 0.05)[0])


def test_a_pipe_that_does_not_block_loses_nothing(step: Step) -> None:
    """Some programs give their children such pipes. A write into a full pipe fails, and must be repeated."""
    scan = step.gate.threadfix.add(SLOW)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    command = [sys.executable, "-m", "gate", "run", *QUICK, "-v", "--pending-scan-id", str(scan)]
    with subprocess.Popen(command, env=step.env, cwd=step.folder, stdout=subprocess.DEVNULL, stderr=writer) as process:
        os.close(writer)
        read = b""
        while part := os.read(reader, 64):
            read += part
            time.sleep(0.001)
    os.close(reader)
    assert process.returncode == 0
    log = read.decode().splitlines()
    assert len([line for line in log if " GET /" in line]) == len(step.gate.threadfix.seen)
    assert log[-1].startswith("PASS (processed)")


def test_the_key_is_not_written_into_a_log_file(step: Step) -> None:
    """With `2>gate.log`, no runner reads the mask command, so it is not written. Into a pipe it is written first."""
    scan = step.gate.threadfix.add(DONE)
    with (step.folder / "gate.log").open("w") as log:
        done = step.run("--pending-scan-id", str(scan), "-v", stderr=log)
    written = (step.folder / "gate.log").read_text()
    assert (done.returncode, step.reason) == (0, "processed")
    assert "PASS (processed)" in written
    assert API_KEY not in written + done.stdout
    assert step.run("--pending-scan-id", str(scan)).stderr.startswith(f"::add-mask::{API_KEY}\n")


def test_a_closed_standard_input_is_a_usage_error(step: Step) -> None:
    for option in ("--upload-response", "--api-key-file"):
        key = "" if option == "--upload-response" else "THREADFIX_API_KEY= "
        done = step.shell(f'{key}"$GATE" {option} - 0<&-')
        assert (done.returncode, step.reason) == (2, "usage")
        assert "cannot be read (standard input is closed)" in done.stderr


def test_a_standard_input_that_does_not_block_is_read_to_its_end(step: Step) -> None:
    """An empty pipe is not its end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    command = [sys.executable, "-m", "gate", "run", "--upload-response", "-"]
    with subprocess.Popen(command, env=step.env, cwd=step.folder, stdin=reader, stderr=subprocess.PIPE) as process:
        os.close(reader)
        assert process.stderr
        process.stderr.readline()
        time.sleep(0.1)
        os.write(writer, b"<html>")
        os.close(writer)
        log = process.stderr.read()
    assert process.returncode == 2
    assert b"--upload-response: this is not ThreadFix's response" in log


# --- Folders and names.


def test_a_deleted_working_folder_is_a_usage_error(step: Step) -> None:
    """A relative path means nothing if the working folder was deleted. The outputs are written."""
    gone = step.folder / "gone"
    gone.mkdir()
    done = step.shell(
        f'cd {shlex.quote(str(gone))} && rmdir ../gone && "$GATE" --result-file r.json --junit-file r.xml'
    )
    assert (done.returncode, step.reason) == (2, "usage")
    assert "the folder that the gate was started in, which is gone; write the whole path" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such names; not POSIX")
@pytest.mark.parametrize("option", ["--result-file", "--html-file", "--dotenv-file", "--success-statuses"])
def test_a_value_that_is_not_utf_8_is_a_usage_error(option: str, step: Step) -> None:
    """No output or report could show the value. The outputs are written."""
    scan = step.gate.threadfix.add(DONE)
    done = step.run(option, os.fsdecode(b"\xff.json"), "--pending-scan-id", str(scan))
    assert (done.returncode, step.reason) == (2, "usage")
    assert f"{option}: " in done.stderr
    assert "is not UTF-8" in done.stderr


def test_a_link_to_nothing_is_not_followed(step: Step) -> None:
    """The report replaces it. No link in a checked-out folder may choose the place of a new file."""
    scan = step.gate.threadfix.add(DONE)
    elsewhere = step.gate.folder / "elsewhere"
    elsewhere.mkdir()
    (step.folder / "report.json").symlink_to(elsewhere / "planted.json")
    (step.folder / "reports").symlink_to(elsewhere / "folder")
    done = step.run("--pending-scan-id", str(scan), "--result-file", "report.json", "--junit-file", "reports/junit.xml")
    assert done.returncode == 0
    assert list(elsewhere.iterdir()) == []
    assert not (step.folder / "report.json").is_symlink()
    assert json.loads((step.folder / "report.json").read_text())["verdict"] == "pass"
    assert "--junit-file reports/junit.xml could not be written" in done.stderr


# --- Proxies.


@pytest.mark.parametrize(
    "proxy",
    ["http://robot:hunter2@", "http://robot:hunter2", "robot:hunter2", "https://robot:hunter2@:8080", "ftp://hunter2"],
)
@pytest.mark.parametrize("command", ["run", "doctor"])
def test_an_invalid_proxy_is_a_usage_error(command: str, proxy: str, step: Step) -> None:
    """The message names the variable and shows nothing of its value, which may contain a password."""
    done = subprocess.run(
        [sys.executable, "-m", "gate", command, "--url", "https://tf.invalid", "--pending-scan-id", "41", "--json"],
        env=step.env | {"HTTPS_PROXY": proxy},
        capture_output=True,
        text=True,
        timeout=KILLED,
        check=False,
    )
    assert done.returncode == 2
    assert "HTTPS_PROXY " in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert json.loads(done.stdout)["reason"] == "usage"


def test_a_socks_proxy_is_a_usage_error(step: Step) -> None:
    env = {"ALL_PROXY": "socks5h://127.0.0.1:1080"}
    done = step.run("--url", "https://tf.invalid", "--pending-scan-id", "41", env=env)
    assert (done.returncode, step.reason) == (2, "usage")
    assert "SOCKS" in done.stderr


# --- Threads.


def no_threads() -> None:
    """Let this process start no thread: the stack of each would exceed any memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_STACK, (1 << 47, resource.getrlimit(resource.RLIMIT_STACK)[1]))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux makes a thread's stack so; other POSIX systems do not")
def test_a_machine_without_threads_is_unreachable_with_advice(step: Step) -> None:
    """It is no bug of the gate. The log names the limit to raise, and the outputs are written."""
    scan = step.gate.threadfix.add(DONE)
    (step.folder / "key").write_text(API_KEY)
    args = ("--pending-scan-id", str(scan), "--api-key-file", "key", "--json")
    done = step.run(*args, env={"THREADFIX_API_KEY": ""}, preexec_fn=no_threads)
    assert (done.returncode, step.reason) == (6, "unreachable"), done.stderr
    assert "ulimit -u" in done.stderr
    assert json.loads(done.stdout)["reason"] == "unreachable"
    assert "Traceback" not in done.stderr


# --- Files that never end.


def test_an_endless_file_is_too_long(step: Step) -> None:
    for option, env in (("--api-key-file", {"THREADFIX_API_KEY": ""}), ("--upload-response", {})):
        done = step.run("--pending-scan-id", "41", option, "/dev/zero", env=env)
        assert (done.returncode, step.reason) == (2, "usage")
        assert "longer than 1 MiB" in done.stderr


def test_certificates_from_a_pipe_are_a_usage_error(step: Step) -> None:
    """OpenSSL would open the pipe a second time, and block forever."""
    if not shutil.which("bash"):
        pytest.skip("there is no bash, as POSIX allows")
    for option in ("--ca-file", "--client-cert"):
        command = f'"$GATE" --url https://tf.invalid --pending-scan-id 41 {option} <(echo certificate)'
        done = step.shell(f"bash -c {shlex.quote(command)}")
        assert (done.returncode, step.reason) == (2, "usage")


def writer_of(pipe: Path) -> int:
    """Return a writer of a named pipe as soon as a process opens the pipe."""
    give_up = time.monotonic() + KILLED
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("option", ["--api-key-file", "--upload-response"])
def test_an_endless_pipe_does_not_delay_a_stopped_gate(number: signal.Signals, option: str, step: Step) -> None:
    """The gate reads it in another thread, and writes its outputs."""
    pipe = step.folder / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "gate", "run", option, "pipe"]
    env = step.env | ({"THREADFIX_API_KEY": ""} if option == "--api-key-file" else {})
    with subprocess.Popen(command, env=env, cwd=step.folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            writer = writer_of(pipe)
            process.send_signal(number)
            _, log = process.communicate(timeout=KILLED)
        finally:
            process.kill()
    os.close(writer)
    assert process.returncode == 128 + number, log
    assert "Traceback" not in log
    assert step.reason == "cancelled"


def test_a_slow_input_shortens_the_wait(step: Step) -> None:
    """The deadline counts from the start, not from the end of the input."""
    link = f"{step.gate.url}/rest/latest/applications/6/pendingScan/{step.gate.threadfix.add(STUCK)}/status"
    response = json.dumps({"success": True, "object": "", "links": [{"href": link}]})
    command = [sys.executable, "-m", "gate", "run", "--upload-response", "-", "--result-file", "result.json"]
    with subprocess.Popen(
        [*command, "--timeout", "1s", *QUICK],
        env=step.env, cwd=step.folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr
        assert process.stderr.readline() == f"::add-mask::{API_KEY}\n"
        time.sleep(0.2)
        process.communicate(response, timeout=KILLED)
    document: dict[str, Any] = json.loads((step.folder / "result.json").read_text())
    assert (process.returncode, document["reason"]) == (3, "timeout")
    assert document["scans"][0]["elapsed_seconds"] < document["elapsed_seconds"] - 0.1


# --- Python's own settings.


@pytest.mark.parametrize(
    ("command", "code"),
    [(("demo", "done"), 0), (("demo", "interrupted"), 1), (("run", "--timeout", "x"), 2), (("--help",), 0)],
)
def test_python_does_not_change_the_exit_code(command: tuple[str, ...], code: int) -> None:
    """With PYTHONINSPECT, Python would read commands from standard input at the end, and exit with their exit code."""
    speed = ("--speed", "50", "--interval", "10ms") if command[0] == "demo" else ()
    env = dict(os.environ) | {"PYTHONINSPECT": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "gate", *command, *speed],
        env=env, input="raise SystemExit(9)", capture_output=True, text=True, timeout=KILLED, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr


# --- Programs.


def test_a_caller_can_replace_the_streams(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program can replace standard output and standard error."""
    import io

    from gate.cli import main

    out, log = io.StringIO(), io.StringIO()
    on_github = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": os.devnull, "GITHUB_STEP_SUMMARY": os.devnull}
    for name, value in (gate.env | on_github).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", log)
    assert main(["run", "--pending-scan-id", str(gate.threadfix.add(DONE)), "--json"]) == 0
    assert json.loads(out.getvalue())["verdict"] == "pass"
    assert log.getvalue().startswith(f"::add-mask::{API_KEY}\n")
    assert log.getvalue().splitlines()[-1].startswith("PASS (processed)")

"""The commands `demo` and `sandbox`, and the sandbox with clients other than the gate."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from gate.cli import main
from gate.sandbox.scenarios import GROUPS, SCENARIOS
from gate.sandbox.server import API_KEY, Scan, ThreadFix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Gate, Serve

GOOD = {"Accept": "application/json", "Authorization": f"APIKEY {API_KEY}"}


# Each demo shows these texts in this order.
DEMOS = [
    (("interrupted",), 1, ("$ threadfix-gate run --url http://127.0.0.1:", "FAIL (scan-failed, exit code 1)",
                           "(exit code 1)", "threadfix-gate run --url https://tf.example.com/threadfix")),
    (("--speed", "10", "interrupted", "done"), 2, ("unexpected argument (value not shown)",)),
    (("upload", "--scan-file", "{}/interrupted.fpr"), 1, ("SCAN_INTERRUPTED",)),
    (("upload", "--generation", "legacy"), 0, ("processed immediately as scan",)),
    (("upload", "--generation", "2.4.5"), 7, ("2.5",)),
    (("upload", "--generation", "2.5"), 0, ("PASS (processed)",)),
]  # fmt: skip


@pytest.mark.parametrize(("args", "code", "texts"), DEMOS)
def test_a_demo_prints_its_command_and_ends_as_the_gate(
    args: tuple[str, ...], code: int, texts: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The name of the user's file selects the scenario."""
    (tmp_path / "interrupted.fpr").write_bytes(b"x")
    filled = [arg.format(tmp_path) for arg in args]
    speed = [] if "--speed" in args else ["--speed", "60"]
    assert main(["demo", *filled, *speed, "--interval", "20ms"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    for text in texts:
        assert text in err
        err = err.partition(text)[2]


def test_the_demo_accepts_the_gate_s_options(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """They override the options of the scenario. Values that may hold a secret are not printed."""
    options = ["--timeout", "0", "--json", "--on-timeout", "warn", "--html-file", str(tmp_path / "key")]
    assert main(["demo", "stuck", "--speed", "20", *options]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["reason"] == "timeout"
    # The server has stopped, so no command can resume the wait.
    assert "What to do: Nothing: the sandbox has stopped" in err
    (shown,) = [line for line in err.splitlines() if line.startswith("$ ")]
    assert shown.endswith(" --timeout 0 --json --on-timeout warn --html-file ...")


def test_the_demo_uploads_a_temporary_file(capfd: pytest.CaptureFixture[str]) -> None:
    """The file is in the printed command, and is deleted at the end."""
    assert main(["demo", "upload", "--speed", "20", "--interval", "50ms"]) == 0
    log = capfd.readouterr().err
    (shown,) = [shlex.split(line) for line in log.splitlines() if line.startswith("$ ")]
    file = Path(shown[shown.index("--scan-file") + 1])
    assert ("--pending-scan-id" in shown, file.name, file.parent.exists()) == (False, "upload.fpr", False)
    assert "PASS (processed): pending scan 68 of application 6 (upload.fpr)" in log


def test_the_demo_lists_its_scenarios_with_their_verdicts(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list"]) == 0
    out, _ = capfd.readouterr()
    for scenario in SCENARIOS.values():
        row = scenario.expect.row
        end = f"{row.kind} ({scenario.expect}), exit code {row.exit_code}"
        assert f"\n  {scenario.name:<18} {end}\n      {scenario.describe()}\n" in f"{out}\n"
    assert re.findall(r"^(\S.*):$", out, re.MULTILINE) == list(GROUPS)


def test_the_demo_names_the_duration_as_it_is_played(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--speed", "20", "--interval", "50ms"]) == 0
    log = capfd.readouterr().err
    assert "Scenario 'release': The gate uploads a report, waits 0.5 seconds, through an outage, and" in log
    assert re.search(r"uploading.*error: .*recovered.*policies: passing, fresh.*PASS \(", log, re.DOTALL)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("demo", "nonsense"), "unknown scenario; use one of done, slow, "),
        (("demo", "done", "--speed", "fast"), "--speed must be a factor"),
        (("demo", "done", "--generation", "2.2"), "--generation must be a version of ThreadFix"),
        (("demo", "done", "--tiemout", "1"), "did you mean --timeout?"),
        (("sandbox", "--port", "http"), "--port must be a number"),
        (("sandbox", "--host", "nowhere.invalid"), "cannot bind to this address"),
    ],
)
def test_invalid_options_are_reported(args: tuple[str, ...], text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    assert text in capfd.readouterr().err


def test_a_port_in_use_is_an_invalid_option(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["sandbox", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot bind" in capfd.readouterr().err


@contextmanager
def sandbox(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Run the sandbox in a process; yield it, its URL, and its log so far."""
    command = [sys.executable, "-m", "gate", "sandbox", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        exported = dict(shlex.split(process.stdout.readline())[1].split("=", 1) for _ in range(4))
        log: list[str] = []
        while not log or not log[-1].startswith("An upload queues"):
            log.append(process.stderr.readline() or pytest.fail(str(log)))
        try:
            yield process, exported["THREADFIX_URL"], log
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_serves_until_it_is_stopped(number: signal.Signals) -> None:
    """It prints shell exports for a client."""
    with sandbox("--speed", "20") as (process, url, shown):
        status = f"{url}/rest/latest/applications/6/pendingScan/41/status"
        assert requests.get(status, headers=GOOD, timeout=10).json()["object"]["status"] == "QUEUED"
        process.send_signal(number)
        _, end = process.communicate(timeout=10)
    log = "".join(shown) + end
    assert (process.returncode, "→ 200" in log) == (128 + number, True)
    for name, scenario in SCENARIOS.items():
        assert (f"  {name} " in log) == (not scenario.files)
    assert "[THREADFIX_APPLICATION_ID=12] [--policy all]" in log
    assert "is DONE after 0.5 seconds." in log


def test_a_quiet_sandbox_that_is_open_to_the_network_warns_and_logs_no_request() -> None:
    """The exported URL has the loopback address, because the gate allows plain http only there."""
    with sandbox("--host", "0.0.0.0", "--quiet") as (process, url, log):  # noqa: S104 - the test is about it
        assert url.startswith("http://127.0.0.1:")
        assert log[0] == "warning: anybody who can reach this machine can reach the sandbox.\n"
        requests.get(url, headers=GOOD, timeout=10, allow_redirects=False)
        process.terminate()
        assert process.communicate(timeout=10)[1] == ""


def test_the_gate_waits_for_an_upload_of_another_client(gate: Gate) -> None:
    files = {"file": ("interrupted.fpr", b"x" * 100_000)}
    url = f"{gate.url}/rest/latest/applications/6/upload"
    response = requests.post(url, files=files, headers=GOOD | {"Expect": "100-continue"}, timeout=10)
    file = gate.folder / "upload.json"
    file.write_bytes(response.content)
    ran = gate("--upload-response", str(file), env={"THREADFIX_APPLICATION_ID": ""})
    assert (ran.code, ran.document["status"]) == (1, "SCAN_INTERRUPTED")
    assert ran.document["pending_scan_id"] == max(gate.threadfix.scans)


def test_a_pending_scan_belongs_to_an_application(threadfix: ThreadFix, serve: Serve) -> None:
    """A redirect from a page of ThreadFix leads to its login page."""
    threadfix.scans[99] = Scan(SCENARIOS["done"], application_id=12)
    url = serve(threadfix)
    path = f"{url}/rest/latest/applications/6/pendingScan/99/status"
    assert (
        requests.get(path, headers=GOOD, timeout=10).json()["message"] == "Pending scan lookup failed. Check your ID."
    )
    page = requests.get(f"{url}/dashboard", timeout=10)
    assert page.url.startswith(f"{url}/login.jsp;jsessionid=")
    assert "Username" in page.text


def test_the_url_of_a_sandbox_on_ipv6_has_brackets(threadfix: ThreadFix, serve: Serve) -> None:
    try:
        url = serve(threadfix, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert url.startswith("http://[::1]:")
    assert requests.get(f"{url}/login.jsp", timeout=10).ok

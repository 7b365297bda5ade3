"""The commands `demo` and `sandbox`, as a person uses them, and the sandbox as any client sees it."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from gate.cli import main
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import API_KEY, CONTEXT, Scan, ThreadFix

if TYPE_CHECKING:
    from tests.conftest import Gate, Serve

GOOD = {"Accept": "application/json", "Authorization": f"APIKEY {API_KEY}"}


def test_the_demo_ends_as_its_scenario(capfd: pytest.CaptureFixture[str]) -> None:
    """The demo shows the command that it runs, the gate's own log and what to run next, and ends as the gate does."""
    assert main(["demo", "interrupted", "--speed", "20", "--interval", "50ms"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "$ threadfix-gate run --url http://127.0.0.1:" in err
    assert "FAIL (scan-failed, exit code 1)" in err
    assert "(exit code 1)" in err
    assert "threadfix-gate run --url https://tf.example.com/threadfix" in err


def test_the_scenario_may_come_after_options(capfd: pytest.CaptureFixture[str]) -> None:
    """As `make demo SCENARIO=interrupted` has it; a second scenario is refused."""
    assert main(["demo", "--speed", "20", "--interval", "50ms", "interrupted"]) == 1
    assert "FAIL (scan-failed, exit code 1)" in capfd.readouterr().err
    assert main(["demo", "--speed", "20", "interrupted", "done"]) == 2
    assert "unexpected argument (value not shown)." in capfd.readouterr().err


def test_the_demo_takes_the_gate_s_options(capfd: pytest.CaptureFixture[str]) -> None:
    """Options of the demo take precedence over those of its scenario; their values are not repeated."""
    assert main(["demo", "stuck", "--speed", "20", "--timeout", "0", "--json", "--on-timeout", "warn"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["reason"] == "timeout"
    (shown,) = [line for line in err.splitlines() if line.startswith("$ ")]
    assert shown.endswith(" --timeout ... --json --on-timeout ...")


def test_the_demo_offers_no_command_that_the_stopped_sandbox_cannot_serve(capfd: pytest.CaptureFixture[str]) -> None:
    """After a timeout the demo says that its server is gone, instead of how to keep waiting for it."""
    assert main(["demo", "stuck", "--speed", "20", "--timeout", "0"]) == 3
    log = capfd.readouterr().err
    assert log.count("threadfix-gate run") == 2  # what was run, and what to run with a ThreadFix of one's own
    assert "What to do: Nothing: the sandbox has stopped" in log


def test_the_demo_uploads_a_file_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """The file is there for as long as the gate may read it, and the command shows how to do the same."""
    assert main(["demo", "upload", "--speed", "20", "--interval", "50ms"]) == 0
    log = capfd.readouterr().err
    (shown,) = [shlex.split(line) for line in log.splitlines() if line.startswith("$ ")]
    assert "--pending-scan-id" not in shown
    file = Path(shown[shown.index("--scan-file") + 1])
    assert (file.name, file.parent.exists()) == ("upload.json", False)
    assert "PASS (processed): pending scan 67 of application 6 (upload.json)" in log


def test_the_demo_uploads_the_file_that_it_is_given(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its name chooses what becomes of the scan."""
    file = tmp_path / "interrupted.fpr"
    file.write_bytes(b"x")
    assert main(["demo", "upload", "--speed", "20", "--interval", "50ms", "--scan-file", str(file)]) == 1
    assert "SCAN_INTERRUPTED" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--generation", "legacy"), 0, "processed at once as scan"),
        (("--generation", "2.4.5"), 7, "2.5"),
        (("--generation", "2.5"), 0, "PASS (processed)"),
    ],
)
def test_the_demo_can_be_another_threadfix(
    options: tuple[str, ...], code: int, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The demo plays another version."""
    assert main(["demo", "upload", "--speed", "20", "--interval", "50ms", *options]) == code
    assert says in capfd.readouterr().err


def test_the_demo_holds_a_release_back(capfd: pytest.CaptureFixture[str]) -> None:
    """All policies hold when the scan is DONE; the gate waits for ThreadFix to evaluate it, and says which fails."""
    assert main(["demo", "policy-fail", "--speed", "10", "--interval", "50ms"]) == 1
    log = capfd.readouterr().err
    assert log.index("DONE") < log.index("FAIL (policy-failed")
    assert "1 of 2 policies fails: 'Release'" in log


def test_the_demo_lists_its_scenarios(capfd: pytest.CaptureFixture[str]) -> None:
    """Each with what it does, and the verdict it ends with."""
    assert main(["demo", "--list"]) == 0
    out, _ = capfd.readouterr()
    for scenario in SCENARIOS.values():
        row = scenario.expect.row
        end = f"{row.kind} ({scenario.expect}), exit code {row.exit_code}"
        assert f"{scenario.name:<18} {end}\n    {scenario.about}\n" in f"{out}\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("demo", "nonsense"), "unknown scenario; use one of done, slow, "),
        (("demo", "done", "--speed", "fast"), "--speed must be a factor"),
        (("demo", "done", "--generation", "newest"), "--generation must be a version of ThreadFix"),
        (("demo", "done", "--generation", "2.2"), "--generation must be a version of ThreadFix"),
        (("demo", "done", "--tiemout", "1"), "did you mean --timeout?"),
        (("sandbox", "--port", "http"), "--port must be a number"),
        (("sandbox", "--speed", "0"), "--speed must be a factor"),
        (("sandbox", "--host", "nowhere.invalid"), "cannot bind to this address"),
    ],
)
def test_invalid_options_are_reported(args: tuple[str, ...], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Invalid options end with exit code 2, and nothing is started."""
    assert main(args) == 2
    assert says in capfd.readouterr().err


def test_a_port_in_use_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """A port that is in use is an error message, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["sandbox", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot bind" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_serves_until_it_is_stopped(number: signal.Signals) -> None:
    """The sandbox prints shell exports that point a client at it, and serves until a signal stops it."""
    command = [sys.executable, "-m", "gate", "sandbox", "--speed", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        exported = dict(shlex.split(process.stdout.readline())[1].split("=", 1) for _ in range(4))
        url = f"{exported['THREADFIX_URL']}/rest/latest/applications/6/pendingScan/41/status"
        answer = requests.get(url, headers=GOOD, timeout=10).json()
        assert answer["object"]["status"] == "QUEUED"
        # It answers before it has said all that it has to say.
        log = ""
        while "An upload queues" not in log:
            log += process.stderr.readline() or pytest.fail(log)
        process.send_signal(number)
        log += process.stderr.read()
        assert process.wait(10) == 128 + number
    assert "→ 200" in log
    for name, scenario in SCENARIOS.items():
        assert (f"  {name} " in log) == (scenario.content is None)
    assert "[THREADFIX_APPLICATION_ID=12] [--policy all]" in log


def test_a_sandbox_that_is_open_to_the_network_warns() -> None:
    """A sandbox bound to every address warns, and exports the loopback one, to which plain http is allowed."""
    command = [sys.executable, "-m", "gate", "sandbox", "--host", "0.0.0.0"]  # noqa: S104 - that is what is tested
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    assert process.stdout.readline().startswith("export THREADFIX_URL=http://127.0.0.1:")
    assert process.stderr.readline() == "warning: anybody who can reach this machine can reach the sandbox.\n"
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 143


def test_a_quiet_sandbox_logs_no_request() -> None:
    """With --quiet the sandbox logs no requests."""
    command = [sys.executable, "-m", "gate", "sandbox", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    url = shlex.split(process.stdout.readline())[1].split("=", 1)[1]
    assert process.stderr
    while not process.stderr.readline().startswith("An upload"):
        pass
    requests.get(url, headers=GOOD, timeout=10, allow_redirects=False)
    process.terminate()
    _, log = process.communicate(timeout=10)
    assert log == ""


def test_an_upload_is_waited_for(gate: Gate) -> None:
    """An upload's response is all that the gate needs to wait for the scan, as documented."""
    files = {"file": ("interrupted.fpr", b"x" * 100_000)}
    url = f"{gate.url}/rest/latest/applications/6/upload"
    response = requests.post(url, files=files, headers=GOOD | {"Expect": "100-continue"}, timeout=10)
    answer = gate.folder / "upload.json"
    answer.write_bytes(response.content)
    ran = gate("--upload-response", str(answer), env={"THREADFIX_APPLICATION_ID": ""})
    assert (ran.code, ran.document["status"]) == (1, "SCAN_INTERRUPTED")
    assert ran.document["pending_scan_id"] == max(gate.threadfix.scans)


def test_the_sandbox_refuses_as_threadfix_does(threadfix: ThreadFix, serve: Serve) -> None:
    """The sandbox refuses as ThreadFix does: HTTP 200 for a wrong key or id, 404 for a path, else the login page."""
    threadfix.scans[99] = Scan(SCENARIOS["done"], application_id=7)
    url = serve(threadfix)
    path = f"{url}/rest/latest/applications/6/pendingScan/41/status"

    def says(path: str, **headers: str) -> tuple[int, str]:
        response = requests.get(path, headers=GOOD | headers, timeout=10)
        return response.status_code, response.json()["message"]

    assert says(path) == (200, "Queued")
    assert says(path, Authorization="") == (200, "Authentication failed, check your API Key.")
    assert says(path, Authorization="APIKEY wrong") == (200, "API Key not found in database.")
    assert says(path, Accept="text/html") == (404, "Bad rest request due to unrecognized path.")
    assert says(f"{url}/rest/latest/nonsense") == (404, "Bad rest request due to unrecognized path.")
    assert says(path.replace("/6/", "/7/")) == (200, "Application lookup failed. Check your ID.")
    assert says(path.replace("/41/", "/99/")) == (200, "Pending scan lookup failed. Check your ID.")
    page = requests.get(url.removesuffix(CONTEXT), timeout=10)
    assert page.url == f"{url}/login.jsp"
    assert "ThreadFix Login" in page.text


def test_an_upload_may_come_in_chunks(gate: Gate) -> None:
    """An upload without a Content-Length is read in chunks."""
    url = f"{gate.url}/rest/latest/applications/6/upload"
    form = b'--A\r\nContent-Disposition: form-data; name="file"; filename="a.fpr"\r\n\r\nx\r\n--A--\r\n'
    headers = GOOD | {"Content-Type": "multipart/form-data; boundary=A"}
    assert requests.post(url, data=iter([form[:40], form[40:]]), headers=headers, timeout=10).json()["links"]


def test_the_sandbox_speaks_ipv6(threadfix: ThreadFix, serve: Serve) -> None:
    """The URL of a sandbox on IPv6 has brackets."""
    try:
        url = serve(threadfix, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert url.startswith("http://[::1]:")
    assert requests.get(f"{url}/login.jsp", timeout=10).ok

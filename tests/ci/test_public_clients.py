"""The public clients for ThreadFix, unchanged from PyPI, work with the sandbox."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gate.sandbox.server import API_KEY, APPLICATION_ID, FIRST_PENDING_SCAN, ThreadFix
from tests.ci.conftest import once
from tests.uploads import zap

if TYPE_CHECKING:
    from tests.conftest import Serve

pytestmark = pytest.mark.ci
ROOT = Path(__file__).parents[2]
LOCKS = (ROOT / "requirements/gate.lock", ROOT / "tests/ci/public-clients.lock")
PYTHON = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"


@pytest.fixture(scope="session")
def python() -> Path:
    """Return a Python with the clients and their packages, without the gate; it is kept in .cache."""
    state = hashlib.sha256(b"".join(lock.read_bytes() for lock in LOCKS) + sys.version.encode()).hexdigest()[:16]
    folder = ROOT / ".cache/clients" / state
    folder.mkdir(parents=True, exist_ok=True)
    with once(folder / "installed") as marker:
        if not marker.exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", folder / "env"], check=True)
            options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
            options += [text for lock in LOCKS for text in ("-r", str(lock))]
            command = [str(folder / "env" / PYTHON), str(ROOT / "scripts/run_pip.py"), "install", *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"ThreadFixProAPI and threadfix_api are missing: {done.stderr.strip()[-500:]}")
            marker.touch()
    return folder / "env" / PYTHON


PRO = """
from ThreadFixProApi import ThreadFixProAPI

client = ThreadFixProAPI(url + "/", key)
show(
    upload=client.ScansAPI.upload_scan(application, file),
    again=client.ScansAPI.upload_scan(application, file),
    by_id=client.ApplicationsAPI.get_application_by_id(application),
    by_name=client.ApplicationsAPI.get_application_by_name("Contoso", "Contoso shop"),
    by_unique_id=client.ApplicationsAPI.get_application_in_team_by_unique_id("Contoso", "contoso-shop"),
    in_any_team=client.ApplicationsAPI.get_application_from_any_team_by_unique_id("contoso-shop"),
    nobody=client.ApplicationsAPI.get_application_by_name("Nobody", "Contoso shop"),
    team=client.TeamsAPI.get_team_by_name("Contoso"),
    teams=client.TeamsAPI.get_all_teams(),
    status=client.ScansAPI.check_pending_scan_status(application, scan),
    scans=client.ScansAPI.list_scans(application),
    policies=client.PoliciesAPI.get_application_policy_status(application),
    policy=client.PoliciesAPI.ad_hoc_policy_evaluation(application, 1),
    criteria=client.CICDAPI.evaluate_cicd_pass_criteria(application),
    vulnerabilities=client.VulnerabilitiesAPI.vulnerability_search(applications=[application], show_open=True),
)
"""

OLD = """
from threadfix_api.threadfix import ThreadFixAPI

client = ThreadFixAPI(url + "/", key)
show(
    upload=client.upload_scan(application, file),
    again=client.upload_scan(application, file),
    by_id=client.get_application(application),
    by_name=client.get_application_by_name("Contoso", "Contoso shop"),
    nobody=client.get_application_by_name("Nobody", "Contoso shop"),
    team=client.get_team_by_name("Contoso"),
    team_by_id=client.get_team(2),
    teams=client.list_teams(),
    vulnerabilities=client.get_vulnerabilities(applications=[application], show_open=True),
)
"""

# The start of both scripts.
HEAD = """
import json, sys

url, key, application, scan, file = sys.argv[1:]

def show(**responses):
    names = ("success", "message", "data")
    print(json.dumps({call: {name: getattr(response, name) for name in names} for call, response in responses.items()}))
"""


def call(script: str, python: Path, url: str, file: Path) -> dict[str, dict[str, Any]]:
    """Return the response of a client to each of its calls."""
    arguments = [url, API_KEY, str(APPLICATION_ID), str(FIRST_PENDING_SCAN), str(file)]
    done = subprocess.run(
        [python, "-I", "-W", "ignore", "-c", HEAD + script, *arguments], stdout=subprocess.PIPE, check=True
    )
    responses: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return responses


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A large report of ZAP with one finding."""
    path = tmp_path / "contoso shop.xml"
    path.write_bytes(zap(2, "/a").ljust(100_000))
    return path


@pytest.mark.parametrize("script", [PRO, OLD], ids=["ThreadFixProAPI", "threadfix_api"])
def test_a_public_client_works_unchanged(
    script: str, python: Path, file: Path, threadfix: ThreadFix, serve: Serve
) -> None:
    """Each client uploads, looks up and reads; one client sends the key in a header, the other in the query."""
    responses = call(script, python, serve(threadfix), file)
    refused = {name: response["message"] for name, response in responses.items() if not response["success"]}
    assert refused == {
        "again": "Scan file has already been uploaded.",
        "nobody": "Application lookup failed. Check your ID.",
    }
    # Neither names a version, so the upload returns the finished scan, as before 2.4.5.
    scan = responses["upload"]["data"]
    assert (scan["numberNewVulnerabilities"], scan["findings"][0]["calculatedUrlPath"]) == (1, "/a")
    assert [(upload.name, upload.size) for upload in threadfix.uploads] == [("contoso shop.xml", 100_000)] * 2
    assert responses["by_id"]["data"] == responses["by_name"]["data"]
    assert (responses["by_id"]["data"]["name"], responses["team"]["data"]["name"]) == ("Contoso shop", "Contoso")
    assert responses["team"]["data"]["totalVulnCount"] == responses["teams"]["data"][0]["totalVulnCount"] == 5
    # One client uses `latest`, which since REST 2.7 also returns hidden vulnerabilities and false positives.
    assert len(responses["vulnerabilities"]["data"]) == {PRO: 7, OLD: 5}[script]
    if script == OLD:
        return
    assert responses["by_unique_id"]["data"] == responses["in_any_team"]["data"][0] == responses["by_id"]["data"]
    assert (responses["status"]["data"]["status"], responses["status"]["message"]) == ("QUEUED", "Queued")
    assert [scan["id"] for scan in responses["scans"]["data"]] == [6000, responses["upload"]["data"]["id"]]
    # The response has the shape of the version that introduced the call, because the client names none.
    assert [status["passing"] for status in responses["policies"]["data"]] == [True, True]
    assert responses["policy"]["data"]["currentStatus"] == "PASSING"
    assert responses["criteria"]["data"]["passing"] is True

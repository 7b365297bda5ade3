"""The Jenkins pipelines, run by a small simulation of Jenkins, with real shell steps and the real image.

`jenkins.groovy` knows the sections and steps that the pipelines use, so Groovy parses and runs the files unchanged.
The tests cannot show that Jenkins itself accepts the files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from junitparser import JUnitXml

from gate.model.reasons import REASONS, SIGNAL_EXIT_CODES, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    Sandbox = Callable[[str], dict[str, str]]
    Build = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.ci

ROOT = Path(__file__).parents[2]
DECLARATIVE = ROOT / "examples/jenkins/Jenkinsfile"
SCRIPTED = ROOT / "examples/jenkins/Jenkinsfile.scripted"
LIBRARY = ROOT / "examples/jenkins/Jenkinsfile.library"
RELEASE = ROOT / "examples/jenkins/Jenkinsfile.release"
WAIT = ROOT / "examples/jenkins/Jenkinsfile.wait"
APPLICATIONS = ROOT / "examples/jenkins/Jenkinsfile.applications"
POD = ROOT / "examples/jenkins/Jenkinsfile.pod"
PIPELINES = pytest.mark.parametrize(
    "pipeline", [DECLARATIVE, SCRIPTED, LIBRARY], ids=["declarative", "scripted", "library"]
)
DEPLOYED = "The scan is in ThreadFix, so this version may go out."
FAILED = "ThreadFix gate: fail"
# Both pipelines' label of the agent that has the key.
GATE = "threadfix"
SCAN = '#!/bin/sh\ntest -z "${THREADFIX_API_KEY-}" && echo results >"$2"\n'
PUBLISH = "#!/bin/sh\ntouch published\n"


@pytest.fixture
def build(build_with: Build, docker: Path) -> Build:
    """Return a function that runs a pipeline with the real image and returns the result of the build."""
    return partial(build_with, docker)


@pytest.fixture
def build_with(need_tool: Callable[[str], Path], sandbox: Sandbox, tmp_path: Path) -> Build:
    """Return a function that runs a pipeline with a given `docker` and returns the result of the build."""
    groovy = need_tool("groovy")
    java = need_tool("java").resolve().parents[1]
    # The gate must not use files of the previous build on this agent.
    (tmp_path / GATE / "threadfix-gate").mkdir(parents=True)
    (tmp_path / GATE / "threadfix-gate/junit.xml").write_text("<testsuites/>")

    def run(docker: Path, pipeline: Path, scenario: str, **replaced: str) -> dict[str, Any]:
        variables = sandbox(scenario)
        text = pipeline.read_text(encoding="utf-8")
        text = text.replace("--application-id 6", f"--application-id {variables['THREADFIX_APPLICATION_ID']}")
        file = tmp_path / pipeline.name
        # The name of the uploaded file selects the scenario of the sandbox.
        file.write_text(text.replace("results.fpr", f"{scenario}.fpr").replace("--timeout 45m", "--timeout 2s"))
        key = variables.pop("THREADFIX_API_KEY")
        ids = {name: variables[f"THREADFIX_{name}"] for name in ("APPLICATION_ID", "PENDING_SCAN_ID")}
        del variables["THREADFIX_PENDING_SCAN_ID"]
        known = {
            "agents": str(tmp_path),
            "library": str(ROOT / "vars"),
            "sources": {"scan.sh": SCAN, "publish.sh": PUBLISH},
            "credentials": {"threadfix-api-key": key},
            "parameters": ids,
            "environment": variables | {"GATE_IMAGE": "localhost/threadfix-gate"} | replaced,
        }
        done = subprocess.run(
            [groovy, ROOT / "tests/ci/jenkins.groovy", json.dumps(known), file],
            env={**os.environ, "PATH": f"{docker.parent}:{os.environ['PATH']}", "JAVA_HOME": str(java)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert key not in done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert (result.pop("exposed"), result.pop("unlocked")) == ([], [])
        return result

    return run


def test_the_declarative_pipeline_passes(build: Build, tmp_path: Path) -> None:
    """Upload, wait and deploy: the build is a success, and keeps the report of this very build."""
    result = build(DECLARATIVE, "done")
    assert result["result"] == "SUCCESS"
    assert result["stages"] == ["Scan", "ThreadFix gate", "Deploy"]
    assert result["printed"] == [DEPLOYED]
    assert result["junit"] == ["threadfix-gate/junit.xml"]
    assert result["archived"] == [f"threadfix-gate/{name}" for name in ("junit.xml", "report.html", "result.json")]
    report = JUnitXml.fromfile(str(tmp_path / GATE / "threadfix-gate/junit.xml"))
    assert (report.tests, report.failures, report.errors) == (1, 0, 0)


@PIPELINES
def test_the_key_is_on_an_agent_without_the_repository(build: Build, tmp_path: Path, pipeline: Path) -> None:
    """The scan runs on another agent; the agent with the key has only the report from the repository."""
    build(pipeline, "done")
    assert (tmp_path / "build/scan.sh").exists()
    left = {path.relative_to(tmp_path / GATE).parts[0] for path in (tmp_path / GATE).rglob("*.*")}
    assert left - {"done.fpr", "scan", "threadfix-gate"} == set()
    assert not list((tmp_path / GATE).rglob("*.sh"))


@pytest.mark.parametrize(
    ("scenario", "ends"),
    [
        ("done", ("SUCCESS", [DEPLOYED])),
        ("interrupted", ("FAILURE", [FAILED])),
        ("stuck", ("UNSTABLE", ["ThreadFix gate: unknown, exit code 3"])),
        ("bad-key", ("UNSTABLE", ["ThreadFix gate: unknown, exit code 4"])),
        ("wrong-application", ("UNSTABLE", ["ThreadFix gate: unknown, exit code 7"])),
    ],
)
@PIPELINES
def test_the_result_of_the_build_follows_the_verdict(
    build: Build, scenario: str, ends: tuple[str, list[str]], pipeline: Path
) -> None:
    """Pass is a success, fail a failure, unknown unstable; only a success is deployed."""
    built = build(pipeline, scenario)
    assert (built["result"], built["printed"]) == ends
    assert built["junit"] == ["threadfix-gate/junit.xml"]


@pytest.mark.parametrize(
    ("scenario", "result"),
    [
        ("done", "SUCCESS"),
        ("error-flag", "FAILURE"),
        ("policy-fail", "FAILURE"),
        ("policy-vacuous", "UNSTABLE"),
        ("stuck", "UNSTABLE"),
    ],
)
def test_only_a_pass_is_released(build: Build, tmp_path: Path, scenario: str, result: str) -> None:
    built = build(RELEASE, scenario)
    assert built["result"] == result, built
    assert (tmp_path / "deploy/published").exists() is (result == "SUCCESS")
    assert built["junit"] == ["threadfix-gate/junit.xml"]


@pytest.mark.parametrize(("scenario", "result"), [("done", "SUCCESS"), ("interrupted", "FAILURE")])
def test_an_existing_upload_is_waited_for(build: Build, tmp_path: Path, scenario: str, result: str) -> None:
    """With a pending scan's id as the job's parameter, nothing is uploaded."""
    assert build(WAIT, scenario)["result"] == result
    assert json.loads((tmp_path / GATE / "threadfix-gate/result.json").read_text())["uploads"] == []


@PIPELINES
def test_a_gate_that_did_not_run_is_a_failure(build: Build, pipeline: Path) -> None:
    """If docker cannot start the gate, no report of an earlier build is shown."""
    result = build(pipeline, "done", GATE_IMAGE="localhost/no-such-image")
    assert result["result"] == "FAILURE"
    assert result["printed"] == ["ThreadFix gate: no verdict, exit code 125"]
    assert result["junit"] == []


RESULTS = {Kind.PASS: "SUCCESS", Kind.FAIL: "FAILURE", Kind.UNKNOWN: "UNSTABLE"}
# 125 comes from docker itself, 137 from a kill. A signal to the gate stops the build too, so its code is no verdict.
RESULT_OF = {row.exit_code: RESULTS[row.kind] for row in REASONS.values()} | dict.fromkeys(
    (125, 137, *SIGNAL_EXIT_CODES), "FAILURE"
)


@PIPELINES
@pytest.mark.parametrize("code", RESULT_OF)
def test_every_exit_code_has_its_result(build_with: Build, tmp_path: Path, pipeline: Path, code: int) -> None:
    """Pass is a success, fail a failure, unknown unstable, any other code a failure; only a success is deployed."""
    folder = tmp_path / "stub"
    folder.mkdir()
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\nexit {code}\n")
    docker.chmod(0o755)
    built = build_with(docker, pipeline, "done")
    assert built["result"] == RESULT_OF[code]
    assert (DEPLOYED in built["printed"]) == (built["result"] == "SUCCESS")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("url: 'https://tf.example.com/threadfix', ", ""), ("arguments:", "argumnets:"), ("arguments:", "tool:")],
    ids=["missing", "unknown", "not-a-tool"],
)
def test_an_invalid_option_of_the_library_step_is_named(build: Build, tmp_path: Path, right: str, wrong: str) -> None:
    """A missing, unknown or invalid option fails the build before anything runs."""
    pipeline = tmp_path / "Jenkinsfile.invalid"
    text = LIBRARY.read_text(encoding="utf-8")
    assert right in text
    pipeline.write_text(text.replace(right, wrong))
    built = build(pipeline, "done")
    assert built["result"] == "FAILURE"
    assert built["junit"] == []
    assert "url and credentialsId are required" in built["printed"][0]


def test_a_pod_runs_an_installed_gate(build_with: Build) -> None:
    """With `tool: 'installed'` no engine is needed."""
    # The folder of `docker` comes first in PATH; in it is the gate alone.
    built = build_with(Path(sys.executable).parent / "docker", POD, "done")
    assert (built["result"], built["stages"]) == ("SUCCESS", ["Scan", "ThreadFix gate"])
    assert "threadfix-gate/result.json" in built["archived"]


def test_each_application_has_its_gate(build: Build) -> None:
    built = build(APPLICATIONS, "done")
    assert (built["result"], len(built["archived"])) == ("SUCCESS", 6)


def test_the_library_step_passes_variables_on(build_with: Build, tmp_path: Path) -> None:
    """The container gets the options, the proxy and the private CA of the environment, by name, and more arguments."""
    seen = tmp_path / "seen"
    docker = tmp_path / "stub/docker"
    docker.parent.mkdir()
    docker.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{seen}\n")
    docker.chmod(0o755)
    pipeline = tmp_path / "Jenkinsfile.more"
    text = LIBRARY.read_text(encoding="utf-8")
    pipeline.write_text(text.replace("credentialsId:", "dockerArguments: '--network ci', credentialsId:"))
    more = {"THREADFIX_TEAM_NAME": "Contoso & Co", "HTTPS_PROXY": "http://proxy:3128", "THREADFIX_CA_FILE": "/a b.pem"}
    assert build_with(docker, pipeline, "done", **more)["result"] == "SUCCESS"
    arguments = seen.read_text().split("\n")
    pairs = set(pairwise(arguments))
    assert {("--network", "ci"), ("localhost/threadfix-gate", "run"), ("--volume", "/a b.pem:/a b.pem:ro")} <= pairs
    names = ("THREADFIX_URL", "THREADFIX_API_KEY", "THREADFIX_APPLICATION_ID", "NO_PROXY", *more)
    assert {("--env", name) for name in names} <= pairs
    assert "Contoso" not in seen.read_text()

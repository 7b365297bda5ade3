"""The Jenkins pipelines, run by a small simulation of Jenkins, with real shell steps and the real image.

`jenkins.groovy` knows the sections and steps that the pipelines use, so Groovy parses and runs the files unchanged.
The tests cannot show that Jenkins itself accepts the files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from junitparser import JUnitXml

from gate.model.reasons import REASONS, SIGNAL_EXIT_CODES, Kind
from tests.ci.recipes import readme

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Sandbox = Callable[[str], dict[str, str]]
    Built = dict[str, Any]
    Builds = Callable[..., list[Built]]

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
# The label of the agent that has the key.
GATE = "threadfix"
SCAN = '#!/bin/sh\ntest -z "${THREADFIX_API_KEY-}" && echo results >"$2"\n'
PUBLISH = "#!/bin/sh\ntouch published\n"


@pytest.fixture
def build(builds: Builds, docker: Path) -> Callable[[Path, str], Built]:
    """Return a function that runs a pipeline with the real image and returns the result of the build."""
    return lambda pipeline, scenario: builds(docker, pipeline, scenario)[0]


@pytest.fixture
def builds(need_tool: Callable[[str], Path], sandbox: Sandbox, tmp_path: Path) -> Builds:
    """Return a function that runs a pipeline with a given `docker`, once in each environment."""
    groovy = need_tool("groovy")
    java = need_tool("java").resolve().parents[1]

    def run(docker: Path, pipeline: Path, scenario: str, environments: Sequence[dict[str, str]] = ({},)) -> list[Built]:
        variables = sandbox(scenario)
        text = pipeline.read_text(encoding="utf-8")
        text = text.replace("--application-id 6", f"--application-id {variables['THREADFIX_APPLICATION_ID']}")
        file = tmp_path / pipeline.name
        # The name of the uploaded file selects the scenario of the sandbox.
        timeout = "2s" if scenario == "stuck" else "45m"
        file.write_text(text.replace("results.fpr", f"{scenario}.fpr").replace("--timeout 45m", f"--timeout {timeout}"))
        key = variables.pop("THREADFIX_API_KEY")
        ids = {name: variables[f"THREADFIX_{name}"] for name in ("APPLICATION_ID", "PENDING_SCAN_ID")}
        del variables["THREADFIX_PENDING_SCAN_ID"]
        jobs = []
        for number, environment in enumerate(environments):
            agents = tmp_path / f"agents {number}"
            # The gate must not use files of the previous build on this agent.
            (agents / GATE / "threadfix-gate").mkdir(parents=True)
            (agents / GATE / "threadfix-gate/junit.xml").write_text("<testsuites/>")
            job = {
                "agents": str(agents),
                "library": str(ROOT / "vars"),
                "sources": {"scan.sh": SCAN, "publish.sh": PUBLISH},
                "credentials": {"threadfix-api-key": key},
                "parameters": ids,
                "environment": variables | {"GATE_IMAGE": "localhost/threadfix-gate"} | environment,
            }
            jobs.append(job)
        done = subprocess.run(
            [groovy, ROOT / "tests/ci/jenkins.groovy", json.dumps(jobs), file],
            env={**os.environ, "PATH": f"{docker.parent}:{os.environ['PATH']}", "JAVA_HOME": str(java)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert key not in done.stdout + done.stderr
        results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"result":')]
        assert [(result.pop("exposed"), result.pop("unlocked")) for result in results] == [([], [])] * len(jobs)
        return results

    return run


@pytest.mark.parametrize(
    ("scenario", "ends"),
    [
        ("done", ("SUCCESS", [DEPLOYED])),
        ("interrupted", ("FAILURE", ["ThreadFix gate: fail"])),
        ("stuck", ("UNSTABLE", ["ThreadFix gate: unknown, exit code 3"])),
    ],
)
@PIPELINES
def test_the_result_of_the_build_follows_the_verdict(
    build: Callable[[Path, str], Built], tmp_path: Path, scenario: str, ends: tuple[str, list[str]], pipeline: Path
) -> None:
    """The build keeps its own report, and the agent with the key has only the report from the repository."""
    built = build(pipeline, scenario)
    assert (built["result"], built["printed"]) == ends
    assert built["stages"] == ["Scan", "ThreadFix gate", *(["Deploy"] if scenario == "done" else [])]
    assert built["junit"] == ["threadfix-gate/junit.xml"]
    assert {f"threadfix-gate/{name}" for name in ("junit.xml", "report.html", "result.json")} == set(built["archived"])
    agents = tmp_path / "agents 0"
    report = JUnitXml.fromfile(str(agents / GATE / "threadfix-gate/junit.xml"))
    assert report.tests == 1
    assert (report.failures, report.errors) == (scenario == "interrupted", scenario == "stuck")
    assert (agents / "build/scan.sh").exists()
    left = {path.relative_to(agents / GATE).parts[0] for path in (agents / GATE).rglob("*.*")}
    assert left - {f"{scenario}.fpr", "scan", "threadfix-gate"} == set()
    assert not list((agents / GATE).rglob("*.sh"))


@pytest.mark.parametrize(
    ("scenario", "rule", "result"),
    [
        ("done", " --policy all", "SUCCESS"), ("done", "", "FAILURE"), ("policy-fail", " --policy all", "FAILURE"),
        ("policy-vacuous", " --policy all", "UNSTABLE"),
    ],
)  # fmt: skip
def test_only_a_pass_is_released(
    build: Callable[[Path, str], Built], tmp_path: Path, scenario: str, rule: str, result: str
) -> None:
    """A pass without a rule is not released."""
    pipeline = tmp_path / "Jenkinsfile.release"
    pipeline.write_text(RELEASE.read_text().replace(" --policy all", rule))
    built = build(pipeline, scenario)
    assert built["result"] == result, built
    assert (tmp_path / "agents 0/deploy/published").exists() is (result == "SUCCESS")
    assert built["junit"] == ["threadfix-gate/junit.xml"]


def test_an_existing_upload_is_waited_for(build: Callable[[Path, str], Built], tmp_path: Path) -> None:
    """With a pending scan's id as the job's parameter, nothing is uploaded."""
    assert build(WAIT, "interrupted")["result"] == "FAILURE"
    document = tmp_path / "agents 0" / GATE / "threadfix-gate/result.json"
    assert json.loads(document.read_text())["uploads"] == []


RESULTS = {Kind.PASS: "SUCCESS", Kind.FAIL: "FAILURE", Kind.UNKNOWN: "UNSTABLE"}
# 125 comes from docker itself, 137 from a kill. A signal to the gate stops the build too, so its code is no verdict.
RESULT_OF = {row.exit_code: RESULTS[row.kind] for row in REASONS.values()} | dict.fromkeys(
    (125, 137, *SIGNAL_EXIT_CODES), "FAILURE"
)


@PIPELINES
def test_every_exit_code_has_its_result(builds: Builds, tmp_path: Path, pipeline: Path) -> None:
    """Any other code is a failure; only a success is deployed, and no report of an earlier build is shown."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit $CODE\n")
    docker.chmod(0o755)
    built = builds(docker, pipeline, "done", [{"CODE": str(code)} for code in RESULT_OF])
    assert {code: job["result"] for code, job in zip(RESULT_OF, built, strict=True)} == RESULT_OF
    for code, job in zip(RESULT_OF, built, strict=True):
        assert (DEPLOYED in job["printed"]) == (job["result"] == "SUCCESS")
        assert (f"ThreadFix gate: no verdict, exit code {code}" in job["printed"]) == (code > 70)
        assert job["junit"] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("url: 'https://tf.example.com/threadfix', ", ""), ("arguments:", "argumnets:"), ("arguments:", "tool:")],
    ids=["missing", "unknown", "not-a-tool"],
)
def test_an_invalid_option_of_the_library_step_is_named(builds: Builds, tmp_path: Path, right: str, wrong: str) -> None:
    """A missing, unknown or invalid option fails the build before anything runs."""
    pipeline = tmp_path / "Jenkinsfile.invalid"
    text = LIBRARY.read_text(encoding="utf-8")
    assert right in text
    pipeline.write_text(text.replace(right, wrong))
    [built] = builds(tmp_path / "docker", pipeline, "done")
    assert (built["result"], built["junit"]) == ("FAILURE", [])
    assert "url and credentialsId are required" in built["printed"][0]


def test_a_pod_runs_an_installed_gate(builds: Builds) -> None:
    """With `tool: 'installed'` no engine is needed."""
    # The folder of `docker` comes first in PATH; in it is the gate alone.
    [built] = builds(Path(sys.executable).parent / "docker", POD, "done")
    assert (built["result"], built["stages"]) == ("SUCCESS", ["Scan", "ThreadFix gate"])
    assert "threadfix-gate/result.json" in built["archived"]


def test_the_lines_of_the_readme(build: Callable[[Path, str], Built], tmp_path: Path) -> None:
    pipeline = tmp_path / "Jenkinsfile.readme"
    scan = "node('build') { checkout scm; sh './scan.sh --output results.fpr'; stash name: 'scan', includes: '*.fpr' }"
    pipeline.write_text(f"{scan}\n{readme('groovy', 'threadfixGate')}")
    assert build(pipeline, "done")["result"] == "SUCCESS"


def test_each_application_has_its_gate(build: Callable[[Path, str], Built]) -> None:
    built = build(APPLICATIONS, "done")
    assert (built["result"], len(built["archived"])) == ("SUCCESS", 6)


def test_the_library_step_passes_variables_on(builds: Builds, tmp_path: Path) -> None:
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
    assert builds(docker, pipeline, "done", [more])[0]["result"] == "SUCCESS"
    arguments = seen.read_text().split("\n")
    pairs = set(pairwise(arguments))
    assert {("--network", "ci"), ("localhost/threadfix-gate", "run"), ("--volume", "/a b.pem:/a b.pem:ro")} <= pairs
    names = ("THREADFIX_URL", "THREADFIX_API_KEY", "THREADFIX_APPLICATION_ID", "NO_PROXY", *more)
    assert {("--env", name) for name in names} <= pairs
    assert "Contoso" not in seen.read_text()

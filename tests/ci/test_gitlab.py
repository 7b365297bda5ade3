"""The GitLab templates and examples, run by gitlab-ci-local on this machine, against the sandbox."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from junitparser import JUnitXml
from ruamel.yaml import YAML

from tests.ci.recipes import ZAP, load, readme

if TYPE_CHECKING:
    from collections.abc import Callable

    Sandbox = Callable[[str], dict[str, str]]

pytestmark = pytest.mark.ci

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "templates/gate.yml"
PLAIN = ROOT / "templates/gate.gitlab-ci.yml"
COMPONENT_PIPELINE = ROOT / "examples/gitlab/component.gitlab-ci.yml"
PLAIN_PIPELINE = ROOT / "examples/gitlab/include.gitlab-ci.yml"
REMOTE_PIPELINE = ROOT / "examples/gitlab/remote.gitlab-ci.yml"
RELEASE_PIPELINE = ROOT / "examples/gitlab/release.gitlab-ci.yml"
# References that only a GitLab server can resolve, and the local path of the same file.
REMOTE = {
    r"component: \$CI_SERVER_FQDN/OWNER/threadfix-gate/gate@0\.1\.0": "local: templates/gate.yml",
    r"project: OWNER/threadfix-gate\n    ref: v0\.1\.0\n    file:": "local:",
    # Only a GitLab server compares the hash; tests/ci/test_examples.py compares it with the file.
    r"remote: https://raw\.githubusercontent\.com/OWNER/threadfix-gate/v0\.1\.0/(.*)\n    integrity: .*": r"local: \1",
}
# The scanner of the project; it shows whether it can read the key.
SCAN = f"""#!/bin/sh
{ZAP}
case $2 in *.xml) zap >$2 ;; *) echo results of $2 >$2 ;; esac
printenv THREADFIX_API_KEY >>$2 || echo no key is here
"""
PUBLISH = "#!/bin/sh\necho published\n"


class Pipeline(NamedTuple):
    """A finished pipeline: its exit code, its log, the project's folder with the artifacts, and the key."""

    code: int
    log: str
    folder: Path
    key: str

    def ended(self, job: str) -> str:
        """Return PASS, WARN (a job that failed and was allowed to) or FAIL; "" if the job did not run."""
        found = re.search(rf"(PASS|WARN|FAIL)  {re.escape(job)}", self.log)
        return found[1] if found else ""

    def junit(self) -> tuple[int, int, int]:
        """Return the cases, failures and errors that GitLab would show in the merge request."""
        report = JUnitXml.fromfile(str(self.folder / "threadfix-gate/junit.xml"))
        return report.tests, report.failures, report.errors


@pytest.fixture
def run_pipeline(need_tool: Callable[[str], Path], sandbox: Sandbox, tmp_path: Path) -> Callable[..., Pipeline]:
    """Return a function that runs a pipeline and a scenario in a project with the templates, in the shell executor."""
    for tool in ("npm", "rsync", "git"):
        need_tool(tool)
    # Without a registry nothing is installed, and the next line skips the test by name.
    subprocess.run([sys.executable, ROOT / "scripts/install_npm_tools.py"], capture_output=True, check=False)
    runner = need_tool("gitlab-ci-local")

    def run(pipeline: Path, scenario: str, replaced: dict[str, str] | None = None) -> Pipeline:
        variables = sandbox(scenario) | {"THREADFIX_FIRST_CONTACT_LIMIT": "1s"}
        text = pipeline.read_text(encoding="utf-8")
        for remote, local in REMOTE.items():
            text = re.sub(remote, local, text)
        assert "local: templates/" in text
        # The name of the uploaded file selects the scenario of the sandbox.
        text = text.replace("results.fpr", f"{scenario}.fpr")
        if scenario == "stuck":
            text = text.replace("45m", "2s")
        for old, new in (replaced or {}).items():
            assert old in text
            text = text.replace(old, new)
        if "THREADFIX_PENDING_SCAN_ID" not in text:
            del variables["THREADFIX_PENDING_SCAN_ID"]
        (tmp_path / ".gitlab-ci.yml").write_text(text)
        for name, script in {"scan.sh": SCAN, "publish.sh": PUBLISH}.items():
            (tmp_path / name).write_text(script)
            (tmp_path / name).chmod(0o755)
        shutil.copytree(ROOT / "templates", tmp_path / "templates")
        author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.com"]
        remote = "remote add origin git@gitlab.example.com:group/project.git"
        for command in ("init --quiet", remote, "add .", "commit --quiet --message Start"):
            subprocess.run(["git", *author, *command.split()], cwd=tmp_path, check=True)
        # In GitLab, the key has an environment as its scope; gitlab-ci-local reads that from a file.
        key = variables.pop("THREADFIX_API_KEY")
        scoped = {"THREADFIX_API_KEY": {"type": "variable", "values": {"threadfix": key}}}
        settings = tmp_path / "home/.gitlab-ci-local"
        settings.mkdir(parents=True)
        # JSON is YAML.
        (settings / "variables.yml").write_text(json.dumps({"global": scoped}))
        given = [part for name, value in variables.items() for part in ("--variable", f"{name}={value}")]
        # The Node of gitlab-ci-local comes first: the machine's may be too old.
        path = os.pathsep.join([str(runner.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            [runner, "--force-shell-executor", "--shell-isolation", "--no-color", "--home", tmp_path / "home", *given],
            cwd=tmp_path, env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=180, check=False,
        )  # fmt: skip
        assert key not in done.stdout
        return Pipeline(done.returncode, done.stdout, tmp_path, key)

    return run


BY_ID = {"THREADFIX_SCAN_FILE: interrupted.fpr": "THREADFIX_PENDING_SCAN_ID: $THREADFIX_PENDING_SCAN_ID"}


@pytest.mark.parametrize(
    ("file", "scenario", "replaced", "junit"),
    [
        (COMPONENT_PIPELINE, "done", {}, (1, 0, 0)), (COMPONENT_PIPELINE, "bad-key", {}, (1, 0, 1)),
        (REMOTE_PIPELINE, "done", {}, (1, 0, 0)), (REMOTE_PIPELINE, "interrupted", BY_ID, (1, 1, 0)),
    ],
)  # fmt: skip
def test_only_the_jobs_of_the_environment_have_the_key(
    run_pipeline: Callable[..., Pipeline], file: Path, scenario: str, replaced: dict[str, str], junit: tuple[int, ...]
) -> None:
    """The gate uploads, or waits for a pending scan, without the project's code; a later job has its variables."""
    pipeline = run_pipeline(file, scenario, replaced)
    ended = "PASS" if scenario == "done" else "FAIL"
    assert "> no key is here" in pipeline.log
    assert pipeline.key not in (pipeline.folder / f"{scenario}.fpr").read_text()
    assert pipeline.ended("threadfix-gate") == ended, pipeline.log
    assert (pipeline.ended("deploy") == "PASS") is (pipeline.code == 0) is (ended == "PASS")
    assert bool(re.search(r"> Scan \d+ is in ThreadFix", pipeline.log)) is (ended == "PASS")
    assert ("upload" in pipeline.log) is (not replaced)
    assert pipeline.junit() == junit


@pytest.mark.parametrize(
    ("scenario", "allowed", "ended", "result"),
    [
        ("interrupted", "[3, 6]", "FAIL", "fail, because scan-failed"),
        ("stuck", "[9]", "FAIL", "unknown, because timeout"),
        ("stuck", "[3, 6]", "WARN", "unknown, because timeout"),
    ],
)
def test_nothing_is_deployed_without_a_pass(
    run_pipeline: Callable[..., Pipeline], scenario: str, allowed: str, ended: str, result: str
) -> None:
    """An allowed exit code only warns, and then the deployment checks the verdict; a job that always runs knows it."""
    pipeline = run_pipeline(PLAIN_PIPELINE, scenario, {"exit_codes: [3, 6]": f"exit_codes: {allowed}"})
    assert pipeline.ended("threadfix-gate") == ended, pipeline.log
    assert ended == "FAIL" or pipeline.ended("deploy") == "FAIL"
    assert pipeline.code != 0
    assert "> Scan" not in pipeline.log
    assert f"> ThreadFix gate - {result}" in pipeline.log
    assert pipeline.junit()[1:] == ((1, 0) if result.startswith("fail") else (0, 1))
    assert (pipeline.folder / "threadfix-gate/report.html").exists()


@pytest.mark.parametrize(
    ("scenario", "verdict"), [("done", "pass"), ("policy-fail", "fail"), ("policy-vacuous", "unknown")]
)
def test_only_a_pass_is_released(run_pipeline: Callable[..., Pipeline], scenario: str, verdict: str) -> None:
    pipeline = run_pipeline(RELEASE_PIPELINE, scenario)
    assert f"THREADFIX_GATE_VERDICT={verdict}" in (pipeline.folder / "threadfix-gate/gate.env").read_text()
    assert ("> published" in pipeline.log) is (verdict == "pass"), pipeline.log
    assert (pipeline.ended("threadfix-gate") == "PASS") is (verdict == "pass")


@pytest.mark.parametrize(
    ("scenario", "replaced", "ended"),
    [
        ("policy-fail", {"dependencies: [scan]": "dependencies: [scan]\n  allow_failure: true"}, "WARN"),
        ("done", {" --policy all": ""}, "PASS"),
        ("done", {"45m --policy all": "45m --polciy all"}, "FAIL"),
    ],
)
def test_a_gate_that_is_softened_or_has_no_rule_releases_nothing(
    run_pipeline: Callable[..., Pipeline], scenario: str, replaced: dict[str, str], ended: str
) -> None:
    """If the gate's job is green without a rule, the second job is not: it requires a rule."""
    pipeline = run_pipeline(RELEASE_PIPELINE, scenario, replaced)
    assert pipeline.ended("threadfix-gate") == ended, pipeline.log
    assert pipeline.ended("threadfix-rules") == ("" if ended == "FAIL" else "FAIL")
    assert "> published" not in pipeline.log


@pytest.mark.parametrize(("name", "replaced", "jobs", "scans"), [
    ("scanners", {}, ["threadfix-gate", "threadfix-gate-zap"], 2),
    ("matrix", {}, ["threadfix-gate: [6,shop.fpr]", "threadfix-gate: [12,back-office.fpr]"], 2),
    ("later", {"start_in: 1 hour": "start_in: 1 second"}, ["threadfix-gate", "decide"], 1),
])  # fmt: skip
def test_more_recipes(
    run_pipeline: Callable[..., Pipeline], name: str, replaced: dict[str, str], jobs: list[str], scans: int
) -> None:
    """Several scanners, several applications, and a decision in a later job."""
    pipeline = run_pipeline(ROOT / f"examples/gitlab/{name}.gitlab-ci.yml", "done", replaced)
    assert pipeline.code == 0, pipeline.log
    assert {pipeline.ended(job) for job in jobs} == {"PASS"}, pipeline.log
    assert len(set(re.findall(r"for pending scan (\d+) of", pipeline.log))) == scans


def test_the_lines_of_the_readme(
    run_pipeline: Callable[..., Pipeline], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("readme") / "pipeline.yml"
    scan = "scan: {stage: scan, script: [./scan.sh --output results.fpr], artifacts: {paths: [results.fpr]}}"
    file.write_text(f"stages: [scan, gate]\n{scan}\n{readme('yaml', 'component:')}")
    pipeline = run_pipeline(file, "done")
    assert pipeline.ended("threadfix-gate") == "PASS", pipeline.log


def test_the_component_and_the_plain_job_are_the_same() -> None:
    """GitLab needs an empty entrypoint, and links to a folder only if its path ends in a slash."""
    job = load(PLAIN)["threadfix-gate"]
    assert (job["image"]["entrypoint"], job["artifacts"]["paths"]) == ([""], ["threadfix-gate/"])
    header, body = COMPONENT.read_text(encoding="utf-8").split("\n---\n")
    for name, spec in YAML(typ="safe", pure=True).load(StringIO(header))["spec"]["inputs"].items():
        body = body.replace(f"$[[ inputs.{name} ]]", spec["default"])
    assert YAML(typ="safe", pure=True).load(StringIO(body.replace("run \n", "run\n"))) == load(PLAIN)

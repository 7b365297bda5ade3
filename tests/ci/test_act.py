"""The action on a runner: `act` runs the self-test and the example workflows on this machine, as GitHub would."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import certifi
import pytest

from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import ThreadFix, environment, serving
from tests.bundle import bundle
from tests.ci.recipes import ZAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

pytestmark = pytest.mark.ci

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples/github"
PUBLISHED: Final = "OWNER/threadfix-gate@v0.1.0"
"""How the examples call the action."""
ARTIFACTS: Final = {
    "actions/upload-artifact": """
inputs: {name: {required: true}, path: {required: true}, if-no-files-found: {default: warn}}
outputs: {artifact-id: {value: "${{ steps.copy.outputs.artifact-id }}"}}
runs:
  using: composite
  steps:
    - id: copy
      shell: bash
      env: {NAME: "${{ inputs.name }}", FROM: "${{ inputs.path }}", MISSING: "${{ inputs.if-no-files-found }}"}
      run: |
        if [ "$MISSING" = ignore ] && ! [ -e "$FROM" ]; then exit 0; fi
        echo artifact-id=1 >>"$GITHUB_OUTPUT"
        mkdir "$STORE/$NAME"
        if [ -d "$FROM" ]; then FROM=$FROM/.; fi
        cp -r "$FROM" "$STORE/$NAME"
""",
    "actions/download-artifact": """
inputs: {name: {required: true}, path: {required: true}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {NAME: "${{ inputs.name }}", TO: "${{ inputs.path }}"}
      run: mkdir -p "$TO" && cp -r "$STORE/$NAME/." "$TO"
""",
}
"""Replacements for the two actions that act cannot fetch: an artifact is a folder that all jobs share."""
SCAN: Final = ZAP + 'case $2 in *.xml) zap >"$2" ;; *) date "+findings of $2 at %s%N" >"$2" ;; esac'
"""A scanner whose reports all differ, because ThreadFix refuses a duplicate."""
TRUSTED: Final = os.environ.get("PIP_CERT") or certifi.where()


@dataclass(frozen=True)
class Ended:
    """The result of a workflow, of each job that was not skipped, and the output of the steps."""

    code: int
    jobs: Mapping[str, str]
    output: str
    summary: str
    log: str

    @property
    def verdicts(self) -> list[str]:
        """The different verdicts of the gates, each with its reason, from the job summary.

        act does not wait for the end of the log of a step that fails: it returns from `HostEnvironment.exec` before the
        thread that copies the step's terminal has ended. So a step without a gate loses its last lines as well, and
        only a step that passes can be judged by its log.
        """
        headings = re.findall(r"^## \S+ ThreadFix gate: (\w+ \([a-z-]+\))$", self.summary, re.MULTILINE)
        # act reports the summary of a composite action for its inner and its outer step.
        return list(dict.fromkeys(headings))


@pytest.fixture
def sandbox() -> Iterator[dict[str, str]]:
    """Start a fast sandbox, and give the environment to reach it."""
    server = ThreadFix(speed=40)
    with serving(server) as url:
        yield environment(url, "done", server.scans)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the action as in a release, with only the necessary files."""
    action = tmp_path_factory.mktemp("published")
    shutil.copytree(ROOT / "action", action / "action")
    shutil.copy(ROOT / "action.yml", action)
    bundle(action / "dist/threadfix-gate.pyz")
    return action


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for the runner's folders, including the tool cache."""
    return tmp_path_factory.mktemp("act")


@pytest.fixture
def act(
    need_tool: Callable[[str], Path], sandbox: dict[str, str], published: Path, cache: Path, tmp_path: Path
) -> Callable[..., Ended]:
    """Return a function that runs one event in a repository with these workflows."""
    program = need_tool("act")
    need_tool("git")
    runs = count(1)

    def run(  # noqa: PLR0913 - events differ in all of these
        event: str,
        workflows: Mapping[str, str],
        *,
        payload: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
        more: Mapping[str, str] | None = None,
        key: str = sandbox["THREADFIX_API_KEY"],
        scan: str = SCAN,
        attempt: int = 1,
    ) -> Ended:
        place = tmp_path / str(next(runs))
        repository = place / "repository"
        folder = repository / ".github/workflows"
        folder.mkdir(parents=True)
        for name, text in workflows.items():
            (folder / name).write_text(text, encoding="utf-8")
        for name, text in {"scan.sh": scan, "publish.sh": "echo published"}.items():
            (repository / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (repository / name).chmod(0o755)
        (place / "event.json").write_text(json.dumps({"inputs": inputs} | dict(payload or {})), encoding="utf-8")
        for command in ("init --quiet --initial-branch main", "add --force .", "commit --quiet --message Start"):
            author = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgSign=false"]
            subprocess.run(["git", *author, *command.split()], cwd=repository, check=True)
        variables = {
            "THREADFIX_URL": sandbox["THREADFIX_URL"],
            "THREADFIX_APPLICATION_ID": sandbox["THREADFIX_APPLICATION_ID"],
            "CA_FILE": TRUSTED,
        } | dict(more or {})
        options = [f"--var={name}={value}" for name, value in variables.items()]
        options += [f"--eventpath={place / 'event.json'}", f"--env=GITHUB_RUN_ATTEMPT={attempt}"]
        options += [f"--local-repository={use}" for use in artifact_actions(place, workflows.values())]
        return start(program, repository, cache, published, event, *options, key=key)

    return run


def artifact_actions(folder: Path, workflows: Iterable[str]) -> Iterator[str]:
    """Put the replacements into this folder; yield each use of the actions with its path for act."""
    (folder / "artifacts").mkdir()
    for name, text in ARTIFACTS.items():
        action = folder / name
        action.mkdir(parents=True)
        store = json.dumps(str(folder / "artifacts"))
        (action / "action.yml").write_text(text.replace("env: {", f"env: {{STORE: {store}, "), encoding="utf-8")
        for use in {use for workflow in workflows for use in re.findall(rf"uses: ({name}@\S+)", workflow)}:
            yield f"{use}={action}"


def start(program: Path, repository: Path, cache: Path, published: Path, *command: str, key: str) -> Ended:
    fixed = ["--json", "-P", "ubuntu-latest=-self-hosted", "--action-cache-path", str(cache), "--no-cache-server"]
    fixed += ["--local-repository", f"{PUBLISHED}={published}"]
    # In a file: act passes its own environment to every step, but GitHub gives a secret only to steps that ask for it.
    secrets = cache / "secrets"
    secrets.write_text(f"THREADFIX_API_KEY={key}\n" if key else "", encoding="utf-8")
    fixed += ["--secret-file", str(secrets)]
    foreign = ("GITHUB_", "RUNNER_", "ACTIONS_", "THREADFIX_", "PYTHON", "COVERAGE_", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run([program, *command, *fixed], cwd=repository, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Ended(
        code=done.returncode,
        jobs={event["job"].split("/", 1)[-1].strip(): event["jobResult"] for event in events if "jobResult" in event},
        output="".join(event["msg"] for event in events if event.get("raw_output")),
        summary="\n".join(event["content"] for event in events if event.get("command") == "summary"),
        log="\n".join(event["msg"] for event in events),
    )


def example(name: str, **changes: str) -> dict[str, str]:
    """Read an example workflow, with these replacements, so that the test ends soon."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        old_text = {"report": "results.fpr", "short": "timeout: 10m", "long": "timeout: 3h", "hour": "timeout: 1h"}[old]
        assert old_text in text
        text = text.replace(old_text, new)
    return {name: text}


def test_self_test_passes(need_tool: Callable[[str], Path], cache: Path, published: Path) -> None:
    program = need_tool("act")
    workflow = ["-W", ".github/workflows/selftest.yml", "--matrix", "os:ubuntu-latest", "--matrix", "container:"]
    done = start(program, ROOT, cache, published, "push", *workflow, key="")
    assert done.code == 0, done.log
    assert list(done.jobs.values()) == ["success"]
    assert "CANNOT_START failure" in done.output


THEFT = """
date +%s%N >"$2"
mkdir evil
for name in curl python python3 jq; do
  printf '#!/bin/sh\\nenv >>%s\\nexit 1\\n' {loot} >"evil/$name"
done
printf 'env >>%s\\n' {loot} >evil/bash_env
chmod +x evil/*
if [ -n "$GITHUB_PATH" ]; then
  echo "$PWD/evil" >>"$GITHUB_PATH"
  echo "BASH_ENV=$PWD/evil/bash_env" >>"$GITHUB_ENV"
fi
"""
"""A scan that shadows the programs of all later steps of its job, and records their environment."""


@pytest.mark.parametrize(("name", "event"), [("upload-then-gate", "push"), ("pull-request", "merge_group")])
def test_the_code_under_test_gets_no_key(
    act: Callable[..., Ended], sandbox: dict[str, str], tmp_path: Path, name: str, event: str
) -> None:
    """Programs that the scanned code leaves behind stay in its job, and change no verdict."""
    loot = tmp_path / "loot"
    done = act(event, example(f"{name}.yml", report="interrupted.fpr"), scan=THEFT.format(loot=shlex.quote(str(loot))))
    assert (done.code, done.jobs) == (1, {"Scan": "success", "ThreadFix gate": "failure"}), done.log
    assert done.verdicts == ["fail (scan-failed)"]
    assert loot.read_text(encoding="utf-8")
    assert sandbox["THREADFIX_API_KEY"] not in loot.read_text(encoding="utf-8")


def test_a_report_that_is_not_new(act: Callable[..., Ended]) -> None:
    """A duplicate is red in a first attempt, and passes in a second. A pass is in the log, too."""
    workflow = example("upload-then-gate.yml", report="results.xml")
    for attempt, verdict in ((1, "pass (processed)"), (1, "fail (upload-refused)"), (2, "pass (already-imported)")):
        done = act("push", workflow, scan=f'{ZAP}DATE="Mon, 02 Nov 2026 10:00:00"; zap >"$2"', attempt=attempt)
        assert done.verdicts == [verdict], done.log
        assert done.jobs["ThreadFix gate"] == ("success" if verdict.startswith("pass") else "failure")
        assert (done.code == 0) is verdict.startswith("pass") is ("PASS (" in done.output)


@pytest.mark.parametrize(
    ("scenario", "verdict", "reason"),
    [
        ("done", "pass", "policy-passed"),
        ("policy-fail", "fail", "policy-failed"),
        ("policy-vacuous", "unknown", "policy-unknown"),
    ],
)
def test_only_a_pass_is_released(act: Callable[..., Ended], scenario: str, verdict: str, reason: str) -> None:
    application = {"THREADFIX_APPLICATION_ID": str(SCENARIOS[scenario].application)}
    done = act("push", example("release.yml", report=f"{scenario}.fpr"), more=application)
    assert done.verdicts == [f"{verdict} ({reason})"], done.log
    assert ("published" in done.output) is (verdict == "pass")
    assert done.jobs["ThreadFix gate"] == ("success" if verdict == "pass" else "failure")
    assert (done.code == 0) is (verdict == "pass")


@pytest.mark.parametrize(
    ("report", "hour", "old", "new"),
    [
        ("stuck.fpr", "timeout: 1s\n          on-timeout: warn", "", ""),
        ("done.fpr", "timeout: 1h", "policy: all", "policies: all"),
    ],
)
def test_a_gate_that_is_softened_or_has_no_rule_releases_nothing(
    act: Callable[..., Ended], report: str, hour: str, old: str, new: str
) -> None:
    """The gate's job is green, but the publishing job requires rules that hold. GitHub ignores a misspelt input."""
    workflows = example("release.yml", report=report, hour=hour)
    workflows = {name: text.replace(old, new) if old else text for name, text in workflows.items()}
    assert all(new in text for text in workflows.values())
    done = act("push", workflows)
    assert done.jobs == {"Scan": "success", "ThreadFix gate": "success"}, done.log
    assert "published" not in done.output


@pytest.mark.parametrize(
    ("report", "verdict"), [("results.fpr", "pass (processed)"), ("interrupted.fpr", "fail (scan-failed)")]
)
def test_reusable_workflow(act: Callable[..., Ended], report: str, verdict: str) -> None:
    """The calling workflow is as red as the reusable workflow, and a later job reads its verdict.

    GitHub runs the later job after a red job, too; act never does, regardless of the condition.
    """
    done = act("push", example("reusable.yml") | example("call.yml", report=report))
    assert done.verdicts == [verdict], done.log
    assert (done.code == 0) is ("The verdict is pass." in done.output) is verdict.startswith("pass")


@pytest.mark.parametrize(
    ("name", "event", "scans", "applications"),
    [
        ("matrix", "workflow_dispatch", 2, {"6", "12"}), ("one-scan", "push", 1, {"6"}),
        ("scanners", "push", 2, {"6"}), ("private-network", "push", 1, {"6"}),
    ],
)  # fmt: skip
def test_more_recipes(act: Callable[..., Ended], name: str, event: str, scans: int, applications: set[str]) -> None:
    """Several applications, several files of one scanner, several scanners, and a server with its own certificate."""
    done = act(event, example(f"{name}.yml"))
    assert (len(done.jobs), set(done.jobs.values())) == (1 + len(applications), {"success"}), done.log
    waited = set(re.findall(r"for pending scan (\d+) of application (\d+)", done.output))
    assert (len(waited), {application for _, application in waited}) == (scans, applications), done.output
    if name == "scanners":
        # Each report has its own step, and only the last step asks for rules.
        first, second = done.output.split("PASS (")[:2]
        assert ("policies" in first, "policies" in second) == (False, True), done.output


@pytest.mark.parametrize(("scan", "jobs"), [
    (SCAN, {"Scan": "success", "ThreadFix gate": "success"}),
    ("true", {"Scan": "success"}),
    ("exit 1", {"Scan": "failure"}),
])  # fmt: skip
def test_optional_report(act: Callable[..., Ended], scan: str, jobs: dict[str, str]) -> None:
    """Without a report there is no gate; a scanner that fails is red."""
    assert act("push", example("optional.yml"), scan=scan).jobs == jobs


@pytest.mark.parametrize(("fork", "user"), [(True, "someone"), (False, "dependabot[bot]"), (False, "someone")])
def test_pull_request_without_secrets(act: Callable[..., Ended], *, fork: bool, user: str) -> None:
    """A pull request from a fork or by Dependabot skips the gate on purpose, and a job reports that."""
    request = {"head": {"ref": "change", "repo": {"fork": fork}}, "base": {"ref": "main"}, "user": {"login": user}}
    done = act("pull_request", example("pull-request.yml"), payload={"pull_request": request})
    assert done.code == 0, done.log
    assert ("PASS (processed)" in done.output) is ((fork, user) == (False, "someone"))
    assert ("ThreadFix gate - pass. pending scan" in done.output) is ((fork, user) == (False, "someone"))


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        ("results.fpr", "pass (policy-passed)"),
        ("policy-fail.fpr", "fail (policy-failed)"),
        ("stuck.fpr", "unknown (timeout)"),
    ],
)
def test_upload_now_and_decide_later(act: Callable[..., Ended], report: str, verdict: str) -> None:
    """The first job is green after a single request; the second waits for the same scan, and decides."""
    [text] = example("resume.yml", report=report).values()
    done = act("workflow_dispatch", {"resume.yml": text.replace("all # or", "all\n          timeout: 2s # or")})
    gate = "success" if verdict.startswith("pass") else "failure"
    assert done.jobs == {"Scan": "success", "Upload": "success", "ThreadFix gate": gate}, done.log
    assert done.verdicts == list(dict.fromkeys(["unknown (timeout)", verdict]))
    assert len(set(re.findall(r"for pending scan (\d+) of application 6", done.output))) == 1


def test_wait_for_an_existing_upload(act: Callable[..., Ended]) -> None:
    done = act("workflow_dispatch", example("wait.yml"), inputs={"application-id": "6", "pending-scan-id": "44"})
    assert done.jobs == {"ThreadFix gate": "failure"}, done.log
    assert done.verdicts == ["fail (scan-failed)"]
    assert "for pending scan 44 of application 6" in done.output

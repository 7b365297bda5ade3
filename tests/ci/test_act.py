"""The action on a runner: act runs the self-test and the example workflows on this machine, as GitHub would."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import certifi
import pytest

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
runs:
  using: composite
  steps:
    - shell: bash
      env: {NAME: "${{ inputs.name }}", FROM: "${{ inputs.path }}"}
      run: mkdir "$STORE/$NAME" && cp -r "$FROM" "$STORE/$NAME"
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
"""What plays the two actions that act cannot fetch: an artifact is a folder beside the jobs, all that they share."""
SCAN: Final = 'echo findings >"$2"'
TRUSTED: Final = os.environ.get("PIP_CERT") or certifi.where()


@dataclass(frozen=True)
class Ended:
    """How a workflow has ended.

    Attributes:
        jobs: result of each job by its name; one that was skipped is not there.
        said: what the steps have printed.
        summary: the job summaries, one after the other.
        log: what a person reads.
    """

    code: int
    jobs: Mapping[str, str]
    said: str
    summary: str
    log: str


def own_environment() -> dict[str, str]:
    """The environment without what tells a runner, a gate or a Python where it is."""
    foreign = ("GITHUB_", "RUNNER_", "ACTIONS_", "THREADFIX_", "PYTHON", "COVERAGE_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[dict[str, str]]:
    """A ThreadFix, quick; the environment to reach it."""
    command = [sys.executable, "-m", "gate", "sandbox", "--quiet", "--speed", "40"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        lines = [next(process.stdout).removeprefix("export ").strip() for _ in range(4)]
        yield dict(line.split("=", 1) for line in lines)
        process.terminate()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action as it is fetched: nothing but what it needs."""
    action = tmp_path_factory.mktemp("published")
    for name in ("gate", "action"):
        shutil.copytree(ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("action.yml", "requirements-action.lock"):
        shutil.copy(ROOT / name, action)
    return action


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where act keeps the runner's folders, the tool cache among them."""
    return tmp_path_factory.mktemp("act")


@pytest.fixture
def act(
    need_tool: Callable[[str], Path], sandbox: dict[str, str], published: Path, cache: Path, tmp_path: Path
) -> Callable[..., Ended]:
    """Runs one event in a repository that has these workflows."""
    program = need_tool("act")
    for other in ("git", "curl"):
        need_tool(other)

    def run(  # noqa: PLR0913 - what differs between the events
        event: str,
        workflows: Mapping[str, str],
        *,
        payload: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
        more: Mapping[str, str] | None = None,
        key: str = sandbox["THREADFIX_API_KEY"],
        scan: str = SCAN,
    ) -> Ended:
        repository = tmp_path / "repository"
        folder = repository / ".github/workflows"
        folder.mkdir(parents=True)
        for name, text in workflows.items():
            (folder / name).write_text(text, encoding="utf-8")
        for name, text in {"scan.sh": scan, "publish.sh": "echo published"}.items():
            (repository / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (repository / name).chmod(0o755)
        (tmp_path / "event.json").write_text(json.dumps({"inputs": inputs} | dict(payload or {})), encoding="utf-8")
        for command in ("init --quiet --initial-branch main", "add .", "commit --quiet --message Start"):
            author = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgSign=false"]
            subprocess.run(["git", *author, *command.split()], cwd=repository, check=True)
        variables = {
            "THREADFIX_URL": sandbox["THREADFIX_URL"],
            "THREADFIX_APPLICATION_ID": sandbox["THREADFIX_APPLICATION_ID"],
            "CA_FILE": TRUSTED,
            "PIP_INDEX_URL": os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple"),
        } | dict(more or {})
        options = [f"--var={name}={value}" for name, value in variables.items()]
        options.append(f"--eventpath={tmp_path / 'event.json'}")
        options += [f"--local-repository={use}" for use in artifact_actions(tmp_path, workflows.values())]
        return start(program, repository, cache, published, event, *options, key=key)

    return run


def artifact_actions(folder: Path, workflows: Iterable[str]) -> Iterator[str]:
    """Put the stand-ins into this folder; each use of theirs in the workflows, and where act finds it."""
    (folder / "artifacts").mkdir()
    for name, text in ARTIFACTS.items():
        action = folder / name
        action.mkdir(parents=True)
        store = shlex.quote(str(folder / "artifacts"))
        (action / "action.yml").write_text(text.replace("run: ", f"run: STORE={store} && "), encoding="utf-8")
        for use in {use for workflow in workflows for use in re.findall(rf"uses: ({name}@\S+)", workflow)}:
            yield f"{use}={action}"


def start(program: Path, repository: Path, cache: Path, published: Path, *command: str, key: str) -> Ended:
    """Run act to its end."""
    fixed = ["--json", "-P", "ubuntu-latest=-self-hosted", "--action-cache-path", str(cache), "--no-cache-server"]
    fixed += ["--local-repository", f"{PUBLISHED}={published}"]
    # In a file: act hands its own environment on to every step, where GitHub would give a secret to none.
    secrets = cache / "secrets"
    secrets.write_text(f"THREADFIX_API_KEY={key}\n" if key else "", encoding="utf-8")
    fixed += ["--secret-file", str(secrets)]
    env = own_environment()
    done = subprocess.run([program, *command, *fixed], cwd=repository, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Ended(
        code=done.returncode,
        jobs={event["job"].split("/", 1)[-1].strip(): event["jobResult"] for event in events if "jobResult" in event},
        said="".join(event["msg"] for event in events if event.get("raw_output")),
        summary="\n".join(event["content"] for event in events if event.get("command") == "summary"),
        log="\n".join(event["msg"] for event in events),
    )


def example(name: str, **changes: str) -> dict[str, str]:
    """An example workflow; each change stands in it and becomes something else, so that the test ends soon."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        old_text = {"report": "results.fpr", "short": "timeout: 10m", "long": "timeout: 3h"}[old]
        assert old_text in text
        text = text.replace(old_text, new)
    return {name: text}


def test_self_test_passes(need_tool: Callable[[str], Path], cache: Path, published: Path) -> None:
    """The self-test, which holds outcome and outputs of every ending against what they should be, is green."""
    program = need_tool("act")
    workflow = ["-W", ".github/workflows/selftest.yml", "--matrix", "os:ubuntu-latest", "--matrix", "container:"]
    done = start(program, ROOT, cache, published, "push", *workflow, key="")
    assert done.code == 0, done.log
    assert list(done.jobs.values()) == ["success"]
    assert "CANNOT_START failure" in done.said


@pytest.mark.parametrize(
    ("report", "job", "verdict"), [("results.fpr", "success", "pass"), ("interrupted.fpr", "failure", "fail")]
)
def test_upload_then_gate(act: Callable[..., Ended], report: str, job: str, verdict: str) -> None:
    """The whole way from the scanner's report to a green or red job; a later step reads the outputs of both."""
    done = act("push", example("upload-then-gate.yml", report=report))
    assert done.jobs == {"Scan": "success", "ThreadFix gate": job}, done.log
    assert (done.code == 0) == (job == "success")
    assert f"ThreadFix says {verdict}. pending scan " in done.said


THEFT = """
echo findings >"$2"
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
"""A scan that puts its own programs before those of all later steps of its job, and notes what they are given."""


@pytest.mark.parametrize(("name", "event"), [("upload-then-gate", "push"), ("pull-request", "merge_group")])
def test_the_code_under_test_gets_no_key(
    act: Callable[..., Ended], sandbox: dict[str, str], tmp_path: Path, name: str, event: str
) -> None:
    """What the scanned code leaves for the steps behind it is in another job than the key, and changes no verdict."""
    loot = tmp_path / "loot"
    done = act(event, example(f"{name}.yml", report="interrupted.fpr"), scan=THEFT.format(loot=shlex.quote(str(loot))))
    assert done.jobs == {"Scan": "success", "ThreadFix gate": "failure"}, done.log
    assert "FAIL (scan-failed" in done.said
    assert loot.read_text(encoding="utf-8")
    assert sandbox["THREADFIX_API_KEY"] not in loot.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "red"), [("upload-then-gate", "ThreadFix gate"), ("release", "Upload")])
def test_a_refused_upload_is_not_waited_for(
    act: Callable[..., Ended], need_tool: Callable[[str], Path], name: str, red: str
) -> None:
    """ThreadFix refuses with HTTP 200, which curl takes for a success; the job is red all the same."""
    need_tool("jq")
    done = act("push", example(f"{name}.yml"), key="wrongKey")
    assert done.jobs == {"Scan": "success", red: "failure"}, done.log
    assert "published" not in done.said


def test_summary_is_written(act: Callable[..., Ended]) -> None:
    """The job's summary has the verdict in its heading, also when the job is red."""
    done = act("push", example("upload-then-gate.yml", report="deleted.fpr"))
    assert done.jobs == {"Scan": "success", "ThreadFix gate": "failure"}, done.log
    heading = next(line for line in done.summary.splitlines() if line)
    assert heading.startswith("#")
    assert "fail (scan-failed)" in heading


@pytest.mark.parametrize(("report", "good"), [("results.fpr", True), ("error-flag.fpr", False)])
def test_release_waits_for_the_gate(
    act: Callable[..., Ended], need_tool: Callable[[str], Path], report: str, *, good: bool
) -> None:
    """What is published has passed the gate; nothing is published where it failed."""
    need_tool("jq")
    done = act("push", example("release.yml", report=report))
    assert ("published" in done.said) is good, done.log
    assert done.jobs["ThreadFix gate"] == ("success" if good else "failure")
    assert (done.code == 0) is good


def test_reusable_workflow(act: Callable[..., Ended]) -> None:
    """A workflow that calls the reusable one reads its verdict in a later job."""
    done = act("workflow_dispatch", example("reusable.yml") | example("call.yml"), inputs={"pending-scan-id": "41"})
    assert done.code == 0, done.log
    assert "The verdict is pass." in done.said


def test_reusable_workflow_that_fails(act: Callable[..., Ended]) -> None:
    """A scan that fails makes the job that called the reusable workflow red.

    The later job is GitHub's to run: act starts none after a red one, whatever its condition.
    """
    done = act("workflow_dispatch", example("reusable.yml") | example("call.yml"), inputs={"pending-scan-id": "44"})
    assert done.code != 0
    assert set(done.jobs.values()) == {"failure"}, done.log
    assert "FAIL (scan-failed" in done.said


def test_matrix(act: Callable[..., Ended]) -> None:
    """Several applications are gated side by side, one of them with several scans."""
    done = act("workflow_dispatch", example("matrix.yml"))
    assert len(done.jobs) == 2, done.log
    assert set(done.jobs.values()) == {"success"}, done.log
    assert "all 2 pending scans were processed" in done.said


@pytest.mark.parametrize("fork", [True, False])
def test_fork(act: Callable[..., Ended], *, fork: bool) -> None:
    """A pull request from a fork skips the gate on purpose; one from the repository itself is gated."""
    payload = {"pull_request": {"head": {"ref": "change", "repo": {"fork": fork}}, "base": {"ref": "main"}}}
    done = act("pull_request", example("pull-request.yml"), payload=payload)
    assert done.code == 0, done.log
    assert ("PASS (processed)" in done.said) is not fork


def test_resume_after_a_timeout(act: Callable[..., Ended]) -> None:
    """A timeout of the soft gate leaves its job green, and the second job waits on and is red in the end."""
    inputs = {"application-id": "6", "pending-scan-id": "51"}
    quick = example("resume.yml", short="timeout: 1s", long="timeout: 1s")
    done = act("workflow_dispatch", quick, inputs=inputs)
    assert done.jobs == {"Soft gate": "success", "ThreadFix gate": "failure"}, done.log
    assert done.said.count("for pending scan 51 of application 6") == 2


def test_nothing_to_resume(act: Callable[..., Ended]) -> None:
    """Where the soft gate has got its answer, the second job does not run."""
    done = act("workflow_dispatch", example("resume.yml"), inputs={"application-id": "6", "pending-scan-id": "41"})
    assert done.code == 0, done.log
    assert done.said.count("for pending scan 41 of application 6") == 1


@pytest.mark.parametrize(
    ("scan", "key", "job", "reason"),
    [("41", "", "success", "processed"), ("41", "wrongKey", "failure", "denied"), ("44", "", "failure", "scan-failed")],
)
def test_private_network(  # noqa: PLR0913, PLR0917 - a table
    act: Callable[..., Ended], sandbox: dict[str, str], scan: str, key: str, job: str, reason: str
) -> None:
    """With a proxy's and a CA's variables set the gate answers as ever; the job is red when it is denied or fails."""
    inputs = {"application-id": "6", "pending-scan-id": scan}
    key = key or sandbox["THREADFIX_API_KEY"]
    done = act("workflow_dispatch", example("private-network.yml"), inputs=inputs, key=key)
    assert done.jobs == {"ThreadFix gate": job}, done.log
    assert f"({reason}" in done.said


def test_key_is_masked(act: Callable[..., Ended], sandbox: dict[str, str]) -> None:
    """Once the gate has run, the runner hides the key wherever it turns up, also one that is no secret of GitHub's."""
    workflow = f"""
on: push
jobs:
  masked:
    runs-on: ubuntu-latest
    env:
      KEY: ${{{{ vars.KEY }}}}
    steps:
      - run: echo "before $KEY"
      - uses: {PUBLISHED}
        with:
          url: ${{{{ vars.THREADFIX_URL }}}}
          api-key: ${{{{ vars.KEY }}}}
          application-id: "6"
          pending-scan-id: "41"
      - run: echo "after $KEY"
"""
    # act hides its own secrets from the start; this key must not be one of them.
    done = act("push", {"masked.yml": workflow}, key="", more={"KEY": sandbox["THREADFIX_API_KEY"]})
    assert done.code == 0, done.log
    assert f"before {sandbox['THREADFIX_API_KEY']}" in done.said
    assert "after ***" in done.said
    assert done.log.count(sandbox["THREADFIX_API_KEY"]) == 1

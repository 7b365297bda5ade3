"""The examples: they fit their schemas, the pages show them as they are, their steps work, and the key is apart."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from gate import __version__
from gate.reasons import REASONS, Reason
from gate.sandbox.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sandbox = Callable[[str], dict[str, str]]
    Done = subprocess.CompletedProcess[str]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
IMAGE = f"ghcr.io/OWNER/threadfix-gate:{__version__}"
BUILT = "localhost/threadfix-gate"
AZURE = EXAMPLES / "azure-pipelines/azure-pipelines.yml"
CIRCLE = EXAMPLES / "circleci/config.yml"
BITBUCKET = EXAMPLES / "bitbucket/bitbucket-pipelines.yml"
TEKTON = EXAMPLES / "tekton/task.yaml"
ARGO = EXAMPLES / "argo/workflow-template.yaml"
CRON = EXAMPLES / "cron/upload-and-gate.sh"
CRONTAB = EXAMPLES / "cron/threadfix-gate.crontab"
REMOTE = EXAMPLES / "gitlab/remote.gitlab-ci.yml"
# Azure's schema has patterns that only the older kind of regular expressions takes.
SCHEMAS = {
    AZURE: ("azure-pipelines", "--regex-variant=nonunicode", "--data-transform=azure-pipelines"),
    CIRCLE: ("circle-ci",),
    BITBUCKET: ("bitbucket-pipelines",),
    EXAMPLES / "gitlab/component.gitlab-ci.yml": ("gitlab-ci",),
    EXAMPLES / "gitlab/include.gitlab-ci.yml": ("gitlab-ci",),
    REMOTE: ("gitlab-ci",),
    ROOT / "templates/gate.gitlab-ci.yml": ("gitlab-ci",),
}
PAGES = runpy.run_path(str(ROOT / "scripts/generate_examples.py"))


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_pages_show_the_files_that_are_tested(page: Path) -> None:
    """What a page shows is the file that it links to, to the letter."""
    text = page.read_text(encoding="utf-8")
    assert PAGES["with_files"](text) == text, "make docs writes it anew"


def test_every_example_is_shown() -> None:
    """No example lies about that no page explains."""
    shown = {
        file for page in (ROOT / "docs").glob("*.md") for _, file in PAGES["SHOWN"].findall(page.read_text("utf-8"))
    }
    files = {path.relative_to(ROOT).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()}
    assert files <= shown


def test_examples_name_the_current_release() -> None:
    """Image and templates are named with the version that this is."""
    for path in (*EXAMPLES.rglob("*"), *(ROOT / "templates").iterdir(), *(ROOT / "docs").glob("*.md")):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            named = re.findall(r"(?:threadfix-gate(?:/gate@|:|@v)|ref: v)(\d[\d.]*\d)", text)
            assert set(named) <= {__version__}, path


def test_pages_install_a_certain_release() -> None:
    """What gets the key is installed by version, so that nobody's next upload gets it unasked."""
    pages = [path for folder in (EXAMPLES, ROOT / "templates", ROOT / "docs") for path in folder.rglob("*")]
    commands = [
        command
        for path in pages
        if path.is_file() and path.suffix in {"", ".md", ".sh", ".yml"}
        for command in re.findall(
            r"(?:pipx (?:run|install)|pip install|uvx|uv tool install)[^\n`]*threadfix[-_]gate[^\s`]*",
            path.read_text(encoding="utf-8"),
        )
    ]
    assert commands
    assert [command for command in commands if f"threadfix-gate=={__version__}" not in command] == []


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_examples_fit_their_schema(file: Path) -> None:
    """Each file is what its CI system takes, as far as the published schema says."""
    schema, *options = SCHEMAS[file]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        f"vendor.{schema}",
        *options,
        file,
    ]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- What they do.


def load(file: Path) -> dict[str, Any]:
    """What is in a YAML file."""
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(file)
    return loaded


class Played(NamedTuple):
    """A scenario as it must end, what is said of it, and the variables that a CI system would hand over."""

    scenario: str
    code: int
    says: str
    env: dict[str, str]


@pytest.fixture(params=["done", "interrupted", "stuck", "bad-key"])
def played(request: pytest.FixtureRequest, sandbox: Sandbox, need_tool: Callable[[str], Path]) -> Played:
    """Pass, fail, unknown; and an upload that ThreadFix refuses with HTTP 200, which curl takes for a success."""
    for tool in ("bash", "curl"):
        need_tool(tool)
    scenario = request.param
    if scenario == "bad-key":
        return Played(scenario, REASONS[Reason.USAGE].exit_code, "ThreadFix refused the upload", sandbox(scenario))
    return Played(scenario, REASONS[SCENARIOS[scenario].expect].exit_code, "", sandbox(scenario))


def as_here(command: str, scenario: str) -> str:
    """The command with the image that was built, the file that the sandbox understands, and less patience."""
    assert IMAGE in command or "threadfix-gate run" in command or "results.fpr" in command
    command = command.replace(IMAGE, BUILT).replace("results.fpr", f"{scenario}.fpr")
    return command.replace("--timeout 45m", "--timeout 2s").replace("--timeout 2h", "--timeout 2s")


class Pipeline(NamedTuple):
    """What a pipeline runs: the scan in a checkout, the rest in another folder, into which only the results come."""

    scan: str
    results: str
    upload: str
    gate: str


def azure(file: Path) -> Pipeline:
    """The Azure pipeline; `download` puts an artifact into a folder of its name, below the pipeline's own."""
    scan, gate = load(file)["jobs"]
    assert scan["steps"][-1] == {"publish": "results.fpr", "artifact": "scan"}
    assert {"download": "current", "artifact": "scan"} in gate["steps"]
    steps = [step for step in gate["steps"] if "bash" in step]
    assert all(step["env"] == {"THREADFIX_API_KEY": "$(THREADFIX_API_KEY)"} for step in steps)
    assert all(step["workingDirectory"] == "$(Pipeline.Workspace)" for step in steps)
    return Pipeline(scan["steps"][1]["bash"], "scan/results.fpr", *(step["bash"] for step in steps))


def circle(file: Path) -> Pipeline:
    """The CircleCI jobs; the workspace is unpacked where the second one says."""
    jobs = load(file)["jobs"]
    assert jobs["scan"]["steps"][-1] == {"persist_to_workspace": {"root": ".", "paths": ["results.fpr"]}}
    assert jobs["gate"]["steps"][0] == {"attach_workspace": {"at": "scan"}}
    [scan], commands = (
        [step["run"]["command"] for step in jobs[name]["steps"] if "run" in step] for name in ("scan", "gate")
    )
    return Pipeline(scan, "scan/results.fpr", *commands)


def bitbucket(file: Path) -> Pipeline:
    """The Bitbucket steps; an artifact comes to where it was."""
    scan, stage = load(file)["pipelines"]["branches"]["main"]
    upload, gate = (entry["step"] for entry in stage["stage"]["steps"])
    assert (scan["step"]["artifacts"], upload["artifacts"]) == (["results.fpr"], ["upload.json"])
    assert gate["image"] == {"name": IMAGE, "run-as-user": 0}
    scripts = ["\n".join(step["script"]) for step in (scan["step"], upload, gate)]
    return Pipeline(scripts[0], "results.fpr", *scripts[1:])


def handed_on(pipeline: Pipeline, scenario: str, folder: Path) -> Path:
    """Run the scan in a checkout, without the key; the folder in which the rest starts, with its results."""
    checkout, fresh = folder / "checkout", folder / "fresh"
    checkout.mkdir()
    (checkout / "scan.sh").write_text('#!/bin/sh\ntest -z "${THREADFIX_API_KEY-}" && echo results >"$2"\n')
    (checkout / "scan.sh").chmod(0o755)
    subprocess.run(["bash", "-e", "-c", as_here(pipeline.scan, scenario)], cwd=checkout, check=True)
    results = fresh / as_here(pipeline.results, scenario)
    results.parent.mkdir(parents=True)
    shutil.copy(checkout / f"{scenario}.fpr", results)
    return fresh


@pytest.mark.ci
@pytest.mark.usefixtures("same_ids")
@pytest.mark.parametrize(("file", "read"), [(AZURE, azure), (CIRCLE, circle)], ids=["azure-pipelines", "circleci"])
def test_steps_upload_and_gate(
    file: Path, read: Callable[[Path], Pipeline], docker: Path, played: Played, tmp_path: Path
) -> None:
    """The shell steps, as written, upload the results, wait, end with the gate's exit code and leave its reports."""
    pipeline = read(file)
    folder = handed_on(pipeline, played.scenario, tmp_path)
    upload, gate = (as_here(command, played.scenario) for command in (pipeline.upload, pipeline.gate))
    env = {**os.environ, **played.env, "PATH": f"{docker.parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", upload], cwd=folder, env=env, check=True)
    done = subprocess.run(["bash", "-e", "-c", gate], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == played.code, done.stderr
    assert played.says in done.stderr
    kept = {path.name for path in (folder / "threadfix-gate").iterdir()}
    assert kept == {"result.json", "junit.xml", "report.html"}


@pytest.mark.ci
def test_bitbucket_steps_upload_and_gate(docker: Path, played: Played, tmp_path: Path) -> None:
    """The gate's step runs in the gate's image, without its entrypoint, and writes into a folder that is root's."""
    pipeline = bitbucket(BITBUCKET)
    folder = handed_on(pipeline, played.scenario, tmp_path)
    upload, gate = (as_here(command, played.scenario) for command in (pipeline.upload, pipeline.gate))
    env = {**os.environ, **played.env}
    subprocess.run(["sh", "-e", "-c", upload], cwd=folder, env=env, check=True)
    names = [part for name in played.env for part in ("--env", name)]
    mounted = ["--volume", f"{folder}:{folder}", "--workdir", str(folder), "--user", "0"]
    done = subprocess.run(
        [docker, "run", "--rm", *names, *mounted, "--entrypoint", "", BUILT, "sh", "-e", "-c", gate],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == played.code, done.stderr
    assert played.says in done.stderr
    assert (folder / "test-reports/threadfix-gate.xml").exists()
    assert {path.name for path in (folder / "threadfix-gate").iterdir()} == {"result.json", "report.html"}


def tekton(task: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The Task's container, and how it writes a parameter."""
    declared = {param["name"] for param in task["spec"]["params"]}
    assert declared == {"url", "application-id", "pending-scan-id", "timeout"}
    assert task["spec"]["workspaces"][0]["mountPath"] == "/reports"
    return task["spec"]["steps"][0], "$(params.{})"


def argo(template: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The template's container, and how it writes a parameter."""
    gate = template["spec"]["templates"][0]
    assert gate["container"]["volumeMounts"] == [{"name": gate["volumes"][0]["name"], "mountPath": "/reports"}]
    return gate["container"], "{{{{inputs.parameters.{}}}}}"


CONTAINERS = {"tekton": (TEKTON, tekton), "argo": (ARGO, argo)}


@pytest.fixture(params=CONTAINERS)
def container(request: pytest.FixtureRequest, played: Played) -> tuple[dict[str, Any], dict[str, str]]:
    """A container as a Kubernetes resource describes it, and its environment, filled in."""
    file, find = CONTAINERS[request.param]
    spec, pattern = find(load(file))
    given = {
        "url": played.env["THREADFIX_URL"],
        "application-id": played.env["THREADFIX_APPLICATION_ID"],
        "pending-scan-id": played.env["THREADFIX_PENDING_SCAN_ID"],
        "timeout": "2s",
    }
    filled = {pattern.format(name): value for name, value in given.items()}
    # What is no parameter comes from the one secret.
    return spec, {
        entry["name"]: filled[entry["value"]] if "value" in entry else played.env["THREADFIX_API_KEY"]
        for entry in spec["env"]
    }


@pytest.mark.ci
def test_kubernetes_runs_the_gate(
    container: tuple[dict[str, Any], dict[str, str]],
    docker: Path,
    locked_down: tuple[str, ...],
    played: Played,
    tmp_path: Path,
) -> None:
    """The container, as the kubelet would start it, with its rights taken away, ends with the gate's exit code."""
    spec, env = container
    assert spec["image"] == IMAGE
    assert spec["securityContext"]["readOnlyRootFilesystem"]
    tmp_path.chmod(0o777)
    names = [part for name in env for part in ("--env", name)]
    (command,) = spec["command"]
    done = subprocess.run(
        [docker, "run", "--rm", *names, *locked_down, "--volume", f"{tmp_path}:/reports",
         "--entrypoint", command, BUILT, *spec["args"]],
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # The ids are given, so a wrong key is refused by the status call.
    assert done.returncode == REASONS[SCENARIOS[played.scenario].expect].exit_code, done.stderr
    assert {"result.json", "junit.xml"} <= {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def cron(played: Played, need_tool: Callable[[str], Path], tmp_path: Path) -> Callable[..., Done]:
    """Runs the script as cron does, with a home and little else."""
    need_tool("flock")
    key = tmp_path / "key"
    key.write_text(played.env["THREADFIX_API_KEY"] + "\n")
    results = tmp_path / f"{played.scenario}.fpr"
    results.write_text("results")
    script = tmp_path / "upload-and-gate.sh"
    script.write_text(as_here(CRON.read_text(encoding="utf-8"), played.scenario))
    handed = ("THREADFIX_URL", "THREADFIX_APPLICATION_ID", "THREADFIX_INTERVAL")
    env = {name: played.env[name] for name in handed} | {
        "THREADFIX_API_KEY_FILE": str(key),
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    return lambda: subprocess.run(["sh", script, results], env=env, capture_output=True, text=True, check=False)


@pytest.mark.ci
def test_cron_is_silent_unless_it_is_no_pass(cron: Callable[..., Done], played: Played) -> None:
    """Cron mails what is printed: nothing after a pass, else the gate's log."""
    done = cron()
    assert done.returncode == played.code, done.stdout + done.stderr
    assert done.stderr == ""
    assert ("exit code" in done.stdout) == bool(played.code)
    assert played.says in done.stdout
    assert played.env["THREADFIX_API_KEY"] not in done.stdout


@pytest.mark.ci
@pytest.mark.parametrize("played", ["done"], indirect=True)
def test_cron_runs_once_at_a_time(cron: Callable[..., Done], tmp_path: Path) -> None:
    """While one run waits no other starts, and only this user can hold the lock that sees to it."""
    import fcntl  # not on Windows, where these tests are only collected

    assert cron().returncode == 0
    lock = tmp_path / ".local/state/threadfix-gate/lock"
    assert lock.parent.stat().st_mode & 0o777 == 0o700
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = cron()
    assert (done.returncode, done.stderr) == (75, "")
    assert "nothing was uploaded" in done.stdout
    assert "lock" not in CRONTAB.read_text(encoding="utf-8")


# --- Where the key is.


class Job(NamedTuple):
    """One job of a recipe: whether it gets the key, whether the repository is there, and all that is said of it."""

    file: Path
    name: str
    key: bool
    checkout: bool
    text: str


def jobs_of_github(file: Path) -> Iterator[Job]:
    """A secret comes to the jobs that ask for it, the repository to those that check it out."""
    for name, job in load(file)["jobs"].items():
        text = str(job)
        yield Job(file, name, "secrets." in text, "actions/checkout" in text, text)


def jobs_of_azure(file: Path) -> Iterator[Job]:
    """A group's variables come to the jobs that name it. Every job checks out unless it says otherwise."""
    pipeline = load(file)
    assert "variables" not in pipeline
    for job in pipeline["jobs"]:
        yield Job(file, job["job"], "variables" in job, {"checkout": "none"} not in job["steps"], str(job))


def jobs_of_circle(file: Path) -> Iterator[Job]:
    """A context's variables come to the jobs that name it."""
    config = load(file)
    contexts: dict[str, Any] = {}
    for entry in config["workflows"]["main"]["jobs"]:
        contexts |= entry if isinstance(entry, dict) else {entry: {}}
    assert contexts.keys() == config["jobs"].keys()
    for name, job in config["jobs"].items():
        yield Job(file, name, "context" in contexts[name], "checkout" in job["steps"], str(job))


def jobs_of_bitbucket(file: Path) -> Iterator[Job]:
    """A deployment environment's variables come to its steps. Every step clones unless it says otherwise."""
    for entry in load(file)["pipelines"]["branches"]["main"]:
        stage = entry.get("stage", {"steps": [entry]})
        for step in (step["step"] for step in stage["steps"]):
            clones = step.get("clone", {}).get("enabled", True)
            yield Job(file, step["name"], "deployment" in {**stage, **step}, clones, str(step))


def jobs_of_gitlab(file: Path) -> Iterator[Job]:
    """A variable with a scope comes to that environment's jobs. Every job checks out unless it says otherwise."""
    pipeline = load(file)
    template = load(ROOT / "templates/gate.gitlab-ci.yml")["threadfix-gate"]
    added = pipeline.pop("threadfix-gate")
    variables = template["variables"] | added.get("variables", {})
    jobs = {name: job for name, job in pipeline.items() if name not in {"stages", "include"}}
    for name, job in (jobs | {"threadfix-gate": template | added | {"variables": variables}}).items():
        key = job.get("environment", {}).get("name") == "threadfix"
        # What other jobs hand on, variables too, comes only from those that are named.
        assert not key or "dependencies" in job
        yield Job(file, name, key, job.get("variables", {}).get("GIT_STRATEGY") != "empty", str(job))


def jobs_of_kubernetes(file: Path) -> Iterator[Job]:
    """The container with the key is the gate's, and alone."""
    spec = load(file)["spec"]
    [gate] = spec["steps"] if "steps" in spec else [template["container"] for template in spec["templates"]]
    assert (gate["image"], gate["command"]) == (IMAGE, ["threadfix-gate"])
    yield Job(file, "gate", key=True, checkout=False, text=str(gate))


JOBS = {
    **dict.fromkeys(sorted((EXAMPLES / "github").iterdir()), jobs_of_github),
    **dict.fromkeys(sorted((EXAMPLES / "gitlab").iterdir()), jobs_of_gitlab),
    AZURE: jobs_of_azure,
    CIRCLE: jobs_of_circle,
    BITBUCKET: jobs_of_bitbucket,
    TEKTON: jobs_of_kubernetes,
    ARGO: jobs_of_kubernetes,
}


@pytest.mark.parametrize("file", JOBS, ids=lambda file: file.name)
def test_no_job_has_both_the_key_and_the_repository(file: Path) -> None:
    """Where the key is, nothing of the repository is checked out, or run; where it is not, nothing asks for it."""
    jobs = list(JOBS[file](file))
    assert any(job.key for job in jobs)
    for job in jobs:
        assert not (job.key and job.checkout), job.name
        assert not (job.key and re.search(r"(?:^|[\s\"'])\.{1,2}/[\w.-]*\.sh", job.text)), job.name
        assert job.key or not re.search(r"api[_-]key", job.text, re.IGNORECASE), job.name
        # An upload takes the file that a job without the key has made.
        assert "/upload" not in job.text or any("scan.sh" in other.text for other in jobs if not other.key)


def test_every_recipe_is_looked_at() -> None:
    """No example with a key is left out of the rule above; the Jenkinsfiles and the cron job have their own tests."""
    others = {"Jenkinsfile", "Jenkinsfile.scripted", "Jenkinsfile.library", CRON.name, CRONTAB.name}
    assert {path for path in EXAMPLES.rglob("*") if path.is_file() and path.name not in others} == JOBS.keys()


def test_nothing_old_is_waited_for() -> None:
    """Before an upload what an earlier one has left is removed, or the folder is a new one."""
    for path in EXAMPLES.rglob("*"):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for before in text.split("--output ")[:-1]:
            if "curl" in before:
                assert re.search(r"rm -f upload\.json\n[^\n]*\n?[^\n]*curl |work=\$\(mktemp -d\)", before), path


HANDED_ON = {"verdict", "reason", "status", "exit-code", "application-id", "pending-scan-id", "scan-id"}


@pytest.mark.parametrize("file", sorted((EXAMPLES / "github").iterdir()), ids=lambda file: file.name)
def test_no_link_goes_from_job_to_job(file: Path) -> None:
    """GitHub drops an output that holds a secret, and a host name may be one: jobs hand on ids and single words."""
    for job in load(file)["jobs"].values():
        assert set(job.get("outputs", {})) <= HANDED_ON
        assert {value.rpartition(".")[2].removesuffix(" }}") for value in job.get("outputs", {}).values()} <= HANDED_ON


def test_the_remote_include_has_the_hash_of_its_file() -> None:
    """GitLab refuses a file whose SHA-256 is another one than the include says."""
    text = REMOTE.read_text(encoding="utf-8")
    assert PAGES["with_hash"](text) == text, "make docs writes it again"
    [include] = load(REMOTE)["include"]
    assert include["remote"].endswith(f"/v{__version__}/templates/gate.gitlab-ci.yml")
    content = (ROOT / "templates/gate.gitlab-ci.yml").read_bytes().replace(b"\r\n", b"\n")
    assert base64.b64decode(include["integrity"].removeprefix("sha256-")) == hashlib.sha256(content).digest()

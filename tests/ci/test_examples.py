"""The examples: they match their schemas and the pages, their steps work, and the key is in a separate job."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

import pytest

from gate import __version__
from gate.model.reasons import REASONS, Reason
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import API_KEY, ThreadFix
from tests.bundle import bundle
from tests.ci.recipes import ZAP, load
from tests.raw import talking
from tests.uploads import Incoming, envelope, http

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.conftest import Serve

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
YOURSELF = EXAMPLES / "shell/upload-yourself.sh"
CREATE = EXAMPLES / "shell/create-application.sh"
METADATA = EXAMPLES / "shell/add-metadata.sh"
ALERTS = EXAMPLES / "shell/alerts.jq"
INSTALLED = "/opt/threadfix-gate/threadfix-gate.pyz"
DOWNLOAD = EXAMPLES / "shell/download-gate.sh"
CRONTAB = EXAMPLES / "cron/threadfix-gate.crontab"
REMOTE = EXAMPLES / "gitlab/remote.gitlab-ci.yml"
# Azure's schema has patterns that only the older regular expressions accept.
SCHEMAS = {
    AZURE: ("azure-pipelines", "--regex-variant=nonunicode", "--data-transform=azure-pipelines"),
    CIRCLE: ("circle-ci",),
    BITBUCKET: ("bitbucket-pipelines",),
    **dict.fromkeys(sorted((EXAMPLES / "gitlab").iterdir()), ("gitlab-ci",)),
    ROOT / "templates/gate.gitlab-ci.yml": ("gitlab-ci",),
}
PAGES = runpy.run_path(str(ROOT / "scripts/generate_examples.py"))


@pytest.mark.parametrize("page", PAGES["PAGES"], ids=lambda page: page.name)
def test_pages_show_the_files_that_are_tested(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert PAGES["with_files"](text) == text, "make docs writes it anew"


def test_pages_install_a_certain_release() -> None:
    """Pages download the gate, which gets the key, by version: a later upload cannot replace it."""
    pages = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *EXAMPLES.rglob("*"), *(ROOT / "templates").iterdir())
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages if path.is_file())
    installed = re.findall(
        r"(?:pipx (?:run|install)|pip install|uvx|uv tool install)[^\n`]*threadfix[-_]gate[^\s`]*", text
    )
    fetched = re.findall(r"https://\S+\.pyz\b", text)
    named = re.findall(r"(?:threadfix-gate(?:/gate@|:|@v)|ref: v|/download/v)(\d[\d.]*\d)", text)
    assert set(named) == {__version__}
    assert installed
    assert len(fetched) >= 2
    assert [command for command in installed if f"threadfix-gate=={__version__}" not in command] == []
    assert [url for url in fetched if f"/releases/download/v{__version__}/threadfix-gate.pyz" not in url] == []


@pytest.mark.ci
@pytest.mark.parametrize("right", [True, False])
def test_only_the_expected_file_is_kept(need_tool: Callable[[str], Path], tmp_path: Path, *, right: bool) -> None:
    need_tool("curl")
    served, kept = tmp_path / "served.pyz", tmp_path / "threadfix-gate.pyz"
    served.write_bytes(b"new")
    kept.write_bytes(b"old")
    text = DOWNLOAD.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^url=.*$", f"url={served.as_uri()}", text)
    if right:
        text = text.replace("0" * 64, hashlib.sha256(b"new").hexdigest())
    done = subprocess.run(["sh", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, kept.read_bytes()) == ((0, b"new") if right else (1, b"old")), done.stderr
    assert ("another SHA-256 sum" in done.stderr) is not right
    assert {path.name for path in tmp_path.iterdir()} == {"served.pyz", "threadfix-gate.pyz"}


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_examples_fit_their_schema(file: Path) -> None:
    schema, *options = SCHEMAS[file]
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    checked = subprocess.run([*check, *options, file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- The steps of the recipes.


class Played(NamedTuple):
    """A scenario with its expected end, and the variables that a CI system would pass."""

    scenario: str
    code: int
    env: dict[str, str]


@pytest.fixture(params=["done", "interrupted", "stuck"])
def played(request: pytest.FixtureRequest, sandbox: Sandbox, need_tool: Callable[[str], Path]) -> Played:
    """Give a pass, a fail, and an unknown: a scan that does not finish in time."""
    need_tool("bash")
    env = sandbox(request.param)
    # An upload's response names its pending scan.
    del env["THREADFIX_PENDING_SCAN_ID"]
    return Played(request.param, REASONS[SCENARIOS[request.param].expect].exit_code, env)


def as_here(command: str, scenario: str) -> str:
    """Adapt a command: the built image, a file that the sandbox understands, and a shorter timeout."""
    assert IMAGE in command or ".pyz run" in command or "threadfix-gate run" in command or "results.fpr" in command
    command = command.replace(IMAGE, BUILT).replace("results.fpr", f"{scenario}.xml")
    return re.sub(r"--timeout (45m|2h)", "--timeout 2s", command) if scenario == "stuck" else command


class Pipeline(NamedTuple):
    """The scripts of a pipeline: the scan in a checkout, and the gate in another folder, with only the report."""

    scan: str
    results: str  # the path of the report for the gate
    gate: str
    attempt: str  # the variable with the number of starts of the gate's job; "" if there is no such variable


def azure(file: Path) -> Pipeline:
    """Read the Azure pipeline; `download` puts an artifact into a folder of its name, below the pipeline's folder."""
    scan, gate = load(file)["jobs"]
    assert scan["steps"][-1] == {"publish": "results.fpr", "artifact": "scan"}
    assert {"download": "current", "artifact": "scan"} in gate["steps"]
    (step,) = (step for step in gate["steps"] if "bash" in step)
    assert step["env"] == {"THREADFIX_API_KEY": "$(THREADFIX_API_KEY)"}
    assert step["workingDirectory"] == "$(Pipeline.Workspace)"
    return Pipeline(scan["steps"][1]["bash"], "scan/results.fpr", step["bash"], "SYSTEM_JOBATTEMPT")


def circle(file: Path) -> Pipeline:
    """Read the CircleCI jobs; the second job names the folder for the workspace."""
    jobs = load(file)["jobs"]
    assert jobs["scan"]["steps"][-1] == {"persist_to_workspace": {"root": ".", "paths": ["results.fpr"]}}
    assert jobs["gate"]["steps"][0] == {"attach_workspace": {"at": "scan"}}
    (scan,), (gate,) = (
        [step["run"]["command"] for step in jobs[name]["steps"] if "run" in step] for name in ("scan", "gate")
    )
    return Pipeline(scan, "scan/results.fpr", gate, "")


def bitbucket(file: Path) -> Pipeline:
    """Read the Bitbucket steps; an artifact keeps its path."""
    scan, gate = (entry["step"] for entry in load(file)["pipelines"]["branches"]["main"])
    assert scan["artifacts"] == ["results.fpr"]
    assert gate["image"] == {"name": IMAGE, "run-as-user": 0}
    scripts = ("\n".join(step["script"]) for step in (scan, gate))
    return Pipeline(next(scripts), "results.fpr", next(scripts), "BITBUCKET_STEP_RUN_NUMBER")


def handed_on(pipeline: Pipeline, scenario: str, folder: Path) -> Path:
    """Run the scan in a checkout, without the key; return the folder of the gate, with the report."""
    checkout, fresh = folder / "checkout", folder / "fresh"
    checkout.mkdir()
    (checkout / "scan.sh").write_text(f'#!/bin/sh\n{ZAP}\ntest -z "${{THREADFIX_API_KEY-}}" && zap >"$2"\n')
    (checkout / "scan.sh").chmod(0o755)
    subprocess.run(["bash", "-e", "-c", as_here(pipeline.scan, scenario)], cwd=checkout, check=True)
    results = fresh / as_here(pipeline.results, scenario)
    results.parent.mkdir(parents=True)
    shutil.copy(checkout / results.name, results)
    return fresh


def in_a_shell(docker: Path, gate: str, env: dict[str, str], folder: Path) -> Done:
    """Run the gate's step on the machine, as Azure and CircleCI do."""
    env = {**os.environ, **env, "PATH": f"{docker.parent}:{os.environ['PATH']}"}
    return subprocess.run(["bash", "-e", "-c", gate], cwd=folder, env=env, capture_output=True, text=True, check=False)


def in_the_image(docker: Path, gate: str, env: dict[str, str], folder: Path) -> Done:
    """Run the gate's step in the gate's image, without its entrypoint and in a folder of root, as Bitbucket does."""
    names = [part for name in env for part in ("--env", name)]
    mounted = ["--volume", f"{folder}:{folder}", "--workdir", str(folder), "--user", "0"]
    return subprocess.run(
        [docker, "run", "--rm", *names, *mounted, "--entrypoint", "", BUILT, "sh", "-e", "-c", gate],
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


PIPELINES = pytest.mark.parametrize(
    ("file", "read", "run"),
    [(AZURE, azure, in_a_shell), (CIRCLE, circle, in_a_shell), (BITBUCKET, bitbucket, in_the_image)],
    ids=["azure-pipelines", "circleci", "bitbucket"],
)


@pytest.mark.ci
@pytest.mark.usefixtures("same_ids")
@PIPELINES
def test_the_step_uploads_and_waits(  # noqa: PLR0913, PLR0917 - a table
    file: Path, read: Callable[[Path], Pipeline], run: Callable[..., Done], docker: Path, played: Played, tmp_path: Path
) -> None:
    """The step, as written, ends with the gate's exit code and leaves its reports.

    A job's second attempt accepts a duplicate; if attempts are counted, a first attempt does not.
    """
    pipeline = read(file)
    folder = handed_on(pipeline, played.scenario, tmp_path)
    gate, reasons = as_here(pipeline.gate, played.scenario), []
    for attempt in ("1", "1", "2") if played.scenario == "done" else ("1",):
        shutil.rmtree(folder / "threadfix-gate", ignore_errors=True)
        done = run(docker, gate, played.env | {pipeline.attempt or "_": attempt}, folder)
        kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
        assert "threadfix-gate/report.html" in kept
        assert kept & {"threadfix-gate/junit.xml", "test-reports/threadfix-gate.xml"}
        reasons.append(Reason(json.loads((folder / "threadfix-gate/result.json").read_text())["reason"]))
        assert done.returncode == REASONS[reasons[-1]].exit_code, done.stderr
    refused = Reason.UPLOAD_REFUSED if pipeline.attempt else Reason.ALREADY_IMPORTED
    assert reasons == [SCENARIOS[played.scenario].expect, refused, Reason.ALREADY_IMPORTED][: len(reasons)]


def tekton(task: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the Task's container, and its syntax for a parameter."""
    declared = {param["name"] for param in task["spec"]["params"]}
    assert declared == {"url", "application-id", "scan-file", "timeout"}
    scan, reports = task["spec"]["workspaces"]
    assert (scan["mountPath"], scan["readOnly"], reports["mountPath"]) == ("/scan", True, "/reports")
    return task["spec"]["steps"][0], "$(params.{})"


def argo(template: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the template's container, and its syntax for a parameter."""
    gate = template["spec"]["templates"][0]
    assert gate["inputs"]["artifacts"] == [{"name": "scan", "path": "/scan/results.fpr"}]
    assert gate["container"]["volumeMounts"] == [{"name": gate["volumes"][0]["name"], "mountPath": "/reports"}]
    return gate["container"], "{{{{inputs.parameters.{}}}}}"


CONTAINERS = {"tekton": (TEKTON, tekton), "argo": (ARGO, argo)}


@pytest.mark.ci
@pytest.mark.parametrize("name", CONTAINERS)
def test_kubernetes_runs_the_gate(
    name: str, docker: Path, locked_down: tuple[str, ...], played: Played, tmp_path: Path
) -> None:
    """Started as by the kubelet, without privileges, the container uploads and ends as the gate does."""
    file, find = CONTAINERS[name]
    spec, pattern = find(load(file))
    given = {
        "url": played.env["THREADFIX_URL"],
        "application-id": played.env["THREADFIX_APPLICATION_ID"],
        "scan-file": "/scan/*",
        "timeout": "2s" if played.scenario == "stuck" else "45m",
    }
    filled = {pattern.format(name): value for name, value in given.items()}
    filled["/scan/results.fpr"] = f"/scan/{played.scenario}.fpr"
    # Variables that are not parameters come from the secret.
    env = {
        entry["name"]: filled[entry["value"]] if "value" in entry else played.env["THREADFIX_API_KEY"]
        for entry in spec["env"]
    }
    assert spec["image"] == IMAGE
    assert spec["securityContext"]["readOnlyRootFilesystem"]
    scan, reports = tmp_path / "scan", tmp_path / "reports"
    scan.mkdir()
    (scan / f"{played.scenario}.fpr").write_text("results")
    reports.mkdir()
    reports.chmod(0o777)
    names = [part for name in env for part in ("--env", name)]
    (command,) = spec["command"]
    done = subprocess.run(
        [docker, "run", "--rm", *names, *locked_down, "--volume", f"{scan}:/scan:ro", "--volume", f"{reports}:/reports",
         "--entrypoint", command, BUILT, *spec["args"]],
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == played.code, done.stderr
    assert {path.name for path in reports.iterdir()} == {"result.json", "junit.xml"}


@pytest.mark.ci
def test_cron_is_silent_unless_it_is_no_pass_and_runs_once_at_a_time(
    played: Played, need_tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """Cron mails the output: nothing after a pass, otherwise the gate's log. Only this user can hold the lock."""
    import fcntl  # missing on Windows, which only collects these tests

    need_tool("flock")
    key, results, script = tmp_path / "key", tmp_path / f"{played.scenario}.fpr", tmp_path / "upload-and-gate.sh"
    key.write_text(played.env["THREADFIX_API_KEY"] + "\n")
    results.write_text("results")
    text = CRON.read_text(encoding="utf-8")
    assert INSTALLED in text
    text = text.replace(INSTALLED, shlex.quote(str(bundle(tmp_path / "threadfix-gate.pyz"))))
    script.write_text(as_here(text, played.scenario))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {"THREADFIX_API_KEY_FILE": str(key), "HOME": str(tmp_path), "PATH": path}
    env |= {name: played.env[name] for name in ("THREADFIX_URL", "THREADFIX_APPLICATION_ID", "THREADFIX_INTERVAL")}

    def cron() -> tuple[int, str, str]:
        done = subprocess.run(["sh", script, results], env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    code, out, err = cron()
    assert (code, err, bool(out)) == (played.code, "", bool(played.code)), out + err
    assert ("exit code" in out) == bool(played.code)
    assert played.env["THREADFIX_API_KEY"] not in out
    lock = tmp_path / ".local/state/threadfix-gate/lock"
    assert lock.parent.stat().st_mode & 0o777 == 0o700
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, out, err = cron()
    assert (code, err, "nothing was uploaded" in out) == (75, "", True)
    assert "lock" not in CRONTAB.read_text(encoding="utf-8")


@pytest.mark.ci
@pytest.mark.parametrize(
    ("report", "scenario", "says"),
    [
        ("interrupted.fpr", "interrupted", ""),
        ("done.fpr", "bad-key", "ThreadFix refused the upload: API Key not found"),
        ("done.txt", "done", "ThreadFix refused the upload: "),
        ("nowhere.fpr", "done", "curl: "),
    ],
)
def test_an_upload_with_curl_is_waited_for_if_it_succeeds(  # noqa: PLR0913, PLR0917 - a table
    sandbox: Sandbox, need_tool: Callable[[str], Path], tmp_path: Path, report: str, scenario: str, says: str
) -> None:
    """The gate waits for the pending scan of the new response, not of the earlier response in the folder."""
    need_tool("curl")
    need_tool("jq")
    link = f"/applications/6/pendingScan/{sandbox('done')['THREADFIX_PENDING_SCAN_ID']}/status"
    response = tmp_path / "upload.json"
    response.write_text(json.dumps({"success": True, "links": [{"href": link}]}))
    if report != "nowhere.fpr":
        (tmp_path / report).write_text("results")
    env = sandbox(scenario)
    del env["THREADFIX_PENDING_SCAN_ID"]
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command: list[str | Path] = ["sh", YOURSELF, report]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert says in done.stderr
    if says:
        assert done.returncode != 0
        assert "threadfix-gate" not in done.stderr
        assert response.exists() is (report != "nowhere.fpr")
        return
    assert done.returncode == 1, done.stderr
    number = json.loads(response.read_text())["links"][0]["href"].split("/")[-2]
    assert f"for pending scan {number} of application 6" in done.stderr


@pytest.fixture
def administer(need_tool: Callable[[str], Path]) -> Callable[..., int]:
    """Return a function that runs a script of an administrator."""
    need_tool("jq")
    need_tool("curl")
    return lambda script, *arguments, **env: (
        subprocess.run(["sh", script, *arguments], env={**os.environ, **env}, check=False).returncode
    )


@pytest.mark.ci
def test_an_application_is_created_once(administer: Callable[..., int], threadfix: ThreadFix, serve: Serve) -> None:
    """An existing application is left alone, and a refusal with HTTP 200 ends the script."""
    env = {"THREADFIX_URL": f"{serve(threadfix)}/", "THREADFIX_API_KEY": API_KEY}
    names = {"THREADFIX_TEAM_NAME": "Büro 2", "THREADFIX_APPLICATION_NAME": "Shop"}
    before = threadfix.applications.copy()
    assert [administer(CREATE, **env, **names) for _ in range(2)] == [0, 0]
    [created] = [application for number, application in threadfix.applications.items() if number not in before]
    assert (created.team.name, created.name) == ("Büro 2", "Shop")
    for wrong in ({"THREADFIX_APPLICATION_NAME": "A & B"}, {"THREADFIX_API_KEY": "another"}):
        assert administer(CREATE, **env | names | wrong) != 0


@pytest.mark.ci
def test_metadata_is_stored_with_a_scan(administer: Callable[..., int]) -> None:
    seen: list[Incoming] = []

    def talk(connection: socket.socket) -> None:
        seen.append(Incoming(connection, threading.Event()).read())
        connection.sendall(http(envelope(success=len(seen) == 1)))

    with talking(talk) as url:
        for code in (0, 1):
            env = {"THREADFIX_URL": url, "THREADFIX_API_KEY": "k"}
            assert administer(METADATA, "901", "Build", "7 & 7", **env) == code
    assert seen[0].head.startswith(b"POST /threadfix/rest/latest/scans/901/metadata/new HTTP")
    assert parse_qsl(seen[0].body.decode()) == [("title", "Build"), ("description", "7 & 7")]


ALERT = {
    "number": 3,
    "tool": {"name": "CodeQL"},
    "rule": {"id": "js/sql", "severity": "error", "security_severity_level": "critical", "description": "SQL injection",
             "tags": ["security", "external/cwe/cwe-089"]},
    "most_recent_instance": {"message": {"text": "a query"},
                             "location": {"path": "a.js", "start_line": 3, "start_column": 2}},
}  # fmt: skip


@pytest.mark.ci
@pytest.mark.parametrize(("pages", "findings"), [([[ALERT], [ALERT | {"number": 4}]], 2), ([[]], 0)])
def test_alerts_become_a_report(
    need_tool: Callable[[str], Path], sandbox: Sandbox, tmp_path: Path, pages: list[list[dict[str, Any]]], findings: int
) -> None:
    """The step of the workflow, as written, turns all pages of alerts into findings, and ThreadFix takes the report."""
    need_tool("jq")
    shutil.copy(ALERTS, tmp_path)
    gh = tmp_path / "gh"
    gh.write_text(f"#!/bin/sh\ncat <<'END'\n{chr(10).join(map(json.dumps, pages))}\nEND\n")
    gh.chmod(0o755)
    [step] = [step for step in load(EXAMPLES / "github/code-scanning.yml")["jobs"]["scan"]["steps"] if "run" in step]
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "o/r", "GITHUB_REF": "main"}
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=env, check=True)
    report = json.loads((tmp_path / "results.threadfix").read_text())
    assert [finding["nativeId"] for finding in report["findings"]] == ["CodeQL-3", "CodeQL-4"][:findings]
    for finding in report["findings"]:
        assert (finding["severity"], finding["staticDetails"]["file"]) == ("Critical", "a.js")
        assert finding["mappings"] == [{"mappingType": "CWE", "value": "89", "primary": True}]
    uploaded = sandbox("done") | {"THREADFIX_PENDING_SCAN_ID": ""}
    gate = [sys.executable, "-m", "gate", "run", "--scan-file", str(tmp_path / "results.threadfix")]
    assert subprocess.run(gate, cwd=ROOT, env={**os.environ, **uploaded}, check=False).returncode == 0


# --- The jobs with the key.


class Job(NamedTuple):
    """A job of a recipe."""

    file: Path
    name: str
    key: bool  # whether it has the key
    checkout: bool  # whether it has the repository
    lock: str | None  # the name of the lock that it holds; None if other runs may overlap
    text: str


HANDED_ON = {"artifact-id", "verdict", "reason", "status", "exit-code", "application-id", "pending-scan-id", "scan-id"}


def jobs_of_github(file: Path) -> Iterator[Job]:
    """Yield the jobs; a job has a secret or the repository only if it asks for it.

    GitHub drops an output that contains a secret, such as a host name: jobs pass on only ids and single words.
    """
    workflow = load(file)
    assert not workflow.get("concurrency", {}).get("cancel-in-progress")
    for name, job in workflow["jobs"].items():
        text, limit, outputs = str(job), job.get("concurrency", {}), job.get("outputs", {})
        assert {value.rpartition(".")[2].removesuffix(" }}") for value in outputs.values()} | set(outputs) <= HANDED_ON
        lock = None if limit.get("cancel-in-progress", True) else limit["group"]
        yield Job(file, name, "secrets." in text, "actions/checkout" in text, lock, text)


def jobs_of_azure(file: Path) -> Iterator[Job]:
    """Yield the jobs; a job has a group's variables if it names the group, and checks out by default."""
    pipeline = load(file)
    assert "variables" not in pipeline
    for job in pipeline["jobs"]:
        lock = job.get("variables", [{}])[0].get("group") if pipeline["lockBehavior"] == "sequential" else None
        yield Job(file, job["job"], "variables" in job, {"checkout": "none"} not in job["steps"], lock, str(job))


def jobs_of_circle(file: Path) -> Iterator[Job]:
    """Yield the jobs; a job has a context's variables if it names the context."""
    config = load(file)
    contexts: dict[str, Any] = {}
    for entry in config["workflows"]["main"]["jobs"]:
        contexts |= entry if isinstance(entry, dict) else {entry: {}}
    assert contexts.keys() == config["jobs"].keys()
    for name, job in config["jobs"].items():
        lock = contexts[name].get("serial-group")
        yield Job(file, name, "context" in contexts[name], "checkout" in job["steps"], lock, str(job))


def jobs_of_bitbucket(file: Path) -> Iterator[Job]:
    """Yield the steps; a step has a deployment environment's variables if it names it, and clones by default."""
    for entry in load(file)["pipelines"]["branches"]["main"]:
        stage = entry.get("stage", {"steps": [entry]})
        for step in (step["step"] for step in stage["steps"]):
            clones = step.get("clone", {}).get("enabled", True)
            lock = {**stage, **step}.get("deployment")
            yield Job(file, step["name"], lock is not None, clones, lock, str(step))


def jobs_of_gitlab(file: Path) -> Iterator[Job]:
    """Yield the jobs; a job has a variable if it is in the variable's scope, and checks out by default."""
    pipeline = load(file)
    template = load(ROOT / "templates/gate.gitlab-ci.yml")["threadfix-gate"]
    added = pipeline.pop("threadfix-gate")
    variables = template["variables"] | added.get("variables", {})
    jobs = {name: job for name, job in pipeline.items() if name not in {"stages", "workflow", "include"}}
    gate = template | added | {"variables": variables}
    components = [entry["inputs"].get("job-name") for entry in pipeline["include"] if "component" in entry]
    for name, job in jobs.items():
        if job.get("extends") == "threadfix-gate" or name in components:
            jobs[name] = gate | job | {"variables": variables | job.get("variables", {})}
    for name, job in (jobs | {"threadfix-gate": gate}).items():
        key = job.get("environment", {}).get("name") == "threadfix"
        # Artifacts and variables come only from the jobs that `dependencies` names.
        assert not key or "dependencies" in job
        checkout = job.get("variables", {}).get("GIT_STRATEGY") != "empty"
        yield Job(file, name, key, checkout, job.get("resource_group"), str(job))


def jobs_of_kubernetes(file: Path) -> Iterator[Job]:
    """Yield the gate's container, which has the key and is alone."""
    spec = load(file)["spec"]
    [template] = spec.get("templates", [{}])
    [gate] = spec["steps"] if "steps" in spec else [template["container"]]
    assert (gate["image"], gate["command"]) == (IMAGE, ["threadfix-gate"])
    lock = template["synchronization"]["mutexes"][0]["name"] if template else None
    yield Job(file, "gate", key=True, checkout=False, lock=lock, text=str(gate))


JOBS = {
    **dict.fromkeys(sorted((EXAMPLES / "github").iterdir()), jobs_of_github),
    **dict.fromkeys(sorted((EXAMPLES / "gitlab").iterdir()), jobs_of_gitlab),
    AZURE: jobs_of_azure,
    CIRCLE: jobs_of_circle,
    BITBUCKET: jobs_of_bitbucket,
    TEKTON: jobs_of_kubernetes,
    ARGO: jobs_of_kubernetes,
}


def test_every_example_is_shown_and_looked_at() -> None:
    """The tests of jobs leave out no example with a key; the Jenkinsfiles and the cron job have their own tests."""
    shown = {file for page in PAGES["PAGES"] for _, file in PAGES["SHOWN"].findall(page.read_text("utf-8"))}
    files = {path for path in EXAMPLES.rglob("*") if path.is_file()}
    assert {path.relative_to(ROOT).as_posix() for path in files} <= shown
    others = {*(EXAMPLES / "jenkins").iterdir(), *(EXAMPLES / "shell").iterdir(), CRON, CRONTAB}
    assert files - others == JOBS.keys()


@pytest.mark.parametrize("file", JOBS, ids=lambda file: file.name)
def test_no_job_has_both_the_key_and_the_repository(file: Path) -> None:
    """A job with the key neither checks out nor runs anything of the repository; no other job asks for the key."""
    jobs = list(JOBS[file](file))
    assert any(job.key for job in jobs)
    for job in jobs:
        assert not (job.key and job.checkout), job.name
        assert not (job.key and re.search(r"scan\.sh|(?:^|[\s\"'])\.{1,2}/[\w.-]*\.sh", job.text)), job.name
        assert job.key or not re.search(r"api[_-]key", job.text, re.IGNORECASE), job.name


@pytest.mark.parametrize("file", [file for file in JOBS if file != TEKTON], ids=lambda file: file.name)
def test_uploads_to_one_application_do_not_overlap(file: Path) -> None:
    """A job that uploads holds a lock that no branch and no newer run can take or break."""
    for job in JOBS[file](file):
        if job.key and re.search(r"scan[-_]file", job.text, re.IGNORECASE):
            lock = (job.lock or "").lower()
            assert re.search(r"^threadfix(-6)?$|application[-_]id|matrix\.application", lock), job.name
            assert not re.search(r"ref|branch", lock), job.name
    assert "concurrency_limit: 1" in (ROOT / "docs/tekton-argo.md").read_text(encoding="utf-8")


def test_the_remote_include_has_the_hash_of_its_file() -> None:
    [include] = load(REMOTE)["include"]
    assert include["remote"].endswith(f"/v{__version__}/templates/gate.gitlab-ci.yml")
    content = (ROOT / "templates/gate.gitlab-ci.yml").read_bytes().replace(b"\r\n", b"\n")
    assert base64.b64decode(include["integrity"].removeprefix("sha256-")) == hashlib.sha256(content).digest()

"""The examples for other CI systems: they fit their schemas, the pages show them as they are, and their steps work."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from gate import __version__
from gate.reasons import REASONS
from gate.sandbox.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    Sandbox = Callable[[str], dict[str, str]]
    Commands = Callable[[dict[str, Any]], list[str]]

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
# Azure's schema has patterns that only the older kind of regular expressions takes.
SCHEMAS = {
    AZURE: ("azure-pipelines", "--regex-variant=nonunicode", "--data-transform=azure-pipelines"),
    CIRCLE: ("circle-ci",),
    BITBUCKET: ("bitbucket-pipelines",),
    EXAMPLES / "gitlab/component.gitlab-ci.yml": ("gitlab-ci",),
    EXAMPLES / "gitlab/include.gitlab-ci.yml": ("gitlab-ci",),
    ROOT / "templates/gate.gitlab-ci.yml": ("gitlab-ci",),
}
PAGES = runpy.run_path(str(ROOT / "scripts/examples.py"))


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
    """A scenario as it must end, and the variables that a CI system would hand over."""

    code: int
    env: dict[str, str]


@pytest.fixture(params=["done", "interrupted", "stuck"])
def played(
    request: pytest.FixtureRequest, sandbox: Sandbox, need_tool: Callable[[str], Path], tmp_path: Path
) -> Played:
    """Pass, fail, unknown; the scan's results lie in the working folder."""
    for tool in ("bash", "curl"):
        need_tool(tool)
    scenario = request.param
    (tmp_path / f"{scenario}.fpr").write_text("results")
    return Played(REASONS[SCENARIOS[scenario].expect].exit_code, sandbox(scenario) | {"SCENARIO": scenario})


def as_here(command: str, scenario: str) -> str:
    """The command with the image that was built, the file that the sandbox understands, and less patience."""
    assert IMAGE in command or "threadfix-gate run" in command or "results.fpr" in command
    command = command.replace(IMAGE, BUILT).replace("results.fpr", f"{scenario}.fpr")
    return command.replace("--timeout 45m", "--timeout 2s").replace("--timeout 2h", "--timeout 2s")


def azure(pipeline: dict[str, Any]) -> list[str]:
    """The shell steps of the Azure pipeline; each gets the locked variable."""
    steps = [step for step in pipeline["steps"] if "bash" in step]
    assert all(step["env"] == {"THREADFIX_API_KEY": "$(THREADFIX_API_KEY)"} for step in steps)
    return [step["bash"] for step in steps]


def circle(config: dict[str, Any]) -> list[str]:
    """The shell steps of the CircleCI job."""
    return [step["run"]["command"] for step in config["jobs"]["gate"]["steps"] if "run" in step]


@pytest.mark.ci
@pytest.mark.parametrize(("file", "commands"), [(AZURE, azure), (CIRCLE, circle)], ids=["azure-pipelines", "circleci"])
def test_steps_upload_and_gate(file: Path, commands: Commands, docker: Path, played: Played, tmp_path: Path) -> None:
    """The shell steps, as written, upload the results, wait, end with the gate's exit code and leave its reports."""
    upload, gate = (as_here(command, played.env["SCENARIO"]) for command in commands(load(file)))
    env = {**os.environ, **played.env, "PATH": f"{docker.parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", upload], cwd=tmp_path, env=env, check=True)
    done = subprocess.run(
        ["bash", "-e", "-c", gate], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == played.code, done.stderr
    kept = {path.name for path in (tmp_path / "threadfix-gate").iterdir()}
    assert kept == {"result.json", "junit.xml", "report.html"}


@pytest.mark.ci
def test_bitbucket_steps_upload_and_gate(docker: Path, played: Played, tmp_path: Path) -> None:
    """The gate's step runs in the gate's image, without its entrypoint, and writes into a folder that is root's."""
    upload, gate = (entry["step"] for entry in load(BITBUCKET)["pipelines"]["branches"]["main"])
    here = [as_here("\n".join(step["script"]), played.env["SCENARIO"]) for step in (upload, gate)]
    env = {**os.environ, **played.env}
    subprocess.run(["sh", "-e", "-c", here[0]], cwd=tmp_path, env=env, check=True)
    names = [part for name in played.env for part in ("--env", name)]
    folder = ["--volume", f"{tmp_path}:{tmp_path}", "--workdir", str(tmp_path)]
    user = ["--user", str(gate["image"]["run-as-user"])]
    assert gate["image"]["name"] == IMAGE
    done = subprocess.run(
        [docker, "run", "--rm", *names, *folder, *user, "--entrypoint", "", BUILT, "sh", "-e", "-c", here[1]],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == played.code, done.stderr
    assert (tmp_path / "test-reports/threadfix-gate.xml").exists()
    assert {path.name for path in (tmp_path / "threadfix-gate").iterdir()} == {"result.json", "report.html"}


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
    assert done.returncode == played.code, done.stderr
    assert {"result.json", "junit.xml"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.ci
def test_cron_is_silent_unless_it_is_no_pass(played: Played, tmp_path: Path) -> None:
    """Cron mails what is printed: nothing after a pass, else the gate's log."""
    key = tmp_path / "key"
    key.write_text(played.env["THREADFIX_API_KEY"] + "\n")
    script = tmp_path / "upload-and-gate.sh"
    script.write_text(as_here(CRON.read_text(encoding="utf-8"), played.env["SCENARIO"]))
    handed = ("THREADFIX_URL", "THREADFIX_APPLICATION_ID", "THREADFIX_INTERVAL")
    env = {name: played.env[name] for name in handed} | {
        "THREADFIX_API_KEY_FILE": str(key),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    done = subprocess.run(
        ["sh", script, tmp_path / f"{played.env['SCENARIO']}.fpr"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == played.code, done.stdout + done.stderr
    assert done.stderr == ""
    assert ("exit code" in done.stdout) == bool(played.code)
    assert played.env["THREADFIX_API_KEY"] not in done.stdout

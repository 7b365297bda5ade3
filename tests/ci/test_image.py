"""The image, run as a CI system runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from gate.model.reasons import SIGNAL_EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Sandbox = Callable[[str], dict[str, str]]

pytestmark = pytest.mark.ci

IMAGE = "localhost/threadfix-gate"
PYTHON = ("--entrypoint", "/opt/threadfix-gate/bin/python", IMAGE, "-c")
MEGABYTES_ADDED = 15
# Runs inside the image, in the gate's Python.
LOOK = """
import importlib.util, json, os, pathlib, sysconfig
home = pathlib.Path("/opt/threadfix-gate")
print(json.dumps({
    "uid": os.getuid(),
    "pid": os.getpid(),
    "added": sum(file.lstat().st_size for file in home.rglob("*") if not file.is_dir()),
    "there": [name for name in ("github", "nacl", "cryptography", "jwt", "pip", "hatchling", "requests", "pygments",
                           "markdown_it", "tests")
              if importlib.util.find_spec(name)],
    "compiled": [name for name in ("gate.flow.run", "requests.sessions", "click.core")
                 if os.path.exists(importlib.util.find_spec(name).cached)],
    "writable": [str(path) for path in home.rglob("*") if not path.is_symlink() and os.access(path, os.W_OK)],
}))
"""


def start(docker: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a container; the variables are passed by their names, as in a CI job."""
    env = env or {}
    names = [part for name in env for part in ("--env", name)]
    return subprocess.Popen(
        [docker, "run", "--rm", *names, *arguments], env={**os.environ, **env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(docker: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Return the exit code, standard output and standard error of a container."""
    process = start(docker, *arguments, env=env)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def inside(docker: Path) -> dict[str, Any]:
    """Return facts about the image, as seen from inside."""
    code, out, err = run(docker, *PYTHON, LOOK)
    assert code == 0, err
    facts: dict[str, Any] = json.loads(out)
    return facts


DRAW = "import gate.reporters.terminal as t, rich.live; t.Screen(force_terminal=True).print(t.Text('drawn', 'bold'))"


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        ([IMAGE], 2, "--url is missing"),
        ([IMAGE, "demo", "--speed", "20"], 0, "PASS (policy-passed)"),
        ([*PYTHON, DRAW], 0, "drawn"),
    ],
)
def test_the_image_runs_the_gate_by_default_the_demo_and_the_live_line(
    docker: Path, arguments: list[str], code: int, shown: str
) -> None:
    ended, out, err = run(docker, *arguments)
    assert ended == code, err
    assert shown in out + err


@pytest.mark.usefixtures("same_ids")
def test_the_container_uploads_a_private_report(docker: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    report = tmp_path / "done.fpr"
    report.write_text("results")
    report.chmod(0o600)
    env = sandbox("done")
    del env["THREADFIX_PENDING_SCAN_ID"]
    owner = ["--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{tmp_path}:/scan:ro"]
    ended, _, err = run(docker, *owner, IMAGE, "run", "--scan-file", "/scan/done.fpr", env=env)
    assert ended == 0, err


@pytest.mark.usefixtures("same_ids")
def test_nothing_but_the_verdict_is_needed_of_the_machine(
    docker: Path, sandbox: Sandbox, locked_down: tuple[str, ...], tmp_path: Path
) -> None:
    """The gate works with a read-only root, as an unknown user, without a home and without a shell."""
    tmp_path.chmod(0o777)
    limits = ["--user", "4242:4242", "--volume", f"{tmp_path}:/reports", "--volume", "/dev/null:/bin/sh:ro"]
    limits += ["--env", "HOME=/nowhere"]
    files = ["--result-file", "/reports/deep/result.json", "--html-file", "/reports/report.html"]
    code, _, err = run(docker, *limits, *locked_down, IMAGE, "run", *files, env=sandbox("done"))
    assert code == 0, err
    result = tmp_path / "deep/result.json"
    assert (json.loads(result.read_text())["verdict"], result.stat().st_uid) == ("pass", 4242)
    assert "processed" in (tmp_path / "report.html").read_text()


def test_a_stopped_container_reports_and_ends(
    docker: Path, sandbox: Sandbox, inside: dict[str, Any], engine: str, tmp_path: Path
) -> None:
    """SIGTERM reaches the gate as process 1, which the kernel shields from unhandled signals."""
    if engine == "buildah":
        pytest.skip("buildah gives a container no process 1 of its own; podman or docker does")
    assert inside["pid"] == 1
    tmp_path.chmod(0o777)
    process = start(
        docker, "--volume", f"{tmp_path}:/reports", "--env", "THREADFIX_RESULT_FILE=/reports/result.json", IMAGE,
        env=sandbox("stuck"),
    )  # fmt: skip
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "FINDINGS_GENERATING" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == SIGNAL_EXIT_CODES[1], "".join(lines) + err
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["verdict"], result["reason"]) == ("unknown", "cancelled")


def test_the_image_holds_only_the_gate_compiled_and_read_only(inside: dict[str, Any]) -> None:
    """Build tools and pip are left out, and so are packages of dependencies that the gate never imports."""
    assert (inside["uid"], inside["writable"]) == (65532, [])
    assert inside["there"] == ["requests"]
    assert inside["compiled"] == ["gate.flow.run", "requests.sessions", "click.core"]
    assert inside["added"] <= MEGABYTES_ADDED * 1_000_000

"""Fixtures for the tests of real runners, browsers and image builds."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gate.sandbox.server import ThreadFix, environment, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/threadfix-gate"
# EX_UNAVAILABLE: the exit code of scripts/build_image.py without an engine.
UNAVAILABLE = 69
PLACES = (Path(sys.executable).parent, ROOT / ".cache/tools/bin", ROOT / ".cache/npm/node_modules/.bin")
"""Folders that are searched after PATH: that of the tests' Python, and the project's cache of tools."""


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str], Path]:
    """Find a program, or skip the test by name."""

    def find(name: str) -> Path:
        path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, PLACES)]))
        if path:
            return Path(path)
        pytest.skip(f"{name} is missing")

    return find


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a command `docker` whose `run` starts containers with any engine; the image is built once."""
    script = [sys.executable, str(ROOT / "scripts/build_image.py")]
    folder = tmp_path_factory.getbasetemp()
    # Each worker has its own folder, inside a shared folder.
    with once((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "image") as marker:
        if not marker.exists():
            built = subprocess.run([*script, "build"], capture_output=True, text=True, check=False)
            marker.write_text(json.dumps([built.returncode, built.stdout + built.stderr]), encoding="utf-8")
    code, output = json.loads(marker.read_text(encoding="utf-8"))
    if code == UNAVAILABLE:
        pytest.skip(output.strip())
    assert code == 0, output
    engine = subprocess.run([*script, "engine"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    command = tmp_path_factory.mktemp("engine") / "docker"
    command.write_text(f'#!/bin/sh\nTHREADFIX_GATE_ENGINE={engine} exec {shlex.join(script)} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    # Start a program that every base has, not the gate: a broken gate must not skip the tests.
    start: list[str | Path] = [command, "run", "--rm", "--entrypoint", "true", IMAGE]
    tried = subprocess.run(start, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"{engine} builds images here but starts no containers: {tried.stderr.strip()}")
    return command


@contextmanager
def once(marker: Path) -> Iterator[Path]:
    """Let only one process at a time use this file."""
    import fcntl

    with marker.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield marker


@pytest.fixture(scope="session")
def same_ids(docker: Path, engine: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip the test if a user's id in a container differs from the id outside, as under a rootless engine."""
    folder = tmp_path_factory.mktemp("ids")
    folder.chmod(0o777)
    write = ["--entrypoint", "/opt/threadfix-gate/bin/python", IMAGE, "-c", "open('/ids/file', 'w')"]
    user = [str(docker), "run", "--rm", "--user", "4242:4242", "--volume", f"{folder}:/ids", *write]
    tried = subprocess.run(user, capture_output=True, check=False)
    if tried.returncode or (folder / "file").stat().st_uid != 4242:
        pytest.skip(f"{engine} needs root to give users the same ids in a container as outside")


@pytest.fixture(scope="session")
def engine(docker: Path) -> str:
    """Return the engine that `docker` uses.

    Buildah supports neither a read-only root nor a container whose program is process 1.
    """
    return subprocess.run([docker, "engine"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def locked_down(engine: str) -> tuple[str, ...]:
    """Return options of `docker run` that drop the rights that a cautious administrator drops."""
    return () if engine == "buildah" else ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


@pytest.fixture
def sandbox() -> Iterator[Callable[[str], dict[str, str]]]:
    """Give a function that returns the variables to play a scenario, against a sandbox at twenty times the speed."""
    server = ThreadFix(speed=20)
    with serving(server) as url:
        yield lambda scenario: environment(url, scenario, server.scans) | {"THREADFIX_INTERVAL": "100ms"}

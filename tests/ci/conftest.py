"""What the tests of real runners, browsers and image builds share."""

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
# EX_UNAVAILABLE, as scripts/build_image.py ends where there is no engine.
UNAVAILABLE = 69
PLACES = (Path(sys.executable).parent, ROOT / ".cache/tools/bin", ROOT / ".cache/npm/node_modules/.bin")
"""Where programs are looked for beside PATH: next to the tests' own Python, and in the project's cache of tools."""


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str], Path]:
    """Finds a program, or else skips the test by name."""

    def find(name: str) -> Path:
        found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, PLACES)]))
        if found:
            return Path(found)
        pytest.skip(f"{name} is missing")

    return find


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A command `docker` whose `run` starts containers with whatever engine is here; the image is built, once."""
    script = [sys.executable, str(ROOT / "scripts/build_image.py")]
    folder = tmp_path_factory.getbasetemp()
    # Workers have a folder each, in one that is theirs together.
    with once((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "image") as marker:
        if not marker.exists():
            built = subprocess.run([*script, "build"], capture_output=True, text=True, check=False)
            marker.write_text(json.dumps([built.returncode, built.stdout + built.stderr]), encoding="utf-8")
    code, said = json.loads(marker.read_text(encoding="utf-8"))
    if code == UNAVAILABLE:
        pytest.skip(said.strip())
    assert code == 0, said
    engine = subprocess.run([*script, "engine"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    command = tmp_path_factory.mktemp("engine") / "docker"
    command.write_text(f'#!/bin/sh\nTHREADFIX_GATE_ENGINE={engine} exec {shlex.join(script)} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    # Not the gate but a program that is in every base: a gate that is broken is no reason to skip.
    tried = subprocess.run(
        [command, "run", "--rm", "--entrypoint", "true", IMAGE], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"{engine} builds images here but starts no containers: {tried.stderr.strip()}")
    return command


@contextmanager
def once(marker: Path) -> Iterator[Path]:
    """Lets one process at a time have this file."""
    import fcntl

    with marker.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield marker


@pytest.fixture(scope="session")
def same_ids(docker: Path, engine: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Users have the same ids in a container as outside, as on a CI system's own machines; else the test is skipped.

    An engine that an ordinary user runs gives them others: what a container writes as that user, it writes as another.
    """
    folder = tmp_path_factory.mktemp("ids")
    folder.chmod(0o777)
    write = ["--entrypoint", "/opt/threadfix-gate/bin/python", IMAGE, "-c", "open('/ids/file', 'w')"]
    user = [str(docker), "run", "--rm", "--user", "4242:4242", "--volume", f"{folder}:/ids", *write]
    tried = subprocess.run(user, capture_output=True, check=False)
    if tried.returncode or (folder / "file").stat().st_uid != 4242:
        pytest.skip(f"{engine} needs root to give users the same ids in a container as outside")


@pytest.fixture(scope="session")
def engine(docker: Path) -> str:
    """The engine behind `docker`. Buildah makes no root read-only and gives no container a process 1 of its own."""
    return subprocess.run([docker, "engine"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def locked_down(engine: str) -> tuple[str, ...]:
    """Options of `docker run` that take from a container what a cautious administrator takes from it."""
    return () if engine == "buildah" else ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


@pytest.fixture
def sandbox() -> Iterator[Callable[[str], dict[str, str]]]:
    """Gives the variables that play a scenario, against a ThreadFix twenty times as fast as told."""
    server = ThreadFix(speed=20)
    with serving(server) as url:
        yield lambda scenario: environment(url, scenario, server.scans) | {"THREADFIX_INTERVAL": "100ms"}

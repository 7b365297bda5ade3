"""What the tests of real runners, browsers and image builds share."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gate.sandbox.server import ThreadFix, environment, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
# EX_UNAVAILABLE, as scripts/image.py ends where there is no engine.
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
    """A command `docker` whose `run` starts containers with whatever engine is here; the image is built."""
    script = [sys.executable, str(ROOT / "scripts/image.py")]
    built = subprocess.run([*script, "build"], capture_output=True, text=True, check=False)
    if built.returncode == UNAVAILABLE:
        pytest.skip(built.stderr.strip())
    assert built.returncode == 0, built.stdout + built.stderr
    engine = subprocess.run([*script, "engine"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    command = tmp_path_factory.mktemp("engine") / "docker"
    command.write_text(f'#!/bin/sh\nTHREADFIX_GATE_ENGINE={engine} exec {shlex.join(script)} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return command


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

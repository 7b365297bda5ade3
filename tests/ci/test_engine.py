"""The choice of an engine in scripts/build_image.py: the best engine that works, not the first that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fake engines are POSIX shell scripts")

SCRIPT = Path(__file__).parents[2] / "scripts/build_image.py"
NO_SERVER, WINDOWS, LINUX = "exit 1", "echo windows", "echo linux"
WORKS, NOT_BUILT = "echo 0123456789ab", 'test "$1" = info || test "$1" = images'
CANNOT_START, BROKEN = 'test "$1" != run && echo 0123456789ab', "exit 125"


@pytest.mark.parametrize(
    ("installed", "taken", "passed_over"),
    [
        ({"docker": LINUX, "podman": WORKS}, "docker", []),
        ({"docker": NO_SERVER, "podman": WORKS, "buildah": WORKS}, "podman", ["docker"]),
        ({"docker": WINDOWS, "podman": NOT_BUILT}, "podman", ["docker"]),
        ({"podman": CANNOT_START, "buildah": WORKS}, "buildah", ["podman"]),
        ({"podman": BROKEN, "buildah": WORKS}, "buildah", ["podman"]),
        ({"buildah": WORKS}, "buildah", []),
    ],
)
def test_the_best_engine_is_taken_and_broken_engines_are_logged(
    tmp_path: Path, installed: dict[str, str], taken: str, passed_over: list[str]
) -> None:
    done = engine(tmp_path, installed)
    assert (done.returncode, done.stdout) == (0, f"{taken}\n"), done.stderr
    assert done.stderr.splitlines() == [f"{name} is installed but cannot run containers." for name in passed_over]


@pytest.mark.parametrize("installed", [{}, {"docker": NO_SERVER, "podman": BROKEN}])
def test_without_a_working_engine_there_is_a_message_and_its_exit_code(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    done = engine(tmp_path, installed)
    assert (done.returncode, done.stdout) == (69, "")
    assert "apt-get install podman" in done.stderr


def engine(folder: Path, installed: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, script in installed.items():
        file = folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "THREADFIX_GATE_ENGINE"}
    return subprocess.run(
        [sys.executable, SCRIPT, "engine"], env=env | {"PATH": str(folder)}, capture_output=True, text=True, check=False
    )

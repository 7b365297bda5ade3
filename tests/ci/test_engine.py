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
        ({"docker": WINDOWS, "podman": NOT_BUILT}, "podman", ["docker"]),
        ({"podman": CANNOT_START, "buildah": WORKS}, "buildah", ["podman"]),
        ({"docker": NO_SERVER, "podman": BROKEN}, "", ["docker", "podman"]),
    ],
)
def test_the_best_engine_that_works_is_taken(
    tmp_path: Path, installed: dict[str, str], taken: str, passed_over: list[str]
) -> None:
    """Broken engines are logged. Without a working engine, the exit code is 69, and the message names an engine."""
    for name, script in installed.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "THREADFIX_GATE_ENGINE"}
    env["PATH"] = str(tmp_path)
    done = subprocess.run([sys.executable, SCRIPT, "engine"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0 if taken else 69, taken), done.stderr
    logged = [f"{name} is installed but cannot run containers." for name in passed_over]
    assert done.stderr.splitlines()[: len(logged)] == logged
    assert ("apt-get install podman" in done.stderr) is not bool(taken)

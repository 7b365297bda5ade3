"""If CI promises all tools, no test may be skipped silently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

@pytest.fixture
def tool(): pytest.skip("act is missing")

@pytest.mark.skipif(True, reason="podman is missing")
def test_mark(): pass

def test_fixture(tool): pass
def test_body(): pytest.skip("groovy is missing")
def test_machine(): pytest.skip("this machine has no IPv6")
def test_known(): pytest.xfail("known")
def test_root(): pytest.skip("unshare needs root")
"""
ROOT_IS_HERE = sys.platform != "win32" and os.geteuid() == 0


FAILED = {"2 failed", "2 errors", "1 skipped", "1 xfailed"}
FAILED_AS_A_USER = {"1 failed", "2 errors", "2 skipped", "1 xfailed"}


@pytest.mark.parametrize(
    ("promised", "ends"),
    [("1", FAILED if ROOT_IS_HERE else FAILED_AS_A_USER), ("", {"5 skipped", "1 xfailed"})],
)
def test_with_all_tools_promised_a_skip_is_a_failure(tmp_path: Path, promised: str, ends: set[str]) -> None:
    """With all tools promised, each way to skip fails, unless the machine itself lacks or forbids something."""
    (tmp_path / "test_skipping.py").write_text(TESTS)
    pytest_here: list[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        tmp_path,
        "-p",
        "tests.conftest",
    ]
    done = subprocess.run(
        [*pytest_here, tmp_path], cwd=ROOT, env={**os.environ, "THREADFIX_GATE_CI": promised},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stdout.splitlines()[-1]
    assert set(last.partition(" in ")[0].split(", ")) == ends, done.stdout + done.stderr

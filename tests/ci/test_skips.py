"""If CI promises all tools, no test may be skipped silently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
"""


@pytest.mark.parametrize(("promised", "ends"), [("1", "1 failed, 1 skipped, 1 xfailed, 2 errors"), ("", "4 skipped, ")])
def test_with_all_tools_promised_a_skip_is_a_failure(tmp_path: Path, promised: str, ends: str) -> None:
    """Each way to skip fails, unless the machine itself lacks something."""
    (tmp_path / "test_skipping.py").write_text(TESTS)
    command = f"-m pytest -q -p tests.conftest -c {os.devnull} --rootdir {tmp_path} {tmp_path}".split()
    env = {**os.environ, "THREADFIX_GATE_CI": promised}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, *command], cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].startswith(ends), done.stdout + done.stderr

"""What the tests of real runners, browsers and image builds share."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PLACES = (Path(sys.executable).parent, ROOT / ".cache/tools/bin", ROOT / ".cache/npm/node_modules/.bin")
"""Where programs are looked for beside PATH: next to the tests' own Python, and in the project's cache of tools."""


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str], Path]:
    """Finds a program, or else skips the test by name; where THREADFIX_GATE_CI=1 says that all are there, it fails."""

    def find(name: str) -> Path:
        found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, PLACES)]))
        if found:
            return Path(found)
        if os.environ.get("THREADFIX_GATE_CI") == "1":
            pytest.fail(f"{name} is missing, and THREADFIX_GATE_CI=1 says that it is here")
        pytest.skip(f"{name} is missing")

    return find

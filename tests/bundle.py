"""Builds the single file from the packages that the tests run with, so that no index is needed."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
from pathlib import Path
from typing import Any, Final

import gate

ROOT: Final = Path(__file__).parent.parent


def bundling() -> dict[str, Any]:
    """Return the names of scripts/bundle.py."""
    return runpy.run_path(str(ROOT / "scripts/bundle.py"))


def locked(lock: str = "requirements/gate.lock") -> set[str]:
    """Return the names of the packages in a lock file."""
    return set(re.findall(r"^([\w-]+)==", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE))


def packages() -> dict[str, Path]:
    """Return the files of the locked packages by their names in the single file."""
    left_out = bundling()["LEFT_OUT"]
    content = {}
    for name in locked():
        for file in importlib.metadata.files(name) or ():
            path = file.as_posix()
            if not path.startswith("../") and not left_out.match(path):
                content[path] = Path(str(file.locate()))
    return content


def bundle(target: Path) -> Path:
    """Write the single file, as `make bundle` does."""
    names = bundling()
    names["write"](target, packages() | names["own"](Path(gate.__file__).parent))
    return target

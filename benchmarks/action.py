"""Measures the action on a fresh runner: a step for a finished scan, alternating with other ways to start.

The ways are the action with its single file, that file alone, the installed gate, and the action of a ref without a
release, which installs its packages first. A commit as argument adds the action of that commit. Writes `action.json`
with medians in seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

from gate.model.reasons import Reason
from gate.sandbox.scenarios import Scenario
from gate.sandbox.server import ThreadFix, environment, serving

HERE = Path(__file__).parent
ROOT = HERE.parent
ROUNDS = 25
SLOW_ROUNDS = 5
"""Rounds of the ways that install packages."""


def seconds(command: list[str], env: dict[str, str], temporary: Path) -> float:
    """Run a command that must succeed, on a runner with empty folders; return its seconds."""
    for name in ("cache", "temp"):
        shutil.rmtree(temporary / name, ignore_errors=True)
        (temporary / name).mkdir()
    env = env | {"RUNNER_TOOL_CACHE": str(temporary / "cache"), "RUNNER_TEMP": str(temporary / "temp")}
    began = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def published(action: Path) -> list[str]:
    """Copy the action without byte code, as in a download; return its command."""
    for name in ("gate", "action", "requirements"):
        shutil.copytree(ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__"))
    return ["bash", str(action / "action/setup.sh"), "run"]


def older(action: Path, commit: str) -> list[str]:
    """Extract the action of a commit; return its command."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(action)  # noqa: S202 - our own commit
    return ["bash", str(action / "action/setup.sh"), "run"]


def main() -> None:
    """Measure everything and write the results."""
    threadfix = ThreadFix()
    number = threadfix.add(Scenario("finished", "Is DONE already.", Reason.PROCESSED))
    # Resolve the path, because a version manager's wrapper would search for a Python first.
    python = str(Path(sys.executable).resolve())
    with tempfile.TemporaryDirectory() as name, serving(threadfix) as url:
        folder = Path(name)
        env = dict(os.environ) | environment(url, "done", threadfix.scans)
        env |= {"THREADFIX_PENDING_SCAN_ID": str(number), "THREADFIX_PYTHON": python}
        file = folder / "release/dist/threadfix-gate.pyz"
        ways = {"action": published(folder / "release"), "action_without_the_file": published(folder / "sources")}
        file.parent.mkdir()
        subprocess.run([sys.executable, str(ROOT / "scripts/bundle.py"), str(file)], check=True)
        ways["one_file"] = [python, "-I", "-B", str(file), "run"]
        ways["installed"] = [sys.executable, "-m", "gate", "run"]
        for commit in sys.argv[1:]:
            ways[f"action_at_{commit}"] = older(folder / commit, commit)
        took: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(ROUNDS):
            for way, command in ways.items():
                if number < SLOW_ROUNDS or not way.startswith("action_"):
                    took[way].append(seconds(command, env, folder))
    results = {f"{way}_seconds": round(statistics.median(times), 2) for way, times in took.items()}
    print(json.dumps(results, indent=2))
    kept = {name: value for name, value in results.items() if "_at_" not in name}
    (HERE / "action.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

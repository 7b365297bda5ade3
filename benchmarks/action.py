"""Measures the action's set-up: the first run on a runner, and the overhead of later runs. Writes `action.json`.

`first_poll_seconds` is the time from the start of a later run to the first poll.

The first run downloads packages, so its time depends on the network. It therefore alternates with the plain way: create
a virtual environment with pip, then install requirements.lock. `first_run_ratio` is the ratio of the two times.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from gate.reasons import Reason
from gate.sandbox.scenarios import Scenario
from gate.sandbox.server import ThreadFix, environment, serving

HERE = Path(__file__).parent
ROOT = HERE.parent
FIRST_ROUNDS = 5
ROUNDS = 25
PRECISION = 0.001
"""Seconds between two checks for a request."""


def seconds(command: list[str], env: dict[str, str]) -> float:
    """Run a command that must succeed; return its seconds."""
    began = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def plain_first_run(folder: Path, env: dict[str, str]) -> float:
    """Create a virtual environment, install the packages and run the gate; return the seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    install = "-I -m pip install --no-deps --require-hashes --only-binary :all: --no-cache-dir --no-input --no-user"
    options = "--disable-pip-version-check --no-warn-script-location -r"
    commands = (
        [env["THREADFIX_PYTHON"], "-I", "-B", "-m", "venv", str(folder)],
        [python, *install.split(), *options.split(), str(ROOT / "requirements.lock")],
        [python, "-B", "-m", "gate", "run"],
    )
    # As in the action, pip has no configuration file, and the gate runs from its download.
    env = env | {"PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": str(folder.parent / "published")}
    return sum(seconds(command, env) for command in commands)


def first_poll(command: list[str], env: dict[str, str], threadfix: ThreadFix) -> float:
    """Run a command that must succeed; return the seconds until its first request."""
    before = len(threadfix.seen)
    seen: list[float] = []

    def watch() -> None:
        while len(threadfix.seen) == before and watching.is_set():
            time.sleep(PRECISION)
        seen.append(time.perf_counter())

    watching = threading.Event()
    watching.set()
    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    try:
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    finally:
        watching.clear()
        watcher.join()
    if len(threadfix.seen) == before:
        raise SystemExit("The gate ended without having asked ThreadFix.")
    return seen[0] - began


def main() -> None:
    """Measure everything and write the results."""
    threadfix = ThreadFix()
    number = threadfix.add(Scenario("finished", "Is DONE already.", Reason.PROCESSED))
    with tempfile.TemporaryDirectory() as folder, serving(threadfix) as url:
        # A download of the action has no byte code.
        action = Path(folder, "published")
        for name in ("gate", "action"):
            shutil.copytree(ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "requirements-action.lock", action)
        cache = Path(folder, "cache")
        env = dict(os.environ) | environment(url, "done", threadfix.scans)
        env |= {"THREADFIX_PENDING_SCAN_ID": str(number), "RUNNER_TOOL_CACHE": str(cache)}
        # Resolve the path, because a version manager's wrapper would search for a Python first.
        env["THREADFIX_PYTHON"] = str(Path(sys.executable).resolve())
        command = ["bash", str(action / "action/setup.sh"), "run"]
        first, plain = [], []
        for _ in range(FIRST_ROUNDS):
            plain.append(plain_first_run(Path(folder, "plain"), env))
            shutil.rmtree(cache, ignore_errors=True)
            first.append(seconds(command, env))
        total, gate, poll = [], [], []
        for _ in range(ROUNDS):
            total.append(seconds(command, env))
            gate.append(seconds([sys.executable, "-m", "gate", "run"], env))
            poll.append(first_poll(command, env, threadfix))
    results = {
        "first_run_seconds": round(statistics.median(first), 1),
        "plain_first_run_seconds": round(statistics.median(plain), 1),
        "first_run_ratio": round(statistics.median(first) / statistics.median(plain), 2),
        "later_run_seconds": round(statistics.median(total), 2),
        "on_top_of_the_gate_seconds": round(statistics.median(total) - statistics.median(gate), 2),
        "first_poll_seconds": round(statistics.median(poll), 2),
    }
    text = json.dumps(results, indent=2) + "\n"
    (HERE / "action.json").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()

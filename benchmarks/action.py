"""Measures the action's set-up: the first run on a runner, and what every later one costs on top of the gate.

`first_poll_seconds` is from the start of the step, with the environment there, to ThreadFix getting the first poll.

The first run downloads packages, so it says as much of the network as of the set-up. That is why it is measured beside
the plain way to the same end, in turns: a virtual environment with a pip of its own, which then installs all that
requirements.lock has. `first_run_ratio` is what is left of that. Writes `action.json`.
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
"""Seconds between two looks at whether a request has come."""


def seconds(command: list[str], env: dict[str, str]) -> float:
    """How long a command took that must succeed."""
    began = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def plain_first_run(folder: Path, env: dict[str, str]) -> float:
    """How long the plain way to a first run takes: venv, pip, gate."""
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    install = "-I -m pip install --no-deps --require-hashes --only-binary :all: --no-cache-dir --no-input --no-user"
    options = "--disable-pip-version-check --no-warn-script-location -r"
    commands = (
        [env["THREADFIX_PYTHON"], "-I", "-B", "-m", "venv", str(folder)],
        [python, *install.split(), *options.split(), str(ROOT / "requirements.lock")],
        [python, "-B", "-m", "gate", "run"],
    )
    # Like the action's: no configuration file, and the gate from where it was fetched to.
    env = env | {"PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": str(folder.parent / "published")}
    return sum(seconds(command, env) for command in commands)


def first_poll(command: list[str], env: dict[str, str], threadfix: ThreadFix) -> float:
    """How long after its start a command's first request reached ThreadFix."""
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
    """Measure everything and write it down."""
    threadfix = ThreadFix()
    number = threadfix.add(Scenario("finished", "Is DONE already.", Reason.PROCESSED))
    with tempfile.TemporaryDirectory() as folder, serving(threadfix) as url:
        # As it is fetched: without the bytecode that a working copy has.
        action = Path(folder, "published")
        for name in ("gate", "action"):
            shutil.copytree(ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "requirements-action.lock", action)
        cache = Path(folder, "cache")
        env = dict(os.environ) | environment(url, "done", threadfix.scans)
        env |= {"THREADFIX_PENDING_SCAN_ID": str(number), "RUNNER_TOOL_CACHE": str(cache)}
        # Not a wrapper that looks for a Python first, as version managers have.
        env["THREADFIX_PYTHON"] = str(Path(sys.executable).resolve())
        command = ["bash", str(action / "action/setup.sh"), "run"]
        first, plain = [], []
        for _ in range(FIRST_ROUNDS):
            plain.append(plain_first_run(Path(folder, "plain"), env))
            shutil.rmtree(cache, ignore_errors=True)
            first.append(seconds(command, env))
        whole, gate, poll = [], [], []
        for _ in range(ROUNDS):
            whole.append(seconds(command, env))
            gate.append(seconds([sys.executable, "-m", "gate", "run"], env))
            poll.append(first_poll(command, env, threadfix))
    results = {
        "first_run_seconds": round(statistics.median(first), 1),
        "plain_first_run_seconds": round(statistics.median(plain), 1),
        "first_run_ratio": round(statistics.median(first) / statistics.median(plain), 2),
        "later_run_seconds": round(statistics.median(whole), 2),
        "on_top_of_the_gate_seconds": round(statistics.median(whole) - statistics.median(gate), 2),
        "first_poll_seconds": round(statistics.median(poll), 2),
    }
    text = json.dumps(results, indent=2) + "\n"
    (HERE / "action.json").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()

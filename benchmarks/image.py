"""Measures the image: its size without the base, and the time of a container for a finished scan.

Writes `image.json`. The engine takes most of the time, so an empty container is measured for comparison.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from gate.model.reasons import Reason
from gate.sandbox.scenarios import Scenario
from gate.sandbox.server import ThreadFix, environment, serving

HERE = Path(__file__).parent
IMAGE_SCRIPT = [sys.executable, str(HERE.parent / "scripts/build_image.py")]
IMAGE = "localhost/threadfix-gate"
ROUNDS = 15
SIZE = """
from pathlib import Path
print(sum(file.lstat().st_size for file in Path("/opt/threadfix-gate").rglob("*") if not file.is_dir()))
"""


def container(*arguments: str, env: dict[str, str] | None = None) -> tuple[float, str]:
    """Run a container that must succeed; return its seconds and its output."""
    env = env or {}
    names = [f"--env={name}" for name in env]
    began = time.perf_counter()
    done = subprocess.run(
        [*IMAGE_SCRIPT, "run", "--rm", *names, *arguments],
        env=dict(os.environ) | env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    )  # fmt: skip
    return time.perf_counter() - began, done.stdout


def main() -> None:
    """Build the image, measure it and write the results."""
    subprocess.run([*IMAGE_SCRIPT, "build"], stdout=subprocess.DEVNULL, check=True)
    threadfix = ThreadFix()
    number = threadfix.add(Scenario("finished", "Is DONE already.", Reason.PROCESSED))
    with serving(threadfix) as url:
        env = environment(url, "done", threadfix.scans) | {"THREADFIX_PENDING_SCAN_ID": str(number)}
        total, empty = [], []
        for _ in range(ROUNDS):
            total.append(container(IMAGE, env=env)[0])
            empty.append(container("--entrypoint", "true", IMAGE)[0])
    size = int(container("--entrypoint", "python3", IMAGE, "-c", SIZE)[1])
    engine = subprocess.run([*IMAGE_SCRIPT, "engine"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    results = {
        "engine": engine,
        "added_megabytes": round(size / 1e6, 1),
        "run_seconds": round(statistics.median(total), 2),
        "empty_container_seconds": round(statistics.median(empty), 2),
    }
    (HERE / "image.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

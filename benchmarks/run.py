"""Measures the gate: start-up, memory, requests. Writes `results.json` for docs/performance.md.

Absolute times depend on the machine. So start-up alternates with `import requests`, and the result is a ratio.
"""

from __future__ import annotations

import json
import math
import os
import random
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from gate.flow.waiting import cadence
from gate.model.reasons import Reason
from gate.model.subjects import Plan, Target
from gate.net.peer import Certificates
from gate.sandbox.scenarios import Scenario
from gate.sandbox.server import API_KEY, APPLICATION_ID, ThreadFix, environment, serving
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix.client import Client
from gate.threadfix.links import Server

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROUNDS = 25
SCANS = 20_000
FINISHED = Scenario("finished", "Is DONE already.", Reason.PROCESSED)


def clean() -> dict[str, str]:
    """Return the environment without variables that change or slow down the start of Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "THREADFIX_"))}


def started(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Run a process that must succeed; return its seconds and its peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    # The unit is KiB on Linux and bytes on macOS.
    return took, usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def start_up() -> dict[str, float]:
    """Measure a run for a finished scan, compared with `import requests` and with one request by `curl`."""
    threadfix = ThreadFix()
    number = threadfix.add(FINISHED)
    gate: list[tuple[float, float]] = []
    imported: list[tuple[float, float]] = []
    curled: list[tuple[float, float]] = []
    with serving(threadfix) as url:
        server = Server(url, Secret(API_KEY))
        curl = ["curl", "--silent", "--fail", "--header", f"Authorization: APIKEY {API_KEY}"]
        curl.append(server.status_url(Target(APPLICATION_ID, number)))
        env = clean() | environment(url, "done", threadfix.scans) | {"THREADFIX_PENDING_SCAN_ID": str(number)}
        for _ in range(ROUNDS):
            imported.append(started([sys.executable, "-c", "import requests"], env))
            curled.append(started(curl, env))
            gate.append(started([sys.executable, "-m", "gate", "run"], env))
        polls = len(threadfix.seen) - ROUNDS
    median = statistics.median(took for took, _ in gate)
    return {
        "startup_ratio": round(median / statistics.median(took for took, _ in imported), 2),
        "startup_ratio_to_curl": round(median / statistics.median(took for took, _ in curled), 1),
        "peak_memory_mb": round(max(memory for _, memory in gate), 1),
        "requests_for_a_finished_scan": polls / ROUNDS,
    }


def hundred() -> dict[str, float]:
    """Measure one gate for a hundred pending scans of ten seconds, compared with one scan."""
    took, memory = {}, 0.0
    for scans in (1, 100):
        threadfix = ThreadFix()
        numbers = [
            threadfix.add(Scenario("ten", "", Reason.PROCESSED, (("QUEUED", 9.0), ("DONE", 0.0)))) for _ in range(scans)
        ]
        with serving(threadfix) as url:
            env = clean() | environment(url, "done", threadfix.scans)
            env["THREADFIX_PENDING_SCAN_ID"] = ",".join(map(str, numbers))
            took[scans], memory = started([sys.executable, "-m", "gate", "run"], env)
    return {"hundred_scans_ratio": round(took[100] / took[1], 2), "hundred_scans_memory_mb": round(memory, 1)}


def handshakes() -> dict[str, float]:
    """Measure the milliseconds of a poll over TLS, with new connections (as in the gate) and a kept connection."""
    threadfix = ThreadFix()
    target = Target(APPLICATION_ID, threadfix.add(FINISHED))
    own: list[float] = []
    kept: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
        files = ["-keyout", str(key), "-out", str(cert)]
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        subprocess.run([*command, *subject, *files], check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, key)
        with serving(threadfix, tls=tls) as url, requests.Session() as session:
            server = Server(url, Secret(API_KEY), ca_file=(Certificates("--ca-file", str(cert)),))
            client = Client(server, Sanitizer(), trace=lambda _: None)
            session.trust_env, session.verify = False, str(cert)
            session.headers.update({"Authorization": f"APIKEY {API_KEY}", "Accept": "application/json"})
            for _ in range(4 * ROUNDS):
                own.append(milliseconds(lambda: client.observe(target, 30.0)))
                kept.append(milliseconds(lambda: session.get(server.status_url(target), timeout=30)))
    return {
        "poll_own_connection_ms": round(statistics.median(own), 1),
        "poll_kept_connection_ms": round(statistics.median(kept), 1),
    }


def milliseconds(work: Callable[[], object]) -> float:
    """Call a function; return its milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def requests_and_lateness() -> dict[str, float]:
    """Simulate scans of 5 s to 1 h (log-uniform): requests and delay of the gate, and of fixed intervals."""
    rng = random.Random(1)  # noqa: S311 - a simulation
    scans = [5 * (3600 / 5) ** rng.random() for _ in range(SCANS)]
    results: dict[str, float] = {}
    for name in ("gate", "fixed_5s", "fixed_10s"):
        polls, late = [], []
        for length in scans:
            now, count = 0.0, 1
            while now < length:
                fixed = {"fixed_5s": 5.0, "fixed_10s": 10.0}.get(name)
                now += fixed or cadence(now, Plan(), rng.uniform(-1, 1))
                count += 1
            polls.append(count)
            late.append((now - length) / length)
        results[f"{name}_requests"] = round(statistics.mean(polls))
        results[f"{name}_late_percent"] = round(100 * statistics.mean(late), 1)
    results["best_late_percent"] = round(100 * best_lateness(results["gate_requests"]), 1)
    return results


def best_lateness(requests_each: float) -> float:
    """Return the mean delay, in parts of a scan's duration, of the best schedule with as many requests.

    The schedule is chosen for this distribution of scans, which no gate can know: its polls minimize the mean delay
    plus a price of each request. A search finds the price that leads to the number of requests.
    """
    low, high = 1e-6, 1.0
    delay = 0.0
    for _ in range(14):
        price = (low * high) ** 0.5
        delay, polls = schedule(price)
        low, high = (price, high) if polls > requests_each else (low, price)
    return delay


def schedule(price: float, first: float = 5.0, last: float = 3600.0, steps: int = 1500) -> tuple[float, float]:
    """Return mean delay and mean number of requests of the best schedule for a price, by dynamic programming.

    The durations are log-uniform, so polls lie on a grid that is even in the logarithm. A poll at `a` that finds the
    scan unfinished is followed by one at `b`: scans that end in between are `b/a - 1 - log(b/a)` late, by the integral
    of `(b - x) / x` over the density `1 / (x * width)`.
    """
    width = math.log(last / first)
    ratio = math.exp(width / steps)
    late = [ratio**gap - 1 - math.log(ratio**gap) for gap in range(steps // 8)]
    best = [(0.0, 0.0, 0.0)] * (steps + 1)
    for at in range(steps - 1, -1, -1):
        alive = (steps - at) / steps
        best[at] = min(
            (
                late[gap] / width + alive * price + best[at + gap][0],
                late[gap] / width + best[at + gap][1],
                alive + best[at + gap][2],
            )
            for gap in range(1, min(steps - at, steps // 8 - 1) + 1)
        )
    # The request at the very beginning, as the gate and the fixed intervals have it, finds no scan of this length done.
    return best[0][1], 1 + best[0][2]


def main() -> None:
    """Measure everything and write the results."""
    results = start_up() | hundred() | handshakes() | requests_and_lateness()
    text = json.dumps(results, indent=2) + "\n"
    (HERE / "results.json").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()

"""Compares the gate with a careful shell loop and a plain loop with requests: fourteen situations, each run for real.

Each program runs as a process against a server of its own on loopback. The right end of a situation is fixed below.
Writes `beside.json` for docs/performance.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from benchmarks.run import clean

HERE: Final = Path(__file__).parent
KEY: Final = "benchmark-key-0123456789"
CAP: Final = 110.0
"""Seconds after which a program counts as endless."""


def scan(status: str, **more: object) -> tuple[int, bytes]:
    """Return ThreadFix's response about the pending scan 7 of application 3."""
    body = {"id": 7, "appId": 3, "status": status, "error": False, **more}
    return 200, json.dumps({"message": "", "success": True, "responseCode": 200, "object": body}).encode()


QUEUED, DONE = scan("QUEUED"), scan("DONE")
MISSING: Final = (404, json.dumps({"message": "No pending scan found", "success": False, "responseCode": 404}).encode())
PAGE: Final = (200, b"<!doctype html><title>Maintenance</title><p>Back in a minute.")
NONE: Final = (0, b"")


@dataclass(frozen=True)
class Situation:
    """The responses to the polls, in order; the last one is repeated."""

    name: str
    right: str
    responses: tuple[tuple[int, bytes], ...]
    limit: int | None = None
    """Seconds that the programs get as their own limit, if they have one."""
    hang: float = 0.0
    """Seconds before the second response."""


SITUATIONS: Final = (
    Situation("done at the first poll", "green", (DONE,)),
    Situation("done after three polls", "green", (QUEUED, QUEUED, QUEUED, DONE)),
    Situation("`error: true` beside a status that is not final", "red", (QUEUED, scan("QUEUED", error=True)), 15),
    Situation("`SCAN_INTERRUPTED`", "red", (QUEUED, scan("SCAN_INTERRUPTED"))),
    Situation("one 502", "green", (QUEUED, (502, b"<h1>Bad Gateway</h1>"), DONE)),
    Situation("one connection reset", "green", (QUEUED, NONE, DONE)),
    Situation("one HTML page with HTTP 200", "green", (QUEUED, PAGE, DONE)),
    Situation("one 429 with `Retry-After: 1`", "green", (QUEUED, (429, b""), DONE)),
    Situation("401 at each poll", "red", ((401, b""),), 15),
    Situation("a 404 first", "green", (MISSING, QUEUED, DONE)),
    Situation("an undocumented status, then done", "green", (scan("REINDEXING"), DONE)),
    Situation("it never ends", "red", (QUEUED,), 15),
    Situation('a redirect to another port that responds with "DONE"', "red", ((302, b""),), 15),
    Situation("one poll hangs for 75 s", "green", (QUEUED, QUEUED, DONE), hang=75.0),
)
PROGRAMS: Final = {
    "gate": [sys.executable, "-m", "gate", "run", "--quiet"],
    "careful loop": ["bash", str(HERE / "loop.sh")],
    "plain loop": [sys.executable, str(HERE / "loop.py")],
}


class Fake(ThreadingHTTPServer):
    """A server that plays a situation for one program."""

    daemon_threads = True

    def __init__(self, situation: Situation, elsewhere: str = "") -> None:
        """Listen on a free port of loopback; redirects lead to the base URL `elsewhere`."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.situation, self.elsewhere = situation, elsewhere
        self.keys: list[str | None] = []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Fake:  # noqa: PYI034 - typing has Self since Python 3.11
        """Start to serve."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that has disconnected."""


class Handler(BaseHTTPRequestHandler):
    """Sends the next response of the situation."""

    server: Fake

    def do_GET(self) -> None:
        """Respond to a poll; status 0 resets the connection."""
        responses = self.server.situation.responses
        with self.server.lock:
            number = len(self.server.keys)
            self.server.keys.append(self.headers["Authorization"])
        if number == 1:
            time.sleep(self.server.situation.hang)
        status, body = responses[min(number, len(responses) - 1)]
        if not status:
            return
        self.send_response(status)
        self.send_header("Location", self.server.elsewhere + self.path)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Type", "text/html" if body.startswith(b"<") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def run(program: str, situation: Situation) -> dict[str, Any]:
    """Run a program in a situation; return its end (green, red, endless), whether that is right, seconds and polls."""
    with (
        Fake(Situation("", "", (DONE,))) as elsewhere,
        Fake(situation, elsewhere.url) as fake,
        tempfile.TemporaryDirectory() as folder,
    ):
        env = clean()
        env |= {"KEY": KEY, "SCAN_URL": f"{fake.url}/rest/latest/applications/3/pendingScans/7"}
        env |= {"THREADFIX_URL": fake.url, "THREADFIX_API_KEY": KEY, "THREADFIX_APPLICATION_ID": "3"}
        env |= {"THREADFIX_PENDING_SCAN_ID": "7", "THREADFIX_INTERVAL": "1s", "PYTHONPATH": str(HERE.parent)}
        if situation.limit:
            env |= {"THREADFIX_TIMEOUT": f"{situation.limit}s", "TRIES": str(situation.limit)}
        began = time.perf_counter()
        try:
            done = subprocess.run(PROGRAMS[program], cwd=folder, env=env, capture_output=True, timeout=CAP, check=False)
            end = "red" if done.returncode else "green"
        except subprocess.TimeoutExpired:
            end = "endless"
        took = time.perf_counter() - began
    right = end == situation.right and not any(elsewhere.keys)
    return {"end": end, "right": right, "seconds": round(took, 1), "polls": len(fake.keys)}


def main() -> None:
    """Run everything, six at a time, and write the results."""
    pairs = [(program, situation) for situation in reversed(SITUATIONS) for program in PROGRAMS]
    with ThreadPoolExecutor(max_workers=6) as pool:
        ends = list(pool.map(lambda pair: run(*pair), pairs))
    found = {(program, situation.name): end for (program, situation), end in zip(pairs, ends, strict=True)}
    results = {
        situation.name: {"right": situation.right} | {program: found[program, situation.name] for program in PROGRAMS}
        for situation in SITUATIONS
    }
    text = json.dumps(results, indent=2) + "\n"
    (HERE / "beside.json").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()

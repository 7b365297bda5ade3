"""Run the gate against a world: in this process with simulated time, or over real sockets in bytes."""

from __future__ import annotations

import gzip
import io
import os
import socketserver
import struct
import sys
import threading
import traceback
import zlib
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from proof import oracle
from proof.bodies import OWN, World
from proof.changes import Reply, hostile

if TYPE_CHECKING:
    from random import Random

ORIGIN: Final = "http://127.0.0.1:9"
LONGEST: Final = 2400.0
"""Seconds of simulated time that no run may take: the sum of its limits."""
LIMITS: Final = {"TIMEOUT": "60s", "OUTAGE_LIMIT": "30s", "FIRST_CONTACT_LIMIT": "20s", "SETTLE_TIMEOUT": "40s"}
REAL_LIMITS: Final = {
    "TIMEOUT": "20s", "OUTAGE_LIMIT": "50ms", "FIRST_CONTACT_LIMIT": "50ms", "SETTLE_TIMEOUT": "300ms",
    "INTERVAL": "10ms", "MAX_INTERVAL": "10ms", "REQUEST_TIMEOUT": "5s",
}  # fmt: skip


class SimulatedTime(threading.local):
    """A clock for each thread, which only a sleep moves."""

    now = 0.0
    longest: Final = [0.0]

    def monotonic(self) -> float:
        """Return the time of this thread."""
        return self.now

    def event(self) -> Any:
        """Return an event whose wait takes no time."""
        event = threading.Event()

        def wait(seconds: float) -> bool:
            self.now += seconds
            self.longest[0] = max(self.longest[0], self.now)
            return event.is_set()

        return SimpleNamespace(wait=wait, set=event.set, is_set=event.is_set)


class Player:
    """Responds in place of the gate's transport, without a socket."""

    world: World
    proxy = None
    host = "127.0.0.1:9"

    def __init__(self, server: Any, _sanitizer: object, _trace: object, read: Any) -> None:
        self._key, self._read = server.api_key.reveal(), read

    def request(self, url: str, _timeout: float, data: Any = None, **_: object) -> object:
        """Return the world's response."""
        from urllib.parse import urlencode

        form = urlencode(data) if isinstance(data, dict) else ""
        if data is not None and not isinstance(data, dict):
            for _piece in data:
                pass
        if self._key != self.world.key:
            return self.response(Reply(None, b"", 401))
        return self.response(self.world.answer("GET" if data is None else "POST", url, form))

    def response(self, reply: Reply) -> Any:
        """Return a response as the transport does."""
        from requests.structures import CaseInsensitiveDict

        from gate.net.http import START, Response

        body = bytearray(reply.body)
        return Response(reply.code, CaseInsensitiveDict(reply.headers), bytes(body[:START]), self._read(body))

    def probe(self, work: Any, _timeout: float) -> object:
        """Run the work."""
        return work(None)

    def close(self) -> None:
        """Do nothing."""


# --- Bytes.


def in_bytes(rng: Random, reply: Reply, *, destroy: bool) -> tuple[list[bytes], bool]:
    """Return a response as pieces of bytes, and whether the connection is reset after them."""
    body, headers = reply.body, {name: value for name, value in reply.headers.items() if value.isascii()}
    if rng.random() < 0.3:
        coding = rng.choice(("gzip", "x-gzip", "deflate", "GZIP"))
        body = zlib.compress(body) if coding == "deflate" else gzip.compress(body)
        headers["Content-Encoding"] = coding
    framing = rng.choice(("length", "length", "chunked", "end"))
    flaw = (
        rng.choice(("cut", "cut", "both", "twice", "head", "code", "before", "coding", "reset", "nothing"))
        if destroy
        else ""
    )
    if flaw == "coding":
        headers["Content-Encoding"] = rng.choice(("gzip", "br", "deflate, gzip", "zq9"))
        body = rng.choice((body[:-1], body + b"x", b"\x1f\x8b" + body, reply.body))
    if flaw in {"cut", "reset"} and framing == "end" and "Content-Encoding" not in headers:
        framing = "length"
    if framing == "chunked":
        headers["Transfer-Encoding"] = "chunked"
        pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        lines = (b"%x%s\r\n%s\r\n" % (len(piece), rng.choice((b"", b";zq9=1")), piece) for piece in pieces)
        sent = b"".join(lines) + b"0\r\n" + rng.choice((b"", b"X-Zq9: 1\r\n")) + b"\r\n"
    else:
        sent = body + (b"zq9" if framing == "length" and not destroy and rng.random() < 0.1 else b"")
        headers |= {"Content-Length": str(len(body))} if framing == "length" else {}
    if flaw == "both":
        headers |= {"Content-Length": str(len(body)), "Transfer-Encoding": "chunked"}
    line = rng.choice((f"HTTP/1.1 {reply.code} OK", f"HTTP/1.1 {reply.code}", f"HTTP/1.0 {reply.code} zq9 ::error::"))
    if flaw == "code":
        line = rng.choice(
            (
                "HTTP/2 200 OK",
                "HTTP/1.1 0200 OK",
                "HTTP/1.1 2000",
                "ICY 200 OK",
                "HTTP/1.1 204 x",
                "HTTP/1.1 206 x",
                " ",
            )
        )
    items = list(headers.items())
    rng.shuffle(items)
    head = [
        line,
        *(
            f"{rng.choice((name, name.lower(), name.upper()))}:{rng.choice((' ', '', ' '))}{value}"
            for name, value in items
        ),
    ]
    if flaw == "twice":
        head += rng.choice(
            (["Content-Length: 7", "Content-Length: 8"], ["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"])
        )
    if flaw == "head":
        head.insert(
            1, rng.choice(("zq9", " folded: x", "x\x00y: 1", ": x", "Content Length: 5", "X-Long: " + "a" * 200_000))
        )
    interim = rng.choice(
        (b"", b"", b"HTTP/1.1 103 Early Hints\r\nLink: </zq9>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")
    )
    data = interim + rng.choice(("\r\n", "\n")).join([*head, "", ""]).encode() + sent
    if flaw in {"cut", "reset"}:
        data = (
            data[: rng.randrange(len(data))]
            if framing != "length"
            else data[: len(data) - 1 - rng.randrange(len(body) or 1)]
        )
    data = b"" if flaw == "nothing" else data
    at = rng.randrange(len(data) + 1)
    pieces = [data] if rng.random() < 0.7 else [data[:at], data[at:]]
    return [b"zq9", *pieces] if flaw == "before" else pieces, flaw == "reset"


class Server(socketserver.ThreadingTCPServer):
    """A ThreadFix in bytes."""

    allow_reuse_address = daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    world: World
    lock = threading.Lock()


class Talk(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Serve one request."""
        server = cast("Server", self.server)
        with suppress(OSError):
            self.request.setsockopt(6, 1, 1)
            file = self.request.makefile("rb")
            method, url, *_ = (file.readline().decode("latin-1").split() or ["", ""]) + [""]
            length, key = 0, ""
            while line := file.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                key = value.decode("latin-1").strip() if name.lower() == b"authorization" else key
            form = file.read(length).decode("latin-1")
            world = server.world
            with server.lock:
                reply = world.answer(method, url, form if length < 10_000 else "")
                reply = reply if key == f"APIKEY {world.key}" else Reply(None, b"", 401)
                pieces, reset = in_bytes(world.rng, reply, destroy=reply.wire)
            for piece in pieces:
                self.request.sendall(piece)
            if reset:
                self.request.setsockopt(1, 13, struct.pack("ii", 1, 0))


# --- Runs.


class Bench:
    """Runs the gate against worlds, with a folder and a server."""

    def __init__(self, folder: Path) -> None:
        from gate.flow import stages
        from gate.reporters import page
        from gate.threadfix import api

        self.folder, self.seen = folder, Counter[str]()
        self.time = SimulatedTime()
        self._real = {
            "time": vars(stages)["time"],
            "threading": vars(stages)["threading"],
            "Transport": vars(api)["Transport"],
        }
        # Compiling the template would take most of the time.
        vars(page)["Environment"], vars(page)["PackageLoader"] = (
            lru_cache(vars(page)[name]) for name in ("Environment", "PackageLoader")
        )
        self.server = Server(("127.0.0.1", 0), Talk)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True).start()
        self.broken: list[str] = []
        self.log = ""
        threading.excepthook = lambda args: self.broken.append("".join(traceback.format_exception(args.exc_value)))

    def play(self, world: World, *, simulated: bool) -> None:
        """Let the gate talk to a world: with simulated time without sockets, otherwise over real sockets."""
        from gate.flow import stages
        from gate.threadfix import api

        Player.world = self.server.world = world
        clock = SimpleNamespace(monotonic=self.time.monotonic), SimpleNamespace(Event=self.time.event)
        vars(stages)["time"], vars(stages)["threading"] = (
            clock if simulated else (self._real["time"], self._real["threading"])
        )
        vars(api)["Transport"] = Player if simulated else self._real["Transport"]
        self.time.now = self.time.longest[0] = 0.0

    def run(
        self, world: World, changes: dict[str, str] | None = None, *, simulated: bool = True
    ) -> tuple[int, dict[str, str]]:
        """Run the gate; return the exit code, and its texts by kind."""
        from gate.flow.run import run_gate
        from gate.flow.signals import Signals

        self.play(world, simulated=simulated)
        folder, rng = self.folder, world.rng
        paths = {name: str(folder / name) for name in ("outputs", "markdown", "json", "junit", "dotenv", "html")}
        for path in paths.values():
            Path(path).write_bytes(b"")
        url = ORIGIN if simulated else f"http://127.0.0.1:{self.server.server_address[1]}"
        env = {f"THREADFIX_{name}": value for name, value in (LIMITS if simulated else REAL_LIMITS).items()}
        env |= {
            "GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": paths["outputs"], "GITHUB_STEP_SUMMARY": paths["markdown"],
            "GITHUB_REPOSITORY": "octo/shop", "GITHUB_SHA": "a" * 40, "GITHUB_REF_NAME": hostile(rng, "x" * 9),
            "THREADFIX_URL": f"{url}/threadfix", "THREADFIX_API_KEY": world.key, "THREADFIX_API_VERSION": world.version,
            "THREADFIX_ACCEPT": world.accept, "THREADFIX_RESULT_FILE": paths["json"],
            "THREADFIX_VERBOSE": str(rng.random() < 0.2),
            "THREADFIX_JUNIT_FILE": paths["junit"], "THREADFIX_DOTENV_FILE": paths["dotenv"],
        }  # fmt: skip
        if rng.random() < 0.2:
            env["THREADFIX_HTML_FILE"] = paths["html"]
        env |= self._target(world) | (changes or {})
        os.environ |= {"GITHUB_OUTPUT": paths["outputs"], "GITHUB_STEP_SUMMARY": paths["markdown"]}
        log, sys.stderr, own = io.StringIO(), io.StringIO(), sys.stderr
        try:
            sys.stderr = log
            code = run_gate({}, env, Signals())
        finally:
            sys.stderr = own
        texts = {name: Path(path).read_text(encoding="utf-8") for name, path in paths.items()}
        if "THREADFIX_HTML_FILE" not in env:
            del texts["html"]
        if rng.random() < 0.05:
            from markdown_it import MarkdownIt

            texts["markdown"] = MarkdownIt("gfm-like", {"html": True}).render(texts["markdown"])
        else:
            texts["summary"] = texts.pop("markdown")
        self.seen.update(f"text {name}" for name in (*texts, "log"))
        self.log = log.getvalue()
        return code, texts | {"log": self.log}

    def _target(self, world: World) -> dict[str, str]:
        """Return the options of the application, the scans and the rules."""
        rng = world.rng
        options = {
            "id": {"APPLICATION_ID": str(OWN)}, "name": {"APPLICATION_NAME": world.name},
            "team": {"APPLICATION_NAME": world.name, "TEAM_NAME": world.team},
            "unique": {"APPLICATION_UNIQUE_ID": "u-1"},
            "slash": {"APPLICATION_NAME": world.name, "TEAM_NAME": world.team},
        }[world.subject]  # fmt: skip
        match world.source:
            case "pending":
                options["PENDING_SCAN_ID"] = ",".join(map(str, world.numbers))
            case "rules":
                options["RULES_ONLY"] = "true"
            case "response":
                # A file has no HTTP status, and PowerShell writes UTF-16.
                while (reply := world.reply("upload:0")).code != 200 or reply.body.startswith(b"\xff\xfe"):
                    del world.served["upload:0"]
                path = self.folder / "response.json"
                encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16"))
                path.write_bytes(reply.body.decode().encode(encoding) if reply.whole else reply.body)
                options["UPLOAD_RESPONSE"] = str(path)
            case _:
                for name in world.files:
                    (self.folder / name).write_bytes(b"<report/>")
                options["SCAN_FILE"] = "\n".join(str(self.folder / name) for name in world.files)
                options["ONE_SCAN"] = str(world.source == "parts").lower()
        names = {"id": "3", "name": world.policy, "remediation": f"remediation:{world.policy}", "all": "all"}
        options["POLICY"] = "\n".join(names[rule] for rule in world.rules if rule != "criteria")
        options["PASS_CRITERIA"] = str("criteria" in world.rules).lower()
        if not world.settles:
            options["SETTLE_TIMEOUT"] = "0"
        return {f"THREADFIX_{name}": value for name, value in options.items()}

    def flaw_of_run(self, world: World, code: int, texts: dict[str, str], *, masked: bool = True) -> str:
        """Return the flaw of a finished run; `masked` is whether the gate has a valid key."""
        flaw = oracle.flaw_of_log(texts["log"], world.key, masked=masked)
        flaw = flaw or oracle.flaw_of_outputs(texts, code, world.key)
        if self.time.longest[0] > LONGEST:
            flaw = f"{self.time.longest[0]:.0f} s of simulated time"
        self.seen[f"reason {oracle.step_outputs(texts['outputs'])['reason']}"] += 1
        return flaw

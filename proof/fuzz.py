"""Fuzz the gate with whole responses, files and texts. The oracle is in `oracle.py`, the responses are in `bodies.py`.

Kinds of inputs: `response` (one response into its reader and its judge), `run` (a whole run in this process, in
simulated time), `file` (the same, with a changed file that the gate reads), `socket` (a whole run over real sockets, in
bytes). Every run's log, outputs and reports are parsed again. An input depends only on the seed and its number.
"""

from __future__ import annotations

import argparse
import faulthandler
import gzip
import io
import json
import multiprocessing
import os
import re
import shutil
import socketserver
import struct
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from proof import bodies, oracle
from proof.bodies import DONE_AT, OWN, Reply, World

if TYPE_CHECKING:
    from gate.model.subjects import Check

KINDS: Final = {"response": 0.87, "run": 0.1, "file": 0.01, "socket": 0.02}
"""The kinds of inputs, and the share of each; eight responses of one world count as one there."""
RESPONSES: Final = 8
ORIGIN: Final = "http://127.0.0.1:9"
STUCK: Final = 120.0
"""Seconds that ten inputs may not take, even on a busy machine."""
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
            "GITHUB_REPOSITORY": "octo/shop", "GITHUB_SHA": "a" * 40, "GITHUB_REF_NAME": bodies.hostile(rng, "x" * 9),
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


# --- The kinds of inputs. Each returns the flaw, or an empty text.


def run(bench: Bench, rng: Random) -> str:
    """Run the gate in simulated time."""
    world = World(rng)
    code, texts = bench.run(world)
    return oracle.flaw_of_exit(world, code) or bench.flaw_of_run(world, code, texts)


def socket(bench: Bench, rng: Random) -> str:
    """Run the gate over real sockets."""
    world = World(rng, wire=True)
    code, texts = bench.run(world, simulated=False)
    return oracle.flaw_of_exit(world, code) or bench.flaw_of_run(world, code, texts)


def file(bench: Bench, rng: Random) -> str:
    """Run the gate with a changed file, such as the response to an earlier upload."""
    way = rng.choice(("key", "ca", "cert", "event", "list", "name", "response"))
    world = World(rng, source=way if way == "response" else "upload" if way in {"list", "name"} else "pending")
    changes: dict[str, str] = {}
    codes: set[int] = set()
    if way != "response":
        world.flaws.clear()
        world.codes.clear()
        changes, codes = CHANGES[way](bench.folder, rng, world)
    code, texts = bench.run(world, changes)
    if codes:
        flaw = "" if code in codes else f"exit code {code} instead of {sorted(codes)} with the changed {way}"
        flaw = flaw or ("requests with an invalid option" if codes == {2} and world.served else "")
    else:
        flaw = oracle.flaw_of_exit(world, code)
    is_fork = "GitHub gives no secrets to pull requests from forks" in texts["log"]
    if way == "event" and is_fork is not ("fork" in changes["THREADFIX_STATUS_PATH"]):
        flaw = "the event's meaning"
    return flaw or bench.flaw_of_run(world, code, texts, masked=not codes)


def _key_file(folder: Path, rng: Random, world: World) -> tuple[dict[str, str], set[int]]:
    key, blanks = world.key, rng.choice(("", "\n", "\r\n", "  \n\n"))
    path = folder / "key"
    good = rng.random() < 0.5
    if good:
        path.write_bytes(f"{blanks}{key}{blanks}".encode(rng.choice(("utf-8", "utf-8-sig", "utf-16"))))
    else:
        flip = bytearray(key.encode())
        flip[rng.randrange(len(flip))] ^= 1 << rng.randrange(8)
        path.write_bytes(
            rng.choice(
                (
                    b"",
                    b" \n",
                    f"{key}\n{key}".encode(),
                    b"\xff\xfe\x00",
                    key.encode() * 20,
                    rng.randbytes(40),
                    bytes(flip),
                    key.encode() + "\u00e9".encode(),
                )
            )
        )
    return {"THREADFIX_API_KEY": "", "THREADFIX_API_KEY_FILE": str(path)}, set() if good else {2, 4}


def _ca_file(folder: Path, rng: Random, _: World) -> tuple[dict[str, str], set[int]]:
    import certifi

    pem = re.search(r"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", certifi.contents(), re.DOTALL)[0]  # type: ignore[index]
    path = folder / "ca.pem"
    good = rng.random() < 0.5
    text = rng.choice((pem, f"# zq9\n{pem}", pem * 3, pem.replace("\n", "\r\n")))
    bad = rng.choice(
        (
            b"",
            b"zq9",
            pem.encode()[: rng.randrange(len(pem) - 60)],
            pem.replace("CERTIFICATE", "PRIVATE KEY").encode(),
            rng.randbytes(500),
        )
    )
    path.write_bytes(text.encode() if good else bad)
    variable = rng.choice(("THREADFIX_CA_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
    # Without TLS the file does not matter.
    return {variable: str(path), "THREADFIX_URL": f"https{ORIGIN[4:]}/threadfix"}, set() if good else {2}


def _client_cert(folder: Path, rng: Random, _: World) -> tuple[dict[str, str], set[int]]:
    (folder / "client.pem").write_bytes(
        rng.choice((b"", rng.randbytes(300), b"-----BEGIN CERTIFICATE-----\nzq9\n-----END CERTIFICATE-----\n"))
    )
    return {"THREADFIX_CLIENT_CERT": str(folder / "client.pem")}, {2}


def _event_file(folder: Path, rng: Random, world: World) -> tuple[dict[str, str], set[int]]:
    fork = rng.random() < 0.5
    sides = {
        "head": {"repo": {"full_name": "evil/shop" if fork else "octo/shop"}},
        "base": {"repo": {"full_name": "octo/shop"}},
    }
    body = json.dumps({"pull_request": sides, "zq9": bodies.hostile(rng, world.key)}).encode()
    if cut := rng.random() < 0.4:
        body = rng.choice(
            (body[: rng.randrange(len(body))], b"[" * 9000, b"null", b'{"pull_request": 1}', rng.randbytes(99))
        )
    (folder / "event.json").write_bytes(body)
    env = {
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "THREADFIX_API_KEY": "",
    }
    # The marker is a valid path that no request uses, because nothing is sent.
    return env | {
        "THREADFIX_STATUS_PATH": f"rest/{'fork' if fork and not cut else 'own'}/{{application_id}}/{{pending_scan_id}}"
    }, {2}


def _list(folder: Path, rng: Random, world: World) -> tuple[dict[str, str], set[int]]:
    (folder / "empty.xml").write_bytes(b"")
    missing = re.sub(r"[\0\n\r]", "", bodies.hostile(rng, "x" * 9)).replace("\ud800", "\udcff")
    bad = rng.choice(
        (
            f"{folder}/zq9-{missing}",
            str(folder / "empty.xml"),
            str(folder),
            f"{folder}/zq9[*",
            "/dev/null",
            f"{folder}/**/zq9/*",
        )
    )
    files = [str(folder / name) for name in world.files]
    for name in files:
        Path(name).write_bytes(b"<report/>")
    return {"THREADFIX_SCAN_FILE": "\n".join(rng.sample([*files, bad], len(files) + 1))}, {2}


def _name(_: Path, rng: Random, world: World) -> tuple[dict[str, str], set[int]]:
    text = re.sub(r"[\0/\r\n\v\f\x1c-\x1e\x85\u2028\u2029\ud800]", "", bodies.hostile(rng, "x" * 9))[:60]
    world.files = [f"{place}-{text}.{name.rpartition('.')[2]}" for place, name in enumerate(world.files)]
    return {}, set()


CHANGES: Final = {
    "key": _key_file,
    "ca": _ca_file,
    "cert": _client_cert,
    "event": _event_file,
    "list": _list,
    "name": _name,
}


def response(bench: Bench, rng: Random) -> str:
    """Give responses of one world to their readers, and each reading to its judge."""
    world = World(rng)
    bench.play(world, simulated=True)
    client = _client(world)
    for _ in range(RESPONSES):
        stage = rng.choice(world.stages or ["application"])
        world.served.clear()
        world.flaws = {stage: replace(world.new_flaw(stage), first=False)} if rng.random() < 0.7 else {}
        kind, _, rest = stage.partition(":")
        result, passes = READERS[kind](world, client, rest)
        word, may = oracle.of_stage(world, stage)
        whole = all(reply.whole for replies in world.served.values() for reply in replies)
        if passes and not may:
            return f"{stage} counts, although its word is {word!r}"
        if may and whole and not passes:
            return f"{stage} does not count, although its word is {word!r}: {result}"
        if flaw := oracle.flaw_of_texts(list(_texts(result)), world.key):
            return flaw
        bench.seen["input response"] += 1
        bench.seen["responses"] += sum(map(len, world.served.values()))
    return ""


def _texts(value: object) -> Any:
    """Yield the texts in a reading that may be shown."""
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, (tuple, list)) and not hasattr(value, "agreement"):
        for entry in value:
            yield from _texts(entry)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            # These are compared, and never shown.
            if name not in {"policy", "agreement", "scanners", "refusal"}:
                yield from _texts(getattr(value, name))


def _client(world: World) -> Any:
    from gate.text.sanitizer import Sanitizer, Secret
    from gate.threadfix.client import Client
    from gate.threadfix.links import Server as Peer

    version = "" if world.version == "none" else world.version
    server = Peer(f"{ORIGIN}/threadfix", Secret(world.key), api_version=version)
    return Client(server, Sanitizer((Secret(world.key),)), trace=lambda _: None)


def _settings(world: World, client: Any, *checks: object) -> Any:
    from gate.model.history import Accept
    from gate.model.subjects import ApplicationId, Plan
    from gate.options.settings import Settings
    from gate.threadfix.rules import Rules

    rules = Rules(accepted=frozenset(map(Accept, filter(None, world.accept.split(",")))))
    plan = Plan(settle_timeout=60 if world.settles else 0)
    return Settings(client.api.server, ApplicationId(OWN), (41,), checks=cast("Any", checks), plan=plan, rules=rules)


def _read_status(world: World, client: Any, number: str) -> tuple[object, bool]:
    from gate.judge.scans import judge_scan
    from gate.model.history import Failure, History, StopCause
    from gate.model.subjects import Target

    target = Target(OWN, int(number))
    reading = client.observe(target, 30)
    if isinstance(reading, Failure):
        return reading, False
    settings = _settings(world, client)
    if not settings.rules.settled(reading):
        return reading, False
    conclusion = judge_scan(History(target, StopCause.DECIDED, newest=reading, reading=reading), settings).conclusion
    return (reading, conclusion), conclusion.exit_code == 0


def _read_upload(world: World, client: Any, place: str) -> tuple[object, bool]:
    from gate.judge.scans import judge_upload
    from gate.model.history import Application, Queued, Upload
    from gate.model.subjects import ScanFile
    from gate.threadfix.uploads import receipt_of

    receipt = receipt_of(client.api, OWN, Player.response(client.http, world.reply(f"upload:{place}")))
    if isinstance(receipt, Queued):
        # If the truth names no scan, each number is wrong.
        numbers = tuple(number for _, number in receipt.targets)
        return receipt.targets, numbers == (oracle.last(world, f"upload:{place}") or numbers)
    upload = Upload(ScanFile("x.fpr", 9, "x.fpr"), receipt)
    verdict = judge_upload(upload, _settings(world, client), application=Application(OWN, team_id=2))
    assert verdict is not None
    return (receipt, verdict.conclusion), verdict.conclusion.exit_code == 0


def _read_application(world: World, client: Any, _: str) -> tuple[object, bool]:
    from gate.model.history import Application
    from gate.model.subjects import ApplicationName

    team = None if world.subject in {"name", "unique"} else world.team
    name = ApplicationName(
        team, None if world.subject == "unique" else world.name, "u-1" if world.subject == "unique" else None
    )
    # A client keeps the pages that it has read.
    client = _client(world)
    found = client.application(OWN, 30) if world.subject == "id" else client.look_up(name, 30)
    return found, isinstance(found, Application) and found.id == OWN


def _read_scans(_world: World, client: Any, _: str) -> tuple[object, bool]:
    from gate.model.history import ListedScans

    listed = client.scans(OWN, 30)
    return listed, isinstance(listed, ListedScans)


def _read_rule(world: World, client: Any, rule: str) -> tuple[object, bool]:
    from gate.flow.evaluating import dated
    from gate.judge.checks import judge_check
    from gate.model.history import FRESH, Failure, History, StopCause
    from gate.model.subjects import AllPolicies, PassCriteria, Policy
    from gate.threadfix.policies import CheckReader

    checks: dict[str, Check] = {
        "id": Policy(id=3), "name": Policy(name=world.policy), "all": AllPolicies(), "criteria": PassCriteria(),
        "remediation": Policy(name=world.policy, remediation=True),
    }  # fmt: skip
    check = checks[rule]
    reading = CheckReader(client.api, check, OWN, cached=not world.settles)(30)
    if isinstance(reading, Failure):
        return reading, False
    reading = (
        replace(reading, status=FRESH) if rule == "criteria" else dated(reading, DONE_AT) if world.settles else reading
    )
    conclusion = judge_check(
        History(check, StopCause.DECIDED, newest=reading, reading=reading), _settings(world, client, check)
    ).conclusion
    return (reading, conclusion), conclusion.exit_code == 0


def _read_criteria(world: World, client: Any, _: str) -> tuple[object, bool]:
    return _read_rule(world, client, "criteria")


def _read_policies(world: World, client: Any, _: str) -> tuple[object, bool]:
    return _read_rule(world, client, oracle.rule_of_list(world))


READERS: Final = {
    "status": _read_status, "upload": _read_upload, "application": _read_application, "lookup": _read_application,
    "teams": _read_application, "scans": _read_scans, "eval": _read_rule, "criteria": _read_criteria,
    "policies": _read_policies,
}  # fmt: skip


# --- Many inputs.


def one(bench: Bench, seed: str, number: int) -> tuple[str, str]:
    """Give the gate an input; return its kind and the flaw."""
    rng = Random(f"{seed} {number}")
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    began = time.monotonic()
    try:
        flaw = {"response": response, "run": run, "file": file, "socket": socket}[kind](bench, rng)
    except Exception:  # noqa: BLE001 - a finding
        flaw = traceback.format_exc()
    if bench.broken:
        flaw = bench.broken.pop()
    if time.monotonic() - began > STUCK / 2:
        flaw = flaw or f"took {time.monotonic() - began:.0f} s"
    if kind != "response":
        bench.seen[f"input {kind}"] += 1
        bench.seen["responses"] += sum(map(len, Player.world.served.values()))
    return kind, flaw


def total(seen: Counter[str]) -> int:
    """Return the number of inputs."""
    return sum(count for name, count in seen.items() if name.startswith("input "))


def work(place: int, args: argparse.Namespace, at: Any, results: Any) -> None:
    """Try every input of a worker."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))  # noqa: PTH112, S108
    bench = Bench(folder)
    findings: list[tuple[int, str, str]] = []
    ends = time.monotonic() + (args.seconds or (float("inf") if args.inputs else 60))
    share = args.inputs / args.workers or float("inf")
    for done, number in enumerate(range(place, sys.maxsize, args.workers)):
        if done % 10 == 0:
            faulthandler.dump_traceback_later(STUCK, exit=True)
        if time.monotonic() > ends or total(bench.seen) >= share or len(findings) >= args.most:
            break
        at.value = number
        kind, flaw = one(bench, args.seed, number)
        if flaw:
            findings.append((number, kind, flaw))
    results.put((bench.seen, findings))
    shutil.rmtree(folder, ignore_errors=True)


def report(args: argparse.Namespace, seen: Counter[str], findings: list[tuple[int, str, str]], seconds: float) -> None:
    """Print the table, and write each finding to a file."""
    args.findings.mkdir(parents=True, exist_ok=True)
    for number, kind, flaw in sorted(findings):
        path = args.findings / f"{args.seed}-{number}.json"
        path.write_text(
            json.dumps({"seed": args.seed, "number": number, "kind": kind, "flaw": flaw}, indent=1), encoding="utf-8"
        )
        print(f"{path}: {kind}: {flaw.splitlines()[-1][:300]}")
    for group in ("input", "text", "reason"):
        rows = sorted((name.partition(" ")[2], count) for name, count in seen.items() if name.startswith(f"{group} "))
        print(f"{group + 's':8}", ", ".join(f"{name} {count:,}" for name, count in rows))
    print(
        f"seed {args.seed}: {total(seen):,} inputs with {seen['responses']:,} responses in {seconds:.0f} s, "
        f"{len(findings)} findings"
    )


def main() -> int:
    """Try many inputs, or one again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, help="the time; by default 60, or without an end for a number of inputs"
    )
    parser.add_argument("--inputs", type=int, default=0, help="a number of inputs")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--most", type=int, default=20, help="findings of a worker before it stops")
    parser.add_argument(
        "--findings", type=Path, default=Path(".cache/fuzz"), help="the folder for inputs with findings"
    )
    parser.add_argument("--replay", type=Path, help="a file of that folder")
    args = parser.parse_args()
    if args.replay:
        finding = json.loads(args.replay.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder))
            kind, flaw = one(bench, finding["seed"], finding["number"])
        world = Player.world
        print(f"{kind} {vars(world)}")
        for stage, replies in world.served.items():
            for reply in replies:
                print(f"{stage}: {reply}")
        print(bench.log, flaw or "no finding", sep="\n")
        return bool(flaw)
    context = multiprocessing.get_context("spawn")
    results, began = context.Queue(), time.monotonic()
    at = [context.Value("q", 0) for _ in range(args.workers)]
    workers = [context.Process(target=work, args=(place, args, at[place], results)) for place in range(args.workers)]
    for worker in workers:
        worker.start()
    seen, findings, left = Counter[str](), [], len(workers)
    while left:
        with suppress(Exception):
            counted, found = results.get(timeout=1)
            seen += counted
            findings += found
            left -= 1
            continue
        for place, worker in enumerate(workers):
            if worker.exitcode:
                findings.append((at[place].value, "any", f"the worker ended with {worker.exitcode}"))
                left -= 1
                workers[place] = SimpleNamespace(exitcode=0, join=lambda: None)  # type: ignore[call-overload]
    report(args, seen, findings, time.monotonic() - began)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())

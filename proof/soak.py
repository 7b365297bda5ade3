"""Run gates by the hundred against the sandbox, through a proxy that injects faults, and check every result.

Each gate is a real process. The checks ask the sandbox and the operating system, not the gate's code. A seed repeats
the choices: the options, scans, files, faults, signals, streams and disks. It cannot repeat the order of threads.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import jsonschema

from gate.reporters.outputs import OUTPUTS
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import API_KEY, APPLICATION_ID, envelope, serving
from proof.faults import CUTS, EARLY, REWRITES, SIMPLE, Plan, Proxy
from proof.witness import CRITERIA, Witness
from tests.certificates import LOOPBACK, Authority, context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMA: Final = json.loads((Path(__file__).parent.parent / "docs/result.schema.json").read_text())
SPEEDS: Final = (8.0, 40.0)  # times the speed of the scenarios
UPLOAD, REQUEST, FIRST_CONTACT, OUTAGE, SETTLE = 3.0, 1.5, 1.0, 1.5, 2.0  # limits of a gate, in seconds
AFTER_SIGNAL: Final = 2.0  # seconds from a signal to the exit, without the margin for the machine's load
HANGING: Final = 120.0  # seconds after which a gate is killed
LIMITS: Final = (
    *("--interval", "0.1s", "--max-interval", "0.3s", "--request-timeout", f"{REQUEST}s", "--outage-limit"),
    *(f"{OUTAGE}s", "--first-contact-limit", f"{FIRST_CONTACT}s", "--upload-timeout", f"{UPLOAD}s"),
)
HARMLESS: Final = ("done", "policy-pass", "release", "slow", "late")
RULED: Final = ("policy-pass", "policy-fail", "policy-fail", "policy-stale", "policy-stale", "criteria-fail")
PLAYABLE: Final = tuple(
    scenario.name
    for scenario in SCENARIOS.values()
    if scenario.key == API_KEY and not scenario.folder and scenario.application == APPLICATION_ID
)
RULES: Final[tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]] = (
    (("--policy", "all"), (1, 2)),
    (("--policy", "Release"), (1,)),
    (("--policy", "No critical vulnerabilities"), (2,)),
    (("--policy", "3"), (3,)),
    (("--policy", "remediation:Fixed within 30 days"), (4,)),
    (("--policy", "Nope"), (-1,)),
    (("--pass-criteria",), (CRITERIA,)),
    (("--policy", "all", "--pass-criteria"), (1, 2, CRITERIA)),
)
"""Options of rules, and the ids of their policies in the sandbox."""
BY_ID: Final = ("--application-id", str(APPLICATION_ID))
UNKNOWN: Final = ("--application-id", "99")
BY_NAME: Final = (
    ("--application-name", "contoso SHOP", "--team-name", "Contoso"),
    ("--application-unique-id", "contoso-shop", "--team-name", "Contoso"),
)
REPORTS: Final = ("result", "junit", "dotenv", "html")
ALLOWED: Final = ("timeout", "unreachable")
"""Reasons that may end with exit code 0, with `--on-timeout warn`."""


class Case:
    """The choices for one gate."""

    def __init__(self, seed: str, index: int) -> None:
        draw = self.draw = random.Random(f"{seed}/{index}")
        choice = draw.choice

        def chance(share: float) -> bool:
            return draw.random() < share

        self.index = index
        self.calm = calm = chance(0.3)  # Only the scans and the rules are difficult.
        tls = chance(0.3)
        fault = "none" if calm else choice((*SIMPLE, *CUTS, *(() if tls else (*REWRITES, EARLY)), "reset", "reset-up"))
        self.plan = Plan(index, tls, fault, choice((0, 0, 1, 2)), choice((0.3, 0.6, 1.0)))
        mode = choice(("pending", "pending", "upload", "upload", "upload", "both", "response", "rules"))
        forged = fault in (EARLY, "forged-after")  # a status, so nothing but statuses is requested
        mode = "pending" if forged else mode
        sweeps = fault in CUTS and mode == "pending"  # many connections, each with its own byte position
        self.speed = SPEEDS[0] if calm else choice(SPEEDS)
        ruled = mode == "rules" or (chance(0.8 if calm else 0.5) and not forged)
        self.rule_options, self.rules = choice(RULES) if ruled else ((), ())
        names = choice((HARMLESS, PLAYABLE, RULED, RULED)) if calm else choice((HARMLESS, HARMLESS, PLAYABLE))
        count = 24 if sweeps else choice((1, 1, 1, 1, 2, 3))
        self.pending = draw.choices(names, k=1 if mode == "response" else count) * (mode not in ("upload", "rules"))
        suffixes = choice((("fpr",), ("fpr", "xml"), ("xml",), ("fpr", "json", "txt")))
        files = choice((1, 1, 1, 2, 3)) if mode in ("upload", "both") else 0
        self.files = [f"{n}/{choice(names)}.{suffixes[n % len(suffixes)]}" for n in range(files)]
        self.by_response, self.one_scan = mode == "response", chance(0.3)
        self.accept = choice(("", "", "duplicate,empty"))
        self.settle = SETTLE if calm else choice((0.0, SETTLE, SETTLE))
        self.timeout = 8 if calm else choice((0, 4, 6, 8))
        self.warns = chance(0.1)
        self.generation = choice(((2, 8, 8), (2, 8, 8), (2, 7), (2, 6), (2, 5, 1)))
        self.application = BY_ID if self.pending or calm else choice((BY_ID, BY_ID, UNKNOWN, *BY_NAME))
        self.options = choice((("-v",), ("-q",), ("--json",), ("--json", "-v"), ()))
        streams, disks = ("read", "slow", "unread", "closed", "full", "file"), ("full", "read-only", "limit", "device")
        self.streams = ["read" if calm or chance(0.3) else choice(streams) for _ in "12"]
        self.disk = "free" if calm or chance(0.3) else choice(disks)
        self.reports = [name for name in REPORTS if chance(0.7)]
        self.github = chance(0.8)
        self.after_contact = chance(0.7)  # whether the first signal waits for a connection
        at = draw.uniform(0, 3 if self.after_contact else 1)
        numbers = draw.choices((signal.SIGTERM, signal.SIGINT), k=choice((1, 1, 1, 3)))
        signals = [(at + 0.05 * n, number) for n, number in enumerate(numbers)]
        self.signals = signals if not calm and chance(0.45) else []

    @property
    def bound(self) -> float:
        """Seconds within which the gate must end: the sum of its limits."""
        patience = max(FIRST_CONTACT, OUTAGE) + 2 * REQUEST
        rules = 2 * self.settle + 2 * patience + REQUEST if self.rules else 0.0
        return 2 * patience + len(self.files) * (UPLOAD + patience) + self.timeout + REQUEST + rules


class Run:
    """A gate with its sandbox, its proxy and its folder."""

    def __init__(self, case: Case, soak: Soak) -> None:
        self.case, self.soak, self.folder = case, soak, soak.base / f"{case.index:05}"
        self.threadfix = Witness(speed=case.speed, generation=case.generation)
        self.limited = case.disk == "limit" or (case.disk == "full" and not soak.full)  # the size of any file
        self.findings: list[str] = []
        self.code: int | None = None
        self.took = self.after_signal = 0.0
        self.sent: list[float] = []  # the times of the signals
        # Whether the gate handled signals and had connected when the first signal was sent. While Python itself starts,
        # SIGINT leads to any exit code but 0.
        self.handles = self.began = True
        self.document: dict[str, Any] = {}  # a report

    def run(self) -> Run:
        """Run the gate to its end, and check everything."""
        for name in ("home", "tmp", "work", "reports", "logs"):
            (self.folder / name).mkdir(parents=True)
        with serving(self.threadfix, tls=self.soak.tls if self.case.plan.tls else None) as url:
            self.proxy = Proxy(self.case.plan, urlsplit(url).port or 0)
            self.numbers = [self.threadfix.add(SCENARIOS[name]) for name in self.case.pending]
            with ExitStack() as stack:
                self._start(stack)
            self.proxy.close()
            self.findings += self._check()
        self._clean_up()
        return self

    @property
    def ending(self) -> str:
        """The verdict and the reason, or only the exit code."""
        return "/".join(filter(None, map(self.document.get, ("verdict", "reason")))) or f"exit code {self.code}"

    def _start(self, stack: ExitStack) -> None:
        case, logs, ended = self.case, self.folder / "logs", threading.Event()
        shell = 'exec "$@"'
        if self.limited:
            shell = f"ulimit -f 4; {shell}"
        targets: list[Any] = []
        for number, mode in enumerate(case.streams, 1):
            shell += f" {number}>&-" * (mode == "closed")
            path = {"full": Path("/dev/full"), "file": logs / str(number)}.get(mode)
            targets.append(stack.enter_context(path.open("wb")) if path else subprocess.PIPE)
        command = ["sh", "-c", shell, "sh", sys.executable, "-m", "gate", "run", *self._arguments()]
        (self.folder / "command.txt").write_text(shlex.join(command))
        begin = time.monotonic()
        process: subprocess.Popen[bytes] = stack.enter_context(
            subprocess.Popen(command, cwd=self.folder / "work", env=self._environment(), start_new_session=True,
                             stdin=subprocess.DEVNULL, stdout=targets[0], stderr=targets[1])
        )  # fmt: skip
        readers = [
            threading.Thread(target=_read, args=(stream.fileno(), mode, logs / name, ended), daemon=True)
            for stream, mode, name in zip((process.stdout, process.stderr), case.streams, "12", strict=True) if stream
        ]  # fmt: skip
        for reader in readers:
            reader.start()
        self._send_signals(process, begin)
        with suppress(subprocess.TimeoutExpired):
            process.wait(HANGING)
        now = time.monotonic()
        self.took, self.after_signal = now - begin, now - self.sent[0] if self.sent else 0.0
        self.code = process.poll()
        process.kill()
        process.wait()
        ended.set()
        for reader in readers:
            reader.join(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
            self.findings.append("a process is left")

    def _send_signals(self, process: subprocess.Popen[bytes], begin: float) -> None:
        while self.case.signals and self.case.after_contact and not self.proxy.heads and process.poll() is None:
            time.sleep(0.02)
            begin = time.monotonic()
        for at, number in self.case.signals:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, begin + at - time.monotonic()))
                return
            if not self.sent:
                self.began = bool(self.proxy.heads)
                self.handles = _handles(process.pid)
            self.sent.append(time.monotonic())
            process.send_signal(number)

    def _arguments(self) -> list[str]:
        """Write the files that the gate reads; return its arguments."""
        case, work = self.case, self.folder / "work"
        mounted = {"full": self.soak.full, "read-only": self.soak.read_only}.get(case.disk)
        self.reports = mounted / str(case.index) if mounted else self.folder / "reports"
        if case.disk == "read-only" and not mounted:
            self.reports.chmod(0o555)
        args = [*LIMITS, "--url", self.proxy.url, *case.application, *case.options, *case.rule_options]
        args += ["--timeout", f"{case.timeout}s" if case.timeout else "0", "--settle-timeout", f"{case.settle:g}s"]
        args += ["--ca-file", str(self.soak.authority)] * case.plan.tls
        args += ["--on-timeout", "warn", "--on-unreachable", "warn"] * case.warns
        args += ["--accept", case.accept] if case.accept else []
        if case.by_response:
            links = [{"rel": "related", "href": f"/rest/latest/applications/6/pendingScan/{self.numbers[0]}/status"}]
            (work / "response.json").write_bytes(envelope("Scan upload process started.", links=links).body)
            args += ["--upload-response", "response.json"]
        elif self.numbers:
            args += ["--pending-scan-id", ",".join(map(str, self.numbers))]
        for number, name in enumerate(case.files):
            path = work / name
            path.parent.mkdir()
            date = case.draw.choice(("Mon, 02 Nov 2020 10:00:00", f"Tue, 03 Nov 2020 10:00:{number:02}"))
            noise = case.draw.randbytes(case.draw.choice((100, 3000, 300_000))).hex()
            xml = f'<OWASPZAPReport generated="{date}"><site/><!--{noise}--></OWASPZAPReport>'
            path.write_text(xml if path.suffix == ".xml" else noise)
            args += ["--scan-file", name]
        args += ["--one-scan"] * (case.one_scan and bool(case.files))
        args += ["--rules-only"] * (not self.numbers and not case.files)
        for name in case.reports:
            device = case.disk == "device" and name == "result"
            args += [f"--{name}-file", "/dev/full" if device else str(self.reports / name)]
        self.inputs = set(work.rglob("*"))
        return args

    def _environment(self) -> dict[str, str]:
        # A full disk would leave half a file of byte code.
        env = {"PATH": os.environ.get("PATH", os.defpath), "CI": "true", "PYTHONDONTWRITEBYTECODE": "1"}
        env |= {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp"), "THREADFIX_API_KEY": API_KEY}
        env |= {"PYTHONPATH": self.soak.gate} if self.soak.gate else {}
        if self.case.github:
            env["GITHUB_ACTIONS"] = "true"
            for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
                env[name] = str(self.folder / "logs" / name)
                Path(env[name]).touch()
        return env

    def _check(self) -> Iterator[str]:
        """Yield a sentence for each finding."""
        case, code, began = self.case, self.code, self.began
        margin = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        took, limit = (self.after_signal, AFTER_SIGNAL) if self.sent else (self.took, case.bound)
        if took > limit + margin:
            yield f"it ended after {took:.1f} s; allowed are {limit:.1f} s and {margin:.1f} s for the load"
        numbers = [number for _, number in case.signals[: len(self.sent)]]
        if code not in {
            *range(9),
            *(128 + number for number in numbers),
            *(-number for number in numbers if not began),
        }:
            yield f"exit code {code}"
        yield from self._check_logs()
        left = [path for name in ("tmp", "home", "work") for path in (self.folder / name).rglob("*")]
        left += [path for path in self.reports.rglob("*") if path.name not in case.reports]
        if set(left) != self.inputs:
            yield f"left over: {sorted(map(str, set(left) - self.inputs))}"
        for document in self._documents():
            yield from self._check_document(document)
        if began and case.disk == "free" and (missing := [n for n in case.reports if not (self.reports / n).is_file()]):
            yield f"reports are missing: {missing}"
        if began and case.github and not self.limited and not (self.folder / "logs/GITHUB_OUTPUT").stat().st_size:
            yield "no outputs"
        if not self.document and (verdict := re.search(rb"^(PASS|FAIL|UNKNOWN) \(([a-z-]+)", self._log, re.MULTILINE)):
            self.document = {"verdict": verdict[1].decode().lower(), "reason": verdict[2].decode()}
        yield from self._check_network()
        if code == 0 and not (case.warns and self.document.get("reason") in (*ALLOWED, None)):
            yield from (f"a pass, but {doubt}" for doubt in self._doubts())

    @property
    def _log(self) -> bytes:
        log = self.folder / "logs/2"
        return log.read_bytes() if log.is_file() else b""

    def _check_logs(self) -> Iterator[str]:
        mask = f"::add-mask::{API_KEY}\n".encode() if self.case.github and self.case.streams[1] != "file" else b""
        secrets = (API_KEY.encode(), API_KEY.lower().encode(), base64.b64encode(API_KEY.encode())[:-4])
        for path in (*(self.folder / "logs").iterdir(), *self.reports.rglob("*")):
            text = path.read_bytes()
            if any(secret in text.removeprefix(mask if path.name == "2" else b"") for secret in secrets):
                yield f"the key is in {path}"
            if self.handles and re.search(rb'Traceback|^  File "|internal error', text, re.MULTILINE):
                yield f"a traceback in {path}"

    def _documents(self) -> Iterator[dict[str, Any]]:
        """Yield the outputs, the dotenv file and the result document, each with names in `snake_case`."""
        output, dotenv, result = self.folder / "logs/GITHUB_OUTPUT", self.reports / "dotenv", self.reports / "result"
        if output.is_file() and output.stat().st_size and not self.limited:
            found = re.findall(r"(?ms)^([a-z-]+)<<(\S+)\n(.*?)\n^\2$", output.read_text())
            yield {name.replace("-", "_"): value for name, _, value in found}
        if dotenv.is_file():
            lines = (line.split("=", 1) for line in dotenv.read_text().splitlines())
            yield {"scans": ""} | {name.removeprefix("THREADFIX_GATE_").lower(): value for name, value in lines}
        if result.is_file():
            document = json.loads(result.read_text())
            for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document):
                self.findings.append(f"the result document is not valid: {error.message}")
            yield document

    def _check_document(self, document: dict[str, Any]) -> Iterator[str]:
        self.document = document
        if missing := {name.replace("-", "_") for name in OUTPUTS} - document.keys():
            yield f"outputs are missing: {sorted(missing)}"
        kind, code = document.get("verdict"), str(document.get("exit_code"))
        downgraded = self.case.warns and document.get("reason") in ALLOWED
        if code != str(self.code) or kind != {"1": "fail", "0": "unknown" if downgraded else "pass"}.get(
            code, "unknown"
        ):
            yield f"exit code {self.code}, but {kind} and {code} in a report"

    def _check_network(self) -> Iterator[str]:
        proxy, threadfix, case = self.proxy, self.threadfix, self.case
        heads = proxy.heads.values()
        if proxy.unclosed:
            yield f"{proxy.unclosed} connections are left"
        if any(head.count(b" HTTP/1.1\r\n") > 1 for head in heads) or len(threadfix.seen) > threadfix.connections:
            yield "a connection served two requests"
        begun = max(threadfix.upload_attempts, sum(bool(re.match(rb"POST \S*/upload[ /]", head)) for head in heads))
        copies = max(Counter(file.sha256 for file in threadfix.uploads).values(), default=0)
        if begun > (1 if case.one_scan else len(case.files)) or copies > 1:
            yield f"{begun} uploads of {len(case.files)} files, a file {copies} times"

    def _doubts(self) -> Iterator[str]:
        case, numbers = self.case, self.numbers
        if case.plan.never_whole or case.application == UNKNOWN:
            yield "no honest response about this application arrived"
        yield from self.threadfix.doubts_about_scans(numbers, len(case.files), accepts=bool(case.accept))
        if case.rules:
            yield from self.threadfix.doubts_about_rules(numbers, case.rules, fresh=case.settle > 0)
        if (self.document.get("reason", "policy-passed") == "policy-passed") < bool(case.rules):
            yield f"the reason is {self.document['reason']} in spite of rules"

    def _clean_up(self) -> None:
        if self.findings:
            requests = [f"{method} {path}: {code}" for method, path, code in self.threadfix.seen]
            choices = [f"{name}: {value}" for name, value in vars(self.case).items()]
            ending = f"{self.ending}, exit code {self.code} after {self.took:.2f} s ({self.after_signal:.2f} s)"
            notes = [*self.findings, ending, *choices, f"faults at {self.proxy.hits}", *requests]
            (self.folder / "findings.txt").write_text("\n".join(notes))
        else:
            shutil.rmtree(self.folder)
        if not self.reports.is_relative_to(self.folder):
            shutil.rmtree(self.reports, ignore_errors=True)


def _read(handle: int, mode: str, sink: Path, ended: threading.Event) -> None:
    """Read a stream to its end, at the speed of the mode."""
    if mode == "unread":
        ended.wait()
    with sink.open("wb") as file, suppress(OSError):
        while data := os.read(handle, 65536 if mode != "slow" or ended.is_set() else 32):
            file.write(data)
            time.sleep(0.005 * (mode == "slow" and not ended.is_set()))


def _handles(process: int) -> bool:
    """Return whether a process handles SIGTERM."""
    status = Path(f"/proc/{process}/status")
    caught = re.search(r"SigCgt:\s*(\w+)", status.read_text()) if status.exists() else None
    return bool(caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


class Soak:
    """Runs gates until the time is over, and counts."""

    def __init__(self, base: Path, seed: str, gate: str) -> None:
        self.base, self.seed, self.gate = base, seed, gate
        (base / "authority").mkdir()
        authority = Authority(base / "authority", "soak")
        self.authority, self.tls = authority.file, context(authority.issue("server", LOOPBACK))
        self.full, self.read_only = self._mount("full", "size=32k"), self._mount("read-only", "ro,size=4k")
        if self.full:
            (self.full / "filler").write_bytes(b" " * 24 * 1024)
        self.runs: list[Run] = []
        self.until = 0.0

    def _mount(self, name: str, options: str) -> Path | None:
        """Mount a file system in memory; None if this user may not."""
        folder = self.base / name
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "soak", str(folder)]
        return None if subprocess.run(command, check=False, capture_output=True).returncode else folder

    def close(self) -> None:
        """Unmount, and remove everything if nothing was found."""
        for folder in filter(None, (self.full, self.read_only)):
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
        if not any(run.findings for run in self.runs):
            shutil.rmtree(self.base)

    def work(self, indexes: Iterator[int]) -> None:
        """Run gates one after the other. Several threads call it."""
        for index in indexes:
            if time.monotonic() > self.until:
                return
            run = Run(Case(self.seed, index), self).run()
            self.runs.append(run)
            for finding in run.findings:
                print(f"FINDING in gate {index}: {finding} ({run.folder})", flush=True)

    def table(self) -> Iterator[str]:
        """Yield the lines of the result."""
        runs, stopped = self.runs, [run for run in self.runs if run.sent]
        plain = [run for run in runs if run.case.plan.fault == "reset" and not run.case.plan.tls]
        reset = {position for run in plain for position in run.proxy.hits}
        rows: dict[str, Iterable[object]] = {
            "gates": [len(runs)],
            "requests to the sandbox": [sum(len(run.threadfix.seen) for run in runs)],
            "endings": _count(run.ending for run in runs),
            "faults by gate": _count(run.case.plan.fault + " (TLS)" * run.case.plan.tls for run in runs),
            "connections with the fault": _count(run.case.plan.fault for run in runs for _ in run.proxy.hits),
            "resets within a plain response": [f"after {len(reset)} different numbers of bytes"],
            "disks": _count(run.case.disk for run in runs),
            "standard output": _count(run.case.streams[0] for run in runs),
            "standard error": _count(run.case.streams[1] for run in runs),
            "longest run": [f"{max((run.took for run in runs), default=0):.1f} s"],
            "gates with a signal": [
                f"{len(stopped)}, before the first connection {sum(not run.began for run in stopped)}"
            ],
            "longest exit after a signal": [f"{max((run.after_signal for run in stopped), default=0):.2f} s"],
            "findings": [sum(len(run.findings) for run in runs)],
        }
        for name, cells in rows.items():
            yield f"{name}: {', '.join(map(str, cells))}"


def _count(words: Iterable[str]) -> list[str]:
    return [f"{word} {number}" for word, number in Counter(words).most_common()]


def main() -> int:
    """Run gates; return 1 if there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--only", type=int, help="run only the gate with this number")
    parser.add_argument("--gate", default="", help="a folder with another copy of the package gate")
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1))
    options = parser.parse_args()
    print(f"SEED={options.seed}", flush=True)
    # In the background a shell makes its children ignore SIGINT, and the gates would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    indexes = itertools.count() if options.only is None else iter([options.only])
    soak = Soak(Path(tempfile.mkdtemp(prefix="soak-")), options.seed, options.gate)
    soak.until = time.monotonic() + options.seconds
    pool = ThreadPoolExecutor(options.workers)
    try:
        for worker in [pool.submit(soak.work, indexes) for _ in range(options.workers)]:
            worker.result()
    finally:
        soak.until = 0.0
        pool.shutdown()
        soak.close()
    print(*soak.table(), sep="\n")
    return int(any(run.findings for run in soak.runs))


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz the gate with whole responses, files and texts. `bodies.py` has their truth, `oracle.py` the expectations.

Kinds of inputs: `response` (one response into its reader and its judge), `run` (a whole run in this process, in
simulated time), `file` (the same, with a changed file that the gate reads), `socket` (a whole run over real sockets, in
bytes). Every run's log, outputs and reports are parsed again. An input depends only on the seed and its number.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final

from proof import oracle
from proof.bench import Bench, Player
from proof.bodies import World
from proof.files import CHANGES
from proof.readers import response

KINDS: Final = {"response": 0.87, "run": 0.1, "file": 0.01, "socket": 0.02}
"""The kinds of inputs, and the share of each; eight responses of one world count as one there."""
STUCK: Final = 120.0
"""Seconds that ten inputs may not take, even on a busy machine."""


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

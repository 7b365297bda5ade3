"""Give single responses to the gate's readers, and each reading to its judge."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from proof import oracle
from proof.bench import ORIGIN, Bench, Player
from proof.bodies import OWN, World
from proof.changes import DONE_AT

if TYPE_CHECKING:
    from random import Random

    from gate.model.subjects import Check

RESPONSES: Final = 8
"""The responses of one world."""


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

"""JSON that other parsers refuse or choke on, over real sockets."""

from __future__ import annotations

import codecs
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gate.model.reasons import Reason
from gate.sandbox.responses import JSON
from gate.sandbox.scenarios import Raw, Scenario
from gate.sandbox.server import ThreadFix
from gate.threadfix.shapes import MOST_OPENINGS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Gate, Serve

DONE = b'{"success":true,"message":"m","object":{"status":"DONE","error":false,"appId":6,"scanId":12,"name":"n"}}'
HALF = "\ud83d"
"""Half an emoji: a lone surrogate, which a Java server can send as `\\ud83d`."""


ODD = [
    (b'"n"', b'"\\ud83d"', Reason.PROCESSED, 12),
    (b'"name"', b'"\\ud83d"', Reason.PROCESSED, 12),
    (b'"m"', b'{"\\udc00":["\\ud83d"]}', Reason.PROCESSED, 12),
    (b'"n"', b'"\xed\xa0\xbd"', Reason.PROTOCOL, None),
    (b'"n"', b'"\xff"', Reason.PROTOCOL, None),
    (b'"name":"n"', b'"\\ud83d":1,"\\ud83d":2', Reason.PROTOCOL, None),
    (b'"scanId":12', b'"scanId":' + b"1" * 5_000, Reason.PROCESSED, None),
    (b'"scanId":12', b'"scanId":1e999', Reason.PROCESSED, None),
    (b'"scanId":12', b'"scanId":Infinity', Reason.PROTOCOL, None),
    (b'"appId":6', b'"appId":6e0', Reason.PROTOCOL, None),
    (b'"n"', b'"' + b"{" * (MOST_OPENINGS - 3) + b'"', Reason.PROCESSED, 12),
    (b'"n"', b"[" * 999_000, Reason.PROTOCOL, None),
    (b'"n"', b'{"a":' * 200_000, Reason.PROTOCOL, None),
    (DONE, codecs.BOM_UTF8 + DONE, Reason.PROTOCOL, None),
    (DONE, DONE.decode().encode("utf-16"), Reason.PROTOCOL, None),
    (DONE, DONE.decode().encode("utf-32-be"), Reason.PROTOCOL, None),
]
"""A text of a good response and its replacement, the reason of the verdict, and the id of the scan."""


def responding(body: bytes) -> Scenario:
    """Return a pending scan that always gets this response."""
    return Scenario("test", "", Reason.PROCESSED, fault=lambda _: Raw(200, body, JSON))


def test_odd_json_is_read_strictly(gate: Gate) -> None:
    numbers = [str(gate.threadfix.add(responding(DONE.replace(old, new, 1)))) for old, new, _, _ in ODD]
    ran = gate("--pending-scan-id", ",".join(numbers), "--timeout", "0")
    seen = [(scan["reason"], scan["scan_id"]) for scan in ran.document["scans"]]
    assert seen == [(reason, scan_id) for _, _, reason, scan_id in ODD]


STRICT = {"status", "currentStatus", "href"}
"""Fields whose text decides something."""


def halved(value: Any, name: str = "") -> Any:  # noqa: ANN401 - JSON
    """Return JSON with half an emoji in each text that decides nothing, and in a further name of each object."""
    if isinstance(value, dict):
        return {key: halved(entry, key) for key, entry in value.items()} | {HALF: HALF}
    if isinstance(value, list):
        return [halved(entry, name) for entry in value]
    return value + HALF if isinstance(value, str) and name not in STRICT else value


class Halved(ThreadFix):
    """A ThreadFix that sends half emojis everywhere."""

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:  # noqa: ANN401 - a fault
        return self._halved(super().respond(method, path, headers, body))

    def receive(self, *args: Any) -> Any:  # noqa: ANN401 - as above
        return self._halved(super().receive(*args))

    def _halved(self, sent: Any) -> Any:  # noqa: ANN401 - as above
        if not isinstance(sent, Raw) or not sent.body.startswith(b"{"):
            return sent
        return replace(sent, body=json.dumps(halved(json.loads(sent.body))).encode())


@pytest.mark.parametrize("scenario", ["policy-fail", "criteria-fail", "interrupted", "empty"])
@pytest.mark.parametrize("version", ["latest", "legacy"])
def test_half_an_emoji_anywhere_is_no_bug(
    scenario: str, version: str, gate: Gate, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / f"{scenario}.json").write_text('{"results": [1]}')
    reports = {name: str(tmp_path / name) for name in ("junit", "html", "dotenv")}
    limits = ("--outage-limit", "50ms", "--settle-timeout", "50ms", "--timeout", "5s")
    ran = gate(
        *("--url", serve(Halved(speed=1000)), "--scan-file", f"{tmp_path}/{scenario}.json", "--api-version", version),
        *("--policy", "all\nRelease", "--pass-criteria", *limits),
        *(f"--{name}-file={path}" for name, path in reports.items()),
    )
    assert ran.document["reason"] != Reason.INTERNAL, ran.err
    assert "could not be written" not in ran.err

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


@pytest.mark.parametrize(
    ("old", "new", "reason", "scan_id"),
    [
        (b'"n"', b'"\\ud83d"', Reason.PROCESSED, 12),
        (b'"name"', b'"\\ud83d"', Reason.PROCESSED, 12),
        (b'"m"', b'{"\\udc00":["\\ud83d"]}', Reason.PROCESSED, 12),
        (b'"n"', b'"\xed\xa0\xbd"', Reason.PROTOCOL, None),
        (b'"n"', b'"\xff"', Reason.PROTOCOL, None),
        (b'"name":"n"', b'"\\ud83d":1,"\\ud83d":2', Reason.PROTOCOL, None),
        (b'"scanId":12', b'"scanId":' + b"1" * 5_000, Reason.PROCESSED, None),
        (b'"scanId":12', b'"scanId":1e999', Reason.PROCESSED, None),
        (b'"scanId":12', b'"scanId":Infinity', Reason.PROTOCOL, None),
        (b'"appId":6', b'"appId":' + b"6" * 5_000, Reason.PROTOCOL, None),
        (b'"appId":6', b'"appId":1e999', Reason.PROTOCOL, None),
        (b'"appId":6', b'"appId":6.0', Reason.PROTOCOL, None),
        (b'"appId":6', b'"appId":6e0', Reason.PROTOCOL, None),
        (b'"n"', b'"' + b"{" * (MOST_OPENINGS - 3) + b'"', Reason.PROCESSED, 12),
        (b'"n"', b'"' + b"[" * MOST_OPENINGS + b'"', Reason.PROTOCOL, None),
        (b'"n"', b"[" * 999_000, Reason.PROTOCOL, None),
        (b'"n"', b'{"a":' * 200_000, Reason.PROTOCOL, None),
        (DONE, codecs.BOM_UTF8 + DONE, Reason.PROTOCOL, None),
        (DONE, DONE.decode().encode("utf-16"), Reason.PROTOCOL, None),
        (DONE, DONE.decode().encode("utf-32-be"), Reason.PROTOCOL, None),
    ],
)
def test_odd_json_is_read_strictly(old: bytes, new: bytes, reason: Reason, scan_id: int | None, gate: Gate) -> None:
    assert old in DONE
    response = Raw(200, DONE.replace(old, new, 1), JSON)
    ran = gate.play(Scenario("test", "", Reason.PROCESSED, fault=lambda _: response), "--timeout", "0")
    assert (ran.document["reason"], ran.document["scan_id"]) == (reason, scan_id)
    assert ran.code == reason.row.exit_code


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


@pytest.mark.parametrize("scenario", ["policy-pass", "policy-fail", "criteria-fail", "interrupted", "empty"])
@pytest.mark.parametrize("version", ["latest", "legacy"])
def test_half_an_emoji_anywhere_is_no_bug(
    scenario: str, version: str, gate: Gate, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / f"{scenario}.json").write_text('{"results": [1]}')
    reports = {name: str(tmp_path / name) for name in ("junit", "html", "dotenv")}
    ran = gate(
        *("--url", serve(Halved(speed=1000)), "--scan-file", f"{tmp_path}/{scenario}.json", "--api-version", version),
        *(
            "--policy",
            "all\nRelease",
            "--pass-criteria",
            "--outage-limit",
            "200ms",
            "--settle-timeout",
            "200ms",
            "--timeout",
            "5s",
        ),
        *(f"--{name}-file={path}" for name, path in reports.items()),
    )
    assert ran.document["reason"] != Reason.INTERNAL, ran.err
    assert "could not be written" not in ran.err

"""The first mistakes of a user: each ends soon, and the verdict names the cause, the meaning and the next step once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from gate.model.reasons import Reason
from tests.raw import request_head, talking

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Gate, Ran

    Respond = Callable[[str, bool], bytes]

NO_KEY: Final = "Authentication failed, check your API Key."
UNRECOGNIZED: Final = "Bad rest request due to unrecognized path."


def http(code: int, body: bytes = b"", *headers: str) -> bytes:
    """Return a response."""
    head = "\r\n".join([f"HTTP/1.1 {code} X", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""])
    return head.encode() + body


def refusal(message: str, code: int = 200) -> bytes:
    """Return ThreadFix's envelope with a refusal."""
    body = json.dumps({"message": message, "success": False, "responseCode": -1, "object": None})
    return http(code, body.encode(), "Content-Type: application/json;charset=UTF-8")


def page(code: int, title: str) -> bytes:
    return http(code, f"<html><head><title>{title}</title></head></html>".encode(), "Content-Type: text/html")


@dataclass(frozen=True)
class Seen:
    """A run, the server's origin, and for each request its path and whether it had the key."""

    ran: Ran
    origin: str
    requests: list[tuple[str, bool]]


def seen_by(respond: Respond, gate: Gate, tmp_path: Path, base: str, *args: str) -> Seen:
    """Upload a file to a server."""
    requests: list[tuple[str, bool]] = []

    def talk(connection: socket.socket) -> None:
        head = request_head(connection).decode()
        assert "\r\nAccept: application/json\r\n" in head
        requests.append((head.split(" ")[1], "\r\nAuthorization: APIKEY " in head))
        connection.sendall(respond(*requests[-1]))

    file = tmp_path / "report.xml"
    file.write_bytes(b"<x/>")
    with talking(talk) as url:
        origin = url.removesuffix("/threadfix")
        ran = gate("--url", origin + base, "--scan-file", str(file), "--first-contact-limit", "100ms", *args)
    return Seen(ran, origin, requests)


APPLICATION: Final = "/rest/latest/applications/6"


def threadfix(path: str, with_key: bool) -> bytes:  # noqa: FBT001 - a request
    """Respond as ThreadFix with its context path, without any application."""
    if not path.startswith("/threadfix/"):
        return page(404, "HTTP Status 404")
    return refusal("Application lookup failed. Check your ID." if with_key else NO_KEY)


@pytest.mark.parametrize(
    ("outside", "reason"),
    [
        (page(404, "HTTP Status 404"), Reason.NOT_FOUND),
        (http(302, b"", "Location: /threadfix/"), Reason.PROTOCOL),
    ],
)
def test_a_url_without_its_context_path_is_final_immediately(
    outside: bytes, reason: Reason, gate: Gate, tmp_path: Path
) -> None:
    """A single request without the key finds ThreadFix."""
    seen = seen_by(lambda *of: outside if "threadfix" not in of[0] else threadfix(*of), gate, tmp_path, "")
    assert seen.ran.document["reason"] == reason
    assert f"ThreadFix itself responds under {seen.origin}/threadfix." in seen.ran.document["message"]
    assert "--url lacks the context path" in seen.ran.err
    assert seen.requests == [(APPLICATION, True), (f"/threadfix{APPLICATION}", False)]


@pytest.mark.parametrize(
    ("base", "respond"),
    {
        "the URL has a path": ("/tf", threadfix),
        "ThreadFix's own 404": ("", lambda *_: refusal("No.", 404)),
        "another page there too": ("", lambda *_: page(404, "HTTP Status 404")),
        "no response there": ("", lambda path, _: b"" if "threadfix" in path else http(404)),
        "not the first response": ("", lambda path, _: http(404) if "threadfix" in path else http(503)),
    }.values(),
)
def test_without_threadfix_under_its_usual_path_an_error_lasts(
    base: str, respond: Respond, gate: Gate, tmp_path: Path
) -> None:
    seen = seen_by(respond, gate, tmp_path, base)
    assert "responds under" not in seen.ran.document["message"]
    assert [path for path, with_key in seen.requests if not with_key] in ([], [f"/threadfix{APPLICATION}"])
    assert len([path for path, with_key in seen.requests if with_key]) > 1

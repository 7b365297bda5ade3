"""The first mistakes of a user: each ends soon, and the verdict names the cause, the meaning and the next step once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from gate.model.history import Failure
from gate.model.reasons import Reason
from gate.model.subjects import Target
from gate.sandbox.server import API_KEY
from tests import uploads
from tests.raw import request_head, talking
from tests.uploads import client

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Gate, Ran

    Respond = Callable[[str, bool], bytes]

NO_KEY: Final = "Authentication failed, check your API Key."
UNRECOGNIZED: Final = "Bad rest request due to unrecognized path."


def http(code: int, body: bytes = b"", *headers: str) -> bytes:
    return uploads.http(body, b"%d X" % code, *(header.encode() for header in headers))


def refusal(message: str, code: int = 200) -> bytes:
    return http(code, uploads.refused(message))


def page(code: int, title: str) -> bytes:
    return http(code, f"<html><head><title>{title}</title></head></html>".encode(), "Content-Type: text/html")


@dataclass(frozen=True)
class Seen:
    """A run, the server's origin, and for each request its path and whether it had the key."""

    ran: Ran
    origin: str
    requests: list[tuple[str, bool]]


def seen_by(respond: Respond, gate: Gate, tmp_path: Path, base: str, *args: str, **env: str) -> Seen:
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
        ran = gate("--url", origin + base, "--scan-file", str(file), "--first-contact-limit", "100ms", *args, env=env)
    return Seen(ran, origin, requests)


APPLICATION: Final = "/rest/latest/applications/6"


def threadfix(path: str, with_key: bool) -> bytes:  # noqa: FBT001 - a request
    """Respond as ThreadFix with its context path, without any application."""
    if not path.startswith("/threadfix/"):
        return page(404, "HTTP Status 404")
    if with_key and path.endswith("/teams?page=1"):
        teams = [{"id": 2, "name": "Contoso", "applications": [{"id": n, "name": f"app {n}"} for n in range(1, 8)]}]
        return http(200, uploads.envelope(teams))
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
    assert "doctor" not in seen.ran.err
    assert seen.requests == [(APPLICATION, True), (f"/threadfix{APPLICATION}", False)]


def test_a_url_without_its_context_path_is_final_for_each_scan() -> None:
    """The request without the key is made once."""
    keyless: list[str] = []

    def talk(connection: socket.socket) -> None:
        head = request_head(connection).decode()
        path, with_key = head.split(" ")[1], "Authorization: " in head
        keyless.extend([] if with_key else [path])
        connection.sendall(threadfix(path, with_key))

    with talking(talk) as url:
        polled = client(url.removesuffix("/threadfix"))
        failures = [polled.observe(Target(6, number), 20) for number in (41, 42)]
    assert all(isinstance(failure, Failure) and failure.final for failure in failures)
    assert keyless == [f"/threadfix{APPLICATION}/pendingScan/41/status"]


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


def moved(where: str) -> Respond:
    return lambda *_: http(302, b"", f"Location: {where}")


def always(response: bytes) -> Respond:
    return lambda *_: response


MISTAKES: Final[dict[str, tuple[Respond, Reason, str, str, str]]] = {
    "wrong-id": (
        threadfix, Reason.NOT_FOUND, "that the key's user can see: 1 ('app 1' of team 'Contoso'), 2 ",
        "does not know this application", "Check --application-id",
    ),
    "lacking-path": (
        always(refusal(UNRECOGNIZED, 404)), Reason.NOT_FOUND, "unrecognized path",
        "has no such endpoint: it is older", "--api-version none",
    ),
    "no-key": (always(refusal(NO_KEY)), Reason.DENIED, NO_KEY, "No API key arrived", "what removes the header"),
    "unknown-key": (
        always(refusal("API Key not found in database.")), Reason.DENIED, "not found in database",
        "does not accept the API key", "secret is set and current",
    ),
    "licence": (
        always(http(403, b"<h1>The licence has expired.</h1>")), Reason.DENIED,
        "returned HTTP 403 with the page 'The licence has expired'.", "without a valid licence", "administrator",
    ),
    "firewall": (
        always(page(403, "Access &lt;denied&gt;")), Reason.DENIED, "HTTP 403 with the page 'Access",
        "A firewall, a proxy or a single sign-on", "to let requests",
    ),
    "failing-page": (
        always(http(502, b"Bad gateway: no\n backend")), Reason.UNREACHABLE,
        "returned HTTP 502 with the page 'Bad gateway: no backend'", "could not be reached", "Check --url",
    ),
    "silent-page": (
        always(http(200, b"<html>")), Reason.PROTOCOL, "HTTP 200 with a page instead of JSON", "not from", "--url"
    ),
    "other-base": (
        moved("http://tf.example.com:8080/tf/login.jsp;jsessionid=0A1B"), Reason.PROTOCOL,
        "login.jsp (the login page of http://tf.example.com:8080/tf), which", "under another base", "Set --url",
    ),
    "own-login": (
        moved("/threadfix/login.jsp"), Reason.PROTOCOL, "a redirect to /threadfix/login.jsp, which",
        "does not accept an id or a name in the path", "Check the ids",
    ),
    "to-https": (
        moved("https://127.0.0.1/threadfix/x"), Reason.PROTOCOL, "HTTP 302", "not from", "start --url with https://"
    ),
    "single-sign-on": (
        moved("https://sso.example.com/login?next=1"), Reason.PROTOCOL, "https://sso.example.com/login",
        "A login page or a proxy responds", "single sign-on",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("respond", "reason", "cause", "meaning", "advice"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_has_its_cause_its_meaning_and_its_advice_in_few_lines(  # noqa: PLR0913 - a table
    *, respond: Respond, reason: Reason, cause: str, meaning: str, advice: str, gate: Gate, tmp_path: Path
) -> None:
    """Ten files have the same cause, and the log names it once."""
    for number in range(9):
        (tmp_path / f"{number}.xml").write_bytes(b"<x/>")
    seen = seen_by(respond, gate, tmp_path, "/threadfix", "--scan-file", f"{tmp_path}/*.xml")
    lines = seen.ran.err.splitlines()
    assert (seen.ran.document["reason"], len(seen.ran.document["uploads"])) == (reason, 10)
    assert len(lines) <= 6
    headline, means, advises = lines[-3:]
    assert cause in headline
    assert "0A1B" not in seen.ran.err
    assert means.startswith("What it means: ")
    assert meaning in means
    assert means.endswith("Nothing was uploaded, so it is safe to run the gate again.")
    assert advises.startswith("What to do: ")
    assert advice in advises
    assert seen.ran.err.count(cause) == 1 + sum(cause in line for line in lines if "s] error: " in line)
    assert seen.ran.err.count(advice) == 1
    assert "not known" not in seen.ran.err + json.dumps(seen.ran.document)


@pytest.mark.usefixtures("on_a_runner")
@pytest.mark.parametrize("pattern", ["1.xml", "*.xml"])
@pytest.mark.parametrize(
    ("respond", "cause"), [(always(refusal(NO_KEY)), "Authentication failed"), (MISTAKES["wrong-id"][0], "app 3")]
)
def test_the_reports_have_the_cause_once(
    respond: Respond, cause: str, pattern: str, gate: Gate, tmp_path: Path
) -> None:
    """Also if several files share it, and if it has candidates."""
    for name in ("1.xml", "2.xml", "output", "summary.md"):
        (tmp_path / name).write_bytes(b"" if "." not in name else b"<x/>")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary.md"}
    env = {name: value if value == "true" else f"{tmp_path}/{value}" for name, value in github.items()}
    options = ("--scan-file", f"{tmp_path}/{pattern}", "--html-file", f"{tmp_path}/page.html")
    seen = seen_by(respond, gate, tmp_path, "/threadfix", *options, **env)
    log = "".join(line for line in seen.ran.err.splitlines() if not line.startswith("::"))
    reports = [(tmp_path / name).read_text(encoding="utf-8") for name in ("summary.md", "page.html")]
    assert [text.count(cause) for text in (log, *reports)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("tunnel", "words", "hint", "attempts"),
    [
        (None, "{} to tf.invalid accepts no connection.", "Check HTTPS_PROXY", 0),
        (http(407), "{} refused the connection to tf.invalid with HTTP 407.", "The proxy requires a login", 1),
        (http(403), "{} refused the connection to tf.invalid with HTTP 403.", "allow connections to ThreadFix", 2),
    ],
)
def test_each_failure_of_a_proxy_has_its_own_text(  # noqa: PLR0913 - a table
    *, tunnel: bytes | None, words: str, hint: str, attempts: int, gate: Gate, tmp_path: Path
) -> None:
    """With the proxy's address and without its password."""
    (tmp_path / "report.xml").write_bytes(b"<x/>")
    heads: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heads.append(request_head(connection))
        connection.sendall(tunnel or b"")

    options = ("--url", "https://tf.invalid/threadfix", "--scan-file", f"{tmp_path}/*.xml")
    with talking(talk) as url:
        proxy = url.removesuffix("/threadfix").removeprefix("http://")
        at = "127.0.0.1:9" if tunnel is None else proxy
        ran = gate(*options, "--first-contact-limit", "100ms", env={"HTTPS_PROXY": f"http://robot:hunter2@{at}"})
    assert ran.document["reason"] == Reason.UNREACHABLE
    assert f"the proxy {words.format(at)}" in ran.last
    assert hint in ran.err
    assert "hunter2" not in ran.err
    assert min(len(heads), 2) == attempts


def test_a_page_through_a_proxy_names_the_proxy(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_bytes(b"<x/>")
    options = ("--url", "http://tf.invalid/threadfix", "--allow-http", "--scan-file", f"{tmp_path}/*.xml")
    responses = [page(403, "Blocked"), b""]

    def talk(connection: socket.socket) -> None:
        request_head(connection)
        connection.sendall(responses.pop())

    with talking(talk) as url:
        at = url.removesuffix("/threadfix")
        ran = gate(*options, env={"HTTP_PROXY": at})
    proxy = at.removeprefix("http://")
    assert f"the proxy {proxy} to tf.invalid closed the connection." in ran.err
    assert f"HTTP 403 with the page 'Blocked', through the proxy {proxy}." in ran.last


def test_a_key_with_invisible_characters_in_a_redirect_is_not_shown(gate: Gate, tmp_path: Path) -> None:
    """A header may be UTF-8, which Python reads as Latin-1."""
    seen = seen_by(moved("/x/" + "\u200b".join(API_KEY)), gate, tmp_path, "/threadfix")
    assert "a redirect to /x/***, which" in seen.ran.last

"""The look-up of an application by its names, over real sockets."""

from __future__ import annotations

import difflib
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gate.model.advice import advise
from gate.model.history import Application, Failure
from gate.model.reasons import Reason
from gate.model.subjects import ApplicationName
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix.client import Client
from gate.threadfix.links import Server
from gate.threadfix.lookup import PROMISING
from tests.raw import talking
from tests.uploads import KEY, Incoming, envelope, http, new_file, refused

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Gate

SHOP = {"id": 6, "name": "Contoso shop", "uniqueId": "shop-1", "organization": {"id": 3, "name": "Web"}}
NO_SUCH = http(refused("Application lookup failed. Check your ID."))
UNRECOGNIZED = refused("Bad rest request due to unrecognized path.")
BY_NAME = ApplicationName("Web", "Contoso shop")
BY_ID = ApplicationName("Web", unique_id="shop-1")
APPLICATION = Application(6, "Contoso shop", 3)


@dataclass
class Request:
    """A request with its decoded path, and the fields of its query or form."""

    method: str
    path: str
    fields: dict[str, str]

    @property
    def endpoint(self) -> str:
        """The path without the base URL and the version."""
        return self.path.removeprefix("/threadfix/rest/latest/")


@dataclass
class Directory:
    """A ThreadFix that responds to look-ups.

    Attributes:
        lookup: the response to the look-up of an application; may depend on the request.
        team: the response to the look-up of a team.
        teams: the response with the list of teams.
        requests: the requests so far.
    """

    lookup: bytes | Callable[[Request], bytes] = NO_SUCH
    team: bytes = http(refused("No team found with name 'Web'"))
    teams: bytes = http(refused("no"))
    requests: list[Request] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def talk(self, connection: socket.socket) -> None:
        """Serve a request."""
        incoming = Incoming(connection, self.over).read()
        method, target, _ = incoming.head.decode().split("\r\n")[0].split(" ")
        form = parse_qs(incoming.body.decode() or urlsplit(target).query)
        request = Request(method, unquote(urlsplit(target).path), {name: value for name, (value,) in form.items()})
        self.requests.append(request)
        if request.endpoint == "teams":
            response = self.teams
        elif request.endpoint == "teams/lookup":
            response = self.team
        else:
            response = self.lookup(request) if callable(self.lookup) else self.lookup
        connection.sendall(response)


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def client(directory: Directory) -> Iterator[Client]:
    with talking(directory.talk) as url:
        yield Client(Server(url, Secret(KEY)), Sanitizer((Secret(KEY),)), trace=lambda _: None)


# --- Requests.

FORMS = {
    "name": (BY_NAME, [("GET", {"name": "Contoso shop"})]),
    "unique-id": (BY_ID, [("GET", {"uniqueId": "shop-1"})]),
    "plain": (ApplicationName("Web", "a.B_c-9 d"), [("GET", {"name": "a.B_c-9 d"})]),
    **{
        name: (
            ApplicationName("Web", name), [("POST", {"name": name}), ("GET", {"name": name})]
        )
        for name in ("a/b", "a&b=c", "a+b", "a%20b", "a;b", "#1", "shöp", "日本", "a\\b", "'\"<>", "a?b", "a\tb")
    },
    "unique-id-with-a-slash": (
        ApplicationName("Web", unique_id="x/1"), [("POST", {"uniqueId": "x/1"}), ("GET", {"uniqueId": "x/1"})]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "forms"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "gone",
    [
        http(UNRECOGNIZED, b"404 X"),
        http(b"<html>", b"404 X"),
        http(b"", b"405 X"),
        http(b"", b"410 X"),
        http(UNRECOGNIZED),
    ],
    ids=["404", "404-page", "405", "410", "200"],
)
def test_names_that_a_query_cannot_hold_are_posted(
    subject: ApplicationName, forms: list[tuple[str, dict[str, str]]], gone: bytes, directory: Directory, client: Client
) -> None:
    """ThreadFix has the POST from 2.7.6 on. An older version gets a GET with the complete name."""

    def lookup(request: Request) -> bytes:
        if request.method == "POST":
            return gone
        name, unique_id = request.fields.get("name"), request.fields.get("uniqueId")
        return http(envelope({"id": 6, "name": name or "Contoso shop", "uniqueId": unique_id}))

    directory.lookup = lookup
    result = client.look_up(subject, 20)
    assert isinstance(result, Application)
    assert result.id == 6
    assert [(request.method, request.fields) for request in directory.requests] == forms
    assert {request.endpoint for request in directory.requests} == {"applications/Web/lookup"}


@pytest.mark.parametrize("team", [".", ".."])
def test_a_team_never_leaves_the_path_of_the_endpoint(team: str, directory: Directory, client: Client) -> None:
    directory.lookup = http(envelope({"id": 6, "name": "lookup"}))
    for subject in (ApplicationName(team, "lookup"), ApplicationName(team, unique_id="x/1")):
        result = client.look_up(subject, 20)
        assert isinstance(result, Failure)
        assert (result.reason, result.final) == (Reason.NOT_FOUND, True)
        assert "{--application-id}" in str(advise(result.kind, result.doing).hint)
    assert not directory.requests


@pytest.mark.parametrize("team", ["Test Team", "R&D", "a/b", "50%", "Größe", "a+b", "a?b#c", "...", "%2e%2e", "../x"])
def test_the_team_is_encoded_in_the_path(team: str, directory: Directory, client: Client) -> None:
    directory.lookup = http(envelope({"id": 6, "name": "Contoso shop"}))
    assert isinstance(client.look_up(ApplicationName(team, "Contoso shop"), 20), Application)
    assert directory.requests[0].endpoint == f"applications/{team}/lookup"


def test_a_supported_post_is_the_only_request(directory: Directory, client: Client) -> None:
    """The GET does not follow a POST that the server supports."""
    directory.lookup = http(envelope({"id": 6, "name": "R&D"}))
    assert client.look_up(ApplicationName("Web", "R&D"), 20) == Application(6, "R&D")
    directory.lookup = NO_SUCH
    assert isinstance(client.look_up(ApplicationName("Web", "R&D"), 20), Failure)
    lookups = [request.method for request in directory.requests if request.endpoint.startswith("applications")]
    assert lookups == ["POST", "POST"]


# --- Responses.

TAKEN: dict[str, tuple[ApplicationName, Any]] = {
    "object": (BY_NAME, SHOP),
    "array": (BY_NAME, [SHOP]),
    "among-several": (BY_NAME, [{"id": 7, "name": "Contoso shop 2"}, SHOP]),
    "unique-id": (BY_ID, SHOP),
    "twice-the-same": (BY_NAME, [SHOP, SHOP]),
    "in-another-case": (ApplicationName("WEB", "contoso SHOP"), SHOP),
    "in-this-case": (BY_NAME, [SHOP | {"id": 7, "name": "CONTOSO SHOP"}, SHOP]),
    "of-this-team": (BY_NAME, [SHOP | {"id": 7, "organization": {"id": 4, "name": "Mobile"}}, SHOP]),
    "with-blanks-around": (BY_NAME, SHOP | {"name": "Contoso shop "}),
}


@pytest.mark.parametrize(("subject", "content"), TAKEN.values(), ids=TAKEN)
def test_the_requested_application_is_selected(
    subject: ApplicationName, content: object, directory: Directory, client: Client
) -> None:
    """ThreadFix ignores the case of a name, but an exact name has priority."""
    directory.lookup = http(envelope(content))
    assert client.look_up(subject, 20) == APPLICATION
    assert len(directory.requests) == 1


@pytest.mark.parametrize("organization", [None, "Web", 3, {}, {"id": "3"}, {"name": 5}])
def test_a_missing_team_is_unknown(organization: object, directory: Directory, client: Client) -> None:
    """Without a team the result has no link to the scan."""
    directory.lookup = http(envelope(SHOP | {"organization": organization}))
    assert client.look_up(BY_NAME, 20) == Application(6, "Contoso shop")


OTHERS: dict[str, tuple[ApplicationName, Any]] = {
    "another-name": (BY_NAME, SHOP | {"name": "Contoso shop 2"}),
    "another-unique-id": (BY_ID, SHOP | {"uniqueId": "shop-2"}),
    "no-unique-id": (BY_ID, {"id": 6, "name": "shop-1"}),
    "no-name": (BY_NAME, {"id": 6}),
    "a-number-for-a-name": (ApplicationName("Web", "5"), {"id": 6, "name": 5}),
    "another-team": (BY_NAME, SHOP | {"organization": {"id": 4, "name": "Mobile"}}),
    "another-name-by-unicode": (ApplicationName("Web", "straße"), SHOP | {"name": "STRASSE"}),
    "another-name-by-a-lookalike": (ApplicationName("Web", "kiosk"), SHOP | {"name": "\u212aIO\u017fK"}),
    "another-name-by-a-control-character": (BY_NAME, SHOP | {"name": "Contoso shop\x1f"}),
    "not-among-several": (BY_NAME, [{"id": number, "name": f"Shop {number}"} for number in range(1, 90)]),
}


@pytest.mark.parametrize(("subject", "content"), OTHERS.values(), ids=OTHERS)
def test_another_application_is_never_taken(
    subject: ApplicationName, content: object, directory: Directory, client: Client
) -> None:
    """Otherwise the gate would judge the scans of another application."""
    directory.lookup = http(envelope(content))
    result = client.look_up(subject, 20)
    assert isinstance(result, Failure)
    assert (result.reason, result.final) == (Reason.PROTOCOL, True)
    assert "but another application was requested" in result.what
    assert len(result.what) < 700


@pytest.mark.parametrize(
    "content",
    ["shop", 6, True, {"name": "Contoso shop"}, {"id": "6", "name": "Contoso shop"}, [None], [SHOP, "x"],
     SHOP | {"id": 0}, SHOP | {"id": 2**70}],
)  # fmt: skip
def test_an_invalid_application_is_a_protocol_error(content: object, directory: Directory, client: Client) -> None:
    directory.lookup = http(envelope(content))
    result = client.look_up(BY_NAME, 20)
    assert isinstance(result, Failure)
    assert (result.reason, result.final) == (Reason.PROTOCOL, False)
    assert "returned no application" in result.what


# --- No application, or several.


def missing(client: Client, subject: ApplicationName = BY_NAME, *, final: bool = True) -> Failure:
    """Return the failure of the look-up; it is final if ThreadFix has listed the existing names."""
    result = client.look_up(subject, 20)
    assert isinstance(result, Failure)
    assert (result.reason, result.final) == (Reason.NOT_FOUND, final)
    return result


NAMES = ["Billing", "Contoso store", "Portal", "contoso  shop", "Blog", "Shop", "Admin", "Contoso shop (old)"]


def team_of(*names: str) -> bytes:
    """Return the response to the look-up of a team with these applications."""
    applications = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return http(envelope({"id": 3, "name": "Web", "applications": applications}))


@pytest.mark.parametrize("response", [NO_SUCH, http(envelope(None)), http(envelope([])), http(refused(""))])
def test_a_missing_application_leads_to_the_candidates(response: bytes, directory: Directory, client: Client) -> None:
    """The most similar names come first. The error is final, because a retry cannot help."""
    directory.lookup, directory.team = response, team_of(*NAMES)
    failure = missing(client)
    assert failure.what.endswith(
        " Applications of this team: 'contoso shop', 'Contoso store', 'Contoso shop (old)', 'Shop', 'Billing' and 3 "
        "more."
    )
    assert advise(failure.kind, failure.doing).hint == (
        "Write {--team-name} and {--application-name} as they are in ThreadFix, or set {--application-id}."
    )
    assert "does not know this application" in str(advise(failure.kind, failure.doing).meaning)
    assert directory.requests[-1] == Request("GET", "/threadfix/rest/latest/teams/lookup", {"name": "Web"})


def test_candidates_with_the_same_name_have_their_ids(directory: Directory, client: Client) -> None:
    directory.lookup = http(refused("More than one application found. Check your search criteria."))
    directory.team = team_of("Shop", "Contoso shop", "Contoso Shop")
    failure = missing(client)
    assert "More than one application found" in failure.what
    assert failure.what.endswith("'Contoso shop' (id 2), 'Contoso Shop' (id 3), 'Shop'.")


def test_several_matches_are_listed_by_id(directory: Directory, client: Client) -> None:
    """The gate does not choose between them."""
    directory.lookup = http(envelope([SHOP | {"id": number} for number in range(6, 14)]))
    failure = missing(client)
    assert failure.what.endswith(" found 8 matching applications: 6, 7, 8, 9, 10 and 3 more.")
    assert (
        advise(failure.kind, failure.doing).hint
        == "Set {--application-id} to the intended application, and omit its names."
    )
    directory.lookup = http(envelope([SHOP, SHOP | {"id": 7}]))
    assert missing(client).what.endswith(" found 2 matching applications: 6, 7.")
    assert [request.endpoint for request in directory.requests] == ["applications/Web/lookup"] * 2


def test_a_missing_team_leads_to_the_list_of_teams(directory: Directory, client: Client) -> None:
    directory.teams = http(envelope([{"id": 1, "name": "Mobile"}, {"id": 3, "name": "Web apps"}, {"id": 4}]))
    failure = missing(client, ApplicationName("Web app", unique_id="shop-1"))
    assert failure.what.endswith(" Teams that the key's user can see: 'Web apps', 'Mobile'.")
    assert "{--application-unique-id}" in str(advise(failure.kind, failure.doing).hint)


DECORATION = {
    "no-applications": http(envelope({"id": 3, "name": "Web", "applications": []})),
    "applications-as-text": http(envelope({"applications": "many"})),
    "team-as-list": http(envelope([{"applications": [{"name": "x"}]}])),
    "nothing": http(envelope(None)),
    "empty-object": http(envelope({})),
    "empty-list": http(envelope([])),
    "nameless": http(envelope({"applications": [{"id": 1}, {"name": " "}, {"name": 5}, None]})),
    "no-json": http(b"<html>"),
    "503": http(b"", b"503 X"),
    "403": http(b"", b"403 X"),
    "lost": b"",
}


@pytest.mark.parametrize("response", DECORATION.values(), ids=DECORATION)
@pytest.mark.parametrize("endpoint", ["team", "teams"])
def test_an_error_with_the_candidates_changes_nothing(
    endpoint: str, response: bytes, directory: Directory, client: Client
) -> None:
    setattr(directory, endpoint, response)
    failure = missing(client, final=False)
    assert failure.what.endswith("and says: Application lookup failed. Check your ID.")


def test_candidates_are_requested_once(directory: Directory, client: Client) -> None:
    """The gate repeats a look-up that finds no application. Each look-up has its own candidates."""
    directory.team = team_of("Shop")
    first = missing(client)
    assert missing(client) == first
    assert [request.endpoint for request in directory.requests].count("teams/lookup") == 1
    missing(client, BY_ID)
    assert [request.endpoint for request in directory.requests].count("teams/lookup") == 2


def test_candidates_are_safe_and_bounded(directory: Directory, client: Client) -> None:
    """There are thousands of names, long names, and names with workflow commands or the key."""
    directory.team = team_of(f"shop\n::error::{KEY}", "##[x]", *["x" * 200] * 1000, *map(str, range(3000)))
    failure = missing(client)
    assert len(failure.what) < 700
    assert not {"\n", "##["} & {failure.what[at : at + length] for length in (1, 3) for at in range(len(failure.what))}
    assert KEY not in failure.what
    assert "***" in failure.what


def test_an_id_of_a_candidate_is_a_number_or_nothing(directory: Directory, client: Client) -> None:
    """An id from the server may have any type."""
    same = [{"id": number, "name": "Contoso"} for number in (7, f"8\n::error::{KEY}")]
    directory.team = http(envelope({"id": 3, "name": "Web", "applications": same}))
    failure = missing(client)
    assert "'Contoso' (id 7), 'Contoso'" in failure.what
    assert not [part for part in (KEY, "\n", "::") if part in failure.what]


def test_few_candidates_are_compared_letter_by_letter(
    directory: Directory, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing thousands of similar names would take half a minute. The best match is still found."""
    compared = set()
    original = difflib.SequenceMatcher.ratio

    def ratio(matcher: difflib.SequenceMatcher[str]) -> float:
        compared.add(matcher.a)  # type: ignore[attr-defined]  # its stub forgets it
        return original(matcher)

    monkeypatch.setattr(difflib.SequenceMatcher, "ratio", ratio)
    directory.team = team_of(*[f"Contoso {number:04}" for number in range(1500)], "Contoso shop")
    assert "Applications of this team: 'Contoso shop', 'Contoso " in missing(client).what
    assert len(compared) <= PROMISING


def test_a_missing_endpoint_leads_to_the_url(directory: Directory, client: Client) -> None:
    """An HTTP 404 may mean that the path is wrong."""
    directory.lookup = http(b"<html>", b"404 X")
    failure = missing(client, final=False)
    assert "context path" in str(advise(failure.kind, failure.doing).hint)
    assert advise(failure.kind, failure.doing).meaning == "ThreadFix has no such endpoint, or no such application."


@pytest.mark.parametrize(
    ("response", "reason", "final"),
    [
        (http(refused("API Key not found in database.")), Reason.DENIED, True),
        (http(b"", b"401 X"), Reason.DENIED, True),
        (http(b"", b"503 X"), Reason.UNREACHABLE, False),
        (http(b"", b"302 X"), Reason.PROTOCOL, False),
        (http(b"", b"400 X"), Reason.PROTOCOL, True),
        (http(b"<html>"), Reason.PROTOCOL, False),
        (b"", Reason.UNREACHABLE, False),
    ],
)
def test_other_failures_are_those_of_any_request(
    response: bytes,
    reason: Reason,
    final: bool,  # noqa: FBT001 - a case of the table
    directory: Directory,
    client: Client,
) -> None:
    """The gate then requests no candidates."""
    directory.lookup = response
    for name in ("Contoso shop", "R&D"):
        result = client.look_up(ApplicationName("Web", name), 20)
        assert isinstance(result, Failure)
        assert (result.reason, result.final) == (reason, final)
    assert len(directory.requests) == 2


def test_one_time_limit_covers_all_requests_of_a_look_up(directory: Directory) -> None:
    """The candidates only have the time that the look-up has left."""
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        incoming = Incoming(connection, over).read()
        if b"teams" in incoming.head:
            over.wait(60)
        connection.sendall(NO_SUCH)

    with talking(talk) as url:
        result = Client(Server(url, Secret(KEY)), Sanitizer(), trace=lambda _: None).look_up(BY_NAME, 0.3)
        over.set()
    assert isinstance(result, Failure)
    assert result.reason is Reason.NOT_FOUND
    assert not directory.requests


# --- Other cases.


def test_a_missing_application_has_its_own_advice(directory: Directory, client: Client) -> None:
    result = client.application(6, 20)
    assert isinstance(result, Failure)
    assert (result.reason, result.final) == (Reason.NOT_FOUND, False)
    assert "does not know this application" in str(advise(result.kind, result.doing).meaning)
    directory.lookup = http(json.dumps({}).encode(), b"404 X")
    result = client.application(6, 20)
    assert isinstance(result, Failure)
    assert "no such endpoint" in str(advise(result.kind, result.doing).meaning)
    assert "context path" in str(advise(result.kind, result.doing).hint)


def test_a_file_is_not_sent_if_its_application_is_missing(gate: Gate, tmp_path: Path) -> None:
    """The verdict lists the candidates, and has the advice once."""
    file = new_file(tmp_path)
    args = ("--team-name", "Contoso", "--application-name", "Contoso shpo", "--first-contact-limit", "20ms")
    ran = gate("--scan-file", file.path, *args, env={"THREADFIX_APPLICATION_ID": ""})
    assert (ran.document["reason"], ran.code) == (Reason.NOT_FOUND, 5)
    assert ran.document["message"].startswith("application 'Contoso shpo' of team 'Contoso': ")
    assert "'Contoso shop'" in ran.document["message"]
    assert ran.document["hint"].startswith("Write --team-name and --application-name as they are in ThreadFix")
    assert ran.document["hint"].count("doctor") == 1
    assert "Nothing was sent, so it is safe to run the gate again." in ran.err
    assert "{--" not in ran.err
    assert not any(method == "POST" for method, _, _ in gate.threadfix.seen)

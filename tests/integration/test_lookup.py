"""How an application is found by its names, over real sockets: what is asked, what is taken, what is said if not."""

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
from tests.uploads import KEY, Incoming, envelope, http, made, refused

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
FOUND = Application(6, "Contoso shop", 3)


@dataclass
class Asked:
    """A request that came in.

    Attributes:
        method: its method.
        path: its path, decoded.
        fields: its query or its form.
    """

    method: str
    path: str
    fields: dict[str, str]

    @property
    def endpoint(self) -> str:
        """What it asks for, without the version."""
        return self.path.removeprefix("/threadfix/rest/latest/")


@dataclass
class Directory:
    """A ThreadFix that responds to look-ups.

    Attributes:
        lookup: its response to the look-up of an application; may depend on the request.
        team: to the look-up of a team.
        teams: to the list of the teams.
        asked: what was asked.
    """

    lookup: bytes | Callable[[Asked], bytes] = NO_SUCH
    team: bytes = http(refused("No team found with name 'Web'"))
    teams: bytes = http(refused("no"))
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def talk(self, connection: socket.socket) -> None:
        """Serve one request."""
        incoming = Incoming(connection, self.over).read()
        method, target, _ = incoming.head.decode().split("\r\n")[0].split(" ")
        form = parse_qs(incoming.body.decode() or urlsplit(target).query)
        asked = Asked(method, unquote(urlsplit(target).path), {name: value for name, (value,) in form.items()})
        self.asked.append(asked)
        if asked.endpoint == "teams":
            response = self.teams
        elif asked.endpoint == "teams/lookup":
            response = self.team
        else:
            response = self.lookup(asked) if callable(self.lookup) else self.lookup
        connection.sendall(response)


@pytest.fixture
def directory() -> Directory:
    """The server."""
    return Directory()


@pytest.fixture
def client(directory: Directory) -> Iterator[Client]:
    """A client of it."""
    with talking(directory.talk) as url:
        yield Client(Server(url, Secret(KEY)), Sanitizer((Secret(KEY),)), trace=lambda _: None)


# --- What is asked.

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
    """From ThreadFix 2.7.6 on; one that has no such form is asked in the older one, and the name arrives whole."""

    def lookup(asked: Asked) -> bytes:
        if asked.method == "POST":
            return gone
        name, unique_id = asked.fields.get("name"), asked.fields.get("uniqueId")
        return http(envelope({"id": 6, "name": name or "Contoso shop", "uniqueId": unique_id}))

    directory.lookup = lookup
    found = client.look_up(subject, 20)
    assert isinstance(found, Application)
    assert found.id == 6
    assert [(asked.method, asked.fields) for asked in directory.asked] == forms
    assert {asked.endpoint for asked in directory.asked} == {"applications/Web/lookup"}


@pytest.mark.parametrize("team", [".", ".."])
def test_a_team_never_leaves_the_path_of_the_endpoint(team: str, directory: Directory, client: Client) -> None:
    directory.lookup = http(envelope({"id": 6, "name": "lookup"}))
    for subject in (ApplicationName(team, "lookup"), ApplicationName(team, unique_id="x/1")):
        found = client.look_up(subject, 20)
        assert isinstance(found, Failure)
        assert (found.reason, found.final) == (Reason.NOT_FOUND, True)
        assert "{--application-id}" in str(advise(found.kind, found.doing).hint)
    assert not directory.asked


@pytest.mark.parametrize("team", ["Test Team", "R&D", "a/b", "50%", "Größe", "a+b", "a?b#c", "...", "%2e%2e", "../x"])
def test_the_team_stands_in_the_path(team: str, directory: Directory, client: Client) -> None:
    """Encoded, whatever it is called."""
    directory.lookup = http(envelope({"id": 6, "name": "Contoso shop"}))
    assert isinstance(client.look_up(ApplicationName(team, "Contoso shop"), 20), Application)
    assert directory.asked[0].endpoint == f"applications/{team}/lookup"


def test_a_form_that_is_answered_is_not_asked_again(directory: Directory, client: Client) -> None:
    """Neither where the application is found nor where it is not."""
    directory.lookup = http(envelope({"id": 6, "name": "R&D"}))
    assert client.look_up(ApplicationName("Web", "R&D"), 20) == Application(6, "R&D")
    directory.lookup = NO_SUCH
    assert isinstance(client.look_up(ApplicationName("Web", "R&D"), 20), Failure)
    lookups = [asked.method for asked in directory.asked if asked.endpoint.startswith("applications")]
    assert lookups == ["POST", "POST"]


# --- What is taken.

TAKEN: dict[str, tuple[ApplicationName, Any]] = {
    "object": (BY_NAME, SHOP),
    "array": (BY_NAME, [SHOP]),
    "one-of-several": (BY_NAME, [{"id": 7, "name": "Contoso shop 2"}, SHOP]),
    "unique-id": (BY_ID, SHOP),
    "twice-the-same": (BY_NAME, [SHOP, SHOP]),
    "in-another-case": (ApplicationName("WEB", "contoso SHOP"), SHOP),
    "in-this-case": (BY_NAME, [SHOP | {"id": 7, "name": "CONTOSO SHOP"}, SHOP]),
    "of-this-team": (BY_NAME, [SHOP | {"id": 7, "organization": {"id": 4, "name": "Mobile"}}, SHOP]),
    "with-blanks-around": (BY_NAME, SHOP | {"name": "Contoso shop "}),
}


@pytest.mark.parametrize(("subject", "content"), TAKEN.values(), ids=TAKEN)
def test_the_one_that_was_asked_for_is_taken(
    subject: ApplicationName, content: object, directory: Directory, client: Client
) -> None:
    """In either shape; ThreadFix takes no notice of the case of a name, but a name in its own case goes first."""
    directory.lookup = http(envelope(content))
    assert client.look_up(subject, 20) == FOUND
    assert len(directory.asked) == 1


@pytest.mark.parametrize("organization", [None, "Web", 3, {}, {"id": "3"}, {"name": 5}])
def test_a_team_that_is_not_told_is_not_known(organization: object, directory: Directory, client: Client) -> None:
    """It is decoration; the link to the scan is left out."""
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
    "none-of-several": (BY_NAME, [{"id": number, "name": f"Shop {number}"} for number in range(1, 90)]),
}


@pytest.mark.parametrize(("subject", "content"), OTHERS.values(), ids=OTHERS)
def test_another_application_is_never_taken(
    subject: ApplicationName, content: object, directory: Directory, client: Client
) -> None:
    """Whatever ThreadFix returned it for: the gate would judge somebody else's scans."""
    directory.lookup = http(envelope(content))
    found = client.look_up(subject, 20)
    assert isinstance(found, Failure)
    assert (found.reason, found.final) == (Reason.PROTOCOL, True)
    assert "but another application was requested" in found.what
    assert len(found.what) < 700


@pytest.mark.parametrize(
    "content",
    ["shop", 6, True, {"name": "Contoso shop"}, {"id": "6", "name": "Contoso shop"}, [None], [SHOP, "x"],
     SHOP | {"id": 0}, SHOP | {"id": 2**70}],
)  # fmt: skip
def test_what_is_no_application_is_none(content: object, directory: Directory, client: Client) -> None:
    """Neither one without an id nor anything else."""
    directory.lookup = http(envelope(content))
    found = client.look_up(BY_NAME, 20)
    assert isinstance(found, Failure)
    assert (found.reason, found.final) == (Reason.PROTOCOL, False)
    assert "returned no application" in found.what


# --- Where none is found, or several.


def missing(client: Client, subject: ApplicationName = BY_NAME, *, final: bool = True) -> Failure:
    """The failure when none was found; it is final where ThreadFix has said which names there are."""
    found = client.look_up(subject, 20)
    assert isinstance(found, Failure)
    assert (found.reason, found.final) == (Reason.NOT_FOUND, final)
    return found


NAMES = ["Billing", "Contoso store", "Portal", "contoso  shop", "Blog", "Shop", "Admin", "Contoso shop (old)"]


def team_of(*names: str) -> bytes:
    """The response to the look-up of a team with these applications."""
    applications = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return http(envelope({"id": 3, "name": "Web", "applications": applications}))


@pytest.mark.parametrize("response", [NO_SUCH, http(envelope(None)), http(envelope([])), http(refused(""))])
def test_none_found_is_told_with_the_candidates(response: bytes, directory: Directory, client: Client) -> None:
    """The nearest names first, a handful of them; asking again for another one cannot help then."""
    directory.lookup, directory.team = response, team_of(*NAMES)
    found = missing(client)
    assert found.what.endswith(
        " Applications of this team: 'contoso shop', 'Contoso store', 'Contoso shop (old)', 'Shop', 'Billing' and 3 "
        "more."
    )
    assert advise(found.kind, found.doing).hint == (
        "Write {--team-name} and {--application-name} as they are in ThreadFix, or set {--application-id}."
    )
    assert "does not know this application" in str(advise(found.kind, found.doing).meaning)
    assert directory.asked[-1] == Asked("GET", "/threadfix/rest/latest/teams/lookup", {"name": "Web"})


def test_candidates_that_share_a_name_have_their_ids(directory: Directory, client: Client) -> None:
    """Which one is meant can then be said by id."""
    directory.lookup = http(refused("More than one application found. Check your search criteria."))
    directory.team = team_of("Shop", "Contoso shop", "Contoso Shop")
    found = missing(client)
    assert "More than one application found" in found.what
    assert found.what.endswith("'Contoso shop' (id 2), 'Contoso Shop' (id 3), 'Shop'.")


def test_several_found_are_told_by_their_ids(directory: Directory, client: Client) -> None:
    """None of them is taken by chance."""
    directory.lookup = http(envelope([SHOP | {"id": number} for number in range(6, 14)]))
    found = missing(client)
    assert found.what.endswith(" found 8 of them: 6, 7, 8, 9, 10 and 3 more.")
    assert (
        advise(found.kind, found.doing).hint
        == "Set {--application-id} to the one that is meant, and leave its names out."
    )
    directory.lookup = http(envelope([SHOP, SHOP | {"id": 7}]))
    assert missing(client).what.endswith(" found 2 of them: 6, 7.")
    assert [asked.endpoint for asked in directory.asked] == ["applications/Web/lookup"] * 2


def test_a_team_that_is_not_found_is_told_with_the_teams(directory: Directory, client: Client) -> None:
    """It is the team's name that is wrong then."""
    directory.teams = http(envelope([{"id": 1, "name": "Mobile"}, {"id": 3, "name": "Web apps"}, {"id": 4}]))
    found = missing(client, ApplicationName("Web app", unique_id="shop-1"))
    assert found.what.endswith(" Teams that the key's user can see: 'Web apps', 'Mobile'.")
    assert "{--application-unique-id}" in str(advise(found.kind, found.doing).hint)


DECORATION = {
    "no-applications": http(envelope({"id": 3, "name": "Web", "applications": []})),
    "applications-as-text": http(envelope({"applications": "many"})),
    "team-as-list": http(envelope([{"applications": [{"name": "x"}]}])),
    "nothing": http(envelope(None)),
    "nameless": http(envelope({"applications": [{"id": 1}, {"name": " "}, {"name": 5}, None]})),
    "no-json": http(b"<html>"),
    "503": http(b"", b"503 X"),
    "403": http(b"", b"403 X"),
    "lost": b"",
}


@pytest.mark.parametrize("team", DECORATION.values(), ids=DECORATION)
def test_candidates_are_decoration(team: bytes, directory: Directory, client: Client) -> None:
    """What goes wrong with them changes nothing."""
    directory.team = team
    found = missing(client, final=False)
    assert found.what.endswith("and says: Application lookup failed. Check your ID.")


@pytest.mark.parametrize("teams", [http(b"", b"503 X"), http(envelope({})), http(envelope([])), b""])
def test_so_are_the_teams(teams: bytes, directory: Directory, client: Client) -> None:
    """What goes wrong with them changes nothing either."""
    directory.teams = teams
    assert missing(client, final=False).what.endswith("Check your ID.")


def test_candidates_are_asked_for_once(directory: Directory, client: Client) -> None:
    """A search is repeated for as long as it finds nothing; another one has its own candidates."""
    directory.team = team_of("Shop")
    first = missing(client)
    assert missing(client) == first
    assert [asked.endpoint for asked in directory.asked].count("teams/lookup") == 1
    missing(client, BY_ID)
    assert [asked.endpoint for asked in directory.asked].count("teams/lookup") == 2


def test_candidates_are_safe_and_bounded(directory: Directory, client: Client) -> None:
    """Thousands of names, long ones, and names that would command a CI system or show the key."""
    directory.team = team_of(f"shop\n::error::{KEY}", "##[x]", *["x" * 200] * 1000, *map(str, range(3000)))
    found = missing(client)
    assert len(found.what) < 700
    assert not {"\n", "##["} & {found.what[at : at + length] for length in (1, 3) for at in range(len(found.what))}
    assert KEY not in found.what
    assert "***" in found.what


def test_an_id_of_a_candidate_is_a_number_or_nothing(directory: Directory, client: Client) -> None:
    """Two candidates of one name are told apart by their ids, which may be of any type."""
    same = [{"id": number, "name": "Contoso"} for number in (7, f"8\n::error::{KEY}")]
    directory.team = http(envelope({"id": 3, "name": "Web", "applications": same}))
    found = missing(client)
    assert "'Contoso' (id 7), 'Contoso'" in found.what
    assert not [part for part in (KEY, "\n", "::") if part in found.what]


def test_few_candidates_are_compared_letter_by_letter(
    directory: Directory, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of names that are nearly alike would take half a minute; the nearest one is among them all the same."""
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
    """An HTTP 404 may be about the path, and says so."""
    directory.lookup = http(b"<html>", b"404 X")
    found = missing(client, final=False)
    assert "context path" in str(advise(found.kind, found.doing).hint)
    assert advise(found.kind, found.doing).meaning == "ThreadFix has no such endpoint, or no such application."


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
    """In either form; no candidates are asked for."""
    directory.lookup = response
    for name in ("Contoso shop", "R&D"):
        found = client.look_up(ApplicationName("Web", name), 20)
        assert isinstance(found, Failure)
        assert (found.reason, found.final) == (reason, final)
    assert len(directory.asked) == 2


def test_all_requests_together_have_the_time_of_one(directory: Directory) -> None:
    """The candidates come out of what the look-up has left."""
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        incoming = Incoming(connection, over).read()
        if b"teams" in incoming.head:
            over.wait(60)
        connection.sendall(NO_SUCH)

    with talking(talk) as url:
        found = Client(Server(url, Secret(KEY)), Sanitizer(), trace=lambda _: None).look_up(BY_NAME, 0.3)
        over.set()
    assert isinstance(found, Failure)
    assert found.reason is Reason.NOT_FOUND
    assert not directory.asked


# --- By id.


def test_an_application_that_is_not_there_is_told_in_its_own_words(directory: Directory, client: Client) -> None:
    """Not in those for a pending scan."""
    found = client.application(6, 20)
    assert isinstance(found, Failure)
    assert (found.reason, found.final) == (Reason.NOT_FOUND, False)
    assert "does not know this application" in str(advise(found.kind, found.doing).meaning)
    directory.lookup = http(json.dumps({}).encode(), b"404 X")
    found = client.application(6, 20)
    assert isinstance(found, Failure)
    assert "no such endpoint" in str(advise(found.kind, found.doing).meaning)
    assert "context path" in str(advise(found.kind, found.doing).hint)


def test_a_file_is_not_sent_where_no_application_is_found(gate: Gate, tmp_path: Path) -> None:
    """The verdict says why, with the candidates, and what to do about it once."""
    file = made(tmp_path)
    args = ("--team-name", "Contoso", "--application-name", "Contoso shpo", "--first-contact-limit", "20ms")
    ran = gate("--scan-file", file.path, *args, env={"THREADFIX_APPLICATION_ID": ""})
    assert (ran.document["reason"], ran.code) == (Reason.NOT_FOUND, 5)
    assert "not sent; application 'Contoso shpo' of team 'Contoso': " in ran.document["message"]
    assert "'Contoso shop'" in ran.document["message"]
    assert ran.document["hint"].startswith("Write --team-name and --application-name as they are in ThreadFix")
    assert ran.document["hint"].count("doctor") == 1
    assert "{--" not in ran.err
    assert not any(method == "POST" for method, _, _ in gate.threadfix.seen)

"""The look-up of an application by its names, over real sockets."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gate.model.advice import FailureKind, advise
from gate.model.history import Application, Failure
from gate.model.reasons import Reason
from gate.model.subjects import ApplicationName
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix.client import Client
from gate.threadfix.links import Server
from tests.raw import talking
from tests.uploads import KEY, Incoming, envelope, http, refused

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator


SHOP = {"id": 6, "name": "Contoso shop", "uniqueId": "shop-1", "organization": {"id": 3, "name": "Web"}}
NO_SUCH = http(refused("Application lookup failed. Check your ID."))
UNRECOGNIZED = refused("Bad rest request due to unrecognized path.")
BY_NAME = ApplicationName("Web", "Contoso shop")
BY_ID = ApplicationName("Web", unique_id="shop-1")
APPLICATION = Application(6, "Contoso shop", 3, "Web")


class Request(NamedTuple):
    """A request with its decoded path below the base URL and the version, and the fields of its query or form."""

    method: str
    endpoint: str
    fields: dict[str, str]


@dataclass
class Directory:
    """A ThreadFix that responds to look-ups. Each response may depend on the request.

    Attributes:
        lookup: of an application, in its team or in all teams.
        team: of a team.
        teams: the list of teams.
        requests: so far.
        over: set at the end of a response that hangs.
        client: of this ThreadFix.
    """

    lookup: bytes | Callable[[Request], bytes] = NO_SUCH
    team: bytes | Callable[[Request], bytes] = NO_SUCH
    teams: bytes | Callable[[Request], bytes] = NO_SUCH
    requests: list[Request] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    client: Client = field(init=False)

    def talk(self, connection: socket.socket) -> None:
        """Serve a request."""
        incoming = Incoming(connection, self.over).read()
        method, target, _ = incoming.head.decode().split("\r\n")[0].split(" ")
        form = parse_qs(incoming.body.decode() or urlsplit(target).query)
        endpoint = unquote(urlsplit(target).path).removeprefix("/threadfix/rest/latest/")
        request = Request(method, endpoint, {name: value for name, (value,) in form.items()})
        self.requests.append(request)
        response = {"teams": self.teams, "teams/lookup": self.team}.get(endpoint, self.lookup)
        connection.sendall(response(request) if callable(response) else response)


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory()
    with talking(directory.talk) as url:
        directory.client = Client(Server(url, Secret(KEY)), Sanitizer((Secret(KEY),)), trace=lambda _: None)
        yield directory


def failed(directory: Directory, subject: ApplicationName, timeout: float = 20) -> Failure:
    """Return the failure of a look-up."""
    result = directory.client.look_up(subject, timeout)
    assert isinstance(result, Failure)
    return result


def missing(directory: Directory, subject: ApplicationName = BY_NAME, *, final: bool = False) -> Failure:
    """Return the failure of the look-up. ThreadFix may be loading, so only several matches are final."""
    failure = failed(directory, subject)
    assert (failure.reason, failure.final) == (Reason.NOT_FOUND, final)
    return failure


def team(number: int, name: object, *applications: object) -> dict[str, object]:
    """Return a team; an application is a name, or a name with an id."""
    entries = [entry if isinstance(entry, tuple) else (entry, at) for at, entry in enumerate(applications, 1)]
    return {"id": number, "name": name, "applications": [{"id": id_, "name": of} for of, id_ in entries]}


# --- Requests.

ODD = ("a/b", "a&b=c", "a+b", "a%20b", "a;b", "#1", "shöp", "日本 app", "a\\b", "'\"<>", "a?b", "a\tb", "..", "...")
FORMS = (BY_NAME, BY_ID, ApplicationName("Web", "a.B_c-9 d"), ApplicationName("W b", unique_id="x/1"))
LACKING = {
    "204": http(b"", b"204 X"), "404": http(UNRECOGNIZED, b"404 X"), "404-page": http(b"<html>", b"404 X"),
    "405": http(b"", b"405 X"), "410": http(b"", b"410 X"), "200": http(UNRECOGNIZED), "not-found": NO_SUCH,
}  # fmt: skip


@pytest.mark.parametrize("subject", [*FORMS, *(ApplicationName("Web", name) for name in ODD)])
def test_a_name_is_in_the_query_of_a_get(subject: ApplicationName, directory: Directory) -> None:
    """ThreadFix decodes any characters."""
    fields = {"uniqueId": subject.unique_id} if subject.name is None else {"name": subject.name}
    directory.lookup = http(envelope({"id": 6, "name": subject.name or "Contoso shop", "uniqueId": subject.unique_id}))
    assert isinstance(directory.client.look_up(subject, 20), Application)
    assert directory.requests == [("GET", f"applications/{subject.team}/lookup", fields)]


@pytest.mark.parametrize(
    ("name", "unknown"),
    [*((name, NO_SUCH) for name in ODD), ("a/b", http(envelope(None))), ("a/b", http(envelope([])))],
)
def test_an_odd_name_that_is_not_found_is_posted(name: str, unknown: bytes, directory: Directory) -> None:
    """A Tomcat before 8 reads a query as ISO-8859-1. ThreadFix has the form from 2.7.6 on."""
    found = http(envelope({"id": 6, "name": name}))
    directory.lookup = lambda request: found if request.method == "POST" else unknown
    assert directory.client.look_up(ApplicationName("Team B", name), 20) == Application(
        6, name.replace("\t", " "), team="Team B"
    )
    endpoint = "applications/Team B/lookup"
    assert directory.requests == [("GET", endpoint, {"name": name}), ("POST", endpoint, {"name": name})]


@pytest.mark.parametrize("lacking", LACKING.values(), ids=LACKING)
def test_a_server_without_the_form_did_not_find_the_name(lacking: bytes, directory: Directory) -> None:
    """A filter answers a POST with 204 if the team has a blank, and an older ThreadFix lacks it."""
    directory.lookup = lambda request: lacking if request.method == "POST" else NO_SUCH
    failure = missing(directory, ApplicationName("Team B", "shöp"))
    assert failure.complete.endswith("says: Application lookup failed. Check your ID.")
    assert [method for method, endpoint, _ in directory.requests if endpoint.startswith("applications")] == [
        "GET",
        "POST",
    ]


@pytest.mark.parametrize("name", [*ODD, "50%", "[x]", "Größe", ".", "../x", "%2e%2e"])
def test_an_odd_team_is_looked_up_by_its_name_and_never_part_of_a_path(name: str, directory: Directory) -> None:
    """In a path, Tomcat refuses some characters, and ThreadFix others; dots would change the path."""
    directory.team = http(envelope(team(3, name, "Blog", ("Contoso shop", 6))))
    expected = APPLICATION._replace(team=name.replace("\t", " "))
    assert directory.client.look_up(ApplicationName(name, "contoso shop"), 20) == expected
    ours, theirs = {"id": 3, "name": name}, {"id": 4, "name": "Mobile"}
    directory.lookup = http(envelope([SHOP | {"id": 7, "organization": theirs}, SHOP | {"organization": ours}]))
    assert directory.client.look_up(ApplicationName(name, unique_id="shop-1"), 20) == expected
    assert directory.requests == [
        ("GET", "teams/lookup", {"name": name}),
        ("GET", "applications/allTeamLookup", {"uniqueId": "shop-1"}),
    ]


@pytest.mark.parametrize("organization", [{"id": 4, "name": "Mobile"}, None, {"id": 3}, "R&D"])
def test_a_unique_id_of_another_team_is_not_found(organization: object, directory: Directory) -> None:
    directory.lookup = http(envelope([SHOP | {"organization": organization}]))
    directory.team = http(envelope(team(3, "R&D", "Blog")))
    failure = missing(directory, ApplicationName("R&D", unique_id="shop-1"))
    assert failure.complete.endswith("found no such application. Applications of this team: 'Blog'.")


def test_another_team_than_the_requested_is_a_protocol_error(directory: Directory) -> None:
    directory.team = http(envelope(team(3, "R", "Contoso shop")))
    failure = failed(directory, ApplicationName("R&D", "Contoso shop"))
    assert (failure.reason, failure.final) == (Reason.PROTOCOL, True)
    assert failure.complete.endswith("returned 'R', but another team was requested.")


# --- Without a team.

ANY_TEAM = ApplicationName(None, "Contoso shop")
PAGE_1 = [team(3, "Web", "Blog", ("Contoso shop", 6)), team(4, "Mobile", "App")]


def paged(*pages: object, beyond: bytes = http(envelope([]))) -> Callable[[Request], bytes]:
    """Return the responses to requests of pages; a page may be a complete response."""

    def respond(request: Request) -> bytes:
        number = int(request.fields["page"])
        page = pages[number - 1] if number <= len(pages) else beyond
        return page if isinstance(page, bytes) else http(envelope(page))

    return respond


@pytest.mark.parametrize(
    ("teams", "requests"),
    [
        (paged(PAGE_1), 2),
        (http(envelope(PAGE_1)), 2),  # a server that ignores the page
        (paged([team(9, "Ops", "x")], PAGE_1, [team(5, "Z", "Contoso")]), 4),
        (paged([team(9, "Ops")], PAGE_1, beyond=http(envelope(PAGE_1))), 3),
        (paged(PAGE_1, [team(9, "Ops")], beyond=http(envelope(PAGE_1))), 3),
        (paged(PAGE_1, [PAGE_1[0], team(9, "Ops")]), 3),
        (paged([{"id": 9, "name": "Ops", "applications": None}, *PAGE_1]), 2),
        (paged([team(9, "Ops", "CONTOSO SHOP")], PAGE_1), 3),
    ],
)
def test_a_name_is_looked_for_in_all_teams(
    teams: bytes | Callable[[Request], bytes], requests: int, directory: Directory
) -> None:
    directory.teams = teams
    assert directory.client.look_up(ANY_TEAM, 20) == APPLICATION
    assert directory.requests == [("GET", "teams", {"page": str(number)}) for number in range(1, requests + 1)]


@pytest.mark.parametrize("name", ["Contoso shop", "contoso SHOP"])
def test_a_namesake_on_any_page_is_seen(name: str, directory: Directory) -> None:
    directory.teams = paged([team(3, "Web", (name, 6))], [team(4, "Mobile")], [team(5, "Ops", (name, 18))])
    failure = missing(directory, ANY_TEAM, final=True)
    assert failure.complete.endswith(
        f" found 2 matching applications: 6 ('{name}' of team 'Web'), 18 ('{name}' of team 'Ops')."
    )
    assert "{--team-name}" in str(advise(failure.kind, failure.doing).hint)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(http(b"", b"503 X"), Reason.UNREACHABLE), (b"", Reason.UNREACHABLE), (http(b"<html>"), Reason.PROTOCOL),
     (http(refused("no")), Reason.NOT_FOUND), (http(envelope([{"id": 5, "name": "Ops"}])), Reason.PROTOCOL),
     (http(envelope([team(5, "Ops", ("x", "y"))])), Reason.PROTOCOL)],
)  # fmt: skip
def test_a_page_that_fails_does_not_end_the_list(broken: bytes, reason: Reason, directory: Directory) -> None:
    """The next look-up continues with it."""
    directory.teams = paged(PAGE_1, broken)
    failure = failed(directory, ANY_TEAM)
    assert (failure.reason, failure.final) == (reason, False)
    directory.requests.clear()
    directory.teams = paged(PAGE_1, [team(5, "Ops", ("Contoso shop", 18))])
    assert missing(directory, ANY_TEAM, final=True).kind is FailureKind.SEVERAL
    assert [fields for _, _, fields in directory.requests] == [{"page": "2"}, {"page": "3"}]
    assert missing(directory, ANY_TEAM, final=True).kind is FailureKind.SEVERAL
    assert directory.requests[2] == ("GET", "teams", {"page": "1"})


def test_pages_without_an_end_are_described(directory: Directory) -> None:
    directory.teams = lambda request: http(envelope([team(int(request.fields["page"]), "Web")]))
    failure = failed(directory, ANY_TEAM, 0.2)
    assert failure.kind is FailureKind.TIMEOUT
    assert "did not return all pages of its teams in time" in failure.complete


def test_a_unique_id_is_looked_up_in_all_teams(directory: Directory) -> None:
    directory.lookup = http(envelope([SHOP]))
    assert directory.client.look_up(ApplicationName(None, unique_id="shop-1"), 20) == APPLICATION
    assert directory.requests == [("GET", "applications/allTeamLookup", {"uniqueId": "shop-1"})]
    directory.lookup = http(envelope([SHOP, SHOP | {"id": 7, "organization": {"id": 4, "name": "Mobile"}}]))
    failure = missing(directory, ApplicationName(None, unique_id="shop-1"), final=True)
    assert "6 ('Contoso shop' of team 'Web'), 7 ('Contoso shop' of team 'Mobile')" in failure.complete


@pytest.mark.parametrize("subject", [ApplicationName(None, "Contoso shpo"), ApplicationName(None, unique_id="shop")])
def test_without_a_team_the_candidates_are_of_all_teams(subject: ApplicationName, directory: Directory) -> None:
    directory.teams = paged([team(3, "Web", "Blog", "Contoso shop")], [team(4, "Mobile", "Shop")])
    failure = missing(directory, subject)
    assert " Applications: " in failure.complete
    assert failure.complete.index("'Contoso shop'" if subject.name else "'Shop'") < failure.complete.index("'Blog'")


# --- Responses.

MOBILE = {"organization": {"id": 4, "name": "Mobile"}}
SEVERAL = [{"id": number, "name": f"Shop {number}"} for number in range(1, 90)]
ANOTHER = (Reason.PROTOCOL, True, "but another application was requested")
INVALID = (Reason.PROTOCOL, False, "returned no application")
RESULTS: list[tuple[ApplicationName, Any, Application | tuple[Reason, bool, str]]] = [
    (BY_NAME, SHOP, APPLICATION), (BY_NAME, [SHOP], APPLICATION), (BY_NAME, [*SEVERAL, SHOP], APPLICATION),
    (BY_ID, SHOP, APPLICATION), (BY_NAME, [SHOP, SHOP], APPLICATION),
    # ThreadFix ignores the case of a name, but an exact name has priority.
    (ApplicationName("WEB", "contoso SHOP"), SHOP, APPLICATION),
    (BY_NAME, [SHOP | {"id": 7, "name": "CONTOSO SHOP"}, SHOP], APPLICATION),
    (BY_NAME, [SHOP | {"id": 7, "organization": {"id": 9, "name": "WEB"}}, SHOP], APPLICATION),
    (BY_NAME, [SHOP | {"id": 7} | MOBILE, SHOP], APPLICATION),
    (BY_NAME, SHOP | {"name": "Contoso shop "}, APPLICATION),
    # Without the id of a team, the result has no link to the scan.
    *((BY_NAME, SHOP | {"organization": of}, Application(6, "Contoso shop", None, "Web"))
      for of in (None, "Web", 3, {}, {"id": "3"}, {"name": 5})),
    # Otherwise the gate would judge the scans of another application.
    (BY_NAME, SHOP | {"name": "Contoso shop 2"}, ANOTHER), (BY_ID, SHOP | {"uniqueId": "shop-2"}, ANOTHER),
    (BY_ID, {"id": 6, "name": "shop-1"}, ANOTHER), (BY_NAME, {"id": 6}, ANOTHER), (BY_NAME, SHOP | MOBILE, ANOTHER),
    (ApplicationName("Web", "5"), {"id": 6, "name": 5}, ANOTHER), (BY_NAME, SEVERAL, ANOTHER),
    (ApplicationName("Web", "straße"), SHOP | {"name": "STRASSE"}, ANOTHER),
    (ApplicationName("Web", "kiosk"), SHOP | {"name": "\u212aIO\u017fK"}, ANOTHER),
    (BY_NAME, SHOP | {"name": "Contoso shop\x1f"}, ANOTHER),
    *((BY_NAME, content, INVALID) for content in (
        "shop", 6, True, {"name": "Contoso shop"}, {"id": "6", "name": "Contoso shop"}, [None], [SHOP, "x"],
        SHOP | {"id": 0}, SHOP | {"id": 2**31},
    )),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "content", "expected"), RESULTS)
def test_another_application_is_never_taken(
    subject: ApplicationName, content: object, expected: Application | tuple[Reason, bool, str],
    directory: Directory,
) -> None:  # fmt: skip
    directory.lookup = http(envelope(content))
    result = directory.client.look_up(subject, 20)
    if isinstance(result, Failure):
        assert isinstance(expected, tuple)
        assert (result.reason, result.final) == expected[:2]
        assert str(expected[2]) in result.complete
        assert len(result.complete) < 700
    else:
        assert result == expected
    assert len(directory.requests) == 1


# --- No application, or several.


NAMES = ["Billing", "Contoso store", "Portal", "contoso  shop", "Blog", "Shop", "Admin", "Contoso shop (old)"]


def team_of(*applications: object) -> bytes:
    """Return the response to the look-up of a team with these applications."""
    return http(envelope(team(3, "Web", *applications)))


@pytest.mark.parametrize("response", [NO_SUCH, http(envelope(None)), http(envelope([])), http(refused(""))])
def test_a_missing_application_leads_to_the_candidates(response: bytes, directory: Directory) -> None:
    directory.lookup, directory.team = response, team_of(*NAMES)
    failure = missing(directory)
    assert failure.complete.endswith(
        " Applications of this team: 'contoso shop', 'Contoso store', 'Contoso shop (old)', 'Shop', 'Portal' and 3 "
        "more."
    )
    assert advise(failure.kind, failure.doing).hint == (
        "Write {--team-name} and {--application-name} as they are in ThreadFix, or set {--application-id}."
    )
    assert "does not know this application" in str(advise(failure.kind, failure.doing).meaning)
    assert directory.requests == [
        ("GET", "applications/Web/lookup", {"name": "Contoso shop"}), ("GET", "teams/lookup", {"name": "Web"})
    ]  # fmt: skip


def test_candidates_with_the_same_name_have_their_ids(directory: Directory) -> None:
    directory.lookup = http(refused("More than one application found. Check your search criteria."))
    directory.team = team_of("Shop", "Contoso shop", "Contoso Shop")
    failure = missing(directory)
    assert "More than one application found" in failure.complete
    assert failure.complete.endswith("'Contoso shop' (id 2), 'Contoso Shop' (id 3), 'Shop'.")


def test_several_matches_are_listed_by_id(directory: Directory) -> None:
    directory.lookup = http(envelope([SHOP | {"id": number, "organization": None} for number in range(6, 14)]))
    failure = missing(directory, final=True)
    listed = ", ".join(f"{number} ('Contoso shop')" for number in range(6, 11))
    assert failure.complete.endswith(f" found 8 matching applications: {listed} and 3 more.")
    assert "Set {--application-id} to the intended" in str(advise(failure.kind, failure.doing).hint)
    assert len(directory.requests) == 1


@pytest.mark.parametrize("name", ["Web app", "Web app/"])
def test_a_missing_team_leads_to_the_list_of_teams(name: str, directory: Directory) -> None:
    directory.teams = http(envelope([team(1, "Mobile"), team(3, "Web apps"), team(4, None)]))
    failure = missing(directory, ApplicationName(name, unique_id="shop-1"))
    assert failure.complete.endswith(" Teams that the key's user can see: 'Web apps', 'Mobile'.")
    assert "{--application-unique-id}" in str(advise(failure.kind, failure.doing).hint)


DECORATION = [
    http(envelope({"id": 3, "name": "Web", "applications": []})), http(envelope({"applications": "many"})),
    http(envelope([{"applications": [{"name": "x"}]}])), http(envelope(None)), http(envelope({})), http(envelope([])),
    # An id with a command, and applications without a name.
    http(envelope(team(3, "Web", ("Contoso", 7), ("Contoso", f"8\n::error::{KEY}")))),
    http(envelope({"applications": [{"id": 1}, {"name": " "}, {"name": 5}, None]})),
    http(b"<html>"), http(b"", b"503 X"), http(b"", b"403 X"), b"",
]  # fmt: skip


@pytest.mark.parametrize("response", DECORATION)
@pytest.mark.parametrize("endpoint", ["team", "teams"])
def test_an_error_with_the_candidates_changes_nothing(endpoint: str, response: bytes, directory: Directory) -> None:
    setattr(directory, endpoint, response)
    assert missing(directory).complete.endswith("and says: Application lookup failed. Check your ID.")


def test_candidates_are_requested_once(directory: Directory) -> None:
    """The gate repeats a look-up that finds no application. Each look-up has its own candidates."""
    directory.team = team_of("Shop")
    first = missing(directory)
    assert missing(directory) == first
    assert [request.endpoint for request in directory.requests].count("teams/lookup") == 1
    missing(directory, BY_ID)
    assert [request.endpoint for request in directory.requests].count("teams/lookup") == 2


def test_candidates_are_safe_and_bounded(directory: Directory) -> None:
    """There are thousands of names, long names, and names with workflow commands or the key."""
    directory.team = team_of(
        f"shop\n::error::{KEY}", "##[x]", *["x" * 200] * 1000, *map(str, range(3000)), "Contoso shop"
    )
    failure = missing(directory)
    assert len(failure.complete) < 700
    assert not [text for text in ("\n", "##[", KEY) if text in failure.complete]
    assert "***" in failure.complete


@pytest.mark.parametrize("name", ["Contoso shop", "R&D"])
@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (http(refused("API Key not found in database.")), (Reason.DENIED, True)),
        (http(b"", b"401 X"), (Reason.DENIED, True)), (http(b"", b"503 X"), (Reason.UNREACHABLE, False)),
        (http(b"", b"302 X"), (Reason.PROTOCOL, False)), (http(b"", b"400 X"), (Reason.PROTOCOL, True)),
        (http(b"<html>"), (Reason.PROTOCOL, False)), (b"", (Reason.UNREACHABLE, False)),
    ],
)  # fmt: skip
def test_other_failures_are_those_of_any_request(
    response: bytes, expected: tuple[Reason, bool], name: str, directory: Directory
) -> None:
    """This includes the second request, with a form. The gate then requests no candidates."""
    is_odd = name == "R&D"
    directory.lookup = lambda request: NO_SUCH if is_odd and request.method == "GET" else response
    failure = failed(directory, ApplicationName("Web", name))
    assert (failure.reason, failure.final) == expected
    assert len(directory.requests) == 1 + is_odd


def test_one_time_limit_covers_all_requests_of_a_look_up(directory: Directory) -> None:
    """The candidates only have the time that the look-up has left."""
    directory.team = lambda _: b"" * directory.over.wait(60)
    assert failed(directory, BY_NAME, 0.3).reason is Reason.NOT_FOUND
    directory.over.set()


# --- Other cases.


def test_a_response_about_another_application_names_both(directory: Directory) -> None:
    directory.lookup = http(envelope({"id": 7, "name": "Shop"}))
    result = directory.client.application(6, 20)
    assert isinstance(result, Failure)
    assert result.what.endswith(" returned application 7, but application 6 was requested.")
    assert " returned no list of scans: " in str(directory.client.scans(6, 20))


@pytest.mark.parametrize("subject", [None, BY_NAME, BY_ID, ApplicationName(None, "Contoso shop")])
def test_a_missing_application_has_its_own_advice(subject: ApplicationName | None, directory: Directory) -> None:
    """An HTTP 404 may mean that the path is wrong."""
    no_endpoint = "ThreadFix has no such endpoint, or no such application.*context path"
    for response, text in ((NO_SUCH, "does not know this application"), (http(b"{}", b"404 X"), no_endpoint)):
        directory.lookup = directory.teams = response
        result = directory.client.look_up(subject, 20) if subject else directory.client.application(6, 20)
        assert isinstance(result, Failure)
        assert (result.reason, result.final) == (Reason.NOT_FOUND, False)
        assert re.search(text, " ".join(map(str, advise(result.kind, result.doing))))
        assert "can see" not in result.complete

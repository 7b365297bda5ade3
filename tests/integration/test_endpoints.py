"""The sandbox's endpoints, over a socket, in every version of ThreadFix that is documented to differ."""

from __future__ import annotations

import math
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests

from gate.reasons import Reason
from gate.sandbox.endpoints import ENDPOINTS
from gate.sandbox.forms import CHUNK
from gate.sandbox.model import NO_CRITERIA_KEY, READ_ONLY_KEY, UNKNOWN_KEY, Application, Policy, Team, Vulnerability
from gate.sandbox.scenarios import SCENARIOS, Fault, Raw, Scenario
from gate.sandbox.server import API_KEY, FIRST_PENDING_SCAN, ThreadFix
from gate.sandbox.versions import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Serve

    ApiOf = Callable[..., "Api"]

ACCEPT = {"Accept": "application/json"}
DONE = Scenario("done", "", Reason.PROCESSED)
UNRECOGNIZED = (404, "Bad rest request due to unrecognized path.")


class Api:
    """A client of the sandbox, and the sandbox."""

    def __init__(self, threadfix: ThreadFix, url: str) -> None:
        self.threadfix = threadfix
        self.rest = f"{url}/rest/"

    def __call__(self, path: str, method: str = "GET", key: str = API_KEY, **options: Any) -> requests.Response:  # noqa: ANN401 - those of requests
        """Send a request; `path` follows `rest/`."""
        headers = ACCEPT | {"Authorization": f"APIKEY {key}"} | options.pop("headers", {})
        return requests.request(method, self.rest + path, headers=headers, timeout=10, **options)

    def object(self, path: str, method: str = "GET", **options: Any) -> Any:  # noqa: ANN401 - whatever it is
        """The `object` of a successful response."""
        body = self(path, method, **options).json()
        assert body["success"], body
        return body["object"]

    def says(self, path: str, method: str = "GET", **options: Any) -> tuple[int, str]:  # noqa: ANN401 - those of requests
        """The HTTP status and the message of a refusal."""
        response = self(path, method, **options)
        body = response.json()
        assert not body["success"], body
        return response.status_code, body["message"]

    def upload(self, name: str, content: bytes = b"x", segment: str = "latest/") -> requests.Response:
        """Upload a file."""
        return self(f"{segment}applications/6/upload", "POST", files={"file": (name, content)})

    def walk(self, scenario: Scenario = DONE) -> tuple[int, dict[str, Any]]:
        """Queue a pending scan that is over at once; its number, and its status."""
        number = self.threadfix.add(scenario, scenario.application)
        return number, self.object(f"latest/applications/{scenario.application}/pendingScan/{number}/status")


@pytest.fixture
def api(serve: Serve) -> Api:
    """The newest ThreadFix."""
    threadfix = ThreadFix()
    return Api(threadfix, serve(threadfix))


@pytest.fixture
def api_of(serve: Serve) -> ApiOf:
    """Makes a ThreadFix of a version."""

    def make(version: str, **state: Any) -> Api:  # noqa: ANN401 - fields of `ThreadFix`
        generation = parse(version)
        assert generation
        threadfix = ThreadFix(generation=generation, **state)
        return Api(threadfix, serve(threadfix))

    return make


# --- Uploads.

STARTED = "Scan upload process started."
UNVERSIONED = "http://10.150.1.155:8080/threadfix/rest/applications/6/pendingScan/{}/status"
VERSIONED = UNVERSIONED.replace("/applications", "/{}/applications")


@pytest.mark.parametrize(
    ("version", "segment", "link"),
    [
        ("2.4.5", "latest/", None),
        ("2.5", "latest/", UNVERSIONED),
        ("2.8.7", "latest/", UNVERSIONED),
        ("2.8.8", "latest/", VERSIONED.format("latest", "{}")),
        ("3.0", "v2.8.8/", VERSIONED.format("v2.8.8", "{}")),
        ("2.8.8", "v2.8/", UNVERSIONED),
        ("2.8.8", "v2.4.5/", None),
    ],
)
def test_an_upload_is_queued(version: str, segment: str, link: str | None, api_of: ApiOf) -> None:
    """From 2.4.5 on; the link to its status is there from 2.5 on, and has a version from 2.8.8 on."""
    api = api_of(version)
    body = api.upload("interrupted.fpr", segment=segment).json()
    number = max(api.threadfix.scans)
    assert api.threadfix.scans[number].scenario is SCENARIOS["interrupted"]
    assert (body["success"], body["object"]) == (True, STARTED)
    expected = [{"method": "GET", "rel": "related", "href": link.format(number)}] if link else None
    assert body.get("links") == expected


@pytest.mark.parametrize(
    ("version", "segment"), [("legacy", "latest/"), ("2.4.4", "latest/"), ("2.8.8", "legacy/"), ("2.8.8", "")]
)
def test_an_old_upload_ends_with_a_finished_scan(version: str, segment: str, api_of: ApiOf) -> None:
    """Before 2.4.5, and for `legacy` or no version ever since: the scan itself, and what is wrong with it at once."""
    api = api_of(version)
    body = api.upload("criteria-fail.fpr", segment=segment).json()
    number = max(api.threadfix.scans)
    assert (body["object"]["id"], "links" in body) == (number - 29, False)
    counts = {
        kind: body["object"][f"number{kind}Vulnerabilities"] for kind in ("New", "Old", "Critical", "High", "Total")
    }
    assert counts == {"New": 7, "Old": 4, "Critical": 4, "High": 3, "Total": 11}
    assert api.upload("error-flag.fpr", b"2", segment).json()["message"] == "Scan file is in the wrong format."
    failed = api.upload("interrupted.fpr", b"3", segment).json()
    assert (failed["success"], failed["message"]) == (False, "Something went wrong while processing the scan.")


def test_a_file_that_is_there_already_is_refused(api: Api) -> None:
    """By its content, whatever its name, for each application on its own; but not where its scan has failed."""
    assert api.upload("a.fpr").json()["success"]
    again = api.upload("b.fpr").json()
    assert (again["success"], again["message"]) == (False, "Scan file has already been uploaded.")
    other = api("latest/applications/12/upload", "POST", files={"file": ("a.fpr", b"x")})
    assert other.json()["success"]
    assert [api.upload("interrupted.fpr", b"y").json()["success"] for _ in range(2)] == [True, True]
    assert [file.size for file in api.threadfix.uploads] == [1] * 5


def test_a_file_without_results_is_refused(api: Api) -> None:
    """It is not remembered, so that it is refused for the same reason next time."""
    for _ in range(2):
        assert api.upload("a.json", b'{"results": []}').json()["message"] == "The scan file contained 0 results."


def test_a_pending_scan_has_the_name_of_its_file(api: Api) -> None:
    """What is behind a backslash or a slash in a file's name is its name, which chooses the scenario."""
    link = api.upload("C:\\reports\\deleted.fpr").json()["links"][0]["href"]
    found = api.object(link.partition("/rest/")[2])
    assert found["name"] == found["fileDataList"][0]["originalName"] == "C:\\reports\\deleted.fpr"
    assert api.threadfix.scans[max(api.threadfix.scans)].scenario is SCENARIOS["deleted"]


def raw(api: Api, head: str, *pieces: bytes) -> bytes:
    """Send a POST as written, byte for byte; all that comes back."""
    host, _, path = api.rest.partition("//")[2].partition("/")
    name, _, port = host.partition(":")
    start = f"POST /{path}latest/applications/6/upload HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    start += f"Accept: application/json\r\nAuthorization: APIKEY {API_KEY}\r\n"
    with socket.create_connection((name, int(port)), timeout=10) as client:
        client.sendall(f"{start}{head}\r\n".encode())
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(4096), b""))


FORM = b'--A\r\nContent-Disposition: form-data; name="file"; filename="a.fpr"\r\n\r\nx\r\n--A--\r\n'
MULTIPART = "Content-Type: multipart/form-data; boundary=A\r\n"
CHUNKED = f"{MULTIPART}Transfer-Encoding: Chunked\r\n"


@pytest.mark.parametrize(
    ("head", "pieces", "code", "says"),
    [
        (f"{MULTIPART}Content-Length: {len(FORM)}\r\n", [FORM], 200, b'"links"'),
        (CHUNKED, [b"%x;q=1\r\n" % len(FORM), FORM, b"\r\n0\r\nTrailer: x\r\n\r\n"], 200, b'"links"'),
        (CHUNKED, [b"1\r\n-\r\n%x\r\n" % (len(FORM) - 1), FORM[1:], b"\r\n0\r\n\r\n"], 200, b'"links"'),
        (CHUNKED, [b"-1\r\n", FORM], 0, b""),
        (CHUNKED, [b"5\r\nab"], 0, b""),
        (CHUNKED, [b"5"], 0, b""),
        (f"{MULTIPART}Content-Length: 1000\r\n", [FORM[:20]], 0, b""),
        (f"{MULTIPART}Content-Length: 10\r\n", [b"0123456789"], 200, b"System error"),
        (f"{MULTIPART}Content-Length: {4 * CHUNK}\r\n", [b"--Ax", b"x" * (4 * CHUNK - 4)], 200, b"System error"),
        (f"{MULTIPART}Content-Length: {len(FORM) + 3}\r\n", [FORM + b"\r\nx"], 200, b'"links"'),
        ("Content-Type: text/xml\r\nContent-Length: 5\r\n", [b"<a/>\n"], 200, b"System error"),
        (MULTIPART, [FORM], 411, b"length"),
        (f"{MULTIPART}Content-Length: -1\r\n", [FORM], 411, b"length"),
        (f"{MULTIPART}Content-Length: 3\r\nExpect: 100-continue\r\n", [b"---"], 100, b"System error"),
    ],
)
def test_an_upload_is_read_as_http_says(head: str, pieces: list[bytes], code: int, says: bytes, api: Api) -> None:
    """With a length or in chunks; one that is broken gets an error page, one that is cut off gets no response."""
    response = raw(api, head, *pieces)
    assert int(response.split(b" ", 2)[1]) == code if code else response == b""
    assert says in response
    assert len(api.threadfix.seen) == 1
    assert api.threadfix.upload_attempts == int(head.startswith(MULTIPART))


def test_an_upload_without_a_file_is_an_error(api: Api) -> None:
    """The field is called `file`."""
    response = api("latest/applications/6/upload", "POST", files={"scan": ("a.fpr", b"x")})
    assert (response.status_code, "System error" in response.text) == (200, True)


def test_a_client_that_sends_on_after_its_refusal_is_left(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What still comes is thrown away for a while only."""
    monkeypatch.setattr("gate.sandbox.server.LINGER", 0.1)
    monkeypatch.setattr(ThreadFix, "refuse_early", lambda *_: Raw(413))
    with pytest.raises(ConnectionError):
        raw(api, f"{MULTIPART}Content-Length: 1000000000000\r\n", *[b"x" * CHUNK] * 400_000)


def test_a_form_that_is_too_large_is_refused(api: Api) -> None:
    """What is no upload is kept in memory, so there is a limit."""
    response = api("latest/vulnerabilities", "POST", data={"path": "x" * 2 * 1024 * 1024})
    assert response.status_code == 413


def test_a_test_may_refuse_an_upload_before_its_body(serve: Serve) -> None:
    """For a client that must read a refusal while it is still sending."""

    class Strict(ThreadFix):
        def refuse_early(self, path: str, headers: dict[str, str]) -> Fault | None:
            assert (path, headers["accept"]) == ("/threadfix/rest/latest/applications/6/upload", "application/json")
            return Raw(401, b"who are you?")

    api = Api(Strict(), serve(threadfix := Strict()))
    assert api.upload("a.fpr", b"x" * CHUNK * 40).status_code == 401
    assert (threadfix.upload_attempts, threadfix.uploads) == (1, [])


# --- Statuses.


@pytest.mark.parametrize(("version", "there"), [("2.4.5", False), ("2.5", True), ("2.8.8", True)])
def test_a_pending_scan_is_there_since_2_5(version: str, there: bool, api_of: ApiOf) -> None:  # noqa: FBT001
    """Whatever version the path asks for."""
    api = api_of(version)
    for segment in ("latest/", "legacy/", ""):
        response = api(f"{segment}applications/6/pendingScan/41/status")
        assert response.json()["success"] is there


@pytest.mark.parametrize(("version", "detailed"), [("2.5", False), ("2.7.6", False), ("2.7.7", True), ("2.8.8", True)])
def test_a_status_tells_more_since_2_7_7(version: str, detailed: bool, api_of: ApiOf) -> None:  # noqa: FBT001
    """The finished scan's id, and the date of a scan in flight."""
    api = api_of(version)
    _, queued = api.walk(replace(DONE, walk=(("QUEUED", math.inf), ("DONE", 0))))
    number, done = api.walk()
    assert ("modifiedDate" in queued, "scanId" in queued) == (detailed, False)
    assert ("modifiedDate" in done, done.get("scanId")) == (True, number - 29 if detailed else None)


def test_the_date_of_a_status_is_that_of_its_beginning(serve: Serve) -> None:
    """However late it is asked for."""
    at = 0.0
    threadfix = ThreadFix(speed=2, clock=lambda: at)
    api = Api(threadfix, serve(threadfix))
    number = threadfix.add(replace(DONE, walk=(("QUEUED", 4), ("UPLOADED", 6), ("DONE", 0))))
    seen = []
    for at in (0.0, 1.0, 3.0, 100.0, 4000.0):  # noqa: B007 - the clock reads it
        found = api.object(f"latest/applications/6/pendingScan/{number}/status")
        assert found["time"] == found["modifiedDate"]
        seen.append((found["status"], found["modifiedDate"]))
    began = [("QUEUED", 0.0), ("QUEUED", 0.0), ("UPLOADED", 2.0), ("DONE", 5.0), ("DONE", 5.0)]
    assert seen == [(status, threadfix.moment(when)) for status, when in began]


def test_finished_scans_are_listed(api: Api) -> None:
    """Those of the application that are in ThreadFix; before 2.7.7 there is no other way to their ids."""
    api.walk(replace(DONE, error_message="no"))
    number, done = api.walk()
    expected = {"id": number - 29, "importTime": done["modifiedDate"], "updatedDate": done["modifiedDate"]}
    assert api.object("latest/applications/6/scans") == [expected | {"scannerName": "Contoso Scanner"}]
    assert api.object("latest/applications/12/scans") == []


# --- Keys and paths.


@pytest.mark.parametrize("upload", [False, True])
def test_a_key_may_be_a_parameter(upload: bool, api: Api) -> None:  # noqa: FBT001
    """The only way of the Community Edition, still in use: in the query, or in a form."""
    headers = {"Authorization": ""}
    path = "latest/applications/6/upload"
    files = {"file": ("a.fpr", b"x")} if upload else None
    key = {"apiKey": API_KEY}
    assert api(
        path if upload else "latest/teams", "POST" if upload else "GET", files=files, params=key, headers=headers
    )
    if upload:
        files = {"file": ("a.fpr", b"y")}
        assert api.object(path, "POST", files=files, data=key, headers=headers) == STARTED
    else:
        assert api.object("latest/vulnerabilities", "POST", data=key, headers=headers)
    assert api.says("latest/teams", headers=headers) == (200, "Authentication failed, check your API Key.")


CALLS = {
    "status": ("latest/applications/6/pendingScan/41/status", "GET"),
    "upload": ("latest/applications/6/upload", "POST"),
    "evaluate": ("latest/policy/status/application/6/evaluate", "GET"),
    "application": ("latest/applications/6", "GET"),
    "statuses": ("latest/applications/6/policyStatuses", "GET"),
}
RESTRICTED = (200, "The requested URL is restricted for your API Key.")


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        (API_KEY, set(CALLS)),
        (NO_CRITERIA_KEY, set(CALLS) - {"evaluate"}),
        (READ_ONLY_KEY, {"application", "statuses"}),
    ],
)
def test_a_key_may_do_what_its_user_may(key: str, allowed: set[str], api: Api) -> None:
    """Uploads and pending scans need one permission, pass criteria another one."""
    for name, (path, method) in CALLS.items():
        options = {"files": {"file": ("a.fpr", b"x")}} if name == "upload" else {}
        if name in allowed:
            api.object(path, method, key=key, **options)
        else:
            assert api.says(path, method, key=key, **options) == RESTRICTED
        assert api.says(path, method, key=UNKNOWN_KEY, **options) == (200, "API Key not found in database.")


def test_an_application_that_is_not_there_is_refused_everywhere(api: Api) -> None:
    """With HTTP 200, as ThreadFix refuses."""
    for endpoint in ENDPOINTS:
        if "(?P<application>" in endpoint.path:
            path = endpoint.path.replace("(?P<application>[0-9]{1,19})", "7").replace("(?P<scan>[0-9]{1,19})", "41")
            version = "v2.6" if endpoint.until else "latest"
            files = {"file": ("a.fpr", b"x")} if endpoint.method == "POST" else None
            refused = api.says(f"{version}/{path}", endpoint.method, files=files)
            assert refused == (200, "Application lookup failed. Check your ID.")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("latest/nonsense", "GET"),
        ("latest/applications/six", "GET"),
        ("latest/applications/6", "POST"),
        ("newest/applications/6", "GET"),
        ("v2.2/applications/6", "GET"),
        ("v2./applications/6", "GET"),
    ],
)
def test_what_threadfix_does_not_know_is_unrecognized(path: str, method: str, api: Api) -> None:
    """A path, a method, a version."""
    assert api.says(path, method) == UNRECOGNIZED


def test_slashes(api: Api) -> None:
    """Several are one; within a name the server takes none, however it is written."""
    assert api.object("/latest//applications/6")["id"] == 6
    assert api("latest/applications/A%2FB/lookup?name=x").status_code == 400


# --- Applications and teams.


def test_an_application_by_its_id(api_of: ApiOf) -> None:
    """With its team, its unique id and how many vulnerabilities count."""
    found = api_of("2.7.9").object("latest/applications/6")
    assert (found["name"], found["organization"]) == ("Contoso shop", {"id": 2, "name": "Contoso"})
    assert (found["uniqueId"], found["policyStatuses"], found["scans"]) == ("contoso-shop", [], [])
    counts = {name: found[f"{name}VulnCount"] for name in ("critical", "high", "medium", "low", "info", "total")}
    assert counts == {"critical": 0, "high": 0, "medium": 2, "low": 1, "info": 1, "total": 4}
    assert found["unassignedVulnCount"] == 4
    assert "unassignedVulnCount" not in api_of("2.7.8").object("latest/applications/6")


LOOKED_UP = [
    ("Contoso", {"name": "Contoso shop"}, 6),
    ("contoso", {"name": "CONTOSO WIKI"}, 12),
    ("Fabrikam", {"name": "Contoso shop"}, 18),
    ("Contoso", {"uniqueId": "contoso-wiki"}, 12),
    ("Fabrikam", {"uniqueId": "contoso-shop"}, 18),
    ("Über+uns & ?#%", {"name": "a/b & c=d"}, 30),
    ("Üb er+uns", {"name": "x"}, None),
    ("Contoso", {"name": "Contoso"}, None),
    ("Contoso", {"uniqueId": "CONTOSO-SHOP"}, None),
    ("Contoso", {}, None),
    ("Nobody", {"name": "Contoso shop"}, None),
]


@pytest.mark.parametrize(("team", "names", "number"), LOOKED_UP)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_application_by_its_names(
    method: str, team: str, names: dict[str, str], number: int | None, api: Api
) -> None:
    """Within its team, by its name in any case or by its unique id."""
    api.threadfix.applications[30] = Application(30, "a/b & c=d", Team(4, "Über+uns & ?#%"))
    path = f"latest/applications/{quote(team, safe='')}/lookup"
    options = {"params" if method == "GET" else "data": names}
    if number:
        assert api.object(path, method, **options)["id"] == number
    else:
        assert api.says(path, method, **options) == (200, "Application lookup failed. Check your ID.")


def test_a_plus_sign_in_the_name_of_a_team_may_be_a_blank(api: Api) -> None:
    """As in the Community Edition, where there is no team of the name as it stands."""
    api.threadfix.applications[30] = Application(30, "x", Team(4, "A B"))
    assert api.object("latest/applications/A+B/lookup?name=x")["id"] == 30
    api.threadfix.applications[31] = Application(31, "x", Team(5, "A+B"))
    assert api.object("latest/applications/A+B/lookup?name=x")["id"] == 31


def test_two_applications_with_one_unique_id(api: Api) -> None:
    """Within a team neither is it; the look-up in all teams lists both."""
    api.threadfix.applications[30] = Application(30, "Other", Team(2, "Contoso"), "contoso-shop")
    refused = api.says("latest/applications/Contoso/lookup?uniqueId=contoso-shop")
    assert refused == (200, "More than one application found. Check your search criteria.")
    found = api.object("latest/applications/allTeamLookup?uniqueId=contoso-shop")
    assert [application["id"] for application in found] == [6, 18, 30]
    refused = api.says("latest/applications/allTeamLookup?uniqueId=nothing")
    assert refused == (200, "Application lookup failed. Check your ID.")


@pytest.mark.parametrize(("version", "there"), [("2.7.5", False), ("2.7.6", True)])
def test_the_look_up_by_form_is_there_since_2_7_6(version: str, there: bool, api_of: ApiOf) -> None:  # noqa: FBT001
    """For names that are hard to write in a URL."""
    found = api_of(version)("latest/applications/Contoso/lookup", "POST", data={"name": "Contoso shop"})
    assert (found.status_code == 200) is there


def test_teams(api: Api) -> None:
    """Listed, by id, and by name in any case."""
    listed = api.object("latest/teams")
    assert [team["name"] for team in listed] == ["Contoso", "Fabrikam"]
    assert api.object("latest/teams/2") == api.object("latest/teams/lookup?name=contoso") == listed[0]
    assert [one["id"] for one in listed[0]["applications"]] == [6, 12]
    assert listed[0]["totalVulnCount"] == 4
    assert api.says("latest/teams/9") == (200, "Team lookup failed. Check your ID.")
    assert api.says("latest/teams/lookup?name=Nobody") == (200, "No team found with name 'Nobody'")


# --- Policies.


@pytest.mark.parametrize(
    ("version", "there", "word", "in_application", "detailed"),
    [
        ("2.3", False, "", False, False),
        ("2.4", True, "passing", False, False),
        ("2.5.1.11", True, "passing", False, False),
        ("2.5.1.12", True, "currentStatus", False, False),
        ("2.6.1", True, "currentStatus", False, False),
        ("2.6.2", True, "currentStatus", True, False),
        ("2.7.5", True, "currentStatus", True, True),
        ("2.8.8", True, "currentStatus", True, True),
    ],
)
def test_the_statuses_of_policies_have_a_shape_in_each_version(  # noqa: PLR0913, PLR0917 - a table
    version: str,
    there: bool,  # noqa: FBT001
    word: str,
    in_application: bool,  # noqa: FBT001
    detailed: bool,  # noqa: FBT001
    api_of: ApiOf,
) -> None:
    """An array, then an application; a boolean, then a word."""
    api = api_of(version)
    if not there:
        assert api.says("latest/applications/6/policyStatuses") == UNRECOGNIZED
        return
    found = api.object("latest/applications/6/policyStatuses")
    assert isinstance(found, dict) is in_application
    if in_application:
        assert (found["id"], found["overallPolicyStatus"]) == (6, "PASSING")
        assert ("isInternal" in found) is detailed
    statuses = found["policyStatuses"] if in_application else found
    assert [status["policy"]["id"] for status in statuses] == [1, 2]
    assert statuses[0]["name"] == "Contoso shop"
    assert statuses[0]["policy"] == {"id": 1, "name": "Release", "filterName": "Critical and high"}
    assert {name: statuses[0][name] for name in ("passing", "currentStatus") if name in statuses[0]} == {
        word: True if word == "passing" else "PASSING"
    }


@pytest.mark.parametrize(
    ("version", "get", "post"),
    [("2.5.1.12", 404, 404), ("2.6", 200, 404), ("2.8.4", 200, 404), ("2.8.5", 405, 200), ("2.8.8", 405, 200)],
)
def test_a_policy_is_evaluated_on_request(version: str, get: int, post: int, api_of: ApiOf) -> None:
    """By GET from 2.6 on, by POST from 2.8.5 on, and by no other method."""
    api = api_of(version)
    path = "latest/applications/6/policy/eval"
    responses = [api(path, params={"policyId": 3}), api(path, "POST", data={"policyId": 3})]
    assert [response.status_code for response in responses] == [get, post]
    for response in responses:
        if response.status_code == 200:
            found = response.json()["object"]
            assert (found["id"], found["currentStatus"], found["name"]) == (None, "FAILING", "Contoso shop")
            assert found["policy"] == {"id": 3, "name": "Nothing at all", "filterName": "Everything"}


def test_policies_of_both_types_may_have_one_name(api_of: ApiOf) -> None:
    """From 2.8 on the type must be there with a name; before that, there is one type only."""
    api = api_of("2.8.8")
    api.threadfix.policies[9] = Policy(9, "Fixed within 30 days", "Anything", 1)
    path = "latest/applications/6/policy/eval"
    name = {"policyName": "Fixed within 30 days"}
    found = {kind: api.object(path, "POST", data=name | {"type": kind}) for kind in ("filter", "remediation")}
    assert {kind: one["policy"]["id"] for kind, one in found.items()} == {"filter": 9, "remediation": 4}
    assert found["remediation"]["policy"]["filterName"] is None
    assert api.says(path, "POST", data=name) == (200, "Parameter 'type' must be filter or remediation.")
    older = api_of("2.7.9")
    missing = (200, "Policy lookup failed. Check your ID.")
    assert older.says(path, params=name) == missing
    assert older.object(path, params={"policyName": "Release"})["policy"]["id"] == 1
    for fields in ({"policyId": "8"}, {"policyId": "8", "policyName": "Release"}, {}):
        assert older.says(path, params=fields) == missing


def word(api: Api, **fields: object) -> str:
    """What a policy says of an application."""
    application = fields.pop("application", 6)
    found = api.object(f"latest/applications/{application}/policy/eval", "POST", data=fields)
    assert isinstance(found["currentStatus"], str)
    return found["currentStatus"]


def test_what_a_policy_says(api: Api) -> None:
    """By what counts, from a severity on, and as old as it may be; of an application without scans nothing."""
    assert word(api, policyId=1) == "PASSING"
    api.walk(SCENARIOS["criteria-fail"])
    api.threadfix.finish(max(api.threadfix.scans))
    assert word(api, policyId=1) == word(api, policyId=2) == "FAILING"
    assert word(api, policyId=4) == "FAILING"
    api.threadfix.applications[6].vulnerabilities = [Vulnerability(1, 79, "XSS", 4, "/", days=29.0)]
    assert word(api, policyId=4) == "PASSING"
    assert word(api, policyId=1, application=12) == "NO SCANS FOUND"
    api.threadfix.policies[1] = replace(api.threadfix.policies[1], word="SNOOZING")
    assert word(api, policyId=1) == "SNOOZING"
    statuses = api.object("latest/applications/12/policyStatuses")
    assert (statuses["policyStatuses"], statuses["overallPolicyStatus"]) == ([], "PASSING")


@pytest.mark.parametrize("lag", [0.0, 5.0, math.inf])
def test_an_evaluation_lags_behind_the_scan(lag: float, serve: Serve) -> None:
    """Until then what policies and criteria say is from before the scan, and the date of the policies says so."""
    at = 0.0
    threadfix = ThreadFix(speed=2, clock=lambda: at)
    api = Api(threadfix, serve(threadfix))
    _, done = api.walk(replace(SCENARIOS["criteria-fail"], walk=(("DONE", 0),), lag=lag))
    for at in (0.0, 2.0, 3.0):
        fresh = at * 2 >= lag
        found = api.object("latest/applications/6/policyStatuses")["policyStatuses"][0]
        assert (found["lastEvaluated"] >= done["modifiedDate"], found["currentStatus"] == "FAILING") == (fresh, fresh)
        assert api.object("latest/policy/status/application/6/evaluate")["passing"] is not fresh
        assert api.object("latest/applications/6")["criticalVulnCount"] == (4 if fresh else 0)


# --- Pass criteria.

EVALUATE = "latest/policy/status/application/{}/evaluate"


@pytest.mark.parametrize(("version", "there"), [("2.4.5", False), ("2.5", True), ("2.8.8", True)])
def test_pass_criteria_are_there_since_2_5(version: str, there: bool, api_of: ApiOf) -> None:  # noqa: FBT001
    """Each criterion with its limits, on the side where it belongs."""
    api = api_of(version)
    if not there:
        assert api.says(EVALUATE.format(6)) == UNRECOGNIZED
        return
    found = api.object(EVALUATE.format(6))
    assert (found["failed"], found["passing"], found["fromDate"]) == ([], True, -86_400_000)
    assert [criterion["severity"] for criterion in found["passed"]] == ["Critical", "High", "Medium"]
    assert found["passed"][1] == {"id": 2, "severity": "High", "maxAllowed": 2, "maxIntroduced": None}
    api.threadfix.applications[6].vulnerabilities.append(Vulnerability(1, 89, "SQL", 5, "/"))
    found = api.object(EVALUATE.format(6))
    assert ([criterion["id"] for criterion in found["failed"]], found["passing"]) == ([1], False)


def test_dates_narrow_what_was_introduced(api: Api) -> None:
    """But not what is open."""
    application = api.threadfix.applications[6]
    (medium,) = (criterion for criterion in application.criteria if criterion.severity == 3)
    application.criteria = [replace(medium, max_introduced=1)]
    today, long_ago = time.strftime("%Y-%m-%d", time.gmtime()), "2001-01-31"
    for fields, holds in (
        ({}, False),
        ({"fromDate": today}, True),
        ({"toDate": long_ago}, True),
        ({"fromDate": long_ago, "toDate": today}, False),
    ):
        assert api.object(EVALUATE.format(6), params=fields)["passing"] is holds
    found = api.object(EVALUATE.format(6), params={"fromDate": long_ago, "toDate": long_ago})
    assert found["toDate"] - found["fromDate"] == 86_399_000
    for wrong in ("31.01.2026", "2026-02-30", "2026-W05-1"):
        refused = api.says(EVALUATE.format(6), params={"fromDate": wrong})
        assert refused == (200, "Dates must be in the format yyyy-MM-dd.")


def test_without_criteria_the_response_is_vacuous(api: Api) -> None:
    """It says that it passes, and nothing that does."""
    found = api.object(EVALUATE.format(12))
    assert (found["passed"], found["failed"], found["passing"]) == ([], [], True)


# --- Vulnerabilities.


def search(api: Api, version: str = "latest", **fields: object) -> list[int]:
    """The ids of what is found."""
    data = {"applications[0].id": 6} | {name.replace("__", "[0]."): value for name, value in fields.items()}
    return [one["id"] for one in api.object(f"{version}/vulnerabilities", "POST", data=data)]


OPEN = {"showOpen": "true", "showNotFalsePositive": "true", "showNotHidden": "true"}
SEARCHES: list[tuple[str, dict[str, object], list[int]]] = [
    ("latest", {}, [204, 203, 202, 201, 207, 206, 205]),
    ("latest", dict(OPEN), [204, 203, 202, 201]),
    ("latest", {"showClosed": "true"}, [205]),
    ("latest", {"showOpen": "True", "showClosed": "True"}, [204, 203, 202, 201, 207, 206, 205]),
    ("latest", {"showFalsePositive": "true"}, [206]),
    ("latest", {"showHidden": "true"}, [207]),
    ("v2.6", {}, [204, 203, 202, 201]),
    ("v2.6", {"showOpen": "true", "showClosed": "true"}, [204, 203, 202, 201, 205]),
    ("v2.6", {"showClosed": "true"}, [205]),
    ("v2.6", {"showHidden": "true", "showFalsePositive": "true"}, [204, 203, 202, 201, 207, 206]),
    ("latest", {"genericSeverities__intValue": 4}, [207, 206]),
    ("latest", {"genericVulnerabilities__id": 200}, [204, 203]),
    ("latest", {"path": "/cart"}, [202, 201]),
    ("latest", {"parameter": "q"}, [203]),
    ("latest", {"teams__id": 2}, [204, 203, 202, 201, 207, 206, 205]),
    ("latest", {"teams__id": 3}, []),
    ("latest", {"numberVulnerabilities": 2, "page": 2}, [202, 201]),
    ("latest", {"numberVulnerabilities": "many", "page": 0}, [204, 203, 202, 201, 207, 206, 205]),
]


@pytest.mark.parametrize(("version", "fields", "found"), SEARCHES)
def test_a_search_finds_what_is_asked_for(version: str, fields: dict[str, object], found: list[int], api: Api) -> None:
    """The newest first; since 2.7 only what is given filters, before that what is closed or hidden is left out."""
    assert search(api, version, **fields) == found


def test_a_search_returns_ten(api: Api) -> None:
    """Unless another number is asked for; of every application, unless one is."""
    many = [Vulnerability(1000 + index, 79, "XSS", 5, "/") for index in range(25)]
    api.threadfix.applications[18].vulnerabilities = many
    assert len(search(api, applications__id=18)) == 10
    assert len(search(api, applications__id=18, page=3)) == 5
    assert len(api.object("latest/vulnerabilities", "POST", data={"numberVulnerabilities": 50})) == 32


def test_severities_may_have_other_names(api: Api) -> None:
    """Their numbers stay; criteria and vulnerabilities show the other name."""
    api.threadfix.severity_names[5] = "Blocker"
    found = api.object("latest/severities")
    assert [one["intValue"] for one in found] == [5, 4, 3, 2, 1]
    blocker = {"id": 1, "name": "Critical", "intValue": 5, "customName": "Blocker", "displayName": "Blocker"}
    assert (found[0], found[1]["displayName"], found[1]["customName"]) == (blocker, "High", None)
    assert api.object(EVALUATE.format(6))["passed"][0]["severity"] == "Blocker"
    closed = api.object("latest/vulnerabilities", "POST", data={"showClosed": "true"})[0]
    assert (closed["genericSeverity"], closed["active"]) == (blocker, False)
    assert (closed["app"], closed["team"]) == ({"id": 6, "name": "Contoso shop"}, {"id": 2, "name": "Contoso"})


def test_the_scenarios_that_are_there_from_the_start_have_a_pending_scan(api: Api) -> None:
    """Of the application that they need."""
    there = [scenario for scenario in SCENARIOS.values() if scenario.content is None]
    scans = list(api.threadfix.scans.values())
    assert [scan.scenario for scan in scans] == there
    assert [scan.application_id for scan in scans] == [scenario.application for scenario in there]
    assert min(api.threadfix.scans) == FIRST_PENDING_SCAN

"""The sandbox's endpoints over a real socket, in every documented version of ThreadFix that differs."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests

from gate.model.reasons import Reason
from gate.sandbox.model import ZAP, Application, Policy, Team, Vulnerability
from gate.sandbox.scenarios import SCENARIOS, Raw, Scenario
from gate.sandbox.server import API_KEY, CHUNK, ThreadFix
from gate.sandbox.versions import parse
from tests.uploads import zap

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Serve

    ApiOf = Callable[..., "Api"]

ACCEPT = {"Accept": "application/json"}
DONE = Scenario("done", "", Reason.PROCESSED)
NO_APPLICATION = (200, "Application lookup failed. Check your ID.")


class Api:
    """A sandbox and a client for it."""

    def __init__(self, threadfix: ThreadFix, url: str) -> None:
        self.threadfix = threadfix
        self.rest = f"{url}/rest/"

    def __call__(self, path: str, method: str = "GET", **options: Any) -> requests.Response:  # noqa: ANN401 - options of requests
        """Send a request; `path` follows `rest/`."""
        headers = ACCEPT | {"Authorization": f"APIKEY {API_KEY}"}
        return requests.request(method, self.rest + path, headers=headers, timeout=10, **options)

    def object(self, path: str, method: str = "GET", **options: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return the `object` of a successful response."""
        body = self(path, method, **options).json()
        assert body["success"], body
        return body["object"]

    def refused(self, path: str, method: str = "GET", **options: Any) -> tuple[int, str]:  # noqa: ANN401 - options of requests
        """Return the HTTP status and the message of a refusal."""
        response = self(path, method, **options)
        body = response.json()
        assert not body["success"], body
        return response.status_code, body["message"]

    def upload(self, name: str, content: bytes = b"x", segment: str = "latest/") -> Any:  # noqa: ANN401 - any JSON value
        return self(f"{segment}applications/6/upload", "POST", files={"file": (name, content)}).json()

    def queue(self, scenario: Scenario = DONE) -> tuple[int, dict[str, Any]]:
        """Queue a pending scan; return its id and its first status."""
        number = self.threadfix.add(scenario, scenario.application)
        return number, self.object(f"latest/applications/{scenario.application}/pendingScan/{number}/status")


@pytest.fixture
def api_of(serve: Serve) -> ApiOf:
    """Return a function that creates a sandbox of a version."""

    def make(version: str = "2.8.8", **state: Any) -> Api:  # noqa: ANN401 - fields of `ThreadFix`
        threadfix = ThreadFix(generation=parse(version) or (), **state)
        return Api(threadfix, serve(threadfix))

    return make


@pytest.fixture
def api(api_of: ApiOf) -> Api:
    """Return a sandbox of the newest version."""
    return api_of()


@pytest.mark.parametrize(
    ("version", "segment"), [("legacy", "latest/"), ("2.4.4", "latest/"), ("2.8.8", "legacy/"), ("2.8.8", "")]
)
def test_an_upload_is_processed_immediately_in_old_versions(version: str, segment: str, api_of: ApiOf) -> None:
    """Before 2.4.5, and in later versions for `legacy` or no version, the response is the scan or its error."""
    api = api_of(version)
    body = api.upload("criteria-fail.fpr", segment=segment)
    assert (body["object"]["id"], "links" in body) == (max(api.threadfix.scans) - 29, False)
    expected = {"New": 7, "Old": 4, "Critical": 4, "High": 3, "Total": 11}
    assert {kind: body["object"][f"number{kind}Vulnerabilities"] for kind in expected} == expected
    assert api.upload("error-flag.fpr", segment=segment)["message"] == "Scan file is in the wrong format."
    failed = api.upload("interrupted.fpr", segment=segment)
    assert (failed["success"], failed["message"]) == (False, "Something went wrong while processing the scan.")


OPEN = {"showOpen": "true", "showNotFalsePositive": "true", "showNotHidden": "true"}


def low(api: Api) -> tuple[int, list[str]]:
    """Return the count of open vulnerabilities of severity Low, and the pages of those that ZAP found."""
    data = OPEN | {"applications[0].id": 6, "numberVulnerabilities": 50}
    found = api.object("latest/vulnerabilities", "POST", data=data)
    pages = sorted(each["path"] for each in found if each["channelNames"] == [ZAP])
    return api.object("latest/applications/6")["lowVulnCount"], pages


def test_a_scan_closes_what_it_lacks_and_its_scanner_had(api: Api) -> None:
    """Files in one request are one scan, or a scan each. A scan of another scanner closes nothing."""
    for day, pages in enumerate((["/a", "/b"], ["/b"], ["/b", "/b", "/a"]), 2):
        api.upload("done.xml", zap(day, *pages), "legacy/")
        assert low(api) == (2 + ("/a" in pages), sorted(set(pages)))
    assert api.upload("done.fpr", segment="legacy/")["success"]
    assert low(api) == (3, ["/a", "/b"])
    together = [("file", (f"{name}.xml", zap(day, f"/{name}"))) for day, name in ((5, "c"), (6, "d"))]
    assert api.object("legacy/applications/6/upload/multi", "POST", files=together)["numberTotalVulnerabilities"] == 2
    assert low(api) == (3, ["/c", "/d"])
    each = [("file", (f"{name}.xml", zap(day, f"/{name}"))) for day, name in ((7, "c"), (8, "d"))]
    links = api("latest/applications/6/upload/multi", "POST", files=each, data={"bulkUpload": "true"}).json()["links"]
    ids = [int(link["href"].split("/")[-2]) for link in links]
    for number in ids:
        api.threadfix.finish(number)
    assert low(api) == (2, ["/d"])
    listed = [scan["id"] for scan in api.object("latest/applications/6/scans") if scan["scannerName"] == ZAP]
    assert listed[:2] == [number - 29 for number in reversed(ids)]


def test_a_report_may_be_older_than_one_on_the_queue(api: Api) -> None:
    """A report whose scan fails is no duplicate of a later report. Files of two scanners are not one scan."""
    queued = "There was a more recent scan for this application and scanner on the queue."
    for name, day, message in (
        ("interrupted.xml", 3, ""), ("done.xml", 3, ""),
        ("done.xml", 3, "Scan file has already been uploaded."), ("done.xml", 2, queued),
    ):  # fmt: skip
        assert api.upload(name, zap(day))["message"] == message
    files = [("a", ("a.xml", zap(4))), ("b", ("b.fpr", b"x"))]
    refused = api.refused("latest/applications/6/upload/multi", "POST", files=files)
    assert refused == (200, "Scans are not of the same type.")
    assert [file.name for file in api.threadfix.uploads[-2:]] == ["a.xml", "b.fpr"]


def raw(api: Api, head: str, *pieces: bytes) -> bytes:
    """Send a literal POST; return the complete response."""
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
    ("head", "pieces", "code", "text"),
    [
        (f"{MULTIPART}Content-Length: {len(FORM)}\r\n", [FORM], 200, b'"links"'),
        (CHUNKED, [b"%x;q=1\r\n" % len(FORM), FORM, b"\r\n0\r\nTrailer: x\r\n\r\n"], 200, b'"links"'),
        (CHUNKED, [b"-1\r\n", FORM], 0, b""),
        (CHUNKED, [b"5"], 0, b""),
        (f"{MULTIPART}Content-Length: 1000\r\n", [FORM[:20]], 0, b""),
        (f"{MULTIPART}Content-Length: 0\r\n", [], 200, b"System error"),
        (f"{MULTIPART}Content-Length: {4 * CHUNK}\r\n", [b"--Ax", b"x" * (4 * CHUNK - 4)], 200, b"System error"),
        (f"{MULTIPART}Content-Length: {len(FORM) + 3}\r\n", [FORM + b"\r\nx"], 200, b'"links"'),
        ("Content-Type: text/xml\r\nContent-Length: 5\r\n", [b"<a/>\n"], 200, b"System error"),
        (f"{MULTIPART}Content-Length: -1\r\n", [FORM], 411, b"length"),
        (f"{MULTIPART}Content-Length: -1\r\nExpect: 100-continue\r\n", [], 411, b"length"),
    ],
)
def test_the_body_of_an_upload_follows_http(head: str, pieces: list[bytes], code: int, text: bytes, api: Api) -> None:
    """The body has a length or is chunked. A malformed form gets an error page, an incomplete body no response."""
    response = raw(api, head, *pieces)
    assert int(response.split(b" ", 2)[1]) == code if code else response == b""
    assert text in response
    assert len(api.threadfix.seen) == 1
    assert api.threadfix.upload_attempts == int(head.startswith(MULTIPART))


def test_the_sandbox_disconnects_a_client_that_keeps_sending_after_a_refusal(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gate.sandbox.server.LINGER", 0.1)
    monkeypatch.setattr(ThreadFix, "refuse_early", lambda *_: Raw(413))
    with pytest.raises(ConnectionError):
        raw(api, f"{MULTIPART}Content-Length: 1000000000000\r\n", *[b"x" * CHUNK] * 400_000)


def test_a_form_that_is_too_large_is_refused(api: Api) -> None:
    """A form without files is kept in memory."""
    response = api("latest/vulnerabilities", "POST", data={"path": "x" * 2 * 1024 * 1024})
    assert response.status_code == 413


def test_a_response_to_head_has_no_body(api: Api) -> None:
    response = api("latest/applications/6", "HEAD")
    assert (response.status_code, response.text) == (404, "")


def test_a_unique_id_of_two_applications_is_ambiguous(api: Api) -> None:
    """It is refused within a team, and listed without. A unique id counts before a name; a plus may be a blank."""
    for number, team in ((30, "A B"), (31, "A+B")):
        api.threadfix.applications[number] = Application(number, "x", Team(number, team))
        assert api.object("latest/applications/A+B/lookup?name=x")["id"] == number
    api.threadfix.applications[30] = Application(30, "Other", Team(2, "Contoso"), "contoso-shop")
    refused = api.refused("latest/applications/Contoso/lookup?uniqueId=contoso-shop")
    assert refused == (200, "More than one application found. Check your search criteria.")
    matches = api.object("latest/applications/allTeamLookup?uniqueId=contoso-shop")
    assert [application["id"] for application in matches] == [6, 18, 30]
    assert api.refused("latest/applications/allTeamLookup?uniqueId=nothing") == NO_APPLICATION
    assert api.refused("latest/applications/Contoso/lookup?uniqueId=CONTOSO-WIKI") == NO_APPLICATION
    assert api.object("latest/applications/contoso/lookup?uniqueId=contoso-wiki&name=Contoso%20shop")["id"] == 12


def test_teams_are_listed_and_looked_up(api: Api) -> None:
    """The name is case-insensitive. The list has pages since 2.8.3."""
    listed = api.object("latest/teams")
    assert api.object("latest/teams/2") == api.object("latest/teams/lookup?name=contoso")
    assert [application["id"] for application in listed[0]["applications"]] == [6, 12]
    pages = [[team["id"] for team in api.object(f"latest/teams?page={page}&pageSize=3")] for page in (0, 1, 2, 3)]
    assert pages == [[2, 3, 4], [2, 3, 4], [5, 6], []]
    assert len(api.object("v2.8.2/teams?page=2&pageSize=3")) == 5


def test_teams_and_applications_are_created(api: Api) -> None:
    """A name that exists is refused, and so are characters of HTML."""
    team = api.object("latest/teams/new", "POST", data={"name": "New"})
    path = f"latest/teams/{team['id']}/applications/new"
    application = api.object(path, "POST", data={"name": "shop", "url": "https://x"})
    assert api.object("latest/applications/New/lookup?name=shop") == application
    assert api.object(f"latest/teams/{team['id']}")["applications"][0]["id"] == application["id"]
    for refused, name, text in (
        ("latest/teams/new", "new", "Problems creating team."),
        ("latest/teams/new", "<b>", "No HTML characters are allowed in custom names."),
        (path, "Shop", "Problems creating application."),
        ("latest/teams/99/applications/new", "x", "Team Lookup failed."),
    ):
        assert api.refused(refused, "POST", data={"name": name}) == (200, text)


def test_the_name_of_a_policy_needs_a_type_since_2_8(api_of: ApiOf) -> None:
    """Policies of different types may have the same name. Older versions have only one type."""
    api = api_of("2.8.8")
    api.threadfix.policies[9] = Policy(9, "Fixed within 30 days", "Anything", 1)
    path, name = "latest/applications/6/policy/eval", {"policyName": "Fixed within 30 days"}
    statuses = {kind: api.object(path, "POST", data=name | {"type": kind}) for kind in ("filter", "remediation")}
    assert {kind: status["policy"]["id"] for kind, status in statuses.items()} == {"filter": 9, "remediation": 4}
    assert statuses["remediation"]["policy"]["filterName"] is None
    assert api.refused(path, "POST", data=name) == (200, "Parameter 'type' must be filter or remediation.")
    older = api_of("2.7.9")
    assert older.object(path, params={"policyName": "Release"})["policy"]["id"] == 1
    for fields in (name, {"policyId": "8"}, {"policyId": "8", "policyName": "Release"}, {}):
        assert older.refused(path, params=fields) == (200, "Policy lookup failed. Check your ID.")


def test_a_policy_depends_on_severity_and_age(api: Api) -> None:
    """An application without scans has no result. A policy of the sandbox can have a fixed status."""

    def status(number: int, application: int = 6) -> object:
        path = f"latest/applications/{application}/policy/eval"
        return api.object(path, "POST", data={"policyId": number})["currentStatus"]

    assert status(1) == "PASSING"
    api.queue(SCENARIOS["criteria-fail"])
    api.threadfix.finish(max(api.threadfix.scans))
    assert [status(number) for number in (1, 2, 4)] == ["FAILING"] * 3
    api.threadfix.applications[6].vulnerabilities = [Vulnerability(1, 79, "XSS", 4, "/", days=29.0)]
    assert (status(4), status(1, 12)) == ("PASSING", "NO SCANS FOUND")
    api.threadfix.policies[1] = replace(api.threadfix.policies[1], word="SNOOZING")
    assert status(1) == "SNOOZING"
    statuses = api.object("latest/applications/12/policyStatuses")
    assert (statuses["policyStatuses"], statuses["overallPolicyStatus"]) == ([], "PASSING")


EVALUATE = "latest/policy/status/application/{}/evaluate"


def test_dates_restrict_only_introduced_vulnerabilities(api: Api) -> None:
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
    body = api.object(EVALUATE.format(6), params={"fromDate": long_ago, "toDate": long_ago})
    assert body["toDate"] - body["fromDate"] == 86_399_000
    for wrong in ("31.01.2026", "2026-02-30", "2026-W05-1"):
        refused = api.refused(EVALUATE.format(6), params={"fromDate": wrong})
        assert refused == (200, "Dates must be in the format yyyy-MM-dd.")


def search(api: Api, version: str = "latest", **fields: object) -> list[int]:
    """Return the ids of the results."""
    data = {"applications[0].id": 6} | {name.replace("__", "[0]."): value for name, value in fields.items()}
    return [vulnerability["id"] for vulnerability in api.object(f"{version}/vulnerabilities", "POST", data=data)]


ALL = [204, 203, 202, 201, 207, 206, 205]
SEARCHES: list[tuple[str, dict[str, object], list[int]]] = [
    ("latest", {}, ALL),
    ("latest", dict(OPEN), [204, 203, 202, 201]),
    ("v2.6", {}, [204, 203, 202, 201]),
    ("v2.6", {"showHidden": "true", "showFalsePositive": "true"}, [204, 203, 202, 201, 207, 206]),
    ("latest", {"genericSeverities__intValue": 4}, [207, 206]),
    ("latest", {"genericVulnerabilities__id": 200, "parameter": "q"}, [203]),
    ("latest", {"path": "/cart", "teams__id": 2}, [202, 201]),
    ("latest", {"numberVulnerabilities": 2, "page": 2}, [202, 201]),
    ("latest", {"numberVulnerabilities": "many", "page": 0}, ALL),
]


def test_a_search_returns_matches_newest_first(api: Api) -> None:
    """Since 2.7 only the given filters apply; before, closed, hidden and false-positive results need their flags."""
    assert [search(api, version, **fields) for version, fields, _ in SEARCHES] == [ids for _, _, ids in SEARCHES]

"""The sandbox responds as a real ThreadFix did.

The table has the facts of exchanges with a running Community Edition 2.3 that also hold for ThreadFix 2.5 to 3.0: HTTP
status, kind of content, envelope and message, `Location`, names and types of fields, numbers of a scan. The paths have
no version, so the sandbox responds as 2.3. Names and ids are those of the sandbox.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from gate.sandbox.model import NO_CRITERIA_KEY
from gate.sandbox.server import API_KEY, ThreadFix
from gate.sandbox.versions import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Serve

JSON: Final = "application/json"
PAGE: Final = "text/html"
LOGIN: Final = r"/threadfix/login\.jsp;jsessionid=[0-9A-F]{32}"
SYSTEM_ERROR: Final = "System error"
NO_TYPE: Final = "Unable to determine scan type."
NO_SCANNER: Final = "Failed to determine the scan type."
DUPLICATE: Final = "Scan file has already been uploaded."
OLDER: Final = "A newer scan from this scanner has been uploaded."
NO_KEY: Final = "Authentication failed, check your API Key."
UNKNOWN_KEY: Final = "API Key not found in database."
RESTRICTED: Final = "The requested URL is restricted for your API Key."
NO_APPLICATION: Final = "Application lookup failed. Check your ID."
NO_PATH: Final = "Bad rest request due to unrecognized path."

# --- The shapes of objects. A type is that of a field; a field may be null if the real ThreadFix sent null.

OPTIONAL: Final = (str, type(None))
NAMED: Final = {"id": int, "name": str}
COUNTS: Final = {f"{name}VulnCount": int for name in ("info", "low", "medium", "high", "critical", "total")}
KINDS: Final = ("Closed", "New", "Old", "Resurfaced", "Total", "Info", "Low", "Medium", "High", "Critical")
FINDING: Final[dict[str, Any]] = {
    "id": int, "longDescription": None, "attackString": OPTIONAL, "attackRequest": None, "attackResponse": None,
    "nativeId": str, "displayId": None, "surfaceLocation": {"id": int, "parameter": OPTIONAL, "path": str},
    "sourceFileLocation": None, "dataFlowElements": [], "calculatedUrlPath": str, "calculatedFilePath": str,
    "dependency": None, "vulnerabilityType": str, "severity": str,
}  # fmt: skip
LISTED: Final = {"id": int, "importTime": int, "scannerName": str}
SCAN: Final = (
    LISTED | {f"number{kind}Vulnerabilities": int for kind in KINDS}
    | {"numberRepeatResults": int, "numberRepeatFindings": int}
)  # fmt: skip
APPLICATION: Final = NAMED | COUNTS | {
    "url": OPTIONAL, "uniqueId": OPTIONAL, "applicationCriticality": NAMED, "grcApplication": None, "waf": None,
    "organization": NAMED,
}  # fmt: skip
TEAM: Final = NAMED | COUNTS | {
    "applications": [NAMED | {"url": OPTIONAL, "applicationCriticality": NAMED, "grcApplication": None}]
}  # fmt: skip
TEAMS: Final = [NAMED | COUNTS | {"active": bool, "applications": [
    NAMED | COUNTS | {"active": bool, "frameworkType": str, "url": OPTIONAL, "uniqueId": OPTIONAL,
                      "applicationCriticality": NAMED, "skipApplicationMerge": bool, "team": NAMED,
                      "organization": NAMED},
]}]  # fmt: skip
VULNERABILITY: Final[dict[str, Any]] = {
    "id": int, "genericVulnerability": NAMED | {"displayId": int}, "genericSeverity": NAMED | {"intValue": 4},
    "active": True, "isFalsePositive": False, "hidden": False, "findings": [FINDING | {"scannerName": str}],
    "documents": [], "vulnId": str, "staticFindings": [], "vulnerabilityComments": [],
    "app": NAMED | {"applicationCriticality": NAMED}, "team": NAMED, "channelNames": [str], "dynamicFindings": [],
    "path": str, "parameter": OPTIONAL,
}  # fmt: skip


def numbers(**known: int) -> dict[str, Any]:
    """Return the shape of an uploaded scan with these numbers; `repeat` has two fields."""
    repeat = known.pop("repeat", 0)
    exact = {f"number{kind.capitalize()}Vulnerabilities": number for kind, number in known.items()}
    return SCAN | {"numberRepeatResults": repeat, "numberRepeatFindings": repeat, "findings": list} | exact


THREE: Final = {"total": 3, "medium": 1, "high": 2, "info": 0, "low": 0, "critical": 0}
TWO: Final = THREE | {"total": 2, "medium": 0}
FIRST: Final = numbers(new=3, old=0, closed=0, resurfaced=0, **THREE)
AGAIN: Final = numbers(new=0, old=3, closed=0, resurfaced=0, repeat=3, **THREE) | {"findings": []}
BACK: Final = AGAIN | {"numberResurfacedVulnerabilities": 1}

# --- Reports.

FOUND: Final = ((89, 3, "/b", "id", "SQL Injection"), (79, 3, "/a", "q", "XSS"), (16, 2, "/c", "", "Header"))


def zap(found: int, date: str | None) -> bytes:
    """Return a report of ZAP with the first findings of the table; None for no date."""
    items = [
        f"<alertitem><pluginid>{cwe}</pluginid><alert>{name}</alert><riskcode>{risk}</riskcode><uri>http://x{path}</uri>"
        f"<param>{parameter}</param><attack>a</attack><cweid>{cwe}</cweid></alertitem>"
        for cwe, risk, path, parameter, name in FOUND[:found]
    ]
    generated = f' generated="{date}"' if date else ""
    alerts = f"<alerts>{''.join(items)}</alerts>"
    return (
        f'<?xml version="1.0"?><OWASPZAPReport version="2.4"{generated}><site>{alerts}</site></OWASPZAPReport>'.encode()
    )


def day(number: int) -> str:
    return f"Mon, {number:02} Nov 2026 10:00:00"


INSTANCES: Final = b"""<?xml version="1.0"?>
<OWASPZAPReport programName="ZAP" version="2.14.0" generated="Mon, 2 Nov 2026 10:00:00"><site><alerts><alertitem>
<pluginid>40012</pluginid><alert>XSS</alert><name>XSS</name><riskcode>3</riskcode><cweid>79</cweid><instances><instance>
<uri>http://x/a</uri><method>GET</method><param>q</param><attack>a</attack></instance></instances>
</alertitem></alerts></site></OWASPZAPReport>"""


@dataclass(frozen=True)
class Part:
    """A part of a form: a file, or a field if it has no name."""

    content: bytes
    name: str | None = "zap.xml"
    field: str = "file"


ZAP1: Final = Part(zap(3, day(2)))
TWICE: Final = (ZAP1, Part(zap(2, day(3))))
"""After these two uploads, the third finding is closed."""


@dataclass(frozen=True)
class Exchange:
    """A request, and the facts about its response."""

    request: str  # method and path; the path begins after the context, or is absolute with two slashes
    status: int = 200  # the HTTP status
    message: str | None = None  # of a refusal; None for a success, and for a response without an envelope
    shape: object = None  # of the object
    kind: str = JSON  # the type of the content; empty for no content
    title: str = ""  # of a page
    location: str = ""  # a pattern for the target of a redirect
    key: str = "query"  # `query`, `form`, `restricted`, `wrong`, `none`
    parts: tuple[Part, ...] = ()  # of the form
    before: tuple[Part, ...] = ()  # files that were uploaded to the application before
    headers: Mapping[str, str | None] | None = None  # of the request; None leaves one out
    generation: str = "2.8.8"  # the version of the server
    length: str = "chunked"  # how the end of the content is found: `chunked`, `length`, or empty for neither
    cookie: bool = True  # whether the response has a session
    form: bytes | None = None


def get(path: str, *facts: Any, **more: Any) -> Exchange:  # noqa: ANN401 - facts of any type
    """Return the exchange of a request for a path of the REST API."""
    return Exchange(f"GET /rest/{path}", *facts, **more)


def upload(*parts: Part, path: str = "applications/12/upload", key: str = "form", **facts: Any) -> Exchange:  # noqa: ANN401 - facts of any type
    """Return the exchange of an upload; a file is in the part `file`."""
    return Exchange(f"POST /rest/{path}", parts=parts, key=key, **facts)


def page(title: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return {"kind": PAGE, "title": title, "length": "length"} | facts


def redirect(location: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return {"status": 302, "kind": "", "location": location, "length": "length"} | facts


EXCHANGES: Final = {
    # --- key
    "key: in the query, list of teams with their applications": get("teams", shape=TEAMS),
    "key: no key at all": get("teams", message=NO_KEY, key="none"),
    "key: a key that is not known": get("teams", message=UNKNOWN_KEY, key="wrong"),
    "key: a restricted key may upload": upload(
        Part(zap(2, day(6))), key="restricted", before=(ZAP1, Part(zap(0, day(4)))),
        shape=numbers(new=0, old=2, closed=0, resurfaced=2, repeat=2, **TWO) | {"findings": []},
    ),
    "key: a restricted key may not create a team":
        Exchange("POST /rest/teams/new", message=RESTRICTED, key="restricted", form=b"name=zz"),
    "key: unknown key and application: the key is first": get("applications/999", message=UNKNOWN_KEY, key="wrong"),
    "key: id that is no number, unknown key: the id is first": get("applications/abc", key="wrong", **redirect(LOGIN)),
    "key: upload without a file, unknown key: the file is first": upload(key="wrong", **page(SYSTEM_ERROR)),
    "key: multipart field right, query wrong: the field counts": upload(
        Part(zap(2, "Tue, 01 Dec 2026 07:01:00")), path="applications/12/upload?apiKey=wrong",
        before=(ZAP1, Part(zap(1, day(3)))),
        shape=numbers(new=0, old=2, closed=0, resurfaced=1, repeat=2, **TWO) | {"findings": []},
    ),
    "key: GET with the key in a body: not read":
        get("applications/12", message=NO_KEY, key="none", form=b"apiKey=" + API_KEY.encode()),
    "key: large upload, unknown key: after 100 Continue": upload(
        Part(zap(1, day(2)) + b" " * 3_000_000), key="wrong", message=UNKNOWN_KEY, headers={"Expect": "100-continue"}
    ),
    # --- lookup
    "lookup: an application by its id, before any scan":
        get("applications/12", shape=APPLICATION | {"scans": []} | dict.fromkeys(COUNTS, 0)),
    "lookup: an application that does not exist": get("applications/999", message=NO_APPLICATION),
    "lookup: an application by team and name":
        get("applications/Contoso/lookup?name=Contoso%20wiki", shape=APPLICATION | {"id": 12}),
    "lookup: an application by team and unique id":
        get("applications/Fabrikam/lookup?uniqueId=contoso-shop", shape=APPLICATION | {"id": 18}),
    "lookup: a team is found by its name only":
        get("applications/2/lookup?name=Contoso%20wiki", message=NO_APPLICATION),
    "lookup: unique id in any team: a list":
        get("applications/allTeamLookup?uniqueId=contoso-shop", shape=[APPLICATION | {"scans": list}]),
    "lookup: by POST: no such endpoint in 2.3": Exchange(
        "POST /rest/applications/Contoso/lookup", 404, NO_PATH, key="form", form=b"name=x", generation="legacy"
    ),
    "lookup: a team by its id, with its applications": get("teams/2", shape=TEAM),
    "lookup: a team id that does not exist": get("teams/999", message="Team Lookup failed."),
    "lookup: a team by its name": get("teams/lookup?name=Contoso", shape=TEAM),
    "lookup: a team name that does not exist": get("teams/lookup?name=Nope", message="No team found with name 'Nope'"),
    "lookup: a team without a name": get("teams/lookup", message="No team found with name 'null'"),
    # --- accept
    "accept: */*: served": get("teams", shape=TEAMS, headers={"Accept": "*/*"}),
    "accept: none: served": get("applications/12", shape=APPLICATION, headers={"Accept": None}),
    "accept: a browser's, which has */*: served as JSON": get(
        "applications/12", shape=APPLICATION,
        headers={"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
    ),
    "accept: suffix .json after the id: served": get("applications/12.json", shape=APPLICATION),
    # --- paths
    "paths: unknown path below /rest": get("nope/x", 404, NO_PATH),
    "paths: DELETE is an unknown path": Exchange("DELETE /rest/applications/12", 404, NO_PATH),
    "paths: GET on the upload path": get("applications/12/upload", 404, NO_PATH),
    "paths: OPTIONS": Exchange("OPTIONS /rest/teams", kind="", length="length"),
    "paths: there is no list of applications in 2.3": get("applications", 404, NO_PATH),
    "paths: id that is no number: redirect to login": get("applications/abc", **redirect(LOGIN)),
    "paths: id over 2^31-1: the same redirect": get("applications/99999999999", **redirect(LOGIN)),
    "paths: look-up without a team: the same redirect": get("applications/lookup?name=shop", **redirect(LOGIN)),
    "paths: two slashes: served": Exchange("GET //threadfix//rest/teams", shape=TEAMS),
    "paths: a page of the context: absolute redirect":
        Exchange("GET /dashboard", key="none", **redirect(rf"http://127\.0\.0\.1:\d+{LOGIN}")),
    "paths: the context path without a slash":
        Exchange("GET ", key="none", **redirect("/threadfix/", cookie=False, length="chunked")),
    "paths: outside the context: Tomcat's 404":
        Exchange("GET //rest/teams", 404, **page("HTTP Status 404 – Not Found", cookie=False)),
    "paths: the login page": Exchange("GET /login.jsp?nonce=1", key="none", **page("ThreadFix", cookie=False)),
    "paths: POST with a hyphen in the path: 204":
        Exchange("POST /rest/no-pe/x", 204, kind="", key="form", form=b"x=1", length=""),
    # --- upload
    "upload: first scan: the response is the finished scan with findings":
        upload(ZAP1, shape=FIRST | {"importTime": 1793613600000, "findings": [FINDING]}),
    "upload: same findings, a day later: none new":
        upload(Part(zap(3, day(3))), before=(ZAP1,), shape=AGAIN | {"importTime": 1793700000000}),
    "upload: same report again": upload(ZAP1, before=(ZAP1,), message=DUPLICATE),
    "upload: a report dated before the newest one": upload(Part(zap(3, day(1))), before=(ZAP1,), message=OLDER),
    "upload: a report without findings closes all": upload(
        Part(zap(0, day(4))), before=(ZAP1,), shape=numbers(new=0, old=0, closed=3, resurfaced=0, total=0, high=0)
    ),
    "upload: report without a date": upload(Part(zap(3, None)), shape=FIRST),
    "upload: the same file without a date again: accepted":
        upload(Part(zap(3, None)), before=(Part(zap(3, None)),), shape=AGAIN),
    "upload: dated report after one without a date: older":
        upload(Part(zap(3, "Mon, 02 Nov 2015 10:00:00")), before=(Part(zap(3, None)),), message=OLDER),
    "upload: report dated in the future: accepted": upload(
        Part(zap(3, "Fri, 01 Jan 2100 10:00:00")), before=(Part(zap(3, None)),),
        shape=AGAIN | {"importTime": 4102480800000},
    ),
    "upload: date in ISO format, which is not ZAP's":
        upload(Part(zap(3, "2026-11-05T10:00:00Z")), before=(Part(zap(3, None)),), shape=AGAIN),
    "upload: a text file: HTTP 500": upload(Part(b"plain text", "text.txt"), status=500, message=NO_TYPE),
    "upload: well-formed XML of no scanner": upload(Part(b"<foo><bar/></foo>", "wrong.xml"), message=NO_SCANNER),
    "upload: JSON of no scanner": upload(Part(b'{"a": 1}', "unknown.json"), message=NO_SCANNER),
    "upload: empty .json file: page": upload(Part(b"", "empty.json"), **page(SYSTEM_ERROR)),
    "upload: no part called file: page": upload(**page(SYSTEM_ERROR)),
    "upload: the file in a part called scan: page": upload(Part(zap(3, day(2)), field="scan"), **page(SYSTEM_ERROR)),
    "upload: to an unknown application":
        upload(ZAP1, path="applications/999/upload", message="Invalid application ID."),
    "upload: two reports as one scan: the later date counts": upload(
        Part(zap(1, day(21)), "d21.xml", "a"), Part(zap(2, day(22)), "d22.xml", "b"),
        path="applications/12/upload/multi", before=(Part(zap(3, day(20))),),
        shape=numbers(new=0, old=2, closed=1, resurfaced=0, repeat=2, **TWO)
        | {"importTime": 1795341600000, "numberRepeatResults": 3, "findings": []},
    ),
    "upload: upload/multi without any file": upload(path="applications/12/upload/multi", message="No files selected."),
    "upload: two parts called file: the first is taken":
        upload(Part(zap(3, day(20))), Part(zap(1, day(21))), before=TWICE, shape=BACK | {"importTime": 1795168800000}),
    "upload: multipart without its end: page": Exchange(
        "POST /rest/applications/12/upload", key="none", form=b"--B\r\nContent-Disposition: form-data; name=",
        headers={"Content-Type": "multipart/form-data; boundary=B"}, **page(SYSTEM_ERROR),
    ),
    "upload: ZAP 2.14 format with instances: accepted": upload(
        Part(INSTANCES), shape=numbers(new=1, old=0, closed=0, resurfaced=0, total=1, high=1) | {"findings": [FINDING]}
    ),
    # --- scans
    "scans: list": get("applications/12/scans", before=TWICE, shape=[LISTED]),
    "scans: list of an application without any":
        get("applications/12/scans", message="No scans associated with application: 12"),
    "scans: an unknown scan id": get("scans/99999", message="No scan exists for requested id"),
    "scans: an application after scans": get(
        "applications/12", before=TWICE,
        shape=APPLICATION | {"scans": [SCAN], "mediumVulnCount": 0, "highVulnCount": 2, "totalVulnCount": 2},
    ),
    "scans: vulnerability search has a length": Exchange(
        "POST /rest/vulnerabilities", before=(ZAP1,), key="form", shape=[VULNERABILITY], length="length",
        form=b"applications[0].id=12&numberVulnerabilities=2&showOpen=true&page=1&genericSeverities[0].intValue=4",
    ),
    # --- names
    "names: application with a slash and a blank, in the query":
        get("applications/Team%20Beta/lookup?name=pay%2Fapi%20v2", shape=APPLICATION | {"name": "pay/api v2"}),
    "names: application with Japanese letters":
        get("applications/Team%20Beta/lookup?name=%E6%97%A5%E6%9C%AC%20app", shape=APPLICATION | {"name": "日本 app"}),
    "names: team with a slash, in the query": get("teams/lookup?name=Ops%2FNet", shape=TEAM | {"name": "Ops/Net"}),
    "names: team with umlaut, percent and plus, in the query":
        get("teams/lookup?name=B%C3%BCro%2050%25%20%2B%20Co", shape=TEAM | {"name": "Büro 50% + Co"}),
    "names: team with %2F in the path: Tomcat refuses":
        get("applications/Ops%2FNet/lookup?name=many", 400, **page("HTTP Status 400 – Bad Request", cookie=False)),
    "names: %252F in the path: unknown path": get("applications/Ops%252FNet/lookup?name=many", 404, NO_PATH),
    "names: a percent sign (%25) in a team's path":
        get("applications/B%C3%BCro%2050%25%20%2B%20Co/lookup?name=x", 500, **page(SYSTEM_ERROR)),
    "names: raw UTF-8 in the query: Tomcat refuses": get(
        "applications/Team%20Beta/lookup?name=日本%20app", 400, **page("HTTP Status 400 – Bad Request", cookie=False),
    ),
    "names: creating a name with quotes": Exchange(
        "POST /rest/teams/2/applications/new", message="No HTML characters are allowed in custom names.", key="form",
        form='name=Büro „50%25" %26 Co'.encode(),
    ),
    "names: file with umlaut, typographic quotes, Japanese":
        upload(Part(zap(3, day(11)), "scän “x” 日本.xml"), before=TWICE, shape=BACK | {"importTime": 1794391200000}),
    "names: ZAP XML called zap.json": upload(Part(zap(3, day(14)), "zap.json"), message=NO_SCANNER),
    "names: ZAP XML without an extension: accepted":
        upload(Part(zap(3, day(14)), "zap"), before=TWICE, shape=BACK | {"importTime": 1794650400000}),
    "names: ZAP XML called zap.html": upload(
        Part(zap(3, day(14)), "zap.html"), message="The scan could not be completed because there was null input"
    ),
    "names: file name of 300 characters":
        upload(Part(zap(3, "Thu, 26 Nov 2026 00:20:00"), "n" * 296 + ".xml"), before=TWICE, shape=BACK),
    # --- wire
    "wire: chunked upload with Expect: 100 Continue first": upload(
        Part(zap(2, day(19))), before=(ZAP1, Part(zap(1, day(3)))),
        headers={"Expect": "100-continue", "Transfer-Encoding": "chunked"},
        shape=numbers(new=0, old=2, closed=0, resurfaced=1, repeat=2, **TWO),
    ),
    "wire: Accept-Encoding gzip: not compressed": get("teams", shape=TEAMS, headers={"Accept-Encoding": "gzip"}),
    "wire: HTTP/1.0: no chunks, the connection is closed": get("teams HTTP/1.0", shape=TEAMS, length=""),
    "wire: a 500 refusal closes the connection":
        upload(Part(b"plain text", "text.txt"), status=500, message=NO_TYPE, headers={"Connection": None}),
}  # fmt: skip
KEYS: Final = {"restricted": NO_CRITERIA_KEY, "wrong": "x" * 44}


def body_of(exchange: Exchange) -> tuple[bytes, str]:
    """Return the body of a request and its type."""
    if exchange.form is not None:
        key = f"&apiKey={API_KEY}".encode() if exchange.key == "form" else b""
        return exchange.form + key, "application/x-www-form-urlencoded"
    pieces = []
    for part in (Part(KEYS.get(exchange.key, API_KEY).encode(), None, "apiKey"), *exchange.parts):
        name = f'; filename="{part.name}"' if part.name is not None else ""
        head = f'--B\r\nContent-Disposition: form-data; name="{part.field}"{name}\r\n\r\n'
        pieces += [head.encode(), part.content, b"\r\n"]
    return b"".join([*pieces, b"--B--\r\n"]), "multipart/form-data; boundary=B"


def send(url: str, exchange: Exchange) -> tuple[http.client.HTTPResponse, bytes]:
    """Send a request byte by byte as given; return the response and its body."""
    parts = urlsplit(url)
    method, _, path = exchange.request.partition(" ")
    path, _, protocol = path.partition(" HTTP/")
    path = path[1:] if path.startswith("//") else parts.path + path
    body, kind = body_of(exchange) if method == "POST" or exchange.form else (b"", "")
    if exchange.key in {"query", *KEYS} and method != "POST":
        path += f"{'&' if '?' in path else '?'}apiKey={KEYS.get(exchange.key, API_KEY)}"
    elif exchange.key in KEYS and exchange.form:
        path += f"?apiKey={KEYS[exchange.key]}"
    headers: dict[str, str | None] = {"Host": parts.netloc, "Accept": JSON, "Connection": "close"}
    if kind:
        headers |= {"Content-Type": kind, "Content-Length": str(len(body))}
    headers |= exchange.headers or {}
    if headers.get("Transfer-Encoding"):
        headers["Content-Length"] = None
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    head = f"{method} {path} HTTP/{protocol or '1.1'}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=10) as client:
        client.sendall(f"{head}\r\n".encode())
        if headers.get("Expect"):
            assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        response = http.client.HTTPResponse(client, method=method)
        response.begin()
        content = response.read()
        assert client.recv(1) == b"", "the connection is still open"
        return response, content


def masked(shape: object, value: Any) -> object:  # noqa: ANN401 - any JSON
    """Return a value with its shape in place of each part that fits. Further fields are those of later versions."""
    match shape:
        case dict() if isinstance(value, dict):
            return {name: masked(inner, value.get(name, "missing")) for name, inner in shape.items()}
        case [inner] if isinstance(value, list) and value:
            return [next((seen for seen in (masked(inner, entry) for entry in value) if seen != inner), inner)]
        case type() | tuple() if type(value) in (shape if isinstance(shape, tuple) else (shape,)):
            return shape
    return value


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_sandbox_responds_as_threadfix(name: str, serve: Serve) -> None:
    """The JSON is compact, in raw UTF-8."""
    exchange = EXCHANGES[name]
    url = serve(ThreadFix(generation=parse(exchange.generation) or ()))
    for part in exchange.before:
        assert b'"success":true' in send(url, upload(part))[1]
    response, content = send(url, exchange)
    known = {header.lower(): value for header, value in response.getheaders()}
    ends = {"chunked": "transfer-encoding" in known, "length": "content-length" in known}
    seen = {
        "status": response.status,
        "kind": known.get("content-type", "").partition(";")[0],
        "length": "".join(end for end, used in ends.items() if used),
        "cookie": "JSESSIONID=" in known.get("set-cookie", ""),
    }
    assert seen == {fact: getattr(exchange, fact) for fact in seen}
    assert re.fullmatch(exchange.location, known.get("location", ""))
    assert f"<title>{exchange.title}</title>" in content.decode() or exchange.kind != PAGE
    if exchange.kind == JSON:
        body, success = json.loads(content), exchange.message is None
        assert content == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        facts = {"message": exchange.message or "", "success": success, "responseCode": -1, "object": exchange.shape}
        assert masked(facts, body) == facts


def test_one_scan_has_its_findings_and_the_date_of_its_report(serve: Serve) -> None:
    """The server's time zone is UTC."""
    url = serve(ThreadFix())
    number = json.loads(send(url, upload(ZAP1))[1])["object"]["id"]
    scan = json.loads(send(url, get(f"scans/{number}"))[1])["object"]
    facts = SCAN | {"id": number, "importTime": 1793613600000, "findings": [FINDING]}
    assert (masked(facts, scan), len(scan["findings"])) == (facts, 3)

"""The upload of a file, byte for byte, and the receipt for each response, over real sockets."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gate.model.advice import UPLOAD_AGAIN, UPLOAD_UNCERTAIN, advise
from gate.model.history import Failure, Finished, Queued, Refused
from gate.model.reasons import Reason
from gate.model.subjects import ScanFile, Target, one_scan
from gate.threadfix.links import status_link
from gate.threadfix.refusals import REFUSALS, refusal_of
from gate.threadfix.responses import NotThreadFixError, finished_scan, parse
from gate.threadfix.uploads import FileError, pieces_of
from tests.memory import peak
from tests.raw import talking
from tests.uploads import (
    APPLICATION,
    FINISHED,
    KEY,
    LINK,
    PLAN,
    TAKEN,
    Counting,
    Incoming,
    client,
    envelope,
    http,
    linked,
    new_file,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.model.history import Receipt


def responding(response: bytes) -> Callable[[Incoming], object]:
    """Return a script that reads the whole request and sends `response`."""
    return lambda incoming: incoming.read().connection.sendall(response)


def uploaded(
    file: ScanFile, *scripts: Callable[[Incoming], object], version: str = "latest"
) -> tuple[Receipt, Counting]:
    """Return the receipt of an upload to a server that plays `scripts`, and the server.

    A file that changed has no digest.
    """
    server, digests = Counting(scripts), list[str]()
    with talking(server.talk) as url:
        receipt = client(url, version=version).upload(APPLICATION, PLAN, file, lambda _, found: digests.extend(found))
    assert not (digests and isinstance(receipt, Failure) and receipt.reason is Reason.USAGE)
    return receipt, server


# --- The receipt for each response.

DATE = b"Date: Tue, 15 Nov 1994 08:12:31 GMT"
OWN = Target(APPLICATION, 41)
SAX = next(refusal for refusal in REFUSALS if "SAXException" in refusal.text)
SECOND = LINK.replace("/41/", "/42/")

TAKEN_AS: dict[str, tuple[bytes, Receipt]] = {
    "unversioned-2.5": (http(linked(LINK.replace("/latest", ""))), Queued((OWN,))),
    "versioned-2.8.8": (http(linked()), Queued((OWN,))),
    "https-host": (http(linked(LINK.replace("http://10.150.1.155:8080", "https://tf.example.com"))), Queued((OWN,))),
    "with-a-session": (http(linked(f"{LINK};jsessionid=0F3A.node-1")), Queued((OWN,))),
    "path-alone": (http(linked("/rest/applications/6/pendingScan/41/status")), Queued((OWN,))),
    "several": (http(linked(LINK, SECOND)), Queued((OWN, Target(APPLICATION, 42)))),
    "twice-the-same": (http(linked(LINK, LINK.replace("http:", "https:"))), Queued((OWN,))),
    "with-other-links": (http(linked("http://tf/rest/latest/applications/6", LINK, "mailto:x")), Queued((OWN,))),
    "link-with-a-scan": (http(envelope(FINISHED, links=[{"href": LINK}])), Queued((OWN,))),
    "refused": (http(refused(SAX.text)), Refused(SAX.text, SAX)),
    **{
        f"refused-with-{code}": (http(refused(SAX.text), b"%d X" % code), Refused(SAX.text, SAX))
        for code in (400, 500, 599)
    },
    "refused-with-500-and-other-words": (http(refused("max_allowed_packet"), b"500 X"), Refused("max_allowed_packet")),
    "refused-in-capitals": (http(refused(f" {REFUSALS[0].text.upper()}  ")),
                            Refused(REFUSALS[0].text.upper(), REFUSALS[0])),
    "refused-in-disguise": (http(refused(REFUSALS[0].text + "\u2028")), Refused(REFUSALS[0].text)),
    "refused-with-other-words": (http(refused("Full: Scan file has already been uploaded.")),
                                 Refused("Full: Scan file has already been uploaded.")),
    "refused-without-a-message": (http(refused("")), Refused("")),
    "refused-with-a-number": (http(refused(5)), Refused("")),
    "refused-with-a-command": (http(refused("::error::no\n##[x]")), Refused("::error::no # #[x]")),
    "refused-although-linked": (http(envelope(success=False, message="No.", links=[{"href": LINK}])), Refused("No.")),
}  # fmt: skip


@pytest.mark.parametrize(("response", "receipt"), TAKEN_AS.values(), ids=TAKEN_AS)
def test_a_response_has_a_receipt(response: bytes, receipt: Receipt, tmp_path: Path) -> None:
    result, server = uploaded(new_file(tmp_path), responding(response))
    assert result == receipt
    assert (server.uploads, len(server.whole)) == (1, 1)


def test_no_disguised_refusal_or_link_is_recognized() -> None:
    for text in (*map(f"{REFUSALS[0].text}{{}}".format, "\t\n\x1f\x85\xa0\u2028"), REFUSALS[0].text.replace("s", "ſ")):
        assert refusal_of(text) is None
    for link in (
        *(LINK.replace("41", f"4{character}1") for character in "\t\n\r\x1f \x7f"),
        *(f"{LINK}{character}" for character in "\t\n\r\x00 "),
        *(f"{character}{LINK}" for character in "\t\n\x1f "),
        *(LINK.replace("41", number) for number in ("0", "latest", "041", "４１", "٤١", "+41", "4_1", "9" * 20)),
        *(LINK.replace("/6/", f"/{number}/") for number in ("06", "2147483648")),
        *(f"{LINK};{parameter}" for parameter in ("v=1", "jsessionid=1/status2", "JSESSIONID")),
        LINK.replace("pendingScan", "PENDINGSCAN"), LINK.replace("/status", "/ſtatus"), LINK.replace("/41", ""),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="is not a status link"):
            status_link(link)


UNCERTAIN = {
    "no-response": (b"", Reason.UNREACHABLE, "closed the connection"),
    "half-a-status-line": (b"HTTP/1.1 20", Reason.UNREACHABLE, "closed the connection"),
    "lost-in-the-headers": (b"HTTP/1.1 200 OK\r\nContent-Le", Reason.UNREACHABLE, "closed the connection"),
    "lost-in-the-body": (TAKEN[:-1], Reason.UNREACHABLE, "closed the connection"),
    "no-http": (b"\x15\x03\x01\x00\x02\x02\x46" * 20, Reason.UNREACHABLE, "closed the connection"),
    **{
        f"{code}": (http(b"<html>", b"%d X" % code), Reason.UNREACHABLE, f"returned HTTP {code}")
        for code in (408, 425, 429, 500, 503)
    },
    "503-and-lost-in-the-body": (
        b"HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\n<", Reason.UNREACHABLE, "returned HTTP 503"
    ),
    "500-with-success": (http(linked(), b"500 X"), Reason.UNREACHABLE, "returned HTTP 500"),
    "503-of-a-proxy-in-json": (http(b'{"message": "down"}', b"503 X"), Reason.UNREACHABLE, "returned HTTP 503"),
    "429-with-a-refusal": (http(refused(SAX.text), b"429 X"), Reason.UNREACHABLE, "HTTP 429"),
    **{f"{code}": (http(linked(), b"%d X" % code), Reason.PROTOCOL, f"returned HTTP {code}") for code in (201, 206)},
    "system-error-page": (http(b"<html><title>System error</title>"), Reason.PROTOCOL, "with the page 'System error'"),
    "half-json": (http(linked()[:-1]), Reason.PROTOCOL, "it is not JSON"),
    "success-as-text": (http(b'{"success": "true"}'), Reason.PROTOCOL, "did not return a ThreadFix response"),
    "links-twice": (
        http(linked().replace(b'"links"', b'"links": [], "links"')), Reason.PROTOCOL, "the same name twice"
    ),
    "links-as-text": (http(envelope(links=LINK)), Reason.PROTOCOL, "returned no usable links"),
    "link-without-href": (http(envelope(links=[{"rel": "related"}])), Reason.PROTOCOL, "returned no usable links"),
    "one-of-two-malformed": (http(linked(LINK, LINK + "x")), Reason.PROTOCOL, "link to a pending scan that"),
    "another-application": (
        http(linked(LINK.replace("/6/", "/7/"))), Reason.PROTOCOL,
        "returned a pending scan 41 of application 7, but the file was uploaded to application 6",
    ),
    "one-of-another-application": (
        http(linked(LINK, SECOND.replace("/6/", "/7/"))), Reason.PROTOCOL, "pending scan 42 of application 7"
    ),
    "too-long": (http(b" " * (1024 * 1024 + 1)), Reason.PROTOCOL, "returned more than 1 MiB"),
}  # fmt: skip
"""Responses after which ThreadFix may or may not have the file."""


@pytest.mark.parametrize(("response", "reason", "text"), UNCERTAIN.values(), ids=UNCERTAIN)
def test_an_uncertain_upload_is_final_and_has_advice(
    response: bytes, reason: Reason, text: str, tmp_path: Path
) -> None:
    failure, server = uploaded(new_file(tmp_path), responding(response))
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.final, failure.unsent) == (reason, True, False)
    assert text in failure.what
    assert failure.what.endswith("Whether ThreadFix has the file is not known.")
    assert advise(failure.kind, failure.doing) == (UPLOAD_UNCERTAIN, UPLOAD_AGAIN)
    assert server.uploads == 1


UNKNOWN_KEY = refused("API Key not found in database.")
DEFINITE = {
    # The response, the reason, and a pattern for the text.
    "401": (http(b"<html>", b"401 X", b"WWW-Authenticate: Basic"), Reason.DENIED, "may not upload"),
    "403": (http(refused("Forbidden"), b"403 X"), Reason.DENIED, "may not upload"),
    **{f"key-with-{code}": (http(UNKNOWN_KEY, b"%d X" % code), Reason.DENIED, "API key") for code in (200, 400, 503)},
    "no-permission": (http(refused("You do not have permission.")), Reason.DENIED, "may not upload"),
    "204": (http(b"", b"204 X"), Reason.PROTOCOL, "nothing of it was taken"),
    "404": (http(b"<html>", b"404 X"), Reason.NOT_FOUND, "no such endpoint"),
    "404-unrecognized": (
        http(refused("Bad rest request due to unrecognized path."), b"404 X"), Reason.NOT_FOUND, "no such endpoint"
    ),
    "410": (http(b"", b"410 X"), Reason.NOT_FOUND, "no such endpoint"),
    "413": (http(b"<html>", b"413 X"), Reason.PROTOCOL, "HTTP 413.*too large.*client_max_body_size"),
    "413-and-lost-in-the-body": (b"HTTP/1.1 413 X\r\nContent-Length: 9\r\n\r\n<", Reason.PROTOCOL, "too large"),
    "400": (http(b"<html>", b"400 X"), Reason.PROTOCOL, "login page or a proxy"),
    "407": (http(b"<html>", b"407 X"), Reason.UNREACHABLE, "login page or a proxy"),
    "302": (
        http(b"", b"302 X", b"Location: /sign-in"), Reason.PROTOCOL, "a redirect to /sign-in.*login page.*context path"
    ),
}  # fmt: skip
"""Responses that mean that ThreadFix does not have the file."""


@pytest.mark.parametrize(("response", "reason", "text"), DEFINITE.values(), ids=DEFINITE)
def test_a_refusal_by_http_status_is_final_and_certain(
    response: bytes, reason: Reason, text: str, tmp_path: Path
) -> None:
    failure, server = uploaded(new_file(tmp_path), responding(response))
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.final, failure.unsent) == (reason, True, False)
    assert "not known" not in failure.what
    meaning, hint = map(str, advise(failure.kind, failure.doing))
    assert meaning.startswith("ThreadFix did not accept the file")
    assert re.search(text, f"{failure.what} {meaning} {hint}")
    assert server.uploads == 1


FINISHED_SCANS: tuple[tuple[dict[str, Any], str], ...] = (
    (FINISHED, "legacy"),
    (FINISHED, ""),
    ({name: value for name, value in FINISHED.items() if name != "findings"}, "legacy"),
    (FINISHED | {"updatedDate": None, "buildId": "7", "numberHiddenVulnerabilities": None}, "legacy"),
    (FINISHED | {"appId": APPLICATION, "application": {"id": APPLICATION, "name": "Shop"}}, "legacy"),
)


@pytest.mark.parametrize(("content", "version"), FINISHED_SCANS)
def test_a_legacy_response_is_a_finished_scan(content: object, version: str, tmp_path: Path) -> None:
    for links, head, date in ({}, (), None), ({"links": []}, (b"200 OK", DATE), 784887151.0):
        response = http(envelope(content, **links), *head)
        receipt, _ = uploaded(new_file(tmp_path), responding(response), version=version)
        assert receipt == Finished(12, date, "OWASP Zed Attack Proxy")


PENDING = {"id": 12, "status": "QUEUED", "error": True, "errorMessage": "No.", "appId": APPLICATION, "scanId": None}
OTHER_OWNERS: tuple[dict[str, Any], ...] = (
    {"appId": 7}, {"appId": "6"}, {"appId": None}, {"appId": True}, {"appId": 6.0}, {"applicationId": 7},
    {"application": {"id": 7}}, {"app": {"id": "6"}}, {"application": {}}, {"application": "Contoso shop"},
)  # fmt: skip
NUMBERS = [name for name in FINISHED if name.startswith("number")]
NOT_FINISHED: list[Any] = [
    "Scan upload process started.",  # by ThreadFix 2.4.5
    None,
    [FINISHED],
    {"id": 12, "name": "Contoso shop", "scans": [FINISHED], "criticalVulnCount": 0},
    PENDING,
    PENDING | {"importTime": 1793613600000, "updatedDate": 1793613600000},
    FINISHED | PENDING,
    *(FINISHED | {name: value}
      for name, value in (("status", "QUEUED"), ("status", None), ("error", False), ("error", True), ("name", "x"))),
    *(FINISHED | owner for owner in OTHER_OWNERS),
    *({field: value for field, value in FINISHED.items() if field != name} for name in FINISHED if name != "findings"),
    *(FINISHED | {name: value}
      for name in ("id", "importTime", "numberTotalVulnerabilities")
      for value in (None, True, False, 12.0, "12", -1, 10**30, [12])),
    *(FINISHED | {name: value}
      for name, value in zip(NUMBERS, (None, True, 0.0, "0", -1, 10**30, [0]) * 2, strict=False)),
    *(FINISHED | {name: 0} for name in ("id", "importTime")),
    *(FINISHED | {"scannerName": value} for value in (None, "", "  ", 5, ["ZAP"])),
]  # fmt: skip


@pytest.mark.parametrize("content", NOT_FINISHED)
def test_only_a_scan_in_its_whole_shape_is_finished(content: object) -> None:
    with pytest.raises(NotThreadFixError):
        finished_scan(parse(envelope(content)), APPLICATION)


@pytest.mark.parametrize(
    ("version", "content"), [("latest", FINISHED), ("v2.3", FINISHED), ("v2.8.8", None), ("legacy", PENDING), ("", [])]
)
def test_success_without_a_link_is_not_a_pass(content: object, version: str, tmp_path: Path) -> None:
    """Only version `legacy` waits for the scan. ThreadFix 2.4.5 returns no link to a pending scan."""
    for links in (None, [], [{"href": "http://tf/rest/applications/6"}]):
        response = http(envelope(content, links=links))
        failure, server = uploaded(new_file(tmp_path), responding(response), version=version)
        assert isinstance(failure, Failure)
        assert (failure.reason, failure.final, server.uploads) == (Reason.PROTOCOL, True, 1)
        assert "took the file" in failure.what
        assert ("nor a finished scan" in failure.what) is (version in {"legacy", ""})
        assert re.search(r"2\.5.*{--api-version", str(advise(failure.kind, failure.doing).hint))


# --- The request.

NAMES = [
    "contoso.fpr", "with blanks and, comma;semicolon.zip", 'with "quotes".txt', "back\\slash.json", "new\nline\r.html",
    "%22 percent %0A.bin", "ümlaut-日本-🎉.pdf", "UPPER.XML", ".xml", "two.xml.gz", "picture.jpeg", "-",
    "@at<less=equals", b"not-\xff-utf-8.svg".decode("utf-8", "surrogateescape"),
]  # fmt: skip
CURL = shutil.which("curl")


def boundary(head: bytes) -> bytes:
    """Return the boundary of a form from the request's header."""
    match = re.search(rb"(?i)content-type: multipart/form-data; boundary=([!-~]{20,70})\r", head + b"\r")
    assert match
    return match[1]


@pytest.mark.skipif(not CURL, reason="curl is missing")
@pytest.mark.parametrize("name", NAMES, ids=[re.sub(r"[^A-Za-z]", "_", name) for name in NAMES])
def test_the_body_is_that_of_curl(name: str, tmp_path: Path) -> None:
    file = new_file(tmp_path, 300_000, name)
    argument = os.fsencode(file.path).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    server = Counting((responding(TAKEN),))
    with talking(server.talk) as url:
        endpoint = f"{url}/rest/latest/applications/{APPLICATION}/upload"
        assert client(url).upload(APPLICATION, PLAN, file, lambda *_: None) == Queued((OWN,))
        command: list[str | bytes] = [str(CURL), "--silent", "--fail", "--form", b'file=@"%s"' % argument, endpoint]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    (ours, body), (theirs, curls) = server.whole
    assert boundary(ours) != boundary(theirs)
    assert body.replace(boundary(ours), b"X") == curls.replace(boundary(theirs), b"X")
    assert body.count(boundary(ours)) == 2


def test_the_request_has_the_parts_that_threadfix_needs(tmp_path: Path) -> None:
    """The progress is in bytes of the file. The file's digest follows all of them."""
    server, sent = Counting((responding(TAKEN),)), list[tuple[int, tuple[str, ...]]]()
    file = new_file(tmp_path, 300_000)
    with talking(server.talk) as url:
        client(url).upload(APPLICATION, PLAN, file, lambda *now: sent.append(now))
    ((head, body),) = server.whole
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST /threadfix/rest/latest/applications/{APPLICATION}/upload HTTP/1.1"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["authorization"] == f"apikey {KEY}"
    assert headers["accept"] == "application/json"
    assert headers["content-length"] == str(len(body))
    assert not {"transfer-encoding", "expect", "cookie"} & set(headers)
    digest = hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
    assert sent == [(256 * 1024, ()), (300_000, ()), (300_000, (digest,))]


def drained(incoming: Incoming) -> None:
    """Read an upload without keeping it."""
    incoming.read(0)
    left = (incoming.length or 0) - len(incoming.body)
    while left > 0:
        left -= len(incoming.connection.recv(65536))
    incoming.connection.sendall(TAKEN)


@pytest.mark.parametrize("number", [1, 2])
def test_memory_does_not_grow_with_the_files(number: int, tmp_path: Path) -> None:
    with talking(Counting((drained,)).talk) as url:
        uploader, peaks = client(url), []
        for size in (1_000_000, 30_000_000):
            files = [new_file(tmp_path, size // number, f"{size}-{part}") for part in range(number)]
            file = files[0] if number == 1 else one_scan(files)
            peaks.append(peak(lambda file=file: uploader.upload(APPLICATION, PLAN, file, lambda *_: None)))  # type: ignore[misc]
    assert peaks[1] < peaks[0] + 2_000_000


# --- A file that has changed.


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
def test_a_file_that_is_gone_or_another_is_not_sent(tmp_path: Path) -> None:
    """A pipe without a writer would not let itself be opened."""
    gone, other, pipe = (new_file(tmp_path, 50, name) for name in ("gone", "other", "pipe"))
    Path(gone.path).unlink()
    Path(other.path).write_bytes(b"<scan/>")
    Path(pipe.path).unlink()
    os.mkfifo(pipe.path)
    for file, text in (
        (gone, "can no longer be opened"),
        (other, "had 50 bytes when the gate started, and now has 7"),
        (pipe, "no longer is"),
    ):
        failure, server = uploaded(file, responding(TAKEN))
        assert isinstance(failure, Failure)
        assert (failure.reason, failure.final, failure.unsent) == (Reason.USAGE, True, True)
        assert text in failure.what
        assert "nothing of it was sent" in str(advise(failure.kind, failure.doing).meaning)
        assert server.connections == 0


SIZE = 24 * 1024 * 1024


def rewritten(path: str) -> None:
    """Write other content of the same size into the file."""
    with open(path, "r+b") as file:  # noqa: PTH123 - in place
        file.seek(SIZE - 100)
        file.write(b"x" * 100)


def replaced(path: str) -> None:
    """Replace the file with another file of the same size and time."""
    state = Path(path).stat()
    other = new_file(Path(path).parent, SIZE, "new").path
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    Path(other).replace(path)


CHANGES: dict[str, tuple[Callable[[str], object], str]] = {
    "emptied": (lambda path: os.truncate(path, 0), "shorter"),
    "cut": (lambda path: os.truncate(path, SIZE // 2), "shorter"),
    "appended": (lambda path: os.truncate(path, SIZE + 1), "changed or replaced"),
    "doubled": (lambda path: os.truncate(path, SIZE * 2), "changed or replaced"),
    "rewritten": (rewritten, "changed or replaced"),
    "touched": (lambda path: os.utime(path, (1, 1)), "changed or replaced"),
    "replaced": (replaced, "changed or replaced"),
    "removed": (lambda path: Path(path).unlink(), "no longer be found"),
}


@pytest.mark.parametrize(("change", "text"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_while_it_is_sent_never_looks_whole(
    change: Callable[[str], object], text: str, tmp_path: Path
) -> None:
    file = new_file(tmp_path, SIZE)

    def script(incoming: Incoming) -> None:
        incoming.read(1)
        change(file.path)
        while piece := incoming.connection.recv(1024 * 1024):
            incoming.body += piece

    failure, server = uploaded(file, script)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.final, failure.unsent) == (Reason.USAGE, True, False)
    assert re.search(f"^the file .*{text}", failure.what)
    assert "does not have the whole file" in str(advise(failure.kind, failure.doing).meaning)
    assert (server.uploads, server.whole) == (1, [])


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/mem is not of every POSIX system")
def test_a_file_that_cannot_be_read_is_no_error_of_the_network() -> None:
    # The beginning of this file cannot be read.
    with (
        open("/proc/self/mem", "rb", buffering=0) as broken,  # noqa: PTH123 - unbuffered
        pytest.raises(FileError, match="can no longer be read"),
    ):
        list(pieces_of(broken, ScanFile(broken.name, 10, broken.name)))

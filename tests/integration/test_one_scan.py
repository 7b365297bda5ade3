"""Parts of one scan, over real sockets: one upload for all, duplicates by date, and the rules of a release."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gate.model.history import Failure, Queued
from gate.model.reasons import Reason
from gate.model.subjects import ScanFile, Target, one_scan
from gate.threadfix.refusals import UNRECOGNIZED
from tests.raw import talking
from tests.uploads import (
    APPLICATION,
    FINISHED,
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
    import socket
    from collections.abc import Mapping, Sequence

    from gate.model.history import Receipt
    from tests.conftest import Gate, Ran

ENV = {"THREADFIX_TIMEOUT": "20s", "THREADFIX_FIRST_CONTACT_LIMIT": "50ms", "THREADFIX_OUTAGE_LIMIT": "50ms"}
DUPLICATE = "Scan file has already been uploaded."
EMPTY = "The scan file contained 0 results."
ZAP, FINDBUGS = "OWASP Zed Attack Proxy", "FindBugs"
SENT = b"Date: Thu, 03 Oct 2019 15:50:33 GMT"
NOW = 1_570_117_833_000
"""The same moment in milliseconds."""


def dated(body: bytes) -> bytes:
    """Return a complete response with its date."""
    return http(body, b"200 OK", SENT)


def accepted(*numbers: int) -> bytes:
    """Return the response to an upload that was queued as these pending scans."""
    return dated(linked(*(LINK.replace("/41/", f"/{number}/") for number in numbers)))


def status(word: str = "DONE", **fields: object) -> bytes:
    """Return a response about a pending scan."""
    return dated(envelope({"status": word, "error": False, "appId": APPLICATION} | fields))


def done(scan_id: int | None = None, *names: object) -> bytes:
    """Return a response about a pending scan that is processed, with the names of its files."""
    return status(scanId=scan_id, fileDataList=[{"id": 1, "originalName": name} for name in names], modifiedDate=NOW)


def duplicate(*names: str) -> bytes:
    """Return a response about a pending scan that is a duplicate."""
    return status(error=True, errorMessage=DUPLICATE, fileDataList=[{"originalName": name} for name in names])


def listed(*scans: tuple[int, object]) -> bytes:
    """Return the application's scans with their scanners."""
    entries = [{"id": number, "updatedDate": NOW, "scannerName": name} for number, name in scans]
    return dated(envelope(entries))


def rule(word: str = "PASSING") -> bytes:
    """Return the status of every policy."""
    policy = {"id": 3, "name": "Release", "filterName": "Release"}
    return dated(envelope([{"currentStatus": word, "lastEvaluated": NOW, "policy": policy}]))


@dataclass
class Played:
    """A ThreadFix that plays responses.

    Attributes:
        uploads: the responses to uploads, in their order.
        polls: the response about each pending scan.
        scans: the response with the application's scans.
        rules: the response with the policies.
        requests: the path of each request after the application, with the method.
    """

    uploads: Sequence[bytes] = ()
    polls: Mapping[int, bytes] = field(default_factory=dict)
    scans: bytes = http(b"", b"503 X")
    rules: bytes = rule()
    requests: list[str] = field(default_factory=list)

    def talk(self, connection: socket.socket) -> None:
        """Serve one request."""
        head = Incoming(connection, threading.Event()).read().head
        match = re.match(rb"([A-Z]+) /threadfix/rest/(?:\w+/)?applications/6(/[^ ]*)? HTTP", head)
        assert match
        method, path = match[1].decode(), (match[2] or b"").decode()
        if method == "POST":
            response = self.uploads[sum(request.startswith("POST") for request in self.requests)]
        elif number := re.match(r"/pendingScan/([0-9]+)/status", path):
            response = self.polls[int(number[1])]
        else:
            described = http(envelope({"id": APPLICATION, "name": "Shop"}))
            response = {"": described, "/scans": self.scans, "/policyStatuses": self.rules}[path]
        self.requests.append(f"{method} {path}")
        connection.sendall(response)


@dataclass
class Run:
    """Runs the gate; `ran` is the newest run, and `advice` its advice."""

    gate: Gate
    ran: Ran = field(init=False)

    def __call__(self, server: Played, *args: str, files: str = "") -> str:
        """Return the reason of the verdict, or `pass`."""
        for name in files.split():
            Path(name).write_text(name)
        names = ("--scan-file", files.replace(" ", "\n")) if files else ()
        with talking(server.talk) as url:
            self.ran = self.gate("--url", url, *names, *args, env=ENV)
        return "pass" if self.ran.document["verdict"] == "pass" else str(self.ran.document["reason"])

    @property
    def advice(self) -> str:
        return self.ran.document["hint"] or ""


@pytest.fixture
def run(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(gate.folder)
    return Run(gate)


# --- Duplicates: ThreadFix compares dates, not content.

REFUSED, REFUSED_EMPTY = http(refused(DUPLICATE)), http(refused(EMPTY))
LOST, DENIED = b"", http(b"<html>", b"403 X")
FOUND_EMPTY = status(error=True, errorMessage=EMPTY)
LEGACY = dated(envelope(FINISHED))

CONTESTS: dict[str, tuple[str, list[bytes], dict[int, bytes], str]] = {
    # The files, the responses to their uploads, the responses about their pending scans, and the reason.
    "refused-after-a-scan": ("a.xml b.xml", [accepted(41), REFUSED], {41: done()}, "upload-refused"),
    "refused-before-a-scan": ("a.xml b.xml", [REFUSED, accepted(41)], {41: done()}, "upload-refused"),
    "queued-after-a-scan": ("a.xml b.xml", [accepted(41), accepted(42)], {41: done(), 42: duplicate()}, "scan-failed"),
    "queued-before-a-scan": ("a.xml b.xml", [accepted(41), accepted(42)], {41: duplicate(), 42: done()}, "scan-failed"),
    "in-capitals": ("a.xml b.XML", [accepted(41), REFUSED], {41: done()}, "upload-refused"),
    "without-an-extension": ("a b", [accepted(41), REFUSED], {41: done()}, "upload-refused"),
    "next-to-a-lost-upload": ("a.xml b.xml", [LOST, REFUSED], {}, "upload-refused"),
    "next-to-an-undecided-scan": ("a.xml b.xml", [accepted(41), REFUSED], {41: status("QUEUED")}, "upload-refused"),
    "next-to-a-finished-scan": ("a.xml b.xml", [LEGACY, REFUSED], {}, "upload-refused"),
    "two-scans-for-one-file": ("a.xml", [accepted(41, 42)], {41: done(), 42: duplicate()}, "scan-failed"),
    "next-to-a-denied-upload": ("a.xml b.xml", [DENIED, REFUSED], {}, "denied"),
    "next-to-another-extension": ("a.xml b.fpr", [accepted(41), REFUSED], {41: done()}, "pass"),
    "next-to-a-duplicate": ("a.xml b.xml", [REFUSED, accepted(41)], {41: duplicate()}, "pass"),
    "next-to-an-empty-scan": ("a.xml b.xml", [accepted(41), REFUSED], {41: FOUND_EMPTY}, "pass"),
    "an-empty-scan-next-to-a-scan": ("a.xml b.xml", [accepted(41), REFUSED_EMPTY], {41: done()}, "pass"),
}


@pytest.mark.parametrize(("files", "uploads", "polls", "reason"), CONTESTS.values(), ids=CONTESTS)
def test_a_duplicate_is_not_accepted_next_to_a_scan_of_its_type(
    files: str, uploads: list[bytes], polls: dict[int, bytes], reason: str, run: Run
) -> None:
    version = "legacy" if LEGACY in uploads else "latest"
    args = ("--accept", "duplicate,empty", "--timeout", "0", "--api-version", version)
    assert run(Played(uploads, polls), *args, files=files) == reason
    assert ("--one-scan" in run.advice) is (reason in {"upload-refused", "scan-failed"}), run.ran.document
    extensions = [Path(name).suffix.lower() for name in files.split()]
    assert ("several files have the same extension" in run.ran.err) is (len(extensions) > len(set(extensions)))


@pytest.mark.parametrize(
    ("names", "reason"),
    [(("a.xml", "b.xml"), "scan-failed"), (("a.xml", "b.fpr"), "pass"),
     ((None, "b.fpr"), "scan-failed"), (("a.xml", ""), "scan-failed")],
)  # fmt: skip
def test_scans_given_by_id_are_compared_by_the_names_of_their_files(
    names: tuple[str, str], reason: str, run: Run
) -> None:
    """A name that ThreadFix does not send may be any name."""
    polls = {41: done(12, names[0]), 42: duplicate(names[1])}
    assert run(Played(polls=polls), "--pending-scan-id", "41,42", "--accept", "duplicate") == reason


def test_an_earlier_duplicate_may_be_of_any_type(run: Run) -> None:
    """Only its response is known, and not its file."""
    Path("response").write_bytes(refused(DUPLICATE))
    earlier = ("--upload-response", "response", "--accept", "duplicate")
    assert run(Played(), *earlier) == "pass"
    assert run(Played([accepted(41)], {41: done()}), *earlier, files="a.xml") == "upload-refused"


# --- Several files as one scan.


def multi(names: Sequence[ScanFile], *scripts: Any) -> tuple[Receipt, Counting, list[tuple[int, tuple[str, ...]]]]:  # noqa: ANN401
    """Return the receipt of one upload of several files, the server, and the progress."""
    server, sent = Counting(scripts), list[tuple[int, tuple[str, ...]]]()
    with talking(server.talk) as url:
        receipt = client(url).upload(APPLICATION, PLAN, one_scan(names), lambda *now: sent.append(now))
    return receipt, server, sent


def test_several_files_are_one_form_of_a_known_length(tmp_path: Path) -> None:
    files = [new_file(tmp_path, size, name) for name, size in (("b.xml", 300_000), ("a.XML", 7))]
    receipt, server, sent = multi(files, lambda incoming: incoming.read().connection.sendall(TAKEN))
    assert receipt == Queued((Target(APPLICATION, 41),))
    ((head, body),) = server.whole
    assert head.startswith(b"POST /threadfix/rest/latest/applications/6/upload/multi HTTP/1.1\r\n")
    boundary = re.search(rb"boundary=(\S+)", head)
    assert boundary
    fields = body.split(b"--" + boundary[1])
    assert (fields[0], fields[-1]) == (b"", b"--\r\n")
    for part, file in zip(fields[1:-1], files, strict=True):
        named = b'\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n' % Path(file.path).name.encode()
        assert part.startswith(named + b"Content-Type: application/xml\r\n\r\n")
        assert part.endswith(b"\r\n\r\n" + Path(file.path).read_bytes() + b"\r\n")
    assert sent == sorted(sent)
    digests = tuple(hashlib.sha256(Path(file.path).read_bytes()).hexdigest() for file in files)
    assert sent[-1] == (300_007, digests)


@pytest.mark.parametrize("changed", [0, 1])
def test_a_part_that_changes_breaks_the_form_off(changed: int, tmp_path: Path) -> None:
    files = [new_file(tmp_path, 24 * 1024 * 1024, name) for name in ("a.xml", "b.xml")]

    def script(incoming: Incoming) -> None:
        incoming.read(1)
        with Path(files[changed].path).open("ab") as file:
            file.write(b"x")
        while piece := incoming.connection.recv(1024 * 1024):
            incoming.body += piece

    receipt, server, sent = multi(files, script)
    assert isinstance(receipt, Failure)
    assert (receipt.reason, receipt.final, receipt.unsent) == (Reason.USAGE, True, False)
    assert receipt.what.startswith(f"the file {files[changed].shown} ")
    assert not any(digests for _, digests in sent)
    assert (server.uploads, server.whole) == (1, [])


ONE_SCAN: dict[str, tuple[str, bytes, str, str]] = {
    # The files, the response to their upload, the reason and a part of the advice.
    "queued": ("a.xml b.xml", accepted(41), "pass", ""),
    "several-scans": ("a.xml b.xml", accepted(41, 42), "pass", ""),
    "a-single-file": ("a.xml", accepted(41), "pass", ""),
    "a-duplicate": ("a.xml b.xml", REFUSED, "upload-refused", "--accept duplicate"),
    "another-type": ("a.xml b.fpr", http(refused("Scans are not of the same type.")), "upload-refused", "separately"),
    "no-endpoint": ("a.xml b.xml", http(refused(UNRECOGNIZED), b"404 X"), "not-found", "omit --one-scan"),
    "no-endpoint-by-tomcat": ("a.xml b.xml", http(b"<html>", b"404 X"), "not-found", "omit --one-scan"),
    "no-endpoint-with-200": ("a.xml b.xml", http(refused(UNRECOGNIZED)), "upload-refused", "Without `--one-scan`"),
    "lost": ("a.xml b.xml", LOST, "unreachable", "--accept duplicate"),
}


@pytest.mark.parametrize(("files", "response", "reason", "advice"), ONE_SCAN.values(), ids=ONE_SCAN)
def test_one_scan_is_one_request(files: str, response: bytes, reason: str, advice: str, run: Run) -> None:
    server = Played([response], {41: done(12), 42: done(13)})
    assert run(server, "--one-scan", files=files) == reason
    assert advice in run.advice
    path = "/upload/multi" if " " in files else "/upload"
    assert [request for request in server.requests if request.startswith("POST")] == [f"POST {path}"]
    assert [upload["file"] for upload in run.ran.document["uploads"]] == files.split()
    digests = {hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in files.split()}
    assert {upload["sha256"] for upload in run.ran.document["uploads"]} == digests
    assert "same extension" not in run.ran.err


def test_many_parts_have_a_short_name(run: Run) -> None:
    assert run(Played([REFUSED]), "--one-scan", files="a.x b.x c.x d.x e.x") == "upload-refused"
    assert run.ran.document["message"].startswith("upload of a.x, b.x, c.x and 2 more: refused")


# --- The rules of a release.

BOTH = {41: done(12, "a.xml"), 42: done(13, "b.xml")}
TWO = ("a.xml b.xml", [accepted(41), accepted(42)])
MIXED = ("a.xml b.fpr", [accepted(41), accepted(42)])
ZAP_TWICE, DIFFERENT, NAMELESS = (listed((12, ZAP), (13, name)) for name in (ZAP, FINDBUGS, " "))
NO_LIST, NOT_LISTED = http(b"", b"503 X"), b""

PARTS: dict[str, tuple[tuple[str, list[bytes]], dict[int, bytes], bytes, str, str]] = {
    # The files with the responses to their uploads, the pending scans, the listed scans, the reason, a text.
    "one-scanner": (TWO, BOTH, ZAP_TWICE, "policy-unknown", "may be parts of one scan"),
    "one-scanner-of-two-types": (MIXED, BOTH, ZAP_TWICE, "policy-unknown", "--one-scan"),
    "two-scanners": (TWO, BOTH, DIFFERENT, "pass", ""),
    "an-unknown-scanner": (TWO, BOTH, NAMELESS, "policy-unknown", "may be parts of one scan"),
    "an-unknown-scanner-of-two-types": (MIXED, BOTH, NAMELESS, "pass", ""),
    "unlisted-scans": (TWO, BOTH, listed((9, ZAP)), "policy-unknown", "may be parts of one scan"),
    **{
        f"an-id-with-two-scanners-{number}": (TWO, BOTH, listed((13, ZAP), *names), "policy-unknown", "may be parts")
        for number, names in enumerate(
            ([(12, ZAP), (12, FINDBUGS)], [(12, FINDBUGS), (12, ZAP)], [(12, ""), (12, FINDBUGS)])
        )
    },
    "no-scan-ids": (MIXED, {41: done(), 42: done()}, ZAP_TWICE, "pass", ""),
    "no-scan-ids-of-one-type": (TWO, {41: done(), 42: done()}, DIFFERENT, "policy-unknown", "--one-scan"),
    "one-scan-of-two": (TWO, {41: done(12), 42: done(12)}, NOT_LISTED, "pass", ""),
    "no-list": (MIXED, BOTH, NO_LIST, "policy-unknown", "could not be listed (127.0.0.1"),
    "no-list-with-an-envelope": (MIXED, BOTH, http(refused("Down."), b"500 X"), "policy-unknown", "Down"),
    "no-list-by-refusal": (MIXED, BOTH, http(refused("No.")), "policy-unknown", "could not be listed"),
    "two-duplicates": (("a.xml b.xml", [REFUSED, REFUSED]), {}, ZAP_TWICE, "policy-unknown", "may be parts"),
    "two-duplicates-of-two-types": (("a.xml b.fpr", [REFUSED, REFUSED]), {}, ZAP_TWICE, "pass", ""),
    "a-duplicate-and-a-scan": (("a.xml b.fpr", [REFUSED, accepted(41)]), BOTH, ZAP_TWICE, "pass", ""),
    "two-queued-duplicates": (TWO, {41: duplicate(), 42: duplicate()}, ZAP_TWICE, "policy-unknown", "may be parts"),
    # With one scan, the scans are not listed.
    "an-empty-scan": (TWO, {41: done(12), 42: FOUND_EMPTY}, NOT_LISTED, "pass", ""),
    "an-empty-file": (("a.xml b.xml", [accepted(41), REFUSED_EMPTY]), BOTH, NOT_LISTED, "pass", ""),
    "one-file": (("a.xml", [accepted(41)]), BOTH, NOT_LISTED, "pass", ""),
}


@pytest.mark.parametrize(("uploaded", "polls", "scans", "reason", "text"), PARTS.values(), ids=PARTS)
def test_a_rule_holds_only_if_no_two_scans_may_be_of_one_scanner(  # noqa: PLR0913, PLR0917 - a row
    uploaded: tuple[str, list[bytes]], polls: dict[int, bytes], scans: bytes, reason: str, text: str, run: Run
) -> None:
    server = Played(uploaded[1], polls, scans)
    args = ("--policy", "all", "--accept", "duplicate,empty", "--settle-timeout", "0")
    assert run(server, *args, files=uploaded[0]) == reason, run.ran.err
    assert text in f"{run.ran.document['message']} {run.ran.document['hint']}"
    assert ("GET /scans" in server.requests) is (scans != NOT_LISTED)


@pytest.mark.parametrize(("word", "reason"), [("FAILING", "policy-failed"), ("PASSING", "policy-unknown")])
def test_with_the_time_to_settle_a_rule_that_fails_stays_failed(word: str, reason: str, run: Run) -> None:
    assert run(Played(TWO[1], BOTH, ZAP_TWICE, rule(word)), "--policy", "all", files=TWO[0]) == reason


def test_scans_given_by_id_may_be_parts_too(run: Run) -> None:
    args = ("--pending-scan-id", "41,42", "--policy", "all")
    for second, scans, reason in (
        ("b.xml", NAMELESS, "policy-unknown"),
        ("b.fpr", NAMELESS, "pass"),
        ("b.fpr", ZAP_TWICE, "policy-unknown"),
    ):
        assert run(Played(polls={41: done(12, "a.xml"), 42: done(13, second)}, scans=scans), *args) == reason


@pytest.mark.parametrize(("scanner", "reason"), [(ZAP, "policy-unknown"), (FINDBUGS, "pass")])
def test_a_legacy_response_names_the_scanner(scanner: str, reason: str, run: Run) -> None:
    names = enumerate((ZAP, scanner))
    uploads = [dated(envelope(FINISHED | {"id": 12 + number, "scannerName": name})) for number, name in names]
    args = ("--api-version", "legacy", "--policy", "all", "--settle-timeout", "0")
    no_scans = dated(refused(f"No scans associated with application: {APPLICATION}"))
    assert run(Played(uploads, scans=no_scans), *args, files="a.xml b.xml") == reason


@pytest.mark.parametrize(
    ("response", "polls"), [(REFUSED, {}), (accepted(41), {41: duplicate("a.xml")})], ids=["refused", "queued"]
)
def test_a_duplicate_of_several_files_needs_a_new_scan(response: bytes, polls: dict[int, bytes], run: Run) -> None:
    args = ("--one-scan", "--accept", "duplicate")
    assert run(Played([response], polls), *args, files="a.xml b.xml") == "pass"
    server = Played([response], polls, ZAP_TWICE)
    assert run(server, *args, "--policy", "all", files="a.xml b.xml") == "policy-unknown"
    assert "may lack files" in run.ran.document["message"]
    assert run.advice.startswith("Run the scanner again")


def test_several_links_made_several_scans(run: Run) -> None:
    server = Played([accepted(41, 42)], {41: done(12), 42: done(13)}, ZAP_TWICE)
    assert run(server, "--one-scan", "--policy", "all", files="a.xml b.xml") == "policy-unknown"
    assert "pending scan 41 (a.xml, b.xml) and pending scan 42 (a.xml, b.xml) may be" in run.ran.document["message"]


def test_a_duplicate_of_several_files_is_known_by_their_names_too(run: Run) -> None:
    """ThreadFix names the files of a pending scan that is given by its id."""
    server = Played(polls={41: duplicate("a.xml", "b.xml")}, scans=ZAP_TWICE)
    assert run(server, "--pending-scan-id", "41", "--accept", "duplicate", "--policy", "all") == "policy-unknown"
    assert "may lack files" in run.ran.document["message"]


@pytest.mark.parametrize(("rules", "resumable"), [((), True), (("--policy", "all"), False)])
def test_a_timeout_after_an_accepted_duplicate_offers_no_resume_for_rules(
    rules: tuple[str, ...], *, resumable: bool, run: Run
) -> None:
    """A resumed run does not know the duplicate."""
    server = Played([REFUSED, accepted(41)], {41: status("QUEUED")})
    assert run(server, "--accept", "duplicate", "--timeout", "0", *rules, files="a.fpr b.xml") == "timeout"
    assert bool(run.ran.document["resume"]) is resumable
    assert run.advice.startswith("Allow more time" if resumable else "Run the gate again with the same files")

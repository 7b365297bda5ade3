"""Property of whole runs over sockets: exit code 0 only if ThreadFix reported success for this run's uploads.

A server plays drawn responses, each with the truth about it. The oracle uses only the truth, and no code of the gate.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gate.cli import main
from tests.raw import talking
from tests.uploads import FINISHED, KEY, Incoming, envelope, http, refused

if TYPE_CHECKING:
    import socket

APPLICATION: Final = 6
NUMBERS: Final = range(41, 45)
SENT: Final = 1_795_000_000
"""The `Date` of the responses, in seconds since the epoch."""
ENV: Final = {
    "THREADFIX_API_KEY": KEY,
    "THREADFIX_APPLICATION_ID": str(APPLICATION),
    "THREADFIX_TIMEOUT": "30s",
    "THREADFIX_INTERVAL": "10ms",
    "THREADFIX_MAX_INTERVAL": "10ms",
    "THREADFIX_FIRST_CONTACT_LIMIT": "50ms",
    "THREADFIX_OUTAGE_LIMIT": "50ms",
    "THREADFIX_ON_UNKNOWN_STATUS": "fail",
}
BOTH: Final = (True, False)
NEITHER: Final[tuple[Any, ...]] = (None, 0, 1, 6.0, "6", "true", "false", [], {}, 10**30)
"""Values of wrong types."""


@dataclass(frozen=True)
class Status:
    """A response about a pending scan."""

    content: bytes
    word: str | None = None  # the status that it truly reports, in capitals; None if it reports no status
    bad: bool = False  # whether it reports an error
    age: float | None = None  # seconds between its two dates; None if a date is missing
    again: bool = False  # whether it reports that ThreadFix has a scan with this date already

    @property
    def is_final(self) -> bool:
        """Whether the scan has ended."""
        return self.word is not None and (self.bad or self.word not in {"QUEUED", "CHANNEL_MERGING"})

    @property
    def is_success(self) -> bool:
        """Whether the scan was processed."""
        return self.word in {"DONE", "FINISHED_FINDING_PULLING"} and not self.bad


@dataclass(frozen=True)
class Taken:
    """A response to an upload."""

    content: bytes
    numbers: tuple[int, ...] | None = None  # the pending scans that it truly names; () if processed, None if unclear
    scan_id: int | None = None  # the finished scan that it truly names
    again: bool = False  # whether it refuses the file because ThreadFix has a scan with its date already


class Flawed:
    """Chooses the values of a response, with at most one flaw in the values with these names."""

    def __init__(self, draw: st.DrawFn, *names: str) -> None:
        self._draw = draw
        self._flaw = draw(st.sampled_from([*[""] * 2 * len(names), *names]))

    def pick(self, name: str, good: object, *others: object) -> Any:  # noqa: ANN401 - JSON
        """Return `good`, or another value if this value is flawed."""
        return self._draw(st.sampled_from(others)) if self._flaw == name else good


# --- Status responses.

DISGUISES: Final = "\x00\t\n\x1f\x7f\x85\xa0\u200b\u2028\ufeffxſ"
blanks = st.sampled_from(["", "", "", " ", "  "])
AGAIN: Final = "Scan file has already been uploaded."
texts = st.sampled_from([AGAIN] * 6 + [f" {AGAIN.upper()} ", f"{AGAIN}\t", f"'{AGAIN}'", AGAIN[:-1], "Full.", ""])
words = st.sampled_from(["DONE"] * 6 + ["done", "Finished_Finding_Pulling", "QUEUED", "SCAN_DELETED", "DON", "NEW"])
ages = st.sampled_from(
    [0, 1, 60, 500, 700, 3600, 72_000, 10**6, 10**8, SENT - SENT // 1000, SENT - 0.001, -3600, -(10**9)]
)


@st.composite
def statuses(draw: st.DrawFn) -> Status:
    """Draw a response to a poll."""
    pick = Flawed(draw, "before", "after", "status", "error", "appId", "success", "code", "Date", "modifiedDate").pick
    before, after = pick("before", "", *DISGUISES), pick("after", "", *DISGUISES)
    status = pick("status", draw(blanks) + before + draw(words) + after + draw(blanks), *NEITHER)
    error = pick("error", draw(st.sampled_from([False, False, False, True])), *NEITHER)
    owner = pick("appId", APPLICATION, 7, 1, -6, 60, 12, *NEITHER)
    success = pick("success", *BOTH, *NEITHER)
    code = pick("code", b"200 OK", b"201 X", b"202 X", b"206 X", b"302 X", b"404 X", b"500 X")
    content = {"status": status, "error": error, "appId": owner, "id": draw(st.sampled_from([41, 2, None]))}
    content["errorMessage"] = text = draw(texts)
    age = draw(ages)
    modified = round((SENT - age) * 1000)
    stated = pick("modifiedDate", modified, None, "x", *BOTH, -1, 1.5, float(SENT * 1000), 2**63, 10**40)
    dated = pick("Date", formatdate(SENT, usegmt=True), "now", "", None)
    if draw(st.booleans()):
        content["modifiedDate"] = stated
    dates = [] if dated is None else [f"Date: {dated}".encode()]
    response = http(envelope(content, success=success), code, *dates)
    known = dated not in ("now", "", None) and content.get("modifiedDate") is modified
    is_ours = (
        code == b"200 OK"
        and success is True
        and type(error) is bool
        and type(owner) is int
        and owner == APPLICATION
        and isinstance(status, str)
        and not before + after.strip("x")
    )
    if not is_ours:
        return Status(response)
    again = error and text.strip(" ").upper() == AGAIN.upper()
    return Status(response, status.strip(" ").upper(), error, age if known else None, again)


# --- Responses to uploads.

hosts = st.sampled_from([
    "http://10.150.1.155:8080/threadfix/rest/latest", "https://tf.example.com/rest", "", "/threadfix/rest/v2.8.8",
    "http://evil.example/applications/7/pendingScan/9/status", "//user:x@[::1]:99/x",
])  # fmt: skip
numbers = st.sampled_from([*NUMBERS])


@st.composite
def links(draw: st.DrawFn) -> tuple[str, int | None]:
    """Draw a link, and the pending scan that it truly names."""
    pick = Flawed(draw, "owner", "number", "end").pick
    number = draw(numbers)
    owner = pick("owner", str(APPLICATION), "7", "60", "06", "1", "６", "+6", "")
    written = pick(
        "number", str(number), f"4\n{number % 10}", f"0{number}", f"{number}.0", f" {number}", "４１", "x", "-41"
    )
    end = pick("end", draw(st.sampled_from(["/status", "/status/"])), "", "/statu", "/status\n", "/ſtatus", "/status/x")
    link = f"{draw(hosts)}/applications/{owner}/pendingScan/{written}{end}"
    is_own = (owner, written) == (str(APPLICATION), str(number)) and end in ("/status", "/status/")
    return link, number if is_own else None


@st.composite
def uploads(draw: st.DrawFn, version: str) -> Taken:
    """Draw a response to an upload."""
    pick = Flawed(draw, "success", "code", "object", "forbidden", "field", "cut").pick
    if draw(st.booleans()):
        codes = [b"200 OK"] * 4 + [b"400 X", b"500 X", b"503 X", b"404 X", b"202 X"]
        text, code = draw(texts), draw(st.sampled_from(codes))
        again = text.strip(" ").upper() == AGAIN.upper() and code[:3] in {b"200", b"400", b"500", b"503"}
        return Taken(http(refused(text), code), again=again)
    success = pick("success", *BOTH, *NEITHER)
    code = pick("code", b"200 OK", b"201 X", b"202 X", b"204 X", b"307 X", b"401 X", b"404 X", b"500 X", b"503 X")
    whole: dict[str, Any] = FINISHED | {"id": draw(numbers)}
    if draw(st.booleans()):
        drawn = draw(st.lists(links(), min_size=1, max_size=2))
        body, true = envelope(success=success, links=[{"href": link} for link, _ in drawn]), [n for _, n in drawn]
    else:
        scan = whole | pick("forbidden", {}, {"status": "QUEUED"}, {"error": True}, {"name": "x"}, {"appId": 7})
        field = pick("field", "", *(name for name in FINISHED if name != "findings"))
        scan |= {field: draw(st.sampled_from((-1, True, *NEITHER[3:])))} if field else {}
        scan = pick("object", scan, "Scan upload process started.", None, [scan], {"id": 12, "name": "Shop"})
        body, true = envelope(scan, success=success), [] if scan == whole and version != "latest" else [None]
    content = http(body, code)
    content = pick("cut", content, content[:-3], b"", http(b"<html>"))
    is_ours = code == b"200 OK" and success is True and content.endswith(b"}") and None not in true
    if not is_ours:
        return Taken(content)
    return Taken(content, tuple(number for number in true if number), None if true else whole["id"])


@dataclass
class Played:
    """A ThreadFix that plays drawn responses."""

    taken: list[Taken]  # the responses to uploads, in order
    polls: dict[int, list[Status]]  # the responses about each pending scan; the last is repeated
    owner: object = APPLICATION  # the id of the application that it describes before the upload
    posts: int = 0  # the number of uploads
    served: dict[int, list[Status]] = field(
        default_factory=lambda: defaultdict(list)
    )  # the responses to the polls so far
    strange: list[bytes] = field(default_factory=list)  # requests that no run should make

    def talk(self, connection: socket.socket) -> None:
        """Serve one request."""
        head = Incoming(connection, threading.Event()).read().head
        poll = re.search(rb"GET /threadfix/rest/(?:\w+/)?applications/6/pendingScan/([0-9]+)/status HTTP", head)
        if head.startswith(b"POST "):
            self.posts += 1
            connection.sendall(self.taken[self.posts - 1].content)
        elif poll and int(poll[1]) in self.polls:
            served = self.served[int(poll[1])]
            responses = self.polls[int(poll[1])]
            served.append(responses[min(len(served), len(responses) - 1)])
            connection.sendall(served[-1].content)
        elif re.match(rb"GET /threadfix/rest/(?:\w+/)?applications/6 HTTP", head):
            connection.sendall(http(envelope({"id": self.owner, "name": "Shop"})))
        else:
            self.strange.append(head)

    def is_processed(self, number: int, *, again: bool = False) -> bool:
        """Return whether the last response about a scan is a success, and none belongs to another upload.

        With `again`, return whether it reports a duplicate.
        """
        reported = [response for response in self.served[number] if response.word is not None]
        if not reported or reported[-1] is not self.served[number][-1]:
            return False
        if not (reported[-1].again if again else reported[-1].is_success):
            return False
        assert not any(response.is_final for response in reported[:-1])
        return len(reported) > 1 or reported[0].age is None or reported[0].age < 600


plays = st.fixed_dictionaries({number: st.lists(statuses(), min_size=1, max_size=3) for number in NUMBERS})
runs = st.sampled_from(["latest", "legacy", "none"]).flatmap(
    lambda version: st.tuples(
        st.just(version),
        st.lists(uploads(version), min_size=1, max_size=1) | st.tuples(uploads(version), uploads(version)).map(list),
        plays,
    )
)


@settings(max_examples=2 * settings().max_examples)
@given(
    runs,
    st.sampled_from([APPLICATION] * 90 + [7, -6, *NEITHER]),
    st.booleans(),
    st.sampled_from(["fpr fpr", "fpr fpr", "fpr xml"]),
)
def test_a_run_passes_if_and_only_if_the_scans_of_its_uploads_were_processed(
    run: tuple[str, list[Taken], dict[int, list[Status]]],
    owner: object,
    accepts: bool,  # noqa: FBT001 - drawn
    suffixes: str,
) -> None:
    """Each file is sent once, to the right application, and only the scans in its response are polled.

    If duplicates are accepted, they pass too, but not next to another scan of a file with the same extension.
    """
    version, taken, polls = run
    polls = {number: [*responses, Status(http(b"", b"503 X"))] for number, responses in polls.items()}
    server = Played(taken, polls, owner)
    with tempfile.TemporaryDirectory() as folder, talking(server.talk) as url:
        for number, suffix in zip(range(len(taken)), suffixes.split(), strict=False):
            Path(folder, f"{number}.{suffix}").write_text(json.dumps(number))
        accept = {"THREADFIX_ACCEPT": "duplicate" if accepts else ""}
        with patch.dict(os.environ, ENV | accept | {"THREADFIX_URL": url, "THREADFIX_API_VERSION": version}):
            code = main(["run", "--scan-file", f"{folder}/*"])
    if type(owner) is not int or owner != APPLICATION:
        assert (code, server.posts, server.served) == (7, 0, {})
        return
    named = [response.numbers for response in taken]
    pending = [number for numbers in named for number in set(numbers or ())]
    finished = [response.scan_id for response in taken if response.scan_id]
    # Each scan and each duplicate, with the extension of its file.
    scans, duplicates = [], []
    for response, suffix in zip(taken, suffixes.split(), strict=False):
        scans += [suffix] * (response.scan_id is not None)
        duplicates += [suffix] * response.again
        for number in set(response.numbers or ()):
            (duplicates if server.is_processed(number, again=True) else scans).append(suffix)
    passes = (
        all(response.again or response.numbers is not None for response in taken)
        and len(finished) == len(set(finished))
        and len(pending) == len(set(pending))
        and all(server.is_processed(number) or server.is_processed(number, again=True) for number in pending)
        and (accepts or not duplicates)
        and not set(scans) & set(duplicates)
    )
    event(f"passes: {passes}, duplicates: {bool(duplicates)}, next to scans: {bool(set(scans) & set(duplicates))}")
    assert (code == 0) is passes
    assert (server.posts, server.strange) == (len(taken), [])
    assert set(server.served) <= set(pending)

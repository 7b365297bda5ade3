"""A date can make the gate stricter, never less strict, with any value from the server.

The tests have separate rules, in whole milliseconds, written without the code under test.
"""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gate.cli import main
from gate.flow.evaluating import dated
from gate.model.history import FRESH, CheckReading, CheckResult, ListedScans
from gate.threadfix.responses import moment
from gate.threadfix.rules import ProcessedScan, newest
from tests.raw import request_head, talking

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

NOW = 1_570_117_773_000
DAY, SLACK, YEAR_2010 = 86_400_000, 600_000, 1_262_304_000_000
MAGNITUDES = [
    0, 1, -1, NOW // 1000, NOW * 1000, 10**6, YEAR_2010 - 1, YEAR_2010, 2**31, 2**53, 2**63 - 1, 10**30, -(10**30),
    NOW - 1_800_000, NOW - SLACK, NOW, NOW + DAY, NOW + DAY + 1, NOW + 366 * DAY, 32_503_680_000_000,
]  # fmt: skip
"""Milliseconds since the epoch: 0, creation, seconds, microseconds, 1970, 2009, and the far future."""
dates = st.one_of(
    st.none(),
    st.sampled_from(MAGNITUDES),
    st.integers(NOW - 2 * SLACK, NOW + 2 * SLACK),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", str(NOW), "2019-10-03T15:49:33Z"]),
)
headers = st.one_of(st.none(), st.integers(NOW // 1000 - 2000, NOW // 1000 + 2000), st.sampled_from([0, 10**9, 10**11]))


@dataclass(frozen=True)
class Dates:
    """The dates that a server sends about a scan and a policy; `Date` headers are whole seconds."""

    modified: object  # `modifiedDate` of the finished scan
    updated: object  # `updatedDate` in the list of scans
    evaluated: object  # `lastEvaluated` of the policy
    uploaded: int | None  # `Date` of the upload's response
    unfinished: int | None  # `Date` of the newest response that showed the scan unfinished
    finished: int | None  # `Date` of the first response that showed it finished
    listed: int | None  # `Date` of the list
    responded: int | None  # `Date` of the policy's response
    is_listed: bool = True  # whether there is a list

    @property
    def is_fresh(self) -> bool:
        """Whether the gate accepts the evaluation."""
        listed = ListedScans(((12, moment(self.updated)),), self.listed) if self.is_listed else None
        scan = ProcessedScan(12, moment(self.modified), self.finished, self.unfinished, self.uploaded)
        result = CheckResult("PCI", holds=True, word="PASSING", evaluated=moment(self.evaluated))
        reading = CheckReading("", holds=True, results=(result,), sent=self.responded)
        return dated(reading, newest([scan], listed, accepted=False)).status == FRESH


def known(date: object, sent: int | None) -> int | None:
    """Return a date if it can be true, otherwise None."""
    if type(date) is not int or sent is None or not YEAR_2010 <= date <= sent * 1000 + DAY:
        return None
    return date


all_dates = st.builds(
    Dates, dates, dates, dates, headers, headers, headers, headers, headers, is_listed=st.booleans()
)  # fmt: skip


@settings(max_examples=16 * settings().max_examples)
@given(all_dates)
@example(Dates(1, None, NOW - 1_800_000, None, NOW // 1000, NOW // 1000, None, NOW // 1000))
@example(Dates(NOW // 1000, None, NOW - 1_800_000, None, NOW // 1000, NOW // 1000, None, NOW // 1000))
@example(Dates(NOW, NOW, NOW * 1000, None, NOW // 1000, NOW // 1000, None, None))
def test_no_date_lets_an_evaluation_from_before_the_scan_pass(written: Dates) -> None:
    """At most ten minutes before a response that showed the scan unfinished, and never an impossible date."""
    if not written.is_fresh:
        return
    evaluated = known(written.evaluated, written.responded)
    assert evaluated is not None
    proofs = [1000 * sent for sent in (written.uploaded, written.unfinished) if sent is not None]
    assert all(evaluated >= proof - SLACK for proof in proofs)
    dates = [known(written.modified, written.finished)]
    if written.is_listed:
        dates.append(known(written.updated, written.listed))
    assert all(evaluated >= date for date in dates if date is not None)
    if not any(dates):
        assert written.finished is not None
        assert evaluated >= 1000 * written.finished


@given(
    st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(-SLACK, SLACK), st.booleans()
)  # fmt: skip
def test_a_truthful_server_passes(waited: int, late: int, lag: int, skew: int, is_listed: bool) -> None:  # noqa: FBT001 - drawn
    """The clocks of its machines may differ by ten minutes, because another machine sets `Date`."""
    done = NOW + waited
    web = done + skew
    written = Dates(
        done, done + lag, done + lag + late, NOW // 1000, web // 1000, web // 1000 + 1, web // 1000 + 2,
        web // 1000 + (lag + late) // 1000 + 3, is_listed,
    )  # fmt: skip
    assert written.is_fresh is (is_listed or late + lag >= 0)


# --- The same over real sockets, from the upload to the verdict.


@contextmanager
def serving(written: Dates) -> Iterator[str]:
    """Serve a ThreadFix that writes these dates; each response has its own `Date`, or none."""
    statuses = ["QUEUED", "DONE"]

    def talk(connection: socket.socket) -> None:
        head = request_head(connection)
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        left = int(length[1]) - len(head.partition(b"\r\n\r\n")[2]) if length else 0
        while left > 0 and (more := connection.recv(65536)):
            left -= len(more)
        path = head.split(b" ", 2)[1].decode().partition("/applications/6")[2]
        envelope: dict[str, object] = {"success": True, "message": ""}
        content: object
        match path:
            case "/upload":
                href = "http://10.1.1.1/threadfix/rest/latest/applications/6/pendingScan/41/status"
                sent, content, envelope["links"] = written.uploaded, "Scan upload process started.", [{"href": href}]
            case "/pendingScan/41/status":
                status = statuses.pop(0)
                sent = written.unfinished if status == "QUEUED" else written.finished
                content = {"appId": 6, "status": status, "error": False, "scanId": 12, "modifiedDate": written.modified}
            case "/scans":
                sent, content = written.listed, [{"id": 12, "updatedDate": written.updated, "importTime": NOW}]
                if not written.is_listed:
                    envelope["success"] = False
            case "/policy/eval":
                policy = {"id": 3, "name": "PCI", "filterName": "F"}
                sent = written.responded
                content = {"policy": policy, "currentStatus": "PASSING", "lastEvaluated": written.evaluated}
            case _:
                sent, content = None, {"id": 6}
        body = json.dumps(envelope | {"object": content}).encode()
        date = "" if sent is None else f"Date: {formatdate(sent, usegmt=True)}\r\n"
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{date}\r\n".encode() + body)

    with talking(talk) as url:
        yield url


@settings(max_examples=settings().max_examples // 2)
@given(all_dates)
@example(Dates(1, None, NOW - 1_800_000, None, NOW // 1000, NOW // 1000, None, NOW // 1000))
@example(Dates(None, None, NOW, NOW // 1000, None, None, None, NOW // 1000))
@example(Dates(NOW, NOW, NOW, NOW // 1000, NOW // 1000, NOW // 1000, NOW // 1000, NOW // 1000))
def test_a_run_passes_only_if_its_dates_allow_it(written: Dates) -> None:
    """Each date arrives in its own response; the rules above decide."""
    with serving(written) as url, tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        (Path(folder) / "a.fpr").write_text("x")
        patch.setenv("THREADFIX_API_KEY", "k" * 44)
        code = main([
            "run", "--url", url, "--application-id", "6", "--scan-file", f"{folder}/a.fpr", "--policy", "PCI",
            "--interval", "10ms", "--max-interval", "10ms", "--settle-timeout", "10ms", "--quiet",
        ])  # fmt: skip
    assert code == (0 if written.is_fresh else 8)

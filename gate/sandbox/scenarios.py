"""The sandbox's scenarios, as data: how a pending scan walks through the statuses, and what goes wrong on the way.

Times are seconds since the pending scan was first asked for, before the sandbox's speed divides them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

HTML: Final = "text/html;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Raw:
    """An HTTP answer, byte for byte."""

    code: int
    body: bytes = b""
    content_type: str = HTML
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks, with a TCP reset."""


@dataclass(frozen=True, slots=True)
class Trickle:
    """The answer comes a byte at a time, and never ends: from the first header on, or only in the body."""

    headers_too: bool = False


Fault = Raw | Reset | Trickle

BAD_GATEWAY: Final = Raw(502, b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>")
# ThreadFix answers an uncaught exception with HTTP 200 and a page (Community Edition, issue 574).
SYSTEM_ERROR: Final = Raw(
    200, b"<!DOCTYPE html><html><head><title>System error</title></head><body>Log id: 7</body></html>"
)
BUSY: Final = Raw(503, b"busy", headers=(("Retry-After", "1"),))
NOT_FOUND: Final = Raw(404, b"<html><head><title>Not Found</title></head></html>")


def _no_fault(_number: int) -> Fault | None:
    return None


def _flaky(number: int) -> Fault | None:
    faults: dict[int, Fault] = {2: BAD_GATEWAY, 3: Reset(), 5: SYSTEM_ERROR, 6: BUSY}
    return faults.get(number)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story that a pending scan tells.

    Attributes:
        name: what people call it.
        about: one sentence for `demo --list`.
        expect: the reason that the gate ends with, given the options below.
        walk: each status with the seconds it lasts; the last one stays.
        fault: what goes wrong with the n-th request for this scan, counted from 1; None for nothing.
        error_message: set together with the error flag when the walk has reached its end.
        scan_id: whether the end brings the finished scan's id.
        application_id: what the answer says it is about; None for what was asked.
        scan_name: of the uploaded file.
        message: the server's words; None for those of the status.
        options: what the demo adds to the command, so that it ends within a minute.
        wrong_key: whether the environment to export has a key that the sandbox does not know.
        read_only_key: whether the environment to export has a key without the permission to upload.
        without_context: whether the environment to export lacks the URL's context path.
    """

    name: str
    about: str
    expect: Reason
    walk: tuple[tuple[str, float], ...] = (("DONE", 0),)
    fault: Callable[[int], Fault | None] = _no_fault
    error_message: str | None = None
    scan_id: bool = True
    application_id: int | None = None
    scan_name: str = "contoso.fpr"
    message: str | None = None
    options: tuple[str, ...] = ()
    wrong_key: bool = False
    read_only_key: bool = False
    without_context: bool = False

    def status(self, elapsed: float) -> tuple[str, bool]:
        """The status after `elapsed` seconds, and whether it is the last one."""
        for name, lasts in self.walk[:-1]:
            if elapsed < lasts:
                return name, False
            elapsed -= lasts
        return self.walk[-1][0], True


_START: Final = (("QUEUED", 1.0), ("UPLOADED", 1.0), ("FINDINGS_GENERATING", 3.0))
_WHOLE: Final = (
    *_START,
    ("CHANNEL_MERGING", 2.0),
    ("APPLICATION_MERGING", 1.5),
    ("APPLICATION_MERGED", 0.5),
    ("LINKING_DEFECTS", 1.0),
    ("DONE", 0.0),
)
_QUICK: Final = (("QUEUED", 2.0), ("FINDINGS_GENERATING", 2.0), ("DONE", 0.0))
_HOSTILE: Final = (
    "::error title=forged::pwned ##[error]pwned ##vso[task.complete result=Succeeded;]\n::set-output name=verdict::pass"
    "\r\n\x1b[2J\x1b[1;31mred\x07 \u2028</code><script>alert(1)</script> | **bold** `code` ](http://evil.example) "
    "$(id) \"quotes\" 'and' ${HOME} ]]> &amp; \u202egnisrever\u202c \x00"
)

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario("done", "Walks through every status to DONE in ten seconds.", Reason.PROCESSED, _WHOLE),
        Scenario(
            "slow",
            "Takes its time, 45 seconds, so that the polls become rarer.",
            Reason.PROCESSED,
            tuple((name, lasts * 4.5) for name, lasts in _WHOLE),
        ),
        Scenario(
            "remote-import",
            "Is pulled from another server: ends as FINISHED_FINDING_PULLING, without a scan id.",
            Reason.PROCESSED,
            (("QUEUED", 3.0), ("FINISHED_FINDING_PULLING", 0.0)),
            scan_id=False,
        ),
        Scenario(
            "interrupted",
            "Is interrupted while its findings are generated.",
            Reason.SCAN_FAILED,
            (*_START, ("SCAN_INTERRUPTED", 0.0)),
            scan_id=False,
        ),
        Scenario(
            "deleted",
            "Is queued to be deleted, and then deleted.",
            Reason.SCAN_FAILED,
            (*_START, ("SCAN_QUEUED_FOR_DELETE", 2.0), ("SCAN_DELETED", 0.0)),
            scan_id=False,
        ),
        Scenario(
            "error-flag",
            "Has its error flag set beside a status that looks harmless.",
            Reason.SCAN_FAILED,
            (*_START, ("CHANNEL_MERGING", 0.0)),
            error_message="Scan file is in the wrong format.",
            scan_id=False,
        ),
        Scenario(
            "unknown-status",
            "Passes through a status that is not documented; the gate warns, and waits on.",
            Reason.PROCESSED,
            (*_START, ("REINDEXING", 3.0), ("DONE", 0.0)),
        ),
        Scenario(
            "flaky",
            "Has a bad gateway, a reset, an error page and a server that asks to be left alone; all are ridden out.",
            Reason.PROCESSED,
            _WHOLE,
            _flaky,
        ),
        Scenario(
            "late",
            "Is not found at first, as happens right after an upload.",
            Reason.PROCESSED,
            _QUICK,
            lambda number: NOT_FOUND if number <= 2 else None,  # noqa: PLR2004
        ),
        Scenario(
            "vanishes",
            "Is there, and then is not found any more.",
            Reason.SCAN_VANISHED,
            _WHOLE,
            lambda number: NOT_FOUND if number > 2 else None,  # noqa: PLR2004
            options=("--outage-limit", "5s"),
        ),
        Scenario(
            "stuck",
            "Never gets past FINDINGS_GENERATING.",
            Reason.TIMEOUT,
            (("QUEUED", 1.0), ("FINDINGS_GENERATING", 0.0)),
            options=("--timeout", "10s", "--stall-after", "5s"),
        ),
        Scenario("bad-key", "Is asked for with a key that ThreadFix does not know.", Reason.DENIED, wrong_key=True),
        Scenario(
            "login-page",
            "Is asked for without the context path: ThreadFix redirects to its login page.",
            Reason.PROTOCOL,
            options=("--first-contact-limit", "4s"),
            without_context=True,
        ),
        Scenario("wrong-application", "Is answered for another application.", Reason.PROTOCOL, application_id=7),
        Scenario(
            "hostile-text",
            "Fails with texts that try to forge workflow commands, colours, markup and outputs.",
            Reason.SCAN_FAILED,
            (("QUEUED", 2.0), ("SCAN_INTERRUPTED", 0.0)),
            error_message=_HOSTILE,
            scan_id=False,
            scan_name=_HOSTILE,
            message=_HOSTILE,
        ),
        Scenario(
            "slow-body",
            "Sends its answer a byte at a time, for ever.",
            Reason.UNREACHABLE,
            fault=lambda _: Trickle(),
            options=("--request-timeout", "2s", "--first-contact-limit", "5s"),
        ),
        Scenario(
            "read-only-key",
            "Is asked for with a key whose user may read, but not upload.",
            Reason.DENIED,
            read_only_key=True,
        ),
    )
}
"""Every scenario by its name."""

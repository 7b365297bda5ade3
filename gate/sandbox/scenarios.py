"""The sandbox's scenarios, as data: the statuses of a pending scan in their order, and injected faults.

Times are in seconds since the status was first requested. The sandbox's speed divides them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gate.model.reasons import Reason
from gate.sandbox import model
from gate.sandbox.model import SQL, XSS, Vulnerability
from gate.sandbox.responses import SYSTEM_ERROR, Fault, Raw, Reset, Trickle, refusal
from gate.threadfix.rules import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["NOT_FOUND", "SCENARIOS", "Fault", "Raw", "Reset", "Scenario", "Trickle"]

BAD_GATEWAY: Final = Raw(502, b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>")
BUSY: Final = Raw(503, b"busy", headers=(("Retry-After", "1"),))
NOT_FOUND: Final = Raw(404, b"<html><head><title>Not Found</title></head></html>")
NO_SCAN: Final = refusal("Pending scan lookup failed. Check your ID.")
DUPLICATE: Final = "Scan file has already been uploaded."
EMPTY: Final = "The scan file contained 0 results."
OLDER: Final = "A newer scan from this scanner has been uploaded."
# Without a `Content-Type` [CE].
LICENCE: Final = Raw(403, b"<h1>ThreadFix License is expired.</h1>", content_type="")


def _no_fault(_number: int) -> Fault | None:
    return None


_FLAKY: Final[dict[int, Fault]] = {2: BAD_GATEWAY, 3: Reset(), 5: SYSTEM_ERROR, 6: BUSY}
_OUTAGE: Final[dict[int, Fault]] = {3: BAD_GATEWAY, 4: Reset()}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario of a pending scan."""

    name: str  # as in `demo NAME`
    about: str  # one sentence about the scan, with its durations in braces
    expect: Reason  # the reason of the gate's verdict, given `options`
    # Each status with its duration in seconds; the last status never ends.
    walk: tuple[tuple[str, float], ...] = (("DONE", 0),)
    # Returns the fault for the n-th status request, counted from 1; None for a normal response.
    fault: Callable[[int], Fault | None] = _no_fault
    error_message: str | None = None  # sent with the error flag and the last status; None for a scan without an error
    scan_id: bool = True  # whether DONE has the id of the finished scan
    application_id: int | None = None  # the `appId` of the response; None for the requested application
    scan_name: str = "contoso.fpr"  # the name of the uploaded file
    message: str | None = None  # the `scanMessage` of the response; None for the usual message of the status
    brings: tuple[Vulnerability, ...] = ()  # vulnerabilities that the application has once the scan is evaluated
    lag: float = 0.0  # seconds from DONE until ThreadFix evaluates the application again; `math.inf` for never
    # Options that the demo adds to the command, by name; the value of a switch is `true`.
    options: Mapping[str, str] = field(default_factory=dict)
    application: int = model.APPLICATION_ID  # the id of the scan's application
    # The content of the files to upload, by path; empty if the scan is already pending.
    files: Mapping[str, bytes] = field(default_factory=dict)
    key: str = model.API_KEY  # the API key to use
    folder: str = ""  # a wrong end of the URL

    def status(self, elapsed: float) -> tuple[str, bool]:
        """Return the status after `elapsed` seconds, and whether it is the last status."""
        for name, lasts in self.walk[:-1]:
            if elapsed < lasts:
                return name, False
            elapsed -= lasts
        return self.walk[-1][0], True

    def since(self, elapsed: float) -> float:
        """Return the start of the status at `elapsed` seconds, in seconds."""
        began = 0.0
        for _, lasts in self.walk[:-1]:
            if elapsed < began + lasts:
                break
            began += lasts
        return began

    def describe(self, speed: float = 1) -> str:
        """Return the sentence about the scan, with its durations at this speed."""
        return re.sub(r"\{([0-9]+)\}", lambda seconds: f"{float(seconds[1]) / speed:g}", self.about)

    @property
    def duration(self) -> float:
        """Seconds until the last status."""
        return self.since(math.inf)

    @property
    def flags(self) -> tuple[str, ...]:
        """The options as command-line arguments."""
        pairs = ((f"--{name}", value) for name, value in self.options.items())
        return tuple(text for flag, value in pairs for text in ((flag,) if value == "true" else (flag, value)))

    def write(self, folder: Path) -> list[str]:
        """Write the files to upload; return their paths. An upload with such a name starts the scenario."""
        paths = {folder / name: content for name, content in self.files.items()}
        for path, content in paths.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return [str(path) for path in paths]

    @property
    def imports(self) -> bool:
        """Whether ThreadFix imports the scan in the end."""
        return self.walk[-1][0] in SUCCESS and self.error_message is None


# fmt: off
_START: Final = (("QUEUED", 1.0), ("UPLOADED", 1.0), ("FINDINGS_GENERATING", 3.0))
_WHOLE: Final = (
    *_START, ("CHANNEL_MERGING", 2.0), ("APPLICATION_MERGING", 1.5), ("APPLICATION_MERGED", 0.5),
    ("LINKING_DEFECTS", 1.0), ("DONE", 0.0),
)
_QUICK: Final = (("QUEUED", 2.0), ("FINDINGS_GENERATING", 2.0), ("DONE", 0.0))
_REFUSED: Final = (("QUEUED", 2.0), ("FINDINGS_GENERATING", 0.0))
_HOSTILE: Final = (
    "::error title=forged::pwned ##[error]pwned ##vso[task.complete result=Succeeded;]\n::set-output name=verdict::pass"
    "\r\n\x1b[2J\x1b[1;31mred\x07 \u2028</code><script>alert(1)</script> | **bold** `code` ](http://evil.example) "
    "$(id) \"quotes\" 'and' ${HOME} ]]> &amp; \u202egnisrever\u202c \x00"
)
_ZAP: Final = (
    b'<?xml version="1.0"?><OWASPZAPReport version="2.14.0" generated="%s"><site><alerts><alertitem><pluginid>10038'
    b"</pluginid><alert>Cross-Site Request Forgery</alert><riskcode>1</riskcode><cweid>352</cweid><instances><instance>"
    b"<uri>https://shop.example%s</uri></instance></instances></alertitem></alerts></site></OWASPZAPReport>\n"
)
"""A report of ZAP with a date and a finding."""
_OPAQUE: Final = b"a report of Fortify"
_CROSS_SITE: Final = tuple(
    Vulnerability(301 + index, *XSS, 4, *place)
    for index, place in enumerate((("/search", "q"), ("/profile", "nickname"), ("/cart", "coupon")))
)
_INJECTIONS: Final = tuple(
    Vulnerability(310 + index, *SQL, 5, *place)
    for index, place in enumerate(
        (("/login", "user"), ("/orders", "id"), ("/orders/export", "from"), ("/invoices", "number"))
    )
)
_PROCESSING: Final = (
    Scenario("done", "The scan passes through every status and is DONE after {10} seconds.", Reason.PROCESSED, _WHOLE),
    Scenario("slow", "The scan takes {45} seconds; the gate polls less and less often.", Reason.PROCESSED,
             tuple((name, lasts * 4.5) for name, lasts in _WHOLE)),
    Scenario("remote-import", "A remote import ends with FINISHED_FINDING_PULLING, without a scan id.",
             Reason.PROCESSED, (("QUEUED", 3.0), ("FINISHED_FINDING_PULLING", 0.0)), scan_id=False),
    Scenario("interrupted", "Processing is interrupted while findings are generated.", Reason.SCAN_FAILED,
             (*_START, ("SCAN_INTERRUPTED", 0.0)), scan_id=False),
    Scenario("deleted", "The scan is queued for deletion, then deleted.", Reason.SCAN_FAILED,
             (*_START, ("SCAN_QUEUED_FOR_DELETE", 2.0), ("SCAN_DELETED", 0.0)), scan_id=False),
    Scenario("error-flag", "ThreadFix sets the error flag, although the status looks harmless.", Reason.SCAN_FAILED,
             (*_START, ("CHANNEL_MERGING", 0.0)), error_message="Scan file is in the wrong format.", scan_id=False),
    Scenario("unknown-status", "The scan passes through an undocumented status; the gate warns and keeps waiting.",
             Reason.PROCESSED, (*_START, ("REINDEXING", 3.0), ("DONE", 0.0))),
    Scenario("flaky", "HTTP 502, a reset connection, an error page, HTTP 503: the gate recovers from all of them.",
             Reason.PROCESSED, _WHOLE, _FLAKY.get),
    Scenario("late", "The scan is not found at first, as can happen right after an upload.", Reason.PROCESSED, _QUICK,
             lambda number: NOT_FOUND if number <= 2 else None),  # noqa: PLR2004
    Scenario("vanishes", "ThreadFix returns the scan at first, then no longer finds it.", Reason.SCAN_VANISHED, _WHOLE,
             lambda number: NO_SCAN if number > 2 else None, options={"outage-limit": "5s"}),  # noqa: PLR2004
    Scenario("stuck", "The scan never gets past FINDINGS_GENERATING; the gate times out after ten seconds.",
             Reason.TIMEOUT, (("QUEUED", 1.0), ("FINDINGS_GENERATING", 0.0)), options={"timeout": "10s"}),
    Scenario("bad-key", "ThreadFix does not know the API key.", Reason.DENIED, key=model.UNKNOWN_KEY),
    Scenario("licence", "ThreadFix's licence has expired: it responds with a page and HTTP 403.", Reason.DENIED,
             fault=lambda _: LICENCE),
    Scenario("login-page", "The URL has a folder too many: ThreadFix redirects to its login page.", Reason.PROTOCOL,
             options={"first-contact-limit": "4s"}, folder="/api"),
    Scenario("wrong-application", "The response is about another application.", Reason.PROTOCOL, application_id=7),
    Scenario("hostile-text",
             "The scan fails, with texts that try to forge workflow commands, colours, markup and outputs.",
             Reason.SCAN_FAILED, (("QUEUED", 2.0), ("SCAN_INTERRUPTED", 0.0)), error_message=_HOSTILE, scan_id=False,
             scan_name=_HOSTILE, message=_HOSTILE),
    Scenario("slow-body", "The response arrives one byte at a time, and never ends.", Reason.UNREACHABLE,
             fault=lambda _: Trickle(), options={"request-timeout": "2s", "first-contact-limit": "5s"}),
    Scenario("read-only-key", "The key's user has read access, but not the Upload Scans permission.", Reason.DENIED,
             key=model.READ_ONLY_KEY),
    Scenario("duplicate", "ThreadFix already has a scan with this date, and reports this during processing; accepted.",
             Reason.ALREADY_IMPORTED, _REFUSED, error_message=DUPLICATE, scan_id=False,
             options={"accept": "duplicate"}),
    Scenario("empty", "The file has no results, and ThreadFix reports this during processing; accepted.",
             Reason.EMPTY_SCAN, _REFUSED, error_message=EMPTY, scan_id=False, options={"accept": "empty"}),
    Scenario("older", "ThreadFix already has a newer scan from this scanner, and refuses an older scan.",
             Reason.SCAN_FAILED, _REFUSED, error_message=OLDER, scan_id=False),
)
_RULES: Final = (
    Scenario("policy-pass", "ThreadFix evaluates the application {3} seconds after DONE, and the policy passes.",
             Reason.POLICY_PASSED, _QUICK, lag=3.0, options={"policy": "Release"}),
    Scenario("policy-fail",
             "A policy passes until ThreadFix has evaluated the scan; then it fails, and blocks the release.",
             Reason.POLICY_FAILED, _QUICK, brings=_CROSS_SITE[:2], lag=3.0, options={"policy": "all"}),
    Scenario("policy-stale",
             "ThreadFix does not evaluate the application again: its response is from before the scan.",
             Reason.POLICY_UNKNOWN, _QUICK, lag=math.inf, options={"policy": "Release", "settle-timeout": "5s"}),
    Scenario("policy-vacuous", "No policy is attached to the application, so none can pass.", Reason.POLICY_UNKNOWN,
             _QUICK, options={"policy": "all"}, application=model.UNRULED_APPLICATION_ID),
    Scenario("criteria-fail",
             "The scan has vulnerabilities that the pass criteria do not allow; the gate names them.",
             Reason.POLICY_FAILED, _QUICK, brings=(*_CROSS_SITE, *_INJECTIONS), options={"pass-criteria": "true"}),
    Scenario("criteria-forbidden",
             "The key's user may upload scans, but lacks the Manage CI/CD permission for pass criteria.",
             Reason.DENIED, _QUICK, options={"pass-criteria": "true"}, key=model.NO_CRITERIA_KEY),
)
_UPLOADS: Final = (
    Scenario("release",
             "The gate uploads a report, waits {10} seconds, through an outage, and asks for the policies.",
             Reason.POLICY_PASSED, _WHOLE, _OUTAGE.get, lag=2.0, options={"policy": "all"},
             files={"release.fpr": _OPAQUE}),
    Scenario("upload", "The gate uploads a file, then waits for its scan.", Reason.PROCESSED, _WHOLE,
             files={"upload.fpr": _OPAQUE}),
    Scenario("upload-refused",
             "The gate uploads a file in a format that ThreadFix does not know, and ThreadFix refuses it.",
             Reason.UPLOAD_REFUSED, files={"upload-refused.json": b'{"results": []}\n'}),
    Scenario("refused-500", "The gate uploads a text file, and ThreadFix refuses it with HTTP 500.",
             Reason.UPLOAD_REFUSED, files={"refused-500.txt": b"All is well.\n"}),
    Scenario("same-date",
             "ThreadFix has a report of this scanner with the same date, and calls this one a duplicate.",
             Reason.UPLOAD_REFUSED, application=model.ZAP_APPLICATION_ID,
             files={"same-date.xml": _ZAP % (model.ZAP_DAY.encode(), b"/orders")}),
    Scenario("parts", "Two reports of one scanner, one after the other: the second closes what the first has found.",
             Reason.POLICY_UNKNOWN, _QUICK, options={"policy": "Release"},
             files={"first/parts.xml": _ZAP % (b"Tue, 03 Nov 2020 10:00:00", b"/orders"),
                    "second/parts.xml": _ZAP % (b"Wed, 04 Nov 2020 10:00:00", b"/invoices")}),
    Scenario("many-scans", "The application has 2,500 scans, so that its description is larger than 1 MiB.",
             Reason.PROCESSED, _QUICK, application=model.MANY_SCANS_APPLICATION_ID,
             files={"many-scans.fpr": _OPAQUE}),
)
# fmt: on
GROUPS: Final = {"The scan": _PROCESSING, "Rules": _RULES, "Uploads": _UPLOADS}
"""The scenarios by the headings of `demo --list`."""
SCENARIOS: Final[dict[str, Scenario]] = {scenario.name: scenario for group in GROUPS.values() for scenario in group}
"""Every scenario by name."""

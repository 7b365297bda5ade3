"""The lines of a run, in a log and at a terminal."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from rich.console import Console as Screen
from rich.spinner import Spinner

from gate.judge.scans import judge_scan
from gate.model.errors import InvalidOption
from gate.model.events import (
    Ended,
    OutageBegan,
    OutageEnded,
    Stalled,
    StatusSeen,
    UploadBegan,
    UploadEnded,
    UploadProgress,
)
from gate.model.history import (
    Accept,
    Application,
    CheckHistory,
    CheckReading,
    Failure,
    Finished,
    History,
    Outage,
    Phase,
    Queued,
    Receipt,
    Refused,
    ScanHistory,
    ScanReading,
    StopCause,
    Unfinished,
)
from gate.model.reasons import Reason
from gate.model.subjects import ApplicationId, ApplicationName, ScanFile, Target
from gate.net.http import RequestMade
from gate.options.settings import Settings
from gate.reporters.closing import Line, LineKind
from gate.reporters.console import Console, Progress, Sending
from gate.reporters.terminal import Terminal, live_text, upload_line
from gate.text.sanitizer import Secret
from gate.threadfix.links import Server
from tests import builders
from tests.builders import CRITERIA, CRITICAL, FAILING, HIGH, OBSTACLES, PASSING, POLICY, STALE, checked, uploaded

if TYPE_CHECKING:
    from gate.judge.verdict import Verdict

ONE, TWO = Target(6, 41), Target(6, 42)
SETTINGS = Settings(Server("https://tf.example.com/threadfix", Secret("key")), ApplicationId(6), (41,))
SEVERAL = replace(SETTINGS, pending_scan_ids=(41, 42))
UNTIL = datetime(2026, 1, 2, 14, 32, 10, tzinfo=timezone.utc)
DOWN = Failure(Reason.UNREACHABLE, "tf.example.com returned HTTP 502.")


@dataclass
class Listener:
    """A console with its lines and its own clock."""

    now: float = 0.0
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def console(self, *, settings: Settings = SETTINGS, quiet: bool = False, verbose: bool = False) -> Console:
        console = Console(
            lambda line: self.lines.append(line.text), quiet=quiet, verbose=verbose, clock=lambda: self.now
        )
        console.opening(settings)
        console.waiting(settings, [Target(6, number) for number in settings.pending_scan_ids], UNTIL)
        return console


INVALID = (InvalidOption("--timeout", "--timeout: is empty."), InvalidOption("--url", "--url is missing."))


def verdict(*histories: ScanHistory, settings: Settings = SETTINGS, resume: str = "") -> Verdict:
    """The verdict on histories, or on invalid options."""
    scans = (judge_scan(history, settings) for history in histories)
    return builders.verdict(*scans, resume=resume, invalid=INVALID, elapsed=12.0)


DONE = ScanReading("DONE", scan_id=12, name="contoso.fpr")
PASSED = History(ONE, StopCause.DECIDED, 12.0, 3, newest=DONE, reading=DONE)
FAILED = replace(PASSED, newest=ScanReading("SCAN_DELETED"), reading=ScanReading("SCAN_DELETED"), target=TWO)


def test_the_first_line_has_the_scan_the_server_and_the_deadline() -> None:
    """The log begins with the server, the scan and the deadline."""
    listener = Listener()
    listener.console()
    assert listener.lines[0].endswith(
        ": asking https://tf.example.com/threadfix for pending scan 41 of application 6, until 14:32:10 UTC (30m)."
    )
    several = Listener()
    several.console(settings=replace(SEVERAL, plan=replace(SETTINGS.plan, timeout=0)))
    assert several.lines[0].endswith("for 2 pending scans of application 6, once.")


def test_dangerous_options_warn_on_every_run() -> None:
    """An old switch is not forgotten."""
    listener = Listener()
    server = replace(SETTINGS.server, url="http://tf.example.com", insecure=True, allow_http=True)
    listener.console(settings=replace(SETTINGS, server=server))
    assert [line.split(":")[1] for line in listener.lines[1:]] == [" --insecure", " --allow-http"]
    quiet = Listener()
    quiet.console(settings=replace(SETTINGS, server=server), quiet=True)
    assert quiet.lines == listener.lines[1:]


STALLED = "pending scan 41 has been CHANNEL_MERGING for 11m28s. ThreadFix may be busy or stuck; the gate keeps waiting."


def test_each_event_has_its_line() -> None:
    """A change has a line with the time it took, an outage one when it begins and one when it ends."""
    listener = Listener()
    console = listener.console()
    console.handle(StatusSeen(ONE, 0.0, ScanReading("QUEUED")))
    console.handle(StatusSeen(ONE, 12.0, ScanReading("CHANNEL_MERGING"), "QUEUED", 12.0))
    console.handle(OutageBegan(ONE, 20.0, DOWN, 300.0))
    console.handle(OutageEnded(ONE, 65.0, Outage(20.0, DOWN, 4, 65.0)))
    console.handle(Stalled(ONE, 700.0, "CHANNEL_MERGING", 688.0))
    console.handle(Ended(PASSED))
    assert listener.lines[1:] == [
        "[    0s] QUEUED",
        "[   12s] CHANNEL_MERGING (QUEUED took 12s)",
        "[   20s] error: tf.example.com returned HTTP 502. Retrying for up to 5m.",
        "[ 1m05s] recovered after 45s (4 failed polls)",
        "warning: " + STALLED,
    ]


def test_an_application_that_is_looked_up_has_a_line() -> None:
    """The log has the name and the id of an application that is looked up."""
    listener = Listener()
    shop = ApplicationName("Web", "Shop")
    console = Console(lambda line: listener.lines.append(line.text), clock=lambda: listener.now)
    console.opening(replace(SETTINGS, application=shop))
    for subject, name in ((shop, "Shop"), (ApplicationId(6), "Shop"), (ApplicationId(6), "")):
        console.handle(StatusSeen(subject, 0.0, Application(6, name)))
    assert listener.lines[0].endswith(
        ": looking up application 'Shop' of team 'Web' on https://tf.example.com/threadfix."
    )
    assert listener.lines[1:] == [
        "[    0s] application 'Shop' of team 'Web' is application 6",
        "[    0s] application 6 found: Shop",
        "[    0s] application 6 found",
    ]
    console.waiting(SETTINGS, [ONE], UNTIL)
    assert listener.lines[-1].startswith("Asking https://tf.example.com/threadfix for pending scan 41 ")


def test_a_new_kind_of_reading_has_a_plain_line() -> None:
    @dataclass(frozen=True)
    class New:
        status: str
        sent: None = None

    listener = Listener()
    console = listener.console()
    console.handle(StatusSeen(ApplicationId(6), 0.0, New("open")))
    console.handle(StatusSeen(ApplicationId(6), 2.0, New("closed"), "open", 2.0))
    assert listener.lines[1:] == ["[    0s] open", "[    0s] closed (open took 2s)"]


def test_an_error_at_the_deadline_is_not_retried() -> None:
    """An error at the deadline does not promise a retry."""
    listener = Listener()
    listener.console().handle(OutageBegan(ONE, 0.0, DOWN, 0.0))
    assert listener.lines[1] == "[    0s] error: tf.example.com returned HTTP 502."


def test_with_several_scans_each_line_names_its_scan() -> None:
    """With several scans, each line has the number of its scan."""
    listener = Listener()
    console = listener.console(settings=SEVERAL)
    console.handle(StatusSeen(TWO, 3.0, ScanReading("QUEUED")))
    assert listener.lines[1] == "[    3s] #42 QUEUED"


def test_an_undocumented_status_is_warned_of_once() -> None:
    """Each new value once, not each scan that has it."""
    listener = Listener()
    console = listener.console(settings=SEVERAL)
    for target, status in ((ONE, "NEW"), (TWO, "NEW"), (TWO, "NEWER")):
        console.handle(StatusSeen(target, 3.0, ScanReading(status)))
    warned = [line for line in listener.lines if line.startswith("warning")]
    assert [("NEW," in line, "NEWER," in line) for line in warned] == [(True, False), (False, True)]


SMALL, LARGE = ScanFile("a/small.json", 812, "a/small.json"), ScanFile("large.fpr", 20_000_000, "large.fpr")


def upload_of(file: ScanFile, receipt: Receipt) -> UploadEnded:
    """The end of an upload of 8 seconds."""
    return UploadEnded(builders.uploaded(receipt)._replace(file=file))


def test_the_first_line_of_an_upload_has_the_files_and_the_server() -> None:
    """The first line of a run that uploads has the files' size and the application; the dangers follow."""
    server = replace(SETTINGS.server, insecure=True)
    for files, what in (((SMALL,), "a/small.json (812 bytes)"), ((LARGE, SMALL), "2 files (20 MB)")):
        listener = Listener()
        listener.console(settings=replace(SETTINGS, server=server, files=files))
        first, warning, asking = listener.lines
        assert first.endswith(f": uploading {what} to application 6 on https://tf.example.com/threadfix.")
        assert warning.startswith("warning: --insecure")
        assert asking.startswith("Asking ")


@pytest.mark.parametrize(
    ("receipt", "words"),
    [
        (Queued((ONE,)), "queued as pending scan 41 after 8s"),
        (Queued((ONE, TWO)), "queued as pending scans 41, 42 after 8s"),
        (Finished(12), "finished as scan 12 after 8s"),
        (builders.REFUSED, "refused after 8s; ThreadFix says: 'Scan file has already been uploaded'"),
        (Refused(""), "refused after 8s"),
        (DOWN, "failed (unreachable) after 8s: tf.example.com returned HTTP 502."),
        (replace(DOWN, unsent=True), "not sent (unreachable) after 8s: tf.example.com returned HTTP 502."),
        (Unfinished.NOT_SENT, "not sent after 8s"),
        (Unfinished.BROKEN_OFF, "broken off after 8s"),
    ],
)
def test_the_end_of_an_upload_has_its_result(receipt: Receipt, words: str) -> None:
    """The line of each receipt has the file, the result and the seconds."""
    listener = Listener()
    listener.console().handle_upload(upload_of(SMALL, receipt))
    assert listener.lines[1:] == [f"[    0s] a/small.json: {words}"]


def test_a_log_has_a_line_per_tenth_of_a_large_file() -> None:
    """A large file has a line for each tenth, with speed and time left; a small one only for its begin and its end."""
    listener = Listener()
    console = listener.console()
    for number, file in enumerate((SMALL, LARGE), 1):
        console.handle_upload(UploadBegan(file, number, 2))
        for step in range(1, 41):
            listener.now += 1.0
            # The request is a little longer than the file.
            console.handle_upload(UploadProgress(file, file.size * step // 40 + 300 * (step == 40), float(step)))
        console.handle_upload(upload_of(file, Queued((ONE,))))
    assert listener.lines[1:] == [
        "[    0s] uploading a/small.json (812 bytes), 1 of 2",
        "[   40s] a/small.json: queued as pending scan 41 after 8s",
        "[   40s] uploading large.fpr (20 MB), 2 of 2",
        *(
            f"[{text:>6}] {tenth}0% of 20 MB, 500 kB/s, {40 - 4 * tenth}s left"
            for tenth, text in enumerate(("44s", "48s", "52s", "56s", "1m", "1m04s", "1m08s", "1m12s", "1m16s"), 1)
        ),
        "[ 1m20s] 20 MB sent in 40s; waiting for ThreadFix's response",
        "[ 1m20s] large.fpr: queued as pending scan 41 after 8s",
    ]


def test_a_slow_upload_has_a_heartbeat() -> None:
    """After each minute of silence a line has the progress, or that only the response is missing."""
    listener = Listener()
    console = listener.console()
    for elapsed, sent in ((60.0, 0), (90.0, 300), (120.0, 600), (150.0, 812), (180.0, 812), (240.0, 812)):
        listener.now = elapsed
        console.handle_upload(UploadProgress(SMALL, sent, elapsed))
    assert listener.lines[1:] == [
        "[    1m] 0% of 812 bytes",
        "[    2m] 73% of 812 bytes, 5 bytes/s, 42s left",
        "[    3m] still waiting for ThreadFix's response",
        "[    4m] still waiting for ThreadFix's response",
    ]


def test_an_upload_that_only_waits_has_a_heartbeat_too() -> None:
    """Without events of an upload, each minute has a line too, but only during an upload."""
    listener = Listener()
    console = listener.console()
    console.tick_upload()
    console.handle_upload(UploadBegan(SMALL))
    console.handle_upload(UploadProgress(SMALL, 812, 0.1))
    for now in range(150):
        listener.now = float(now)
        console.tick_upload()
    console.handle_upload(upload_of(SMALL, Queued((ONE,))))
    listener.now = 300.0
    console.tick_upload()
    assert listener.lines[2:] == [
        "[    1m] still waiting for ThreadFix's response",
        "[    2m] still waiting for ThreadFix's response",
        "[ 2m29s] a/small.json: queued as pending scan 41 after 8s",
    ]


def test_an_upload_that_could_not_begin_is_retried_in_the_log() -> None:
    """An outage before the first byte has the lines of any outage, at the time of the run."""
    listener = Listener()
    console = listener.console()
    listener.now = 7.0
    console.handle_upload(OutageBegan(SMALL, 1.0, DOWN, 60.0))
    console.handle_upload(OutageEnded(SMALL, 3.0, Outage(1.0, DOWN, 2, 3.0)))
    assert listener.lines[1:] == [
        "[    7s] error: tf.example.com returned HTTP 502. Retrying for up to 1m.",
        "[    7s] recovered after 2s (2 failed polls)",
    ]


def test_a_pending_scan_of_an_upload_is_logged_with_its_file() -> None:
    """The line that begins the wait names the file of one scan, and each line of several names its own."""
    listener = Listener()
    console = listener.console()
    console.handle_upload(upload_of(SMALL, Queued((ONE,))))
    console.waiting(SETTINGS, [ONE], UNTIL)
    assert "for pending scan 41 of application 6 (a/small.json), until" in listener.lines[-1]
    console.waiting(SETTINGS, [ONE, TWO], UNTIL)
    console.handle(StatusSeen(ONE, 3.0, ScanReading("QUEUED")))
    console.handle(StatusSeen(TWO, 3.0, ScanReading("QUEUED")))
    assert listener.lines[-2:] == ["[    3s] #41 (small.json) QUEUED", "[    3s] #42 QUEUED"]


def test_an_upload_shows_its_average_speed() -> None:
    """The speed and the time left are those since the upload began; without a byte neither is known."""
    sending = Sending(LARGE)
    assert (sending.numbers, sending.share) == ("0% of 20 MB", 0.0)
    sending = sending.after(UploadProgress(LARGE, 5_000_000, 10.0))
    assert (sending.numbers, sending.share) == ("25% of 20 MB, 500 kB/s, 30s left", 0.25)


def test_a_check_is_logged_with_its_freshness() -> None:
    """Each line of a check has its name, stale or fresh, and ThreadFix's result, in the time of the log."""
    listener = Listener()
    console = listener.console()
    listener.now = 180.0
    stale = CheckReading("stale", None, (STALE,))
    console.handle(StatusSeen(POLICY, 0.0, stale))
    console.handle(StatusSeen(POLICY, 12.0, CheckReading("fresh", holds=True, results=(PASSING,)), "stale", 12.0))
    unsure = CheckReading("stale", holds=True, results=(replace(HIGH, behind=None), HIGH))
    console.handle(StatusSeen(CRITERIA, 0.0, unsure))
    console.handle(StatusSeen(CRITERIA, 2.0, CheckReading("fresh", holds=False, results=(CRITICAL, HIGH))))
    console.handle(StatusSeen(CRITERIA, 2.0, CheckReading("fresh", None)))
    console.handle(OutageBegan(CRITERIA, 3.0, DOWN, 300.0))
    console.handle(Stalled(POLICY, 700.0, "stale", 700.0))
    assert listener.lines[1:] == [
        "[    3m] policy 'Release': PASSING, but stale: evaluated 4m before the scan",
        "[    3m] policy 'Release': PASSING, fresh (stale for 12s)",
        "[    3m] pass criteria: passing, but stale; asking again",
        "[    3m] pass criteria: failing, fresh",
        "[    3m] pass criteria: undecided, fresh",
        "[    3m] pass criteria: error: tf.example.com returned HTTP 502. Retrying for up to 5m.",
        "warning: policy 'Release' has been stale for 11m40s. ThreadFix may be busy or stuck; the gate keeps waiting.",
    ]


def test_the_heartbeat_of_a_check_has_its_own_time_left() -> None:
    """The time left is that for another evaluation; for an application, that of its limit."""
    listener = Listener()
    console = listener.console()
    listener.now = 200.0
    stale: CheckHistory = History(POLICY, None, 70.0, phases=(Phase("stale", 0, 70),))
    console.tick(console.progress([stale]))
    assert listener.lines[-1] == "[ 3m20s] policy 'Release': still stale for 1m10s; 50s left"
    listener.now = 300.0
    console.tick(console.progress([stale, History(CRITERIA, StopCause.DECIDED, 2.0)]))
    assert listener.lines[-1] == "[    5m] 1 of 2 decided; 50s left"
    listener.now = 400.0
    console.tick(console.progress([History(ApplicationId(6), None, 10.0)]))
    assert listener.lines[-1] == "[ 6m40s] application 6: waiting for a first response; 50s left"


def running(now: float, *phases: Phase, target: Target = ONE, outages: tuple[Outage, ...] = ()) -> ScanHistory:
    """The history so far of a wait that goes on."""
    return History(target, None, now, phases=phases, outages=outages)


def test_a_heartbeat_comes_once_a_minute_of_silence() -> None:
    """A line shows that the gate still waits after each minute without another line."""
    listener = Listener()
    console = listener.console()
    beats = []
    phases: tuple[Phase, ...] = ()
    for now in range(300):
        listener.now = float(now)
        before = len(listener.lines)
        if now == 90:
            phases = (Phase("QUEUED", 90.0, 90.0),)
            console.handle(StatusSeen(ONE, 90.0, ScanReading("QUEUED")))
        console.tick(console.progress([running(listener.now, *phases)]))
        if len(listener.lines) > before:
            beats.append((now, listener.lines[-1]))
    assert beats == [
        (60, "[    1m] waiting for a first response; 29m left"),
        (90, "[ 1m30s] QUEUED"),
        (150, "[ 2m30s] still QUEUED for 1m; 27m30s left"),
        (210, "[ 3m30s] still QUEUED for 2m; 26m30s left"),
        (270, "[ 4m30s] still QUEUED for 3m; 25m30s left"),
    ]


def test_the_heartbeat_shows_an_outage_and_several_scans() -> None:
    """During an outage it has the last status, of several scans how many are decided."""
    listener = Listener()
    console = listener.console()
    listener.now = 80.0
    outage = running(80.0, Phase("QUEUED", 0, 15), outages=(Outage(20.0, DOWN),))
    console.tick(console.progress([outage]))
    assert listener.lines[-1] == "[ 1m20s] outage, had been QUEUED for 1m20s; 28m40s left"
    several = Listener()
    console = several.console(settings=SEVERAL)
    several.now = 61.0
    console.tick(console.progress([PASSED, running(61.0, target=TWO)]))
    assert several.lines[-1] == "[ 1m01s] 1 of 2 decided; 28m59s left"


def test_progress_is_read_from_the_histories() -> None:
    """Progress shows the first scan that is not decided, and no outage that is over."""
    over = Outage(20.0, DOWN, ended=30.0)
    second = running(40.0, Phase("QUEUED", 0, 15), Phase("DONE", 35, 40), target=TWO, outages=(over,))
    assert Progress.of([PASSED, second], 9.0) == Progress((("QUEUED", 35.0), ("DONE", 5.0)), 1, 2, 9.0, outage=False)
    assert Progress.of([PASSED], 9.0) == Progress((), 1, 1, 9.0, outage=False)
    assert Console(lambda _: None).progress([PASSED]).left == 0


def test_a_quiet_gate_logs_only_the_verdict_and_warnings() -> None:
    """No heartbeat, no status, no request."""
    listener = Listener()
    console = listener.console(quiet=True, verbose=True)
    console.handle(StatusSeen(ONE, 0.0, ScanReading("NEW")))
    console.requested(RequestMade("GET", "/x", 200, 1.0))
    listener.now = 100.0
    console.tick(console.progress([running(100.0)]))
    console.closing(verdict(PASSED))
    warning, last = listener.lines
    assert warning.startswith("warning: pending scan 41 has the status NEW, which is not documented.")
    assert last.startswith("PASS ")


def test_a_verbose_gate_logs_every_request() -> None:
    """Method, path, HTTP status, milliseconds; no more."""
    listener = Listener()
    console = listener.console(verbose=True)
    console.requested(RequestMade("GET", "/threadfix/rest", 502, 12.4))
    console.requested(RequestMade("GET", "/threadfix/rest", None, 30_000))
    assert listener.lines[1:] == [
        "[    0s] GET /threadfix/rest → 502, 12 ms",
        "[    0s] GET /threadfix/rest → no response, 30000 ms",
    ]


def test_the_verdict_is_the_last_line() -> None:
    """The verdict is the last line, with the link; unless it is a pass, the advice is before it."""
    listener = Listener()
    console = listener.console()
    settings = replace(SETTINGS, ui_url="{url}/scans/{scan_id}")
    console.closing(verdict(PASSED, settings=settings))
    (line,) = listener.lines[1:]
    assert line.startswith("PASS (processed): pending scan 41 of application 6 (contoso.fpr): processed as scan 12")
    assert line.endswith("after 12s (DONE). https://tf.example.com/threadfix/scans/12")
    listener.lines.clear()
    console.closing(verdict(FAILED, resume="threadfix-gate run ..."))
    assert [line.partition(":")[0] for line in listener.lines] == [
        "What it means",
        "To keep waiting, run",
        "What to do",
        "FAIL (scan-failed, exit code 1)",
    ]
    assert not any("`" in line or "*" in line for line in listener.lines)


def test_each_scan_that_did_not_pass_is_logged() -> None:
    """The verdict's line has only the deciding part."""
    listener = Listener()
    listener.console().closing(verdict(PASSED, FAILED))
    assert listener.lines[1].startswith("  pass: pending scan 41 of application 6 (contoso.fpr): processed as scan 12")
    assert listener.lines[2].startswith("  fail: pending scan 42 of application 6: ended as SCAN_DELETED")
    assert listener.lines[-1].startswith("FAIL (scan-failed, exit code 1): 1 of 2 pending scans failed")
    many = Listener()
    many.console().closing(verdict(*[PASSED] * 4, FAILED))
    assert [line[:30] for line in many.lines if line.startswith("  ")] == ["  fail: pending scan 42 of app"]


def closed(ending: Verdict, *, quiet: bool = False) -> list[str]:
    """The lines that end the log."""
    listener = Listener()
    Console(lambda line: listener.lines.append(line.text), quiet=quiet).closing(ending)
    return listener.lines


def test_a_check_that_does_not_hold_has_its_reason() -> None:
    """Its broken rows have limits and numbers, and three vulnerabilities are named with their links."""
    broken = checked(CRITERIA, CRITICAL, HIGH, obstacles=OBSTACLES)
    ending = builders.verdict(judge_scan(PASSED, SETTINGS), checks=[broken, checked(POLICY)])
    lines = closed(ending)
    rows = [line for line in lines if line.startswith("  ")]
    assert rows == [
        "  pass: pending scan 41 of application 6 (contoso.fpr): processed as scan 12 after 12s (DONE).",
        "  fail: pass criteria: 1 of 2 criteria fails: Critical (at most 0 open and at most 0 introduced; 3 open).",
        "    Critical: failing; at most 0 open, at most 0 introduced; 3 open",
        *(
            f"    blocked by: SQL Injection (Critical) in /login.jsp: user{number} "
            f"https://tf.example.com/threadfix/vulnerabilities/{700 + number}"
            for number in range(3)
        ),
        "    ... and 7 more; the HTML report and the result document list them",
        "  unknown: policy 'Release': no policy is attached to the application.",
    ]
    text = "pass criteria: 1 of 2 criteria fails: Critical (at most 0 open and at most 0 introduced; 3 open)."
    url = "https://tf.example.com/threadfix/applications/6"
    assert lines[-1] == f"FAIL (policy-failed, exit code 1): {text} {url}"


def test_the_rows_of_a_check_have_an_end() -> None:
    """Of a hundred broken policies ten are listed; a vulnerability may have no link."""
    rows = [replace(FAILING, name=f"Policy {number}") for number in range(100)]
    bare = OBSTACLES[0]._replace(severity="", place="", url=None)
    lines = closed(builders.verdict(checks=[checked(builders.POLICIES, *rows, obstacles=[bare])]))
    assert [line for line in lines if line.startswith("  ")] == [
        *(f"    Policy {number}: FAILING; evaluated 2026-01-02 03:04:05 UTC" for number in range(10)),
        "    ... and 90 more",
        "    blocked by: SQL Injection",
    ]


def test_an_accepted_refusal_is_a_notice() -> None:
    """A part that passed only because the user accepts it has a notice; a quiet gate has it in the verdict."""
    twice = uploaded(builders.REFUSED, "again.fpr")
    duplicate = frozenset({Accept.DUPLICATE})
    text = "upload of again.fpr: not imported; ThreadFix says: 'Scan file has already been uploaded'."
    ending = builders.verdict(uploads=[twice], accepted=duplicate)
    assert closed(ending) == [f"notice: {text}", f"PASS (already-imported): {text}"]
    assert closed(ending, quiet=True) == [f"PASS (already-imported): {text}"]
    scans = [judge_scan(PASSED, SETTINGS) for _ in range(4)]
    many = closed(builders.verdict(*scans, uploads=[twice], accepted=duplicate), quiet=True)
    assert many[0].startswith(
        "PASS (already-imported): 1 upload and 4 pending scans passed (1 of them already-imported)."
    )


def test_a_notice_of_a_runner_is_not_logged_twice() -> None:
    """On a runner it is an annotation, which the log shows as well."""
    listener = Listener()
    console = Console(lambda line: listener.lines.append(line.text), warn=listener.warnings.append)
    console.closing(builders.verdict(uploads=[uploaded(builders.REFUSED)], accepted=frozenset({Accept.DUPLICATE})))
    assert [line.partition(" ")[0] for line in listener.lines] == ["PASS"]


def test_invalid_options_have_a_line_each() -> None:
    """Each invalid option has a line and the verdict counts them; a quiet gate names them in the verdict."""
    listener = Listener()
    listener.console().closing(verdict())
    assert listener.lines[1:3] == ["  --timeout: is empty.", "  --url is missing."]
    assert listener.lines[-1] == "UNKNOWN (usage, exit code 2): 2 invalid options (above); nothing was sent."
    quiet = Listener()
    quiet.console(quiet=True).closing(verdict())
    assert quiet.lines == ["UNKNOWN (usage, exit code 2): 2 invalid options: --timeout: is empty. --url is missing."]


def test_a_downgraded_verdict_explains_that_the_job_continues() -> None:
    """A downgraded verdict has a warning, and no exit code, since that is 0."""
    listener = Listener()
    queued = ScanReading("QUEUED")
    timeout = replace(PASSED, newest=queued, reading=queued, ended=StopCause.DEADLINE, phases=(Phase("QUEUED", 0, 9),))
    soft = replace(SETTINGS, downgraded=frozenset({Reason.TIMEOUT}))
    listener.console().closing(verdict(timeout, settings=soft))
    warned = "warning: the verdict is unknown, with exit code 0. The job continues because of --on-timeout warn."
    assert warned in listener.lines
    quiet = Listener()
    quiet.console(quiet=True).closing(verdict(timeout, settings=soft))
    assert quiet.lines[0] == warned
    assert listener.lines[-1].startswith("UNKNOWN (timeout): ")


def test_the_live_line_shows_the_phases_and_the_time_left() -> None:
    """The live line is cut from the left: the newest part stays in sight."""
    progress = Progress((("QUEUED", 2.0), ("CHANNEL_MERGING", 65.0)), 0, 1, 1734.0, outage=False)
    assert live_text(progress, 100).plain == "QUEUED 2s › CHANNEL_MERGING 1m05s · 28m54s left"
    assert live_text(progress, 30).plain == "…L_MERGING 1m05s · 28m54s left"
    nothing = Progress((), 1, 2, 5.0, outage=True)
    assert live_text(nothing, 100).plain == "1 of 2 decided · asking (outage) · 5s left"


def test_the_live_line_of_a_check_has_its_name() -> None:
    """At a terminal the phases of a check follow its name."""
    progress = Progress((("stale", 12.0),), 0, 1, 108.0, outage=False, subject="pass criteria")
    assert live_text(progress, 100).plain == "pass criteria: stale 12s · 1m48s left"


def drawn_at(width: int, sending: Sending) -> str:
    """The live line of an upload at a terminal of this width, without its colours."""
    stream = io.StringIO()
    Screen(file=stream, width=width).print(upload_line(Spinner("dots"), sending))
    return stream.getvalue()


def test_the_live_line_of_an_upload_fits_its_terminal() -> None:
    """The numbers are whole at every width; the file's name and the bar take the rest of a single line."""
    sending = Sending(LARGE._replace(shown="reports/large.fpr"), 2, 3, 9_000_000, 9.0)
    assert re.search(r"2 of 3 large.fpr +━{8,}[╸━]?.* 45% of 20 MB, 1 MB/s, 11s left", drawn_at(96, sending))
    sent = replace(sending, sent=20_000_000)
    assert re.search("━+ +sent; waiting for ThreadFix's response", drawn_at(96, sent))
    for width in range(50, 200):
        for state in (Sending(LARGE, 2, 3), sending, sent):
            (line,) = drawn_at(width, state).splitlines()
            assert len(line) <= width
            assert line.rstrip().endswith(("response", "left", "0% of 20 MB"))


def test_a_terminal_shows_the_upload_and_takes_it_away() -> None:
    """A person sees a bar and no line per tenth, drawn no more often than can be seen, and gone at the end."""
    listener = Listener()
    drawn: list[Sending | None] = []
    console = Console(lambda line: listener.lines.append(line.text), draw=drawn.append, clock=lambda: listener.now)
    console.handle_upload(UploadBegan(LARGE))
    for step in range(1, 101):
        listener.now += 0.05
        console.handle_upload(UploadProgress(LARGE, LARGE.size * step // 100, listener.now))
    console.handle_upload(upload_of(LARGE, Queued((ONE,))))
    assert listener.lines == [
        "[    0s] uploading large.fpr (20 MB)",
        "[    5s] large.fpr: queued as pending scan 41 after 8s",
    ]
    assert 40 < len(drawn) < 60
    assert [bool(drawn[0]), drawn[-2] and drawn[-2].is_sent, drawn[-1]] == [True, True, None]
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.draw_upload(Sending(LARGE))
    assert stream.getvalue() == ""


def test_a_terminal_shows_lines_and_a_live_line() -> None:
    """The live line is gone when the block is left; lines stay, each whole."""

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Tty()
    terminal = Terminal(stream)
    progress = Progress((("QUEUED", 2.0),), 0, 1, 60.0, outage=False)
    with terminal:
        terminal.draw_upload(Sending(LARGE, sent=9_000_000))
        terminal.draw_upload(None)
        terminal.draw(progress)
        terminal.write(Line("[    0s] QUEUED"))
    terminal.draw(progress)
    terminal.write(Line("PASS (processed): done.", LineKind.PASS))
    shown = stream.getvalue()
    assert "45% of 20 MB" in shown
    assert "QUEUED 2s · 1m left" in shown
    assert "[    0s] QUEUED\n" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert shown.index("\x1b[?25h") < shown.index("PASS")


def test_prose_is_wrapped_and_a_command_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence breaks between words, a link stays whole, and a command is one line that can be copied."""
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.StringIO()
    terminal = Terminal(stream)
    url = "https://tf.example.com/threadfix/applications/6/scans/12"
    terminal.write(Line(f"FAIL (scan-failed): ended as SCAN_DELETED after 12s. {url}", LineKind.FAIL))
    terminal.write(Line("[    0s] error: tf.example.com returned HTTP 502.", indent=9))
    command = "To keep waiting, run: threadfix-gate run " + "--url https://tf.example.com " * 3
    terminal.write(Line(command, LineKind.COMMAND))
    assert stream.getvalue().splitlines() == [
        "FAIL (scan-failed): ended as",
        "  SCAN_DELETED after 12s.",
        f"  {url}",
        "[    0s] error: tf.example.com returned",
        "         HTTP 502.",
        command,
    ]


@pytest.mark.parametrize("kind", LineKind)
def test_a_line_has_the_colour_of_its_kind(kind: LineKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of a line decides its colour, not its text; a plain line has no colour."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    Terminal(stream).write(Line("PASS (", kind))
    assert ("\x1b[" in stream.getvalue()) is (kind is not LineKind.PLAIN)


def test_each_line_has_its_kind() -> None:
    """The kind travels with the line: of an event, a warning, advice, a command and the verdict."""
    kinds: list[LineKind] = []
    console = Console(lambda line: kinds.append(line.kind))
    console.handle(StatusSeen(ONE, 0.0, ScanReading("QUEUED")))
    console.handle(Stalled(ONE, 700.0, "QUEUED", 700.0))
    console.closing(verdict(FAILED, resume="threadfix-gate run ..."))
    assert kinds == [
        LineKind.PLAIN,
        LineKind.WARNING,
        LineKind.ADVICE,
        LineKind.COMMAND,
        LineKind.ADVICE,
        LineKind.FAIL,
    ]

"""The lines of a run, in a log and at a terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, NamedTuple

import pytest
from rich.console import Console as Screen
from rich.spinner import Spinner

from gate.judge.scans import judge_scan
from gate.judge.verdict import Verdict
from gate.model.events import (
    Ended,
    Event,
    OutageBegan,
    OutageEnded,
    Stalled,
    StatusSeen,
    UploadBegan,
    UploadEnded,
    UploadEvent,
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
from gate.model.reasons import InvalidOption, Reason
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

ONE, TWO = Target(6, 41), Target(6, 42)
SETTINGS = Settings(Server("https://tf.example.com/threadfix", Secret("key")), ApplicationId(6), (41,))
SEVERAL = replace(SETTINGS, pending_scan_ids=(41, 42))
UNTIL = datetime(2026, 1, 2, 14, 32, 10, tzinfo=timezone.utc)
DOWN = Failure(Reason.UNREACHABLE, "tf.example.com returned HTTP 502.")


INVALID = (InvalidOption("--timeout", "--timeout: is empty."), InvalidOption("--url", "--url is missing."))


def verdict(*histories: ScanHistory, settings: Settings = SETTINGS, resume: str = "") -> Verdict:
    """The verdict on histories, or on invalid options."""
    scans = (judge_scan(history, settings) for history in histories)
    return builders.verdict(*scans, resume=resume, invalid=INVALID, elapsed=12.0)


DONE = ScanReading("DONE", scan_id=12, name="contoso.fpr")
PASSED = History(ONE, StopCause.DECIDED, 12.0, 3, newest=DONE, reading=DONE)
FAILED = replace(PASSED, newest=ScanReading("SCAN_DELETED"), reading=ScanReading("SCAN_DELETED"), target=TWO)


Step = Event[Any, Any] | UploadEvent | RequestMade | Verdict | float | list[Any] | None


def log(*steps: Step, settings: Settings = SETTINGS, quiet: bool = False, verbose: bool = False) -> list[str]:
    """Return the lines of a run after its first line.

    A step is an event, a request, a moment of the clock, the histories of waits that go on, None for an upload that
    goes on, or the verdict.
    """
    lines, now = [], [0.0]
    console = Console(lambda line: lines.append(line.text), quiet=quiet, verbose=verbose, clock=lambda: now[0])
    console.opening(settings)
    console.waiting(settings, [Target(6, number) for number in settings.pending_scan_ids], UNTIL)
    for step in steps:
        match step:
            case float():
                now[0] = step
            case RequestMade():
                console.requested(step)
            case list():
                console.tick(console.progress(step))
            case Verdict():
                console.closing(step)
            case None:
                console.tick_upload()
            case _:
                console.handle(step)
    return lines[not quiet :]


def running(now: float, *phases: Phase, target: Target = ONE, outages: tuple[Outage, ...] = ()) -> ScanHistory:
    """The history so far of a wait that goes on."""
    return History(target, None, now, phases=phases, outages=outages)


SMALL, LARGE = ScanFile("a/small.json", 812, "a/small.json"), ScanFile("large.fpr", 20_000_000, "large.fpr")


def upload_of(file: ScanFile, receipt: Receipt) -> UploadEnded:
    """The end of an upload of 8 seconds."""
    return UploadEnded(builders.uploaded(receipt)._replace(file=file))


class New(NamedTuple):
    """A kind of reading that the console does not know."""

    status: str
    sent: None = None


SHOP = ApplicationName("Web", "Shop")
STALE_NOW: CheckHistory = History(POLICY, None, 70.0, phases=(Phase("stale", 0, 70),))
DANGERS = replace(SETTINGS.server, url="http://tf.example.com", insecure=True, allow_http=True)
BUSY = "ThreadFix may be busy or stuck; the gate keeps waiting."
SENT_ALL = "still waiting for ThreadFix's response"
LINES: dict[str, tuple[tuple[Step, ...], list[str]]] = {
    "statuses and an outage": (
        (
            StatusSeen(ONE, 0.0, ScanReading("QUEUED")),
            StatusSeen(ONE, 12.0, ScanReading("CHANNEL_MERGING"), "QUEUED", 12.0),
            OutageBegan(ONE, 20.0, DOWN, 300.0),
            OutageEnded(ONE, 65.0, Outage(20.0, DOWN, 4, 65.0)),
            Stalled(ONE, 700.0, "CHANNEL_MERGING", 688.0),
            Ended(PASSED),
        ),
        [
            "[    0s] QUEUED",
            "[   12s] CHANNEL_MERGING (QUEUED took 12s)",
            "[   20s] error: tf.example.com returned HTTP 502. Retrying for up to 5m.",
            "[ 1m05s] recovered after 45s (4 failed polls)",
            f"warning: pending scan 41 has been CHANNEL_MERGING for 11m28s. {BUSY}",
        ],
    ),
    "an error at the deadline, which is not retried": (
        (OutageBegan(ONE, 0.0, DOWN, 0.0),),
        ["[    0s] error: tf.example.com returned HTTP 502."],
    ),
    "an application that is looked up": (
        (
            StatusSeen(SHOP, 0.0, Application(6, "Shop")),
            StatusSeen(ApplicationId(6), 0.0, Application(6, "Shop")),
            StatusSeen(ApplicationId(6), 0.0, Application(6)),
        ),
        [
            "[    0s] application 'Shop' of team 'Web' is application 6",
            "[    0s] application 6 found: Shop",
            "[    0s] application 6 found",
        ],
    ),
    "a new kind of reading": (
        (StatusSeen(ApplicationId(6), 0.0, New("open")), StatusSeen(ApplicationId(6), 2.0, New("closed"), "open", 2.0)),
        ["[    0s] open", "[    0s] closed (open took 2s)"],
    ),
    "a slow upload": (
        tuple(
            step
            for now, sent in ((60.0, 0), (90.0, 300), (120.0, 600), (150.0, 812), (180.0, 812), (240.0, 812))
            for step in (now, UploadProgress(SMALL, sent, now))
        ),
        [
            "[    1m] 0% of 812 bytes",
            "[    2m] 73% of 812 bytes, 5 bytes/s, 42s left",
            f"[    3m] {SENT_ALL}",
            f"[    4m] {SENT_ALL}",
        ],
    ),
    "an upload that waits for the response, with a heartbeat only until its end": (
        (
            *(None, UploadBegan(SMALL), UploadProgress(SMALL, 812, 0.1)),
            *(step for now in range(150) for step in (float(now), None)),
            *(upload_of(SMALL, Queued((ONE,))), 300.0, None),
        ),
        [
            "[    0s] uploading a/small.json (812 bytes)",
            f"[    1m] {SENT_ALL}",
            f"[    2m] {SENT_ALL}",
            "[ 2m29s] a/small.json: queued as pending scan 41 after 8s",
        ],
    ),
    "an upload that could not begin, at the time of the run": (
        (7.0, OutageBegan(SMALL, 1.0, DOWN, 60.0), OutageEnded(SMALL, 3.0, Outage(1.0, DOWN, 2, 3.0))),
        [
            "[    7s] error: tf.example.com returned HTTP 502. Retrying for up to 1m.",
            "[    7s] recovered after 2s (2 failed polls)",
        ],
    ),
    "checks with their freshness, in the time of the log": (
        (
            180.0,
            StatusSeen(POLICY, 0.0, CheckReading("stale", None, (STALE,))),
            StatusSeen(POLICY, 12.0, CheckReading("fresh", holds=True, results=(PASSING,)), "stale", 12.0),
            StatusSeen(CRITERIA, 0.0, CheckReading("stale", holds=True, results=(replace(HIGH, behind=None), HIGH))),
            StatusSeen(CRITERIA, 2.0, CheckReading("fresh", holds=False, results=(CRITICAL, HIGH))),
            StatusSeen(CRITERIA, 2.0, CheckReading("fresh", None)),
            OutageBegan(CRITERIA, 3.0, DOWN, 300.0),
            Stalled(POLICY, 700.0, "stale", 700.0),
        ),
        [
            "[    3m] policy 'Release': PASSING, but stale: evaluated 4m before the scan",
            "[    3m] policy 'Release': PASSING, fresh (stale for 12s)",
            "[    3m] pass criteria: passing, but stale; asking again",
            "[    3m] pass criteria: failing, fresh",
            "[    3m] pass criteria: undecided, fresh",
            "[    3m] pass criteria: error: tf.example.com returned HTTP 502. Retrying for up to 5m.",
            f"warning: policy 'Release' has been stale for 11m40s. {BUSY}",
        ],
    ),
    "the time left of a check and of an application, which is their own": (
        (
            *(200.0, [STALE_NOW], 300.0, [STALE_NOW, History(CRITERIA, StopCause.DECIDED, 2.0)]),
            *(400.0, [History(ApplicationId(6), None, 10.0)]),
        ),
        [
            "[ 3m20s] policy 'Release': still stale for 1m10s; 50s left",
            "[    5m] 1 of 2 decided; 50s left",
            "[ 6m40s] application 6: waiting for a first response; 50s left",
        ],
    ),
    "an outage that goes on": (
        (80.0, [running(80.0, Phase("QUEUED", 0, 15), outages=(Outage(20.0, DOWN),))]),
        ["[ 1m20s] outage, had been QUEUED for 1m20s; 28m40s left"],
    ),
}


@pytest.mark.parametrize(("steps", "lines"), LINES.values(), ids=LINES)
def test_each_step_has_its_lines(steps: tuple[Step, ...], lines: list[str]) -> None:
    assert log(*steps) == lines


def first_lines(settings: Settings, *, quiet: bool = False) -> list[str]:
    lines: list[str] = []
    console = Console(lambda line: lines.append(line.text), quiet=quiet)
    console.opening(settings)
    console.waiting(settings, [Target(6, number) for number in settings.pending_scan_ids], UNTIL)
    return lines


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        (SETTINGS, "asking {} for pending scan 41 of application 6, until 14:32:10 UTC (30m)."),
        (
            replace(SEVERAL, plan=replace(SETTINGS.plan, timeout=0)),
            "asking {} for 2 pending scans of application 6, once.",
        ),
        (replace(SETTINGS, application=SHOP), "looking up application 'Shop' of team 'Web' on {}."),
        (replace(SETTINGS, files=(SMALL,)), "uploading a/small.json (812 bytes) to application 6 on {}."),
        (replace(SETTINGS, files=(LARGE, SMALL)), "uploading 2 files (20 MB) to application 6 on {}."),
    ],
)
def test_the_first_line_has_the_step_and_the_server(settings: Settings, first: str) -> None:
    line, *others = first_lines(settings)
    assert line.endswith(": " + first.format("https://tf.example.com/threadfix"))
    assert [other.partition(" ")[0] for other in others] == ([] if first.startswith("asking") else ["Asking"])


@pytest.mark.parametrize("quiet", [False, True])
def test_dangerous_options_warn_on_every_run(*, quiet: bool) -> None:
    lines = first_lines(replace(SETTINGS, server=DANGERS), quiet=quiet)
    assert [line.split(":")[1] for line in lines[not quiet :][:2]] == [" --insecure", " --allow-http"]


def test_with_several_scans_each_line_names_its_scan_and_file() -> None:
    queued = StatusSeen(ONE, 3.0, ScanReading("QUEUED")), StatusSeen(TWO, 3.0, ScanReading("QUEUED"))
    lines = log(upload_of(SMALL, Queued((ONE,))), *queued, 61.0, [PASSED, running(61.0, target=TWO)], settings=SEVERAL)
    assert lines[1:] == [
        "[    3s] #41 (small.json) QUEUED",
        "[    3s] #42 QUEUED",
        "[ 1m01s] 1 of 2 decided; 28m59s left",
    ]


def test_an_undocumented_status_is_warned_of_once() -> None:
    seen = ((ONE, "NEW"), (TWO, "NEW"), (TWO, "NEWER"))
    lines = log(*(StatusSeen(target, 3.0, ScanReading(status)) for target, status in seen), settings=SEVERAL)
    warned = [line for line in lines if line.startswith("warning")]
    assert [("NEW," in line, "NEWER," in line) for line in warned] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("receipt", "words"),
    [
        (Queued((ONE,)), "queued as pending scan 41 after 8s"),
        (Queued((ONE, TWO)), "queued as pending scans 41, 42 after 8s"),
        (Finished(12), "finished as scan 12 after 8s"),
        (builders.REFUSED, "refused after 8s; ThreadFix says: 'Scan file has already been uploaded'"),
        (Refused(""), "refused after 8s"), (DOWN, "failed (unreachable) after 8s: tf.example.com returned HTTP 502."),
        (replace(DOWN, unsent=True), "not sent (unreachable) after 8s: tf.example.com returned HTTP 502."),
        (Unfinished.NOT_SENT, "not sent after 8s"), (Unfinished.BROKEN_OFF, "broken off after 8s"),
    ],
)  # fmt: skip
def test_the_end_of_an_upload_has_its_result(receipt: Receipt, words: str) -> None:
    assert log(upload_of(SMALL, receipt)) == [f"[    0s] a/small.json: {words}"]


def test_a_log_has_a_line_per_tenth_of_a_large_file() -> None:
    steps: list[Step] = []
    for number, file in enumerate((SMALL, LARGE), 1):
        steps.append(UploadBegan(file, number, 2))
        for step in range(1, 41):
            # The request is a little longer than the file.
            sent = file.size * step // 40 + 300 * (step == 40)
            steps += [40.0 * number - 40 + step, UploadProgress(file, sent, float(step))]
        steps.append(upload_of(file, Queued((ONE,))))
    assert log(*steps) == [
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


def test_a_heartbeat_comes_once_a_minute_of_silence() -> None:
    steps: list[Step] = []
    for now in range(300):
        steps += [float(now), [running(now, *((Phase("QUEUED", 90, 90),) if now >= 90 else ()))]]
        if now == 90:
            steps.append(StatusSeen(ONE, 90.0, ScanReading("QUEUED")))
    assert log(*steps) == [
        "[    1m] waiting for a first response; 29m left",
        "[ 1m30s] QUEUED",
        "[ 2m30s] still QUEUED for 1m; 27m30s left",
        "[ 3m30s] still QUEUED for 2m; 26m30s left",
        "[ 4m30s] still QUEUED for 3m; 25m30s left",
    ]


def test_progress_is_that_of_the_first_undecided_scan() -> None:
    over = Outage(20.0, DOWN, ended=30.0)
    second = running(40.0, Phase("QUEUED", 0, 15), Phase("DONE", 35, 40), target=TWO, outages=(over,))
    progress = Console(lambda _: None).progress
    assert progress([PASSED, second]) == Progress((("QUEUED", 35.0), ("DONE", 5.0)), 1, 2, 0.0, outage=False)
    assert progress([PASSED]) == Progress((), 1, 1, 0.0, outage=False)


def test_a_quiet_gate_logs_only_the_verdict_and_warnings() -> None:
    steps = StatusSeen(ONE, 0.0, ScanReading("NEW")), RequestMade("GET", "/x", 200, 1.0), 100.0, [running(100.0)]
    warning, last = log(*steps, verdict(PASSED), quiet=True, verbose=True)
    assert warning.startswith("warning: pending scan 41 has the status NEW, which is not documented.")
    assert last.startswith("PASS ")


def test_a_verbose_gate_logs_every_request() -> None:
    request = RequestMade("GET", "/threadfix/rest", None, 30_000)
    assert log(request) == []
    assert log(request, verbose=True) == ["[    0s] GET /threadfix/rest → no response, 30000 ms"]


def test_each_scan_that_did_not_pass_is_logged() -> None:
    lines = log(verdict(PASSED, FAILED))
    assert lines[0].startswith(
        "FAIL (scan-failed, exit code 1): pending scan 42 of application 6: ended as SCAN_DELETED"
    )
    assert lines[0].endswith(" 1 of 2 pending scans failed.")
    assert lines[1].startswith("  pass: pending scan 41 of application 6 (contoso.fpr): processed as scan 12")
    late = replace(FAILED, target=Target(6, 43), elapsed=13.0)
    many = log(verdict(*[PASSED] * 4, late, FAILED))
    assert [line[:30] for line in many if line.startswith("  ")] == ["  fail: pending scan 42 of app"]


def test_the_rows_of_a_check_have_an_end() -> None:
    rows = [replace(FAILING, name=f"Policy {number}") for number in range(100)]
    bare = OBSTACLES[0]._replace(severity="", place="", url=None)
    lines = log(builders.verdict(checks=[checked(builders.POLICIES, *rows, obstacles=[bare])]))
    assert [line for line in lines if line.startswith("  ")] == [
        *(f"    Policy {number}: FAILING; evaluated 2026-01-02 03:04:05 UTC" for number in range(10)),
        "    ... and 90 more",
        "    blocked by: SQL Injection",
    ]


TWICE, DUPLICATE = uploaded(builders.REFUSED, "again.fpr"), frozenset({Accept.DUPLICATE})


def test_an_accepted_refusal_is_a_notice() -> None:
    text = "upload of again.fpr: not imported; ThreadFix says: 'Scan file has already been uploaded'."
    ending = builders.verdict(uploads=[TWICE], accepted=DUPLICATE)
    last = f"PASS (already-imported): {text} Application 'Contoso shop' of team 'Contoso'. No rule was requested."
    assert log(ending) == [f"notice: {text}", last]
    assert log(ending, quiet=True) == [last]
    scans = [judge_scan(PASSED, SETTINGS) for _ in range(4)]
    assert log(builders.verdict(*scans, uploads=[TWICE], accepted=DUPLICATE), quiet=True)[0].startswith(
        "PASS (already-imported): 1 upload and 4 pending scans passed (1 of them already-imported)."
    )


def test_invalid_options_have_a_line_each() -> None:
    lines = log(verdict())
    assert lines[:3] == [
        "UNKNOWN (usage, exit code 2): 2 invalid options; nothing was sent.",
        "  --timeout: is empty.",
        "  --url is missing.",
    ]
    assert log(verdict(), quiet=True) == [
        "UNKNOWN (usage, exit code 2): 2 invalid options: --timeout: is empty. --url is missing."
    ]


def test_a_downgraded_verdict_explains_that_the_job_continues() -> None:
    queued = ScanReading("QUEUED")
    timeout = replace(PASSED, newest=queued, reading=queued, ended=StopCause.DEADLINE, phases=(Phase("QUEUED", 0, 9),))
    ending = verdict(timeout, settings=replace(SETTINGS, downgraded=frozenset({Reason.TIMEOUT})))
    for quiet in (False, True):
        warning, last, *_ = log(ending, quiet=quiet)
        job = "The job continues because of --on-timeout warn."
        assert warning == f"warning: the verdict is unknown, with exit code 0. {job}"
        assert last.startswith("UNKNOWN (timeout): ")


def test_the_live_line_shows_the_newest_phases_and_the_time_left() -> None:
    progress = Progress((("QUEUED", 2.0), ("CHANNEL_MERGING", 65.0)), 0, 1, 1734.0, outage=False)
    assert live_text(progress, 100).plain == "QUEUED 2s › CHANNEL_MERGING 1m05s · 28m54s left"
    assert live_text(progress, 30).plain == "…L_MERGING 1m05s · 28m54s left"
    outage = Progress((), 1, 2, 5.0, outage=True)
    assert live_text(outage, 100).plain == "1 of 2 decided · asking (outage) · 5s left"
    check = Progress((("stale", 12.0),), 0, 1, 108.0, outage=False, subject="pass criteria")
    assert live_text(check, 100).plain == "pass criteria: stale 12s · 1m48s left"


def drawn_at(width: int, sending: Sending) -> str:
    """The live line of an upload at a terminal of this width, without its colours."""
    stream = io.StringIO()
    Screen(file=stream, width=width).print(upload_line(Spinner("dots"), sending))
    return stream.getvalue()


def test_the_live_line_of_an_upload_fits_its_terminal() -> None:
    sending = Sending(LARGE._replace(shown="reports/large.fpr"), 2, 3, 9_000_000, 9.0)
    assert re.search(r"2 of 3 large.fpr +━{8,}[╸━]?.* 45% of 20 MB, 1 MB/s, 11s left", drawn_at(96, sending))
    sent = sending._replace(sent=20_000_000)
    assert re.search("━+ +sent; waiting for ThreadFix's response", drawn_at(96, sent))
    for width in range(50, 200, 7):
        for state in (Sending(LARGE, 2, 3), sending, sent):
            (line,) = drawn_at(width, state).splitlines()
            assert len(line) <= width
            assert line.rstrip().endswith(("response", "left", "0% of 20 MB"))


def test_a_terminal_shows_the_upload_and_takes_it_away() -> None:
    lines: list[str] = []
    drawn: list[Sending | None] = []
    now = [0.0]
    console = Console(lambda line: lines.append(line.text), draw=drawn.append, clock=lambda: now[0])
    console.handle(UploadBegan(LARGE))
    for step in range(1, 101):
        now[0] += 0.05
        console.handle(UploadProgress(LARGE, LARGE.size * step // 100, now[0]))
    console.handle(upload_of(LARGE, Queued((ONE,))))
    assert lines == ["[    0s] uploading large.fpr (20 MB)", "[    5s] large.fpr: queued as pending scan 41 after 8s"]
    assert 40 < len(drawn) < 60
    assert [bool(drawn[0]), drawn[-2] and drawn[-2].is_sent, drawn[-1]] == [True, True, None]
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.draw_upload(Sending(LARGE))
    assert stream.getvalue() == ""


def test_a_terminal_shows_lines_and_a_live_line() -> None:
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


def test_no_text_moves_the_cursor_of_a_terminal_or_is_markup() -> None:
    stream = io.StringIO()
    Console(Terminal(stream).write).line("[bold]x[/bold] :smile: \x1b[2J\x1b[1;31mred\x07\u202e\u2028")
    assert stream.getvalue() == "[bold]x[/bold] :smile:  [2J [1;31mred\n"


def test_prose_is_wrapped_and_a_command_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    Terminal(stream).write(Line("PASS (", kind))
    assert ("\x1b[" in stream.getvalue()) is (kind is not LineKind.PLAIN)


def test_each_line_has_its_kind() -> None:
    kinds: list[LineKind] = []
    console = Console(lambda line: kinds.append(line.kind))
    console.handle(StatusSeen(ONE, 0.0, ScanReading("QUEUED")))
    console.handle(Stalled(ONE, 700.0, "QUEUED", 700.0))
    console.closing(verdict(FAILED, resume="threadfix-gate run ..."))
    advice = [LineKind.ADVICE, LineKind.COMMAND, LineKind.ADVICE]
    assert kinds == [LineKind.PLAIN, LineKind.WARNING, LineKind.FAIL, *advice]

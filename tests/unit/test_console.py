"""What a person reads while the gate runs, in a log and at a terminal."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gate.errors import InvalidOption
from gate.events import Ended, OutageBegan, OutageEnded, Stalled, StatusSeen
from gate.history import Failure, History, Outage, Phase, ScanHistory, ScanReading, StopCause
from gate.http import RequestMade
from gate.parts.scans import judge_scan
from gate.reasons import Reason
from gate.reporters.console import Console, Progress
from gate.reporters.lines import Line, LineKind
from gate.reporters.terminal import Terminal, live_text
from gate.settings import Settings
from gate.subjects import ApplicationId, Target
from gate.text import Secret
from gate.threadfix.server import Server
from tests import builders

if TYPE_CHECKING:
    from gate.verdict import Verdict

ONE, TWO = Target(6, 41), Target(6, 42)
ASKED = Settings(Server("https://tf.example.com/threadfix", Secret("key")), ApplicationId(6), (41,))
UNTIL = datetime(2026, 1, 2, 14, 32, 10, tzinfo=UTC)
DOWN = Failure(Reason.UNREACHABLE, "tf.example.com returned HTTP 502.")


@dataclass
class Listener:
    """A console, its lines, and a clock of its own."""

    now: float = 0.0
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def console(self, *, asked: Settings = ASKED, quiet: bool = False, verbose: bool = False) -> Console:
        console = Console(
            lambda line: self.lines.append(line.text), quiet=quiet, verbose=verbose, clock=lambda: self.now
        )
        console.opening(asked)
        console.waiting(asked, [Target(6, number) for number in asked.pending_scan_ids], UNTIL)
        return console


INVALID = (InvalidOption("--timeout", "--timeout: is empty."), InvalidOption("--url", "--url is missing."))


def verdict(*histories: ScanHistory, asked: Settings = ASKED, resume: str = "") -> Verdict:
    """The verdict on histories, or on invalid options."""
    scans = (judge_scan(history, asked) for history in histories)
    return builders.verdict(*scans, resume=resume, invalid=INVALID, elapsed=12.0)


DONE = ScanReading("DONE", scan_id=12, name="contoso.fpr")
PASSED = History(ONE, StopCause.DECIDED, 12.0, 3, newest=DONE, reading=DONE)
FAILED = replace(PASSED, newest=ScanReading("SCAN_DELETED"), reading=ScanReading("SCAN_DELETED"), target=TWO)


def test_the_first_line_says_what_is_asked_of_whom_and_until_when() -> None:
    """The log begins with the server, the scan and the deadline."""
    listener = Listener()
    listener.console()
    assert listener.lines[0].endswith(
        ": asking https://tf.example.com/threadfix for pending scan 41 of application 6, until 14:32:10 UTC (30m)."
    )
    several = Listener()
    several.console(asked=replace(ASKED, targets=(ONE, TWO), plan=replace(ASKED.plan, timeout=0)))
    assert several.lines[0].endswith("for 2 pending scans of application 6, once.")


def test_what_is_dangerous_warns_on_every_run() -> None:
    """A switch that somebody set long ago is not forgotten."""
    listener = Listener()
    server = replace(ASKED.server, url="http://tf.example.com", insecure=True, allow_http=True)
    listener.console(asked=replace(ASKED, server=server))
    assert [line.split(":")[1] for line in listener.lines[1:]] == [" --insecure", " --allow-http"]
    quiet = Listener()
    quiet.console(asked=replace(ASKED, server=server), quiet=True)
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


def test_an_error_at_the_deadline_is_not_retried() -> None:
    """An error at the deadline does not say for how long the gate retries."""
    listener = Listener()
    listener.console().handle(OutageBegan(ONE, 0.0, DOWN, 0.0))
    assert listener.lines[1] == "[    0s] error: tf.example.com returned HTTP 502."


def test_with_several_scans_each_line_says_which() -> None:
    """Of several scans, each line has the number of its own."""
    listener = Listener()
    console = listener.console(asked=replace(ASKED, targets=(ONE, TWO)))
    console.handle(StatusSeen(TWO, 3.0, ScanReading("QUEUED")))
    assert listener.lines[1] == "[    3s] #42 QUEUED"


def test_an_undocumented_status_is_warned_of_once() -> None:
    """Each new value once, not each scan that has it."""
    listener = Listener()
    console = listener.console(asked=replace(ASKED, targets=(ONE, TWO)))
    for target, status in ((ONE, "NEW"), (TWO, "NEW"), (TWO, "NEWER")):
        console.handle(StatusSeen(target, 3.0, ScanReading(status)))
    warned = [line for line in listener.lines if line.startswith("warning")]
    assert [("NEW," in line, "NEWER," in line) for line in warned] == [(True, False), (False, True)]


def running(now: float, *phases: Phase, target: Target = ONE, outages: tuple[Outage, ...] = ()) -> ScanHistory:
    """The history so far of a wait that goes on."""
    return History(target, None, now, phases=phases, outages=outages)


def test_a_heartbeat_comes_once_a_minute_of_silence() -> None:
    """The log says that the gate still waits after each minute without another line."""
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
    console = several.console(asked=replace(ASKED, targets=(ONE, TWO)))
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


def test_the_hint_of_an_error_comes_with_the_first_one() -> None:
    """A hint is logged once, and only before the first good response: after that the address is right."""
    listener = Listener()
    console = listener.console(asked=replace(ASKED, targets=(ONE, TWO)))
    page = replace(DOWN, hint="Check that `--url` has its context path.")
    for target, failure in ((ONE, page), (TWO, page), (TWO, replace(page, hint="Set *another* header."))):
        console.handle(OutageBegan(target, 0.0, failure, 60.0, first_contact=True))
    console.handle(OutageBegan(ONE, 40.0, replace(page, hint="Check the port."), 300.0))
    hints = [line for line in listener.lines[1:] if "error" not in line]
    assert hints == ["         Check that --url has its context path.", "         Set another header."]


def test_a_quiet_gate_says_only_the_verdict_and_what_is_loud() -> None:
    """No heartbeat, no warning, no request."""
    listener = Listener()
    console = listener.console(quiet=True, verbose=True)
    console.handle(StatusSeen(ONE, 0.0, ScanReading("NEW")))
    console.requested(RequestMade("GET", "/x", 200, 1.0))
    listener.now = 100.0
    console.tick(console.progress([running(100.0)]))
    assert listener.lines == []
    console.warning("a report could not be written.", always=True)
    console.closing(verdict(PASSED))
    assert len(listener.lines) == 2


def test_a_verbose_gate_says_every_request() -> None:
    """Method, path, HTTP status, milliseconds; nothing else."""
    listener = Listener()
    console = listener.console(verbose=True)
    console.requested(RequestMade("GET", "/threadfix/rest", 502, 12.4))
    console.requested(RequestMade("GET", "/threadfix/rest", None, 30_000))
    assert listener.lines[1:] == [
        "[    0s] GET /threadfix/rest → 502, 12 ms",
        "[    0s] GET /threadfix/rest → no response, 30000 ms",
    ]


def test_the_verdict_is_the_last_line() -> None:
    """The verdict is the last line, with the link; unless it is a pass, what to do stands before it."""
    listener = Listener()
    console = listener.console()
    asked = replace(ASKED, ui_url="{url}/scans/{scan_id}")
    console.closing(verdict(PASSED, asked=asked))
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


def test_several_scans_that_did_not_pass_are_told_each() -> None:
    """The verdict's line tells only the deciding one."""
    listener = Listener()
    listener.console().closing(verdict(PASSED, FAILED))
    assert listener.lines[1].startswith("  fail: pending scan 42 of application 6: ended as SCAN_DELETED")
    assert listener.lines[-1].startswith("FAIL (scan-failed, exit code 1): 1 of 2 pending scans failed")


def test_invalid_options_have_a_line_each() -> None:
    """Each invalid option has a line and the verdict counts them; a quiet gate names them in the verdict."""
    listener = Listener()
    listener.console().closing(verdict())
    assert listener.lines[1:3] == ["  --timeout: is empty.", "  --url is missing."]
    assert listener.lines[-1] == "UNKNOWN (usage, exit code 2): 2 invalid options (above); nothing was sent."
    quiet = Listener()
    quiet.console(quiet=True).closing(verdict())
    assert quiet.lines == ["UNKNOWN (usage, exit code 2): 2 invalid options: --timeout: is empty. --url is missing."]


def test_a_downgraded_verdict_says_that_the_job_goes_on() -> None:
    """A downgraded verdict has a warning, and no exit code, since that is 0."""
    listener = Listener()
    queued = ScanReading("QUEUED")
    timeout = replace(PASSED, newest=queued, reading=queued, ended=StopCause.DEADLINE, phases=(Phase("QUEUED", 0, 9),))
    soft = replace(ASKED, downgraded=frozenset({Reason.TIMEOUT}))
    listener.console().closing(verdict(timeout, asked=soft))
    warned = "warning: the verdict is unknown, with exit code 0. The job continues because of --on-timeout warn."
    assert warned in listener.lines
    quiet = Listener()
    quiet.console(quiet=True).closing(verdict(timeout, asked=soft))
    assert quiet.lines[0] == warned
    assert listener.lines[-1].startswith("UNKNOWN (timeout): ")


def test_the_live_line_shows_the_phases_and_the_time_left() -> None:
    """The live line is cut from the left: what is newest stays in sight."""
    progress = Progress((("QUEUED", 2.0), ("CHANNEL_MERGING", 65.0)), 0, 1, 1734.0, outage=False)
    assert live_text(progress, 100).plain == "QUEUED 2s › CHANNEL_MERGING 1m05s · 28m54s left"
    assert live_text(progress, 30).plain == "…L_MERGING 1m05s · 28m54s left"
    nothing = Progress((), 1, 2, 5.0, outage=True)
    assert live_text(nothing, 100).plain == "1 of 2 decided · asking (outage) · 5s left"


def test_a_terminal_shows_lines_and_a_live_one() -> None:
    """The live line is gone when the block is left; lines stay, each whole."""

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Tty()
    terminal = Terminal(stream)
    progress = Progress((("QUEUED", 2.0),), 0, 1, 60.0, outage=False)
    with terminal:
        terminal.draw(progress)
        terminal.write(Line("[    0s] QUEUED"))
    terminal.draw(progress)
    terminal.write(Line("PASS (processed): done.", LineKind.PASS))
    shown = stream.getvalue()
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
    """The kind of a line decides its colour, and not its text; a plain line has none."""
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

"""What a history means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gate.errors import Cancelled, UsageError
from gate.history import Answer, End, History, Observation, Outage, Phase, Target, Trouble
from gate.reasons import REASONS, SIGNAL_EXIT_CODES, Kind, Reason
from gate.rules import Rules
from gate.settings import Server, Settings
from gate.text import Secret
from gate.verdict import ScanVerdict, conclude, decide, from_bug, from_error, judge_scan
from gate.waiting import Plan

TARGET = Target(6, 41)
ASKED = Settings(Server("https://tf.example.com/threadfix", Secret("key")), (TARGET,))
QUEUED = Answer("QUEUED")
ALL = {reason: Trouble(reason, f"{reason}.") for reason in Reason}


def seen(newest: Observation, ended: End = End.DECIDED, answer: Answer | None = None) -> History:
    """A history whose newest observation is `newest`; `answer` is an earlier good one."""
    known = newest if isinstance(newest, Answer) else answer
    return History(
        TARGET,
        ended,
        elapsed=100.0,
        polls=9,
        errors=int(isinstance(newest, Trouble)),
        phases=(Phase(known.status, 0, 90),) if known else (),
        outages=(Outage(40.0, newest, polls=3),) if isinstance(newest, Trouble) else (),
        newest=newest,
        answer=known,
    )


def judged(history: History, **changes: object) -> ScanVerdict:
    """The verdict on a history, with some settings changed."""
    return judge_scan(history, replace(ASKED, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (seen(Answer("DONE", scan_id=12, name="contoso.fpr")), Reason.PROCESSED),
        (seen(Answer("FINISHED_FINDING_PULLING")), Reason.PROCESSED),
        (seen(Answer("DONE", error=True)), Reason.SCAN_FAILED),
        (seen(Answer("SCAN_DELETED")), Reason.SCAN_FAILED),
        (seen(Answer("NEW_ONE")), Reason.UNKNOWN_STATUS),
        (seen(ALL[Reason.DENIED]), Reason.DENIED),
        (seen(ALL[Reason.DENIED], answer=QUEUED), Reason.DENIED),
        (seen(ALL[Reason.PROTOCOL], End.LIMIT), Reason.PROTOCOL),
        (seen(ALL[Reason.UNREACHABLE], End.LIMIT, QUEUED), Reason.UNREACHABLE),
        (seen(ALL[Reason.NOT_FOUND], End.LIMIT), Reason.NOT_FOUND),
        (seen(ALL[Reason.NOT_FOUND], End.LIMIT, QUEUED), Reason.SCAN_VANISHED),
        (seen(QUEUED, End.DEADLINE), Reason.TIMEOUT),
        (seen(ALL[Reason.UNREACHABLE], End.DEADLINE, QUEUED), Reason.TIMEOUT),
        (seen(ALL[Reason.NOT_FOUND], End.DEADLINE, QUEUED), Reason.TIMEOUT),
        (seen(ALL[Reason.UNREACHABLE], End.DEADLINE), Reason.UNREACHABLE),
        (seen(ALL[Reason.NOT_FOUND], End.DEADLINE), Reason.NOT_FOUND),
        (seen(QUEUED, End.CANCELLED), Reason.CANCELLED),
        (seen(QUEUED, End.FAIL_FAST), Reason.CANCELLED),
        (History(TARGET, End.CANCELLED), Reason.CANCELLED),
        # Bugs of the wait, if there were any: never a pass.
        (seen(QUEUED), Reason.UNKNOWN_STATUS),
        (History(TARGET, End.DECIDED), Reason.INTERNAL),
    ],
)
def test_each_end_has_its_reason(history: History, reason: Reason) -> None:
    """The reason gives verdict and exit code; every verdict but pass says what to do."""
    if not history.outages and isinstance(history.newest, Trouble):
        history = replace(history, outages=(Outage(0, history.newest),))
    finding = judged(history).finding
    assert finding.reason is reason
    assert (finding.kind, finding.exit_code) == (reason.row.kind, reason.row.exit_code)
    assert bool(finding.hint) is (finding.kind is not Kind.PASS)
    assert not finding.softened


@pytest.mark.parametrize(
    ("history", "says"),
    [
        (seen(Answer("DONE", scan_id=12, name="contoso.fpr")), "processed as scan 12 after 1m40s (DONE)."),
        (
            seen(Answer("CHANNEL_MERGING", error=True, error_message="wrong format", message="Merging")),
            "ended as CHANNEL_MERGING with its error flag set after 1m40s. ThreadFix says: 'wrong format'.",
        ),
        (
            seen(Answer("SCAN_DELETED", message="Gone")),
            "ended as SCAN_DELETED after 1m40s. ThreadFix says: 'Gone'.",
        ),
        (seen(Answer("SCAN_DELETED")), "ended as SCAN_DELETED after 1m40s. ThreadFix says: 'Scan Deleted'."),
        (seen(Answer("X", error=True)), "ended as X with its error flag set after 1m40s."),
        (seen(QUEUED, End.DEADLINE), "had been QUEUED for 1m40s when the timeout expired (30m)."),
        (
            seen(ALL[Reason.UNREACHABLE], End.DEADLINE, QUEUED),
            "had been QUEUED for 1m40s when the timeout expired (30m). The newest poll failed: unreachable.",
        ),
        (seen(ALL[Reason.UNREACHABLE], End.LIMIT), "unreachable. This went on for 1m (3 failed polls)."),
        (
            seen(ALL[Reason.NOT_FOUND], End.LIMIT, QUEUED),
            "no longer exists; its last status was QUEUED. not-found.",
        ),
        (History(TARGET, End.CANCELLED), "no status received yet when the gate was stopped after 0s."),
        (seen(QUEUED, End.FAIL_FAST), "had been QUEUED for 1m40s when another one failed (--fail-fast)."),
    ],
)
def test_the_message_says_what_happened(history: History, says: str) -> None:
    """With the names and the numbers, but for its subject, which stands beside it."""
    part = judged(history)
    assert part.finding.message == says
    assert conclude([part]).message == f"{part.subject}: {says}"


@pytest.mark.parametrize(
    ("name", "subject"),
    [(None, "pending scan 41 of application 6"), ("a.fpr", "pending scan 41 of application 6 (a.fpr)")],
)
def test_a_scan_is_named_by_its_ids_and_its_file(name: str | None, subject: str) -> None:
    """So that a person finds it."""
    assert judged(seen(Answer("DONE", name=name))).subject == subject


@pytest.mark.parametrize(
    ("reading", "means", "do"),
    [
        (Answer("SCAN_DELETED"), "Somebody deleted", "who deletes scans"),
        (Answer("SCAN_INTERRUPTED"), "stopped processing", "server's log"),
        (Answer("SCAN_DELETED", error=True), "could not process", "Read what ThreadFix says"),
    ],
)
def test_a_deleted_scan_is_told_from_an_interrupted_one(reading: Answer, means: str, do: str) -> None:
    """Different people can help."""
    finding = judged(seen(reading)).finding
    assert means in finding.meaning
    assert do in finding.hint


def test_a_failure_may_know_better_what_it_means() -> None:
    """Another application's response is no login page."""
    failure = replace(ALL[Reason.PROTOCOL], meaning="It is another one.")
    assert judged(seen(failure)).finding.meaning == "It is another one."
    assert judged(seen(ALL[Reason.PROTOCOL])).finding.meaning == Reason.PROTOCOL.row.means


def test_asking_once_is_not_called_a_timeout_of_nothing() -> None:
    """`--timeout 0` is a question, not a wait."""
    message = judged(seen(QUEUED, End.DEADLINE), plan=Plan(timeout=0)).finding.message
    assert message.endswith("when asked once (--timeout 0).")


def test_the_hint_of_the_trouble_beats_that_of_the_reason() -> None:
    """It knows more."""
    trouble = replace(ALL[Reason.PROTOCOL], hint="Do this.")
    assert judged(seen(trouble, End.LIMIT)).finding.hint == "Do this."


def test_what_is_softened_ends_in_zero_and_stays_unknown() -> None:
    """Exactly the reason that the user named."""
    soft = frozenset({Reason.TIMEOUT})
    finding = judged(seen(QUEUED, End.DEADLINE), softened=soft).finding
    assert (finding.kind, finding.exit_code, finding.softened) == (Kind.UNKNOWN, 0, True)
    assert judged(seen(ALL[Reason.UNREACHABLE], End.LIMIT), softened=soft).finding.exit_code == 6


def test_a_cancellation_has_the_exit_code_of_its_signal() -> None:
    """As shells count."""
    history = seen(QUEUED, End.CANCELLED)
    codes = [judge_scan(history, ASKED, Cancelled(number)).finding.exit_code for number in (2, 15)]
    assert tuple(codes) == SIGNAL_EXIT_CODES


def test_an_unknown_status_that_fails_is_named() -> None:
    """So that it can be put into a list."""
    finding = judged(seen(Answer("NEW_ONE")), rules=Rules(unknown_fails=True)).finding
    assert "NEW_ONE" in finding.message
    assert finding.exit_code == 1


PASS = judged(seen(Answer("DONE")))
FAIL = judged(seen(Answer("SCAN_DELETED")))
TIMEOUT = judged(seen(QUEUED, End.DEADLINE))
SOFT = judged(seen(QUEUED, End.DEADLINE), softened=frozenset({Reason.TIMEOUT}))
DENIED = judged(seen(ALL[Reason.DENIED]))


@pytest.mark.parametrize(
    ("scans", "decider"),
    [
        ([PASS, PASS], 0),
        ([PASS, TIMEOUT], 1),
        ([PASS, TIMEOUT, FAIL], 2),
        ([SOFT, TIMEOUT], 1),
        ([PASS, SOFT], 1),
        ([DENIED, TIMEOUT], 0),
        ([TIMEOUT, DENIED], 0),
        ([FAIL, FAIL], 0),
    ],
)
def test_the_worst_decides(scans: list[ScanVerdict], decider: int) -> None:
    """Fail before unknown before pass; of unknowns one that ends the job; among equals the first asked."""
    assert decide(scans) is scans[decider]
    finding = conclude(scans)
    assert (finding.reason, finding.exit_code) == (scans[decider].finding.reason, scans[decider].finding.exit_code)


def test_several_scans_are_counted_in_the_message() -> None:
    """And the deciding one is told."""
    assert conclude([PASS, PASS]).message == "all 2 pending scans were processed."
    assert conclude([PASS, FAIL]).message.startswith("1 of 2 pending scans failed; the deciding one: pending scan 41")
    assert conclude([TIMEOUT, DENIED]).message.startswith("2 of 2 pending scans are undecided; ")
    told = "1 of 2 pending scans are undecided; the deciding one: pending scan 41 of application 6: denied."
    assert conclude([PASS, DENIED]).message.startswith(told)


def test_an_error_before_the_wait_is_a_verdict_too() -> None:
    """With every mistake in its message."""
    finding = from_error(UsageError(["--a: is wrong.", "--b: is wrong."]))
    assert (finding.reason, finding.exit_code) == (Reason.USAGE, 2)
    assert finding.message == "2 invalid options: --a: is wrong. --b: is wrong."
    finding = from_error(Cancelled(15))
    assert (finding.reason, finding.exit_code) == (Reason.CANCELLED, 143)
    assert finding.message == "stopped by signal 15, before there was a verdict."


def test_a_bug_is_told_without_its_text() -> None:
    """An exception's text may hold anything."""
    finding = from_bug(ValueError("secret"))
    assert (finding.reason, finding.exit_code) == (Reason.INTERNAL, 70)
    assert finding.message == "internal error: ValueError."


def test_only_a_pass_ends_in_zero() -> None:
    """The exit codes of the table are stable: scripts rely on them."""
    codes = {reason.value: reason.row.exit_code for reason in Reason}
    assert codes == {
        "processed": 0, "scan-failed": 1, "scan-vanished": 1, "unknown-status": 1, "usage": 2, "timeout": 3,
        "denied": 4, "not-found": 5, "unreachable": 6, "protocol": 7, "cancelled": 130, "internal": 70,
    }  # fmt: skip
    assert {reason for reason in Reason if reason.row.kind is Kind.PASS} == {Reason.PROCESSED}
    assert set(REASONS) == set(Reason)

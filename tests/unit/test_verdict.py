"""The conclusions from the history of a scan, and from several scans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gate.judge.conclusions import Conclusion, conclude, concluded, concluded_from, decide, from_bug, from_error
from gate.judge.scans import ScanVerdict, UploadVerdict, judge_scan, judge_upload
from gate.model.advice import NAMED, UPLOAD_AGAIN, UPLOAD_UNCERTAIN, Doing, FailureKind, advise
from gate.model.history import (
    Accept,
    Application,
    Failure,
    Finished,
    History,
    Outage,
    Receipt,
    Refused,
    ScanHistory,
    ScanReading,
    StopCause,
    Unfinished,
)
from gate.model.reasons import DIAGNOSIS, REASONS, SIGNAL_EXIT_CODES, Cancelled, InvalidOption, Kind, Reason, UsageError
from gate.model.subjects import Plan
from gate.threadfix.rules import Rules
from tests.builders import DUPLICATE, LOST, NO_RESULTS, REFUSED, SETTINGS, TARGET, history_of, judged, uploaded

QUEUED = ScanReading("QUEUED")
ALL = {reason: Failure(reason, f"{reason}.") for reason in Reason}


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (history_of(ScanReading("DONE", scan_id=12, name="contoso.fpr")), Reason.PROCESSED),
        (history_of(ScanReading("FINISHED_FINDING_PULLING")), Reason.PROCESSED),
        (history_of(ScanReading("DONE", error=True)), Reason.SCAN_FAILED),
        (history_of(ScanReading("SCAN_DELETED")), Reason.SCAN_FAILED),
        (history_of(ScanReading("NEW_ONE")), Reason.UNKNOWN_STATUS),
        (history_of(ALL[Reason.DENIED]), Reason.DENIED),
        (history_of(ALL[Reason.DENIED], reading=QUEUED), Reason.DENIED),
        (history_of(ALL[Reason.PROTOCOL], StopCause.LIMIT), Reason.PROTOCOL),
        (history_of(ALL[Reason.UNREACHABLE], StopCause.LIMIT, QUEUED), Reason.UNREACHABLE),
        (history_of(ALL[Reason.NOT_FOUND], StopCause.LIMIT), Reason.NOT_FOUND),
        (history_of(ALL[Reason.NOT_FOUND], StopCause.LIMIT, QUEUED), Reason.NOT_FOUND),
        (history_of(replace(ALL[Reason.NOT_FOUND], refused=True), StopCause.LIMIT, QUEUED), Reason.SCAN_VANISHED),
        (history_of(QUEUED, StopCause.DEADLINE), Reason.TIMEOUT),
        (history_of(ALL[Reason.UNREACHABLE], StopCause.DEADLINE, QUEUED), Reason.TIMEOUT),
        (history_of(ALL[Reason.NOT_FOUND], StopCause.DEADLINE, QUEUED), Reason.TIMEOUT),
        (history_of(ALL[Reason.UNREACHABLE], StopCause.DEADLINE), Reason.UNREACHABLE),
        (history_of(ALL[Reason.NOT_FOUND], StopCause.DEADLINE), Reason.NOT_FOUND),
        (history_of(QUEUED, StopCause.CANCELLED), Reason.CANCELLED),
        (History(TARGET, StopCause.CANCELLED), Reason.CANCELLED),
        # Bugs of the wait, if there were any: never a pass.
        (history_of(QUEUED), Reason.UNKNOWN_STATUS),
        (History(TARGET, StopCause.DECIDED), Reason.INTERNAL),
    ],
)
def test_each_end_has_its_reason(history: ScanHistory, reason: Reason) -> None:
    """The reason determines verdict and exit code; every verdict except pass has advice."""
    if not history.outages and isinstance(history.newest, Failure):
        history = replace(history, outages=(Outage(0, history.newest),))
    conclusion = judged(history).conclusion
    assert conclusion.reason is reason
    assert (conclusion.kind, conclusion.exit_code) == (reason.row.kind, reason.row.exit_code)
    assert bool(conclusion.hint) is (conclusion.kind is not Kind.PASS)
    assert not conclusion.downgraded


def test_a_scan_of_this_run_that_is_not_found_yet_times_out() -> None:
    """Another node of ThreadFix may not know the scan yet."""
    for failed, ended, reason in (
        (Reason.NOT_FOUND, StopCause.DEADLINE, Reason.TIMEOUT),
        (Reason.NOT_FOUND, StopCause.LIMIT, Reason.NOT_FOUND),
        (Reason.UNREACHABLE, StopCause.DEADLINE, Reason.UNREACHABLE),
    ):
        history = replace(history_of(ALL[failed], ended), outages=(Outage(0, ALL[failed]),))
        assert judge_scan(history, SETTINGS, upload=uploaded(41)).conclusion.reason is reason


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (history_of(ScanReading("DONE", scan_id=12, name="contoso.fpr")), "processed as scan 12 after 1m40s (DONE)."),
        (
            history_of(ScanReading("CHANNEL_MERGING", error=True, error_message="wrong format", message="Merging")),
            "ended as CHANNEL_MERGING with its error flag set after 1m40s. ThreadFix says: 'wrong format'.",
        ),
        (
            history_of(ScanReading("SCAN_DELETED", message="Gone")),
            "ended as SCAN_DELETED after 1m40s. ThreadFix says: 'Gone'.",
        ),
        (
            history_of(ScanReading("DONE", error_message="No channel.")),
            "processed after 1m40s (DONE). ThreadFix's error message: 'No channel'.",
        ),
        (history_of(ScanReading("SCAN_DELETED")), "ended as SCAN_DELETED after 1m40s. ThreadFix says: 'Scan Deleted'."),
        (history_of(ScanReading("NEW_ONE")), "has the status NEW_ONE, which is not documented."),
        (history_of(ScanReading("X", error=True)), "ended as X with its error flag set after 1m40s."),
        (history_of(QUEUED, StopCause.DEADLINE), "had been QUEUED for 1m40s when the timeout expired (30m)."),
        (
            history_of(ALL[Reason.UNREACHABLE], StopCause.DEADLINE, QUEUED),
            "had been QUEUED for 1m40s when the timeout expired (30m). The newest poll failed: unreachable.",
        ),
        (history_of(ALL[Reason.UNREACHABLE], StopCause.LIMIT), "unreachable. This went on for 1m (3 failed polls)."),
        (replace(history_of(ALL[Reason.DENIED]), outages=(Outage(0, ALL[Reason.DENIED]),)), "denied."),
        (
            history_of(replace(ALL[Reason.NOT_FOUND], refused=True), StopCause.LIMIT, QUEUED),
            "no longer exists; its last status was QUEUED. not-found.",
        ),
        *(
            (
                replace(history_of(QUEUED, StopCause.CANCELLED), elapsed=elapsed),
                f"{text} when the gate was stopped after 1s.",
            )
            for elapsed, text in ((1.0, "had been QUEUED for 1s"), (0.99, "was QUEUED"))
        ),
        (History(TARGET, StopCause.CANCELLED), "no status received yet when the gate was stopped after 0s."),
    ],
)
def test_the_message_has_names_and_numbers_without_its_subject(history: ScanHistory, message: str) -> None:
    part = judged(history)
    assert part.conclusion.message == message
    ending = " No rule was requested." if part.conclusion.kind is Kind.PASS else ""
    assert conclude([part]).message == f"{part.subject}: {message}{ending}"


@pytest.mark.parametrize(
    ("reading", "meaning", "advice"),
    [
        (ScanReading("SCAN_DELETED"), "The scan was deleted", "who deletes scans"),
        (ScanReading("SCAN_INTERRUPTED"), "stopped processing", "server's log"),
        (ScanReading("SCAN_DELETED", error=True), "could not process", "Read ThreadFix's message"),
        (ScanReading("LINKING_DEFECTS", error=True), "probably in ThreadFix", "the defect tracker"),
        (ScanReading("APPLICATION_MERGED", error=True), "probably in ThreadFix", "Look at the application's scans"),
    ],
)
def test_the_status_of_a_failed_scan_decides_its_meaning_and_advice(
    reading: ScanReading, meaning: str, advice: str
) -> None:
    conclusion = judged(history_of(reading)).conclusion
    assert meaning in conclusion.meaning
    assert advice in conclusion.hint


def test_the_meaning_and_the_hint_of_a_failure_replace_those_of_its_reason() -> None:
    """The response about another application is not a login page."""
    failure = replace(ALL[Reason.PROTOCOL], kind=FailureKind.ANOTHER)
    assert "about something other" in judged(history_of(failure)).conclusion.meaning
    assert judged(history_of(ALL[Reason.PROTOCOL])).conclusion.meaning == Reason.PROTOCOL.row.meaning
    hint = advise(FailureKind.WEB_PAGE, Doing.STATUS).hint
    page = replace(failure, kind=FailureKind.WEB_PAGE)
    assert judged(history_of(page, StopCause.LIMIT)).conclusion.hint == f"{hint} {DIAGNOSIS}"


def test_a_timeout_in_an_undocumented_status_names_it_and_both_lists() -> None:
    conclusion = judged(history_of(ScanReading("CANCELED"), StopCause.DEADLINE)).conclusion
    assert "had been CANCELED for" in conclusion.message
    assert "processing, finished or failed" in conclusion.meaning
    assert all(part in conclusion.hint for part in ("{--success-statuses}", "{--failure-statuses}", "{--timeout}"))
    once = judged(history_of(QUEUED, StopCause.DEADLINE), plan=Plan(timeout=0)).conclusion
    assert once.message.endswith("when asked once.")


def test_only_the_downgraded_reason_has_exit_code_zero_and_it_stays_unknown() -> None:
    soft = frozenset({Reason.TIMEOUT})
    conclusion = judged(history_of(QUEUED, StopCause.DEADLINE), downgraded=soft).conclusion
    assert (conclusion.kind, conclusion.exit_code, conclusion.downgraded) == (Kind.UNKNOWN, 0, True)
    assert judged(history_of(ALL[Reason.UNREACHABLE], StopCause.LIMIT), downgraded=soft).conclusion.exit_code == 6


def test_a_cancellation_has_the_exit_code_of_its_signal() -> None:
    history = history_of(QUEUED, StopCause.CANCELLED)
    codes = [judge_scan(history, SETTINGS, Cancelled(number)).conclusion.exit_code for number in (2, 15)]
    assert tuple(codes) == SIGNAL_EXIT_CODES


PASS = judged(history_of(ScanReading("DONE")))
FAIL = judged(history_of(ScanReading("SCAN_DELETED")))
TIMEOUT = judged(history_of(QUEUED, StopCause.DEADLINE))
SOFT = judged(history_of(QUEUED, StopCause.DEADLINE), downgraded=frozenset({Reason.TIMEOUT}))
DENIED = judged(history_of(ALL[Reason.DENIED]))


@pytest.mark.parametrize(
    ("scans", "deciding_scan"),
    [
        ([PASS, PASS], 0), ([PASS, TIMEOUT], 1), ([PASS, TIMEOUT, FAIL], 2), ([SOFT, TIMEOUT], 1), ([PASS, SOFT], 1),
        ([DENIED, TIMEOUT], 0), ([TIMEOUT, DENIED], 0), ([FAIL, FAIL], 0),
    ],
)  # fmt: skip
def test_the_worst_decides(scans: list[ScanVerdict], deciding_scan: int) -> None:
    """Fail before unknown before pass; an unknown that ends the job before others; then the first."""
    conclusion, worst = conclude(scans), scans[deciding_scan]
    assert decide(scans) is worst
    assert (conclusion.reason, conclusion.exit_code) == (worst.conclusion.reason, worst.conclusion.exit_code)


def test_several_scans_are_counted_in_the_message() -> None:
    """The message names the deciding scan."""
    for number, which in ((2, "both"), (3, "all 3")):
        assert conclude([PASS] * number).message == f"{which} pending scans were processed. No rule was requested."
    assert conclude([PASS, FAIL]).message.endswith(" 1 of 2 pending scans failed.")
    assert conclude([TIMEOUT, DENIED]).message.endswith(" 2 of 2 pending scans are undecided.")
    undecided = "pending scan 41 of application 6: denied. 1 of 2 pending scans are undecided."
    assert conclude([PASS, DENIED]).message.replace(" This went on for 1m (3 failed polls).", "") == undecided


def test_an_error_before_the_wait_is_a_verdict_too() -> None:
    """The message of a usage error has every invalid option, and that of a bug not the text of the exception."""
    usage = from_error(UsageError([InvalidOption(name, f"{name}: is wrong.") for name in ("--a", "--b")]))
    stopped, bug = from_error(Cancelled(15)), from_bug(ValueError("secret"))
    assert [(conclusion.reason, conclusion.exit_code, conclusion.message) for conclusion in (usage, stopped, bug)] == [
        (Reason.USAGE, 2, "2 invalid options: --a: is wrong. --b: is wrong."),
        (Reason.CANCELLED, 143, "stopped by signal 15, before there was a verdict."),
        (Reason.INTERNAL, 70, "internal error: ValueError."),
    ]
    assert stopped.meaning == "The job was stopped before the gate could determine anything about a scan."
    assert stopped.hint == "Run the gate again."


def test_only_a_pass_ends_in_zero() -> None:
    """The exit codes of the table are stable: scripts rely on them."""
    codes = {reason.value: reason.row.exit_code for reason in Reason}
    assert codes == {
        "processed": 0, "policy-passed": 0, "already-imported": 0, "empty-scan": 0, "upload-refused": 1,
        "policy-failed": 1, "policy-unknown": 8, "scan-failed": 1, "scan-vanished": 1, "unknown-status": 1, "usage": 2,
        "timeout": 3, "denied": 4, "not-found": 5, "unreachable": 6, "protocol": 7, "cancelled": 130, "internal": 70,
    }  # fmt: skip
    assert {reason for reason in Reason if reason.row.kind is Kind.PASS} == {
        Reason.PROCESSED, Reason.POLICY_PASSED, Reason.ALREADY_IMPORTED, Reason.EMPTY_SCAN,
    }  # fmt: skip
    assert set(REASONS) == set(Reason)


# --- Uploads, and the pages in ThreadFix.

SAYS = "ThreadFix says: 'Scan file has already been uploaded'."
ADVISED = (DUPLICATE.advice, DUPLICATE.meaning)
BROKEN_OFF = "was being sent when the gate was stopped. Whether ThreadFix has the file is not known."


@pytest.mark.parametrize(
    ("receipt", "accepted", "expected"),
    [
        (Finished(12), (), concluded(Reason.PROCESSED, "processed immediately as scan 12.")),
        (REFUSED, (), concluded(Reason.UPLOAD_REFUSED, f"refused; {SAYS}", *ADVISED)),
        (REFUSED, (Accept.EMPTY,), concluded(Reason.UPLOAD_REFUSED, f"refused; {SAYS}", *ADVISED)),
        (REFUSED, (Accept.DUPLICATE,), concluded(Reason.ALREADY_IMPORTED, f"not imported; {SAYS}")),
        (Refused(""), (), concluded(Reason.UPLOAD_REFUSED, "refused; ThreadFix does not say why.")),
        (LOST, (), concluded_from(LOST)),
        (Unfinished.BROKEN_OFF, (), concluded(Reason.CANCELLED, BROKEN_OFF, UPLOAD_AGAIN, UPLOAD_UNCERTAIN)),
        (
            Unfinished.NOT_SENT, (), concluded(Reason.CANCELLED, "not sent; the gate was stopped.",
            "Run the gate again to upload the file.", "Nothing of the file was sent to ThreadFix."),
        ),
    ],
)  # fmt: skip
def test_an_upload_without_a_pending_scan_is_judged_by_its_response(
    receipt: Receipt, accepted: tuple[Accept, ...], expected: Conclusion
) -> None:
    settings = replace(SETTINGS, rules=Rules(accepted=frozenset(accepted)), ui_url="{url}/{scan_id}/{team_id}")
    upload, scan_id = uploaded(receipt), 12 if isinstance(receipt, Finished) else None
    verdict = judge_upload(upload, settings, application=Application(6, team_id=3))
    assert verdict == UploadVerdict(expected, upload, "https://tf.example.com/threadfix/12/3" if scan_id else None)
    assert verdict is not None
    assert (verdict.scan_id, verdict.subject) == (scan_id, "upload of contoso.fpr")
    code = 143 if isinstance(receipt, Unfinished) else expected.exit_code
    cancelled = judge_upload(upload, settings, Cancelled(15))
    assert cancelled == UploadVerdict(replace(expected, exit_code=code), upload)
    warned = judge_upload(upload, replace(settings, downgraded=frozenset({expected.reason})))
    assert warned == UploadVerdict(replace(expected, exit_code=0), upload)
    assert judge_upload(uploaded(41), settings) is None


def test_a_scan_has_a_page_its_upload_and_what_the_user_accepts() -> None:
    settings, upload = replace(SETTINGS, ui_url="{application_id}-{scan_id}-{pending_scan_id}-{team_id}"), uploaded(41)
    history = history_of(ScanReading("DONE", scan_id=12))
    for application, url in ((Application(6, team_id=3), "6-12-41-3"), (None, None)):
        verdict = judge_scan(history, settings, upload=upload, application=application)
        assert verdict == ScanVerdict(verdict.conclusion, history, url, upload)
        assert (verdict.scan_id, verdict.name) == (12, "contoso.fpr")
    assert judged(history_of(ALL[Reason.DENIED])).scan_id is None
    text = NO_RESULTS.text
    refused = history_of(ScanReading("DONE", error=True, error_message=text, refusal=NO_RESULTS))
    accepted = judged(refused, rules=Rules(accepted=frozenset({Accept.EMPTY}))).conclusion
    message = f"not imported after 1m40s; ThreadFix says: '{text.rstrip('.')}'."
    assert accepted == concluded(Reason.EMPTY_SCAN, message)
    failed = judged(refused).conclusion
    assert (failed.reason, failed.hint, failed.meaning) == (Reason.SCAN_FAILED, NO_RESULTS.advice, NO_RESULTS.meaning)


def test_the_advice_names_doctor_unless_the_cause_is_named() -> None:
    for kind in FailureKind:
        conclusion = concluded_from(Failure(Reason.UNREACHABLE, "x.", kind))
        assert (DIAGNOSIS in conclusion.hint) is (kind not in NAMED)

"""What an upload that made no pending scan means, what a refused scan means, and what unlike parts come to together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gate.judge.checks import CheckVerdict
from gate.judge.conclusions import Conclusion, conclude, concluded, from_failure
from gate.judge.scans import judge_scan
from gate.judge.uploads import UploadVerdict, judge_upload
from gate.model.errors import Cancelled
from gate.model.history import Accept, Failure, Finished, Queued, Refused, ScanReading, Unfinished, Upload
from gate.model.reasons import DIAGNOSIS, Kind, Reason
from gate.model.subjects import AllPolicies, ScanFile
from gate.threadfix.refusals import REFUSALS
from gate.threadfix.rules import Rules
from tests.builders import SETTINGS, TARGET, history_of, judged

if TYPE_CHECKING:
    from gate.model.history import Receipt

FILE = ScanFile("out/a.fpr", 10, "out/a.fpr")
DUPLICATE, EMPTY = REFUSALS[:2]
DOWN = Failure(Reason.UNREACHABLE, "tf.example.com closed the connection.", "Look there.", meaning="Nobody knows.")
ACCEPTING = replace(SETTINGS, rules=Rules(accepted=frozenset(Accept)))


def upload_verdict(receipt: Receipt, **changes: object) -> UploadVerdict:
    """The verdict on an upload, with some of the settings changed."""
    verdict = judge_upload(Upload(FILE, receipt), replace(SETTINGS, **changes), application_id=6)  # type: ignore[arg-type]
    assert verdict
    return verdict


@pytest.mark.parametrize(
    ("receipt", "reason", "says"),
    [
        (Finished(12), Reason.PROCESSED, "processed immediately as scan 12."),
        (
            Refused("Scan file has already been uploaded.", DUPLICATE),
            Reason.UPLOAD_REFUSED,
            "refused; ThreadFix says: 'Scan file has already been uploaded'.",
        ),
        (Refused("Full."), Reason.UPLOAD_REFUSED, "refused; ThreadFix says: 'Full'."),
        (Refused(""), Reason.UPLOAD_REFUSED, "refused; ThreadFix does not say why."),
        (DOWN, Reason.UNREACHABLE, "tf.example.com closed the connection."),
        (Unfinished.NOT_SENT, Reason.CANCELLED, "not sent; the gate was stopped."),
        (
            Unfinished.BROKEN_OFF,
            Reason.CANCELLED,
            "was being sent when the gate was stopped. Whether ThreadFix has the file is not known.",
        ),
    ],
)
def test_each_receipt_has_its_reason(receipt: Receipt, reason: Reason, says: str) -> None:
    """Only a scan that ThreadFix has finished is a pass."""
    verdict = upload_verdict(receipt)
    assert (verdict.conclusion.reason, verdict.conclusion.message) == (reason, says)
    assert verdict.subject == "upload of out/a.fpr"
    assert bool(verdict.conclusion.hint) is (verdict.conclusion.kind is not Kind.PASS)
    assert verdict.scan_id == (12 if isinstance(receipt, Finished) else None)


def test_an_upload_that_is_queued_has_no_verdict_of_its_own() -> None:
    """Its pending scan has one."""
    assert judge_upload(Upload(FILE, Queued((TARGET,))), SETTINGS) is None


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [(DUPLICATE, Reason.ALREADY_IMPORTED), (EMPTY, Reason.EMPTY_SCAN)],
    ids=["duplicate", "empty"],
)
def test_what_is_accepted_passes(refusal: object, reason: Reason) -> None:
    """In the response to the upload and as the pending scan's error alike; nothing else does."""
    receipt = Refused(getattr(refusal, "text", ""), refusal)  # type: ignore[arg-type]
    assert upload_verdict(receipt, rules=ACCEPTING.rules).conclusion.reason is reason
    later = ScanReading("QUEUED", error=True, error_message=receipt.text, refusal=receipt.refusal)
    conclusion = judged(history_of(later), rules=ACCEPTING.rules).conclusion
    assert (conclusion.reason, conclusion.kind) == (reason, Kind.PASS)
    assert conclusion.message == f"not imported after 1m40s; ThreadFix says: '{receipt.text.rstrip('.')}'."
    refused = judged(history_of(later)).conclusion
    assert (refused.reason, refused.hint) == (Reason.SCAN_FAILED, receipt.refusal.advice if receipt.refusal else "")


@pytest.mark.parametrize("refusal", [None, *REFUSALS[2:]])
def test_nothing_else_can_be_accepted(refusal: object) -> None:
    """Neither an older scan, nor a wrong format, nor a text of which nothing is known."""
    receipt = Refused("x", refusal)  # type: ignore[arg-type]
    assert upload_verdict(receipt, rules=ACCEPTING.rules).conclusion.reason is Reason.UPLOAD_REFUSED


def test_a_duplicate_without_the_error_flag_is_none() -> None:
    """Then the status decides, whatever a text beside it says."""
    reading = ScanReading("SCAN_DELETED", error_message=DUPLICATE.text, refusal=DUPLICATE)
    assert judged(history_of(reading), rules=ACCEPTING.rules).conclusion.reason is Reason.SCAN_FAILED


def test_a_signal_gives_its_exit_code() -> None:
    """Also to a file that was not sent; to no other one."""
    stopped = Cancelled(15)
    receipts = (Unfinished.NOT_SENT, Unfinished.BROKEN_OFF, Refused("x"))
    verdicts = [judge_upload(Upload(FILE, receipt), SETTINGS, stopped) for receipt in receipts]
    assert [verdict.conclusion.exit_code for verdict in verdicts if verdict] == [143, 143, 1]


def test_an_upload_that_could_not_be_made_may_be_a_warning() -> None:
    """Where the user said so; then the words are still its own."""
    conclusion = upload_verdict(DOWN, downgraded=frozenset({Reason.UNREACHABLE})).conclusion
    assert (conclusion.exit_code, conclusion.downgraded) == (0, True)
    assert (conclusion.meaning, conclusion.hint) == ("Nobody knows.", f"Look there. {DIAGNOSIS}")


def test_a_finished_upload_has_a_link() -> None:
    """Where all its parts are known."""
    assert upload_verdict(Finished(12), ui_url="{url}/a/{application_id}/s/{scan_id}").url == (
        "https://tf.example.com/threadfix/a/6/s/12"
    )
    assert upload_verdict(Finished(12)).url is None
    assert upload_verdict(Refused(""), ui_url="{url}").url is None


def test_a_scan_of_an_upload_names_its_file() -> None:
    """Until ThreadFix gives it a name; and the team's id, where it is known, completes the link."""
    upload = Upload(FILE, Queued((TARGET,)))
    nameless = judge_scan(history_of(ScanReading("DONE", scan_id=12)), SETTINGS, upload=upload, team_id=2)
    assert nameless.subject == "pending scan 41 of application 6 (out/a.fpr)"
    assert nameless.url == "https://tf.example.com/threadfix/organizations/2/applications/6/scans/12"
    named = judge_scan(history_of(ScanReading("DONE", name="contoso.fpr")), SETTINGS, upload=upload)
    assert named.subject == "pending scan 41 of application 6 (contoso.fpr)"


def check(conclusion: Conclusion) -> CheckVerdict:
    """The verdict on a check."""
    return CheckVerdict(conclusion, replace(history_of(DOWN), target=AllPolicies()))  # type: ignore[arg-type]


PASSED = judged(history_of(ScanReading("DONE")))
HOLDS = check(concluded(Reason.PROCESSED, "PASSING."))
BROKEN = check(concluded(Reason.POLICY_FAILED, "FAILING."))


@pytest.mark.parametrize(
    ("parts", "reason", "says"),
    [
        (
            (PASSED, HOLDS),
            Reason.PROCESSED,
            "pending scan 41 of application 6: processed after 1m40s (DONE). all policies: PASSING.",
        ),
        (
            (PASSED, PASSED, HOLDS, upload_verdict(Finished(12))),
            Reason.PROCESSED,
            "2 pending scans, 1 check and 1 upload passed.",
        ),
        ((PASSED, BROKEN), Reason.POLICY_FAILED, "all policies: FAILING."),
        ((HOLDS, BROKEN), Reason.POLICY_FAILED, "1 of 2 checks failed; the deciding one: all policies: FAILING."),
        (
            (PASSED, BROKEN, BROKEN),
            Reason.POLICY_FAILED,
            "2 of 3 (1 pending scan and 2 checks) failed; the deciding one: all policies: FAILING.",
        ),
        (
            (upload_verdict(Refused("Full.")), PASSED),
            Reason.UPLOAD_REFUSED,
            "upload of out/a.fpr: refused; ThreadFix says: 'Full'.",
        ),
    ],
)
def test_the_worst_of_all_parts_decides(parts: tuple[UploadVerdict, ...], reason: Reason, says: str) -> None:
    """Uploads, pending scans and checks alike; a pass tells of all of them."""
    conclusion = conclude(parts)
    assert (conclusion.reason, conclusion.message) == (reason, says)


def test_what_everything_rests_on_fails_with_its_subject() -> None:
    """Without the application nothing else can be asked."""
    conclusion = from_failure(Failure(Reason.NOT_FOUND, "is not there.", "Look."), "application 6")
    assert (conclusion.message, conclusion.hint) == ("application 6: is not there.", f"Look. {DIAGNOSIS}")


def test_every_part_has_a_noun() -> None:
    """By which they are counted."""
    assert [part.noun for part in (PASSED, HOLDS, upload_verdict(Finished(1)))] == ["pending scan", "check", "upload"]
    assert HOLDS.results == ()

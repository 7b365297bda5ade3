"""The conclusions from uploads without a pending scan, from refused scans, and from different parts together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gate.judge.checks import CheckVerdict
from gate.judge.conclusions import Conclusion, conclude, concluded, concluded_from, describe
from gate.judge.scans import UploadVerdict, judge_scan, judge_upload
from gate.model.advice import ADVICE, Doing, FailureKind
from gate.model.history import Accept, Application, Failure, Finished, Queued, Refused, ScanReading, Upload
from gate.model.reasons import DIAGNOSIS, Kind, Reason
from gate.model.subjects import AllPolicies, ScanFile
from gate.threadfix.refusals import REFUSALS
from gate.threadfix.rules import Rules
from tests.builders import SETTINGS, SHOP, TARGET, history_of, judged

if TYPE_CHECKING:
    from gate.model.history import Receipt, Refusal

FILE = ScanFile("out/a.fpr", 10, "out/a.fpr")
DUPLICATE, EMPTY = REFUSALS[:2]
DOWN = Failure(Reason.UNREACHABLE, "tf.example.com closed the connection.", FailureKind.RESET, Doing.UPLOAD)
ACCEPTING = replace(SETTINGS, rules=Rules(accepted=frozenset(Accept)))


def upload_verdict(receipt: Receipt, **changes: object) -> UploadVerdict:
    verdict = judge_upload(Upload(FILE, receipt), replace(SETTINGS, **changes), application=SHOP)  # type: ignore[arg-type]
    assert verdict
    return verdict


@pytest.mark.parametrize(("refusal", "reason"), [(DUPLICATE, Reason.ALREADY_IMPORTED), (EMPTY, Reason.EMPTY_SCAN)])
def test_an_accepted_refusal_passes_for_uploads_and_scans(refusal: Refusal, reason: Reason) -> None:
    receipt = Refused(refusal.text, refusal)
    assert upload_verdict(receipt, rules=ACCEPTING.rules).conclusion.reason is reason
    later = ScanReading("QUEUED", error=True, error_message=receipt.text, refusal=receipt.refusal)
    conclusion = judged(history_of(later), rules=ACCEPTING.rules).conclusion
    assert (conclusion.reason, conclusion.kind) == (reason, Kind.PASS)
    assert conclusion.message == f"not imported after 1m40s; ThreadFix says: '{receipt.text.rstrip('.')}'."
    refused = judged(history_of(later)).conclusion
    assert (refused.reason, refused.hint) == (Reason.SCAN_FAILED, refusal.advice)


def test_no_other_refusal_can_be_accepted() -> None:
    for refusal in (None, *REFUSALS[2:]):
        verdict = upload_verdict(Refused("x", refusal), rules=ACCEPTING.rules)
        assert verdict.conclusion.reason is Reason.UPLOAD_REFUSED


def test_without_the_error_flag_the_status_decides_and_not_the_message() -> None:
    reading = ScanReading("SCAN_DELETED", error_message=DUPLICATE.text, refusal=DUPLICATE)
    assert judged(history_of(reading), rules=ACCEPTING.rules).conclusion.reason is Reason.SCAN_FAILED


def test_the_subject_of_a_scan_has_the_name_of_its_file_until_threadfix_sends_its_name() -> None:
    upload = Upload(FILE, Queued((TARGET,)))
    nameless = judge_scan(history_of(ScanReading("DONE", scan_id=12)), SETTINGS, upload=upload, application=SHOP)
    assert nameless.subject == "pending scan 41 of application 6 (out/a.fpr)"
    assert nameless.url == "https://tf.example.com/threadfix/organizations/2/applications/6/scans/12"
    named = judge_scan(history_of(ScanReading("DONE", name="contoso.fpr")), SETTINGS, upload=upload)
    assert named.subject == "pending scan 41 of application 6 (contoso.fpr)"


def check(conclusion: Conclusion) -> CheckVerdict:
    return CheckVerdict(conclusion, replace(history_of(DOWN), target=AllPolicies()))  # type: ignore[arg-type]


PASSED = judged(history_of(ScanReading("DONE")))
HOLDS = check(concluded(Reason.POLICY_PASSED, "PASSING."))
BROKEN = check(concluded(Reason.POLICY_FAILED, "FAILING."))


@pytest.mark.parametrize(
    ("parts", "reason", "message"),
    [
        ((PASSED, HOLDS), Reason.POLICY_PASSED,
         "all policies: PASSING.@ Pending scan 41 of application 6: processed after 1m40s (DONE)."),
        ((PASSED, PASSED, HOLDS, upload_verdict(Finished(12))), Reason.POLICY_PASSED,
         "1 check, 2 pending scans and 1 upload passed.@"),
        ((PASSED, BROKEN), Reason.POLICY_FAILED, "Release blocked. All policies: FAILING.@"),
        ((HOLDS,), Reason.POLICY_PASSED, "all policies: PASSING.@"),
        ((PASSED, upload_verdict(Finished(12))), Reason.PROCESSED,
         f"{describe(PASSED)}@ Upload of out/a.fpr: processed immediately as scan 12. No rule was requested."),
        ((HOLDS, BROKEN), Reason.POLICY_FAILED, "Release blocked. All policies: FAILING.@ 1 of 2 checks failed."),
        ((PASSED, BROKEN, BROKEN), Reason.POLICY_FAILED,
         "Release blocked. All policies: FAILING.@ 2 of 3 (1 pending scan and 2 checks) failed."),
        ((upload_verdict(Refused("Full.")), PASSED), Reason.UPLOAD_REFUSED,
         "upload of out/a.fpr: refused; ThreadFix says: 'Full'.@"),
    ],
)  # fmt: skip
def test_the_worst_of_all_parts_decides(parts: tuple[UploadVerdict, ...], reason: Reason, message: str) -> None:
    """The names of the application, if they are known, follow the deciding part."""
    for application, names in (
        (None, ""),
        (Application(6), ""),
        (SHOP, " Application 'Contoso shop' of team 'Contoso'."),
        (SHOP._replace(team=""), " Application 'Contoso shop'."),
    ):
        conclusion = conclude(parts, application)
        assert (conclusion.reason, conclusion.message) == (reason, message.replace("@", names))


def test_the_message_of_a_failure_that_ends_the_run_has_its_subject() -> None:
    failure = Failure(Reason.NOT_FOUND, "is not there.", FailureKind.NOT_FOUND, Doing.LOOKUP)
    conclusion = concluded_from(failure, f"application 6: {failure.what}")
    hint = ADVICE[failure.kind, failure.doing].hint
    assert (conclusion.message, conclusion.hint) == ("application 6: is not there.", f"{hint} {DIAGNOSIS}")

"""Tests of `--rules-only` over real sockets: the rules of an application without a scan of this run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gate.flow.signals import Signals
from gate.model.reasons import Reason
from gate.sandbox.scenarios import Raw
from gate.sandbox.server import refusal
from tests.release import CRITERIA, STATUSES, Release, criteria, later, policy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Gate

SCANS = "applications/6/scans"
RULES = ("--pass-criteria", "--policy", "all")
SCAN = {"id": 12, "updatedDate": later(-3600), "scannerName": "OWASP Zed Attack Proxy"}
OLDER = SCAN | {"id": 11, "updatedDate": later(-90_000)}


@pytest.fixture
def threadfix() -> Release:
    """Return a ThreadFix whose application has two scans, and rules that hold."""
    release = Release().set(STATUSES, [policy()]).set(CRITERIA, criteria())
    return release.set(SCANS, [SCAN, OLDER])


def test_rules_that_hold_pass_and_the_newest_scan_is_named(gate: Gate, threadfix: Release, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(tmp_path / "out")}
    summary.touch()
    (tmp_path / "out").touch()
    ran = gate("--rules-only", *RULES, env=env)
    assert (ran.code, ran.document["reason"], ran.document["scans"]) == (0, Reason.POLICY_PASSED, []), ran.err
    assert "The newest scan is 12, and was processed at 2" in ran.document["message"]
    assert "The newest scan is 12" in summary.read_text()
    assert ran.document["newest_scan"]["scan_id"] == 12
    assert ran.document["newest_scan"]["updated_at"].startswith("20")
    assert "Is it the right scan?" not in ran.err
    assert [path for _, path, _ in threadfix.requests][:2] == ["applications/6", SCANS]


@pytest.mark.parametrize(
    ("scans", "args", "reason", "text"),
    [
        (refusal("No scans associated with application: 6"), RULES, Reason.POLICY_UNKNOWN, "application 6 has no scan"),
        ([], ("--pass-criteria",), Reason.POLICY_UNKNOWN, "application 6 has no scan"),
        ([], ("--policy=all", "--settle-timeout=0"), Reason.POLICY_UNKNOWN, "application 6 has no scan"),
        (refusal("No scans associated with application: 7"), RULES, Reason.NOT_FOUND, "the scans of application 6: "),
        (refusal("down", 503), RULES, Reason.UNREACHABLE, "the scans of application 6: "),
        (Raw(200, b"<html>"), RULES, Reason.PROTOCOL, "the scans of application 6: "),
        ([SCAN | {"updatedDate": None}], RULES, Reason.POLICY_UNKNOWN, "at an unknown time"),
        ([SCAN | {"updatedDate": 1}], RULES, Reason.POLICY_UNKNOWN, "at an unknown time"),
        ([SCAN, SCAN | {"updatedDate": later(7200)}], RULES, Reason.POLICY_UNKNOWN, "stale by"),
        ([SCAN | {"updatedDate": later(7200)}], ("--policy=all", "--settle-timeout=0"), Reason.POLICY_PASSED, ""),
    ],
)
def test_without_a_scan_or_its_date_the_rules_are_not_decided(  # noqa: PLR0913, PLR0917 - a table
    scans: object, args: tuple[str, ...], reason: Reason, text: str, gate: Gate, threadfix: Release
) -> None:
    threadfix.set(SCANS, scans)
    ran = gate("--rules-only", *args, env={"THREADFIX_OUTAGE_LIMIT": "100ms", "THREADFIX_SETTLE_TIMEOUT": "100ms"})
    assert (ran.document["reason"], ran.code) == (reason, reason.row.exit_code), ran.err
    assert text in ran.document["message"]
    if text.endswith("no scan"):
        assert {check["reason"] for check in ran.document["checks"]} == {reason}
        assert threadfix.count(STATUSES) == threadfix.count(CRITERIA) == 0


def test_a_failed_list_is_asked_for_again_and_an_old_scan_is_a_warning(gate: Gate, threadfix: Release) -> None:
    threadfix.set(SCANS, refusal("down", 503), [OLDER])
    ran = gate("--rules-only", *RULES)
    assert (ran.code, ran.document["newest_scan"]["scan_id"]) == (0, 11), ran.err
    assert "ago. Is it the right scan?" in ran.err


def test_a_wrong_application_is_not_found(gate: Gate) -> None:
    ran = gate("--rules-only", *RULES, "--application-id", "7777", "--first-contact-limit", "50ms")
    assert (ran.code, ran.document["reason"], ran.document["checks"]) == (5, Reason.NOT_FOUND, []), ran.err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((*RULES, "--pending-scan-id", "41"), "leave out --pending-scan-id"),
        ((*RULES, "--scan-file", "x.xml"), "leave out --scan-file"),
        ((), "there is no rule to judge"),
        ((*RULES, "--json"), "--application-id is missing"),
    ],
)
def test_the_option_requires_an_application_and_a_rule_and_no_scan(
    args: tuple[str, ...], text: str, gate: Gate, threadfix: Release
) -> None:
    ran = gate("--rules-only", *args, env={"THREADFIX_APPLICATION_ID": "" if "--json" in args else "6"})
    assert (ran.code, ran.document["reason"]) == (2, Reason.USAGE)
    assert text in ran.document["message"]
    assert threadfix.requests == []


@pytest.mark.parametrize(
    ("when", "reason"),
    [("_find_application", Reason.CANCELLED), ("_ask", Reason.CANCELLED), ("_evaluate", Reason.POLICY_PASSED)],
)
def test_a_signal_marks_every_rule_without_a_result_as_cancelled(
    when: str, reason: Reason, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gate.flow.stages import Stages

    original, signals = getattr(Stages, when), Signals()

    def stop(*args: object) -> object:
        try:
            return original(*args)
        finally:
            signals.stop(15)

    monkeypatch.setattr(Stages, when, stop)
    ran = gate("--rules-only", *RULES, signals=signals)
    assert (ran.document["reason"], ran.code) == (reason, 143 if reason is Reason.CANCELLED else 0)
    assert {check["reason"] for check in ran.document["checks"]} == {reason}

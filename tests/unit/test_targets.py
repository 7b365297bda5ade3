"""Tests of the target: applications, files, earlier uploads and checks."""

from __future__ import annotations

import shlex
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from gate.judge.conclusions import from_error
from gate.model.history import Accept, Failure, Refused
from gate.model.reasons import InvalidOption, Reason, UsageError
from gate.model.subjects import AllPolicies, ApplicationId, ApplicationName, PassCriteria, Policy, Target
from gate.options.parsing import NO_FILE, NO_FILE_ADVICE
from gate.options.values import EMPTY
from gate.threadfix.refusals import REFUSALS, mentions_key
from tests.memory import peak
from tests.unit.test_parsing import KEY, errors, ok, parsed

if TYPE_CHECKING:
    from pathlib import Path

    from gate.model.history import Upload
    from gate.model.subjects import Subject

NAMELESS: dict[str, Any] = {"THREADFIX_APPLICATION_ID": ""}
SCANLESS: dict[str, Any] = {"THREADFIX_PENDING_SCAN_ID": ""}
RESPONSE = "--upload-response"


def refused(message: str) -> Upload:
    """Return the upload of a response that refuses the file. Without another scan, no application is needed."""
    body = b'{"success": false, "message": "%s"}' % message.encode()
    settings = ok(RESPONSE, "up.json", files={"up.json": body}, **NAMELESS, **SCANLESS)
    assert settings.application is None
    assert settings.uploaded
    return settings.uploaded


@pytest.mark.parametrize("team", [None, "Web, and more"])
def test_an_application_has_a_name_or_a_unique_id_with_or_without_its_team(team: str | None) -> None:
    flags = ("--team-name", team) if team else ()
    by_name = ok(*flags, "--application-name", "Shop", **NAMELESS)
    assert by_name.application == ApplicationName(team, "Shop")
    assert str(by_name.application) == f"application 'Shop'{f' of team {team!r}' if team else ''}"
    assert by_name.replaced == (*(["team-name"] if team else []), "application-name")
    by_id = ok(*flags, "--application-unique-id", "shop-1", **NAMELESS)
    assert by_id.application == ApplicationName(team, unique_id="shop-1")
    assert by_id.application_id is None
    assert by_id.pending_scan_ids == (41,)


@pytest.mark.parametrize(
    ("flags", "env", "says"),
    [
        (("--team-name", "\udcff", "--application-name", "Shop"), NAMELESS, "--team-name: the value is not UTF-8"),
        (("--accept", "older"), {}, "--accept: 'older' contains an element that is not one of duplicate, empty."),
        (("--pass-criteria", "1", "--criteria-from", "31.1.2026"), {}, "is not a day; write it as 2026-01-31"),
        (("--pass-criteria", "1", "--criteria-from", "2026-02-30"), {}, "is not a day"),
        (("--policy", "remediation:"), {}, "names no policy"),
        (("--policy", "0"), {}, "is not a valid id"), (("--policy", "2147483648"), {}, "is not a valid id"),
    ],
)  # fmt: skip
def test_an_invalid_subject_or_check_is_explained(flags: tuple[str, ...], env: dict[str, Any], says: str) -> None:
    (error,) = errors(*flags, **env)
    assert says in error


def test_paths_and_patterns_are_separated_by_newlines_only(tmp_path: Path) -> None:
    for name in ("b, c.xml", "a.fpr"):
        (tmp_path / name).write_text("x" * 3)
    settings = ok("--scan-file", f"{tmp_path}/*.fpr\n{tmp_path}/b, c.xml", **SCANLESS)
    assert [(file.path, file.size) for file in settings.files] == [
        (str(tmp_path / "a.fpr"), 3), (str(tmp_path / "b, c.xml"), 3),
    ]  # fmt: skip
    assert (settings.application, settings.pending_scan_ids) == (ApplicationId(6), ())


def test_a_files_name_is_untrusted_text(tmp_path: Path) -> None:
    """The code under test chose it: it may look like a command, or contain the key."""
    path = tmp_path / f"##[error]{KEY}\x1b[2J.xml"
    path.write_text("x")
    (file,) = ok("--scan-file", f"{tmp_path}/*", **SCANLESS).files
    assert file.path == str(path)
    assert file.shown == f"{tmp_path}/# #[error]*** [2J.xml"


def test_a_file_that_cannot_be_uploaded_is_a_usage_error(tmp_path: Path) -> None:
    (error,) = errors("--scan-file", f"{tmp_path}/*.fpr", **SCANLESS)
    assert error.startswith("--scan-file: ")
    assert "matches no file" in error
    (invalid,) = parsed("--scan-file", f"{tmp_path}/*.fpr", **SCANLESS).invalid
    conclusion = from_error(UsageError([invalid]))
    assert (conclusion.reason, conclusion.meaning, conclusion.hint) == (Reason.USAGE, NO_FILE, NO_FILE_ADVICE)
    (folder,) = parsed("--scan-file", str(tmp_path), **SCANLESS).invalid
    assert (folder.meaning, folder.advice) == (NO_FILE, None)
    (mixed,) = parsed("--scan-file", f"{tmp_path}\n{tmp_path}/*.fpr", **SCANLESS).invalid
    assert mixed.advice == NO_FILE_ADVICE
    both = from_error(UsageError([invalid, InvalidOption("--timeout", "--timeout: is empty.")]))
    assert (both.meaning, both.hint) == (Reason.USAGE.row.meaning, Reason.USAGE.row.advice)
    assert errors("--scan-file", " \n", **SCANLESS) == (f"--scan-file: {EMPTY}.",)


def test_an_earlier_refused_upload_is_valid_without_an_application() -> None:
    """A documented refusal is compared whole and in any case; ThreadFix rejects an unknown key with HTTP 200."""
    for refusal in REFUSALS:
        upload = refused(f"  {refusal.text.upper()} ")
        assert upload.file.shown == "up.json"
        assert isinstance(upload.receipt, Refused)
        assert upload.receipt.refusal is refusal
    for text in ("The file 'api key.xml' is bad.", f"{REFUSALS[0].text} Twice.", REFUSALS[0].text.rstrip("."), ""):
        assert refused(text).receipt == Refused(text)
    receipt = refused("API Key not found in database.").receipt
    assert isinstance(receipt, Failure)
    assert receipt.reason is Reason.DENIED
    assert [refusal.accept for refusal in REFUSALS if refusal.accept] == [Accept.DUPLICATE, Accept.EMPTY]


def test_a_refused_upload_with_other_scans_needs_their_application() -> None:
    body = b'{"success": false, "message": "no"}'
    both = ok(RESPONSE, "up.json", files={"up.json": body})
    assert (both.application_id, both.pending_scan_ids) == (6, (41,))
    assert both.uploaded
    (error,) = errors(RESPONSE, "up.json", files={"up.json": body}, **NAMELESS)
    assert error.startswith("--application-id is missing")
    (error,) = errors(RESPONSE, "up.json", "--policy", "all", files={"up.json": body}, **NAMELESS, **SCANLESS)
    assert error.startswith("--application-id is missing")


@pytest.mark.parametrize("text", ["'{}", "'{}'", "{}"])
def test_the_search_for_the_key_in_a_long_refusal_takes_little_memory(text: str) -> None:
    message = text.format("x" * 200_000)
    assert not mentions_key(message)
    assert peak(lambda: mentions_key(message)) < 4_000_000


def test_the_pass_criteria_come_before_the_policies() -> None:
    policies = "7\nPCI, level 1\nremediation: 30 days \nAll\n7"
    flags = ("--pass-criteria", "true", "--criteria-from", "2026-01-31", "--policy", policies)
    assert ok(*flags).checks == (
        PassCriteria(date(2026, 1, 31)),
        Policy(id=7),
        Policy(name="PCI, level 1"),
        Policy(name="30 days", remediation=True),
        AllPolicies(),
    )
    assert ok().checks == ()


def test_the_resume_command_uploads_nothing_and_repeats_every_check(tmp_path: Path) -> None:
    (tmp_path / "a.fpr").write_text("x")
    settings = ok("--scan-file", f"{tmp_path}/*", "--upload-timeout", "3m", "--accept", "empty",
        "--policy", "a, b\u2028c\nall",
        "--team-name", "Web", "--application-name", "Shop", **NAMELESS, **SCANLESS)  # fmt: skip
    assert shlex.split(settings.resume([Target(6, 41)])) == [
        "threadfix-gate", "run", "--url", "https://tf.example.com/threadfix", "--accept", "empty",
        "--policy", "a, b\u2028c", "--policy", "all", "--application-id", "6", "--pending-scan-id", "41",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (ApplicationId(6), "application 6"), (ApplicationName("Web", "Shop"), "application 'Shop' of team 'Web'"),
        (ApplicationName("Web", unique_id="s-1"), "application with the unique id 's-1' of team 'Web'"),
        (PassCriteria(), "pass criteria"), (Policy(id=7), "policy 7"), (Policy(name="PCI"), "policy 'PCI'"),
        (Policy(name="30 days", remediation=True), "remediation policy '30 days'"), (AllPolicies(), "all policies"),
    ],
)  # fmt: skip
def test_each_subject_has_a_name_for_people(subject: Subject, words: str) -> None:
    assert str(subject) == words


def test_a_given_name_is_untrusted_text() -> None:
    """A pipeline may build it from the name of a branch."""
    typed = "\x1b[31m##[error]a\n::error::b\u202e" + "c" * 5000
    applications = ApplicationName(typed, "a"), ApplicationName("a", typed), ApplicationName("a", unique_id=typed)
    for named in map(str, (Policy(name=typed), *applications)):
        assert "[31m# #[error]a ::error::bccc" in named
        assert len(named) < 300
        assert named.isprintable()

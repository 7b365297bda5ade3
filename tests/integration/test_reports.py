"""The result document, JUnit, dotenv and the page for every verdict, and when they cannot be written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from junitparser import Error, Failure, JUnitXml

from gate.model.reasons import REASONS, SIGNAL_EXIT_CODES, Kind, Reason
from gate.reporters.outputs import OUTPUTS
from gate.sandbox.scenarios import SCENARIOS, Raw, Reset, Scenario
from gate.sandbox.server import Scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Gate, Ran

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "result.schema.json").read_text())
DONE = Scenario("done", "", Reason.PROCESSED)
FAILS = Scenario("fails", "", Reason.SCAN_FAILED, walk=(("SCAN_INTERRUPTED", 0),), scan_id=False)
STUCK = Scenario("stuck", "", Reason.TIMEOUT, walk=(("QUEUED", 1), ("FINDINGS_GENERATING", 0)))
FLAKY = Scenario(
    "flaky", "", Reason.PROCESSED, walk=(("QUEUED", 4), ("DONE", 0)),
    fault=lambda number: Raw(502) if number == 2 else Reset() if number == 3 else None,
)  # fmt: skip
AWAY = Scenario("away", "", Reason.UNREACHABLE, fault=lambda _: Raw(503))
BRIEF = ("--timeout", "300ms")
CASES: dict[str, tuple[tuple[Scenario, ...], tuple[str, ...]]] = {
    "pass": ((DONE,), ()),
    "fail": ((FAILS,), ()),
    "fail-of-several": ((DONE, FAILS, STUCK), BRIEF),
    "timeout": ((STUCK,), BRIEF),
    "soft-timeout": ((STUCK,), (*BRIEF, "--on-timeout", "warn")),
    "soft-outage": ((AWAY,), ("--timeout", "0", "--on-unreachable", "warn")),
    "denied": ((Scenario("denied", "", Reason.DENIED, fault=lambda _: Raw(403)),), ()),
    "hostile": ((SCENARIOS["hostile-text"], SCENARIOS["hostile-text"]), ()),
    "upload": ((), ("--scan-file", "@done.fpr")),
    "uploads": ((DONE,), ("--scan-file", "@done.fpr", "--scan-file", "@deleted.fpr")),
    "one-upload-refused": ((), ("--scan-file", "@unknown.json", "--scan-file", "@late.fpr")),
    "upload-accepted": ((), ("--scan-file", "@empty.fpr", "--accept", "empty", "--api-version", "legacy")),
    "upload-and-timeout": ((), ("--scan-file", "@stuck.fpr", *BRIEF)),
    "uploads-finished": ((), ("--scan-file", "@a.fpr", "--scan-file", "@b.fpr", "--api-version", "legacy")),
    "policy-fail": ((SCENARIOS["policy-fail"],), ("--policy", "all", "--pass-criteria")),
    "policy-stale": ((SCENARIOS["policy-stale"],), ("--policy", "Release", "--settle-timeout", "100ms")),
    "policy-missing": ((DONE,), ("--policy", "No such", "--policy", "Release")),
    "upload-to-release": ((), ("--scan-file", "@criteria-fail.fpr", "--pass-criteria", "--policy", "all")),
    "usage": ((DONE,), ("--interval", "never", "--max-interval", "0")),
    "usage-on-the-command-line": ((DONE,), ("--no-such-option", "--interval=")),
}


def play(gate: Gate, scenarios: tuple[Scenario, ...], *args: str) -> Ran:
    """Run the gate on these scans, with every report that is a file; upload a file for each argument `@NAME`."""
    scans = ",".join(str(gate.threadfix.add(scenario)) for scenario in scenarios)
    files = ("--junit-file", str(gate.folder / "junit.xml"), "--dotenv-file", str(gate.folder / "gate.env"))
    named = ("--pending-scan-id", scans) if scans else ()
    return gate(*named, *files, *(written(gate.folder, arg[1:]) if arg.startswith("@") else arg for arg in args))


def written(folder: Path, name: str) -> str:
    """Write a scanner's report, and return its path; the sandbox plays the scenario of its name."""
    file = folder / name
    file.write_text("{}")
    return str(file)


def variables(gate: Gate) -> dict[str, str]:
    """Return the variables of the dotenv file; as strict as GitLab: each line is a name and a value."""
    content = (gate.folder / "gate.env").read_bytes()
    assert len(content) <= 5 * 1024
    assert content.endswith(b"\n")
    lines = content.decode("utf-8").removesuffix("\n").split("\n")
    dotenv = dict(line.split("=", 1) for line in lines)
    assert len(dotenv) == len(lines)
    assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) for name in dotenv)
    assert not [value for value in dotenv.values() if re.search("[\"'`$\\\\\r\x00-\x1f\u2028\u2029]", value)]
    return dotenv


def suite_of(gate: Gate) -> Any:  # noqa: ANN401 - the library's types are loose
    """Return the only suite of the JUnit report."""
    (suite,) = JUnitXml.fromfile(str(gate.folder / "junit.xml"))
    return suite


# --- Their content.


@pytest.mark.parametrize(("scenarios", "args"), CASES.values(), ids=CASES)
def test_all_reports_have_the_verdict(scenarios: tuple[Scenario, ...], args: tuple[str, ...], gate: Gate) -> None:
    ran = play(gate, scenarios, "--json", *args)
    # The file and standard output hold the same document, and standard output holds nothing more.
    jsonschema.Draft202012Validator(SCHEMA).validate(ran.document)
    assert json.loads(ran.out) == ran.document
    assert ran.document["exit_code"] == ran.code
    check_junit(ran.document, suite_of(gate), [] if ran.document["uploads"] else scenarios)
    check_dotenv(ran.document, variables(gate))


def check_junit(document: dict[str, Any], suite: Any, scans: Sequence[Scenario]) -> None:  # noqa: ANN401 - as above
    """A case for each part: a fail is a failure, an unknown an error, with its reason as the type and its hint."""
    cases = list(suite)
    ended = [upload for upload in document["uploads"] if upload["verdict"]]
    # Without a part, the options are the case: a report without a case would look like a pass.
    expected = [*ended, *document["scans"], *document["checks"]] or [document]
    # The names are unique: of two equal names GitLab keeps the first.
    assert len({case.name for case in cases}) == len(cases)
    if scans and document["scans"]:
        # The names are the same in every build: the history depends on them.
        several = [f"pending scan {number}" for number in range(1, len(scans) + 1)]
        named = [case.name for case in cases][: len(scans)]
        assert named == (several if len(scans) > 1 else ["pending scan"])
    for case, part in zip(cases, expected, strict=True):
        kind = {"fail": Failure, "unknown": Error}.get(part["verdict"])
        assert [type(result) for result in case.result] == ([kind] if kind else [])
        for result in case.result:
            assert result.type == part["reason"]
    counted = [part["verdict"] for part in expected]
    assert (suite.tests, suite.failures, suite.errors) == (
        len(expected),
        counted.count("fail"),
        counted.count("unknown"),
    )


def check_dotenv(document: dict[str, Any], dotenv: dict[str, str]) -> None:
    """The file has all outputs but `scans`, with one prefix, and with the values of the document."""
    prefix = "THREADFIX_GATE_"
    assert set(dotenv) == {prefix + name.replace("-", "_").upper() for name in OUTPUTS if name != "scans"}
    for name in ("verdict", "reason", "exit_code", "elapsed_seconds", "polls", "result_file"):
        assert dotenv[prefix + name.upper()] == str(document[name])
    ids = document["pending_scan_id"]
    listed = ids if isinstance(ids, list) else [ids]
    assert dotenv[f"{prefix}PENDING_SCAN_ID"] == ",".join(str(number or "") for number in listed)
    assert len(dotenv[f"{prefix}MESSAGE"]) <= 300


def test_the_document_has_the_statuses_and_the_outages(gate: Gate) -> None:
    ran = play(gate, (FLAKY,))
    (scan,) = ran.document["scans"]
    assert [phase["status"] for phase in scan["history"]] == ["QUEUED", "DONE"]
    (outage,) = scan["outages"]
    assert (outage["polls"], outage["over"], outage["reason"]) == (2, True, "unreachable")
    assert scan["errors"] == sum(phase["errors"] for phase in scan["history"]) == 2
    assert scan["polls"] == sum(phase["polls"] for phase in scan["history"]) + scan["errors"]
    (case,) = suite_of(gate)
    assert [line.split()[0] for line in case.system_out.splitlines()] == ["QUEUED", "DONE"]


def test_the_document_leads_from_the_file_to_the_checks(gate: Gate) -> None:
    scenarios, args = CASES["upload-to-release"]
    ran = play(gate, scenarios, *args)
    (upload,), (scan,) = ran.document["uploads"], ran.document["scans"]
    assert upload["file"] == scan["file"] == str(gate.folder / "criteria-fail.fpr")
    content = (gate.folder / "criteria-fail.fpr").read_bytes()
    assert (upload["size_bytes"], upload["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert upload["pending_scan_ids"] == [scan["pending_scan_id"]]
    criteria, policies = ran.document["checks"]
    assert (criteria["kind"], criteria["verdict"], policies["kind"]) == ("criteria", "fail", "policies")
    assert [phase["status"] for phase in criteria["history"]] == ["stale", "fresh"]
    broken = [result for result in criteria["results"] if not result["holds"]]
    assert broken[0]["limits"]
    assert broken[0]["count"] > 0
    assert criteria["obstacles"]
    assert all("/vulnerabilities/" in obstacle["url"] for obstacle in criteria["obstacles"])
    assert ran.document["polls"] == scan["polls"] + criteria["polls"] + policies["polls"]


def test_a_list_that_does_not_fit_into_dotenv_is_empty(gate: Gate) -> None:
    """GitLab would refuse the file, and half a list would be wrong; the verdict is still there."""
    scans = [2_000_000_000 + number for number in range(300)]
    gate.threadfix.scans |= {scan: Scan(DONE) for scan in scans}
    named = ",".join(map(str, scans))
    ran = gate("--pending-scan-id", named, "--dotenv-file", str(gate.folder / "gate.env"), "--quiet")
    dotenv = variables(gate)
    lists = [dotenv["THREADFIX_GATE_PENDING_SCAN_ID"], dotenv["THREADFIX_GATE_SCAN_ID"]]
    assert "" in lists
    assert set(lists) <= {"", named, ",".join(str(scan - 29) for scan in scans)}
    assert dotenv["THREADFIX_GATE_VERDICT"] == "pass"
    notice, _ = ran.err.splitlines()
    missing = [name for name in ("PENDING_SCAN_ID", "SCAN_ID") if not dotenv[f"THREADFIX_GATE_{name}"]]
    assert notice == (
        f"notice: left out of the dotenv file (5 KiB): {', '.join(f'THREADFIX_GATE_{name}' for name in missing)}; "
        "--result-file has everything."
    )


def test_the_schema_matches_the_tables_of_the_code() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["additionalProperties"] is False
    parts = SCHEMA["$defs"]
    assert parts["reason"]["enum"] == list(Reason)
    assert parts["verdict"]["enum"] == list(Kind)
    assert {name.replace("-", "_") for name in OUTPUTS} < set(SCHEMA["properties"])
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"])
    for name in ("scan", "upload", "check", "result", "obstacle"):
        assert set(parts[name]["required"]) == set(parts[name]["properties"])

    agreement = jsonschema.Draft202012Validator({"$ref": "#/$defs/agreement", "$defs": parts})
    codes = {row.exit_code for row in REASONS.values()} | set(SIGNAL_EXIT_CODES)
    assert set(parts["exit_code"]["enum"]) == codes
    for reason, row in REASONS.items():
        own = set(SIGNAL_EXIT_CODES) if reason is Reason.CANCELLED else {row.exit_code}
        own |= {0} if reason in {Reason.TIMEOUT, Reason.UNREACHABLE} else set()
        for kind, code in {*product(Kind, own), *product([row.kind], codes)}:
            claim = {"verdict": kind.value, "reason": reason.value, "exit_code": code}
            assert agreement.is_valid(claim) is (kind is row.kind and code in own)


# --- Their files.


def test_missing_folders_are_created(gate: Gate) -> None:
    reports = [gate.folder / "a" / option / "b" / "report" for option in FILES]
    ran = gate.play(DONE, *(word for option, file in zip(FILES, reports, strict=True) for word in (option, str(file))))
    assert ran.code == 0
    assert json.loads(reports[0].read_text())["result_file"] == str(reports[0])
    assert all(file.read_text() for file in reports)
    assert all(list(file.parent.iterdir()) == [file] for file in reports)


FILES = ("--result-file", "--junit-file", "--dotenv-file", "--html-file")


@pytest.mark.parametrize("option", FILES)
def test_a_report_that_cannot_be_written_is_a_warning(option: str, gate: Gate) -> None:
    in_the_way = gate.folder / "file"
    in_the_way.write_text("not a folder")
    others = {name: str(gate.folder / f"other{name}") for name in FILES if name != option}
    for scenario, path in ((DONE, in_the_way / "report"), (FAILS, gate.folder)):
        ran = gate.play(scenario, "--quiet", option, str(path), *(word for pair in others.items() for word in pair))
        assert ran.code == scenario.expect.row.exit_code
        warning, verdict = ran.err.splitlines()
        assert warning.startswith(f"warning: {option} {path} could not be written (")
        assert warning.endswith("The verdict stands.")
        assert verdict.startswith(f"{scenario.expect.row.kind.upper()} (")
        assert all(Path(other).read_text() for other in others.values())
    assert in_the_way.read_text() == "not a folder"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_report_is_written_whole_or_not_at_all(gate: Gate) -> None:
    import resource

    scans = ",".join(str(gate.threadfix.add(DONE)) for _ in range(30))
    folder = gate.folder / "reports"
    folder.mkdir()
    report = folder / "result.json"
    report.write_text("of the run before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        ran = gate("--pending-scan-id", scans, "--quiet", "--result-file", str(report))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be written (File too large)" in ran.err
    assert ran.code == 0
    assert report.read_text() == "of the run before"
    assert list(folder.iterdir()) == [report]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither such links nor such modes")
def test_a_report_replaces_the_old_report(gate: Gate) -> None:
    kept, link, new = (gate.folder / name for name in ("kept", "link", "new"))
    kept.write_text("of the run before")
    kept.chmod(0o640)
    link.symlink_to(kept)
    before = os.umask(0o027)
    try:
        gate.play(DONE, "--result-file", str(link), "--dotenv-file", str(new))
    finally:
        os.umask(before)
    assert json.loads(kept.read_text())["verdict"] == "pass"
    assert link.is_symlink()
    assert (kept.stat().st_mode & 0o777, new.stat().st_mode & 0o777) == (0o640, 0o640)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_device_is_written_to_directly(gate: Gate) -> None:
    ran = gate.play(FAILS, "--junit-file", "/dev/full", "--dotenv-file", "/dev/null")
    assert ran.code == 1
    assert "--junit-file /dev/full could not be written (No space left on device)" in ran.err
    assert "/dev/null" not in ran.err
    assert not Path("/dev/null").is_file()


def test_a_bug_in_a_reporter_changes_nothing_more(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:

    def broken(_: object) -> str:
        raise RuntimeError("secret words")

    monkeypatch.setattr("gate.reporters.junit.render", broken)
    ran = play(gate, (DONE,))
    assert (ran.code, ran.document["verdict"]) == (0, "pass")
    assert "could not be written (RuntimeError). The verdict stands." in ran.err
    assert "secret words" not in ran.err
    assert variables(gate)["THREADFIX_GATE_VERDICT"] == "pass"


IN_THE_ACTION = (
    "fail", "soft-timeout", "soft-outage", "denied", "one-upload-refused", "upload-and-timeout", "policy-stale",
    "policy-missing", "upload-to-release",
)  # fmt: skip


@pytest.mark.parametrize("name", IN_THE_ACTION)
def test_in_the_action_no_text_names_a_flag(name: str, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users of the action set inputs, so log and reports name inputs for every verdict; only `resume` is a command."""
    monkeypatch.chdir(gate.folder)
    monkeypatch.setenv("THREADFIX_GATE_ACTION", "1")
    monkeypatch.setenv("THREADFIX_HTML_FILE", "page.html")
    scenarios, args = CASES[name]
    ran = play(gate, scenarios, *args, "--verbose")
    reports = [(gate.folder / file).read_text(encoding="utf-8") for file in ("junit.xml", "gate.env", "page.html")]
    reports[2] = reports[2].partition("<body>")[2]
    for text in (ran.err, json.dumps(ran.document | {"resume": None}), *reports):
        assert not re.search(r"(?<![\w-])--[a-z]|{--|{@", text)

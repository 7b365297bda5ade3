"""The report of each reporter. The integration tests read the files of a real run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from junitparser import JUnitXml

from gate.judge.scans import judge_scan
from gate.model.history import Accept, Finished, History, Outage, Phase, Queued, ScanHistory, StopCause, Unfinished
from gate.model.reasons import Reason
from gate.model.subjects import ApplicationName, Policy, ScanFile, Target
from gate.options.table import OPTIONS
from gate.reporters import junit, outputs, page, phrases, result, summary
from gate.reporters.outputs import OUTPUTS, output_values
from gate.reporters.reports import REPORTS, Destination, write_atomic
from gate.text.wording import FLAGS, INPUTS
from tests import builders
from tests.builders import (
    CRITERIA,
    CRITICAL,
    DIGEST,
    DOWN,
    FAILING,
    HIGH,
    LOST,
    OBSTACLES,
    PASSING,
    POLICIES,
    POLICY,
    REFUSED,
    STALE,
    checked,
    uploaded,
    walked,
)

if TYPE_CHECKING:
    from gate.judge.checks import CheckVerdict
    from gate.judge.verdict import Verdict
    from gate.options.settings import Settings

READ = {"api-key-file", "ca-file", "scan-file"}
"""Options that name a file to read."""
WALK = (Phase("QUEUED", 0, 8, 4), Phase("CHANNEL_MERGING", 10, 90, 9, 2), Phase("DONE", 100, 100))


scan = partial(walked, walk=WALK)
verdict = partial(builders.verdict, result_file="result.json")
PASS = verdict(scan())
FAIL = verdict(scan(status="SCAN_DELETED"))
TIMEOUT = verdict(scan(status="QUEUED", ended=StopCause.DEADLINE), resume="threadfix-gate run --url x")
USAGE = verdict()
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "result.schema.json").read_text())
ONE, TWO = uploaded(41, "a.fpr"), uploaded(42, "b.fpr")
OF_ONE, OF_TWO = scan(41, upload=ONE), scan(42, upload=TWO)
RED = checked(CRITERIA, CRITICAL, HIGH, stale=12.0, obstacles=OBSTACLES)
GREEN = checked(POLICY, PASSING)
GREY = checked(POLICIES, STALE, stale=20.0)
REFUSED_CHECK = checked(POLICY, failure=replace(DOWN, reason=Reason.DENIED))
RELEASES = {
    "released": verdict(OF_ONE, uploads=[ONE], checks=[GREEN]),
    "held-back": verdict(OF_ONE, OF_TWO, uploads=[ONE, TWO], checks=[GREEN, RED, GREY]),
    "undecided": verdict(OF_ONE, uploads=[ONE], checks=[GREY]),
    "unasked": verdict(OF_ONE, uploads=[ONE], checks=[REFUSED_CHECK]),
    "refused": verdict(uploads=[uploaded(REFUSED)]),
    "one-refused": verdict(OF_TWO, uploads=[uploaded(REFUSED, "a.fpr"), TWO]),
    "accepted": verdict(uploads=[uploaded(REFUSED)], accepted=frozenset({Accept.DUPLICATE})),
    "lost": verdict(uploads=[uploaded(LOST, "a.fpr"), uploaded(Unfinished.NOT_SENT, "b.fpr")]),
    "broken-off": verdict(uploads=[uploaded(Unfinished.BROKEN_OFF)]),
    "finished": verdict(uploads=[uploaded(Finished(12))], checks=[GREEN]),
    "two-finished": verdict(uploads=[uploaded(Finished(12), "a.fpr"), uploaded(Finished(13), "b.fpr")]),
    "finished-and-named": verdict(scan(41), uploads=[uploaded(Finished(13))]),
}
every_release = pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
MANY = verdict(scan(41), scan(42, "SCAN_DELETED"), scan(43, "QUEUED", StopCause.DEADLINE))


def test_every_report_has_an_option_and_a_renderer() -> None:
    known = {option.name: option for option in OPTIONS}
    for report in REPORTS:
        assert known[report.option].is_switch is (report.destination is not Destination.FILE)
        assert all(report.render(verdict) for verdict in (PASS, FAIL, TIMEOUT, USAGE, MANY))
    assert {report.option for report in REPORTS} >= {name for name in known if name.endswith("-file")} - READ


def test_no_report_is_loaded_before_it_is_requested() -> None:
    script = (
        "import sys, gate.cli, gate.flow.run, gate.reporters.reports;"
        "print(sorted({'jinja2', 'markupsafe', 'junitparser', 'rich'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@every_release
def test_the_document_of_uploads_and_checks_matches_its_schema(release: Verdict) -> None:
    document = json.loads(result.render(release))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["application_id"] == 6
    assert len(document["uploads"]) == len(release.uploads)
    assert len(document["checks"]) == len(release.checks)


def test_the_schema_takes_no_pass_that_rests_on_nothing() -> None:
    valid = jsonschema.Draft202012Validator(SCHEMA).is_valid
    document = json.loads(result.render(RELEASES["finished"]))
    assert valid(document)
    assert not valid(document | {"uploads": [], "scan_id": None})
    assert valid(document | {"uploads": [], "scan_id": None, "newest_scan": {"scan_id": 12, "updated_at": None}})
    assert not valid(document | {"checks": []})
    assert not valid(document | {"reason": "processed"})
    assert not valid(json.loads(result.render(RELEASES["two-finished"])) | {"reason": "policy-passed"})
    red = json.loads(result.render(RELEASES["held-back"]))["checks"][1]
    assert not valid(document | {"checks": [red]})
    assert not valid(document | {"uploads": [document["uploads"][0] | {"pending_scan_ids": [41]}]})
    assert not valid(document | {"scan_id": [12, 13]})


def test_an_upload_has_its_verdict_or_a_pending_scan_that_names_the_file() -> None:
    document = result.document(RELEASES["one-refused"])
    words = [(upload["file"], upload["pending_scan_ids"], upload["reason"]) for upload in document["uploads"]]
    assert words == [("a.fpr", [], "upload-refused"), ("b.fpr", [42], None)]
    assert [entry["file"] for entry in document["scans"]] == ["b.fpr"]
    assert result.document(PASS)["scans"][0]["file"] is None
    (finished,) = result.document(RELEASES["finished"])["uploads"]
    assert (finished["scan_id"], finished["scan_url"]) == (12, "https://tf.example.com/threadfix/scans/12")


@pytest.mark.parametrize(
    ("check", "policy", "results"),
    [
        (checked(POLICY, replace(PASSING, policy_id=3)), (3, "Release"), [3]),
        (checked(Policy(id=3), failure=DOWN), (3, None), []),
        (checked(POLICIES, *(replace(PASSING, policy_id=number) for number in (3, 4))), (None, None), [3, 4]),
        (RED, (None, None), [None, None]),
    ],
)
def test_a_check_in_the_document_has_its_policy(check: CheckVerdict, policy: object, results: list[object]) -> None:
    document = result.document(verdict(scan(), checks=[check]))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    (entry,) = document["checks"]
    assert (entry["policy_id"], entry["policy_name"]) == policy
    assert [inner["policy_id"] for inner in entry["results"]] == results


def test_a_run_links_the_page_of_the_part_that_decides() -> None:
    """If a check has no page, the page of the scan."""
    one, check = scan(), checked(POLICY, FAILING)
    without = replace(check, url=None)
    runs = (verdict(), verdict(one), verdict(one, checks=[check]), verdict(one, checks=[without]))
    assert [run.url for run in runs] == [None, one.url, check.url, one.url]
    refused = verdict(one, uploads=[uploaded(REFUSED)])
    assert (refused.url, refused.deciding_scan) == (None, refused.scans[0])


def test_unknown_values_are_null_in_the_document() -> None:
    odd = replace(PASSING, evaluated=1e300, behind=None)
    document = result.document(
        verdict(scan(), checks=[checked(POLICY, odd, obstacles=[OBSTACLES[0]._replace(place="")])])
    )
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    (check,) = document["checks"]
    assert check["fresh"] is False
    assert (check["results"][0]["evaluated_at"], check["results"][0]["behind_seconds"]) == (None, None)
    assert check["obstacles"][0]["place"] is None


@pytest.mark.parametrize(
    ("name", "pending", "scans", "link"),
    [
        ("finished", "", "12", "12"), ("two-finished", ",", "12,13", "12"),
        ("finished-and-named", ",41", "13,12", "13"), ("held-back", "41,42", "12,12", "12"), ("refused", "", "", ""),
    ],
)  # fmt: skip
def test_the_outputs_of_uploads(name: str, pending: str, scans: str, link: str) -> None:
    values = output_values(RELEASES[name])
    assert (values["pending-scan-id"], values["scan-id"], values["application-id"]) == (pending, scans, "6")
    assert values["scan-url"] == (f"https://tf.example.com/threadfix/scans/{link}" if link else "")
    assert list(values) == list(OUTPUTS)


def test_a_value_that_dotenv_cannot_hold_is_left_empty() -> None:
    """A link with a character changed would be another link."""
    odd = replace(PASS, result_file="a$b.json")
    assert "THREADFIX_GATE_RESULT_FILE=\n" in outputs.render(odd)


def test_a_step_s_output_is_complete_or_empty() -> None:
    """Of `scans` the first that failed are kept, also if all together are too long."""
    most = verdict(*(scan(10**18 + number, "SCAN_DELETED", name="x" * 400) for number in range(5400)))
    values, notice = outputs.step_outputs(most)
    kept = json.loads(values["scans"])
    assert [entry["pending_scan_id"] for entry in kept] == [10**18 + number for number in range(len(kept))]
    assert 90 < len(values["scans"]) / 1024 <= 100
    assert (values["pending-scan-id"], values["reason"]) == ("", "scan-failed")
    left_out = f"pending-scan-id, {5400 - len(kept)} of 5400 entries of scans; --result-file has everything."
    assert notice == f"left out of the outputs (100 KiB each): {left_out}"
    assert outputs.step_outputs(MANY) == (output_values(MANY), "")


# The result of GitLab's parser (lib/gitlab/ci/parsers/test/junit.rb): a case's name, its class and the text of
# its failure or error. It reads XML by Rails' rules, by which some words as a `type` have another meaning.
RAILS_TYPES = {"array", "file", "symbol", "date", "datetime", "duration", "integer", "float", "decimal", "boolean",
               "string", "yaml", "base64Binary", "hexBinary"}  # fmt: skip


def cases(ending: Verdict) -> dict[str, Any]:
    """The cases of a JUnit report by their names, in order."""
    (suite,) = JUnitXml.fromstring(junit.render(ending).encode())
    assert (suite.name, suite.time) == ("threadfix-gate", 101.234)
    return {case.name: case for case in suite}


def test_junit_has_everything_in_the_parts_that_gitlab_reads() -> None:
    case = cases(TIMEOUT)["pending scan"]
    assert case.classname == "threadfix-gate"
    assert [line.partition(": ")[0] for line in case.result[0].text.splitlines()] == [
        "pending scan 41 of application 6 (contoso.fpr)", "What it means", "To keep waiting, run", "What to do",
    ]  # fmt: skip
    assert not RAILS_TYPES & set(Reason)


BOTH = ONE._replace(receipt=Queued((Target(6, 41), Target(6, 42))))


@pytest.mark.parametrize(
    ("ending", "names"),
    [
        (PASS, ["pending scan"]),
        (verdict(scan(77, "SCAN_DELETED")), ["pending scan"]),
        (MANY, ["pending scan 1", "pending scan 2", "pending scan 3"]),
        (USAGE, ["options"]),
        (replace(USAGE, invalid=()), ["gate"]),
        (RELEASES["released"], ["pending scan", "policy 'Release'"]),
        (RELEASES["held-back"],
         ["pending scan 1", "pending scan 2", "policy 'Release'", "pass criteria", "all policies"]),
        (RELEASES["refused"], ["upload"]),
        (RELEASES["one-refused"], ["upload 1", "pending scan 2"]),
        (RELEASES["finished-and-named"], ["upload", "pending scan 1"]),
        (verdict(scan(40), scan(41, upload=BOTH), scan(42, upload=BOTH), uploads=[BOTH]),
         ["pending scan 1", "pending scan 2", "pending scan 3"]),
    ],
)  # fmt: skip
def test_junit_names_a_case_for_each_part_alike_in_every_build(ending: Verdict, names: list[str]) -> None:
    assert list(cases(ending)) == names


def test_the_output_of_an_upload_has_its_hash() -> None:
    case = cases(RELEASES["refused"])["upload"]
    assert case.system_out == f"contoso.fpr, 12 MB: refused after 8s\nSHA-256 {DIGEST}  contoso.fpr"
    assert cases(RELEASES["broken-off"])["upload"].system_out == "contoso.fpr, 12 MB: broken off after 8s"
    assert cases(RELEASES["released"])["pending scan"].system_out.endswith(f"\nSHA-256 {DIGEST}  a.fpr")


def test_the_rows_of_a_check_in_junit_have_an_end() -> None:
    rows = [replace(PASSING, name=f"Policy {number}") for number in range(120)]
    lines = cases(verdict(scan(), checks=[checked(POLICIES, *rows)]))["all policies"].system_out.splitlines()
    assert (len(lines), lines[-1]) == (102, "... and 20 more")


def test_a_server_attaches_nothing_in_gitlab() -> None:
    """GitLab takes a mark in a case's output for a link to an artifact, so a status cannot hold it."""
    status = "[[ATTACHMENT|key.pem]]"
    history = replace(PASS.scans[0].history, phases=(Phase(status, 0, 1),))
    assert "[[" not in junit.render(verdict(replace(PASS.scans[0], history=history)))


FILES = (ScanFile("a.fpr", 7, "a.fpr"),)


@pytest.mark.parametrize(
    ("settings", "replaced"),
    [
        (builders.SETTINGS, ""),
        (replace(builders.SETTINGS, files=FILES), "scan-file"),
        (replace(builders.SETTINGS, files=FILES, application=ApplicationName("Web", "Shop")),
         "scan-file, team-name, application-name"),
        (replace(builders.SETTINGS, application=ApplicationName("Web", unique_id="7")),
         "team-name, application-unique-id"),
    ],
)  # fmt: skip
def test_a_resumed_action_leaves_out_inputs_that_ids_replace(settings: Settings, replaced: str) -> None:
    """The action's form of the command names the inputs to leave out: a file would be uploaded again."""
    assert ", ".join(settings.replaced) == replaced
    ending = replace(TIMEOUT, replaced=settings.replaced, naming=INPUTS)
    without = f" without {replaced}, and" if replaced else ""
    inputs = "application-id: 6, pending-scan-id: 41"
    assert ending.resume_line == f"To keep waiting, run the action again{without} with: {inputs}"
    assert replace(ending, scans=ending.scans * 2).resume_line.endswith(f"{inputs},41")
    assert replace(ending, resume="").resume_line == ""
    for text in (summary.render(ending), page.render(ending), junit.render(ending)):
        assert f"run the action again{without} with:" in text
    assert replace(ending, naming=FLAGS).resume_line == f"To keep waiting, run: {TIMEOUT.resume}"


def test_a_timeline_is_drawn_to_scale() -> None:
    assert phrases.draw(PASS.scans[0].history) == [
        "QUEUED                  10s ██",
        "CHANNEL_MERGING       1m30s   ██████████████████",
        "DONE                     0s                    █",
        "(outage)                10s     ██",
    ]


def test_no_bar_leaves_the_timeline() -> None:
    for tenths in range(101):
        history = replace(PASS.scans[0].history, phases=(Phase("A", 0, 0), Phase("B", tenths / 10, 0)), elapsed=10.0)
        bars = [line[28:] for line in phrases.draw(history)[:2]]
        assert all(len(bar) <= phrases.WIDTH and bar.strip() for bar in bars)


def test_a_timeline_has_an_end() -> None:
    history = replace(PASS.scans[0].history, phases=tuple(Phase(f"S{number}", number, 0) for number in range(99)))
    lines = phrases.draw(history, most=10)
    assert (len(lines), lines[-1]) == (11, "… and 90 more")


def test_the_summary_folds_the_timelines_of_several_scans() -> None:
    assert "- &#45;&#45;timeout&#58; is empty&#46;" in summary.render(USAGE)
    assert "- ❌ Pending scan 42 of application 6" not in summary.render(MANY)
    assert "- ❔ Pending scan 43 of application 6" in summary.render(MANY)
    folded = summary.render(MANY).partition("<details><summary>Timelines</summary>")[2].partition("</details>")[0]
    assert re.findall(r"^(.) (\d+)", folded, flags=re.MULTILINE) == [("❌", "42"), ("❔", "43"), ("✅", "41")]
    assert folded.count("<pre>") == 3


def test_the_summary_of_scans_without_a_response_has_no_timeline() -> None:
    history: ScanHistory = History(Target(6, 41), StopCause.LIMIT, 1.0, 1, 1, newest=DOWN, outages=(Outage(0.0, DOWN),))
    silent = replace(judge_scan(history, builders.LINKED), history=replace(history, outages=()))
    assert "<pre>" not in summary.render(verdict(silent))
    assert "<pre>" not in summary.render(verdict(silent, silent))


def test_the_summary_lists_only_so_many_outages() -> None:
    judged = PASS.scans[0]
    many = tuple(Outage(float(second), DOWN, 1, ended=second + 0.5) for second in range(20))
    text = summary.render(verdict(replace(judged, history=replace(judged.history, outages=many))))
    assert text.count("recovered") == summary.LISTED
    assert f"- … and {20 - summary.LISTED} more" in text


def test_a_downgraded_verdict_explains_that_the_job_continues() -> None:
    soft = replace(TIMEOUT, conclusion=replace(TIMEOUT.conclusion, exit_code=0))
    assert "The job continues because of `--on-timeout warn`." in summary.render(soft)
    assert "The job continues because of <code>--on-timeout warn</code>." in page.render(soft)
    assert "The job continues" not in page.render(TIMEOUT)


@pytest.mark.parametrize("status", ["SCAN_DELETED", "`|*<>" * 30])
def test_the_summary_is_under_64_kib_for_a_hundred_scans(status: str) -> None:
    walk = tuple(Phase("`|*<>" * 30, second, second) for second in range(90))
    scans = [scan(number, status, StopCause.DECIDED, "[x](y)|`" * 60) for number in range(1, 131)]
    hundred = verdict(*(replace(judged, history=replace(judged.history, phases=walk)) for judged in scans))
    text = summary.render(hundred)
    assert 32 * 1024 < len(text.encode()) < 64 * 1024
    assert text.count("<details>") == text.count("</details>") == 1
    assert "… and 30 scans more." in text


def test_the_summary_has_a_row_for_each_upload() -> None:
    text = summary.render(RELEASES["one-refused"])
    assert "| a&#46;fpr | ❌\N{NO-BREAK SPACE}upload-refused | 12 MB | 8s |" in text
    assert "| b&#46;fpr | queued as pending scan 42 | 12 MB | 8s |" in text
    assert "| ✅\N{NO-BREAK SPACE}finished as scan 12 |" in summary.render(RELEASES["finished"])
    assert f"</summary>\n\n<pre>{DIGEST}  a.fpr\n{DIGEST}  b.fpr</pre>\n\n</details>" in text
    assert "SHA-256" not in summary.render(RELEASES["broken-off"])
    many = verdict(OF_TWO, scan(43), scan(44), uploads=[uploaded(REFUSED, "a.fpr"), TWO], accepted=frozenset(Accept))
    assert "- ✅ Upload of a&#46;fpr&#58; not imported" in summary.render(many)


def test_the_advice_for_several_checks_is_in_the_summary_once() -> None:
    text = summary.render(RELEASES["held-back"])
    red, grey, green = (part.partition("\n| file")[0] for part in text.split("\n### ")[1:])
    assert [part.count("**What to do:**") for part in (red, grey, green)] == [0, 1, 0]
    assert red.count("- [SQL Injection](<https://tf.example.com/threadfix/vulnerabilities/7") == 10
    assert "<pre>" not in green
    bare = [OBSTACLES[0]._replace(url=None, severity="", place="")]
    text = summary.render(verdict(scan(), checks=[checked(CRITERIA, CRITICAL, obstacles=bare)]))
    assert "\n- SQL Injection\n" in text
    refused = summary.render(RELEASES["unasked"]).partition("### ❔ Policy &#39;Release&#39;")[2]
    assert ("**Outages:**" in refused, "ThreadFix says |" in refused) == (True, False)


def test_the_summary_is_under_64_kib_for_hostile_checks() -> None:
    bad = "`|*<>" * 100
    rows = [replace(FAILING, name=bad, word=bad, limits=(bad, bad)) for _ in range(200)]
    obstacles = [obstacle._replace(name=bad, severity=bad, place=bad) for obstacle in OBSTACLES]
    red = checked(POLICIES, *rows, stale=10.0, obstacles=obstacles)
    files = [uploaded(41, bad) for _ in range(200)]
    scans = [scan(number, "DONE", StopCause.DECIDED, bad, upload=files[0]) for number in range(1, 131)]
    for checks in ([red] * 300, [GREEN] * 40 + [red] * 3):
        text = summary.render(verdict(*scans, uploads=files, checks=checks))
        assert 32 * 1024 < len(text.encode()) < 64 * 1024
        assert "… and 180 more." in text or "### ❌" not in text
        assert re.search(r"… and \d+ checks more\.", text) or len(checks) < 100
        assert re.search(r"… and \d+ uploads more\.", text)
        assert re.search(r"… and \d+ files more\.", text)
        assert (checks[-1] is red) is ("### ❌ All policies" in text)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe with a name is a thing of POSIX")
def test_an_unread_pipe_does_not_delay_the_gate(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device"):
        write_atomic(str(tmp_path / "pipe"), "x")

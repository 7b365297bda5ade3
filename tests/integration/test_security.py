"""The promises about the key and about text of a server; `test_github` has those about GitHub."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest

from gate.model.reasons import Reason
from gate.sandbox.model import Application, Team
from gate.sandbox.scenarios import SCENARIOS, Fault, Raw, Scenario
from gate.sandbox.server import API_KEY, JSON, ThreadFix, refusal
from gate.threadfix import responses
from tests import release
from tests.conftest import Gate
from tests.steps import Step, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.conftest import Ran

ONCE = ("--timeout", "0")
DONE = release.DONE
CORE = "Zq7Core9Xw4Kv"
ODD_KEY = f"a+b/{CORE}=&\"'\\<%"
"""A key with every character that an encoding changes; a text with its core shows the key."""
REPORTS = ("result.json", "junit.xml", "gate.env", "report.html", "output", "summary.md")


def output_of(gate: Gate, ran: Ran) -> str:
    """Return all output of a run, without the command that masks the key."""
    log = "".join(line for line in ran.err.splitlines(keepends=True) if not line.startswith("::add-mask::"))
    files = [(gate.folder / name).read_text() for name in REPORTS if (gate.folder / name).exists()]
    assert len(files) == len(REPORTS)
    return "\n".join([log, ran.out, *files])


def everything(gate: Gate) -> tuple[list[str], dict[str, str]]:
    """Return the flags and the variables for everything that the gate can write, as on GitHub."""
    for name in ("output", "summary.md"):
        (gate.folder / name).write_text("")
    files = {"--junit-file": "junit.xml", "--dotenv-file": "gate.env", "--html-file": "report.html"}
    reports = [word for option, name in files.items() for word in (option, str(gate.folder / name))]
    runner = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary.md"}
    paths = {variable: str(gate.folder / name) for variable, name in runner.items()}
    return ["--verbose", "--json", *reports], {"GITHUB_ACTIONS": "true", **paths}


def always(gate: Gate, scenario: Scenario | Iterable[Scenario], *args: str, **env: str) -> Ran:
    """Run the gate on a scan, or on several, with everything that it can write."""
    flags, on_github = everything(gate)
    scenarios = (scenario,) if isinstance(scenario, Scenario) else scenario
    scans = ",".join(str(gate.threadfix.add(each)) for each in scenarios)
    return gate("--pending-scan-id", scans, *flags, *args, env=on_github | env)


# --- The key stays with the gate.


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="only Linux shows command lines as files")
def test_the_key_is_on_no_command_line(gate: Gate) -> None:
    scan = gate.threadfix.add(Scenario("stuck", "", Reason.TIMEOUT, walk=(("QUEUED", 0),)))
    step = Step(gate, gate.folder)
    with step.start("--pending-scan-id", str(scan)) as process:
        until(lambda: gate.threadfix.seen, process)
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"--pending-scan-id" in line
    assert API_KEY.encode() not in line


def test_no_child_process_inherits_the_key(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    original, seen = responses.parse, []

    def parse(body: bytes, digits: Sequence[str]) -> responses.Envelope:
        show = "import json, os; print(json.dumps(dict(os.environ)))"
        seen.append(json.loads(subprocess.check_output([sys.executable, "-c", show])))
        return original(body, digits)

    monkeypatch.setattr(responses, "parse", parse)
    assert gate.play(DONE).code == 0
    assert seen[0]["THREADFIX_URL"] == gate.url
    assert API_KEY not in json.dumps(seen)


ENDINGS: dict[str, tuple[Scenario, tuple[str, ...], Reason]] = {
    "pass": (DONE, (), Reason.PROCESSED),
    "fail": (SCENARIOS["error-flag"], (), Reason.SCAN_FAILED),
    "denied": (SCENARIOS["done"], (), Reason.DENIED),
    "timeout": (SCENARIOS["stuck"], ("--timeout", "100ms"), Reason.TIMEOUT),
    "unreachable": (SCENARIOS["slow-body"], ("--request-timeout", "50ms", *ONCE), Reason.UNREACHABLE),
    "usage": (DONE, ("--interval", "never", "--success-statuses", ",,"), Reason.USAGE),
}


@pytest.mark.parametrize(("scenario", "args", "reason"), ENDINGS.values(), ids=ENDINGS)
def test_no_output_shows_the_key(scenario: Scenario, args: tuple[str, ...], reason: Reason, gate: Gate) -> None:
    gate.threadfix.keys = {ODD_KEY} if reason is not Reason.DENIED else {"another"}
    ran = always(gate, scenario, *args, THREADFIX_API_KEY=ODD_KEY)
    assert ran.document["reason"] == reason
    assert CORE not in output_of(gate, ran)
    assert all(CORE in sent["authorization"] for sent in gate.threadfix.headers)


def test_a_key_from_a_file_is_hidden_too(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"\n{ODD_KEY}\r\n")
    gate.threadfix.keys.add(ODD_KEY)
    echo = scenario_with(refusal(f"API Key {ODD_KEY} not found, nor {API_KEY}."))
    for args, code in (((), 4), (("--interval", API_KEY, "--timeout", ODD_KEY), 2)):
        ran = always(gate, echo, "--api-key-file", str(file), *args, THREADFIX_API_KEY="" if code == 4 else API_KEY)
        assert ran.code == code
        assert CORE not in output_of(gate, ran)
    assert API_KEY not in output_of(gate, ran)


def scenario_with(fault: Fault | None = None, **changes: Any) -> Scenario:  # noqa: ANN401 - the fields of a scenario
    """Return a scenario with this response."""
    return Scenario("test", "", Reason.PROCESSED, fault=lambda _: fault, **changes)


def scenarios_with(text: str) -> dict[str, Scenario]:
    """Return every place of a server's text."""
    return {
        "message-of-a-pass": scenario_with(message=text),
        "name": scenario_with(scan_name=text),
        "error-message": scenario_with(error_message=text),
        "status": scenario_with(walk=((text, 0),)),
        "refusal": scenario_with(refusal(text)),
        "refusal-with-404": scenario_with(refusal(text, 404)),
        "location": scenario_with(Raw(302, headers=(("Location", f"/login?back={text}"),))),
        "title": scenario_with(Raw(200, f"<html><title>{text}</title>".encode())),
        "field-of-the-wrong-type": scenario_with(
            Raw(200, json.dumps({"success": True, "object": text}).encode(), JSON)
        ),
        "retry-after": scenario_with(Raw(503, headers=(("Retry-After", text), ("WWW-Authenticate", text)))),
    }


@pytest.mark.parametrize(
    "encoding", [str, lambda key: quote(key, safe=""), html.escape], ids=["as it is", "URL", "HTML"]
)
def test_an_echo_of_the_key_is_hidden(encoding: Callable[[str], str], gate: Gate) -> None:
    gate.threadfix.keys.add(ODD_KEY)
    scenarios = scenarios_with(f"before {encoding(ODD_KEY)} after").values()
    ran = always(gate, scenarios, "--on-unknown-status", "fail", *ONCE, THREADFIX_API_KEY=ODD_KEY)
    assert len(ran.document["scans"]) == len(scenarios)
    assert CORE not in output_of(gate, ran)
    assert ran.err.count("before *** after") > len(scenarios) / 2


def test_no_text_of_the_server_prevents_the_verdict(gate: Gate) -> None:
    """The search for the key is linear: a quadratic search takes minutes for 800 KB of backslashes."""
    scan = gate.threadfix.add(scenario_with(error_message="\\" * 400_000))
    with Step(gate, gate.folder).start("--pending-scan-id", str(scan), *ONCE) as process:
        process.communicate(timeout=30)
    assert process.returncode == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyError], ids=["plain", "quoted"])
def test_a_traceback_does_not_show_the_key(error: type[Exception], gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> responses.Envelope:
        raise error(f"APIKEY {ODD_KEY}\n::error::second\n  ::set-output name=verdict::pass\n##[error]") from ValueError(
            ODD_KEY
        )

    monkeypatch.setattr(responses, "parse", broken)
    ran = always(gate, DONE, THREADFIX_API_KEY=ODD_KEY)
    assert (ran.code, ran.document["verdict"], ran.document["reason"]) == (70, "unknown", Reason.INTERNAL)
    assert "Traceback (most recent call last):" in ran.err
    assert f"{error.__name__}: " in ran.err
    # The message of a bug may have several lines, with text of a server in them.
    assert not re.search(r"(?m)^\s*::(error::second|set-output)|##\[", ran.err)
    assert CORE not in output_of(gate, ran)


def test_netrc_does_not_replace_the_key(gate: Gate, tmp_path: Path) -> None:
    """Neither by a file in HOME nor by a file that NETRC names; ThreadFix would respond with 401 to its password."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login robot password hunter2\ndefault login robot password hunter2\n")
    netrc.chmod(0o600)
    for env in ({"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}, {"NETRC": str(netrc)}):
        assert gate.play(DONE, env=env).code == 0
    assert [sent["authorization"] for sent in gate.threadfix.headers] == [f"APIKEY {API_KEY}"] * 2


def test_the_key_goes_to_the_configured_server_only(gate: Gate, serve: Callable[..., str]) -> None:
    other = ThreadFix()
    scan = gate.threadfix.add(DONE)
    link = f"{serve(other)}/rest/latest/applications/6/pendingScan/{scan}/status"
    response = gate.folder / "response.json"
    response.write_text(json.dumps({"success": True, "object": "", "links": [{"href": link}]}))
    assert gate("--upload-response", str(response), env={"THREADFIX_APPLICATION_ID": ""}).code == 0
    assert (other.connections, len(gate.threadfix.seen)) == (0, 1)


DIGITS = "182818284"
"""A key made of digits."""
LONGER = int(f"1{DIGITS}")
"""An id that ThreadFix could have, with the key in it."""


def scan_object(**changes: object) -> Scenario:
    """Return the scenario of a pending scan with other fields than the server's."""
    content = {"status": "DONE", "error": False, "appId": 6} | changes
    return scenario_with(Raw(200, json.dumps({"success": True, "object": content}).encode(), JSON))


def test_a_key_of_digits_is_shown_in_no_number(gate: Gate) -> None:
    gate.threadfix.keys.add(DIGITS)
    scenarios = (
        *(scan_object(appId=number) for number in (int(DIGITS), LONGER, -LONGER, [LONGER], str(LONGER))),
        *(scan_object(scanId=number, modifiedDate=number, id=number) for number in (int(DIGITS), LONGER)),
        scan_object(status=f"DONE{DIGITS}", name=DIGITS, errorMessage=f"{LONGER}"),
    )
    ran = always(gate, scenarios, *ONCE, THREADFIX_API_KEY=DIGITS)
    assert len(ran.document["scans"]) == len(scenarios)
    assert DIGITS not in output_of(gate, ran)


@pytest.mark.parametrize("number", [int(DIGITS), LONGER])
def test_a_key_of_digits_is_in_no_link(number: int, gate: Gate, tmp_path: Path) -> None:
    gate.threadfix.keys.add(DIGITS)
    link = f"/rest/latest/applications/6/pendingScan/{number}/status"
    response = tmp_path / "response.json"
    response.write_text(json.dumps({"success": True, "links": [{"href": link}]}))
    ran = always(gate, DONE, "--upload-response", str(response), THREADFIX_API_KEY=DIGITS)
    assert (ran.code, DIGITS in output_of(gate, ran)) == (2, False)
    assert "a link in it is not a status link" in ran.err
    gate.threadfix.scans = {number - 2: gate.threadfix.scans[max(gate.threadfix.scans)]}
    file = tmp_path / "done.fpr"
    file.write_text('<results><issue id="1"/></results>')
    ran = always(gate, DONE, "--scan-file", str(file), THREADFIX_API_KEY=DIGITS)
    assert (ran.document["reason"], DIGITS in output_of(gate, ran)) == (Reason.PROTOCOL, False)


def about_rules(text: str, number: int) -> release.Release:
    """Return a ThreadFix with the text and the number in all fields of its responses about rules."""
    named = {"name": text, "displayName": text, "customName": text, "id": number}
    severity = named | {"intValue": 5}
    entries = [
        release.policy(word, rule, text, policy={"name": text, "filterName": text, "id": rule})
        for word, rule in (("FAILING", 3), (text, number), ("PASSING", number))
    ]
    failed = [release.criterion(severity, maxAllowed=number), release.criterion(named | {"intValue": 4})]
    finding = {
        "id": number,
        "path": text,
        "parameter": text,
        "genericVulnerability": named,
        "genericSeverity": severity,
    }
    shop = {"id": 6, "name": text, "organization": named, "scans": [{"updatedDate": release.later()}]}
    return (
        release.Release()
        .set(release.STATUSES, release.application(*entries, name=text, id=6))
        .set(release.CRITERIA, release.criteria(failed=failed))
        .set(release.SEVERITIES, [severity])
        .set(release.VULNERABILITIES, [finding, finding | {"id": 7, "dependency": named}], method="POST")
        .set(release.APPLICATION, shop | {f"{name}VulnCount": number for name in ("critical", "high", "low")})
        .set(release.EVALUATION, entries[0] | {"id": number}, method="POST")
    )


RULES = (
    *("--pass-criteria", "--policy", "all\n3", "--settle-timeout", "150ms"),
    *("--interval", "20ms", "--outage-limit", "100ms", "--first-contact-limit", "100ms"),
)


@pytest.mark.parametrize("encoding", [str, str.swapcase, "\u200b".join], ids=["as it is", "case", "gaps"])
def test_no_text_or_number_of_a_rule_shows_the_key(
    encoding: Callable[[str], str], serve: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for key, shown in ((ODD_KEY, CORE), (DIGITS, DIGITS)):
        threadfix = about_rules(f"before {encoding(key)} after", LONGER)
        threadfix.keys.add(key)
        gate = Gate(threadfix, serve(threadfix), tmp_path, capfd)
        ran = always(gate, DONE, *RULES, THREADFIX_API_KEY=key)
        assert ran.document["checks"]
        assert shown.lower() not in output_of(gate, ran).lower().replace("\u200b", "")


# --- Text from the server is data.

HOSTILE = SCENARIOS["hostile-text"].scan_name
CONTROLS = {*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), "\u2028", "\u2029", "\u202e"} - {"\n"}


HALF = "half \ud83d of an emoji"
HALVES: tuple[object, ...] = (
    {"status": "QUEUED", "error": True, "appId": 6, "name": HALF, "errorMessage": HALF, "scanMessage": HALF},
    {"status": HALF, "error": False, "appId": 6},
    {"status": "DONE", "error": False, "appId": 6, HALF: 1, "na\udfffme": {HALF: HALF}},
    {HALF: "DONE", "error": False, "appId": 6},
    [HALF],
    HALF,
)


@pytest.mark.unmeasured
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_half_a_character_breaks_no_report(encoding: str, gate: Gate) -> None:
    """Java servers send lone surrogates, which no encoding can write, also in names of fields."""
    bodies = [
        json.dumps({"success": True, "message": HALF, HALF: HALF, "object": content}).encode() for content in HALVES
    ]
    scans = ",".join(str(gate.threadfix.add(scenario_with(Raw(200, body, JSON)))) for body in bodies)
    flags, github = everything(gate)
    ended = Step(gate, gate.folder).run(
        "--pending-scan-id", scans, *ONCE, *flags, env=github | {"PYTHONIOENCODING": encoding}, encoding="utf-8",
        errors="replace",
    )  # fmt: skip
    assert ended.returncode == 1
    assert "could not be written" not in ended.stderr
    assert "Traceback" not in ended.stderr
    document = json.loads(ended.stdout)
    assert [scan["reason"] for scan in document["scans"]] == ["scan-failed", "protocol", "processed", *["protocol"] * 3]
    ET.parse(gate.folder / "junit.xml")  # noqa: S314 - our own XML
    for name in ("output", "summary.md", "report.html", "gate.env"):
        assert document["reason"] in (gate.folder / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("subject", [("--application-id", "6"), ("--application-unique-id", "contoso-shop")])
def test_the_names_of_an_application_and_its_team_are_data(subject: tuple[str, str], gate: Gate) -> None:
    """They are in every report, without the key."""
    name = f'{API_KEY} "<b>{HOSTILE}'
    gate.threadfix.applications = {6: Application(6, name, Team(2, name), "contoso-shop")}
    (gate.folder / "done.fpr").write_bytes(b"x")
    flags, github = everything(gate)
    files = ("--scan-file", str(gate.folder / "done.fpr"), *subject, *flags)
    ran = gate(*files, env=github | {"THREADFIX_APPLICATION_ID": ""})
    shown, found = output_of(gate, ran), json.loads(ran.out)["application"]
    assert found["name"] == found["team"] == json.loads(ran.out)["application_name"]
    assert ran.err.count(f"Application '{found['name']}' of team '{found['team']}'.") == 1
    assert (gate.folder / "junit.xml").read_text().count("<property name=") == 2
    assert "<b>" in found["name"]
    assert API_KEY not in shown
    assert CONTROLS.isdisjoint(found["name"])
    assert not re.search(r"(?m)^::error|^\[x\]|##\[", ran.err)
    for report in ("summary.md", "report.html", "junit.xml"):
        assert "<b>" not in (gate.folder / report).read_text().replace("<b><svg", "")
    assert "THREADFIX_GATE_APPLICATION_NAME=\n" in (gate.folder / "gate.env").read_text()


TEMPLATE = "Zq7Core{--x-}9Xw4Kv {@resume} {--timeout 5m}"


@pytest.mark.parametrize("action", ["", "1"], ids=["command", "action"])
def test_no_text_of_the_server_fills_a_template(action: str, gate: Gate) -> None:
    """A placeholder in a server's text stays as it is; otherwise it could become our advice, or assemble the key."""
    scenarios = scenarios_with(TEMPLATE).values()
    args = ("--on-unknown-status", "fail", *ONCE)
    ran = always(gate, scenarios, *args, THREADFIX_API_KEY=API_KEY, THREADFIX_GATE_ACTION=action)
    shown = html.unescape(output_of(gate, ran))
    for filled in ("Core--x-9X", "Core`x-`9X", "--timeout 5m", "timeout: 5m", "Kv Run the"):
        assert filled not in shown.replace("{--timeout 5m}", "")
    assert ran.err.count(TEMPLATE) > len(scenarios) / 2


def test_no_text_of_the_server_moves_the_cursor_or_forges_a_line(gate: Gate) -> None:
    lines = []
    for text in (HOSTILE, "x"):
        scenarios = scenarios_with(text)
        # No header can have a line break.
        scans = [scenario for place, scenario in scenarios.items() if place not in ("location", "retry-after")]
        numbers = ",".join(str(gate.threadfix.add(scenario)) for scenario in scans)
        ran = gate("--pending-scan-id", numbers, "--on-unknown-status", "fail", "-v", "--json", *ONCE)
        assert CONTROLS.isdisjoint(ran.err + ran.out)
        assert not [line for line in ran.err.splitlines() if line.lstrip().startswith("::") or "##[" in line]
        lines.append(len(ran.err.splitlines()))
    assert lines[0] == lines[1]

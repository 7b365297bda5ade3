"""The outputs, the commands in the log and the job summary, read as a GitHub runner reads them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gate.flow import waiting
from gate.model.reasons import Reason
from gate.reporters.outputs import OUTPUTS
from gate.sandbox.scenarios import SCENARIOS, Fault, Raw, Scenario
from gate.sandbox.server import API_KEY, refusal
from gate.threadfix import responses
from tests.properties.test_safety import GITHUB_FLAVOURED, Text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Gate, Ran

DONE = Scenario("done", "", Reason.PROCESSED)
FAILS = Scenario("fails", "", Reason.SCAN_FAILED, walk=(("SCAN_INTERRUPTED", 0),), scan_id=False)
STUCK = Scenario("stuck", "", Reason.TIMEOUT, walk=(("QUEUED", 0),))
ODD = Scenario("odd", "", Reason.UNKNOWN_STATUS, walk=(("REINDEXING", 0),))
HOSTILE = SCENARIOS["hostile-text"]
ONCE = ("--on-unknown-status", "fail", "--timeout", "0")
ENDINGS: dict[str, tuple[Scenario, Reason, int, tuple[str, ...]]] = {
    # The scenario, the reason, the exit code, and the options.
    "pass": (DONE, Reason.PROCESSED, 0, ()),
    "fail": (FAILS, Reason.SCAN_FAILED, 1, ()),
    "unknown-status": (ODD, Reason.UNKNOWN_STATUS, 1, ("--on-unknown-status", "fail")),
    "usage": (DONE, Reason.USAGE, 2, ("--interval", "never")),
    "timeout": (STUCK, Reason.TIMEOUT, 3, ("--timeout", "100ms")),
    "soft-timeout": (STUCK, Reason.TIMEOUT, 0, ("--timeout", "100ms", "--on-timeout", "warn")),
    "denied": (Scenario("denied", "", Reason.DENIED, fault=lambda _: Raw(401)), Reason.DENIED, 4, ()),
    "hostile": (HOSTILE, Reason.SCAN_FAILED, 1, ()),
}


class Runner:
    """The runner's files of a step, and its parser."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        self.step_summary = folder / "summary.md"
        self.output.touch()
        self.step_summary.touch()

        files = {"GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.step_summary)}
        self.env = {"GITHUB_ACTIONS": "true"} | files

    def outputs(self) -> dict[str, str]:
        """Return the step's outputs; stricter than the runner: no name twice, and each line belongs to an output."""
        outputs: dict[str, str] = {}
        lines = iter(self.output.read_text().split("\n"))
        for line in lines:
            if not line:
                continue
            name, arrow, delimiter = line.partition("<<")
            assert arrow
            assert re.fullmatch("[a-z-]+", name)
            assert name not in outputs
            value = []
            for inner in lines:
                if inner == delimiter:
                    break
                value.append(inner)
            else:
                raise AssertionError(f"{name} never ends")
            outputs[name] = "\n".join(value)
        return outputs


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def commands(ran: Ran) -> list[tuple[str, dict[str, str], str]]:
    """Return the workflow commands of both streams: name, properties, message."""
    parsed = []
    for line in (ran.err + "\n" + ran.out).splitlines():
        # The runner's older syntax is found anywhere in a line.
        assert "##[" not in line
        if parts := re.match(r"\s*::([^ :]+)(?: ([^:]*))?::(.*)", line):
            pairs = [pair.partition("=") for pair in (parts[2] or "").split(",")]
            parsed.append(
                (parts[1], {name: unescaped(value) for name, _, value in pairs if value}, unescaped(parts[3]))
            )
        else:
            assert not line.lstrip().startswith("::")
    return parsed


def unescaped(value: str) -> str:
    """Return a property or a message before it was escaped."""
    for code, mark in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        value = value.replace(code, mark)
    return value


def named(ran: Ran, *names: str) -> list[tuple[str, dict[str, str], str]]:
    """Return the commands with these names."""
    return [command for command in commands(ran) if command[0] in names]


@pytest.mark.parametrize(("scenario", "reason", "code", "args"), ENDINGS.values(), ids=ENDINGS)
@pytest.mark.usefixtures("on_a_runner")
def test_every_path_has_its_outputs_annotation_and_summary(  # noqa: PLR0913, PLR0917 - a row
    scenario: Scenario, reason: Reason, code: int, args: tuple[str, ...], gate: Gate, runner: Runner
) -> None:
    title = f"ThreadFix gate: {reason.row.kind} ({reason})"
    runner.step_summary.write_text("## Of another step\n\n")
    ran = gate.play(scenario, "--json", *args, env=runner.env)
    assert json.loads(ran.out) == ran.document
    # The values of the result document.
    outputs = runner.outputs()
    assert set(outputs) == set(OUTPUTS)
    assert (outputs["reason"], outputs["exit-code"], ran.code) == (reason, str(code), code)
    scans = json.loads(outputs.pop("scans"))
    assert scans == [{name: scan[name] for name in scans[0]} for scan in ran.document["scans"]]
    for name, value in outputs.items():
        known = ran.document[name.replace("-", "_")]
        assert value == ("" if known is None else str(known))
    # The key is masked first, and a group is folded around the wait.
    assert ran.err.startswith(f"::add-mask::{API_KEY}\n")
    waited = ["group", "endgroup"] if reason is not Reason.USAGE else []
    assert [name for name, _, _ in commands(ran)][: 1 + len(waited)] == ["add-mask", *waited]
    # A pass has no annotation, a downgraded verdict a warning, any other an error. There are no other commands.
    annotations = commands(ran)[1 + len(waited) :]
    kinds = [] if reason is Reason.PROCESSED else ["error" if code else "warning"]
    assert [(kind, properties) for kind, properties, _ in annotations] == [(kind, {"title": title}) for kind in kinds]
    assert all(message.startswith(ran.document["message"]) for _, _, message in annotations)
    # The summary of other steps stays, and ours begins with the verdict.
    written = runner.step_summary.read_text()
    assert written.startswith("## Of another step\n\n## ")
    assert written.splitlines()[2].endswith(title)


def test_of_many_scans_those_that_passed_are_left_out(gate: Gate, runner: Runner) -> None:
    """No program takes a variable above 128 KiB. The ids are complete."""
    long = replace(DONE, scan_name="x" * 200)
    scans = [gate.threadfix.add(scenario) for scenario in (*[long] * 120, FAILS, *[long] * 120, STUCK)]
    ran = gate("--pending-scan-id", ",".join(map(str, scans)), "--timeout", "0", env=runner.env)
    outputs = runner.outputs()
    assert outputs["pending-scan-id"] == ",".join(map(str, scans))
    assert [scan["verdict"] for scan in json.loads(outputs["scans"])] == ["fail", "unknown"]
    assert len(ran.document["scans"]) == 242
    assert [message for _, _, message in named(ran, "notice", "warning")] == [
        "left out of the outputs (100 KiB each): 240 of 242 entries of scans; --result-file has everything."
    ]


@pytest.mark.parametrize("lost", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
def test_a_missing_file_of_the_runner_is_a_warning(lost: str, gate: Gate, runner: Runner) -> None:
    other = runner.step_summary if lost == "GITHUB_OUTPUT" else runner.output
    missing = gate.folder / "missing"
    # The variable is unset, names a missing file, or names a folder.
    for scenario, value in ((DONE, ""), (FAILS, str(missing)), (DONE, str(gate.folder))):
        other.write_text("")
        ran = gate.play(scenario, "--quiet", env=runner.env | {lost: value})
        assert ran.code == ran.document["exit_code"] == scenario.expect.row.exit_code
        (warning,) = named(ran, "warning")
        assert f"could not be written (the runner's file {lost} is missing). The verdict stands." in warning[2]
        assert other.read_text()
        assert not missing.exists()
        assert not named(ran, "set-output")


def test_the_summary_can_be_left_out(gate: Gate, runner: Runner) -> None:
    """The option and its variable leave the summary out; then its file may be missing."""
    runner.step_summary.unlink()
    for args, env in ((("--no-summary",), {}), ((), {"THREADFIX_SUMMARY": "no"})):
        ran = gate.play(DONE, *args, env=runner.env | env)
        assert (ran.code, named(ran, "warning")) == (0, [])
    assert not runner.step_summary.exists()


def test_outside_github_no_command_is_printed(gate: Gate) -> None:
    """Not even a mask, which would show the key. GitHub sets the variable to `true` and to no other value."""
    for value, scenario in (("", DONE), ("false", FAILS), ("1", HOSTILE)):
        ran = gate.play(scenario, "--json", env={"GITHUB_ACTIONS": value})
        assert commands(ran) == []
        assert API_KEY not in ran.err + ran.out


def test_a_new_status_and_a_stall_are_annotated(gate: Gate, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "STALLED_AFTER", 0.05)
    ran = gate.play(ODD, "--timeout", "300ms", env=runner.env)
    warnings = [message for _, _, message in named(ran, "warning")]
    assert len(warnings) == 2
    assert "REINDEXING, which is not documented" in warnings[0]
    assert "has been REINDEXING for" in warnings[1]
    assert len(named(ran, "error")) == 1


TWICE = Scenario(
    "twice", "", Reason.ALREADY_IMPORTED, error_message="Scan file has already been uploaded.", scan_id=False
)


def test_a_pass_that_the_user_accepts_is_a_notice(gate: Gate, runner: Runner) -> None:
    accepting = ("--accept", "duplicate", "--ui-url", "{url}/{pending_scan_id}")
    for number in (1, 2, 3):
        scans = ",".join(str(gate.threadfix.add(TWICE)) for _ in range(number))
        ran = gate("--pending-scan-id", scans, *accepting, env=runner.env)
        ((_, properties, message),) = named(ran, "notice", "warning", "error")
        assert (ran.code, properties) == (0, {"title": "ThreadFix gate"})
        assert "Scan file has already been uploaded'." in message
        assert message.endswith(f" (and {number - 1} more)") is (number > 1)
        assert "\nnotice:" not in ran.err


def test_without_a_key_no_empty_mask_is_sent(gate: Gate, runner: Runner) -> None:
    ran = gate.play(DONE, env=runner.env | {"THREADFIX_API_KEY": ""})
    assert (ran.code, named(ran, "add-mask")) == (2, [])


# --- Hostile text of a server.


# HTTP headers are Latin-1.
TEXT = HOSTILE.scan_name.encode("latin-1", "ignore").decode("latin-1")
LINE = TEXT.replace("\r", " ").replace("\n", " ")


def responding(fault: Fault) -> Scenario:
    return Scenario("hostile", "", Reason.PROTOCOL, fault=lambda _: fault)


WAYS = {
    # Ways of a server's text into the log or the summary, and the options.
    "scan": (HOSTILE, ()),
    "status": (Scenario("hostile", "", Reason.UNKNOWN_STATUS, walk=((TEXT, 0),), scan_name=TEXT), ONCE),
    "refusal": (responding(refusal(TEXT)), ONCE),
    "location": (responding(Raw(302, headers=(("Location", LINE),))), ONCE),
    "title": (responding(Raw(200, f"<title>{TEXT}</title>".encode())), ONCE),
}
every_way = pytest.mark.parametrize(("scenario", "args"), WAYS.values(), ids=WAYS)


@every_way
@pytest.mark.usefixtures("on_a_runner")
def test_a_server_cannot_send_a_command(scenario: Scenario, args: tuple[str, ...], gate: Gate, runner: Runner) -> None:
    scans = ",".join(str(gate.threadfix.add(scenario)) for _ in range(2))
    ran = gate("--pending-scan-id", scans, *args, "-v", "--json", env=runner.env)
    assert set(runner.outputs()) == set(OUTPUTS)
    written = commands(ran)
    assert {name for name, _, _ in written} <= {"add-mask", "group", "endgroup", "error"}
    assert [properties["title"] for name, properties, _ in written if name == "error"] == [
        f"ThreadFix gate: {ran.document['verdict']} ({ran.document['reason']})"
    ]


@pytest.mark.usefixtures("on_a_runner")
def test_a_traceback_cannot_send_a_command(gate: Gate, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of a bug may have several lines, with text of a server in them."""

    def broken(*_: object) -> None:
        raise RuntimeError("first\n::error::second\n  ::set-output name=verdict::pass\n##[error]third")

    monkeypatch.setattr(responses, "parse", broken)
    ran = gate.play(DONE, env=runner.env)
    assert ran.code == 70
    assert "::error::second" in ran.err
    assert [name for name, _, _ in commands(ran)] == ["add-mask", "group", "endgroup", "error"]
    assert runner.outputs()["verdict"] == "unknown"


@every_way
def test_a_server_cannot_break_the_summary(
    scenario: Scenario, args: tuple[str, ...], gate: Gate, runner: Runner
) -> None:
    """As rendered by GitHub, it has the elements of a harmless summary, and no link from the server."""
    pages = []
    # The messages of the harmless scans differ, so that the summary lists them.
    harmless = (Scenario("", "", Reason.SCAN_FAILED, walk=((f"SCAN_{end}", 0),)) for end in ("INTERRUPTED", "DELETED"))
    for played in ([scenario] * 2, harmless):
        scans = ",".join(str(gate.threadfix.add(each)) for each in played)
        gate("--pending-scan-id", scans, *args, env=runner.env)
        pages.append(set(Text(GITHUB_FLAVOURED.render(runner.step_summary.read_text())).tags))
        runner.step_summary.write_text("")
    # An element with an attribute, such as a link, is a separate entry.
    assert pages[0] <= pages[1] | {"code", "/code", "pre", "/pre", "em", "/em"}
    assert not [tag for tag in pages[0] if tag.startswith("a ")]

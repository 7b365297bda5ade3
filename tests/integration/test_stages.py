"""Tests of the stages together. A stage that was not reached must not count as a pass."""

from __future__ import annotations

import pkgutil
import threading
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from gate.flow.signals import Signals
from gate.model.reasons import Reason
from gate.sandbox import responses
from gate.sandbox.scenarios import Raw
from gate.sandbox.server import ThreadFix
from tests.raw import talking
from tests.release import later
from tests.uploads import FINISHED, TAKEN, Incoming, envelope, http, zap

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from gate.sandbox.scenarios import Fault
    from tests.conftest import Gate, Ran

Stops = Callable[..., Signals]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of scan results. The name of each file is its scenario."""
    folder = tmp_path / "results"
    folder.mkdir()
    for day, name in enumerate(("done.xml", "late.xml", "interrupted.xml"), 1):
        (folder / name).write_bytes(zap(day))
    return folder


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Stops:
    """Return a function that makes signals which stop the gate right after a call of the named function."""

    def after(name: str, number: int = 15) -> Signals:
        original, signals = pkgutil.resolve_name(name), Signals()

        def stop(*args: object, **options: object) -> object:
            done = original(*args, **options)
            signals.stop(number)
            return done

        monkeypatch.setattr(name, stop)
        return signals

    return after


def calls(gate: Gate) -> list[tuple[str, str]]:
    """Return the requests, without immediate repeats."""
    requests = [(method, path.removeprefix("/threadfix/rest/latest/")) for method, path, _ in gate.threadfix.seen]
    return [call for number, call in enumerate(requests) if not number or requests[number - 1] != call]


def reasons(ran: Ran, kind: str) -> list[str | None]:
    """Return the reason of each part of a kind."""
    return [part["reason"] for part in ran.document[kind]]


def test_a_file_is_uploaded_and_its_own_scan_is_waited_for(gate: Gate, folder: Path) -> None:
    """The application is requested first. It has the team's id, so the link to the scan is complete."""
    ran = gate("--scan-file", f"{folder}/done.xml")
    number = ran.document["pending_scan_id"]
    assert calls(gate) == [
        ("GET", "applications/6"),
        ("POST", "applications/6/upload"),
        ("GET", f"applications/6/pendingScan/{number}/status"),
    ]
    assert (ran.code, ran.document["reason"]) == (0, Reason.PROCESSED)
    assert ran.document["scan_url"] == f"{gate.url}/organizations/2/applications/6/scans/{number - 29}"
    (upload,) = ran.document["uploads"]
    assert (upload["file"], upload["pending_scan_ids"], upload["verdict"]) == (f"{folder}/done.xml", [number], None)


def test_a_file_of_an_earlier_run_is_a_duplicate(gate: Gate, folder: Path) -> None:
    """A fail that reports the duplicate, or a pass if the user accepts it. The first run's scan is not polled again."""
    assert gate("--scan-file", f"{folder}/done.xml").code == 0
    ran = gate("--scan-file", f"{folder}/done.xml")
    assert (ran.code, ran.document["reason"]) == (1, Reason.UPLOAD_REFUSED)
    assert "Scan file has already been uploaded" in ran.last
    ran = gate("--scan-file", f"{folder}/done.xml", "--accept", "duplicate")
    assert (ran.code, ran.document["reason"], ran.document["scans"]) == (0, Reason.ALREADY_IMPORTED, [])


def test_a_refusal_in_an_upload_response_is_an_upload(gate: Gate, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "upload.json").write_text('{"success": false, "message": "No."}')
    options = ("--upload-response", f"{tmp_path}/upload.json", "--scan-file", f"{folder}/done.xml")
    ran = gate(*options)
    assert (ran.code, reasons(ran, "uploads")) == (1, [Reason.UPLOAD_REFUSED, None])
    assert reasons(ran, "scans") == [Reason.PROCESSED]


def test_a_refusal_in_an_upload_response_needs_no_request(gate: Gate, tmp_path: Path, stops: Stops) -> None:
    """It is no usage error, and a signal does not lose ThreadFix's refusal of the file."""
    for message, is_stopped, reason in (
        ("API Key not found in database.", False, Reason.DENIED),
        ("No.", True, Reason.UPLOAD_REFUSED),
    ):
        signals = stops("gate.reporters.console.Console.opening") if is_stopped else None
        (tmp_path / "upload.json").write_text(f'{{"success": false, "message": "{message}"}}')
        ran = gate("--upload-response", f"{tmp_path}/upload.json", signals=signals)
        assert (ran.code, ran.document["reason"]) == (reason.row.exit_code, reason)
        assert not gate.threadfix.seen


def test_a_repeated_upload_response_is_a_protocol_error(gate: Gate, folder: Path) -> None:
    """Also if it is a finished scan, or a scan that was given by id."""
    done = http(envelope({"status": "DONE", "error": False, "appId": 6}))
    files = ("--scan-file", f"{folder}/done.xml\n{folder}/late.xml", "--api-version", "legacy")
    ran, _ = scripted(gate, [done], files, uploaded=http(envelope(FINISHED)))
    assert (ran.code, ran.document["reason"]) == (7, Reason.PROTOCOL)
    assert "ThreadFix returned scan 12, which is not this file's" in ran.document["message"]
    ran, _ = scripted(gate, [done], ("--scan-file", f"{folder}/done.xml", "--pending-scan-id", "41"))
    assert (ran.code, reasons(ran, "uploads")) == (7, [Reason.PROTOCOL])


SENT = 1_795_000_000
"""The `Date` of a response, in seconds since the epoch."""
DATED = b"Date: " + formatdate(SENT, usegmt=True).encode()
AN_HOUR = 3600 * 1000
ANOTHERS: dict[str, tuple[dict[str, Any], bytes, int]] = {
    "an-hour-before": ({"modifiedDate": SENT * 1000 - AN_HOUR}, DATED, 7),
    "eleven-minutes-before": ({"modifiedDate": SENT * 1000 - 660_000}, DATED, 7),
    "in-seconds": ({"modifiedDate": SENT}, DATED, 7),
    "failed-an-hour-before": ({"modifiedDate": SENT * 1000 - AN_HOUR, "status": "SCAN_DELETED"}, DATED, 7),
    "flagged-an-hour-before": ({"modifiedDate": SENT * 1000 - AN_HOUR, "error": True}, DATED, 7),
    "nine-minutes-before": ({"modifiedDate": SENT * 1000 - 540_000}, DATED, 0),
    "after": ({"modifiedDate": SENT * 1000 + AN_HOUR}, DATED, 0),
    "without-modified-date": ({}, DATED, 0),
    "without-date": ({"modifiedDate": SENT * 1000 - AN_HOUR}, b"X-Date: none", 0),
}


def scripted(
    gate: Gate, statuses: Sequence[bytes], options: Sequence[str], uploaded: bytes = TAKEN
) -> tuple[Ran, list[str]]:
    """Run the gate against a server that takes uploads, and then plays a response per poll."""
    paths: list[str] = []

    def talk(connection: socket.socket) -> None:
        path = Incoming(connection, threading.Event()).read().head.decode().split(" ")[1]
        polls = sum(seen.endswith("/status") for seen in paths)
        paths.append(path)
        if path.endswith("/upload"):
            connection.sendall(uploaded)
        elif path.endswith("/status"):
            connection.sendall(statuses[min(polls, len(statuses) - 1)])
        else:
            connection.sendall(http(envelope({"id": 6, "name": "Shop"})))

    with talking(talk) as url:
        return gate(*options, env={"THREADFIX_URL": url}), paths


@pytest.mark.parametrize(("fields", "date", "code"), ANOTHERS.values(), ids=ANOTHERS)
def test_a_scan_that_was_final_before_its_upload_is_another_uploads(
    fields: dict[str, Any], date: bytes, code: int, gate: Gate, folder: Path
) -> None:
    """By two dates of one response. A scan given by id may have any age, with a warning after a day."""
    content = {"status": "DONE", "error": False, "appId": 6, "scanId": 12} | fields
    final = http(envelope(content), b"200 OK", date)
    ran, _ = scripted(gate, [final], ("--scan-file", f"{folder}/done.xml"))
    assert ran.code == code
    if code:
        assert (ran.document["reason"], ran.document["polls"]) == (Reason.PROTOCOL, 1)
        assert (ran.document["scan_id"], ran.document["status"]) == (None, None)
        assert "another upload's" in ran.document["message"]
    given, _ = scripted(gate, [final], ("--pending-scan-id", "41"))
    assert given.code == (0 if content["status"] == "DONE" and not content["error"] else 1)


def test_no_error_is_final_early_once_a_file_is_uploaded(
    gate: Gate, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect to the login page may be a failover, and the file is not sent again."""
    monkeypatch.setattr("gate.flow.waiting.LASTING_LIMIT", 0.0)
    login = http(b"", b"302 X", b"Location: /threadfix/login.jsp;jsessionid=1")
    responses = [login, login, http(envelope({"status": "DONE", "error": False, "appId": 6}))]
    assert scripted(gate, responses, ("--scan-file", f"{folder}/done.xml"))[0].code == 0
    ran, paths = scripted(gate, responses, ("--pending-scan-id", "41"))
    assert (ran.code, ran.document["reason"], len(paths)) == (7, Reason.PROTOCOL, 2)


def test_without_its_application_nothing_is_uploaded(gate: Gate, folder: Path) -> None:
    """A wrong id ends the run before a gigabyte is sent. Scans given by id are still polled."""
    options = ("--first-contact-limit", "50ms", "--scan-file", f"{folder}/*.xml")
    ran = gate(*options, "--pending-scan-id", "41", env={"THREADFIX_APPLICATION_ID": "7"})
    assert (ran.code, ran.document["reason"]) == (5, Reason.NOT_FOUND)
    assert reasons(ran, "uploads") == [Reason.NOT_FOUND] * 3
    assert reasons(ran, "scans") == [Reason.NOT_FOUND]
    assert gate.threadfix.upload_attempts == 0
    assert ran.document["message"].startswith("application 7: ")


def test_an_application_is_looked_up_by_its_name(gate: Gate) -> None:
    """Its id is then an output."""
    named = {"THREADFIX_APPLICATION_ID": "", "THREADFIX_TEAM_NAME": "Contoso"}
    ran = gate("--application-name", "Contoso shop", "--pending-scan-id", "41", env=named)
    assert (ran.code, ran.document["application_id"], ran.document["application_name"]) == (0, 6, "Contoso shop")
    options = ("--pending-scan-id", "41", "--first-contact-limit", "50ms")
    ran = gate("--application-name", "Contoso shoe", *options, env=named)
    assert (ran.code, ran.document["reason"], ran.document["scans"]) == (5, Reason.NOT_FOUND, [])
    assert ran.document["message"].startswith("application 'Contoso shoe' of team 'Contoso': ")


def test_checks_run_only_if_every_scan_passed(gate: Gate, folder: Path) -> None:
    ran = gate("--scan-file", f"{folder}/interrupted.xml", "--policy", "all")
    assert (ran.code, ran.document["reason"], ran.document["checks"]) == (1, Reason.SCAN_FAILED, [])
    assert not [path for _, path in calls(gate) if "polic" in path]


@pytest.mark.parametrize(
    ("moment", "parts"),
    [
        ("reporters.console.Console.opening", ([Reason.CANCELLED] * 3, [Reason.CANCELLED], [])),
        ("flow.stages.Stages._find_application", ([Reason.CANCELLED] * 3, [Reason.CANCELLED], [])),
        ("flow.stages.Stages._upload", ([None] * 3, [Reason.CANCELLED] * 4, [])),
        ("flow.stages.Stages._wait", ([None] * 3, [Reason.PROCESSED] * 4, [Reason.CANCELLED] * 2)),
    ],
)
def test_a_signal_between_two_stages_leaves_no_part_without_a_result(
    moment: str, parts: tuple[list[Any], ...], gate: Gate, folder: Path, stops: Stops
) -> None:
    """Without the missing part, the rest would look like a pass."""
    (folder / "interrupted.xml").rename(folder / "slow.xml")
    args = ("--scan-file", f"{folder}/*", "--pending-scan-id", "41", "--policy", "all", "--pass-criteria")
    ran = gate(*args, signals=stops(f"gate.{moment}"))
    assert (ran.code, ran.document["reason"]) == (143, Reason.CANCELLED)
    assert tuple(reasons(ran, kind) for kind in ("uploads", "scans", "checks")) == parts


@pytest.mark.parametrize(
    ("moment", "args", "reason"),
    [
        ("flow.stages.Stages._wait", (), Reason.PROCESSED),
        ("flow.stages.Stages._evaluate", ("--policy", "all"), Reason.POLICY_PASSED),
        ("flow.context.CommandContext.verdict", (), Reason.PROCESSED),
        ("flow.context.CommandContext.verdict", ("--timeout", "x"), Reason.USAGE),
    ],
)
def test_a_signal_after_the_last_stage_changes_no_verdict(
    moment: str, args: tuple[str, ...], reason: Reason, gate: Gate, stops: Stops
) -> None:
    ran = gate("--pending-scan-id", "41", *args, signals=stops(f"gate.{moment}"))
    assert (ran.code, ran.document["reason"]) == (reason.row.exit_code, reason)


def test_a_signal_during_the_request_for_the_application_leaves_the_file_unsent(
    gate: Gate, folder: Path, stops: Stops
) -> None:
    ran = gate("--scan-file", f"{folder}/done.xml", signals=stops("gate.threadfix.client.Client.application"))
    (upload,) = ran.document["uploads"]
    assert (ran.code, upload["reason"], upload["message"]) == (143, Reason.CANCELLED, "not sent; the gate was stopped.")


def test_a_signal_before_the_look_up_leaves_no_parts(gate: Gate, stops: Stops) -> None:
    """Without an application there are no parts, but the gate was still cancelled."""
    named = {"THREADFIX_APPLICATION_ID": "", "THREADFIX_TEAM_NAME": "a", "THREADFIX_APPLICATION_NAME": "b"}
    ran = gate("--pending-scan-id", "41", env=named, signals=stops("gate.reporters.console.Console.opening", 2))
    assert (ran.code, ran.document["reason"], ran.document["scans"]) == (130, Reason.CANCELLED, [])


def upload_nothing(stages: Any) -> None:  # noqa: ANN401 - patched in
    """Do nothing, like a bug that loses the uploads."""


def lose_the_uploads(files: Any, *_: object, **__: object) -> tuple[()]:  # noqa: ANN401 - as above
    """Return no result, like a bug that loses the files."""
    assert files
    return ()


@pytest.mark.parametrize(
    ("place", "forgets", "args"),
    [
        ("gate.flow.stages.Stages._upload", upload_nothing, ("--scan-file", "{}/done.xml")),
        ("gate.flow.uploading.upload_all", lose_the_uploads, ("--scan-file", "{}/done.xml")),
        ("gate.flow.stages.Stages._evaluate", upload_nothing, ("--policy", "all")),
        ("gate.flow.stages.Stages._application_id", None, ("--policy", "all")),
    ],
)
def test_a_bug_that_loses_a_part_is_no_pass(
    place: str, forgets: Callable[..., object] | None, args: tuple[str, str], gate: Gate, folder: Path
) -> None:
    option, value = args
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, forgets)
        ran = gate("--pending-scan-id", "41", option, value.format(folder))
    assert (ran.code, ran.document["reason"]) == (70, Reason.INTERNAL)


NEWEST = {"updatedDate": later(-7200)}
UNKNOWN_MOMENT = "but not when it processed the newest scan"


def test_a_policy_counts_if_it_is_newer_than_the_scan_of_an_accepted_duplicate(gate: Gate, folder: Path) -> None:
    """An earlier run of the same job may have just uploaded that scan, and the policy may not be evaluated yet."""
    file = ("--scan-file", f"{folder}/done.xml")
    options = (*file, "--accept", "duplicate", "--policy", "Release", "--settle-timeout", "20ms")
    assert gate(*file).code == 0
    usual = ThreadFix.respond
    for listed, reason, message in (
        ([NEWEST, {"updatedDate": 1}], Reason.POLICY_PASSED, "PASSING"),
        ([NEWEST, {"updatedDate": later(7200)}], Reason.POLICY_UNKNOWN, "stale by"),
        ([NEWEST, {"importTime": later(7200)}], Reason.POLICY_PASSED, "PASSING"),
        ([{"updatedDate": 2**42}], Reason.POLICY_UNKNOWN, UNKNOWN_MOMENT),
        ([{"importTime": later(-7200)}], Reason.POLICY_UNKNOWN, UNKNOWN_MOMENT),
        ([], Reason.POLICY_UNKNOWN, UNKNOWN_MOMENT),
        ({"x": 1}, Reason.POLICY_UNKNOWN, UNKNOWN_MOMENT),
    ):
        scans = responses.envelope(listed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ThreadFix, "respond", lambda *args: scans if args[2].endswith("/scans") else usual(*args))  # noqa: B023
            ran = gate(*options)
        assert (ran.document["reason"], message in ran.document["message"]) == (reason, True), ran.err
        assert ("warning: the scans of the application could not be listed: " in ran.err) is (listed == {"x": 1})


# --- Conditions without a pass.

ACCEPTED = '{"success": false, "message": "Scan file has already been uploaded."}'
UNKNOWN = {"THREADFIX_APPLICATION_ID": "", "THREADFIX_TEAM_NAME": "Contoso", "THREADFIX_APPLICATION_NAME": "nobody's"}


@pytest.mark.parametrize("args", [("--pending-scan-id", "41"), ("--policy", "all")])
def test_an_accepted_duplicate_does_not_hide_an_unknown_application(
    args: tuple[str, str], gate: Gate, tmp_path: Path
) -> None:
    """The requests for the application are as unknown as the application."""
    (tmp_path / "upload.json").write_text(ACCEPTED)
    options = ("--upload-response", f"{tmp_path}/upload.json", "--accept", "duplicate", "--first-contact-limit", "50ms")
    ran = gate(*options, *args, env=UNKNOWN)
    assert (ran.code, ran.document["reason"]) == (5, Reason.NOT_FOUND), ran.err
    assert reasons(ran, "uploads") == [Reason.ALREADY_IMPORTED]


def test_a_failed_look_up_is_unreachable_like_a_failed_poll(gate: Gate) -> None:
    """`--on-unreachable warn` applies to both."""
    options = ("--pending-scan-id", "41", "--first-contact-limit", "50ms")
    nowhere = UNKNOWN | {"THREADFIX_URL": "http://127.0.0.1:9/threadfix"}
    for option, code in (("fail", 6), ("warn", 0)):
        ran = gate(*options, "--on-unreachable", option, env=nowhere)
        assert (ran.code, ran.document["verdict"], ran.document["reason"]) == (code, "unknown", Reason.UNREACHABLE)


@pytest.fixture
def later_uploads(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault | None], None]:
    """Return a function that sets the response to each upload but the first; None repeats the first response."""
    original, received = type(gate.threadfix).receive, list[Any]()

    def respond(response: Fault | None) -> None:
        def receive(*args: Any) -> object:  # noqa: ANN401 - the sandbox's arguments
            received.append(original(*args))
            return received[0] if len(received) < 2 else response or received[0]

        monkeypatch.setattr(type(gate.threadfix), "receive", receive)

    return respond


def test_no_command_to_keep_waiting_is_printed_if_a_file_is_uncertain(
    gate: Gate, folder: Path, later_uploads: Callable[[Fault | None], None]
) -> None:
    """A second run would wait for the other scans only, and pass without the file."""
    later_uploads(Raw(502, b"<html>"))
    for day, name in enumerate(("slow.xml", "zzz.xml"), 1):
        (folder / name).write_bytes(zap(day))
    files = f"{folder}/slow.xml\n{folder}/zzz.xml"
    ran = gate("--scan-file", files, "--on-unreachable", "warn", "--timeout", "50ms")
    assert (ran.code, ran.document["reason"]) == (3, Reason.TIMEOUT), ran.err
    assert reasons(ran, "uploads") == [None, Reason.UNREACHABLE]
    assert "--pending-scan-id" not in ran.err

"""The endpoints of scans (uploads, finished scans, the status of a pending scan) and of their vulnerabilities."""

from __future__ import annotations

import re
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from gate.sandbox import model, reports, versions
from gate.sandbox.applications import in_short, scan_fields
from gate.sandbox.model import Report
from gate.sandbox.responses import Raw, envelope, refusal
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.state import scan_id
from gate.threadfix.rules import STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.model import Application, Vulnerability
    from gate.sandbox.responses import Call, Fault
    from gate.sandbox.scenarios import Scenario
    from gate.sandbox.state import State
    from gate.sandbox.versions import Version

OWN_VIEW: Final = "http://10.150.1.155:8080/threadfix/rest"
"""The internal address in the server's links, as in the vendor's sample [DOC]. It is unreachable through a proxy."""
STARTED: Final = "Scan upload process started."
FAILED: Final = "Something went wrong while processing the scan."
PAGE_SIZE: Final = 10  # vulnerabilities


def upload(state: State, call: Call) -> Fault:
    """Accept or refuse a file. Only the first of several files is taken [RUN]."""
    return _receive(state, call, [[file for file in call.files if file.field == "file"][:1]])


def upload_together(state: State, call: Call) -> Fault:
    """Accept or refuse files, in any field, as one scan or with `bulkUpload` as a scan each [CLIENT]."""
    if not call.files:
        return refusal("No files selected.")
    bulk = call.fields.get("bulkUpload", "").lower() == "true"
    return _receive(state, call, [[file] for file in call.files] if bulk else [call.files])


def _receive(state: State, call: Call, groups: Sequence[Sequence[ReceivedFile]]) -> Fault:
    """Queue a scan for each group of files, or process the scan immediately, depending on the version."""
    with state.lock:
        received = [_queue(state, call, files) for files in groups]
    numbers = [number for number in received if isinstance(number, int)]
    for refused in received:
        if not isinstance(refused, int):
            return refused
    if call.version >= versions.QUEUE:
        return envelope(STARTED, links=_links(call, numbers))
    # Older versions process the scan immediately; the response has its new findings [RUN].
    for number in numbers:
        state.finish(number)
    scan = next(scan for scan in state.finished_scans(call.application) if scan.id == scan_id(numbers[0]))
    return envelope(scan_fields(scan, call.version, findings=[finding(new) for new in scan.new]))


def _queue(state: State, call: Call, files: Sequence[ReceivedFile]) -> int | Raw:
    """Queue the scan of some files; return the id of the pending scan, or the refusal."""
    state.uploads.extend(files)
    contents = []
    for file in files:
        content = reports.read(file, state.generation)
        if isinstance(content, Raw):
            return content
        contents.append(content)
    if len({content.scanner for content in contents}) > 1:
        return refusal("Scans are not of the same type.")  # [CE]
    report = contents[0]
    if len(contents) > 1:
        # The latest date counts, and the findings of all [RUN].
        date = max((content.date for content in contents if content.date), default=None)
        report = Report(report.scanner, sum((content.findings or () for content in contents), ()), date)
    reason = state.reason_against(call.application, report)
    scenario = SCENARIOS.get(PurePath(files[0].name.replace("\\", "/")).stem, SCENARIOS["done"])
    if reason is None and call.version < versions.QUEUE and not scenario.imports:
        reason = scenario.error_message or FAILED
    return state.add(scenario, call.application.id, files, report) if reason is None else refusal(reason)


def _links(call: Call, numbers: Sequence[int]) -> list[dict[str, str]] | None:
    if call.version < versions.PENDING_SCANS:
        return None
    version = f"/{call.segment}" if call.version >= versions.VERSIONED_LINK else ""
    scans = f"{OWN_VIEW}{version}/applications/{call.application.id}/pendingScan"
    return [{"method": "GET", "rel": "related", "href": f"{scans}/{number}/status"} for number in numbers]


def listed(state: State, call: Call) -> Fault:
    """Return the finished scans of an application: date and scanner, without numbers [RUN]."""
    shown = [scan_fields(scan, call.version, numbers=False) for scan in state.finished_scans(call.application)]
    if not shown:
        return refusal(f"No scans associated with application: {call.application.id}")
    if call.version >= versions.BUILD_ID:
        shown = [scan | {"buildId": None} for scan in shown]
    return envelope(shown)


def by_id(state: State, call: Call) -> Fault:
    """Return a finished scan with all its findings."""
    for application in state.applications.values():
        for scan in state.finished_scans(application):
            if str(scan.id) == call.parts["scan"]:
                return envelope(scan_fields(scan, call.version, findings=[finding(found) for found in scan.found]))
    return refusal("No scan exists for requested id")


def status(state: State, call: Call) -> Fault:
    """Return the status of a pending scan, or the fault that its scenario defines for this request."""
    number = int(call.parts["pending"])
    with state.lock:
        scan = state.scans.get(number)
        if scan is None or scan.application_id != call.application.id:
            return refusal("Pending scan lookup failed. Check your ID.")  # [INFER]
        now = state.clock()
        scan.began = now if scan.began is None else scan.began
        scan.requests += 1
        fault = scan.scenario.fault(scan.requests)
    elapsed = (now - scan.began) * state.speed
    at = state.moment(scan.began + scan.scenario.since(elapsed) / state.speed)
    names = [file.name for file in scan.files]
    body = status_object(scan.scenario, number, call.application.id, elapsed, at=at, names=names, version=call.version)
    return fault or envelope(body)


def status_object(  # noqa: PLR0913 - the fields of a response
    scenario: Scenario,
    number: int,
    application: int,
    elapsed: float,
    *,
    at: int | None = None,
    names: Sequence[str] = (),
    version: Version = versions.NEWEST,
) -> dict[str, Any]:
    """Return the `object` of a status response [DOC]. A scan in progress has no `scanId`, as in the older sample.

    `elapsed` is in seconds since the first request for the status, at the scenario's speed; `at` is the start of the
    status in milliseconds since the epoch, None for now. Without `names` of files, the scan has the scenario's name.
    """
    word, last = scenario.status(elapsed)
    message = scenario.message if scenario.message is not None else STATUSES.get(word, word)
    at = int(time.time() * 1000) if at is None else at
    names = names or [scenario.scan_name]
    fields: dict[str, Any] = {
        "id": number,
        "modifiedDate": at,
        "active": True,
        "fileDataList": [{"id": number + 15 + index, "originalName": name} for index, name in enumerate(names)],
        "appId": scenario.application_id or application,
        "errorMessage": scenario.error_message if last else None,
        "status": word,
        "error": last and scenario.error_message is not None,
        "type": "upload",
        "name": names[0],
        "time": at,
        "scanMessage": message,
    }
    if version < versions.STATUS_DETAILS and not last:
        del fields["modifiedDate"]
    if version >= versions.STATUS_DETAILS and scenario.scan_id and word == "DONE":
        fields["scanId"] = scan_id(number)
    return fields


def search_vulnerabilities(state: State, call: Call) -> Fault:
    """Return a page of the vulnerabilities that match a form, newest first. No response contains the total [DOC]."""
    fields = call.fields
    ids, teams = _indexed(fields, "applications", "id"), _indexed(fields, "teams", "id")
    matches = [
        (application, vulnerability)
        for application in state.applications.values()
        if (not ids or str(application.id) in ids) and (not teams or str(application.team.id) in teams)
        for vulnerability in state.vulnerabilities(application)
        if _matches(vulnerability, fields, by_flags=call.version >= versions.SEARCH_BY_FLAGS)
    ]
    matches.sort(key=lambda pair: (pair[1].days, -pair[1].id))
    size = _number(fields.get("numberVulnerabilities"), PAGE_SIZE)
    begin = (_number(fields.get("page"), 1) - 1) * size
    # This response has a length, unlike the others [RUN].
    return envelope([_described(state, *pair) for pair in matches[begin : begin + size]], chunked=False)


def severities(state: State, _call: Call) -> Fault:
    """Return the severities with their names [CE, CLIENT]."""
    return envelope([_severity(state, number) for number in model.SEVERITIES])


def _number(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch("[1-9][0-9]{0,8}", text) else default


def _indexed(fields: Mapping[str, str], name: str, key: str) -> set[str]:
    """Return the values of an indexed field of Spring's forms, such as `applications[0].id`."""
    return {value for field, value in fields.items() if re.fullmatch(rf"{name}\[[0-9]+\]\.{key}", field)}


def _matches(vulnerability: Vulnerability, fields: Mapping[str, str], *, by_flags: bool) -> bool:
    severities = _indexed(fields, "genericSeverities", "intValue")
    kinds = _indexed(fields, "genericVulnerabilities", "id")
    return (
        (not severities or str(vulnerability.severity) in severities)
        and (not kinds or str(vulnerability.cwe) in kinds)
        and fields.get("path", "") in vulnerability.path
        and fields.get("parameter", "") in vulnerability.parameter
        and (_matches_flags(vulnerability, fields) if by_flags else _matches_older_logic(vulnerability, fields))
    )


def _matches_flags(vulnerability: Vulnerability, fields: Mapping[str, str]) -> bool:
    """Apply the logic of REST 2.7 and later: only given flags filter, and a flag and its opposite cancel out [DOC]."""
    pairs = (
        (vulnerability.open, "showOpen", "showClosed"),
        (vulnerability.false_positive, "showFalsePositive", "showNotFalsePositive"),
        (vulnerability.hidden, "showHidden", "showNotHidden"),
    )
    return all(_on(fields, yes) == _on(fields, no) or _on(fields, yes if is_so else no) for is_so, yes, no in pairs)


def _matches_older_logic(vulnerability: Vulnerability, fields: Mapping[str, str]) -> bool:
    """Apply the logic of REST before 2.7: closed, hidden and false-positive results need their flags [DOC]."""
    closed = _on(fields, "showClosed")
    return (
        (_on(fields, "showOpen") or not closed if vulnerability.open else closed)
        and (not vulnerability.false_positive or _on(fields, "showFalsePositive"))
        and (not vulnerability.hidden or _on(fields, "showHidden"))
    )


def _on(fields: Mapping[str, str], flag: str) -> bool:
    return fields.get(flag, "").lower() == "true"


def _severity(state: State, number: int) -> dict[str, Any]:
    return {
        # The id differs from the number on purpose, so that a client that mixes them up fails.
        "id": 6 - number,
        "name": model.SEVERITIES[number],
        "intValue": number,
        "customName": state.severity_names.get(number),
        "displayName": state.severity_name(number),
    }


def finding(vulnerability: Vulnerability) -> dict[str, Any]:
    """Return the finding of a vulnerability, as in a scan; its severity is the scanner's [RUN]."""
    empty = ("longDescription", "attackRequest", "attackResponse", "displayId", "sourceFileLocation", "dependency")
    number, parameter, path = vulnerability.id + 10_000, vulnerability.parameter or None, vulnerability.path
    return dict.fromkeys(empty) | {
        "id": number,
        "attackString": None,
        "nativeId": f"native-{vulnerability.id}",
        "surfaceLocation": {"id": number, "parameter": parameter, "path": path},
        "dataFlowElements": [],
        "calculatedUrlPath": path,
        "calculatedFilePath": "",
        "vulnerabilityType": vulnerability.name,
        "severity": str(vulnerability.severity - 1),
    }


def _described(state: State, application: Application, vulnerability: Vulnerability) -> dict[str, Any]:
    return {
        "id": vulnerability.id,
        "genericVulnerability": {"id": vulnerability.cwe, "name": vulnerability.name, "displayId": vulnerability.cwe},
        "genericSeverity": _severity(state, vulnerability.severity),
        "active": vulnerability.open,
        "hidden": vulnerability.hidden,
        "isFalsePositive": vulnerability.false_positive,
        "path": vulnerability.path,
        "parameter": vulnerability.parameter or None,
        "vulnId": str(vulnerability.id),
        **dict.fromkeys(("calculatedFilePath", "dependency")),
        **{name: [] for name in ("documents", "staticFindings", "dynamicFindings", "vulnerabilityComments")},
        "team": {"id": application.team.id, "name": application.team.name},
        "app": in_short(application),
        "channelNames": [vulnerability.scanner],
        "findings": [finding(vulnerability) | {"scannerName": vulnerability.scanner}],
    }

"""The endpoints of scans: the upload, the finished scans, and the status of a pending scan."""

from __future__ import annotations

import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from gate.sandbox import reports, versions
from gate.sandbox.applications import scan_fields
from gate.sandbox.model import Report
from gate.sandbox.responses import Raw, envelope, refusal
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.state import scan_id
from gate.sandbox.vulnerabilities import finding
from gate.threadfix.rules import STATUSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.responses import Call, Fault
    from gate.sandbox.scenarios import Scenario
    from gate.sandbox.state import State
    from gate.sandbox.versions import Version

OWN_VIEW: Final = "http://10.150.1.155:8080/threadfix/rest"
"""The internal address in the server's links, as in the vendor's sample [DOC]. It is unreachable through a proxy."""
STARTED: Final = "Scan upload process started."
FAILED: Final = "Something went wrong while processing the scan."


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
    state.finish(numbers[0])
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

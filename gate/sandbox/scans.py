"""The endpoints of scans: the upload, the list of finished scans, and the status of a pending scan."""

from __future__ import annotations

import json
import re
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from gate.sandbox import versions
from gate.sandbox.model import SEVERITIES
from gate.sandbox.responses import envelope, refusal
from gate.sandbox.scenarios import DUPLICATE, EMPTY, SCENARIOS, SYSTEM_ERROR
from gate.sandbox.state import scan_id
from gate.sandbox.versions import Feature, has
from gate.threadfix.statuses import STATUSES

if TYPE_CHECKING:
    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.responses import Call
    from gate.sandbox.scenarios import Fault, Scenario
    from gate.sandbox.state import State
    from gate.sandbox.versions import Version

OWN_VIEW: Final = "http://10.150.1.155:8080/threadfix/rest"
"""The internal address in the server's links, as in the vendor's sample. It is unreachable through a proxy."""
STARTED: Final = "Scan upload process started."
FAILED: Final = "Something went wrong while processing the scan."

LISTS: Final = frozenset({"alerts", "findings", "issues", "results", "runs", "site", "sites", "vulnerabilities"})
"""The names that scanners give to their lists of results, in lower case."""
_COMMENT: Final = re.compile(rb"<[!?][^>]*>")
_TAG: Final = re.compile(rb"<([\w.:-]+)")


def is_empty(file: ReceivedFile) -> bool:
    """Return whether a file is a report without results, by simple rules. A file over 64 KiB never is.

    - JSON: there are lists with names from `LISTS`, and all are empty; or the document is an empty list.
    - XML: the root has no elements except those with names from `LISTS`.
    - CSV: there is only a header line.
    - Any format: there is only white space.
    """
    content = file.head.strip()
    if not file.whole:
        return False
    if content[:1] in (b"[", b"{"):
        try:
            return _lists_nothing(json.loads(content))
        except (ValueError, RecursionError):
            return False
    if content[:1] == b"<":
        tags = _TAG.findall(_COMMENT.sub(b"", content))
        return all(tag.decode("utf-8", "replace").lower() in LISTS for tag in tags[1:])
    return not content or (PurePath(file.name).suffix.lower() == ".csv" and b"\n" not in content)


def _lists_nothing(value: object) -> bool:
    """Return whether a JSON value has lists of results, all of them without entries."""
    if not isinstance(value, dict):
        return value == []
    lists = [content for name, content in value.items() if name.lower() in LISTS and isinstance(content, list)]
    # Each run of SARIF contains its own list of results.
    return bool(lists) and all(
        all(isinstance(entry, dict) and _lists_nothing(entry) for entry in content) for content in lists
    )


def upload(state: State, call: Call) -> Fault:
    """Accept or refuse a file, and queue its scan or process it immediately, depending on the version."""
    file = next((file for file in call.files if file.field == "file"), None)
    if file is None:
        # ThreadFix does not catch Spring's exception about a missing part.
        return SYSTEM_ERROR
    scenario = SCENARIOS.get(PurePath(file.name.replace("\\", "/")).stem, SCENARIOS["done"])
    immediate = not has(call.version, Feature.QUEUE)
    refused = _refused(state, call.application.id, file, scenario)
    if refused is None and immediate and not scenario.imports:
        refused = scenario.error_message or FAILED
    if refused is not None:
        return refusal(refused)
    number = state.add(scenario, call.application.id, file)
    if immediate:
        return envelope(_processed(state, call, number))
    return envelope(STARTED, links=_links(call, number))


def _refused(state: State, application: int, file: ReceivedFile, scenario: Scenario) -> str | None:
    """Record a file; return the message of its refusal, or None if it is accepted."""
    with state.lock:
        state.uploads.append(file)
        if is_empty(file):
            return EMPTY
        content = (application, file.sha256)
        if content in state.imported:
            return DUPLICATE
        if scenario.imports:
            state.imported.add(content)
    return None


def _links(call: Call, number: int) -> list[dict[str, str]] | None:
    if not has(call.version, Feature.PENDING_SCANS):
        return None
    version = f"/{call.segment}" if has(call.version, Feature.VERSIONED_LINK) else ""
    href = f"{OWN_VIEW}{version}/applications/{call.application.id}/pendingScan/{number}/status"
    return [{"method": "GET", "rel": "related", "href": href}]


def listed(state: State, call: Call) -> Fault:
    """Return the finished scans of an application."""
    return envelope(state.finished_scans(call.application.id))


def _processed(state: State, call: Call, number: int) -> dict[str, Any]:
    """Finish a scan immediately and return it as the oldest REST API does."""
    state.finish(number)
    listed = next(scan for scan in state.finished_scans(call.application.id) if scan["id"] == scan_id(number))
    old, new = call.application.vulnerabilities, state.scans[number].scenario.brings
    counted = [vulnerability.severity for vulnerability in (*old, *new) if vulnerability.counts]
    total = len(counted)
    kinds = {"New": len(new), "Old": total - len(new), "Resurfaced": 0, "Closed": 0, "Total": total}
    kinds |= {name: counted.count(severity) for severity, name in reversed(SEVERITIES.items())}
    counts = {f"number{kind}Vulnerabilities": count for kind, count in kinds.items()}
    return listed | counts | {"numberRepeatResults": 0, "numberRepeatFindings": 0}


def status(state: State, call: Call) -> Fault:
    """Return the status of a pending scan, or the fault that its scenario defines for this request."""
    number = int(call.parts["scan"])
    with state.lock:
        scan = state.scans.get(number)
        if scan is None or scan.application_id != call.application.id:
            return refusal("Pending scan lookup failed. Check your ID.")
        now = state.clock()
        scan.began = now if scan.began is None else scan.began
        scan.requests += 1
        fault = scan.scenario.fault(scan.requests)
    elapsed = (now - scan.began) * state.speed
    at = state.moment(scan.began + scan.scenario.since(elapsed) / state.speed)
    name = scan.file.name if scan.file else None
    body = status_object(scan.scenario, number, call.application.id, elapsed, at=at, name=name, version=call.version)
    return fault or envelope(body)


def status_object(  # noqa: PLR0913 - the fields of a response
    scenario: Scenario,
    number: int,
    application: int,
    elapsed: float,
    *,
    at: int | None = None,
    name: str | None = None,
    version: Version = versions.NEWEST,
) -> dict[str, Any]:
    """Return the `object` of a status response. A scan in progress has no `scanId`, as in the vendor's older sample.

    Args:
        scenario: the scenario of the scan.
        number: the id of the pending scan.
        application: the id of the application.
        elapsed: seconds since the status was first requested, multiplied by the sandbox's speed.
        at: start of the status, in milliseconds since the epoch; None for now.
        name: the name of the uploaded file; None for the scenario's name.
        version: the version of the endpoint.
    """
    word, last = scenario.status(elapsed)
    message = scenario.message if scenario.message is not None else STATUSES.get(word, word)
    at = int(time.time() * 1000) if at is None else at
    name = scenario.scan_name if name is None else name
    fields: dict[str, Any] = {
        "id": number,
        "modifiedDate": at,
        "active": True,
        "fileDataList": [{"id": number + 15, "originalName": name}],
        "appId": scenario.application_id or application,
        "errorMessage": scenario.error_message if last else None,
        "status": word,
        "error": last and scenario.error_message is not None,
        "type": "upload",
        "name": name,
        "time": at,
        "scanMessage": message,
    }
    if not has(version, Feature.STATUS_DETAILS) and not last:
        del fields["modifiedDate"]
    if has(version, Feature.STATUS_DETAILS) and scenario.scan_id and word == "DONE":
        fields["scanId"] = scan_id(number)
    return fields

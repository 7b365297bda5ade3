"""The endpoints of scans: the upload, and the status of a pending scan."""

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
    from gate.sandbox.calls import Call
    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.scenarios import Fault, Scenario
    from gate.sandbox.state import State
    from gate.sandbox.versions import Version

OWN_VIEW: Final = "http://10.150.1.155:8080/threadfix/rest"
"""The server's own view of itself, as in the vendor's sample: behind a proxy nobody else can reach it."""
STARTED: Final = "Scan upload process started."
FAILED: Final = "Something went wrong while processing the scan."

LISTS: Final = frozenset({"alerts", "findings", "issues", "results", "runs", "site", "sites", "vulnerabilities"})
"""What scanners call the list of what they found."""
_COMMENT: Final = re.compile(rb"<[!?][^>]*>")
_TAG: Final = re.compile(rb"<([\w.:-]+)")


def is_empty(file: ReceivedFile) -> bool:
    """Whether a file is a report without results, by rules that are simple on purpose; one over 64 KiB is none.

    - JSON: each list that is called as in `LISTS` is empty, and there is one; or there is nothing but an empty list.
    - XML: no element but the first one, and those that are called as in `LISTS`.
    - CSV: nothing behind the first line.
    - Anything: nothing but white space.
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
    """Whether there is no entry in any list of results in it, and such a list."""
    if not isinstance(value, dict):
        return value == []
    lists = [content for name, content in value.items() if name.lower() in LISTS and isinstance(content, list)]
    # The runs of SARIF are a list of results each.
    return bool(lists) and all(
        all(isinstance(entry, dict) and _lists_nothing(entry) for entry in content) for content in lists
    )


def upload(state: State, call: Call) -> Fault:
    """Take a file: queue a pending scan, or process it at once, or refuse it."""
    file = next((file for file in call.files if file.field == "file"), None)
    if file is None:
        # Spring's error about a missing part is caught nowhere.
        return SYSTEM_ERROR
    scenario = SCENARIOS.get(PurePath(file.name.replace("\\", "/")).stem, SCENARIOS["done"])
    at_once = not has(call.version, Feature.QUEUE)
    refused = _refused(state, call.application.id, file, scenario)
    if refused is None and at_once and not scenario.imports:
        refused = scenario.error_message or FAILED
    if refused is not None:
        return refusal(refused)
    number = state.add(scenario, call.application.id, file)
    if at_once:
        return envelope(_processed(state, call, number))
    return envelope(STARTED, links=_links(call, number))


def _refused(state: State, application: int, file: ReceivedFile, scenario: Scenario) -> str | None:
    """What is wrong with a file; None where nothing is, and the application has it from now on."""
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
    """The finished scans of an application."""
    return envelope(state.finished_scans(call.application.id))


def _processed(state: State, call: Call, number: int) -> dict[str, Any]:
    """A scan that is finished at once, as the oldest REST API returns it."""
    state.finish(number)
    listed = next(scan for scan in state.finished_scans(call.application.id) if scan["id"] == scan_id(number))
    had, brought = call.application.vulnerabilities, state.scans[number].scenario.brings
    now = [one.severity for one in (*had, *brought) if one.counts]
    kinds = {"New": len(brought), "Old": len(now) - len(brought), "Resurfaced": 0, "Closed": 0, "Total": len(now)}
    kinds |= {name: now.count(severity) for severity, name in reversed(SEVERITIES.items())}
    counts = {f"number{kind}Vulnerabilities": count for kind, count in kinds.items()}
    return listed | counts | {"numberRepeatResults": 0, "numberRepeatFindings": 0}


def status(state: State, call: Call) -> Fault:
    """The status of a pending scan, or the fault that its scenario has for this request."""
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
    found = status_object(scan.scenario, number, call.application.id, elapsed, at=at, name=name, version=call.version)
    return fault or envelope(found)


def status_object(  # noqa: PLR0913 - what a response is made of
    scenario: Scenario,
    number: int,
    application: int,
    elapsed: float,
    *,
    at: int | None = None,
    name: str | None = None,
    version: Version = versions.NEWEST,
) -> dict[str, Any]:
    """The `object` of a status response; a pending scan in flight has no `scanId`, as in the vendor's older sample.

    Args:
        scenario: what happens to the scan.
        number: the pending scan's id.
        application: the application's id.
        elapsed: seconds since its status was first requested, at the scenario's own speed.
        at: milliseconds since the epoch when the status began; None for now.
        name: of the uploaded file; None for the scenario's.
        version: of the endpoint.
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

"""The endpoints of vulnerabilities: the search and the names of the severities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gate.sandbox import model, versions
from gate.sandbox.applications import in_short
from gate.sandbox.responses import envelope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.sandbox.model import Application, Vulnerability
    from gate.sandbox.responses import Call, Fault
    from gate.sandbox.state import State

PAGE_SIZE = 10


def search(state: State, call: Call) -> Fault:
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

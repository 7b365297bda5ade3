"""The endpoints of vulnerabilities: the search, and the names of the severities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gate.sandbox import model
from gate.sandbox.responses import envelope
from gate.sandbox.versions import Feature, has

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.sandbox.calls import Call
    from gate.sandbox.model import Application, Vulnerability
    from gate.sandbox.scenarios import Fault
    from gate.sandbox.state import State

PAGE_SIZE = 10


def search(state: State, call: Call) -> Fault:
    """A page of the vulnerabilities that a form asks for, the newest first. No response tells how many there are."""
    fields = call.fields
    ids, teams = _indexed(fields, "applications", "id"), _indexed(fields, "teams", "id")
    found = [
        (application, one)
        for application in state.applications.values()
        if (not ids or str(application.id) in ids) and (not teams or str(application.team.id) in teams)
        for one in state.vulnerabilities(application)
        if _wanted(one, fields, by_flags=has(call.version, Feature.SEARCH_BY_FLAGS))
    ]
    found.sort(key=lambda pair: (pair[1].days, -pair[1].id))
    size = _number(fields.get("numberVulnerabilities"), PAGE_SIZE)
    begin = (_number(fields.get("page"), 1) - 1) * size
    return envelope([_described(state, *pair) for pair in found[begin : begin + size]])


def severities(state: State, _call: Call) -> Fault:
    """The severities with their names."""
    return envelope([_severity(state, number) for number in model.SEVERITIES])


def _number(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch("[1-9][0-9]{0,8}", text) else default


def _indexed(fields: Mapping[str, str], name: str, key: str) -> set[str]:
    """The values of a list of Spring's forms, such as `applications[0].id`."""
    return {value for field, value in fields.items() if re.fullmatch(rf"{name}\[[0-9]+\]\.{key}", field)}


def _wanted(one: Vulnerability, fields: Mapping[str, str], *, by_flags: bool) -> bool:
    severities = _indexed(fields, "genericSeverities", "intValue")
    kinds = _indexed(fields, "genericVulnerabilities", "id")
    return (
        (not severities or str(one.severity) in severities)
        and (not kinds or str(one.cwe) in kinds)
        and fields.get("path", "") in one.path
        and fields.get("parameter", "") in one.parameter
        and (_flags_ask_for(one, fields) if by_flags else _older_logic_asks_for(one, fields))
    )


def _flags_ask_for(one: Vulnerability, fields: Mapping[str, str]) -> bool:
    """The logic of REST 2.7 and later: only what is given filters, and a flag with its opposite filters nothing."""
    pairs = (
        (one.open, "showOpen", "showClosed"),
        (one.false_positive, "showFalsePositive", "showNotFalsePositive"),
        (one.hidden, "showHidden", "showNotHidden"),
    )
    return all(_on(fields, yes) == _on(fields, no) or _on(fields, yes if is_so else no) for is_so, yes, no in pairs)


def _older_logic_asks_for(one: Vulnerability, fields: Mapping[str, str]) -> bool:
    """The logic of REST before 2.7: what is closed, hidden or a false positive comes only where it is asked for."""
    status = _on(fields, "showOpen") or not _on(fields, "showClosed") if one.open else _on(fields, "showClosed")
    return (
        status
        and (not one.false_positive or _on(fields, "showFalsePositive"))
        and (not one.hidden or _on(fields, "showHidden"))
    )


def _on(fields: Mapping[str, str], flag: str) -> bool:
    return fields.get(flag, "").lower() == "true"


def _severity(state: State, number: int) -> dict[str, Any]:
    return {
        # Not the severity's number, so that nobody takes one for the other.
        "id": 6 - number,
        "name": model.SEVERITIES[number],
        "intValue": number,
        "customName": state.severity_names.get(number),
        "displayName": state.severity_name(number),
    }


def _described(state: State, application: Application, one: Vulnerability) -> dict[str, Any]:
    return {
        "id": one.id,
        "genericVulnerability": {"id": one.cwe, "name": one.name, "displayId": one.cwe},
        "genericSeverity": _severity(state, one.severity),
        "active": one.open,
        "hidden": one.hidden,
        "isFalsePositive": one.false_positive,
        "path": one.path,
        "parameter": one.parameter or None,
        "calculatedFilePath": None,
        "dependency": None,
        "team": {"id": application.team.id, "name": application.team.name},
        "app": {"id": application.id, "name": application.name},
        "channelNames": ["Contoso Scanner"],
        "findings": [
            {"id": one.id + 10_000, "severity": model.SEVERITIES[one.severity], "nativeId": f"native-{one.id}"}
        ],
    }

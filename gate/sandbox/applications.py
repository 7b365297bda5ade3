"""The endpoints of applications and teams: lookups by id and by name, and their creation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gate.sandbox import model, versions
from gate.sandbox.model import Application, Team
from gate.sandbox.responses import LOOKUP_FAILED, envelope, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.sandbox.model import Import, Vulnerability
    from gate.sandbox.responses import Call, Fault
    from gate.sandbox.state import State
    from gate.sandbox.versions import Version

AMBIGUOUS: Final = refusal("More than one application found. Check your search criteria.")  # [CE]
NO_TEAM: Final = refusal("Team Lookup failed.")
HTML_NAME: Final = refusal("No HTML characters are allowed in custom names.")
PAGE_SIZE: Final = 10_000


def by_id(state: State, call: Call) -> Fault:
    """Return an application with all its scans [RUN]."""
    return envelope(_described(state, call.application, call.version))


def look_up(state: State, call: Call) -> Fault:
    """Return an application of a team, looked up by its name or its unique id."""
    named = _named(state, call.fields)
    # A plus sign in the name of a team may also be a blank [CE, RUN].
    for team in (call.parts["team"], call.parts["team"].replace("+", " ")):
        matches = [application for application in named if _same(application.team.name, team)]
        if matches:
            return envelope(_described(state, matches[0], call.version)) if len(matches) == 1 else AMBIGUOUS
    return LOOKUP_FAILED


def look_up_in_all_teams(state: State, call: Call) -> Fault:
    """Return the list of applications with a unique id."""
    unique_id = {"uniqueId": call.fields.get("uniqueId", "")}
    matches = _named(state, unique_id)
    if not matches:
        return LOOKUP_FAILED
    return envelope([_described(state, application, call.version) for application in matches])


def teams(state: State, call: Call) -> Fault:
    """Return every team, or a page of them [DOC]."""
    listed = [_described_team(state, team, listed=True) for team in _teams(state).values()]
    if "page" in call.fields and call.version >= versions.PAGES:
        size = min(_positive(call.fields.get("pageSize", "")) or PAGE_SIZE, PAGE_SIZE)
        begin = size * (max(1, _positive(call.fields["page"])) - 1)
        listed = listed[begin : begin + size]
    return envelope(listed)


def team_by_id(state: State, call: Call) -> Fault:
    """Return a team by its id."""
    team = _teams(state).get(int(call.parts["number"]))
    return envelope(_described_team(state, team)) if team else NO_TEAM


def team_by_name(state: State, call: Call) -> Fault:
    """Return a team by its name."""
    name = call.fields.get("name", "null")  # as in Java
    matches = [team for team in _teams(state).values() if _same(team.name, name)]
    return envelope(_described_team(state, matches[0])) if matches else refusal(f"No team found with name '{name}'")


def create_team(state: State, call: Call) -> Fault:
    """Create a team [CLIENT]."""
    name, known = call.fields.get("name", ""), _teams(state)
    if re.search("[<>\"'&]", name):
        return HTML_NAME
    if not name or any(_same(team.name, name) for team in known.values()):
        return refusal("Problems creating team.")  # [INFER]
    team = state.teams.setdefault(max(known) + 1, Team(max(known) + 1, name))
    return envelope(_described_team(state, team))


def create(state: State, call: Call) -> Fault:
    """Create an application in a team; the Community Edition ignores a unique id here [RUN]."""
    name, team = call.fields.get("name", ""), _teams(state).get(int(call.parts["number"]))
    if team is None:
        return NO_TEAM
    if re.search("[<>\"'&]", name):
        return HTML_NAME
    if not name or any(other.team.id == team.id and _same(other.name, name) for other in state.applications.values()):
        return refusal("Problems creating application.")
    number = max(state.applications) + 1
    state.applications[number] = Application(number, name, team)
    return envelope(_described(state, state.applications[number], call.version))


def scan_fields(scan: Import, version: Version, *, numbers: bool = True, **more: object) -> dict[str, Any]:
    """Return the fields of a finished scan; its numbers may be left out."""
    # `importTime` is the date of the report [RUN], `updatedDate` that of the import [DOC].
    updated = {"updatedDate": scan.updated} if version >= versions.UPDATED_DATE else {}
    counted = scan.numbers if numbers else {}
    return {"id": scan.id, "importTime": scan.date} | updated | counted | more | {"scannerName": scan.scanner}


def counts(vulnerabilities: Sequence[Vulnerability]) -> dict[str, int]:
    """Count the vulnerabilities by severity, under the names of the fields of an application."""
    counted = [vulnerability.severity for vulnerability in vulnerabilities if vulnerability.counts]
    each = {f"{name.lower()}VulnCount": counted.count(number) for number, name in model.SEVERITIES.items()}
    return each | {"totalVulnCount": len(counted)}


def in_short(application: Application) -> dict[str, Any]:
    """Return the fields of an application that each response about it has."""
    return {
        "id": application.id,
        "name": application.name,
        "url": f"https://{application.unique_id or application.id}.example",
        "applicationCriticality": {"id": 3, "name": "High"},
        "grcApplication": None,
    }


def _positive(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def _named(state: State, fields: dict[str, str]) -> list[Application]:
    """Return the applications with the `uniqueId` in `fields`; otherwise those with the `name` [RUN]."""
    name, unique_id = fields.get("name", ""), fields.get("uniqueId", "")
    return [
        application
        for application in state.applications.values()
        if (application.unique_id == unique_id if unique_id else name and _same(application.name, name))
    ]


def _same(first: str, second: str) -> bool:
    """Compare names as MySQL does, ignoring case [INFER]; the recorded database compares exactly."""
    return first.casefold() == second.casefold()


def _teams(state: State) -> dict[int, Team]:
    return state.teams | {application.team.id: application.team for application in state.applications.values()}


def _described(state: State, application: Application, version: Version) -> dict[str, Any]:
    team = application.team
    described = in_short(application) | {
        "uniqueId": application.unique_id or None,
        "waf": None,
        "organization": {"id": team.id, "name": team.name},
        # This list was empty on every server that was examined [CLIENT].
        "policyStatuses": [],
        "scans": [scan_fields(scan, version) for scan in state.finished_scans(application)],
        **counts(state.vulnerabilities(application)),
    }
    if version >= versions.UNASSIGNED_COUNT:
        described["unassignedVulnCount"] = described["totalVulnCount"]
    return described


def _described_team(state: State, team: Team, *, listed: bool = False) -> dict[str, Any]:
    """Describe a team; the list of teams has more about each application [RUN]."""
    members = [application for application in state.applications.values() if application.team.id == team.id]
    found = {application.id: state.vulnerabilities(application) for application in members}
    short, constant = {"id": team.id, "name": team.name}, {"active": True}
    entries = [in_short(application) for application in members]
    if listed:
        more = {"frameworkType": "DETECT", "skipApplicationMerge": False, "team": short, "organization": short}
        for entry, application in zip(entries, members, strict=True):
            entry.update(more | constant | counts(found[application.id]), uniqueId=application.unique_id or None)
    counted = counts([vulnerability for each in found.values() for vulnerability in each])
    return short | {"applications": entries} | counted | (constant if listed else {})

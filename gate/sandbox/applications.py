"""The endpoints of applications and teams: lookups by id and by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gate.sandbox import model
from gate.sandbox.responses import LOOKUP_FAILED, envelope, refusal
from gate.sandbox.versions import Feature, has

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.sandbox.model import Application, Team, Vulnerability
    from gate.sandbox.responses import Call
    from gate.sandbox.scenarios import Fault
    from gate.sandbox.state import State
    from gate.sandbox.versions import Version

AMBIGUOUS = refusal("More than one application found. Check your search criteria.")


def by_id(state: State, call: Call) -> Fault:
    """Return an application."""
    return envelope(_described(state, call.application, call.version))


def look_up(state: State, call: Call) -> Fault:
    """Return an application of a team, looked up by its name or its unique id."""
    named = _named(state, call.fields)
    # If no team has the name, the Community Edition reads a plus sign in it as a blank.
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


def teams(state: State, _call: Call) -> Fault:
    """Return every team."""
    return envelope([_described_team(state, team) for team in _teams(state).values()])


def team_by_id(state: State, call: Call) -> Fault:
    """Return a team by its id."""
    team = _teams(state).get(int(call.parts["team"]))
    return envelope(_described_team(state, team)) if team else refusal("Team lookup failed. Check your ID.")


def team_by_name(state: State, call: Call) -> Fault:
    """Return a team by its name."""
    name = call.fields.get("name", "")
    matches = [team for team in _teams(state).values() if _same(team.name, name)]
    if not matches:
        return refusal(f"No team found with name '{name}'")
    return envelope(_described_team(state, matches[0]))


def counts(vulnerabilities: Sequence[Vulnerability]) -> dict[str, int]:
    """Count the vulnerabilities by severity, under the names of the fields of an application."""
    counted = [vulnerability.severity for vulnerability in vulnerabilities if vulnerability.counts]
    each = {f"{name.lower()}VulnCount": counted.count(number) for number, name in model.SEVERITIES.items()}
    return each | {"totalVulnCount": len(counted)}


def criticality() -> dict[str, Any]:
    """Return the criticality that every application of the sandbox has."""
    return {"id": 3, "name": "High"}


def url_of(application: Application) -> str:
    """Return the URL in the application's details."""
    return f"https://{application.unique_id or application.id}.example"


def _named(state: State, fields: dict[str, str]) -> list[Application]:
    """Return the applications with the `name` or the `uniqueId` in `fields`."""
    name, unique_id = fields.get("name", ""), fields.get("uniqueId", "")
    return [
        application
        for application in state.applications.values()
        if (name and _same(application.name, name)) or (unique_id and application.unique_id == unique_id)
    ]


def _same(first: str, second: str) -> bool:
    return first.casefold() == second.casefold()


def _teams(state: State) -> dict[int, Team]:
    return {application.team.id: application.team for application in state.applications.values()}


def _described(state: State, application: Application, version: Version) -> dict[str, Any]:
    team = application.team
    described = _in_short(application) | {
        "uniqueId": application.unique_id or None,
        "organization": {"id": team.id, "name": team.name},
        # This list was empty on every server that was examined.
        "policyStatuses": [],
        "scans": state.finished_scans(application.id),
        **counts(state.vulnerabilities(application)),
    }
    if has(version, Feature.UNASSIGNED_COUNT):
        described["unassignedVulnCount"] = described["totalVulnCount"]
    return described


def _in_short(application: Application) -> dict[str, Any]:
    return {
        "id": application.id,
        "name": application.name,
        "url": url_of(application),
        "applicationCriticality": criticality(),
    }


def _described_team(state: State, team: Team) -> dict[str, Any]:
    applications = [application for application in state.applications.values() if application.team == team]
    vulnerabilities = [
        vulnerability for application in applications for vulnerability in state.vulnerabilities(application)
    ]
    return {
        "id": team.id,
        "name": team.name,
        "applications": [_in_short(application) for application in applications],
        **counts(vulnerabilities),
    }

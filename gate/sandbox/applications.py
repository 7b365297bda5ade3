"""The endpoints of applications and teams: one by its id, or looked up by its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gate.sandbox.responses import envelope

if TYPE_CHECKING:
    from gate.sandbox.endpoints import Call
    from gate.sandbox.model import Application
    from gate.sandbox.scenarios import Fault
    from gate.sandbox.state import State


def by_id(state: State, call: Call) -> Fault:
    """An application."""
    return envelope(_described(state, call.application))


def _described(_state: State, application: Application) -> dict[str, Any]:
    team = application.team
    return {
        "id": application.id,
        "name": application.name,
        "uniqueId": application.unique_id or None,
        "organization": {"id": team.id, "name": team.name},
    }

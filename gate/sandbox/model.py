"""What the embedded ThreadFix has beside pending scans: teams, applications, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

APPLICATION_ID: Final = 6
SEVERITIES: Final = {5: "Critical", 4: "High", 3: "Medium", 2: "Low", 1: "Info"}
"""ThreadFix's severities by their numbers, which stay the same where somebody gives them other names."""


@dataclass(frozen=True, slots=True)
class Team:
    """A team; ThreadFix calls it an organization in places."""

    id: int
    name: str


@dataclass(slots=True)
class Application:
    """An application.

    Attributes:
        id: ThreadFix's.
        name: unique within its team.
        team: its team.
        unique_id: the id that people gave it; empty for none.
    """

    id: int
    name: str
    team: Team
    unique_id: str = ""


def applications() -> dict[int, Application]:
    """The applications of a new sandbox, by their ids."""
    contoso, fabrikam = Team(2, "Contoso"), Team(3, "Fabrikam")
    found = (
        Application(APPLICATION_ID, "Contoso shop", contoso, "contoso-shop"),
        Application(12, "Contoso wiki", contoso, "contoso-wiki"),
        Application(18, "Contoso shop", fabrikam, "contoso-shop"),
    )
    return {application.id: application for application in found}

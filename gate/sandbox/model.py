"""What the embedded ThreadFix has beside scans: keys, applications, their vulnerabilities, and rules for releases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

API_KEY: Final = "sandboxKeyThatOpensNothingElse00000000000000"
"""A key that may do everything."""
READ_ONLY_KEY: Final = API_KEY.replace("Opens", "Reads")
"""A key without the Upload Scans permission."""
NO_CRITERIA_KEY: Final = API_KEY.replace("Opens", "Sends")
"""A key with the Upload Scans permission, but without Manage CI/CD."""
UNKNOWN_KEY: Final = API_KEY.replace("Opens", "Misses")
"""A key that the sandbox does not know."""
APPLICATION_ID: Final = 6
"""The application of the scenarios that name no other."""
UNRULED_APPLICATION_ID: Final = 12
"""An application that no policy and no pass criteria are attached to."""
SEVERITIES: Final = {5: "Critical", 4: "High", 3: "Medium", 2: "Low", 1: "Info"}
"""ThreadFix's severities by their numbers, which stay the same where somebody gives them other names."""
PASSING: Final = "PASSING"
FAILING: Final = "FAILING"
NO_SCANS: Final = "NO SCANS FOUND"


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A vulnerability of an application.

    Attributes:
        id: ThreadFix's.
        cwe: its kind, by the number of the CWE.
        name: that kind's.
        severity: from 1 (Info) to 5 (Critical).
        path: where it is.
        parameter: that it comes in by; empty for none.
        days: how many days ago it was found.
        open: whether it is still there.
        false_positive: whether somebody said that it is none.
        hidden: whether somebody hid it.
    """

    id: int
    cwe: int
    name: str
    severity: int
    path: str
    parameter: str = ""
    days: float = 0.0
    open: bool = True
    false_positive: bool = False
    hidden: bool = False

    @property
    def counts(self) -> bool:
        """Whether the numbers of the application count it."""
        return self.open and not self.false_positive and not self.hidden


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: none of the vulnerabilities that count may be as severe, and as old.

    Attributes:
        id: ThreadFix's.
        name: unique among the policies of its type.
        filter_name: of the filter that it is made with; empty for a time-to-remediate policy.
        severity: the lowest that it is about.
        days: how long such a vulnerability may be open.
        word: what it always says, whatever the application has; None to look.
    """

    id: int
    name: str
    filter_name: str
    severity: int
    days: float = 0.0
    word: str | None = None

    @property
    def type(self) -> str:
        """What the REST API calls its type."""
        return "filter" if self.filter_name else "remediation"

    def evaluate(self, vulnerabilities: Sequence[Vulnerability]) -> str:
        """What it says of an application that has these."""
        if self.word is not None:
            return self.word
        broken = any(one.counts and one.severity >= self.severity and one.days >= self.days for one in vulnerabilities)
        return FAILING if broken else PASSING


@dataclass(frozen=True, slots=True)
class Criterion:
    """A pass criterion of a severity.

    Attributes:
        id: ThreadFix's.
        severity: its number.
        max_allowed: how many may be open; None for any number.
        max_introduced: how many may have been found in the days that are asked about; None for any number.
    """

    id: int
    severity: int
    max_allowed: int | None = None
    max_introduced: int | None = None


@dataclass(slots=True)
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
        scanned: whether it has a scan from before the sandbox started.
        policies: ids of those that are attached to it.
        criteria: of all the groups that are attached to it.
        vulnerabilities: that it had before the sandbox started.
    """

    id: int
    name: str
    team: Team
    unique_id: str = ""
    scanned: bool = False
    policies: list[int] = field(default_factory=list)
    criteria: list[Criterion] = field(default_factory=list)
    vulnerabilities: list[Vulnerability] = field(default_factory=list)


XSS: Final = (79, "Improper Neutralization of Input During Web Page Generation ('Cross-site Scripting')")
SQL: Final = (89, "Improper Neutralization of Special Elements used in an SQL Command ('SQL Injection')")
_REFERRER: Final = (200, "Exposure of Sensitive Information to an Unauthorized Actor")
_CSRF: Final = (352, "Cross-Site Request Forgery (CSRF)")


def applications() -> dict[int, Application]:
    """The applications of a new sandbox, by their ids."""
    contoso, fabrikam = Team(2, "Contoso"), Team(3, "Fabrikam")
    shop = Application(
        APPLICATION_ID,
        "Contoso shop",
        contoso,
        "contoso-shop",
        scanned=True,
        policies=[1, 2],
        criteria=[
            Criterion(1, 5, max_allowed=0, max_introduced=0),
            Criterion(2, 4, max_allowed=2),
            Criterion(3, 3, max_allowed=10, max_introduced=5),
        ],
        vulnerabilities=[
            Vulnerability(201, *_CSRF, 3, "/cart/add", days=40),
            Vulnerability(202, *_CSRF, 3, "/cart/remove", days=40),
            Vulnerability(203, *_REFERRER, 2, "/search", "q", days=21),
            Vulnerability(204, *_REFERRER, 1, "/", days=21),
            Vulnerability(205, *SQL, 5, "/login", "user", days=90, open=False),
            Vulnerability(206, *XSS, 4, "/help", "topic", days=90, false_positive=True),
            Vulnerability(207, *XSS, 4, "/legacy/help", "topic", days=90, hidden=True),
        ],
    )
    others = (
        Application(UNRULED_APPLICATION_ID, "Contoso wiki", contoso, "contoso-wiki"),
        Application(18, "Contoso shop", fabrikam, "contoso-shop"),
    )
    return {application.id: application for application in (shop, *others)}


def policies() -> dict[int, Policy]:
    """The policies of a new sandbox, by their ids."""
    found = (
        Policy(1, "Release", "Critical and high", 4),
        Policy(2, "No critical vulnerabilities", "Critical", 5),
        Policy(3, "Nothing at all", "Everything", 1),
        Policy(4, "Fixed within 30 days", "", 3, days=30),
    )
    return {policy.id: policy for policy in found}

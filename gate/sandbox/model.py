"""The data of the embedded ThreadFix except scans: keys, applications, vulnerabilities, policies and pass criteria."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

API_KEY: Final = "sandboxKeyThatOpensNothingElse00000000000000"
"""A key with every permission."""
READ_ONLY_KEY: Final = API_KEY.replace("Opens", "Reads")
"""A key without the Upload Scans permission."""
NO_CRITERIA_KEY: Final = API_KEY.replace("Opens", "Sends")
"""A key with the Upload Scans permission, but without Manage CI/CD."""
UNKNOWN_KEY: Final = API_KEY.replace("Opens", "Misses")
"""A key that the sandbox rejects."""
APPLICATION_ID: Final = 6
"""The default application of a scenario."""
UNRULED_APPLICATION_ID: Final = 12
"""An application without policies and pass criteria."""
SEVERITIES: Final = {5: "Critical", 4: "High", 3: "Medium", 2: "Low", 1: "Info"}
"""ThreadFix's severities by number. An administrator can rename them, but cannot change the numbers."""
PASSING: Final = "PASSING"
FAILING: Final = "FAILING"
NO_SCANS: Final = "NO SCANS FOUND"


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A vulnerability of an application.

    Attributes:
        id: the id in ThreadFix.
        cwe: the number of the CWE.
        name: the name of the CWE.
        severity: from 1 (Info) to 5 (Critical).
        path: the path of the vulnerable page.
        parameter: the vulnerable parameter; empty if the vulnerability has no parameter.
        days: age in days.
        open: whether it is open rather than closed.
        false_positive: whether it was marked as a false positive.
        hidden: whether it was hidden.
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
        """Whether the vulnerability counts in the totals of the application."""
        return self.open and not self.false_positive and not self.hidden


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. It fails if an application has a vulnerability of at least this severity and age.

    Attributes:
        id: the id in ThreadFix.
        name: the name; unique among the policies of the same type.
        filter_name: the name of the policy's filter; empty for a time-to-remediate policy.
        severity: the lowest severity that makes the policy fail.
        days: the lowest age, in days, that makes the policy fail.
        word: a fixed status for every application; None to evaluate the application.
    """

    id: int
    name: str
    filter_name: str
    severity: int
    days: float = 0.0
    word: str | None = None

    @property
    def type(self) -> str:
        """The type, as named in the REST API."""
        return "filter" if self.filter_name else "remediation"

    def evaluate(self, vulnerabilities: Sequence[Vulnerability]) -> str:
        """Return the status for an application with these vulnerabilities."""
        if self.word is not None:
            return self.word
        broken = any(
            vulnerability.counts and vulnerability.severity >= self.severity and vulnerability.days >= self.days
            for vulnerability in vulnerabilities
        )
        return FAILING if broken else PASSING


@dataclass(frozen=True, slots=True)
class Criterion:
    """A pass criterion of a severity.

    Attributes:
        id: the id in ThreadFix.
        severity: the number of the severity.
        max_allowed: maximum number of open vulnerabilities; None for no limit.
        max_introduced: maximum number of vulnerabilities introduced within the requested dates; None for no limit.
    """

    id: int
    severity: int
    max_allowed: int | None = None
    max_introduced: int | None = None


@dataclass(slots=True)
class Team:
    """A team. Parts of the REST API call it an organization."""

    id: int
    name: str


@dataclass(slots=True)
class Application:
    """An application.

    Attributes:
        id: the id in ThreadFix.
        name: the name; unique within the team.
        team: the team.
        unique_id: the custom id that users can assign; empty by default.
        scanned: whether a scan was imported before the sandbox started.
        policies: the ids of the attached policies.
        criteria: the pass criteria of all attached groups.
        vulnerabilities: the vulnerabilities found before the sandbox started.
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
    """Return the applications of a new sandbox by id."""
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
    """Return the policies of a new sandbox by id."""
    initial = (
        Policy(1, "Release", "Critical and high", 4),
        Policy(2, "No critical vulnerabilities", "Critical", 5),
        Policy(3, "Nothing at all", "Everything", 1),
        Policy(4, "Fixed within 30 days", "", 3, days=30),
    )
    return {policy.id: policy for policy in initial}

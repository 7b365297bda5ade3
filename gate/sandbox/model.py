"""The data of the embedded ThreadFix: keys, applications, vulnerabilities, rules, and the meaning of a scan. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

API_KEY: Final = "sandboxKeyThatOpensNothingElse00000000000000"
"""A key with every permission."""
READ_ONLY_KEY: Final = API_KEY.replace("Opens", "Reads")
"""A key without the Upload Scans permission."""
NO_CRITERIA_KEY: Final = API_KEY.replace("Opens", "Sends")
"""A key with the Upload Scans permission, but without Manage CI/CD and Manage Applications."""
UNKNOWN_KEY: Final = API_KEY.replace("Opens", "Misses")
"""A key that the sandbox rejects."""
APPLICATION_ID: Final = 6
"""The default application of a scenario."""
UNRULED_APPLICATION_ID: Final = 12
"""An application without scans, policies and pass criteria."""
ZAP_APPLICATION_ID: Final = 21
"""An application with a scan of ZAP from `ZAP_DAY`."""
MANY_SCANS_APPLICATION_ID: Final = 24
"""An application with a description of more than 1 MiB, because of its many scans."""
SEVERITIES: Final = {5: "Critical", 4: "High", 3: "Medium", 2: "Low", 1: "Info"}
"""ThreadFix's severities by number. An administrator can rename them, but cannot change the numbers [CE]."""
PASSING: Final = "PASSING"
FAILING: Final = "FAILING"
NO_SCANS: Final = "NO SCANS FOUND"
SCANNER: Final = "Contoso Scanner"
"""The scanner of opaque reports."""
ZAP: Final = "OWASP Zed Attack Proxy"
ZAP_DAY: Final = "Mon, 02 Nov 2020 10:00:00"
DAY: Final = 86_400_000
"""Milliseconds in a day."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A vulnerability of an application, or a finding of a report."""

    id: int  # the id in ThreadFix; 0 for a finding
    cwe: int  # the number of the CWE
    name: str  # the name of the CWE
    severity: int  # from 1 (Info) to 5 (Critical)
    path: str  # the path of the vulnerable page
    parameter: str = ""  # the vulnerable parameter; empty if the vulnerability has no parameter
    days: float = 0.0  # age in days
    open: bool = True  # whether it is open rather than closed
    false_positive: bool = False  # whether it was marked as a false positive
    hidden: bool = False  # whether it was hidden
    scanner: str = SCANNER  # the scanner that found it first

    @property
    def key(self) -> tuple[int, str, str]:
        """Findings with the same key are the same vulnerability."""
        return self.cwe, self.path, self.parameter

    @property
    def counts(self) -> bool:
        """Whether the vulnerability counts in the totals of the application."""
        return self.open and not self.false_positive and not self.hidden


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a scanner's report."""

    scanner: str = SCANNER
    findings: tuple[Vulnerability, ...] | None = None  # in their order, with repetitions; None if the report is opaque
    date: int | None = None  # the date in the report, in milliseconds since the epoch; None if it has no date


@dataclass(frozen=True, slots=True)
class Import:
    """An imported scan."""

    id: int
    scanner: str
    date: int  # the report's date, in milliseconds since the epoch
    updated: int  # the time of the import, in milliseconds since the epoch
    results: tuple[Vulnerability, ...]  # the findings of the report
    found: tuple[Vulnerability, ...] = ()  # its vulnerabilities
    new: tuple[Vulnerability, ...] = ()  # those that no earlier scan of the application has
    numbers: dict[str, int] = field(default_factory=dict)  # the numbers of the scan, by the names of the REST API


def _numbers(found: list[Vulnerability], kinds: tuple[int, int, int], repeats: tuple[int, int]) -> dict[str, int]:
    """Return the numbers of a scan; `kinds` are closed, new and resurfaced vulnerabilities."""
    (closed, new, resurfaced), (results, findings) = kinds, repeats
    counted = [each.severity for each in found if not (each.false_positive or each.hidden)]
    known = {"Closed": closed, "New": new, "Old": len(counted) - new, "Resurfaced": resurfaced, "Total": len(counted)}
    known |= {name: counted.count(number) for number, name in sorted(SEVERITIES.items())}
    numbers = {f"number{kind}Vulnerabilities": number for kind, number in known.items()}
    return numbers | {"numberRepeatResults": results, "numberRepeatFindings": findings}


def replay(
    first: Sequence[Vulnerability], imports: Iterable[Import], now: int, base: int
) -> tuple[list[Import], list[Vulnerability]]:
    """Import scans; return them with their numbers, and the vulnerabilities of the application.

    A scan closes the vulnerabilities that the scanner's newest scan had and this scan lacks [DOC, RUN]. A vulnerability
    of two scanners is open until both no longer find it [DOC]. A scan's old vulnerabilities include the
    resurfaced vulnerabilities; repeated results are counted with their repetitions [RUN].

    `first` are the vulnerabilities before these scans, of the scanner of opaque reports; `now` is in milliseconds since
    the epoch; ids of new vulnerabilities are greater than `base`.
    """
    seen = {vulnerability.key: vulnerability for vulnerability in first}
    newest = {SCANNER: {vulnerability.key for vulnerability in first if vulnerability.open}}
    are_open, done, nothing = set(newest[SCANNER]), [], _numbers([], (0, 0, 0), (0, 0))
    for scan in imports:
        if not scan.results and not are_open:
            # An application may have thousands of such scans.
            done.append(replace(scan, numbers=nothing))
            continue
        found = {result.key: result for result in reversed(scan.results)}
        repeated = found.keys() & seen.keys()
        results = sum(result.key in repeated for result in scan.results)
        order = list(dict.fromkeys(result.key for result in scan.results))
        new = [key for key in order if key not in repeated]
        for key in new:
            finding = found[key]
            number, age = finding.id or base + len(seen), finding.days if finding.id else max(0, now - scan.date) / DAY
            seen[key] = replace(finding, id=number, days=age, scanner=scan.scanner)
        newest[scan.scanner] = set(found)
        before, are_open = are_open, set().union(*newest.values())
        kinds = (len(before - are_open), len(new), len(repeated - before))
        numbers = _numbers([seen[key] for key in order], kinds, (results, len(repeated)))
        whole, part = (tuple(seen[key] for key in keys) for keys in (order, new))
        done.append(replace(scan, found=whole, new=part, numbers=numbers))
    return done, [replace(vulnerability, open=key in are_open) for key, vulnerability in seen.items()]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. It fails if an application has a vulnerability of at least this severity and age."""

    id: int
    name: str  # the name; unique among the policies of the same type
    filter_name: str  # the name of the policy's filter; empty for a time-to-remediate policy
    severity: int  # the lowest severity that makes the policy fail
    days: float = 0.0  # the lowest age, in days, that makes the policy fail
    word: str | None = None  # a fixed status for every application; None to evaluate the application

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
    """A pass criterion of a severity."""

    id: int
    severity: int  # the number of the severity
    max_allowed: int | None = None  # maximum number of open vulnerabilities; None for no limit
    # Maximum number of vulnerabilities introduced within the requested dates; None for no limit.
    max_introduced: int | None = None


@dataclass(slots=True)
class Team:
    """A team. Parts of the REST API call it an organization."""

    id: int
    name: str


@dataclass(slots=True)
class Application:
    """An application."""

    id: int
    name: str  # the name; unique within the team
    team: Team
    unique_id: str = ""  # the custom id that users can assign; empty by default
    policies: list[int] = field(default_factory=list)  # the ids of the attached policies
    criteria: list[Criterion] = field(default_factory=list)  # the pass criteria of all attached groups
    # The vulnerabilities found before the sandbox started.
    vulnerabilities: list[Vulnerability] = field(default_factory=list)
    earlier: tuple[Report, ...] = ()  # the reports imported before the sandbox started, an hour apart, oldest first


XSS: Final = (79, "Improper Neutralization of Input During Web Page Generation ('Cross-site Scripting')")
SQL: Final = (89, "Improper Neutralization of Special Elements used in an SQL Command ('SQL Injection')")
_REFERRER: Final = (200, "Exposure of Sensitive Information to an Unauthorized Actor")
_CSRF: Final = (352, "Cross-Site Request Forgery (CSRF)")


def applications() -> dict[int, Application]:
    """Return the applications of a new sandbox by id."""
    contoso, fabrikam, blank = Team(2, "Contoso"), Team(3, "Fabrikam"), Team(4, "Team Beta")
    shop = Application(
        *(APPLICATION_ID, "Contoso shop", contoso, "contoso-shop"),
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
            Vulnerability(205, *SQL, 5, "/register", "user", days=90, open=False),
            Vulnerability(206, *XSS, 4, "/help", "topic", days=90, false_positive=True),
            Vulnerability(207, *XSS, 4, "/legacy/help", "topic", days=90, hidden=True),
        ],
        earlier=(Report(),),
    )
    zap = Report(ZAP, (Vulnerability(0, *_CSRF, 2, "/pay"),), 1604311200000)
    others = (
        Application(UNRULED_APPLICATION_ID, "Contoso wiki", contoso, "contoso-wiki"),
        Application(18, "Contoso shop", fabrikam, "contoso-shop"),
        Application(ZAP_APPLICATION_ID, "pay/api v2", blank, "uid/2", earlier=(zap,)),
        Application(22, "日本 app", blank),
        Application(23, "Größe", Team(5, "Büro 50% + Co")),
        Application(MANY_SCANS_APPLICATION_ID, "many", Team(6, "Ops/Net"), earlier=(Report(),) * 2500),
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

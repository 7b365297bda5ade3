"""What is in the way of a release: the open vulnerabilities behind broken pass criteria. Decoration, and no judgement.

People can rename ThreadFix's severities, so they are compared by their numbers, and shown by the server's names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from gate.history import Failure, Obstacle
from gate.http import RESPONSE_LIMIT
from gate.reasons import Reason
from gate.text import fold
from gate.threadfix import links, responses
from gate.threadfix.criteria import LARGEST, NAME_LIMIT, ROWS, severity_name, severity_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gate.history import CheckResult
    from gate.threadfix.api import RestApi

MOST: Final = 10
"""Vulnerabilities that are asked for and shown."""
LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a response with vulnerabilities: each comes with all its findings."""
TEXT_LIMIT: Final = 120
"""Characters of a vulnerability's place, and of its name."""
SEVERITIES: Final = ("Info", "Low", "Medium", "High", "Critical")
"""What ThreadFix calls its severities from 1 to 5 where nobody has renamed them."""


@dataclass(frozen=True, slots=True)
class Decorated:
    """What broken criteria look like from near.

    Attributes:
        results: those that were given, with the severity's number and the count of its open vulnerabilities.
        obstacles: the newest of them, of the worst severity first; ten at most.
        team_id: of the application's team; None where that is not known.
        failure: the first error on the way; None where there was none.
    """

    results: tuple[CheckResult, ...]
    obstacles: tuple[Obstacle, ...] = ()
    team_id: int | None = None
    failure: Failure | None = None


def decorate(api: RestApi, application_id: int, results: Sequence[CheckResult], timeout: float) -> Decorated:
    """Look up what stands behind the criteria that do not hold.

    Args:
        api: asks the endpoints.
        application_id: whose criteria they are.
        results: the criteria.
        timeout: seconds for all of it.
    """
    return _Decorator(api, application_id, time.monotonic() + timeout).run(tuple(results))


class _Decorator:
    """One look-up: what could not be found out is left out."""

    def __init__(self, api: RestApi, application_id: int, until: float) -> None:
        self._api = api
        self._application_id = application_id
        self._until = until
        self._failure: Failure | None = None

    def run(self, results: tuple[CheckResult, ...]) -> Decorated:
        numbers = self._numbers(results)
        application = self._application()
        team_id = responses.team_id(application.get("organization"))
        results = tuple(
            replace(result, severity=number, count=_count(application, number))
            for result, number in zip(results, numbers, strict=True)
        )
        worst_first = sorted(
            {result.severity for result in results if result.severity and not result.holds}, reverse=True
        )
        obstacles: list[Obstacle] = []
        for severity in worst_first:
            if len(obstacles) < MOST:
                obstacles += self._vulnerabilities(severity, team_id)
        return Decorated(results, tuple(obstacles[:MOST]), team_id, self._failure)

    def _numbers(self, results: Sequence[CheckResult]) -> list[int | None]:
        """The number of the severity that each criterion limits."""
        if all(result.severity for result in results):
            return [result.severity for result in results]
        known = {fold(name): number for number, name in enumerate(SEVERITIES, 1)}
        listed = self._ask(links.SEVERITIES_PATH)
        # What people are shown comes last: after a renaming it is what a name means.
        for field in ("name", "customName", "displayName"):
            for severity in _dicts(listed)[:ROWS]:
                name, number = responses.non_empty(severity.get(field)), severity_number(severity)
                if name and number:
                    known[fold(self._api.sanitize(name, NAME_LIMIT))] = number
        return [result.severity or known.get(fold(result.name)) for result in results]

    def _application(self) -> dict[str, Any]:
        """The application as ThreadFix describes it; empty where that is not known."""
        found = self._ask(links.APPLICATION_PATH)
        return found if isinstance(found, dict) and found.get("id") == self._application_id else {}

    def _vulnerabilities(self, severity: int, team_id: int | None) -> list[Obstacle]:
        """One page of open vulnerabilities of a severity, the newest first."""
        form = {
            "applications[0].id": str(self._application_id),
            "genericSeverities[0].intValue": str(severity),
            # From 2.7 on ThreadFix filters only by what is given, before that by defaults of its own.
            "showOpen": "true",
            "showNotFalsePositive": "true",
            "showNotHidden": "true",
            "numberVulnerabilities": str(MOST),
            "page": "1",
        }
        found = [
            (number, vulnerability)
            for vulnerability in _dicts(self._ask(links.VULNERABILITIES_PATH, form, LIMIT))
            if (number := responses.identity(vulnerability.get("id"))) and self._is_wanted(vulnerability, severity)
        ]
        found.sort(key=lambda pair: -pair[0])
        return [self._obstacle(number, vulnerability, team_id) for number, vulnerability in found[:MOST]]

    def _is_wanted(self, vulnerability: dict[str, Any], severity: int) -> bool:
        """Whether a vulnerability is none that an older server, which filters otherwise, sent along."""
        application, kind = vulnerability.get("app"), vulnerability.get("genericSeverity")
        return (
            vulnerability.get("active") is not False
            and vulnerability.get("hidden") is not True
            and vulnerability.get("isFalsePositive") is not True
            and not (isinstance(application, dict) and application.get("id") != self._application_id)
            and not (isinstance(kind, dict) and severity_number(kind) != severity)
        )

    def _obstacle(self, number: int, vulnerability: dict[str, Any], team_id: int | None) -> Obstacle:
        kind, severity = vulnerability.get("genericVulnerability"), vulnerability.get("genericSeverity")
        return Obstacle(
            number,
            self._text(kind.get("name") if isinstance(kind, dict) else None) or f"vulnerability {number}",
            self._text(severity_name(severity) if isinstance(severity, dict) else None),
            self._text(_place(vulnerability)),
            self._api.server.vulnerability_page(team_id, self._application_id, number),
        )

    def _text(self, value: object) -> str:
        return self._api.sanitize(responses.non_empty(value) or "", TEXT_LIMIT)

    def _ask(self, path: str, form: Mapping[str, str] | None = None, limit: int = RESPONSE_LIMIT) -> object:
        """The object in a response; None where there is none, or where ThreadFix could not be reached before."""
        left = self._until - time.monotonic()
        if left <= 0 or (self._failure and self._failure.reason is Reason.UNREACHABLE):
            self._failure = self._failure or Failure(Reason.UNREACHABLE, "there was no time left for it.")
            return None
        asked = self._api.ask(self._api.server.endpoint(path, self._application_id), left, form, limit=limit)
        if isinstance(asked, Failure):
            self._failure = self._failure or asked
            return None
        return asked.envelope.object


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _count(application: dict[str, Any], severity: int | None) -> int | None:
    """How many open vulnerabilities of a severity an application has; None where it does not say."""
    if severity is None:
        return None
    number = application.get(f"{SEVERITIES[severity - 1].lower()}VulnCount")
    return number if type(number) is int and 0 <= number <= LARGEST else None


def _place(vulnerability: dict[str, Any]) -> str:
    """Where a vulnerability is: its path or its component, and its parameter."""
    dependency = vulnerability.get("dependency")
    parts = dependency if isinstance(dependency, dict) else {"componentName": dependency}
    places = (
        vulnerability.get("path"),
        vulnerability.get("calculatedFilePath"),
        *(parts.get(name) for name in ("componentName", "componentFilePath", "cve")),
    )
    place = next(filter(None, map(responses.non_empty, places)), "")
    parameter = responses.non_empty(vulnerability.get("parameter"))
    return ", ".join(filter(None, (place, f"parameter {parameter}" if parameter else "")))

"""Looks up the open vulnerabilities that break pass criteria, and the numbers of all.

They are information and do not affect the verdict.

Administrators can rename ThreadFix's severities, so they are compared by number and shown with the server's names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gate.model.history import Failure, Obstacle
from gate.model.reasons import Reason
from gate.net.http import LONG_RESPONSE_LIMIT
from gate.text.sanitizer import fold
from gate.threadfix import links, responses
from gate.threadfix.policies import LARGEST, NAME_LIMIT, ROWS, severity_name, severity_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gate.model.history import CheckResult
    from gate.threadfix.api import RestApi

MOST: Final = 10  # vulnerabilities that are requested and shown
LIMIT: Final = 8 * 1024 * 1024  # bytes of a response with vulnerabilities, which contains all their findings
TEXT_LIMIT: Final = 120  # characters of a vulnerability's place, and of its name
SEVERITIES: Final = ("Info", "Low", "Medium", "High", "Critical")  # ThreadFix's own names of 1 to 5


class OpenVulnerabilities(NamedTuple):
    """Criteria with the open vulnerabilities that break them."""

    results: tuple[CheckResult, ...]  # with the severity's number and the count of its open vulnerabilities
    obstacles: tuple[Obstacle, ...] = ()  # the newest, the worst severity first; at most `MOST`
    team_id: int | None = None  # of the application's team; None if unknown
    failure: Failure | None = None  # the first error of a request; None without errors
    counts: tuple[tuple[str, int], ...] = ()  # all open vulnerabilities by severity, the worst first, as far as known


def search(api: RestApi, application_id: int, results: Sequence[CheckResult], timeout: float) -> OpenVulnerabilities:
    """Look up the open vulnerabilities of the severities whose criteria do not hold, within `timeout` seconds."""
    return _Search(api, application_id, time.monotonic() + timeout).run(tuple(results))


@dataclass
class _Search:
    """A search. If a request fails, its part of the result is left out."""

    _api: RestApi
    _application_id: int
    _until: float
    _failure: Failure | None = None

    def run(self, results: tuple[CheckResult, ...]) -> OpenVulnerabilities:
        numbers = self._numbers(results)
        application = self._application()
        team_id = responses.team_id(application.get("organization"))
        results = tuple(
            replace(result, severity=number, count=_count(application, number))
            for result, number in zip(results, numbers, strict=True)
        )
        broken = {result.severity for result in results if result.severity and not result.holds}
        obstacles: list[Obstacle] = []
        for severity in sorted(broken, reverse=True):
            if len(obstacles) < MOST:
                obstacles += self._vulnerabilities(severity, team_id)
        numbered = ((name, _count(application, number)) for number, name in enumerate(SEVERITIES, 1))
        counts = tuple((name, open_) for name, open_ in numbered if open_ is not None)[::-1]
        return OpenVulnerabilities(results, tuple(obstacles[:MOST]), team_id, self._failure, counts)

    def _numbers(self, results: Sequence[CheckResult]) -> list[int | None]:
        """Return the number of the severity that each criterion limits; None if unknown."""
        if all(result.severity for result in results):
            return [result.severity for result in results]
        known = {fold(name): number for number, name in enumerate(SEVERITIES, 1)}
        listed = self._request(links.SEVERITIES_PATH)
        # `displayName` is last and overrides the others: ThreadFix's pages show it after a renaming.
        for field in ("name", "customName", "displayName"):
            for severity in _dicts(listed)[:ROWS]:
                name, number = responses.non_empty(severity.get(field)), severity_number(severity)
                if name and number:
                    known[fold(self._api.sanitize(name, NAME_LIMIT))] = number
        return [result.severity or known.get(fold(result.name)) for result in results]

    def _application(self) -> dict[str, Any]:
        """Return ThreadFix's description of the application; empty if unknown."""
        content = self._request(links.APPLICATION_PATH)
        return content if isinstance(content, dict) and content.get("id") == self._application_id else {}

    def _vulnerabilities(self, severity: int, team_id: int | None) -> list[Obstacle]:
        """Return a page of open vulnerabilities of a severity, the newest first."""
        form = {
            "applications[0].id": str(self._application_id),
            "genericSeverities[0].intValue": str(severity),
            # From 2.7 on ThreadFix filters only by these fields; earlier versions also have default filters.
            **dict.fromkeys(("showOpen", "showNotFalsePositive", "showNotHidden"), "true"),
            "numberVulnerabilities": str(MOST),
            "page": "1",
        }
        pairs = [
            (number, vulnerability)
            for vulnerability in _dicts(self._request(links.VULNERABILITIES_PATH, form, LIMIT))
            if (number := responses.identity(vulnerability.get("id"))) and self._is_wanted(vulnerability, severity)
        ]
        pairs.sort(key=lambda pair: -pair[0])
        return [self._obstacle(number, vulnerability, team_id) for number, vulnerability in pairs[:MOST]]

    def _is_wanted(self, vulnerability: dict[str, Any], severity: int) -> bool:
        """Return whether a vulnerability matches the search. An older server ignores some filters."""
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
        name = self._text(kind.get("name") if isinstance(kind, dict) else None) or f"vulnerability {number}"
        shown = self._text(severity_name(severity) if isinstance(severity, dict) else None)
        page = self._api.server.vulnerability_page(team_id, self._application_id, number)
        return Obstacle(number, name, shown, self._text(_place(vulnerability)), page)

    def _text(self, value: object) -> str:
        return self._api.sanitize(responses.non_empty(value) or "", TEXT_LIMIT)

    def _request(self, path: str, form: Mapping[str, str] | None = None, limit: int = LONG_RESPONSE_LIMIT) -> object:
        """Return the object in a response; None on errors. After ThreadFix was unreachable, nothing is sent."""
        left = self._until - time.monotonic()
        if self._failure and self._failure.reason is Reason.UNREACHABLE:
            return None
        url = self._api.server.endpoint(path, application_id=self._application_id)
        no_time = Failure(Reason.UNREACHABLE, "there was no time left for it.")
        response = self._api.request(url, left, form, limit=limit) if left > 0 else no_time
        if isinstance(response, Failure):
            self._failure = self._failure or response
            return None
        return response.envelope.object


def _dicts(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _count(application: dict[str, Any], severity: int | None) -> int | None:
    """Return the number of open vulnerabilities of a severity that an application has; None if unknown."""
    number = application.get(f"{SEVERITIES[severity - 1].lower()}VulnCount") if severity else None
    return number if type(number) is int and 0 <= number <= LARGEST else None


def _place(vulnerability: dict[str, Any]) -> str:
    """Return the place of a vulnerability: its path or its component, and its parameter."""
    dependency = vulnerability.get("dependency")
    parts = dependency if isinstance(dependency, dict) else {"componentName": dependency}
    places = [vulnerability.get(name) for name in ("path", "calculatedFilePath")]
    places += [parts.get(name) for name in ("componentName", "componentFilePath", "cve")]
    place = next(filter(None, map(responses.non_empty, places)), "")
    parameter = responses.non_empty(vulnerability.get("parameter"))
    return ", ".join(filter(None, (place, f"parameter {parameter}" if parameter else "")))

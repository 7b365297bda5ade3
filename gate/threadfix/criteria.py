"""Reads ThreadFix's CI/CD pass criteria (vendor page "Evaluate CI/CD Pass Criteria"). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.model.history import CheckReading, CheckResult
from gate.threadfix import responses

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_LIMIT: Final = 60
"""Characters of a severity's or a policy's name."""
ROWS: Final = 100
"""Policies or criteria that are shown by name. Further rows are judged too, but without the cost of sanitizing."""
LARGEST: Final = 999_999_999
"""The largest number of vulnerabilities that is shown; a larger number counts as unknown."""


def read(envelope: responses.Envelope, sanitize: Callable[[str, int], str], sent: float | None = None) -> CheckReading:
    """Return a reading of the pass criteria. The caller sets its status.

    Args:
        envelope: of a response.
        sanitize: sanitizes a text, and cuts it to a length.
        sent: the moment of the response.

    Raises:
        NotThreadFixError: the envelope has no pass criteria, or they contradict themselves.
    """
    content = responses.pass_criteria(envelope)
    criteria = [(criterion, False) for criterion in content.failed] + [
        (criterion, True) for criterion in content.passed
    ]
    results = tuple(
        _result(criterion, sanitize if row < ROWS else _not_shown, holds=holds)
        for row, (criterion, holds) in enumerate(criteria)
    )
    # Without criteria ThreadFix has evaluated nothing, so `passing` has no meaning.
    holds = content.passing if results else None
    agreement = content.passing, sorted(repr((holds, _fields(criterion))) for criterion, holds in criteria)
    return CheckReading("", holds, results, sent, agreement)


def _fields(criterion: responses.Criterion) -> tuple[object, ...]:
    """Return the fields that must agree in two responses; those of a severity in a fixed order."""
    severity = criterion.severity
    if isinstance(severity, dict):
        severity = sorted(severity.items(), key=lambda item: item[0])
    return (
        severity,
        criterion.max_allowed,
        criterion.max_introduced,
        criterion.not_allowed,
        criterion.not_introduced,
    )


def _not_shown(_: str, _limit: int) -> str:
    return "not shown"


def _result(criterion: responses.Criterion, sanitize: Callable[[str, int], str], *, holds: bool) -> CheckResult:
    name, number = criterion.severity, None
    if isinstance(name, dict):
        number = severity_number(name)
        name = severity_name(name)
    name = responses.non_empty(name)
    shown = sanitize(name, NAME_LIMIT) if name else ""
    if not shown and number is None:
        raise responses.NotThreadFixError("a criterion does not name its severity")
    return CheckResult(shown or f"severity {number}", holds, "", _limits(criterion), number)


def _limits(criterion: responses.Criterion) -> tuple[str, ...]:
    """Return the limits of a criterion, as text. Early versions of ThreadFix only state whether any are allowed."""
    limits = (
        (criterion.max_allowed, criterion.not_allowed, "open"),
        (criterion.max_introduced, criterion.not_introduced, "introduced"),
    )
    texts = []
    for most, none, which in limits:
        number = 0 if none is True else most
        if type(number) is int and 0 <= number <= LARGEST:
            texts.append(f"at most {number} {which}")
    return tuple(texts)


def severity_number(severity: dict[str, object]) -> int | None:
    """Return a severity's number, from 1 (Info) to 5 (Critical). Administrators can only change its name."""
    number = severity.get("intValue")
    return number if type(number) is int and number in range(1, 6) else None


def severity_name(severity: dict[str, object]) -> str | None:
    """Return the name of a severity on this server."""
    names = (severity.get(name) for name in ("displayName", "customName", "name"))
    return next(filter(None, map(responses.non_empty, names)), None)

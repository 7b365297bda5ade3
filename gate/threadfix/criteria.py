"""What ThreadFix's CI/CD pass criteria say, and what they allow (vendor page "Evaluate CI/CD Pass Criteria"). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.history import CheckReading, CheckResult
from gate.threadfix import responses

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_LIMIT: Final = 60
"""Characters of a severity's or a policy's name."""
LARGEST: Final = 999_999_999
"""The largest number of vulnerabilities that a limit is shown with."""


def read(reply: responses.Envelope, sanitize: Callable[[str, int], str]) -> CheckReading:
    """What came of the pass criteria; its status is still to be found.

    Args:
        reply: an envelope.
        sanitize: makes a text safe, and cuts it to a length.

    Raises:
        NotThreadFixError: there are no pass criteria in it, or they contradict themselves.
    """
    found = responses.pass_criteria(reply)
    failed = [_result(criterion, sanitize, holds=False) for criterion in found.failed]
    passed = [_result(criterion, sanitize, holds=True) for criterion in found.passed]
    # Without a criterion nothing was evaluated, whatever `passing` says.
    holds = found.passing if failed or passed else None
    return CheckReading("", holds, (*failed, *passed))


def _result(criterion: responses.Criterion, sanitize: Callable[[str, int], str], *, holds: bool) -> CheckResult:
    name, number = criterion.severity, None
    if isinstance(name, dict):
        number = severity_number(name)
        name = severity_name(name)
    shown = sanitize(responses.non_empty(name) or "", NAME_LIMIT)
    if not shown and number is None:
        raise responses.NotThreadFixError("a criterion does not say which severity it limits")
    return CheckResult(shown or f"severity {number}", holds, "", _limits(criterion), number)


def _limits(criterion: responses.Criterion) -> tuple[str, ...]:
    """What a criterion allows, in words. ThreadFix's first versions knew only whether any is allowed."""
    limits = (
        (criterion.max_allowed, criterion.not_allowed, "open"),
        (criterion.max_introduced, criterion.not_introduced, "introduced"),
    )
    found = []
    for most, none, which in limits:
        number = 0 if none is True else most
        if type(number) is int and 0 <= number <= LARGEST:
            found.append(f"at most {number} {which}")
    return tuple(found)


def severity_number(severity: dict[str, object]) -> int | None:
    """ThreadFix's number of a severity, from 1 (Info) to 5 (Critical); people can change only what it is called."""
    number = severity.get("intValue")
    return number if type(number) is int and number in range(1, 6) else None


def severity_name(severity: dict[str, object]) -> str | None:
    """What a severity is called on this server."""
    names = (severity.get(name) for name in ("displayName", "customName", "name"))
    return next(filter(None, map(responses.non_empty, names)), None)

"""What became of an upload and what a check says, in the words that several reports use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.conclusions import RANK
from gate.history import STALE, Failure, Finished, NotSent, Queued, Refused
from gate.parts.scans import ACCEPTED
from gate.reasons import Kind
from gate.subjects import PassCriteria, Policy
from gate.wording import instant, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gate.conclusions import Part
    from gate.history import CheckReading, CheckResult, Obstacle, Upload
    from gate.parts.checks import CheckVerdict
    from gate.subjects import Check
    from gate.verdict import Verdict

NOTICED: Final = frozenset(ACCEPTED.values())
"""Passes that a person should know of: ThreadFix took nothing."""
ANSWERS: Final = {True: "passing", False: "failing", None: "undecided"}
"""What ThreadFix says of a check, in our words."""
_ORDER: Final = {False: 0, None: 1, True: 2}


def noticed(verdict: Verdict) -> list[Part]:
    """The parts that passed only because the user accepts it."""
    return [part for part in verdict.parts if part.conclusion.reason in NOTICED]


def urgent_first(checks: Iterable[CheckVerdict]) -> list[CheckVerdict]:
    """The checks that failed first, then those that are undecided, each in the order asked for."""
    return sorted(checks, key=lambda check: RANK[check.conclusion.kind])


def outcome(upload: Upload) -> str:
    """What became of an upload, in few words, none of them the server's."""
    match upload.receipt:
        case Queued(targets):
            ids = ", ".join(str(target.pending_scan_id) for target in targets)
            return f"queued as pending scan{'s' * (len(targets) > 1)} {ids}"
        case Finished(scan_id):
            return f"finished as scan {scan_id}"
        case Refused():
            return "refused"
        case Failure() as failure:
            return f"{'not sent' if failure.unsent else 'failed'} ({failure.reason.value})"
        case NotSent():
            return "not sent"
        case _:
            return "broken off"


def kind_of(check: Check) -> str:
    """The kind of a check in one word, for machines: `criteria`, `policy` or `policies`."""
    if isinstance(check, PassCriteria):
        return "criteria"
    return "policy" if isinstance(check, Policy) else "policies"


def ordered(results: Iterable[CheckResult]) -> list[CheckResult]:
    """What does not hold first, then what is undecided, each in ThreadFix's order."""
    return sorted(results, key=lambda result: _ORDER[result.holds])


def word(result: CheckResult) -> str:
    """ThreadFix's own word for a policy or a criterion; ours where it has none."""
    return result.word or ANSWERS[result.holds]


def kind_of_result(result: CheckResult, check: CheckVerdict) -> Kind:
    """Whether a policy or a criterion of a check holds, as a verdict; one that is stale does not count."""
    counts = result.behind == 0 or check.conclusion.kind is not Kind.UNKNOWN
    return {True: Kind.PASS, False: Kind.FAIL, None: Kind.UNKNOWN}[result.holds if counts else None]


def evaluated(result: CheckResult) -> str:
    """When ThreadFix evaluated it, and by how much that is older than the scan; empty where that is not known."""
    return ", ".join(
        filter(None, (instant(result.evaluated), f"{seconds(result.behind)} before the scan" if result.behind else ""))
    )


def row(result: CheckResult) -> str:
    """All that ThreadFix says of a policy or a criterion, in one line."""
    facts = [word(result), ", ".join(result.limits)]
    facts.append("" if result.count is None else f"{result.count} open")
    when = evaluated(result)
    facts.append(f"evaluated {when}" if when else "")
    return f"{result.name}: {'; '.join(filter(None, facts))}"


def obstacle_line(obstacle: Obstacle) -> str:
    """An open vulnerability in one line, without its link."""
    severity = f" ({obstacle.severity})" if obstacle.severity else ""
    return f"{obstacle.name}{severity}{f' in {obstacle.place}' if obstacle.place else ''}"


def reading(read: CheckReading) -> str:
    """What ThreadFix says of a check, in one line: whether it holds, and how fresh that is."""
    behind = max((result.behind or 0.0 for result in read.results), default=0.0)
    age = f": evaluated {seconds(behind)} before the scan" if behind else ""
    if read.status == STALE and any(result.behind is None for result in read.results):
        # A response without a date counts when the next one says the same.
        age = "; asking again"
    answer = word(read.results[0]) if len(read.results) == 1 else ANSWERS[read.holds]
    return f"{answer}, {'but ' if age else ''}{read.status}{age}"

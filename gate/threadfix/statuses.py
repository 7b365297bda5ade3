"""ThreadFix's statuses of a pending scan, and the table that decides what an answer amounts to.

The twelve statuses are the complete documented list, the same for ThreadFix 2.5 to 3.0 (vendor page "Check Pending
Scan Status"). The list has no status for a general failure: that is `error: true` beside any status. Later versions
may know more, so a status that is not in the list is a case of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.history import Answer

STATUSES: Final[dict[str, str]] = {
    "QUEUED": "Queued",
    "UPLOADED": "Uploaded",
    "FINDINGS_GENERATING": "Generating Findings",
    "CHANNEL_MERGING": "Merging Channel Findings",
    "APPLICATION_MERGING": "Merging Application Findings",
    "APPLICATION_MERGED": "Merging Application Findings Completed",
    "LINKING_DEFECTS": "Linking Defects.",
    "DONE": "Scan Processing Completed. Statistics Update Queued.",
    "FINISHED_FINDING_PULLING": "Findings Import From Server Finished.",
    "SCAN_INTERRUPTED": "Scan processing was interrupted",
    "SCAN_QUEUED_FOR_DELETE": "Scan queued to be deleted.",
    "SCAN_DELETED": "Scan Deleted.",
}
"""Each status and the words that ThreadFix shows for it."""

SUCCESS: Final = ("DONE", "FINISHED_FINDING_PULLING")
FAILURE: Final = ("SCAN_INTERRUPTED", "SCAN_DELETED")


class Decision(StrEnum):
    """What an answer amounts to."""

    SUCCESS = "success"
    ERROR = "error"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    IN_FLIGHT = "in flight"


DECIDED: Final = frozenset({Decision.SUCCESS, Decision.ERROR, Decision.FAILURE})


def normal(status: str) -> str:
    """The form in which statuses are compared: trimmed, in capitals."""
    # ASCII alone: in Unicode other letters have these for their capitals.
    return re.sub("[a-z]+", lambda letters: letters[0].upper(), status.strip())


@dataclass(frozen=True, slots=True)
class Acceptor:
    """One rule of the table: the decision it stands for, and which answers it takes."""

    decision: Decision
    takes: Callable[[Rules, Answer], bool]


ACCEPTORS: Final = (
    Acceptor(Decision.ERROR, lambda _, answer: answer.error),
    Acceptor(Decision.FAILURE, lambda rules, answer: normal(answer.status) in rules.failure),
    Acceptor(Decision.SUCCESS, lambda rules, answer: normal(answer.status) in rules.success),
    Acceptor(Decision.IN_FLIGHT, lambda _, answer: normal(answer.status) in STATUSES),
    Acceptor(Decision.UNKNOWN, lambda _rules, _answer: True),
)
"""The decision table: the first acceptor that takes an answer decides. Failure stands before success on purpose."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which statuses decide, as the user asked for it.

    Attributes:
        success: statuses in normal form (`normal`).
        failure: likewise; it has no status of `success`.
        unknown_fails: whether a status that is not documented ends the wait.
    """

    success: frozenset[str] = frozenset(SUCCESS)
    failure: frozenset[str] = frozenset(FAILURE)
    unknown_fails: bool = False

    def decide(self, answer: Answer) -> Decision:
        """What `answer` amounts to."""
        return next(acceptor.decision for acceptor in ACCEPTORS if acceptor.takes(self, answer))

    def settled(self, answer: Answer) -> bool:
        """Whether `answer` ends the wait."""
        decision = self.decide(answer)
        return decision in DECIDED or (decision is Decision.UNKNOWN and self.unknown_fails)

    def warning(self, answer: Answer) -> str | None:
        """What a person should be warned of while the wait goes on."""
        decision = self.decide(answer)
        if decision is Decision.UNKNOWN and not self.unknown_fails:
            return (
                f"ThreadFix answers the status {answer.status}, which is not documented. The gate waits for the next "
                "one. Name it in --success-statuses or --failure-statuses if it is a last one."
            )
        if decision is Decision.IN_FLIGHT and normal(answer.status) == "SCAN_QUEUED_FOR_DELETE":
            return "somebody has queued the scan to be deleted; the gate waits for what becomes of it."
        return None


def words(status: str) -> str:
    """ThreadFix's own words for a documented status; empty for any other."""
    return STATUSES.get(normal(status), "").rstrip(".")

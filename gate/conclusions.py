"""What a part of the gate comes to, and what the parts come to together: fail beats unknown beats pass. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from gate.errors import Cancelled, UsageError
from gate.reasons import DIAGNOSABLE, DIAGNOSIS, Kind, Reason
from gate.wording import count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gate.errors import GateError
    from gate.history import Failure
    from gate.naming import Naming

RESUMABLE: Final = frozenset({Reason.TIMEOUT, Reason.CANCELLED, Reason.UNREACHABLE})
"""Reasons after which waiting on may always bring the answer."""
RANK: Final = {Kind.FAIL: 0, Kind.UNKNOWN: 1, Kind.PASS: 2}
"""What is worse comes first."""
STOPPED_EARLY: Final = "The job was stopped before the gate could say anything about a scan."
"""The meaning where there is no scan yet to keep waiting for."""
STOPPED_EARLY_HINT: Final = "Run the gate again."
NAMED_PASSES: Final = 3
"""Parts that are named one by one in the message of a pass."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a part of the gate, or the gate as a whole, comes to. Its texts are safe.

    Attributes:
        reason: why; it has the kind (pass, fail, unknown).
        message: what happened, with the names and numbers; it does not name its subject. It may hold text of the
            server, so it is never a template.
        meaning: what that means for the person at the red build. A template of ours (`gate.naming`), with no text of
            others in it; until `name_options` fills it.
        hint: what to do next; empty for a pass. A template, as `meaning` is.
        exit_code: of the reason, or 0 where the user asked for a warning only.
        resumable: whether waiting on may bring the answer.
    """

    reason: Reason
    message: str
    meaning: str
    hint: str
    exit_code: int
    resumable: bool = False

    @property
    def kind(self) -> Kind:
        """The word that the gate says."""
        return self.reason.row.kind

    @property
    def downgraded(self) -> bool:
        """Whether the verdict is unknown, and the user asked for exit code 0 all the same."""
        return self.kind is Kind.UNKNOWN and self.exit_code == 0

    def downgrade(self, reasons: Collection[Reason]) -> Conclusion:
        """The conclusion with exit code 0, if its reason is one for which the user asked for a warning only."""
        return replace(self, exit_code=0) if self.reason in reasons else self


class Part(Protocol):
    """One thing that was asked for, and what it came to."""

    @property
    def noun(self) -> str:
        """What kind of thing it is about, in the singular: `pending scan`, `upload` or `check`."""
        ...

    @property
    def subject(self) -> str:
        """What it is about, as people call it; safe text."""
        ...

    @property
    def conclusion(self) -> Conclusion:
        """What it came to."""
        ...

    @property
    def url(self) -> str | None:
        """Where a person can see it; None where that is not known."""
        ...


P = TypeVar("P", bound=Part)


def name_options(conclusion: Conclusion, naming: Naming) -> Conclusion:
    """Return the conclusion with the names of options in its meaning and hint, which are templates until then."""
    return replace(conclusion, meaning=naming.fill(conclusion.meaning), hint=naming.fill(conclusion.hint))


def describe(part: Part) -> str:
    """What a part came to, with its subject."""
    return f"{part.subject}: {part.conclusion.message}"


def decide(parts: Sequence[P]) -> P:
    """The part that decides: fail before unknown before pass; of unknowns one that ends the job; then the first."""
    return min(parts, key=lambda part: (RANK[part.conclusion.kind], part.conclusion.exit_code == 0))


def conclude(parts: Sequence[Part]) -> Conclusion:
    """The conclusion of the gate as a whole, from those of at least one part."""
    deciding = decide(parts)
    worst = deciding.conclusion
    if len(parts) == 1:
        return replace(worst, message=describe(deciding))
    nouns = {part.noun for part in parts}
    if worst.kind is Kind.PASS:
        others = [part.conclusion.reason for part in parts if part.conclusion.reason is not Reason.PROCESSED]
        if nouns == {"pending scan"} and not others:
            return replace(worst, message=f"all {len(parts)} pending scans were processed.")
        if len(parts) <= NAMED_PASSES:
            return replace(worst, message=" ".join(describe(part) for part in parts))
        # What passed only because the user accepts it must not hide in the number.
        counts = ", ".join(f"{others.count(reason)} of them {reason}" for reason in dict.fromkeys(others))
        return replace(worst, message=f"{_counted(parts)} passed{f' ({counts})' if counts else ''}.")
    like = [part for part in parts if part.conclusion.kind is worst.kind]
    if len(nouns) > 1 and len(like) == 1:
        # The scan passed and one check did not: what the scan came to stands in the lines above.
        return replace(worst, message=describe(deciding))
    verb = "failed" if worst.kind is Kind.FAIL else "are undecided"
    whole = f"{len(parts)} ({_counted(parts)})" if len(nouns) > 1 else _counted(parts)
    return replace(worst, message=f"{len(like)} of {whole} {verb}; the deciding one: {describe(deciding)}")


def _counted(parts: Sequence[Part]) -> str:
    """`1 upload, 2 pending scans and 1 check`."""
    nouns = [part.noun for part in parts]
    counts = [count(nouns.count(noun), noun) for noun in dict.fromkeys(nouns)]
    return " and ".join((", ".join(counts[:-1]), counts[-1])) if len(counts) > 1 else counts[0]


def from_error(error: GateError) -> Conclusion:
    """The conclusion when the gate ended before ThreadFix was asked."""
    if isinstance(error, UsageError):
        message = f"{count(len(error.invalid), 'invalid option')}: {error}"
    else:
        message = f"{error}, before there was a verdict."
    hint, meaning = (STOPPED_EARLY_HINT, STOPPED_EARLY) if isinstance(error, Cancelled) else (error.hint, error.meaning)
    return replace(concluded(error.reason, message, hint, meaning), exit_code=error.exit_code)


def from_bug(error: BaseException) -> Conclusion:
    """The conclusion when the gate itself broke. The error's own text may hold anything, so it is left out."""
    return concluded(Reason.INTERNAL, f"internal error: {type(error).__name__}.")


def from_failure(failure: Failure, subject: str) -> Conclusion:
    """The conclusion when something failed on which everything else rests; its message names the subject."""
    return concluded(failure.reason, f"{subject}: {failure.what}", failure.hint, failure.meaning)


def concluded(reason: Reason, message: str, hint: str | None = None, meaning: str | None = None) -> Conclusion:
    """A conclusion with the words of its reason's row, where no better ones are given."""
    row = reason.row
    advice = "" if row.kind is Kind.PASS else hint or row.advice
    if reason in DIAGNOSABLE:
        advice = f"{advice} {DIAGNOSIS}"
    return Conclusion(reason, message, meaning or row.meaning, advice, row.exit_code, reason in RESUMABLE)

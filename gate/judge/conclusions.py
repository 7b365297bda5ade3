"""Combine the conclusions of all parts: fail beats unknown beats pass. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from gate.model.errors import Cancelled, UsageError
from gate.model.reasons import DIAGNOSABLE, DIAGNOSIS, Kind, Reason
from gate.text.wording import count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gate.model.errors import GateError
    from gate.model.history import Failure
    from gate.text.naming import Naming

RESUMABLE: Final = frozenset({Reason.TIMEOUT, Reason.CANCELLED, Reason.UNREACHABLE})
"""Reasons after which a longer wait may bring the response."""
RANK: Final = {Kind.FAIL: 0, Kind.UNKNOWN: 1, Kind.PASS: 2}
"""The worst comes first."""
STOPPED_EARLY: Final = "The job was stopped before the gate could say anything about a scan."
"""The meaning if there is no scan yet to keep waiting for."""
STOPPED_EARLY_HINT: Final = "Run the gate again."
NAMED_PASSES: Final = 3
"""Parts up to which the message of a pass names each."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The result of a part of the gate, or of the whole. Its texts are safe.

    Attributes:
        reason: determines the kind (pass, fail, unknown).
        message: what happened, with the names and numbers; it does not name its subject. It may hold text of the
            server, so it is never a template.
        meaning: the consequence for the person at the red build. Our own template (`gate.text.naming`), with no text of
            others in it; until `name_options` fills it.
        hint: what to do next; empty for a pass. A template, as `meaning` is.
        exit_code: of the reason, or 0 if the user asked for a warning only.
        resumable: whether a longer wait may bring the response.
    """

    reason: Reason
    message: str
    meaning: str
    hint: str
    exit_code: int
    resumable: bool = False

    @property
    def kind(self) -> Kind:
        """Pass, fail or unknown."""
        return self.reason.row.kind

    @property
    def downgraded(self) -> bool:
        """Return whether the verdict is unknown, and the user asked for exit code 0 nevertheless."""
        return self.kind is Kind.UNKNOWN and self.exit_code == 0

    def downgrade(self, reasons: Collection[Reason]) -> Conclusion:
        """Return the conclusion, with exit code 0 if `reasons` has its reason."""
        return replace(self, exit_code=0) if self.reason in reasons else self


class Part(Protocol):
    """A requested upload, scan or check, with its conclusion."""

    @property
    def noun(self) -> str:
        """The kind of part, in the singular: `pending scan`, `upload` or `check`."""
        ...

    @property
    def subject(self) -> str:
        """The name of the scan, file or check; safe text."""
        ...

    @property
    def conclusion(self) -> Conclusion:
        """Its conclusion."""
        ...

    @property
    def url(self) -> str | None:
        """The page for people; None if unknown."""
        ...


P = TypeVar("P", bound=Part)


def name_options(conclusion: Conclusion, naming: Naming) -> Conclusion:
    """Return the conclusion with the names of options in its meaning and hint, which are templates until then."""
    return replace(conclusion, meaning=naming.fill(conclusion.meaning), hint=naming.fill(conclusion.hint))


def describe(part: Part) -> str:
    """Return a part's message after its subject."""
    return f"{part.subject}: {part.conclusion.message}"


def decide(parts: Sequence[P]) -> P:
    """Return the deciding part: fail, unknown, pass; an unknown with an exit code before others; then the first."""
    return min(parts, key=lambda part: (RANK[part.conclusion.kind], part.conclusion.exit_code == 0))


def conclude(parts: Sequence[Part]) -> Conclusion:
    """Return the conclusion of the whole, from at least one part."""
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
        # A pass that only the user accepts must not hide in the number.
        counts = ", ".join(f"{others.count(reason)} of them {reason}" for reason in dict.fromkeys(others))
        return replace(worst, message=f"{_counted(parts)} passed{f' ({counts})' if counts else ''}.")
    like = [part for part in parts if part.conclusion.kind is worst.kind]
    if len(nouns) > 1 and len(like) == 1:
        # The scan passed and a check did not: the scan is in the lines above.
        return replace(worst, message=describe(deciding))
    verb = "failed" if worst.kind is Kind.FAIL else "are undecided"
    whole = f"{len(parts)} ({_counted(parts)})" if len(nouns) > 1 else _counted(parts)
    return replace(worst, message=f"{len(like)} of {whole} {verb}; the deciding one: {describe(deciding)}")


def _counted(parts: Sequence[Part]) -> str:
    """Return the numbers of parts: `1 upload, 2 pending scans and 1 check`."""
    nouns = [part.noun for part in parts]
    counts = [count(nouns.count(noun), noun) for noun in dict.fromkeys(nouns)]
    return " and ".join((", ".join(counts[:-1]), counts[-1])) if len(counts) > 1 else counts[0]


def from_error(error: GateError) -> Conclusion:
    """Return the conclusion of a run that ended before ThreadFix was asked."""
    if isinstance(error, UsageError):
        message = f"{count(len(error.invalid), 'invalid option')}: {error}"
    else:
        message = f"{error}, before there was a verdict."
    hint, meaning = (STOPPED_EARLY_HINT, STOPPED_EARLY) if isinstance(error, Cancelled) else (error.hint, error.meaning)
    return replace(concluded(error.reason, message, hint, meaning), exit_code=error.exit_code)


def from_bug(error: BaseException) -> Conclusion:
    """Return the conclusion of a bug, without the error's own text, which may hold anything."""
    return concluded(Reason.INTERNAL, f"internal error: {type(error).__name__}.")


def from_failure(failure: Failure, subject: str) -> Conclusion:
    """Return the conclusion of a failure that ends the whole run; its message names the subject."""
    return concluded(failure.reason, f"{subject}: {failure.what}", failure.hint, failure.meaning)


def concluded(reason: Reason, message: str, hint: str | None = None, meaning: str | None = None) -> Conclusion:
    """Return a conclusion, with meaning and hint of the reason's row unless better texts are given."""
    row = reason.row
    advice = "" if row.kind is Kind.PASS else hint or row.advice
    if reason in DIAGNOSABLE:
        advice = f"{advice} {DIAGNOSIS}"
    return Conclusion(reason, message, meaning or row.meaning, advice, row.exit_code, reason in RESUMABLE)

"""Combine the conclusions of all parts: fail beats unknown beats pass. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TypeVar

from gate.model.advice import NAMED, advise
from gate.model.reasons import DIAGNOSABLE, DIAGNOSIS, Kind, Reason, UsageError
from gate.text.wording import capitalized, count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gate.model.history import Application, Failure
    from gate.model.reasons import GateError
    from gate.text.wording import Naming

RESUMABLE: Final = frozenset({Reason.TIMEOUT, Reason.CANCELLED, Reason.UNREACHABLE})
"""Reasons after which a longer wait may bring a result."""
RANK: Final = {Kind.FAIL: 0, Kind.UNKNOWN: 1, Kind.PASS: 2}
"""The worst first."""
NAMED_PASSES: Final = 3
"""The most parts that the message of a pass names."""
PLAIN_PASSES: Final = (Reason.PROCESSED, Reason.POLICY_PASSED)
"""The passes without an accepted refusal."""
BLOCKED: Final = "Release blocked. "
"""The beginning of the message if a rule does not hold."""
NO_RULE: Final = "No rule was requested."
"""The end of the message of a pass without a check: nothing was decided about the findings."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The result of a part of the gate, or of the whole run. Its texts are safe.

    Meaning and hint are constants of the gate and templates (`gate.text.wording`) until `name_options` fills them. The
    message may hold text of the server, so it is never a template.
    """

    reason: Reason
    message: str  # the event with its names and numbers, without its subject
    meaning: str  # the consequence for the person at the red build
    hint: str  # the next step; empty for a pass
    exit_code: int  # of the reason, or 0 if the user asked for a warning only
    resumable: bool = False  # whether a longer wait may bring a result
    names_subject: bool = False  # whether the message needs no subject

    @property
    def kind(self) -> Kind:
        """The verdict of the reason."""
        return self.reason.row.kind

    @property
    def downgraded(self) -> bool:
        """Whether the verdict is unknown, but the user asked for exit code 0."""
        return self.kind is Kind.UNKNOWN and self.exit_code == 0

    def downgrade(self, reasons: Collection[Reason]) -> Conclusion:
        """Return the conclusion, with exit code 0 if `reasons` has its reason."""
        return replace(self, exit_code=0) if self.reason in reasons else self


class Part(Protocol):
    """A requested upload, scan or check, with its conclusion."""

    noun: ClassVar[str]

    @property
    def subject(self) -> str:
        """The name of the scan, file or check; safe text."""

    @property
    def conclusion(self) -> Conclusion:
        """The conclusion about it."""

    @property
    def url(self) -> str | None:
        """The page in ThreadFix; None if unknown."""


P = TypeVar("P", bound=Part)


def name_options(conclusion: Conclusion, naming: Naming) -> Conclusion:
    """Return the conclusion with meaning and hint filled in."""
    return replace(conclusion, meaning=naming.fill(conclusion.meaning), hint=naming.fill(conclusion.hint))


def describe(part: Part) -> str:
    """Return a part's message after its subject."""
    return f"{part.subject}: {part.conclusion.message}"


def decide(parts: Sequence[P]) -> P:
    """Return the deciding part: fail, unknown, pass; an unknown with an exit code before others; then the first."""
    return min(parts, key=lambda part: (RANK[part.conclusion.kind], part.conclusion.exit_code == 0))


def conclude(parts: Sequence[Part], application: Application | None = None) -> Conclusion:
    """Return the conclusion of the whole, from at least one part.

    The message has the deciding part, the names of the application, and the numbers of parts, in this order.
    """
    names = application.sentence if application else ""
    deciding = decide(parts)
    worst = deciding.conclusion
    if worst.kind is Kind.PASS:
        rule = next((part.conclusion for part in parts if part.conclusion.reason is Reason.POLICY_PASSED), None)
        ordered = sorted(parts, key=lambda part: part.conclusion.reason is not Reason.POLICY_PASSED)
        first, *others = _passed(ordered)
        more = [*map(capitalized, others), *([] if rule else [NO_RULE])]
        return replace(rule or worst, message=" ".join([f"{first}{names}", *more]))
    message = worst.message if worst.names_subject else describe(deciding)
    if worst.reason is Reason.POLICY_FAILED:
        message = f"{BLOCKED}{capitalized(message)}"
    message = f"{message}{names}"
    nouns = {part.noun for part in parts}
    like = [part for part in parts if part.conclusion.kind is worst.kind]
    if len(parts) == 1 or (len(nouns) > 1 and len(like) == 1):
        # The scan passed and a check did not: the scan is in the lines above.
        return replace(worst, message=message)
    verb = "failed" if worst.kind is Kind.FAIL else "are undecided"
    whole = f"{len(parts)} ({_counted(parts)})" if len(nouns) > 1 else _counted(parts)
    return replace(worst, message=f"{message} {len(like)} of {whole} {verb}.")


def _passed(parts: Sequence[Part]) -> list[str]:
    """Return the message of a pass in parts, the first of them first."""
    others = [part.conclusion.reason for part in parts if part.conclusion.reason not in PLAIN_PASSES]
    if len(parts) > 1 and not others and {part.noun for part in parts} == {"pending scan"}:
        return [f"{'both' if len(parts) == 2 else f'all {len(parts)}'} pending scans were processed."]  # noqa: PLR2004
    if len(parts) <= NAMED_PASSES:
        return [describe(part) for part in parts]
    # A pass that only the user accepts must not hide in the number.
    counts = ", ".join(f"{others.count(reason)} of them {reason}" for reason in dict.fromkeys(others))
    return [f"{_counted(parts)} passed{f' ({counts})' if counts else ''}."]


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
    return replace(concluded(error.reason, message, error.hint, error.meaning), exit_code=error.exit_code)


def from_bug(error: BaseException) -> Conclusion:
    """Return the conclusion of a bug, without the error's own text, which may hold anything."""
    return concluded(Reason.INTERNAL, f"internal error: {type(error).__name__}.")


def concluded_from(failure: Failure, message: str = "") -> Conclusion:
    """Return the conclusion of a failure; without a message, its own sentences are the message."""
    advice = advise(failure.kind, failure.doing)
    diagnosed = failure.kind in NAMED
    return concluded(failure.reason, message or failure.complete, advice.hint, advice.meaning, diagnosed=diagnosed)


def concluded(
    reason: Reason, message: str, hint: str | None = None, meaning: str | None = None, *, diagnosed: bool = False
) -> Conclusion:
    """Return a conclusion, with meaning and hint of the reason's row unless better texts are given.

    The advice names `doctor`, unless the cause is `diagnosed` already.
    """
    row = reason.row
    advice = "" if row.kind is Kind.PASS else hint or row.advice
    if reason in DIAGNOSABLE and not diagnosed:
        advice = f"{advice} {DIAGNOSIS}"
    return Conclusion(reason, message, meaning or row.meaning, advice, row.exit_code, reason in RESUMABLE)

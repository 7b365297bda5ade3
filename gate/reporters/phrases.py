"""Phrases and the timeline in text, for several reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gate.judge.conclusions import NAMED_PASSES, RANK, decide
from gate.judge.scans import ACCEPTED
from gate.model.history import STALE, Failure, Finished, Queued, Refused
from gate.model.reasons import Kind, Reason
from gate.model.subjects import PassCriteria
from gate.text.sanitizer import shorten
from gate.text.wording import count, instant, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import P, Part
    from gate.judge.scans import UploadVerdict
    from gate.judge.verdict import Verdict
    from gate.model.build import Build
    from gate.model.history import CheckReading, CheckResult, History, Obstacle, Upload

NOTICED: Final = frozenset(ACCEPTED.values())  # passes that are shown as a notice: ThreadFix took nothing
_WORDS: Final = {True: "passing", False: "failing", None: "undecided"}
_ORDER: Final = {False: 0, None: 1, True: 2}


def noticed(verdict: Verdict) -> list[Part]:
    """Return the parts that passed only because the user accepts it."""
    return [part for part in verdict.parts if part.conclusion.reason in NOTICED]


def needing_message(verdict: Verdict) -> list[Part]:
    """Return the uploads and scans that need a message: they did not pass, or only because the user accepts it."""
    parts: tuple[Part, ...] = (*verdict.ended_uploads, *verdict.scans)
    notable = (part for part in parts if part.conclusion.kind is not Kind.PASS or part.conclusion.reason in NOTICED)
    return [part for part in notable if not is_repeated(part, verdict)]


def is_repeated(part: Part, verdict: Verdict) -> bool:
    """Return whether the verdict's message has that of the part: it decides, or all passes are named."""
    if verdict.conclusion.kind is Kind.PASS:
        return len(verdict.parts) <= NAMED_PASSES
    return part.conclusion.message == decide(verdict.parts).conclusion.message


def link_text(verdict: Verdict) -> str:
    """Return the text of the link to the verdict's page."""
    return "Open the scan in ThreadFix" if verdict.url == verdict.scan_url else "Open in ThreadFix"


def urgent_first(parts: Iterable[P]) -> list[P]:
    """Return the failed parts, then the undecided parts, then the others."""
    return sorted(parts, key=lambda part: RANK[part.conclusion.kind])


def outcome(upload: Upload) -> str:
    """Return the result of an upload in few words, without text of the server."""
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
        case unfinished:
            return unfinished.value


def digests(uploads: Iterable[Upload]) -> list[str]:
    """Return the SHA-256 and the name of each file that was sent whole, as `sha256sum` prints them."""
    return [f"{digest}  {file.shown}" for upload in uploads for file, digest in upload.hashed if digest]


def outcome_or_reason(upload: Upload, part: UploadVerdict | None) -> str:
    """Return the result of an upload, or the reason of its verdict if it made no scan."""
    return outcome(upload) if part is None or part.scan_id is not None else part.conclusion.reason.value


def noun(check: CheckVerdict) -> str:
    """Return the noun of a check's results."""
    return "severity" if isinstance(check.check, PassCriteria) else "policy"


def state(check: CheckVerdict) -> str:
    """Return whether a check holds, or the reason if ThreadFix did not decide."""
    reason = check.conclusion.reason
    return {Reason.POLICY_PASSED: "holds", Reason.POLICY_FAILED: "does not hold"}.get(reason, reason.value)


def ordered(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Return the results that do not hold, then the undecided, then the others, each in ThreadFix's order."""
    return sorted(results, key=lambda result: _ORDER[result.holds])


def word(result: CheckResult) -> str:
    """Return ThreadFix's word for a policy or a criterion, or our word if ThreadFix has no word."""
    return result.word or _WORDS[result.holds]


def kind_of_result(result: CheckResult, check: CheckVerdict) -> Kind:
    """Return whether a result holds, as a verdict; a stale result is unknown."""
    counts = result.behind == 0 or check.conclusion.kind is not Kind.UNKNOWN
    return {True: Kind.PASS, False: Kind.FAIL, None: Kind.UNKNOWN}[result.holds if counts else None]


def evaluated(result: CheckResult) -> str:
    """Return the time of the evaluation, and how much older than the scan it is; empty if unknown."""
    behind = f"{seconds(result.behind)} before the scan" if result.behind else ""
    return ", ".join(filter(None, (instant(result.evaluated), behind)))


def row(result: CheckResult) -> str:
    """Return a policy or a criterion with all its facts, in one line."""
    number = "" if result.count is None else f"{result.count} open"
    when = evaluated(result)
    facts = word(result), ", ".join(result.limits), number, when and f"evaluated {when}"
    return f"{result.name}: {'; '.join(filter(None, facts))}"


def obstacle_line(obstacle: Obstacle) -> str:
    """Return an open vulnerability in one line, with its link."""
    severity = f" ({obstacle.severity})" if obstacle.severity else ""
    place = f" in {obstacle.place}" if obstacle.place else ""
    return f"{obstacle.name}{severity}{place}{f' {obstacle.url}' if obstacle.url else ''}"


def build_facts(build: Build) -> list[str]:
    """Return the CI system, the repository, the ref, the short commit and the actor, as far as they are known."""
    actor = build.actor and f"by {build.actor}"
    return [fact for fact in (build.system, build.repository, build.ref, (build.commit or "")[:12], actor) if fact]


def reading(read: CheckReading) -> str:
    """Return in one line whether a check holds, and how fresh the response is."""
    behind = max((result.behind or 0.0 for result in read.results), default=0.0)
    age = f": evaluated {seconds(behind)} before the scan" if behind else ""
    if read.status == STALE and any(result.behind is None for result in read.results):
        # A response without a date counts if the next response agrees.
        age = "; asking again"
    state = word(read.results[0]) if len(read.results) == 1 else _WORDS[read.holds]
    return f"{state}, {'but ' if age else ''}{read.status}{age}"


WIDTH: Final = 20
LABEL: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def outages(history: History[Any, Any]) -> list[tuple[str, str]]:
    """Return the time and the newest error of each outage, in words."""
    lines = []
    for outage in history.outages:
        when = f"at {seconds(outage.began)} for {seconds(history.outage_lasted(outage))}"
        end = "not over" if outage.ended is None else "recovered"
        lines.append((f"{when} ({count(outage.polls, 'failed poll')}), {end}", outage.newest.what))
    return lines


def draw(history: History[Any, Any], most: int = 40) -> list[str]:
    """Return the timeline as lines: a label, the length, and the bar last, so that a phone cuts off the bar first.

    At most `most` statuses and outages are drawn; the last line counts the others.
    """
    whole = history.elapsed or 1.0
    bars = [(phase.status, phase.first_seen, history.lasted(index)) for index, phase in enumerate(history.phases)]
    bars += [("(outage)", outage.began, history.outage_lasted(outage)) for outage in history.outages]
    lines = []
    for label, start, length in bars[:most]:
        # A bar starts on the whole cell that holds its beginning, and ends on the right eighth of a cell.
        cell = min(int(start / whole * WIDTH), WIDTH - 1)
        filled = max(1, round((start + length) / whole * WIDTH * 8) - cell * 8)
        drawn = " " * cell + "█" * (filled // 8) + _EIGHTHS[filled % 8].strip()
        lines.append(f"{shorten(label, LABEL):<{LABEL}} {seconds(length):>6} {drawn}")
    if len(bars) > most:
        lines.append(f"… and {len(bars) - most} more")
    return lines

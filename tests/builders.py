"""Builders of valid histories and verdicts. A test passes only the values that it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final, TypeVar

from gate.judge.checks import CheckVerdict, judge_check
from gate.judge.conclusions import conclude, from_error, name_options
from gate.judge.scans import ScanVerdict, UploadVerdict, judge_scan, judge_upload
from gate.judge.verdict import Verdict
from gate.model.history import (
    Accept,
    Application,
    CheckHistory,
    CheckReading,
    CheckResult,
    Failure,
    History,
    Observation,
    Obstacle,
    Outage,
    Phase,
    Queued,
    Receipt,
    Refused,
    ScanHistory,
    ScanReading,
    StopCause,
    Unfinished,
    Upload,
)
from gate.model.reasons import InvalidOption, Reason, UsageError
from gate.model.subjects import AllPolicies, ApplicationId, Check, PassCriteria, Policy, ScanFile, Target
from gate.options.settings import Settings
from gate.text.sanitizer import Secret
from gate.text.wording import FLAGS
from gate.threadfix.links import Server
from gate.threadfix.refusals import REFUSALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.judge.conclusions import Part

PartVerdict = TypeVar("PartVerdict", ScanVerdict, UploadVerdict, CheckVerdict)

TARGET: Final = Target(6, 41)
SHOP: Final = Application(6, "Contoso shop", 2, "Contoso")
SETTINGS: Final = Settings(
    Server("https://tf.example.com/threadfix", Secret("key")),
    ApplicationId(TARGET.application_id),
    (TARGET.pending_scan_id,),
)


def history_of(
    newest: Observation, ended: StopCause = StopCause.DECIDED, reading: ScanReading | None = None
) -> ScanHistory:
    """Build the history of a wait of 100 seconds and nine polls; a failure starts an outage at 40 s."""
    known = newest if isinstance(newest, ScanReading) else reading
    phases = (Phase(known.status, 0, 90),) if known else ()
    outages = (Outage(40.0, newest, polls=3),) if isinstance(newest, Failure) else ()
    return History(TARGET, ended, 100.0, 9, len(outages), phases, outages, newest, known)


def judged(history: ScanHistory, **changes: object) -> ScanVerdict:
    """Judge a history by `SETTINGS` with some changes."""
    return judge_scan(history, replace(SETTINGS, **changes))  # type: ignore[arg-type]


LINKED: Final = replace(SETTINGS, ui_url="{url}/scans/{scan_id}")
DOWN: Final = Failure(Reason.UNREACHABLE, "tf.example.com returned HTTP 502.")
AT: Final = datetime(2026, 1, 2, 3, 4, 5, 678_900, timezone.utc)
EMPTY: Final = InvalidOption("--timeout", "--timeout: is empty.")


def walked(  # noqa: PLR0913 - the parts of a walk
    number: int = 41,
    status: str = "DONE",
    ended: StopCause = StopCause.DECIDED,
    name: str | None = "contoso.fpr",
    *,
    walk: tuple[Phase, ...],
    upload: Upload | None = None,
) -> ScanVerdict:
    """Build the verdict on a pending scan with one outage, in 100 seconds; `status` replaces that of the last phase."""
    reading = ScanReading(status, scan_id=12 if status == "DONE" else None, name=name)
    phases = (*walk[:-1], walk[-1]._replace(status=status))
    outages = (Outage(20.0, DOWN, 2, ended=30.0),)
    history = History(Target(6, number), ended, 100.0, 14, 2, phases, outages, reading, reading)
    return judge_scan(history, LINKED, upload=upload)


# --- Uploads.

DUPLICATE, NO_RESULTS = REFUSALS[0], REFUSALS[1]
DIGEST: Final = "0123456789abcdef" * 4
REFUSED: Final = Refused(DUPLICATE.text, DUPLICATE)
UNSENT: Final = (Unfinished.NOT_SENT, Unfinished.BROKEN_OFF)
LOST: Final = Failure(Reason.UNREACHABLE, "tf.example.com closed the connection before it responded.")


def uploaded(receipt: Receipt | int, name: str = "contoso.fpr", *, size: int = 12_345_678) -> Upload:
    """Build an upload that took 8 seconds; a number is the id of its pending scan."""
    result = Queued((Target(6, receipt),)) if isinstance(receipt, int) else receipt
    return Upload(ScanFile(name, size, name), result, 8.0, digests=() if result in UNSENT else (DIGEST,))


# --- Checks.

POLICY: Final = Policy(name="Release")
CRITERIA: Final = PassCriteria()
POLICIES: Final = AllPolicies()
MORNING: Final = 1_767_323_045.0
"""2026-01-02 03:04:05 UTC."""
PASSING: Final = CheckResult("Release", True, "PASSING", evaluated=MORNING)  # noqa: FBT003 - whether it holds
FAILING: Final = CheckResult("Release", False, "FAILING", evaluated=MORNING)  # noqa: FBT003
STALE: Final = CheckResult("Release", True, "PASSING", evaluated=MORNING, behind=240.0)  # noqa: FBT003
CRITICAL: Final = CheckResult("Critical", False, "", ("at most 0 open", "at most 0 introduced"), 5, 3)  # noqa: FBT003
HIGH: Final = CheckResult("High", True, "", ("at most 9 open",), 4, 2)  # noqa: FBT003
PAGE: Final = "https://tf.example.com/threadfix/vulnerabilities"
OBSTACLES: Final = tuple(
    Obstacle(number, "SQL Injection", "Critical", f"/login.jsp: user{number % 10}", f"{PAGE}/{number}")
    for number in range(700, 710)
)


def checked(
    check: Check = POLICY,
    *results: CheckResult,
    stale: float = 0.0,
    obstacles: Sequence[Obstacle] = (),
    failure: Failure | None = None,
) -> CheckVerdict:
    """Build the verdict on a check that took 20 seconds, and was stale for the first `stale` seconds of them.

    A check without results is undecided; with `failure`, the last response is missing.
    """
    known = [result.holds for result in results]
    holds = None if not known or None in known else all(known)
    is_fresh = all(result.behind == 0 for result in results)
    reading = CheckReading("fresh" if is_fresh else "stale", False if False in known else holds, results)
    phases = (Phase("stale", 0.0, max(stale - 1.0, 0.0), 3),) if stale or not is_fresh else ()
    history: CheckHistory = History(
        check,
        StopCause.LIMIT if failure else StopCause.DECIDED,
        20.0,
        5,
        2 if failure else 0,
        (*phases, Phase("fresh", stale, 20.0, 2)) if is_fresh and not failure else phases,
        (Outage(2.0, failure, 2),) if failure else (),
        failure or reading,
        None if failure else reading,
    )
    page = "https://tf.example.com/threadfix/applications/6"
    return judge_check(history, LINKED, obstacles=tuple(obstacles), url=page)


def verdict(  # noqa: PLR0913 - the parts of a verdict
    *scans: ScanVerdict,
    uploads: Sequence[Upload] = (),
    checks: Sequence[CheckVerdict] = (),
    accepted: frozenset[Accept] = frozenset(),
    resume: str = "",
    invalid: Sequence[InvalidOption] = (EMPTY,),
    elapsed: float = 101.234,
    result_file: str = "",
) -> Verdict:
    """Build the final verdict on uploads, scans (also those of the uploads) and checks, or on invalid options."""
    error = UsageError(invalid)
    settings = replace(LINKED, rules=replace(LINKED.rules, accepted=accepted))
    judged_uploads = (judge_upload(upload, settings, application=SHOP) for upload in uploads)
    ended = tuple(_with_flags(upload) for upload in judged_uploads if upload)
    scans, checks = tuple(map(_with_flags, scans)), tuple(map(_with_flags, checks))
    parts: tuple[Part, ...] = (*ended, *scans, *checks)
    return Verdict(
        conclusion=name_options(conclude(parts, SHOP) if parts else from_error(error), FLAGS),
        started_at=AT,
        finished_at=AT,
        elapsed=elapsed,
        scans=scans,
        ended_uploads=ended,
        checks=checks,
        uploads=tuple(uploads),
        application=SHOP if parts else None,
        server="https://tf.example.com" if parts else "",
        resume=resume,
        replaced=("scan-file",) if uploads else (),
        invalid=() if parts else error.invalid,
        result_file=result_file,
    )


def _with_flags(part: PartVerdict) -> PartVerdict:
    """Fill the flags of options into the texts, as a run does."""
    return replace(part, conclusion=name_options(part.conclusion, FLAGS))

"""Histories, scan verdicts and verdicts for tests: valid ones, of which a test says only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gate.conclusions import conclude, from_error
from gate.errors import InvalidOption, UsageError
from gate.history import Failure, History, Observation, Outage, Phase, ScanHistory, ScanReading, StopCause
from gate.parts.scans import ScanVerdict, judge_scan
from gate.reasons import Reason
from gate.settings import Settings
from gate.subjects import ApplicationId, Target
from gate.text import Secret
from gate.threadfix.server import Server
from gate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET: Final = Target(6, 41)
SETTINGS: Final = Settings(
    Server("https://tf.example.com/threadfix", Secret("key")),
    ApplicationId(TARGET.application_id),
    (TARGET.pending_scan_id,),
)


def history_of(
    newest: Observation, ended: StopCause = StopCause.DECIDED, reading: ScanReading | None = None
) -> ScanHistory:
    """The history of a wait of 100 seconds and nine polls.

    Args:
        newest: the newest observation; a failure makes an outage from 40 s on.
        ended: what ended the wait.
        reading: the newest reading, where `newest` is a failure.
    """
    known = newest if isinstance(newest, ScanReading) else reading
    return History(
        TARGET,
        ended,
        elapsed=100.0,
        polls=9,
        errors=int(isinstance(newest, Failure)),
        phases=(Phase(known.status, 0, 90),) if known else (),
        outages=(Outage(40.0, newest, polls=3),) if isinstance(newest, Failure) else (),
        newest=newest,
        reading=known,
    )


def judged(history: ScanHistory, **changes: object) -> ScanVerdict:
    """The verdict on a history, with some of `SETTINGS` changed."""
    return judge_scan(history, replace(SETTINGS, **changes))  # type: ignore[arg-type]


LINKED: Final = replace(SETTINGS, ui_url="{url}/scans/{scan_id}")
DOWN: Final = Failure(Reason.UNREACHABLE, "tf.example.com returned HTTP 502.")
AT: Final = datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC)
EMPTY: Final = InvalidOption("--timeout", "--timeout: is empty.")


def walked(
    number: int = 41,
    status: str = "DONE",
    ended: StopCause = StopCause.DECIDED,
    name: str | None = "contoso.fpr",
    *,
    walk: tuple[Phase, ...],
) -> ScanVerdict:
    """The verdict on a pending scan that walked through some statuses and one outage, in 100 seconds.

    Args:
        number: its id.
        status: its last one.
        ended: what ended the wait.
        name: the scan's name.
        walk: its phases; the last one gets `status`.
    """
    reading = ScanReading(status, scan_id=12 if status == "DONE" else None, name=name)
    phases = (*walk[:-1], replace(walk[-1], status=status))
    outages = (Outage(20.0, DOWN, 2, ended=30.0),)
    history = History(Target(6, number), ended, 100.0, 14, 2, phases, outages, reading, reading)
    return judge_scan(history, LINKED)


def verdict(
    *scans: ScanVerdict,
    resume: str = "",
    invalid: Sequence[InvalidOption] = (EMPTY,),
    elapsed: float = 101.234,
    result_file: str = "",
) -> Verdict:
    """The finished verdict on some scans; without any, on invalid options."""
    error = UsageError(invalid)
    return Verdict(
        conclusion=conclude(scans) if scans else from_error(error),
        started_at=AT,
        finished_at=AT,
        elapsed=elapsed,
        scans=scans,
        server="https://tf.example.com" if scans else "",
        resume=resume,
        mistakes=() if scans else error.invalid,
        result_file=result_file,
    )

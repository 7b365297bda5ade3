"""Histories, scan verdicts and verdicts for tests: valid ones, of which a test says only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from gate.history import Failure, History, Observation, Outage, Phase, ScanHistory, ScanReading, StopCause, Target
from gate.settings import Settings
from gate.text import Secret
from gate.threadfix.server import Server
from gate.verdict import ScanVerdict, Verdict, conclude, judge_scan

TARGET: Final = Target(6, 41)
SETTINGS: Final = Settings(Server("https://tf.example.com/threadfix", Secret("key")), (TARGET,))
STARTED: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


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


def verdict_on(*scans: ScanVerdict) -> Verdict:
    """The finished verdict on at least one scan."""
    return Verdict(conclude(scans), STARTED, STARTED, 1.0, scans, "https://tf.example.com")

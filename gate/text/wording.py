"""Format durations, counts, moments and our own sentences for people."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Final

QUOTE_LIMIT: Final = 80
"""Characters of the longest value that a message repeats."""
_UNITS: Final = ("kB", "MB", "GB", "TB")
_STEP: Final = 1000
_KEY: Final = re.compile("[A-Za-z0-9]{32,}")
"""The value may be a ThreadFix key that was meant for another option."""


def seconds(value: float) -> str:
    """Return a duration for people: `0.4s`, `8s`, `2m10s`, `1h03m`."""
    if value < 10:  # noqa: PLR2004
        return f"{round(value, 1):g}s"
    whole = round(value)
    if whole < 60:  # noqa: PLR2004
        return f"{whole}s"
    if whole < 3600:  # noqa: PLR2004
        return f"{whole // 60}m{whole % 60:02}s" if whole % 60 else f"{whole // 60}m"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m" if whole % 3600 // 60 else f"{whole // 3600}h"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 poll`, `2 polls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(octets: float) -> str:
    """Return a size for people, in steps of a thousand: `1 byte`, `812 bytes`, `1.2 kB`, `34 MB`."""
    if octets < _STEP:
        return count(round(octets), "byte")
    value, unit = octets / _STEP, _UNITS[0]
    for larger in _UNITS[1:]:
        if round(value) < _STEP:
            break
        value, unit = value / _STEP, larger
    return f"{round(value, 1):g} {unit}" if value < 10 else f"{round(value)} {unit}"  # noqa: PLR2004


def utc(at: float) -> datetime | None:
    """Return the moment `at`, in seconds since the epoch; None if the calendar has no such day."""
    try:
        return datetime.fromtimestamp(at, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def timestamp(moment: datetime) -> str:
    """Return a moment in UTC for machines: RFC 3339, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: datetime) -> str:
    """Return a moment in UTC for people: `2026-01-02 03:04:05 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def instant(at: float | None) -> str:
    """Return a moment, in seconds since the epoch, for people; empty if unknown."""
    date = None if at is None else utc(at)
    return moment(date) if date else ""


def plain(markdown: str) -> str:
    """Return our own sentence without its Markdown marks, for plain text."""
    return markdown.replace("`", "").replace("*", "")


def quoted(value: str) -> str:
    """Return a value in quotes, or only its length if it is long."""
    # Not cut: half of a key would get past the sanitizer.
    if len(value) > QUOTE_LIMIT or _KEY.fullmatch(value):
        return f"the value ({len(value)} characters)"
    return f"'{value}'"

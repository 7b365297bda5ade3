"""Lengths of time, counts, moments and sentences of ours, as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def seconds(value: float) -> str:
    """A length of time for people: `0.4s`, `8s`, `2m10s`, `1h03m`."""
    if value < 10:  # noqa: PLR2004
        return f"{round(value, 1):g}s"
    whole = round(value)
    if whole < 60:  # noqa: PLR2004
        return f"{whole}s"
    if whole < 3600:  # noqa: PLR2004
        return f"{whole // 60}m{whole % 60:02}s" if whole % 60 else f"{whole // 60}m"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m" if whole % 3600 // 60 else f"{whole // 3600}h"


def count(number: int, noun: str) -> str:
    """`1 poll`, `2 polls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def timestamp(moment: datetime) -> str:
    """A moment in UTC as machines read it: RFC 3339, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: datetime) -> str:
    """A moment in UTC as people read it: `2026-01-02 03:04:05 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def plain(markdown: str) -> str:
    """A sentence of ours without its Markdown marks, for where they would be shown as they are."""
    return markdown.replace("`", "").replace("*", "")

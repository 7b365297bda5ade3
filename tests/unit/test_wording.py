"""Lengths of time, counts, moments and sentences, as people read them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from gate.text.wording import count, moment, plain, seconds, size, timestamp, utc

AT = datetime(2026, 1, 2, 3, 4, 5, 678_900, timezone.utc)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0s"), (0.04, "0s"), (2, "2s"), (9.94, "9.9s"), (10.4, "10s"), (59.4, "59s"), (59.6, "1m"), (61, "1m01s"),
     (1800, "30m"), (3599.7, "1h"), (3780, "1h03m")],
)  # fmt: skip
def test_lengths_of_time(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB"), (1240, "1.2 kB"), (9960, "10 kB"),
     (999_499, "999 kB"), (999_500, "1 MB"), (12_345_678, "12 MB"), (2_147_483_648, "2.1 GB"),
     (1.5e12, "1.5 TB"), (5e15, "5000 TB")],
)  # fmt: skip
def test_amounts_of_data(octets: float, text: str) -> None:
    assert size(octets) == text


def test_a_moment_outside_the_calendar_is_none() -> None:
    """A server may send any number of seconds."""
    assert utc(1_767_323_045.6789) == AT
    assert [utc(at) for at in (1e300, -1e300, float("nan"))] == [None, None, None]


def test_counts() -> None:
    assert (count(1, "poll"), count(2, "poll"), count(0, "poll")) == ("1 poll", "2 polls", "0 polls")


def test_moments() -> None:
    assert timestamp(AT) == "2026-01-02T03:04:05.678Z"
    assert moment(AT) == "2026-01-02 03:04:05 UTC"


def test_a_sentence_without_its_marks() -> None:
    assert plain("Set `--url`, with *Upload Scans*.") == "Set --url, with Upload Scans."

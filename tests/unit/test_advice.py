"""The table of advice by kind of failure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gate.model.advice import ADVICE, DOCTOR, UPLOAD_AGAIN, UPLOAD_UNCERTAIN, Doing, FailureKind, advise

GATE = Path(__file__).parents[2] / "gate"


@pytest.mark.parametrize(
    ("kind", "doing", "meaning", "hint"),
    [
        (FailureKind.OTHER, Doing.STATUS, None, None),
        (FailureKind.DNS, Doing.STATUS, None, "Check the host in {--url}"),
        (FailureKind.DNS, Doing.LOOKUP_BY_NAME, None, "Check the host in {--url}"),
        (FailureKind.DNS, Doing.UPLOAD_UNSENT, "Nothing of the file was sent", "Check the host in {--url}"),
        (FailureKind.RESET, Doing.UPLOAD, UPLOAD_UNCERTAIN, UPLOAD_AGAIN),
        (FailureKind.TIMEOUT, Doing.STATUS, None, None),
        (FailureKind.TIMEOUT, Doing.UPLOAD, UPLOAD_UNCERTAIN, "{--upload-timeout}"),
        (FailureKind.NO_ENDPOINT, Doing.STATUS, None, None),
        (FailureKind.NO_ENDPOINT, Doing.LOOKUP, "no such endpoint", "Check {--application-id}"),
        (FailureKind.NO_ENDPOINT, Doing.UPLOAD, "no such endpoint", "Check {--application-id}"),
        (FailureKind.NO_ENDPOINT, Doing.CRITERIA, None, "2.5 or later"),
        (FailureKind.DENIED, Doing.UPLOAD, "may not upload", ""),
        (FailureKind.ANOTHER, Doing.STATUS, "nothing about your scan", "{--status-path}"),
        (FailureKind.ANOTHER, Doing.LOOKUP_BY_UNIQUE_ID, "", "{--application-unique-id}"),
        (FailureKind.ANOTHER, Doing.POLICIES, "nothing about the release", "the name of the policy"),
    ],
)
def test_the_more_specific_row_counts(kind: FailureKind, doing: Doing, meaning: str | None, hint: str | None) -> None:
    advice = advise(kind, doing)
    assert (advice.meaning is None, advice.hint is None) == (meaning is None, hint is None)
    assert (meaning or "") in (advice.meaning or "")
    assert (hint or "") in (advice.hint or "")
    assert (advice.meaning == "", advice.hint == "") == (meaning == "", hint == "")


def test_socks_is_never_advised() -> None:
    """The gate supports no SOCKS proxy, with or without further packages."""
    sentences = [sentence for row in ADVICE.values() for sentence in row if sentence] + list(DOCTOR.values())
    assert not [sentence for sentence in sentences if re.search("socks", sentence, re.IGNORECASE)]
    assert "http proxy" in str(advise(FailureKind.SOCKS, Doing.STATUS).hint)


def test_every_kind_and_every_purpose_is_used() -> None:
    used = {
        name
        for file in GATE.rglob("*.py")
        if file.name != "advice.py"
        for name in re.findall(r"(?:FailureKind|Doing)\.[A-Z_]+", file.read_text(encoding="utf-8"))
    }
    assert {*map(str, FailureKind), *map(str, Doing)} <= used | {"FailureKind.OTHER", "Doing.STATUS"}


def test_a_failure_carries_no_advice() -> None:
    """The network and the calls to ThreadFix decide the kind; the table has the sentences."""
    rooms = [*GATE.glob("net/*.py"), *(GATE / "threadfix" / f"{name}.py" for name in CALLS)]
    assert not [file.name for file in rooms if re.search(r"\{(--|@)", file.read_text(encoding="utf-8"))]


CALLS = ("api", "client", "lookup", "uploads", "policies")

"""The fuzzer passes a few inputs of the gate, and fails if the gate has a bug."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unmeasured
INPUTS = 400
TRY = """
import sys, pathlib
from gate.text import sanitizer
from gate.threadfix import client, responses, rules
{bug}
from proof import fuzz
bench = fuzz.Bench(pathlib.Path(sys.argv[1]))
print(next((flaw for number in range({inputs}) if (flaw := fuzz.one(bench, "1", number)[1])), "none"))
"""
BUGS = (
    ("", "none"),
    ("sanitizer.hide = lambda value, *_: value", "the key is in"),
    ("rules.ACCEPTORS = tuple(row for row in rules.ACCEPTORS if row.decision is not rules.Decision.ERROR)", "counts"),
    ("read = responses.pending_scan; responses.pending_scan = lambda e: read(e)._replace(app_id=6)", "counts"),
)


@pytest.mark.parametrize(("bug", "flaw"), BUGS, ids=["none", "redaction", "error", "application"])
def test_the_fuzzer_finds_a_bug_in_a_few_inputs_and_otherwise_nothing(bug: str, flaw: str, tmp_path: Path) -> None:
    script = TRY.format(bug=bug, inputs=INPUTS)
    found = subprocess.run(
        [sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert flaw in found.stdout, found.stdout


def test_a_finding_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "1-5.json").write_text('{"seed": "1", "number": 5}')
    command = [sys.executable, "-m", "proof.fuzz", "--replay", str(tmp_path / "1-5.json")]
    assert "no finding" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

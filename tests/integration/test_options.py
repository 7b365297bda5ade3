"""Tests of the command line and the environment in real processes: no key is shown, and no rule is silently dropped."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gate.options.table import BY_NAME, OPTIONS
from gate.reporters import reports
from gate.sandbox.scenarios import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Gate

KEY = "r31OPbW9LEAYnnAskBjYRACYmF2mGOmWgQAKmtPYE5YY"
"""A key that was typed in the wrong place. The gate does not know it."""
REPORTS = [BY_NAME[report.option] for report in reports.REPORTS if report.destination is reports.Destination.FILE]
VALUED = [option for option in OPTIONS if option.flag and not option.is_switch and option not in REPORTS]
GIVEN = ("--application-id", "6", "--pending-scan-id", "41")


def run_on_github(folder: Path, *args: str, **env: str) -> tuple[int, str]:
    """Run the gate in a process on GitHub. Return its exit code and everything that it wrote."""
    files = {option.variable: option.name for option in REPORTS}
    github = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary.md"}
    for name in ("output", "summary.md"):
        (folder / name).touch()
    ended = subprocess.run(
        [sys.executable, "-m", "gate", *args],
        cwd=folder,
        env=os.environ | files | github | env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    written = [path.read_bytes() for path in folder.iterdir() if path.suffix != ".key"]
    return ended.returncode, b"\n".join([ended.stdout, ended.stderr, *written]).decode()


@pytest.mark.parametrize(
    "args",
    [
        (KEY,),
        (f"--unknown={KEY}",),
        ("sandbox", "--host", KEY),
        ("sandbox", "--port", KEY),
        ("sandbox", "--port", "9" * 5000),
        ("sandbox", "--speed", KEY, "--generation", KEY),
        ("demo", KEY),
        ("demo", "--port", KEY),
        ("demo", "--timeout", KEY),
        ("run", KEY),
        ("run", f"--unknown={KEY}"),
        ("run", "--unknown", KEY),
        ("run", f"--{KEY}"),
        ("run", f"-{KEY}"),
        ("run", f"--quiet={KEY}"),
        ("doctor", KEY, "--url", KEY, "--timeout", KEY),
    ],
    ids=lambda args: " ".join(args).replace(KEY, "KEY")[:40],
)
def test_no_argument_is_shown(args: tuple[str, ...], tmp_path: Path) -> None:
    """It may be a key that was pasted into the wrong place."""
    code, written = run_on_github(tmp_path, *args)
    assert (code, KEY in written, "9" * 50 in written) == (2, False, False)


def test_no_key_in_an_option_is_shown(tmp_path: Path) -> None:
    """Each option gets a key, as a flag, as a variable and within another text."""
    flags = [word for option in VALUED for word in (f"--{option.name}", KEY)]
    variables = {option.variable: KEY for option in VALUED}
    templates = {"THREADFIX_UI_URL": f"{{{KEY}}}", "THREADFIX_STATUS_PATH": f"{{{KEY}}}/{{pending_scan_id}}"}
    lists = {option.variable: f"{KEY},{KEY}x" for option in VALUED if option.many}
    for args, env in ((flags, {}), ([], variables), ([], variables | templates | lists)):
        code, written = run_on_github(tmp_path, "run", *args, **env)
        assert (code, KEY in written) == (2, False)


@pytest.mark.parametrize("content", [bytes(range(256)) * 600, b"k" * 150_000, b"k" * 513], ids=len)
def test_a_long_key_is_invalid_and_not_shown(content: bytes, tmp_path: Path) -> None:
    """A binary file in place of the key must not cost time for each of its characters."""
    (tmp_path / "api.key").write_bytes(content)
    code, written = run_on_github(
        tmp_path, "run", *GIVEN, "--url", "https://tf.example.com", "--api-key-file", "api.key"
    )
    assert code == 2
    assert "the key has more than 512 characters" in written
    assert content[40:80].decode(errors="replace") not in written
    code, written = run_on_github(tmp_path, "run", *GIVEN, THREADFIX_API_KEY="k" * min(len(content), 100_000))
    assert (code, "k" * 9 in written) == (2, False)


@pytest.mark.parametrize("key", ["two\nlines", "bell\x07bell", "ключключ", "k" * 600], ids=ascii)
def test_an_invalid_key_is_not_shown(key: str, tmp_path: Path) -> None:
    code, written = run_on_github(tmp_path, "run", *GIVEN, THREADFIX_API_KEY=key)
    shown = "".join(line for line in written.splitlines(keepends=True) if not line.startswith("::add-mask::"))
    assert (code, key[-5:] in shown) == (2, False)


@pytest.mark.parametrize(
    "args",
    [
        ("--html-file", "--pass-criteria"),
        ("--ca-file", "--policy", "Release"),
        ("--policy", "--pass-criteria"),
        ("--policy", "", "--policy", "Release"),
        ("--criteria-from", "2026-01-31"),
        ("--application-id", "6", "--application-id", "12"),
        ("--application-id", "6", "--application-id=6"),
        ("--pass-criteria", "--no-pass-criteria"),
        ("--pass-criteria", "--settle-timeout", "20ms"),
    ],
    ids=" ".join,
)
def test_a_requested_check_is_not_dropped(args: tuple[str, ...], gate: Gate) -> None:
    """An empty shell variable or a typing error ends the run before anything is sent."""
    scan = gate.threadfix.add(SCENARIOS["done"])
    process = gate.start("--pending-scan-id", str(scan), *args)
    _, err = process.communicate()
    assert (process.returncode, gate.threadfix.seen) == (2, []), err
    assert "nothing was sent" in err


@pytest.mark.parametrize(
    "name",
    [
        "POLICIES",
        "POLCY",
        "GATE_POLICY",
        "GATE_PASS_CRITERIA",
        "PASS_CRITERA",
        "CRITERIA_TO",
        "RELEASE_POLICY",
        "TIMOUT",
    ],
)
@pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["loud", "quiet"])
def test_a_variable_that_resembles_an_option_is_invalid(name: str, quiet: tuple[str, ...], gate: Gate) -> None:
    """The variable is named, and its value is not shown."""
    scan = gate.threadfix.add(SCENARIOS["done"])
    process = gate.start("--pending-scan-id", str(scan), *quiet, env={f"THREADFIX_{name}": KEY})
    _, err = process.communicate()
    assert (process.returncode, gate.threadfix.seen) == (2, []), err
    assert f"THREADFIX_{name} is not an option; did you mean THREADFIX_" in err
    assert KEY not in err


@pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["loud", "quiet"])
def test_other_variables_are_one_warning(quiet: tuple[str, ...], gate: Gate) -> None:
    unknown = {"THREADFIX_HOME": KEY, "THREADFIX_STATUS_URL": KEY, "THREADFIX_GATE_VERDICT": "pass"}
    ran = gate.play(SCENARIOS["done"], *quiet, env=unknown)
    assert ran.code == 0
    warnings = [line for line in ran.err.splitlines() if line.startswith("warning:")]
    assert warnings == ["warning: THREADFIX_HOME, THREADFIX_STATUS_URL are not options and have no effect."]
    assert KEY not in ran.err

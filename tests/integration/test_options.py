"""Tests of the command line and the environment: no key is shown, and no rule is silently dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gate.cli import main
from gate.options.table import BY_NAME, OPTIONS
from gate.reporters import reports
from gate.sandbox.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Gate

    Run = Callable[..., tuple[int, str]]

KEY = "r31OPbW9LEAYnnAskBjYRACYmF2mGOmWgQAKmtPYE5YY"
"""A key that was typed in the wrong place. The gate does not know it."""
REPORTS = [BY_NAME[report.option] for report in reports.REPORTS if report.destination is reports.Destination.FILE]
VALUED = [option for option in OPTIONS if option.flag and not option.is_switch and option not in REPORTS]
GIVEN = ("run", "--application-id", "6", "--pending-scan-id", "41")


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Run:
    """Return a function that runs a command as a step on GitHub. It returns the exit code, and all that was written."""
    request.getfixturevalue("on_a_runner")
    monkeypatch.chdir(tmp_path)
    github = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary.md"}

    def start(*args: str, **env: str) -> tuple[int, str]:
        for name in ("output", "summary.md"):
            (tmp_path / name).write_text("")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ({option.variable: option.name for option in REPORTS} | github | env).items():
                patch.setenv(name, value)
            code = main(args)
        files = [path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path.suffix != ".key"]
        return code, "\n".join([*capfd.readouterr(), *files])

    return start


def test_no_argument_is_shown(run: Run) -> None:
    """It may be a key that was pasted into the wrong place."""
    for args in (
        (KEY,), (f"--unknown={KEY}",),
        ("sandbox", "--host", KEY), ("sandbox", "--port", KEY), ("sandbox", "--port", "9" * 5000),
        ("sandbox", "--speed", KEY, "--generation", KEY),
        ("demo", KEY), ("demo", "--port", KEY), ("demo", "--timeout", KEY),
        ("run", KEY), ("run", f"--unknown={KEY}"), ("run", "--unknown", KEY), ("run", f"--{KEY}"), ("run", f"-{KEY}"),
        ("run", f"--quiet={KEY}"), ("doctor", KEY, "--url", KEY, "--timeout", KEY),
    ):  # fmt: skip
        code, written = run(*args)
        assert (code, KEY in written, "9" * 50 in written) == (2, False, False), args


def test_no_key_in_an_option_is_shown(run: Run) -> None:
    """Each option gets a key, as a flag, as a variable and within another text."""
    flags = [word for option in VALUED for word in (f"--{option.name}", KEY)]
    variables = {option.variable: KEY for option in VALUED}
    templates = {"THREADFIX_UI_URL": f"{{{KEY}}}", "THREADFIX_STATUS_PATH": f"{{{KEY}}}/{{pending_scan_id}}"}
    lists = {option.variable: f"{KEY},{KEY}x" for option in VALUED if option.many}
    for args, env in ((flags, {}), ([], variables), ([], variables | templates | lists)):
        code, written = run("run", *args, **env)
        assert (code, KEY in written) == (2, False)


@pytest.mark.parametrize("content", [bytes(range(256)) * 600, b"k" * 150_000, b"k" * 513], ids=len)
def test_a_long_key_is_invalid_and_not_shown(content: bytes, run: Run, tmp_path: Path) -> None:
    """A binary file in place of the key must not cost time for each of its characters."""
    (tmp_path / "api.key").write_bytes(content)
    code, written = run(*GIVEN, "--url", "https://tf.example.com", "--api-key-file", "api.key")
    assert (code, "the key has more than 512 characters" in written) == (2, True)
    assert content[40:80].decode(errors="replace") not in written


def test_an_invalid_key_is_not_shown(run: Run) -> None:
    for key in ("two\nlines", "bell\x07bell", "ключключ", "k" * 600, "k" * 100_000):
        code, written = run(*GIVEN, THREADFIX_API_KEY=key)
        shown = "".join(line for line in written.splitlines(keepends=True) if not line.startswith("::add-mask::"))
        assert (code, key[-5:] in shown) == (2, False), key


def test_a_requested_check_is_not_dropped(gate: Gate) -> None:
    """An empty shell variable or a typing error ends the run before anything is sent."""
    scan = str(gate.threadfix.add(SCENARIOS["done"]))
    for args in (
        ("--html-file", "--pass-criteria"), ("--ca-file", "--policy", "Release"), ("--policy", "--pass-criteria"),
        ("--policy", "", "--policy", "Release"), ("--criteria-from", "2026-01-31"),
        ("--application-id", "6", "--application-id", "12"), ("--application-id", "6", "--application-id=6"),
        ("--pass-criteria", "--no-pass-criteria"), ("--pass-criteria", "--settle-timeout", "20ms"),
    ):  # fmt: skip
        ran = gate("--pending-scan-id", scan, *args)
        assert (ran.code, gate.threadfix.seen, "nothing was sent" in ran.err) == (2, [], True), args


def test_a_variable_that_resembles_an_option_is_invalid(gate: Gate) -> None:
    """The variable is named, and its value is not shown."""
    scan = str(gate.threadfix.add(SCENARIOS["done"]))
    for name in ("POLICIES", "POLCY", "GATE_POLICY", "PASS_CRITERA", "CRITERIA_TO", "RELEASE_POLICY", "TIMOUT"):
        ran = gate("--pending-scan-id", scan, "--quiet", env={f"THREADFIX_{name}": KEY})
        assert (ran.code, gate.threadfix.seen) == (2, []), ran.err
        assert f"THREADFIX_{name} is not an option; did you mean THREADFIX_" in ran.err
        assert KEY not in ran.err


def test_other_variables_are_one_warning(gate: Gate) -> None:
    ran = gate.play(SCENARIOS["done"], "--quiet", env={"THREADFIX_HOME": KEY, "THREADFIX_STATUS_URL": KEY})
    assert "warning: THREADFIX_HOME, THREADFIX_STATUS_URL are not options and have no effect." in ran.err.splitlines()
    assert (ran.code, KEY in ran.err) == (0, False)

"""Tests of the command line: invalid arguments, help, streams and exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading

import pytest

from gate import __version__
from gate.cli import UNEXPECTED, main
from gate.flow import context
from gate.model.reasons import Reason
from gate.options.table import EXPERT, OPTIONS


def usage(capfd: pytest.CaptureFixture[str], *args: str) -> list[str]:
    """Return the message for each invalid option of a command line."""
    assert main(["run", *args]) == Reason.USAGE.row.exit_code
    out, err = capfd.readouterr()
    assert out == ""
    return [line.strip() for line in err.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--tiemout", "5"), "unknown option --tiemout; did you mean --timeout?"),
        (("--zzz=1",), "unknown option --zzz; --help lists the options."),
        (("--timeout",), "--timeout requires a value."),
        (("--html-file", "--pass-criteria"),
         "--html-file requires a value. If the value begins with --, write --html-file=VALUE."),
        (("--timeout", "5m", "--timeout=5m"), "--timeout is given twice; leave one of them out."),
        (("--team-name", "a", "--team-name", "b"), "--team-name is given twice; leave one of them out."),
        (("--pass-criteria", "--no-pass-criteria"),
         "--pass-criteria and --no-pass-criteria contradict each other; leave one of them out."),
        (("--r31OPbW9LEAYnnAskBjYRACYmF2mGOmWgQAKmtPYE5YY",), UNEXPECTED),
        (("--pass-criteria=yes",), "--pass-criteria takes no value; write --pass-criteria or --no-pass-criteria."),
        (("hunter2",), UNEXPECTED),
        (("--scan-file", "a.xml", "b.xml", "c.xml"), UNEXPECTED),  # the shell has expanded *.xml
        (("--fail-on", "high"), "unknown option --fail-on; --help lists the options."),
        (("--no-summary=x",), "--no-summary takes no value; write --summary or --no-summary."),
        (("-v=1",), "-v takes no value; write --verbose or --no-verbose."),
        (("--", "-5x"), UNEXPECTED),
    ],
)  # fmt: skip
def test_an_invalid_argument_is_reported_with_advice(
    args: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sentences = usage(capfd, *args)
    assert sentences[0] == message
    assert any(sentence.startswith("--url is missing") for sentence in sentences)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("--ulr", "--url is missing"),
        ("--aplication-id", "--application-id is missing"),
        ("--aplication-name", "--application-id is missing"),
        ("--scan-fil", "no scan is specified"),
        ("--pending-scan", "no scan is specified"),
    ],
)
def test_a_misspelled_option_is_not_missing_too(name: str, missing: str, capfd: pytest.CaptureFixture[str]) -> None:
    misspelled, *others = usage(capfd, name, "x")
    assert misspelled.startswith(f"unknown option {name}; did you mean --")
    assert len(others) == 3
    assert not any(other.startswith(missing) for other in others)


@pytest.mark.parametrize(
    "args", [("--api-key", "hunter2"), ("--api-key=hunter2",), ("--api-kye", "hunter2"), ("hunter2",)]
)
def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    args: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """Every user of the machine can read a command line."""
    sentences = usage(capfd, *args)
    assert "hunter2" not in " ".join(sentences)
    if args[0].startswith("--api-key"):
        assert "everybody on this machine can read a command line" in sentences[0]


def test_short_flags_can_be_combined(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-vq"]) == 2
    assert "--verbose and --quiet contradict" in capfd.readouterr().err


def test_the_version_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"threadfix-gate {__version__}\n"


def test_without_a_command_the_help_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "threadfix-gate demo" in capfd.readouterr().err
    assert main(["--help"]) == 0
    assert "threadfix-gate demo" in capfd.readouterr().out


def test_an_unknown_command_is_not_repeated(capfd: pytest.CaptureFixture[str]) -> None:
    for args in (["hunter2"], ["--unknown=hunter2"], ["--", "hunter2"]):
        assert main(args) == 2
        err = capfd.readouterr().err
        assert "run, doctor, demo, sandbox" in err
        assert "hunter2" not in err


def test_the_help_of_demo_and_sandbox_is_short(capfd: pytest.CaptureFixture[str]) -> None:
    for command in ("demo", "sandbox"):
        assert main([command, "--help"]) == 0
        assert "--request-timeout" not in capfd.readouterr().out


def test_an_upload_response_can_come_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """So that `curl … | threadfix-gate run --upload-response -` works."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"<html>")))
    sentences = usage(capfd, "--upload-response", "-")
    assert any("this is not ThreadFix's response" in sentence for sentence in sentences)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" " * (context.INPUT_LIMIT + 1))))
    sentences = usage(capfd, "--upload-response", "-")
    assert any("longer than 1 MiB" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("args", "stream", "code"),
    [(("run", "--json"), "stdout", 2), (("run", "--json"), "stderr", 2), (("demo", "--list"), "stdout", 0),
     (("--help",), "stdout", 141)],
)  # fmt: skip
def test_a_stream_without_a_reader_is_no_verdict(args: tuple[str, ...], stream: str, code: int) -> None:
    """`threadfix-gate … | head` must not turn a verdict into 120, nor an end as a shell reports it (141) into 1."""
    reader, writer = os.pipe()
    os.close(reader)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writer}
    process = subprocess.run([sys.executable, "-m", "gate", *args], env=env, check=False, **streams)  # type: ignore[call-overload]
    os.close(writer)
    assert process.returncode == code


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
def test_a_closed_stream_does_not_change_the_exit_code(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m gate run --quiet {closed}"
    process = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")


def test_a_program_can_call_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    codes: list[int] = []
    caller = threading.Thread(target=lambda: codes.append(main(["run", "--json"])))
    caller.start()
    caller.join()
    assert codes == [2]
    assert json.loads(out.getvalue())["reason"] == "usage"


def test_a_log_in_an_old_encoding_does_not_end_the_gate() -> None:
    env = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "gate", "run", "--scan-file", "läßt"]
    process = subprocess.run(command, env=env, capture_output=True, check=False)
    assert process.returncode == 2
    assert b"l\\xe4\\xdft" in process.stderr


@pytest.mark.parametrize("doing", ["sys.exit(0)", "raise RuntimeError('hunter2')"])
def test_only_the_result_of_the_command_line_is_a_verdict(doing: str) -> None:
    """A stray exit or a bug ends with 70, neither a pass nor a fail, and its text is not shown."""
    code = f"import sys, gate.__main__ as m, gate.cli as c\ndef main(**_):\n    {doing}\nc.main = main\nm.entry()"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == Reason.INTERNAL.row.exit_code
    assert "internal error (exit code 70): " in process.stderr
    assert "hunter2" not in process.stderr.splitlines()[-1]


def test_a_broken_installation_is_no_fail() -> None:
    """A missing package ends with 70, and is named. Exit code 1 would mean that the scan failed."""
    code = "import sys; sys.modules['click'] = None; from gate.__main__ import entry; sys.exit(entry())"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == Reason.INTERNAL.row.exit_code
    assert "click" in process.stderr.splitlines()[-1]
    assert "install threadfix-gate again" in process.stderr


def test_there_is_no_shell_completion() -> None:
    """Completion variables of an earlier step must not end the gate with exit code 0."""
    env = os.environ | {"COMP_WORDS": "threadfix-gate run", "COMP_CWORD": "1"}
    env |= {"_THREADFIX_GATE_COMPLETE": "zsh_complete", "_THREADFIX-GATE_COMPLETE": "bash_source"}
    command = [sys.executable, "-m", "gate", "run"]
    process = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    assert "UNKNOWN (usage, exit code 2)" in process.stderr


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_help_is_readable_at_every_width(
    columns: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No line is too long, and no placeholder, option or variable is broken across lines."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["run", "--help"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert all(line.count("{") == line.count("}") for line in lines)
    assert not any(line.endswith("-") for line in lines)
    text = "\n".join(lines)
    for option in OPTIONS:
        assert f"[{option.variable}" in text or option.name == "api-key"


def test_help_begins_with_the_requirements(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    out = capfd.readouterr().out
    groups = dict.fromkeys(option.group for option in OPTIONS)
    headings = [line.removesuffix(":") for line in out.splitlines() if re.fullmatch(r"[A-Z][A-Za-z ]+:", line)]
    *others, last = groups
    assert headings == ["What you need", "Example", "Exit codes", *others, "Other", last]
    assert last == EXPERT
    for reason in Reason:
        assert reason.value in out

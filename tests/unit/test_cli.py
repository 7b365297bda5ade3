"""Tests of the command line: invalid arguments, help, streams and exit codes."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gate import __version__
from gate.cli import UNEXPECTED, main
from gate.flow import context
from gate.model.reasons import Reason
from gate.options.table import OPTIONS


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
        ("--ulr", "--url is missing"), ("--aplication-id", "--application-id is missing"),
        ("--aplication-name", "--application-id is missing"), ("--scan-fil", "no scan is specified"),
        ("--pending-scan", "no scan is specified"),
    ],
)  # fmt: skip
def test_a_misspelled_option_is_not_missing_too(name: str, missing: str, capfd: pytest.CaptureFixture[str]) -> None:
    misspelled, *others = usage(capfd, name, "x")
    assert misspelled.startswith(f"unknown option {name}; did you mean --")
    assert len(others) == 3
    assert not any(other.startswith(missing) for other in others)


def test_a_key_on_the_command_line_is_refused_and_not_repeated(capfd: pytest.CaptureFixture[str]) -> None:
    for args in (("--api-key", "hunter2"), ("--api-key=hunter2",), ("--api-kye", "hunter2"), ("hunter2",)):
        sentences = usage(capfd, *args)
        assert "hunter2" not in " ".join(sentences)
        reason = "everybody on this machine can read a command line"
        assert (reason in sentences[0]) is args[0].startswith("--api-key")


@pytest.mark.parametrize(
    ("args", "code", "out", "err"),
    [
        (["run", "-vq"], 2, "", "--verbose and --quiet contradict"),
        (["--version"], 0, f"threadfix-gate {__version__}\n", ""),
        ([], 2, "", "threadfix-gate demo"), (["--help"], 0, "threadfix-gate demo", ""),
        *((args, 2, "", "run, doctor, demo, sandbox") for args in (["hunter2"], ["--x=hunter2"], ["--", "hunter2"])),
    ],
)  # fmt: skip
def test_a_command_line_without_a_run(
    args: list[str], code: int, out: str, err: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """An unknown command is not repeated."""
    assert main(args) == code
    shown = capfd.readouterr()
    assert (out in shown.out, err in shown.err, bool(shown.out)) == (True, True, bool(out))
    assert "hunter2" not in shown.err


def test_an_upload_response_can_come_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """So that `curl … | threadfix-gate run --upload-response -` works."""
    for content, says in ((b"<html>", "not ThreadFix's response"), (b" " * (context.INPUT_LIMIT + 1), "than 1 MiB")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert any(says in sentence for sentence in usage(capfd, "--upload-response", "-"))


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


@pytest.mark.parametrize(
    ("doing", "says"),
    [
        ("gate.cli.main = lambda **_: sys.exit(0)", "internal error (exit code 70): "),
        ("gate.cli.main = lambda **_: int('hunter2')", "internal error (exit code 70): "),
        ("del sys.modules['gate.cli']; sys.modules['click'] = None", "install threadfix-gate again"),
    ],
)
def test_only_the_result_of_the_command_line_is_a_verdict(doing: str, says: str) -> None:
    """A stray exit, a bug or a missing package ends with 70, neither a pass nor a fail; no text of a bug is shown."""
    code = f"import sys, gate.cli, gate.__main__ as start\n{doing}\nsys.exit(start.entry())"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == Reason.INTERNAL.row.exit_code
    assert says in process.stderr
    assert "hunter2" not in process.stderr.splitlines()[-1]
    assert ("click" in process.stderr) is ("click" in doing)


def test_there_is_no_shell_completion(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Completion variables of an earlier step must not end the gate with exit code 0."""
    monkeypatch.setenv("COMP_WORDS", "threadfix-gate run")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_THREADFIX_GATE_COMPLETE", "zsh_complete")
    monkeypatch.setenv("_THREADFIX-GATE_COMPLETE", "bash_source")
    assert usage(capfd)


@pytest.mark.parametrize("command", ["run", "doctor", "demo", "sandbox"])
def test_help_reads_as_before(command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """`make golden` writes these files again."""
    monkeypatch.setenv("COLUMNS", "100")
    assert main([command, "--help"]) == 0
    file = Path(__file__).parents[1] / f"golden/help-{command}.txt"
    assert capfd.readouterr().out == file.read_text(encoding="utf-8")


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
        assert (f"--{option.name}" in text) is option.flag or option.name == "api-key"

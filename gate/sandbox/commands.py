"""The commands `sandbox` and `demo`: serve the embedded ThreadFix to any client, and run the gate against it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from gate.flow.run import run_gate
from gate.model.reasons import Cancelled, Reason
from gate.options.reader import may_be_shown
from gate.options.table import API_VERSION, APPLICATION_ID, OPTIONS, PENDING_SCAN_ID, SCAN_FILE, URL
from gate.reporters.console import to_log
from gate.sandbox import versions
from gate.sandbox.scenarios import GROUPS, SCENARIOS
from gate.sandbox.server import ThreadFix, environment, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gate.flow.signals import Signals
    from gate.model.reasons import InvalidOption
    from gate.sandbox.scenarios import Scenario

FIRST: Final = "done"
"""The scenario of the variables that are printed."""
_MAX_SPEED: Final = 1e6
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
AFTERWARDS: Final = """
That was the sandbox. With your own ThreadFix, run:

  export THREADFIX_API_KEY=...        # from a secret of your CI system
  threadfix-gate run --url https://tf.example.com/threadfix --application-id 6 --scan-file scan.fpr

That uploads the file and waits for its scan. To wait for a scan that was uploaded already, use --pending-scan-id in
place of --scan-file; --policy and --pass-criteria ask ThreadFix whether the application may be released.
To check the connection first, use doctor in place of run. Other scenarios: threadfix-gate demo --list"""


@dataclass(frozen=True, slots=True)
class Kind:
    """Which ThreadFix to embed, as typed."""

    speed: str = "1"  # how many times faster scenarios are played
    generation: str = "2.8.8"  # its version


def make(kind: Kind, sentences: list[str]) -> ThreadFix:
    """Build the ThreadFix to serve; add a sentence for each invalid option to `sentences`."""
    threadfix = ThreadFix()
    try:
        threadfix.speed = float(kind.speed)
    except ValueError:
        threadfix.speed = 0
    if not 0 < threadfix.speed < _MAX_SPEED:
        sentences.append("--speed must be a factor, for example 2 or 0.5.")
    generation = versions.parse(kind.generation)
    if generation is None or generation < versions.LEGACY:
        sentences.append("--generation must be a version of ThreadFix, for example 2.4.5, 2.5 or 2.8.8, or legacy.")
    else:
        threadfix.generation = generation
    return threadfix


def serve(  # noqa: PLR0913, PLR0917 - the options, as typed
    host: str,
    port: str,
    kind: Kind,
    quiet: bool,  # noqa: FBT001
    signals: Signals,
    invalid: Sequence[InvalidOption],
) -> int:
    """Serve the sandbox until a signal; return the signal's exit code. Port 0 is any free port."""
    sentences = [str(option) for option in invalid]
    threadfix = make(kind, sentences)
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) >= 2**16:
        sentences.append("--port must be a number from 0 to 65535.")
    if sentences:
        return report_invalid(sentences)
    if not quiet:
        threadfix.log = lambda method, path, code: to_log(f"{method} {path} → {code or 'no response'}")
    try:
        with serving(threadfix, host, int(port)) as url:
            for variable, value in environment(url, FIRST, threadfix.scans).items():
                print(f"export {variable}={shlex.quote(value)}", flush=True)  # noqa: T201 - to be evaluated by a shell
            if host not in _LOOPBACK:
                to_log("warning: anybody who can reach this machine can reach the sandbox.")
            for line in _instructions(threadfix, url):
                to_log(line)
            nothing: SimpleQueue[None] = SimpleQueue()
            while True:
                signals.receive(nothing)
    except Cancelled as error:
        return error.exit_code
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no such address"
        return report_invalid([f"--host, --port: cannot bind to this address ({why}); an example is 127.0.0.1, 8080."])


def report_invalid(sentences: Sequence[str]) -> int:
    """Log each invalid option; the exit code for them."""
    for sentence in sentences:
        to_log(sentence)
    return Reason.USAGE.row.exit_code


def _instructions(threadfix: ThreadFix, url: str) -> Iterator[str]:
    """Yield how to use the sandbox: each pending scan with its scenario, and the options of that scenario."""
    yield f"A ThreadFix sandbox is running at {url}. Stop it with Ctrl-C."
    yield "Set the variables above, and THREADFIX_PENDING_SCAN_ID to one of these; brackets show what it needs as well:"
    usual = environment(url, FIRST, threadfix.scans)
    for scenario in SCENARIOS.values():
        if scenario.files:
            continue
        variables = environment(url, scenario.name, threadfix.scans)
        number = variables.pop("THREADFIX_PENDING_SCAN_ID")
        also = [f"[{name}={value}]" for name, value in variables.items() if value != usual[name]]
        also += [f"[{shlex.join(scenario.flags)}]"] if scenario.flags else []
        yield f"  {number}  {scenario.name:<18} {' '.join((scenario.describe(threadfix.speed), *also))}"
    yield "To upload a file, unset THREADFIX_PENDING_SCAN_ID: otherwise the gate waits for that scan too."
    yield "An upload queues another one; the file's name, such as interrupted.fpr, chooses its scenario."


def list_scenarios() -> int:
    """Explain each scenario on standard output; exit code 0."""
    width = max(shutil.get_terminal_size((100, 24)).columns, 40)
    lines = ["Run one with: threadfix-gate demo SCENARIO", ""]
    for heading, scenarios in GROUPS.items():
        lines.append(f"{heading}:")
        for scenario in scenarios:
            row = scenario.expect.row
            lines.append(f"  {scenario.name:<18} {row.kind} ({scenario.expect}), exit code {row.exit_code}")
            lines.append(textwrap.fill(scenario.describe(), width, initial_indent=" " * 6, subsequent_indent=" " * 6))
    print("\n".join(lines))  # noqa: T201 - the requested output
    return 0


def demo(
    name: str, kind: Kind, flags: Mapping[str, Sequence[str]], signals: Signals, invalid: Sequence[InvalidOption]
) -> int:
    """Run the gate against one scenario; return the gate's exit code. `flags` override the scenario's options."""
    scenario = SCENARIOS.get(name)
    sentences = [str(option) for option in invalid]
    if scenario is None:
        sentences.append(f"unknown scenario; use one of {', '.join(SCENARIOS)}.")
    threadfix = make(kind, sentences)
    if sentences or scenario is None:
        return report_invalid(sentences)
    with _files_of(scenario) as options:
        if threadfix.generation < versions.QUEUE:
            options[API_VERSION.name] = ["legacy"]
        return _play(scenario, threadfix, options, flags, signals)


@contextmanager
def _files_of(scenario: Scenario) -> Iterator[dict[str, Sequence[str]]]:
    """Yield the scenario's options by their names; the files to upload exist while the block runs."""
    options: dict[str, Sequence[str]] = {name: [value] for name, value in scenario.options.items()}
    with TemporaryDirectory(prefix="threadfix-gate-", ignore_cleanup_errors=True) as folder:
        files = scenario.write(Path(folder))
        yield {SCAN_FILE.name: files} | options if files else options


def _play(
    scenario: Scenario,
    threadfix: ThreadFix,
    options: Mapping[str, Sequence[str]],
    flags: Mapping[str, Sequence[str]],
    signals: Signals,
) -> int:
    inherited = {variable: value for variable, value in os.environ.items() if not variable.startswith("THREADFIX_")}
    with serving(threadfix) as url:
        variables = environment(url, scenario.name, threadfix.scans)
        to_log(f"A ThreadFix sandbox is running at {url}, on this machine only.")
        to_log(f"Scenario '{scenario.name}': {scenario.describe(threadfix.speed)}")
        to_log(f"\n$ {shlex.join(_command(variables, {**options, **_without_secrets(flags)}))}")
        exit_code = run_gate({**options, **flags}, inherited | variables, signals, in_sandbox=True)
    to_log(f"(exit code {exit_code})")
    to_log(AFTERWARDS)
    return exit_code


def _without_secrets(flags: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the flags that were typed, with `...` for each value that may be a key."""
    by_name = {option.name: option for option in OPTIONS}
    return {
        name: [value if may_be_shown(by_name[name], value) else "..." for value in values]
        for name, values in flags.items()
    }


def _command(variables: Mapping[str, str], flags: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the command of the demo, as a user would type it; the key is in the environment."""
    command = ["threadfix-gate", "run"]
    for option in (URL, APPLICATION_ID, PENDING_SCAN_ID):
        if option.variable in variables:
            command += [f"--{option.name}", variables[option.variable]]
    switches = {option.name for option in OPTIONS if option.is_switch}
    for name, values in flags.items():
        for value in values:
            if name in switches:
                command.append(f"--{name}" if value == "true" else f"--no-{name}")
            else:
                command += [f"--{name}", value]
    return command

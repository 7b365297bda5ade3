"""The command `demo`: the gate against the embedded ThreadFix sandbox, for users without a server."""

from __future__ import annotations

import os
import shlex
import shutil
import textwrap
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from gate.flow.run import run_gate
from gate.options.reader import may_be_shown
from gate.options.table import API_VERSION, APPLICATION_ID, OPTIONS, PENDING_SCAN_ID, SCAN_FILE, URL
from gate.reporters.console import to_log
from gate.sandbox import versions
from gate.sandbox.command import make, report_invalid
from gate.sandbox.scenarios import GROUPS, SCENARIOS
from gate.sandbox.server import environment, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gate.flow.signals import Signals
    from gate.model.errors import InvalidOption
    from gate.sandbox.command import Kind
    from gate.sandbox.endpoints import ThreadFix
    from gate.sandbox.scenarios import Scenario

AFTERWARDS: Final = """
That was the sandbox. With your own ThreadFix, run:

  export THREADFIX_API_KEY=...        # from a secret of your CI system
  threadfix-gate run --url https://tf.example.com/threadfix --application-id 6 --scan-file scan.fpr

That uploads the file and waits for its scan. To wait for a scan that was uploaded already, use --pending-scan-id in
place of --scan-file; --policy and --pass-criteria ask ThreadFix whether the application may be released.
To check the connection first, use doctor in place of run. Other scenarios: threadfix-gate demo --list"""


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

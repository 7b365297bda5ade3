"""The commands `sandbox` and `demo`: the embedded ThreadFix for people."""

from __future__ import annotations

import os
import shlex
import threading
from typing import TYPE_CHECKING, Final

from gate import signals
from gate.commands.run import run_gate
from gate.errors import Cancelled
from gate.options import APPLICATION_ID, OPTIONS, PENDING_SCAN_ID, URL
from gate.reasons import Reason
from gate.reporters.console import to_log
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import API_KEY, ThreadFix, environment, serving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gate.errors import InvalidOption

USAGE: Final = Reason.USAGE.row.exit_code

AFTERWARDS: Final = """
That was the sandbox. With your own ThreadFix:

  export THREADFIX_API_KEY=…          # from a secret of your CI system
  threadfix-gate run --url https://tf.example.com/threadfix --application-id 6 --pending-scan-id 41

The ids are in the link that ThreadFix answers to an upload; --upload-response FILE takes that answer as it is.
Other stories: threadfix-gate demo --list"""


def list_scenarios() -> int:
    """Explain each scenario, on standard output."""
    for scenario in SCENARIOS.values():
        row = scenario.expect.row
        end = f"{row.kind} ({scenario.expect}), exit code {row.exit_code}"
        print(f"{scenario.name:<18} {scenario.about}\n{'':<18} Ends as {end}.")  # noqa: T201 - what was asked for
    return 0


def demo(name: str, speed: str, flags: Mapping[str, Sequence[str]], invalid: Sequence[InvalidOption]) -> int:
    """Run the gate against one scenario; the gate's exit code."""
    scenario = SCENARIOS.get(name)
    factor = _factor(speed)
    wrong = [str(one) for one in invalid]
    if scenario is None:
        wrong.append(f"there is no scenario of that name; there are {', '.join(SCENARIOS)}.")
    if factor is None:
        wrong.append("--speed: write how many times faster, for example 2 or 0.5.")
    if wrong or scenario is None or factor is None:
        return _usage(wrong)
    threadfix = ThreadFix(speed=factor)
    own = {name: value for name, value in os.environ.items() if not name.startswith("THREADFIX_")}
    with serving(threadfix) as url:
        played = environment(url, name, threadfix.scans)
        options = dict(zip(scenario.options[::2], ([value] for value in scenario.options[1::2]), strict=True))
        given = {flag.removeprefix("--"): value for flag, value in options.items()} | dict(flags)
        to_log(f"A ThreadFix sandbox answers at {url}, on this machine only. Scenario “{name}”: {scenario.about}")
        to_log(f"$ {shlex.join(_command(played, given))}")
        code = run_gate(given, own | played)
    to_log(f"(exit code {code})")
    to_log(AFTERWARDS)
    return code


def _command(played: Mapping[str, str], flags: Mapping[str, Sequence[str]]) -> list[str]:
    """The command that the demo runs, as a person would type it; the key is in the environment."""
    command = ["threadfix-gate", "run"]
    for option in (URL, APPLICATION_ID, PENDING_SCAN_ID):
        command += [f"--{option.name}", played[option.variable]]
    switches = {option.name for option in OPTIONS if option.is_switch}
    for name, values in flags.items():
        for value in values:
            if name in switches:
                command.append(f"--{name}" if value == "true" else f"--no-{name}")
            else:
                command += [f"--{name}", value]
    return command


def serve(host: str, port: str, speed: str, quiet: bool, invalid: Sequence[InvalidOption]) -> int:  # noqa: FBT001
    """Serve the sandbox until the process is stopped."""
    factor = _factor(speed)
    wrong = [str(one) for one in invalid]
    if not (port.isascii() and port.isdigit() and int(port) < 2**16):
        wrong.append("--port: write a number from 0 to 65535.")
    if factor is None:
        wrong.append("--speed: write how many times faster, for example 2 or 0.5.")
    if wrong or factor is None:
        return _usage(wrong)
    threadfix = ThreadFix(speed=factor)
    if not quiet:
        threadfix.log = lambda method, path, code: to_log(f"{method} {path} → {code or 'no answer'}")
    try:
        with signals.handled() as handler, serving(threadfix, host, int(port)) as url:
            handler.listen()
            for variable, value in environment(url, "done", threadfix.scans).items():
                print(f"export {variable}={shlex.quote(value)}", flush=True)  # noqa: T201 - to be evaluated by a shell
            if host not in ("127.0.0.1", "::1", "localhost"):
                to_log("warning: whoever can reach this machine can reach the sandbox.")
            to_log(f"A ThreadFix sandbox answers at {url}. Stop it with Ctrl-C. THREADFIX_PENDING_SCAN_ID may be:")
            for scenario in SCENARIOS.values():
                played = environment(url, scenario.name, threadfix.scans)
                also = "".join(
                    f" [{variable}={played[variable]}]"
                    for variable, usual in (("THREADFIX_URL", url), ("THREADFIX_API_KEY", API_KEY))
                    if played[variable] != usual
                )
                to_log(f"  {played['THREADFIX_PENDING_SCAN_ID']}  {scenario.name:<18} {scenario.about}{also}")
            to_log("An upload queues a new one; the name of its file, such as interrupted.fpr, chooses the scenario.")
            threading.Event().wait()
    except Cancelled:
        return 0
    except OSError as error:
        return _usage([f"--host, --port: {host}:{port} cannot be bound ({error.strerror or 'no such address'})."])
    return 0  # pragma: no cover - the wait above ends by a signal only


def _factor(speed: str) -> float | None:
    try:
        factor = float(speed)
    except ValueError:
        return None
    return factor if 0 < factor < 1e6 else None  # noqa: PLR2004


def _usage(sentences: Sequence[str]) -> int:
    for sentence in sentences:
        to_log(sentence)
    return USAGE

"""The command `sandbox`: serves the embedded ThreadFix, so that any client can be pointed at it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from gate.model.errors import Cancelled
from gate.model.reasons import Reason
from gate.reporters.console import to_log
from gate.sandbox import versions
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import ThreadFix, environment, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gate.flow.signals import Signals
    from gate.model.errors import InvalidOption

FIRST: Final = "done"
"""The scenario of the variables that are printed."""
_MAX_SPEED: Final = 1e6
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


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
    yield "Set the variables above, and THREADFIX_PENDING_SCAN_ID to one of:"
    usual = environment(url, FIRST, threadfix.scans)
    for scenario in SCENARIOS.values():
        if scenario.files:
            continue
        variables = environment(url, scenario.name, threadfix.scans)
        number = variables.pop("THREADFIX_PENDING_SCAN_ID")
        also = [f"{name}={value}" for name, value in variables.items() if value != usual[name]]
        also += [shlex.join(scenario.flags)] if scenario.flags else []
        yield f"  {number}  {scenario.name:<18} {scenario.about}{''.join(f' [{setting}]' for setting in also)}"
    yield "An upload queues another one; the file's name, such as interrupted.fpr, chooses its scenario."

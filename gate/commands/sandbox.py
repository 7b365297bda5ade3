"""The command `sandbox`: serves the embedded ThreadFix, so that any client can be pointed at it."""

from __future__ import annotations

import shlex
import threading
from typing import TYPE_CHECKING, Final

from gate import signals
from gate.errors import Cancelled
from gate.reasons import Reason
from gate.reporters.console import to_log
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import API_KEY, ThreadFix, environment, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gate.errors import InvalidOption

INVALID_SPEED: Final = "--speed must be a factor, for example 2 or 0.5."
_MAX_SPEED: Final = 1e6
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def serve(host: str, port: str, speed: str, quiet: bool, invalid: Sequence[InvalidOption]) -> int:  # noqa: FBT001
    """Serve the sandbox until the process is stopped; the exit code.

    Args:
        host: the address to bind to.
        port: as typed; 0 for any free one.
        speed: how many times faster scenarios are played, as typed.
        quiet: whether to log no requests.
        invalid: what is invalid in the command line.
    """
    factor = parse_speed(speed)
    sentences = [str(one) for one in invalid]
    if not (port.isascii() and port.isdigit() and int(port) < 2**16):
        sentences.append("--port must be a number from 0 to 65535.")
    if factor is None:
        sentences.append(INVALID_SPEED)
    if sentences or factor is None:
        return report_invalid(sentences)
    threadfix = ThreadFix(speed=factor)
    if not quiet:
        threadfix.log = lambda method, path, code: to_log(f"{method} {path} → {code or 'no response'}")
    try:
        with signals.handled() as handler, serving(threadfix, host, int(port)) as url:
            handler.listen()
            for variable, value in environment(url, "done", threadfix.scans).items():
                print(f"export {variable}={shlex.quote(value)}", flush=True)  # noqa: T201 - to be evaluated by a shell
            if host not in _LOOPBACK:
                to_log("warning: anybody who can reach this machine can reach the sandbox.")
            for line in _instructions(threadfix, url):
                to_log(line)
            threading.Event().wait()
    except Cancelled:
        return 0
    except OSError as error:
        return report_invalid([f"--host, --port: cannot bind {host}:{port} ({error.strerror or 'no such address'})."])
    return 0  # pragma: no cover - the wait above ends by a signal only


def parse_speed(text: str) -> float | None:
    """The factor in the value of `--speed`; None where it is none."""
    try:
        factor = float(text)
    except ValueError:
        return None
    return factor if 0 < factor < _MAX_SPEED else None


def report_invalid(sentences: Sequence[str]) -> int:
    """Log each invalid option; the exit code for them."""
    for sentence in sentences:
        to_log(sentence)
    return Reason.USAGE.row.exit_code


def _instructions(threadfix: ThreadFix, url: str) -> Iterator[str]:
    """How to use the sandbox: each pending scan with its scenario, and what else that scenario needs."""
    yield f"A ThreadFix sandbox is running at {url}. Stop it with Ctrl-C."
    yield "Set the variables above, and THREADFIX_PENDING_SCAN_ID to one of:"
    for scenario in SCENARIOS.values():
        variables = environment(url, scenario.name, threadfix.scans)
        usual = {"THREADFIX_URL": url, "THREADFIX_API_KEY": API_KEY}
        also = "".join(f" [{name}={variables[name]}]" for name, value in usual.items() if variables[name] != value)
        yield f"  {variables['THREADFIX_PENDING_SCAN_ID']}  {scenario.name:<18} {scenario.about}{also}"
    yield "An upload queues another one; the file's name, such as interrupted.fpr, chooses its scenario."

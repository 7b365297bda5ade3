"""The entry point: `threadfix-gate` and `python -m gate`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # that of C; `signal` takes longer
import os
import sys

TYPE_CHECKING = False  # `typing` takes longer to import than all of this
if TYPE_CHECKING:
    from typing import NoReturn

    from gate.flow.signals import Signals


def entry() -> NoReturn:
    """Run the command line and end the process with its exit code, also if a stream is closed.

    Python's own end is skipped: it prompts a user with PYTHONINSPECT, waits for streams, and changes the exit code in
    each case. Only the result of the command line is a verdict. A broken installation or a stray `SystemExit` must be
    taken neither for a pass nor for a fail.
    """
    # Until our handler is installed, a signal kills the process. Python's handler of SIGINT would raise an exception
    # somewhere, and the exit code would be that of a fail or a bug.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    # Before anything imports `ssl`: the variable could have the traffic and the key recorded, or name a pipe. OpenSSL
    # would wait for it.
    os.environ.pop("SSLKEYLOGFILE", None)
    code, signals = 70, None
    try:
        # Before the imports: they take the longest part of a short run, and a job can be stopped in any moment of it.
        from gate.flow.signals import install

        signals = install()
        code = _run(signals)
    except BaseException as error:  # noqa: BLE001 - Python would end with 1, which is a fail
        _explain(error)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            # The reader is gone, or the stream is closed.
            continue
    os._exit(signals.end(code) if signals else code)


def _run(signals: Signals) -> int:
    import gc

    # Start-up makes many objects that stay; looking for garbage among them again and again takes a tenth of it.
    gc.set_threshold(50_000)
    # A caller may have closed them; Python would then print a log to standard output, or break.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - it lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    from gate.cli import main

    return main(signals=signals)


def _explain(error: BaseException) -> None:
    """Log a bug. The error's own text may hold anything, so only that of an import is shown."""
    import traceback
    from contextlib import suppress

    why = type(error).__name__
    if isinstance(error, ImportError):
        why = f"{why}: {error}. The installation is broken or incomplete; install threadfix-gate again"
    with suppress(OSError, ValueError):
        print(*traceback.format_tb(error.__traceback__), sep="", end="", file=sys.stderr)  # noqa: T201 - the log
        print(f"internal error (exit code 70): {why}.", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    entry()

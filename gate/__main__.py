"""The entry point of `threadfix-gate` and `python -m gate`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` takes longer to import
import os
import sys

TYPE_CHECKING = False  # `typing` takes longer to import than this module
if TYPE_CHECKING:
    from typing import NoReturn


def entry() -> NoReturn:
    """Run the command line and end the process with its exit code, also if a stream is closed.

    Python's own exit is skipped: PYTHONINSPECT starts a prompt there, a closed stream changes the exit code, and a slow
    stream delays it. Only the result of the command line is a verdict: a broken installation or a stray `SystemExit`
    must look neither like a pass nor like a fail.
    """
    # Until our handler is installed, a signal kills the process. Python's handler of SIGINT would raise an exception,
    # and the exit code would be that of a fail or a bug.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    # OpenSSL would log the session keys to this file, or wait for a reader if it is a pipe. `ssl` reads it at import.
    os.environ.pop("SSLKEYLOGFILE", None)
    code, signals = 70, None
    try:
        # Before the other imports: they take most of a short run, and a signal can come at any moment.
        from gate.flow.signals import install

        signals = install()
        import gc

        # Garbage collection would take a tenth of the start-up, and its many objects stay.
        gc.set_threshold(50_000)
        # The caller may have closed a stream. Python would then log to standard output, or fail.
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open
        from gate.cli import main

        code = main(signals=signals)
    except BaseException as error:  # noqa: BLE001 - Python's exit code would be 1, a fail
        _explain(error)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):  # closed, or without a reader
            continue
    os._exit(signals.end(code) if signals else code)


def _explain(error: BaseException) -> None:
    """Log a bug. Only an import error's text is shown: other texts may hold secrets."""
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

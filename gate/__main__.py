"""The entry point: `threadfix-gate` and `python -m gate`."""

from __future__ import annotations

import sys

from gate import signals


def entry() -> int:
    """Run the command line; its exit code, whatever becomes of the streams.

    Only what the command line returns is a verdict: whatever else ends it, a broken installation or a `SystemExit` that
    nobody asked for, must be taken neither for a pass nor for a fail.
    """
    # Before the imports: they take the longest part of a short run, and a job can be stopped in any moment of it.
    handler = signals.install()
    import gc
    import os

    # Start-up makes many objects that stay; looking for garbage among them again and again takes a tenth of it.
    gc.set_threshold(50_000)
    # A caller may have closed them; Python would then print a log to standard output, or break.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - it lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    try:
        from gate.cli import main

        code = main()
    except BaseException as error:  # noqa: BLE001 - whatever it is, Python would end with 1, which is a fail
        code = _broken(error)
    for stream in (sys.stdout, sys.stderr):
        # A pipe that nobody reads any more would fail once more when Python ends, and turn every exit code into 120.
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    code = handler.exit_code(code)
    handler.close(code)
    return code


def _broken(error: BaseException) -> int:
    """Say what broke; the exit code. The error's own text may hold anything, so only that of an import is shown."""
    import traceback
    from contextlib import suppress

    why = type(error).__name__
    if isinstance(error, ImportError):
        why = f"{why}: {error}. The installation is broken or incomplete; install threadfix-gate again"
    with suppress(OSError, ValueError):
        print(*traceback.format_tb(error.__traceback__), sep="", end="", file=sys.stderr)  # noqa: T201 - the log
        print(f"internal error (exit code 70): {why}.", file=sys.stderr)  # noqa: T201
    return 70


if __name__ == "__main__":
    raise SystemExit(entry())

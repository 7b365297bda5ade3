"""The entry point: `threadfix-gate` and `python -m gate`."""

from __future__ import annotations

import gc
import os
import sys


def entry() -> int:
    """Run the command line; its exit code, whatever becomes of the streams.

    A pipe that nobody reads any more would fail once more when Python ends, and turn every exit code into 120.
    """
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
    except KeyboardInterrupt:
        # Before the gate listens to signals there is nothing to report, and nothing was sent.
        code = 130
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


if __name__ == "__main__":
    raise SystemExit(entry())

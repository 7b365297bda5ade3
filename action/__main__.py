"""Starts the gate from the single file, or from a folder with the same contents.

Python 2.7 and 3.6 must be able to read this module, so that they report their age instead of a syntax error.
"""

import os
import sys


def cannot_start(why):
    """Print the reason and end with 70. Python's own exit code 1 is a verdict."""
    sys.stderr.write("threadfix-gate cannot start: %s\n" % why)
    sys.stderr.flush()
    os._exit(70)


if sys.version_info < (3, 10):
    cannot_start(
        "it needs Python 3.10 or later, and this is Python %d.%d (%s)." % (sys.version_info[:2] + (sys.executable,))
    )
try:
    from gate.__main__ import entry
except Exception as error:
    cannot_start("%s: %s. The file is damaged; download it again." % (type(error).__name__, error))
entry()

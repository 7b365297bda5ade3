"""Threads of the gate's own: daemons, so that one that hangs does not keep the process from ending."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gate.errors import OutOfThreadsError

if TYPE_CHECKING:
    from collections.abc import Callable


def start(work: Callable[[], object], name: str | None = None) -> None:
    """Do `work` in a thread of its own.

    Raises:
        OutOfThreadsError: none is to be had.
    """
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OutOfThreadsError from error

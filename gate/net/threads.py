"""Start daemon threads, which do not keep the process from its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gate.model.errors import OutOfThreadsError

if TYPE_CHECKING:
    from collections.abc import Callable


def start(work: Callable[[], object], name: str | None = None) -> None:
    """Call `work` in a new thread.

    Raises:
        OutOfThreadsError: the system starts no thread.
    """
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OutOfThreadsError from error

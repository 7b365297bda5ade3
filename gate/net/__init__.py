"""One HTTP request within one limit; every failure is a value.

`requests` calls `certifi.where()` when it is imported. From a zip file, that writes the certificates into the temporary
folder, and fails without such a folder. The gate makes its own contexts (`gate.net.peer`), so this package replaces the
function before any of its modules imports `requests`.
"""

from __future__ import annotations

import os
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING

from gate.model.reasons import OutOfThreadsError

if TYPE_CHECKING:
    from collections.abc import Callable

_certs = ModuleType("requests.certs")
vars(_certs)["where"] = lambda: os.devnull
sys.modules["requests.certs"] = _certs


def start_thread(work: Callable[[], object], name: str | None = None) -> None:
    """Call `work` in a new daemon thread, which does not keep the process from its end.

    Raises:
        OutOfThreadsError: the system starts no thread.
    """
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OutOfThreadsError from error

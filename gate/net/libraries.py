"""Imports `requests` without the trust store that `requests` would extract from a zip file.

`requests` calls `certifi.where()` when it is imported. From a zip file, that writes the certificates into the temporary
folder, and fails without such a folder. The gate makes its own contexts (`gate.net.tls`), so that path is unused.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

_certs = ModuleType("requests.certs")
vars(_certs)["where"] = lambda: os.devnull
sys.modules["requests.certs"] = _certs

import requests  # noqa: E402

__all__ = ["requests"]

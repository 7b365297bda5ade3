"""Fixtures for the tests over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.certificates import LOOPBACK, Authority, context

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


@pytest.fixture(scope="session")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Return the context of a TLS server on this machine, and the file of the authority for its client."""
    authority = Authority(tmp_path_factory.mktemp("authority"), "tests")
    return context(authority.issue("server", LOOPBACK)), authority.file

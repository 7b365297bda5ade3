"""A server that says whatever bytes it is told to, for what no HTTP server would do."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator


@contextmanager
def talking(talk: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[str]:
    """Let `talk` have each connection, in a thread of its own; the base URL. It is closed when `talk` returns."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                # Else the system may keep a response back, and throw it away when the connection is closed.
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if not tls:
                    talk(self.request)
                    return
                with tls.wrap_socket(self.request, server_side=True) as connection:
                    talk(connection)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False
        request_queue_size = 256

    with Server(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/threadfix"
        finally:
            server.shutdown()


def request_head(connection: socket.socket) -> bytes:
    """The head of one request; what there was of it where the client hangs up."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (more := connection.recv(4096)):
            break
        head += more
    return head

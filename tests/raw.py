"""A server of raw sockets, for responses that no HTTP server would send."""

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
    """Call `talk` for each connection in a new thread, then close the connection; yield the base URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                # Otherwise the system may delay a response, and drop it when the connection closes.
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
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/threadfix"
        finally:
            server.shutdown()


def request_head(connection: socket.socket) -> bytes:
    """Read the head of a request. It is incomplete if the client disconnects."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (more := connection.recv(4096)):
            break
        head += more
    return head

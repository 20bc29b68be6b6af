"""Servers that tests run in threads of their own process, and their coming and going."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from typing import TypeVar

# So many connections may wait to be taken. With socketserver's own 5, the kernel drops what comes at once to
# a busy process: its client believes to be connected, and may wait for a greeting for seconds, or for ever.
_WAITING = 128


class TcpServer(socketserver.ThreadingTCPServer):
    """Serves each connection in a thread; one that a client keeps open does not hold up the end."""

    allow_reuse_address = True
    request_queue_size = _WAITING
    daemon_threads = True
    block_on_close = False


class HttpServer(ThreadingHTTPServer):
    """Answers each HTTP client in a thread."""

    request_queue_size = _WAITING


_Server = TypeVar("_Server", bound=socketserver.BaseServer)


@contextmanager
def serving(server: _Server) -> Iterator[_Server]:
    """The server while it serves; it is closed in the end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Way(TcpServer):
    """Hands its connections on to a port of 127.0.0.1; of the next ones it closes ``to_drop`` at once."""

    def __init__(self, place: tuple[str, int], port: int, to_drop: int = 0) -> None:
        super().__init__(place, _Carrier)
        self.port = port
        self.to_drop = to_drop

    def verify_request(self, request: object, client_address: object) -> bool:
        dropped = self.to_drop > 0
        self.to_drop -= dropped
        return not dropped


@contextmanager
def failing_first(count: int, port: int) -> Iterator[int]:
    """The port of a way to a server on 127.0.0.1 that closes so many connections at first."""
    with serving(Way(("127.0.0.1", 0), port, count)) as way:
        yield way.server_address[1]


class _Carrier(socketserver.BaseRequestHandler):
    server: Way

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.port), 10) as server:
            server.settimeout(None)
            back = threading.Thread(target=_copy, args=(server, self.request), daemon=True)
            back.start()
            _copy(self.request, server)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

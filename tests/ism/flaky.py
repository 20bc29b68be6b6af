"""A way to a real server that is closed at first."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def fails_first(count: int, port: int) -> Iterator[int]:
    """The port of a listener on 127.0.0.1 that drops so many connections, and hands on all later ones."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, count, port), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # wakes the accept
        thread.join(10)


def _serve(listener: socket.socket, count: int, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        if count > 0:
            count -= 1
            client.close()
            continue
        threading.Thread(target=_hand_on, args=(client, port), daemon=True).start()


def _hand_on(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port), 10) as server:
        server.settimeout(None)
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

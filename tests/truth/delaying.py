"""An SMTP server that is slow in one stage, by a known time, and at once in all others."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator

from postbeat.model import SecurityType

DELAY_S = 0.3
_COMMANDS = {"EHLO": "ehlo", "STARTTLS": "starttls", "AUTH": "auth", "MAIL": "mail", "RCPT": "rcpt"}
_COMMANDS |= {"DATA": "data", "QUIT": "quit"}
_REPLIES = {"ehlo": "250-mx.test\r\n250-STARTTLS\r\n250 AUTH PLAIN", "starttls": "220 go", "auth": "235 in"}
_REPLIES |= {"greeting": "220 mx.test", "data": "354 go", "upload": "250 taken", "quit": "221 bye"}


class _Session:
    """One session, blocking in a thread of its own: its delays hold up nothing else."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext, slow: str) -> None:
        sock.settimeout(10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._tls = tls
        self._slow = slow

    def have(self, security: SecurityType) -> None:
        if security is SecurityType.SSL:
            self._secure()
        self._say("greeting")
        lines = self._sock.makefile("rb")
        while line := lines.readline():
            stage = _COMMANDS[line.split()[0].decode().upper()]
            self._say(stage)
            if stage == "starttls":
                self._secure()
                lines = self._sock.makefile("rb")
            elif stage == "data":
                while lines.readline() != b".\r\n":
                    pass
                self._say("upload")

    def close(self) -> None:
        self._sock.close()

    def _secure(self) -> None:
        self._wait("tls")
        self._sock = self._tls.wrap_socket(self._sock, server_side=True)

    def _say(self, stage: str) -> None:
        self._wait(stage)
        self._sock.sendall(_REPLIES.get(stage, "250 ok").encode() + b"\r\n")

    def _wait(self, stage: str) -> None:
        if stage == self._slow:
            self._slow = ""  # once: there is a second EHLO after STARTTLS
            time.sleep(DELAY_S)


@contextlib.contextmanager
def slow_in(stage: str, security: SecurityType, tls: ssl.SSLContext) -> Iterator[int]:
    """The port of a server for one connection that is slow in this stage, or in none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            sock, _ = listener.accept()
            session = _Session(sock, tls, stage)
            with contextlib.suppress(OSError):  # it may go without ending TLS
                session.have(security)
            session.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@contextlib.contextmanager
def slow_to_connect() -> Iterator[int]:
    """The port of a server whose backlog is full for a while.

    The kernel drops a SYN that finds no place; it is sent again after a second (RFC 6298 section 2.1).
    """
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        where = listener.getsockname()

        def serve() -> None:
            time.sleep(DELAY_S)
            filler, _ = listener.accept()
            filler.close()
            sock, _ = listener.accept()
            with contextlib.suppress(OSError):
                _Session(sock, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "").have(SecurityType.NONE)
            sock.close()

        with socket.create_connection(where):
            thread = threading.Thread(target=serve)
            thread.start()
            yield where[1]
            thread.join()

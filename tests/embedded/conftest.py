from __future__ import annotations

import imaplib
import importlib.util
import poplib
import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import pytest

from postbeat.embedded.mail import MailServer, mail_server
from postbeat.embedded.processes import Processes
from tests.conftest import not_installed

USERS = {f"user{number}": f'pa"ss \\word {number}' for number in range(150)}
# Long enough for a loaded machine, and short enough that a server which says nothing is seen.
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Box:
    """A mailbox that is empty when the test begins, and the clients of the standard library for it."""

    server: MailServer
    user: str
    password: str

    @property
    def address(self) -> str:
        return f"{self.user}@example.test"

    @contextmanager
    def smtp(self) -> Iterator[smtplib.SMTP]:
        with smtplib.SMTP(
            self.server.host, self.server.smtp, local_hostname="client.test", timeout=TIMEOUT_S
        ) as client:
            yield client

    def send(self, message: bytes) -> None:
        with self.smtp() as client:
            client.sendmail("sender@example.test", [self.address], message)

    @contextmanager
    def imap4(self, *, login: bool = True) -> Iterator[imaplib.IMAP4]:
        client = imaplib.IMAP4(self.server.host, self.server.imap4, timeout=TIMEOUT_S)
        try:
            if login:
                client.login(self.user, self.password)
                client.select()
            yield client
        finally:
            client.shutdown()

    @contextmanager
    def pop3(self, *, login: bool = True) -> Iterator[poplib.POP3]:
        client = poplib.POP3(self.server.host, self.server.pop3, timeout=TIMEOUT_S)
        try:
            if login:
                client.user(self.user)
                client.pass_(self.password)
            yield client
        finally:
            client.close()

    def talk(self, port: int, sent: bytes) -> bytes:
        """What the server says to bytes that are sent all at once, until it closes the connection."""
        with socket.create_connection((self.server.host, port), TIMEOUT_S) as connection:
            connection.sendall(sent)
            return b"".join(iter(lambda: connection.recv(65536), b""))


def twisted_installed() -> None:
    if importlib.util.find_spec("twisted") is None:
        not_installed("Twisted", "python3-twisted")


@pytest.fixture(scope="session")
def mail(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> MailServer:
    twisted_installed()
    return mail_server(processes, tmp_path_factory.mktemp("mail"), USERS)


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def box(mail: MailServer, numbers: Iterator[int]) -> Box:
    user = f"user{next(numbers)}"
    return Box(mail, user, USERS[user])


def body_of(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]

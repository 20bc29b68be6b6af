"""What a login needs to know, as all mechanisms see it."""

from __future__ import annotations

from typing import Protocol

from postbeat.wire.line import argument


class Credentials(Protocol):
    """What a mechanism may draw on; what an account does not have is empty."""

    @property
    def username(self) -> str:
        """The name of the account."""
        ...

    @property
    def password(self) -> str:
        """The password."""
        ...

    @property
    def sharedsecret(self) -> str:
        """The secret of challenge-response mechanisms where that is not the password."""
        ...

    @property
    def token(self) -> str:
        """The access token."""
        ...

    @property
    def server(self) -> str:
        """The name of the server that is logged in at."""
        ...

    @property
    def port(self) -> int:
        """Its port."""
        ...


def secret_of(login: Credentials) -> bytes:
    """The secret of challenge-response methods: the shared one, or else the password.

    Raises:
        LocalFault: it holds a line break or a NUL.
    """
    return argument(login.sharedsecret or login.password, "the shared secret")

"""Logins with an access token: OAUTHBEARER (RFC 7628), and XOAUTH2 that the large providers had before it."""

from __future__ import annotations

import json
import re
from typing import ClassVar

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire.credentials import Credentials
from postbeat.wire.line import argument, malformed, shown

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 section 2.1


class _TokenMechanism:
    """One message. A server that refuses it says why in a challenge, which has to be answered."""

    name: ClassVar[str] = ""
    heavy: ClassVar[bool] = False
    acknowledgement: ClassVar[bytes] = b""

    def __init__(self, login: Credentials) -> None:
        if not _TOKEN.fullmatch(login.token):
            raise LocalFault(FaultCode.SECRET, "the token is empty or holds a character that no token has")
        self.initial: bytes | None = self.message(login)
        self.refusal = ""

    def message(self, login: Credentials) -> bytes:
        """The message that shows the token."""
        raise NotImplementedError

    def respond(self, challenge: bytes) -> bytes:
        """What the server waits for before it refuses; :attr:`refusal` then says why.

        Raises:
            RemoteFault: the challenge is none of this mechanism, or is the second.
        """
        if self.refusal:
            raise RemoteFault(FaultCode.PROTOCOL, f"the server sent one {self.name} challenge too many")
        try:
            details = json.loads(challenge)
        except (ValueError, RecursionError):
            details = None
        if not isinstance(details, dict):
            raise malformed(f"the server sent no {self.name} challenge", challenge)
        self.refusal = f"status {shown(str(details.get('status', 'not given')).encode('utf-8', 'replace'))}"
        return self.acknowledgement

    def finish(self) -> None:
        """Nothing, unless the server had refused.

        Raises:
            RemoteFault: it grants what it has refused.
        """
        if self.refusal:
            raise RemoteFault(
                FaultCode.PROTOCOL, f"the server granted the login after it had refused it: {self.refusal}"
            )


class XOAuth2(_TokenMechanism):
    """XOAUTH2, as Google documents it for IMAP and SMTP; its challenge is answered with nothing."""

    name = "XOAUTH2"

    def message(self, login: Credentials) -> bytes:
        """The message that shows the token."""
        return b"user=%b\x01auth=Bearer %b\x01\x01" % (_username(login), login.token.encode("ascii"))


class OAuthBearer(_TokenMechanism):
    """OAUTHBEARER (RFC 7628 section 3.1); the challenge is answered with 0x01 (section 3.2.3)."""

    name = "OAUTHBEARER"
    acknowledgement = b"\x01"

    def message(self, login: Credentials) -> bytes:
        """The message that shows the token, with the place that it is meant for."""
        name = _username(login).replace(b"=", b"=3D").replace(b",", b"=2C")
        place = b"host=%b\x01port=%d\x01" % (argument(login.server, "the server"), login.port)
        return b"n,a=%b,\x01%bauth=Bearer %b\x01\x01" % (name, place, login.token.encode("ascii"))


def _username(login: Credentials) -> bytes:
    if "\x01" in login.username:
        raise LocalFault(FaultCode.SECRET, "the user name holds a control character")
    return argument(login.username, "the user name")

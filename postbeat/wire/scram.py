"""SCRAM as a client speaks it (RFC 5802, RFC 7677), with channel binding where it is offered.

The server has to prove that it knows the password too: a login that it grants without that proof is refused.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from collections.abc import Callable
from typing import ClassVar

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire.credentials import Credentials
from postbeat.wire.line import argument, malformed

# Rounds of PBKDF2 that a server may ask for: some 50 ms of computing, done off the event loop.
# A million would be a way to wear us down.
ROUNDS_LIMIT = 200_000
# Fewer are an attempt to have the password guessed from the exchange; RFC 5802 section 5.1 asks for 4096.
ROUNDS_LEAST = 1000

_FIRST = re.compile(r"r=([!-+\--~]{1,512}),s=([A-Za-z0-9+/=]{4,512}),i=([1-9][0-9]{0,9})(?:,.*)?", re.DOTALL)
_FINAL = re.compile(r"v=([A-Za-z0-9+/=]{4,512})(?:,.*)?", re.DOTALL)
_ERROR = re.compile(r"e=([!-+\--~]{1,100})(?:,.*)?", re.DOTALL)


class Scram:
    """One exchange. ``binding`` is the data of ``tls-server-end-point`` (RFC 5929 section 4), or empty.

    ``plus`` asks for channel binding; without it ``binding`` still tells the server that we could (RFC 5802
    section 6), so that a man in the middle who hid the offer is found out.
    """

    hashed_with: ClassVar[str] = ""
    digest: ClassVar[str] = ""
    refusal: ClassVar[str] = ""

    def __init__(
        self,
        login: Credentials,
        *,
        binding: bytes = b"",
        plus: bool = False,
        nonce: Callable[[], str] = lambda: secrets.token_urlsafe(18),
    ) -> None:
        argument(login.username, "the user name")
        password = login.sharedsecret or login.password
        argument(password, "the password")
        self.name = f"SCRAM-{self.hashed_with}-PLUS" if plus else f"SCRAM-{self.hashed_with}"
        self._password = prepared(password, "the password").encode("utf-8")
        self._nonce = nonce()
        flag = "p=tls-server-end-point" if plus else "y" if binding else "n"
        self._header = f"{flag},,"
        self._binding = binding if plus else b""
        name = prepared(login.username, "the user name").replace("=", "=3D").replace(",", "=2C")
        self._first = f"n={name},r={self._nonce}"
        self._signature: bytes | None = None
        self.proved = False

    @property
    def heavy(self) -> bool:
        """Whether the next answer is the one that takes the rounds of PBKDF2."""
        return self._signature is None

    @property
    def initial(self) -> bytes | None:
        """The client's first message."""
        return (self._header + self._first).encode("utf-8")

    def respond(self, challenge: bytes) -> bytes:
        """The answer to the server's first message, or to its last, which is empty.

        Raises:
            RemoteFault: AUTH where the server says what is wrong; PROTOCOL where it cannot prove that it
                knows the password, or its message is not SCRAM.
            LocalFault: it wants a channel binding that we do not have.
        """
        text = challenge.decode("utf-8", "replace")
        if error := _ERROR.fullmatch(text):
            raise _refused(error[1])
        if self._signature is None:
            return self._final(text, challenge)
        if self.proved:
            raise RemoteFault(FaultCode.PROTOCOL, f"the server sent one {self.name} challenge too many")
        self._check(text, challenge)
        return b""

    def finish(self) -> None:
        """To be called once the server has granted the login.

        Raises:
            RemoteFault: it has not proved that it knows the password.
        """
        if not self.proved:
            raise RemoteFault(
                FaultCode.PROTOCOL,
                f"the server granted the login without the proof that {self.name} asks of it",
            )

    def _final(self, text: str, challenge: bytes) -> bytes:
        match = _FIRST.fullmatch(text)
        if match is None or not match[1].startswith(self._nonce) or match[1] == self._nonce:
            raise malformed("the server sent no SCRAM challenge", challenge)
        rounds = int(match[3])
        if not ROUNDS_LEAST <= rounds <= ROUNDS_LIMIT:
            raise RemoteFault(
                FaultCode.PROTOCOL,
                f"the server asks for {rounds} rounds of SCRAM; {ROUNDS_LEAST} to {ROUNDS_LIMIT} are made",
            )
        salted = _salted(self.digest, self._password, _decoded(match[2], challenge), rounds)
        bound = base64.b64encode(self._header.encode("ascii") + self._binding).decode("ascii")
        without_proof = f"c={bound},r={match[1]}"
        message = f"{self._first},{text},{without_proof}".encode()
        client_key = hmac.digest(salted, b"Client Key", self.digest)
        stored_key = hashlib.new(self.digest, client_key).digest()
        mask = hmac.digest(stored_key, message, self.digest)
        proof = bytes(one ^ other for one, other in zip(client_key, mask, strict=True))
        server_key = hmac.digest(salted, b"Server Key", self.digest)
        self._signature = hmac.digest(server_key, message, self.digest)
        return f"{without_proof},p={base64.b64encode(proof).decode('ascii')}".encode("ascii")

    def _check(self, text: str, challenge: bytes) -> None:
        match = _FINAL.fullmatch(text)
        if match is None or self._signature is None:
            raise malformed("the server sent no SCRAM signature", challenge)
        if not hmac.compare_digest(_decoded(match[1], challenge), self._signature):
            raise RemoteFault(
                FaultCode.PROTOCOL,
                f"the server's {self.name} signature is wrong: it does not know the password",
            )
        self.proved = True


class ScramSha1(Scram):
    """SCRAM-SHA-1 (RFC 5802)."""

    hashed_with = "SHA-1"
    digest = "sha1"


class ScramSha256(Scram):
    """SCRAM-SHA-256 (RFC 7677)."""

    hashed_with = "SHA-256"
    digest = "sha256"


def _refused(error: str) -> RemoteFault | LocalFault:
    """The fault of an error that the server names (RFC 5802 section 7)."""
    if error == "unsupported-channel-binding-type":
        return LocalFault(
            FaultCode.NO_MECHANISM, "the server wants a channel binding that is not tls-server-end-point"
        )
    if error in ("channel-bindings-dont-match", "server-does-support-channel-binding"):
        what = "somebody stands between us and the server"
        return RemoteFault(FaultCode.PROTOCOL, f"{what}, which says {error}")
    return RemoteFault(FaultCode.AUTH, f"the server refused the login: {error}")


@functools.lru_cache(maxsize=4096)
def _salted(digest: str, password: bytes, salt: bytes, rounds: int) -> bytes:
    # A client may keep this (RFC 5802 section 3): it is nearly all of the cost, and stays the same.
    return hashlib.pbkdf2_hmac(digest, password, salt, rounds)


def _decoded(text: str, challenge: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise malformed("the server sent SCRAM data that is not base64", challenge) from None


_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepared(text: str, what: str) -> str:
    """A user name or password after SASLprep (RFC 4013).

    Raises:
        LocalFault: it holds what SASLprep prohibits. The message names ``what``, never the text.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if any(prohibited(char) for char in normal for prohibited in _PROHIBITED):
        raise LocalFault(FaultCode.SECRET, f"{what} holds a character that SASLprep prohibits (RFC 4013)")
    right_to_left = [stringprep.in_table_d1(char) for char in normal]
    if any(right_to_left) and (
        any(stringprep.in_table_d2(char) for char in normal) or not (right_to_left[0] and right_to_left[-1])
    ):
        raise LocalFault(FaultCode.SECRET, f"{what} mixes directions of writing (RFC 3454 section 6)")
    return normal

"""The server's half of SCRAM (RFC 5802 section 3), written from the RFC, with its faults as switches."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass
class ScramServer:
    """One login. ``binding`` is what the server knows of the channel; ``offered_plus`` whether it said so."""

    password: bytes
    digest: str = "sha256"
    rounds: int = 4096
    binding: bytes = b""
    offered_plus: bool = False
    salt: bytes = b"sixteen bytes of"
    signature_of: bytes | None = None  # the password that the server's own proof is made with
    refuses: bytes = b""  # an error that it has for everybody
    bare: str = field(default="", init=False)
    first: str = field(default="", init=False)
    header: str = field(default="", init=False)

    def challenge(self, client_first: bytes) -> bytes:
        text = client_first.decode()
        flag, _, self.bare = text.split(",", 2)
        self.header = f"{flag},,"
        nonce = self.bare.split(",")[1].removeprefix("r=")
        salt = base64.b64encode(self.salt).decode()
        self.first = f"r={nonce}3rfcNHYJY1ZVvWVs7j,s={salt},i={self.rounds}"
        return self.first.encode()

    def verdict(self, client_final: bytes) -> bytes:
        """The final message: the signature, or an error."""
        if self.refuses:
            return b"e=" + self.refuses
        text = client_final.decode()
        without_proof, _, proof = text.rpartition(",p=")
        bound = base64.b64decode(without_proof.split(",")[0].removeprefix("c="))
        if self.offered_plus and self.header.startswith("y"):
            return b"e=server-does-support-channel-binding"
        wanted = self.header.encode() + (self.binding if self.header.startswith("p=") else b"")
        if bound != wanted:
            return b"e=channel-bindings-dont-match"
        message = f"{self.bare},{self.first},{without_proof}".encode()
        client_key = self._keyed(self.password, b"Client Key")
        stored = hashlib.new(self.digest, client_key).digest()
        mask = hmac.digest(stored, message, self.digest)
        given = bytes(a ^ b for a, b in zip(base64.b64decode(proof), mask, strict=True))
        if hashlib.new(self.digest, given).digest() != stored:
            return b"e=invalid-proof"
        server_key = self._keyed(self.signature_of or self.password, b"Server Key")
        return b"v=" + base64.b64encode(hmac.digest(server_key, message, self.digest))

    def _keyed(self, password: bytes, name: bytes) -> bytes:
        salted = hashlib.pbkdf2_hmac(self.digest, password, self.salt, self.rounds)
        return hmac.digest(salted, name, self.digest)

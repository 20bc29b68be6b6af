"""DKIM signatures for our own messages (RFC 6376; RFC 8463 for Ed25519), relaxed/simple.

They are made here and not by dkimpy, whose RSA is pure Python: it would hold up the event loop for 6 ms for
each message, where this takes 0.3 ms. In the tests dkimpy is the verifier.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from postbeat.model import FaultCode, LocalFault
from postbeat.ourfiles import Made

KEY_LIMIT = 64 * 1024  # bytes of a key's file
RSA_BITS = 1024  # fewer are refused by every verifier (RFC 8301 section 3.2)

Key = RSAPrivateKey | Ed25519PrivateKey

_FOLD = re.compile(rb"\r\n(?=[ \t])")
_SPACE = re.compile(rb"[ \t]+")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for a domain under a selector."""

    domain: str
    selector: str
    key: Key = field(repr=False)

    def signature(self, header: bytes, body_hash: bytes, at_s: int) -> bytes:
        """The field DKIM-Signature for a header in CRLF lines and a body with this :func:`body_hash`.

        All fields of the header are signed: none can be changed or given another meaning on the way.
        """
        fields = [_relaxed(line) for line in _FOLD.sub(b"", header).split(b"\r\n") if line]
        names = b":\r\n ".join(line.partition(b":")[0] for line in fields).decode()
        algorithm = "rsa" if isinstance(self.key, RSAPrivateKey) else "ed25519"
        value = (
            f"v=1; a={algorithm}-sha256; c=relaxed/simple; d={self.domain};\r\n"
            f" s={self.selector}; t={at_s}; bh={base64.b64encode(body_hash).decode()};\r\n"
            f" h={names};\r\n b="
        ).encode()
        ours = b"DKIM-Signature: " + value
        # Of fields that occur more than once the last is signed first (RFC 6376 section 5.4.2).
        signed = [*_last_first(fields), _relaxed(_FOLD.sub(b"", ours))]
        encoded = base64.b64encode(self._sign(b"\r\n".join(signed)))
        lines = [encoded[at : at + 72] for at in range(0, len(encoded), 72)]
        return ours + b"\r\n ".join(lines) + b"\r\n"

    def _sign(self, data: bytes) -> bytes:
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(hashlib.sha256(data).digest())


def _relaxed(line: bytes) -> bytes:
    """An unfolded field in the relaxed form (RFC 6376 section 3.4.2)."""
    name, _, value = line.partition(b":")
    return name.strip().lower() + b":" + _SPACE.sub(b" ", value).strip()


def _last_first(fields: list[bytes]) -> list[bytes]:
    """The fields in their order, but those of one name from the last to the first."""
    stacks: dict[bytes, list[bytes]] = {}
    for line in fields:
        stacks.setdefault(line.partition(b":")[0], []).append(line)
    return [stacks[line.partition(b":")[0]].pop() for line in fields]


def body_hash(parts: Iterable[bytes]) -> bytes:
    """The hash of a body in the simple form (RFC 6376 section 3.4.3): empty lines at the end do not count.

    Where the body comes in parts, its last part must not be made of empty lines alone.
    """
    digest = hashlib.sha256()
    held = b""
    for part in parts:
        digest.update(held)
        held = part
    digest.update(held.rstrip(b"\r\n") + b"\r\n")
    return digest.digest()


def _key(data: bytes, path: str) -> Key:
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LocalFault(
            FaultCode.FILE, f"the DKIM key {path} is no private key in PEM without a password"
        ) from error
    if isinstance(key, Ed25519PrivateKey) or (isinstance(key, RSAPrivateKey) and key.key_size >= RSA_BITS):
        return key
    raise LocalFault(
        FaultCode.FILE, f"the DKIM key {path} is neither Ed25519 nor RSA of at least {RSA_BITS} bits"
    )


_KEYS = Made("the DKIM key", KEY_LIMIT, _key)


def key_of(path: str) -> Key:
    """The key in a file, loaded once.

    Raises:
        LocalFault: it cannot be used.
    """
    return _KEYS.of(path)

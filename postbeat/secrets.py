"""Secrets by reference and sealed, and the site's key that seals them and signs our messages.

A site has one list of keys, newest first: the first one seals and signs, all of them open and verify, so a
key can be exchanged without losing what is under way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from postbeat.model import FaultCode, LocalFault, Secret

SECRET_LIMIT = 64 * 1024  # bytes of a secret's file: a device or a disk image is a mistake
_SIGNING = b"postbeat tracked message v1"


class SiteKeyError(Exception):
    """A key of the site is not usable; the message says what to do."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The site's keys: ``fernet`` seals secrets, ``signing`` signs messages (32 bytes each, newest first)."""

    fernet: MultiFernet
    signing: tuple[bytes, ...]

    @classmethod
    def parse(cls, lines: Iterable[str], where: str) -> Self:
        """Keys from lines of text, as ``postbeat key`` prints them; blank lines and ``#`` are left out.

        Raises:
            SiteKeyError: no key, or one that is not 32 bytes in URL-safe base64.
        """
        texts = [line.strip() for line in lines]
        texts = [text for text in texts if text and not text.startswith("#")]
        if not texts:
            raise SiteKeyError(f"{where} holds no key; make one with: postbeat key")
        try:
            fernets = [Fernet(text) for text in texts]
        except ValueError as error:
            raise SiteKeyError(
                f"{where} holds something that is not a key; make one with: postbeat key"
            ) from error
        return cls(MultiFernet(fernets), tuple(_signing_key(text) for text in texts))

    @classmethod
    def new(cls) -> Self:
        """Keys that nobody else has: for a single process."""
        return cls.parse([new_key()], "a new key")

    def seal(self, secret: Secret) -> Secret:
        """The secret in a form that may travel: a literal one sealed, any other as it is."""
        if secret.source != "literal":
            return secret
        return Secret("sealed", self.fernet.encrypt(secret.value.encode()).decode())


def new_key() -> str:
    """A new key as a line of text."""
    return Fernet.generate_key().decode()


def _signing_key(text: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_SIGNING).derive(text.encode())


def resolve(secret: Secret | None, keys: Keys | None, environ: Mapping[str, str] = os.environ) -> str:
    """The value of a secret, "" for none.

    Raises:
        LocalFault: the reference leads nowhere, or the seal is of another key.
    """
    if secret is None:
        return ""
    match secret.source:
        case "literal":
            return secret.value
        case "env":
            if secret.value not in environ:
                raise LocalFault(FaultCode.SECRET, f"the environment variable {secret.value} is not set")
            return environ[secret.value]
        case "file":
            return _from_file(Path(secret.value))
        case _:
            return _unsealed(secret.value, keys)


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(SECRET_LIMIT + 1)
        if len(raw) > SECRET_LIMIT:
            raise LocalFault(
                FaultCode.SECRET, f"the secret's file {path} is larger than {SECRET_LIMIT} bytes"
            )
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise LocalFault(
            FaultCode.SECRET, f"cannot read the secret's file {path}: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise LocalFault(FaultCode.SECRET, f"the secret's file {path} is not text in UTF-8") from error


def _unsealed(token: str, keys: Keys | None) -> str:
    if keys is None:
        raise LocalFault(
            FaultCode.SECRET, "a sealed secret came, and this worker has no key (POSTBEAT_KEY_FILE)"
        )
    try:
        return keys.fernet.decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise LocalFault(FaultCode.SECRET, "a secret is sealed with a key that this worker lacks") from error

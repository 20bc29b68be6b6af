"""The credentials of an account, and how they are kept out of everything that is shown."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from postbeat.model import FaultCode, FaultError
from postbeat.wire.line import SHOWN_LIMIT

HIDDEN = "***"
_CUT = SHOWN_LIMIT - len("...")  # shorter texts of servers are whole
_LEAST = 4  # characters by which a part of a secret is recognised
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


@dataclass(frozen=True, slots=True)
class Login:
    """The credentials of an account; CRAM-MD5, SCRAM and APOP use the shared secret, or else the password.

    ``server`` and ``port`` are where they are used; OAUTHBEARER sends them along. ``refused`` is called when
    the server refuses them, so that a token that was fetched is not used again.
    """

    username: str
    password: str = field(repr=False)
    sharedsecret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    server: str = ""
    port: int = 0
    refused: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def hidden_in(self, text: str) -> str:
        """A server's text without these secrets, which some servers echo, plain or in base64."""
        for secret in (self.password, self.sharedsecret, self.token):
            if secret:
                text = _without(text, secret)
        return text

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """Has the faults of its body show no secret; a refusal of the credentials is passed on."""
        try:
            yield
        except FaultError as error:
            if error.code is FaultCode.AUTH and self.refused is not None:
                self.refused()
            message = self.hidden_in(error.message)
            if message == error.message:
                raise
            raise type(error)(error.code, message, status=error.status) from None


def _without(text: str, secret: str) -> str:
    plain, encoded = _forms(secret)
    for form in plain:
        text = text.replace(form, HIDDEN)
    for form in encoded:
        while (start := text.find(form)) >= 0:
            text = _without_run(text, start, start + len(form))
    if len(text) >= _CUT:
        for form in (*plain, *encoded):
            text = _without_beginning(text, form)
    return text


def _without_run(text: str, start: int, end: int) -> str:
    """The text without the whole run of base64 around a place: its ends hold bits of the secret too."""
    while start > 0 and text[start - 1] in _BASE64:
        start -= 1
    while end < len(text) and text[end] in _BASE64:
        end += 1
    return text[:start] + HIDDEN + text[end:]


def _without_beginning(text: str, form: str) -> str:
    """The text without the beginning of a secret that was cut off with the text."""
    whole = text.removesuffix("...")
    for size in range(min(len(form) - 1, len(whole)), _LEAST - 1, -1):
        if whole.endswith(form[:size]):
            return whole[:-size] + HIDDEN
    return text


@functools.lru_cache(maxsize=4096)
def _forms(secret: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A secret as it may be echoed: as it is or quoted (RFC 3501 section 4.3), and within base64.

    What base64 makes of it depends on where it begins, modulo three: the messages of PLAIN, LOGIN and tokens
    are all covered by the three parts that do not depend on what stands around it.
    """
    quoted = secret.replace("\\", "\\\\").replace('"', '\\"')
    data = secret.encode("utf-8", "replace")
    encoded = []
    for before in range(3):
        bits = 8 * (before + len(data))
        part = base64.b64encode(bytes(before) + data)[-(-8 * before // 6) : bits // 6].decode("ascii")
        if len(part) >= _LEAST:
            encoded.append(part)
    return tuple(dict.fromkeys((secret, quoted))), tuple(encoded)

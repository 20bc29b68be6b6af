"""The token that a tracked message carries: what it says, how it is signed, and the Message-ID made from it.

The signature is an HMAC-SHA-256 with a key of the site over all that the token says. Only what verifies is
ours; only what is ours is ever deleted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from postbeat.model import Poll

FIELD = "X-Postbeat"
TOKENS_LIMIT = 100  # tokens in one text that are verified; protects the loop's time

_ID_BYTES = 12
# A value of the header field; servers fold it at blanks.
PATTERN = (
    r"v=2;\s+poll=([!-:<-~]{1,120});\s+attempt=([0-9]{1,3});\s+sent=([0-9]{1,17});"
    r"\s+body=((?:[0-9]{1,6}:[A-Za-z0-9_-]{16})?);\s+subject=((?:[A-Za-z0-9_-]{8})?);"
    r"\s+sig=([A-Za-z0-9_-]{43})"
)
_TOKEN = re.compile(PATTERN)


@dataclass(frozen=True, slots=True)
class Token:
    """Which poll and attempt sent a message, when by our clock, and what was sent.

    ``body`` and ``subject`` are digests of :mod:`postbeat.arrival.canonical`; "" where nothing is said.
    """

    poll: Poll
    attempt: int
    sent_at_us: int
    body: str = ""
    subject: str = ""

    def __str__(self) -> str:
        """All that is signed, as it stands in the header field before the signature."""
        return (
            f"v=2; poll={self.poll}; attempt={self.attempt}; sent={self.sent_at_us};"
            f" body={self.body}; subject={self.subject}"
        )


def sign(token: Token, key: bytes) -> tuple[str, str]:
    """The value of the header field, and the Message-ID up to the ``@``, both of which only the key makes.

    The Message-ID does not stand in the token: who copies the token into a message of another Message-ID
    is found out, and who has seen neither cannot make it.
    """
    text = str(token)
    return f"{text}; sig={_signature(text, key)}", _message_id(text, key)


def field_value(token: Token, key: bytes) -> str:
    """The signed value of the header field."""
    return sign(token, key)[0]


def message_id(token: Token, key: bytes) -> str:
    """The Message-ID of a token's message up to the ``@``."""
    return _message_id(str(token), key)


def is_original(message_id: str, token: Token, keys: Sequence[bytes]) -> bool:
    """Whether a message with this Message-ID is the one that was sent with the token, by one of the keys."""
    given = message_id.strip("<> ").partition("@")[0].encode("utf-8", "replace")
    text = str(token)
    return any(hmac.compare_digest(_message_id(text, key).encode(), given) for key in keys)


def _signature(text: str, key: bytes) -> str:
    digest = hmac.digest(key, text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest)[:-1].decode()


def _message_id(text: str, key: bytes) -> str:
    digest = hmac.digest(key, f"{text}; message-id".encode(), hashlib.sha256)
    return f"{digest[:_ID_BYTES].hex()}.postbeat"


@dataclass(frozen=True, slots=True)
class Claim:
    """A token with its signature, which may be anybody's."""

    token: Token
    signature: str

    def verifies(self, keys: Sequence[bytes]) -> bool:
        """Whether one of the keys made the signature."""
        text = str(self.token)
        return any(hmac.compare_digest(_signature(text, key), self.signature) for key in keys)


def claim(value: str) -> Claim | None:
    """The claim that the value of a field makes, folded or not; None where it is none."""
    match = _TOKEN.fullmatch(value.strip())
    return _claim(match) if match else None


def claims(text: str) -> Iterator[Claim]:
    """The first claims in a text, wherever they stand and however they are folded."""
    found = map(_claim, _TOKEN.finditer(text))
    return islice((one for one in found if one is not None), TOKENS_LIMIT)


def _claim(match: re.Match[str]) -> Claim | None:
    try:
        token = Token(Poll.parse(match[1]), int(match[2]), int(match[3]), match[4], match[5])
    except ValueError:
        return None
    # 7 and 007 are the same number, but we write only one of them.
    written = " ".join(match[0].split())
    return Claim(token, match[6]) if written == f"{token}; sig={match[6]}" else None


def parse_value(value: str, keys: Sequence[bytes]) -> Token | None:
    """The token of a field's value, or None where it is not signed with one of the keys."""
    found = claim(value)
    return found.token if found is not None and found.verifies(keys) else None

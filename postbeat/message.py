"""The tracked message: build, sign, recognise.

A message of ours carries one header field ``X-Postbeat`` whose signature (HMAC-SHA-256 with the site's key)
covers the poll's id, the attempt and the time of sending. Only what verifies is ours; only what is ours is
ever deleted.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from postbeat.model import Poll

FIELD = "X-Postbeat"
SUBJECT = "SMTP Monitor Test Message"
ORIGINATOR = "SMTP-Monitor"
BODY = (
    b"This message tests the mail service. A monitor sent it and will delete it once it has\r\n"
    b"found it here. If you are not that monitor, you may delete it too.\r\n"
)

_TOKEN = re.compile(r"v=1; poll=(\S{1,120}); attempt=([0-9]{1,3}); sent=([0-9]{1,17}); sig=[A-Za-z0-9_-]{43}")
_FOLD = re.compile(rb"\r?\n[ \t]+")


@dataclass(frozen=True, slots=True)
class Token:
    """What the header field says: which poll and attempt sent the message, and when (our clock)."""

    poll: Poll
    attempt: int
    sent_at_us: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends, to whom, under which host name; ``originator`` is the display name in From."""

    sender: str
    recipient: str
    host: str
    originator: str = ORIGINATOR


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the header of a message says to us."""

    token: Token | None
    hop_count: int


def _signature(token: Token, key: bytes) -> str:
    text = f"v1|{token.poll}|{token.attempt}|{token.sent_at_us}"
    digest = hmac.digest(key, text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def field_value(token: Token, key: bytes) -> str:
    """The signed value of the header field."""
    signature = _signature(token, key)
    return f"v=1; poll={token.poll}; attempt={token.attempt}; sent={token.sent_at_us}; sig={signature}"


def parse_value(value: str, keys: Sequence[bytes]) -> Token | None:
    """The token of a header field's value, or None when it is not signed with one of the keys."""
    text = " ".join(value.split())
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    try:
        token = Token(Poll.parse(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
    # Compared as a whole: 7 and 007 are the same number, but we write only one of them.
    if any(hmac.compare_digest(field_value(token, key), text) for key in keys):
        return token
    return None


def build(token: Token, envelope: Envelope, key: bytes) -> bytes:
    """The message as it goes onto the wire: RFC 5322, CRLF line ends, no line begins with a dot.

    Date is valid (RFC 5322 section 3.3), Message-ID is unique for every attempt (a repeated one is dropped
    by some servers), and Auto-Submitted keeps vacation answers away (RFC 3834 section 5).
    """
    date = email.utils.format_datetime(datetime.fromtimestamp(token.sent_at_us / 1e6, UTC))
    return (
        f"From: {envelope.originator} <{envelope.sender}>\r\n"
        f"To: <{envelope.recipient}>\r\n"
        f"Subject: {SUBJECT}\r\n"
        f"Date: {date}\r\n"
        f"Message-ID: <{secrets.token_hex(12)}.postbeat@{envelope.host}>\r\n"
        f"{FIELD}: {field_value(token, key)}\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
    ).encode() + BODY


def recognise(header: bytes, keys: Sequence[bytes]) -> Recognised:
    """What a raw header says: our token if one verifies, and the number of Received fields (hops)."""
    token = None
    hop_count = 0
    for line in _FOLD.sub(b" ", header).splitlines():
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        if name == b"received":
            hop_count += 1
        elif name == b"x-postbeat" and token is None:
            token = parse_value(value.decode("ascii", "replace"), keys)
    return Recognised(token, hop_count)

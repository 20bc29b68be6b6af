"""The tracked message: build, sign, recognise.

A message of ours carries one header field ``X-Postbeat`` whose signature (HMAC-SHA-256 with the site's key)
covers the poll's id, the attempt and the time of sending. Only what verifies is ours; only what is ours is
ever deleted.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header

from postbeat import dkimsign
from postbeat.dkimsign import Signer
from postbeat.mailtext import OURS, MailText, quoted_printable
from postbeat.model import Poll

FIELD = "X-Postbeat"
ORIGINATOR = "SMTP-Monitor"

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/^_`{|}~ -]+")
_TOKEN = re.compile(r"v=1; poll=(\S{1,120}); attempt=([0-9]{1,3}); sent=([0-9]{1,17}); sig=[A-Za-z0-9_-]{43}")
_FIRST_LINE = re.compile(rf"{FIELD}: ({_TOKEN.pattern})", re.I)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}(?:\r?\n[A-Za-z0-9+/]+)*")
_END = re.compile(rb"(?:\A|\r?\n)\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")


@dataclass(frozen=True, slots=True)
class Token:
    """What the header field says: which poll and attempt sent the message, and when (our clock)."""

    poll: Poll
    attempt: int
    sent_at_us: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends, to whom, under which host name; ``originator`` is the display name in From.

    The null sender is "": then From shows the recipient.
    """

    sender: str
    recipient: str
    host: str
    originator: str = ORIGINATOR


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is ready for the wire (CRLF line ends, not dot-stuffed), and its envelope.

    ``padding`` bytes of :func:`padding` follow ``data``. ``utf8`` is whether it needs SMTPUTF8 (RFC 6531),
    ``eightbit`` whether its body needs 8BITMIME (RFC 6152).
    """

    sender: str
    recipient: str
    data: bytes
    padding: int = 0
    utf8: bool = False
    eightbit: bool = False


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


class Template:
    """The message of an element: made once, all but what is new in each attempt.

    ``payload`` bytes pad the body; ``in_body`` writes the tracking line into it and not into the header.
    """

    def __init__(
        self,
        envelope: Envelope,
        text: MailText = OURS,
        *,
        payload: int = 0,
        in_body: bool = False,
        signer: Signer | None = None,
    ) -> None:
        self._envelope = envelope = ascii_domains(envelope)
        self._text = text
        self._padding = padding_size(payload)
        self._in_body = in_body
        self._signer = signer
        author = envelope.sender or envelope.recipient
        name = display_name(envelope.originator)
        space = " " if len(name) + len(author) < 60 else "\r\n "
        written = f"From: {name}{space}<{author}>\r\nTo: <{envelope.recipient}>\r\n"
        self._fields = written.encode() + text.fields
        addresses = envelope.sender + envelope.recipient
        self._utf8 = text.utf8 or not addresses.isascii()
        self._body_hash = self._hashed(b"") if signer and not in_body else b""

    def outgoing(self, token: Token, key: bytes) -> Outgoing:
        """The message of one attempt: RFC 5322 complete, with a Date and a Message-ID of its own.

        A repeated Message-ID is dropped by some servers; Auto-Submitted keeps vacation answers away (RFC 3834
        section 5).
        """
        date = email.utils.format_datetime(datetime.fromtimestamp(token.sent_at_us / 1e6, UTC))
        new = f"Date: {date}\r\nMessage-ID: <{secrets.token_hex(12)}.postbeat@{self._envelope.host}>\r\n"
        tracking = f"{FIELD}: {field_value(token, key)}\r\n"
        line = b""
        if self._in_body:
            line = _encoded_line(tracking, self._text.encoding)
        else:
            new += tracking
        header = new.encode() + self._fields
        if self._signer is not None:
            hashed = self._hashed(line) if self._in_body else self._body_hash
            header = self._signer.signature(header, hashed, token.sent_at_us // 1_000_000) + header
        data = b"%b\r\n%b%b" % (header, line, self._text.body)
        envelope, text = self._envelope, self._text
        return Outgoing(envelope.sender, envelope.recipient, data, self._padding, self._utf8, text.eightbit)

    def _hashed(self, line: bytes) -> bytes:
        return dkimsign.body_hash((line + self._text.body, *padding(self._padding)))


def _encoded_line(line: str, encoding: str) -> bytes:
    """The first line of a body in the body's encoding, so that it decodes together with the rest."""
    if encoding == "quoted-printable":
        return quoted_printable(line.encode())
    if encoding == "base64":
        # Whole groups of three: an encoded text must not end before its last line (RFC 2045 section 6.8).
        text = line.encode().rjust(-(-len(line) // 3) * 3)
        return b"".join(base64.b64encode(text[at : at + 54]) + b"\r\n" for at in range(0, len(text), 54))
    return line.encode()


def display_name(name: str) -> str:
    """A display name as it stands in a field (RFC 5322 section 3.4, RFC 2047 where it is not ASCII)."""
    if not name.isascii():
        return Header(name, "utf-8", header_name="From").encode(linesep="\r\n")
    if _ATOMS.fullmatch(name):
        return name
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


def ascii_domains(envelope: Envelope) -> Envelope:
    """The envelope with its domains in ASCII (RFC 5891), so that only mailboxes can need SMTPUTF8."""
    return Envelope(
        _ascii_domain(envelope.sender), _ascii_domain(envelope.recipient), envelope.host, envelope.originator
    )


def _ascii_domain(address: str) -> str:
    name, at, domain = address.rpartition("@")
    if domain.isascii() or not name.isascii():
        return address
    try:
        return f"{name}{at}{domain.encode('idna').decode()}"
    except UnicodeError:
        return address


# Padding: lines of 76 characters that are text in any encoding of the body, base64 included.
_PADDING_LINE = b"PostbeatPayload0123456789" * 3 + b"+\r\n"
_PADDING_BLOCK = _PADDING_LINE * 840  # 64 KiB at a time, so that memory does not follow the payload


def padding_size(payload: int) -> int:
    """The bytes that pad a body for this payload: a line has a character at least."""
    return max(payload, 3) if payload else 0


def padding(size: int) -> Iterator[bytes]:
    """Lines of ``size`` bytes in all, in blocks; each ends with a line end."""
    last = size % len(_PADDING_LINE)
    if 0 < last < 3 and size > last:
        last += len(_PADDING_LINE)
    rest = size - last
    while rest:
        block = _PADDING_BLOCK[:rest]
        rest -= len(block)
        yield block
    if last:
        yield b"P" * (last - 2) + b"\r\n"


def build(token: Token, envelope: Envelope, key: bytes) -> bytes:
    """A message in our own words, whole, with CRLF line ends."""
    return Template(envelope).outgoing(token, key).data


def recognise(header: bytes, keys: Sequence[bytes]) -> Recognised:
    """What a raw header says: our token if one verifies, and the number of Received fields (hops).

    Where the beginning of the body follows the header, its first line may hold the token instead.
    """
    token = None
    hop_count = 0
    end = _END.search(header)
    text = header[end.end() :] if end else b""
    for line in _FOLD.sub(b" ", header[: end.start()] if end else header).splitlines():
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        if name == b"received":
            hop_count += 1
        elif name == b"x-postbeat" and token is None:
            token = parse_value(value.decode("ascii", "replace"), keys)
    if token is None and text:
        token = _token_in(text, keys)
    return Recognised(token, hop_count)


def _token_in(text: bytes, keys: Sequence[bytes]) -> Token | None:
    """The token that a body begins with; what quotes our message (a bounce, a reply) does not begin with it.

    Gateways rewrite bodies: the token may be folded, in quoted-printable, in base64, or in the first part.
    """
    text = text.lstrip()
    if text.startswith(b"--"):
        text = re.split(rb"\r?\n\r?\n", text, maxsplit=1)[-1].lstrip()
    for decoded in (text, binascii.a2b_qp(text), _base64(text)):
        match = _FIRST_LINE.match(" ".join(decoded[:2000].decode("ascii", "replace").split()))
        if match is not None and (token := parse_value(match[1], keys)) is not None:
            return token
    return None


def _base64(text: bytes) -> bytes:
    """What a text in base64 stands for, or nothing where it is in no base64."""
    match = _BASE64.match(text)
    letters = b"".join(match[0].split()) if match else b""
    return base64.b64decode(letters[: len(letters) // 4 * 4])

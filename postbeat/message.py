"""The tracked message: build it from what it says and a signed token; recognise it when it is found."""

from __future__ import annotations

import base64
import email.utils
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from functools import lru_cache

from postbeat import dkimsign
from postbeat.arrival import canonical, fields, mime
from postbeat.arrival.tracking import Recognised, recognise, tokens_in
from postbeat.dkimsign import Signer
from postbeat.mailtext import OURS, MailText, quoted_printable
from postbeat.token import FIELD, Token, field_value, is_original, message_id, parse_value, sign

__all__ = [
    "FIELD",
    "ORIGINATOR",
    "Envelope",
    "Outgoing",
    "Recognised",
    "Template",
    "Token",
    "build",
    "field_value",
    "is_original",
    "message_id",
    "padding",
    "padding_size",
    "parse_value",
    "recognise",
    "tokens_in",
]

ORIGINATOR = "SMTP-Monitor"

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/^_`{|}~ -]+")


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
        self._body, self._subject = _digests(text, self._padding)

    def outgoing(self, token: Token, key: bytes) -> Outgoing:
        """The message of one attempt: RFC 5322 complete, with a Date and a Message-ID of its own.

        What the token says of body and subject is filled in here. A repeated Message-ID is dropped by some
        servers; Auto-Submitted keeps vacation answers away (RFC 3834 section 5).
        """
        said = Token(token.poll, token.attempt, token.sent_at_us, self._body, self._subject)
        value, name = sign(said, key)
        new = (
            f"Date: {_date(token.sent_at_us // 1_000_000)}\r\nMessage-ID: <{name}@{self._envelope.host}>\r\n"
        )
        tracking = f"{FIELD}: {value}\r\n"
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


@lru_cache(maxsize=16)  # a busy worker sends many messages in a second
def _date(at_s: int) -> str:
    return email.utils.format_datetime(datetime.fromtimestamp(at_s, UTC))


def _digests(text: MailText, size: int) -> tuple[str, str]:
    """The digests of a body with that much padding and of its subject, as a reader will make them."""
    header, _ = fields.split(text.fields)
    # Three bytes stand for one in quoted-printable: more of the padding does not count.
    body = text.body + b"".join(padding(min(size, 3 * canonical.BODY_LIMIT)))
    said = canonical.text(mime.parts(header, body))
    return canonical.body_digest(said), canonical.subject_digest(next(fields.values(header, "subject"), ""))


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

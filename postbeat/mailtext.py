"""What a test message says beyond what we must own: our own words, or those of a file (``mailmessage``)."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from postbeat.model import FaultCode, LocalFault
from postbeat.ourfiles import Made

SUBJECT = b"Subject: SMTP Monitor Test Message\r\n"
FILE_LIMIT = 1 << 20  # bytes of a message file: it lies in memory, and goes out with every poll
LINE_LIMIT = 998  # octets of a line without its CRLF (RFC 5322 section 2.1.1)

# Fields of a whole message that would be wrong in ours: those that we write, and the traces of another
# journey. A server takes Delivered-To for a loop, and hops are counted by Received.
_DROPPED = frozenset(
    b"from to date message-id x-postbeat sender bcc received return-path delivered-to x-original-to"
    b" dkim-signature authentication-results arc-seal arc-message-signature"
    b" arc-authentication-results".split()
)
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n")
# What tells a whole message from a text that only begins like one ("Note: ...").
_TELLTALE = re.compile(rb"^(?:from|to|subject|date|message-id|mime-version|content-type)[ \t]*:", re.I | re.M)
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class MailText:
    """The fields and the body of a message, in CRLF lines that may go onto the wire as they are.

    ``encoding`` is the body's content transfer encoding. ``utf8`` is whether the fields need SMTPUTF8,
    ``eightbit`` whether the body needs 8BITMIME.
    """

    fields: bytes
    body: bytes
    encoding: str = "7bit"
    utf8: bool = False
    eightbit: bool = False


def _mime(charset: str, encoding: str) -> bytes:
    return (
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        f"Content-Type: text/plain; charset={charset}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n"
    ).encode()


OURS = MailText(
    SUBJECT + _mime("us-ascii", "7bit"),
    b"This message tests the mail service. A monitor sent it and will delete it\r\n"
    b"once it has found it here. If you are not that monitor, you may delete it\r\n"
    b"too.\r\n",
)


def parse(data: bytes, path: str = "") -> MailText:
    """The message of a file: a whole one (RFC 5322) with its own fields, or any text, which is the body.

    Text is UTF-8 or else Latin-1. Of a whole message all fields are kept but those that we must own.

    Raises:
        LocalFault: a whole message that cannot be sent as it is.
    """
    data = _LINE_END.sub(b"\r\n", data.removeprefix(b"\xef\xbb\xbf"))
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    end = 0
    while match := _FIELD.match(data, end):
        end = match.end()
    whole = end == len(data) or data.startswith(b"\r\n", end)
    if whole and _TELLTALE.search(data, 0, end):
        return _whole(data[:end], data[end + 2 :], path)
    return _text(data)


def _whole(header: bytes, body: bytes, path: str) -> MailText:
    kept = {}
    for match in _FIELD.finditer(header):
        name = match[1].lower()
        if name not in _DROPPED and not name.startswith(b"resent-"):
            kept[match.start()] = (name, match[0])
    fields = b"".join(field for _, field in kept.values())
    named = dict(kept.values())
    if b"subject" not in named:
        fields += SUBJECT
    if b"auto-submitted" not in named:
        fields += b"Auto-Submitted: auto-generated\r\n"
    for part in (fields, body):
        if b"\0" in part or max(map(len, part.split(b"\r\n"))) > LINE_LIMIT:
            text = f"the message file {path} has a NUL, or a line of more than {LINE_LIMIT} bytes"
            raise LocalFault(FaultCode.FILE, text)
    try:
        fields.decode()
    except UnicodeDecodeError as error:
        raise LocalFault(
            FaultCode.FILE, f"the header of the message file {path} is not text in UTF-8"
        ) from error
    encoding = named.get(b"content-transfer-encoding", b":7bit").partition(b":")[2].strip().lower()
    return MailText(fields, body, encoding.decode(), utf8=not fields.isascii(), eightbit=not body.isascii())


def _text(data: bytes) -> MailText:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        data = data.decode("latin-1").encode()
        text = data.decode()
    if data.isascii() and b"\0" not in data and max(map(len, data.split(b"\r\n"))) <= LINE_LIMIT:
        return MailText(SUBJECT + _mime("us-ascii", "7bit"), data)
    charset = "us-ascii" if text.isascii() else "utf-8"
    return MailText(SUBJECT + _mime(charset, "quoted-printable"), quoted_printable(data), "quoted-printable")


def quoted_printable(data: bytes) -> bytes:
    """CRLF lines in quoted-printable (RFC 2045 section 6.7): at most 76 octets each, ASCII, no NUL."""
    encoded = binascii.b2a_qp(data.replace(b"\r\n", b"\n"), quotetabs=False, istext=True)
    return encoded.replace(b"\n", b"\r\n")


_FILES = Made("the message file", FILE_LIMIT, parse)


def of(path: str) -> MailText:
    """What a message says: our own words where ``path`` is "", else those of the file, read once.

    Raises:
        LocalFault: the file cannot be used.
    """
    return _FILES.of(path) if path else OURS

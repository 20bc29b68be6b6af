"""What an IMAP4 client says, argument by argument: strings, names of folders, data items (RFC 3501)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from postbeat.model import FaultCode, LocalFault
from postbeat.wire.line import argument

_ATOM = re.compile(rb"[A-Za-z0-9!#$&'+,./:;<=>?@^_`|~-]+")
_QUOTABLE = re.compile(rb"[ -~]*")
_ESCAPABLE = re.compile(rb'(["\\])')
_FIELD_NAME = re.compile(r"[!#$&'*+.0-9A-Z^_`a-z|~-]+")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


@dataclass(frozen=True, slots=True)
class Literal:
    """A string that goes over the wire as a literal (RFC 3501 section 4.3)."""

    data: bytes


Argument: TypeAlias = bytes | Literal


def astring(text: str, what: str, code: FaultCode = FaultCode.SECRET) -> Argument:
    """A string as a command's argument: an atom, quoted, or a literal where it is not ASCII.

    Raises:
        LocalFault: it holds CR, LF or NUL. The message names ``what``, never the text.
    """
    return string_of(argument(text, what, code))


def string_of(data: bytes) -> Argument:
    """Bytes without CR, LF and NUL as a command's argument."""
    if _ATOM.fullmatch(data) and data.upper() != b"NIL":
        return data
    if _QUOTABLE.fullmatch(data):
        return b'"' + _ESCAPABLE.sub(rb"\\\1", data) + b'"'
    return Literal(data)


def folder_name(text: str, *, utf8: bool = False) -> Argument:
    """A mailbox name in modified UTF-7 (RFC 3501 section 5.1.3), or in UTF-8 (RFC 9051 section 5.1).

    Raises:
        LocalFault: it holds CR, LF or NUL.
    """
    argument(text, "the folder", FaultCode.INTERNAL)
    return astring(text if utf8 else _to_utf7(text), "the folder", FaultCode.INTERNAL)


def _to_utf7(text: str) -> str:
    encoded = []
    for run in re.findall(r"[ -~]+|[^ -~]+", text):
        if run.isascii() and run.isprintable():
            encoded.append(run.replace("&", "&-"))
        else:
            packed = base64.b64encode(run.encode("utf-16-be")).decode("ascii")
            encoded.append(f"&{packed.rstrip('=').replace('/', ',')}-")
    return "".join(encoded)


def folder_text(name: bytes, *, utf8: bool = False) -> str:
    """The mailbox name that a server sent, read; one that cannot be read stays as it is.

    The inverse of :func:`folder_name`. Servers that send UTF-8 unasked are understood.
    """
    text = name.decode("utf-8", "backslashreplace")
    if utf8 or not text.isascii():
        return text
    try:
        return _SHIFTED.sub(lambda match: _unpacked(match[1]), text)
    except (binascii.Error, UnicodeDecodeError):
        return text


def _unpacked(packed: str) -> str:
    if not packed:
        return "&"
    padded = packed.replace(",", "/") + "=" * (-len(packed) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be")


def uid_set(uids: Iterable[int]) -> bytes:
    """UIDs as a sequence set (RFC 3501 section 9)."""
    return b",".join(b"%d" % uid for uid in uids)


def header_fields(fields: Sequence[str], limit: int) -> bytes:
    """The data item for these fields of a header, at most ``limit`` bytes of them, that sets no flag.

    RFC 3501 section 6.4.5: PEEK does not set Seen. The partial ``<0.limit>`` bounds what a stranger's mail
    can make the server send.

    Raises:
        LocalFault: a name is not that of a header field (RFC 5322 section 2.2).
    """
    for name in fields:
        if not _FIELD_NAME.fullmatch(name):
            raise LocalFault(FaultCode.INTERNAL, f"{name!r} is no name of a header field")
    return b"BODY.PEEK[HEADER.FIELDS (%b)]<0.%d>" % (" ".join(fields).encode("ascii"), limit)


def body_beginning(limit: int) -> bytes:
    """The data item for the first ``limit`` bytes of a body (RFC 3501 section 6.4.5), that sets no flag."""
    return b"BODY.PEEK[TEXT]<0.%d>" % limit


def message_beginning(limit: int) -> bytes:
    """The data item for the first ``limit`` bytes of a message (RFC 3501 section 6.4.5), without a trace."""
    return b"BODY.PEEK[]<0.%d>" % limit

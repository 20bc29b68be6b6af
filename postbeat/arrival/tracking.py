"""Tells our messages from those of others, by the token that they carry."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from postbeat.arrival.fields import split, values
from postbeat.token import FIELD, PATTERN, Claim, Token, claim, claims, is_original

BODY_BEGINNING = 2000  # bytes of a body's beginning in which its first line, folded or encoded, ends

_FIRST_LINE = re.compile(rf"\s*{FIELD}:\s*({PATTERN})", re.I)
_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
_QUOTE = re.compile(rb"^[>| ]{1,20}", re.MULTILINE)
_BASE64 = re.compile(rb"^[A-Za-z0-9+/]{40,}(?:\r?\n[A-Za-z0-9+/]+)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the header of a message says to us.

    ``token`` is one that verifies, and ``original`` whether the Message-ID is that of the token's message.
    Without one, a message is ``forged`` where a token does not verify, ``damaged`` where a field of ours
    holds no token, and otherwise may be a notice about a message of ours (RFC 3464, RFC 3834 section 5).
    """

    token: Token | None = None
    original: bool = False
    forged: bool = False
    damaged: bool = False
    may_be_bounce: bool = False


def recognise(header: bytes, keys: Sequence[bytes]) -> Recognised:
    """What a raw header says; of several tokens the first one that verifies counts.

    Where the beginning of the body follows the header, its first line may hold the token instead.
    """
    fields, body = split(header)
    written = list(values(fields, FIELD.lower()))
    made = list(chain(filter(None, map(claim, written)), _beginning(body)))
    token = next((one.token for one in made if one.verifies(keys)), None)
    if token is not None:
        message_id = next(values(fields, "message-id"), "")
        return Recognised(token, original=is_original(message_id, token, keys))
    # Ours say Auto-Submitted themselves, so what carries our field is never taken for a notice.
    if made or written:
        return Recognised(forged=bool(made), damaged=not made)
    report = any(value.lower().startswith("multipart/report") for value in values(fields, "content-type"))
    null_sender = any(value.replace(" ", "") in ("", "<>") for value in values(fields, "return-path"))
    automatic = any(not _is_no(value) for value in values(fields, "auto-submitted"))
    return Recognised(may_be_bounce=report or null_sender or automatic)


def _is_no(value: str) -> bool:
    """Whether a value of Auto-Submitted says that people wrote the message (RFC 3834 section 5)."""
    return re.split(r"[;( ]", value.lower(), maxsplit=1)[0] == "no"


def _beginning(body: bytes) -> Iterator[Claim]:
    """The claims that a body begins with; what quotes our message (a bounce, a reply) does not begin so.

    Gateways rewrite bodies: the line may be folded, in quoted-printable, in base64, or in the first part.
    """
    body = body.lstrip()
    if body.startswith(b"--"):
        body = _EMPTY_LINE.split(body, maxsplit=1)[-1].lstrip()
    if not body:
        return
    encoded = _BASE64.match(body)
    for decoded in (body, binascii.a2b_qp(body), _unpacked(encoded[0]) if encoded else b""):
        match = _FIRST_LINE.match(decoded[:BODY_BEGINNING].decode("ascii", "replace"))
        if match is not None and (found := claim(match[1])) is not None:
            yield found


def tokens_in(text: bytes, keys: Sequence[bytes]) -> Token | None:
    """The first token in a text that verifies, wherever it stands: folded, quoted, encoded.

    Time and memory follow the length of the text, which the caller bounds.
    """
    plain = _QUOTE.sub(b"", text)
    forms = chain(
        (plain, binascii.a2b_qp(plain), _QUOTE.sub(b"", binascii.a2b_qp(text))),
        (_QUOTE.sub(b"", _unpacked(match[0])) for match in _BASE64.finditer(plain)),
    )
    found = chain.from_iterable(claims(form.decode("ascii", "replace")) for form in forms)
    return next((one.token for one in found if one.verifies(keys)), None)


def _unpacked(encoded: bytes) -> bytes:
    """What a text in base64 stands for, as far as it is whole."""
    letters = b"".join(encoded.split())
    return binascii.a2b_base64(letters[: len(letters) // 4 * 4])

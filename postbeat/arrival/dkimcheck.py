"""DKIM signatures verified by ourselves (RFC 6376, RFC 8463), with dkimpy.

dkimpy is imported when the first signature is verified: it takes some 70 ms. It is synchronous, and its time
may grow with the square of what it is given; hence the limits.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from postbeat.arrival.fields import printable
from postbeat.arrival.verdicts import dkim_rank
from postbeat.delivery import Verdict
from postbeat.model import FaultCode, FaultError

BY = "postbeat"
SIGNATURES_LIMIT = 3  # signatures that are verified, from the top
SIGNATURE_LIMIT = 4096  # bytes of one
HEADER_LIMIT = 64 * 1024  # bytes of a header
LINES_LIMIT = 2000  # of a header
KEY_LIMIT = 2048  # bytes of a key record: an RSA key of 8192 bits fits
EXPONENT_BITS = 64  # of an RSA key: 65537 has 17, and with thousands dkimpy takes half a second
REASON_LIMIT = 255  # characters

Txt = Callable[[str], Awaitable[bytes | None]]
Aside = Callable[..., Awaitable[Any]]

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_SIGNED = re.compile(rb"^dkim-signature[ \t]*:", re.IGNORECASE | re.MULTILINE)
_LONG_GAP = re.compile(rb"\s{100}")
_BLANKS = re.compile(rb"[ \t]+")
# What dkimpy has to say goes into the verdict, not into our log.
_QUIET = logging.Logger("dkim", logging.CRITICAL + 1)


async def here(work: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  what the work returns
    """Does the work at once, where nothing else waits."""
    return work(*arguments)


async def check(message: bytes, txt: Txt, aside: Aside = here) -> Verdict | None:
    """The verdict on the signatures of a whole message; None where it has none.

    ``txt`` gives the TXT record of a name, None where there is none; it may raise a FaultError or OSError.
    ``aside`` does dkimpy's work; with ``asyncio.to_thread`` nobody else has to wait for it.
    It is enough that one signature verifies. Otherwise the result is, in this order, ``temperror`` where a
    key could not be looked up, ``fail``, or ``permerror`` where a signature or a key makes no sense.
    """
    end = _HEADER_END.search(message)
    header = message[: end.start()] if end else message
    if not _SIGNED.search(header):
        return None
    if len(header) > HEADER_LIMIT or header.count(b"\n") > LINES_LIMIT:
        return _verdict("permerror", "the header is too large")
    found = []
    for index in range(SIGNATURES_LIMIT):
        verdict = await _check(message, index, txt, aside)
        if verdict is None:
            break
        found.append(verdict)
        if verdict.result == "pass":
            break
    return min(found, key=dkim_rank, default=None)


async def _check(message: bytes, index: int, txt: Txt, aside: Aside) -> Verdict | None:
    """The verdict on one signature, None where there are not that many."""
    try:
        prepared = await aside(_prepared, message, index)
        if prepared is None:
            return None
        signed, tags = prepared
        domain, selector = tags[b"d"].decode(), tags[b"s"].decode()
    except Exception as error:  # dkimpy does not say what it raises on what
        return _verdict("permerror", f"a signature makes no sense: {error}")
    whose = f"d={domain} s={selector}"
    try:
        record = await txt(f"{selector}._domainkey.{domain}")
    except (FaultError, OSError) as error:
        is_no_name = isinstance(error, FaultError) and error.code is FaultCode.LOOKUP
        return _verdict("permerror" if is_no_name else "temperror", f"{whose}: {error}")
    if not record or len(record) > KEY_LIMIT:
        return _verdict("permerror", f"{whose}: {'the key is too large' if record else 'there is no key'}")
    result, why = await aside(_verified, signed, index, record)
    if b"l" in tags:
        why += f" (of the body, only {tags[b'l'].decode()} bytes are signed)"
    return _verdict(result, whose + why)


def _prepared(message: bytes, index: int) -> tuple[Any, Mapping[bytes, bytes]] | None:
    """A message as dkimpy sees it, and the tags of a signature; None where there are not that many.

    Raises:
        Exception: whatever dkimpy raises; ValueError where the signature is not acceptable.
    """
    import dkim  # noqa: PLC0415  see above

    signed = dkim.DKIM(message, logger=_QUIET)
    signatures = [value for name, value in signed.headers if name.lower() == b"dkim-signature"]
    if index >= len(signatures):
        return None
    if len(signatures[index]) > SIGNATURE_LIMIT or _LONG_GAP.search(signatures[index]):
        raise ValueError("it is too long")
    tags, *_ = signed.verify_headerprep(index)
    if tags[b"a"] == b"rsa-sha1":
        raise ValueError("rsa-sha1 does not count any more (RFC 8301 section 3.1)")
    if tags.get(b"c", b"").endswith(b"/relaxed"):
        # To the relaxed form this makes no difference (RFC 6376 section 3.4.4); to dkimpy's time it does.
        signed.body = _BLANKS.sub(b" ", signed.body)
    return signed, tags


def _verified(signed: Any, index: int, record: bytes) -> tuple[str, str]:  # noqa: ANN401  dkimpy has no types
    """The result for a signature with the key in a record, and what is wrong."""
    import dkim  # noqa: PLC0415

    try:
        # verify() tells a bad key from a bad signature in its log only.
        key, *_ = dkim.evaluate_pk("the key", record)
        if isinstance(key, dict) and key["publicExponent"].bit_length() > EXPONENT_BITS:
            raise ValueError("its exponent is too large")
    except Exception as error:
        return "permerror", f": the key makes no sense: {error}"
    try:
        good = signed.verify(index, dnsfunc=lambda name, timeout: record)
    except dkim.ValidationError:  # the signature's own form has been looked at before
        return "fail", ": the body was changed"
    except Exception as error:
        return "permerror", f": {error}"
    return ("pass", "") if good else ("fail", ": the header was changed, or the key is another one")


def _verdict(result: str, reason: str) -> Verdict:
    return Verdict("dkim", result, BY, printable(reason.encode("utf-8", "replace"), REASON_LIMIT))

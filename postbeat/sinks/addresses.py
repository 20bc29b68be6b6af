"""Addresses of receivers: what may stand in them, and how they are shown. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_PRINTABLE = re.compile(r"[^\x00-\x20\x7f]{1,2000}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4000}")


def web_address(text: str) -> str:
    """The text, which is an address that begins with http:// or https://.

    Raises:
        ValueError: it is none. The message does not show it, as an address may be a secret.
    """
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # whose message shows a part of it
        fits = False
    if not fits or not _PRINTABLE.fullmatch(text):
        raise ValueError("not an address that begins with http:// or https://")
    return text


def header_value(text: str) -> str:
    """The text, which may stand in a header of HTTP (RFC 9110 section 5.5).

    Raises:
        ValueError: it may not. The message does not show it.
    """
    if not _HEADER_VALUE.fullmatch(text):
        raise ValueError("not the value of a header")
    return text


def shown(address: str) -> str:
    """What may be shown of an address: no user, password, path or query."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

"""Addresses of receivers: what may stand in them, and how they are shown. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_PRINTABLE = re.compile(r"[^\x00-\x20\x7f]{1,2000}")
_ABSOLUTE = re.compile(r"/[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f/]")
_SOCKET_LIMIT = 107  # bytes of the path of a socket, as Linux takes them (unix(7))
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


@dataclass(frozen=True, slots=True)
class Target:
    """Where lines go: a file (``path``), a socket of this machine (``socket``), or ``host`` and ``port``."""

    path: Path | None = None
    socket: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix:{self.socket}" if self.socket else f"tcp://{host}:{self.port}"


def target_of(text: str) -> Target:
    """The target of an absolute path, ``unix:/PATH`` or ``tcp://HOST:PORT``.

    Raises:
        ValueError: it is none.
    """
    if _ABSOLUTE.fullmatch(text) and Path(text).name:  # the root by another name is no file either
        return Target(path=Path(text))
    kind, _, rest = text.partition(":")
    if kind == "unix" and _ABSOLUTE.fullmatch(rest) and len(rest.encode()) <= _SOCKET_LIMIT:
        return Target(socket=rest)
    parts = urlsplit(text)
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    if kind != "tcp" or not bare or not parts.hostname or not parts.port or not _PRINTABLE.fullmatch(text):
        raise ValueError("not a target")
    return Target(host=parts.hostname, port=parts.port)


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

"""The header of the PROXY protocol (HAProxy's specification): who connects, for servers behind a proxy."""

from __future__ import annotations

import ipaddress
import struct

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_VERSION_2_PROXY = 0x21
_TCP_OVER = {4: 0x11, 6: 0x21}


def header(version: int, source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """The header of version 1 (text) or 2 (binary) for a TCP connection between two addresses and ports."""
    ours, theirs = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    if version == 1:
        return f"PROXY TCP{ours.version} {ours} {theirs} {source[1]} {destination[1]}\r\n".encode()
    addresses = ours.packed + theirs.packed + struct.pack("!HH", source[1], destination[1])
    start = struct.pack("!BBH", _VERSION_2_PROXY, _TCP_OVER[ours.version], len(addresses))
    return _SIGNATURE + start + addresses

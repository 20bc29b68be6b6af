"""Bytes in every split, and what a protocol without I/O makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from hypothesis import strategies as st

from postbeat.model import RemoteFault

R_co = TypeVar("R_co", covariant=True)


class Wire(Protocol[R_co]):
    """A protocol without I/O."""

    def receive(self, data: bytes) -> None: ...

    def next_reply(self) -> R_co | None: ...


def splits(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """These bytes in pieces, cut anywhere."""

    def cut(places: set[int]) -> list[bytes]:
        ends = [0, *sorted(places), len(data)]
        return [data[start:end] for start, end in itertools.pairwise(ends)]

    return st.sets(st.integers(0, len(data)), max_size=12).map(cut)


def replies(wire: Wire[R_co], pieces: Iterable[bytes]) -> list[R_co]:
    """All replies, in order."""
    found: list[R_co] = []
    for piece in pieces:
        wire.receive(piece)
        while (reply := wire.next_reply()) is not None:
            found.append(reply)
    return found


def fault_in(attempt: Callable[[], object]) -> RemoteFault | None:
    """The remote fault that an attempt ends with, or None; any other exception goes on."""
    try:
        attempt()
    except RemoteFault as fault:
        return fault
    return None

"""The level of a result. Pure."""

from __future__ import annotations

from postbeat.model import Fault, Level, Side


def level_of(fault: Fault | None) -> Level:
    """GOOD without a fault, FAILED for a REMOTE one; a LOCAL one says nothing of the service: UNKNOWN."""
    if fault is None:
        return Level.GOOD
    return Level.FAILED if fault.side is Side.REMOTE else Level.UNKNOWN


_SEVERITY = {Level.GOOD: 0, Level.MARGINAL: 1, Level.UNKNOWN: 2, Level.FAILED: 3}


def merged(send: Level, read: Level | None) -> Level:
    """The level of a round trip from those of its halves; ``read`` is None where nothing is read.

    What was not sent cannot be read: an UNKNOWN send makes the whole UNKNOWN, whatever the mailbox said of
    earlier messages. Otherwise the worse half counts, and FAILED is the worst.
    """
    if read is None or send is Level.UNKNOWN:
        return send
    return max(send, read, key=_SEVERITY.__getitem__)

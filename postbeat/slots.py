"""The deterministic grid: when a pair is polled follows from its name and interval alone.

No schedule is stored anywhere. A second or restarted beat computes the same polls with the same ids, pairs
are spread evenly over the interval, and an element whose other fields change keeps its place.
"""

from __future__ import annotations

import hashlib

from postbeat.elements import MailboxElement, SmtpElement
from postbeat.model import Pair

Polled = SmtpElement | MailboxElement


def poll_s(element: Polled) -> float:
    """The interval of an element, in seconds.

    Raises:
        ValueError: it has none: a mailbox that is only read, and not polled itself.
    """
    if element.poll is None:
        raise ValueError(f"{element.name} is not polled")
    return element.poll


def interval_us(poll_s: float) -> int:
    """A poll interval in microseconds."""
    return round(poll_s * 1e6)


def phase_us(pair: Pair, poll_s: float) -> int:
    """The pair's place within the interval, in microseconds from 0 up to the interval."""
    digest = hashlib.blake2b(str(pair).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % interval_us(poll_s)


def slot_at(pair: Pair, poll_s: float, at_us: int) -> int:
    """The slot that is current at a moment: the last one whose time has come."""
    return (at_us - phase_us(pair, poll_s)) // interval_us(poll_s)


def due_us(pair: Pair, poll_s: float, slot: int) -> int:
    """When a slot's poll is due."""
    return slot * interval_us(poll_s) + phase_us(pair, poll_s)

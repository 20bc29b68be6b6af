"""The arguments of ``record.lua``: one place for the worker (asyncio), beat and the sweep (not asyncio)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from postbeat import codec
from postbeat.elements import SmtpElement
from postbeat.model import Poll
from postbeat.results import Result
from postbeat.store import keys

SILENT_INTERVALS = 2.5
GRACE_US = 5_000_000  # for the way through the queue and into Redis

Call = tuple[list[str], list[str | int]]  # KEYS and ARGV


@dataclass(frozen=True, slots=True)
class Pending:
    """A message on its way to a mailbox. Times are our one clock's, in microseconds."""

    poll: Poll
    attempt: int
    accepted_at_us: int
    expires_at_us: int

    def dumps(self) -> str:
        """One line of JSON."""
        return json.dumps([str(self.poll), self.attempt, self.accepted_at_us, self.expires_at_us])

    @classmethod
    def loads(cls, text: str | bytes) -> Pending:
        """What :meth:`dumps` wrote."""
        poll, attempt, accepted_at_us, expires_at_us = json.loads(text)
        return cls(Poll.parse(poll), attempt, accepted_at_us, expires_at_us)


def silence_us(element: SmtpElement) -> int:
    """How long after a result the next one may be missing before silence counts, in microseconds.

    2.5 intervals; longer where a poll may rightly run longer: it may wait an interval in its queue and then
    run all its attempts to their deadlines.
    """
    interval_us = round(element.poll * 1e6)
    longest_us = 2 * interval_us + round(element.longest_s * 1e6) + GRACE_US
    return max(round(SILENT_INTERVALS * interval_us), longest_us)


def pending_of(element: SmtpElement, result: Result) -> Pending | None:
    """The message that a send put on its way, or None where there is none to read."""
    attempt = result.decisive
    if not element.read or attempt is None or attempt.accepted_at_us is None or result.fault is not None:
        return None
    expires_at_us = attempt.accepted_at_us + round(element.delivertimeout * 1e6)
    return Pending(result.poll, attempt.number, attempt.accepted_at_us, expires_at_us)


def send_call(
    element: SmtpElement,
    result: Result,
    *,
    pending: Pending | None = None,
    mailbox: str = "",
    wake: str = "",
    silent_polls: int = 0,
) -> Call:
    """Records a send. ``silent_polls`` more polls before it gave no result either."""
    interval_us = round(element.poll * 1e6)
    silent_at_us = result.at_us + silence_us(element)
    seen_for_s = 2 * (silence_us(element) + interval_us) // 1_000_000 + 60
    read_silent_at_us = result.at_us + round(element.delivertimeout * 1e6) + silence_us(element)
    pair = str(result.poll.pair)
    names = _names(result, pair)
    names += [keys.seen(str(result.poll)), keys.pending(mailbox), keys.MAILBOXES]
    values = _values(result, pair, has_read=element.read is not None)
    values += [interval_us, silent_at_us, seen_for_s, silent_polls]
    values += [mailbox if pending else "", pending.dumps() if pending else "", wake, read_silent_at_us]
    return names, values


def read_call(result: Result, mailbox: str, token: str) -> Call:
    """Records a read, under the lease that ``token`` stands for ("": while nobody holds it)."""
    pair = str(result.poll.pair)
    names = [*_names(result, pair), keys.lease(mailbox), keys.pending(mailbox)]
    return names, [*_values(result, pair, has_read=True), token]


def _names(result: Result, pair: str) -> list[str]:
    return [
        keys.pair(pair),
        keys.latest(result.phase),
        keys.RESULTS,
        keys.EVENTS,
        keys.EXPECTED,
        keys.OPEN,
    ]


def _values(result: Result, pair: str, *, has_read: bool) -> list[Any]:
    return [
        result.phase.value,
        pair,
        result.poll.slot,
        result.level.value,
        result.message,
        codec.encode(result),
        result.at_us,
        int(has_read),
    ]


def recorded(reply: list[int]) -> bool:
    """Whether ``record.lua`` took the result."""
    return reply[0] == 1

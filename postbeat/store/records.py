"""The arguments of ``record.lua``: one place for the worker (asyncio), beat and the sweep (not asyncio)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from postbeat import codec, histogram, slots
from postbeat.elements import SmtpElement
from postbeat.figures import TIMINGS, Figures, figures_of
from postbeat.model import Fault, Phase, Poll
from postbeat.results import Result
from postbeat.servicelevels import for_reads
from postbeat.slots import Polled
from postbeat.store import keys

SILENT_INTERVALS = 2.5
GRACE_US = 5_000_000  # for the way through the queue and into Redis

SHORT_TIMES = ("responseTime", "uploadTime", "timeToDeliver", "totalTime")  # of the short state of a pair

Call = tuple[list[str], list[str | int]]  # KEYS and ARGV


@dataclass(frozen=True, slots=True)
class Pending:
    """A message on its way to a mailbox. Times are our one clock's, in microseconds.

    It should be there by ``expires_at_us``, and counts as lost from ``lost_at_us`` on. ``uncertainty_us`` is
    that of the sender's clock when the server accepted the message. ``servicelevels`` are the rules for what
    becomes of it (:func:`postbeat.servicelevels.for_reads`).
    """

    poll: Poll
    attempt: int
    accepted_at_us: int
    expires_at_us: int
    lost_at_us: int
    uncertainty_us: int = 0
    servicelevels: str = ""

    def dumps(self) -> str:
        """One line of JSON."""
        times_us = (self.accepted_at_us, self.expires_at_us, self.lost_at_us, self.uncertainty_us)
        rules = (self.servicelevels,) if self.servicelevels else ()
        return json.dumps([str(self.poll), self.attempt, *times_us, *rules])

    @classmethod
    def loads(cls, text: str | bytes) -> Pending:
        """What :meth:`dumps` wrote."""
        poll, *others = json.loads(text)
        return cls(Poll.parse(poll), *others)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reader is there for, by poll id.

    ``pending`` messages have no read yet. ``awaited`` ones were not found in time and may still turn up.
    ``wanted`` is whether a check waits for its turn on the mailbox.
    """

    pending: dict[str, Pending]
    awaited: dict[str, Pending]
    wanted: bool


@dataclass(frozen=True, slots=True)
class Noted:
    """What a mailbox's readers leave for each other, in microseconds of the one clock; 0 for never.

    ``looked_at_us`` is when the last undisturbed look into all of it began. ``not_before_us`` is the moment
    before which the server wants no login of ours. ``fault`` is why the last look failed; None where
    it did not.
    """

    looked_at_us: int = 0
    not_before_us: int = 0
    fault: Fault | None = None


def silence_us(element: Polled) -> int:
    """How long after a result the next one may be missing before silence counts, in microseconds.

    2.5 intervals; longer where a poll may rightly run longer: it may wait an interval in its queue and then
    run all its attempts to their deadlines. The check of a mailbox may wait one interval more for its turn.
    """
    interval_us = slots.interval_us(slots.poll_s(element))
    waits_us = (2 if isinstance(element, SmtpElement) else 3) * interval_us
    longest_us = waits_us + round(element.longest_s * 1e6) + GRACE_US
    return max(round(SILENT_INTERVALS * interval_us), longest_us)


def pending_of(element: SmtpElement, result: Result, uncertainty_us: int = 0) -> Pending | None:
    """The message that a send put on its way, or None where there is none to read."""
    attempt = result.decisive
    if not element.read or attempt is None or attempt.accepted_at_us is None or result.fault is not None:
        return None
    return Pending(
        result.poll,
        attempt.number,
        attempt.accepted_at_us,
        expires_at_us=attempt.accepted_at_us + round(element.delivertimeout * 1e6),
        lost_at_us=attempt.accepted_at_us + round(element.losttimeout * 1e6),
        uncertainty_us=uncertainty_us,
        servicelevels=for_reads(element.servicelevels) if element.servicelevels else "",
    )


def poll_call(
    element: Polled,
    result: Result,
    *,
    pending: Pending | None = None,
    mailbox: str = "",
    wake: str = "",
    silent_polls: int = 0,
) -> Call:
    """Records a send, or the check of a mailbox.

    Args:
        element: what was polled.
        result: its result.
        pending: the message that the send put on its way to ``mailbox``.
        mailbox: the mailbox concerned, "" for none.
        wake: how its reader is woken.
        silent_polls: so many polls just before it gave no result either.
    """
    reads = isinstance(element, SmtpElement) and element.read is not None
    delivers_us = round(element.delivertimeout * 1e6) if isinstance(element, SmtpElement) else 0
    interval_us = slots.interval_us(slots.poll_s(element))
    silent_us = silence_us(element)
    seen_for_s = 2 * (silent_us + interval_us) // 1_000_000 + 60
    names = [*_names(result), keys.OPEN, keys.seen(str(result.poll)), keys.MAILBOXES]
    names += [keys.pending(mailbox), keys.lease(mailbox)]
    figures = figures_of(result, terminal=pending is None)
    values = _values(result, figures, has_read=reads)
    values += [interval_us, result.at_us + silent_us, seen_for_s, silent_polls]
    values += [mailbox, wake, pending.dumps() if pending else "", result.at_us + delivers_us + silent_us]
    return names, [*values, element.quorum, element.confirmpolls, *_increments(result, figures)]


def message_call(
    result: Result,
    mailbox: str,
    token: str,
    *,
    attempt: int = 0,
    place: str = "",
    following: Pending | None = None,
    copy: str = "",
) -> Call:
    """Records a read, or what came after one, under the lease that ``token`` stands for.

    Args:
        result: of phase ``read`` or ``after``.
        mailbox: where the message should turn up.
        token: of the lease; "" stands for: nobody holds it.
        attempt: the attempt whose message was found, 0 for the one that was expected.
        place: where it was found.
        following: as what the message is awaited from now on; None where nothing more will come.
        copy: the name of the copy that a result of the outcome ``duplicated`` is about.
    """
    names = [*_names(result), keys.lease(mailbox), keys.pending(mailbox), keys.awaited(mailbox)]
    names += [keys.lost_at(mailbox), keys.settled(mailbox), keys.copies(mailbox)]
    figures = figures_of(result, terminal=result.phase is Phase.READ)
    values = [*_values(result, figures, has_read=True), token, attempt, place]
    values += [following.dumps(), following.lost_at_us] if following else ["", 0]
    return names, [*values, copy, "", "", "", "", *_increments(result, figures)]


def _names(result: Result) -> list[str]:
    pair = str(result.poll.pair)
    return [
        keys.pair(pair),
        keys.latest(result.phase),
        keys.RESULTS,
        keys.EVENTS,
        keys.EXPECTED,
        keys.raw(pair),
        keys.timing(pair),
        keys.STATES,
        keys.notable(pair),
        keys.VERDICTS,
    ]


def _values(result: Result, figures: Figures, *, has_read: bool) -> list[Any]:
    fault, attempt = result.fault, result.decisive
    expires_at_us = attempt.tls.expires_at_us if attempt is not None and attempt.tls is not None else None
    return [
        result.phase.value,
        str(result.poll.pair),
        result.poll.slot,
        result.level.value,
        result.message,
        codec.pack(result),
        result.at_us,
        int(has_read),
        result.outcome.value if result.outcome else "",
        result.kind.value,
        figures.dumps(),
        int(figures.terminal),
        *((fault.stage, fault.code.value, fault.side.value) if fault is not None else ("", "", "")),
        *(_time_us(result, figures, name) for name in SHORT_TIMES),
        "" if expires_at_us is None else expires_at_us,
    ]


def _time_us(result: Result, figures: Figures, name: str) -> int | str:
    """A time of a result as it was measured, where its figures have it, else ""."""
    if name not in figures.times_us:
        return ""
    if name == "timeToDeliver":
        return result.delivery.to_deliver_us if result.delivery is not None else ""
    attempt = result.decisive
    if attempt is None:
        return ""
    return attempt.total_us if name == "totalTime" else attempt.times_us[name]


def _increments(result: Result, figures: Figures) -> list[str | int]:
    """Fields of the hash of histograms, and by how much they grow."""
    grown: list[str | int] = []
    for place, name in enumerate(TIMINGS):
        time_us = _time_us(result, figures, name)
        if isinstance(time_us, int):
            grown += (f"{place}:{histogram.index(time_us)}", 1, f"{place}:sum", time_us)
    return grown


def phase_of(element: Polled) -> Phase:
    """The phase that a poll of an element begins with: a send, or the check of a mailbox."""
    return Phase.SEND if isinstance(element, SmtpElement) else Phase.CHECK


def recorded(reply: list[int]) -> bool:
    """Whether ``record.lua`` took the result."""
    return reply[0] == 1

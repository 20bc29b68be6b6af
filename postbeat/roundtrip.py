"""What belongs together of a pair's results: both halves of a poll, or a check of a mailbox. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from postbeat import plain
from postbeat.delivery import Outcome
from postbeat.elements import SmtpElement
from postbeat.grade import merged
from postbeat.model import Level, Pair, Phase, Poll
from postbeat.profile import Profile
from postbeat.results import Result


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The send of a pair and the read that belongs to it; of a mailbox, its check.

    ``read`` is None while it is under way, and where nothing is read; ``reads`` tells which. ``after`` is
    what became of a message after its read: it may be of an earlier poll, and stands alone where it is news.
    """

    pair: Pair
    reads: bool
    send: Result | None = None
    read: Result | None = None
    after: Result | None = None
    check: Result | None = None

    @property
    def level(self) -> Level:
        """The level of both halves together; of a check or of news alone, its own."""
        alone = self.check or self.after
        if alone is not None and self.send is None and self.read is None:
            return alone.level
        send = self.send.level if self.send else Level.UNKNOWN
        found = self._found
        comes = self.reads and (found is not None or not self.complete)
        return merged(send, (found.level if found else Level.UNKNOWN) if comes else None)

    @property
    def complete(self) -> bool:
        """Whether nothing more comes: the read is there, or the send put no message on its way."""
        if self.read is not None or self.check is not None:
            return True
        if self.send is None:
            return self.after is not None
        return not self.reads or self.send.fault is not None

    @property
    def is_poll(self) -> bool:
        """Whether it is of a poll, and not only of what became of an earlier one's message."""
        return self.send is not None or self.read is not None or self.check is not None

    @property
    def message(self) -> str:
        """The text of the part that decides the level."""
        return self._deciding.message if self._deciding else "No result yet"

    @property
    def _deciding(self) -> Result | None:
        return next((part for part in self._parts() if part.level is self.level), None)

    @property
    def at_us(self) -> int | None:
        """When the newest part was recorded."""
        return max((part.at_us for part in self._parts()), default=None)

    @property
    def _found(self) -> Result | None:
        """What is said of the message last: it may have come after all, or be lost for good."""
        read, after = self.read, self.after
        if read is None or after is None or after.poll != read.poll or after.outcome is Outcome.DUPLICATED:
            return read
        return after

    def _parts(self) -> Iterable[Result]:
        alone = self.after if self.send is None and self.read is None else None
        return (part for part in (self.check, self._found, self.send, alone) if part is not None)

    def as_data(self) -> dict[str, Any]:
        """Plain data, as :mod:`postbeat.plain` has it."""
        at_us = self.at_us
        data = plain.common_as_data(self.check or self.send) | {
            "element": self.pair.element,
            "region": self.pair.region,
            "identifier": self.pair.element,
            "level": self.level,
            "serviceLevel": plain.LEVEL_NUMBERS[self.level],
            "message": self.message,
            "classification": plain.classification_of(self._deciding),
            "at": at_us / 1e6 if at_us else None,
        }
        if self.check is not None:
            return data | plain.check_as_data(self.check) | {"check": plain.half_as_data(self.check)}
        send = self.send.decisive if self.send else None
        data |= plain.delivery_as_data(self._found or self.after)
        data |= plain.elements_as_data(self.send)
        data["totalTime"] = plain.seconds(send.total_us) if send else None
        halves = {"send": self.send, "read": self.read, "after": self.after}
        return data | {name: plain.half_as_data(half) if half else None for name, half in halves.items()}


class RoundTrips:
    """Puts the halves of each poll together as they come, and gives each round trip once it is complete.

    Halves may come in any order; one whose other half never comes is forgotten after LIMIT later polls.
    """

    LIMIT = 10_000

    def __init__(self) -> None:
        self._open: dict[Poll, RoundTrip] = {}

    def add(self, result: Result, profile: Profile) -> RoundTrip | None:
        """Takes a result; returns the round trip that it completes, if any.

        Checks, and what became of a message after its read, come alone.
        """
        element = profile.elements.get(result.poll.element)
        reads = isinstance(element, SmtpElement) and element.read is not None
        if result.phase is Phase.CHECK:
            return RoundTrip(result.poll.pair, reads, check=result)
        if result.phase is Phase.AFTER:
            return RoundTrip(result.poll.pair, reads, after=result)
        trip = self._open.pop(result.poll, None) or RoundTrip(result.poll.pair, reads)
        trip = replace(trip, send=result) if result.phase is Phase.SEND else replace(trip, read=result)
        if trip.complete and trip.send is not None:
            return trip
        self._open[result.poll] = trip
        if len(self._open) > self.LIMIT:
            del self._open[next(iter(self._open))]
        return None

"""Results that nobody measured: those of a real round trip, at other times and with other figures."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis import Redis
from redis.client import Pipeline

from postbeat import codec, slots
from postbeat.delivery import Outcome
from postbeat.elements import Imap4Element, SmtpElement
from postbeat.model import Fault, FaultCode, Level, Pair, Poll, Side
from postbeat.results import Attempt, Result
from postbeat.rollup import Rollup, bucket
from postbeat.store import keys, records
from postbeat.store.fold import by_day
from postbeat.store.wake import wake_text

ROUND_TRIP = Path(__file__).parent / "round_trip.jsonl"
BATCH = 200  # polls recorded in one exchange
SEEN = 8  # polls whose mark has not expired yet, of each pair

# Median in microseconds and spread (sigma of the logarithm) of each timing of a send and its read.
SPREADS: Mapping[str, tuple[int, float]] = {
    "lookupTime": (3_000, 0.3),
    "connectTime": (21_000, 0.04),
    "SSLHandshakeTime": (43_000, 0.06),
    "responseTime": (180_000, 0.12),
    "uploadTime": (90_000, 0.2),
    "totalTime": (420_000, 0.1),
    "timeToDeliver": (4_000_000, 0.3),
}
RHYTHM = 0.1  # the share by which a day's times swing around their mean
FAILED, UNKNOWN = 0.003, 0.001  # shares of the polls


def round_trip() -> tuple[Result, Result]:
    """The send and the read of a round trip that was made, over TLS and several hops."""
    send, read = map(codec.decode, ROUND_TRIP.read_text("utf-8").splitlines())
    return send, read


class Simulated:
    """The polls of an element in a region, each with figures of its own."""

    def __init__(self, element: SmtpElement, region: str, template: tuple[Result, Result]) -> None:
        self.element = element
        self.pair = Pair(element.name, region)
        self._send, self._read = template
        self._random = random.Random(str(self.pair))

    def time_us(self, name: str, hour: float) -> int:
        """A time as it might have been measured at an hour of the day."""
        median_us, sigma = SPREADS[name]
        swing = 1 + RHYTHM * math.sin(2 * math.pi * hour / 24)
        return round(median_us * swing * math.exp(self._random.gauss(0, sigma)))

    def level(self) -> Level:
        """A level as it might have come out: nearly always GOOD."""
        drawn = self._random.random()
        return Level.FAILED if drawn < FAILED else Level.UNKNOWN if drawn < FAILED + UNKNOWN else Level.GOOD

    def poll(self, slot: int, level: Level) -> tuple[Result, Result | None]:
        """The results of a poll; of one that is not GOOD there is no read."""
        due_us = slots.due_us(self.pair, self.element.poll, slot)
        hour = due_us / 3_600_000_000
        times_us = {name: self.time_us(name, hour) for name in SPREADS}
        to_deliver_us, total_us = times_us.pop("timeToDeliver"), times_us.pop("totalTime")
        (attempt,) = self._send.attempts
        at_us = due_us + total_us
        attempt = replace(attempt, started_at_us=due_us, total_us=total_us, times_us=times_us)
        sent = replace(self._send, poll=Poll(self.pair.element, self.pair.region, slot), at_us=at_us)
        if level is not Level.GOOD:
            return _faulty(sent, attempt, level), None
        sent = replace(sent, attempts=(replace(attempt, accepted_at_us=at_us),))
        assert self._read.delivery is not None
        delivery = replace(self._read.delivery, to_deliver_us=to_deliver_us, resolution_us=to_deliver_us)
        return sent, replace(self._read, poll=sent.poll, at_us=at_us + to_deliver_us, delivery=delivery)

    def past(self, days: int, hours_days: int, upto_day: int) -> tuple[dict[int, Rollup], dict[int, Rollup]]:
        """What so many days came to, up to and without a day: the newest by hours, and all by days."""
        polls = round(3600 / self.element.poll)
        by_hours: dict[int, Rollup] = {}
        by_days: dict[int, Rollup] = {}
        for day in range(upto_day - days, upto_day):
            hours = {day * 24 + hour: self._hour(hour, polls) for hour in range(24)}
            by_days |= by_day(hours)
            if day >= upto_day - hours_days:
                by_hours |= hours
        return by_hours, by_days

    def _hour(self, hour: int, polls: int) -> Rollup:
        levels = [self.level() for _ in range(polls)]
        counts = {f"poll:{level}": levels.count(level) for level in set(levels)}
        counts |= {f"send:{level}": levels.count(level) for level in set(levels)}
        good = levels.count(Level.GOOD)
        counts |= {"read:GOOD": good, f"outcome:{Outcome.DELIVERED}": good} if good else {}
        for level in set(levels) & _FAULTS.keys():
            counts[f"fault:{_FAULTS[level].side}:{_FAULTS[level].code}"] = levels.count(level)
        timings: dict[str, dict[int, int]] = {name: {} for name in SPREADS if good}
        for name, buckets in timings.items():
            for _ in range(good):
                place = bucket(self.time_us(name, hour))
                buckets[place] = buckets.get(place, 0) + 1
        return Rollup(counts, timings)


_FAULTS = {
    Level.FAILED: Fault(Side.REMOTE, FaultCode.TIMEOUT, "No answer within 30 s in stage data", "data"),
    Level.UNKNOWN: Fault(Side.LOCAL, FaultCode.RESOLVER, "No name server answered", "lookup"),
}


def _faulty(sent: Result, attempt: Attempt, level: Level) -> Result:
    """What is known of an attempt that ended with a fault: nothing of what comes after it."""
    fault = _FAULTS[level]
    last = [stage.name for stage in attempt.stages].index(fault.stage)
    stages = (*attempt.stages[:last], replace(attempt.stages[last], reply="", ended=False))
    measured = {"lookup": (), "data": ("lookupTime", "connectTime", "SSLHandshakeTime")}[fault.stage]
    attempt = replace(
        attempt,
        fault=fault,
        stages=stages,
        times_us={name: attempt.times_us[name] for name in measured},
        tls=attempt.tls if measured else None,
        address=attempt.address if measured else "",
        bytes_transferred=0,
        status=None,
        reply="",
        accepted_at_us=None,
    )
    return replace(sent, level=level, message=fault.message, fault=fault, attempts=(attempt,))


def element(number: int, poll_s: float, regions: tuple[str, ...], box: Imap4Element) -> SmtpElement:
    """An element that sends to a mailbox."""
    return SmtpElement(
        name=f"mail{number}",
        server="mail.example.com",
        email=f"{box.name}@example.net",
        poll=poll_s,
        regions=regions,
        read=box.name,
    )


def mailbox(number: int) -> Imap4Element:
    """A mailbox that elements share."""
    return Imap4Element(name=f"box{number}", server="imap.example.net", username=f"box{number}")


class Recorder:
    """Records results as workers and readers do, many in one exchange."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url)
        self._record = self._redis.register_script(keys.script("record"))

    def record(self, polls: Iterable[tuple[Simulated, Imap4Element, Result, Result | None]]) -> int:
        """Records polls, and takes away the marks of old ones, which would expire.

        Returns the number of results.
        """
        count = 0
        for batch in _batches(polls):
            with self._redis.pipeline(transaction=False) as pipe:
                for simulated, box, sent, read in batch:
                    count += self._one(pipe, simulated, box, sent, read)
                replies = pipe.execute()
            if not all(reply == [1] for reply in replies if isinstance(reply, list)):
                raise AssertionError("a result was not recorded")
        return count

    def _one(
        self, pipe: Pipeline, simulated: Simulated, box: Imap4Element, sent: Result, read: Result | None
    ) -> int:
        wake = _wake(simulated.pair.region, box)
        pending = records.pending_of(simulated.element, sent)
        names, values = records.poll_call(
            simulated.element, sent, pending=pending, mailbox=box.mailbox if pending else "", wake=wake
        )
        self._record(keys=names, args=values, client=pipe)
        pipe.unlink(keys.seen(str(replace(sent.poll, slot=sent.poll.slot - SEEN))))
        if read is None:
            return 1
        names, values = records.message_call(read, box.mailbox, "", place="INBOX")
        self._record(keys=names, args=values, client=pipe)
        return 2

    def close(self) -> None:
        """Closes the connection."""
        self._redis.close()


@functools.cache
def _wake(region: str, box: Imap4Element) -> str:
    return wake_text(region, box.mailbox, codec.encode_element(box))


def _batches(polls: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for poll in polls:
        batch.append(poll)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch

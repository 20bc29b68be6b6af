"""The store as seen by those who only look: commands, the page, metrics. Not asyncio."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from redis import Redis

from postbeat import codec, plain
from postbeat.delivery import MailboxFacts, Outcome
from postbeat.model import Fault, Level, Pair, Phase
from postbeat.results import AnyEvent, Result
from postbeat.roundtrip import RoundTrip
from postbeat.store import keys
from postbeat.store.connecting import results_client
from postbeat.store.streams import parse_event, readable
from postbeat.store.summary import (
    ElementFacts,
    ElementVerdict,
    PairSummary,
    StoredFacts,
    by_element,
    element_verdicts,
    outcome_of,
    summaries,
)
from postbeat.store.wake import parse_wake

__all__ = ["ElementFacts", "ElementVerdict", "MailboxState", "PairState", "PairSummary", "ViewStore"]

BLOCK_MS = 500  # how long a stream is waited for at a time; the caller gets a chance to end in between
PAGE = 1000  # entries read from a stream at a time

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PairState:
    """What is known of an element in a region.

    ``since_us`` is None where no result ever came; ``counts`` has the number of results by phase and level,
    ``outcomes`` that of messages by what became of them, and ``outcome`` is that of the newest that was read.
    """

    round_trip: RoundTrip
    level: Level
    since_us: int | None
    why: str
    counts: Mapping[Phase, Mapping[Level, int]] = field(default_factory=dict)
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    outcome: Outcome | None = None

    @property
    def pair(self) -> Pair:
        """The element and its region."""
        return self.round_trip.pair


@dataclass(frozen=True, slots=True)
class MailboxState:
    """What is known of a mailbox that is read or checked.

    ``element`` and ``region`` are those with which a reader would be sent for. ``pending`` is the number of
    messages that should turn up, ``awaited`` that of those which were not found in time and still may,
    ``waiting`` that of the checks that wait for their turn. ``is_read`` is whether a reader is there now;
    ``worker`` is the process of the last one, "" where none was there. ``looked_at_us`` is None where nobody
    has looked and could. Before ``not_before_us`` the server wants no login of ours; 0 is for no such moment.
    ``fault`` is why the last look failed; None where it did not. ``totals`` are counters by the names of
    :class:`postbeat.delivery.Tally`; ``facts`` is what the server told last.
    """

    mailbox: str
    element: str
    region: str
    pending: int
    awaited: int
    waiting: int
    is_read: bool
    worker: str = ""
    looked_at_us: int | None = None
    not_before_us: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)
    facts: MailboxFacts | None = None
    fault: Fault | None = None

    def as_data(self) -> dict[str, Any]:
        """Plain data, as :mod:`postbeat.plain` has it, without the totals."""
        facts = plain.facts_as_data(self.facts)
        del facts["tally"]  # of one check
        return {
            "mailbox": self.mailbox,
            "element": self.element,
            "region": self.region,
            "pending": self.pending,
            "awaited": self.awaited,
            "waiting": self.waiting,
            "reader": self.worker if self.is_read else None,
            "lastLook": plain.seconds(self.looked_at_us),
            "notBefore": plain.seconds(self.not_before_us or None),
            "fault": plain.fault_as_data(self.fault),
            **facts,
        }


class ViewStore:
    """Every method may raise ``redis.exceptions.RedisError``."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = results_client(url)

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def overview(self) -> list[PairSummary]:
        """Every pair that is expected to give results, in short and in no order: quick for many thousands."""
        return summaries(cast("dict[str, str]", self._redis.hgetall(keys.STATES)))

    def overview_by_element(self) -> dict[str, Callable[[], list[PairSummary]]]:
        """The same by element; each is called for its summaries, which are read then."""
        return by_element(cast("dict[str, str]", self._redis.hgetall(keys.STATES)))

    def verdicts(self) -> list[ElementVerdict]:
        """The verdict on every element that is expected to give results, in the order of names."""
        stored = cast("dict[str, str]", self._redis.hgetall(keys.VERDICTS))
        return element_verdicts({element: stored[element] for element in sorted(stored)})

    def profile(self) -> Mapping[str, ElementFacts]:
        """What may be known of the elements of the profile in force, by name in the order of names."""
        return StoredFacts(cast("dict[str, str]", self._redis.hgetall(keys.PROFILE)))

    def pairs(self) -> list[Pair]:
        """Every pair that is expected to give results, in the order of names."""
        members = cast("list[str]", self._redis.zrange(keys.EXPECTED, 0, -1))
        return [Pair.parse(name) for name in sorted({member.removesuffix("/read") for member in members})]

    def states(self) -> list[PairState]:
        """Every pair that is expected to give results, with its latest results, in the order of names."""
        pairs = self.pairs()
        latest = {phase: self._latest(phase) for phase in Phase}
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.STATES)
            for pair in pairs:
                pipe.hgetall(keys.pair(str(pair)))
            short, *hashes = pipe.execute()
        shorts = {summary.pair: summary for summary in summaries(short)}
        return [
            _state(
                pair,
                fields,
                shorts.get(pair),
                {phase: found.get(str(pair)) for phase, found in latest.items()},
            )
            for pair, fields in zip(pairs, hashes, strict=True)
        ]

    def state(self, pair: Pair) -> PairState | None:
        """One pair with its latest results; None where none is expected of it."""
        name = str(pair)
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zscore(keys.EXPECTED, name)
            pipe.zscore(keys.EXPECTED, f"{name}/read")
            pipe.hget(keys.STATES, name)
            pipe.hgetall(keys.pair(name))
            for phase in Phase:
                pipe.hget(keys.latest(phase), name)
            polled, read, short, fields, *latest = pipe.execute()
        if polled is None and read is None:
            return None
        summary = summaries({name: short})[0] if short else None
        return _state(pair, fields, summary, dict(zip(Phase, latest, strict=True)))

    def notable(self, pair: Pair, count: int = 4) -> list[Result]:
        """The newest results of a pair that were not GOOD or changed its level, at most 4, oldest first."""
        stored = cast("list[str]", self._redis.lrange(keys.notable(str(pair)), 0, count - 1))
        found = (readable(f"a notable result of {pair}", codec.decode, data) for data in reversed(stored))
        return [result for result in found if result is not None]

    def mailboxes(self, wanted: Callable[[str], bool] = lambda _: True) -> list[MailboxState]:
        """Every mailbox that messages were sent to or that was checked, in the order of names.

        Args:
            wanted: tells of the identity of a mailbox whether it is wanted; without it all are.
        """
        wakes = cast("dict[str, str]", self._redis.hgetall(keys.MAILBOXES))
        names = sorted(filter(wanted, wakes))
        with self._redis.pipeline(transaction=False) as pipe:
            for mailbox in names:
                pipe.hlen(keys.pending(mailbox))
                pipe.hlen(keys.awaited(mailbox))
                pipe.zcard(keys.turns(mailbox))
                pipe.exists(keys.lease(mailbox))
                pipe.hgetall(keys.mailbox(mailbox))
            replies = pipe.execute()
        size = len(replies) // max(1, len(names))
        rows = (replies[index * size : (index + 1) * size] for index in range(len(names)))
        return [_mailbox(wakes[name], *row) for name, row in zip(names, rows, strict=True)]

    def results(self, count: int, wanted: Callable[[Result], bool], upto: str = "+") -> list[Result]:
        """The newest results that are wanted, at most ``count``, oldest first, none after ``upto``."""
        return self._newest(keys.RESULTS, count, _result, wanted, upto)

    def events(self, count: int, wanted: Callable[[AnyEvent], bool], upto: str = "+") -> list[AnyEvent]:
        """The newest events that are wanted, at most ``count``, oldest first, none after ``upto``."""
        return self._newest(keys.EVENTS, count, parse_event, wanted, upto)

    def last_entry(self, key: str) -> str:
        """The id of a stream's last entry, before the first one: ``0-0``."""
        newest = cast("list[Any]", self._redis.xrevrange(key, count=1))
        return str(newest[0][0]) if newest else "0-0"

    def follow_results(self, after: str) -> Iterator[Result | None]:
        """Results as they come after an entry of the stream; None now and then while none comes."""
        return self._follow(keys.RESULTS, after, _result)

    def follow_events(self, after: str) -> Iterator[AnyEvent | None]:
        """Events as they come after an entry of the stream; None now and then while none comes."""
        return self._follow(keys.EVENTS, after, parse_event)

    def _latest(self, phase: Phase) -> dict[str, str]:
        return cast("dict[str, str]", self._redis.hgetall(keys.latest(phase)))

    def _newest(
        self,
        key: str,
        count: int,
        read: Callable[[str, dict[str, str]], T],
        wanted: Callable[[T], bool],
        upto: str,
    ) -> list[T]:
        found: list[T] = []
        last = upto
        while len(found) < count:
            entries = cast("list[Any]", self._redis.xrevrange(key, last, "-", count=PAGE))
            for entry, fields in entries:
                item = readable(f"entry {entry} of {key}", read, entry, fields)
                if item is not None and wanted(item):
                    found.append(item)
                last = f"({entry}"
            if len(entries) < PAGE:
                break
        return found[:count][::-1]

    def _follow(self, key: str, last: str, read: Callable[[str, dict[str, str]], T]) -> Iterator[T | None]:
        while True:
            answer = cast("list[Any]", self._redis.xread({key: last}, count=PAGE, block=BLOCK_MS))
            for _, entries in answer:
                for entry, fields in entries:
                    last = entry
                    item = readable(f"entry {entry} of {key}", read, entry, fields)
                    if item is not None:
                        yield item
            if not answer:
                yield None


def _result(_entry: str, fields: dict[str, str]) -> Result:
    return codec.decode(fields["r"])


def _state(
    pair: Pair, fields: dict[str, str], short: PairSummary | None, latest: Mapping[Phase, str | None]
) -> PairState:
    newest = {
        phase: readable(f"the latest {phase} of {pair}", codec.decode, text)
        for phase, text in latest.items()
        if text
    }
    round_trip = RoundTrip(
        pair,
        reads=fields.get("reads") == "1",
        send=newest.get(Phase.SEND),
        read=newest.get(Phase.READ),
        after=newest.get(Phase.AFTER),
        check=newest.get(Phase.CHECK),
    )
    counts = {
        phase: {level: int(fields[name]) for level in Level if (name := f"n:{phase}:{level}") in fields}
        for phase in Phase
    }
    since = fields.get("since_us")
    return PairState(
        round_trip,
        Level(fields.get("level", Level.UNKNOWN)),
        int(since) if since else None,
        short.why if short is not None else "No result yet",
        counts,
        {outcome: int(fields[name]) for outcome in Outcome if (name := f"n:outcome:{outcome}") in fields},
        outcome_of(fields.get("outcome")),
    )


def _mailbox(
    wake: str, pending: int, awaited: int, waiting: int, leases: int, noted: Mapping[str, str]
) -> MailboxState:
    region, mailbox, text = parse_wake(wake)
    element = str(json.loads(text)["name"])
    totals = {
        name.removeprefix("total:"): int(number)
        for name, number in noted.items()
        if name.startswith("total:")
    }
    return MailboxState(
        mailbox,
        element=element,
        region=region,
        pending=pending,
        awaited=awaited,
        waiting=waiting,
        is_read=bool(leases),
        worker=noted.get("worker", ""),
        looked_at_us=int(noted.get("looked_at_us", 0)) or None,
        not_before_us=int(noted.get("not_before_us", 0)),
        totals=totals,
        facts=readable(f"what the mailbox of {element} told", _mailbox_facts, noted["facts"])
        if "facts" in noted
        else None,
        fault=readable(f"the fault of {element}", codec.decode_fault, noted["fault"])
        if "fault" in noted
        else None,
    )


def _mailbox_facts(text: str) -> MailboxFacts:
    return MailboxFacts(**json.loads(text))

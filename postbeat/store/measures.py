"""What metrics show of pairs beyond how they stand: counts, histograms, the newest figures. Not asyncio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, TypeVar

from redis import Redis

from postbeat import codec, histogram
from postbeat.delivery import Outcome, Verdict
from postbeat.figures import TIMINGS, Figures
from postbeat.model import Level, Pair, Phase
from postbeat.store import keys
from postbeat.store.connecting import client
from postbeat.store.facts import Waits
from postbeat.store.summary import outcome_of

NEWEST = 4  # of the raw log: a send, its read, and what came after another
PAIRS = 500  # read in one exchange
KEY_SIZE = 32  # of what is remembered of longer texts

_PHASES = {phase: phase.value.encode() for phase in Phase}
# The fields of a pair's histograms: their timing, and the bucket; None is the sum.
_PLACES: dict[bytes, tuple[str, int | None]] = {
    f"{place}:{'sum' if index is None else index}".encode(): (name, index)
    for place, name in enumerate(TIMINGS)
    for index in (None, *range(histogram.LOWEST, histogram.HIGHEST + 1))
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was found: the hosts on its way, and the verdicts on its authentication."""

    hop_count: int
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured of a pair since it was in the profile.

    ``counts`` are of results (``send:GOOD``) and of messages (``outcome:lost``), named as in a
    :class:`postbeat.rollup.Rollup`. ``levels`` has that of the newest result of each phase, ``outcome`` that
    of the newest message. ``timings`` are by names of :data:`postbeat.figures.TIMINGS`; ``newest`` are some
    of the last figures, the newest first; ``message`` is the one that was read last.
    """

    pair: Pair
    counts: Mapping[str, int]
    levels: Mapping[Phase, Level]
    outcome: Outcome | None
    timings: Mapping[str, Waits]
    newest: Sequence[Figures]
    message: Message | None


class _Decoder(Generic[T]):
    """Decodes what is stored; what was met in the reading before is not decoded again.

    What cannot be decoded, such as what a later version has written, counts as nothing.
    """

    def __init__(self, decode: Callable[[bytes], T | None], known: Mapping[bytes, T | None]) -> None:
        self._decode = decode
        self._known = known
        self.met: dict[bytes, T | None] = {}

    def __call__(self, data: bytes) -> T | None:
        key = data if len(data) <= KEY_SIZE else blake2b(data, digest_size=KEY_SIZE).digest()
        if key not in self.met:
            self.met[key] = self._known[key] if key in self._known else self._decoded(data)
        return self.met[key]

    def _decoded(self, data: bytes) -> T | None:
        try:
            return self._decode(data)
        except (ValueError, KeyError, TypeError):
            return None


class MeasuresView:
    """Reads the measures of pairs. Thread-safe. Every method may raise ``RedisError``."""

    def __init__(self, url: str) -> None:
        self._figures: Mapping[bytes, Figures | None] = {}
        self._messages: Mapping[bytes, Message | None] = {}
        # Figures are bytes.
        self._redis: Redis = client(url)

    def of(self, pairs: Sequence[Pair]) -> list[Measures]:
        """The measures of these pairs, in their order."""
        figures = _Decoder(Figures.loads, self._figures)
        message = _Decoder(_message, self._messages)
        found: list[Measures] = []
        for begin in range(0, len(pairs), PAIRS):
            found += self._read(pairs[begin : begin + PAIRS], figures, message)
        self._figures, self._messages = figures.met, message.met
        return found

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _read(
        self, pairs: Sequence[Pair], figures: _Decoder[Figures], message: _Decoder[Message]
    ) -> list[Measures]:
        names = [str(pair) for pair in pairs]
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.pair(name))
                pipe.hgetall(keys.timing(name))
                pipe.xrevrange(keys.raw(name), count=NEWEST)
            pipe.hmget(keys.latest(Phase.READ), names)
            *replies, reads = pipe.execute()
        rows = zip(pairs, replies[::3], replies[1::3], replies[2::3], reads, strict=True)
        return [
            Measures(
                pair,
                counts=_counts(fields),
                levels=_levels(fields),
                outcome=outcome_of(fields.get(b"outcome", b"").decode()),
                timings=_timings(timing),
                newest=[one for _, entry in entries if (one := figures(entry[b"f"])) is not None],
                message=message(read) if read else None,
            )
            for pair, fields, timing, entries, read in rows
        ]


def _counts(fields: dict[bytes, bytes]) -> dict[str, int]:
    return {name[2:].decode(): int(number) for name, number in fields.items() if name.startswith(b"n:")}


def _levels(fields: dict[bytes, bytes]) -> dict[Phase, Level]:
    return {phase: Level(fields[name].decode()) for phase, name in _PHASES.items() if name in fields}


def _message(data: bytes) -> Message | None:
    delivery = codec.decode(data).delivery
    return Message(delivery.hop_count, delivery.verdicts) if delivery is not None else None


def _timings(stored: dict[bytes, bytes]) -> dict[str, Waits]:
    found: dict[str, Waits] = {}
    for key, number in stored.items():
        name, index = _PLACES.get(key, (None, None))
        if name is None:
            continue  # a timing that only a later version knows
        waits = found.get(name)
        if waits is None:
            waits = found[name] = Waits()
        if index is None:
            waits.sum_us = int(number)
        else:
            waits.counts[index] = int(number)
    return found

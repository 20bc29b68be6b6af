"""The rollups of many periods in one value of few bytes: what they say, and hardly more. Pure.

A value has a byte for its format, chunks of consecutive periods, and a checksum. The newest 96 periods or
less are in chunks of 24, those before them in chunks of 96; both begin at multiples of their size. Within a
chunk, counts and each timing are coded apart, so that a question decodes only what it needs.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from postbeat.figures import BUCKETS, TIMINGS
from postbeat.packing import series, tallies
from postbeat.packing.coder import taken_varint, varint
from postbeat.rollup import Rollup

_FORMAT = 1
_SMALL, _LARGE = 24, 96  # periods in a chunk
_CHECKSUM = 4
_PERIOD_LIMIT = 1 << 40
_ENTRY_LIMIT = 2_000_000  # buckets in all: five times what 400 days of a poll each second come to


def pack(periods: Mapping[int, Rollup]) -> bytes:
    """The rollups of some periods of one length, by index; b"" for none.

    The same content gives the same bytes. Counts of nothing are left out.

    Raises:
        ValueError: an index or a count is negative or beyond all bounds, or a key or a timing is unknown.
    """
    return _packed({}, periods)


def unpack(
    data: bytes, timings: Collection[str] | None = None, *, first: int | None = None, last: int | None = None
) -> dict[int, Rollup]:
    """The rollups by period; only of these timings, and of the periods from ``first`` to ``last``.

    Raises:
        ValueError: the data is not what :func:`pack` makes, or is damaged.
    """
    periods: dict[int, Rollup] = {}
    entries = 0
    for chunk, body in _chunks(data).items():
        if (first is None or first < chunk.end) and (last is None or last >= chunk.start):
            found = _decoded(chunk, body, timings, first)
            entries += sum(len(buckets) for rollup in found.values() for buckets in rollup.timings.values())
            if entries > _ENTRY_LIMIT:
                raise ValueError("damaged rollups: too many")
            periods |= {index: rollup for index, rollup in found.items() if last is None or index <= last}
    return dict(sorted(periods.items()))


def merged(data: bytes, additions: Mapping[int, Rollup], *, keep_from: int) -> bytes:
    """The data with more counted, and without the periods before ``keep_from``.

    Only chunks that change are encoded anew.

    Raises:
        ValueError: as :func:`pack` and :func:`unpack`.
    """
    fresh = {index: rollup for index, rollup in additions.items() if index >= keep_from}
    known = {chunk: body for chunk, body in _chunks(data).items() if chunk.end > keep_from}
    newest = max([*fresh, *(chunk.start for chunk in known)], default=0)
    touched = {_chunk_of(index, newest) for index in fresh}
    untouched: dict[_Chunk, bytes] = {}
    periods: dict[int, Rollup] = {}
    for chunk, body in known.items():
        is_placed = chunk not in touched and chunk == _chunk_of(chunk.start, newest)
        if is_placed and (chunk.start >= keep_from or _oldest(chunk, body) >= keep_from):
            untouched[chunk] = body
        else:
            periods |= _decoded(chunk, body, None, keep_from)
    for index, rollup in fresh.items():
        periods.setdefault(index, Rollup()).merge(rollup)
    return _packed(untouched, periods)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some consecutive periods."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


def _chunk_of(index: int, newest: int) -> _Chunk:
    """The chunk of a period, in a value whose newest one is about ``newest``."""
    size = _SMALL if index // _LARGE == newest // _LARGE else _LARGE
    return _Chunk(index - index % size, size)


def _packed(untouched: Mapping[_Chunk, bytes], periods: Mapping[int, Rollup]) -> bytes:
    """A value of chunks that are coded already, and of periods that are in none of them."""
    if not untouched and not periods:
        return b""
    if any(not 0 <= index < _PERIOD_LIMIT for index in periods):
        raise ValueError(f"cannot be packed: periods are from 0 to {_PERIOD_LIMIT - 1}")
    newest = max([*periods, *(chunk.start for chunk in untouched)])
    fresh: dict[_Chunk, dict[int, Rollup]] = {}
    for index, rollup in periods.items():
        fresh.setdefault(_chunk_of(index, newest), {})[index] = rollup
    bodies = {**untouched, **{chunk: _encoded(chunk, found) for chunk, found in fresh.items()}}
    value = bytearray([_FORMAT])
    before = 0
    for chunk in sorted(bodies, key=lambda chunk: chunk.start):
        # The size as the last bit, and the distance to the end of the chunk before.
        value += varint((chunk.start - before) // _SMALL * 2 + (chunk.size == _LARGE))
        value += varint(len(bodies[chunk])) + bodies[chunk]
        before = chunk.end
    return bytes(value + zlib.crc32(value).to_bytes(_CHECKSUM, "big"))


def _chunks(data: bytes) -> dict[_Chunk, bytes]:
    """The chunks of a value, oldest first, still coded."""
    if not data:
        return {}
    end = len(data) - _CHECKSUM
    if end < 1 or zlib.crc32(data[:end]).to_bytes(_CHECKSUM, "big") != data[end:] or data[0] != _FORMAT:
        raise ValueError("damaged rollups: the checksum or the format is another")
    chunks: dict[_Chunk, bytes] = {}
    before, at = 0, 1
    while at < end:
        place, at = taken_varint(data, at)
        size, at = taken_varint(data, at)
        chunk = _Chunk(before + place // 2 * _SMALL, _LARGE if place % 2 else _SMALL)
        if size > end - at or chunk.start % chunk.size or chunk.end > _PERIOD_LIMIT + _LARGE:
            raise ValueError("damaged rollups")
        chunks[chunk] = data[at : at + size]
        at += size
        before = chunk.end
    return chunks


def _encoded(chunk: _Chunk, periods: Mapping[int, Rollup]) -> bytes:
    """The periods of a chunk: lengths and bytes of the counts, then of each timing after its place."""
    newest_first = sorted(periods.items(), reverse=True)
    for _, rollup in newest_first:
        _check(rollup)
    expected = [tallies.expected_of(rollup) for _, rollup in newest_first]
    body = _sized(
        tallies.encoded(
            [
                tallies.Period(index - chunk.start, number, rollup.counts)
                for (index, rollup), number in zip(newest_first, expected, strict=True)
            ],
            chunk.size,
        )
    )
    for name in sorted({name for rollup in periods.values() for name in rollup.timings}, key=TIMINGS.index):
        rows = [_positive(rollup.timings.get(name, {})) for _, rollup in newest_first]
        if any(rows):
            body += bytes([TIMINGS.index(name)]) + _sized(series.encoded(rows, expected))
    return body


def _decoded(
    chunk: _Chunk, body: bytes, timings: Collection[str] | None, first: int | None
) -> dict[int, Rollup]:
    """The periods of a chunk, but not those before ``first``."""
    down_to = max(0, first - chunk.start) if first is not None else 0
    try:
        counts, at = _taken(body, 0)
        found = tallies.decoded(counts, chunk.size, down_to=down_to)
        expected = [period.expected for period in found]
        rollups = [Rollup(period.counts) for period in found]
        while at < len(body):
            name = TIMINGS[body[at]]
            data, at = _taken(body, at + 1)
            if timings is None or name in timings:
                rows = series.decoded(data, expected, is_whole=down_to == 0)
                for rollup, row in zip(rollups, rows, strict=True):
                    if row:
                        rollup.timings[name] = row
    except (IndexError, ZeroDivisionError, OverflowError) as error:
        raise ValueError("damaged rollups") from error
    return {chunk.start + period.place: rollup for period, rollup in zip(found, rollups, strict=True)}


def _oldest(chunk: _Chunk, body: bytes) -> int:
    """The first period that there is in a chunk."""
    counts, _ = _taken(body, 0)
    return chunk.start + min(period.place for period in tallies.decoded(counts, chunk.size, down_to=0))


def _check(rollup: Rollup) -> None:
    """Raises ValueError where what there is has no place in the format."""
    for timing, buckets in rollup.timings.items():
        if timing not in TIMINGS:
            raise ValueError(f"cannot be packed: {timing!r} is no timing")
        if any(not 0 <= place < BUCKETS for place in buckets):
            raise ValueError(f"cannot be packed: {timing} has a bucket that is none")
    counts = [
        *rollup.counts.values(),
        *(count for found in rollup.timings.values() for count in found.values()),
    ]
    if any(count < 0 for count in counts):
        raise ValueError("cannot be packed: a count is negative")


def _positive(buckets: Mapping[int, int]) -> dict[int, int]:
    return {place: count for place, count in buckets.items() if count}


def _sized(data: bytes) -> bytes:
    return varint(len(data)) + data


def _taken(body: bytes, at: int) -> tuple[bytes, int]:
    size, at = taken_varint(body, at)
    if size > len(body) - at:
        raise ValueError("damaged rollups")
    return body[at : at + size], at + size

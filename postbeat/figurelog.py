"""The figures of many results in one value, compressed: a stretch of a pair's log that is folded. Pure.

Results of one pair are much alike. So what is not a number is stored once for all results that have it in
common, and numbers by column, each as its difference from what is usual there: mostly one small byte. Most of
what would be left are fractions of seconds, which no chart of a day shows: instants are kept to the second.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import median_low

from postbeat.figures import BUCKETS, TIMINGS, Figures, bucket, representative

LIMIT = 1 << 20  # bytes of a stretch before it is compressed; one of some hundred results has a few thousand
_COUNT_LIMIT = 1 << 16


def pack(figures: Sequence[Figures]) -> bytes:
    """The figures in one value, in their order; their instants to the second."""
    shapes: dict[bytes, int] = {}
    places = bytearray()
    for one in figures:
        shape = replace(one, at_us=0, slot=0, times_us=dict.fromkeys(one.times_us, 1)).dumps()
        _write(places, shapes.setdefault(shape, len(shapes)))
    columns = bytearray()
    _write(columns, len(shapes))
    for shape in shapes:
        _write(columns, len(shape))
        columns += shape
    _write(columns, len(figures))
    columns += places
    _write_all(columns, _steps(one.at_us // 1_000_000 for one in figures))
    _write_all(columns, _steps(one.slot for one in figures))
    for name in TIMINGS:
        buckets = [bucket(one.times_us[name]) for one in figures if name in one.times_us]
        usual = median_low(buckets) if buckets else 0
        _write(columns, usual)
        _write_all(columns, (place - usual for place in buckets))
    return zlib.compress(columns, 9, wbits=-15)


def unpack(data: bytes) -> list[Figures]:
    """The figures of a value that :func:`pack` made.

    Raises:
        ValueError: it is none.
    """
    inflater = zlib.decompressobj(wbits=-15)
    try:
        columns = _Columns(inflater.decompress(data, LIMIT))
    except zlib.error as error:
        raise ValueError("not a stretch of a log") from error
    if not inflater.eof:
        raise ValueError("not a stretch of a log: cut off, or too long")
    shapes = [Figures.loads(columns.take(columns.number())) for _ in range(columns.count())]
    count = columns.count()
    places = [columns.number() for _ in range(count)]
    if any(place >= len(shapes) for place in places):
        raise ValueError("not a stretch of a log: an unknown shape")
    instants_s, slots = list(columns.sums(count)), list(columns.sums(count))
    times: list[dict[str, int]] = [{} for _ in places]
    for name in TIMINGS:
        usual = columns.number()
        for time_us, place in zip(times, places, strict=True):
            if name in shapes[place].times_us:
                time_us[name] = _time_us(usual + columns.signed())
    columns.end()
    return [
        replace(shapes[place], at_us=at_s * 1_000_000, slot=slot, times_us=times_us)
        for place, at_s, slot, times_us in zip(places, instants_s, slots, times, strict=True)
    ]


def _time_us(place: int) -> int:
    if not 0 <= place < BUCKETS:
        raise ValueError("not a stretch of a log: an unknown bucket")
    return representative(place)


def _steps(numbers: Iterable[int]) -> Iterator[int]:
    """The difference of each number from the one before."""
    before = 0
    for number in numbers:
        yield number - before
        before = number


def _write(to: bytearray, number: int) -> None:
    """A number in groups of seven bits, the lowest first; all but the last have the eighth bit set."""
    while number >= 128:
        to.append(number & 127 | 128)
        number >>= 7
    to.append(number)


def _write_all(to: bytearray, numbers: Iterable[int]) -> None:
    """Numbers of either sign: 0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
    for number in numbers:
        _write(to, number * 2 if number >= 0 else -number * 2 - 1)


class _Columns:
    """Reads what was written, and not beyond its end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        number = shift = 0
        while shift < 70:
            if self._at >= len(self._data):
                break
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
        raise ValueError("not a stretch of a log: a number without an end")

    def count(self) -> int:
        count = self.number()
        if count > _COUNT_LIMIT:
            raise ValueError("not a stretch of a log: too long")
        return count

    def signed(self) -> int:
        number = self.number()
        return -(number + 1) // 2 if number & 1 else number // 2

    def sums(self, count: int) -> Iterator[int]:
        total = 0
        for _ in range(count):
            total += self.signed()
            yield total

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise ValueError("not a stretch of a log: cut off")
        self._at += size
        return self._data[self._at - size : self._at]

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("not a stretch of a log: more than its columns")

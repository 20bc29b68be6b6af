"""One timing in some consecutive periods, coded. Pure.

Each period's counts are taken as draws from one distribution, which is written first, by rough weights of
its buckets. From the heaviest bucket to the lightest, the number of draws that fall into it is binomial,
given how many are left. Where periods differ by their mean, as quick timings do over the day, each is moved
by whole buckets first.

The newest period comes first: who asks for the last hours need not go through the others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from postbeat.figures import BUCKETS
from postbeat.packing.binomial import Table, odds, root, table
from postbeat.packing.coder import (
    BITS,
    LOW,
    MASK,
    TOTAL,
    WORD,
    Adaptive,
    Decoder,
    Drawn,
    Draws,
    Encoder,
    Signed,
    taken_varint,
    varint,
)

COUNT_RADIX = 1 << 40

_FARTHEST = 15  # buckets that a period is moved, at most
_UNIT = 64
# Weights are 0 or such levels; the more was counted, the finer they are.
_LEVELS = tuple((0, *(root(step * 8 // fine, _UNIT) for step in range(30 * fine))) for fine in (1, 2, 4))
_BETWEEN = tuple([(low + high) // 2 for low, high in pairwise(levels[1:])] for levels in _LEVELS)

Buckets = Mapping[int, int]


def encoded(rows: Sequence[Buckets], expected: Sequence[int]) -> bytes:
    """The counts by bucket of some periods, newest first; not all of them are empty.

    ``expected`` is what each period's counts probably add up to.
    """
    totals = [sum(row.values()) for row in rows]
    moves = _moves(rows, totals)
    columns: dict[int, int] = {}
    for row, move in zip(rows, moves or [0] * len(rows), strict=True):
        for place, count in row.items():
            columns[place - move] = columns.get(place - move, 0) + count
    head, draws = Encoder(), Draws()
    head.put_uniform(1 if moves else 0, 2)
    splits = _put_shape(head, columns, sum(totals))
    usual, moved = _usual(), _moved()
    before = 0
    for number, row in enumerate(rows):
        total = totals[number]
        usual.put(head, int(total != expected[number]))
        if total != expected[number]:
            head.put_uniform(total, COUNT_RADIX)
        move = 0
        if moves and total:
            move = moves[number]
            moved.put(head, move - before)
            before = move
        _put_row(head, draws, row, total, move, splits)
    first = head.finish()
    return varint(len(first)) + first + draws.finish()


def decoded(data: bytes, expected: Iterable[int], *, is_whole: bool) -> list[dict[int, int]]:
    """The counts of as many periods as there are ``expected`` ones; ``is_whole`` is whether these are all.

    Raises:
        ValueError, IndexError, ZeroDivisionError: the data is damaged.
    """
    size, at = taken_varint(data, 0)
    head, draws = Decoder(data[at : at + size]), Drawn(data[at + size :])
    moves = head.take_uniform(2)
    splits = _take_shape(head)
    usual, moved = _usual(), _moved()
    move = 0
    rows = []
    for probable in expected:
        total = head.take_uniform(COUNT_RADIX) if usual.take(head) else probable
        if moves and total:
            move += moved.take(head)
        rows.append(_taken_row(head, draws, total, move, splits))
    if is_whole and not (head.number == 1 and draws.is_finished):
        raise ValueError("damaged rollups")
    return rows


@dataclass(frozen=True, slots=True)
class _Splits:
    """``places`` are the buckets from the heaviest on, but the last, each with the odds against the rest."""

    places: Sequence[tuple[int, int, dict[int, Table]]]
    last: int


def _usual() -> Adaptive:
    return Adaptive((60, 2))


def _moved() -> Signed:
    return Signed(2 * _FARTHEST, 1)


def _moves(rows: Sequence[Buckets], totals: Sequence[int]) -> list[int]:
    """By how many buckets each period is moved; none where that would not pay."""
    whole = sum(totals)
    sums = [sum(place * count for place, count in row.items()) for row in rows]
    squares = sum(place * place * count for row in rows for place, count in row.items())
    spread = squares - sum(sums) ** 2 / whole
    within = squares - sum(part * part / total for part, total in zip(sums, totals, strict=True) if total)
    # Naming a move costs some bits; that the means of few draws differ is no reason.
    if spread * whole <= within * (whole + 5 * len(rows)):
        return []
    moves: list[int] = []
    for part, total in zip(sums, totals, strict=True):
        if total:
            double = 2 * (part * whole - sum(sums) * total) + total * whole
            moves.append(max(-_FARTHEST, min(_FARTHEST, double // (2 * total * whole))))
        else:
            moves.append(0)
    return moves


def _put_shape(encoder: Encoder, columns: Buckets, whole: int) -> _Splits:
    """Puts the weights of the buckets; the distribution as it will be read."""
    first, last = min(columns), max(columns)
    fine = 0 if whole < 1500 else 1 if whole < 6000 else 2
    encoder.put_uniform(fine, len(_LEVELS))
    encoder.put_uniform(first + _FARTHEST, BUCKETS + 2 * _FARTHEST)
    encoder.put_uniform(last - first, BUCKETS + 2 * _FARTHEST)
    levels = _LEVELS[fine]
    steps = Signed(len(levels), max(1, fine))
    before = 0
    weights = []
    for place in range(first, last + 1):
        count = columns.get(place, 0)
        level = 1 + bisect_left(_BETWEEN[fine], count * _UNIT) if count else 0
        steps.put(encoder, level - before)
        before = level
        weights.append(levels[level])
    return _splits(first, weights)


def _take_shape(decoder: Decoder) -> _Splits:
    fine = decoder.take_uniform(len(_LEVELS))
    first = decoder.take_uniform(BUCKETS + 2 * _FARTHEST) - _FARTHEST
    size = decoder.take_uniform(BUCKETS + 2 * _FARTHEST) + 1
    levels = _LEVELS[fine]
    steps = Signed(len(levels), max(1, fine))
    level = 0
    weights = []
    for _ in range(size):
        level += steps.take(decoder)
        if not 0 <= level < len(levels):
            raise ValueError("damaged rollups")
        weights.append(levels[level])
    if not any(weights):
        raise ValueError("damaged rollups")
    return _splits(first, weights)


def _splits(first: int, weights: Sequence[int]) -> _Splits:
    order = sorted((-weight, number) for number, weight in enumerate(weights) if weight)
    rest = sum(weights)
    places: list[tuple[int, int, dict[int, Table]]] = []
    for negative, number in order[:-1]:
        rest += negative
        places.append((first + number, odds(-negative, rest), {}))
    return _Splits(places, first + order[-1][1])


def _put_row(head: Encoder, draws: Draws, row: Buckets, total: int, move: int, splits: _Splits) -> None:
    left = total
    put, count_of = draws.put, row.get
    for place, against, tables in splits.places:
        if not left:
            break
        found = tables.get(left)
        if found is None:
            found = tables[left] = table(left, against)
        base, starts, size = found
        count = count_of(place + move, 0)
        slot = count - base
        if 0 <= slot < size:
            put((starts[slot], starts[slot + 1]))
        else:
            put((starts[size], TOTAL))
            head.put_uniform(count, left + 1)
        left -= count


def _taken_row(head: Decoder, draws: Drawn, total: int, move: int, splits: _Splits) -> dict[int, int]:
    # Nearly all the time of reading is spent here: the draws are taken in place.
    row: dict[int, int] = {}
    left = total
    state, at, words = draws.state, draws.at, draws.words
    for place, against, tables in splits.places:
        if not left:
            break
        found = tables.get(left)
        if found is None:
            found = tables[left] = table(left, against)
        base, starts, size = found
        rest = state & MASK
        slot = bisect_right(starts, rest) - 1
        start = starts[slot]
        state = (starts[slot + 1] - start) * (state >> BITS) + rest - start
        if state < LOW:
            state = state << WORD | words[at]
            at += 1
        count = base + slot if slot < size else head.take_uniform(left + 1)
        if count:
            row[place + move] = count
            left -= count
    if left:
        row[splits.last + move] = left
    draws.state, draws.at = state, at
    if row and not (min(row) >= 0 and max(row) < BUCKETS and left >= 0):
        raise ValueError("damaged rollups")
    return row

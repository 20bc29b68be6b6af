"""Which of some consecutive periods there are, and their counts, as coded numbers. Pure.

Most of a period's counts are the same number, that of its polls, and it is written once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postbeat.delivery import Outcome
from postbeat.figures import FAULT_CODES, LEVELS, OUTCOMES, PHASES, SIDES
from postbeat.model import Level
from postbeat.packing.coder import Adaptive, Decoder, Encoder
from postbeat.packing.series import COUNT_RADIX
from postbeat.rollup import Rollup

_KEY_RADIX = 1024
_SMALL = 12  # counts up to this one have a symbol of their own
_EXPECTED, _NONE, _FIRST, _OTHER = 0, 1, 2, _SMALL + 2  # symbols of a count
_NEAR = 15  # how far expected numbers may be below the largest before they are written out


def _numbered() -> dict[int, tuple[str, str]]:
    """The keys of counts by the number under which they are stored, each with what it is expected to equal.

    That is another key, which comes before it, or "" for nothing. There is room for more members of each
    enumeration.
    """
    keys = {place: (f"poll:{level}", "") for place, level in enumerate(LEVELS)}
    keys[8] = ("maintenance", "")
    for phase_place, phase in enumerate(PHASES):
        for place, level in enumerate(LEVELS):
            keys[16 + 8 * phase_place + place] = (f"{phase}:{level}", f"poll:{level}")
    keys |= {80 + place: (f"outcome:{outcome}", "") for place, outcome in enumerate(OUTCOMES)}
    keys[80] = (f"outcome:{Outcome.DELIVERED}", f"poll:{Level.GOOD}")
    for code_place, code in enumerate(FAULT_CODES):
        for place, side in enumerate(SIDES):
            keys[128 + 2 * code_place + place] = (f"fault:{side}:{code}", f"poll:{Level.FAILED}")
    return keys


_KEYS = _numbered()
_NUMBERS = {key: number for number, (key, _) in _KEYS.items()}


@dataclass(frozen=True, slots=True)
class Period:
    """The counts of a period, with its place in the chunk and what its numbers mostly are."""

    place: int
    expected: int
    counts: dict[str, int]


def expected_of(rollup: Rollup) -> int:
    """The number that is met most often in a rollup, the largest of those; 0 where there is none."""
    met = Counter(rollup.counts.values())
    met.update(sum(buckets.values()) for buckets in rollup.timings.values())
    return max(((times, number) for number, times in met.items() if number), default=(0, 0))[1]


def encoded(periods: Sequence[Period], size: int) -> bytes:
    """The periods of a chunk of so many places, newest first.

    Raises:
        ValueError: a count has a key that is none, or is out of bounds.
    """
    keys = {key for period in periods for key, count in period.counts.items() if count}
    if unknown := keys.difference(_NUMBERS):
        raise ValueError(f"cannot be packed: {min(unknown)!r} is no key of a count")
    numbers = sorted(_NUMBERS[key] for key in keys)
    most = max(period.expected for period in periods)
    encoder = Encoder()
    encoder.put_uniform(len(numbers), _KEY_RADIX)
    for number in numbers:
        encoder.put_uniform(number, _KEY_RADIX)
    encoder.put_uniform(most, COUNT_RADIX)
    by_place = {period.place: period for period in periods}
    models = _Models.fresh(len(numbers))
    for place in range(size - 1, -1, -1):
        period = by_place.get(place)
        models.present.put(encoder, int(period is None))
        if period is not None:
            below = min(most - period.expected, _NEAR)
            models.near.put(encoder, below)
            if below == _NEAR:
                encoder.put_uniform(period.expected, COUNT_RADIX)
            _put_counts(encoder, period, numbers, models)
    return encoder.finish()


def decoded(data: bytes, size: int, *, down_to: int) -> list[Period]:
    """The periods of a chunk, newest first; not those before the place ``down_to``.

    Raises:
        ValueError: the data is damaged.
    """
    decoder = Decoder(data)
    numbers = [decoder.take_uniform(_KEY_RADIX) for _ in range(decoder.take_uniform(_KEY_RADIX))]
    if any(number not in _KEYS for number in numbers):
        raise ValueError("damaged rollups")
    most = decoder.take_uniform(COUNT_RADIX)
    models = _Models.fresh(len(numbers))
    periods = []
    for place in range(size - 1, down_to - 1, -1):
        if models.present.take(decoder):
            continue
        below = models.near.take(decoder)
        expected = decoder.take_uniform(COUNT_RADIX) if below == _NEAR else most - below
        if expected < 0:
            raise ValueError("damaged rollups")
        periods.append(Period(place, expected, _taken_counts(decoder, expected, numbers, models)))
    if down_to == 0 and decoder.number != 1:
        raise ValueError("damaged rollups")
    return periods


@dataclass(frozen=True, slots=True)
class _Models:
    """``plain`` is whether all counts are as expected; ``counts`` are for each key while they are not."""

    present: Adaptive
    near: Adaptive
    plain: Adaptive
    counts: Sequence[Adaptive]

    @classmethod
    def fresh(cls, keys: int) -> _Models:
        near = Adaptive(max(1, 16 >> below) for below in range(_NEAR + 1))
        counts = [Adaptive((24, 24, *(2 for _ in range(_SMALL)), 2)) for _ in range(keys)]
        return cls(Adaptive((30, 2)), near, Adaptive((20, 10)), counts)


def _reference(number: int, counts: Mapping[str, int], expected: int) -> int:
    """What a count is expected to be, given those before it."""
    if number == 0:
        return expected
    other = _KEYS[number][1]
    return counts.get(other, 0) if other else 0


def _plain(expected: int, numbers: Sequence[int]) -> dict[str, int]:
    """The counts of a period in which all are as expected."""
    counts: dict[str, int] = {}
    for number in numbers:
        if reference := _reference(number, counts, expected):
            counts[_KEYS[number][0]] = reference
    return counts


def _put_counts(encoder: Encoder, period: Period, numbers: Sequence[int], models: _Models) -> None:
    counts = {key: count for key, count in period.counts.items() if count}
    is_plain = counts == _plain(period.expected, numbers)
    models.plain.put(encoder, int(not is_plain))
    if is_plain:
        return
    for number, model in zip(numbers, models.counts, strict=True):
        count = counts.get(_KEYS[number][0], 0)
        if count == _reference(number, counts, period.expected):
            symbol = _EXPECTED
        elif 0 <= count <= _SMALL:
            symbol = _FIRST + count - 1 if count else _NONE
        else:
            symbol = _OTHER
        model.put(encoder, symbol)
        if symbol == _OTHER:
            encoder.put_uniform(count, COUNT_RADIX)


def _taken_counts(decoder: Decoder, expected: int, numbers: Sequence[int], models: _Models) -> dict[str, int]:
    if not models.plain.take(decoder):
        return _plain(expected, numbers)
    counts: dict[str, int] = {}
    for number, model in zip(numbers, models.counts, strict=True):
        symbol = model.take(decoder)
        if symbol == _EXPECTED:
            count = _reference(number, counts, expected)
        elif symbol == _OTHER:
            count = decoder.take_uniform(COUNT_RADIX)
        else:
            count = symbol - _FIRST + 1
        if count:
            counts[_KEYS[number][0]] = count
    return counts

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.figures import BUCKETS, TIMINGS, Figures, bucket
from postbeat.model import FaultCode, Level, Phase, Side
from postbeat.packing import merged, pack, unpack
from postbeat.rollup import Rollup
from tests.unit.some_figures import figures

HOUR_US = 3_600_000_000
HOUR = 497_000  # of some day in 2026
KEYS = (
    *(f"poll:{level}" for level in Level),
    *(f"{phase}:{level}" for phase in Phase for level in Level),
    *(f"fault:{side}:{code}" for side in Side for code in FaultCode),
    "maintenance",
)

counts = st.integers(1, 3) | st.integers(1, 400) | st.integers(1, 2**34)
rollups = st.builds(
    Rollup,
    st.dictionaries(st.sampled_from(KEYS), counts, max_size=5),
    st.dictionaries(
        st.sampled_from(TIMINGS),
        st.dictionaries(st.integers(0, BUCKETS - 1), counts, min_size=1, max_size=6),
        max_size=2,
    ),
)
indexes = st.integers(HOUR, HOUR + 30) | st.integers(HOUR - 200, HOUR + 200) | st.integers(0, 2**33)
periods = st.dictionaries(indexes, rollups, max_size=5)


STORED = {
    HOUR: Rollup(
        {"poll:GOOD": 11, "poll:FAILED": 1, "send:GOOD": 11, "send:FAILED": 1, "fault:REMOTE:timeout": 1},
        {"connectTime": {240: 2, 241: 5, 242: 3, 243: 1}, "timeToDeliver": {350: 1, 352: 4, 357: 3, 361: 2}},
    ),
    HOUR + 1: Rollup({"maintenance": 12}),
    HOUR + 100: Rollup({"poll:GOOD": 40}, {"connectTime": {240: 2, 241: 5, 242: 3, 243: 30}}),
}


def rollups_of(some: list[Figures]) -> dict[int, Rollup]:
    hours: dict[int, Rollup] = {}
    for one in some:
        hours.setdefault(one.at_us // HOUR_US, Rollup()).add(one)
    return hours


def only(rollup: Rollup, *timings: str) -> Rollup:
    return Rollup(rollup.counts, {name: found for name, found in rollup.timings.items() if name in timings})


def drawn(rng: random.Random, polls: int, mean: float = 250) -> Rollup:
    """A period of a pair whose times are scattered as those of a service are."""
    timings: dict[str, dict[int, int]] = {}
    for name, spread in (("connectTime", 1.5), ("responseTime", 3.5), ("timeToDeliver", 8.0)):
        found = timings.setdefault(name, {})
        for _ in range(polls):
            place = round(rng.gauss(mean, spread))
            found[place] = found.get(place, 0) + 1
    good = dict.fromkeys(("poll:GOOD", "send:GOOD", "read:GOOD", "outcome:delivered"), polls)
    return Rollup(good, timings)


@settings(max_examples=25)
@given(periods)
def test_rollups_come_back_as_they_were_packed(some: dict[int, Rollup]) -> None:
    assert unpack(pack(some)) == some


@pytest.mark.parametrize("polls", [1, 12, 288, 8640, 40_000])
def test_any_number_of_polls_comes_back(polls: int) -> None:
    rng = random.Random(polls)
    some = {HOUR + hour: drawn(rng, polls) for hour in range(2)}
    assert unpack(pack(some)) == some


def test_periods_that_differ_by_their_mean_come_back() -> None:
    rng = random.Random(1)
    some = {HOUR + hour: drawn(rng, 12, mean=100 + 20 * (hour % 24)) for hour in range(200)}
    some[HOUR + 7] = Rollup({"poll:FAILED": 12})
    assert unpack(pack(some)) == some


def test_packed_rollups_keep_their_meaning() -> None:
    # Where this fails, what is in stores can no longer be read.
    packed = bytes.fromhex(
        "01c9c302421691da3deb7d27d6bfc00000000308a048100200200006010f0a74b3b476af966bed71"
        "c800239e970718130815c9395dbcbd17d1db6da1200b9d13b3c4dc002154a400180b0a87a3f00000"
        "0002800001010a059d57c015fe00758c608f6a435c"
    )
    assert unpack(packed) == STORED
    assert pack(STORED) == packed


def test_what_counts_nothing_is_left_out() -> None:
    some = {HOUR: Rollup({"poll:GOOD": 0}, {"totalTime": {7: 0}, "lookupTime": {}}), HOUR + 1: Rollup()}
    assert unpack(pack(some)) == {HOUR: Rollup(), HOUR + 1: Rollup()}


def test_nothing_is_packed_as_nothing() -> None:
    assert [pack({}), merged(b"", {}, keep_from=0), unpack(b"")] == [b"", b"", {}]


@settings(max_examples=25)
@given(periods, st.sets(st.sampled_from(TIMINGS)), indexes, indexes)
def test_only_what_is_asked_for_is_unpacked(
    some: dict[int, Rollup], timings: set[str], first: int, last: int
) -> None:
    found = unpack(pack(some), timings, first=first, last=last)
    assert found == {
        index: only(rollup, *timings) for index, rollup in some.items() if first <= index <= last
    }


@settings(max_examples=25)
@given(periods, periods, indexes)
def test_merging_is_unpacking_and_packing_anew(
    some: dict[int, Rollup], additions: dict[int, Rollup], keep_from: int
) -> None:
    whole = {index: Rollup(rollup.counts, rollup.timings) for index, rollup in some.items()}
    for index, rollup in additions.items():
        whole.setdefault(index, Rollup()).merge(rollup)
    expected = pack({index: rollup for index, rollup in whole.items() if index >= keep_from})
    assert merged(pack(some), additions, keep_from=keep_from) == expected


@settings(max_examples=20)
@given(st.lists(figures, max_size=12), st.data())
def test_any_order_and_any_splitting_over_folds_gives_the_same_bytes(
    some: list[Figures], data: st.DataObject
) -> None:
    folded = b""
    rest = data.draw(st.permutations(some))
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        folded = merged(folded, rollups_of(rest[:size]), keep_from=0)
        rest = rest[size:]
    assert folded == pack(rollups_of(some))


def test_folding_day_by_day_keeps_what_is_to_be_kept() -> None:
    rng = random.Random(2)
    some = {HOUR + hour: drawn(rng, 3) for hour in range(24 * 12)}
    folded = b""
    for day in range(12):
        additions = {HOUR + hour: some[HOUR + hour] for hour in range(24 * day, 24 * day + 24)}
        folded = merged(folded, additions, keep_from=HOUR + 24 * (day - 7))
    assert folded == pack({hour: rollup for hour, rollup in some.items() if hour >= HOUR + 24 * 4})


def test_a_day_of_a_pair_takes_hardly_more_than_what_it_says() -> None:
    # What these three timings say is 32 bytes a day, at 288 polls.
    rng = random.Random(3)
    assert len(pack({19_000 + day: drawn(rng, 288) for day in range(96)})) < 96 * 38


def test_an_hour_of_a_pair_takes_hardly_more_than_what_it_says() -> None:
    # What these three timings say is 9 bytes an hour, at 12 polls.
    rng = random.Random(4)
    assert len(pack({HOUR + hour: drawn(rng, 12) for hour in range(192)})) < 192 * 12


@pytest.mark.parametrize(
    ("some", "message"),
    [
        ({-1: Rollup()}, "periods are from 0"),
        ({2**40: Rollup()}, "periods are from 0"),
        ({HOUR: Rollup({"poll:GREAT": 1})}, "'poll:GREAT' is no key"),
        ({HOUR: Rollup({"poll:GOOD": -1})}, "a count is negative"),
        ({HOUR: Rollup({"poll:GOOD": 2**41})}, "is not within"),
        ({HOUR: Rollup({}, {"total": {1: 1}})}, "'total' is no timing"),
        ({HOUR: Rollup({}, {"totalTime": {BUCKETS: 1}})}, "totalTime has a bucket that is none"),
        ({HOUR: Rollup({}, {"totalTime": {1: 1, 2: -1}})}, "a count is negative"),
        ({HOUR: Rollup({}, {"totalTime": {1: 2**41}})}, "is not within"),
    ],
)
def test_what_has_no_place_in_the_format_is_refused(some: Mapping[int, Rollup], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack(some)


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=60))
def test_bytes_that_are_no_packed_rollups_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="damaged rollups"):
        unpack(data)


PACKED = pack({HOUR + hour: drawn(random.Random(hour), 12) for hour in range(30)})


@settings(max_examples=60)
@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_a_damaged_byte_is_found(place: int, change: int) -> None:
    damaged = bytearray(PACKED)
    damaged[place] ^= change
    with pytest.raises(ValueError, match="damaged rollups"):
        unpack(bytes(damaged))


@settings(max_examples=40)
@given(
    st.dictionaries(st.integers(1, len(PACKED) - 5), st.integers(0, 255), max_size=4),
    st.integers(1, len(PACKED) - 4),
)
def test_damage_under_a_good_checksum_is_refused_or_gives_other_rollups(
    changes: dict[int, int], end: int
) -> None:
    damaged = bytearray(PACKED[:-4])
    for place, value in changes.items():
        damaged[place] = value
    data = bytes(damaged[:end])
    try:
        found: Any = unpack(data + zlib.crc32(data).to_bytes(4, "big"))
    except ValueError as error:
        assert str(error).startswith("damaged rollups")  # noqa: PT017  it may also be fine
        return
    assert all(
        place < BUCKETS for rollup in found.values() for row in rollup.timings.values() for place in row
    )


def test_a_bucket_of_a_time_comes_back() -> None:
    longest = bucket(7 * 86_400_000_000)
    some = {HOUR: Rollup({}, {"timeToDeliver": {0: 1, longest: 1}})}
    assert unpack(pack(some)) == some

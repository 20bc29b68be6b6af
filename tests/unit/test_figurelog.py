"""Stretches of a log are packed, and read back as they were."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat import figurelog
from postbeat.delivery import Outcome
from postbeat.figures import TIMINGS, Figures
from postbeat.model import FaultCode, Level, Phase, Side

TIMES_US = st.dictionaries(st.sampled_from(TIMINGS), st.integers(1, 10_000_000))
ENTRIES = st.builds(
    Figures,
    st.integers(0, 4_000_000_000_000_000),
    st.sampled_from(Phase),
    st.integers(0, 10**15),
    st.sampled_from(Level),
    st.booleans(),
    st.none() | st.sampled_from(Side),
    st.none() | st.sampled_from(FaultCode),
    st.sampled_from(["", "connect", "tls"]),
    st.none() | st.sampled_from(Outcome),
    st.none() | st.integers(0, 999),
    TIMES_US,
    st.none() | st.integers(0, 127),
)


def stored(entry: Figures) -> Figures:
    """An entry as the log has it, to the second."""
    return replace(Figures.loads(entry.dumps()), at_us=entry.at_us // 1_000_000 * 1_000_000)


@settings(max_examples=50)
@given(entries=st.lists(ENTRIES, max_size=20))
def test_a_stretch_is_read_back_as_it_was(entries: list[Figures]) -> None:
    assert figurelog.unpack(figurelog.pack(entries)) == [stored(entry) for entry in entries]


def test_results_that_are_alike_take_a_fraction_of_their_room() -> None:
    entries = [
        Figures(
            1_700_000_000_000_000 + number * 300_000_000 + number * 7919 % 30_000,
            Phase.SEND,
            5_000_000 + number,
            Level.GOOD,
            False,
            status=250,
            times_us={name: 100_000 + number * 997 % 20_000 for name in TIMINGS},
        )
        for number in range(144)
    ]
    assert len(figurelog.pack(entries)) < sum(len(entry.dumps()) for entry in entries) / 2


@given(junk=st.binary(max_size=200), deflated=st.booleans())
def test_junk_is_refused(junk: bytes, deflated: bool) -> None:
    deflater = zlib.compressobj(wbits=-15)
    data = deflater.compress(junk) + deflater.flush() if deflated else junk
    try:
        found = figurelog.unpack(data)
    except ValueError:
        return
    assert len(found) <= len(junk)  # it happened to be a stretch


@settings(max_examples=50)
@given(
    entries=st.lists(ENTRIES, min_size=1, max_size=5), place=st.integers(0, 10_000), byte=st.integers(0, 255)
)
def test_damage_is_refused_or_makes_other_figures_and_nothing_else(
    entries: list[Figures], place: int, byte: int
) -> None:
    data = bytearray(figurelog.pack(entries))
    data[place % len(data)] = byte
    try:
        figurelog.unpack(bytes(data))
    except ValueError:
        return


def test_a_value_that_would_take_all_memory_is_refused() -> None:
    deflater = zlib.compressobj(wbits=-15)
    with pytest.raises(ValueError, match="too long"):
        figurelog.unpack(deflater.compress(bytes(20 << 20)) + deflater.flush())

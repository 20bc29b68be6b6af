"""Figures of results, for tests of what is made of them."""

from __future__ import annotations

from hypothesis import strategies as st

from postbeat.delivery import Outcome
from postbeat.figures import TIMINGS, Figures
from postbeat.model import FaultCode, Level, Phase, Side

AT_US = 1_790_000_000_000_000
LONGEST_US = 7 * 86_400_000_000

times_us = st.one_of(st.integers(1, 60_000), st.integers(1, 5_000_000), st.integers(1, LONGEST_US))
figures = st.builds(
    Figures,
    at_us=st.integers(AT_US, AT_US + 10 * 86_400_000_000),
    phase=st.sampled_from(Phase),
    slot=st.integers(0, 2**40),
    level=st.sampled_from(Level),
    terminal=st.booleans(),
    side=st.none() | st.sampled_from(Side),
    code=st.none() | st.sampled_from(FaultCode),
    stage=st.sampled_from(("", "connect", "mail from", "größe")),
    outcome=st.none() | st.sampled_from(Outcome),
    status=st.none() | st.just(250) | st.integers(0, 999),
    times_us=st.dictionaries(st.sampled_from(TIMINGS), times_us, max_size=4),
    hop_count=st.none() | st.integers(0, 127),
)

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.model import Level
from postbeat.verdict import Quorum, Verdict, concerned, disagreeing, needed, verdict_of

GOOD, MARGINAL, FAILED, UNKNOWN = Level.GOOD, Level.MARGINAL, Level.FAILED, Level.UNKNOWN
SIGNS = {"g": GOOD, "m": MARGINAL, "f": FAILED, "u": UNKNOWN}
FRESH = [GOOD, MARGINAL, FAILED]
SEVERITY = [Verdict.GOOD, Verdict.DEGRADED, Verdict.FAILED]

names = st.text(alphabet="abc-", min_size=1, max_size=3)
few = settings(max_examples=60)
quorums = st.sampled_from(["any", "majority", "all"]) | st.integers(1, 99)
anything = st.dictionaries(names, st.sampled_from(Level), max_size=9)
fresh_ones = st.dictionaries(names, st.sampled_from(FRESH), min_size=1, max_size=9)


def regions(signs: str) -> dict[str, Level]:
    return {f"r{index}": SIGNS[sign] for index, sign in enumerate(signs)}


def severity(levels: dict[str, Level], quorum: Quorum) -> int:
    return SEVERITY.index(verdict_of(levels, quorum))


@pytest.mark.parametrize(
    ("signs", "verdicts"),
    [  # by any, majority, all and 2
        ("", "uuuu"),
        ("u", "uuuu"),
        ("uuu", "uuuu"),
        ("g", "gggg"),
        ("ggu", "gggg"),
        ("m", "dddd"),
        ("gmg", "dddd"),
        ("mmm", "dddd"),
        ("f", "fffd"),
        ("fuu", "fffd"),
        ("gf", "fddd"),
        ("mf", "fddd"),
        ("ff", "ffff"),
        ("gff", "ffdf"),
        ("gffu", "ffdf"),
        ("ggff", "fddf"),
        ("ggfffu", "ffdf"),
        ("mfffu", "ffdf"),
        ("fff", "ffff"),
    ],
)
def test_a_quorum_of_the_fresh_regions_decides(signs: str, verdicts: str) -> None:
    found = [verdict_of(regions(signs), quorum).value[0].lower() for quorum in ("any", "majority", "all", 2)]
    assert "".join(found) == verdicts


@few
@given(anything, quorums, st.randoms())
def test_the_order_of_the_regions_does_not_matter(
    levels: dict[str, Level], quorum: Quorum, random: Random
) -> None:
    items = list(levels.items())
    random.shuffle(items)
    verdict = verdict_of(levels, quorum)
    assert verdict_of(dict(items), quorum) is verdict
    assert disagreeing(dict(items), verdict) == disagreeing(levels, verdict)


@few
@given(anything, quorums)
def test_a_region_without_news_changes_nothing(levels: dict[str, Level], quorum: Quorum) -> None:
    verdict = verdict_of(levels, quorum)
    more = levels | {"silent": UNKNOWN}
    assert verdict_of(more, quorum) is verdict
    assert disagreeing(more, verdict) == disagreeing(levels, verdict)


@few
@given(fresh_ones, quorums, st.data())
def test_a_region_that_gets_worse_betters_no_verdict(
    levels: dict[str, Level], quorum: Quorum, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(levels)))
    worse = data.draw(st.sampled_from(FRESH[FRESH.index(levels[name]) :]))
    assert severity(levels | {name: worse}, quorum) >= severity(levels, quorum)


@few
@given(fresh_ones, st.integers(1, 99))
def test_a_quorum_that_asks_for_more_makes_no_verdict_worse(levels: dict[str, Level], number: int) -> None:
    by_word = [severity(levels, quorum) for quorum in ("any", "majority", "all")]
    assert by_word == sorted(by_word, reverse=True)
    assert severity(levels, number) >= severity(levels, number + 1)
    assert severity(levels, 1) == by_word[0]
    assert severity(levels, len(levels)) == by_word[2]


@few
@given(fresh_ones, quorums)
def test_good_is_only_what_is_good_everywhere(levels: dict[str, Level], quorum: Quorum) -> None:
    assert (verdict_of(levels, quorum) is Verdict.GOOD) is (set(levels.values()) == {GOOD})


@few
@given(st.integers(1, 99))
def test_a_majority_is_the_least_number_that_is_more_than_half(fresh: int) -> None:
    most = needed("majority", fresh)
    assert 2 * most > fresh >= 2 * (most - 1)


@pytest.mark.parametrize(
    ("signs", "quorum", "apart"),
    [
        ("", "any", ""),
        ("uu", "any", ""),
        ("ggg", "any", ""),
        ("fff", "any", ""),
        ("ggf", "any", "r2"),
        ("ffg", "majority", "r2"),
        ("ggm", "majority", "r2"),
        ("mmg", "majority", "r2"),
        ("gfu", "majority", "r1"),  # DEGRADED by the one that fails
        ("gfu", "any", "r0"),  # FAILED, whatever the other says
        ("gm", "majority", "r1"),
        ("gmf", "majority", "r1 r2"),
        ("gmf", "any", "r0 r1"),
        ("ffmmg", "majority", "r0 r1 r4"),
        ("fggumf", 3, "r0 r4 r5"),
    ],
)
def test_the_regions_that_see_something_else_than_most_are_named(
    signs: str, quorum: Quorum, apart: str
) -> None:
    levels = regions(signs)
    assert disagreeing(levels, verdict_of(levels, quorum)) == tuple(apart.split())


@few
@given(anything, quorums)
def test_who_does_not_disagree_is_of_one_level_and_no_other_level_has_more(
    levels: dict[str, Level], quorum: Quorum
) -> None:
    apart = disagreeing(levels, verdict_of(levels, quorum))
    assert list(apart) == sorted(set(apart))
    assert UNKNOWN not in {levels[name] for name in apart}
    most = Counter(level for name, level in levels.items() if name not in apart and level is not UNKNOWN)
    others = Counter(levels[name] for name in apart)
    assert len(most) <= 1
    assert max(others.values(), default=0) <= most.total()


@pytest.mark.parametrize(
    ("signs", "regions"),
    [
        ({"eu": "FAILED", "us": "GOOD"}, ["eu"]),
        ({"eu": "FAILED", "us": "UNKNOWN", "asia": "MARGINAL"}, ["eu", "asia"]),
        ({"eu": "UNKNOWN", "us": "UNKNOWN"}, ["eu", "us"]),
        ({"eu": "GOOD", "us": "GOOD"}, ["eu", "us"]),
    ],
)
def test_a_verdict_is_about_the_regions_that_voted_against_good(
    signs: dict[str, str], regions: list[str]
) -> None:
    assert concerned(signs) == regions

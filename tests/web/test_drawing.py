"""The pure parts: rows, charts, and how figures look."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import Kind, Level, Pair, Phase
from postbeat.results import Attempt, Stage
from postbeat.rollup import Rollup
from postbeat.store.summary import PairSummary
from postbeat.verdict import Verdict
from postbeat.web import charts, look
from postbeat.web.limits import REMEMBERED, WINDOW_S, Failures
from postbeat.web.rows import Page, Wanted, board


def summary(element: str, region: str, level: Level, since_us: int = 0) -> PairSummary:
    nothing = (None, None, None, None)
    return PairSummary(
        Pair(element, region),
        Kind.SMTP,
        level,
        since_us,
        1,
        "why",
        Phase.SEND,
        "",
        "",
        "",
        None,
        *nothing,
        0,
        None,
        level,
        None,
        1,
    )


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["eu", "us", "asia"])), st.sampled_from(Level)
    )
)
def test_every_pair_is_in_one_row_and_the_worst_come_first(levels: dict[tuple[str, str], Level]) -> None:
    summaries: dict[str, list[PairSummary]] = {}
    for pair, stands in levels.items():
        summaries.setdefault(pair[0], []).append(summary(*pair, stands))
    found = board({name: functools.partial(list, those) for name, those in summaries.items()}, [], {}, 0)
    assert sorted(str(pair.pair) for row in found.rows for pair in row.pairs) == sorted(
        f"{element}@{region}" for element, region in levels
    )
    order = [Verdict.FAILED, Verdict.DEGRADED, Verdict.UNKNOWN, Verdict.GOOD]
    ranks = [order.index(row.verdict) for row in found.rows]
    assert ranks == sorted(ranks)
    assert sum(found.tally.values()) == len(found.rows)
    for level in ("FAILED", "GOOD"):
        named = {row.element for row in found.find(Wanted(level=level, region="eu"))}
        assert named == {
            element for (element, region), one in levels.items() if (region, one) == ("eu", level)
        }


@pytest.mark.parametrize(
    ("levels", "worst"),
    [
        ({"eu": Level.UNKNOWN, "us": Level.MARGINAL, "asia": Level.GOOD}, "us"),
        ({"eu": Level.UNKNOWN, "us": Level.MARGINAL, "asia": Level.FAILED}, "asia"),
        ({"eu": Level.GOOD, "us": Level.UNKNOWN}, "us"),
    ],
)
def test_the_reason_is_that_of_the_worst_region_that_has_a_vote(levels: dict[str, Level], worst: str) -> None:
    found = [summary("a", region, level) for region, level in levels.items()]
    (row,) = board({"a": lambda: found}, [], {}, 0).rows
    assert row.pairs[0].pair.region == worst
    assert row.why is not None
    assert row.why.level is levels[worst]


def test_a_level_that_does_not_count_yet_is_not_the_reason() -> None:
    coming = replace(summary("a", "eu", Level.FAILED), confirmed=Level.GOOD)
    (row,) = board({"a": lambda: [coming, summary("a", "us", Level.MARGINAL)]}, [], {}, 0).rows
    assert row.why is not None
    assert (row.verdict, row.why.level) == (Verdict.DEGRADED, Level.MARGINAL)


@given(st.integers(0, 50), st.integers(1, 20), st.integers(1, 100))
def test_pages_cover_everything_once(count: int, size: int, number: int) -> None:
    summaries = (summary(f"e{index:03}", "eu", Level.GOOD) for index in range(count))
    rows = board({one.pair.element: functools.partial(list, [one]) for one in summaries}, [], {}, 0).rows
    pages = [Page.of(rows, one, size) for one in range(1, Page.of(rows, 1, size).pages + 1)]
    assert [row.element for page in pages for row in page.rows] == [row.element for row in rows]
    assert 1 <= Page.of(rows, number, size).number <= len(pages)


@given(st.integers(1, 10**12))
def test_an_axis_ends_at_one_two_or_five(value: int) -> None:
    top = charts.nice(value)
    assert value <= top <= 5 * value
    assert str(top).rstrip("0") in ("1", "2", "5")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=20))
def test_a_waterfall_stays_in_its_box(spans: list[tuple[int, int]]) -> None:
    stages = tuple(Stage("data", at_us, took_us) for at_us, took_us in spans)
    for bar in charts.waterfall(Attempt(1, 0, 1, stages)):
        assert 0 <= bar.x < bar.x + bar.width <= 1000


def test_a_day_is_good_low_bad_or_without_polls() -> None:
    counts = [
        {"poll:GOOD": 1000},
        {"poll:GOOD": 99, "poll:FAILED": 1},
        {"poll:FAILED": 1},
        {"poll:UNKNOWN": 9},
    ]
    found = charts.days([(0, Rollup(one)) for one in counts], 99.9)
    assert [day.look for day in found] == ["good", "low", "bad", "none"]
    assert found[1].text == "1970-01-01, 99 % available, 1 failed"
    assert found[3].text == "1970-01-01, no polls, 9 unknown"


def test_a_chart_has_a_gap_where_nothing_was_measured() -> None:
    measured, nothing = Rollup(timings={"uploadTime": {100: 1}}), Rollup()
    chart = charts.lines([(0, measured), (1, measured), (2, nothing), (3, measured)], "uploadTime")
    assert chart is not None
    assert chart.count == 3
    assert chart.paths["p50"].count("M") == 2
    assert charts.lines([(0, measured)], "totalTime") is None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (look.duration(850), "850 µs"),
        (look.duration(12_300), "12.3 ms"),
        (look.duration(1_200_000), "1.20 s"),
        (look.duration(180_000_000), "3 min"),
        (look.percent(1.0), "100 %"),
        (look.percent(0.999999), "99.999 %"),
        (look.percent(0.9993), "99.93 %"),
        (look.percent(0.29), "29 %"),
        (look.percent(0.5), "50 %"),
        (look.percent(0.0), "0 %"),
        (look.percent(-0.004), "-0.4 %"),
        (look.percent(-1.5), "-150 %"),
        (look.percent(None), look.NOTHING),
        (look.size(1_234_567), "1.23 MB"),
        (look.moment(-5), "1970-01-01 00:00:00"),
        (look.moment(10**30), "9999-12-31 23:59:59"),
        (look.sign("FAILED"), "✗"),
    ],
)
def test_figures_for_people(shown: str, expected: str) -> None:
    assert shown == expected


def test_failures_are_forgotten_with_time_and_after_a_success() -> None:
    now_s = 0.0
    failures = Failures(lambda: now_s)
    for _ in range(5):
        assert failures.wait_s("192.0.2.1", "vera") == 0
        failures.add("192.0.2.1", "vera")
    assert failures.wait_s("192.0.2.1", "vera") == WINDOW_S
    assert failures.wait_s("192.0.2.2", "vera") == failures.wait_s("192.0.2.1", "otto") == 0
    now_s = WINDOW_S + 1
    assert failures.wait_s("192.0.2.1", "vera") == 0
    failures.add("192.0.2.1", "vera")
    failures.forget("192.0.2.1", "vera")
    assert failures.wait_s("192.0.2.1", "vera") == 0


def test_one_address_tries_many_names_no_longer_than_one() -> None:
    failures = Failures(lambda: 0.0)
    for number in range(20):
        failures.add("192.0.2.1", f"name{number}")
    assert failures.wait_s("192.0.2.1", "another") > 0
    assert failures.wait_s("192.0.2.2", "another") == 0


def test_failures_of_any_number_of_addresses_are_bounded() -> None:
    failures = Failures(lambda: 0.0)
    for _ in range(5):
        failures.add("192.0.2.1", "vera")
    for number in range(REMEMBERED):
        failures.add(str(number), "otto")
    assert failures.wait_s("192.0.2.1", "vera") == 0  # forgotten: there is no room for all


def test_what_nobody_can_be_called_is_counted_as_one_name_and_not_kept() -> None:
    failures = Failures(lambda: 0.0)
    for number in range(50):
        failures.add(f"192.0.2.{number}", f"{number}{'x' * 60_000}")
    assert failures.wait_s("198.51.100.1", "y" * 60_000) > 0
    assert failures.wait_s("198.51.100.1", "vera") == 0


def test_the_addresses_of_a_network_of_ipv6_are_one_and_those_of_ipv4_are_not() -> None:
    failures = Failures(lambda: 0.0)
    for number in range(20):
        failures.add(f"2001:db8::{number:x}", f"name{number}")
        failures.add(f"::ffff:192.0.2.{number}", f"name{number}")
    assert failures.wait_s("2001:db8::ffff", "another") > 0
    assert failures.wait_s("2001:db8:0:1::1", "another") == 0
    assert failures.wait_s("::ffff:192.0.2.99", "another") == 0

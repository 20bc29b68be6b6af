"""Who is in maintenance, of many at one moment."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import Pair
from postbeat.store.maintenance import AdHoc, Calendar

NAMES = ["mail", "mail-1", "mail-2", "shop.mail", "m"]
REGIONS = ["eu", "eu-1", "us"]
globs = st.sampled_from(
    ["*", "mail", "mail-?", "mail-[!1]", "*mail", "m*l", "eu", "eu*", "[z-a]", "[", "", "a|m"]
)
spans = st.sampled_from([(0, 10), (5, 6), (0, 5), (6, 9)])


def window(element: str, region: str = "*", span: tuple[int, int] = (0, 10)) -> AdHoc:
    return AdHoc(f"{element} {region}", element, region, *span, "new disks", "ann")


@given(st.lists(st.builds(window, globs, globs, spans), max_size=6))
def test_of_many_at_one_moment_the_same_is_told_as_of_each(windows: list[AdHoc]) -> None:
    calendar = Calendar({}, windows)
    is_covered = calendar.covering(5)
    for pair in (Pair(name, region) for name in NAMES for region in REGIONS):
        assert is_covered(pair) is calendar.covers(pair, 5)


def test_many_windows_that_fit_nothing_are_not_tried_one_by_one() -> None:
    pairs = [Pair(f"customer-{number}", region) for number in range(500) for region in REGIONS]
    calendar = Calendar({}, [window(f"*-nobody-{number}") for number in range(200)])

    def took_s(is_covered: Callable[[Pair], bool]) -> float:
        before_s = time.thread_time()
        assert not any(map(is_covered, pairs))
        return time.thread_time() - before_s

    one_by_one_s = took_s(lambda pair: calendar.covers(pair, 5))
    assert took_s(calendar.covering(5)) * 4 < one_by_one_s, "a twentieth where nothing else is to do"

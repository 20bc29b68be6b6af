from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from postbeat.windows import Window

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
WEEK = 7 * 1440
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
# Zones, and a moment at which the clock is changed there; that of Lord Howe by half an hour.
ZONES = [
    ("Europe/Berlin", "2026-03-29T01:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
    ("America/Havana", "2026-03-08T05:00Z"),
    ("America/Havana", "2026-11-01T05:00Z"),
    ("Asia/Kathmandu", "2026-11-01T05:00Z"),
    ("UTC", "2026-11-01T05:00Z"),
]

day_names = st.sampled_from(DAYS)
minutes_of_day = st.integers(0, 1439)
moments = st.integers(0, 3 * 365 * 86400).map(lambda s: MONDAY - timedelta(days=500) + timedelta(seconds=s))
zones = st.builds(
    lambda place, minutes: (place[0], datetime.fromisoformat(place[1]) + timedelta(minutes=minutes)),
    st.sampled_from(ZONES),
    st.integers(-240, 240) | st.integers(-500_000, 500_000),
)
few = settings(max_examples=60)


def us(moment: datetime | str) -> int:
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def reading(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def shown(at: datetime) -> int:
    """What a clock with the days of the week shows, in minutes since Monday began."""
    return at.weekday() * 1440 + at.hour * 60 + at.minute


@dataclass(frozen=True)
class Weekly:
    """A weekly window by the time since it began."""

    text: str
    days: frozenset[str]
    begin: int
    end: int

    def has(self, minute: int) -> bool:
        length = (self.end - self.begin) % 1440 or 1440
        return any((minute - DAYS.index(day) * 1440 - self.begin) % WEEK < length for day in self.days)


@st.composite
def weekly(draw: st.DrawFn) -> Weekly:
    begin, end = draw(minutes_of_day), draw(minutes_of_day | st.just(1440))
    assume(begin != end)
    form = draw(st.sampled_from(["daily", "some", "range"]))
    if form == "daily":
        return Weekly(f"daily {reading(begin)}-{reading(end)}", frozenset(DAYS), begin, end)
    some = draw(st.lists(day_names, min_size=1, max_size=3, unique=True))
    text = ",".join(some)
    if form == "range":
        first, last = some[0], some[-1]
        some = (DAYS * 2)[DAYS.index(first) :][: (DAYS.index(last) - DAYS.index(first)) % 7 + 1]
        text = f"{first.lower()}-{last.upper()}"
    return Weekly(f"{text} {reading(begin)}-{reading(end)}", frozenset(some), begin, end)


@few
@given(weekly(), st.lists(moments, min_size=1, max_size=5))
def test_a_weekly_window_covers_the_time_from_its_beginning_to_its_end(
    window: Weekly, whenever: list[datetime]
) -> None:
    parsed = Window.parse(window.text)
    assert [parsed.covers(us(at)) for at in whenever] == [window.has(shown(at)) for at in whenever]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Sun 02:00-04:00", "Sun"),
        ("Mon-Fri 22:00-06:00", "Mon Tue Wed Thu Fri"),
        ("Fri-Mon 23:59-00:01", "Fri Sat Sun Mon"),
        ("daily 02:00-02:30", "Mon Tue Wed Thu Fri Sat Sun"),
        ("Sat,Sun 00:00-24:00", "Sat Sun"),
        ("sun 22:00-21:59", "Sun"),
    ],
)
def test_every_minute_of_a_week_is_as_a_watched_clock_shows_it(text: str, days: str) -> None:
    begin, end = text.split()[1].replace("24:00", "00:00").split("-")
    window = Window.parse(text)
    open_at = set()
    for day in days.split():  # watched from each beginning until the clock shows the end
        minute = DAYS.index(day) * 1440 + int(begin[:2]) * 60 + int(begin[3:])
        open_at.add(minute)
        while reading((minute + 1) % 1440) != end:
            minute = (minute + 1) % WEEK
            open_at.add(minute)
    monday_us = us(MONDAY)
    assert {minute for minute in range(WEEK) if window.covers(monday_us + minute * 60_000_000)} == open_at


@few
@given(weekly(), zones)
def test_a_window_of_a_zone_goes_by_the_clock_on_its_walls(
    window: Weekly, place: tuple[str, datetime]
) -> None:
    zone, at = place
    there = ZoneInfo(zone)
    covered = Window.parse(f"{window.text} {zone}").covers(us(at))
    offsets = {(at + timedelta(hours=hours)).astimezone(there).utcoffset() for hours in (-50, 50)}
    if len(offsets) == 1:
        assert covered is window.has(shown(at.astimezone(there)))
    elif window.has(shown(at.astimezone(there))):
        assert covered


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        # The night in which the clocks of Berlin go from 02:00 to 03:00, at 01:00Z.
        ("Sun 01:00-04:00 Europe/Berlin", "2026-03-29T00:00Z", "2026-03-29T02:00Z"),
        ("Sun 03:00-04:00 Europe/Berlin", "2026-03-29T01:00Z", "2026-03-29T02:00Z"),
        ("Sun 02:30-03:15 Europe/Berlin", "2026-03-29T00:30Z", "2026-03-29T01:15Z"),
        ("Sun 02:00-02:30 Europe/Berlin", "2026-03-29T00:00Z", "2026-03-29T01:30Z"),
        ("Sat 23:00-06:00 Europe/Berlin", "2026-03-28T22:00Z", "2026-03-29T04:00Z"),
        # The night in which they go from 03:00 to 02:00, at 01:00Z.
        ("Sun 01:00-04:00 Europe/Berlin", "2026-10-24T23:00Z", "2026-10-25T03:00Z"),
        ("Sun 02:30-02:45 Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T01:45Z"),
        ("Sun 00:00-24:00 Europe/Berlin", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        # Any other night, and a zone without an hour of its own.
        ("Sun 02:30-02:45 Europe/Berlin", "2026-07-05T00:30Z", "2026-07-05T00:45Z"),
        ("Sun 02:00-04:00 Asia/Kathmandu", "2026-07-04T20:15Z", "2026-07-04T22:15Z"),
        ("Sun 02:00-04:00 UTC", "2026-07-05T02:00Z", "2026-07-05T04:00Z"),
        ("2026-12-01T02:00Z/2026-12-01T04:00Z", "2026-12-01T02:00Z", "2026-12-01T04:00Z"),
        ("2026-12-01T02:00:30+01:00/2026-12-01T04:00Z", "2026-12-01T01:00:30Z", "2026-12-01T04:00Z"),
        ("2026-12-01T23:00-05:00/2026-12-09T00:00+05:30", "2026-12-02T04:00Z", "2026-12-08T18:30Z"),
    ],
)
def test_a_window_begins_and_ends_at_these_moments(text: str, begin: str, end: str) -> None:
    window = Window.parse(text)
    for at_us in (us(begin), (us(begin) + us(end)) // 2, us(end) - 1):
        assert window.covers(at_us)
    assert not window.covers(us(begin) - 1)
    assert not window.covers(us(end))


@few
@given(zones)
def test_a_window_of_whole_days_has_every_moment_of_them(place: tuple[str, datetime]) -> None:
    zone, at = place
    assert Window.parse(f"daily 00:00-24:00 {zone}").covers(us(at))
    day = DAYS[at.astimezone(ZoneInfo(zone)).weekday()]
    assert Window.parse(f"{day} 00:00-24:00 {zone}").covers(us(at))


@few
@given(weekly(), zones)
def test_a_window_is_its_text(window: Weekly, place: tuple[str, datetime]) -> None:
    for text in (window.text, f"{window.text} {place[0]}", "2026-12-01T02:00Z/2026-12-01T04:00Z"):
        parsed = Window.parse(f"  {text.replace(' ', '   ')} ")
        assert str(parsed) == text
        assert Window.parse(str(parsed)) == Window.parse(parsed) == parsed


@few
@given(st.text(max_size=120) | st.text(alphabet="MonTueSu0123456789:-/, TZ+", max_size=60))
def test_any_text_is_a_window_or_says_why_not(text: str) -> None:
    with suppress(ValueError):
        assert Window.parse(text).text == " ".join(text.split())

from __future__ import annotations

from dataclasses import replace

import pytest

from postbeat.elements import Imap4Element, SmtpElement
from postbeat.model import Level, Pair, Poll
from postbeat.profile import Profile
from postbeat.roundtrip import RoundTrip, RoundTrips
from tests.unit.some_results import AT_US, CHECK, COPY, LATE, OVERDUE, POLL, READ, SENT

MAIL = Pair("mail", "eu")
PROFILE = Profile(
    {
        "mail": SmtpElement(name="mail", server="h", email="a@example.com", read="box"),
        "box": Imap4Element(name="box", server="h", username="u"),
    }
)


@pytest.mark.parametrize(
    ("trip", "level"),
    [
        (RoundTrip(MAIL, True), Level.UNKNOWN),
        (RoundTrip(MAIL, False, SENT), Level.GOOD),
        (RoundTrip(MAIL, True, SENT), Level.UNKNOWN),
        (RoundTrip(MAIL, True, SENT, READ), Level.GOOD),
        (RoundTrip(MAIL, True, SENT, OVERDUE), Level.FAILED),
        (RoundTrip(MAIL, True, SENT, OVERDUE, LATE), Level.MARGINAL),
        (RoundTrip(MAIL, True, SENT, READ, LATE), Level.MARGINAL),
        (RoundTrip(MAIL, True, SENT, READ, COPY), Level.GOOD),
        (RoundTrip(MAIL, True, SENT, READ, replace(LATE, poll=Poll("mail", "eu", 6))), Level.GOOD),
        (RoundTrip(MAIL, True, after=LATE), Level.MARGINAL),
        (RoundTrip(CHECK.poll.pair, False, check=CHECK), Level.GOOD),
    ],
)
def test_the_level_is_that_of_what_was_said_last_of_the_message(trip: RoundTrip, level: Level) -> None:
    assert trip.level is level


@pytest.mark.parametrize(
    ("trip", "message", "at_us"),
    [
        (RoundTrip(MAIL, True), "No result yet", None),
        (RoundTrip(MAIL, True, SENT, READ), READ.message, READ.at_us),
        (RoundTrip(MAIL, True, SENT, OVERDUE, LATE), LATE.message, LATE.at_us),
        (RoundTrip(MAIL, True, SENT, READ, COPY), READ.message, READ.at_us),
        (RoundTrip(MAIL, True, after=COPY), COPY.message, COPY.at_us),
        (RoundTrip(CHECK.poll.pair, False, check=CHECK), CHECK.message, AT_US),
    ],
)
def test_the_message_is_that_of_the_part_that_decides(
    trip: RoundTrip, message: str, at_us: int | None
) -> None:
    assert (trip.message, trip.at_us) == (message, at_us)


def test_halves_are_put_together_in_any_order() -> None:
    for first, second in ((SENT, READ), (READ, SENT)):
        trips = RoundTrips()
        assert trips.add(first, PROFILE) is None
        assert trips.add(second, PROFILE) == RoundTrip(MAIL, True, SENT, READ)


def test_checks_and_what_became_of_a_message_come_alone() -> None:
    trips = RoundTrips()
    trips.add(SENT, PROFILE)
    assert trips.add(LATE, PROFILE) == RoundTrip(MAIL, True, after=LATE)
    assert trips.add(CHECK, PROFILE) == RoundTrip(Pair("box", "eu"), False, check=CHECK)
    assert trips.add(OVERDUE, PROFILE) == RoundTrip(MAIL, True, SENT, OVERDUE)


def test_only_what_is_of_a_poll_counts_as_one() -> None:
    assert not RoundTrip(MAIL, True, after=LATE).is_poll
    assert RoundTrip(MAIL, False, check=CHECK).is_poll
    assert RoundTrip(MAIL, True, SENT, READ).is_poll


def test_what_never_becomes_complete_is_forgotten() -> None:
    trips = RoundTrips()
    trips.add(SENT, PROFILE)
    for slot in range(1000, 1000 + RoundTrips.LIMIT):
        trips.add(replace(SENT, poll=Poll("mail", "eu", slot)), PROFILE)
    assert trips.add(READ, PROFILE) is None


def test_as_data_has_the_delivery_and_all_parts() -> None:
    data = RoundTrip(MAIL, True, SENT, OVERDUE, LATE).as_data()
    assert (data["element"], data["region"], data["level"]) == ("mail", "eu", "MARGINAL")
    assert (data["outcome"], data["timeToDeliver"]) == ("late", 1.5)
    assert data["at"] == LATE.at_us / 1e6
    assert data["totalTime"] == 0.09
    assert [data[part]["poll"] for part in ("send", "read", "after")] == [str(POLL)] * 3


def test_as_data_of_a_check_has_the_mailbox_and_no_halves() -> None:
    data = RoundTrip(CHECK.poll.pair, False, check=CHECK).as_data()
    assert (data["element"], data["level"], data["messages"]) == ("box", "GOOD", 12)
    assert data["check"]["phase"] == "check"
    assert not {"send", "read", "after"} & set(data)

"""What became of each message, as a real Postfix and Dovecot and the commands show it."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from postbeat.message import Envelope, Token, build
from postbeat.model import Level, Phase, Poll
from postbeat.secrets import Keys
from tests.e2e.running import Running, for_each_at_once
from tests.e2e.shaper import Drop, Shape, Shaper, address, held
from tests.mailservers import JUNK, LOST, Account, MailServers

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

KINDS = ("imap4", "pop3")
FOOTER = b"-- \nThis message was scanned for viruses.\n"
LONG_AGO_US = 7 * 86400 * 1_000_000  # the age of messages that nobody waits for any more
HELD_BACK_S = 2.6
ONCE: dict[str, Any] = {"poll": 86400, "delivertimeout": 30, "read": "box"}


def twice(_: int, message: bytes) -> Iterable[Drop]:
    return [Drop(message), Drop(message, after_s=2)]


def three_at_once(_: int, message: bytes) -> Iterable[Drop]:
    return [Drop(message, after_s=1, copies=3)]


def as_spam(_: int, message: bytes) -> Iterable[Drop]:
    return [Drop(message, folder=JUNK)]


def with_footer(_: int, message: bytes) -> Iterable[Drop]:
    return [Drop(message + FOOTER)]


def tagged(_: int, message: bytes) -> Iterable[Drop]:
    return [Drop(re.sub(rb"^Subject: ", b"Subject: [SUSPICIOUS] ", message, count=1, flags=re.M))]


SHAPES: dict[str, Shape] = {
    "held": held(5),
    "again": twice,
    "at-once": three_at_once,
    "footer": with_footer,
    "tagged": tagged,
    "overtaken": held(0, 0, HELD_BACK_S, 0),  # not the first ones, which go out at once as beat begins
}
OF_IMAP4: dict[str, Shape] = {"spam": as_spam}
# Every result that comes of an element's first message, by phase.
EXPECTED = {
    "plain": {"read": ["delivered"]},
    "held": {"read": ["overdue"], "after": ["late"]},
    "lost": {"read": ["overdue"], "after": ["lost"]},
    "again": {"read": ["delivered"], "after": ["duplicated"]},
    "at-once": {"read": ["duplicated"]},
    "footer": {"read": ["altered"]},
    "tagged": {"read": ["altered"]},
}
EXPECTED_OF_IMAP4 = {"spam": {"read": ["spam"]}}


def old_message(keys: Keys, number: int) -> bytes:
    """A message that a run of long ago has left: signed with the site's key."""
    sent_at_us = time.time_ns() // 1000 - LONG_AGO_US
    token = Token(Poll("plain", "default", number), 1, sent_at_us)
    return build(token, Envelope("probe@mail.test", "probe@mail.test", "lab.test"), keys.signing[0])


def others(keys: Keys) -> dict[str, list[bytes]]:
    """Messages that are not ours, by what they are."""
    ours = old_message(keys, 1)
    signed = re.search(rb"^X-Postbeat: (?:.*\n)(?:[ \t].*\n)*", ours, re.M)
    assert signed is not None
    forged = re.sub(rb"sig=..", b"sig=__", signed[0])
    return {
        "foreign": [f"From: friend{number}@example.org\n\nHello,\n.\n".encode() for number in range(5)],
        "damaged": [f"Subject: {number}\nX-Postbeat: {number}\n\n".encode() for number in range(4)],
        "forged": [b"From: foe@example.org\n%b\n%d" % (forged, number) for number in range(3)],
        "replayed": [
            re.sub(rb"(?im)^Message-ID: .*$", b"Message-ID: <%d@example.org>" % number, ours)
            for number in range(2)
        ],
    }


@dataclass(frozen=True)
class Seen:
    """What the commands showed, and what is left in the mailbox."""

    results: list[dict[str, Any]]
    events: list[dict[str, Any]]
    mailboxes: list[dict[str, Any]]
    left: list[bytes]
    expected: dict[str, dict[str, list[str]]]
    others: dict[str, list[bytes]]

    def of(self, element: str, phase: str) -> dict[str, Any]:
        """The only result of a phase of an element's first poll."""
        polls = sorted(one["poll"] for one in self.results if one["poll"].startswith(f"{element}@"))
        (result,) = [one for one in self.results if (one["poll"], one["phase"]) == (polls[0], phase)]
        return result

    def events_of(self, element: str) -> list[tuple[str, str, str, str | None]]:
        return [
            (event["phase"], event["was"], event["level"], event["outcome"])
            for event in self.events
            if event["element"] == element and event["kind"] != "verdict"
        ]


@pytest.fixture(scope="module")
def sites(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """A site for each protocol, at the same time."""
    folder, accounts = tmp_path_factory.mktemp("outcomes"), {kind: servers.account() for kind in KINDS}
    routes = {
        f"{name}-{kind}": (accounts[kind], shape)
        for kind in KINDS
        for name, shape in (SHAPES | OF_IMAP4).items()
    }
    with Shaper.open(servers, routes):
        return for_each_at_once(KINDS, lambda kind: _seen(servers, folder / kind, kind, accounts[kind]))


@pytest.fixture(params=KINDS)
def seen(request: pytest.FixtureRequest, sites: dict[str, Seen]) -> Seen:
    return sites[request.param]


def _seen(servers: MailServers, folder: Path, kind: str, account: Account) -> Seen:
    is_imap4 = kind == "imap4"
    shapes = SHAPES | (OF_IMAP4 if is_imap4 else {})
    expected = EXPECTED | (EXPECTED_OF_IMAP4 if is_imap4 else {})
    folder.mkdir()
    with Running.open(folder) as running:
        keys = Keys.parse([running.site.key], "the test's key")
        strangers = others(keys)
        servers.put(account, [*(text for texts in strangers.values() for text in texts)])
        for number in range(10, 13):
            servers.deliver(account, old_message(keys, number))
        servers.folder(account, JUNK)
        running.start(*_elements(servers, account, kind, shapes), regions=("default",))
        running.until(lambda: _everything(running, expected), "result of every kind", 60)
        left = running.until(
            lambda: _without_ours(servers, account, strangers), "mailbox without our messages"
        )
        return Seen(
            running.listing("results", "--count", "1000"),
            running.listing("events", "--count", "1000"),
            running.command("mailboxes"),
            left,
            expected,
            strangers,
        )


def _elements(
    servers: MailServers, account: Account, kind: str, shapes: dict[str, Shape]
) -> Iterator[dict[str, Any]]:
    yield servers.mailbox(kind, "box", account)
    yield servers.smtp("plain", account, **ONCE)
    yield servers.smtp("lost", account, email=LOST, **ONCE | {"delivertimeout": 2, "losttimeout": 4})
    changes: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    changes["held"] = {"delivertimeout": 2}
    changes["overtaken"] = {"poll": 1}
    for name in shapes:
        yield servers.smtp(name, account, email=address(f"{name}-{kind}"), **ONCE | changes[name])


def _everything(running: Running, expected: dict[str, dict[str, list[str]]]) -> bool:
    """Whether every element's first message has all its results, and one of the others was overtaken."""
    found: defaultdict[str, set[Phase]] = defaultdict(set)
    for result in running.results():
        found[result.poll.element].add(result.phase)
    overtaken = running.results("overtaken", Phase.READ)
    return all(found[element] >= set(map(Phase, phases)) for element, phases in expected.items()) and any(
        one.delivery.to_deliver_us > HELD_BACK_S * 1e6 for one in overtaken if one.delivery
    )


def _without_ours(servers: MailServers, account: Account, strangers: dict[str, list[bytes]]) -> list[bytes]:
    """What is in the mailbox; nothing while one of ours is there, as element overtaken goes on sending."""
    theirs = [text for texts in strangers.values() for text in texts]
    found = servers.messages(account) + servers.messages(account, JUNK)
    return found if all(text in theirs for text in found) else []


def test_each_message_has_its_outcome_in_the_results(seen: Seen) -> None:
    for element, phases in seen.expected.items():
        for phase, outcomes in phases.items():
            assert [seen.of(element, phase)["outcome"]] == outcomes, element


def test_what_came_in_time_is_good(seen: Seen) -> None:
    read = seen.of("plain", "read")
    assert (read["level"], read["message"]) == ("GOOD", "Message Successfully Downloaded")
    assert 0 < read["timeToDeliver"] < 30
    assert read["hopCount"] == 2


def test_what_comes_late_corrects_the_verdict_and_does_not_rewrite_it(seen: Seen) -> None:
    read, after = seen.of("held", "read"), seen.of("held", "after")
    assert (read["level"], read["fault"]["code"]) == ("FAILED", "not-arrived")
    assert read["message"].startswith("The message did not arrive within 2 s")
    assert after["level"] == "MARGINAL"
    assert read["at"] < after["at"]
    assert 4.5 <= after["timeToDeliver"] < 30  # counted from when our worker read the reply
    assert seen.events_of("held")[-2:] == [
        ("read", "UNKNOWN", "FAILED", "overdue"),
        ("after", "FAILED", "MARGINAL", "late"),
    ]


def test_what_never_comes_is_lost_after_the_long_wait(seen: Seen) -> None:
    read, after = seen.of("lost", "read"), seen.of("lost", "after")
    assert (read["level"], after["level"]) == ("FAILED", "FAILED")
    assert after["at"] > read["at"]
    assert seen.events_of("lost")[-2:] == [
        ("read", "UNKNOWN", "FAILED", "overdue"),
        ("after", "FAILED", "FAILED", "lost"),
    ]


def test_a_further_copy_is_counted_and_leaves_the_level_alone(seen: Seen) -> None:
    assert seen.of("again", "read")["level"] == "GOOD"
    assert seen.of("again", "after")["outcome"] == "duplicated"
    assert [event[3] for event in seen.events_of("again")][-1] == "duplicated"
    levels = {(was, level) for phase, was, level, _ in seen.events_of("again") if phase == "after"}
    assert levels == {("GOOD", "GOOD")}


def test_several_copies_at_once_are_marginal_and_counted(seen: Seen) -> None:
    read = seen.of("at-once", "read")
    assert (read["level"], read["copies"]) == ("MARGINAL", 3)
    assert seen.events_of("at-once")[-1][1:3] == ("UNKNOWN", "MARGINAL")


def test_what_was_altered_on_the_way_says_what(seen: Seen) -> None:
    footer, tagged = seen.of("footer", "read"), seen.of("tagged", "read")
    assert (footer["level"], tagged["level"]) == ("MARGINAL", "MARGINAL")
    assert "This message was scanned" in str(footer["altered"])
    assert "[SUSPICIOUS]" in str(tagged["altered"])
    assert seen.events_of("footer")[-1] == ("read", "UNKNOWN", "MARGINAL", "altered")


def test_what_was_overtaken_is_out_of_order_and_good(seen: Seen) -> None:
    reads = [one for one in seen.results if one["poll"].startswith("overtaken@") and one["phase"] == "read"]
    (held_back,) = [one for one in reads if one["timeToDeliver"] > HELD_BACK_S]
    assert (held_back["outcome"], held_back["level"], held_back["outOfOrder"]) == (
        "out-of-order",
        "GOOD",
        True,
    )
    after = [one for one in reads if one["poll"] > held_back["poll"]]
    # What overtook it is in order; where the machine is busy, Postfix may change the order of others, too.
    assert "delivered" in {one["outcome"] for one in after} <= {"delivered", "out-of-order"}
    assert ("read", "GOOD", "GOOD", "out-of-order") in seen.events_of("overtaken")


@pytest.mark.parametrize("seen", ["imap4"], indirect=True)
def test_what_was_taken_for_spam_is_marginal_and_names_the_folder(seen: Seen) -> None:
    read = seen.of("spam", "read")
    assert (read["level"], read["folder"]) == ("MARGINAL", JUNK)
    assert JUNK in read["message"]
    assert seen.events_of("spam")[-1] == ("read", "UNKNOWN", "MARGINAL", "spam")


def test_no_message_has_two_results_of_a_phase(seen: Seen) -> None:
    keys = [(one["poll"], one["phase"]) for one in seen.results if one["outcome"] != "duplicated"]
    assert len(set(keys)) == len(keys)


def test_what_is_not_ours_is_left_byte_for_byte_and_counted(seen: Seen) -> None:
    theirs = [text for texts in seen.others.values() for text in texts]
    assert sorted(seen.left) == sorted(theirs)
    (mailbox,) = seen.mailboxes
    for what in ("damaged", "forged", "replayed"):
        assert mailbox[what] == len(seen.others[what]), what


def test_messages_of_earlier_runs_are_removed_and_counted(seen: Seen) -> None:
    (mailbox,) = seen.mailboxes
    assert mailbox["orphans"] == 3
    assert mailbox["duplicates"] == 1 + 2


def test_nothing_is_unknown(seen: Seen) -> None:
    assert not [one for one in seen.results if one["level"] == Level.UNKNOWN]

"""How results, events and mailboxes look to people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from postbeat.cli.mail import facts_text, mailbox_table, path_table, size, verdicts_text
from postbeat.cli.render import event_line, result_line, round_trip_line, state_table
from postbeat.delivery import MailboxFacts, Outcome, Tally
from postbeat.model import Level, Pair, Phase
from postbeat.results import Event, Result
from postbeat.roundtrip import RoundTrip
from postbeat.store.view import MailboxState, PairState
from tests.unit.some_results import (
    AT_US,
    BOUNCED,
    CHECK,
    COPY,
    DELIVERY,
    LATE,
    OVERDUE,
    POLL,
    READ,
    SENT,
)

MAIL = Pair("mail", "eu")


def printed(what: RenderableType) -> list[str]:
    out = Console(file=io.StringIO(), width=200)
    out.print(what)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (SENT, "✓ GOOD     mail@eu                      send  smtp  Message sent"),
        (READ, "read  imap4 Message Successfully Downloaded  timeToDeliver 1.50 s"),
        (OVERDUE, "✗ FAILED   mail@eu                      read  imap4 overdue: The message did not arrive"),
        (BOUNCED, "read  imap4 bounced: The message bounced: 550 5.1.1 no such user"),
        (LATE, "! MARGINAL mail@eu                      after imap4 late: The message arrived late"),
        (COPY, "after imap4 duplicated: The message arrived once more"),
        (
            CHECK,
            "check imap4 3 messages downloaded; 12 in the mailbox  connectTime 10.0 ms  loginTime 30.0 ms",
        ),
    ],
)
def test_a_result_is_one_line_with_its_outcome_where_that_is_not_plain(result: Result, text: str) -> None:
    (line,) = printed(result_line(result))
    assert text in line


def test_a_change_of_level_shows_both_levels_and_other_news_only_the_one() -> None:
    change = Event(MAIL, Level.GOOD, Level.FAILED, AT_US, POLL, Phase.READ, "Gone", Outcome.OVERDUE)
    news = Event(MAIL, Level.FAILED, Level.FAILED, AT_US, POLL, Phase.AFTER, "Never came", Outcome.LOST)
    first, second = printed(event_line(change))[0], printed(event_line(news))[0]
    assert "    GOOD -> ✗ FAILED   overdue: Gone (mail@eu#7, read)" in first
    assert "lost: Never came (mail@eu#7, after)" in second
    assert "->" not in second
    assert first.index("✗") == second.index("✗")


@pytest.mark.parametrize(
    ("trip", "text"),
    [
        (
            RoundTrip(MAIL, True, SENT, READ),
            "responseTime         -  uploadTime         -  timeToDeliver    1.50 s",
        ),
        (RoundTrip(MAIL, True, SENT, OVERDUE), "timeToDeliver         -  The message did not arrive"),
        (RoundTrip(MAIL, True, after=LATE), "mail@eu                after: late: The message arrived late"),
        (RoundTrip(CHECK.poll.pair, False, check=CHECK), "check: 3 messages downloaded; 12 in the mailbox"),
    ],
)
def test_what_a_site_is_watched_by_is_a_line_of_each_kind(trip: RoundTrip, text: str) -> None:
    (line,) = printed(round_trip_line(trip, AT_US))
    assert text in line


def test_a_mailbox_has_its_row_among_the_pairs() -> None:
    counts = {Phase.CHECK: {Level.GOOD: 4, Level.FAILED: 1}}
    box = RoundTrip(CHECK.poll.pair, False, check=CHECK)
    state = PairState(box, Level.GOOD, AT_US - 60_000_000, CHECK.message, counts)
    _, row = printed(state_table([state], AT_US + 3_000_000))
    assert row.split()[:6] == ["✓", "GOOD", "63", "s", "box", "eu"]
    assert " 5 " in row
    assert "3 s ago" in row
    assert row.endswith("3 messages downloaded; 12 in the mailbox")


def test_a_mailbox_that_is_read_shows_its_reader_and_what_is_of_note() -> None:
    state = MailboxState(
        "imap4:probe@mail.example.com:993",
        element="inbox",
        region="eu",
        pending=2,
        awaited=1,
        waiting=1,
        is_read=True,
        worker="eu/worker-1:77",
        looked_at_us=AT_US - 4_000_000,
        not_before_us=AT_US + 9_000_000,
        totals={Tally.FOUND: 40, Tally.DUPLICATES: 2, Tally.BOUNCES: 1, Tally.LOOKS: 99},
        facts=MailboxFacts(12, 34_567, 40, 200),
    )
    _, row = printed(mailbox_table([state], AT_US))
    expected = ["imap4:probe@mail.example.com:993", "eu/worker-1:77", "4", "s", "ago"]
    assert row.split()[:10] == [*expected, "2", "1", "12", "34.6", "kB"]
    assert row.endswith(
        "40  1 check waiting, no login before 22:13:29, 20 % of the quota, 2 duplicates, 1 bounce"
    )


def test_a_mailbox_that_nobody_has_looked_into_says_so() -> None:
    state = MailboxState("pop3:p@h:110", "drop", "eu", pending=1, awaited=0, waiting=0, is_read=False)
    _, row = printed(mailbox_table([state], AT_US))
    assert row.split() == ["pop3:p@h:110", "none", "never", "1", "0", "-", "-", "0"]


def test_a_path_shows_each_host_and_clocks_that_are_wrong() -> None:
    _, first, second, third = printed(path_table(DELIVERY))
    assert first.split()[:3] == ["mx.example.com", "probe.example.net", "ESMTPS"]
    assert first.endswith("possible")
    assert second.split()[-3:] == ["s", "+0.5", "s"]
    assert third == "odd.example.com"


def test_verdicts_name_who_says_so() -> None:
    assert verdicts_text(DELIVERY) == "spf pass by mx.example.com, dkim fail (d=example.com) by postbeat"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (34_567, "34.6 kB"),
        (999_499, "999 kB"),
        (999_999, "1 MB"),
        (10**10, "10 GB"),
        (5 * 10**13, "50 TB"),
    ],
)
def test_sizes_have_three_digits(count: int | None, text: str) -> None:
    assert size(count) == text


def test_facts_leave_out_what_the_server_does_not_tell() -> None:
    assert facts_text(MailboxFacts(1)) == "1 message"
    assert facts_text(MailboxFacts(12, 1500, 3000, 10_000)) == "12 messages, 1.5 kB, quota 3 kB of 10 kB"

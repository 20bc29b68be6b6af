"""How results, events and mailboxes look to people."""

from __future__ import annotations

import io
import json
import re
import time

import click
import pytest
from rich.console import Console, RenderableType

from postbeat.cli.mail import facts_text, mailbox_table, path_table, size, verdicts_text
from postbeat.cli.render import (
    availability_spark,
    event_line,
    result_line,
    round_trip_line,
    state_table,
    time_spark,
    verdict_table,
)
from postbeat.cli.when import Duration, Moment
from postbeat.delivery import MailboxFacts, Outcome, Tally
from postbeat.figures import Figures
from postbeat.model import Level, Pair, Phase
from postbeat.plain import event_as_data
from postbeat.results import Event, Result, VerdictEvent
from postbeat.rollup import Rollup
from postbeat.roundtrip import RoundTrip
from postbeat.store.summary import summaries
from postbeat.store.view import ElementVerdict, MailboxState, PairState
from postbeat.verdict import Verdict
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


def test_a_change_of_a_verdict_shows_both_verdicts_and_each_region() -> None:
    regions = {"eu": Level.GOOD, "us": Level.FAILED}
    event = VerdictEvent("mail", Verdict.GOOD, Verdict.DEGRADED, AT_US, POLL, regions, "452 no space")
    (line,) = printed(event_line(event))
    assert "mail" in line
    assert line.endswith("GOOD -> ~ DEGRADED  in ✓ eu ✗ us  452 no space (mail@eu#7)")
    data = event_as_data(event)
    assert (data["kind"], data["regions"], data["verdict"]) == ("verdict", regions, "DEGRADED")


def test_verdicts_are_worst_first_with_what_is_wrong_in_the_regions_that_disagree() -> None:
    pair = Pair("mail", "us")
    row: list[object] = [
        "smtp",
        "FAILED",
        str(AT_US),
        str(AT_US),
        "452 no space",
        "send",
        "envelope",
        "reply",
        "REMOTE",
    ]
    row += [None, None, None, None, None, 2, str(AT_US), "FAILED", None, 9]
    verdicts = [
        ElementVerdict("calm", Verdict.GOOD, AT_US, {"eu": Level.GOOD}, "any"),
        ElementVerdict(
            "mail",
            Verdict.DEGRADED,
            AT_US,
            {"eu": Level.GOOD, "us": Level.FAILED, "ap": Level.GOOD},
            "majority",
        ),
        ElementVerdict("new", Verdict.UNKNOWN, None, {"eu": Level.UNKNOWN}, 2),
    ]
    _, *lines = printed(verdict_table(verdicts, summaries({str(pair): json.dumps(row)}), AT_US + 600_000_000))
    assert [line.split()[1] for line in lines] == ["UNKNOWN", "DEGRADED", "GOOD"]
    assert "✓ eu ✗ us ✓ ap" in lines[1]
    assert lines[1].endswith("us FAILED: send, stage envelope: 452 no space")


@pytest.mark.parametrize(
    ("text", "us"),
    [("90s", 90_000_000), ("30min", 1_800_000_000), ("2h", 7_200_000_000), ("3d", 259_200_000_000)],
)
def test_a_duration_is_a_number_and_its_unit(text: str, us: int) -> None:
    assert Duration().convert(text, None, None) == us


@pytest.mark.parametrize("text", ["", "0s", "2", "h", "-2h", "2 h", "2w", "9999999s"])
def test_what_is_no_duration_is_said(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a duration such as"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(
    "text",
    ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20", "2023-11-14T23:13:20+01:00", "2023-11-14 22:13:20"],
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(text: str) -> None:
    assert Moment().convert(text, None, None) == AT_US


def test_a_moment_may_be_so_long_ago() -> None:
    assert abs(time.time() * 1e6 - Moment().convert("2h", None, None) - 7_200_000_000) < 60_000_000


def hour(good: int = 0, failed: int = 0, unknown: int = 0, response_us: int | None = None) -> Rollup:
    """What an hour with so many polls came to."""
    rollup = Rollup()
    for level, count in ((Level.GOOD, good), (Level.FAILED, failed), (Level.UNKNOWN, unknown)):
        for slot in range(count):
            times_us = {} if response_us is None else {"responseTime": response_us}
            rollup.add(Figures(AT_US, Phase.CHECK, slot, level, True, times_us=times_us))
    return rollup


def test_a_sparkline_has_the_full_block_only_where_no_poll_failed() -> None:
    hours = [
        hour(good=2),
        hour(good=999, failed=1),
        hour(good=1, failed=1),
        hour(failed=2),
        hour(unknown=2),
        hour(),
    ]
    line = availability_spark(hours)
    assert line.plain == "█▇▄▁··"
    assert [str(span.style) for span in line.spans[:4]] == ["green", "yellow", "bold red", "bold red"]


def test_a_sparkline_of_times_is_as_high_as_the_longest_of_them() -> None:
    hours = [hour(good=1, response_us=us) for us in (1, 100_000, 200_000, 400_000)]
    assert re.fullmatch("▁▂[▄▅]█· ≤ (39|40)\\d\\.\\d ms", time_spark([*hours, hour()], "responseTime").plain)
    assert time_spark([hour()] * 3, "responseTime").plain == "···"


def test_the_hours_of_a_pair_stand_before_its_message() -> None:
    state = PairState(RoundTrip(MAIL, True, SENT), Level.GOOD, AT_US, "Message sent")
    _, row = printed(state_table([state], AT_US, {MAIL: [hour(), hour(good=1, response_us=20_000)]}))
    assert re.search(r"·█ +·█ ≤ (19|20)\.\d ms +Message sent$", row)

"""How results, events and mailboxes look to people."""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import replace

import click
import pytest
from rich.console import Console, RenderableType

from postbeat.cli.mail import facts_text, mailbox_table, path_table, size, verdicts_text
from postbeat.cli.render import (
    Past,
    availability_spark,
    console,
    event_line,
    result_line,
    round_trip_line,
    state_table,
    time_spark,
    verdict_table,
    verdict_text,
)
from postbeat.cli.when import Duration, Moment
from postbeat.delivery import MailboxFacts, Outcome, Tally
from postbeat.figures import Figures
from postbeat.model import Fault, FaultCode, Level, Pair, Phase, Side
from postbeat.plain import event_as_data
from postbeat.results import Event, Reason, Result, VerdictEvent
from postbeat.rollup import Rollup
from postbeat.roundtrip import RoundTrip
from postbeat.store.summary import summaries
from postbeat.store.view import ElementVerdict, MailboxState, PairState
from postbeat.verdict import Verdict
from postbeat.web.look import sign
from postbeat.web.rows import COUNTED_AS, IN_MAINTENANCE
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
        (SENT, "2023-11-14 22:13:20Z ✓ GOOD     mail@eu                      send  smtp  Message sent"),
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
    assert first.startswith("2023-11-14 22:13:20Z mail@eu ")
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


PAIRS = [("submission", "eu-west", Level.FAILED), ("head-office-relay", "north", Level.MARGINAL)]
WHY = "The connection was refused while connecting to [auth] 192.0.2.25:587"
NO_SPACE = Reason(Level.FAILED, Phase.SEND, "data", "reply", "REMOTE", "452 no space")


def on_terminal(what: RenderableType, width: int) -> list[str]:
    """What a terminal of so many columns shows."""
    out = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    out.print(what)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_where_everything_stands_can_be_read_on_a_terminal_of_any_width(width: int) -> None:
    states = [
        PairState(RoundTrip(Pair(name, region), True, SENT), level, AT_US, WHY)
        for name, region, level in PAIRS
    ]
    past = Past("24 h", {state.pair: [hour(good=1, response_us=20_000)] * 25 for state in states})
    for table in (state_table(states, AT_US), state_table(states, AT_US, past)):
        lines = on_terminal(table, width)
        assert max(map(len, lines)) <= width
        for name, region, level in PAIRS:
            assert any(re.search(f"{level} .*{name} +{region}( |$)", line) for line in lines)
        assert " ".join(" ".join(lines).split()).count("[auth]") == len(PAIRS)
        assert len(lines) <= 1 + len(PAIRS) * 5
        assert ("uploadTime" in lines[0]) == (width >= 140 and (width == 200 or "24 h" not in lines[0]))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_verdicts_and_mailboxes_can_be_read_on_a_terminal_of_any_width(width: int) -> None:
    regions = {"eu-west": Level.FAILED, "north": Level.GOOD, "south": Level.GOOD, "asia": Level.FAILED}
    verdicts = [ElementVerdict("head-office-relay", Verdict.DEGRADED, AT_US, regions, "majority")]
    facts = MailboxFacts(12, 34_567, 40, 200)
    box = MailboxState("imap4:p@mail.example:993", "in", "eu", 2, 1, 1, is_read=False, facts=facts)
    for table, texts in (
        (verdict_table(verdicts, [], AT_US), ["~ DEGRADED", "head-office-relay", *regions]),
        (mailbox_table([box], AT_US), [box.mailbox, "waiting", "quota"]),
    ):
        lines = on_terminal(table, width)
        assert max(map(len, lines)) <= width
        for text in texts:
            assert any(text in line for line in lines), text


@pytest.mark.parametrize("has_past", [False, True])
@pytest.mark.parametrize("is_maintained", [False, True])
def test_what_goes_to_a_file_has_every_column_of_a_row_in_one_line(
    capsys: pytest.CaptureFixture[str], has_past: bool, is_maintained: bool
) -> None:
    name, region, why = "n" * 64, "r" * 32, f"{WHY}: " * 3 + "no more"
    state = PairState(RoundTrip(Pair(name, region), True, SENT), Level.FAILED, AT_US, why)
    past = Past("24 h", {state.pair: [hour(good=1, response_us=20_000)] * 25}) if has_past else None
    console().print(state_table([state], AT_US, past, lambda _: is_maintained))
    head, row = capsys.readouterr().out.splitlines()
    assert ("polls" in head, "24 h" in head, "message" in head) == (True, has_past, True)
    assert ("in maintenance" in row, "█" * 25 in row) == (is_maintained, has_past)
    assert f"{name}  {region} " in row
    assert row.rstrip().endswith(why)


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
        "40  1 check waiting, no login before 22:13:29Z, 20 % of the quota, 2 duplicates, 1 bounce"
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


def test_a_change_of_a_verdict_says_why_and_at_which_stage_regions_are_not_good() -> None:
    regions = {"eu": Level.GOOD, "us": Level.FAILED}
    fault = Fault(Side.REMOTE, FaultCode.REPLY, "452 no space", "data")
    reason = Reason(Level.FAILED, Phase.SEND, "data", "reply", "REMOTE", fault.message)
    event = VerdictEvent(
        *("mail", Verdict.GOOD, Verdict.DEGRADED, AT_US, POLL, regions, fault.message),
        fault=fault,
        reasons={"us": reason},
    )
    (line,) = printed(event_line(event))
    assert line.endswith("in ✓ eu ✗ us  us: FAILED (data) 452 no space; eu: GOOD (mail@eu#7)")
    data = event_as_data(event)
    assert data["fault"]["stage"] == data["reasons"]["us"]["stage"] == "data"
    assert data["reasons"]["us"]["message"] == "452 no space"


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
    assert [line.split()[1] for line in lines] == ["DEGRADED", "UNKNOWN", "GOOD"]
    assert "✓ eu ✗ us ✓ ap" in lines[0]
    assert lines[0].endswith("us FAILED: send, stage envelope: 452 no space")


@pytest.mark.parametrize(
    ("levels", "verdict", "reasons", "told"),
    [
        (("GOOD", "FAILED"), Verdict.DEGRADED, {"us": NO_SPACE}, "us FAILED: send, stage data: 452 no space"),
        (("GOOD", "FAILED"), Verdict.DEGRADED, {}, "us FAILED"),  # nobody knows any more
        (("GOOD", "FAILED"), Verdict.DEGRADED, {"us": replace(NO_SPACE, level=Level.MARGINAL)}, "us FAILED"),
        (("FAILED", "GOOD"), Verdict.FAILED, {"eu": NO_SPACE, "ap": NO_SPACE}, "us GOOD"),
    ],
)
def test_a_region_whose_newest_level_does_not_count_yet_says_why_it_has_the_one_that_does(
    levels: tuple[str, str], verdict: Verdict, reasons: dict[str, Reason], told: str
) -> None:
    now, confirmed = levels
    row = ["smtp", now, str(AT_US), str(AT_US), "what is new", "send", *[""] * 3, *[None] * 5]
    stored = {"mail@us": json.dumps([*row, 0, None, confirmed, None, 9])}
    other = Level.GOOD if verdict is Verdict.DEGRADED else Level.FAILED
    regions = {"ap": other, "eu": other, "us": Level(confirmed)}
    told_of = ElementVerdict("mail", verdict, AT_US, regions, "majority", reasons)
    _, line = printed(verdict_table([told_of], summaries(stored), AT_US))
    assert line.endswith(f"majority  {told}")


def test_what_is_in_maintenance_stands_after_what_needs_somebody() -> None:
    levels = {"lost": Level.FAILED, "slow": Level.MARGINAL, "gone": Level.UNKNOWN, "fine": Level.GOOD}
    states = [
        PairState(RoundTrip(Pair(name, "eu"), False), level, AT_US, "") for name, level in levels.items()
    ]
    _, *lines = printed(
        state_table(states, AT_US, in_maintenance=lambda pair: pair.element in ("lost", "fine"))
    )
    assert [line.split("  ")[0] for line in lines] == [
        "! MARGINAL",
        "? UNKNOWN",
        "✗ FAILED, in maintenance",
        "✓ GOOD",
    ]


def test_a_verdict_is_in_maintenance_where_all_regions_are_that_voted_against_good() -> None:
    regions = {"eu": Level.GOOD, "us": Level.FAILED, "ap": Level.UNKNOWN, "sa": Level.MARGINAL}
    verdicts = [
        ElementVerdict("all", Verdict.FAILED, AT_US, regions, "any"),
        ElementVerdict("some", Verdict.FAILED, AT_US, regions, "any"),
        ElementVerdict("fine", Verdict.GOOD, AT_US, {"us": Level.GOOD, "ap": Level.UNKNOWN}, "any"),
    ]
    covered = {Pair("all", "us"), Pair("all", "sa"), Pair("some", "us"), Pair("fine", "ap")}
    _, *lines = printed(verdict_table(verdicts, [], AT_US, covered.__contains__))
    assert [line.split()[1] for line in lines] == ["FAILED", "FAILED,", "GOOD"]
    assert lines[1].startswith("✗ FAILED, in maintenance")
    assert "some" in lines[0]


def test_signs_and_ranks_are_those_of_the_page() -> None:
    for verdict in Verdict:
        assert verdict_text(verdict).plain == f"{sign(verdict)} {verdict}"
    verdicts = [ElementVerdict(name, name, AT_US, {"eu": Level.GOOD}, "any") for name in Verdict]
    _, *lines = printed(verdict_table(verdicts, [], AT_US))
    order = [word for word in COUNTED_AS if word != IN_MAINTENANCE]
    assert [line.split()[1] for line in lines] == order


def test_a_mailbox_whose_last_look_failed_says_why() -> None:
    fault = Fault(Side.REMOTE, FaultCode.REFUSED, "Nobody listens there", "connect")
    state = MailboxState("pop3:p@h:110", "drop", "eu", 1, 0, 0, is_read=False, fault=fault)
    _, row = printed(mailbox_table([state], AT_US))
    assert row.endswith("the last look failed: Nobody listens there (stage connect, refused)")
    ours = replace(state, fault=Fault(Side.LOCAL, FaultCode.IN_USE, "Locked"))
    _, row = printed(mailbox_table([ours], AT_US))
    assert row.endswith("the last look failed: Locked (our own fault, in-use)")


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("90s", 90_000_000),
        ("30m", 1_800_000_000),
        ("30min", 1_800_000_000),
        ("2h", 7_200_000_000),
        ("3d", 259_200_000_000),
        ("2w", 1_209_600_000_000),
    ],
)
def test_a_duration_is_a_number_and_its_unit(text: str, us: int) -> None:
    assert Duration().convert(text, None, None) == us


@pytest.mark.parametrize("text", ["", "0s", "2", "h", "-2h", "2 h", "2y", "2M", "9999999s"])
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
    past = Past("2 h", {MAIL: [hour(), hour(good=1, response_us=20_000)]})
    _, row = printed(state_table([state], AT_US, past))
    assert re.search(r"·█ +·█ ≤ (19|20)\.\d ms +Message sent$", row)

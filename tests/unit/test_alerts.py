"""Alerts: what is missing is mended, an Identifier has one row, and a resolution clears its problems."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.alerts import (
    IDENTIFIER_LIMIT,
    NAMES_LIMIT,
    TEXT_LIMIT,
    TOTAL_LIMIT,
    Alert,
    AlertEvent,
    Change,
    Occurrence,
    Value,
    alert_of,
    merged,
    resolves,
)
from postbeat.model import Level, Pair
from postbeat.store.alerttable import KEPT_US, AlertTable
from tests.conftest import MANY

AT_US = 1_767_225_600_000_000
SECOND_US = 1_000_000
MAIL = Pair("mail", "lab")
PROBLEM: dict[str, Value] = {
    "Identifier": "mail down",
    "Node": "mx",
    "AlertGroup": "SMTP",
    "AlertKey": "mail@lab",
    "Type": 1,
}
RESOLUTION: dict[str, Value] = {**PROBLEM, "Identifier": "mail up", "Type": 2, "Severity": 1}


def alert(*, after_s: float = 0, **fields: Value) -> Alert:
    given: dict[str, Value] = {**PROBLEM, "Severity": 5, **fields}
    return alert_of(given, at_us=AT_US + round(after_s * 1e6), pair=MAIL, poll="mail@lab#1")


def up(*, after_s: float = 0, **fields: Value) -> Alert:
    return alert(after_s=after_s, **{**RESOLUTION, **fields})


def applied(table: AlertTable, *alerts: Alert, update: frozenset[str] = frozenset()) -> list[AlertEvent]:
    return [event for it in alerts for event in table.apply(Occurrence(it, update))]


def words(events: Sequence[AlertEvent]) -> list[str]:
    return [f"{event.alert.identifier} {event.change} {event.alert.tally}" for event in events]


def test_what_rules_left_out_is_filled() -> None:
    row = alert_of({"AlertGroup": "SMTP", "Type": 1}, at_us=AT_US, pair=MAIL, agent="smtp")
    assert (row.node, row.alert_key, row.manager, row.agent) == ("mail", "mail@lab", "Postbeat", "smtp")
    assert row.identifier == "mailmail@labSMTP1smtpPostbeat"
    assert (row.severity, row.type, row.tally, row.summary) == (1, 1, 1, "")
    assert row.first_occurrence_us == row.last_occurrence_us == row.state_change_us == AT_US
    assert (row.element, row.region) == ("mail", "lab")
    assert alert_of({}, at_us=AT_US).identifier == "0Postbeat"


def test_a_row_for_json_has_the_names_of_the_table_and_whole_seconds() -> None:
    data = alert_of(
        {"Node": "mx", "Summary": "down", "Severity": "4", "LastOccurrence": 1_700_000_000.9, "Grade": 7},
        {"detail": 1.5},
        at_us=AT_US + 999_999,
        pair=MAIL,
        poll="mail@lab#1",
    ).as_data()
    assert data == {
        "Identifier": "mxmail@lab0Postbeat",
        "Node": "mx",
        "Manager": "Postbeat",
        "Agent": "",
        "AlertGroup": "",
        "AlertKey": "mail@lab",
        "Summary": "down",
        "Severity": 4,
        "Type": 0,
        "FirstOccurrence": 1_700_000_000,
        "LastOccurrence": 1_700_000_000,
        "StateChange": AT_US // SECOND_US,
        "Tally": 1,
        "Element": "mail",
        "Region": "lab",
        "PollId": "mail@lab#1",
        "Grade": 7,
        "Details": {"detail": 1.5},
    }


@pytest.mark.parametrize(
    ("value", "severity"),
    [(5, 5), ("3", 3), (4.9, 4), ("2.5", 2), (9, 5), (-1, 0), ("", 1), ("high", 1), (float("nan"), 1)],
)
def test_a_severity_is_one_of_the_table(value: Value, severity: int) -> None:
    assert alert_of({"Severity": value}, at_us=AT_US).severity == severity


def test_severities_stand_for_levels() -> None:
    levels = [alert(Severity=number).level for number in range(6)]
    good, failed = Level.GOOD, Level.FAILED
    assert levels == [good, good, Level.UNKNOWN, Level.MARGINAL, failed, failed]


def test_numbers_stand_in_texts_without_an_exponent() -> None:
    row = alert_of({"Summary": 1.2e-05, "AlertKey": 2e21}, at_us=AT_US)
    assert (row.summary, row.alert_key) == ("0.000012", "2000000000000000000000.0")


def test_identifiers_that_are_too_long_stay_different() -> None:
    one, other = (alert(Identifier="x" * 5000 + end).identifier for end in "ab")
    assert one != other
    assert len(one) == len(other) == IDENTIFIER_LIMIT


def test_what_is_ours_cannot_be_set_by_rules() -> None:
    row = alert(Tally=9, StateChange=1, Element="other", Region="other", PollId="x", Details="x")
    assert (row.tally, row.element, row.region, row.poll, row.others) == (1, "mail", "lab", "mail@lab#1", {})


anything: st.SearchStrategy[Value] = st.text(max_size=30) | st.integers() | st.floats()
names = st.sampled_from([*alert_of({}, at_us=0).as_data(), "Grade", "Local"]) | st.text(max_size=10)


@settings(max_examples=MANY // 10)
@given(
    st.dictionaries(names, anything, max_size=20), st.dictionaries(st.text(max_size=9), anything, max_size=9)
)
def test_any_fields_make_a_row_that_reads_back_as_it_was(
    fields: dict[str, Value], details: dict[str, Value]
) -> None:
    row = alert_of(fields, details, at_us=AT_US, pair=MAIL)
    assert Alert.loads(row.dumps()) == row
    assert row.dumps().encode()
    assert 0 <= row.severity <= 5
    json.dumps(row.as_data(), allow_nan=False)
    repeated, _ = merged(row, row, frozenset(fields))
    assert repeated == replace(row, tally=2, severity=repeated.severity)


def test_a_row_has_a_bound_whatever_rules_set() -> None:
    fields: dict[str, Value] = {f"Field{number}": "x" * 70_000 for number in range(1000)}
    details: dict[str, Value] = {f"d{number}": 10**30 for number in range(1000)}
    row = alert_of({**fields, "Summary": "y" * 70_000}, details, at_us=AT_US)
    assert len(row.summary) == TEXT_LIMIT
    assert len(row.dumps()) < TOTAL_LIMIT + 4 * TEXT_LIMIT
    assert len(alert_of({}, details, at_us=AT_US).details) == NAMES_LIMIT


@pytest.mark.parametrize("text", ["", "[]", "{}", "[2]", "[1]", "nothing"])
def test_a_text_that_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a row|unpack|Expecting"):
        Alert.loads(text)


def test_a_repeat_raises_the_tally_and_takes_over_the_summary_alone() -> None:
    row = alert(Summary="first", Grade=1)
    event = alert(after_s=60, Summary="second", Severity=3, Grade=2, AlertGroup="other")
    after, change = merged(row, event, frozenset())
    assert change is Change.REPEATED
    assert after == replace(
        row,
        summary="second",
        tally=2,
        last_occurrence_us=AT_US + 60 * SECOND_US,
        state_change_us=AT_US + 60 * SECOND_US,
    )


@pytest.mark.parametrize(
    ("update", "change"),
    [
        ({"Severity"}, Change.CHANGED),
        ({"Grade"}, Change.CHANGED),
        ({"AlertGroup"}, Change.CHANGED),
        ({"Summary"}, Change.REPEATED),
        ({"Node", "Tally", "LastOccurrence", "Unknown"}, Change.REPEATED),
    ],
)
def test_fields_that_rules_update_are_taken_over(update: set[str], change: Change) -> None:
    event = alert(after_s=60, Summary="second", Severity=3, Grade=2, AlertGroup="other")
    after, found = merged(alert(Summary="first", Grade=1), event, frozenset(update))
    assert found is change
    assert (after.severity == 3) is ("Severity" in update)
    assert (after.others["Grade"] == 2) is ("Grade" in update)
    assert (after.alert_group == "other") is ("AlertGroup" in update)


def test_a_severity_of_none_clears_a_row_where_rules_update_it() -> None:
    after, change = merged(alert(), alert(after_s=1, Severity=0), frozenset({"Severity"}))
    assert (after.is_open, change) == (False, Change.CLEARED)
    again, change = merged(after, alert(after_s=2, Severity=4), frozenset())
    assert (again.severity, again.tally, change) == (4, 3, Change.CHANGED)


def test_a_resolution_of_the_same_identifier_clears_its_row() -> None:
    table = AlertTable()
    resolution = up(after_s=5, Identifier="mail down")
    applied(table, alert())
    assert words(applied(table, resolution)) == ["mail down cleared 2"]
    assert words(applied(table, alert(after_s=9))) == ["mail down changed 3"]
    assert table.rows["mail down"].severity == 5
    other = AlertTable()
    applied(other, resolution, alert(after_s=9))
    assert (other.rows["mail down"].type, other.rows["mail down"].severity) == (1, 5)


def test_a_resolution_clears_exactly_its_problems() -> None:
    table = AlertTable()
    others = [
        alert(Identifier="other node", Node="mx2"),
        alert(Identifier="other group", AlertGroup="IMAP4"),
        alert(Identifier="other key", AlertKey="mail@office"),
        alert(Identifier="other manager", Manager="Another"),
        alert(Identifier="no problem", Type=0),
        alert(Identifier="newer", after_s=20),
    ]
    applied(table, alert(), alert(Identifier="second problem"), *others)
    events = applied(table, up(after_s=10))
    assert words(events) == ["mail up inserted 1", "mail down cleared 1", "second problem cleared 1"]
    assert [event.was for event in events] == [None, 5, 5]
    assert not table.rows["mail up"].is_open
    assert {row.identifier for row in table.rows.values() if row.is_open} == {it.identifier for it in others}
    assert words(applied(table, up(after_s=11))) == ["mail up repeated 2"]


def test_a_cleared_row_that_does_not_change_is_dropped_after_an_hour() -> None:
    table = AlertTable()
    applied(table, alert(), up(after_s=1))
    assert not any(" deleted " in it for it in words(applied(table, alert(Identifier="x", after_s=3600))))
    events = applied(table, alert(Identifier="x", after_s=3601))
    assert words(events) == ["mail down deleted 1", "mail up deleted 1", "x repeated 2"]
    assert words(applied(table, alert(after_s=3602))) == ["mail down inserted 1"]


def test_information_that_does_not_come_again_is_dropped_after_an_hour() -> None:
    table = AlertTable()

    def lost(after_s: float) -> Alert:
        return alert(Identifier="lost", Type=13, after_s=after_s)

    applied(table, lost(0), lost(3000))
    assert words(applied(table, alert(Identifier="x", after_s=6599))) == ["x inserted 1"]
    assert words(applied(table, lost(6600))) == ["lost deleted 2", "lost inserted 1"]


def test_where_there_are_too_many_rows_the_oldest_cleared_ones_go_then_the_oldest() -> None:
    table = AlertTable(limit=3)
    applied(table, alert(Identifier="a"), alert(Identifier="b", after_s=1), alert(Identifier="a", after_s=2))
    cleared = alert(Identifier="c", Severity=0, after_s=3)
    events = applied(table, cleared, alert(Identifier="d", after_s=4), alert(Identifier="e", after_s=5))
    assert words(events)[1:] == ["d inserted 1", "c deleted 1", "e inserted 1", "b deleted 1"]
    assert set(table.rows) == {"a", "d", "e"}


def test_many_identifiers_cost_no_more_than_their_rows() -> None:
    table = AlertTable(limit=50)
    for number in range(20_000):
        applied(table, alert(Identifier=f"i{number % 60}", Severity=number % 2, after_s=number))
    held = [table._oldest, table._over]
    assert len(table.rows) <= 50
    assert all(len(heap) <= 2 * 50 + 1001 for heap in held)


def test_what_was_changed_can_be_taken_back() -> None:
    table = AlertTable()
    applied(table, alert(), alert(Identifier="b", after_s=1))
    table.keep()
    before = dict(table.rows)
    applied(table, up(after_s=2), alert(Identifier="b", after_s=9000), alert(Identifier="c", after_s=9001))
    assert table.rows != before
    table.undo()
    assert table.rows == before
    assert words(applied(table, up(after_s=2))) == [
        "mail up inserted 1",
        "mail down cleared 1",
        "b cleared 1",
    ]


moments = st.integers(0, 3 * KEPT_US // SECOND_US)


@st.composite
def occurrences(draw: st.DrawFn) -> Occurrence:
    fields: dict[str, Value] = {
        "Identifier": draw(st.sampled_from("abcd")),
        "AlertKey": draw(st.sampled_from("kl")),
        "Type": draw(st.sampled_from([0, 1, 1, 2, 2, 13])),
        "Severity": draw(st.integers(0, 5)),
        "Grade": draw(st.integers(0, 1)),
    }
    update = draw(st.frozensets(st.sampled_from(["Severity", "Type", "AlertKey", "Grade", "Summary"])))
    return Occurrence(alert(after_s=draw(moments), **fields), update)


sequences = st.lists(occurrences(), max_size=20)


@settings(max_examples=MANY // 10)
@given(sequences, st.data(), st.integers(1, 4))
def test_the_table_is_the_same_however_a_sequence_is_divided(
    sequence: list[Occurrence], data: st.DataObject, limit: int
) -> None:
    whole = AlertTable(limit=limit)
    events = [event for it in sequence for event in whole.apply(it)]
    rest, rows, divided = list(sequence), list[str](), list[AlertEvent]()
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        table = AlertTable(map(Alert.loads, rows), limit=limit)
        divided += [event for it in rest[:size] for event in table.apply(it)]
        # As another process finds the rows: by their texts, in whatever order.
        rows = data.draw(st.permutations([row.dumps() for row in table.rows.values()]))
        rest = rest[size:]
    assert {row.identifier: row for row in map(Alert.loads, rows)} == whole.rows
    assert divided == events


@settings(max_examples=MANY // 10)
@given(sequences)
def test_the_tally_is_how_often_an_identifier_came_since_it_was_inserted(sequence: list[Occurrence]) -> None:
    table = AlertTable()
    came: dict[str, int] = {}
    for it in sequence:
        is_counted = False
        for event in table.apply(it):
            name = event.alert.identifier
            if event.change is Change.DELETED:
                del came[name]
            elif name == it.alert.identifier and not is_counted:  # it may have resolved its own row besides
                came[name] = 1 if event.change is Change.INSERTED else came[name] + 1
                is_counted = True
        assert {name: row.tally for name, row in table.rows.items()} == came


@settings(max_examples=MANY // 10)
@given(sequences, occurrences())
def test_after_a_resolution_none_of_its_problems_is_open_and_nothing_else_has_changed(
    sequence: list[Occurrence], last: Occurrence
) -> None:
    table = AlertTable()
    for it in sequence:
        list(table.apply(it))
    before = dict(table.rows)
    resolution = Occurrence(replace(last.alert, type=2, identifier="resolution"))
    gone = {event.alert.identifier for event in table.apply(resolution) if event.change is Change.DELETED}
    for name, row in before.items():
        if name in gone:
            continue
        if row.is_open and resolves(resolution.alert, row):
            assert not table.rows[name].is_open
            assert table.rows[name].tally == row.tally
        else:
            assert table.rows[name] == row


@settings(max_examples=MANY // 10)
@given(sequences, sequences)
def test_what_is_taken_back_leaves_no_trace(first: list[Occurrence], second: list[Occurrence]) -> None:
    table, untouched = AlertTable(limit=3), AlertTable(limit=3)
    for it in first:
        assert list(table.apply(it)) == list(untouched.apply(it))
    table.keep()
    for it in second:
        list(table.apply(it))
    table.undo()
    assert table.rows == untouched.rows
    assert list(_all(table, second)) == list(_all(untouched, second))


def _all(table: AlertTable, sequence: list[Occurrence]) -> Iterator[AlertEvent]:
    for it in sequence:
        yield from table.apply(it)

"""The rules that come with us: a failing element is one alert that counts up, and a good poll clears it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.alerts import Alert, Change, Occurrence, alert_of, cleared, inserted, merged, resolves
from postbeat.delivery import Outcome as Fate
from postbeat.ism.elements import Surroundings, of_result
from postbeat.ism.rules.loading import DEFAULTS, WRAPPER, load
from postbeat.ism.rules.program import Outcome, Program
from postbeat.ism.values import Value
from postbeat.model import AuthenticationType, Kind, Level, LoginType, Phase, Poll, SecurityType
from postbeat.plain import LEVEL_NUMBERS
from postbeat.results import Attempt, Grading, Result, Service
from tests.unit.some_results import AT_US, CHECK, LATE, READ, SENT

ATTEMPT = Attempt(1, AT_US, 90_000, times_us={"lookupTime": 2000, "connectTime": 12_345}, status=250)
SUBMISSION = Service(587, SecurityType.STARTTLS, AuthenticationType.PLAIN, "probe", host="mx.example.com")
MAILBOX = Service(993, SecurityType.SSL, LoginType.STANDARD, "probe", host="mail.example.com")
MONITORED = replace(SENT, attempts=(ATTEMPT,), service=SUBMISSION)
CHECKED = replace(CHECK, service=MAILBOX)
LEVELS = tuple(Level)


@pytest.fixture(scope="module")
def wrapper() -> Program:
    return load(WRAPPER, environ={})


def elements(result: Result, level: Level, last: Level | None, **more: Value) -> dict[str, Value]:
    told = replace(result, level=level, message=f"It is {level}")
    return of_result(told, Surroundings(last_level=last)) | more


@dataclass
class Table:
    """The table of alerts, as the pure half of it has it."""

    rows: dict[str, Alert] = field(default_factory=dict)
    changes: list[tuple[Change, str]] = field(default_factory=list)

    def take(self, outcome: Outcome, at_us: int) -> None:
        for event in outcome.events:
            self.apply(Occurrence(alert_of(event.fields, event.details, at_us=at_us), event.update_on_dedup))

    def apply(self, occurrence: Occurrence) -> None:
        alert = occurrence.alert
        row = self.rows.get(alert.identifier)
        if row is None:
            self.rows[alert.identifier] = inserted(alert)
            change = Change.INSERTED
        else:
            self.rows[alert.identifier], change = merged(row, alert, occurrence.update)
        self.changes.append((change, alert.identifier))
        for identifier, problem in self.rows.items():
            if problem.is_open and resolves(alert, problem):
                self.rows[identifier] = cleared(problem, alert.last_occurrence_us)
                self.changes.append((Change.CLEARED, identifier))

    def open(self) -> list[Alert]:
        return [row for row in self.rows.values() if row.is_open]


def watched(program: Program, result: Result, levels: Iterable[Level]) -> Table:
    """The table after a result of each level, one poll after another."""
    table, last = Table(), None
    for number, level in enumerate(levels):
        outcome = program.run(elements(result, level, last))
        assert outcome.fault is None
        table.take(outcome, AT_US + number * 60_000_000)
        last = level
    return table


KINDS = [MONITORED, CHECKED, READ, replace(CHECKED, kind=Kind.POP3), replace(READ, kind=Kind.POP3)]
IDS = ["smtp", "imap4 check", "imap4 read", "pop3 check", "pop3 read"]


def test_a_failed_send_becomes_this_alert() -> None:
    program = load(DEFAULTS[Kind.SMTP], environ={})
    outcome = program.run(elements(MONITORED, Level.FAILED, Level.GOOD))
    (event,) = outcome.events
    assert event.fields == {
        "Manager": "Postbeat",
        "Agent": "smtp",
        "Location": "eu",
        "Node": "mx.example.com",
        "AlertGroup": "SMTP service",
        "AlertKey": "mail@eu",
        "Severity": 5,
        "Type": 1,
        "Summary": "SMTP: mail@eu failed: It is FAILED",
        "Identifier": "mx.example.com mail@eu SMTP service 1 smtp Postbeat",
        "ExtendedAttr": 'lookupTime="0.002";connectTime="0.012";status="250"',
    }
    assert event.update_on_dedup == {"Severity"}
    assert not any([event.details, event.target, outcome.log, outcome.services, outcome.properties])


@pytest.mark.parametrize("result", KINDS, ids=IDS)
@pytest.mark.parametrize(
    ("level", "severity", "type_"),
    [(Level.FAILED, 5, 1), (Level.MARGINAL, 3, 1), (Level.UNKNOWN, 2, 1), (Level.GOOD, 1, 2)],
)
def test_each_level_has_its_severity(
    wrapper: Program, result: Result, level: Level, severity: int, type_: int
) -> None:
    fields = wrapper.run(elements(result, level, None)).events[0].fields
    assert (fields["Severity"], fields["Type"]) == (severity, type_)
    assert (fields["Manager"], fields["Agent"]) == ("Postbeat", str(result.kind))
    assert str(fields["Summary"]).startswith(f"{result.kind.upper()}: ")
    assert str(fields["Summary"]).endswith(f"It is {level}")


@pytest.mark.parametrize("result", KINDS, ids=IDS)
def test_the_property_manager_says_who_manages_the_alerts(wrapper: Program, result: Result) -> None:
    (event,) = wrapper.run(elements(result, Level.FAILED, None), {"Manager": "Office"}).events
    assert event.fields["Manager"] == "Office"
    assert str(event.fields["Identifier"]).endswith(" Office")


@pytest.mark.parametrize("result", KINDS, ids=IDS)
def test_a_failing_element_is_one_alert_that_counts_up_and_is_cleared(
    wrapper: Program, result: Result
) -> None:
    failed, good = Level.FAILED, Level.GOOD
    table = watched(wrapper, result, [failed, failed, failed])
    (row,) = table.open()
    assert (row.tally, row.severity) == (3, 5)
    table = watched(wrapper, result, [failed, failed, failed, good, good])
    assert table.open() == []
    problem, resolution = table.rows.values()
    assert (problem.type, problem.tally, problem.severity) == (1, 3, 0)
    assert (resolution.type, resolution.tally) == (2, 1)


@pytest.mark.parametrize("result", [MONITORED, CHECKED], ids=["smtp", "imap4 check"])
def test_a_failure_between_polls_that_began_when_it_was_good_is_cleared(
    wrapper: Program, result: Result
) -> None:
    began_good = replace(result, grading=Grading(last_level=Level.GOOD))
    assert watched(wrapper, began_good, [Level.GOOD, Level.FAILED]).open()
    assert watched(wrapper, began_good, [Level.GOOD, Level.FAILED, Level.GOOD, Level.GOOD]).open() == []


@pytest.mark.parametrize("result", KINDS, ids=IDS)
def test_from_marginal_to_failed_it_stays_one_problem(wrapper: Program, result: Result) -> None:
    table = watched(wrapper, result, [Level.MARGINAL, Level.FAILED, Level.FAILED, Level.MARGINAL])
    (row,) = table.rows.values()
    assert (row.severity, row.tally) == (3, 4)
    assert [change for change, _ in table.changes] == [
        Change.INSERTED,
        Change.CHANGED,
        Change.REPEATED,
        Change.CHANGED,
    ]


@pytest.mark.parametrize("result", KINDS, ids=IDS)
def test_what_was_not_measured_neither_clears_nor_raises_what_the_service_has(
    wrapper: Program, result: Result
) -> None:
    table = watched(wrapper, result, [Level.FAILED, Level.UNKNOWN])
    assert sorted(row.severity for row in table.open()) == [2, 5]
    service, monitoring = sorted(table.open(), key=lambda row: -row.severity)
    assert service.alert_group != monitoring.alert_group
    for known in (Level.GOOD, Level.MARGINAL, Level.FAILED):
        after = watched(wrapper, result, [Level.FAILED, Level.UNKNOWN, known])
        assert [row.alert_group for row in after.open()] == (
            [] if known is Level.GOOD else [service.alert_group]
        )


@pytest.mark.parametrize("result", KINDS, ids=IDS)
def test_good_after_good_is_discarded(wrapper: Program, result: Result) -> None:
    outcome = wrapper.run(elements(result, Level.GOOD, Level.GOOD))
    assert (outcome.discarded, outcome.events) == (True, ())
    for last in (None, Level.MARGINAL, Level.FAILED, Level.UNKNOWN):
        assert not wrapper.run(elements(result, Level.GOOD, last)).discarded


def test_regions_elements_and_monitors_have_alerts_of_their_own(wrapper: Program) -> None:
    results = [
        replace(result, poll=Poll(element, region, 1))
        for result in KINDS
        for element in ("a", "b")
        for region in ("eu", "us")
    ]
    table = Table()
    for result in results:
        table.take(wrapper.run(elements(result, Level.FAILED, None)), AT_US)
    assert len(table.open()) == len(results)
    table.take(wrapper.run(elements(results[0], Level.GOOD, Level.FAILED)), AT_US + 1)
    assert len(table.open()) == len(results) - 1


@given(levels=st.lists(st.sampled_from(LEVELS), min_size=1, max_size=12), result=st.sampled_from(KINDS))
def test_what_is_open_is_what_the_last_polls_said(
    wrapper: Program, levels: list[Level], result: Result
) -> None:
    table = watched(wrapper, result, levels)
    known = [level for level in levels if level is not Level.UNKNOWN]
    expected = []
    if known and known[-1] is not Level.GOOD:
        expected.append({Level.MARGINAL: 3, Level.FAILED: 5}[known[-1]])
    if levels[-1] is Level.UNKNOWN:
        expected.append(2)
    assert sorted(row.severity for row in table.open()) == sorted(expected)


@pytest.mark.parametrize("fate", [Fate.LATE, Fate.LOST, Fate.DUPLICATED])
@pytest.mark.parametrize("level", [Level.GOOD, Level.MARGINAL, Level.FAILED])
def test_what_became_of_an_earlier_message_is_information(wrapper: Program, fate: Fate, level: Level) -> None:
    table = watched(wrapper, READ, [Level.FAILED])
    late = replace(LATE, outcome=fate)
    outcome = wrapper.run(elements(late, level, level))
    table.take(outcome, AT_US + 60_000_000)
    assert [(row.type, row.severity) for row in table.open()] == [(1, 5), (13, 2)]
    assert outcome.events[0].fields["AlertGroup"] == f"IMAP4 message {fate}"


@pytest.mark.parametrize("monitor", ["smtp", "imap4", "pop3"])
def test_what_a_monitor_says_of_itself_stays_as_it_is(wrapper: Program, monitor: str) -> None:
    fields: dict[str, Value] = {
        "Manager": "ProbeWatch",
        "Summary": "Going Down ...",
        "Severity": 5,
        "Type": 1,
    }
    for program in (wrapper, load(DEFAULTS[Kind(monitor)], environ={})):
        outcome = program.run({"monitor": monitor, "phase": "monitor"}, fields=fields)
        assert [event.fields for event in outcome.events] == [fields]


def test_the_wrapper_gives_what_the_monitors_own_rules_give(wrapper: Program) -> None:
    for result in KINDS:
        own = load(DEFAULTS[result.kind], environ={})
        for level in LEVELS:
            given_elements = elements(result, level, Level.MARGINAL)
            assert wrapper.run(given_elements).events == own.run(given_elements).events


def test_of_a_strange_monitor_the_wrapper_says_so(wrapper: Program) -> None:
    outcome = wrapper.run({"monitor": "http", "serviceLevel": 3})
    assert (outcome.discarded, outcome.events) == (True, ())
    assert [line.level for line in outcome.log] == ["WARNING"]
    assert "'http'" in outcome.log[0].text


def test_the_readers_rules_differ_in_names_only() -> None:
    imap4, pop3 = (DEFAULTS[kind].read_text(encoding="utf-8") for kind in (Kind.IMAP4, Kind.POP3))
    assert imap4.replace("IMAP4", "POP3").replace("imap4", "pop3") == pop3


@pytest.mark.parametrize("path", [*DEFAULTS.values(), WRAPPER], ids=lambda path: str(path.name))
def test_the_files_read_well(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 112
    assert text.splitlines()[0].startswith(f"# {path.name} - ")
    assert text.isascii()
    assert text.count("#") >= 5


values = st.one_of(
    st.text(max_size=40), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
SEEN = ["monitor", "phase", "serviceLevel", "lastServiceLevel", "identifier", "region", "host", "outcome"]


@given(
    given_elements=st.dictionaries(
        st.sampled_from(SEEN), st.one_of(values, st.sampled_from(["smtp", "imap4", "after", "1", "3"]))
    )
)
def test_whatever_the_elements_are_there_is_no_fault(
    wrapper: Program, given_elements: dict[str, Value]
) -> None:
    outcome = wrapper.run(given_elements)
    assert outcome.fault is None
    for event in outcome.events:
        alert_of(event.fields, event.details, at_us=AT_US)


def test_phases_and_levels_are_what_the_rules_name() -> None:
    """The rules have the words of phases and the numbers of levels in them."""
    assert (str(Phase.CHECK), str(Phase.AFTER)) == ("check", "after")
    assert LEVEL_NUMBERS == {Level.UNKNOWN: 0, Level.GOOD: 1, Level.MARGINAL: 2, Level.FAILED: 3}
    for path in DEFAULTS.values():
        cases = re.findall(r'case "(\d)":', path.read_text(encoding="utf-8"))
        assert cases == ["3", "2", "1"]

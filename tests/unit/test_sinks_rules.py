"""What a sink is told: filters, maintenance, and that a recovery follows its problem."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.model import Fault, FaultCode, Level, Pair, Phase, Poll, Side
from postbeat.results import Event, VerdictEvent
from postbeat.sinks.notice import EventKind, Facts, Notice, State, notice_of, samples
from postbeat.sinks.retry import Retry
from postbeat.sinks.rules import (
    LEVELS,
    NOTHING,
    Filters,
    Standing,
    after_maintenance,
    decide,
    ended,
    in_maintenance,
)
from postbeat.verdict import Verdict
from tests.conftest import MANY

PAIR_LEVELS = ("GOOD", "MARGINAL", "FAILED", "UNKNOWN")
EVERYTHING = Filters()
NO_GOOD = Filters(levels=frozenset(LEVELS) - {"GOOD"})


def notice(level: str, was: str = "GOOD", number: int = 1) -> Notice:
    event = Event(
        Pair("mail", "lab"), Level(was), Level(level), number, Poll("mail", "lab", 1), Phase.SEND, "why"
    )
    return notice_of(replace(event, id=f"{number}-0"), Facts(group="office"))


@dataclass
class Sink:
    """A sink by the rules alone; what is kept between events goes through its text."""

    filters: Filters
    standing: Standing = NOTHING
    told: list[Notice] = field(default_factory=list)

    def take(self, event: Notice, *, covered: bool = False) -> None:
        decision = decide(event, self.filters, self._kept(), covered=covered)
        self._note(decision.tell, decision.standing)

    def maintenance_ends(self) -> None:
        decision = after_maintenance(self.filters, self._kept())
        self._note(decision.tell, decision.standing)

    def _kept(self) -> Standing:
        text = self.standing.dumps()
        return Standing.loads(text) if text else NOTHING

    def _note(self, tell: Notice | None, standing: Standing) -> None:
        self.standing = standing
        if tell is not None:
            self.told.append(tell)

    def words(self) -> list[str]:
        return [f"{it.state} {it.level}" for it in self.told]


steps = st.lists(
    st.tuples(st.sampled_from(PAIR_LEVELS), st.booleans(), st.booleans(), st.booleans()), max_size=20
)
wanted_levels = st.frozensets(st.sampled_from(LEVELS), min_size=1)


@settings(max_examples=MANY // 8)
@given(steps, wanted_levels)
def test_recoveries_follow_problems_whatever_comes(
    sequence: list[tuple[str, bool, bool, bool]], levels: frozenset[str]
) -> None:
    sink = Sink(Filters(levels=levels))
    before, was_covered = "UNKNOWN", False
    for number, (level, covered, matches, window_ends) in enumerate(sequence):
        sink.filters = Filters(levels=levels, elements=("mail",) if matches else ("other",))
        if window_ends and was_covered:
            sink.maintenance_ends()
        if level == before:
            continue
        told = len(sink.told)
        sink.take(notice(level, before, number), covered=covered)
        before, was_covered = level, covered
        for it in sink.told[told:]:
            assert not (it.state is State.PROBLEM and (covered or not matches or level not in levels))
        open_now = _open(sink)
        if level == "GOOD":
            assert open_now is None
        elif matches and not covered and level in levels:
            assert open_now == level


def _open(sink: Sink) -> str | None:
    """The problem that receivers know of, as they conclude from what they were told."""
    known: Notice | None = None
    for it in sink.told:
        if it.state is State.RECOVERY:
            assert known is not None, "a recovery of no problem"
            assert (it.told_id, it.told_level) == (known.id, known.level)
            known = None
        elif it.state is State.PROBLEM:
            assert known is None or known.level != it.level, "the same problem again"
            assert it.told_id == (known.id if known else "")
            known = it
        else:
            assert known is None
    assert (sink.standing.told.level if sink.standing.told else None) == (known.level if known else None)
    return known.level if known else None


@settings(max_examples=MANY // 8)
@given(st.lists(st.sampled_from(PAIR_LEVELS), min_size=1, max_size=12), wanted_levels)
def test_after_maintenance_a_sink_knows_what_is_still_wrong_and_nothing_else(
    sequence: list[str], levels: frozenset[str]
) -> None:
    sink = Sink(Filters(levels=levels))
    for number, level in enumerate(sequence):
        was = "GOOD" if level != "GOOD" else "FAILED"
        sink.take(notice(level, was, number), covered=True)
    assert not sink.told
    sink.maintenance_ends()
    last = sequence[-1]
    still_wrong = last != "GOOD" and last in levels
    assert sink.words() == ([f"problem {last}"] if still_wrong else [])


def test_the_recovery_of_a_silenced_problem_is_silent() -> None:
    sink = Sink(EVERYTHING)
    sink.take(notice("FAILED"), covered=True)
    sink.take(notice("GOOD", "FAILED"))
    sink.maintenance_ends()
    assert not sink.told


def test_the_recovery_of_a_told_problem_is_told_in_maintenance_too() -> None:
    sink = Sink(NO_GOOD)
    sink.take(notice("FAILED"))
    sink.take(notice("GOOD", "FAILED"), covered=True)
    assert sink.words() == ["problem FAILED", "recovery GOOD"]


def test_a_level_that_is_not_wanted_ends_the_problem_and_no_news_does_not() -> None:
    sink = Sink(Filters(levels=frozenset({"FAILED"})))
    for number, (was, level) in enumerate(
        [("GOOD", "FAILED"), ("FAILED", "UNKNOWN"), ("UNKNOWN", "FAILED"), ("FAILED", "MARGINAL")]
    ):
        sink.take(notice(level, was, number))
    assert sink.words() == ["problem FAILED", "recovery MARGINAL"]
    assert sink.told[-1].headline == "MARGINAL, no longer FAILED: mail@lab"


def test_a_change_to_good_is_told_without_a_problem_only_where_it_is_wanted() -> None:
    for filters, words in ((EVERYTHING, ["news GOOD"]), (NO_GOOD, [])):
        sink = Sink(filters)
        sink.take(notice("GOOD", "UNKNOWN"))
        assert sink.words() == words


def test_an_outcome_is_told_or_not_and_changes_nothing() -> None:
    came_twice = list(samples())[-1]
    sink = Sink(EVERYTHING)
    sink.take(came_twice, covered=True)
    assert not sink.told
    sink.take(notice("FAILED"))
    sink.take(came_twice)
    sink.take(notice("GOOD", "FAILED"))
    assert sink.words() == ["problem FAILED", "news GOOD", "recovery GOOD"]


def test_what_is_monitored_no_more_ends_the_problem_that_was_told_of_it() -> None:
    sink = Sink(EVERYTHING)
    sink.take(notice("FAILED", number=7))
    decision = ended(sink.standing, 9)
    assert decision.standing == NOTHING
    assert decision.tell is not None
    assert (decision.tell.id, decision.tell.told_id) == ("7-0-ended", "7-0")
    assert decision.tell.headline == "Monitored no more: mail@lab"
    assert ended(Standing(silenced=notice("FAILED")), 9).tell is None


@pytest.mark.parametrize("level", ["GOOD", "UNKNOWN"])
def test_an_end_that_no_event_tells_repeats_nothing_of_what_was_wrong(level: str) -> None:
    problem = next(it for it in samples() if it.regions and it.stage)
    sink = Sink(EVERYTHING)
    sink.take(problem)
    end = ended(sink.standing, 9, level).tell
    assert end is not None
    assert (end.region_texts, end.as_data()["fault"], end.as_data()["reasons"]) == ([], None, {})


def test_a_region_whose_level_is_another_by_now_is_told_without_what_it_said_before() -> None:
    problem = next(it for it in samples() if it.regions and it.stage)
    assert problem.region_texts == ["lab: FAILED (data) 452 4.2.2 The mailbox is full", "home: GOOD"]
    later = replace(problem, regions={"home": "FAILED", "lab": "MARGINAL"})
    assert later.region_texts == ["home: FAILED", "lab: MARGINAL"]
    assert Notice.loads(problem.dumps()) == problem


def test_a_verdict_without_regions_is_that_of_an_element_that_has_left() -> None:
    sink = Sink(EVERYTHING)
    sink.take(VERDICT)
    sink.take(replace(VERDICT, was="DEGRADED", level="UNKNOWN", regions={}))
    assert [it.headline for it in sink.told] == ["DEGRADED: mail", "Monitored no more: mail"]


VERDICT = notice_of(
    VerdictEvent(
        "mail",
        Verdict.GOOD,
        Verdict.DEGRADED,
        1,
        Poll("mail", "lab", 1),
        {"eu-west": Level.FAILED, "us-east": Level.GOOD},
        "1 of 2 regions fail",
        "1-0",
    ),
    Facts(),
)


@pytest.mark.parametrize(
    ("filters", "level_matches", "verdict_matches"),
    [
        (Filters(), True, True),
        (Filters(elements=("ma*",)), True, True),
        (Filters(elements=("other",)), False, False),
        (Filters(regions=("l*",)), True, False),
        (Filters(regions=("eu-*",)), False, True),
        (Filters(groups=("office",)), True, False),
        (Filters(kinds=frozenset({EventKind.VERDICT})), False, True),
    ],
)
def test_filters_take_elements_regions_groups_and_kinds(
    filters: Filters, level_matches: bool, verdict_matches: bool
) -> None:
    assert (filters.match(notice("FAILED")), filters.match(VERDICT)) == (level_matches, verdict_matches)


@dataclass
class Windows:
    regions: frozenset[str]

    def covers(self, pair: Pair, at_us: int) -> bool:
        return pair.element == "mail" and pair.region in self.regions


@pytest.mark.parametrize(
    ("regions", "covered"), [({"eu-west"}, True), ({"us-east"}, False), ({"eu-west", "us-east"}, True)]
)
def test_a_verdict_is_silenced_where_each_region_that_is_not_good_is_in_maintenance(
    regions: set[str], covered: bool
) -> None:
    assert in_maintenance(VERDICT, Windows(frozenset(regions)), 1) is covered


def test_unknown_is_a_problem_of_the_monitor_and_never_worded_as_failed() -> None:
    for it in samples():
        unknown = replace(it, level="UNKNOWN", state=State.PROBLEM, kind=EventKind.LEVEL)
        assert unknown.headline.startswith("Monitor problem")
        assert "FAILED" not in unknown.headline
        assert unknown.severity == "warning"


def test_a_fault_stands_in_the_document_and_the_message_is_bounded() -> None:
    event = Event(
        Pair("mail", "lab"),
        Level.GOOD,
        Level.FAILED,
        1_500_000,
        Poll("mail", "lab", 1),
        Phase.SEND,
        "\ud800" + "x" * 5000,
        id="5-1",
        fault=Fault(Side.REMOTE, FaultCode.REPLY, "no", "data"),
    )
    data = notice_of(event, Facts("office")).as_data()
    assert data["fault"] == {"side": "REMOTE", "code": "reply", "stage": "data"}
    assert (data["id"], data["group"], data["at"]) == ("5-1", "office", 1.5)
    assert data["message"] == "?" + "x" * 1999


@given(
    st.integers(1, 2000),
    st.floats(0.1, 100),
    st.floats(100, 3600),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1e9),
)
def test_a_pause_lies_between_half_and_all_of_what_follows_from_the_failures(
    failures: int, first_s: float, longest_s: float, chance: float, asked_s: float
) -> None:
    retry = Retry(first_s, longest_s)
    full_s = longest_s if failures > 60 else min(first_s * 2 ** (failures - 1), longest_s)
    assert full_s / 2 <= retry.pause_s(failures, lambda: chance) <= full_s
    asked = retry.pause_s(failures, lambda: chance, asked_s)
    assert min(asked_s, longest_s) <= asked <= longest_s

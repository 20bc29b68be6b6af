"""What a monitor makes of results by its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from postbeat.alerts import Occurrence, merged
from postbeat.ism.elements import Surroundings
from postbeat.ism.lane import Lane
from postbeat.ism.rules.loading import Reloader
from postbeat.model import Kind, Level
from postbeat.results import Result
from tests.unit.some_results import SENT

Taken = Callable[[], list[Occurrence]]


class By(Protocol):
    """Takes a result by rules."""

    def __call__(self, rules: str, result: Result = SENT) -> Taken:
        """Takes it as often as what it gives is called."""


@pytest.fixture
def told() -> list[str]:
    """What people were told."""
    return []


@pytest.fixture
def by(tmp_path: Path, told: list[str]) -> By:
    """Takes a result, each time the same, by rules."""

    def by(rules: str, result: Result = SENT) -> Taken:
        file = tmp_path / "own.rules"
        file.write_text(rules)
        lane = Lane(Kind.SMTP, Reloader(file), told.append)
        return lambda: lane.taken("1", result, Surroundings())

    return by


TARGETS = 'Main = registertarget("one")\nOther = registertarget("two")\n@Identifier = "i"\n'


def shown(occurrences: list[Occurrence], name: str) -> list[Any]:
    return [occurrence.alert.as_data().get(name) for occurrence in occurrences]


def test_an_alert_has_the_target_that_it_is_for(by: By) -> None:
    taken = by(f"{TARGETS}if (%Seen) {{ settarget(Other) }}\ngenevent(Other, @Node, 1)\n%Seen = 1")
    assert [shown(taken(), "Target") for _ in range(2)] == [["Main", "Other"], ["Other", "Other"]]
    (first, *_), (second, *_) = by(f"{TARGETS}settarget(Other)")(), by(TARGETS)()
    assert merged(first.alert, second.alert, second.update)[0].others["Target"] == "Main"


def test_without_targets_an_alert_has_none_and_a_field_of_that_name_stays(by: By) -> None:
    assert shown(by("@A = 1")(), "Target") == [None]
    assert shown(by(f'{TARGETS}@Target = "mine"')(), "Target") == ["mine"]


def test_assigned_properties_are_kept_for_the_results_that_follow(by: By) -> None:
    taken = by("%Seen = int(%Seen) + 1\n@Seen = %Seen")
    assert [shown(taken(), "Seen") for _ in range(3)] == [[1], [2], [3]]


def test_a_property_that_grows_with_each_result_stays_bounded(by: By, told: list[str]) -> None:
    taken = by('if (match(%Grown, "")) { %Grown = "x" }\n%Grown = %Grown + %Grown\n@Size = length(%Grown)')
    sizes = [shown(taken(), "Size")[0] for _ in range(18)]
    assert sizes[15:] == [65_536, None, None]
    assert "a text of more than 65,536 characters; our own rules are used" in told[0]


def test_a_figure_that_was_not_measured_stops_no_run(by: By, told: list[str]) -> None:
    assert shown(by("@Grade = $uploadTime * 1000")(), "Grade") == [0]
    assert told == []


NO_KEY = 'table severities = {{"a", 5}}\n@Severity = lookup("b", severities)'


@pytest.mark.parametrize(
    "rules", ["@Summary = $message", '@Severity = ""', NO_KEY], ids=["none", "", "no key"]
)
def test_an_alert_without_a_severity_has_that_of_the_result(by: By, rules: str) -> None:
    found = {level: by(rules, replace(SENT, level=level))()[0].alert for level in Level}
    assert {level: alert.level for level, alert in found.items()} == {level: level for level in Level}
    assert found[Level.FAILED].severity == 5


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ("Critical", "@Severity = $given"),
        ("6", "@Severity = $given"),
        ("Problem", "@Type = $given"),
        ("soon", "@FirstOccurrence = $given"),
        ("soon", "[@LastOccurrence] = lookup($given, times)"),
    ],
)
def test_a_field_of_the_wrong_kind_is_told_and_our_own_rules_make_the_alert(
    by: By, told: list[str], given: str, rules: str
) -> None:
    failed = replace(SENT, level=Level.FAILED, message="refused")
    text = f'table times = {{{{"soon", "soon"}}}}\n$given = "{given}"\n{rules}\n'
    (occurrence,) = by(text, failed)()
    alert = occurrence.alert
    assert (alert.severity, alert.type, alert.summary) == (5, 1, "SMTP: mail@eu failed: refused")
    assert f'got "{given}"; our own rules are used in their place' in told[0]
    assert ":3:" in told[0]

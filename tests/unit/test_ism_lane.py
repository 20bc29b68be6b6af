"""What a monitor makes of results by its rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postbeat.alerts import Occurrence, merged
from postbeat.ism.elements import Surroundings
from postbeat.ism.lane import Lane
from postbeat.ism.rules.loading import Reloader
from postbeat.model import Kind
from tests.unit.some_results import SENT

Taken = Callable[[], list[Occurrence]]


@pytest.fixture
def told() -> list[str]:
    """What people were told."""
    return []


@pytest.fixture
def by(tmp_path: Path, told: list[str]) -> Callable[[str], Taken]:
    """Takes a result, each time the same, by rules."""

    def by(rules: str) -> Taken:
        file = tmp_path / "own.rules"
        file.write_text(rules)
        lane = Lane(Kind.SMTP, Reloader(file), told.append)
        return lambda: lane.taken("1", SENT, Surroundings())

    return by


TARGETS = 'Main = registertarget("one")\nOther = registertarget("two")\n@Identifier = "i"\n'


def shown(occurrences: list[Occurrence], name: str) -> list[Any]:
    return [occurrence.alert.as_data().get(name) for occurrence in occurrences]


def test_an_alert_has_the_target_that_it_is_for(by: Callable[[str], Taken]) -> None:
    taken = by(f"{TARGETS}if (%Seen) {{ settarget(Other) }}\ngenevent(Other, @Node, 1)\n%Seen = 1")
    assert [shown(taken(), "Target") for _ in range(2)] == [["Main", "Other"], ["Other", "Other"]]
    (first, *_), (second, *_) = by(f"{TARGETS}settarget(Other)")(), by(TARGETS)()
    assert merged(first.alert, second.alert, second.update)[0].others["Target"] == "Main"


def test_without_targets_an_alert_has_none_and_a_field_of_that_name_stays(by: Callable[[str], Taken]) -> None:
    assert shown(by("@A = 1")(), "Target") == [None]
    assert shown(by(f'{TARGETS}@Target = "mine"')(), "Target") == ["mine"]


def test_assigned_properties_are_kept_for_the_results_that_follow(by: Callable[[str], Taken]) -> None:
    taken = by("%Seen = int(%Seen) + 1\n@Seen = %Seen")
    assert [shown(taken(), "Seen") for _ in range(3)] == [[1], [2], [3]]


def test_a_property_that_grows_with_each_result_stays_bounded(
    by: Callable[[str], Taken], told: list[str]
) -> None:
    taken = by('if (match(%Grown, "")) { %Grown = "x" }\n%Grown = %Grown + %Grown\n@Size = length(%Grown)')
    sizes = [shown(taken(), "Size")[0] for _ in range(18)]
    assert sizes[15:] == [65_536, None, None]
    assert "a text of more than 65,536 characters; our own rules are used" in told[0]


def test_a_figure_that_was_not_measured_stops_no_run(by: Callable[[str], Taken], told: list[str]) -> None:
    assert shown(by("@Grade = $uploadTime * 1000")(), "Grade") == [0]
    assert told == []

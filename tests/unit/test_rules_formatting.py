"""A rules file that is laid out means the same, and loses nothing."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.ism.rules.errors import Limits, RulesErrors
from postbeat.ism.rules.formatting import formatted
from postbeat.ism.rules.loading import DEFAULTS, WRAPPER
from postbeat.ism.rules.parsing import parse, tokens
from tests.unit.test_rules_random import programs

GOOD = sorted((Path(__file__).parents[1] / "rules" / "good").rglob("*.rules"))
COMMENTS = st.sampled_from(["", "  # why", "\t#", ' # { ( [ "', "\n\n\n# alone"])


def meaning(node: object) -> object:
    """A tree without the places of its nodes."""
    if isinstance(node, tuple):
        return tuple(map(meaning, node))
    if not dataclasses.is_dataclass(node):
        return type(node), node
    places = ("line", "column", "stop", "text")
    parts = [getattr(node, it.name) for it in dataclasses.fields(node) if it.name not in places]
    return type(node), *map(meaning, parts)


def comments(text: str) -> list[str]:
    """What stands behind the tokens of each line."""
    rows = text.split("\n")
    ends: dict[int, int] = {}
    for token in tokens(text):
        ends[token.end_line or 1] = (token.end_column or 1) - 1
    found = (row[ends.get(number, 0) :].strip() for number, row in enumerate(rows, start=1))
    return [comment for comment in found if comment]


def assert_the_same(before: str, after: str) -> None:
    assert meaning(parse("a", before, Limits())[0]) == meaning(parse("a", after, Limits())[0])
    assert list(map(str, tokens(before))) == list(map(str, tokens(after)))
    assert comments(before) == comments(after)
    assert formatted("a", after) == after


@pytest.mark.parametrize("path", [*GOOD, *DEFAULTS.values(), WRAPPER], ids=lambda path: path.name)
def test_each_file_of_ours_means_the_same(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert_the_same(text, formatted(path.name, text))


@pytest.mark.parametrize("path", [*DEFAULTS.values(), WRAPPER], ids=lambda path: path.name)
def test_the_default_rules_are_laid_out_as_it_lays_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(path.name, text) == text


@given(programs, st.lists(COMMENTS, min_size=1, max_size=5), st.booleans())
def test_what_is_read_written_and_read_again_is_the_same(text: str, notes: list[str], apart: bool) -> None:
    if apart:  # as many lines as there may be
        text = re.sub(r"(?<=[{}])", "\n", text) if '"' not in text else text
    rows = text.split("\n")
    text = "\n".join(f"{row}{notes[number % len(notes)]}" for number, row in enumerate(rows))
    try:
        after = formatted("a", text)
    except RulesErrors:
        assert parse("a", text, Limits())[1]
        return
    assert_the_same(text, after)


def test_blocks_cases_and_unfinished_lines_are_indented() -> None:
    text = """
array a;
table t = {{"x", "1"},
{"y", "2"}}
default = "0"
if (match($a, "b") &&
$c == 1) {
# why
@A = "x" +
"y"
switch ($a) {
case "1" | "2":
discard
default:
@B = lookup($a,
t)
}
} else {
@C = 1 }



@D = 2"""
    assert (
        formatted("a", text)
        == """array a;
table t = {{"x", "1"},
    {"y", "2"}}
default = "0"
if (match($a, "b") &&
    $c == 1) {
    # why
    @A = "x" +
        "y"
    switch ($a) {
        case "1" | "2":
            discard
        default:
            @B = lookup($a,
                t)
    }
} else {
    @C = 1 }

@D = 2
"""
    )


def test_a_file_whose_form_is_wrong_is_left_alone() -> None:
    with pytest.raises(RulesErrors, match=r"^a:1:5: "):
        formatted("a", "if (")

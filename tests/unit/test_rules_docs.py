"""docs/rules.md says what the rules do: its examples are run."""

from __future__ import annotations

import re
from dataclasses import fields as fields_of
from pathlib import Path

import pytest

from postbeat.alerts import OURS
from postbeat.ism.rules.errors import Limits, RulesErrors
from postbeat.ism.rules.loading import load
from postbeat.ism.rules.special import SPECIAL
from postbeat.ism.values import Value, as_text
from tests.documents import section

TEXT = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
RESULT: dict[str, Value] = {
    "identifier": "submission",
    "region": "eu",
    "monitor": "smtp",
    "host": "mail.example.com",
    "serviceLevel": 3,
    "message": "The server refused the connection for now: 421 4.3.2 Try again later",
    "totalTime": 0.25,
    "status": 421,
}
BLOCKS = re.findall(r"^```(rules|text)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (text, BLOCKS[number + 1][1])
    for number, (language, text) in enumerate(BLOCKS)
    if language == "rules" and BLOCKS[number + 1][0] == "text"
]


def rows(title: str) -> list[list[str]]:
    """The rows of all tables of a section, without their heads; code without its backticks."""
    lines = re.findall(r"^\|(.*)\|$", section(TEXT, title), re.MULTILINE)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    heads = {number for number, row in enumerate(cells) if set(row[0]) <= {"-"}}
    return [row for number, row in enumerate(cells) if not {number, number + 1} & heads]


def code(cell: str) -> str:
    return cell.strip("`").replace("\\|", "|")


def given(folder: Path, text: str) -> str:
    """What a text gives: the fields of the alert, or what is wrong with it."""
    for _language, block in BLOCKS:
        if found := re.match(r"# ([a-z]+\.tab)\b", block):
            (folder / found[1]).write_text(block, encoding="utf-8")
    path = folder / "my.rules"
    path.write_text(text, encoding="utf-8")
    try:
        outcome = load(path).run(RESULT)
    except RulesErrors as errors:
        return str(errors).replace(f"{folder}/", "") + "\n"
    assert outcome.fault is None
    return "".join(f"@{name} = {as_text(value)}\n" for name, value in outcome.events[0].fields.items())


@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_an_example_gives_what_stands_below_it(tmp_path: Path, text: str, expected: str) -> None:
    assert given(tmp_path, text) == expected


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("row", rows("Operators"), ids=lambda row: row[1])
def test_an_operator_gives_what_the_table_says(tmp_path: Path, row: list[str]) -> None:
    assert given(tmp_path, f"@A = {code(row[1])}") == f"@A = {code(row[2])}\n"


@pytest.mark.parametrize("row", rows("Statements"), ids=lambda row: row[0])
def test_a_statement_of_the_table_is_one(tmp_path: Path, row: list[str]) -> None:
    (tmp_path / "more.rules").write_text("@A = 1", encoding="utf-8")
    before = 'table sites = {{"a", "b", "c"}}\narray seen\n'
    text = code(row[0]).replace("(...)", "(1)").replace("...", "@A = 1").replace("$FOLDER/", "")
    given(tmp_path, "")
    path = tmp_path / "my.rules"
    path.write_text(before + text, encoding="utf-8")
    assert load(path).run(RESULT).fault is None


@pytest.mark.parametrize(
    "call", [part for row in rows("Functions that take names") for part in re.findall(r"`([^`]+\))`", row[0])]
)
def test_a_call_of_the_table_is_one(tmp_path: Path, call: str) -> None:
    text = 'Main = registertarget(%Server, "", "alerts.status")\ntable table1 = {{"a", "b"}}\narray array1\n'
    call = call.replace("array", "array1").replace("(key, table)", '("a", table1)')
    call = call.replace("(text, ", '("a,b", ').replace("separator", '","')
    path = tmp_path / "my.rules"
    path.write_text(text + ("@A = " if SPECIAL[call.split("(")[0]].gives else "") + call, encoding="utf-8")
    assert load(path).run(RESULT).fault is None


def test_all_functions_that_take_names_are_in_the_document() -> None:
    missing = {name for name in SPECIAL if not re.search(rf"`[^`]*\b{name}\b", TEXT)}
    assert missing == set()


def test_the_fields_that_rules_cannot_set_are_all_named() -> None:
    sentence = section(TEXT, "Names and values").partition("Some are set by Postbeat")[2].partition(". ")[0]
    assert set(re.findall(r"`@(\w+)`", sentence)) == OURS


def test_the_limits_are_those_of_the_program() -> None:
    said = {code(row[0]): int(row[1].split()[0].replace(",", "")) for row in rows("Limits")}
    assert said == {field.name: getattr(Limits(), field.name) for field in fields_of(Limits)}

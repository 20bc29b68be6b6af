"""docs/profile.md says what the loader does."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields
from pathlib import Path

import pytest

from postbeat.elements import ELEMENT_TYPES, ITEM_LIMIT, Element
from postbeat.fieldtexts import EXPECTED, expected
from postbeat.model import Kind
from postbeat.profile import ProfileError, load
from postbeat.secrets import SECRET_LIMIT
from postbeat.verdict import Verdict
from postbeat.windows import Window
from tests.documents import section

DOCUMENT = Path(__file__).parents[2] / "docs" / "profile.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
GUIDE, _, FAULTS = TEXT.partition("\n## Faults\n")
COMMON = "Fields of every element"
MAILBOX = "name: inbox\n    type: imap4\n    server: h\n    username: u\n    password: p"

APART = {"expect", "mx"}  # fields that contradict others

Row = dict[str, str]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def rows(title: str) -> list[Row]:
    """The table of a section; code without its backticks."""
    table = re.findall(r"^\|(.*)\|$", section(TEXT, title), re.MULTILINE)
    cells = [[cell.strip().strip("`") for cell in line.split("|")] for line in table]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def rows_of(kind: Kind) -> dict[str, Row]:
    return {row["field"]: row for row in [*rows(COMMON), *rows(f"Fields of {kind}")]}


def shown(field: Field[object]) -> str:
    """The default of a field as the document writes it."""
    value = field.default
    if value is MISSING:
        return "required"
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def faults_of(text: str, folder: Path) -> str:
    (folder / "profile.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        load(folder)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("kind", Kind)
def test_the_tables_have_every_field_and_no_other(kind: Kind) -> None:
    table = rows_of(kind)
    assert set(table) == {"type", *(field.name for field in fields(ELEMENT_TYPES[kind]))}
    assert len(table) == len(rows(COMMON)) + len(rows(f"Fields of {kind}"))


@pytest.mark.parametrize("kind", Kind)
def test_the_tables_have_the_defaults_of_the_loader(kind: Kind) -> None:
    table = rows_of(kind)
    assert table.pop("type")["default"] == "required"
    defaults = {field.name: shown(field) for field in fields(ELEMENT_TYPES[kind])}
    assert {name: row["default"] for name, row in table.items()} == defaults


@pytest.mark.parametrize("kind", Kind)
def test_the_tables_say_what_the_messages_say(kind: Kind) -> None:
    for name, row in rows_of(kind).items():
        assert row["takes"] == expected(kind, name)


@pytest.mark.parametrize("kind", Kind)
def test_the_examples_of_the_tables_make_an_element_without_a_default(kind: Kind, tmp_path: Path) -> None:
    table = rows_of(kind)
    for name in APART & set(table):
        del table[name]
    table["type"]["example"] = f"type: {kind}"
    body = "\n    ".join(row["example"] for row in table.values())
    (tmp_path / "p.yaml").write_text(f"elements:\n  - {body}\n", encoding="utf-8")
    (tmp_path / "q.yaml").write_text(f"elements:\n  - {MAILBOX}\n", encoding="utf-8")
    element = load(tmp_path).elements["submission"]
    assert element.kind is kind
    for field in fields(element):
        assert getattr(element, field.name) != field.default or field.name in APART


@pytest.mark.parametrize("field", EXPECTED)
def test_each_field_that_the_loader_knows_has_its_row(field: str) -> None:
    assert any(field in rows_of(kind) for kind in Kind)


@pytest.mark.parametrize("block", blocks("yaml", GUIDE))
def test_every_example_is_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text(block, encoding="utf-8")
    assert load(tmp_path).elements


def test_the_faults_that_are_shown_are_those_of_the_profile_that_is_shown(tmp_path: Path) -> None:
    (faulty,) = blocks("yaml", FAULTS)
    (faults,) = blocks("text", FAULTS)
    assert faults_of(faulty, tmp_path) == faults.rstrip("\n")


def test_the_forms_of_a_secret_are_those_of_the_loader() -> None:
    assert [row["form"] for row in rows("Secrets")] == ["{env: NAME}", "{file: PATH}", "text"]
    for name in Element.SECRETS:
        assert EXPECTED[name] == "a text, {env: NAME} or {file: PATH}"
    assert f"at most {SECRET_LIMIT // 1024} KiB" in TEXT


def test_the_windows_and_verdicts_of_the_tables_are_those_that_exist() -> None:
    windows = [row["window"] for row in rows("Maintenance")]
    assert [str(Window.parse(window)) for window in windows] == windows
    assert [row["verdict"] for row in rows("The verdict over all regions")] == list(Verdict)
    assert EXPECTED["servicelevels"].endswith(f"a list of at most {ITEM_LIMIT} of them")
    assert EXPECTED["maintenance"].endswith(f"a list of at most {ITEM_LIMIT} of them")


def test_a_password_that_is_a_number_must_be_in_quotes_as_the_document_says(tmp_path: Path) -> None:
    element = "elements:\n  - {name: box, type: pop3, server: h, username: u, password: 123456}\n"
    assert faults_of(element, tmp_path).endswith("put it in quotes")
    assert '`password: "123456"`' in TEXT
    (tmp_path / "profile.yaml").write_text(element.replace("123456", '"123456"'), encoding="utf-8")
    assert load(tmp_path).elements

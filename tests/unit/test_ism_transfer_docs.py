"""docs/ism-transfer.md says what import and export do."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from postbeat.elements import ELEMENT_TYPES
from postbeat.ism.transfer import exporting, importing
from postbeat.ism.transfer.exporting import FileForm
from postbeat.ism.transfer.fields import ALIASES, ISM_FIELDS, MONITOR, PROFILE, field_of, ism_name
from postbeat.ism.transfer.importing import Options
from postbeat.ism.transfer.rows import ELEMENT_LIMIT, SIZE_LIMIT
from postbeat.model import Kind

DOCUMENT = Path(__file__).parents[2] / "docs" / "ism-transfer.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def rows() -> list[list[str]]:
    """The table of fields, without its head."""
    section = TEXT.partition("\n## Fields\n")[2].partition("\n### ")[0]
    table = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)[2:]
    return [[cell.strip() for cell in line.split("|")] for line in table]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_example_in_csv_makes_the_profile_and_the_report_that_are_shown() -> None:
    (csv,) = blocks("csv")
    (yaml,) = blocks("yaml")
    (report,) = blocks("text")
    made = importing.read(csv.encode(), "office.csv", Options(regions=("eu-west",)))
    assert made.text == yaml
    assert "\n".join(made.report.lines()) + "\n" == report


def test_the_three_ways_to_say_an_element_in_xml_are_the_same() -> None:
    made = importing.read(blocks("xml")[0].encode(), "office.xml")
    assert list(made.profile.elements) == ["one", "two", "three"]
    assert not made.report.left_out
    said = {(it.server, it.port, it.securitytype) for it in made.profile.elements.values()}
    assert said == {("mail.example.com", 587, "STARTTLS")}


def test_the_example_of_an_export_is_what_is_exported_and_loses_nothing() -> None:
    example = blocks("xml")[1]
    made = importing.read(example.encode(), "office.xml")
    assert not made.report.left_out
    written = exporting.write(made.profile, "office", FileForm.XML).text
    for part in re.findall(r'[a-z]+="[^"]*"', example):
        assert part in written
    assert importing.read(written.encode(), "office.xml").profile == made.profile


def test_the_table_has_every_spelling() -> None:
    known = {name: spellings for name, spellings in ALIASES.items()}
    for field, also, *_ in rows():
        (label,) = code(field)
        name = field_of(label)
        assert name is not None
        assert label == ism_name(name)
        others = {*known.get(name, ()), name} - {label}
        assert set(code(also)) == others, label
    listed = {field_of(code(field)[0]) for field, *_ in rows()}
    assert listed == {MONITOR, PROFILE, *ISM_FIELDS, *known, "timeout", "port"}


@pytest.mark.parametrize("kind", Kind)
def test_the_table_has_the_defaults(kind: Kind) -> None:
    defaults = {it.name: it.default for it in fields(ELEMENT_TYPES[kind]) if it.default is not MISSING}
    for field, _, _, default in rows():
        name = field_of(code(field)[0]) or ""
        value = defaults.get(name)
        if name in ("port", "authenticationtype"):
            assert str(value) in default
        elif name in ("poll", "folder", MONITOR, PROFILE, "name", "server", "password"):
            continue  # they are told in words, or only some kinds have them
        elif name in defaults:
            assert default == (
                "none" if value in (None, "", ()) else str(value).lower() if value is True else str(value)
            )


def test_the_limits_are_those_of_the_import() -> None:
    assert f"at most {SIZE_LIMIT // 10**6} MB and {ELEMENT_LIMIT:,} elements" in TEXT

"""docs/operations.md has every setting: those that the code reads, with their defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from postbeat.embedded.redis import SERVER_VARIABLE
from postbeat.ism.properties import PROPERTIES
from postbeat.settings import PREFIX, Settings
from postbeat.web.settings import WebSettings, variable
from tests.documents import section

ROOT = Path(__file__).parents[2]
PACKAGES = ("postbeat", "workers", "beat_schedule")
SECTION = section((ROOT / "docs" / "operations.md").read_text(encoding="utf-8"), "Settings")
ROWS = {
    name: (default.strip().strip("`"), readers, says)
    for name, default, readers, says in re.findall(
        r"^\| `(\w+)` \|([^|]*)\| ([^|]+) \| (.+) \|$", SECTION, re.MULTILINE
    )
}
FIELDS: Mapping[str, Field[Any]] = {
    **{variable(name): field for name, field in WebSettings.__dataclass_fields__.items()},
    **{PREFIX + name.upper(): field for name, field in Settings.__dataclass_fields__.items()},
}
IN_WORDS = {f"{PREFIX}MONITORS": "all", f"{PREFIX}HELO_NAME": "the host's name"}
# Names that the code has, and nobody sets: the demo sets its own password, a child is told the passwords of
# its mailboxes, and a sink's program gets its event as POSTBEAT_NAME.
NO_SETTINGS = {f"{PREFIX}DEMO_PASSWORD", f"{PREFIX}MAIL_PASSWORDS", f"{PREFIX}NAME"}


def named() -> Iterator[str]:
    """The variables of ours that the code names, whole."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from re.findall(rf"\b{PREFIX}[A-Z][A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))


def test_the_table_has_every_setting_and_no_other() -> None:
    assert set(ROWS) == {*FIELDS, SERVER_VARIABLE}


def test_every_variable_that_the_code_names_is_a_setting_in_the_table_or_a_property() -> None:
    properties = {name for it in PROPERTIES.values() for name in it.variables}
    found = set(named())
    assert SERVER_VARIABLE in found
    assert found - {*ROWS, *properties} == NO_SETTINGS


def test_the_defaults_are_those_of_the_code() -> None:
    assert {name: ROWS[name][0] for name in FIELDS} == {
        name: IN_WORDS.get(name, shown(field.default)) for name, field in FIELDS.items()
    }


def shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, int | float) else str(default or "")

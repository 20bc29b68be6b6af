"""docs/events.md says what the code does."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from postbeat.alerts import Change
from postbeat.sinks.config import SINK_TYPES, Sink
from postbeat.sinks.loading import load
from postbeat.sinks.notice import samples
from postbeat.sinks.sinktexts import expected
from postbeat.sinks.template import check
from postbeat.sinks.webhook import signature

TEXT = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def rows(text: str) -> dict[str, list[str]]:
    table = re.findall(r"^\| (\w[^|]*) \|(.*)\|$", text, re.MULTILINE)
    return {
        name.strip(): [cell.strip() for cell in rest.split("|")]
        for names, rest in table
        for name in names.split(",")
        if names != "key"
    }


@pytest.mark.parametrize("kind", [*SINK_TYPES.values(), Sink], ids=lambda kind: kind.__name__)
def test_every_key_has_a_row_that_says_what_it_takes(kind: type[Sink]) -> None:
    common = {field.name for field in fields(Sink)}
    own = {field.name for field in fields(kind)} - (common if kind is not Sink else set())
    table = rows(section("The file" if kind is Sink else kind.type))
    if kind is Sink:
        own.add("type")
    else:
        table = {name: cells for name, cells in table.items() if len(cells) == 2}
    assert set(table) == own
    for name, (takes, default) in table.items():
        assert takes == expected(kind.type if kind is not Sink else "", name)
        needed = name == "type" or any(
            field.name == name and field.default is MISSING for field in fields(kind)
        )
        assert (default == "required") is needed, name


def test_every_part_of_the_document_has_a_row() -> None:
    named = {name for name, cells in rows(section("webhook")).items() if len(cells) == 1} - {"name"}
    assert named == set(next(samples()).as_data())


def test_every_name_that_a_template_may_use_works() -> None:
    names = re.findall(r"`(\w+)`", section("Templates").partition("They may name")[2])
    assert len(names) > 20
    check("".join(f"{{{{ {name} }}}}" for name in names))


def test_the_example_of_a_receiver_knows_our_signature() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    space = {"hmac": hmac, "hashlib": hashlib}
    exec(source, space)
    is_genuine = space["is_genuine"]
    assert callable(is_genuine)
    header = signature("secret", b"{}", 1000)
    assert is_genuine(b"secret", header, b"{}", 1100.0)
    assert not is_genuine(b"secret", header, b"{ }", 1100.0)
    assert not is_genuine(b"secret", header, b"{}", 2000.0)


def test_the_examples_of_files_load(tmp_path: Path) -> None:
    path = tmp_path / "sinks.yaml"
    types = []
    for source in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        path.write_text(source, encoding="utf-8")
        types.append([sink.type for sink in load(path)])
    assert types == [["webhook", "email"], ["jsonlines", "jsonlines"]]


def test_every_change_of_an_alert_has_a_row() -> None:
    changes = re.findall(r"^\| (\w+) \|", section("Alerts"), re.MULTILINE)
    assert changes == ["change", *Change]

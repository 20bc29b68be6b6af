"""The corpus of rules files: what each gives, why each bad one is refused, and how each run away is stopped.

``good`` and ``stopped`` have beside each file what it is run with and what comes of it; ``bad`` has the exact
messages. Every construct of the language and every function occurs in them.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from postbeat.ism.rules import tree
from postbeat.ism.rules.errors import Limits, RulesErrors
from postbeat.ism.rules.functions import FUNCTIONS, UNSUPPORTED
from postbeat.ism.rules.loading import load
from postbeat.ism.rules.parsing import parse
from postbeat.ism.rules.program import Outcome, Program
from postbeat.ism.rules.special import SPECIAL

CORPUS = Path(__file__).parents[1] / "rules"
GOOD, BAD, STOPPED = CORPUS / "good", CORPUS / "bad", CORPUS / "stopped"
HOSTNAME = "probe.example.net"
ENVIRON = {"RULES_TEST_FOLDER": str(GOOD / "included"), "RULES_TEST_VALUE": "from outside"}


def names(folder: Path, ending: str = ".rules") -> list[str]:
    return sorted(path.stem for path in folder.glob(f"*{ending}"))


def written(outcome: Outcome) -> dict[str, Any]:
    """An outcome in the form of the corpus, without what is empty."""
    found: dict[str, Any] = {
        "discarded": outcome.discarded,
        "log": [[line.level, line.text] for line in outcome.log],
        "services": [[state.service, state.level] for state in outcome.services],
        "assigned": dict(outcome.properties),
        "fault": str(outcome.fault) if outcome.fault else None,
    }
    generated = list(outcome.events)
    if not outcome.discarded and not outcome.fault:
        alert = generated.pop(0)
        found |= {"fields": dict(alert.fields), "details": dict(alert.details), "target": alert.target}
        found["updates"] = sorted(alert.update_on_dedup)
    found["generated"] = [{"target": event.target, "fields": dict(event.fields)} for event in generated]
    return {name: value for name, value in found.items() if value}


def ran(program: Program, run: Mapping[str, Any]) -> dict[str, Any]:
    given: list[dict[str, Any]] = [run.get(name, {}) for name in ("elements", "properties", "fields")]
    elements = {name: HOSTNAME if value == "<hostname>" else value for name, value in given[0].items()}
    return written(program.run(elements, given[1], fields=given[2]))


def expected(gives: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in gives.items() if value}


@pytest.mark.parametrize("name", names(GOOD))
def test_a_good_file_gives_exactly_its_alerts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: HOSTNAME)
    runs = json.loads((GOOD / f"{name}.json").read_text(encoding="utf-8"))["runs"]
    program = load(GOOD / f"{name}.rules", environ=ENVIRON)
    assert [ran(program, run) for run in runs] == [expected(run["gives"]) for run in runs]


@pytest.mark.parametrize("name", names(STOPPED))
def test_a_run_that_goes_astray_is_stopped_at_its_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(STOPPED)
    runs = json.loads((STOPPED / f"{name}.json").read_text(encoding="utf-8"))["runs"]
    program = load(Path(f"{name}.rules"), environ=ENVIRON)
    began_s = time.process_time()
    assert [ran(program, run) for run in runs] == [expected(run["gives"]) for run in runs]
    assert time.process_time() - began_s < 2 * len(runs)


@pytest.mark.parametrize("name", names(BAD))
def test_a_bad_file_gives_exactly_its_messages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    began_s = time.process_time()
    with pytest.raises(RulesErrors) as caught:
        load(Path(f"{name}.rules"), environ=ENVIRON)
    assert time.process_time() - began_s < 5
    assert str(caught.value) == (BAD / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def test_every_file_says_what_is_to_come_of_it() -> None:
    assert names(GOOD) == names(GOOD, ".json")
    assert names(STOPPED) == names(STOPPED, ".json")
    assert names(BAD) == names(BAD, ".txt")
    assert len([*names(GOOD), *names(STOPPED), *names(BAD)]) >= 60


def test_a_bad_file_leaves_no_program_and_a_mended_one_does(tmp_path: Path) -> None:
    file = tmp_path / "mine.rules"
    file.write_text("@A = lower()\n")
    with pytest.raises(RulesErrors):
        load(file, environ={})
    file.write_text('@A = lower("X")\n')
    assert load(file, environ={}).run({}).events[0].fields == {"A": "x"}


def texts() -> Iterator[str]:
    for folder in (GOOD, STOPPED):
        for name in names(folder):
            yield (folder / f"{name}.rules").read_text(encoding="utf-8")


def test_every_function_occurs() -> None:
    called = set(re.findall(r"\b([A-Za-z_]+)\b", " ".join(texts())))
    assert {*FUNCTIONS, *SPECIAL} - called == set()


def nodes(node: object) -> Iterator[object]:
    if isinstance(node, tuple):
        for part in node:
            yield from nodes(part)
    elif is_dataclass(node) and not isinstance(node, type):
        yield node
        for field in fields(node):
            yield from nodes(getattr(node, field.name))


def test_every_construct_occurs() -> None:
    found: set[type] = set()
    for text in texts():
        source, errors = parse("some.rules", text, Limits())
        assert not errors
        found |= {type(node) for node in nodes(source)}
    constructs = {kind for kind in vars(tree).values() if isinstance(kind, type) and is_dataclass(kind)}
    assert constructs - found - {tree.Statement} == set()


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_what_has_no_meaning_here_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.rules"
    file.write_text(f"@A = 1\n@B = {name}()\n")
    with pytest.raises(RulesErrors) as caught:
        load(file, environ={})
    (error,) = caught.value.errors
    assert (error.line, error.column) == (2, 6)
    assert name in error.message
    assert UNSUPPORTED[name] in error.message


def test_the_environment_is_the_process_own_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RULES_TEST_VALUE", "its own")
    file = tmp_path / "mine.rules"
    file.write_text('@A = getenv("RULES_TEST_VALUE")\n')
    assert load(file).run({}).events[0].fields == {"A": os.environ["RULES_TEST_VALUE"]}

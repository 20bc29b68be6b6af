"""docs/elements.md has every fault code and every stage, as the code has them."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from pathlib import Path

import postbeat
from postbeat.model import FaultCode, Kind, Phase
from postbeat.stages import STAGES
from tests.documents import section

PACKAGE = Path(postbeat.__file__).parent
DOCUMENT = (PACKAGE.parent / "docs" / "elements.md").read_text(encoding="utf-8")
SIDES = {"RemoteFault": "REMOTE", "LocalFault": "LOCAL"}
# Where codes are named apart from their side, which is the service's.
REMOTE_MODULES = ("expect.py", "mailbox/outcomes.py")


def rows(title: str) -> list[tuple[str, ...]]:
    lines = section(DOCUMENT, title).splitlines()
    found = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in lines if line[:1] == "|"]
    return found[2:]


@functools.cache
def modules() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


def named(node: ast.AST, kind: str) -> str:
    """``REFUSED`` of ``FaultCode.REFUSED``."""
    is_one = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == kind
    return node.attr if is_one and isinstance(node, ast.Attribute) else ""


def sides() -> dict[str, set[str]]:
    """The sides that each code is raised with."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, tree in modules():
        for node in ast.walk(tree):
            if module in REMOTE_MODULES and (code := named(node, "FaultCode")):
                found[FaultCode[code].value].add("REMOTE")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                side = SIDES.get(node.func.id) or (node.func.id == "Fault" and named(node.args[0], "Side"))
                for code in (named(part, "FaultCode") for part in node.args[:2]):
                    if side and code:
                        found[FaultCode[code].value].add(side)
    return found


# The monitors whose tests go through a module: by the longest beginning of its path that stands here.
MONITORS = {
    "": set(Kind),
    "mailbox/": {Kind.IMAP4, Kind.POP3},
    "probing.py": {Kind.IMAP4, Kind.POP3},
    "probes/opening.py": {Kind.IMAP4, Kind.POP3},
    "probes/imap4": {Kind.IMAP4},
    "probes/pop3": {Kind.POP3},
    "probes/smtp": {Kind.SMTP},
    "probes/mx.py": {Kind.SMTP},
}


def timed() -> dict[str, set[Kind]]:
    """The stages that the code begins, and the monitors that do."""
    found: dict[str, set[Kind]] = defaultdict(set)
    for module, tree in modules():
        kinds = MONITORS[max((begin for begin in MONITORS if module.startswith(begin)), key=len)]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            begun = node.args[:1] if name in ("stage", "begin", "switch") else []
            begun += [it.value for it in node.keywords if name == "time_handshake" and it.arg == "then"]
            begun += node.args[3:4] if name == "Fault" else []
            for part in begun:
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
                    found[part.value] |= kinds
    return found


def test_every_fault_code_is_told_with_the_sides_that_it_has() -> None:
    found = sides()
    assert [(code, side) for code, side, _ in rows("Faults")] == [
        (f"`{code}`", " or ".join(sorted(found[code], reverse=True))) for code in FaultCode
    ]
    assert all(meaning.endswith(".") for _, _, meaning in rows("Faults"))


def test_every_stage_is_told_of_the_monitors_and_the_results_that_have_it() -> None:
    assert rows("Stages") == [
        (
            f"`{name}`",
            ", ".join(kind for kind in Kind if kind in stage.kinds),
            "all" if stage.phases == set(Phase) else ", ".join(one for one in Phase if one in stage.phases),
            stage.says,
        )
        for name, stage in STAGES.items()
    ]


def test_the_stages_are_those_that_the_code_begins() -> None:
    assert timed() == {name: set(stage.kinds) for name, stage in STAGES.items()}


def test_each_word_of_a_fault_that_is_shown_in_an_example_is_one() -> None:
    words = re.findall(r"`[^`\n]*\b(fault|stage) = ([\w-]+)[^`\n]*->", DOCUMENT)
    assert words
    assert {word for kind, word in words if kind == "stage"} <= set(STAGES)
    assert {word for kind, word in words if kind == "fault"} <= set(FaultCode)

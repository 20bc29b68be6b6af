"""CONTRIBUTING.md is true of the tests and of what they need."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests import mailservers
from tests.deploy.network import TOOLS
from tests.documents import section

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SETUP = section(DOCUMENT, "Set-up")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
# In the locked versions of .venv, or on every Debian.
ANYWHERE = {"python3-twisted", "sudo", "util-linux", "iproute2", "hostname"}


def words(text: str) -> set[str]:
    """What stands in backticks, word by word."""
    return {word for part in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text) for word in part.split()}


def missed() -> Iterator[str]:
    """The packages that a test names in so many words when it skips."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "not_installed":
                for packages in node.args[1:]:
                    if isinstance(packages, ast.Constant) and isinstance(packages.value, str):
                        yield from packages.value.partition(",")[0].split()


def test_the_row_of_the_tests_has_every_folder_and_no_other() -> None:
    (row,) = re.findall(r"^\| `tests/` \| (.+) \|$", DOCUMENT, re.MULTILINE)
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - {"__pycache__"}
    assert words(row) == folders


def test_every_package_without_which_a_test_skips_is_named() -> None:
    found = {
        *missed(),
        *(package for packages in mailservers.PROGRAMS.values() for package in packages.split()),
        *TOOLS.values(),
    }
    assert "faketime" in found
    assert found >= ANYWHERE
    assert found - ANYWHERE <= words(SETUP)


def test_every_package_that_ci_installs_is_named() -> None:
    (listed,) = re.findall(r"^packages=\((.*?)^\)", CI, re.MULTILINE | re.DOTALL)
    assert set(listed.split()) <= words(SETUP)


def test_every_target_that_ci_makes_is_named_or_part_of_one_that_is() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^ {4}make ([a-z-]+)", SETUP, re.MULTILINE))
    parts = {
        word
        for name in named
        for word in re.findall(rf"^{name}: ([^#\n]*)", makefile, re.MULTILINE)[0].split()
    }
    made = {word for line in re.findall(r"^make (.+)$", CI, re.MULTILINE) for word in line.split()}
    assert "wheel" in made
    assert made <= named | parts

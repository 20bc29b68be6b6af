"""The lock files: complete, pinned by hash, and free of where a package came from."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.compose import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNNING = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["demo"]]
WANTED = {
    "requirements.lock": RUNNING,
    "requirements-dev.lock": RUNNING + PROJECT["dependency-groups"]["dev"],
    "requirements-build.lock": PROJECT["build-system"]["requires"],
    "requirements-fuzz.lock": ["atheris>=3,<3.1"],  # later ones have no wheel for Python 3.11
}
LOCKS = pytest.mark.parametrize("name", WANTED)


def locked(name: str) -> dict[str, list[str]]:
    """The lines of each package of a lock file."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if not line.startswith((" ", "#")):
            found[line] = []
        elif found:
            found[list(found)[-1]].append(line)
    return found


@LOCKS
def test_every_package_is_pinned_by_version_and_hash(name: str) -> None:
    packages = locked(name)
    assert packages
    for package, lines in packages.items():
        assert re.match(r"[a-z0-9-]+(\[[a-z,]+\])?==[\w.]+( ;.*)? \\$", package), package
        assert any(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines), package


@LOCKS
def test_what_the_project_asks_for_is_locked_at_a_version_that_it_takes(name: str) -> None:
    versions: dict[str, list[str]] = {}
    for package in locked(name):
        pin = Requirement(package.rstrip(" \\"))
        versions.setdefault(canonicalize_name(pin.name), []).append(next(iter(pin.specifier)).version)
    for text in WANTED[name]:
        asked = Requirement(text)
        found = versions.get(canonicalize_name(asked.name), [])
        assert found, f"{asked.name} is missing: run the command at the top of {name}"
        assert all(asked.specifier.contains(version) for version in found), text


@LOCKS
def test_no_place_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links|\s/\w+/", text)


@LOCKS
def test_its_first_lines_say_how_it_was_made(name: str) -> None:
    command = (ROOT / name).read_text().splitlines()[1]
    assert "uv pip compile --universal --generate-hashes --python-version 3.11" in command
    assert command.endswith(f"-o {name}")

"""The documents are true: their commands exist, their examples load, their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from docs.generate import COMMANDS, commands_text
from docs.page import PICTURE, VIEWPORT
from postbeat import profile
from postbeat.cli import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def commands() -> dict[str, click.Command]:
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def options(command: click.Command, words: list[str]) -> set[str]:
    """The options of a command, or of the one of a group that the words name."""
    if isinstance(command, click.Group) and words:
        inner = command.get_command(click.Context(command), words[0])
        if inner is not None:
            return options(inner, words[1:])
    return {option for parameter in command.params for option in parameter.opts}


def test_the_list_of_commands_is_what_help_says() -> None:
    assert COMMANDS.read_text(encoding="utf-8") == commands_text(), "run: make docs"


@EACH
def test_every_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@EACH
def test_every_command_and_option_that_is_named_exists(document: Path) -> None:
    known = commands()
    text = document.read_text(encoding="utf-8")
    for line in re.findall(r"(?:^ {4}|`|\s)postbeat ((?:[a-z]+|-h|--help)\b[^`\n|#]*)", text, re.MULTILINE):
        name, *words = line.split()
        if name not in known:
            continue
        allowed = options(known[name], words)
        for word in words:
            if word.startswith("--") and word != "--help":
                assert word.rstrip(".,;:)") in allowed, f"postbeat {line}"


def test_the_readme_names_only_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^ {4}|`)postbeat ([a-z]+)", text, re.MULTILINE))
    assert named
    assert named <= set(commands())


@EACH
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(
        r"(?:^ {4}|`)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE
    ):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


# docs/profile.md also shows faults; tests/unit/test_profile_docs.py goes through it.
@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "profile.md"], ids=str)
def test_every_profile_that_is_shown_loads(document: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        if re.search(r"^elements:", block, re.MULTILINE):
            file = tmp_path / "profile.yaml"
            file.write_text(block, encoding="utf-8")
            profile.load(file)


def test_make_lists_its_targets() -> None:
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"make ([a-z-]+)", done.stdout)
    assert {"install", "demo", "test", "check", "bench", "docs", "wheel"} <= set(listed)


@pytest.mark.parametrize(
    "image", sorted((ROOT / "docs" / "images").glob("*.svg")), ids=lambda path: path.name
)
def test_the_pictures_show_real_output(image: Path) -> None:
    text = image.read_text(encoding="utf-8").replace("&#160;", " ")
    assert "GOOD" in text
    assert re.search(r"\d+\.\d ms", text)


def test_the_picture_of_the_page_is_one_and_loads_quickly() -> None:
    image = PICTURE.read_bytes()
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")
    assert (width, height) == (VIEWPORT["width"], VIEWPORT["height"])
    assert len(image) < 150_000

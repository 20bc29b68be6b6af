"""deploy/Dockerfile, read without an engine."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import PurePosixPath

import yaml

from tests.deploy.compose import ROOT, search_path

TEXT = (ROOT / "deploy" / "Dockerfile").read_text()
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, its FROM first."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", TEXT))
    found: list[list[Instruction]] = []
    for line in filter(None, joined.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def last(word: str) -> str:
    """The argument of the last such instruction of the final stage."""
    return [rest for name, rest in stages()[-1] if name == word][-1]


def copied_from_the_checkout() -> list[str]:
    sources = []
    for word, rest in (instruction for stage in stages() for instruction in stage):
        if word == "COPY" and "--from=" not in rest:
            sources += [name for name in rest.split()[:-1] if not name.startswith("--")]
    return sources


def test_what_is_copied_exists_and_is_sent_to_the_engine() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied_from_the_checkout()
    for source in copied_from_the_checkout():
        assert (ROOT / source).exists(), source
    assert sent == set(copied_from_the_checkout())


def test_every_package_of_the_wheel_is_copied() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} & {
        "postbeat",
        "workers",
        "beat_schedule",
    }
    assert packages <= set(copied_from_the_checkout())


def test_both_stages_have_the_same_python() -> None:
    images = [stage[0][1].split()[0] for stage in stages()]
    assert len(images) == 2
    assert len(set(images)) == 1


def test_what_is_installed_from_the_network_is_pinned_by_hash_and_not_compiled() -> None:
    runs = [rest for stage in stages() for word, rest in stage if word == "RUN"]
    steps = re.findall(r"pip (?:install|wheel) [^&]*", " && ".join(runs))
    assert len(steps) == 4
    for step in steps:
        pinned = "--require-hashes --only-binary=:all: -r requirements" in step
        assert pinned or "--no-index" in step, step


def test_the_final_stage_only_copies() -> None:
    assert {word for word, _ in stages()[-1]} == {"FROM", "ENV", "COPY", "USER", "WORKDIR", "CMD"}


def test_the_container_does_not_run_as_root() -> None:
    user = re.fullmatch(r"(\d+):(\d+)", last("USER"))
    assert user
    assert "0" not in user.groups()


def test_what_containers_write_to_is_their_users_in_the_image() -> None:
    # A new volume takes the owner of the folder that it is mounted on; where there is none, it is root's.
    build, final = stages()
    made = [PurePosixPath("/build") / path for word, rest in build for path in made_folders(word, rest)]
    theirs = set()
    for word, rest in final:
        if word == "COPY" and f"--chown={last('USER')}" in rest.split():
            source, target = rest.split()[-2:]
            theirs |= {f"{target}/{it.relative_to(source)}" for it in made if it.is_relative_to(source)}
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    volumes = [
        volume.split(":")
        for name in ("notify", "bridge")
        for volume in services[name]["volumes"]
        if not volume.startswith("$")
    ]
    assert {target for _source, target in volumes} == theirs == {"/var/log/postbeat"}


def made_folders(word: str, rest: str) -> list[str]:
    return rest.removeprefix("mkdir -p ").split() if word == "RUN" and rest.startswith("mkdir -p ") else []


def test_its_commands_are_commands() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    commands = [
        json.loads(last("CMD")),
        *(data["command"] for data in services.values() if data.get("image", "postbeat") == "postbeat"),
    ]
    for command in commands:
        assert shutil.which(command[0], path=search_path()), command


def test_the_health_check_of_compose_is_in_the_image() -> None:
    copies = [rest.split()[-2:] for word, rest in stages()[-1] if word == "COPY"]
    assert ["deploy/healthy.py", "/usr/local/bin/postbeat-healthy"] in copies
    script = ROOT / "deploy" / "healthy.py"
    assert script.read_text().startswith("#!/usr/bin/env python\n")
    assert os.access(script, os.X_OK)

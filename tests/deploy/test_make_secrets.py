"""deploy/make-secrets: what a new site begins with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from postbeat.secrets import Keys
from tests.deploy.compose import ROOT, make_secrets, search_path


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()]}


def test_the_key_is_usable_and_the_password_is_the_same_for_both_sides(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    assert len(Keys.parse((folder / "site.key").read_text().splitlines(), "site.key").signing) == 1
    password = (folder / "redis.conf").read_text().removeprefix("requirepass ").rstrip()
    assert len(password) == 64
    assert (folder / "redis.env").read_text() == f"POSTBEAT_REDIS_URL=redis://:{password}@redis:6379/0\n"


def test_other_users_cannot_enter_the_folder_and_containers_can_read_what_they_mount(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    assert modes(folder) == {
        "secrets": 0o700,
        "site.key": 0o644,
        "redis.conf": 0o644,
        "redis.env": 0o600,
        "flower.env": 0o600,
        "passwords": 0o755,
    }


def test_the_key_comes_from_the_image_where_nothing_else_is_said(tmp_path: Path) -> None:
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    # The image has no entry point, so that a container runs the words after its name.
    engine.write_text('#!/bin/sh\n[ "$1 $2 $3" = "run --rm postbeat" ] && shift 3 && exec "$@"\n')
    engine.chmod(0o755)
    assert run(tmp_path / "secrets", "", engine.parent).returncode == 0
    assert Keys.parse([(tmp_path / "secrets" / "site.key").read_text()], "site.key")


def test_no_two_sites_share_a_secret(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_secrets(tmp_path / name)
    for file in ("site.key", "redis.conf", "flower.env"):
        assert (tmp_path / "one" / file).read_text() != (tmp_path / "two" / file).read_text()


def test_secrets_that_exist_are_left_alone(tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets")
    before = (tmp_path / "secrets" / "site.key").read_text()
    assert run(tmp_path / "secrets", "postbeat").returncode != 0
    assert (tmp_path / "secrets" / "site.key").read_text() == before


def test_without_a_key_nothing_is_made(tmp_path: Path) -> None:
    assert run(tmp_path / "secrets", "false").returncode != 0
    assert list(tmp_path.iterdir()) == []


def run(folder: Path, command: str, *search: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [ROOT / "deploy" / "make-secrets", folder],
        env={**os.environ, "POSTBEAT_COMMAND": command, "PATH": search_path(*search)},
        capture_output=True,
        timeout=60,
        check=False,
    )

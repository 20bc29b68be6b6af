"""deploy/make-secrets: what a new site begins with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from postbeat.secrets import Keys
from postbeat.web.users import Role, read, verify
from tests.deploy.compose import ROOT, make_secrets, search_path


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "secrets"
    make_secrets(folder)
    return folder


def test_the_key_is_usable_and_the_password_is_the_same_for_both_sides(folder: Path) -> None:
    assert len(Keys.parse((folder / "site.key").read_text().splitlines(), "site.key").signing) == 1
    password = (folder / "redis.conf").read_text().removeprefix("requirepass ").rstrip()
    assert len(password) == 64
    assert (folder / "redis.env").read_text() == f"POSTBEAT_REDIS_URL=redis://:{password}@redis:6379/0\n"


def test_other_users_cannot_enter_the_folder_and_containers_can_read_what_they_mount(folder: Path) -> None:
    assert modes(folder) == {
        "secrets": 0o700,
        "site.key": 0o644,
        "redis.conf": 0o644,
        "redis.env": 0o600,
        **dict.fromkeys(("flower.env", "grafana.env", "web.env", "sinks.env", "web-admin.txt"), 0o600),
        "passwords": 0o755,
        "users": 0o755,
    }
    assert modes(folder / "users") == {"users": 0o755, "users.yaml": 0o644}


def test_the_first_user_of_the_page_may_log_in_and_the_page_does_not_know_the_password(folder: Path) -> None:
    password = (folder / "web-admin.txt").read_text().rstrip()
    user = read(folder / "users" / "users.yaml")["admin"]
    assert verify(user, password)
    assert user.role is Role.OPERATOR
    assert password not in (folder / "web.env").read_text()


def test_the_key_comes_from_the_image_where_nothing_else_is_said(tmp_path: Path) -> None:
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    # The image has no entry point, so that a container runs the words after its name.
    # What it needs of this machine is mounted where it is here.
    engine.write_text('#!/bin/sh\nwhile [ "$1" != postbeat ]; do shift; done; shift; exec "$@"\n')
    engine.chmod(0o755)
    assert run(tmp_path / "secrets", "", engine.parent).returncode == 0
    assert Keys.parse([(tmp_path / "secrets" / "site.key").read_text()], "site.key")


def test_no_two_sites_share_a_secret(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "secrets"
    make_secrets(other)
    for file in ("site.key", "redis.conf", "flower.env", "grafana.env", "web.env", "web-admin.txt"):
        assert (folder / file).read_text() != (other / file).read_text()


def test_secrets_that_exist_are_left_alone(folder: Path) -> None:
    before = (folder / "site.key").read_text()
    assert run(folder, "postbeat").returncode != 0
    assert (folder / "site.key").read_text() == before


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

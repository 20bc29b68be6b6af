"""The key of a site that runs on one machine: made once, and handed to its processes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from postbeat import secrets, settings
from postbeat.cli import site
from postbeat.cli.site import site_key
from postbeat.settings import SettingsError


def test_it_is_made_at_the_first_start_and_stays(tmp_path: Path) -> None:
    key = site_key(settings.load({}), tmp_path)
    assert key == site_key(settings.load({}), tmp_path)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key").read_text() == key + "\n"


def test_of_two_that_start_together_the_second_takes_the_key_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = secrets.new_key()

    def made_meanwhile() -> str:
        (tmp_path / "key").write_text(first + "\n")
        return secrets.new_key()

    monkeypatch.setattr(site, "new_key", made_meanwhile)
    assert site_key(settings.load({}), tmp_path) == first
    assert (tmp_path / "key").read_text() == first + "\n"


def test_where_it_cannot_be_written_no_part_of_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError) as caught:
        site_key(settings.load({}), tmp_path)
    assert str(caught.value) == f"cannot write the site's key {tmp_path}/key: No space left on device"
    assert not list(tmp_path.iterdir())


def test_comments_of_its_file_go_nowhere(tmp_path: Path) -> None:
    """Its processes have it in their environment, where a comma stands for the end of a line."""
    keys = [secrets.new_key(), secrets.new_key()]
    path = tmp_path / "key"
    path.write_text(f"# Schlüssel, neu\n{keys[0]}\n  # old, goes in May\n{keys[1]}\n", encoding="utf-8")
    text = site_key(settings.load({}, key_file=str(path)), tmp_path)
    assert text.split() == keys
    found = settings.load({"POSTBEAT_KEY": text}).keys()
    assert found is not None
    assert len(found.signing) == 2

"""Files that appear whole, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from postbeat.wholefiles import write_text

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


@AS_ROOT
def test_a_file_that_is_written_over_keeps_its_owner_and_its_group(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    path.write_text("before")
    os.chown(path, 1234, 5678)
    write_text(path, "after", force=True, mode=0o640)
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 5678, 0o640)
    assert path.read_text() == "after"


@pytest.mark.parametrize("reason", [errno.EPERM, errno.EINVAL])  # the latter for owners that no namespace has
def test_who_may_not_give_files_to_others_writes_them_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(place: str, owner: int, group: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "chown", refuse)
    path = tmp_path / "users.yaml"
    path.write_text("before")
    write_text(path, "after", force=True)
    assert path.read_text() == "after"


def test_a_new_file_needs_no_hard_links_and_is_written_over_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: Path, path: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "key"
    write_text(path, "first", force=False, mode=0o600)
    with pytest.raises(FileExistsError):
        write_text(path, "second", force=False)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("first", 0o600)
    assert os.listdir(tmp_path) == ["key"]


@pytest.mark.parametrize("is_there", [True, False], ids=["to a file", "to nothing yet"])
def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path, *, is_there: bool) -> None:
    target, link = tmp_path / "kept" / "my.rules", tmp_path / "my.rules"
    target.parent.mkdir()
    if is_there:
        target.write_text("before")
    link.symlink_to(target)
    write_text(link, "after", force=True)
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert os.listdir(target.parent) == ["my.rules"]


def test_a_link_to_itself_is_an_error_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "loop"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        write_text(link, "after", force=True)
    assert link.is_symlink()


def test_nothing_is_written_over_without_force(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        write_text(link, "after", force=False)
    assert os.listdir(tmp_path) == ["link"]

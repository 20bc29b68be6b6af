"""The keeper of a site: its processes follow the profile, and end together."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from postbeat.embedded.keeper import Keeper
from postbeat.embedded.processes import Child, EmbeddedError, Processes
from postbeat.embedded.site import Site

GRACE_S = 30.0
# It says that it was asked to end, and does so once the others have said so, and there is a file named "go".
PROGRAM = """
import signal, sys, time
from pathlib import Path
name, folder, others = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
def end(*_):
    (folder / f"{name}.asked").touch()
    while not all((folder / wanted).exists() for wanted in [*others, "go"]):
        time.sleep(0.01)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(folder / f"{name}.ready").touch()
time.sleep(600)
"""


class Programs:
    """A site of programs that end as the test wants it."""

    workers = "worker"

    def __init__(self, processes: Processes, folder: Path, *waits_for: str) -> None:
        self.processes, self.folder, self.waits_for = processes, folder, waits_for
        self.started: list[Child] = []
        self.grace_s = GRACE_S

    def worker(self, region: str) -> Child:
        return self.start(f"worker-{region}", *self.waits_for)

    def beat(self, _profile: Path) -> Child:
        return self.start("beat")

    def start(self, name: str, *others: str) -> Child:
        child = self.processes.start(
            name,
            [sys.executable, "-c", PROGRAM, name, str(self.folder), *others],
            env=os.environ,
            log=self.folder / f"{name}.log",
            grace_s=self.grace_s,
        )
        child.wait_for(lambda: self.is_there(f"{name}.ready"), GRACE_S)
        (self.folder / f"{name}.ready").unlink()
        self.started.append(child)
        return child

    def is_there(self, name: str) -> bool | None:
        return (self.folder / name).exists() or None

    def child(self, name: str) -> Child:
        """The last one of a name."""
        return next(child for child in reversed(self.started) if child.name == name)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """A supervisor of the test's own: whatever ends among its children is the keeper's matter."""
    with Processes() as supervisor:
        yield supervisor
        (tmp_path / "go").touch()


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "profile.yaml"
    write(path, "eu", "us")
    return path


def write(path: Path, *regions: str) -> None:
    path.write_text(
        f"regions: [{', '.join(regions)}]\nelements:\n  - {{name: mail, type: smtp, server: 127.0.0.1}}\n"
    )


def keeper(site: Programs, profile: Path, told: list[str]) -> Keeper:
    made = Keeper(site.processes, cast("Site", site), profile, told.append, {})
    made.tend()
    return made


def until(condition: Callable[[], Any], meanwhile: Callable[[], None]) -> None:
    deadline_s = time.monotonic() + GRACE_S
    while not condition():
        meanwhile()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_the_worker_of_a_region_that_left_the_profile_ends_and_nothing_else_does(
    processes: Processes, profile: Path, tmp_path: Path
) -> None:
    site, told = Programs(processes, tmp_path), list[str]()
    kept = keeper(site, profile, told)
    write(profile, "eu")
    until(lambda: site.is_there("worker-us.asked"), kept.tend)  # and it goes on with what is under way
    assert site.child("worker-us").exit_code is None
    (tmp_path / "go").touch()
    until(lambda: site.child("worker-us") not in processes._children, kept.tend)
    kept.tend()
    assert site.child("worker-us").exit_code == 0
    assert {child.name for child in site.started if child.exit_code is None} == {"beat", "worker-eu"}
    assert told == []


def test_a_region_that_comes_back_gets_a_worker_once_the_one_before_has_ended(
    processes: Processes, profile: Path, tmp_path: Path
) -> None:
    site = Programs(processes, tmp_path)
    kept = keeper(site, profile, [])
    first = site.child("worker-us")
    write(profile, "eu")
    until(lambda: site.is_there("worker-us.asked"), kept.tend)
    write(profile, "eu", "us")
    kept.tend()
    assert site.child("worker-us") is first
    (tmp_path / "go").touch()
    until(lambda: site.child("worker-us") is not first, kept.tend)
    kept.tend()
    assert site.child("worker-us").exit_code is None


def test_a_worker_that_leaves_and_does_not_end_is_killed(
    processes: Processes, profile: Path, tmp_path: Path
) -> None:
    site, told = Programs(processes, tmp_path), list[str]()
    site.grace_s = 0.5
    kept = keeper(site, profile, told)
    write(profile, "eu")
    until(lambda: site.child("worker-us") not in processes._children, kept.tend)
    assert site.child("worker-us").exit_code == -signal.SIGKILL
    assert told == []


def test_what_ends_by_itself_is_started_again_and_what_is_not_its_own_is_an_error(
    processes: Processes, profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbeat.embedded.keeper.FIRST_PAUSE_S", 0.0)
    site, told = Programs(processes, tmp_path), list[str]()
    other = site.start("redis")
    kept = keeper(site, profile, told)
    site.child("worker-eu").kill()
    kept.tend()
    (message,) = told
    assert message.startswith("worker-eu was killed by signal 9")
    assert site.child("worker-eu").exit_code is None
    other.kill()
    with pytest.raises(EmbeddedError, match="redis was killed by signal 9"):
        kept.tend()


def test_all_are_asked_to_end_at_the_same_time_but_beat_which_is_the_first(
    processes: Processes, profile: Path, tmp_path: Path
) -> None:
    """Each worker waits for the other one to be asked, and all for what is done meanwhile."""
    site = Programs(processes, tmp_path, "worker-eu.asked", "worker-us.asked")
    kept = keeper(site, profile, [])
    asked = []

    def meanwhile() -> None:
        asked.append([name for name in ("beat", "worker-eu") if site.is_there(f"{name}.asked")])
        if site.is_there("beat.asked"):
            (tmp_path / "go").touch()
        time.sleep(0.01)

    kept.end(meanwhile)
    assert [child.exit_code for child in site.started] == [0, 0, 0]
    assert ["worker-eu"] not in asked
    assert processes.poll() == []


def test_another_ctrl_c_while_they_end_kills_them(
    processes: Processes, profile: Path, tmp_path: Path
) -> None:
    site = Programs(processes, tmp_path)
    kept = keeper(site, profile, [])

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.end(interrupted)
    assert [child.exit_code for child in site.started] == [-signal.SIGKILL] * 3


@pytest.mark.parametrize(("settings", "grace_s"), [({}, 10), ({"POSTBEAT_GRACE": "30"}, 30)])
def test_a_worker_has_longer_than_it_gives_its_polls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], grace_s: float
) -> None:
    monkeypatch.delenv("POSTBEAT_GRACE", raising=False)
    given: dict[str, Any] = {}

    class Recorder(Processes):
        def start(self, *_: object, **options: object) -> Child:
            given.update(options)
            return cast("Child", None)

    Site(Recorder(), tmp_path, "redis://127.0.0.1:1/0", "key", settings).worker("eu")
    assert given["grace_s"] >= grace_s + 5

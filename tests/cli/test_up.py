"""``postbeat up``: a site for the user's own profile, on one machine."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from postbeat.embedded.mail import MailServer
from tests.cli.conftest import PASSWORD, command, environment, profile_text
from tests.cli.test_demo import wait_until


@contextmanager
def up(profile: Path, state: Path) -> Iterator[subprocess.Popen[str]]:
    with (state.parent / "stderr").open("a") as told:
        process = subprocess.Popen(
            command("up", profile, "--state", state, "--json"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def next_trip(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    trip: dict[str, object] = json.loads(process.stdout.readline())
    return trip


def worker(process: subprocess.Popen[str], region: str) -> psutil.Process | None:
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):  # a zombie is one
            if f"worker-{region}@%h" in child.cmdline():
                return child
    return None


def test_a_killed_worker_is_replaced_and_what_was_known_outlives_the_site(
    mail: MailServer, tmp_path: Path
) -> None:
    profile, state = tmp_path / "profile.yaml", tmp_path / "state"
    profile.write_text(profile_text(mail, regions="[north]"))
    with up(profile, state) as process:
        assert next_trip(process)["level"] == "GOOD"
        victim = worker(process, "north")
        assert victim is not None
        victim.kill()
        wait_until(lambda: (found := worker(process, "north")) is not None and found.pid != victim.pid)
        told = (tmp_path / "stderr").read_text()
        assert "worker-north was killed by signal 9" in told
        assert "It is started again." in told
        assert next_trip(process)["level"] == "GOOD"
    key = state / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    kept = key.read_text()
    with up(profile, state) as process:
        trip = next_trip(process)
        assert trip["level"] == "GOOD"
    assert key.read_text() == kept
    written = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"out-imap4@north" in written
    assert PASSWORD.encode() not in written


def test_a_region_that_the_profile_gains_gets_a_worker(mail: MailServer, tmp_path: Path) -> None:
    profile, state = tmp_path / "profile.yaml", tmp_path / "state"
    profile.write_text(profile_text(mail, regions="[north]"))
    with up(profile, state) as process:
        assert next_trip(process)["region"] == "north"
        profile.write_text("elements: [}")
        wait_until(lambda: "The changed profile is not used" in (tmp_path / "stderr").read_text())
        assert next_trip(process)["level"] == "GOOD"
        profile.write_text(profile_text(mail, regions="[north, east]"))
        for _ in range(100):
            if next_trip(process)["region"] == "east":
                break
        else:
            raise AssertionError("no round trip of the new region")

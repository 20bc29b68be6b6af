"""``postbeat demo``: everything from nothing, and nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from postbeat.embedded.mail import MailServer
from tests.cli.conftest import Run, command, environment

pytestmark = pytest.mark.usefixtures("mail")  # skips where the demo's mail server is not installed


def wait_until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def start(*arguments: str, temp: Path, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments),
        env=environment({"TMPDIR": str(temp)}),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in processes)


def test_once_as_json_is_one_document_with_each_element_and_region(postbeat: Run, tmp_path: Path) -> None:
    done = postbeat("demo", "--once", "--json", env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    trips = json.loads(done.stdout)
    assert sorted((trip["element"], trip["region"]) for trip in trips) == [
        ("mail-imap4", "north"),
        ("mail-imap4", "south"),
        ("mail-pop3", "north"),
        ("mail-pop3", "south"),
    ]
    for trip in trips:
        assert trip["level"] == "GOOD"
        for name in ("responseTime", "uploadTime", "timeToDeliver"):
            assert 0 < trip[name] < 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_with_all_that_it_started(number: signal.Signals, tmp_path: Path) -> None:
    process = start("demo", temp=tmp_path)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    assert all("✓ GOOD" in line and "timeToDeliver" in line for line in lines)
    children = family(process)
    # Redis, the mail server, two workers, beat, and the page.
    assert len(children) >= 6
    process.send_signal(number)
    _, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert err.endswith("Ended; nothing is left behind.\n")
    assert all_gone(children)
    assert list(tmp_path.iterdir()) == []


def shown(page: str) -> str:
    """The page's text; none while it starts."""
    try:
        with urlopen(page, timeout=30) as answer:
            text: str = answer.read().decode()
            return text
    except URLError:
        return ""


def test_a_page_shows_it_and_ends_with_all_else_even_when_the_demo_is_killed(tmp_path: Path) -> None:
    process = start("demo", temp=tmp_path)
    assert process.stderr is not None
    told = next(line for line in process.stderr if line.startswith("The page is at "))
    texts = ("mail-imap4", "mail-pop3", "GOOD")
    wait_until(lambda: all(text in shown(told.split()[-1]) for text in texts), 60)
    children = family(process)
    assert len(children) >= 6
    process.kill()
    process.communicate()
    wait_until(lambda: all_gone(children))


def test_a_part_that_ends_by_itself_ends_the_demo_with_its_last_words(tmp_path: Path) -> None:
    process = start("demo", "--no-web", temp=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    victim = next(child for child in family(process) if "mailserver" in " ".join(child.cmdline()))
    victim.kill()
    _, err = process.communicate(timeout=40)
    assert process.returncode == 3
    assert "mail server was killed by signal 9" in err


def test_on_a_terminal_it_is_a_table_with_a_progress_line(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = start("demo", "--once", temp=tmp_path, stdout=theirs)
    os.close(theirs)
    output = b""
    while True:
        try:
            output += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert process.wait(30) == 0
    process.communicate()
    text = output.decode()
    last_frame = text.rpartition("Postbeat demo")[2]
    assert "4 of 4 round trips" in last_frame
    assert last_frame.count("GOOD") == 4


def test_without_a_redis_server_it_says_what_to_install(tmp_path: Path, mail: MailServer) -> None:
    env = environment({"POSTBEAT_REDIS_SERVER": "no-such-server", "TMPDIR": str(tmp_path)})
    done = subprocess.run(command("demo", "--once"), env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "POSTBEAT_REDIS_SERVER names no-such-server" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_the_temporary_folder_of_the_system_alone(postbeat: Run) -> None:
    before = set(Path(tempfile.gettempdir()).glob("postbeat-demo-*"))
    assert postbeat("demo", "--once").returncode == 0
    assert set(Path(tempfile.gettempdir()).glob("postbeat-demo-*")) <= before

"""The embedded mail server as a process: how it starts, what it says and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from postbeat.embedded.mail import PASSWORDS_VARIABLE, MailServer, mail_server
from postbeat.embedded.processes import EmbeddedError, Processes
from tests.embedded.conftest import Box, twisted_installed

MESSAGE = b"Subject: hello\r\n\r\ntext\r\n"
DELAY_S = 0.3


def started(processes: Processes, folder: Path, delay_s: float = 0) -> Box:
    twisted_installed()
    return Box(mail_server(processes, folder, {"alice": "hunter2"}, delay_s), "alice", "hunter2")


def run(*options: str, passwords: str = '{"alice": "hunter2"}') -> subprocess.CompletedProcess[str]:
    twisted_installed()
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "postbeat.embedded.mailserver", *options],
        env={**os.environ, PASSWORDS_VARIABLE: passwords},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_delay_holds_every_delivery_back(tmp_path: Path) -> None:
    with Processes() as processes:
        box = started(processes, tmp_path, DELAY_S)
        with box.imap4() as client:
            begin = time.monotonic()
            box.send(MESSAGE)
            assert client.select() == ("OK", [b"0"])
            client.send(b"I1 IDLE\r\n")
            client.readline()
            assert client.readline() == b"* 1 EXISTS\r\n"
            assert time.monotonic() - begin >= DELAY_S


def test_it_ends_at_once_even_with_a_session_open(tmp_path: Path) -> None:
    with Processes() as processes:
        box = started(processes, tmp_path)
        with box.imap4() as client:
            begin = time.monotonic()
            processes.stop()
            # After 5 seconds it would have been killed.
            assert time.monotonic() - begin < 4
            assert client.readline() == b""


def test_its_log_holds_no_secret(tmp_path: Path) -> None:
    with Processes() as processes:
        box = started(processes, tmp_path)
        box.talk(box.server.smtp, b"hunter2\xff\r\nAUTH PLAIN hunter2\r\nQUIT\r\n")
        box.talk(box.server.imap4, b"a LOGIN alice hunter2 hunter2\r\nb hunter2\xff\r\nc LOGOUT\r\n")
        box.talk(box.server.pop3, b"PASS hunter2\r\nUSER alice\r\nPASS hunter\r\nQUIT\r\n")
    log = (tmp_path / "mail.log").read_text()
    assert "UnicodeDecodeError in " in log
    assert "hunter" not in log
    assert "Traceback" not in log


def test_the_command_line_holds_no_password(tmp_path: Path) -> None:
    with Processes() as processes:
        started(processes, tmp_path)
        lines = [path.read_bytes() for path in Path("/proc/self/task").glob("*/children")]
        children = [pid.decode() for line in lines for pid in line.split()]
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
    assert any(b"--user=alice" in command for command in commands)
    assert not any(b"hunter2" in command for command in commands)


def test_a_server_that_does_not_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    twisted_installed()
    with Processes() as processes:
        with pytest.raises(EmbeddedError, match="arguments are required: --user"):
            mail_server(processes, tmp_path, {})
        assert processes.poll() == []


@pytest.mark.parametrize("passwords", ["", "[]", "{}", "null", '{"alice"}', '{"bob": "x"}'])
def test_a_user_without_a_password_is_refused(passwords: str) -> None:
    ended = run("--user=alice", passwords=passwords)
    assert ended.returncode == 2
    assert PASSWORDS_VARIABLE in ended.stderr.splitlines()[-1]


def test_a_port_that_is_taken_is_named(mail: MailServer) -> None:
    ended = run("--user=alice", f"--pop3={mail.pop3}")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"cannot listen at 127.0.0.1, port {mail.pop3}: ")
    assert ended.stdout == ""


def test_a_missing_twisted_says_what_to_install(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "twisted", None)
    with pytest.raises(EmbeddedError, match=r"pip install 'postbeat\[demo\]'"):
        mail_server(processes, tmp_path, {"alice": "hunter2"})


def test_a_folder_that_cannot_be_made_is_named(processes: Processes, tmp_path: Path) -> None:
    twisted_installed()
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=f"cannot set up the mail server in {tmp_path}/file/box"):
        mail_server(processes, tmp_path / "file" / "box", {"alice": "hunter2"})

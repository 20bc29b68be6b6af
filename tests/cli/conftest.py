from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
from click.testing import CliRunner

from postbeat.cli import main
from postbeat.embedded.mail import MailServer, mail_server
from postbeat.embedded.processes import Processes
from postbeat.embedded.redis import private_redis
from postbeat.embedded.site import Site
from postbeat.secrets import new_key
from tests.conftest import not_installed

PASSWORD = "canary-7f3a91"


class Run(Protocol):
    """Runs ``postbeat`` with arguments to its end."""

    def __call__(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without the settings of a Postbeat that may run on this machine."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTBEAT_")}
    return clean | dict(more or {})


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "postbeat", *map(str, arguments)]


def unread(*arguments: str | Path) -> tuple[int, bytes]:
    """The exit code of a command whose output nobody reads, and what it says of that."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(
            command(*arguments),
            env=environment(),
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=90,
            check=False,
        )
    finally:
        os.close(theirs)
    return done.returncode, done.stderr


@pytest.fixture(scope="session")
def postbeat() -> Run:
    def run(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments), env=environment(env), capture_output=True, text=True, timeout=90, check=False
        )

    return run


@pytest.fixture(scope="session")
def inside() -> Run:
    """Runs ``postbeat`` in this process, which takes a tenth of the time of one of its own.

    For commands that start nothing and end by themselves. An exception they do not explain is the test's.
    """

    def run(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        unset = dict.fromkeys(os.environ.keys() - environment().keys())
        runner = CliRunner(env=unset | dict(env or {}), catch_exceptions=False)
        done = runner.invoke(main, [*map(str, arguments)], prog_name="python -m postbeat")
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def mail(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> MailServer:
    if importlib.util.find_spec("twisted") is None:
        not_installed("Twisted", "python3-twisted")
    return mail_server(
        processes, tmp_path_factory.mktemp("mail"), dict.fromkeys(("probe", "other", "tested"), PASSWORD)
    )


def profile_text(
    mail: MailServer, poll: float = 1, regions: str = "[north, south]", user: str = "probe"
) -> str:
    """One smtp element for each kind of reader, and their readers, on the embedded mail server."""
    login = f"username: {user}, password: {PASSWORD}"
    return f"""
regions: {regions}
elements:
  - name: out-imap4
    type: smtp
    server: 127.0.0.1
    port: {mail.smtp}
    email: {user}@example.com
    poll: {poll}
    timeout: 5
    delivertimeout: 10
    read: in-imap4
    authenticationtype: CRAM-MD5
    username: {user}
    password: {PASSWORD}
  - name: out-pop3
    type: smtp
    server: 127.0.0.1
    port: {mail.smtp}
    email: {user}@example.com
    poll: {poll}
    timeout: 5
    delivertimeout: 10
    read: in-pop3
  - {{name: in-imap4, type: imap4, server: 127.0.0.1, port: {mail.imap4}, timeout: 5, {login}}}
  - {{name: in-pop3, type: pop3, server: 127.0.0.1, port: {mail.pop3}, timeout: 5, {login}}}
"""


@pytest.fixture
def profile(mail: MailServer, tmp_path: Path) -> Path:
    # Not the mailbox of the site that may be running meanwhile.
    path = tmp_path / "profile.yaml"
    path.write_text(profile_text(mail, user="other"))
    return path


@dataclass(frozen=True)
class RunningSite:
    """A site that has been polling for a while."""

    redis_url: str
    folder: Path


@pytest.fixture(scope="session")
def site(mail: MailServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    folder = tmp_path_factory.mktemp("site")
    profile = folder / "profile.yaml"
    more = f"""
  - {{name: closed, type: smtp, server: 127.0.0.1, port: 1, poll: 1, timeout: 5}}
  - name: tested
    type: imap4
    server: 127.0.0.1
    port: {mail.imap4}
    username: tested
    password: {PASSWORD}
    poll: 2
"""
    profile.write_text(profile_text(mail).rstrip() + more)
    with Processes() as processes:
        url = private_redis(processes, folder / "redis", persistent=False)
        running = Site(processes, folder, url, new_key())
        for region in ("north", "south"):
            running.worker(region)
        beat = running.beat(profile)

        def settled() -> bool | None:
            with redis.Redis.from_url(url) as client:
                latest: Any = [client.hlen(f"postbeat:latest:{phase}") for phase in ("read", "check")]
                results: Any = client.xlen("postbeat:results")
            return True if latest == [4, 2] and results >= 30 else None

        beat.wait_for(settled, 60)
        yield RunningSite(url, folder)

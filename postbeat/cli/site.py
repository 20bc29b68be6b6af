"""``postbeat demo`` and ``postbeat up``: everything on one machine, in one terminal."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import string
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import click

from postbeat import settings
from postbeat.cli.common import (
    EXIT_CODES,
    errors_exit,
    fail,
    json_option,
    load,
    profile_argument,
    redis_option,
    say,
)
from postbeat.cli.live import Watch
from postbeat.cli.render import console
from postbeat.embedded.keeper import Keeper
from postbeat.embedded.mail import mail_server
from postbeat.embedded.processes import EmbeddedError, Processes
from postbeat.embedded.redis import private_redis
from postbeat.embedded.site import Site
from postbeat.model import Level
from postbeat.secrets import new_key
from postbeat.store.view import ViewStore


@click.command()
@click.option("--once", is_flag=True, help="End after one round trip of each element in each region.")
@json_option
@errors_exit(EXIT_CODES[Level.UNKNOWN])
def demo(once: bool, as_json: bool) -> None:
    """Shows Postbeat at work: a private Redis, a mail server, two regions, and mail that goes round.

    Everything runs on 127.0.0.1, in one terminal. Ctrl-C ends all of it and leaves nothing behind.

    With --once the exit code is that of the worst level: 0 where every round trip was GOOD.
    """
    with _ended_by_signals(), _temporary_folder() as folder, Processes() as processes:
        with _starting("Starting a private Redis, a mail server, two workers and beat ..."):
            redis_url = private_redis(processes, folder / "redis", persistent=False)
            profile = _demo_profile(processes, folder)
            site = Site(processes, folder, redis_url, new_key())
            loaded = load(profile)
            for region in sorted({pair.region for pair, _ in loaded.active()}):
                site.worker(region)
            site.beat(profile)
        watch = Watch(ViewStore(redis_url), lambda: loaded, _check_demo(processes))
        headline = "Postbeat demo: mail from two regions, read again over IMAP4 and POP3"
        if once:
            sys.exit(watch.once(headline, as_json=as_json))
        watch.forever(headline, as_json=as_json)
    say("Ended; nothing is left behind.")


def _demo_profile(processes: Processes, folder: Path) -> Path:
    password = os.environ["POSTBEAT_DEMO_PASSWORD"] = secrets.token_urlsafe(16)
    server = mail_server(processes, folder / "mail", {"probe": password})
    template = resources.files("postbeat.cli").joinpath("demo.yaml").read_text("utf-8")
    profile = folder / "demo.yaml"
    ports = {"smtp": server.smtp, "imap4": server.imap4, "pop3": server.pop3}
    profile.write_text(string.Template(template).substitute(ports), encoding="utf-8")
    return profile


def _check_demo(processes: Processes) -> Callable[[], None]:
    def check() -> None:
        for child in processes.poll():
            raise EmbeddedError(child.how_it_ended())

    return check


@click.command()
@profile_argument
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of Redis's data, the site key and the logs [default: postbeat in XDG_STATE_HOME].",
)
@redis_option
@json_option
@errors_exit(2)
def up(profile: Path, state: Path | None, redis_url: str | None, as_json: bool) -> None:
    """Runs everything for PROFILE on this machine: Redis, a worker for each region, beat; shows results live.

    Redis is a private one whose data is kept in the state folder, unless --redis or POSTBEAT_REDIS_URL names
    another. What ends by itself is started again. Ctrl-C ends all of it.
    """
    given = settings.load(redis_url=redis_url)
    load(profile)  # a fault of it is said before anything is started
    folder = state or _state_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _ended_by_signals(), Processes() as processes:
        with _starting(f"Starting {'' if given.redis_url else 'a private Redis, '}workers and beat ..."):
            url = given.redis_url or private_redis(processes, folder / "redis", persistent=True)
            site = Site(processes, folder, url, _site_key(given, folder))
            keeper = Keeper(processes, site, profile, say)
            keeper.tend()
        say(f"Logs and data are in {folder}")
        watch = Watch(ViewStore(url), lambda: keeper.profile, keeper.tend)
        watch.forever(f"Postbeat: {profile}", as_json=as_json)


def _state_folder() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "postbeat"


def _site_key(given: settings.Settings, folder: Path) -> str:
    """The site's keys as text: those of the settings, else the state folder's, made at the first start."""
    if given.key_file or given.key:
        given.keys()
        return Path(given.key_file).read_text(encoding="ascii") if given.key_file else given.key
    path = folder / "key"
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(new_key() + "\n")
    settings.load({}, key_file=str(path)).keys()
    return path.read_text(encoding="ascii")


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="postbeat-demo-") as name:
        yield Path(name)


@contextlib.contextmanager
def _starting(text: str) -> Iterator[None]:
    err = console(stderr=True)
    if not err.is_terminal:
        say(text)
        yield
        return
    with err.status(text):
        yield


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Has SIGTERM and SIGHUP end the command as Ctrl-C does: with everything that it started."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        fail("Interrupted.", 130)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

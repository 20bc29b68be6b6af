"""``postbeat demo`` and ``postbeat up``: everything on one machine, in one terminal."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import string
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import resources
from pathlib import Path

import click

from postbeat import settings
from postbeat.cli.common import (
    EXIT_CODES,
    PluginCommand,
    errors_exit,
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
from postbeat.embedded.processes import Child, EmbeddedError, Processes
from postbeat.embedded.redis import free_port, private_redis
from postbeat.embedded.site import HOST, Site
from postbeat.model import Level
from postbeat.secrets import new_key
from postbeat.store.maintenance import MaintenanceStore
from postbeat.store.view import ViewStore
from postbeat.wholefiles import PRIVATE_MODE, write_text

WEB_PORT = 8025

no_web_option = click.option("--no-web", is_flag=True, help="Without the page.")


@click.command(cls=PluginCommand)
@click.option(
    "--once", is_flag=True, help="End after one round trip of each element in each region; without the page."
)
@no_web_option
@json_option
@errors_exit(EXIT_CODES[Level.UNKNOWN])
def demo(once: bool, no_web: bool, as_json: bool) -> None:
    """Shows Postbeat at work: a private Redis, a mail server, two regions, and mail that goes round.

    Everything runs on 127.0.0.1, in one terminal, and a page in the browser shows it too. Ctrl-C ends all of
    it and leaves nothing behind.

    With --once the exit code is that of the worst level: 0: GOOD; 1: MARGINAL; 2: FAILED; 3: UNKNOWN. It is
    3, too, where the demo cannot run.
    """
    port = None if once or no_web else free_port()
    with _ended_by_signals(), _temporary_folder() as folder, Processes() as processes:
        with _starting("Starting a private Redis, a mail server, two workers and beat ..."):
            redis_url = private_redis(processes, folder / "redis", persistent=False)
            profile = _demo_profile(processes, folder)
            site = Site(processes, folder, redis_url, new_key())
            loaded = load(profile)
            for region in sorted({pair.region for pair, _ in loaded.active()}):
                site.worker(region)
            site.beat(profile)
            if port is not None:
                site.web(port, profile)
        watch = Watch(
            ViewStore(redis_url), MaintenanceStore(redis_url), lambda: loaded, _check_demo(processes)
        )
        headline = _headline("Postbeat demo: mail from two regions, read again over IMAP4 and POP3", port)
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
@click.option(
    "--web-port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=WEB_PORT,
    show_default=True,
    help="The port of the page on 127.0.0.1; 0 is any.",
)
@no_web_option
@click.option(
    "--sinks",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Tell events to the sinks of this file (docs/events.md).",
)
@redis_option
@json_option
@errors_exit()
def up(
    profile: Path,
    state: Path | None,
    web_port: int,
    no_web: bool,
    sinks: Path | None,
    redis_url: str | None,
    as_json: bool,
) -> None:
    """Runs everything for PROFILE on this machine: Redis, a worker for each region, beat, and the page.

    Results are shown live. Redis is a private one whose data is kept in the state folder, unless --redis or
    POSTBEAT_REDIS_URL names another. What ends by itself is started again. Ctrl-C ends all of it.
    """
    given = settings.load(redis_url=redis_url)
    # What is wrong is said before anything is started.
    load(profile)
    if sinks is not None:
        _check_sinks(sinks)
    port = None if no_web else _web_port(web_port)
    folder = state or state_folder()
    make_folder(folder)
    with _ended_by_signals(), Processes() as processes:
        with _starting(f"Starting {'' if given.redis_url else 'a private Redis, '}workers and beat ..."):
            url = given.redis_url or private_redis(processes, folder / "redis", persistent=True)
            site = Site(processes, folder, url, site_key(given, folder))
            others: dict[str, Callable[[], Child]] = {}
            if sinks is not None:
                others["notify"] = partial(site.notify, sinks)
            if port is not None:
                others["web"] = partial(site.web, port, profile)
            keeper = Keeper(processes, site, profile, say, others)
            keeper.tend()
        say(f"Logs and data are in {folder}")
        watch = Watch(ViewStore(url), MaintenanceStore(url), lambda: keeper.profile, keeper.tend)
        try:
            watch.forever(_headline(f"Postbeat: {profile}", port), as_json=as_json)
        finally:
            keeper.end()


def _check_sinks(sinks: Path) -> None:
    from postbeat.sinks import loading  # noqa: PLC0415  takes its time, and most sites begin without

    loading.load(sinks)


def _web_port(port: int) -> int:
    """The port of the page: this one if it is free, and any for 0.

    Raises:
        EmbeddedError: something else listens there.
    """
    if not port:
        return free_port()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the page does
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise EmbeddedError(
                f"the page cannot listen on {HOST} port {port}: {error.strerror}; give another one with "
                "--web-port (0 is any), or --no-web"
            ) from error
    return port


def _headline(what: str, port: int | None) -> str:
    """What the table is headed by; says where the page is, too, as no table may be shown."""
    if port is None:
        return what
    page = f"http://{HOST}:{port}/"
    say(f"The page is at {page}")
    return f"{what}  ·  {page}"


def state_folder() -> Path:
    """Where a site keeps its data, unless another folder is named.

    Raises:
        SettingsError: the user has no home folder.
    """
    named = os.environ.get("XDG_STATE_HOME")
    try:
        if not named and os.environ.get("HOME") == "":  # which Python takes for /
            raise RuntimeError
        home = named or Path.home() / ".local" / "state"
    except RuntimeError:  # such as the user of a container
        raise settings.SettingsError(
            "this user has no home folder to keep data in: name a folder with --state, or set HOME"
        ) from None
    return Path(home) / "postbeat"


def make_folder(folder: Path) -> None:
    """Makes a folder for data where there is none, for its owner only.

    Raises:
        SettingsError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise settings.SettingsError(f"cannot make the folder {folder}: {error.strerror}") from error


def site_key(given: settings.Settings, folder: Path) -> str:
    """The site's keys as text: those of the settings, else the state folder's, made at the first start.

    Raises:
        SettingsError: they are not usable, or cannot be made.
    """
    if given.key and not given.key_file:
        given.keys()
        return given.key
    path = Path(given.key_file or folder / "key")
    if not given.key_file:
        _make_key(path)
    settings.load({}, key_file=str(path)).keys()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    # Without comments: in the environment, where it goes, a comma of one would end a line.
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def _make_key(path: Path) -> None:
    """Makes a file with a new key where there is none; of two that do so at once, the first one's stays."""
    if os.path.lexists(path):
        return
    try:
        write_text(path, new_key() + "\n", force=False, mode=PRIVATE_MODE)
    except FileExistsError:
        return
    except OSError as error:
        raise settings.SettingsError(f"cannot write the site's key {path}: {error.strerror}") from error


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
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

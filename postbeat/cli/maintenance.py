"""``postbeat maintenance``: windows that are announced by hand."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict

import click
from rich.table import Table
from rich.text import Text

from postbeat import settings
from postbeat.cli.common import NOT_THERE, errors_exit, fail, json_option, print_json, redis_option, say
from postbeat.cli.render import console, moment
from postbeat.cli.when import Duration
from postbeat.store.maintenance import AdHoc, MaintenanceStore
from postbeat.store.summary import any_named
from postbeat.store.view import ViewStore


@contextmanager
def _store(redis_url: str | None) -> Iterator[MaintenanceStore]:
    store = MaintenanceStore(settings.load(redis_url=redis_url).needed_redis_url())
    try:
        yield store
    finally:
        store.close()


@click.group()
def maintenance() -> None:
    """Announces maintenance, so that failures in its time do not count and give no alerts.

    Windows that recur stand in the profile instead (maintenance: Sun 02:00-04:00).
    """


@maintenance.command()
@click.argument("element", metavar="ELEMENT_GLOB")
@click.option("--region", metavar="GLOB", default="*", help="Only in regions of this name.")
@click.option(
    "--for", "length_us", metavar="TIME", type=Duration(), required=True, help="How long: 2h, 30min."
)
@click.option("--why", metavar="TEXT", required=True, help="What people should know of it.")
@redis_option
@json_option
@errors_exit()
def start(element: str, region: str, length_us: int, why: str, redis_url: str | None, as_json: bool) -> None:
    """Begins maintenance now, of all elements that the glob fits."""
    with _store(redis_url) as store:
        now_us = store.now_us()
        try:
            made = store.add(element, region, from_us=now_us, to_us=now_us + length_us, why=why, by=_user())
        except ValueError as error:
            fail(str(error))
    _warn_if_idle(made, redis_url)
    if as_json:
        print_json(_data(made))
    else:
        until = f"{moment(made.to_us)} UTC"
        say(f"Maintenance {made.id} until {until}; to end it earlier: postbeat maintenance end {made.id}")


@maintenance.command()
@click.argument("name", metavar="ID")
@redis_option
@errors_exit()
def end(name: str, redis_url: str | None) -> None:
    """Ends maintenance now."""
    with _store(redis_url) as store:
        ended = store.end(name, store.now_us())
    if ended is None:
        fail(f"there is no maintenance {name}: postbeat maintenance list shows what there is", NOT_THERE)
    say(f"Maintenance {name} ended at {moment(ended.to_us)} UTC.")


@maintenance.command("list")
@redis_option
@json_option
@errors_exit()
def listing(redis_url: str | None, as_json: bool) -> None:
    """Shows what was announced, past and to come."""
    with _store(redis_url) as store:
        windows, now_us = store.listing(), store.now_us()
    if as_json:
        print_json([_data(window) for window in windows])
    elif windows:
        console().print(_table(windows, now_us))
    else:
        say("No maintenance was announced by hand.")


def _user() -> str:
    """Who announces: the login name, or the number of a user that has none, such as that of a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        return f"uid {os.getuid()}"


def _warn_if_idle(window: AdHoc, redis_url: str | None) -> None:
    with closing(ViewStore(settings.load(redis_url=redis_url).needed_redis_url())) as view:
        if not any_named(view.profile(), window.element, window.region):
            say(f"No element of the profile fits {window.element} in a region {window.region} now.")


def _data(window: AdHoc) -> dict[str, object]:
    data = asdict(window)
    return data | {"from": data.pop("from_us") / 1e6, "to": data.pop("to_us") / 1e6}


def _table(windows: list[AdHoc], now_us: int) -> Table:
    table = Table("id", "", "element", "region", "from (UTC)", "to (UTC)", "by", box=None, pad_edge=False)
    table.add_column("why", overflow="fold")
    for window in windows:
        is_on = window.from_us <= now_us < window.to_us
        table.add_row(
            window.id,
            Text("now", style="yellow") if is_on else "over" if window.to_us <= now_us else "to come",
            window.element,
            window.region,
            moment(window.from_us),
            moment(window.to_us),
            Text(window.by),
            Text(window.why),
        )
    return table

"""``postbeat ism alerts``: the table that rules fill, and how it changes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing

import click
from rich.table import Table
from rich.text import Text

from postbeat import settings
from postbeat.alerts import Alert, AlertEvent, Change
from postbeat.cli.common import errors_exit, json_option, print_json, redis_option, say
from postbeat.cli.render import age, console, moment
from postbeat.store.alerts import AlertStore

# A severity is told by number, word and colour, so that none of the three is needed alone.
_SEVERITIES = ("clear", "indeterminate", "warning", "minor", "major", "critical")
_COLOURS = ("green", "magenta", "blue", "yellow", "dark_orange", "bold red")
# Fields may hold what a mail server says, which must not steer a terminal.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@click.command()
@click.option(
    "--all", "everything", is_flag=True, help="Cleared ones too; with -f also what only came again."
)
@click.option("-f", "--follow", is_flag=True, help="Go on, and show each change as it comes.")
@redis_option
@json_option
@errors_exit()
def alerts(everything: bool, follow: bool, redis_url: str | None, as_json: bool) -> None:
    """Shows the alerts that rules have made of results, those that are open, the most severe first.

    With --json one document, or with -f one per line: "change" is null for a row that was there before.
    """
    url = settings.load(redis_url=redis_url).needed_redis_url()
    with closing(AlertStore(url)) as store:
        end = store.newest()
        rows = sorted((row for row in store.table() if everything or row.is_open), key=_rank)
        if as_json and follow:
            for row in rows:
                print_json({"change": None, "alert": row.as_data()}, indent=None)
        elif as_json:
            print_json([row.as_data() for row in rows])
        elif rows:
            console().print(_table(rows, time.time_ns() // 1000))
        else:
            say("No alert is open." if not everything else "There are no alerts yet.")
        if follow:
            _follow(store.follow(end, repeats=everything), as_json=as_json)


def _follow(coming: Iterator[AlertEvent | None], *, as_json: bool) -> None:
    try:
        for event in coming:
            if event is not None and as_json:
                print_json({"change": event.change, "alert": event.alert.as_data()}, indent=None)
            elif event is not None:
                console().print(_line(event))
    except KeyboardInterrupt:
        return


def _rank(row: Alert) -> tuple[int, int, str]:
    return -row.severity, -row.last_occurrence_us, row.identifier


def _table(rows: Iterable[Alert], now_us: int) -> Table:
    table = Table("severity", "node", "group", "key", box=None, pad_edge=False)
    for name in ("tally", "first", "last"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("summary", overflow="fold")
    for row in rows:
        table.add_row(
            _severity(row.severity),
            _plain(row.node),
            _plain(row.alert_group),
            _plain(row.alert_key),
            str(row.tally),
            f"{age(now_us - row.first_occurrence_us)} ago",
            f"{age(now_us - row.last_occurrence_us)} ago",
            _plain(row.summary),
        )
    return table


def _line(event: AlertEvent) -> Text:
    row = event.alert
    line = Text(f"{moment(row.state_change_us)} {event.change:<8} ")
    severity = _severity(row.severity)
    severity.pad_right(16 - len(severity))
    line.append_text(severity)
    about = " ".join(filter(None, (row.node, row.alert_group, row.alert_key))) or row.identifier
    line.append_text(_plain(about))
    if row.tally > 1 and event.change is not Change.DELETED:
        line.append(f"  {row.tally} times", style="dim")
    return line.append_text(_plain(f"  {row.summary}"))


def _severity(number: int) -> Text:
    return Text(f"{number} {_SEVERITIES[number]}", style=_COLOURS[number])


def _plain(text: str) -> Text:
    return Text(_CONTROLS.sub(" ", text))

"""``postbeat report``: the availability report of a month."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from typing import TextIO

import click

from postbeat import settings
from postbeat.cli.common import errors_exit, fail, redis_option, say
from postbeat.model import Pair
from postbeat.report import (
    TIMINGS,
    ElementReport,
    Month,
    Report,
    as_csv,
    as_data,
    as_html,
    element_report,
)
from postbeat.store.history import History
from postbeat.store.maintenance import Calendar, MaintenanceStore
from postbeat.store.summary import ElementFacts
from postbeat.store.view import ViewStore


def _month(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Month | None:
    try:
        return None if text is None else Month.parse(text)
    except ValueError as error:
        raise click.BadParameter(f"expected a month such as 2026-11, got {text!r}") from error


@click.command()
@click.option("--month", callback=_month, metavar="YYYY-MM", help="In UTC [default: the last full month].")
@click.option("--element", metavar="GLOB", default="*", help="Only elements of this name.")
@click.option("--region", metavar="GLOB", default="*", help="Only regions of this name.")
@click.option("--group", metavar="GLOB", default="*", help="Only elements of this group.")
@click.option(
    "--format", "kind", type=click.Choice(["html", "csv", "json"]), default="html", show_default=True
)
@click.option(
    "-o",
    "--output",
    type=click.File("w", encoding="utf-8", lazy=True),
    default="-",
    help="A file [default: stdout].",
)
@redis_option
@errors_exit()
def report(
    month: Month | None,
    element: str,
    region: str,
    group: str,
    kind: str,
    output: TextIO,
    redis_url: str | None,
) -> None:
    """Writes the availability report of a month.

    For each element, over all regions and in each: polls, availability, an estimate of the downtime, faults,
    what is left of the error budget, and percentiles of the response time and of the time to deliver. The
    elements are those of the profile in force. HTML is one file without external parts.
    """
    url = settings.load(redis_url=redis_url).needed_redis_url()
    now_us = time.time_ns() // 1000
    month = month or Month.last_full(now_us)
    if month.from_us > now_us:
        fail(f"{month} has not begun yet")
    with (
        closing(ViewStore(url)) as view,
        closing(History(url)) as history,
        closing(MaintenanceStore(url)) as windows,
    ):
        wanted = [
            facts
            for name, facts in sorted(view.profile().items())
            if fnmatchcase(name, element) and fnmatchcase(facts.group, group)
        ]
        calendar = windows.calendar({facts.name: facts.maintenance for facts in wanted})
        elements = list(_elements(history, wanted, region, month, calendar))
    if not elements:
        say("No element of the profile in force was selected.")
    made = Report(month, now_us, elements)
    if kind == "json":
        output.write(json.dumps(as_data(made), indent=2, ensure_ascii=False) + "\n")
    else:
        output.write(as_csv(made) if kind == "csv" else as_html(made))


def _elements(
    history: History, wanted: list[ElementFacts], region: str, month: Month, calendar: Calendar
) -> Iterator[ElementReport]:
    for facts in wanted:
        regions = [name for name in facts.regions if fnmatchcase(name, region)]
        if facts.poll is None or not regions:
            continue
        series = {
            name: history.series(
                [Pair(facts.name, name)],
                month.from_us,
                month.to_us,
                step="day",
                timings=TIMINGS,
                calendar=calendar,
            )
            for name in regions
        }
        yield element_report(
            facts.name,
            series,
            target_percent=facts.availabilitytarget,
            poll_s=facts.poll,
            description=facts.description,
            group=facts.group,
        )

"""``postbeat status``, ``results``, ``events`` and ``mailboxes``: what Redis knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import click

from postbeat import plain, settings
from postbeat.cli.common import F, errors_exit, json_option, print_json, redis_option, say
from postbeat.cli.mail import mailbox_table
from postbeat.cli.render import console, event_line, result_line, state_table, verdict_table
from postbeat.cli.when import Moment
from postbeat.delivery import Outcome, Tally
from postbeat.ism.elements import as_lines, of_result
from postbeat.model import Level, Pair, Phase
from postbeat.results import AnyEvent, Result, VerdictEvent
from postbeat.rollup import Rollup
from postbeat.store import keys
from postbeat.store.fold import HOUR_US
from postbeat.store.history import History
from postbeat.store.maintenance import MaintenanceStore
from postbeat.store.view import ElementVerdict, MailboxState, PairState, PairSummary, ViewStore
from postbeat.verdict import Verdict, disagreeing

NOTHING = "Nothing is monitored in this Redis yet: start a beat (postbeat beat PROFILE) and workers."
COUNT = 20
ALL = 1_000_000  # more than the streams hold
WIDE = 190  # columns of a terminal on which the last hours leave room for messages
AT_A_GLANCE = 100  # pairs whose hours are shown unasked: each takes a few milliseconds
HOURS = 24

element_option = click.option("--element", metavar="GLOB", default="*", help="Only elements of this name.")
region_option = click.option("--region", metavar="GLOB", default="*", help="Only regions of this name.")
count_option = click.option(
    "-n",
    "--count",
    type=click.IntRange(0),
    help=f"The newest so many [default: {COUNT}, or all with --since].",
)
since_option = click.option(
    "--since", "since_us", metavar="TIME", type=Moment(), help="Only later ones: 2h (ago), 2026-11-26T10:00Z."
)
follow_option = click.option("-f", "--follow", is_flag=True, help="Go on as new ones come, until Ctrl-C.")


def _listing(command: F) -> F:
    """What all commands have that list what comes in the course of time."""
    for option in (
        errors_exit(1),
        json_option,
        redis_option,
        follow_option,
        count_option,
        since_option,
        region_option,
        element_option,
    ):
        command = option(command)
    return command


@contextmanager
def _store(redis_url: str | None) -> Iterator[ViewStore]:
    view = ViewStore(settings.load(redis_url=redis_url).needed_redis_url())
    try:
        yield view
    finally:
        view.close()


def _matches(element: str, region: str) -> Callable[[Pair], bool]:
    return lambda pair: fnmatchcase(pair.element, element) and fnmatchcase(pair.region, region)


def _level_option(*words: str) -> Callable[[F], F]:
    return click.option(
        "--level",
        "levels",
        type=click.Choice(words, case_sensitive=False),
        multiple=True,
        help="Only of this level; may be given several times.",
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a listing is narrowed to."""

    element: str
    region: str
    levels: tuple[str, ...]
    since_us: int | None

    def result(self, result: Result) -> bool:
        return self._fits(result.poll.element, [result.poll.region], result.level, result.at_us)

    def event(self, event: AnyEvent) -> bool:
        if isinstance(event, VerdictEvent):
            return self._fits(event.element, event.regions, event.verdict, event.at_us)
        return self._fits(event.pair.element, [event.pair.region], event.level, event.at_us)

    def count(self, count: int | None) -> int:
        if count is not None:
            return count
        return COUNT if self.since_us is None else ALL

    def _fits(self, element: str, regions: Iterable[str], level: str, at_us: int) -> bool:
        return (
            fnmatchcase(element, self.element)
            and any(fnmatchcase(region, self.region) for region in regions)
            and (not self.levels or level in self.levels)
            and (self.since_us is None or at_us >= self.since_us)
        )


@click.command()
@click.option("--verdicts", is_flag=True, help="The verdict on each element over its regions instead.")
@click.option(
    "--sparkline/--no-sparkline",
    default=None,
    help="How each of the last 24 hours was [default: where a terminal is wide enough].",
)
@element_option
@region_option
@redis_option
@json_option
@errors_exit(1)
def status(
    verdicts: bool,
    sparkline: bool | None,
    element: str,
    region: str,
    redis_url: str | None,
    as_json: bool,
) -> None:
    """Shows where every element stands in every region, worst first.

    Sparklines have a block for each hour: its availability, and the median of its response times.
    """
    if verdicts:
        _show_verdicts(element, region, redis_url, as_json=as_json)
        return
    wanted = _matches(element, region)
    with _store(redis_url) as view:
        states = [state for state in view.states() if wanted(state.pair)]
    if as_json:
        print_json([_state_data(state) for state in states])
    elif states:
        out, now_us = console(), time.time_ns() // 1000
        if sparkline is None:
            sparkline = out.is_terminal and out.width >= WIDE and len(states) <= AT_A_GLANCE
        hours = _hours(redis_url, [state.pair for state in states], now_us) if sparkline else None
        out.print(state_table(states, now_us, hours))
    else:
        say(NOTHING)


def _hours(redis_url: str | None, pairs: Sequence[Pair], now_us: int) -> dict[Pair, list[Rollup]]:
    """The last hours of each pair, oldest first; the one that goes on is the last of them."""
    url = settings.load(redis_url=redis_url).needed_redis_url()
    from_us = (now_us // HOUR_US - HOURS + 1) * HOUR_US
    with closing(MaintenanceStore(url)) as windows, closing(History(url)) as history:
        calendar = windows.calendar()
        return {
            pair: [
                rollup
                for _, rollup in history.series(
                    [pair], from_us, now_us, step="hour", timings=("responseTime",), calendar=calendar
                )
            ]
            for pair in pairs
        }


def _show_verdicts(element: str, region: str, redis_url: str | None, *, as_json: bool) -> None:
    with _store(redis_url) as view:
        summaries = view.overview()
        told = [
            verdict
            for verdict in view.verdicts()
            if fnmatchcase(verdict.element, element)
            and any(fnmatchcase(name, region) for name in verdict.regions)
        ]
    if as_json:
        pairs = {summary.pair: summary for summary in summaries}
        print_json([_verdict_data(verdict, pairs) for verdict in told])
    elif told:
        console().print(verdict_table(told, summaries, time.time_ns() // 1000))
    else:
        say(NOTHING)


def _verdict_data(told: ElementVerdict, pairs: Mapping[Pair, PairSummary]) -> dict[str, Any]:
    odd = disagreeing(told.regions, told.verdict)
    regions = {}
    for region, level in told.regions.items():
        summary = pairs.get(Pair(told.element, region))
        regions[region] = {
            "confirmed": level,
            "level": summary.level if summary else None,
            "disagrees": region in odd,
            "phase": summary.phase if summary else None,
            "stage": (summary.stage or None) if summary else None,
            "code": (summary.code or None) if summary else None,
            "message": summary.why if summary else None,
        }
    return {
        "element": told.element,
        "verdict": told.verdict,
        "since": plain.seconds(told.since_us),
        "quorum": told.quorum,
        "regions": regions,
    }


def _state_data(state: PairState) -> dict[str, Any]:
    data = state.round_trip.as_data()
    return data | {
        "level": state.level,
        "since": None if state.since_us is None else state.since_us / 1e6,
        "message": state.why,
        "outcome": state.outcome,
        "outcomes": {outcome: state.outcomes.get(outcome, 0) for outcome in Outcome},
        "counts": {
            phase: {level: state.counts.get(phase, {}).get(level, 0) for level in Level} for phase in Phase
        },
    }


@click.command()
@click.option("--ism", "as_ism", is_flag=True, help="As the elements ($message, ...) of the ISM's monitors.")
@_level_option(*Level)
@_listing
def results(
    as_ism: bool,
    count: int | None,
    follow: bool,
    redis_url: str | None,
    as_json: bool,
    **narrowed: Any,  # noqa: ANN401
) -> None:
    """Shows the newest results. With --json one document per line.

    There is one for each send, for what the mailbox showed of its message (read), for what became of that
    message later (after), and for each test of a mailbox (check).
    """
    wanted = _Wanted(**narrowed)

    def show(result: Result) -> None:
        if as_json:
            print_json(of_result(result) if as_ism else plain.result_as_data(result), indent=None)
        elif as_ism:
            click.echo(f"{as_lines(of_result(result))}\n")
        else:
            console().print(result_line(result))

    with _store(redis_url) as view:
        end = view.last_entry(keys.RESULTS)
        for result in view.results(wanted.count(count), wanted.result, end):
            show(result)
        if follow:
            _follow(view.follow_results(end), wanted.result, show)


@click.command()
@_level_option(*Level, Verdict.DEGRADED)
@_listing
def events(count: int | None, follow: bool, redis_url: str | None, as_json: bool, **narrowed: Any) -> None:  # noqa: ANN401
    """Shows the newest changes of level and of verdicts, and other news of messages.

    With --json one document per line; its "kind" is level, verdict or outcome.
    """
    wanted = _Wanted(**narrowed)

    def show(event: AnyEvent) -> None:
        if as_json:
            print_json(plain.event_as_data(event), indent=None)
        else:
            console().print(event_line(event))

    with _store(redis_url) as view:
        end = view.last_entry(keys.EVENTS)
        for event in view.events(wanted.count(count), wanted.event, end):
            show(event)
        if follow:
            _follow(view.follow_events(end), wanted.event, show)


@click.command()
@element_option
@redis_option
@json_option
@errors_exit(1)
def mailboxes(element: str, redis_url: str | None, as_json: bool) -> None:
    """Shows every mailbox: who reads it, what is awaited in it, and what was found there."""
    with _store(redis_url) as view:
        states = [state for state in view.mailboxes() if fnmatchcase(state.element, element)]
    if as_json:
        print_json([_mailbox_data(state) for state in states])
    elif states:
        console().print(mailbox_table(states, time.time_ns() // 1000))
    else:
        say("No mailbox was read in this Redis yet.")


def _mailbox_data(state: MailboxState) -> dict[str, Any]:
    return state.as_data() | {tally: state.totals.get(tally, 0) for tally in Tally}


def _follow(coming: Iterator[Any], wanted: Callable[[Any], bool], show: Callable[[Any], None]) -> None:
    try:
        for item in coming:
            if item is not None and wanted(item):
                show(item)
    except KeyboardInterrupt:
        return

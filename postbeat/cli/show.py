"""``postbeat status``, ``results``, ``events`` and ``mailboxes``: what Redis knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import click

from postbeat import plain, settings
from postbeat.cli.common import F, errors_exit, json_option, meant, print_json, redis_option, say
from postbeat.cli.mail import mailbox_table
from postbeat.cli.render import Past, age, console, event_line, result_line, state_table, verdict_table
from postbeat.cli.when import Moment
from postbeat.delivery import Outcome, Tally
from postbeat.ism.elements import as_lines, of_result
from postbeat.model import Level, Pair, Phase
from postbeat.results import AnyEvent, Result, VerdictEvent
from postbeat.rollup import Rollup
from postbeat.store import keys
from postbeat.store.fold import DAY_US, HOUR_US
from postbeat.store.history import History
from postbeat.store.maintenance import Calendar, MaintenanceStore
from postbeat.store.summary import reason_of
from postbeat.store.view import ElementVerdict, MailboxState, PairState, PairSummary, ViewStore
from postbeat.verdict import Verdict, disagreeing

NOTHING = "Nothing is monitored in this Redis yet: start a beat (postbeat beat PROFILE) and workers."
COUNT = 20
ALL = 1_000_000  # more than the streams hold
WIDE = 190  # columns of a terminal on which the last hours leave room for messages
AT_A_GLANCE = 100  # pairs whose hours are shown unasked: each takes a few milliseconds
TIMINGS = ("responseTime",)  # of sparklines
HOURS = 24  # how long ago sparklines begin, unless it is said otherwise
BLOCKS = 1 + HOURS  # of a sparkline at most: those, and the hour that goes on

element_option = click.option("--element", metavar="GLOB", default="*", help="Only elements of this name.")
region_option = click.option("--region", metavar="GLOB", default="*", help="Only regions of this name.")
count_option = click.option(
    "-n",
    "--count",
    type=click.IntRange(0),
    help=f"The newest so many [default: {COUNT}, or all with --since].",
)
_TIMES = "30m, 2h, 3d or 1w (ago), or 2026-11-26T10:00 in UTC"
since_option = click.option(
    "--since", "since_us", metavar="TIME", type=Moment(), help=f"Only later ones: {_TIMES}."
)
follow_option = click.option("-f", "--follow", is_flag=True, help="Go on as new ones come, until Ctrl-C.")


def _listing(command: F) -> F:
    """What all commands have that list what comes in the course of time."""
    for option in (
        errors_exit(),
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
@click.option("--since", "since_us", metavar="TIME", type=Moment(), help=f"Sparklines since {_TIMES}.")
@element_option
@region_option
@redis_option
@json_option
@errors_exit()
def status(
    verdicts: bool,
    sparkline: bool | None,
    since_us: int | None,
    element: str,
    region: str,
    redis_url: str | None,
    as_json: bool,
) -> None:
    """Shows where every element stands in every region, worst first.

    Sparklines have a block for each hour: its availability, and the median of its response times. Those of
    more than a day have one for several hours, and those of more than 24 days for whole days.
    """
    if since_us is not None and (verdicts or sparkline is False):
        raise click.UsageError("--since is for sparklines, and here are none")
    if verdicts:
        _show_verdicts(element, region, redis_url, as_json=as_json)
        return
    wanted = _matches(element, region)
    with _store(redis_url) as view:
        states = [state for state in view.states() if wanted(state.pair)]
        if not states:
            _say_why_nothing_fits(view, element, region)
    calendar, at_us = _calendar(redis_url)
    in_maintenance = calendar.covering(at_us)
    if as_json:
        print_json([_state_data(state) | {"inMaintenance": in_maintenance(state.pair)} for state in states])
    elif states:
        out, now_us = console(), time.time_ns() // 1000
        if since_us is not None:
            sparkline = True
        elif sparkline is None:
            sparkline = out.is_terminal and out.width >= WIDE and len(states) <= AT_A_GLANCE
        pairs = [state.pair for state in states]
        from_us = now_us - HOURS * HOUR_US if since_us is None else since_us
        past = _past(redis_url, pairs, from_us, now_us, calendar) if sparkline else None
        out.print(state_table(states, now_us, past, in_maintenance))


def _say_why_nothing_fits(view: ViewStore, element: str, region: str) -> None:
    """Says that these globs fit no pair that is monitored, where that is so."""
    pairs = view.pairs()
    there = [pair for pair in pairs if fnmatchcase(pair.element, element)]
    if not pairs:
        say(NOTHING)
    elif not there:
        say(f"No element {element} is monitored; {meant(element, (pair.element for pair in pairs))}")
    elif not any(fnmatchcase(pair.region, region) for pair in there):
        what = "No element" if element == "*" else f"No element {element}"
        hint = meant(region, (pair.region for pair in there))
        say(f"{what} is monitored in a region {region}; {hint}")


def _calendar(redis_url: str | None) -> tuple[Calendar, int]:
    """The windows of maintenance, and the moment: that of the one clock."""
    with closing(MaintenanceStore(settings.load(redis_url=redis_url).needed_redis_url())) as windows:
        return windows.calendar(), windows.now_us()


def _past(
    redis_url: str | None, pairs: Sequence[Pair], since_us: int, now_us: int, calendar: Calendar
) -> Past:
    """How each pair was since a moment, in whole hours or days; the one that goes on is the last of them."""
    long_us = min(max(0, now_us - since_us), settings.KEEP_DAYS_LIMIT * DAY_US)
    step: Literal["hour", "day"] = "hour" if long_us <= HOURS * DAY_US else "day"
    from_us = now_us - long_us
    url = settings.load(redis_url=redis_url).needed_redis_url()
    with closing(History(url)) as history:
        of = {
            pair: _blocks(
                history.series([pair], from_us, now_us, step=step, timings=TIMINGS, calendar=calendar)
            )
            for pair in pairs
        }
    return Past(age(long_us), of)


def _blocks(series: Sequence[tuple[int, Rollup]]) -> list[Rollup]:
    """At most BLOCKS rollups of equally many steps each; the first may have fewer."""
    size = -(-len(series) // BLOCKS)
    blocks = []
    for end in range(len(series), 0, -size):
        block = Rollup()
        for _, rollup in series[max(0, end - size) : end]:
            block.merge(rollup)
        blocks.append(block)
    return blocks[::-1]


def _show_verdicts(element: str, region: str, redis_url: str | None, *, as_json: bool) -> None:
    with _store(redis_url) as view:
        summaries = view.overview()
        told = [
            verdict
            for verdict in view.verdicts()
            if fnmatchcase(verdict.element, element)
            and any(fnmatchcase(name, region) for name in verdict.regions)
        ]
        if not told:
            _say_why_nothing_fits(view, element, region)
    calendar, at_us = _calendar(redis_url)
    in_maintenance = calendar.covering(at_us)
    if as_json:
        pairs = {summary.pair: summary for summary in summaries}
        print_json(
            [
                _verdict_data(verdict, pairs) | {"inMaintenance": verdict.is_excused(in_maintenance)}
                for verdict in told
            ]
        )
    elif told:
        console().print(verdict_table(told, summaries, time.time_ns() // 1000, in_maintenance))


def _verdict_data(told: ElementVerdict, pairs: Mapping[Pair, PairSummary]) -> dict[str, Any]:
    odd = disagreeing(told.regions, told.verdict)
    regions = {}
    for region, level in told.regions.items():
        summary = pairs.get(Pair(told.element, region))
        reason = reason_of(summary, told.reasons) if summary else None
        regions[region] = {
            "confirmed": level,
            "level": summary.level if summary else None,
            "disagrees": region in odd,
            "phase": reason.phase if reason else None,
            "stage": (reason.stage or None) if reason else None,
            "code": (reason.code or None) if reason else None,
            "message": reason.message if reason else None,
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
            console().print(result_line(result), soft_wrap=True)

    with _store(redis_url) as view:
        end = view.last_entry(keys.RESULTS)
        newest = view.results(wanted.count(count), wanted.result, end)
        if not newest:
            _say_why_nothing_fits(view, wanted.element, wanted.region)
        for result in newest:
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
            console().print(event_line(event), soft_wrap=True)

    with _store(redis_url) as view:
        end = view.last_entry(keys.EVENTS)
        newest = view.events(wanted.count(count), wanted.event, end)
        if not newest:
            _say_why_nothing_fits(view, wanted.element, wanted.region)
        for event in newest:
            show(event)
        if follow:
            _follow(view.follow_events(end), wanted.event, show)


@click.command()
@element_option
@redis_option
@json_option
@errors_exit()
def mailboxes(element: str, redis_url: str | None, as_json: bool) -> None:
    """Shows every mailbox: who reads it, what is awaited in it, and what was found there."""
    with _store(redis_url) as view:
        known = view.mailboxes()
    states = [state for state in known if fnmatchcase(state.element, element)]
    if not known:
        say("No mailbox was read in this Redis yet.")
    elif not states:
        say(f"No element {element} has a mailbox; {meant(element, (state.element for state in known))}")
    if as_json:
        print_json([_mailbox_data(state) for state in states])
    elif states:
        console().print(mailbox_table(states, time.time_ns() // 1000))


def _mailbox_data(state: MailboxState) -> dict[str, Any]:
    return state.as_data() | {tally: state.totals.get(tally, 0) for tally in Tally}


def _follow(coming: Iterator[Any], wanted: Callable[[Any], bool], show: Callable[[Any], None]) -> None:
    try:
        for item in coming:
            if item is not None and wanted(item):
                show(item)
    except KeyboardInterrupt:
        return

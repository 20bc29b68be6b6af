"""How results look to people: colours, signs, times and timelines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from postbeat.cli.fitted import FittedTable
from postbeat.delivery import Outcome
from postbeat.model import Level, Pair, Phase
from postbeat.results import AnyEvent, Attempt, Reason, Result, TlsFacts, VerdictEvent
from postbeat.rollup import Rollup, availability
from postbeat.roundtrip import RoundTrip
from postbeat.store.summary import reason_of
from postbeat.store.view import ElementVerdict, PairState, PairSummary
from postbeat.verdict import LEVELS_WORST_FIRST, SIGNS, WORST_FIRST, Verdict, disagreeing

_COLOURS = {Level.GOOD: "green", Level.MARGINAL: "yellow", Level.FAILED: "bold red", Level.UNKNOWN: "magenta"}
_IN_MAINTENANCE = "dim"
_FILE_WIDTH = 10_000  # columns: more than names of 64 characters, dozens of regions and a message need
_BAR = 32  # characters of a timeline's bar
_BLOCKS = "▁▂▃▄▅▆▇█"
_MOSTLY = 0.9  # an hour in which so many polls were fine is not all bad
_NOTHING = "·"  # an hour without figures
_POLLS = (Phase.SEND, Phase.CHECK)  # each poll has one result of one of these


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to the command, whose other output may have lost its reader as well."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """The terminal; so wide where the output goes to a file that a row has all its columns in one line."""
    file = sys.stderr if stderr else sys.stdout
    return _Output(stderr=stderr, width=None if file.isatty() else _FILE_WIDTH, highlight=False)


def level_text(level: Level) -> Text:
    """A level by sign, word and colour, so that none of the three is needed alone."""
    return Text(f"{SIGNS[level]} {level}", style=_COLOURS[level])


def _excused(text: Text) -> Text:
    """A level or a verdict that does not count, as maintenance was announced."""
    return Text(f"{text.plain}, in maintenance", style=_IN_MAINTENANCE)


def plural(count: int, word: str) -> str:
    """A number and its noun."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def duration(time_us: int | None) -> str:
    """A duration for people: ``12.3 ms``, ``1.20 s``."""
    if time_us is None:
        return "-"
    if time_us < 1_000_000:
        return f"{time_us / 1000:.1f} ms"
    return f"{time_us / 1e6:.2f} s"


def age(time_us: int | None) -> str:
    """How long ago or since when: ``3 s``, ``5 min``, ``2 h``, ``9 d``."""
    if time_us is None:
        return "-"
    seconds = max(0, time_us) // 1_000_000
    for unit_s, unit in ((172_800, "d"), (7200, "h"), (120, "min")):
        if seconds >= unit_s:
            return f"{seconds // (unit_s // 2)} {unit}"
    return f"{seconds} s"


def clock_time(at_us: int) -> str:
    """A moment as a time of day, UTC: ``10:00:00Z``."""
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%H:%M:%SZ}"


def moment(at_us: int) -> str:
    """A moment with its date, UTC."""
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def _time(round_trip: RoundTrip, name: str) -> str:
    tested = round_trip.check or round_trip.send
    attempt = tested.decisive if tested else None
    return duration(attempt.times_us.get(name)) if attempt else "-"


def delivery_time(round_trip: RoundTrip) -> str:
    """The time to deliver for people."""
    delivery = round_trip.read.delivery if round_trip.read else None
    return duration(delivery.to_deliver_us) if delivery else "-"


def availability_spark(hours: Iterable[Rollup]) -> Text:
    """The availability of each stretch of time as a block: the full one only where no poll failed."""
    line = Text()
    for hour in hours:
        share = availability(hour.counts)
        if share is None:
            line.append(_NOTHING, style="dim")
        else:
            level = Level.GOOD if share == 1 else Level.MARGINAL if share >= _MOSTLY else Level.FAILED
            line.append(_BLOCKS[int(share * (len(_BLOCKS) - 1))], style=_COLOURS[level])
    return line


def time_spark(hours: Iterable[Rollup], timing: str) -> Text:
    """The median of a timing in each stretch of time as a block; the longest, which has the full block."""
    medians = [hour.percentile(timing, 0.5) for hour in hours]
    longest_us = max((us for us in medians if us is not None), default=None)
    line = Text()
    for us in medians:
        if us is None or longest_us is None:
            line.append(_NOTHING, style="dim")
        else:
            line.append(_BLOCKS[max(0, -(-us * len(_BLOCKS) // max(1, longest_us)) - 1)], style="cyan")
    return line.append("" if longest_us is None else f" ≤ {duration(longest_us)}")


@dataclass(frozen=True, slots=True)
class Past:
    """What pairs came to in stretches of equal length, oldest first; ``span`` is that of all, for people."""

    span: str
    of: Mapping[Pair, Sequence[Rollup]]


def state_table(
    states: Sequence[PairState],
    now_us: int,
    past: Past | None = None,
    in_maintenance: Callable[[Pair], bool] = lambda _: False,
) -> FittedTable:
    """Where every pair stands, worst first, and how it was in the past.

    What is not GOOD and ``in_maintenance`` stands after what needs somebody.
    """
    numbers = ("responseTime", "uploadTime", "timeToDeliver", "polls", "last")
    spans = [] if past is None else [f"{what}, {past.span}" for what in ("availability", "responseTime")]
    table = FittedTable(
        *("level", "since", "element", "region", *numbers, *spans, "message"),
        right=numbers,
        spare=("polls", "uploadTime", "timeToDeliver", "responseTime", "last", *reversed(spans), "since"),
    )
    excused = {state.pair for state in states if state.level is not Level.GOOD and in_maintenance(state.pair)}

    def rank(state: PairState) -> tuple[bool, bool, int, str]:
        is_good, is_excused = state.level is Level.GOOD, state.pair in excused
        return is_good, is_excused, LEVELS_WORST_FIRST.index(state.level), str(state.pair)

    for state in sorted(states, key=rank):
        level = level_text(state.level)
        trip = state.round_trip
        last_us = trip.at_us
        sparks = []
        if past is not None:
            rollups = past.of.get(trip.pair, [])
            sparks = [availability_spark(rollups), time_spark(rollups, "responseTime")]
        table.add_row(
            _excused(level) if state.pair in excused else level,
            age(None if state.since_us is None else now_us - state.since_us),
            trip.pair.element,
            trip.pair.region,
            _time(trip, "responseTime"),
            _time(trip, "uploadTime"),
            delivery_time(trip),
            str(sum(sum(state.counts.get(phase, {}).values()) for phase in _POLLS)),
            "-" if last_us is None else f"{age(now_us - last_us)} ago",
            *sparks,
            state.why,
        )
    return table


def result_line(result: Result) -> Text:
    """A result as one line."""
    attempt = result.decisive
    line = Text(f"{moment(result.at_us)}Z ")
    line.append_text(_padded(result.level))
    line.append(f"{result.poll.pair!s:<28} {result.phase:<5} {result.kind:<5} ")
    line.append_text(_said(result.outcome, result.message))
    if result.delivery is not None:
        line.append(f"  timeToDeliver {duration(result.delivery.to_deliver_us)}", style="dim")
    elif attempt is not None:
        line.append("".join(f"  {name} {duration(us)}" for name, us in attempt.times_us.items()), style="dim")
    return line


def round_trip_line(trip: RoundTrip, at_us: int) -> Text:
    """A completed round trip, a check or what became of a message as one line."""
    line = Text(f"{moment(at_us)}Z ")
    line.append_text(_padded(trip.level))
    alone = trip.check or trip.after
    if alone is not None and trip.send is None:
        line.append(f"{trip.pair!s:<22} {alone.phase}: ")
        return line.append_text(_said(alone.outcome, alone.message))
    line.append(f"{trip.pair!s:<22} responseTime {_time(trip, 'responseTime'):>9}")
    line.append(f"  uploadTime {_time(trip, 'uploadTime'):>9}  timeToDeliver {delivery_time(trip):>9}")
    if trip.level is not Level.GOOD:
        line.append(f"  {trip.message}")
    return line


def event_line(event: AnyEvent) -> Text:
    """An event as one line: a change of level or of a verdict, or what else is said of a message."""
    if isinstance(event, VerdictEvent):
        line = Text(f"{moment(event.at_us)}Z {event.element:<28} {event.was:>8} -> ")
        line.append_text(verdict_text(event.verdict))
        line.append("  in ")
        line.append_text(_regions_text(event.regions))
        said = "; ".join(event.region_texts) if event.reasons else event.message
        line.append(f"  {said} ({event.poll})")
        return line
    change = f"{event.was:>8} -> " if event.was is not event.level else " " * 12
    line = Text(f"{moment(event.at_us)}Z {event.pair!s:<28} {change}")
    line.append_text(_padded(event.level))
    line.append_text(_said(event.outcome, event.message))
    line.append(f" ({event.poll}, {event.phase})")
    return line


def verdict_text(verdict: Verdict) -> Text:
    """A verdict by sign, word and colour."""
    if verdict is Verdict.DEGRADED:
        return Text(f"{SIGNS[verdict]} {verdict}", style=_COLOURS[Level.MARGINAL])
    return level_text(Level(verdict))


def _regions_text(regions: Mapping[str, Level]) -> Text:
    """Each region with the sign of its level."""
    return Text(" ").join(
        Text(f"{SIGNS[level]} {region}", style=_COLOURS[level]) for region, level in regions.items()
    )


def verdict_table(
    verdicts: Sequence[ElementVerdict],
    summaries: Iterable[PairSummary],
    now_us: int,
    in_maintenance: Callable[[Pair], bool] = lambda _: False,
) -> FittedTable:
    """The verdict on every element, worst first; what is wrong in the regions that disagree.

    What is not GOOD stands after what needs somebody where each region that is FAILED or MARGINAL is
    ``in_maintenance``.
    """
    pairs = {summary.pair: summary for summary in summaries}
    table = FittedTable(
        *("verdict", "since", "element", "regions", "quorum", "disagree"),
        folded=["regions"],
        spare=("quorum", "since"),
    )
    excused = {told.element for told in verdicts if told.is_excused(in_maintenance)}

    def rank(told: ElementVerdict) -> tuple[bool, bool, int, str]:
        is_good = told.verdict is Verdict.GOOD
        return is_good, told.element in excused, WORST_FIRST.index(told.verdict), told.element

    for told in sorted(verdicts, key=rank):
        verdict = verdict_text(told.verdict)
        odd = (pairs.get(Pair(told.element, region)) for region in disagreeing(told.regions, told.verdict))
        table.add_row(
            _excused(verdict) if told.element in excused else verdict,
            age(None if told.since_us is None else now_us - told.since_us),
            told.element,
            _regions_text(told.regions),
            str(told.quorum),
            Text("; ".join(_disagrees(one, reason_of(one, told.reasons)) for one in odd if one is not None)),
        )
    return table


def _disagrees(summary: PairSummary, reason: Reason | None) -> str:
    told = f"{summary.pair.region} {summary.confirmed}"
    if reason is None or reason.level is not summary.confirmed:
        return told
    where = f"{reason.phase}, stage {reason.stage}: " if reason.stage else ""
    return f"{told}: {where}{reason.message}"


def _said(outcome: Outcome | None, message: str) -> Text:
    """A message for people, after what became of the mail where that is not plain."""
    if outcome in (None, Outcome.DELIVERED):
        return Text(message)
    return Text.assemble((f"{outcome}: ", "bold"), message)


def _padded(level: Level) -> Text:
    text = level_text(level)
    text.pad_right(11 - len(text))
    return text


def timeline_table(attempt: Attempt) -> Table:
    """The conversation of an attempt: each stage, its time and what the server said, as a waterfall."""
    table = Table(box=None, pad_edge=False)
    table.add_column("at", justify="right", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    table.add_column("", no_wrap=True, width=_BAR, style="cyan")
    table.add_column("reply", overflow="fold")
    whole_us = max((stage.at_us + stage.took_us for stage in attempt.stages), default=0) or 1
    for stage in attempt.stages:
        begin = stage.at_us * _BAR // whole_us
        length = max(1, -(-stage.took_us * _BAR // whole_us))
        table.add_row(
            f"{stage.at_us / 1000:.1f} ms",
            f"{stage.took_us / 1000:.1f} ms",
            Text(stage.name if stage.ended else f"{stage.name} ✗", style="" if stage.ended else "bold red"),
            " " * min(begin, _BAR - 1) + "█" * min(length, _BAR - min(begin, _BAR - 1)),
            Text(stage.reply),
        )
    return table


def attempt_title(attempt: Attempt, attempts: int) -> Text:
    """Which attempt, to which address, over which TLS, and its fault."""
    title = Text(f"attempt {attempt.number} of {attempts}", style="bold")
    if attempt.address:
        where = f"{attempt.host} {attempt.address}" if attempt.host else attempt.address
        title.append(f"  {where}", style="default not bold")
    if attempt.tls is not None:
        title.append(f"  {_tls_text(attempt.tls)}", style="default not bold")
    if attempt.enhanced:
        title.append(f"  status {attempt.status} {attempt.enhanced}", style="default not bold")
    if attempt.fault is not None:
        title.append(f"  {attempt.fault.side} fault in stage {attempt.fault.stage}", style="red not bold")
    return title


def _tls_text(tls: TlsFacts) -> str:
    text = f"{tls.version} {tls.cipher}, certificate {'verified' if tls.verified else 'NOT verified'}"
    if tls.expires_at_us is not None:
        what = "its chain expires" if tls.whole_chain else "expires"
        text += f", {what} on {datetime.fromtimestamp(tls.expires_at_us / 1e6, UTC).date()}"
    if tls.certificate_asked:
        text += ", client certificate asked for"
    return text

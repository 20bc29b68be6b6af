"""How results look to people: colours, signs, times and timelines."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from postbeat.delivery import Outcome
from postbeat.model import Level, Phase
from postbeat.results import Attempt, Event, Result, TlsFacts
from postbeat.roundtrip import RoundTrip
from postbeat.store.view import PairState

# A level is told by sign, word and colour, so that none of the three is needed alone.
_SIGNS = {Level.GOOD: "✓", Level.MARGINAL: "!", Level.FAILED: "✗", Level.UNKNOWN: "?"}
_COLOURS = {Level.GOOD: "green", Level.MARGINAL: "yellow", Level.FAILED: "bold red", Level.UNKNOWN: "magenta"}
_BAR = 32  # characters of a timeline's bar
_POLLS = (Phase.SEND, Phase.CHECK)  # each poll has one result of one of these


def console(*, stderr: bool = False) -> Console:
    """The terminal; wide where the output goes to a file, so that nothing is cut there."""
    file = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if file.isatty() else 200, highlight=False)


def level_text(level: Level) -> Text:
    """A level by sign, word and colour."""
    return Text(f"{_SIGNS[level]} {level}", style=_COLOURS[level])


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
    """A moment as a time of day, UTC."""
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%H:%M:%S}"


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


def state_table(states: Iterable[PairState], now_us: int) -> Table:
    """Where every pair stands, worst first."""
    table = Table("level", "since", "element", "region", box=None, pad_edge=False)
    for name in ("responseTime", "uploadTime", "timeToDeliver"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("polls", justify="right")
    table.add_column("last", justify="right", no_wrap=True)
    table.add_column("message", overflow="fold")
    worst_first = list(Level)[::-1]
    worst_first.sort(key=lambda level: level is not Level.FAILED)
    for state in sorted(states, key=lambda state: (worst_first.index(state.level), str(state.pair))):
        trip = state.round_trip
        last_us = trip.at_us
        table.add_row(
            level_text(state.level),
            age(None if state.since_us is None else now_us - state.since_us),
            trip.pair.element,
            trip.pair.region,
            _time(trip, "responseTime"),
            _time(trip, "uploadTime"),
            delivery_time(trip),
            str(sum(sum(state.counts.get(phase, {}).values()) for phase in _POLLS)),
            "-" if last_us is None else f"{age(now_us - last_us)} ago",
            state.why,
        )
    return table


def result_line(result: Result) -> Text:
    """A result as one line."""
    attempt = result.decisive
    line = Text(f"{clock_time(result.at_us)} ")
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
    line = Text(f"{clock_time(at_us)} ")
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


def event_line(event: Event) -> Text:
    """An event as one line: a change of level, or what else is said of a message."""
    change = f"{event.was:>8} -> " if event.was is not event.level else " " * 12
    line = Text(f"{moment(event.at_us)} {event.pair!s:<28} {change}")
    line.append_text(_padded(event.level))
    line.append_text(_said(event.outcome, event.message))
    line.append(f" ({event.poll}, {event.phase})")
    return line


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

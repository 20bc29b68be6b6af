"""``postbeat probe``: one poll now, and the whole conversation."""

from __future__ import annotations

import asyncio
import difflib
import sys
from pathlib import Path

import click
import uvloop

from postbeat import settings
from postbeat.cli.common import EXIT_CODES, errors_exit, fail, json_option, load, print_json, profile_argument
from postbeat.cli.render import attempt_title, console, delivery_time, duration, level_text, timeline_table
from postbeat.elements import AnyElement, SmtpElement
from postbeat.model import Level
from postbeat.probing import Prober
from postbeat.profile import Profile
from postbeat.results import Result
from postbeat.roundtrip import RoundTrip

_UNKNOWN = EXIT_CODES[Level.UNKNOWN]  # a mistake of ours says nothing of the service


@click.command()
@profile_argument
@click.argument("element")
@click.option("--region", metavar="R", help="The region to speak for [default: the element's first].")
@click.option("--send-only", is_flag=True, help="Do not look for the message in the mailbox.")
@click.option("--explain", is_flag=True, help="Show the conversation: each stage, its time, the replies.")
@json_option
@errors_exit(_UNKNOWN)
def probe(
    profile: Path, element: str, region: str | None, send_only: bool, explain: bool, as_json: bool
) -> None:
    """Polls one ELEMENT of PROFILE now, from this machine, without Redis and without workers.

    An smtp element sends its message, and its paired reader looks for it. An imap4 or pop3 element connects
    and logs in.

    Exit code 0: GOOD; 1: MARGINAL; 2: FAILED; 3: UNKNOWN, also where the profile is not valid.
    """
    loaded = load(profile)
    chosen = _element(loaded, element)
    prober = Prober(settings.load())
    if isinstance(chosen, SmtpElement):
        reader = None if send_only else loaded.reader_of(chosen)
        work = prober.round_trip(chosen, reader, region or chosen.regions[0])
    else:
        work = prober.log_in(chosen, region or "default")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        trip = runner.run(work)
    if as_json:
        print_json(trip.as_data())
    else:
        _print(chosen, trip, prober, explain=explain)
    sys.exit(EXIT_CODES[_level(trip)])


def _element(loaded: Profile, name: str) -> AnyElement:
    if name not in loaded.elements:
        close = difflib.get_close_matches(name, loaded.elements, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(list(loaded.elements)[:20])}"
        fail(f"the profile has no element {name!r}; {hint}", _UNKNOWN)
    return loaded.elements[name]


def _level(trip: RoundTrip) -> Level:
    """The level of what was tested: of the mailbox alone where nothing was to be sent."""
    return trip.read.level if trip.send is None and trip.read else trip.level


def _print(element: AnyElement, trip: RoundTrip, prober: Prober, *, explain: bool) -> None:
    out = console()
    for result in (trip.send, trip.read):
        if result is not None:
            line = level_text(result.level)
            line.append(f"  {result.poll.pair} {result.phase}: {result.message}", style="default not bold")
            out.print(line)
            if explain:
                _explain(result, prober, retests=element.failureretests)
    attempt = trip.send.decisive if trip.send else None
    times = [f"{name} {duration(us)}" for name, us in attempt.times_us.items()] if attempt else []
    if trip.read is not None and trip.read.delivery is not None:
        times.append(f"timeToDeliver {delivery_time(trip)}")
    if times:
        out.print("  ".join(times))


def _explain(result: Result, prober: Prober, *, retests: int) -> None:
    out = console()
    shown = list(result.attempts)
    opening = prober.opening if result.phase == "read" else None
    if opening is not None and opening not in shown:
        shown.insert(0, opening)
    for attempt in shown:
        out.print()
        out.print(attempt_title(attempt, 1 + retests))
        out.print(timeline_table(attempt))
    out.print()

"""``postbeat probe``: one poll now, and the whole conversation."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import uvloop

from postbeat import settings
from postbeat.cli.common import (
    EXIT_CODES,
    PluginCommand,
    errors_exit,
    fail,
    json_option,
    load,
    meant,
    print_json,
    profile_argument,
)
from postbeat.cli.ending import while_read
from postbeat.cli.mail import facts_text, path_table, verdicts_text
from postbeat.cli.render import attempt_title, console, delivery_time, duration, level_text, timeline_table
from postbeat.elements import AnyElement, SmtpElement
from postbeat.model import Level, Phase
from postbeat.probing import Prober
from postbeat.profile import Profile
from postbeat.results import Result
from postbeat.roundtrip import RoundTrip

_UNKNOWN = EXIT_CODES[Level.UNKNOWN]  # a mistake of ours says nothing of the service


@click.command(cls=PluginCommand)
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

    An smtp element sends its message, and its paired reader looks for it. An imap4 or pop3 element logs in
    and counts the messages.

    Exit code 0: GOOD; 1: MARGINAL; 2: FAILED; 3: UNKNOWN, also where the poll could not be made: the profile
    is not there or not valid, there is no such element or option.
    """
    loaded = load(profile)
    chosen = _element(loaded, element)
    prober = Prober(settings.load())
    if isinstance(chosen, SmtpElement):
        reader = None if send_only else loaded.reader_of(chosen)
        work = prober.round_trip(chosen, reader, region or chosen.regions[0])
    else:
        work = prober.check(chosen, region or chosen.regions[0])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        trip = runner.run(work)
    with while_read():
        if as_json:
            print_json(trip.as_data())
        else:
            _print(chosen, trip, prober, explain=explain)
    sys.exit(EXIT_CODES[trip.level])


def _element(loaded: Profile, name: str) -> AnyElement:
    if name not in loaded.elements:
        fail(f"the profile has no element {name!r}; {meant(name, loaded.elements)}", _UNKNOWN)
    return loaded.elements[name]


def _print(element: AnyElement, trip: RoundTrip, prober: Prober, *, explain: bool) -> None:
    out = console()
    for result in (trip.send, trip.read, trip.check):
        if result is not None:
            line = level_text(result.level)
            line.append(f"  {result.poll.pair} {result.phase}: {result.message}", style="default not bold")
            out.print(line)
            if explain:
                _explain(result, prober, retests=element.failureretests)
    tested = trip.check or trip.send
    attempt = tested.decisive if tested else None
    times = [f"{name} {duration(us)}" for name, us in attempt.times_us.items()] if attempt else []
    if trip.read is not None and trip.read.delivery is not None:
        times.append(f"timeToDeliver {delivery_time(trip)}")
    if times:
        out.print("  ".join(times))
    if trip.check is not None and trip.check.mailbox is not None:
        out.print(facts_text(trip.check.mailbox))


def _explain(result: Result, prober: Prober, *, retests: int) -> None:
    out = console()
    shown = list(result.attempts)
    opening = prober.opening if result.phase is Phase.READ else None
    if opening is not None and opening not in shown:
        shown.insert(0, opening)
    for attempt in shown:
        out.print()
        out.print(attempt_title(attempt, 1 + retests))
        out.print(timeline_table(attempt))
    if (delivery := result.delivery) is not None:
        if delivery.hops:
            out.print()
            out.print(path_table(delivery))
        if delivery.verdicts:
            out.print(verdicts_text(delivery))
    out.print()

"""``postbeat status``, ``results``, ``events`` and ``mailboxes``: what Redis knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import click

from postbeat import plain, settings
from postbeat.cli.common import F, errors_exit, json_option, print_json, redis_option, say
from postbeat.cli.mail import mailbox_table
from postbeat.cli.render import console, event_line, result_line, state_table
from postbeat.delivery import Outcome, Tally
from postbeat.model import Level, Pair, Phase
from postbeat.results import Event, Result
from postbeat.store import keys
from postbeat.store.view import MailboxState, PairState, ViewStore

element_option = click.option("--element", metavar="GLOB", default="*", help="Only elements of this name.")
region_option = click.option("--region", metavar="GLOB", default="*", help="Only regions of this name.")
count_option = click.option(
    "-n", "--count", type=click.IntRange(0), default=20, show_default=True, help="The newest so many."
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


@click.command()
@element_option
@region_option
@redis_option
@json_option
@errors_exit(1)
def status(element: str, region: str, redis_url: str | None, as_json: bool) -> None:
    """Shows where every element stands in every region, worst first."""
    wanted = _matches(element, region)
    with _store(redis_url) as view:
        states = [state for state in view.states() if wanted(state.pair)]
    if as_json:
        print_json([_state_data(state) for state in states])
    elif states:
        console().print(state_table(states, time.time_ns() // 1000))
    else:
        say("Nothing is monitored in this Redis yet: start a beat (postbeat beat PROFILE) and workers.")


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
@_listing
def results(
    element: str, region: str, count: int, follow: bool, redis_url: str | None, as_json: bool
) -> None:
    """Shows the newest results. With --json one document per line.

    There is one for each send, for what the mailbox showed of its message (read), for what became of that
    message later (after), and for each test of a mailbox (check).
    """
    matches = _matches(element, region)

    def wanted(result: Result) -> bool:
        return matches(result.poll.pair)

    def show(result: Result) -> None:
        if as_json:
            print_json(plain.result_as_data(result), indent=None)
        else:
            console().print(result_line(result))

    with _store(redis_url) as view:
        end = view.last_entry(keys.RESULTS)
        for result in view.results(count, wanted, end):
            show(result)
        if follow:
            _follow(view.follow_results(end), wanted, show)


@click.command()
@_listing
def events(element: str, region: str, count: int, follow: bool, redis_url: str | None, as_json: bool) -> None:
    """Shows the newest changes of level, and other news of messages. With --json one document per line."""
    matches = _matches(element, region)

    def wanted(event: Event) -> bool:
        return matches(event.pair)

    def show(event: Event) -> None:
        if as_json:
            print_json(plain.event_as_data(event), indent=None)
        else:
            console().print(event_line(event))

    with _store(redis_url) as view:
        end = view.last_entry(keys.EVENTS)
        for event in view.events(count, wanted, end):
            show(event)
        if follow:
            _follow(view.follow_events(end), wanted, show)


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
    facts = plain.facts_as_data(state.facts)
    del facts["tally"]  # of one check; these are the totals
    return {
        "mailbox": state.mailbox,
        "element": state.element,
        "region": state.region,
        "pending": state.pending,
        "awaited": state.awaited,
        "waiting": state.waiting,
        "reader": state.worker if state.is_read else None,
        "lastLook": plain.seconds(state.looked_at_us),
        "notBefore": plain.seconds(state.not_before_us or None),
        **facts,
        **{tally: state.totals.get(tally, 0) for tally in Tally},
    }


def _follow(coming: Iterator[Any], wanted: Callable[[Any], bool], show: Callable[[Any], None]) -> None:
    try:
        for item in coming:
            if item is not None and wanted(item):
                show(item)
    except KeyboardInterrupt:
        return

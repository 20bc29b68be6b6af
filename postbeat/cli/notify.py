"""``postbeat notify``: events on their way out, and the letters that were not delivered."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sys
from pathlib import Path
from typing import Any

import click

from postbeat import clock, settings
from postbeat.cli.common import (
    NOT_THERE,
    errors_exit,
    fail,
    faults_exit,
    json_option,
    print_json,
    redis_option,
    say,
)
from postbeat.cli.render import plural
from postbeat.profile import ProfileError
from postbeat.sinks import config, loading
from postbeat.sinks.notice import Notice, timestamp
from postbeat.sinks.runner import World
from postbeat.sinks.service import Service
from postbeat.store.outbox import Letter, Letters

_USAGE = "SINKS | dead SINK"


@click.command()
@click.argument("words", nargs=-1, metavar=_USAGE)
@click.option("--check", is_flag=True, help="Say all that is wrong with the file SINKS, and end.")
@click.option("--requeue", is_flag=True, help="Of dead SINK: deliver the events again.")
@click.option("--drop", is_flag=True, help="Of dead SINK: throw the events away.")
@json_option
@redis_option
@errors_exit()
def notify(
    words: tuple[str, ...],
    check: bool,
    requeue: bool,
    drop: bool,
    as_json: bool,
    redis_url: str | None,
) -> None:
    """Tells each change of level, outcome and verdict to the sinks of the YAML file SINKS.

    Changes of the file are taken without a restart. A second process does no harm: each sink is served by
    one of them, and another takes over where that one ends.

    "postbeat notify dead SINK" shows the events that a sink did not take, and why.

    Exit code 1: the file that is checked is not valid, or there is no such sink; 2: it cannot be done, or not
    begin, and the message says why.
    """
    if len(words) == 2 and words[0] == "dead" and not check and not (requeue and drop):
        _dead(words[1], redis_url, requeue=requeue, drop=drop, as_json=as_json)
    elif len(words) == 1 and words[0] != "dead" and check and not (requeue or drop):
        _check(Path(words[0]), as_json=as_json)
    elif len(words) == 1 and words[0] != "dead" and not (requeue or drop or as_json):
        given = settings.load(redis_url=redis_url)
        _serve(Path(words[0]), given.needed_redis_url(), given.helo_name)
    else:
        raise click.UsageError(f"expected {_USAGE}, the first with --check at most")


def _check(path: Path, *, as_json: bool) -> None:
    if not path.exists():
        fail(f"there is no file {path}")
    try:
        sinks = loading.load(path)
    except ProfileError as error:
        faults_exit(error, path, as_json=as_json)
    warnings = [text for sink in sinks for text in config.warnings_of(sink)]
    if as_json:
        rows = [{"name": sink.name, "type": sink.type, "active": sink.active} for sink in sinks]
        print_json({"valid": True, "sinks": rows, "warnings": warnings})
        return
    for warning in warnings:
        say(f"warning: {warning}")
    click.echo(f"{path} is valid: {plural(len(sinks), 'sink')}")


def _serve(path: Path, redis_url: str, helo_name: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    world = World(clock.Clock(), clock.steady_us, asyncio.sleep, random.random)
    service = Service(path, redis_url, helo_name, world)

    async def until_signalled() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stopping.set)
        await service.run(stopping)

    asyncio.run(until_signalled())


def _dead(sink: str, redis_url: str | None, *, requeue: bool, drop: bool, as_json: bool) -> None:
    letters = Letters(settings.load(redis_url=redis_url).needed_redis_url())
    try:
        if not letters.known(sink):
            fail(f"no sink {sink!r} was ever served from this Redis", NOT_THERE)
        if requeue or drop:
            count = letters.requeue(sink) if requeue else letters.drop(sink)
            if as_json:
                print_json({"sink": sink, "requeued" if requeue else "dropped": count})
            else:
                say(f"{plural(count, 'event')} {'will be delivered again' if requeue else 'thrown away'}")
            return
        for letter in letters.listing(sink):
            if as_json:
                print_json(_letter_data(letter), indent=None)
            else:
                told = Notice.loads(letter.notice)
                click.echo(f"{timestamp(letter.at_us)}  {told.headline}  ({told.at}): {letter.reason}")
    finally:
        letters.close()


def _letter_data(letter: Letter) -> dict[str, Any]:
    return {
        "at": letter.at_us / 1e6,
        "reason": letter.reason,
        "event": Notice.loads(letter.notice).as_data(),
    }

"""``postbeat ism bridge``: results to log, datalog and alerts, for a site whose workers run elsewhere."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from postbeat import settings
from postbeat.cli.common import WRONG, explained, say
from postbeat.cli.monitor import heeded, mistakes_explained
from postbeat.cli.properties import WithProperties, properties_given
from postbeat.ism import monitoring
from postbeat.ism import props as properties
from postbeat.ism.monitoring import Followed, Signals
from postbeat.ism.outfit import Outfit
from postbeat.ism.properties import of_kind
from postbeat.model import Kind

_NO_PROFILE = "postbeat"  # the name of the datalog's folder where no profile is named


@click.command(cls=WithProperties)
@click.option("--kinds", metavar="NAMES", help="The monitors whose results are taken [default: all three].")
@click.pass_context
def bridge(ctx: click.Context, kinds: str | None) -> None:
    """Brings the results of a site to log, datalog and, by rules, to the table of alerts.

    It is for a site whose workers and beat run by themselves: each "postbeat monitor" has a bridge within.
    The properties are those of each monitor, with its own file. With the property Profile, results have what
    only the profile tells. One bridge at a time is at work for a monitor; another one stands by.

    SIGHUP reads properties and rules again and opens the logs anew. SIGTERM ends it (exit code 0), and so
    does Ctrl-C (130).

    Exit code 2: something is wrong that it cannot begin without; the message says what.
    """
    signals = Signals()
    given = properties_given(ctx)
    with explained(WRONG), mistakes_explained(), heeded(signals) as ended_by:
        _run(_kinds(kinds), given, signals)
    say("Ended.")
    sys.exit(130 if signal.SIGINT in ended_by else 0)


def _kinds(text: str | None) -> list[Kind]:
    """The monitors of a text, each once.

    Raises:
        UsageError: there are none, or one is no monitor.
    """
    if text is None:
        return list(Kind)
    words = re.findall(r"[^,\s]+", text)
    strange = [word for word in words if word not in list(Kind)]
    if strange or not words:
        raise click.UsageError(f"--kinds: expected some of {', '.join(Kind)}, got {text!r}")
    return sorted({Kind(word) for word in words})


def _run(kinds: list[Kind], given: Mapping[str, str], signals: Signals) -> None:
    outfits: list[Outfit] = []
    urls, paths = set(), set()
    for kind in kinds:
        arguments = {name: text for name, text in given.items() if name in of_kind(kind)}
        read = partial(properties.load, kind, arguments=arguments, environ=os.environ)
        found = read()
        named = str(found["Profile"].value)
        paths.add(path := os.path.abspath(named) if named else "")  # whole, as "." has no name
        urls.add(settings.load(**properties.settings_of(found)).needed_redis_url())
        outfits.append(Outfit(kind, read, Path(path).stem or _NO_PROFILE, say))
    for name, values in (("RedisUrl", urls), ("Profile", paths)):
        if len(values) > 1:
            raise settings.SettingsError(f"the monitors have more than one {name}: name it with an option")
    path = paths.pop()
    follow = Followed(Path(path), say) if path else None

    def reload() -> None:
        for outfit in outfits:
            outfit.reload()

    monitoring.follow(
        urls.pop(),
        [outfit.lane for outfit in outfits],
        monitoring.surroundings(Path(path).stem),
        follow or (lambda: None),
        signals,
        reload,
    )

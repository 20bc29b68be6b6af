"""``postbeat check``, ``schedule`` and ``key``: what a site is made of, looked at without running it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from postbeat import queues, slots
from postbeat.cli.common import (
    errors_exit,
    faults_exit,
    json_option,
    load,
    meant,
    print_json,
    profile_argument,
    say,
)
from postbeat.cli.render import console, plural
from postbeat.elements import AnyElement, SmtpElement
from postbeat.model import Kind, LocalFault, Pair, SecurityType
from postbeat.profile import Profile, ProfileError
from postbeat.secrets import new_key
from postbeat.tls import ciphers

_SHOWN = 200  # rows of a table for people; --json has all


@click.command()
@profile_argument
@json_option
def check(profile: Path, as_json: bool) -> None:
    """Validates PROFILE, a file or a folder of YAML files, and says all that is wrong with it.

    Exit code 0: valid; 1: not valid; 2: there is no such file.
    """
    try:
        loaded = load(profile)
    except ProfileError as error:
        faults_exit(error, profile, as_json=as_json)
    summary = _summary(loaded)
    warnings = _warnings(loaded)
    if as_json:
        print_json({"valid": True, **summary, "warnings": warnings})
        return
    for warning in warnings:
        say(f"warning: {warning}")
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary["elements"].items() if count)
    click.echo(
        f"{profile} is valid: {kinds}; {plural(summary['pairs'], 'pair')} of element and region,"
        f" {summary['pollsPerSecond']:g} polls per second"
    )


def _warnings(loaded: Profile) -> list[str]:
    """What is allowed and may still not be meant: unchecked certificates, ciphers that are no more."""
    found = []
    for element in loaded.elements.values():
        if element.securitytype is SecurityType.NONE:
            continue
        if not element.tlsverify:
            found.append(f"{element.name}: the server's certificate is not verified")
        if element.sslciphersuite:
            try:
                note = ciphers.fitted(element.sslciphersuite).note
            except LocalFault as fault:
                note = fault.message
            found += [f"{element.name}: {note}"] if note else []
    return found


def _summary(loaded: Profile) -> dict[str, Any]:
    pairs = list(loaded.active())
    return {
        "elements": {
            kind.value: sum(element.kind is kind for element in loaded.elements.values()) for kind in Kind
        },
        "regions": sorted({pair.region for pair, _ in pairs}),
        "pairs": len(pairs),
        "pollsPerSecond": round(sum(1 / slots.poll_s(element) for _, element in pairs), 3),
    }


@click.command()
@profile_argument
@click.option("--region", metavar="R", help="Only this region.")
@json_option
@errors_exit()
def schedule(profile: Path, region: str | None, as_json: bool) -> None:
    """Shows who fires when, and on which queue: the next poll of every pair of element and region.

    The times follow from the names and intervals alone; every beat of this profile computes the same.
    """
    now_us = time.time_ns() // 1000
    active = list(load(profile).active())
    pairs = [(pair, element) for pair, element in active if region is None or pair.region == region]
    if not active:
        say("No element of the profile is polled.")
    elif region is not None and not pairs:
        hint = meant(region, (pair.region for pair, _ in active))
        say(f"No element is polled in a region {region}; {hint}")
    rows = sorted((_next(pair, element, now_us) for pair, element in pairs), key=lambda row: row["next"])
    if as_json:
        print_json(rows)
        return
    if not rows:
        return
    table = Table("next poll (UTC)", "in", "element", "region", "queue", "task", "every", "phase", box=None)
    for row in islice(rows, _SHOWN):
        at = datetime.fromtimestamp(row["next"], UTC)
        table.add_row(
            f"{at:%H:%M:%S}.{at.microsecond // 1000:03}",
            f"{row['next'] - now_us / 1e6:.1f} s",
            row["element"],
            row["region"],
            row["queue"],
            row["task"],
            f"{row['every']:g} s",
            f"{row['phase']:.3f} s",
        )
    console().print(table)
    if len(rows) > _SHOWN:
        say(f"and {len(rows) - _SHOWN} more; --json shows all")


def _next(pair: Pair, element: AnyElement, now_us: int) -> dict[str, Any]:
    poll_s = slots.poll_s(element)
    slot = slots.slot_at(pair, poll_s, now_us) + 1
    return {
        "element": pair.element,
        "region": pair.region,
        "queue": queues.probe(pair.region),
        "task": queues.SEND if isinstance(element, SmtpElement) else queues.CHECK,
        "every": poll_s,
        "phase": slots.phase_us(pair, poll_s) / 1e6,
        "next": slots.due_us(pair, poll_s, slot) / 1e6,
        "poll": f"{pair}#{slot}",
    }


@click.command()
def key() -> None:
    """Prints a new site key: it signs the test messages and seals the secrets that travel.

    Keep it in a file that only Postbeat can read, and name that file in POSTBEAT_KEY_FILE. To exchange a
    key, put the new one on a line above the old one; drop the old one when its messages are through.
    """
    click.echo(new_key())

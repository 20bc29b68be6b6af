"""The table in store/keys.py lists every key, with its type."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

from postbeat.delivery import Outcome
from postbeat.model import Kind, Level, Phase
from postbeat.probes.session import Memory
from postbeat.profile import Profile
from postbeat.store import keys
from postbeat.store.maintenance import MaintenanceStore
from postbeat.store.records import Noted
from postbeat.windows import Window
from tests.redis.site import BOX, MAIL, PROFILE, SILENCE_US, Site, awaited, result

SUNDAYS = Window.parse("Sun 02:00-04:00")


def table() -> dict[str, str]:
    rows = re.findall(r"^\| (postbeat:\S+) \| (\w+) \|", keys.__doc__ or "", re.MULTILINE)
    return dict(rows)


def row_of(key: str) -> str:
    """The table's first row that a key fits; a word in capitals stands for anything."""
    return next(
        (row for row in table() if re.fullmatch(re.sub(r"[A-Z]+", ".+", re.escape(row)), key)),
        f"no row for {key}",
    )


# What is not written by recording, and tested beside its own store.
ELSEWHERE = re.compile("postbeat:(rollup|workers|beat|region|sink.*|alerts.*|bridge.*)(:.*)?")


def test_every_key_is_in_the_table_with_its_type_and_every_row_is_used(site: Site, redis_url: str) -> None:
    for monitor in ("", Kind.SMTP):
        site.redis.set(keys.cursor(monitor), 1)
        site.beat.claim(monitor)
    site.beat.publish_profile(PROFILE)
    site.beat.publish_profile(Profile({"mail": replace(MAIL, maintenance=(SUNDAYS,)), "box": BOX}))
    maintenance = MaintenanceStore(redis_url)
    maintenance.add("mail", from_us=1, to_us=2, why="a new disk")
    maintenance.close()
    site.send(1, at_us=site.now_us() - SILENCE_US)
    site.send(4, Level.FAILED)
    site.send(5)
    found = {row_of(key): site.redis.type(key) for key in site.redis.scan_iter()}
    site.send(6)
    desk = site.desk()
    site.run(desk.remember(Memory(count=1)))
    site.run(desk.note({}, Noted(1)))
    site.run(desk.record(result(5, Phase.READ, Level.GOOD, 1)))
    site.run(desk.record(result(6, Phase.READ, Level.FAILED, 1), awaited(6)))
    copied = result(5, Phase.AFTER, Level.MARGINAL, 1, outcome=Outcome.DUPLICATED)
    site.run(desk.record_after(copied, copy="another"))

    async def waiting() -> None:
        waiter = asyncio.create_task(site.worker.turn(BOX.mailbox, 5))
        while not site.redis.exists(keys.turns(BOX.mailbox)):  # noqa: ASYNC110  it is Redis that changes
            await asyncio.sleep(0.01)
        nonlocal found
        found |= {row_of(key): site.redis.type(key) for key in site.redis.scan_iter()}
        waiter.cancel()
        await asyncio.wait((waiter,))  # it leaves the queue, before the store is closed

    site.run(waiting())
    found |= {row_of(key): site.redis.type(key) for key in site.redis.scan_iter()}
    assert found == {row: kind for row, kind in table().items() if not ELSEWHERE.fullmatch(row)}


def test_names_of_a_mailbox_and_a_pair_may_hold_what_patterns_use(site: Site) -> None:
    assert MAIL.name == "mail"
    assert row_of(keys.pending("pop3:a*b@[::1]:110")) == "postbeat:pending:MAILBOX"

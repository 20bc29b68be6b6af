"""``postbeat ism bridge`` is killed again and again, and each result still counts exactly once."""

from __future__ import annotations

import random
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from postbeat import codec
from postbeat.model import Kind, Level, Phase
from postbeat.store import keys
from postbeat.store.alerts import AlertStore
from postbeat.store.following import Place, ResultStream
from tests.cli.conftest import command, environment
from tests.cli.test_demo import wait_until
from tests.redis.site import result

RESULTS = 3000
KILLS = 6


@dataclass(frozen=True)
class Site:
    """A Redis full of results, and the bridge's place in their stream."""

    url: str
    redis: Redis
    folder: Path

    def fill(self) -> None:
        at_us = time.time_ns() // 1000
        with self.redis.pipeline(transaction=False) as pipe:
            for slot in range(RESULTS):
                failed = result(slot, Phase.SEND, Level.FAILED, at_us + slot)
                pipe.xadd(keys.RESULTS, {"r": codec.encode(failed)})
            pipe.execute()

    def start(self) -> subprocess.Popen[bytes]:
        self.redis.delete(keys.bridge_lease(Kind.SMTP))  # the time that passes until the lease ends
        options: list[str | Path] = [
            "-kinds",
            "smtp",
            "-redis",
            self.url,
            "-messagelog",
            self.folder / "smtp.log",
            "-datalog",
        ]
        options += ["-datalogdir", self.folder / "datalogs"]
        with (self.folder / "told").open("ab") as told:
            return subprocess.Popen(command("ism", "bridge", *options), env=environment(), stderr=told)

    def is_beyond(self, before: int) -> bool:
        return self.done() > before

    def done(self) -> int:
        """How many results have become alerts."""
        cursor = str(self.redis.hget(keys.bridge(Kind.SMTP), "cursor") or "")
        entries = self.redis.xrange(keys.RESULTS, "-", Place.parse(cursor).entry) if cursor else []
        return len(entries)  # type: ignore[arg-type]


@pytest.fixture
def site(redis_url: str, tmp_path: Path) -> Iterator[Site]:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield Site(redis_url, redis, tmp_path)


def test_a_bridge_that_is_killed_at_any_moment_loses_none_and_counts_none_twice(site: Site) -> None:
    chance = random.Random(7)
    with closing(ResultStream(site.url)) as stream:
        place = stream.end()
    with closing(AlertStore(site.url, Kind.SMTP)) as store:
        assert store.acquire()
        store.apply("", str(place), [])
    site.fill()
    for _ in range(KILLS):
        before, process = site.done(), site.start()
        wait_until(partial(site.is_beyond, before))
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.wait()
        if site.done() == RESULTS:
            break
    last = site.start()
    wait_until(lambda: site.done() == RESULTS and bool(site.redis.exists(keys.bridge_lease(Kind.SMTP))))
    last.send_signal(signal.SIGTERM)
    assert last.wait(30) == 0
    with closing(AlertStore(site.url)) as store:
        tallies = {row.alert_group: row.tally for row in store.table() if row.type == 1}
    assert tallies.pop("SMTP monitor") == 1  # it went down once; the others were killed
    assert list(tallies.values()) == [RESULTS]
    (file,) = (site.folder / "datalogs" / "postbeat" / "mail").glob("*.xml")
    entries = [entry.attrib["id"] for entry in ET.parse(file).getroot()]
    assert len(entries) == len(set(entries)) == RESULTS

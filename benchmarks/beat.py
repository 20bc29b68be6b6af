"""How punctually beat publishes polls, and what it costs: ``python -m benchmarks.beat``."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import click
from celery import Celery
from redis import Redis

from beat_schedule.grid import Grid
from beat_schedule.publisher import Publisher
from benchmarks.rig import Rig, cpu_s, json_option, rig, rss_mb, show
from postbeat import profile as profiles
from postbeat import queues, slots
from postbeat.embedded.processes import Child
from postbeat.model import Poll
from postbeat.profile import Profile

SHARE = 20  # elements that share a mailbox
READY_S = 120.0
SETTLE_S = 1.0  # after the first poll: what fell due while beat was starting is late for that reason
LATE_S = 5.0  # how long polls may come after the end
POPPED = 1000  # messages taken from a queue at once
GRACE_US = 500_000  # after the end, before the search for polls that are late: it would make them later
_STEP_S = 0.002


class Arrivals:
    """Takes polls off the queues and notes when each came, by this host's clock, which is Redis's."""

    def __init__(self, redis: Redis, regions: list[str]) -> None:
        self._redis = redis
        self._queues = [queues.probe(region) for region in regions]
        self.at_us: dict[str, int] = {}
        self.doubled = 0

    def collect_until(self, at_us: int) -> None:
        """Takes what comes until a moment."""
        while time.time_ns() // 1000 < at_us:
            if not self.collect():
                time.sleep(_STEP_S)

    def collect(self) -> int:
        """Takes what is there."""
        with self._redis.pipeline(transaction=False) as pipe:
            for queue in self._queues:
                pipe.rpop(queue, POPPED)
            found = pipe.execute()
        now_us = time.time_ns() // 1000
        messages = [message for some in found for message in some or ()]
        for message in messages:
            poll = json.loads(message)["headers"]["id"]
            self.doubled += poll in self.at_us
            self.at_us.setdefault(poll, now_us)
        return len(messages)


def _write_profile(path: Path, pairs: int, regions: int, poll_s: float) -> list[str]:
    """A profile of so many pairs; returns its regions."""
    names = [f"r{number}" for number in range(regions)]
    lines = ["elements:"]
    for index, first in enumerate(range(0, pairs, regions)):
        box = f"box{index // SHARE}"
        if index % SHARE == 0:
            lines += [f"- name: {box}", "  type: imap4", "  server: imap.example.com"]
            lines += [f"  username: {box}", "  password: {env: PASSWORD}"]
        lines += [f"- name: send{index}", "  type: smtp", "  server: smtp.example.com"]
        lines += [f"  email: {box}@example.com", f"  read: {box}", f"  poll: {poll_s:g}"]
        lines.append(f"  regions: [{', '.join(names[: pairs - first])}]")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return names


def _first_poll(beat: Child, arrivals: Arrivals, started: float) -> float:
    beat.wait_for(lambda: arrivals.collect() or None, READY_S)
    return time.perf_counter() - started


def _lateness(profile: Profile, arrivals: Arrivals, begin_us: int, end_us: int) -> tuple[list[float], int]:
    """How late the polls of a stretch came, in seconds and in order; and how many did not come."""
    late_s, missed = [], 0
    for pair, element in profile.active():
        first = slots.slot_at(pair, slots.poll_s(element), begin_us) + 1
        for slot in range(first, slots.slot_at(pair, slots.poll_s(element), end_us) + 1):
            at_us = arrivals.at_us.get(str(Poll(pair.element, pair.region, slot)))
            if at_us is None:
                missed += 1
            else:
                late_s.append((at_us - slots.due_us(pair, slots.poll_s(element), slot)) / 1e6)
    return sorted(late_s), missed


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[math.ceil(share * len(ordered)) - 1]


def _punctuality(
    site: Rig, path: Path, profile: Profile, regions: list[str], seconds: float
) -> dict[str, object]:
    arrivals = Arrivals(site.redis, regions)
    started = time.perf_counter()
    beat = site.site.beat(path)
    startup_s = _first_poll(beat, arrivals, started)
    arrivals.collect_until(time.time_ns() // 1000 + round(SETTLE_S * 1e6))
    begin_us, used_s = time.time_ns() // 1000, cpu_s(beat)
    end_us = begin_us + round(seconds * 1e6)
    arrivals.collect_until(end_us)
    used_s = cpu_s(beat) - used_s
    memory_mb = rss_mb(beat)
    arrivals.collect_until(end_us + GRACE_US)
    late_s, missed = _lateness(profile, arrivals, begin_us, end_us)
    while missed and time.time_ns() // 1000 < end_us + LATE_S * 1e6:
        arrivals.collect_until(time.time_ns() // 1000 + 200_000)
        late_s, missed = _lateness(profile, arrivals, begin_us, end_us)
    site.processes.end(beat)
    if not late_s:
        raise click.ClickException(
            f"no poll came in {seconds:g} s; the end of beat's log:\n{beat.last_lines()}"
        )
    return {
        "published": len(late_s),
        "missed": missed,
        "doubled": arrivals.doubled,
        "p50_lateness_s": round(_percentile(late_s, 0.5), 4),
        "p99_lateness_s": round(_percentile(late_s, 0.99), 4),
        "max_lateness_s": round(late_s[-1], 4),
        "cpu_share": round(used_s / seconds, 4),
        "cpu_ms_per_poll": round(used_s * 1000 / len(late_s), 3),
        "rss_mb": memory_mb,
        "startup_s": round(startup_s, 2),
    }


def _burst(site: Rig, profile: Profile, poll_s: float, seconds: float) -> dict[str, object]:
    """The rate at which due polls go out when all are due at once, one interval after the other."""
    publisher = Publisher(Celery(broker=site.site.redis_url), profile.sealed(site.keys))
    at_us = time.time_ns() // 1000
    grid = Grid(profile.active(), at_us)
    count, took_s, used_s = 0, 0.0, 0.0
    publisher.publish(grid.due(at_us + 1))  # opens the connection
    while took_s < seconds:
        at_us += slots.interval_us(poll_s)
        begin_s, cpu_begin_s = time.perf_counter(), time.process_time()
        count += publisher.publish(grid.due(at_us))
        took_s += time.perf_counter() - begin_s
        used_s += time.process_time() - cpu_begin_s
        site.redis.flushall()
    publisher.close()
    return {
        "publish_rate_per_s": round(count / took_s),
        "publish_cpu_ms_per_poll": round(used_s * 1000 / count, 4),
    }


def measure(pairs: int, poll_s: float, seconds: float, regions: int, burst_s: float) -> dict[str, object]:
    """The figures of a beat with a profile of so many pairs."""
    with rig() as site:
        path = site.folder / "profile.yaml"
        names = _write_profile(path, pairs, regions, poll_s)
        begin_s = time.perf_counter()
        profile = profiles.load(path)
        figures: dict[str, object] = {"pairs": pairs, "load_s": round(time.perf_counter() - begin_s, 2)}
        figures |= _punctuality(site, path, profile, names, seconds)
        if burst_s:
            site.redis.flushall()
            figures |= _burst(site, profile, poll_s, burst_s)
        return figures


@click.command()
@click.option("--pairs", type=click.IntRange(1), default=10_000, show_default=True)
@click.option(
    "--regions", type=click.IntRange(1), default=4, show_default=True, help="Regions of an element."
)
@click.option("--poll", "poll_s", type=float, default=60.0, show_default=True, help="Interval in seconds.")
@click.option("--seconds", type=float, default=15.0, show_default=True, help="Measured time.")
@click.option("--burst", is_flag=True, help="Measure the highest rate of publishing too.")
@json_option
def main(pairs: int, regions: int, poll_s: float, seconds: float, burst: bool, as_json: bool) -> None:
    """Measures how late beat publishes polls, and at what cost."""
    figures = measure(pairs, poll_s, seconds, regions, burst_s=3.0 if burst else 0.0)
    show("beat", figures, as_json=as_json)


if __name__ == "__main__":
    main()

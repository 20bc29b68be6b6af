"""What an element in a region costs in Redis after a year of polls: ``python -m benchmarks.memory``."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
from redis import Redis

from benchmarks.rig import json_option, rig, show
from benchmarks.simulated import Recorder, Simulated, element, mailbox, round_trip
from postbeat import packing, slots
from postbeat.elements import Imap4Element
from postbeat.model import Level
from postbeat.results import Result
from postbeat.store import keys
from postbeat.store.fold import DAY_US, FOLD_US, FoldStore, Retention

SHARE = 20  # elements that share a mailbox
PASTS = 2  # different pasts; those of more pairs are copies
BAD = 20  # polls a day ago that fail in turns, so that all is kept that is kept of such
FOLDS = 4  # of the last day
GLOBAL = (keys.RESULTS, keys.EVENTS)
KIB = 1024

_Poll = tuple[Simulated, Imap4Element, Result, Result | None]


def _polls(
    simulated: Simulated, box: Imap4Element, from_us: int, to_us: int, bad_to_us: int
) -> Iterator[_Poll]:
    """A pair's polls of a stretch of time; up to some moment they fail in turns."""
    poll_s = slots.poll_s(simulated.element)
    first, end = (slots.slot_at(simulated.pair, poll_s, at_us) + 1 for at_us in (from_us, to_us))
    for slot in range(first, end):
        is_bad = slots.due_us(simulated.pair, poll_s, slot) < bad_to_us
        level = (Level.FAILED, Level.GOOD)[slot % 2] if is_bad else simulated.level()
        yield simulated, box, *simulated.poll(slot, level)


def _last_day(
    recorder: Recorder, folder: FoldStore, pairs: list[tuple[Simulated, Imap4Element]], now_us: int
) -> int:
    """Records a day of polls and what came since the last fold: that was for each pair at another moment.

    As in a site, some pairs were folded just now, some nearly six hours ago, and the others in between.
    """
    count = 0
    for number, (simulated, box) in enumerate(pairs):
        folded_us = now_us - FOLD_US * (2 * number + 1) // (2 * len(pairs))
        begin_us = folded_us - FOLDS * FOLD_US
        bad_to_us = begin_us + BAD * round(simulated.element.poll * 1e6)
        for to_us in (*(folded_us - FOLD_US * fold for fold in reversed(range(FOLDS))), now_us):
            count += recorder.record(_polls(simulated, box, begin_us, to_us, bad_to_us))
            while to_us < now_us and folder.fold(str(simulated.pair)):
                pass
            begin_us = to_us
    return count


def _settle(redis: Redis, boxes: list[Imap4Element], per_box: float, poll_s: float) -> None:
    """Leaves of the settled messages those of an hour, as the passing of a day would have."""
    for box in boxes:
        redis.ltrim(keys.settled(box.mailbox), -round(per_box * 3600 / poll_s), -1)


def _used(redis: Redis) -> int:
    """The memory that Redis uses once everybody else has left, in bytes."""
    redis.connection_pool.disconnect()  # the buffers of a connection that was busy are large
    while int(redis.info("clients")["connected_clients"]) > 1:
        time.sleep(0.02)
    return int(redis.info("memory")["used_memory"])


def _taken_away(redis: Redis, names: list[str]) -> float:
    """The KiB that some keys take, found out by deleting them: MEMORY USAGE guesses, for streams."""
    before = _used(redis)
    redis.delete(*names)
    return (before - _used(redis)) / KIB


def _by_kind(redis: Redis, pairs: int) -> dict[str, float]:
    """KiB of each kind of key for each pair, and of Redis's own tables of keys. Nothing is left."""
    kinds: dict[str, list[str]] = {}
    for key in redis.scan_iter(count=1000):
        kinds.setdefault(key.split(":")[1], []).append(key)
    before = _used(redis)
    sizes = {kind: _taken_away(redis, names) / pairs for kind, names in kinds.items()}
    redis.flushall()
    sizes["tables"] = (before - _used(redis)) / KIB / pairs - sum(sizes.values())
    return {kind: round(size, 2) for kind, size in sorted(sizes.items(), key=lambda item: -item[1])}


def measure(pairs: int, days: int, poll_s: float) -> dict[str, object]:
    """The figures of a Redis with so many pairs that were polled for so many days."""
    with rig() as site:
        site.redis.flushall()  # the first call of a command takes memory of its own
        template = round_trip()
        now_us = time.time_ns() // 1000
        boxes = [mailbox(number) for number in range(-(-pairs // SHARE))]
        made = [
            (Simulated(element(number, poll_s, ("bench",), box), "bench", template), box)
            for number, box in ((number, boxes[number // SHARE]) for number in range(pairs))
        ]
        hours_days = Retention().hours_days
        pasts = [simulated.past(days, hours_days, now_us // DAY_US) for simulated, _ in made[:PASTS]]
        values = [(packing.pack(hours), packing.pack(by_days)) for hours, by_days in pasts]
        recorder, folder = Recorder(site.site.redis_url), FoldStore(site.site.redis_url)
        for number, (simulated, _) in enumerate(made):
            hours, by_days = values[number % PASTS]
            name = keys.rollup(str(simulated.pair))
            site.redis.hset(name, items=["hours", hours, "days", by_days, "upto", "0-1"])
        results = _last_day(recorder, folder, made, now_us)
        _settle(site.redis, boxes, pairs / len(boxes), poll_s)
        recorder.close()
        folder.close()
        first = keys.rollup(str(made[0][0].pair))
        sizes = dict.fromkeys(("hours", "days", "log"), 0)
        for field in map(str, site.redis.hkeys(first)):
            name = field.partition(":")[0]
            if name in sizes:
                sizes[name] += site.redis.hstrlen(first, field)
        streams = {key: round(_taken_away(site.redis, [key]), 1) for key in GLOBAL}
        kinds = _by_kind(site.redis, pairs)
        return {
            "pairs": pairs,
            "days": days,
            "poll_s": poll_s,
            "results": results,
            "kb_per_pair": round(sum(kinds.values()), 1),
            **{f"{name}_bytes": size for name, size in sizes.items()},
            "by_key_kind": kinds,
            "global_streams_kb": streams,
        }


@click.command()
@click.option("--pairs", type=click.IntRange(1), default=10, show_default=True)
@click.option(
    "--days", type=click.IntRange(1, 400), default=400, show_default=True, help="Polled for so long."
)
@click.option("--poll", "poll_s", type=click.FloatRange(1, 3600), default=300.0, show_default=True)
@json_option
def main(pairs: int, days: int, poll_s: float, as_json: bool) -> None:
    """Measures the memory that Redis needs for each element and region at the default retention."""
    show("memory", measure(pairs, days, poll_s), as_json=as_json)


if __name__ == "__main__":
    main()

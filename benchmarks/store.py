"""What recording costs, and how quickly past and present are told: ``python -m benchmarks.store``."""

from __future__ import annotations

import functools
import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from benchmarks.rig import Rig, json_option, redis_cpu_s, rig, show
from benchmarks.simulated import Recorder, Simulated, element, mailbox, round_trip
from postbeat import publicfacts, slots
from postbeat.elements import Imap4Element
from postbeat.embedded.redis import free_port
from postbeat.model import Level, Pair
from postbeat.results import Result
from postbeat.store import keys
from postbeat.store.fold import DAY_US, FoldStore
from postbeat.store.history import History
from postbeat.store.view import ViewStore

REGIONS = ("north", "south", "west")
POLL_S = 300.0
PER_PAIR = 18_000  # results of a pair at most: those of a month
PORTION = 500  # polls recorded between two folds
QUERY_DAYS = 30
QUERIES = 30
START_S = 60.0  # within which the page has to start
SHARE = 20  # elements that share a mailbox

_Poll = tuple[Simulated, Imap4Element, Result, Result | None]


@dataclass
class Cost:
    """What recording and folding took so far."""

    results: int = 0
    whole_s: float = 0.0
    redis_s: float = 0.0
    folds: int = 0
    folding_s: float = 0.0
    levels: dict[str, int] = field(default_factory=dict)


def _record(site: Rig, polls: int, template: tuple[Result, Result], cost: Cost) -> None:
    """Records so many polls of each region, up to now, for as many elements as that takes."""
    recorder, folder = Recorder(site.site.redis_url), FoldStore(site.site.redis_url)
    now_us = time.time_ns() // 1000
    number = 0
    while polls > 0:
        box = mailbox(number // SHARE)
        one = element(number, POLL_S, REGIONS, box)
        for region in REGIONS:
            simulated = Simulated(one, region, template)
            newest = slots.slot_at(simulated.pair, POLL_S, now_us)
            wanted = range(newest - min(polls, PER_PAIR // 2) + 1, newest + 1)
            for begin in range(0, len(wanted), PORTION):
                _portion(site, recorder, simulated, box, wanted[begin : begin + PORTION], cost)
                began_s = time.perf_counter()
                while folder.fold(str(simulated.pair)):
                    cost.folds += 1
                cost.folding_s += time.perf_counter() - began_s
        polls -= PER_PAIR // 2
        number += 1
    recorder.close()
    folder.close()


def _portion(
    site: Rig, recorder: Recorder, simulated: Simulated, box: Imap4Element, wanted: range, cost: Cost
) -> None:
    polls: list[_Poll] = []
    for slot in wanted:
        level = simulated.level()
        cost.levels[level] = cost.levels.get(level, 0) + 1
        polls.append((simulated, box, *simulated.poll(slot, level)))
    used_s, began_s = redis_cpu_s(site.redis), time.perf_counter()
    cost.results += recorder.record(polls)
    cost.whole_s += time.perf_counter() - began_s
    cost.redis_s += redis_cpu_s(site.redis) - used_s


def _times_ms(call: Callable[[], object], count: int) -> list[float]:
    """How long a call takes, in order."""
    times_ms = []
    for _ in range(count):
        began_s = time.perf_counter()
        call()
        times_ms.append((time.perf_counter() - began_s) * 1000)
    return sorted(times_ms)


def _percentile_query(site: Rig, name: str) -> dict[str, object]:
    history = History(site.site.redis_url)
    pairs = [Pair(name, region) for region in REGIONS]

    def ask() -> int | None:
        now_us = time.time_ns() // 1000
        found = history.rollup(pairs, now_us - QUERY_DAYS * DAY_US, now_us, timings=["responseTime"])
        return found.percentile("responseTime", 0.95)

    answer_us = ask()
    times_ms = _times_ms(ask, QUERIES)
    history.close()
    return {
        "percentile_query_ms": round(statistics.median(times_ms), 2),
        "percentile_query_p95_ms": round(times_ms[-1 - QUERIES // 20], 2),
        "percentile_ms": None if answer_us is None else answer_us / 1000,
    }


def _present(elements: int, template: tuple[Result, Result]) -> Iterator[_Poll]:
    """One poll of each region for many elements."""
    now_us = time.time_ns() // 1000
    for number in range(elements):
        box = mailbox(number // SHARE)
        for region in REGIONS:
            simulated = Simulated(element(number, POLL_S, REGIONS, box), region, template)
            level = Level.FAILED if number % 50 == 0 and region == REGIONS[0] else Level.GOOD
            yield simulated, box, *simulated.poll(slots.slot_at(simulated.pair, POLL_S, now_us), level)


def _overview(site: Rig, elements: int, template: tuple[Result, Result]) -> dict[str, object]:
    """How long the overview of many elements takes, once their results are there: as rows, and at the API."""
    site.redis.flushdb()
    recorder = Recorder(site.site.redis_url)
    recorder.record(_present(elements, template))
    recorder.close()
    facts: dict[Any, Any] = {
        one.name: json.dumps(publicfacts.public_facts(one))
        for one in (element(number, POLL_S, REGIONS, mailbox(number // SHARE)) for number in range(elements))
    }
    site.redis.hset(keys.PROFILE, mapping=facts)
    view = ViewStore(site.site.redis_url)
    rows = len(view.overview())
    rows_ms = _times_ms(view.overview, 5)
    view.close()
    times_ms, size = _api_times_ms(site)
    return {
        "overview_rows": rows,
        "overview_rows_ms": round(statistics.median(rows_ms), 1),
        "overview_ms": round(statistics.median(times_ms), 1),
        "overview_bytes": size,
    }


def _api_times_ms(site: Rig) -> tuple[list[float], int]:
    """How long GET /api/v1/overview takes where nobody has asked before, and the size of its answer."""
    times_ms, size = [], 0
    for _ in range(3):
        port = free_port()
        child = site.site.web(port, site.folder / "profile.yaml")
        child.wait_for(functools.partial(_is_up, port), START_S)
        began_s = time.perf_counter()
        size = _get(port, "/api/v1/overview")
        times_ms.append((time.perf_counter() - began_s) * 1000)
        site.processes.end(child)
    return times_ms, size


def _is_up(port: int) -> bool | None:
    """True once the page answers; it is asked for what says nothing of elements."""
    try:
        return _get(port, "/api/v1/openapi.json") > 0
    except OSError:
        return None


def _get(port: int, path: str) -> int:
    """The size of the answer to a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        size = len(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise click.ClickException(f"GET {path} was answered with {answer.status}")
    return size


def measure(results: int, elements: int) -> dict[str, object]:
    """The figures."""
    with rig() as site:
        template = round_trip()
        cost = Cost()
        _record(site, max(1, results // (2 * len(REGIONS))), template, cost)
        figures = {
            "results": cost.results,
            "record_us": round(cost.redis_s * 1e6 / cost.results, 1),
            "record_whole_us": round(cost.whole_s * 1e6 / cost.results, 1),
            "fold_ms": round(cost.folding_s * 1000 / cost.folds, 1),
            "lost": _lost(site, cost),
            "redis_mb": round(int(site.redis.info("memory")["used_memory"]) / 1e6, 1),
            **_percentile_query(site, "mail0"),
        }
        return figures | _overview(site, elements, template)


def _lost(site: Rig, cost: Cost) -> int:
    """Polls that were recorded, and are not in the history of all pairs."""
    history, view, now_us = (
        History(site.site.redis_url),
        ViewStore(site.site.redis_url),
        time.time_ns() // 1000,
    )
    found = history.rollup(view.pairs(), now_us - 399 * DAY_US, now_us, timings=[])
    history.close()
    view.close()
    return sum(abs(count - found.counts.get(f"poll:{level}", 0)) for level, count in cost.levels.items())


@click.command()
@click.option("--results", type=click.IntRange(1), default=52_000, show_default=True, help="Recorded, about.")
@click.option("--elements", type=click.IntRange(1), default=5000, show_default=True, help="Of the overview.")
@json_option
def main(results: int, elements: int, as_json: bool) -> None:
    """Measures what recording a result costs Redis, and how quickly the past and the present are told."""
    show("store", measure(results, elements), as_json=as_json)


if __name__ == "__main__":
    main()

"""What a poll costs a worker, beside a bare loop that only sends: ``python -m benchmarks.worker``."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
from celery import Celery

from beat_schedule.grid import Due
from beat_schedule.publisher import Publisher
from benchmarks.rig import Rig, answer, cpu_s, json_option, redis_cpu_s, rig, rss_mb, show
from benchmarks.sinks import HOST
from postbeat import queues
from postbeat.elements import Imap4Element, SmtpElement
from postbeat.embedded.processes import Child
from postbeat.model import Level, Pair, Phase, Poll, Secret
from postbeat.profile import Profile
from postbeat.store import keys

REGION = "bench"
ELEMENTS = 500
POLL_S = 3600.0  # so long that no poll expires
READY_S = 30.0
WARM_UP_S = 0.7
QUEUED = 3000  # polls that wait at least, so that the worker never does
_STEP_S = 0.05
_IDLE_S = 0.4

_LEVELS = [level.value for level in Level]


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in one stretch of time: polls that were completed, and the CPU time that they took."""

    polls: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    redis_cpu_s: float = 0.0

    def __add__(self, other: Window) -> Window:
        return Window(
            self.polls + other.polls,
            self.seconds + other.seconds,
            self.cpu_s + other.cpu_s,
            self.redis_cpu_s + other.redis_cpu_s,
        )

    @property
    def cpu_ms(self) -> float:
        """CPU time for each poll."""
        return self.cpu_s * 1000 / max(1, self.polls)


class Load:
    """Keeps a worker busy with polls of all elements in turn, and counts what it has completed."""

    def __init__(self, site: Rig, profile: Profile, phase: Phase) -> None:
        self._site = site
        self._phase = phase
        self._names = [element.name for element in profile.smtp]
        self._publisher = Publisher(Celery(broker=site.site.redis_url), profile.sealed(site.keys))
        self._polls = self._endless(list(profile.smtp))

    def window(self, worker: Child, seconds: float) -> Window:
        """Keeps the worker busy for a while and measures it."""
        begin, polls = time.perf_counter(), self.counts().total()
        used_s, redis_used_s = cpu_s(worker), redis_cpu_s(self._site.redis)
        self.keep(seconds)
        return Window(
            self.counts().total() - polls,
            time.perf_counter() - begin,
            cpu_s(worker) - used_s,
            redis_cpu_s(self._site.redis) - redis_used_s,
        )

    def keep(self, seconds: float) -> None:
        """Keeps polls waiting in the queue."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            missing = QUEUED - self._site.redis.llen(queues.probe(REGION))
            if missing > 0:
                self._publisher.publish(itertools.islice(self._polls, missing))
            time.sleep(_STEP_S)

    def stop(self) -> None:
        """Takes the waiting polls away and waits until nothing is under way."""
        self._site.redis.delete(queues.probe(REGION))
        before, now = -1, self.counts().total()
        while now != before:
            time.sleep(_IDLE_S)
            before, now = now, self.counts().total()

    def counts(self) -> Counter[str]:
        """How many polls were completed so far, by level."""
        fields = [f"n:{self._phase}:{level}" for level in _LEVELS]
        with self._site.redis.pipeline(transaction=False) as pipe:
            for name in self._names:
                pipe.hmget(keys.pair(str(Pair(name, REGION))), fields)
            found = pipe.execute()
        counts: Counter[str] = Counter()
        for row in found:
            counts.update({level: int(count) for level, count in zip(_LEVELS, row, strict=True) if count})
        return counts

    def close(self) -> None:
        """Closes the connection."""
        self._publisher.close()

    @staticmethod
    def _endless(elements: list[SmtpElement]) -> Iterator[Due]:
        expires_us = round((time.time() + POLL_S) * 1e6)
        for slot in itertools.count(1):
            for element in elements:
                yield Due(Poll(element.name, REGION, slot), element, 0, expires_us)


def profile(kind: str, ports: dict[str, int], mailboxes: int) -> Profile:
    """Elements that send to the sink; for round trips they share mailboxes, each read by one reader."""
    elements: dict[str, Any] = {}
    for number in range(mailboxes):
        name = f"box{number}"
        password = Secret("literal", "secret")
        elements[name] = Imap4Element(
            name=name, server=HOST, port=ports["imap4"], username=name, password=password
        )
    for number in range(ELEMENTS):
        name, box = f"send{number}", f"box{number % mailboxes}"
        elements[name] = SmtpElement(
            name=name,
            server=HOST,
            port=ports["smtp"],
            email=f"{box}@sink.test",
            poll=POLL_S,
            regions=(REGION,),
            read=box if kind == "roundtrip" else None,
        )
    return Profile(elements)


def _ports(site: Rig) -> dict[str, int]:
    ports: dict[str, int] = answer(site.start("sinks"), READY_S)
    return ports


def _bare(site: Rig, port: int, concurrency: int, seconds: float) -> Window:
    child = site.start("bare", f"--port={port}", f"--concurrency={concurrency}", f"--seconds={seconds}")
    figures = answer(child, READY_S + seconds)
    site.processes.end(child)
    return Window(figures["sent"], seconds, figures["cpu_s"])


def measure(
    kind: str, seconds: float, rounds: int, concurrency: int, mailboxes: int, *, events: bool
) -> dict[str, object]:
    """The figures; worker and bare loop take turns, so that both meet the same machine."""
    with rig(concurrency=concurrency, task_events=events) as site:
        ports = _ports(site)
        phase = Phase.READ if kind == "roundtrip" else Phase.SEND
        load = Load(site, profile(kind, ports, mailboxes), phase)
        worker = site.site.worker(REGION)
        load.keep(_STEP_S)
        worker.wait_for(lambda: load.counts().total() or None, READY_S)
        polls, bare, ratios = Window(), Window(), []
        for _ in range(rounds):
            load.keep(WARM_UP_S)
            ours = load.window(worker, seconds / rounds)
            load.stop()
            yardstick = _bare(site, ports["smtp"], concurrency, seconds / rounds)
            polls, bare = polls + ours, bare + yardstick
            ratios.append(round(ours.cpu_ms / yardstick.cpu_ms, 2))
        load.close()
        bad = {level: count for level, count in load.counts().items() if level != Level.GOOD}
        if bad:
            raise click.ClickException(f"polls failed, so that the figures mean nothing: {bad}")
        return {
            "kind": kind,
            "polls": polls.polls,
            "polls_per_s": round(polls.polls / polls.seconds, 1),
            "cpu_ms_per_poll": round(polls.cpu_ms, 3),
            "bare_cpu_ms": round(bare.cpu_ms, 3),
            "ratio": round(polls.cpu_ms / bare.cpu_ms, 2),
            "ratios": ratios,
            "redis_cpu_ms_per_poll": round(polls.redis_cpu_s * 1000 / max(1, polls.polls), 3),
            "rss_mb": rss_mb(worker),
            "events": events,
            "concurrency": concurrency,
        }


@click.command()
@click.option("--kind", type=click.Choice(["send", "roundtrip"]), default="send", show_default=True)
@click.option("--seconds", type=float, default=12.0, show_default=True, help="Measured time of each side.")
@click.option(
    "--rounds", type=int, default=3, show_default=True, help="Turns that the seconds are split into."
)
@click.option("--concurrency", type=int, default=200, show_default=True, help="Polls in flight.")
@click.option("--mailboxes", type=int, default=50, show_default=True, help="Mailboxes of --kind roundtrip.")
@click.option("--events/--no-events", default=True, show_default=True, help="Task events, as Flower needs.")
@json_option
def main(
    kind: str, seconds: float, rounds: int, concurrency: int, mailboxes: int, events: bool, as_json: bool
) -> None:
    """Measures the CPU that a poll costs a saturated worker."""
    figures = measure(kind, seconds, rounds, concurrency, mailboxes, events=events)
    show(f"worker, {kind}", figures, as_json=as_json)


if __name__ == "__main__":
    main()

"""Beat is restarted: no poll is fired twice, none is left out, and every element keeps its place."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from typing import Any

import pytest

from postbeat.model import Pair, Poll
from tests.e2e.running import Running, kill

POLL_S = 10  # longer than any restart takes: a poll that is an interval late is not fired any more
ELEMENTS = [
    {"type": "smtp", "name": f"mail{number}", "server": "127.0.0.1", "poll": POLL_S, "regions": ["eu", "us"]}
    for number in range(20)
]
ROUND = 2 * len(ELEMENTS)  # the polls of one interval


class Taker:
    """Takes the messages of all polls out of their queues, as workers do."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.taken: list[tuple[Poll, int]] = []  # the poll, and when it expires

    def take(self) -> int:
        """Returns how many were taken so far."""
        for queue in ("probe.eu", "probe.us"):
            texts: Any = self._running.redis.rpop(queue, 1000)
            self.taken += map(_arguments, texts or ())
        return len(self.taken)

    def more(self, rounds: int = 1) -> None:
        """Waits until so many intervals' polls more are fired."""
        wanted = self.take() + rounds * ROUND
        self._running.until(lambda: self.take() >= wanted, f"{wanted} polls")

    @property
    def polls(self) -> list[Poll]:
        return [poll for poll, _ in self.taken]


def _arguments(message: str) -> tuple[Poll, int]:
    """The poll of a message, and when it expires."""
    (_, _, poll, expires_us), *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return Poll.parse(poll), expires_us


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Taker:
    """What three beats have fired, one after the other."""
    with Running.open(tmp_path_factory.mktemp("restarted")) as running:
        taker, path = Taker(running), running.profile(*ELEMENTS)
        for _ in range(3):
            beat = running.site.beat(path)
            taker.more()
            running.stop(beat)
        taker.take()
        return taker


def test_a_restarted_beat_fires_every_poll_exactly_once(restarted: Taker) -> None:
    found: dict[Pair, list[int]] = defaultdict(list)
    for poll in restarted.polls:
        found[poll.pair].append(poll.slot)
    assert len(found) == ROUND
    for pair, slots in found.items():
        assert len(slots) >= 2
        assert slots == list(range(slots[0], slots[0] + len(slots))), pair


def test_elements_keep_their_phase_over_restarts_and_are_spread_over_the_interval(restarted: Taker) -> None:
    phases: dict[Pair, set[float]] = defaultdict(set)
    for poll, expires_us in restarted.taken:
        phases[poll.pair].add(round(expires_us / 1e6 % POLL_S, 3))
    assert all(len(found) == 1 for found in phases.values())
    places = [min(found) for found in phases.values()]
    assert len(set(places)) > ROUND * 0.9
    assert min(places) < POLL_S / 4 < POLL_S * 3 / 4 < max(places)


def test_two_beats_and_a_killed_one_fire_no_poll_twice(running: Running) -> None:
    taker, path = Taker(running), running.profile(*ELEMENTS)
    first = running.site.beat(path, "beat-1")
    running.site.beat(path, "beat-2")
    taker.more(2)
    kill(first)
    taker.more()
    running.site.beat(path, "beat-3")
    taker.more()
    assert len(set(taker.polls)) == len(taker.polls)

"""The end of a worker: what runs may end, what waits goes back to its queue, and nothing waits for ever."""

from __future__ import annotations

import time

from tests.workers.conftest import DEADLINE_S, Start, Worker


def holding(worker: Worker, names: str) -> None:
    """Lets tasks begin that end when they are let go."""
    for name in names:
        worker.tasks.hold.delay(name)


def test_what_runs_may_end(start: Start) -> None:
    worker = start()
    holding(worker, "abc")
    worker.until(lambda: len(worker.names("began")) == 3)
    worker.stop()
    worker.until(lambda: "Warm shutdown" in worker.child.last_lines(30))
    worker.let_go("abc")
    assert worker.ended() == 0
    assert sorted(worker.names("ended")) == ["a", "b", "c"]
    assert worker.names("cancelled") == []


def test_what_waits_goes_back_to_the_queue_and_another_worker_takes_it(start: Start) -> None:
    worker = start(2)
    holding(worker, "abcdef")
    worker.until(lambda: len(worker.names("began")) == 2)
    worker.stop()
    worker.until(lambda: "Warm shutdown" in worker.child.last_lines(30))
    worker.let_go("abcdef")
    assert worker.ended() == 0
    assert sorted(worker.names("ended")) == ["a", "b"]
    assert worker.queued() == 4
    successor = start(10)
    successor.until(lambda: len(successor.names("ended")) == 6)
    assert sorted(successor.names("began")) == list("abcdef")


def test_what_does_not_end_in_the_grace_time_is_cancelled(start: Start) -> None:
    worker = start(POSTBEAT_GRACE="0.3")
    holding(worker, "ab")
    worker.until(lambda: len(worker.names("began")) == 2)
    begun = time.monotonic()
    worker.stop()
    assert worker.ended() == 0
    assert time.monotonic() - begun < 5
    assert sorted(worker.names("cancelled")) == ["a", "b"]
    assert worker.names("ended") == []


def test_an_idle_worker_ends_at_once(start: Start) -> None:
    worker = start()
    worker.stop()
    begun = time.monotonic()
    assert worker.ended() == 0
    assert time.monotonic() - begun < DEADLINE_S / 3

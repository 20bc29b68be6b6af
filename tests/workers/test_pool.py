"""The asyncio pool in a real worker: thousands wait at once, and Celery's own ways work as ever."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from celery.exceptions import TaskRevokedError

from tests.workers.conftest import DEADLINE_S, Start
from workers.pool import await_


def test_500_tasks_are_under_way_at_once(start: Start) -> None:
    worker = start(500)
    results = [worker.tasks.meet.delay(500) for _ in range(500)]
    assert [result.get(timeout=DEADLINE_S) for result in results] == [500] * 500


def test_all_tasks_run_in_the_workers_one_process(start: Start) -> None:
    worker = start()
    assert worker.tasks.pid.delay().get(timeout=DEADLINE_S) == worker.child.pid != os.getpid()


def test_at_most_the_limit_runs_and_the_rest_stays_in_the_queue(start: Start) -> None:
    worker = start(5)
    names = [str(number) for number in range(20)]
    results = [worker.tasks.hold.delay(name) for name in names]
    worker.until(lambda: len(worker.names("began")) == 5)
    worker.app.control.ping(timeout=0.2)  # the worker has had its time to take more
    assert len(worker.names("began")) == 5
    assert worker.queued() >= 14  # at most one waits in the worker
    worker.let_go(names)
    assert [result.get(timeout=DEADLINE_S) for result in results] == names
    assert sorted(worker.names("ended")) == sorted(names)


def test_a_place_that_becomes_free_is_taken(start: Start) -> None:
    worker = start(2)
    for name in "abc":
        worker.tasks.hold.delay(name)
    worker.until(lambda: set(worker.names("began")) == {"a", "b"})
    worker.let_go("b")
    worker.until(lambda: worker.names("began")[2:] == ["c"])
    worker.let_go("ac")
    worker.until(lambda: len(worker.names("ended")) == 3)


def test_a_task_may_await_more_than_once(start: Start) -> None:
    assert start().tasks.twice.delay(1).get(timeout=DEADLINE_S) == [1, 2, 3]


def test_each_task_keeps_its_own_request(start: Start) -> None:
    worker = start()
    results = [worker.tasks.who.delay() for _ in range(20)]
    assert [result.get(timeout=DEADLINE_S) for result in results] == [[one.id, one.id] for one in results]


def test_a_task_can_be_retried(start: Start) -> None:
    assert start().tasks.third_time.delay().get(timeout=DEADLINE_S) == 2


def test_an_exception_is_a_failure_with_its_text(start: Start) -> None:
    worker = start()
    result = worker.tasks.fail.delay("what went wrong")
    with pytest.raises(ValueError, match="what went wrong"):
        result.get(timeout=DEADLINE_S)
    assert result.state == "FAILURE"
    assert "await_(wrong())" in str(result.traceback)


def test_a_revoked_task_is_cancelled_once_and_may_clean_up(start: Start) -> None:
    worker = start()
    result = worker.tasks.hold.delay("a")
    worker.until(lambda: worker.names("began"))
    result.revoke(terminate=True)
    worker.until(lambda: worker.names("cancelled") == ["a"])
    with pytest.raises(TaskRevokedError):
        result.get(timeout=DEADLINE_S)
    assert worker.tasks.pid.delay().get(timeout=DEADLINE_S) == worker.child.pid


def test_a_revoked_task_gives_its_place_to_another(start: Start) -> None:
    worker = start(1)
    first = worker.tasks.hold.delay("a")
    worker.until(lambda: worker.names("began"))
    worker.tasks.hold.delay("b")
    first.revoke(terminate=True)
    worker.until(lambda: worker.names("began") == ["a", "b"])


def test_a_coroutine_that_cancels_itself_is_a_failure_and_gives_its_place_back(start: Start) -> None:
    worker = start(1)
    result = worker.tasks.cancel_yourself.delay()
    with pytest.raises(RuntimeError, match="cancelled though nobody revoked"):
        result.get(timeout=DEADLINE_S)
    assert worker.tasks.pid.delay().get(timeout=DEADLINE_S) == worker.child.pid


def test_a_worker_is_ready_soon(start: Start) -> None:
    begun = time.monotonic()
    start()
    assert time.monotonic() - begun < 12


def test_awaiting_outside_a_task_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="only in a task"):
        await_(asyncio.sleep(0))

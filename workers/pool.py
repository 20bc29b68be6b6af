"""An asyncio pool for Celery, without patching Celery.

Celery's own tracer runs each task in a greenlet of the worker's main thread. A task body that calls
:func:`await_` hands its coroutine to an event loop in a second thread and switches back to Celery's hub; a
pipe that is registered with the hub wakes it when coroutines are done. So Celery stays single-threaded, as
its code expects (its request stack is local to the greenlet), while thousands of coroutines are under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import greenlet
import uvloop
from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool

log = logging.getLogger(__name__)

T = TypeVar("T")
_START_S = 30.0
SWITCH_S = 0.0005  # the main thread must not hold back the loop's marks by Python's default of 5 ms


class _Outcome:
    """What became of a coroutine, on its way from the loop's thread to the main thread."""

    __slots__ = ("error", "job", "value")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.value: Any = None
        self.error: BaseException | None = None


class Job:
    """One task in the pool: waiting for a place, running, or done."""

    def __init__(self, pool: TaskPool, run: Callable[[], None]) -> None:
        self.pool = pool
        self.green = greenlet.greenlet(run)
        self.coroutine: asyncio.Task[Any] | None = None
        self.cancelled = False

    def terminate(self, signal: int | None = None) -> None:
        """Cancels the task's coroutine; Celery calls this for a revoked task."""
        self.pool.cancel(self)


def await_(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the pool's event loop; the calling task sleeps and others run meanwhile.

    Raises:
        RuntimeError: called outside a task of this pool.
        asyncio.CancelledError: the task was revoked with terminate, or the worker stops.
    """
    job = _running.get(greenlet.getcurrent())
    if job is None:
        coroutine.close()
        raise RuntimeError("await_ works only in a task that runs in workers.pool.TaskPool")
    outcome: _Outcome = job.pool.submit(job, coroutine)
    if isinstance(outcome.error, asyncio.CancelledError) and not job.cancelled:
        # Celery must hear of it as a failure: it would count the task as under way for ever.
        raise RuntimeError("the coroutine was cancelled though nobody revoked its task") from outcome.error
    if outcome.error is not None:
        raise outcome.error
    value: T = outcome.value
    return value


_running: dict[greenlet.greenlet, Job] = {}


def running() -> int:
    """The number of tasks under way in this process."""
    return len(_running)


class TaskPool(BasePool):
    """Runs at most ``limit`` tasks; one more waits without being accepted, so prefetch holds the rest."""

    task_join_will_block = False

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  Celery's own signature
        super().__init__(*args, **options)
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="postbeat-loop", daemon=True)
        self._started = threading.Event()
        self._done: deque[_Outcome] = deque()
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # -- Celery's side ---------------------------------------------------------------------------

    def on_start(self) -> None:
        """Starts the event loop's thread."""
        sys.setswitchinterval(SWITCH_S)
        self._thread.start()
        if not self._started.wait(_START_S):
            raise RuntimeError("the event loop's thread did not start")

    def register_with_event_loop(self, hub: Any) -> None:  # noqa: ANN401  kombu's hub is untyped
        """Has Celery's hub wake up when coroutines are done; called again after each reconnect."""
        hub.add_reader(self._wake_read, self._drain)

    def on_apply(  # type: ignore[override]  # Celery wants the job back, its stubs do not know
        self,
        target: Callable[..., Any],
        args: Any = (),  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[[int, float], None] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Job:
        """Runs a task, or lets it wait for a place; Celery's ``apply_async`` ends here."""

        def run() -> None:
            self._trace(job, lambda: target(*args, **(kwargs or {})), callback, accept_callback)

        job = Job(self, run)
        if len(self._jobs) >= (self.limit or 1):
            self._waiting.append(job)
        else:
            self._begin(job)
        return job

    def _trace(
        self,
        job: Job,
        call: Callable[[], Any],
        callback: Callable[..., Any] | None,
        accept_callback: Callable[[int, float], None] | None,
    ) -> None:
        """The body of a task's greenlet: what ``celery.concurrency.base.apply_target`` does for others."""
        try:
            if accept_callback is not None:
                accept_callback(id(job), time.monotonic())
            value = call()
        except asyncio.CancelledError:
            return  # whoever cancelled the task has told Celery already
        except Exception:
            log.exception("a task failed outside its tracer")
            value = ExceptionInfo()
            if callback is not None:
                callback((1, value, 0.0))
        else:
            if callback is not None:
                callback(value)

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Cancels the task that was accepted under this id."""
        job = self._jobs.get(pid)
        if job is not None:
            self.cancel(job)

    def on_stop(self) -> None:
        """Warm shutdown: waits for what runs, up to the grace time, then cancels it."""
        self._waiting.clear()  # never accepted: Celery gives these back to their queue
        grace_s = float(self.app.conf.postbeat_grace_s)
        if not self._drain_until_idle(grace_s):
            log.warning("%d tasks still run after %.0f s and are cancelled", len(self._jobs), grace_s)
            self.on_terminate()
        self._stop_loop()

    def on_terminate(self) -> None:
        """Cold shutdown: cancels what runs."""
        self._waiting.clear()
        for job in list(self._jobs.values()):
            self.cancel(job)
        self._drain_until_idle(1.0)

    def grow(self, n: int = 1) -> None:
        """Celery's ``pool_grow``."""
        self.limit = (self.limit or 0) + n
        self._fill()

    def shrink(self, n: int = 1) -> None:
        """Celery's ``pool_shrink``; what runs beyond the new limit runs to its end."""
        self.limit = max(1, (self.limit or 1) - n)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()  # type: ignore[misc]  # unknown to Celery's stubs
        return {**info, "running": len(self._jobs), "waiting": len(self._waiting)}

    # -- the main thread -------------------------------------------------------------------------

    def submit(self, job: Job, coroutine: Coroutine[Any, Any, Any]) -> _Outcome:
        """Sends a coroutine to the loop and sleeps until its outcome is there."""
        parent = greenlet.getcurrent().parent
        if parent is None:
            raise RuntimeError("the task runs in no greenlet of this pool")
        self.loop.call_soon_threadsafe(self._launch, job, coroutine)
        outcome: _Outcome = parent.switch()
        return outcome

    def cancel(self, job: Job) -> None:
        """Cancels a job: a waiting one never begins, a running one gets a CancelledError, once.

        Celery asks twice for a revoked task; the second would interrupt its cleaning up after the first.
        """
        if job in self._waiting:
            self._waiting.remove(job)
            return
        if job.cancelled:
            return
        job.cancelled = True
        self.loop.call_soon_threadsafe(self._cancel_coroutine, job)

    def _begin(self, job: Job) -> None:
        self._jobs[id(job)] = job
        _running[job.green] = job
        self._switch(job, None)

    def _switch(self, job: Job, outcome: _Outcome | None) -> None:
        """Lets a task run until it awaits or ends."""
        job.green.parent = greenlet.getcurrent()
        try:
            if outcome is None:
                job.green.switch()
            else:
                job.green.switch(outcome)
        finally:
            if job.green.dead:
                del self._jobs[id(job)]
                del _running[job.green]

    def _drain(self) -> None:
        """Lets the tasks go on whose coroutines are done."""
        try:
            while os.read(self._wake_read, 4096):
                pass
        except BlockingIOError:
            pass
        while self._done:
            outcome = self._done.popleft()
            self._switch(outcome.job, outcome)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and len(self._jobs) < (self.limit or 1):
            self._begin(self._waiting.popleft())

    def _drain_until_idle(self, seconds: float) -> bool:
        """Waits without Celery's hub, which stands still by now. True when nothing runs any more."""
        deadline = time.monotonic() + seconds
        while self._jobs:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            select.select([self._wake_read], [], [], left)
            self._drain()
        return True

    # -- the loop's thread -----------------------------------------------------------------------

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(self._started.set)
        self.loop.run_forever()
        self.loop.close()

    def _stop_loop(self) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(5.0)

    def _launch(self, job: Job, coroutine: Coroutine[Any, Any, Any]) -> None:
        job.coroutine = self.loop.create_task(coroutine)
        job.coroutine.add_done_callback(lambda task: self._finished(job, task))
        if job.cancelled:
            job.coroutine.cancel()

    def _cancel_coroutine(self, job: Job) -> None:
        if job.coroutine is not None:
            job.coroutine.cancel()

    def _finished(self, job: Job, task: asyncio.Task[Any]) -> None:
        outcome = _Outcome(job)
        if task.cancelled():
            outcome.error = asyncio.CancelledError()
        else:
            outcome.error = task.exception()
            if outcome.error is None:
                outcome.value = task.result()
        self._done.append(outcome)
        with contextlib.suppress(BlockingIOError):  # a full pipe has woken the main thread already
            os.write(self._wake_write, b"1")

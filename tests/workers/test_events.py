"""Task events, which Flower lives on, are gathered for a moment, and none is kept back."""

from __future__ import annotations

import base64
import json
import time

from redis.client import PubSub

from tests.workers.conftest import DEADLINE_S, Start

TOLD = ["task-received", "task-started", "task-succeeded"]


def task_events(listener: PubSub) -> list[str]:
    """The types of the events that come, until a task has ended."""
    seen: list[str] = []
    deadline = time.monotonic() + DEADLINE_S
    while TOLD[-1] not in seen and time.monotonic() < deadline:
        message = listener.get_message(timeout=1.0)
        if message is not None and message["type"] == "pmessage":
            body = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
            events = body if isinstance(body, list) else [body]
            seen += [event["type"] for event in events if event["type"].startswith("task-")]
    return seen


def test_the_events_of_a_task_come_though_no_other_task_follows(start: Start) -> None:
    worker = start()
    with worker.redis.pubsub() as listener:  # type: ignore[no-untyped-call]
        listener.psubscribe("*celeryev*")
        assert listener.get_message(timeout=DEADLINE_S) is not None
        worker.tasks.meet.delay(1)
        assert task_events(listener)[-len(TOLD) :] == TOLD

"""Celery's consumer, which publishes task events less often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery.worker import consumer

EVENTS_S = 0.1  # a task event waits at most so long; Flower's eyes see no difference


class Consumer(consumer.Consumer):
    """Gathers task events for a moment: Celery itself publishes them in every turn of its hub.

    With one message a turn that is a Redis round trip for every task, in which the main thread stands still.
    """

    hub: Any  # unknown to Celery's stubs, as the next one
    _flush_events: Callable[[], None]
    _flush_at = 0.0

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # the stubs are mistaken
        """Called by the event dispatcher for each event that it keeps; at 24 it publishes by itself."""
        now = time.monotonic()
        # Not a flag: timers are lost when the connection to Redis is, and a time that has passed is not.
        if self.hub is not None and now >= self._flush_at:
            self._flush_at = now + EVENTS_S
            self.hub.call_later(EVENTS_S, self._flush_events)

    def stop(self) -> None:
        """Publishes what is left."""
        self._flush_events()
        super().stop()

"""Sends readers to mailboxes: beat and the workers do it in the same way."""

from __future__ import annotations

from celery import Celery

from postbeat import queues
from postbeat.store.wake import parse_wake


def send_reader(app: Celery, wake: str) -> None:
    """Puts a ``mailbox.read`` task into the queue of the region that ``wake`` names.

    It does not expire: one that comes too late finds nothing to do, and ends. Celery would judge an expiry by
    the worker host's own clock.
    """
    region, mailbox, element = parse_wake(wake)
    app.send_task(
        queues.READ,
        (mailbox, element),
        queue=queues.read(region),
        argsrepr=f"({mailbox!r},)",
        kwargsrepr="{}",
    )

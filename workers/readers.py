"""Sends readers to mailboxes: beat and the workers do it in the same way."""

from __future__ import annotations

from celery import Celery

from postbeat import queues
from postbeat.store.wake import parse_wake

READER_EXPIRES_S = 60  # a reader that nobody took in this time is sent for again by then


def send_reader(app: Celery, wake: str) -> None:
    """Puts a ``mailbox.read`` task into the queue of the region that ``wake`` names."""
    region, mailbox, element = parse_wake(wake)
    app.send_task(
        queues.READ,
        (mailbox, element),
        queue=queues.read(region),
        argsrepr=f"({mailbox!r},)",
        kwargsrepr="{}",
        expires=READER_EXPIRES_S,
    )

"""The names of queues and tasks, which beat and the workers must agree on."""

from __future__ import annotations

from celery import Celery

from postbeat.store.wake import parse_wake

READER_EXPIRES_S = 60  # a reader that nobody took in this time is sent for again by then

SEND = "smtp.send"
READ = "mailbox.read"


def probe(region: str) -> str:
    """The queue of a region's sends."""
    return f"probe.{region}"


def read(region: str) -> str:
    """The queue of a region's readers."""
    return f"read.{region}"


def of_region(region: str) -> tuple[str, str]:
    """All queues of a region."""
    return probe(region), read(region)


def send_reader(app: Celery, wake: str) -> None:
    """Puts a ``mailbox.read`` task into the queue of the region that ``wake`` names."""
    region, mailbox, element = parse_wake(wake)
    app.send_task(
        READ,
        (mailbox, element),
        queue=read(region),
        argsrepr=f"({mailbox!r},)",
        kwargsrepr="{}",
        expires=READER_EXPIRES_S,
    )

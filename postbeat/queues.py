"""The names of queues and tasks, which beat, the workers and the commands must agree on."""

from __future__ import annotations

SEND = "smtp.send"
READ = "mailbox.read"
CHECK = "mailbox.check"


def probe(region: str) -> str:
    """The queue of a region's polls: sends and checks."""
    return f"probe.{region}"


def read(region: str) -> str:
    """The queue of a region's readers."""
    return f"read.{region}"


def of_region(region: str) -> tuple[str, str]:
    """All queues of a region."""
    return probe(region), read(region)

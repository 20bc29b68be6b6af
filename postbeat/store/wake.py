"""How to wake a reader, as text: its region, its mailbox and its element as it travels."""

from __future__ import annotations

import json


def wake_text(region: str, mailbox: str, element: str) -> str:
    """The text that :func:`parse_wake` reads."""
    return json.dumps([region, mailbox, element])


def parse_wake(text: str) -> tuple[str, str, str]:
    """Region, mailbox and element."""
    region, mailbox, element = json.loads(text)
    return str(region), str(mailbox), str(element)

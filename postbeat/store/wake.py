"""How to wake a reader, as text: its region, its mailbox and its element as it travels."""

from __future__ import annotations

import json

from postbeat.store import keys
from postbeat.store.records import Call

WAKING_MS = 3_000  # a reader that was sent for is there after this long, or it is sent for again
LOOK_AGAIN_US = 60_000_000  # so often somebody looks for messages that are only awaited


def wake_text(region: str, mailbox: str, element: str) -> str:
    """The text that :func:`parse_wake` reads."""
    return json.dumps([region, mailbox, element])


def parse_wake(text: str) -> tuple[str, str, str]:
    """Region, mailbox and element."""
    region, mailbox, element = json.loads(text)
    return str(region), str(mailbox), str(element)


def needs_reader_call(mailbox: str) -> Call:
    """Asks ``wake.lua`` whether a mailbox needs a reader that nobody was sent for yet."""
    names = [keys.pending(mailbox), keys.lease(mailbox), keys.waking(mailbox), keys.turns(mailbox)]
    names += [keys.lost_at(mailbox), keys.mailbox(mailbox)]
    return names, [WAKING_MS, LOOK_AGAIN_US]

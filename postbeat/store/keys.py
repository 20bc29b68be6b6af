"""The names of all Redis keys, and the scripts that change them.

| key | type | what |
| --- | --- | --- |
| postbeat:pair:PAIR | hash | level, since_us, why, each half's level, slot, reads, counts ``n:PHASE:LEVEL`` |
| postbeat:latest:PHASE | hash | pair -> the latest result of that phase |
| postbeat:results | stream | every result |
| postbeat:events | stream | every change of a level |
| postbeat:expected | zset | pair and pair/read -> the time (us) from which silence counts |
| postbeat:open | zset | polls passed over by a later one -> the time (us) from which their silence counts |
| postbeat:seen:POLL | string | this poll's send is recorded (expires) |
| postbeat:pending:MAILBOX | hash | poll -> message that the reader should find |
| postbeat:lease:MAILBOX | string | the token of the reader that holds the mailbox (expires) |
| postbeat:waking:MAILBOX | string | a reader was sent for a moment ago (expires) |
| postbeat:memory:MAILBOX | string | which messages the reader has looked at |
| postbeat:mailboxes | hash | mailbox -> how to wake its reader |
| postbeat:cursor | string | the grid is fired up to here (us) |
"""

from __future__ import annotations

from importlib import resources

from postbeat.model import Phase

RESULTS = "postbeat:results"
EVENTS = "postbeat:events"
EXPECTED = "postbeat:expected"
OPEN = "postbeat:open"
MAILBOXES = "postbeat:mailboxes"
CURSOR = "postbeat:cursor"


def pair(name: str) -> str:
    """The hash of a pair."""
    return f"postbeat:pair:{name}"


def latest(phase: Phase) -> str:
    """The latest results of a phase."""
    return f"postbeat:latest:{phase}"


def seen(poll: str) -> str:
    """The mark of a recorded send."""
    return f"postbeat:seen:{poll}"


def pending(mailbox: str) -> str:
    """The messages that should turn up in a mailbox."""
    return f"postbeat:pending:{mailbox}"


def lease(mailbox: str) -> str:
    """The lease of a mailbox."""
    return f"postbeat:lease:{mailbox}"


def waking(mailbox: str) -> str:
    """The mark that a reader was sent for."""
    return f"postbeat:waking:{mailbox}"


def memory(mailbox: str) -> str:
    """The reader's memory of a mailbox."""
    return f"postbeat:memory:{mailbox}"


def script(name: str) -> str:
    """The Lua text of a script of this package."""
    return resources.files("postbeat.store").joinpath(f"{name}.lua").read_text("utf-8")

"""The names of all Redis keys, and the scripts that change them.

| key | type | what |
| --- | --- | --- |
| postbeat:pair:PAIR | hash | level, since_us, why, the level of each phase, outcome, slot, reads, counts ``n:PHASE:LEVEL`` and ``n:outcome:OUTCOME`` |
| postbeat:latest:PHASE | hash | pair -> the latest result of that phase |
| postbeat:results | stream | every result |
| postbeat:events | stream | every change of a level, and every outcome that is news |
| postbeat:expected | zset | pair and pair/read -> the time (us) from which silence counts |
| postbeat:open | zset | polls passed over by a later one -> the time (us) from which their silence counts |
| postbeat:seen:POLL | string | this poll's send or check is recorded (expires) |
| postbeat:pending:MAILBOX | hash | poll -> message that the reader should find |
| postbeat:awaited:MAILBOX | hash | poll -> message whose read is recorded, and which may still turn up |
| postbeat:lost-at:MAILBOX | zset | awaited polls -> the time (us) from which the message counts as lost |
| postbeat:settled:MAILBOX | zset | polls whose message was found, with attempt and place -> when (us) |
| postbeat:copies:MAILBOX | zset | further copies of messages, recorded as duplicates -> when (us) |
| postbeat:lease:MAILBOX | string | the token of the reader that holds the mailbox (expires) |
| postbeat:turns:MAILBOX | zset | checks that wait for the lease, named in the order they came -> alive until (us; expires) |
| postbeat:waking:MAILBOX | string | a reader was sent for a moment ago (expires) |
| postbeat:memory:MAILBOX | string | which messages the reader has looked at |
| postbeat:mailbox:MAILBOX | hash | what readers noted: counters ``total:NAME`` and ``since:NAME``, the last look, facts |
| postbeat:mailboxes | hash | mailbox -> how to wake its reader |
| postbeat:cursor | string | the grid is fired up to here (us) |

Besides, ``postbeat:bell:PROCESS`` is the channel by which a worker process hears that something became pending
in a mailbox whose lease it holds, or that a check wants that mailbox. The message is the mailbox.
"""  # noqa: E501  a table's row is one line

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
    """The mark of a recorded send or check."""
    return f"postbeat:seen:{poll}"


def pending(mailbox: str) -> str:
    """The messages that should turn up in a mailbox."""
    return f"postbeat:pending:{mailbox}"


def awaited(mailbox: str) -> str:
    """The messages that were not found in time, and may still turn up."""
    return f"postbeat:awaited:{mailbox}"


def lost_at(mailbox: str) -> str:
    """When the awaited messages count as lost."""
    return f"postbeat:lost-at:{mailbox}"


def settled(mailbox: str) -> str:
    """The messages that were found lately."""
    return f"postbeat:settled:{mailbox}"


def copies(mailbox: str) -> str:
    """The further copies of messages that were found lately."""
    return f"postbeat:copies:{mailbox}"


def lease(mailbox: str) -> str:
    """The lease of a mailbox."""
    return f"postbeat:lease:{mailbox}"


def turns(mailbox: str) -> str:
    """The queue of those who wait for the lease."""
    return f"postbeat:turns:{mailbox}"


def waking(mailbox: str) -> str:
    """The mark that a reader was sent for."""
    return f"postbeat:waking:{mailbox}"


def memory(mailbox: str) -> str:
    """The reader's memory of a mailbox."""
    return f"postbeat:memory:{mailbox}"


def mailbox(mailbox: str) -> str:
    """What readers noted of a mailbox."""
    return f"postbeat:mailbox:{mailbox}"


def bell(process: str) -> str:
    """The channel of a worker process."""
    return f"postbeat:bell:{process}"


def script(name: str) -> str:
    """The Lua text of a script of this package, with the functions that all of them share before it."""
    folder = resources.files("postbeat.store")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in ("common", name))

"""The names of all Redis keys, and the scripts that change them.

| key | type | what |
| --- | --- | --- |
| postbeat:pair:PAIR | hash | level, since_us, the level of each phase, words:send and words:read (message, phase, stage, code, side of a half that is not GOOD), outcome, slot, reads, counts ``n:PHASE:LEVEL`` and ``n:outcome:OUTCOME``; streak_level and streak (polls in a row of one level, UNKNOWN ones left out), confirmed, hidden (the confirmed level that silence took away), silent (UNKNOWN polls since), failures, failed_since_us, quorum, confirmpolls; expires_at_us and read_expires_at_us (the ends of the certificates of its server and of the mailbox's); of a pair that has left the profile, for a while, only ``left`` |
| postbeat:states | hash | pair -> where it stands, in short: the JSON array of :class:`postbeat.store.summary.PairSummary` |
| postbeat:latest:PHASE | hash | pair -> the latest result of that phase |
| postbeat:notable:PAIR | list | the last results that were not GOOD or changed the level, whole |
| postbeat:raw:PAIR | stream | every result as figures (field ``f``), until it is folded and not of the newest |
| postbeat:rollup:PAIR | hash | hours, days (packed, in pieces ``hours``, ``hours:1``, ...), upto (the last entry of the raw log that is in them), ``log:ID`` (entries of about a day that are folded, packed) |
| postbeat:timing:PAIR | hash | ``TIMING:BUCKET`` -> how many results, ``TIMING:sum`` -> their sum (us), for ever growing |
| postbeat:results | stream | every result |
| postbeat:events | stream | every change of a level or a verdict, and every outcome that is news |
| postbeat:verdicts | hash | element -> JSON: verdict, since_us, quorum, regions with their confirmed level, reasons (why regions are not GOOD: level, phase, stage, code, side, message) |
| postbeat:profile | hash | element -> JSON: what may be known of it, of the profile in force |
| postbeat:maintenance | hash | id -> JSON: a window of maintenance that was announced by hand |
| postbeat:maintenance-former | hash | element -> JSON: the windows that it had in the profile before, and until when |
| postbeat:workers | hash | worker process -> JSON: what it told of itself last |
| postbeat:beat | hash | what beat told of itself last |
| postbeat:region:REGION | hash | figures of a region's workers: queue wait and loop lag by bucket, expired polls |
| postbeat:sink:NAME | hash | where a sink of events stands in their stream, and its tries |
| postbeat:sink-open:NAME | hash | the problems that a sink was told of, and that are not over |
| postbeat:sink-dead:NAME | stream | events that a sink did not take, and why |
| postbeat:sink-lease:NAME | string | the token of the process that serves a sink (expires) |
| postbeat:alerts-table | hash | Identifier -> row, as :class:`postbeat.alerts.Alert` packs it |
| postbeat:alerts | stream | every change of a row of the table that is no mere repeat |
| postbeat:alerts-all | stream | every change of a row, with the same ids: the table follows from it |
| postbeat:bridge:NAME | hash | where a bridge stands in the stream of results (cursor), and its last move |
| postbeat:bridge-lease:NAME | string | the token of the process that is this bridge (expires) |
| postbeat:expected | zset | pair and pair/read -> the time (us) from which silence counts |
| postbeat:open | zset | polls passed over by a later one -> the time (us) from which their silence counts |
| postbeat:seen:POLL | string | this poll's send or check is recorded (expires) |
| postbeat:pending:MAILBOX | hash | poll -> message that the reader should find |
| postbeat:awaited:MAILBOX | hash | poll -> message whose read is recorded, and which may still turn up |
| postbeat:lost-at:MAILBOX | zset | awaited polls -> the time (us) from which the message counts as lost |
| postbeat:settled:MAILBOX | list | when a message was found (s), its poll, attempt and place, the oldest first |
| postbeat:copies:MAILBOX | zset | further copies of messages, recorded as duplicates -> when (us) |
| postbeat:lease:MAILBOX | string | the token of the reader that holds the mailbox (expires) |
| postbeat:turns:MAILBOX | zset | checks that wait for the lease, named in the order they came -> alive until (us; expires) |
| postbeat:waking:MAILBOX | string | a reader was sent for a moment ago (expires) |
| postbeat:memory:MAILBOX | string | which messages the reader has looked at |
| postbeat:mailbox:MAILBOX | hash | what readers noted: counters ``total:NAME`` and ``since:NAME``, the last look and its fault, facts |
| postbeat:mailboxes | hash | mailbox -> how to wake its reader |
| postbeat:cursor | string | the grid is fired up to here (us) |
| postbeat:cursor:MONITOR | string | the same of a beat that fires the polls of some monitors, for each of them |
| postbeat:pause | string | when the grid was fired by no beat for longer than is caught up: from, to (us), of the last 20 times |
| postbeat:pause:MONITOR | string | the same of the polls of some monitors |

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
STATES = "postbeat:states"
VERDICTS = "postbeat:verdicts"
PROFILE = "postbeat:profile"
MAINTENANCE = "postbeat:maintenance"
FORMER_MAINTENANCE = "postbeat:maintenance-former"
WORKERS = "postbeat:workers"
BEAT = "postbeat:beat"
MAILBOXES = "postbeat:mailboxes"
ALERTS_TABLE = "postbeat:alerts-table"
ALERTS = "postbeat:alerts"
ALERTS_ALL = "postbeat:alerts-all"
CURSOR = "postbeat:cursor"
PAUSE = "postbeat:pause"

# What scripts consist of besides what all of them share.
_PARTS = {name: ("standing", "verdict") for name in ("record", "retire")}


def cursor(monitor: str) -> str:
    """How far the grid is fired by beats that fire the polls of some monitors; "" stands for those of all."""
    return f"{CURSOR}:{monitor}" if monitor else CURSOR


def pause(monitor: str) -> str:
    """The pauses of the beats that fire the polls of some monitors; "" stands for those of all."""
    return f"{PAUSE}:{monitor}" if monitor else PAUSE


def pair(name: str) -> str:
    """The hash of a pair."""
    return f"postbeat:pair:{name}"


def latest(phase: Phase) -> str:
    """The latest results of a phase."""
    return f"postbeat:latest:{phase}"


def notable(pair: str) -> str:
    """The last results of a pair that are worth a look."""
    return f"postbeat:notable:{pair}"


def raw(pair: str) -> str:
    """The log of a pair's figures."""
    return f"postbeat:raw:{pair}"


def rollup(pair: str) -> str:
    """The rollups of a pair."""
    return f"postbeat:rollup:{pair}"


def timing(pair: str) -> str:
    """The histograms of a pair's timings."""
    return f"postbeat:timing:{pair}"


def region(name: str) -> str:
    """The figures of a region's workers."""
    return f"postbeat:region:{name}"


def sink(name: str) -> str:
    """Where a sink of events stands."""
    return f"postbeat:sink:{name}"


def sink_open(name: str) -> str:
    """The problems that a sink was told of."""
    return f"postbeat:sink-open:{name}"


def sink_dead(name: str) -> str:
    """The events that a sink did not take."""
    return f"postbeat:sink-dead:{name}"


def sink_lease(name: str) -> str:
    """The lease of a sink."""
    return f"postbeat:sink-lease:{name}"


def bridge(name: str) -> str:
    """Where a bridge stands."""
    return f"postbeat:bridge:{name}"


def bridge_lease(name: str) -> str:
    """The lease of a bridge."""
    return f"postbeat:bridge-lease:{name}"


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
    """The Lua text of a script of this package, after the functions that it shares with others."""
    folder = resources.files("postbeat.store")
    parts = ("common", *_PARTS.get(name, ()), name)
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in parts)

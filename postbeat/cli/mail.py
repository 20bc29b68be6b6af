"""How messages and mailboxes look to people: paths, verdicts, and who reads what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from postbeat.cli.fitted import FittedTable
from postbeat.cli.render import age, clock_time, moment, plural
from postbeat.delivery import Delivery, MailboxFacts, Tally
from postbeat.model import Side
from postbeat.store.view import MailboxState

# What is worth a word where there is any of it, and its word for several.
_NOTED = {
    Tally.DUPLICATES: "duplicates",
    Tally.BOUNCES: "bounces",
    Tally.ORPHANS: "orphans",
    Tally.FORGED: "forged",
    Tally.DAMAGED: "damaged",
    Tally.REPLAYED: "replayed",
    Tally.FOREIGN: "foreign",
    Tally.CONFLICTS: "conflicts",
}


def size(count: int | None) -> str:
    """A number of bytes for people: ``812 B``, ``1.2 MB``."""
    if count is None:
        return "-"
    if count < 1000:
        return f"{count} B"
    number = count / 1000
    for unit in ("kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def facts_text(facts: MailboxFacts) -> str:
    """What a server tells of a mailbox: ``12 messages, 3.4 MB, quota 3.5 MB of 10 MB``."""
    parts = [plural(facts.messages, "message")]
    if facts.size_bytes is not None:
        parts.append(size(facts.size_bytes))
    if facts.quota_limit_bytes is not None:
        parts.append(f"quota {size(facts.quota_used_bytes)} of {size(facts.quota_limit_bytes)}")
    return ", ".join(parts)


def path_table(delivery: Delivery) -> Table:
    """The way of a message: each host that took it over, by that host's own clock."""
    table = Table("by", "from", "with", box=None, pad_edge=False)
    for name in ("at (UTC)", "took", "clock"):
        table.add_column(name, justify="right", no_wrap=True)
    for hop in delivery.hops:
        skew = f"{hop.skew_us / 1e6:+.1f} s" if hop.skew_us else "" if hop.skew_us is None else "possible"
        table.add_row(
            Text(hop.by),
            Text(hop.sender),
            Text(hop.protocol),
            "" if hop.at_us is None else moment(hop.at_us),
            "" if hop.took_us is None else f"{hop.took_us / 1e6:.0f} s",
            skew,
        )
    return table


def verdicts_text(delivery: Delivery) -> str:
    """The verdicts on a message: ``spf pass, dkim pass (d=example.com), by mx.example.com``."""
    return ", ".join(
        f"{one.method} {one.result}{f' ({one.reason})' if one.reason else ''} by {one.by}"
        for one in delivery.verdicts
    )


def mailbox_table(states: Iterable[MailboxState], now_us: int) -> FittedTable:
    """Every mailbox: its reader, what is awaited in it, and what was met there."""
    numbers = ("looked", "pending", "awaited", "messages", "size", "found")
    table = FittedTable(
        *("mailbox", "reader", *numbers, "of note"),
        right=numbers,
        spare=("found", "size", "reader", "messages", "awaited", "looked", "pending"),
    )
    for state in states:
        facts = state.facts
        table.add_row(
            Text(state.mailbox),
            Text(state.worker if state.is_read else "none"),
            "never" if state.looked_at_us is None else f"{age(now_us - state.looked_at_us)} ago",
            str(state.pending),
            str(state.awaited),
            str(facts.messages) if facts else "-",
            size(facts.size_bytes) if facts else "-",
            str(state.totals.get(Tally.FOUND, 0)),
            Text(", ".join(_notes(state, now_us))),
        )
    return table


def _notes(state: MailboxState, now_us: int) -> Iterator[str]:
    if state.waiting:
        yield f"{plural(state.waiting, 'check')} waiting"
    if state.not_before_us > now_us:
        yield f"no login before {clock_time(state.not_before_us)}"
    if state.fault is not None:
        ours = "our own fault, " if state.fault.side is Side.LOCAL else ""
        where = f"stage {state.fault.stage}, " if state.fault.stage else ""
        yield f"the last look failed: {state.fault.message} ({ours}{where}{state.fault.code})"
    if state.facts is not None and state.facts.quota_limit_bytes:
        used = state.facts.quota_used_bytes or 0
        yield f"{100 * used // state.facts.quota_limit_bytes} % of the quota"
    for tally, word in _NOTED.items():
        if count := state.totals.get(tally, 0):
            yield f"{count} {word.removesuffix('s') if count == 1 else word}"

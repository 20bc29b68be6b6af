"""Which messages of a POP3 mailbox are new, found with as few unique-ids as the memory of it allows.

Servers put new messages last. So the newest that are remembered are searched from the end backwards, and what
lies behind them is new, however many messages lie before. That a server does otherwise shows in a message
that has a higher number than it had: something was put before it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from postbeat.probes.pop3listing import Listing
from postbeat.probes.session import SCAN_LIMIT, TAIL_LIMIT, Memory

_MARK_BYTES = 8  # of a hash: two of 200,000 unique-ids agree once in a billion mailboxes


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scan is to do: the messages to look at, oldest first, and what is remembered once it has.

    ``numbers`` are by unique-id.
    """

    numbers: Mapping[str, int]
    memory: Memory


async def plan(listing: Listing, memory: Memory) -> Plan:
    """What is new to the memory, SCAN_LIMIT messages at most, and what it wants to be shown again.

    Raises:
        RemoteFault: the server has no unique-ids, or answers out of the protocol.
    """
    wanted = {place.uid for place in memory.again} | memory.unread.keys()
    if not listing.total:
        return Plan({}, Memory(memory.folders))
    passing = wanted | {place.uid for place in memory.ours}
    end = None if memory.others else await _known_end(listing, memory)
    if end is None:
        new, memory = await _compared(listing, memory, passing)
    elif end:
        new, memory = await _continued(listing, memory, end, passing)
    else:
        new, memory = await _begun(listing, memory, passing)
    again = {uid: numbers[-1] for uid, numbers in (await listing.find(wanted)).items()}
    memory = replace(
        memory,
        again=frozenset(place for place in memory.again if place.uid in again),
        unread={uid: tries for uid, tries in memory.unread.items() if uid in again},
    )
    return Plan(dict(sorted((new | again).items(), key=lambda item: item[1])), memory)


async def _known_end(listing: Listing, memory: Memory) -> int | None:
    """The number of the last message up to which nothing is new; 0 where nothing remembered is left.

    None where the server has put something before a message that was there.
    """
    if not memory.tail:
        return 0
    met = False
    async for number, uid in listing.backwards(1 + listing.total - memory.count):
        before = memory.tail.get(uid)
        if before is None:
            continue
        met = True
        if number < before:
            return number
        if number == before:
            # Nothing has gone from before it, so the first is the same, unless something was put there.
            return number if await listing.uid(1) == memory.head else None
    return None if met else 0


async def _begun(listing: Listing, memory: Memory, passing: Collection[str]) -> tuple[dict[str, int], Memory]:
    """A mailbox that is not known: its newest messages now, the others by and by."""
    low = max(1, listing.total - SCAN_LIMIT + 1)
    present = await listing.between(low, listing.total)
    memory = replace(
        memory,
        count=listing.total,
        head=await listing.uid(1),
        tail=_tail({}, present, {*passing, *present.values()}),
        backlog=low - 1,
        edge=_edge(present.values()),
    )
    return _by_uid(present, passing), memory


async def _continued(
    listing: Listing, memory: Memory, end: int, passing: Collection[str]
) -> tuple[dict[str, int], Memory]:
    """What lies behind the last message that is known, and then some of the backlog."""
    known = {*memory.tail, *memory.edge, *passing}
    present = await listing.between(end, listing.total)
    new = _by_uid(present, known)
    if len(new) > SCAN_LIMIT:
        new = dict(list(new.items())[:SCAN_LIMIT])
        last = max(new.values())
        present = {number: uid for number, uid in present.items() if number <= last}
    # In the order of the tail, not by number: of several that slipped down, each has the same upper bound.
    older = itertools.takewhile(lambda item: item[0] != present[end], memory.tail.items()) if end > 1 else ()
    before = {uid: min(number, end - 1) for uid, number in older}
    memory = replace(
        memory,
        count=max(present),
        head=await listing.uid(1),
        tail=_tail(before, present, {*passing, *new}),
    )
    old, memory = await _backlog(listing, memory, end, SCAN_LIMIT - len(new), known)
    return old | new, memory


async def _backlog(
    listing: Listing, memory: Memory, end: int, room: int, known: Collection[str]
) -> tuple[dict[str, int], Memory]:
    """The newest messages that were not looked at yet.

    Others may have deleted some of them; then messages that were looked at have slipped down to their
    numbers. They are told by the edge, as far as it reaches; beyond it, a stranger's is looked at twice.
    """
    high = min(memory.backlog, end)
    low = max(1, high - room + 1)
    if high < low:
        return {}, replace(memory, backlog=high)
    present = await listing.between(low, high)
    edge = _edge([*present.values(), *memory.edge]) if low > 1 else ()
    return _by_uid(present, known), replace(memory, backlog=low - 1, edge=edge)


async def _compared(
    listing: Listing, memory: Memory, passing: Collection[str]
) -> tuple[dict[str, int], Memory]:
    """What is new anywhere in the mailbox, from both of its ends if it is much."""
    present = await listing.everything()
    marks = {uid: _mark(uid) for uid in present.values()}
    known = set(memory.others or map(_mark, (*memory.tail, *memory.edge)))
    known.update(map(_mark, passing))
    new = [(uid, number) for uid, number in _by_uid(present, ()).items() if marks[uid] not in known]
    if len(new) > SCAN_LIMIT:
        half = SCAN_LIMIT // 2
        new = [*new[:half], *new[half - SCAN_LIMIT :]]
    others = known.intersection(marks.values()).union(marks[uid] for uid, _ in new)
    memory = Memory(
        memory.folders, listing.total, others=frozenset(others), again=memory.again, unread=memory.unread
    )
    return dict(new), memory


def _by_uid(present: Mapping[int, str], known: Collection[str]) -> dict[str, int]:
    """The numbers of what is not known, by unique-id; identical copies may share one (RFC 1939 section 7)."""
    found: dict[str, int] = {}
    for number, uid in present.items():
        if uid not in known:
            found.setdefault(uid, number)
    return found


def _tail(
    before: Mapping[str, int], present: Mapping[int, str], passing: Collection[str]
) -> Mapping[str, int]:
    """The newest messages, of which TAIL_LIMIT are not ``passing``: neither new, nor ours to be deleted."""
    numbers = dict(before) | {uid: number for number, uid in present.items()}
    tail = dict(sorted(numbers.items(), key=lambda item: item[1]))
    lasting = [uid for uid in tail if uid not in passing]
    if len(lasting) > TAIL_LIMIT:
        oldest = lasting[-TAIL_LIMIT]
        tail = dict(itertools.dropwhile(lambda item: item[0] != oldest, tail.items()))
    return tail


def _edge(uids: Iterable[str]) -> tuple[str, ...]:
    return tuple(uids)[:TAIL_LIMIT]


def _mark(uid: str) -> str:
    digest = hashlib.blake2b(uid.encode("ascii"), digest_size=_MARK_BYTES).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

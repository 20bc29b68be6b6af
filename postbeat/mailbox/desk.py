"""What a reader works with: the desk of its mailbox, and the tools of its worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from postbeat.clock import Clock
from postbeat.delivery import MailboxFacts
from postbeat.lag import LagMeter
from postbeat.probes.session import Memory
from postbeat.results import Attempt, Result
from postbeat.secrets import Keys
from postbeat.sending import AskStanding
from postbeat.store.records import Expected, Noted, Pending
from postbeat.tls.options import TlsDefaults

Txt = Callable[[str], Awaitable[bytes | None]]


class Desk(Protocol):
    """Where the reader finds what it looks for and puts its results; :class:`postbeat.store.worker.Desk`.

    Every method that writes raises LeaseLostError, and writes nothing, once another reader has the mailbox.
    """

    bell: asyncio.Event  # set when something became pending, or a check wants the mailbox

    async def expected(self) -> Expected:
        """The messages that should turn up, and whether a check wants the mailbox.

        The mappings are the desk's own: what is recorded leaves them.
        """
        ...

    async def settled(self) -> Mapping[str, tuple[int, str]]:
        """The polls whose messages were found lately: the attempt and the place (see :func:`place_text`)."""
        ...

    async def record(self, result: Result, following: Pending | None = None, place: str = "") -> bool:
        """Records a read; False when it was recorded before.

        With ``following`` the message stays awaited; ``place`` is where it was found.
        """
        ...

    async def record_after(self, result: Result, attempt: int = 0, copy: str = "", place: str = "") -> bool:
        """Records what became of a message after its read; False when it was recorded before."""
        ...

    async def memory(self) -> Memory:
        """What earlier readers looked at."""
        ...

    async def remember(self, memory: Memory) -> None:
        """Keeps a memory."""
        ...

    async def note(self, tally: Mapping[str, int], noted: Noted, facts: MailboxFacts | None = None) -> None:
        """Adds to the mailbox's counters, and keeps what the next reader should know."""
        ...

    async def noted(self) -> Noted:
        """What an earlier reader noted."""
        ...

    async def take_tally(self) -> Mapping[str, int]:
        """The counters since the last check; they start anew."""
        ...

    async def release(self, *, force: bool = False) -> bool:
        """Gives the mailbox back unless something is pending; whether the work is over."""
        ...

    async def keep(self) -> None:
        """Holds the lease; returns when it is lost."""
        ...

    def holds(self) -> bool:
        """Whether the lease is ours still, by our own clock; nothing is deleted where it is not."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What all readers of a worker share.

    Once ``stopping`` is set, readers give their mailboxes back. ``orphans`` is whether old messages of ours
    that nobody waits for are deleted; ``use_body`` is whether bodies are looked at where the element does not
    say; ``txt`` asks for a TXT record, for DKIM keys; ``looked`` is told of each look; ``standing`` tells how
    a pair stands, for the service levels that ask.
    """

    keys: Keys
    clock: Clock
    lag: LagMeter
    worker: str
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    orphans: bool = True
    use_body: bool = False
    tls: TlsDefaults = field(default_factory=TlsDefaults)
    txt: Txt | None = None
    looked: Callable[[tuple[Attempt, ...]], None] | None = None
    standing: AskStanding | None = None

"""One Redis as the worker, beat and the views see it, and a pair to monitor."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from redis import Redis

from postbeat import codec
from postbeat.delivery import Outcome
from postbeat.elements import Pop3Element, SmtpElement
from postbeat.figures import Figures
from postbeat.grade import level_of
from postbeat.model import Fault, FaultCode, Kind, Level, Pair, Phase, Poll, Side
from postbeat.profile import Profile
from postbeat.results import AnyEvent, Attempt, Event, Result, VerdictEvent
from postbeat.store import keys
from postbeat.store.beat import BeatStore
from postbeat.store.records import Pending, silence_us
from postbeat.store.view import MailboxState, PairState, ViewStore
from postbeat.store.wake import wake_text
from postbeat.store.worker import Desk, WorkerStore

T = TypeVar("T")

BOX = Pop3Element(name="box", server="127.0.0.1", username="probe", poll=10, timeout=1, regions=("lab",))
MAIL = SmtpElement(
    name="mail",
    server="127.0.0.1",
    email="probe@example.test",
    poll=10,
    timeout=1,
    delivertimeout=30,
    losttimeout=600,
    regions=("lab",),
    read="box",
)
PAIR = Pair("mail", "lab")
BOX_PAIR = Pair("box", "lab")
PROFILE = Profile({"mail": MAIL, "box": BOX})
INTERVAL_US = 10_000_000
SILENCE_US = silence_us(MAIL)
WAKE = wake_text("lab", BOX.mailbox, codec.encode_element(BOX))

_FAULTS = {
    Level.FAILED: Fault(Side.REMOTE, FaultCode.REPLY, "452 no space"),
    Level.UNKNOWN: Fault(Side.LOCAL, FaultCode.RESOURCES, "too many open files"),
}


def result(
    slot: int,
    phase: Phase,
    level: Level,
    at_us: int,
    pair: Pair = PAIR,
    outcome: Outcome | None = None,
) -> Result:
    """A result; where its level is GOOD or MARGINAL, the message went out."""
    fault = _FAULTS.get(level)
    assert level is Level.MARGINAL or level_of(fault) is level
    kind = Kind.SMTP if phase is Phase.SEND else Kind.POP3
    accepted_at_us = at_us if phase is Phase.SEND and fault is None else None
    return Result(
        poll=Poll(pair.element, pair.region, slot),
        phase=phase,
        kind=kind,
        level=level,
        message=fault.message if fault else f"{phase} {slot} went well",
        at_us=at_us,
        attempts=(Attempt(1, at_us, 1000, fault=fault, accepted_at_us=accepted_at_us),),
        fault=fault,
        outcome=outcome,
    )


def awaited(slot: int, lost_at_us: int = 0) -> Pending:
    """A message of the pair that was not found in time."""
    return Pending(Poll(PAIR.element, PAIR.region, slot), 1, 0, 0, lost_at_us)


def answered_bytes(redis: Redis) -> int:
    """How many bytes Redis has answered since its start."""
    return int(redis.info("stats")["total_net_output_bytes"])


@dataclass(frozen=True)
class Site:
    """``run`` drives the worker's side; the other sides block."""

    runner: asyncio.Runner
    worker: WorkerStore
    beat: BeatStore
    view: ViewStore
    redis: Redis
    binary: Redis

    @classmethod
    @contextmanager
    def open(cls, url: str) -> Iterator[Site]:
        with (
            asyncio.Runner() as runner,
            Redis.from_url(url, decode_responses=True) as client,
            Redis.from_url(url) as binary,
        ):
            site = cls(runner, WorkerStore(url), BeatStore(url), ViewStore(url), client, binary)
            try:
                yield site
            finally:
                site.run(site.worker.close())
                site.beat.close()
                site.view.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(20):
                return await coroutine

        return self.runner.run(bounded())

    def send(
        self,
        slot: int,
        level: Level = Level.GOOD,
        *,
        at_us: int | None = None,
        element: SmtpElement = MAIL,
        region: str = "lab",
    ) -> bool:
        """Records a send of the pair; whether a reader should be sent to the mailbox."""
        at_us = self.now_us() if at_us is None else at_us
        sent = result(slot, Phase.SEND, level, at_us, Pair(element.name, region))
        return self.run(self.worker.record_send(element, sent, BOX.mailbox if element.read else "", WAKE))

    def read(
        self,
        slot: int,
        level: Level = Level.GOOD,
        outcome: Outcome | None = None,
        following: Pending | None = None,
    ) -> bool:
        """Records a read of the pair, as the only reader of the mailbox; whether it was new."""
        found = result(slot, Phase.READ, level, self.now_us(), outcome=outcome)
        with self.reader() as desk:
            return self.run(desk.record(found, following))

    def after(self, slot: int, level: Level, outcome: Outcome, copy: str = "") -> bool:
        """Records what became of a message after its read; whether it was new."""
        found = result(slot, Phase.AFTER, level, self.now_us(), outcome=outcome)
        with self.reader() as desk:
            return self.run(desk.record_after(found, copy=copy))

    def check(self, slot: int, level: Level = Level.GOOD, *, at_us: int | None = None) -> bool:
        """Records a check of the mailbox; whether it was new."""
        at_us = self.now_us() if at_us is None else at_us
        return self.run(self.worker.record_check(BOX, result(slot, Phase.CHECK, level, at_us, BOX_PAIR)))

    @contextmanager
    def reader(self) -> Iterator[Desk]:
        """A reader of the mailbox, for a moment."""
        desk = self.desk()
        try:
            yield desk
        finally:
            self.run(desk.release(force=True))

    def desk(self) -> Desk:
        desk = self.run(self.worker.desk(BOX.mailbox))
        assert desk is not None
        return desk

    def lose_lease(self) -> None:
        """What the passing of time does to the lease of a reader that was killed."""
        self.redis.delete(keys.lease(BOX.mailbox))

    def forget_waking(self) -> None:
        """What the passing of time does to the mark that a reader was sent for."""
        self.redis.delete(keys.waking(BOX.mailbox))

    def now_us(self) -> int:
        return self.beat.now_us()

    def state(self, pair: Pair = PAIR) -> PairState:
        return next(state for state in self.view.states() if state.pair == pair)

    def level(self) -> Level:
        return self.state().level

    def mailbox(self) -> MailboxState:
        (state,) = self.view.mailboxes()
        return state

    def events(self) -> list[Event]:
        """Those of pairs."""
        return [event for event in self._events() if isinstance(event, Event)]

    def verdict_events(self) -> list[VerdictEvent]:
        return [event for event in self._events() if isinstance(event, VerdictEvent)]

    def _events(self) -> list[AnyEvent]:
        return self.view.events(100_000, lambda _: True)

    def results(self) -> list[Result]:
        return self.view.results(100_000, lambda _: True)

    def figures(self, pair: Pair = PAIR) -> list[Figures]:
        """The log of a pair."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.binary.xrange(keys.raw(str(pair))))
        return [Figures.loads(fields[b"f"]) for _, fields in entries]

    def pending(self) -> set[str]:
        return {str(poll) for poll in self.redis.hkeys(keys.pending(BOX.mailbox))}

    def awaited(self) -> set[str]:
        return {str(poll) for poll in self.redis.hkeys(keys.awaited(BOX.mailbox))}

    def dump(self) -> dict[str, bytes]:
        """Everything that Redis holds, for comparing."""
        return {key: self.redis.dump(key) or b"" for key in self.redis.scan_iter()}

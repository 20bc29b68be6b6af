"""What a look decided: each message's result, once, and which messages may go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from postbeat import servicelevels
from postbeat.delivery import Bounce, Outcome, Tally
from postbeat.elements import MailboxElement
from postbeat.grade import level_of, worst
from postbeat.mailbox import outcomes
from postbeat.mailbox.desk import Desk, Tools
from postbeat.mailbox.looking import Looker
from postbeat.mailbox.outcomes import Judgement
from postbeat.mailbox.sightings import NO_DETAILS, Sighting, place_text
from postbeat.model import CONFLICTS, Pair, Phase, Poll
from postbeat.probes.session import Place
from postbeat.results import Attempt, Result
from postbeat.sending import describe
from postbeat.store.records import Expected, Pending

ORPHAN_US = 300 * 1_000_000  # a message of ours that nobody waits for is deleted at this age
SETTLED_LIMIT = 10_000  # polls whose further copies are recognised
TOGETHER_US = 200_000  # messages that were accepted so shortly after each other have no order
ORDER_LIMIT = 1000  # slots further apart than this are of different intervals: they tell no order


class Settler:
    """Records what is decided at the desk, and keeps ``expected`` in step with it."""

    def __init__(self, element: MailboxElement, desk: Desk, tools: Tools, tally: Counter[str]) -> None:
        self.expected = Expected({}, {}, wanted=False)
        self._element = element
        self._desk = desk
        self._tools = tools
        self._clock = tools.clock
        self._tally = tally
        self._settled: dict[str, tuple[int, str]] = {}  # polls that were found: the attempt and the place
        # The message of the latest slot that this reader has found, and its sighting's number.
        self._newest: dict[Pair, tuple[Pending, int]] = {}
        self._delayed: dict[str, Bounce] = {}
        self._counted: set[Place] = set()  # copies that a result of this visit has counted with the first

    async def begin(self) -> None:
        """Learns what earlier readers have found."""
        self._settled = dict(await self._desk.settled())

    async def ask(self) -> None:
        """Asks the desk for what is expected now."""
        self.expected = await self._desk.expected()

    async def settle(self, looker: Looker, made: tuple[Attempt, ...]) -> None:
        """Records what this look decided of every message that is expected."""
        copies: dict[tuple[str, int], list[Sighting]] = {}
        for sighting in looker.sightings.values():
            if sighting.notice is None:
                copies.setdefault((sighting.poll, sighting.token.attempt), []).append(sighting)
            else:
                await self._read_notice(sighting, sighting.notice, made)
        for (poll, attempt), found in copies.items():
            known, first = self._expecting(poll, attempt), _originals(found)
            if known is not None and first[0].place in looker.details:
                await self._record(known, self._found(looker, known, first), made, first[0])
                self._counted.update(copy.place for copy in first[1:])
        for known in list(self.expected.pending.values()):
            if made[-1].fault is not None or looker.looked_at_us > known.expires_at_us:
                await self._not_found(known, made)
        for known in list(self.expected.awaited.values()):
            if made[-1].fault is None and looker.looked_at_us > known.lost_at_us:
                await self._record(known, outcomes.lost(known), made)

    async def done(self, looker: Looker, without: Collection[Place]) -> list[Place]:
        """The messages that may be deleted, but for some; what is not ours to care about is forgotten."""
        seen = [sighting for place, sighting in looker.sightings.items() if place not in without]
        return [sighting.place for sighting in seen if await self._is_done(looker, sighting)]

    def _expecting(self, poll: str, attempt: int) -> Pending | None:
        """What is expected of a poll, if it is this attempt's message."""
        known = self.expected.pending.get(poll) or self.expected.awaited.get(poll)
        return known if known is not None and known.attempt == attempt else None

    async def _read_notice(self, sighting: Sighting, said: Bounce, made: tuple[Attempt, ...]) -> None:
        known = self._expecting(sighting.poll, sighting.token.attempt)
        if said.action == "delayed" and sighting.poll in self.expected.pending:
            self._delayed[sighting.poll] = said
        elif said.action == "failed" and known is not None:
            await self._record(known, outcomes.bounced(said), made, sighting)

    async def _not_found(self, known: Pending, made: tuple[Attempt, ...]) -> None:
        """A message that this look did not show: it is overdue, or the mailbox is unreadable."""
        fault = made[-1].fault
        if fault is None:
            judgement = outcomes.overdue(known, self._delayed.pop(str(known.poll), None))
        elif fault.code in CONFLICTS and self._clock.now_us() <= known.expires_at_us:
            return
        else:
            judgement = Judgement(Outcome.UNREADABLE, level_of(fault), describe(fault), fault)
        await self._record(known, judgement, made)

    def _found(self, looker: Looker, known: Pending, copies: list[Sighting]) -> Judgement:
        overtaken = self._is_overtaken(known, copies[0].number)
        self._came(known, copies[0].number)
        self._tally[Tally.FOUND] += 1
        if len(copies) > 1:
            self._tally[Tally.DUPLICATES] += len(copies) - 1
        return outcomes.found(
            self._element,
            known,
            copies,
            looker.details.get(copies[0].place, NO_DETAILS),
            out_of_order=overtaken,
            uncertainty_us=self._clock.worst_us(),
        )

    def _is_overtaken(self, known: Pending, number: int) -> bool:
        """Whether a later message came before; those that went out at the same time have no order.

        What came first may be recorded last, where its sender was slow to say that it was accepted.
        """
        newest, before = self._newest.get(known.poll.pair, (known, number))
        is_later = newest.accepted_at_us - known.accepted_at_us > TOGETHER_US
        return before < number and is_later and 0 < newest.poll.slot - known.poll.slot < ORDER_LIMIT

    def _came(self, known: Pending, number: int) -> None:
        poll = known.poll
        newest, _ = self._newest.get(poll.pair, (None, 0))
        if newest is None or not 0 <= newest.poll.slot - poll.slot < ORDER_LIMIT:
            self._newest[poll.pair] = (known, number)

    async def _record(
        self,
        known: Pending,
        judgement: Judgement,
        made: tuple[Attempt, ...],
        sighting: Sighting | None = None,
    ) -> None:
        """Records what is said of a message: as its read while it is pending, later as what became of it."""
        place = place_text(sighting.place) if sighting is not None else ""
        rules = servicelevels.of_text(known.servicelevels)
        if str(known.poll) in self.expected.pending:
            result = servicelevels.graded(rules, self._result(Phase.READ, known.poll, judgement, made))
            await self._desk.record(result, known if sighting is None else None, place)
        else:
            said = self._result(Phase.AFTER, known.poll, outcomes.found_after(judgement), made[-1:])
            result = servicelevels.graded(rules, said)
            await self._desk.record_after(result, known.attempt, place=place)
        if sighting is not None:
            self._settle_as(known, place)

    def _settle_as(self, known: Pending, place: str) -> None:
        self._settled[str(known.poll)] = (known.attempt, place)
        self._delayed.pop(str(known.poll), None)
        while len(self._settled) > SETTLED_LIMIT:
            del self._settled[next(iter(self._settled))]

    def _result(
        self, phase: Phase, poll: Poll, judgement: Judgement, made: tuple[Attempt, ...] = ()
    ) -> Result:
        level, text = judgement.level, judgement.text
        warnings = made[-1].warnings if made and phase is Phase.READ else ()
        if warnings and judgement.fault is None:
            level = worst((level, level_of(None, warnings)))
            text = "; ".join((text, *warnings))
        return Result(
            poll=poll,
            phase=phase,
            kind=self._element.kind,
            level=level,
            message=text,
            at_us=self._clock.now_us(),
            attempts=made,
            fault=judgement.fault,
            delivery=judgement.delivery,
            worker=self._tools.worker,
            outcome=judgement.outcome,
            bounce=judgement.bounce,
        )

    async def _is_done(self, looker: Looker, sighting: Sighting) -> bool:
        """Recorded, a copy of what was recorded, another attempt's copy, or an orphan; replays are left."""
        poll, attempt = sighting.poll, sighting.token.attempt
        known = self.expected.pending.get(poll) or self.expected.awaited.get(poll)
        if known is not None:
            return known.attempt != attempt or sighting.notice is not None
        settled = self._settled.get(poll)
        if settled is None:
            return self._is_orphan(looker, sighting)
        here = place_text(sighting.place)
        if sighting.notice is not None or here == settled[1] or sighting.place in self._counted:
            return True
        if not sighting.original:
            self._leave_alone(looker, sighting)
            return False
        if attempt == settled[0]:
            await self._record_copy(sighting, here)
        return True

    def _is_orphan(self, looker: Looker, sighting: Sighting) -> bool:
        age_us = self._clock.now_us() - sighting.token.sent_at_us
        if age_us <= ORPHAN_US or not self._tools.orphans:
            return False
        if not sighting.original:
            self._leave_alone(looker, sighting)
            return False
        self._tally[Tally.ORPHANS] += 1
        return True

    async def _record_copy(self, sighting: Sighting, here: str) -> None:
        result = self._result(Phase.AFTER, sighting.token.poll, outcomes.duplicated(self._element))
        if await self._desk.record_after(result, copy=f"{sighting.poll} {here}"):
            self._tally[Tally.DUPLICATES] += 1

    def _leave_alone(self, looker: Looker, sighting: Sighting) -> None:
        """Somebody else's message with our token in it."""
        self._tally[Tally.REPLAYED] += 1
        looker.forget(sighting.place)


def _originals(copies: list[Sighting]) -> list[Sighting]:
    """The copies that are what we sent; all of them where none is, as some servers write a new Message-ID."""
    return [copy for copy in copies if copy.original] or copies

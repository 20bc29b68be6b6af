"""The numbers and unique-ids of a POP3 mailbox, asked for only as far as somebody wants to know them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from postbeat.probes.pop3login import WINDOW, Pop3Conversation, refused
from postbeat.wire import pop3

# Unique-ids that are asked for one by one in a session, with and without PIPELINING. If more are wanted, or
# more than half of them all, the whole listing is cheaper.
SINGLES_LIMIT = 2000
ROUND_TRIPS_LIMIT = 50


class Listing:
    """The mailbox as it is in one session: it is locked and does not change (RFC 1939 section 4).

    ``total`` is the number of its messages, which is the highest number of a message, too, and ``size_bytes``
    their size.
    """

    def __init__(self, conversation: Pop3Conversation, total: int, size_bytes: int) -> None:
        self.total = total
        self.size_bytes = size_bytes
        self._conversation = conversation
        self._uids: dict[int, str] = {}
        self._complete = False
        most = SINGLES_LIMIT if conversation.window > 1 else ROUND_TRIPS_LIMIT
        self._singles = min(most, total // 2)

    async def uid(self, number: int) -> str:
        """The unique-id of a message; empty where there is no such message."""
        return (await self.between(number, number)).get(number, "")

    async def between(self, low: int, high: int) -> dict[int, str]:
        """The unique-ids by their numbers, in order, from ``low`` to ``high`` inclusive.

        Raises:
            RemoteFault: the server has no unique-ids, or answers out of the protocol.
        """
        if not self._complete:
            await self._learn(low, high)
        numbers = range(low, high + 1) if high - low < len(self._uids) else sorted(self._uids)
        return {
            number: self._uids[number] for number in numbers if low <= number <= high and number in self._uids
        }

    async def everything(self) -> dict[int, str]:
        """All unique-ids by their numbers, in order."""
        if not self._complete:
            await self._list_all()
        return dict(sorted(self._uids.items()))

    async def backwards(self, first: int = 1) -> AsyncIterator[tuple[int, str]]:
        """Numbers and unique-ids from the last to the first.

        The ``first`` of them are asked for at once, and then more and more at a time.
        """
        above, step = self.total + 1, max(1, first)
        while above > 1 and not self._complete:
            low = max(1, above - step)
            for item in reversed((await self.between(low, above - 1)).items()):
                yield item
            above, step = low, min(2 * step, self._conversation.window)
        for number in sorted(self._uids, reverse=True):
            if number < above:
                yield number, self._uids[number]

    async def find(self, uids: Collection[str]) -> dict[str, list[int]]:
        """The numbers of the messages with these unique-ids, as far as they are there.

        Identical copies may share one (RFC 1939 section 7): all are given that are known so far.
        """
        missing = set(uids).difference(self._uids.values())
        if missing:
            async for _, uid in self.backwards(len(missing)):
                missing.discard(uid)
                if not missing:
                    break
        found: dict[str, list[int]] = {}
        for number, uid in sorted(self._uids.items()):
            if uid in uids:
                found.setdefault(uid, []).append(number)
        return found

    async def _learn(self, low: int, high: int) -> None:
        # What a server claims to have is not counted one by one, as it may be anything.
        many = high - low >= self._singles + len(self._uids)
        unknown = [] if many else [n for n in range(high, low - 1, -1) if n not in self._uids]
        if many or len(unknown) > self._singles:
            await self._list_all()
            return
        self._singles -= len(unknown)
        for start in range(0, len(unknown), WINDOW):
            asked = unknown[start : start + WINDOW]
            replies = await self._conversation.run([pop3.uidl(number) for number in asked])
            for number, reply in zip(asked, replies, strict=True):
                entries = dict(pop3.unique_ids(reply.lines))
                if entries.keys() != {number}:
                    # It gives no single ones, or the message has gone where nothing locks the mailbox.
                    await self._list_all()
                    return
                self._uids |= entries

    async def _list_all(self) -> None:
        (reply,) = await self._conversation.run([pop3.UIDL])
        if not reply.ok:
            raise refused("the server gives no unique-ids (UIDL)", reply)
        # Those that are marked as deleted by now are known from before, and are not in the listing any more.
        self._uids |= dict(pop3.unique_ids(reply.lines))
        self._complete = True

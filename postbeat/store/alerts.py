"""The table of alerts, and the stream of its changes, as a bridge writes them. Not asyncio."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import RedisError

from postbeat import clock
from postbeat.alerts import Alert, AlertEvent, Change, Occurrence
from postbeat.store import keys
from postbeat.store.alerttable import AlertTable
from postbeat.store.connecting import client
from postbeat.store.outbox import LeaseLostError
from postbeat.store.streams import parse_alert

LEASE_MS = 10_000  # another process takes over from one that was killed after so long
ENTRIES_KEPT = 20_000
PAGE = 500
LOOK_S = 30.0  # between two looks whether something has left the profile
BLOCK_MS = 500  # how long the stream is waited for at a time
TRIES = 100  # each that fails lets another bridge go on


class AlertStore:
    """The table, and the place of one bridge. Every method may raise ``redis.exceptions.RedisError``.

    ``bridge`` names the bridge: each has a lease and a cursor of its own, and all write the same table. What
    a bridge knows of the table stays in memory, and is caught up from the stream where another has written.
    Not for several threads.
    """

    def __init__(self, url: str, bridge: str = "all") -> None:
        self._redis: Redis = client(url, decode_responses=True)
        self._token = secrets.token_hex(16)
        self._moves = 0
        self._lease, self._bridge = keys.bridge_lease(bridge), keys.bridge(bridge)
        self._scripts: dict[str, Script] = {}
        self._table: AlertTable | None = None
        self._looked_at_us: int | None = None
        self._last = ""  # entry of the stream of all changes up to which the table is known

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def acquire(self) -> bool:
        """Becomes the bridge, if no other process is."""
        return bool(self._redis.set(self._lease, self._token, nx=True, px=LEASE_MS))

    def renew(self) -> bool:
        """Stays the bridge for LEASE_MS; False where another process may be."""
        return bool(self._run("renew", [self._lease], [self._token, LEASE_MS]))

    def release(self) -> None:
        """Gives the bridge back."""
        self._run("release", [self._bridge, self._lease], [self._token, 1])

    def cursor(self) -> str:
        """Up to where the results have become alerts, as :meth:`apply` noted it last; "" before that."""
        return str(self._redis.hget(self._bridge, "cursor") or "")

    def apply(
        self, before: str, cursor: str, occurrences: Sequence[Occurrence]
    ) -> list[tuple[Change, Alert]]:
        """Merges occurrences into the table and moves the cursor from ``before``, all or nothing.

        Now and then it also clears what is open of pairs that are not polled any more.

        Returns:
            What has changed, in order, as the stream of alerts has it.

        Raises:
            LeaseLostError: another process is the bridge, or has moved it on. Nothing was written.
            RedisError: Redis does not answer. Whether it was written, :meth:`cursor` tells.
        """
        return self._merged(self._lease, self._bridge, before, cursor, occurrences)

    def announce(self, occurrences: Sequence[Occurrence]) -> None:
        """Merges occurrences into the table that no results have led to, whichever process is the bridge."""
        # Under a name of our own, as of a bridge that nobody else is, and that is over at once.
        lease, bridge = keys.bridge_lease(self._token), keys.bridge(self._token)
        self._merged(lease, bridge, "", "", occurrences)
        with contextlib.suppress(RedisError):  # they have done what they are for
            self._redis.delete(lease, bridge)

    def _merged(
        self, lease: str, bridge: str, before: str, cursor: str, occurrences: Sequence[Occurrence]
    ) -> list[tuple[Change, Alert]]:
        self._moves += 1
        move = f"{self._token}.{self._moves}"
        try:
            for _ in range(TRIES):
                table = self._known()
                events = [event for occurrence in occurrences for event in table.apply(occurrence)]
                events += self._left(table)
                last = self._written([lease, bridge], before, cursor, move, events)
                if last:
                    table.keep()
                    self._last = last
                    return [(event.change, event.alert) for event in events]
                table.undo()
                self._catch_up(table)
            raise RedisError(f"other bridges were quicker {TRIES} times")
        except BaseException:
            self._table = None  # it may be ahead of what is written
            raise

    def table(self) -> list[Alert]:
        """Every row, in no order."""
        return list(self._rows())

    def newest(self) -> str:
        """The last entry of the stream of all changes, before the first one: ``0-0``."""
        newest = cast("list[Any]", self._redis.xrevrange(keys.ALERTS_ALL, count=1))
        return str(newest[0][0]) if newest else "0-0"

    def follow(self, after: str, *, repeats: bool = False) -> Iterator[AlertEvent | None]:
        """Changes as they come after an entry of the stream; None now and then while none comes."""
        key = keys.ALERTS_ALL if repeats else keys.ALERTS
        while True:
            answer = cast("list[Any]", self._redis.xread({key: after}, count=PAGE, block=BLOCK_MS))
            for _, entries in answer:
                for entry, fields in entries:
                    after = entry
                    if (event := _event(entry, fields)) is not None:
                        yield event
            if not answer:
                yield None

    def _left(self, table: AlertTable) -> list[AlertEvent]:
        """What becomes of alerts whose pair has left the profile; where no pair is known, nothing."""
        now_us = clock.steady_us()
        if self._looked_at_us is not None and now_us - self._looked_at_us < LOOK_S * 1e6:
            return []
        self._looked_at_us = now_us
        members = cast("list[str]", self._redis.zrange(keys.EXPECTED, 0, -1))
        seconds, rest_us = self._redis.time()
        pairs = {member.removesuffix("/read") for member in members}
        return list(table.left(pairs, seconds * 1_000_000 + rest_us)) if pairs else []

    def _written(
        self, bridge: Sequence[str], before: str, cursor: str, move: str, events: Sequence[AlertEvent]
    ) -> str:
        """The last entry after writing, "" where another bridge has changed the table since it was known."""
        values: list[Any] = [self._token, LEASE_MS, before, cursor, self._last, ENTRIES_KEPT, move]
        for event in events:
            was = "" if event.was is None else event.was
            values += [event.alert.identifier, str(event.change), was, event.alert.dumps()]
        names = [*bridge, keys.ALERTS_TABLE, keys.ALERTS, keys.ALERTS_ALL]
        answer = self._run("alert", names, values)
        if answer == -1:
            raise LeaseLostError
        return "" if answer == 0 else str(answer)

    def _known(self) -> AlertTable:
        if self._table is None:
            # Entries that come while the rows are read are read again: each has its row as it was then.
            self._last = self.newest()
            self._table = AlertTable(self._rows())
        return self._table

    def _catch_up(self, table: AlertTable) -> None:
        """Has the table follow what others have written; where that cannot be told, it is read anew."""
        if not self._redis.xrange(keys.ALERTS_ALL, self._last, self._last, count=1):
            self._table = None
            return
        while True:
            entries = cast(
                "list[Any]", self._redis.xrange(keys.ALERTS_ALL, f"({self._last}", "+", count=PAGE)
            )
            for entry, fields in entries:
                event = _event(entry, fields)
                if event is not None and event.change is Change.DELETED:
                    table.remove(event.alert.identifier)
                elif event is not None:
                    table.put(event.alert)
                self._last = entry
            if len(entries) < PAGE:
                table.keep()
                return

    def _rows(self) -> Iterator[Alert]:
        found = dict(self._redis.hscan_iter(keys.ALERTS_TABLE, count=PAGE))  # one may come twice
        for text in found.values():
            with contextlib.suppress(ValueError, TypeError):  # another version's counts as not there
                yield Alert.loads(text)

    def _run(self, name: str, names: Sequence[str], values: Sequence[Any]) -> Any:  # noqa: ANN401
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self._redis.register_script(keys.script(name))
        return script(keys=names, args=values)


def _event(entry: str, fields: Mapping[str, str]) -> AlertEvent | None:
    """The change of an entry; None for one that another version wrote."""
    try:
        return parse_alert(entry, fields)
    except (ValueError, KeyError, TypeError):
        return None

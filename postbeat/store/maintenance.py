"""Maintenance: the windows of the profile and those announced by hand. Not asyncio."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import cast

from redis import Redis

from postbeat.model import Pair
from postbeat.store import keys
from postbeat.store.connecting import client
from postbeat.store.summary import element_facts
from postbeat.windows import Window

KEPT_US = 400 * 86_400_000_000  # as long as rollups are kept, for reports of the past
LONGEST_US = 366 * 86_400_000_000
TEXT_LIMIT = 500  # characters of a glob or a reason


@dataclass(frozen=True, slots=True)
class AdHoc:
    """A window that was announced by hand: from a moment up to, and without, another.

    ``element`` and ``region`` are globs; ``why`` and ``by`` (who announced it) are for people.
    """

    id: str
    element: str
    region: str
    from_us: int
    to_us: int
    why: str
    by: str

    def covers(self, pair: Pair, at_us: int) -> bool:
        """Whether it is about this pair at this moment."""
        return (
            self.from_us <= at_us < self.to_us
            and fnmatchcase(pair.element, self.element)
            and fnmatchcase(pair.region, self.region)
        )

    def dumps(self) -> str:
        """One line of JSON, without the id."""
        data = asdict(self)
        del data["id"]
        return json.dumps(data)

    @classmethod
    def loads(cls, name: str, text: str) -> AdHoc:
        """What :meth:`dumps` wrote, with its id."""
        return cls(id=name, **json.loads(text))


@dataclass(frozen=True, slots=True)
class Calendar:
    """All windows of maintenance as of one moment: those of the profile, by element, and those by hand."""

    windows: Mapping[str, Sequence[Window]]
    by_hand: Sequence[AdHoc] = ()

    def covers(self, pair: Pair, at_us: int) -> bool:
        """Whether the pair is in maintenance at a moment."""
        return any(window.covers(at_us) for window in self.windows.get(pair.element, ())) or any(
            window.covers(pair, at_us) for window in self.by_hand
        )

    def reasons(self, pair: Pair, at_us: int) -> list[str]:
        """Why the pair is in maintenance at a moment, for people; nothing where it is not."""
        announced = [str(window) for window in self.windows.get(pair.element, ()) if window.covers(at_us)]
        return announced + [window.why for window in self.by_hand if window.covers(pair, at_us)]


class MaintenanceStore:
    """The windows in Redis. Every method may raise ``redis.exceptions.RedisError``."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = client(url, decode_responses=True)

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def now_us(self) -> int:
        """The one clock."""
        seconds, micros = self._redis.time()
        return seconds * 1_000_000 + micros

    def calendar(self, profile: Mapping[str, Sequence[Window]] | None = None) -> Calendar:
        """All windows as of now.

        Args:
            profile: the windows of each element; None takes those of the profile in force.
        """
        if profile is None:
            stored = cast("dict[str, str]", self._redis.hgetall(keys.PROFILE))
            profile = {name: element_facts(text).maintenance for name, text in stored.items()}
        return Calendar({name: windows for name, windows in profile.items() if windows}, self.listing())

    def listing(self) -> list[AdHoc]:
        """The windows that were announced by hand, in the order in which they begin."""
        stored = cast("dict[str, str]", self._redis.hgetall(keys.MAINTENANCE))
        found = (AdHoc.loads(name, text) for name, text in stored.items())
        return sorted(found, key=lambda window: (window.from_us, window.id))

    def add(
        self, element: str, region: str = "*", *, from_us: int, to_us: int, why: str, by: str = ""
    ) -> AdHoc:
        """Announces a window. What ended long ago is dropped on this occasion.

        Raises:
            ValueError: it ends before it begins, or is too long, or a text is.
        """
        if not 0 < to_us - from_us <= LONGEST_US:
            raise ValueError("expected an end after the beginning, at most 366 days later")
        for name, text in (("element", element), ("region", region), ("why", why), ("by", by)):
            if len(text) > TEXT_LIMIT:
                raise ValueError(f"expected at most {TEXT_LIMIT} characters for {name}, got {len(text)}")
        made = AdHoc(secrets.token_hex(4), element, region, from_us, to_us, why, by)
        now_us = self.now_us()
        gone = [window.id for window in self.listing() if window.to_us < now_us - KEPT_US]
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.MAINTENANCE, made.id, made.dumps())
            if gone:
                pipe.hdel(keys.MAINTENANCE, *gone)
            pipe.execute()
        return made

    def end(self, name: str, at_us: int) -> AdHoc | None:
        """Has a window end at a moment, at its own end at the latest; one that begins later is dropped.

        Returns:
            The window as it is from now on; None where there is no window of this id.
        """
        text = cast("str | None", self._redis.hget(keys.MAINTENANCE, name))
        if text is None:
            return None
        window = AdHoc.loads(name, text)
        shorter = replace(window, to_us=max(window.from_us, min(window.to_us, at_us)))
        if shorter.to_us > shorter.from_us:
            self._redis.hset(keys.MAINTENANCE, name, shorter.dumps())
        else:
            self._redis.hdel(keys.MAINTENANCE, name)
        return shorter

"""Maintenance: the windows of the profile and those announced by hand. Not asyncio."""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase, translate
from typing import cast

from redis import Redis

from postbeat.model import Pair
from postbeat.store import keys
from postbeat.store.connecting import client
from postbeat.store.streams import readable
from postbeat.store.summary import element_facts
from postbeat.windows import Window

KEPT_US = 400 * 86_400_000_000  # as long as rollups are kept, for reports of the past
LONGEST_US = 366 * 86_400_000_000
TEXT_LIMIT = 500  # characters of a glob or a reason
FORMER_KEPT_S = 86_400  # windows that the profile had before: results are folded within some hours
FORMER_LIMIT = 50  # changes of an element's windows, for a profile that changes all the time


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
    """Windows of maintenance as of one moment: those that elements have in the profile, and all by hand.

    ``former`` has the windows that elements had before, as :func:`former_text` writes them: a moment of the
    past is judged by the windows that were in force then.
    """

    windows: Mapping[str, Sequence[Window]]
    by_hand: Sequence[AdHoc] = ()
    former: Mapping[str, str] = field(default_factory=dict)

    def covers(self, pair: Pair, at_us: int) -> bool:
        """Whether the pair is in maintenance at a moment."""
        return any(window.covers(at_us) for window in self._in_force(pair.element, at_us)) or any(
            window.covers(pair, at_us) for window in self.by_hand
        )

    def covering(self, at_us: int) -> Callable[[Pair], bool]:
        """What tells of a pair whether it is in maintenance at this moment: quick for many thousands."""
        is_open = functools.cache(lambda window: window.covers(at_us))  # elements share a few windows
        known = {element for element, windows in self.windows.items() if windows} | self.former.keys()
        elements = {element for element in known if any(map(is_open, self._in_force(element, at_us)))}
        globs: dict[str, set[str]] = {}  # of elements, by the glob of regions
        for window in self.by_hand:
            if window.from_us <= at_us < window.to_us:
                globs.setdefault(window.region, set()).add(window.element)
        fitting = {region: _fits_any(some) for region, some in globs.items()}

        def is_covered(pair: Pair) -> bool:
            return pair.element in elements or any(
                fnmatchcase(pair.region, region) and fits(pair.element) for region, fits in fitting.items()
            )

        return is_covered

    def reasons(self, pair: Pair, at_us: int) -> list[str]:
        """Why the pair is in maintenance at a moment, for people; nothing where it is not."""
        in_force = self._in_force(pair.element, at_us)
        announced = [str(window) for window in in_force if window.covers(at_us)]
        return announced + [window.why for window in self.by_hand if window.covers(pair, at_us)]

    def renewed(self, newer: Calendar) -> Calendar:
        """This one with what a newer one knows: the windows of its elements, and all by hand.

        What was in force before stays true, though Redis may have dropped it since.
        """
        return Calendar({**self.windows, **newer.windows}, newer.by_hand, {**self.former, **newer.former})

    def _in_force(self, element: str, at_us: int) -> Sequence[Window]:
        """The windows that the profile had for an element at a moment."""
        if text := self.former.get(element):
            for until_us, windows in _former(text):
                if at_us < until_us:
                    return windows
        return self.windows.get(element, ())


def former_text(
    text: str | None, before: tuple[Window, ...] | None, after: tuple[Window, ...] | None, now_us: int
) -> str | None:
    """What is stored of an element's former windows once a profile is published; None for nothing.

    It is a JSON array of ``[until_us, windows]``, the oldest first.

    Args:
        text: what was stored; what cannot be read counts as nothing.
        before: the windows that were in force up to now; None for an element that was not in the profile.
        after: those from now on; None for an element that is not in the profile any more.
        now_us: the moment of the change.
    """
    oldest_us = now_us - FORMER_KEPT_S * 1_000_000
    known = [one for one in _former(text or "[]") if one[0] >= oldest_us]
    if before != after and (known or before is not None):
        known.append((now_us, before or ()))
    rows = [(until_us, [str(window) for window in windows]) for until_us, windows in known[-FORMER_LIMIT:]]
    return json.dumps(rows) if rows else None


def _fits_any(globs: Collection[str]) -> Callable[[str], bool]:
    """What tells whether a name fits one of these globs; a single pattern takes a tenth of the time."""
    fits = re.compile("|".join(map(translate, globs))).match
    return functools.cache(lambda name: fits(name) is not None)


@functools.lru_cache(maxsize=65536)  # one edit of a shared window leaves a text for each of many elements
def _former(text: str) -> Sequence[tuple[int, Sequence[Window]]]:
    return readable(f"an entry of {keys.FORMER_MAINTENANCE}", _loaded, text) or ()


def _loaded(text: str) -> Sequence[tuple[int, Sequence[Window]]]:
    return [(int(until_us), tuple(map(Window.parse, windows))) for until_us, windows in json.loads(text)]


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
        """The windows as of now.

        Args:
            profile: the windows of each element that is asked about; one that has none may have had some
                before. None takes the profile in force, and what has left it.
        """
        # Former windows come after the profile: those of now without them would judge the past, too.
        if profile is None:
            stored = cast("dict[str, str]", self._redis.hgetall(keys.PROFILE))
            profile = {name: element_facts(text).maintenance for name, text in stored.items()}
            former = cast("dict[str, str]", self._redis.hgetall(keys.FORMER_MAINTENANCE))
        else:
            former = self._former_of(profile.keys())
        return Calendar(profile, self.listing(), former)

    def _former_of(self, elements: Collection[str]) -> dict[str, str]:
        """What is stored of the former windows of some elements: of all it may be megabytes."""
        names = list(elements)
        texts = cast("list[str | None]", self._redis.hmget(keys.FORMER_MAINTENANCE, names)) if names else []
        return {name: text for name, text in zip(names, texts, strict=True) if text}

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

"""The log of a pair's figures, written as the store's record does, and what it should come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hypothesis import strategies as st
from redis import Redis

from postbeat.delivery import Outcome
from postbeat.figures import Figures
from postbeat.model import FaultCode, Level, Pair, Phase, Side
from postbeat.rollup import Rollup
from postbeat.store import keys
from postbeat.store.fold import DAY_US, HOUR_US, FoldStore
from postbeat.store.history import History

PAIR = Pair("mail", "lab")
SOUTH = Pair("mail", "south")


class During:
    """A calendar with one window."""

    def __init__(self, from_us: int, to_us: int) -> None:
        self._from_us, self._to_us = from_us, to_us

    def covers(self, _pair: Pair, at_us: int) -> bool:
        return self._from_us <= at_us < self._to_us


@dataclass
class Logbook:
    """``now_us`` is Redis's clock when it was opened."""

    redis: Redis
    folder: FoldStore
    history: History
    now_us: int = field(init=False)

    def __post_init__(self) -> None:
        self.now_us = self.folder.now_us()

    @classmethod
    @contextmanager
    def open(cls, url: str) -> Iterator[Logbook]:
        with Redis.from_url(url) as client:
            book = cls(client, FoldStore(url), History(url))
            yield book
            book.folder.close()
            book.history.close()

    def write(self, *entries: Figures, pair: Pair = PAIR, at_us: int | None = None) -> None:
        """Appends to the log of a pair that is expected to give results; as if at a moment of the past."""
        self.redis.zadd(keys.EXPECTED, {str(pair): 0})
        with self.redis.pipeline(transaction=False) as pipe:
            for number, entry in enumerate(entries, 1):
                entry_id = "*" if at_us is None else f"{at_us // 1000}-{number}"
                pipe.xadd(keys.raw(str(pair)), {"f": entry.dumps()}, id=entry_id)
            pipe.execute()

    def fold(self, pair: Pair = PAIR) -> int:
        return self.folder.fold(str(pair))

    def packed(self, pair: Pair = PAIR) -> dict[bytes, bytes]:
        """The rollups as they are stored, without the log."""
        found: dict[bytes, bytes] = self.redis.hgetall(keys.rollup(str(pair)))  # type: ignore[assignment]
        return {name: value for name, value in found.items() if name in (b"hours", b"days")}

    def total(self, *pairs: Pair) -> Rollup:
        """All that is known."""
        return self.history.rollup(pairs or [PAIR], self.now_us - 399 * DAY_US, self.now_us + HOUR_US)

    def days(self, count: int, pair: Pair = PAIR) -> dict[int, Rollup]:
        """The last so many days, those of which nothing is known left out."""
        series = self.history.series([pair], self.now_us - count * DAY_US, self.now_us, step="day")
        return {at_us // DAY_US: rollup for at_us, rollup in series if rollup != Rollup()}

    def hours(self, count: int, pair: Pair = PAIR) -> dict[int, Rollup]:
        """The last so many hours, those of which nothing is known left out."""
        series = self.history.series([pair], self.now_us - count * HOUR_US, self.now_us + 1, step="hour")
        return {at_us // HOUR_US: rollup for at_us, rollup in series if rollup != Rollup()}


def check(
    at_us: int,
    level: Level = Level.GOOD,
    *,
    us: int = 40_000,
    slot: int = 1,
    outcome: Outcome | None = None,
    terminal: bool = True,
    phase: Phase = Phase.CHECK,
) -> Figures:
    """A result; of one that is GOOD with a time."""
    is_good = level in (Level.GOOD, Level.MARGINAL)
    return Figures(
        at_us,
        phase,
        slot,
        level,
        terminal,
        None if is_good else Side.REMOTE,
        None if is_good else FaultCode.TIMEOUT,
        outcome=outcome,
        times_us={"responseTime": us, "totalTime": us} if is_good else {},
    )


def by(entries: Iterable[Figures], period_us: int) -> dict[int, Rollup]:
    """What entries come to, counted one by one."""
    found: dict[int, Rollup] = {}
    for entry in entries:
        found.setdefault(entry.at_us // period_us, Rollup()).add(entry)
    return found


def results(now_us: int, ages_us: list[int]) -> st.SearchStrategy[Figures]:
    """Results of these ages."""
    return st.builds(
        check,
        st.sampled_from(ages_us).map(lambda age_us: now_us - age_us),
        st.sampled_from(Level),
        us=st.integers(1, 10_000_000),
        slot=st.integers(0, 1_000_000),
        outcome=st.none() | st.sampled_from(Outcome),
        terminal=st.booleans(),
        phase=st.sampled_from(Phase),
    )

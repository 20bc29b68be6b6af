"""The scheduler of Celery beat: fires the grid, reloads the profile, sweeps up silence."""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery.beat import Scheduler
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from beat_schedule.folding import Folding
from beat_schedule.grid import Due, Grid
from beat_schedule.metering import Meter, missed
from beat_schedule.publisher import Publisher
from postbeat import profile as profiles
from postbeat import settings
from postbeat.model import Pair
from postbeat.profile import Profile, ProfileError
from postbeat.secrets import Keys
from postbeat.slots import Polled
from postbeat.store.beat import CATCH_UP_US, BeatStore, Stretch
from postbeat.store.connecting import trouble_text
from postbeat.store.facts import BeatFactsStore
from postbeat.store.fold import Retention

log = logging.getLogger(__name__)

RELOAD_S = 1.0
SWEEP_S = 1.0
TIDY_S = 60.0
SHORTEST_WAIT_S = 0.02  # polls that are due closer together than this go out in one batch
LONGEST_WAIT_S = 0.5
_AWAY = (RedisError, OperationalError, OSError)
FIRST_POLLS = 1000  # on the very first start, up to so many pairs are polled at once instead of in their turn


@dataclass(frozen=True, slots=True)
class _Part:
    """The pairs whose polls are claimed together, and their grid, which begins at ``from_us``.

    ``monitor`` is the one that all of them belong to, or "" for the pairs of all.
    """

    monitor: str
    pairs: Sequence[tuple[Pair, Polled]]
    grid: Grid
    from_us: int


@dataclass(frozen=True, slots=True)
class _Force:
    """A profile in force: its parts, what publishes its polls, and the number of pairs of each region."""

    profile: Profile
    parts: Sequence[_Part]
    publisher: Publisher
    regions: Mapping[str, int]

    @property
    def pairs(self) -> int:
        """How many pairs are polled, by this beat or by that of another monitor."""
        return sum(self.regions.values())


class GridScheduler(Scheduler):
    """A ``celery.beat.Scheduler`` with its own tick; it stores no schedule, as there is none to store."""

    _force: _Force | None = None
    _broken = False
    _reload_at = 0.0
    _sweep_at = 0.0
    _tidy_at = 0.0

    def setup_schedule(self) -> None:
        """Loads the profile; Celery calls this once at the start.

        Raises:
            SystemExit: the profile is not valid, or a setting is missing; the message is for people.
        """
        config = settings.load()
        try:
            if not config.profile:
                raise settings.SettingsError(
                    "no profile: set POSTBEAT_PROFILE, or start: postbeat beat PROFILE"
                )
            self._path = Path(config.profile)
            # Each has a cursor of its own: whatever beats share a Redis, a poll is fired by one of them.
            self._monitors: Sequence[str] = sorted(set(config.monitors)) or [""]
            self._keys: Keys | None = config.keys()
            self._store = BeatStore(config.needed_redis_url())
            self._facts = BeatFactsStore(config.needed_redis_url())
            self._meter = Meter(str(self._path))
            self._fingerprint = profiles.fingerprint(self._path)
            self._newest = self._load()
            self._meter.reloaded()
        except (ProfileError, settings.SettingsError) as error:
            raise SystemExit(f"beat cannot start:\n{error}") from error
        retention = Retention(config.keep_raw, config.keep_hours, config.keep_days)
        self._folding = Folding(config.needed_redis_url(), retention)
        self._folding.start()

    def tick(self, *_args: Any, **_kwargs: Any) -> float:  # noqa: ANN401  Celery's own signature
        """Fires what is due. Returns how long to sleep, in seconds."""
        try:
            self._maybe_reload()
            force = self._in_force()
            to_us = [self._claim_and_fire(force.publisher, part) for part in force.parts]
            self._maybe_sweep(force)
            self._meter.write(self._facts, to_us[-1], force.pairs)
        except _AWAY as error:
            if not self._broken:
                log.error("%s; polls are not fired", trouble_text(error))
            self._broken = True
            if self._force is not None:
                self._force.publisher.close()
            return 1.0
        if self._broken:
            log.warning("Redis answers again")
            self._broken = False
        return min(_wait_s(part.grid, at_us) for part, at_us in zip(force.parts, to_us, strict=True))

    @property
    def info(self) -> str:
        """What beat says at its start."""
        return f"    . profile -> {settings.load().profile}"

    def close(self) -> None:
        """Closes the connections."""
        self._folding.close()
        if self._force is not None:
            self._force.publisher.close()
        self._store.close()
        self._facts.close()
        super().close()

    def _claim_and_fire(self, publisher: Publisher, part: _Part) -> int:
        """Fires what has fallen due of a part. Returns up to which moment."""
        with _uninterrupted():
            stretch = self._store.claim(part.monitor)
            self._fire(publisher, part, stretch)
        return stretch.to_us

    def _fire(self, publisher: Publisher, part: _Part, stretch: Stretch) -> None:
        began = time.monotonic()
        polls = _due(part.grid, stretch)
        if polls:
            try:
                publisher.publish(polls)
            except Exception:
                self._meter.missed(len(polls))
                raise
        self._meter.fired(polls, stretch, time.monotonic() - began)
        self._meter.missed(missed(part.pairs, stretch, polls, part.from_us))

    def _load(self) -> Profile:
        loaded = profiles.load(self._path)
        if self._keys is not None:
            return loaded.sealed(self._keys)
        if loaded.has_literal_secrets():
            raise settings.SettingsError(
                f"{self._path} holds secrets as plain text, and there is no site key to seal them: "
                "set POSTBEAT_KEY_FILE (make a key with: postbeat key), "
                "or name the secrets as {env: NAME} or {file: PATH}"
            )
        return loaded

    def _in_force(self) -> _Force:
        """The newest profile, put into force. Where Redis is away, the next tick tries again."""
        before, sealed = self._force, self._newest
        if before is not None and before.profile is sealed:
            return before
        now_us = self._store.now_us()
        parts = [self._part(sealed, monitor, now_us) for monitor in self._monitors]
        self._publish(sealed)
        regions = Counter(pair.region for pair, _ in sealed.active())
        self._force = _Force(sealed, parts, Publisher(self.app, sealed), regions)
        if before is not None:
            before.publisher.close()
            log.warning("the profile was reloaded: %d pairs of element and region", self._force.pairs)
        return self._force

    def _publish(self, profile: Profile) -> None:
        """Has Redis know a profile: when it comes into force, and when Redis has lost its data."""
        self._store.retire(profile, self._monitors)
        self._store.expect(profile, self._store.now_us())
        self._store.publish_profile(profile)
        self._meter.forgotten()

    def _part(self, profile: Profile, monitor: str, now_us: int) -> _Part:
        fired_to_us = self._store.fired_to_us(monitor) or now_us
        from_us = max(fired_to_us, now_us - CATCH_UP_US)
        pairs = [(pair, element) for pair, element in profile.active() if monitor in ("", element.kind)]
        return _Part(monitor, pairs, Grid(pairs, from_us), from_us)

    def _maybe_reload(self) -> None:
        """Takes a changed profile; an invalid one changes nothing and is said loudly."""
        if time.monotonic() < self._reload_at:
            return
        self._reload_at = time.monotonic() + RELOAD_S
        fingerprint = profiles.fingerprint(self._path)
        if fingerprint == self._fingerprint:
            return
        self._fingerprint = fingerprint
        try:
            self._newest = self._load()
            self._meter.reloaded()
        except (ProfileError, settings.SettingsError) as error:
            self._meter.reloaded(str(error))
            log.error("the changed profile is NOT used, the one before stays in force:\n%s", error)

    def _maybe_sweep(self, force: _Force) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + SWEEP_S
        if not self._store.has_profile():
            log.warning("Redis has lost its data, the profile is published again")
            self._publish(force.profile)
        self._store.sweep(force.profile)
        self._store.trim_queues(force.regions, readers=len(force.profile.elements))
        for wake in self._store.readers_to_wake():
            force.publisher.send_reader(wake)
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_S
            self._store.tidy(force.profile)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Has SIGTERM and Ctrl-C wait: what is claimed is published, or nobody ever fires it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _due(grid: Grid, stretch: Stretch) -> list[Due]:
    if stretch.from_us is None and len(grid) <= FIRST_POLLS:
        list(grid.due(stretch.to_us))
        return list(grid.current(stretch.to_us))
    from_us = stretch.from_us or 0
    return [due for due in grid.due(stretch.to_us) if due.due_us > from_us]


def _wait_s(grid: Grid, now_us: int) -> float:
    next_us = grid.next_us()
    if next_us is None:
        return LONGEST_WAIT_S
    return min(max((next_us - now_us) / 1e6, SHORTEST_WAIT_S), LONGEST_WAIT_S)

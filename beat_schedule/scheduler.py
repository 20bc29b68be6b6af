"""The scheduler of Celery beat: fires the grid, reloads the profile, sweeps up silence."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from celery.beat import Scheduler
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from beat_schedule.grid import Due, Grid
from beat_schedule.publisher import Publisher
from postbeat import profile as profiles
from postbeat import settings
from postbeat.profile import Profile, ProfileError
from postbeat.secrets import Keys
from postbeat.store.beat import BeatStore, Stretch

log = logging.getLogger(__name__)

RELOAD_S = 1.0
SWEEP_S = 1.0
SHORTEST_WAIT_S = 0.02  # polls that are due closer together than this go out in one batch
LONGEST_WAIT_S = 0.5
_AWAY = (RedisError, OperationalError, OSError)
CATCH_UP_US = 10_000_000  # polls that fell due while no beat ran are fired, unless they are older than this
FIRST_POLLS = 1000  # on the very first start, up to so many pairs are polled at once instead of in their turn


class GridScheduler(Scheduler):
    """A ``celery.beat.Scheduler`` with its own tick; it stores no schedule, as there is none to store."""

    _broken = False
    _reload_at = 0.0
    _sweep_at = 0.0

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
            self._keys: Keys | None = config.keys()
            self._store = BeatStore(config.needed_redis_url())
            self._fingerprint = profiles.fingerprint(self._path)
            loaded = self._load()
        except (ProfileError, settings.SettingsError) as error:
            raise SystemExit(f"beat cannot start:\n{error}") from error
        self._use(loaded)

    def tick(self, *_args: Any, **_kwargs: Any) -> float:  # noqa: ANN401  Celery's own signature
        """Fires what is due. Returns how long to sleep, in seconds."""
        try:
            self._maybe_reload()
            self._fire(self._store.claim())
            self._maybe_sweep()
        except _AWAY as error:
            if not self._broken:
                log.error("Redis does not answer, polls are not fired: %s", error)
            self._broken = True
            self._publisher.close()
            return 1.0
        if self._broken:
            log.warning("Redis answers again")
            self._broken = False
        return self._wait_s()

    @property
    def info(self) -> str:
        """What beat says at its start."""
        return f"    . profile -> {settings.load().profile}"

    def close(self) -> None:
        """Closes the connections."""
        self._publisher.close()
        super().close()

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

    def _use(self, sealed: Profile) -> None:
        self._profile = sealed
        self._now_us = self._store.now_us()
        fired_to_us = self._store.fired_to_us() or self._now_us
        self._grid = Grid(sealed.active(), max(fired_to_us, self._now_us - CATCH_UP_US))
        self._publisher = Publisher(self.app, sealed)
        self._store.expect(sealed, self._now_us)

    def _maybe_reload(self) -> None:
        """Takes a changed profile; an invalid one changes nothing and is said loudly."""
        if time.monotonic() < self._reload_at:
            return
        self._reload_at = time.monotonic() + RELOAD_S
        fingerprint = profiles.fingerprint(self._path)
        if fingerprint == self._fingerprint:
            return
        try:
            sealed = self._load()
        except (ProfileError, settings.SettingsError) as error:
            self._fingerprint = fingerprint
            log.error("the changed profile is NOT used, the one before stays in force:\n%s", error)
            return
        self._publisher.close()
        self._use(sealed)
        self._fingerprint = fingerprint  # not before: where Redis was away, the next tick tries again
        log.warning("the profile was reloaded: %d pairs of element and region", len(self._grid))

    def _fire(self, stretch: Stretch) -> None:
        self._now_us = stretch.to_us
        polls = self._due(stretch)
        if polls:
            self._publisher.publish(polls)

    def _due(self, stretch: Stretch) -> list[Due]:
        if stretch.from_us is None and len(self._grid) <= FIRST_POLLS:
            list(self._grid.due(stretch.to_us))
            return list(self._grid.current(stretch.to_us))
        from_us = stretch.from_us or 0
        return [due for due in self._grid.due(stretch.to_us) if due.due_us > from_us]

    def _maybe_sweep(self) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + SWEEP_S
        self._store.sweep(self._profile)
        for wake in self._store.readers_to_wake():
            self._publisher.send_reader(wake)

    def _wait_s(self) -> float:
        next_us = self._grid.next_us()
        if next_us is None:
            return LONGEST_WAIT_S
        return min(max((next_us - self._now_us) / 1e6, SHORTEST_WAIT_S), LONGEST_WAIT_S)

"""Keeps a site running: what ends by itself is started again, and a region that is new gets a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from functools import partial
from pathlib import Path

from postbeat import profile as profiles
from postbeat.embedded.processes import Child, EmbeddedError, Processes
from postbeat.embedded.site import Site
from postbeat.profile import Profile, ProfileError

# Between two starts of the same process, in seconds: at first, and at most as it doubles.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


def polled_regions(profile: Profile) -> set[str]:
    """The regions that some element is polled in."""
    return {pair.region for pair, _ in profile.active()}


class Keeper:
    """Beat, a worker for each region of a profile, and others; ``report`` takes what people should know.

    ``others`` are how the others are started, by name. ``regions`` are those of a profile that want a worker.

    Raises:
        ProfileError: the profile is not valid, at construction; later an invalid one changes nothing.
    """

    def __init__(
        self,
        processes: Processes,
        site: Site,
        profile: Path,
        report: Callable[[str], None],
        others: Mapping[str, Callable[[], Child]],
        regions: Callable[[Profile], Set[str]] = polled_regions,
    ) -> None:
        self._processes = processes
        self._site = site
        self._path = profile
        self._report = report
        self._others = others
        self._regions = regions
        self._fingerprint = profiles.fingerprint(profile)
        self.profile: Profile = profiles.load(profile)
        self._running: dict[str, Child] = {}
        self._pauses: dict[str, tuple[float, float]] = {}  # name -> not before, and the pause after that

    def tend(self) -> None:
        """Starts what should run and does not; to be called a few times in a second.

        Raises:
            EmbeddedError: something ended that is not ours to start again.
        """
        self._reload()
        for name, start in self._wanted().items():
            child = self._running.get(name)
            if child is not None and child.exit_code is not None:
                self._report(f"{child.how_it_ended()}\nIt is started again.")
                self._processes.end(child)
                del self._running[name]
            if name not in self._running:
                self._start(name, start)
        for child in self._processes.poll():
            raise EmbeddedError(child.how_it_ended())

    def end(self) -> None:
        """Ends what it has started, beat first, so that no new poll finds its worker gone."""
        for name in ("beat", *(name for name in self._running if name != "beat")):
            if name in self._running:
                self._processes.end(self._running.pop(name))

    def _wanted(self) -> dict[str, Callable[[], Child]]:
        wanted: dict[str, Callable[[], Child]] = {
            f"{self._site.workers}-{region}": partial(self._site.worker, region)
            for region in sorted(self._regions(self.profile))
        }
        return {**wanted, "beat": partial(self._site.beat, self._path), **self._others}

    def _start(self, name: str, start: Callable[[], Child]) -> None:
        now_s = time.monotonic()
        not_before_s, pause_s = self._pauses.get(name, (now_s, FIRST_PAUSE_S))
        if now_s >= not_before_s:
            self._running[name] = start()
            self._pauses[name] = (now_s + pause_s, min(2 * pause_s, LONGEST_PAUSE_S))

    def _reload(self) -> None:
        fingerprint = profiles.fingerprint(self._path)
        if fingerprint == self._fingerprint:
            return
        self._fingerprint = fingerprint
        try:
            self.profile = profiles.load(self._path)
        except ProfileError as error:
            self._report(f"The changed profile is not used:\n{error}")

"""Keeps a site running: what ends by itself is started again, and workers follow the profile's regions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from functools import partial
from pathlib import Path

from postbeat import profile as profiles
from postbeat.embedded.processes import Child, EmbeddedError, Processes, nap
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
        self._leaving: dict[str, float] = {}  # those that were asked to end, and until when they may run
        self._pauses: dict[str, tuple[float, float]] = {}  # name -> not before, and the pause after that

    def tend(self) -> None:
        """Starts what should run and does not, and has what should not run end; it waits for nothing.

        To be called a few times in a second.

        Raises:
            EmbeddedError: something ended that is not ours to start again.
        """
        self._reload()
        for child in self._processes.poll():
            self._forget(child)
        wanted = self._wanted()
        self._let_go(self._running.keys() - wanted.keys())
        for name, start in wanted.items():
            if name not in self._running:
                self._start(name, start)

    def end(self, meanwhile: Callable[[], object] = nap) -> None:
        """Ends what it has started: beat first, so that no new poll finds its worker gone, then the others.

        ``meanwhile`` is called again and again until they have ended. What it raises, and another Ctrl-C,
        kills those that are left.
        """
        first = [child for name, child in self._running.items() if name == "beat"]
        others = [child for name, child in self._running.items() if name != "beat"]
        self._running.clear()
        try:
            self._processes.end(*first, meanwhile=meanwhile)
            self._processes.end(*others, meanwhile=meanwhile)
        finally:
            for child in others:
                child.kill()

    def _forget(self, child: Child) -> None:
        """Takes note that a child has ended."""
        if self._running.get(child.name) is not child:
            raise EmbeddedError(child.how_it_ended())
        if self._leaving.pop(child.name, None) is None:
            self._report(f"{child.how_it_ended()}\nIt is started again.")
        self._processes.end(child)
        del self._running[child.name]

    def _let_go(self, names: Set[str]) -> None:
        """Asks these to end, once, and kills those that were asked and take too long."""
        now_s = time.monotonic()
        for name in names - self._leaving.keys():
            self._running[name].ask()
            self._leaving[name] = now_s + self._running[name].grace_s
        for name, until_s in self._leaving.items():
            if now_s > until_s:
                self._running[name].kill()

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

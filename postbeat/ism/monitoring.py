"""A monitor as a foreground service, as the ISM's were: workers, a beat for its polls, and its bridge."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from postbeat import clock
from postbeat import profile as profiles
from postbeat.elements import SmtpElement
from postbeat.embedded.keeper import Keeper
from postbeat.embedded.processes import Processes
from postbeat.embedded.redis import private_redis
from postbeat.embedded.site import Site
from postbeat.ism.bridge import Bridge
from postbeat.ism.elements import Surroundings
from postbeat.ism.lane import GOING_DOWN, RUNNING, Lane
from postbeat.model import Kind
from postbeat.profile import Profile, ProfileError
from postbeat.settings import PREFIX

STEP_S = 0.25  # so long a signal waits at most
LOOK_US = 1_000_000  # between two looks at the file of a profile
LAST_STEPS = 100  # pages of results that are still brought in at the end


@dataclass
class Signals:
    """What was asked of a service from outside; handlers of signals set it."""

    ending: bool = False
    reloading: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a monitor works with.

    ``redis_url`` is "" for a private Redis. ``settings`` are those of its workers and its beat, by the names
    of variables. ``region`` is the one to probe from, "" for all that the elements name. ``reload`` is what
    SIGHUP asks for.
    """

    monitor: Kind
    profile: Path
    folder: Path
    key: str
    lanes: Sequence[Lane]
    reload: Callable[[], None]
    redis_url: str = ""
    region: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


class Followed:
    """The profile of a path as it is by now; one that is not valid leaves the one before.

    Raises:
        ProfileError: it is not valid at the beginning.
    """

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self._path, self._report = path, report
        self._fingerprint = profiles.fingerprint(path)
        self._profile = profiles.load(path)
        self._look_at_us = 0

    def __call__(self) -> Profile:
        """The profile; looks at the file once a second at most."""
        now_us = clock.steady_us()
        if now_us >= self._look_at_us:
            self._look_at_us = now_us + LOOK_US
            self._look()
        return self._profile

    def _look(self) -> None:
        fingerprint = profiles.fingerprint(self._path)
        if fingerprint == self._fingerprint:
            return
        self._fingerprint = fingerprint
        try:
            self._profile = profiles.load(self._path)
        except ProfileError as error:
            self._report(f"The changed profile is not used:\n{error}")


def regions_of(monitor: Kind, region: str, profile: Profile) -> set[str]:
    """The regions that a monitor wants workers in: where its elements are polled, or read for others.

    ``region`` is the only one, where it is not "".
    """
    found = set()
    for pair, element in profile.active():
        reader = profile.reader_of(element) if isinstance(element, SmtpElement) else None
        if element.kind is monitor or (reader is not None and reader.kind is monitor):
            found.add(pair.region)
    return found & {region} if region else found


def surroundings(profile: str, region: str = "") -> Surroundings:
    """What results do not say: the profile's name, the host that the monitor runs on, and its only region."""
    host = socket.gethostname()  # as workers have it; and no name server is asked
    return Surroundings(profile, host, host.partition(".")[2], monitor_region=region)


def run(plan: Plan, signals: Signals, report: Callable[[str], None]) -> None:
    """Runs a monitor until it is to end; then its polls that are under way are still brought in.

    Raises:
        EmbeddedError: something could not be started; or the private Redis has ended.
        ProfileError: the profile is not valid.
    """
    with Processes() as processes:
        url = plan.redis_url or private_redis(processes, plan.folder / "redis", persistent=True)
        settings = {**plan.settings, f"{PREFIX}MONITORS": str(plan.monitor)}
        site = Site(processes, plan.folder, url, plan.key, settings, f"worker-{plan.monitor}")
        regions = partial(regions_of, plan.monitor, plan.region)
        keeper = Keeper(processes, site, plan.profile, report, {}, regions)
        around = surroundings(plan.profile.stem, plan.region)
        bridges = [Bridge(url, lane, around, lambda: keeper.profile) for lane in plan.lanes]
        try:
            try:
                _attend(bridges, signals, keeper.tend, plan.reload)
            finally:
                keeper.end(partial(_step, bridges))
            _finish(bridges)
        finally:
            for bridge in bridges:
                bridge.close()


def follow(
    redis_url: str,
    lanes: Sequence[Lane],
    around: Surroundings,
    profile: Callable[[], Profile | None],
    signals: Signals,
    reload: Callable[[], None],
) -> None:
    """Only brings results to log, datalog and alerts, until it is to end."""
    bridges = [Bridge(redis_url, lane, around, profile) for lane in lanes]
    try:
        _attend(bridges, signals, lambda: None, reload)
        _finish(bridges)
    finally:
        for bridge in bridges:
            bridge.close()


def _attend(
    bridges: Sequence[Bridge], signals: Signals, tend: Callable[[], None], reload: Callable[[], None]
) -> None:
    for bridge in bridges:  # before there is any result
        bridge.begin()
    tend()
    _announce(bridges, RUNNING)
    while not signals.ending:
        tend()
        if signals.reloading:
            signals.reloading = False
            reload()
        _step(bridges)


def _step(bridges: Sequence[Bridge]) -> None:
    # All read the same stream: what ends the wait of one is there for the others.
    for number, bridge in enumerate(bridges):
        bridge.step(0 if number else STEP_S)


def _finish(bridges: Sequence[Bridge]) -> None:
    """Brings in what is there by now, and says that it ends."""
    for bridge in bridges:
        for _ in range(LAST_STEPS):
            if not bridge.step(0):
                break
    _announce(bridges, GOING_DOWN)


def _announce(bridges: Sequence[Bridge], text: str) -> None:
    """A lane that takes a part of a monitor's results is not that monitor."""
    for bridge in bridges:
        if bridge.lane.phases is None:
            bridge.announce(text)

"""A bridge of one site, its log and its datalog, with rules of the test's own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from postbeat.alerts import Alert
from postbeat.ism.bridge import Bridge
from postbeat.ism.datalog import Datalog
from postbeat.ism.elements import Surroundings
from postbeat.ism.lane import Lane
from postbeat.ism.logfile import LogFile
from postbeat.ism.rules.loading import DEFAULTS, Reloader
from postbeat.model import Kind, Phase
from postbeat.profile import Profile
from postbeat.store import keys
from postbeat.store.alerts import AlertStore
from tests.redis.site import PROFILE

AROUND = Surroundings(profile="shop", monitor_host="probe.example.test", monitor_domain="example.test")


@dataclass
class Clock:
    """A clock that nobody sets, but the test."""

    now_us: int = 1_000_000_000

    def __call__(self) -> int:
        return self.now_us


@dataclass
class Rig:
    """Bridges of one Redis. What they report is in ``told``."""

    url: str
    folder: Path
    clock: Clock = field(default_factory=Clock)
    told: list[str] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)
    ends: ExitStack = field(default_factory=ExitStack)

    @property
    def rules(self) -> Path:
        """A rules file of the test's own."""
        return self.folder / "own.rules"

    def lane(self, kind: Kind = Kind.SMTP, phases: frozenset[Phase] | None = None) -> Lane:
        log = LogFile(self.folder / f"{kind}.log", "debug", monitor=kind)
        self.ends.callback(log.close)
        return Lane(
            kind,
            Reloader(self.rules if self.rules.exists() else DEFAULTS[kind]),
            self.told.append,
            {"Manager": "Postbeat"},
            log,
            Datalog(self.folder / "datalogs", "shop"),
            phases,
            self.clock,
        )

    @contextmanager
    def bridge(
        self, lane: Lane | None = None, profile: Profile | None = PROFILE, around: Surroundings = AROUND
    ) -> Iterator[Bridge]:
        bridge = Bridge(
            self.url,
            lane or self.lane(),
            around,
            lambda: profile,
            steady_us=self.clock,
            sleep=self.naps.append,
        )
        try:
            yield bridge
        finally:
            bridge.close()

    def killed(self, kind: Kind = Kind.SMTP) -> None:
        """What the passing of time does to the lease of a bridge that was killed."""
        with Redis.from_url(self.url) as client:
            client.delete(keys.bridge_lease(kind))

    def table(self) -> dict[str, Alert]:
        """The alerts by Summary."""
        store = AlertStore(self.url)
        try:
            return {row.summary: row for row in store.table()}
        finally:
            store.close()

    def open(self) -> list[Alert]:
        """The alerts that are not over."""
        store = AlertStore(self.url)
        try:
            return [row for row in store.table() if row.is_open]
        finally:
            store.close()

    def lines(self, kind: Kind = Kind.SMTP) -> list[str]:
        """The lines of the log, without their times."""
        text = (self.folder / f"{kind}.log").read_text()
        return [re.sub(r"^\S+ ", "", line) for line in text.splitlines()]

    def logged(self, kind: Kind = Kind.SMTP) -> list[str]:
        """The polls whose results the log has."""
        return re.findall(rf"^\w+ {kind} (\S+#\d+) ", "\n".join(self.lines(kind)), re.MULTILINE)

    def entries(self, element: str = "mail") -> list[dict[str, str]]:
        """The entries of an element's datalog."""
        files = sorted((self.folder / "datalogs" / "shop" / element).glob("*.xml"))
        return [dict(entry.attrib) for file in files for entry in ET.parse(file).getroot()]

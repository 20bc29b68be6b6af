"""A whole Postbeat on one machine: workers, beat, and what shows and tells, as child processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from postbeat.embedded.processes import Child, Processes
from postbeat.settings import PREFIX, load

HOST = "127.0.0.1"  # where the page can be reached

_GRACE_S = 15.0
_AFTER_GRACE_S = 10.0  # what a worker needs at most to end, once its polls have had their grace time


@dataclass(frozen=True, slots=True)
class Site:
    """Starts Postbeat's own processes with one Redis and one key; their logs go to ``folder``.

    ``settings`` are further ones of theirs, by the names of variables; they win over our own environment.
    ``workers`` is how the names of workers begin: it tells those of several sites of one Redis apart.
    """

    processes: Processes
    folder: Path
    redis_url: str
    key: str
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: str = "worker"

    def worker(self, region: str, name: str = "") -> Child:
        """A worker for a region; ``name`` tells several of one region apart.

        Raises:
            SettingsError: what is set in its environment is not valid.
        """
        name = name or f"{self.workers}-{region}"
        grace_s = load(self.environment()).grace + _AFTER_GRACE_S
        return self._start(name, ["worker", "--region", region, "--name", name], grace_s)

    def beat(self, profile: Path, name: str = "beat") -> Child:
        """A beat for a profile."""
        return self._start(name, ["beat", str(profile)])

    def web(self, port: int, profile: Path) -> Child:
        """The page, for this machine; users of a file of users may have it poll elements of the profile."""
        return self._start("web", ["web", "--host", HOST, "--port", str(port), "--profile", str(profile)])

    def notify(self, sinks: Path) -> Child:
        """What tells events to the sinks of a file."""
        return self._start("notify", ["notify", str(sinks)])

    def environment(self) -> dict[str, str]:
        """What the processes have in their environment: ours, with this site's own settings."""
        ours = ("KEY_FILE", "PROFILE", "REGION")
        inherited = {name: os.environ[name] for name in os.environ if name.removeprefix(PREFIX) not in ours}
        own = {f"{PREFIX}REDIS_URL": self.redis_url, f"{PREFIX}KEY": self.key}
        return {**inherited, **self.settings, **own}

    def _start(self, name: str, arguments: list[str], grace_s: float = _GRACE_S) -> Child:
        return self.processes.start(
            name,
            [sys.executable, "-P", "-m", "postbeat", *arguments],
            env=self.environment(),
            log=self.folder / f"{name}.log",
            grace_s=grace_s,
        )

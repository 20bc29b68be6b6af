"""What the benchmarks share: a private site that is gone afterwards, figures of processes, and the output."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
from redis import Redis
from rich.console import Console
from rich.table import Table

from postbeat.embedded.processes import Child, Processes
from postbeat.embedded.redis import private_redis
from postbeat.embedded.site import Site
from postbeat.secrets import Keys, new_key
from postbeat.settings import PREFIX

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@dataclass(frozen=True, slots=True)
class Rig:
    """A site with a Redis of its own, and the processes of a benchmark beside it."""

    processes: Processes
    folder: Path
    redis: Redis
    site: Site

    @property
    def keys(self) -> Keys:
        """The site's keys."""
        return Keys.parse([self.site.key], "the benchmark's key")

    def start(self, module: str, *arguments: str) -> Child:
        """Starts another module of the benchmarks as a process."""
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        return self.processes.start(module, command, env=os.environ, log=self.folder / f"{module}.log")


@contextmanager
def rig(**settings: object) -> Iterator[Rig]:
    """A site whose processes have these settings and no others: the caller's own must not change figures."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update({f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()})
    with tempfile.TemporaryDirectory(prefix="postbeat-bench-") as name, Processes() as processes:
        folder = Path(name)
        url = private_redis(processes, folder / "redis", persistent=False)
        with Redis.from_url(url, decode_responses=True) as redis:
            yield Rig(processes, folder, redis, Site(processes, folder, url, new_key()))


def answer(child: Child, deadline_s: float) -> Any:  # noqa: ANN401  what JSON holds
    """What a process of the benchmarks prints: one JSON object.

    Raises:
        EmbeddedError: it ended without, or did not answer in time; the message has its last lines.
    """

    def printed() -> str | None:
        return next((line for line in child.last_lines().splitlines() if line.startswith("{")), None)

    return json.loads(child.wait_for(printed, deadline_s))


def cpu_s(child: Child) -> float:
    """The CPU time that a process has used, user and system, in seconds."""
    times = psutil.Process(child.pid).cpu_times()
    return float(times.user + times.system)


def rss_mb(child: Child) -> float:
    """The memory that a process has resident, in units of 1,000,000 bytes."""
    return round(psutil.Process(child.pid).memory_info().rss / 1e6, 1)


def redis_cpu_s(redis: Redis) -> float:
    """The CPU time that Redis has used, in seconds."""
    used = redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def show(title: str, figures: Mapping[str, object], *, as_json: bool) -> None:
    """Prints the figures: one JSON object, or a table for people."""
    if as_json:
        click.echo(json.dumps(figures))
        return
    table = Table("figure", title=title)
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    Console().print(table)

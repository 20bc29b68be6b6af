"""``postbeat worker`` and ``postbeat beat``: they become the Celery process that does the work."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from postbeat import settings
from postbeat.cli.common import errors_exit, profile_argument, redis_option

_LEVELS = ("debug", "info", "warning", "error", "critical")

loglevel_option = click.option(
    "--loglevel", type=click.Choice(_LEVELS), default="info", show_default=True, help="What is logged."
)


@click.command()
@click.option("--region", metavar="R", help="The region to probe from [default: POSTBEAT_REGION].")
@redis_option
@click.option("--name", help="The worker's name in Flower [default: the region and the process id].")
@click.option("--concurrency", type=int, metavar="N", help="Polls in flight at most [default: 1000].")
@loglevel_option
@errors_exit()
def worker(
    region: str | None, redis_url: str | None, name: str | None, concurrency: int | None, loglevel: str
) -> None:
    """Runs a worker for a region: it probes, and reads the mailboxes.

    Start as many as you like, on any machine of the region that reaches Redis and the mail servers. All of
    a site share one key (POSTBEAT_KEY_FILE; make it with: postbeat key). The same as:
    POSTBEAT_REGION=R celery -A workers.app worker
    """
    given = settings.load(region=region, redis_url=redis_url, concurrency=concurrency)
    given.needed_redis_url()
    given.needed_keys()
    if not given.region:
        raise settings.SettingsError("no region: give --region, or set POSTBEAT_REGION")
    node = name or f"{given.region}-{os.getpid()}"
    # Workers have nothing to tell each other, so gossip and mingle would only cost.
    arguments = ["worker", "-n", f"{node}@%h", "-l", loglevel, "--without-gossip", "--without-mingle"]
    _become_celery("workers", arguments, given)


@click.command()
@profile_argument
@redis_option
@loglevel_option
@errors_exit()
def beat(profile: Path, redis_url: str | None, loglevel: str) -> None:
    """Schedules the polls of PROFILE, a file or a folder, and takes changes of it without a restart.

    A second beat does no harm: every stretch of time is claimed in Redis and fired once, so that it may run
    as a stand-by. The same as: POSTBEAT_PROFILE=PROFILE celery -A beat_schedule.app beat
    """
    given = settings.load(profile=str(profile), redis_url=redis_url)
    given.needed_redis_url()
    _become_celery("beat_schedule", ["beat", "-l", loglevel], given)


def _become_celery(package: str, arguments: list[str], given: settings.Settings) -> NoReturn:
    for name in ("redis_url", "region", "profile", "concurrency"):
        value = getattr(given, name)
        if value:
            os.environ[settings.PREFIX + name.upper()] = str(value)
    sys.stderr.flush()
    # -P: what lies in the current folder is not ours to import.
    os.execv(sys.executable, [sys.executable, "-P", "-m", package, *arguments])  # noqa: S606

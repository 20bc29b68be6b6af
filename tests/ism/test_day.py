"""A day of one element, in a minute: what log, datalog, alerts, events and page say of it is the same."""

from __future__ import annotations

import asyncio
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from postbeat import profile as profiles
from postbeat import settings
from postbeat.elements import SmtpElement
from postbeat.model import Level, Poll
from postbeat.probing import Prober
from postbeat.results import Result
from postbeat.store.beat import BeatStore
from postbeat.store.worker import WorkerStore
from postbeat.web.settings import WebSettings
from tests.e2e.running import Running
from tests.listening import failing_first
from tests.mailservers import MailServers
from tests.ports import free_port
from tests.web.serving import served

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

DAY_US = 86_400_000_000
POLLS = 288  # of 300 seconds each
BLIP = 40  # a poll that succeeds when it is retested
OUTAGE = range(120, 144)  # two hours
ELEMENT = {"type": "smtp", "name": "mail", "server": "127.0.0.1", "regions": ["lab"]}


def midnight_us() -> int:
    """The beginning of yesterday, in UTC."""
    return (int(datetime.now(UTC).timestamp()) // 86_400 - 1) * DAY_US


async def polled(element: SmtpElement, port: int) -> Result:
    """What a real poll of a port comes to."""
    trip = await Prober(settings.load({})).round_trip(replace(element, port=port), None, "lab")
    assert trip.send is not None
    return trip.send


def templates(element: SmtpElement, postfix: int) -> dict[str, Result]:
    """A real result of each sort that the day has."""

    async def all_of_them(recovers: int) -> dict[str, Result]:
        return {
            "good": await polled(element, postfix),
            "blip": await polled(element, recovers),
            "down": await polled(element, free_port()),
        }

    with failing_first(2, postfix) as recovers:
        found = asyncio.run(all_of_them(recovers))
    assert {name: (one.level, len(one.attempts)) for name, one in found.items()} == {
        "good": (Level.GOOD, 1),
        "blip": (Level.GOOD, 3),
        "down": (Level.FAILED, 4),
    }
    return found


async def record(url: str, element: SmtpElement, results: list[Result]) -> None:
    """Records results as a worker does."""
    store = WorkerStore(url, "worker-1")
    try:
        for result in results:
            await store.record_send(element, result, "", "")
    finally:
        await store.close()


@contextmanager
def bridge(running: Running, profile: Path, folder: Path) -> Iterator[None]:
    """``postbeat ism bridge`` for the smtp monitor, until it has ended by a SIGTERM."""
    files = ["-messagelog", str(folder / "smtp.log"), "-datalog", "-datalogdir", str(folder / "datalogs")]
    command = [sys.executable, "-P", "-m", "postbeat", "ism", "bridge"]
    child = running.site.processes.start(
        "bridge",
        [*command, "--kinds", "smtp", *files, "-profile", str(profile)],
        env=running.site.environment(),
        log=folder / "bridge.log",
    )
    child.wait_for(lambda: True if rows(running) else None, 30)  # it has announced itself
    yield
    child.end()
    assert child.exit_code == 0


def rows(running: Running) -> list[dict[str, Any]]:
    """The table of alerts."""
    found: list[dict[str, Any]] = running.command("ism", "alerts", "--all")
    return found


def of_service(running: Running, kind: int) -> dict[str, Any] | None:
    """The problem (1) or the resolution (2) of the service."""
    found = [row for row in rows(running) if row["AlertGroup"] == "SMTP service" and row["Type"] == kind]
    assert len(found) <= 1
    return found[0] if found else None


def cleared(running: Running) -> dict[str, Any] | None:
    """The problem of the service, once it is over."""
    problem = of_service(running, 1)
    return problem if problem is not None and problem["Severity"] == 0 else None


def test_a_day_is_the_same_in_log_datalog_alerts_events_and_page(
    servers: MailServers, running: Running, tmp_path: Path
) -> None:
    path = running.profile(ELEMENT | {"failureretests": 3, "retestinterval": 0, "timeout": 5})
    profile = profiles.load(path)
    element = profile.elements["mail"]
    assert isinstance(element, SmtpElement)
    sorts = templates(element, servers.ports["smtp"])
    first_us = midnight_us()

    def poll(number: int) -> Result:
        sort = "blip" if number == BLIP else "down" if number in OUTAGE else "good"
        at_us = first_us + number * 300_000_000 + 1_000_000
        return replace(sorts[sort], poll=Poll("mail", "lab", first_us // 300_000_000 + number), at_us=at_us)

    day = [poll(number) for number in range(POLLS)]
    url = running.site.redis_url
    beat = BeatStore(url)
    beat.expect(profile, first_us)
    beat.publish_profile(profile)
    beat.close()

    with bridge(running, path, tmp_path), served(WebSettings(redis_url=url)) as page:
        asyncio.run(record(url, element, day[: OUTAGE.start + 10]))
        running.until(lambda: (of_service(running, 1) or {}).get("Tally") == 10, "tally of 10")
        problem = of_service(running, 1)
        assert problem is not None
        assert (problem["Severity"], problem["Node"]) == (5, "127.0.0.1")
        assert "refused" in problem["Summary"]
        assert page.get("/api/v1/elements/mail").data["standing"]["verdict"] == "FAILED"
        assert "FAILED" in page.get("/elements/mail").text

        asyncio.run(record(url, element, day[OUTAGE.start + 10 :]))
        problem = running.until(lambda: cleared(running), "end of the problem")
        resolution = of_service(running, 2)
        running.until(lambda: len(logged(tmp_path)) == POLLS, "line of the last poll")
        assert page.get("/api/v1/elements/mail").data["standing"]["verdict"] == "GOOD"
        events = page.get("/api/v1/events?element=mail&kind=level").data["items"]

    began_s, ended_s = (day[number].at_us / 1e6 for number in (OUTAGE.start, OUTAGE.stop))
    assert [(one["level"], one["at"]) for one in events if one["was"] != "UNKNOWN"] == [
        ("FAILED", began_s),
        ("GOOD", ended_s),
    ]
    assert problem is not None
    assert resolution is not None
    assert problem["Tally"] == len(OUTAGE)
    assert problem["FirstOccurrence"] == int(began_s)
    assert problem["LastOccurrence"] == int(day[OUTAGE.stop - 1].at_us / 1e6)
    assert resolution["LastOccurrence"] == int(ended_s)

    lines = logged(tmp_path)
    failed = [number for number, line in enumerate(lines) if " FAILED " in line]
    assert failed == list(OUTAGE)
    entries = datalog(tmp_path, first_us)
    assert [number for number, entry in enumerate(entries) if entry["serviceLevel"] == "3"] == list(OUTAGE)
    assert len(entries) == POLLS
    # The count of failures: not there where no attempt failed, 0 after retests helped, 1 anew after the last.
    counts = [entry.get("consecutiveFailures") for entry in entries]
    assert counts == ["0" if n == BLIP else "1" if n in OUTAGE else None for n in range(POLLS)]


def logged(folder: Path) -> list[str]:
    """The lines of the log that are of polls."""
    return [
        line for line in (folder / "smtp.log").read_text().splitlines() if re.search(r"mail@lab#\d", line)
    ]


def datalog(folder: Path, at_us: int) -> list[dict[str, str]]:
    """The entries of the day's datalog."""
    (file,) = (folder / "datalogs").rglob("*.xml")
    assert file.name == f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y%m%d}.xml"
    found = []
    for entry in ET.parse(file).getroot():
        found.append({child.tag: child.text or "" for child in entry} | dict(entry.attrib))
    return found

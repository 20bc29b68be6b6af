"""Monitors like the ISM's, at real servers: log, datalog, alerts and status say the same of an outage."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from postbeat.embedded.processes import Child
from postbeat.model import Kind, Level, Phase
from tests.e2e.running import Running
from tests.listening import failing_first
from tests.mailservers import MailServers
from tests.ports import free_port

pytestmark = pytest.mark.mailservers

FAILED = 3  # failed polls that are waited for
NUMBERS = {Level.UNKNOWN: "0", Level.GOOD: "1", Level.MARGINAL: "2", Level.FAILED: "3"}


@dataclass(frozen=True)
class Monitors:
    """The monitors of one site, each a process, that share its Redis."""

    running: Running

    @property
    def folder(self) -> Path:
        return self.running.site.folder

    def start(self, kind: Kind, profile: Path, *options: str | Path) -> Child:
        given = ["-redis", self.running.site.redis_url, "-state", self.folder / "state", *options]
        given += ["-messagelog", self.log(kind), "-datalog", "-datalogdir", self.folder / "datalogs"]
        child = self.running.site.processes.start(
            f"nco_m_{kind}",
            [sys.executable, "-P", "-m", "postbeat", "monitor", kind, *map(str, given), str(profile)],
            env=self.running.site.environment(),
            log=self.folder / f"nco_m_{kind}.log",
            grace_s=40.0,
        )
        child.wait_for(lambda: "Running ..." in self.lines(kind) or None, 30)
        return child

    def log(self, kind: Kind) -> Path:
        return self.folder / f"{kind}.log"

    def lines(self, kind: Kind) -> str:
        return self.log(kind).read_text() if self.log(kind).exists() else ""

    def levels(self, kind: Kind, element: str, phase: str) -> list[str]:
        """The levels of an element's results by the log."""
        return re.findall(
            rf"^\S+ \S+ {kind} {element}@lab#\d+ {phase} (\w+) ", self.lines(kind), re.MULTILINE
        )

    def entries(self, element: str) -> list[dict[str, str]]:
        """An element's entries of the datalog, the oldest first."""
        files = sorted((self.folder / "datalogs" / "profile" / element).glob("*.xml"))
        return [dict(entry.attrib) for file in files for entry in ET.parse(file).getroot()]

    def alerts(self) -> list[dict[str, Any]]:
        """What ``postbeat ism alerts --all`` says, without what the monitors say of themselves."""
        rows = self.running.command("ism", "alerts", "--all")
        return [row for row in rows if not row["AlertGroup"].endswith(" monitor")]

    def problem(self, group: str) -> dict[str, Any] | None:
        """The problem of a group, open or cleared."""
        rows = [row for row in self.alerts() if row["AlertGroup"] == group and row["Type"] == 1]
        assert len(rows) <= 1, rows
        return rows[0] if rows else None

    def status(self, element: str) -> str:
        """The level that ``postbeat status`` shows."""
        (row,) = self.running.command("status", "--element", element)
        return str(row["level"])

    def until(self, condition: Callable[[], Any], what: str) -> None:
        self.running.until(condition, f"{what}: {self.lines(Kind.SMTP)[-2000:]}", 60)


@pytest.fixture
def monitors(running: Running) -> Monitors:
    return Monitors(running)


def test_an_outage_is_the_same_in_log_datalog_alerts_and_status(
    servers: MailServers, monitors: Monitors
) -> None:
    account, running = servers.account(), monitors.running
    profile = running.profile(
        servers.mailbox("imap4", "box", account, "STARTTLS", poll=2, regions="lab"),
        servers.smtp("mail", account, read="box", regions="lab", delivertimeout=30),
    )
    children = [monitors.start(kind, profile) for kind in (Kind.SMTP, Kind.IMAP4)]

    def sent() -> list[str]:
        return monitors.levels(Kind.SMTP, "mail", "send")

    monitors.until(lambda: "GOOD" in sent(), "good send")
    monitors.until(lambda: "GOOD" in monitors.levels(Kind.IMAP4, "mail", "read"), "good read")
    monitors.until(lambda: "GOOD" in monitors.levels(Kind.IMAP4, "box", "check"), "good check")
    assert monitors.problem("SMTP service") is None
    assert monitors.status("mail") == "GOOD"
    servers.stop("postfix")
    try:
        monitors.until(lambda: sent().count("FAILED") >= FAILED, "failed sends")
        problem = monitors.problem("SMTP service")
        assert problem is not None
        assert problem["Severity"] == 5
        assert problem["Tally"] >= FAILED
        assert monitors.status("mail") == "FAILED"
    finally:
        servers.start()
    monitors.until(lambda: sent()[-1] == "GOOD", "good send again")
    running.until(lambda: monitors.status("mail") == "GOOD", "good status again")
    for child in children:
        running.stop(child)
        assert child.exit_code == 0
    results = running.results("mail", Phase.SEND)
    failed = [one for one in results if one.level is Level.FAILED]
    entries = [entry for entry in monitors.entries("mail") if entry["monitor"] == "smtp"]
    assert sent() == [str(one.level) for one in results]
    assert [entry["serviceLevel"] for entry in entries] == [NUMBERS[one.level] for one in results]
    assert [entry["message"] for entry in entries] == [one.message for one in results]
    problem = monitors.problem("SMTP service")
    assert problem is not None
    assert (problem["Severity"], problem["Tally"], problem["Element"]) == (0, len(failed), "mail")
    assert problem["FirstOccurrence"] == failed[0].at_us // 1_000_000
    assert problem["LastOccurrence"] == failed[-1].at_us // 1_000_000
    assert failed[-1].message in problem["Summary"]
    # What the readers found is told by their own monitor, and nothing by both.
    assert {entry["monitor"] for entry in monitors.entries("mail")} == {"smtp", "imap4"}
    assert monitors.levels(Kind.IMAP4, "mail", "send") == monitors.levels(Kind.SMTP, "mail", "read") == []


# The page's worked example: a poll every ten minutes, a timeout of 30 seconds, and three retests five seconds
# apart. Here by the same fields, with less time between retests, and once a day so that there is one poll.
EXAMPLE = {"poll": 86400, "timeout": 5, "failureretests": 3, "retestinterval": 0.2, "regions": ["lab"]}
FORMAT = (
    "serviceLevel,attempts,failureRetests,consecutiveFailures,retestInterval,timeout,pollInterval,message"
)
RULES = """
@Summary = $message
@Severity = $serviceLevel
@Type = 1
@Grade = $consecutiveFailures
if (exists($consecutiveFailures)) { log(INFO, $identifier + " has failed " + $consecutiveFailures) }
"""


def test_the_worked_example_recovers_within_its_retests_or_fails_after_them(
    servers: MailServers, monitors: Monitors
) -> None:
    rules = monitors.folder / "own.rules"
    rules.write_text(RULES)
    with failing_first(2, servers.ports["smtp"]) as flaky:
        elements = {"flaky": flaky, "down": free_port(), "well": servers.ports["smtp"]}
        profile = monitors.running.profile(
            *(
                {"type": "smtp", "name": name, "server": "127.0.0.1", "port": port, **EXAMPLE}
                for name, port in elements.items()
            )
        )
        child = monitors.start(Kind.SMTP, profile, "-rulesfile", rules, "-datalogformat", FORMAT)
        monitors.until(lambda: all(monitors.levels(Kind.SMTP, name, "send") for name in elements), "results")
        monitors.running.stop(child)
    flaky_entry, down, well = (monitors.entries(name)[0] for name in elements)
    common = {"failureRetests": "3", "retestInterval": "0.2", "timeout": "5", "pollInterval": "86400"}
    for entry in (flaky_entry, down, well):
        assert {name: entry[name] for name in common} == common
    # Good in the end: the count of failures is back at 0, and there is no failure to tell of.
    assert (flaky_entry["serviceLevel"], flaky_entry["attempts"]) == ("1", "3")
    assert flaky_entry["consecutiveFailures"] == "0"
    # It failed once more than there are retests, and there the count begins again at 1.
    assert (down["serviceLevel"], down["attempts"], down["consecutiveFailures"]) == ("3", "4", "1")
    # What does not fail has no such count.
    assert (well["serviceLevel"], well["attempts"]) == ("1", "1")
    assert "consecutiveFailures" not in well
    told = re.findall(r"(\w+) has failed (\d+)", monitors.lines(Kind.SMTP))
    assert sorted(told) == [("down", "1"), ("flaky", "0")]

"""``postbeat report``: a month's availability, as HTML, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from postbeat.cli import main
from postbeat.delivery import Outcome
from postbeat.elements import Imap4Element, SmtpElement
from postbeat.figures import Figures
from postbeat.model import FaultCode, Level, Pair, Phase, Side
from postbeat.publicfacts import public_facts
from postbeat.report import DAY_US, Month
from postbeat.store import keys
from postbeat.store.fold import FoldStore
from postbeat.store.maintenance import MaintenanceStore

NOW = datetime.now(UTC)
MONTH = Month.last_full(round(NOW.timestamp() * 1e6))
MAIL = SmtpElement(
    name="mail",
    server="mail.example.com",
    description="Sends <b>mail</b> & more",
    group="office",
    regions=("north", "south"),
    poll=600,
    availabilitytarget=99,
    read="box",
    email="probe@example.com",
)
OTHER = SmtpElement(name="other", server="mail.example.com")
BOX = Imap4Element(name="box", server="mail.example.com", username="canary-user")


def poll(day: int, level: Level, code: FaultCode | None = None, side: Side = Side.REMOTE) -> list[Figures]:
    """The results of a poll on a day of the month: of a good one with a read."""
    at_us = MONTH.from_us + (day - 1) * DAY_US + 3_600_000_000
    if code is not None:
        return [Figures(at_us, Phase.SEND, 1, level, True, side, code, "data")]
    return [
        Figures(at_us, Phase.SEND, 1, Level.GOOD, False, times_us={"responseTime": 200_000}),
        Figures(
            at_us + 1,
            Phase.READ,
            1,
            level,
            True,
            outcome=Outcome.DELIVERED,
            times_us={"timeToDeliver": 3_000_000},
        ),
    ]


@pytest.fixture(scope="module")
def url(redis_server: str) -> str:
    north = 97 * poll(1, Level.GOOD) + 2 * poll(2, Level.MARGINAL)
    north += poll(3, Level.FAILED, FaultCode.TIMEOUT)
    south = 90 * poll(1, Level.GOOD) + 10 * poll(4, Level.FAILED, FaultCode.REFUSED)
    south += 5 * poll(4, Level.UNKNOWN, FaultCode.RESOLVER, Side.LOCAL)
    with Redis.from_url(redis_server) as client:
        client.flushall()
        for element in (MAIL, OTHER, BOX):
            client.hset(keys.PROFILE, element.name, json.dumps(public_facts(element)))
        for region, log in (("north", north), ("south", south)):
            pair = str(Pair("mail", region))
            with client.pipeline(transaction=False) as pipe:
                for figures in log:
                    pipe.xadd(keys.raw(pair), {"f": figures.dumps()})
                pipe.execute()
        folder = FoldStore(redis_server)
        folder.fold("mail@north")  # what is not folded counts too
        folder.close()
    return redis_server


def postbeat(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"POSTBEAT_REDIS_URL": None})


def documents(url: str, *options: str) -> list[Any]:
    done = postbeat("report", "--format", "json", "--redis", url, *options)
    assert (done.exit_code, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["month"] == str(MONTH)
    return list(found["elements"])


def test_the_figures_of_an_element_and_its_regions(url: str) -> None:
    (mail,) = documents(url, "--element", "mail")
    north, south = mail["regions"]
    assert (north["polls"], north["failed"], north["marginal"], north["availability"]) == (100, 1, 2, 0.99)
    assert (north["budgetLeft"], north["downtime"]) == (0, 600)
    assert north["faults"] == {"REMOTE": {"timeout": 1}, "LOCAL": {}}
    assert (south["polls"], south["failed"], south["unknown"], south["availability"]) == (100, 10, 5, 0.9)
    assert south["faults"] == {"REMOTE": {"refused": 10}, "LOCAL": {"resolver": 5}}
    assert (mail["polls"], mail["failed"], mail["unknown"], mail["maintenance"]) == (200, 11, 5, 0)
    assert mail["downtime"] == 11 * 600 / 2
    assert mail["availability"] == pytest.approx(189 / 200)
    assert mail["budgetLeft"] == pytest.approx(1 - 0.055 / 0.01)
    assert mail["responseTime"] == pytest.approx(dict.fromkeys(("p50", "p95", "p99"), 0.2), rel=0.02)
    assert mail["timeToDeliver"] == pytest.approx(dict.fromkeys(("p50", "p95", "p99"), 3), rel=0.02)
    days = {day["date"]: day["counts"] for day in mail["days"]}
    assert len(days) == (MONTH.to_us - MONTH.from_us) // DAY_US
    assert days[f"{MONTH}-04"]["poll:FAILED"] == 10
    assert days[f"{MONTH}-05"] == {}


def test_maintenance_counts_at_once_and_not_only_when_it_is_folded(url: str) -> None:
    at_us = round(NOW.timestamp() * 1e6)
    windows = MaintenanceStore(url)
    windows.add("other", from_us=at_us - 10, to_us=at_us + 10, why="a new disk")
    windows.close()
    with Redis.from_url(url) as client:
        for taken_at_us in (at_us, at_us + 10):
            figures = Figures(taken_at_us, Phase.SEND, 1, Level.FAILED, True)
            client.xadd(keys.raw("other@default"), {"f": figures.dumps()})
    options = ("--format", "json", "--element", "other", "--month", f"{NOW:%Y-%m}")
    (other,) = json.loads(postbeat("report", "--redis", url, *options).stdout)["elements"]
    assert (other["polls"], other["failed"], other["maintenance"]) == (1, 1, 1)


def test_csv_has_a_line_for_each_element_and_region(url: str, tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    done = postbeat("report", "--format", "csv", "-o", str(path), "--month", str(MONTH), "--redis", url)
    assert (done.exit_code, done.stdout) == (0, "")
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [(row["element"], row["region"]) for row in rows] == [
        ("mail", ""),
        ("mail", "north"),
        ("mail", "south"),
        ("other", ""),
        ("other", "default"),
    ]
    assert (rows[2]["failed"], rows[2]["REMOTE faults"]) == ("10", "refused=10")
    assert (rows[3]["polls"], rows[3]["availability"], rows[3]["responseTime p95"]) == ("0", "", "")


def test_html_is_one_file_without_external_parts_and_without_secrets(url: str) -> None:
    page = postbeat("report", "--redis", url).stdout
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(|https?:", page)
    assert "Sends &lt;b&gt;mail&lt;/b&gt; &amp; more" in page
    assert "prefers-color-scheme: dark" in page
    assert "canary-user" not in page
    mail = page[page.index("<h2>mail</h2>") : page.index("<h2>other</h2>")]
    assert mail.count("<rect") == (MONTH.to_us - MONTH.from_us) // DAY_US
    assert mail.count('<rect class="failed"') == 2
    assert f"<title>{MONTH}-04: 0.000 % of 10 polls</title>" in mail
    assert "94.500 %" in mail
    assert "1 h 50 min" not in mail  # two regions: half of eleven intervals
    assert "55 min" in mail


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--group", "office"), ["mail"]),
        (("--region", "default"), ["other"]),
        (("--element", "o*"), ["other"]),
        (("--element", "box"), []),
    ],
)
def test_the_report_can_be_narrowed(url: str, options: tuple[str, ...], expected: list[str]) -> None:
    done = postbeat("report", "--format", "json", "--redis", url, *options)
    assert [element["element"] for element in json.loads(done.stdout)["elements"]] == expected
    assert ("was selected" in done.stderr) == (not expected)


@pytest.mark.parametrize("month", ["2026", "2026-13", "2026-1", "11-2026", ""])
def test_what_is_no_month_is_refused(month: str) -> None:
    done = postbeat("report", "--month", month, "--redis", "redis://127.0.0.1:1/0")
    assert done.exit_code == 2
    assert "expected a month such as 2026-11" in done.stderr


def test_a_report_that_cannot_be_written_is_one_that_cannot_be_done(url: str) -> None:
    done = postbeat("report", "-o", "/nowhere/report.html", "--redis", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "Could not open file '/nowhere/report.html': No such file or directory\n"


def test_a_month_that_has_not_begun_is_refused(url: str) -> None:
    done = postbeat("report", "--month", f"{NOW.year + 1}-12", "--redis", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "has not begun yet" in done.stderr


@pytest.mark.parametrize(
    ("at", "expected"), [("2026-11-26", "2026-10"), ("2026-01-01", "2025-12"), ("2028-03-31", "2028-02")]
)
def test_the_last_full_month_is_the_one_before(at: str, expected: str) -> None:
    at_us = round(datetime.fromisoformat(f"{at}T00:00+00:00").timestamp() * 1e6)
    month = Month.last_full(at_us)
    assert str(month) == expected
    assert month.to_us <= at_us
    assert Month.parse(str(month)) == month

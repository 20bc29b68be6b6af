"""``postbeat status``, ``results``, ``events`` and ``mailboxes`` of a site that is running."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from docs.generate import on_terminal
from postbeat.model import Level
from tests.cli.conftest import Run, RunningSite, command, environment, unread
from tests.cli.test_elements import SECTIONS
from tests.web.filling import MAIL, Filling

SHARED = {"mailbox", "element", "region", "messages", "size", "quotaUsed", "quotaLimit", "folders"}


def documents(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_status_shows_every_pair_worst_first(inside: Run, site: RunningSite) -> None:
    text = inside("status", "--redis", site.redis_url).stdout
    rows = [line.split() for line in text.splitlines()[1:]]
    assert [row[1] for row in rows] == ["FAILED"] * 2 + ["GOOD"] * 6
    assert "closed" in text.splitlines()[1]


def test_status_shows_the_last_hours_on_a_wide_terminal_or_when_asked(inside: Run, site: RunningSite) -> None:
    given = ("status", "--redis", site.redis_url, "--element", "out-*")
    asked = inside(*given, "--sparkline").stdout
    wide, narrow = (
        on_terminal(command(*given), environment({"COLUMNS": columns, "TERM": "xterm"}))
        for columns in ("200", "120")
    )
    for text in (asked, wide):
        head, *rows = re.sub(r"\x1b\[[0-9;]*m|\r", "", text).splitlines()
        assert re.search("availability, 24 h +responseTime, 24 h", head)
        rows = [row for row in rows if "GOOD" in row]
        assert len(rows) == 4
        for row in rows:
            assert re.search(r"[·█]█.*·+.*[▁-█] ≤ \d", row), row
    assert "24 h" not in narrow
    assert "24 h" not in inside(*given).stdout
    plain, sparkling = (json.loads(inside(*given, "--json", *more).stdout) for more in ((), ("--sparkline",)))
    assert [state.keys() for state in plain] == [state.keys() for state in sparkling]


def test_sparklines_begin_where_it_is_asked_for(inside: Run, site: RunningSite) -> None:
    given = ("status", "--redis", site.redis_url, "--element", "out-*")
    spans = (
        ("3h", "3 h", 4),
        ("7d", "7 d", 25),
        ("12w", "84 d", 22),
        ("2100-01-01", "0 s", 1),
        ("1970-01-01", "4000 d", 25),
    )
    for since, span, blocks in spans:
        head, *rows = inside(*given, "--since", since).stdout.splitlines()
        assert re.search(f"availability, {span} +responseTime, {span}", head)
        for row in rows:
            line = re.search(r"ago +([·▁-█]+)  ", row)
            assert line is not None
            assert blocks <= len(line[1]) <= blocks + 1  # an hour may end meanwhile
            assert "█" in line[1]
    for more in ("--verdicts", "--no-sparkline"):
        refused = inside(*given, "--since", "7d", more)
        assert (refused.returncode, "--since is for sparklines" in refused.stderr) == (2, True)


def test_status_as_json_has_times_counts_and_halves(postbeat: Run, site: RunningSite) -> None:
    done = postbeat("status", "--json", env={"POSTBEAT_REDIS_URL": site.redis_url})
    assert (done.returncode, done.stderr) == (0, "")
    states = json.loads(done.stdout)
    assert [(state["element"], state["region"]) for state in states] == [
        (element, region)
        for element in ("closed", "out-imap4", "out-pop3", "tested")
        for region in ("north", "south")
    ]
    for state in states[2:6]:
        assert state["level"] == "GOOD"
        assert state["message"] == "Message Successfully Downloaded"
        assert 0 < state["timeToDeliver"] < 5
        assert state["counts"]["send"]["GOOD"] >= 1
        assert state["counts"]["read"]["FAILED"] == 0
        assert state["outcome"] == "delivered"
        assert state["outcomes"]["delivered"] == state["counts"]["read"]["GOOD"]
        assert state["outcomes"]["lost"] == 0
        assert state["send"]["worker"] != ""
        assert 0 < time.time() - state["since"] < 600
    for state in states[:2]:
        assert (state["level"], state["read"]) == ("FAILED", None)
        assert state["send"]["fault"]["code"] == "refused"


def test_status_shows_the_check_of_a_mailbox(inside: Run, site: RunningSite) -> None:
    done = inside("status", "--json", "--redis", site.redis_url, "--element", "tested")
    for state in json.loads(done.stdout):
        assert (state["level"], state["check"]["phase"]) == ("GOOD", "check")
        assert state["message"] == state["check"]["message"]
        assert state["counts"]["check"]["GOOD"] >= 1
        assert (state["user"], state["security"], state["authentication"]) == ("tested", "NONE", "STANDARD")
        assert state["messages"] >= 0
        assert 0 < state["loginTime"] <= state["responseTime"] < state["totalTime"] < 5


def test_each_phase_has_results_of_its_own(inside: Run, site: RunningSite) -> None:
    found = documents(inside("results", "--json", "--redis", site.redis_url, "-n", "1000").stdout)
    phases = {result["phase"] for result in found}
    assert phases == {"send", "read", "check"}
    reads = [result for result in found if result["phase"] == "read"]
    for read in reads:
        assert (read["outcome"], read["copies"], read["altered"]) == ("delivered", 1, [])
        assert 0 < float(str(read["timeToDeliver"])) < 5
        assert 0 <= float(str(read["timeToDeliverResolution"])) < 5
        assert read["hopCount"] == len(list(read["hops"]))  # type: ignore[call-overload]
    checks = [result for result in found if result["phase"] == "check"]
    assert {str(check["poll"]).partition("#")[0] for check in checks} == {"tested@north", "tested@south"}


def test_mailboxes_shows_who_reads_what(inside: Run, site: RunningSite) -> None:
    done = inside("mailboxes", "--json", "--redis", site.redis_url)
    boxes = {box["element"]: box for box in json.loads(done.stdout)}
    assert set(boxes) == {"in-imap4", "in-pop3", "tested"}
    for box in boxes.values():
        assert box.keys() == set(SECTIONS["Mailboxes"]) | SHARED
        assert 0 <= time.time() - box["lastLook"] < 60
        odd = ("forged", "damaged", "replayed", "duplicates")
        assert {name: box[name] for name in odd} == dict.fromkeys(odd, 0)
    assert boxes["in-imap4"]["found"] > 0
    assert boxes["in-pop3"]["mailbox"].startswith("pop3:probe@127.0.0.1:")
    assert isinstance(boxes["tested"]["messages"], int)
    text = inside("mailboxes", "--redis", site.redis_url, "--element", "in-*").stdout
    assert [line.split()[0].partition(":")[0] for line in text.splitlines()] == ["mailbox", "imap4", "pop3"]


def test_what_is_shown_can_be_narrowed(inside: Run, site: RunningSite) -> None:
    done = inside("status", "--json", "--redis", site.redis_url, "--element", "out-*", "--region", "south")
    assert [state["element"] for state in json.loads(done.stdout)] == ["out-imap4", "out-pop3"]
    done = inside("results", "--json", "--redis", site.redis_url, "--element", "closed", "-n", "3")
    found = documents(done.stdout)
    assert len(found) == 3
    assert {result["message"] for result in found} == {
        "The connection was refused while connecting to 127.0.0.1:1"
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "--element", "out-imap5"), "No element out-imap5 is monitored; did you mean out-imap4?"),
        (("status", "--region", "nrth"), "No element is monitored in a region nrth; did you mean north?"),
        (
            ("status", "--verdicts", "--element", "out-*", "--region", "moon"),
            "No element out-* is monitored in a region moon; there are: north, south",
        ),
        (
            ("mailboxes", "--element", "zzz"),
            "No element zzz has a mailbox; there are: in-imap4, in-pop3, tested",
        ),
        (
            ("results", "--element", "zzz"),
            "No element zzz is monitored; there are: closed, out-imap4, out-pop3, tested",
        ),
        (("events", "--region", "soth"), "No element is monitored in a region soth; did you mean south?"),
    ],
)
def test_a_filter_that_fits_nothing_is_said_with_the_names_there_are(
    inside: Run, site: RunningSite, arguments: tuple[str, ...], said: str
) -> None:
    for more in ((), ("--json",)):
        done = inside(*arguments, *more, "--redis", site.redis_url)
        assert (done.returncode, done.stderr) == (0, f"{said}\n")
        assert done.stdout == ("[]\n" if more and arguments[0] in ("status", "mailboxes") else "")


def test_nothing_is_said_of_filters_that_fit_what_has_no_news(inside: Run, site: RunningSite) -> None:
    done = inside("events", "--redis", site.redis_url, "--since", "2100-01-01")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_results_are_the_newest_oldest_first(inside: Run, site: RunningSite) -> None:
    found = documents(inside("results", "--json", "--redis", site.redis_url, "-n", "12").stdout)
    assert len(found) == 12
    times = [float(str(result["at"])) for result in found]
    assert times[0] <= times[-1]
    assert max(times) > time.time() - 60
    text = inside("results", "--redis", site.redis_url, "-n", "12").stdout
    assert len(text.splitlines()) == 12


def test_events_are_the_changes_of_levels_and_verdicts(inside: Run, site: RunningSite) -> None:
    found = documents(inside("events", "--json", "--redis", site.redis_url, "-n", "100").stdout)
    kinds = {kind: [event for event in found if event["kind"] == kind] for kind in ("level", "verdict")}
    changes = {(event["element"], event["region"], event["was"], event["level"]) for event in kinds["level"]}
    assert changes >= {
        ("closed", "north", "UNKNOWN", "FAILED"),
        ("out-imap4", "south", "UNKNOWN", "GOOD"),
        ("out-pop3", "north", "UNKNOWN", "GOOD"),
    }
    assert all(event["was"] != event["level"] for event in kinds["level"])
    newest = {event["element"]: event["verdict"] for event in kinds["verdict"]}
    assert (newest["closed"], newest["out-imap4"]) == ("FAILED", "GOOD")
    text = inside("events", "--redis", site.redis_url, "--element", "closed").stdout
    assert "UNKNOWN -> ✗ FAILED   The connection was refused" in text
    assert re.search("UNKNOWN -> ✗ FAILED  in .*✗ (north|south)", text)  # the other may not be known yet


def test_what_is_listed_can_be_narrowed_by_time_and_level(inside: Run, site: RunningSite) -> None:
    failed = documents(inside("results", "--json", "--redis", site.redis_url, "--level", "failed").stdout)
    assert failed
    assert {(result["level"], str(result["poll"]).partition("@")[0]) for result in failed} == {
        ("FAILED", "closed")
    }
    lately = documents(inside("results", "--json", "--redis", site.redis_url, "--since", "1h").stdout)
    assert len(lately) > 20
    args = ("events", "--redis", site.redis_url, "--since", "2100-01-01T00:00Z")
    assert inside(*args).stdout == ""
    refused = inside("results", "--redis", site.redis_url, "--since", "yesterday")
    assert (refused.returncode, refused.stdout) == (2, "")
    told = "how long ago, such as 90s, 30m, 2h, 3d or 1w, or a moment in UTC such as 2026-11-26T10:00"
    assert f"expected {told}, got 'yesterday'" in refused.stderr


def test_status_shows_the_verdicts(inside: Run, site: RunningSite) -> None:
    done = inside("status", "--verdicts", "--json", "--redis", site.redis_url, "--element", "[co]*")
    told = {verdict["element"]: verdict for verdict in json.loads(done.stdout)}
    assert {name: verdict["verdict"] for name, verdict in told.items()} == {
        "closed": "FAILED",
        "out-imap4": "GOOD",
        "out-pop3": "GOOD",
    }
    assert told["closed"]["quorum"] == "majority"
    assert told["closed"]["regions"]["north"] == {
        "confirmed": "FAILED",
        "level": "FAILED",
        "disagrees": False,
        "phase": "send",
        "stage": "connect",
        "code": "refused",
        "message": "The connection was refused while connecting to 127.0.0.1:1",
    }
    rows = inside("status", "--verdicts", "--redis", site.redis_url).stdout.splitlines()
    assert rows[1].split()[:2] == ["✗", "FAILED"]
    assert "✗ north ✗ south" in rows[1]


def test_a_verdict_says_why_a_region_counts_whose_newest_poll_does_not_yet(
    inside: Run, redis_url: str
) -> None:
    damped = replace(MAIL, read=None, confirmpolls=2)
    with Filling.open(redis_url, damped) as filling:
        for slot, level in enumerate((Level.FAILED, Level.FAILED, Level.GOOD), 1):
            filling.send("eu", slot, level, element=damped, message="452 no space")
            filling.send("us", slot, element=damped)
    (told,) = json.loads(inside("status", "--verdicts", "--json", "--redis", redis_url).stdout)
    eu, us = told["regions"]["eu"], told["regions"]["us"]
    assert (told["verdict"], eu["confirmed"], eu["level"]) == ("DEGRADED", "FAILED", "GOOD")
    assert (eu["phase"], eu["stage"], eu["code"], eu["message"]) == ("send", "auth", "auth", "452 no space")
    assert (us["confirmed"], us["code"], us["message"]) == ("GOOD", None, "Message sent")
    shown = inside("status", "--verdicts", "--redis", redis_url).stdout
    assert "eu FAILED: send, stage auth: 452 no space" in shown


def test_follow_goes_on_until_ctrl_c(site: RunningSite) -> None:
    process = subprocess.Popen(
        command("results", "--json", "--follow", "-n", "0", "--redis", site.redis_url),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        found = [json.loads(process.stdout.readline()) for _ in range(5)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert len({(result["poll"], result["phase"]) for result in found}) == 5


def test_a_redis_that_does_not_answer_is_said(inside: Run) -> None:
    done = inside("status", "--redis", "redis://127.0.0.1:1/0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Redis does not answer: ")


def test_an_empty_redis_is_said_to_be_empty(inside: Run, redis_url: str) -> None:
    done = inside("status", "--redis", redis_url)
    assert (done.returncode, done.stdout) == (0, "")
    assert "start a beat" in done.stderr
    assert json.loads(inside("status", "--json", "--redis", redis_url).stdout) == []
    for listing in ("results", "events"):
        nothing = inside(listing, "--redis", redis_url)
        assert (nothing.stdout, "start a beat" in nothing.stderr) == ("", True)
    assert "No mailbox was read" in inside("mailboxes", "--redis", redis_url).stderr
    assert json.loads(inside("mailboxes", "--json", "--redis", redis_url).stdout) == []


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize("listing", ["results", "events"])
def test_a_reader_that_has_enough_is_no_failure(
    site: RunningSite, listing: str, more: tuple[str, ...]
) -> None:
    assert unread(listing, "-n", "1000", "--redis", site.redis_url, *more) == (0, b"")


def test_what_an_encoding_does_not_have_is_replaced(postbeat: Run, site: RunningSite) -> None:
    env = {"PYTHONIOENCODING": "latin-1", "POSTBEAT_REDIS_URL": site.redis_url}
    done = postbeat("status", "--element", "closed", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("? FAILED") == 2


def test_json_says_in_any_encoding_what_there_is(postbeat: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("elements: [{name: ✓, type: smtp, server: h}]", encoding="utf-8")
    for encoding in ("latin-1", "utf-8"):
        told = postbeat("check", "--json", file, env={"PYTHONIOENCODING": encoding}).stdout
        assert json.loads(told)["faults"][0]["message"].endswith("got '✓'")


def test_each_line_has_its_date_and_its_zone(inside: Run, site: RunningSite) -> None:
    for listing in ("results", "events"):
        for line in inside(listing, "--redis", site.redis_url).stdout.splitlines():
            assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ ", line)

"""``postbeat results --ism`` of a site that is running."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from typing import Any

import pytest

from postbeat.ism.elements import NAMES
from postbeat.model import Kind
from tests.cli.conftest import Run, RunningSite, command, environment
from tests.cli.test_elements import TABLE_3

Shown = list[dict[str, Any]]


@pytest.fixture
def shown(inside: Run, site: RunningSite) -> Shown:
    done = inside("results", "--ism", "--json", "--redis", site.redis_url, "-n", "1000")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_result_is_an_object_of_elements_without_dollars(shown: Shown) -> None:
    assert {found["phase"] for found in shown} == {"send", "read", "check"}
    for found in shown:
        assert next(iter(found)) == "message"
        for name, value in found.items():
            assert found["monitor"] in NAMES[name].kinds
            assert type(value) in (str, int, float)
        assert 0 < time.time() - found["time"] < 600
        assert found["region"] in ("north", "south")
        assert found["monitorHost"]


def test_a_send_has_table_3_in_the_ism_s_units(shown: Shown) -> None:
    sends = [found for found in shown if found["identifier"] == "out-imap4" and found["phase"] == "send"]
    assert sends
    for found in sends:
        assert found.keys() >= TABLE_3 - {"SSLHandshakeTime"}
        assert (found["monitor"], found["status"], found["message"]) == ("smtp", 250, "Message sent")
        assert (found["security"], found["authentication"], found["user"]) == ("NONE", "Standard", "probe")
        assert (found["serviceLevel"], found["failureRetests"]) == (1, 0)
        for name, value in found.items():
            if name in TABLE_3 and NAMES[name].unit == "seconds":
                assert 0 <= value < 5
                assert value == round(value, 3)


def test_reads_are_message_specific_events_and_checks_summaries(shown: Shown) -> None:
    reads = [found for found in shown if found["phase"] == "read"]
    checks = [found for found in shown if found["phase"] == "check"]
    assert {found["monitor"] for found in reads} == {Kind.IMAP4, Kind.POP3}
    for found in reads:
        assert found["message"].startswith("Message Successfully Downloaded")
        assert 0 <= found["timeToDeliver"] < 5
        assert found["hopCount"] >= 0
    for found in checks:
        assert re.fullmatch(
            r"The mailbox can be read; \d+ messages? in it|\d+ messages? downloaded; \d+ in the mailbox",
            found["message"],
        )
        assert 0 <= found["totaltime"] < 5


def test_people_see_a_line_for_each_element_and_the_message_first(inside: Run, site: RunningSite) -> None:
    given = ("results", "--ism", "--redis", site.redis_url, "--element", "closed", "-n", "2")
    done = inside(*given)
    first, second, rest = done.stdout.split("\n\n")
    assert rest == ""
    for block in (first, second):
        lines = block.splitlines()
        assert lines[0] == "$message = The connection was refused while connecting to 127.0.0.1:1"
        assert {"$monitor = smtp", "$fault = refused", "$serviceLevel = 3", "$port = 1"} <= set(lines)
        assert all(re.match(r"\$\w+ = \S", line) for line in lines)


def test_what_is_shown_can_be_narrowed_as_without_ism(inside: Run, site: RunningSite) -> None:
    given = ("results", "--ism", "--json", "--redis", site.redis_url)
    failed = inside(*given, "--level", "failed", "--since", "1h", "--region", "south").stdout
    found = [json.loads(line) for line in failed.splitlines()]
    assert found
    assert {(one["identifier"], one["region"], one["serviceLevel"]) for one in found} == {
        ("closed", "south", 3)
    }
    assert inside(*given, "--since", "2100-01-01T00:00Z").stdout == ""


def test_follow_goes_on_with_elements(site: RunningSite) -> None:
    process = subprocess.Popen(
        command("results", "--ism", "--json", "--follow", "-n", "0", "--redis", site.redis_url),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        found = [json.loads(process.stdout.readline()) for _ in range(5)]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert len({(one["poll"], one["phase"]) for one in found}) == 5

"""``postbeat ism alerts``: the open rows, the most severe first, and each change as it comes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from click.testing import CliRunner, Result

from postbeat.alerts import Occurrence, Value, alert_of
from postbeat.cli import main
from postbeat.model import Pair
from postbeat.store.alerts import AlertStore

HOUR_US = 3_600_000_000


@pytest.fixture
def store(redis_url: str) -> Iterator[AlertStore]:
    with closing(AlertStore(redis_url)) as store:
        assert store.acquire()
        yield store


def come(store: AlertStore, name: str, severity: int, *, hours_ago: int = 0, **more: Value) -> None:
    at_us = time.time_ns() // 1000 - hours_ago * HOUR_US
    fields = {"Node": "mx", "AlertGroup": "SMTP", "Severity": severity, "Type": 1, **more}
    row = alert_of(fields, at_us=at_us, pair=Pair(name, "lab"))
    store.apply(store.cursor(), store.cursor(), [Occurrence(row)])


def shown(redis_url: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["ism", "alerts", "--redis", redis_url, *options])


def test_open_alerts_are_shown_the_most_severe_and_newest_first(store: AlertStore, redis_url: str) -> None:
    come(store, "slow", 3, Summary="late")
    come(store, "old", 5, hours_ago=5, Summary="552 full\x1b[2J\nreally")
    come(store, "old", 5, hours_ago=3)
    come(store, "new", 5)
    come(store, "fine", 0)
    lines = shown(redis_url).output.splitlines()
    assert lines[0].split() == ["severity", "node", "group", "key", "tally", "first", "last", "summary"]
    rows = [line.split() for line in lines[1:]]
    assert rows[0][:6] == ["5", "critical", "mx", "SMTP", "new@lab", "1"]
    assert rows[1][:12] == ["5", "critical", "mx", "SMTP", "old@lab", "2", "5", "h", "ago", "3", "h", "ago"]
    assert rows[2][:2] == ["3", "minor"]
    assert len(rows) == 3
    assert "fine@lab" in shown(redis_url, "--all").output


def test_what_a_server_says_does_not_steer_a_terminal(store: AlertStore, redis_url: str) -> None:
    come(store, "mail", 5, Summary="552 full\x1b[2J\x9b2J\nreally [red]")
    output = shown(redis_url).output
    assert "552 full [2J 2J really [red]" in output
    assert "\x1b" not in output


def test_as_json_there_is_one_document_of_rows(store: AlertStore, redis_url: str) -> None:
    assert json.loads(shown(redis_url, "--json").output) == []
    come(store, "mail", 5, Grade=7)
    come(store, "fine", 0)
    (row,) = json.loads(shown(redis_url, "--json").output)
    assert (row["AlertKey"], row["Severity"], row["Tally"], row["Grade"]) == ("mail@lab", 5, 1, 7)
    assert len(json.loads(shown(redis_url, "--json", "--all").output)) == 2


def test_where_there_is_nothing_that_is_said(redis_url: str) -> None:
    assert shown(redis_url).output == "No alert is open.\n"
    assert shown(redis_url, "--all").output == "There are no alerts yet.\n"


@contextmanager
def following(redis_url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command with -f, which does not outlive the test."""
    command = [sys.executable, "-m", "postbeat", "ism", "alerts", "--redis", redis_url, "-f", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        watchdog = threading.Timer(60, child.kill)
        watchdog.start()
        try:
            yield child
        finally:
            watchdog.cancel()
            child.kill()


@pytest.mark.parametrize("everything", [False, True])
def test_changes_are_followed_until_ctrl_c(store: AlertStore, redis_url: str, everything: bool) -> None:
    come(store, "mail", 5)
    with following(redis_url, "--json", *(["--all"] if everything else [])) as child:
        assert child.stdout is not None
        first = json.loads(child.stdout.readline())
        assert (first["change"], first["alert"]["AlertKey"]) == (None, "mail@lab")
        come(store, "mail", 5)
        come(store, "mail", 1, Type=2)
        wanted = ["repeated"] * everything + ["inserted", "cleared"]
        found = [json.loads(child.stdout.readline()) for _ in wanted]
        assert [document["change"] for document in found] == wanted
        assert found[-1]["alert"]["Severity"] == 0
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0


def test_changes_are_lines_for_people(store: AlertStore, redis_url: str) -> None:
    with following(redis_url) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stderr.readline() == "No alert is open.\n"
        come(store, "mail", 5, Summary="down")
        words = child.stdout.readline().split()
        assert words[2:] == ["inserted", "5", "critical", "mx", "SMTP", "mail@lab", "down"]

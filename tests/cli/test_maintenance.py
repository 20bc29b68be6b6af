"""``postbeat maintenance``: announced, listed and ended by hand."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from postbeat.cli.maintenance import maintenance as command
from postbeat.model import Pair
from postbeat.store.maintenance import MaintenanceStore


def maintenance(redis_url: str, *args: str) -> Result:
    return CliRunner().invoke(command, [*args, "--redis", redis_url])


def test_maintenance_begins_now_and_ends_when_it_is_ended(redis_url: str) -> None:
    begun = maintenance(redis_url, "start", "shop-*", "--for", "2h", "--why", "A new disk", "--json")
    window = json.loads(begun.stdout)
    assert (window["element"], window["region"], window["why"]) == ("shop-*", "*", "A new disk")
    assert window["to"] - window["from"] == 7200
    store = MaintenanceStore(redis_url)
    try:
        at_us = store.now_us()
        assert store.calendar().covers(Pair("shop-mail", "eu"), at_us)
        ended = maintenance(redis_url, "end", window["id"])
        assert (ended.exit_code, ended.stdout) == (0, "")
        assert not store.calendar().covers(Pair("shop-mail", "eu"), store.now_us())
        assert store.calendar().covers(Pair("shop-mail", "eu"), at_us)
    finally:
        store.close()
    listed = json.loads(maintenance(redis_url, "list", "--json").stdout)
    assert [one["id"] for one in listed] == [window["id"]]
    assert listed[0]["to"] < window["to"]
    assert "A new disk" in maintenance(redis_url, "list").stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("end", "nothing"), "there is no maintenance nothing"),
        (("start", "*", "--for", "soon", "--why", "x"), "expected a duration such as 90s, 30min, 2h or 3d"),
        (("start", "*", "--for", "900d", "--why", "x"), "at most 366 days later"),
        (("start", "*", "--for", "2h"), "Missing option '--why'"),
    ],
)
def test_what_cannot_be_is_said(redis_url: str, args: tuple[str, ...], message: str) -> None:
    done = maintenance(redis_url, *args)
    assert done.exit_code != 0
    assert message in done.stderr

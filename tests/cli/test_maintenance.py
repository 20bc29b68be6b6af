"""``postbeat maintenance``: announced, listed and ended by hand."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from postbeat.cli import main
from postbeat.model import Level, Pair
from postbeat.store.maintenance import MaintenanceStore
from tests.web.filling import MAIL, Filling


def maintenance(redis_url: str, *args: str) -> Result:
    return CliRunner().invoke(main, ["maintenance", *args, "--redis", redis_url])


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


def test_maintenance_of_nothing_that_is_monitored_now_is_begun_with_a_warning(redis_url: str) -> None:
    with Filling.open(redis_url, MAIL):
        pass
    args = ("--for", "2h", "--why", "new disks", "--json")
    for glob, region in (("nosuch-*", "*"), ("mail", "mars")):
        begun = maintenance(redis_url, "start", glob, "--region", region, *args)
        assert (begun.exit_code, json.loads(begun.stdout)["element"]) == (0, glob)
        assert f"No element of the profile fits {glob} in a region {region} now." in begun.stderr
    assert maintenance(redis_url, "start", "ma*", "--region", "e*", *args).stderr == ""


def test_the_status_says_what_is_in_maintenance_and_shows_it_after_what_is_not(redis_url: str) -> None:
    sick = replace(MAIL, name="sick", read=None)
    with Filling.open(redis_url, replace(sick, name="planned"), sick) as filling:
        for region in MAIL.regions:
            filling.send(region, 1, Level.FAILED, element=sick)
            filling.send(region, 1, Level.FAILED, element=replace(sick, name="planned"))

    def shown(*args: str) -> str:
        done = CliRunner().invoke(main, ["status", *args, "--redis", redis_url])
        assert done.exit_code == 0, done.output
        return done.stdout

    maintenance(redis_url, "start", "planned", "--region", "eu", "--for", "2h", "--why", "new disks")
    told = {(one["element"], one["region"]): one["inMaintenance"] for one in json.loads(shown("--json"))}
    assert {pair for pair, is_on in told.items() if is_on} == {("planned", "eu")}
    assert [one["inMaintenance"] for one in json.loads(shown("--verdicts", "--json"))] == [False, False]
    maintenance(redis_url, "start", "planned", "--for", "2h", "--why", "new disks")
    verdicts = json.loads(shown("--verdicts", "--json"))
    assert {one["element"]: one["inMaintenance"] for one in verdicts} == {"planned": True, "sick": False}
    for lines in (shown().splitlines(), shown("--verdicts").splitlines()):
        assert ("sick" in lines[1], "planned" in lines[-1]) == (True, True)
        assert "FAILED, in maintenance" in lines[-1]


def test_a_user_without_a_name_announces_by_number(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_123_456_789)  # whom no machine has an entry for
    begun = maintenance(redis_url, "start", "mail-*", "--for", "2h", "--why", "x", "--json")
    assert begun.exit_code == 0, begun.exception
    assert json.loads(begun.stdout)["by"] == "uid 4123456789"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("end", "nothing"), "there is no maintenance nothing"),
        (("start", "*", "--for", "soon", "--why", "x"), "expected a duration such as 90s, 30m, 2h, 3d or 1w"),
        (("start", "*", "--for", "900d", "--why", "x"), "at most 366 days later"),
        (("start", "*", "--for", "2h"), "Missing option '--why'"),
    ],
)
def test_what_cannot_be_is_said(redis_url: str, args: tuple[str, ...], message: str) -> None:
    done = maintenance(redis_url, *args)
    assert done.exit_code != 0
    assert message in done.stderr

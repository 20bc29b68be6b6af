"""Every field of the page's Table 2, against a real Postfix through ``postbeat probe``."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from postbeat.profile import load
from tests.cli.conftest import Run
from tests.ism.tables import FIELDS, SUBJECT
from tests.listening import failing_first
from tests.mailservers import Account, MailServers
from tests.ports import free_port

pytestmark = pytest.mark.mailservers

Probe = Callable[..., dict[str, Any]]


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., Path]:
    """Writes the profile of one element, "mail", with these fields."""

    def write(**fields: Any) -> Path:
        path = tmp_path / f"{abs(hash(str(fields)))}.yaml"
        path.write_text(json.dumps({"elements": [{"name": "mail", "type": "smtp", **fields}]}))
        return path

    return write


@pytest.fixture
def probe(profile: Callable[..., Path], inside: Run) -> Probe:
    """What ``postbeat probe --json`` says of an element with these fields."""

    def run(**fields: Any) -> dict[str, Any]:
        done = inside("probe", profile(**fields), "mail", "--json")
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.fixture
def account(servers: MailServers) -> Account:
    return servers.account()


@pytest.fixture
def postfix(servers: MailServers) -> dict[str, Any]:
    """The fields that say where Postfix is."""
    return {"server": "127.0.0.1", "port": servers.ports["smtp"], "timeout": 5}


def attempts(trip: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trip["send"]["attempts"]
    return found


def stages(trip: dict[str, Any]) -> list[str]:
    return [stage["name"] for stage in attempts(trip)[-1]["stages"]]


def test_every_field_has_a_test_here() -> None:
    tested = {name for name in globals() if name.startswith("test_the_field_")}
    assert tested == {f"test_the_field_{name}" for name in FIELDS}


def test_every_default_is_that_of_the_page(profile: Callable[..., Path]) -> None:
    element = load(profile(server="mail.example.com")).elements["mail"]
    told = {name: default for name, default in FIELDS.items() if default is not ...}
    assert {name: getattr(element, name) for name in told} == told


def test_the_field_server(probe: Probe, postfix: dict[str, Any]) -> None:
    assert probe(**postfix)["level"] == "GOOD"
    assert probe(**postfix | {"server": "localhost"})["level"] == "GOOD"
    nowhere = probe(**postfix | {"server": "127.0.0.99", "port": free_port()})
    assert (nowhere["level"], nowhere["send"]["fault"]["stage"]) == ("FAILED", "connect")


def test_the_field_description(probe: Probe, postfix: dict[str, Any]) -> None:
    assert probe(**postfix, description="Head office")["description"] == "Head office"
    assert probe(**postfix)["description"] == "smtp 127.0.0.1 mail"


def test_the_field_port(probe: Probe, postfix: dict[str, Any]) -> None:
    assert attempts(probe(**postfix))[0]["address"] == f"127.0.0.1:{postfix['port']}"
    assert probe(**postfix | {"port": free_port()})["send"]["fault"]["code"] == "refused"


def test_the_field_securitytype(probe: Probe, postfix: dict[str, Any], servers: MailServers) -> None:
    authority = {"tlscafile": f"{servers.root}/tls/ca.pem"}
    plain = probe(**postfix)
    upgraded = probe(**postfix, **authority, securitytype="STARTTLS")
    wrapped = probe(**postfix | {"port": servers.ports["smtps"]}, **authority, securitytype="SSL")
    assert [trip["level"] for trip in (plain, upgraded, wrapped)] == ["GOOD"] * 3
    assert [trip["security"] for trip in (plain, upgraded, wrapped)] == ["NONE", "STARTTLS", "SSL"]
    assert attempts(plain)[0]["tls"] is None
    for trip in (upgraded, wrapped):
        assert re.fullmatch(r"TLSv1\.[23]", attempts(trip)[0]["tls"]["version"])
        assert trip["SSLHandshakeTime"] > 0
    assert "starttls" in stages(upgraded)
    assert "starttls" not in stages(wrapped)


def test_the_field_username(probe: Probe, postfix: dict[str, Any], account: Account) -> None:
    login = {"authenticationtype": "PLAIN", "plaintextlogin": True, "password": account.password}
    assert probe(**postfix, **login, username=account.name)["level"] == "GOOD"
    refused = probe(**postfix, **login, username="nobody")
    assert (refused["level"], refused["status"], refused["user"]) == ("FAILED", 535, "nobody")


def test_the_field_password(probe: Probe, postfix: dict[str, Any], account: Account) -> None:
    login = {"authenticationtype": "PLAIN", "plaintextlogin": True, "username": account.name}
    assert probe(**postfix, **login, password=account.password)["level"] == "GOOD"
    assert probe(**postfix, **login, password="wrong")["send"]["fault"]["stage"] == "auth"


def test_the_field_authenticationtype(probe: Probe, postfix: dict[str, Any], account: Account) -> None:
    login = {"plaintextlogin": True, "username": account.name, "password": account.password}
    for kind in ("PLAIN", "CRAM-MD5"):
        trip = probe(**postfix, **login, authenticationtype=kind)
        assert (trip["level"], "auth" in stages(trip)) == ("GOOD", True)
    assert "auth" not in stages(probe(**postfix, authenticationtype="NONE"))


def test_the_field_sharedsecret(probe: Probe, postfix: dict[str, Any], account: Account) -> None:
    login = {"authenticationtype": "CRAM-MD5", "username": account.name}
    assert probe(**postfix, **login, sharedsecret=account.password)["level"] == "GOOD"
    assert probe(**postfix, **login, sharedsecret="wrong")["status"] == 535


def test_the_field_email(probe: Probe, postfix: dict[str, Any], servers: MailServers) -> None:
    account = servers.account()
    assert probe(**postfix, email=account.address)["level"] == "GOOD"
    for _ in range(100):
        if found := servers.messages(account):
            break
        probe(**postfix)  # takes its time, as the delivery does
    assert f"Subject: {SUBJECT}".encode() in found[0]
    without = probe(**postfix)
    assert (without["level"], without["uploadTime"]) == ("GOOD", None)
    assert "data" not in stages(without)


def test_the_field_timeout(probe: Probe, postfix: dict[str, Any]) -> None:
    assert probe(**postfix)["level"] == "GOOD"
    with socket.create_server(("127.0.0.1", 0)) as listener:  # the kernel accepts, and nobody speaks
        silent = probe(server="127.0.0.1", port=listener.getsockname()[1], timeout=3)
    assert (silent["level"], silent["send"]["fault"]["code"]) == ("FAILED", "timeout")
    assert 3 <= attempts(silent)[0]["totalTime"] < 10


def test_the_field_poll(profile: Callable[..., Path], inside: Run) -> None:
    for fields, expected in ({}, 300), ({"poll": 600}, 600):
        done = inside("schedule", profile(server="mail.example.com", **fields), "--json")
        (fires,) = json.loads(done.stdout)
        assert fires["every"] == expected


def test_the_field_failureretests(probe: Probe) -> None:
    for retests in (0, 2):
        trip = probe(server="127.0.0.1", port=free_port(), failureretests=retests, retestinterval=0)
        assert (trip["level"], len(attempts(trip))) == ("FAILED", 1 + retests)


def test_the_field_retestinterval(probe: Probe) -> None:
    began_s = time.monotonic()
    trip = probe(server="127.0.0.1", port=free_port(), failureretests=2, retestinterval=0.5)
    assert time.monotonic() - began_s >= 2 * 0.5
    assert [attempt["number"] for attempt in attempts(trip)] == [1, 2, 3]


def test_the_pages_example_polls_retries_and_recovers_as_written(
    servers: MailServers, postbeat: Run, profile: Callable[..., Path]
) -> None:
    """Every 10 minutes, a timeout of 30 seconds, and three retries with 5 seconds between them."""
    example = {"server": "127.0.0.1", "timeout": 30, "poll": 600, "failureretests": 3, "retestinterval": 5}
    with failing_first(2, servers.ports["smtp"]) as recovers, failing_first(99, 1) as stays_down:
        paths = [profile(**example, port=port) for port in (recovers, stays_down)]
        with ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lambda path: postbeat("probe", path, "mail", "--json"), paths))
    good, failed = (json.loads(run.stdout) for run in runs)
    assert [run.returncode for run in runs] == [0, 2]
    assert (good["level"], len(attempts(good))) == ("GOOD", 3)
    assert (failed["level"], len(attempts(failed))) == ("FAILED", 4)
    assert (good["failureRetests"], failed["failureRetests"]) == (3, 3)
    assert (good["consecutiveFailures"], failed["consecutiveFailures"]) == (0, 4)

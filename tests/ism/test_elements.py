"""Every element of the page's Table 3, and those of the paired monitors, in the results of a running site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.running import Running
from tests.ism.tables import ELEMENTS
from tests.mailservers import Account, MailServers

pytestmark = pytest.mark.mailservers

Found = dict[str, Any]

# What each element of the page has to be, of a send over STARTTLS to an account that logs in with PLAIN.
EXPECTED: dict[str, Callable[[Found, Account, MailServers], bool]] = {
    "authentication": lambda it, _account, _servers: it["authentication"] == "Standard",
    "bytesPerSec": lambda it, _account, _servers: (
        abs(it["bytesPerSec"] * it["uploadTime"] - it["bytesTransferred"]) <= it["bytesPerSec"] * 0.001
    ),
    "bytesTransferred": lambda it, _account, _servers: 300 < it["bytesTransferred"] < 5000,
    "connectTime": lambda it, _account, _servers: 0 <= it["connectTime"] < it["totalTime"],
    "email": lambda it, account, _servers: it["email"] == account.address,
    "lookupTime": lambda it, _account, _servers: 0 <= it["lookupTime"] < it["totalTime"],
    "port": lambda it, _account, servers: it["port"] == servers.ports["smtp"],
    "responseTime": lambda it, _account, _servers: 0 < it["responseTime"] < it["totalTime"],
    "security": lambda it, _account, _servers: it["security"] == "STARTTLS",
    "SSLHandshakeTime": lambda it, _account, _servers: 0 < it["SSLHandshakeTime"] < it["responseTime"],
    "status": lambda it, _account, _servers: it["status"] == 250,
    "uploadTime": lambda it, _account, _servers: 0 < it["uploadTime"] < it["totalTime"],
    "user": lambda it, account, _servers: it["user"] == account.name,
}


def results(running: Running, phase: str) -> list[Found]:
    """The ISM elements of all results of a phase so far."""
    return [one for one in running.listing("results", "--ism", "-n", "1000") if one["phase"] == phase]


def test_every_element_of_the_page_is_expected_here() -> None:
    assert set(EXPECTED) == set(ELEMENTS)


def test_every_element_of_the_page_is_in_the_results(servers: MailServers, running: Running) -> None:
    account, other = servers.account(), servers.account()
    running.start(
        servers.mailbox("imap4", "box", account, "STARTTLS", poll=2, regions="lab"),
        servers.smtp("mail", account, "STARTTLS", read="box", regions="lab"),
        servers.mailbox("pop3", "drop", other, "STARTTLS", poll=2, regions="lab"),
        servers.smtp("other", other, "STARTTLS", read="drop", regions="lab"),
    )
    running.until(
        lambda: (
            {(one["monitor"], one["phase"]) for one in running.listing("results", "--ism")}
            >= {("smtp", "send"), ("imap4", "read"), ("pop3", "read"), ("imap4", "check"), ("pop3", "check")}
        ),
        "result of each monitor",
    )
    (first, *_) = (one for one in results(running, "send") if one["identifier"] == "mail")
    assert first["message"] == "Message sent"
    wrong = [name for name, holds in EXPECTED.items() if not holds(first, account, servers)]
    assert wrong == [], first
    for read in results(running, "read"):
        assert read["message"].startswith("Message Successfully Downloaded")
        assert 0 <= read["timeToDeliver"] < 30
        assert read["hopCount"] >= 1
    for check in results(running, "check"):
        assert 0 < check["totaltime"] < 30
        assert any(character.isdigit() for character in check["message"]), check["message"]

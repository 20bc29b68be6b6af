"""Postfix itself goes away and comes back."""

from __future__ import annotations

import pytest

from postbeat.model import FaultCode, Level
from tests.e2e.running import Running
from tests.mailservers import MailServers

pytestmark = pytest.mark.mailservers


def test_its_absence_is_one_event_and_its_return_is_another(servers: MailServers, running: Running) -> None:
    account = servers.account()
    running.start(
        servers.mailbox("imap4", "box", account, "STARTTLS"),
        servers.smtp("mail", account, read="box", regions="lab", delivertimeout=20),
    )
    running.until(lambda: turns(running)[-1:] == [Level.GOOD], "good level")
    servers.stop("postfix")
    try:
        running.until(lambda: turns(running)[-1:] == [Level.FAILED], "failed level")
    finally:
        servers.start()
    running.until(lambda: turns(running)[-1:] == [Level.GOOD], "good level again")
    first, *others = turns(running)
    assert first is Level.GOOD
    # On a busy machine the returning server may fail once more: then there is another pair.
    assert others == [Level.FAILED, Level.GOOD] * (len(others) // 2)
    assert {one.fault.code for one in running.results() if one.fault} <= {
        FaultCode.REFUSED,
        FaultCode.DISCONNECTED,
    }


def turns(running: Running) -> list[Level]:
    """The levels that the element came to, in their order."""
    return [event.level for event in running.events() if event.level is not event.was]

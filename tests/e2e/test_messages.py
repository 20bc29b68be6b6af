"""What is sent, on its way through a real Postfix into a real Dovecot, and found again there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postbeat.elements import MailboxElement, SmtpElement
from postbeat.model import FaultCode, Level, Side
from postbeat.probing import Prober
from postbeat.profile import load
from postbeat.roundtrip import RoundTrip
from postbeat.settings import Settings
from tests import mailservers
from tests.conftest import not_installed
from tests.mailservers import MailServers

pytestmark = pytest.mark.mailservers

WHOLE = """Subject: Quarterly report
Received: from x by y; Mon, 1 Jan 2001 00:00:00 +0000
Delivered-To: {address}
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=x

--x
Content-Type: text/plain

Hello
--x
Content-Type: text/html

<p>Hello</p>
--x--
"""
TEXTS = {"ours": None, "text": "Hello,\n.\nworld\n", "utf-8": "Grüße\n" * 50, "whole": WHOLE}


@pytest.fixture(scope="module")
def servers() -> Iterator[MailServers]:
    """Both servers, started once."""
    if missing := mailservers.missing():
        not_installed(*missing)
    with mailservers.running() as found:
        yield found


def round_trip(servers: MailServers, folder: Path, kind: str, **fields: Any) -> RoundTrip:
    """Sends to an account of its own and reads it there."""
    account = servers.account()
    text = fields.pop("text", None)
    if text is not None:
        (folder / "message").write_text(text.format(address=account.address))
        fields["mailmessage"] = str(folder / "message")
    sends = servers.smtp("mail", account, "STARTTLS", read="box", delivertimeout=20, **fields)
    box = servers.mailbox(kind, "box", account)
    (folder / "profile.yaml").write_text(json.dumps({"elements": [sends, box]}))
    profile = load(folder / "profile.yaml")
    element, reader = profile.elements["mail"], profile.elements["box"]
    assert isinstance(element, SmtpElement)
    assert isinstance(reader, MailboxElement)
    trip = asyncio.run(Prober(Settings()).round_trip(element, reader, "eu"))
    assert servers.messages(account) == []
    return trip


@pytest.mark.parametrize("kind", ["imap4", "pop3"])
@pytest.mark.parametrize("usebody", [0, 1])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_message_is_found_again_and_deleted(
    servers: MailServers, tmp_path: Path, kind: str, usebody: int, text: str | None
) -> None:
    trip = round_trip(servers, tmp_path, kind, usebody=usebody, text=text)
    assert trip.send is not None
    assert trip.read is not None
    assert (trip.send.fault, trip.read.fault, trip.level) == (None, None, Level.GOOD)
    assert trip.read.delivery is not None
    assert trip.read.delivery.hop_count == 2  # Postfix and Dovecot's LMTP, and not the file's own


def test_a_large_payload_is_uploaded_and_found(servers: MailServers, tmp_path: Path) -> None:
    trip = round_trip(servers, tmp_path, "imap4", payload=5_000_000)
    assert trip.level is Level.GOOD
    assert trip.send is not None
    assert trip.send.attempts[-1].bytes_transferred > 5_000_000


def test_postfix_tells_its_limit_and_what_is_larger_is_not_sent(servers: MailServers, tmp_path: Path) -> None:
    trip = round_trip(servers, tmp_path, "imap4", payload=50 << 20)
    assert trip.send is not None
    assert trip.send.fault is not None
    assert (trip.send.fault.side, trip.send.fault.code) == (Side.LOCAL, FaultCode.TOO_LARGE)

"""What a real Postfix must refuse: relaying, bad passwords, forged senders; and what it puts off."""

from __future__ import annotations

import asyncio
import email
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postbeat.elements import SmtpElement
from postbeat.embedded.processes import Processes
from postbeat.model import FaultCode, Level
from postbeat.probing import Prober
from postbeat.profile import load
from postbeat.results import Result
from postbeat.settings import Settings
from tests import mailservers
from tests.conftest import not_installed
from tests.e2e.waiting import until
from tests.mailservers import DOMAIN, Account, MailServers

pytestmark = pytest.mark.mailservers

STRANGER: dict[str, Any] = {
    "authenticationtype": "NONE",
    "sender": "somebody@example.net",
    "email": "somebody@example.org",
}
RELAY: dict[str, Any] = STRANGER | {"expect": {"stage": "rcpt", "status": [550, 554]}}
PUT_OFF, FULL = f"put-off@{DOMAIN}", f"full@{DOMAIN}"
STRICT = """
mynetworks = 192.0.2.0/24
smtpd_sender_login_maps = regexp:{root}/postfix/etc/owners
smtpd_sender_restrictions = reject_authenticated_sender_login_mismatch
smtpd_recipient_restrictions = check_recipient_access inline:{{
  {{ {put_off} = 450 4.7.1 Greylisted, come back later }},
  {{ {full} = 452 4.2.2 Mailbox full }} }}
"""


class StrictServers(MailServers):
    """Servers on which nobody may relay, and each login sends as itself only."""

    def _configure(self) -> None:
        super()._configure()
        config = self.root / "postfix/etc/main.cf"
        text = config.read_text().replace("mynetworks = 127.0.0.0/8\n", "")
        config.write_text(text + STRICT.format(root=self.root, put_off=PUT_OFF, full=FULL).lstrip())
        (self.root / "postfix/etc/owners").write_text(f"/^(.*)@{DOMAIN}$/ ${{1}}\n")


@pytest.fixture(scope="module")
def strict() -> Iterator[StrictServers]:
    missing = mailservers.missing()
    if missing is not None:
        not_installed(*missing)
    with tempfile.TemporaryDirectory(prefix="postbeat-strict-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        with Processes() as processes:
            made = StrictServers(processes, root)
            made.start()
            yield made


@pytest.fixture(scope="module")
def account(servers: MailServers) -> Account:
    return servers.account()


def probed(servers: MailServers, folder: Path, account: Account, **fields: Any) -> Result:
    """What one probe over STARTTLS measures."""
    profile = folder / "profile.yaml"
    profile.write_text(json.dumps({"elements": [servers.smtp("mail", account, "STARTTLS", **fields)]}))
    element = load(profile).elements["mail"]
    assert isinstance(element, SmtpElement)
    result = asyncio.run(Prober(Settings()).round_trip(element, None, "default")).send
    assert result is not None
    return result


def messages_taken(servers: MailServers, folder: Path, account: Account) -> int:
    """The messages that Postfix has taken so far, as it logs them, with one more that it takes now.

    What it took before that one stands in its log by then.
    """
    before = servers.messages(account)
    assert probed(servers, folder, account).level is Level.GOOD
    (message,) = until(lambda: [one for one in servers.messages(account) if one not in before])
    name = email.message_from_bytes(message)["Message-ID"]
    return until(lambda: servers.log("postfix").count("message-id=") if name in servers.log("postfix") else 0)


def test_an_open_relay_must_be_refused(strict: StrictServers, tmp_path: Path) -> None:
    result = probed(strict, tmp_path, strict.account(), **RELAY)
    assert (result.level, result.fault) == (Level.GOOD, None)
    assert result.message.startswith("Refused in stage rcpt, as expected: 554 5.7.1 ")
    assert result.decisive is not None
    assert (result.decisive.status, result.decisive.enhanced) == (554, "5.7.1")
    assert result.decisive.stages[-1].reply.startswith("221 ")


def test_a_bad_password_must_be_refused(strict: StrictServers, tmp_path: Path) -> None:
    expected = {"expect": {"stage": "auth", "status": 535}}
    result = probed(strict, tmp_path, strict.account(), password="hunter2", **expected)
    assert (result.level, result.fault) == (Level.GOOD, None)
    assert result.message.startswith("Refused in stage auth, as expected: 535 5.7.8 ")


def test_a_forged_sender_must_be_refused(strict: StrictServers, tmp_path: Path) -> None:
    expected = {"expect": {"stage": "rcpt", "status": "5xx"}}
    result = probed(strict, tmp_path, strict.account(), sender=f"director@{DOMAIN}", **expected)
    assert (result.level, result.fault) == (Level.GOOD, None)
    assert result.message.startswith("Refused in stage rcpt, as expected: 553 5.7.1 ")


def test_an_owned_sender_of_the_same_server_is_sent_as(strict: StrictServers, tmp_path: Path) -> None:
    account = strict.account()
    result = probed(strict, tmp_path, account, sender=account.address)
    assert (result.level, result.message) == (Level.GOOD, "Message sent")


@pytest.mark.parametrize(
    ("stage", "fields"),
    [
        ("rcpt", RELAY),
        ("auth", {"expect": {"stage": "auth"}}),
        ("rcpt", {"sender": f"director@{DOMAIN}", "expect": {"stage": "rcpt"}}),
        ("mail", {"expect": {"stage": "mail"}}),
        ("data", {"expect": {"stage": "data"}}),
        ("tls", {"expect": {"stage": "tls"}}),
    ],
)
def test_a_server_that_lets_it_pass_is_failed_and_gets_no_message(
    servers: MailServers, account: Account, tmp_path: Path, stage: str, fields: dict[str, Any]
) -> None:
    before = messages_taken(servers, tmp_path, account)
    result = probed(servers, tmp_path, account, **fields)
    assert result.level is Level.FAILED
    assert result.message == f"The server accepted what it should have refused in stage {stage}"
    assert messages_taken(servers, tmp_path, account) == before + 1


@pytest.mark.parametrize(
    ("recipient", "code", "reply"),
    [(PUT_OFF, FaultCode.GREYLISTED, "450 4.7.1"), (FULL, FaultCode.TEMPORARY, "452 4.2.2")],
)
def test_what_a_server_puts_off_is_marginal(
    strict: StrictServers, tmp_path: Path, recipient: str, code: FaultCode, reply: str
) -> None:
    account = strict.account()
    fields = {"email": recipient, "sender": account.address, "failureretests": 1, "retestinterval": 0}
    result = probed(strict, tmp_path, account, **fields)
    assert result.fault is not None
    assert (result.level, result.fault.code, len(result.attempts)) == (Level.MARGINAL, code, 2)
    assert f": {reply} " in result.message

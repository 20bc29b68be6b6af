"""What a real Postfix sends back, as the commands show it."""

from __future__ import annotations

import socketserver
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from postbeat.model import Phase
from tests.e2e.running import Running, for_each_at_once
from tests.listening import TcpServer, serving
from tests.mailservers import SHAPED, MailServers

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

KINDS = ("imap4", "pop3")
REFUSALS = {
    "refused": b"550 5.1.1 there is nobody of that name",
    "full": b"552 5.2.2 the mailbox is full",
}
NO_ENHANCED_CODE = {"old": b"554 no, says an old server"}
WAIT_S = 120  # what a message that does not bounce would be waited for


class Refusing(socketserver.StreamRequestHandler):
    """An LMTP server (RFC 2033) that takes nobody's mail, and says so to each recipient in other words."""

    def handle(self) -> None:
        self._say(b"220 refusing LMTP")
        while line := self.rfile.readline().strip():
            verb = line[:4].upper()
            if verb == b"RCPT":
                name = line.partition(b"<")[2].partition(b"@")[0].decode()
                self._say((REFUSALS | NO_ENHANCED_CODE)[name])
            elif verb == b"QUIT":
                self._say(b"221 2.0.0 bye")
                return
            else:
                self._say(b"250 2.0.0 ok")

    def _say(self, reply: bytes) -> None:
        self.wfile.write(reply + b"\r\n")


@dataclass(frozen=True)
class Seen:
    """What the commands showed, and what is left in the mailbox."""

    results: list[dict[str, Any]]
    events: list[dict[str, Any]]
    mailboxes: list[dict[str, Any]]
    left: list[bytes]
    vacation: bytes

    def read(self, element: str) -> dict[str, Any]:
        """The only result of the phase read of an element."""
        (result,) = [
            one for one in self.results if one["phase"] == "read" and one["poll"].startswith(f"{element}@")
        ]
        return result


@pytest.fixture(scope="module")
def sites(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """A site for each protocol, at the same time."""
    folder = tmp_path_factory.mktemp("bounces")
    with serving(TcpServer(("127.0.0.1", servers.ports["shaper"]), Refusing)):
        return for_each_at_once(KINDS, lambda kind: _seen(servers, folder / kind, kind))


@pytest.fixture(params=KINDS)
def seen(request: pytest.FixtureRequest, sites: dict[str, Seen]) -> Seen:
    return sites[request.param]


def _seen(servers: MailServers, folder: Path, kind: str) -> Seen:
    account = servers.account()
    once: dict[str, Any] = {"poll": 86400, "delivertimeout": WAIT_S, "read": "box", "sender": account.address}
    vacation = b"Return-Path: <>\nAuto-Submitted: auto-replied\n\nI am away; 550 5.1.1 is not my number.\n"
    folder.mkdir()
    with Running.open(folder) as running:
        servers.put(account, [vacation])
        running.start(
            servers.mailbox(kind, "box", account),
            servers.smtp("arriving", account, **once),
            *(
                servers.smtp(name, account, email=f"{name}@{SHAPED}", **once)
                for name in (REFUSALS | NO_ENHANCED_CODE)
            ),
            regions=("default",),
        )
        running.until(
            lambda: len({one.poll.element for one in running.results(phase=Phase.READ)}) == 4,
            "read of every element",
            WAIT_S / 2,
        )
        running.until(lambda: servers.messages(account) == [vacation], "mailbox without our messages")
        return Seen(
            running.listing("results", "--count", "1000"),
            running.listing("events", "--count", "1000"),
            running.command("mailboxes"),
            servers.messages(account),
            vacation,
        )


@pytest.mark.parametrize("name", REFUSALS)
def test_a_bounce_fails_the_read_with_the_code_and_the_words_of_the_remote_host(
    seen: Seen, name: str
) -> None:
    result, words = seen.read(name), REFUSALS[name].decode()
    assert (result["level"], result["outcome"]) == ("FAILED", "bounced")
    assert (result["fault"]["side"], result["fault"]["code"]) == ("REMOTE", "bounced")
    bounce = result["bounce"]
    assert (bounce["action"], bounce["status"]) == ("failed", words.split()[1])
    assert words in bounce["text"]
    assert words in result["message"]
    assert bounce["recipient"] == f"{name}@{SHAPED}"


def test_an_old_servers_words_come_with_the_code_that_postfix_gives_them(seen: Seen) -> None:
    bounce = seen.read("old")["bounce"]
    assert bounce["status"] == "5.0.0"
    assert "no, says an old server" in bounce["text"]


def test_a_bounce_is_an_event(seen: Seen) -> None:
    for name in REFUSALS | NO_ENHANCED_CODE:
        (event,) = [one for one in seen.events if one["element"] == name and one["kind"] != "verdict"]
        assert (event["phase"], event["level"], event["outcome"]) == ("read", "FAILED", "bounced")


def test_a_bounce_is_known_long_before_the_wait_is_over(seen: Seen) -> None:
    sent = {one["poll"]: one["at"] for one in seen.results if one["phase"] == "send"}
    for name in REFUSALS | NO_ENHANCED_CODE:
        result = seen.read(name)
        assert result["at"] - sent[result["poll"]] < WAIT_S / 4


def test_a_bounce_says_nothing_of_other_messages(seen: Seen) -> None:
    assert (seen.read("arriving")["level"], seen.read("arriving")["outcome"]) == ("GOOD", "delivered")


def test_bounces_on_our_messages_are_removed_and_nothing_else(seen: Seen) -> None:
    assert seen.left == [seen.vacation]
    (mailbox,) = seen.mailboxes
    assert mailbox["bounces"] == len(REFUSALS | NO_ENHANCED_CODE)

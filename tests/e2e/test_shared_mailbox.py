"""Many elements of several regions share one POP3 mailbox, which belongs to somebody else as well."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from postbeat.model import Level, Phase
from postbeat.results import Result
from tests.e2e.running import Running, doubled, levels
from tests.mailservers import Account, MailServers

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

# For how long the mailbox is shared, in seconds.
DURATION_S = float(os.environ.get("POSTBEAT_SHARED_MAILBOX_S", "20"))
ELEMENTS, POLL_S = 20, 2
REGIONS = ("eu", "us")
FORGED = "v=1; poll=send1@eu#1; attempt=1; sent=1; sig=" + 43 * "A"


def foreign_messages() -> list[bytes]:
    """Ordinary ones, large ones, and some that claim to be ours."""
    fields = ["X-Note: a", f"X-Postbeat: {FORGED}", "X-Postbeat: b", "Subject: SMTP Monitor Test Message"]
    return [
        f"From: friend{number}@example.org\n{fields[number % 4]}\n\n".encode()
        + b"Dear me,\n.\n..\n" * (1 + 400 * (number % 5))
        + bytes([128 + number, 10])
        for number in range(50)
    ]


@dataclass(frozen=True)
class Shared:
    """What became of the mailbox, and the results of all polls."""

    results: list[Result]
    left: list[bytes]
    dovecot_said: str

    def of(self, phase: Phase) -> list[Result]:
        return [result for result in self.results if result.phase is phase]


@pytest.fixture(scope="module")
def shared(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    account = servers.account()
    servers.put(account, foreign_messages())
    before = len(servers.log("dovecot"))
    common: dict[str, Any] = {
        "read": "box",
        "poll": POLL_S,
        "delivertimeout": 30,
        "regions": list(REGIONS),
        "timeout": 15,
    }
    sends = [servers.smtp(f"send{number}", account, **common) for number in range(ELEMENTS)]
    with Running.open(tmp_path_factory.mktemp("shared")) as running:
        for region in REGIONS:
            running.worker(region)
        beat = running.site.beat(running.profile(servers.mailbox("pop3", "box", account, timeout=15), *sends))
        running.result("send0", Phase.READ)
        time.sleep(DURATION_S)  # the load itself, not a wait for something
        running.stop(beat)
        _wait_for_the_end(running, servers, account)
        yield Shared(running.results(), servers.messages(account), servers.log("dovecot")[before:])


def _wait_for_the_end(running: Running, servers: MailServers, account: Account) -> None:
    def all_read() -> bool:
        sent = {one.poll for one in running.results(phase=Phase.SEND)}
        return sent == {one.poll for one in running.results(phase=Phase.READ)}

    running.until(lambda: not any(running.queued(f"probe.{region}") for region in REGIONS), "empty queue")
    running.until(all_read, "read of every send", 60)
    running.until(lambda: len(servers.messages(account)) <= 50, "mailbox without messages of ours")


def test_every_poll_of_the_time_has_one_send_and_one_read(shared: Shared) -> None:
    expected = ELEMENTS * len(REGIONS) * DURATION_S / POLL_S
    assert len(shared.of(Phase.SEND)) >= 0.9 * expected
    assert doubled(shared.results) == []


def test_no_message_is_lost(shared: Shared) -> None:
    assert levels(shared.results) == {Level.GOOD}


def test_both_regions_read_the_mailbox_or_have_it_read(shared: Shared) -> None:
    assert {result.poll.region for result in shared.of(Phase.READ)} == set(REGIONS)


def test_no_two_sessions_of_ours_meet(shared: Shared) -> None:
    assert "Login: user" in shared.dovecot_said
    assert "IN-USE" not in shared.dovecot_said
    assert "lock" not in shared.dovecot_said
    assert not [result for result in shared.results if "IN-USE" in str(result)]


def test_only_the_messages_of_others_are_left_byte_for_byte(shared: Shared) -> None:
    assert sorted(shared.left) == sorted(foreign_messages())

"""Many elements of several regions share one mailbox, which belongs to somebody else as well.

There are two such mailboxes, one for each protocol, and the workers read both. Workers are killed meanwhile,
each time the one whose reader has the mailbox whose turn it is. The environment makes it larger:
``POSTBEAT_SHARED_MAILBOX_ELEMENTS=40 POSTBEAT_SHARED_MAILBOX_S=300`` is 40 elements for five minutes, for
which pytest needs ``-o faulthandler_timeout=1800``.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import pytest

from postbeat.delivery import Outcome
from postbeat.embedded.processes import Child
from postbeat.message import Envelope, Token, build
from postbeat.model import Level, Phase, Poll
from postbeat.results import Result
from postbeat.secrets import Keys
from tests.e2e.running import Running, doubled, kill
from tests.mailservers import Account, MailServers

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

DURATION_S = float(os.environ.get("POSTBEAT_SHARED_MAILBOX_S", "20"))
ELEMENTS = int(os.environ.get("POSTBEAT_SHARED_MAILBOX_ELEMENTS", "40"))
WHOLE = DURATION_S >= 300  # then what killed workers had sent is waited for, until it is removed
KINDS = ("pop3", "imap4")
POLL_S = 4  # of both mailboxes together 60 messages a second, which two cores can carry with their servers
REGIONS = ("eu", "us", "asia")
FOREIGN = 1000
KILLS = 4  # each mailbox's reader in turn
FORGED = "v=2; poll=send1@eu#1; attempt=1; sent=1; body=1:AAAAAAAAAAAAAAAA; subject=AAAAAAAA; sig=" + 43 * "A"


def foreign_messages() -> list[bytes]:
    """Ordinary ones, large ones, and some that claim to be ours."""
    fields = ["X-Note: a", f"X-Postbeat: {FORGED}", "X-Postbeat: b", "Subject: SMTP Monitor Test Message"]
    return [
        f"From: friend{number}@example.org\n{fields[number % 4]}\n\n".encode()
        + b"Dear me,\n.\n..\n" * (1 + 400 * (number % 50 == 0))
        + bytes([128 + number % 128, 10])
        for number in range(FOREIGN)
    ]


def orphan(key: bytes, kind: str, number: int) -> bytes:
    """What a run of last week has left."""
    sent_at_us = time.time_ns() // 1000 - 7 * 86400 * 1_000_000
    envelope = Envelope("probe@mail.test", "probe@mail.test", "lab.test")
    return build(Token(Poll(f"{kind}-send{number}", "eu", number), 1, sent_at_us), envelope, key)


@dataclass(frozen=True)
class Shared:
    """What became of the mailbox, and the results of all polls."""

    results: list[Result]
    left: list[bytes]
    sessions: list[tuple[str, bool]]
    dovecot_said: str
    killed: list[int]
    counted: dict[str, Any]

    def of(self, phase: Phase) -> list[Result]:
        return [result for result in self.results if result.phase is phase]

    @property
    def sent(self) -> set[Poll]:
        """The polls whose messages went out, as far as their workers lived to tell."""
        accepted = (one for one in self.of(Phase.SEND) if one.decisive and one.decisive.accepted_at_us)
        return {one.poll for one in accepted}


@dataclass(frozen=True)
class Box:
    """A shared mailbox, and who sends to it."""

    kind: str
    account: Account
    element: dict[str, Any]
    sends: list[dict[str, Any]]

    @classmethod
    def of(cls, servers: MailServers, kind: str) -> Box:
        account, name = servers.account(), f"{kind}-box"
        servers.put(account, foreign_messages())
        common: dict[str, Any] = {
            "read": name,
            "poll": POLL_S,
            "delivertimeout": 60,
            "regions": list(REGIONS),
            "timeout": 15,
        }
        sends = [servers.smtp(f"{kind}-send{number}", account, **common) for number in range(ELEMENTS)]
        return cls(kind, account, servers.mailbox(kind, name, account, timeout=15), sends)

    def has(self, result: Result) -> bool:
        """Whether a result is of a message to this mailbox."""
        return result.poll.element.startswith(f"{self.kind}-")


@pytest.fixture(scope="module")
def both(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shared]:
    before = len(servers.log("dovecot"))
    boxes = [Box.of(servers, kind) for kind in KINDS]
    elements = [element for box in boxes for element in (box.element, *box.sends)]
    with Running.open(tmp_path_factory.mktemp("shared")) as running:
        key = Keys.parse([running.site.key], "the test's key").signing[0]
        for box in boxes:
            for number in range(20):
                servers.deliver(box.account, orphan(key, box.kind, number))
        workers = {region: running.worker(region) for region in REGIONS}
        beat = running.site.beat(running.profile(*elements))
        for box in boxes:
            running.result(box.sends[0]["name"], Phase.READ)
        killed = _under_fire(running, workers, boxes)
        running.stop(beat)
        _wait_for_the_end(running)
        if WHOLE:
            # Somebody who looks into the mailboxes.
            beat = running.site.beat(
                running.profile(*(one for box in boxes for one in (box.element, box.sends[0])))
            )
            for box in boxes:
                running.until(partial(_has_none_of_ours, servers, box.account), "mailbox without ours", 400)
            running.stop(beat)
            _wait_for_the_end(running)
        for box in boxes:
            running.until(partial(_is_left, servers, box.account), "end of the last session")
        log = servers.log("dovecot")[before:]
        counted = {told["element"]: told for told in running.command("mailboxes")}
        return {
            box.kind: Shared(
                [result for result in running.results() if box.has(result)],
                servers.messages(box.account),
                servers.sessions(box.account, log),
                log,
                killed,
                counted[box.element["name"]],
            )
            for box in boxes
        }


@pytest.fixture(params=KINDS)
def shared(request: pytest.FixtureRequest, both: dict[str, Shared]) -> Shared:
    return both[request.param]


def _under_fire(running: Running, workers: dict[str, Child], boxes: Sequence[Box]) -> list[int]:
    """The load goes on; now and then the worker that has just read a mailbox is killed, and replaced."""
    killed: list[int] = []

    def reader(box: Box) -> str | None:
        last = next(result for result in reversed(running.results(phase=Phase.READ)) if box.has(result))
        pid = int(last.worker.rpartition("/")[2] or 0)  # none: beat said that nobody looks
        return next((region for region, child in workers.items() if child.pid == pid), None)

    for number in range(KILLS):
        time.sleep(DURATION_S / (KILLS + 1))  # the load itself, not a wait for something
        box = boxes[number % len(boxes)]
        region = running.until(partial(reader, box), "read by a worker that lives")
        assert region is not None
        killed.append(workers[region].pid)
        kill(workers[region])
        workers[region] = running.worker(region, f"{region}-{number}")
    time.sleep(DURATION_S / (KILLS + 1))
    for box in boxes:  # beat sends a reader once the lease of the dead is over
        running.until(partial(reader, box), "read by a worker that lives")
    return killed


def _wait_for_the_end(running: Running) -> None:
    def all_read() -> bool:
        results = running.results()
        sent = {one.poll for one in results if one.decisive and one.decisive.accepted_at_us}
        return sent <= {one.poll for one in results if one.phase is Phase.READ}

    running.until(lambda: not any(running.queued(f"probe.{region}") for region in REGIONS), "empty queue")
    running.until(all_read, "read of every send", 120)


def _is_left(servers: MailServers, account: Account) -> bool:
    sessions = servers.sessions(account, servers.log("dovecot"))
    return sum(1 if began else -1 for _, began in sessions) == 0


def _has_none_of_ours(servers: MailServers, account: Account) -> bool:
    return len(servers.messages(account)) <= FOREIGN


def test_every_message_that_went_out_has_exactly_one_outcome(shared: Shared) -> None:
    expected = ELEMENTS * len(REGIONS) * DURATION_S / POLL_S
    assert len(shared.sent) >= 0.3 * expected  # a slow machine fires less
    assert doubled(shared.results) == []
    outcomes = Counter(one.outcome for one in shared.of(Phase.READ) if one.poll in shared.sent)
    assert outcomes.keys() <= {Outcome.DELIVERED, Outcome.OUT_OF_ORDER}
    assert sum(outcomes.values()) == len(shared.sent)
    assert shared.of(Phase.AFTER) == []


def test_workers_were_killed_and_only_what_they_had_in_hand_is_unknown(shared: Shared) -> None:
    assert len(set(shared.killed)) == KILLS
    assert not [one for one in shared.results if one.level in (Level.FAILED, Level.MARGINAL)]
    unknown = [one for one in shared.results if one.level is Level.UNKNOWN]
    assert len(unknown) <= KILLS * 3 * ELEMENTS


def test_every_region_has_its_messages_read(shared: Shared) -> None:
    assert {result.poll.region for result in shared.of(Phase.READ)} == set(REGIONS)


def test_there_was_never_a_second_session_on_the_mailbox(shared: Shared) -> None:
    at_once = list(accumulate(1 if began else -1 for _, began in shared.sessions))
    assert max(at_once) == 1
    assert at_once[-1] == 0
    assert len({session for session, _ in shared.sessions}) > KILLS // len(KINDS)


def test_no_session_was_refused(shared: Shared) -> None:
    assert "IN-USE" not in shared.dovecot_said
    assert "lock" not in shared.dovecot_said
    assert not [result for result in shared.results if "IN-USE" in str(result)]


def test_what_is_left_is_what_others_had_byte_for_byte(shared: Shared) -> None:
    left = Counter(shared.left)
    left.subtract(foreign_messages())
    assert min(left.values()) == 0
    ours = [re.search(rb"^X-Postbeat: [^\n]*poll=([^;]+)", text, re.M) for text in +left]
    # Messages of killed workers, which went out and were not recorded, are removed once they are old.
    assert not ours if WHOLE else len(ours) <= KILLS * ELEMENTS
    sent = set(map(str, shared.sent))
    assert [match for match in ours if match is None or match[1].decode() in sent] == []


def test_what_earlier_runs_have_left_is_gone(shared: Shared) -> None:
    assert not [text for text in shared.left if b"probe@mail.test" in text]


def test_each_message_of_others_was_looked_at_once(shared: Shared) -> None:
    # What a killed reader had counted and not yet told is missing.
    assert 0 < sum(shared.counted[kind] for kind in ("foreign", "forged", "damaged")) <= FOREIGN

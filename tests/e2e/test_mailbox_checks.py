"""Mailboxes that are tested as services of their own, at a real Dovecot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import pytest

from postbeat.delivery import MailboxFacts, Tally
from postbeat.model import FaultCode, Level, Phase, Side
from postbeat.results import Attempt, Result
from tests.e2e.running import Running, doubled
from tests.mailservers import JUNK, QUOTA_BYTES, Account, MailServers

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

REGIONS = ("eu", "us", "asia")
BEFORE = [b"From: friend%d@example.org\n\n" % number + 500 * b"Hello\n" for number in range(7)]
SPAM = [b"From: foe@example.org\n\nBuy!\n"] * 2
TIMES = {"lookupTime", "connectTime"}


@dataclass(frozen=True)
class Checked:
    """The results of a site, and Dovecot's log of its time."""

    results: list[Result]
    accounts: dict[str, Account]
    servers: MailServers
    log: str
    states: list[dict[str, object]]

    def of(self, element: str, phase: Phase = Phase.CHECK) -> list[Result]:
        return [one for one in self.results if (one.poll.element, one.phase) == (element, phase)]


@pytest.fixture(scope="module")
def checked(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    accounts = {name: servers.account() for name in ("imap4", "pop3", "wrong", "shared-imap4", "shared-pop3")}
    for account in accounts.values():
        servers.put(account, BEFORE)
        servers.put(account, SPAM, JUNK)
    before = len(servers.log("dovecot"))
    often: dict[str, Any] = {"poll": 2, "regions": list(REGIONS)}
    elements = [
        servers.mailbox("imap4", "imap4", accounts["imap4"], "STARTTLS", **often),
        servers.mailbox("pop3", "pop3", accounts["pop3"], "SSL", **often),
        servers.mailbox("imap4", "wrong", accounts["wrong"], password="not-it", poll=2, regions="eu"),
    ]
    for kind in ("imap4", "pop3"):
        account, box = accounts[f"shared-{kind}"], f"shared-{kind}"
        elements.append(servers.mailbox(kind, box, account, **often))
        elements.append(servers.smtp(f"sends-{kind}", account, read=box, **often))
    with Running.open(tmp_path_factory.mktemp("checked")) as running:
        for region in REGIONS:
            running.worker(region)
        beat = running.site.beat(running.profile(*elements))
        names = [str(element["name"]) for element in elements if element["type"] != "smtp"]
        running.until(lambda: _times_of_all(running, names) >= 4, "four checks in every region", 60)
        states = running.command("status")
        running.stop(beat)
        running.until(lambda: _all_read(running), "read of every send")
        running.until(lambda: all(_is_left(servers, one) for one in accounts.values()), "end of the sessions")
        yield Checked(running.results(), accounts, servers, servers.log("dovecot")[before:], states)


def _times_of_all(running: Running, names: list[str]) -> int:
    """How often the pair that was checked least was checked."""
    counts = {(name, region): 0 for name in names for region in (("eu",) if name == "wrong" else REGIONS)}
    for result in running.results(phase=Phase.CHECK):
        counts[result.poll.element, result.poll.region] += 1
    return min(counts.values())


def _all_read(running: Running) -> bool:
    sent = {one.poll for one in running.results(phase=Phase.SEND)}
    return sent == {one.poll for one in running.results(phase=Phase.READ)}


def _is_left(servers: MailServers, account: Account) -> bool:
    sessions = servers.sessions(account, servers.log("dovecot"))
    return sum(1 if began else -1 for _, began in sessions) == 0


def decisive(result: Result) -> Attempt:
    assert result.decisive is not None
    return result.decisive


def facts(result: Result) -> MailboxFacts:
    assert result.mailbox is not None
    return result.mailbox


@pytest.mark.parametrize("name", ["imap4", "pop3"])
def test_every_check_is_good_and_tells_its_times(checked: Checked, name: str) -> None:
    for result in checked.of(name):
        assert result.level is Level.GOOD, result.message
        attempt = decisive(result)
        assert attempt.times_us.keys() >= TIMES | {"SSLHandshakeTime"}
        assert {"greeting", "login", "find"} <= {stage.name for stage in attempt.stages}
        assert all(0 <= took_us < 5_000_000 for took_us in attempt.times_us.values())
        assert attempt.tls is not None
        assert attempt.tls.verified


def test_imap4_tells_counts_size_and_quota(checked: Checked) -> None:
    for result in checked.of("imap4"):
        told = facts(result)
        assert told.messages == len(BEFORE) + len(SPAM)
        assert told.folders == {"INBOX": len(BEFORE), JUNK: len(SPAM)}
        assert told.quota_limit_bytes == QUOTA_BYTES
        assert told.quota_used_bytes is not None
        assert told.size_bytes is not None
        assert told.size_bytes >= sum(map(len, BEFORE))


def test_pop3_tells_counts_and_size(checked: Checked) -> None:
    for result in checked.of("pop3"):
        told = facts(result)
        assert (told.messages, told.quota_limit_bytes) == (len(BEFORE), None)
        assert told.size_bytes is not None
        assert told.size_bytes >= sum(map(len, BEFORE))


def test_a_wrong_password_fails_the_check(checked: Checked) -> None:
    for result in checked.of("wrong"):
        assert result.fault is not None
        assert (result.level, result.fault.side, result.fault.code) == (
            Level.FAILED,
            Side.REMOTE,
            FaultCode.AUTH,
        )
        assert result.mailbox is None


@pytest.mark.parametrize("name", ["imap4", "pop3", "shared-imap4", "shared-pop3"])
def test_regions_take_turns_and_there_is_never_a_second_session(checked: Checked, name: str) -> None:
    sessions = checked.servers.sessions(checked.accounts[name], checked.log)
    at_once = list(accumulate(1 if began else -1 for _, began in sessions))
    assert max(at_once) == 1
    assert {one.poll.region for one in checked.of(name)} == set(REGIONS)
    assert {one.level for one in checked.of(name)} == {Level.GOOD}


@pytest.mark.parametrize("kind", ["imap4", "pop3"])
def test_the_summary_counts_what_was_downloaded_since_the_one_before(checked: Checked, kind: str) -> None:
    summaries = sorted(checked.of(f"shared-{kind}"), key=lambda one: one.at_us)
    told = [facts(one).tally.get(Tally.FOUND, 0) for one in summaries]
    reads = [one.at_us for one in checked.of(f"sends-{kind}", Phase.READ)]
    # One that was read while the last check was made may count in either.
    assert sum(at_us < summaries[-1].at_us for at_us in reads) == pytest.approx(sum(told), abs=2)
    for summary, count in zip(summaries, told, strict=True):
        said = f"{count} message{'' if count == 1 else 's'} downloaded; "
        assert summary.message.startswith(said), summary.message


@pytest.mark.parametrize("kind", ["imap4", "pop3"])
def test_checks_do_not_cost_a_message(checked: Checked, kind: str) -> None:
    reads = checked.of(f"sends-{kind}", Phase.READ)
    assert reads
    assert {one.level for one in reads} == {Level.GOOD}


def test_no_poll_has_two_results_of_a_phase(checked: Checked) -> None:
    assert doubled(checked.results) == []


def test_the_mailboxes_stand_in_the_status(checked: Checked) -> None:
    levels = {state["element"]: state["level"] for state in checked.states}
    assert (levels["imap4"], levels["pop3"], levels["wrong"]) == ("GOOD", "GOOD", "FAILED")


@pytest.mark.parametrize("name", ["imap4", "pop3", "shared-imap4", "shared-pop3"])
def test_the_messages_of_others_are_left_as_they_were(checked: Checked, name: str) -> None:
    assert sorted(checked.servers.messages(checked.accounts[name])) == sorted(BEFORE)

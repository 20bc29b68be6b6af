"""One process sends through Postfix, another one finds the message in Dovecot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import pytest

from postbeat.model import Level, Phase, Poll
from postbeat.results import Attempt, Result
from tests.e2e.running import Running
from tests.mailservers import CERTIFIED, Account, MailServers

pytestmark = pytest.mark.mailservers

SENDS = [(security, login) for security in ("NONE", "STARTTLS", "SSL") for login in ("PLAIN", "CRAM-MD5")]
READS = [(kind, security) for kind in ("imap4", "pop3") for security in ("STARTTLS", "SSL")]
DELIVERED = "Message Successfully Downloaded"
# On a busy machine Postfix may deliver a later message first.
FOUND = (DELIVERED, f"{DELIVERED}; a later one came before it")
TIMES = {"lookupTime", "connectTime", "responseTime", "uploadTime"}
ELEMENTS = [f"send-{security}-{login}" for security, login in SENDS] + ["send-certified"]
READERS = [f"{kind}-{security}" for kind, security in READS]


@dataclass(frozen=True)
class Trips:
    """What became of a site whose sends and reads are done by different processes."""

    running: Running
    accounts: list[Account]
    pids: dict[str, int]

    def all(self, name: str) -> list[tuple[Result, Result]]:
        """Every send of the elements that begin with, or are read by, a name; each with its read."""
        sends = {one.poll: one for one in self.running.results(phase=Phase.SEND)}
        reads = self.running.results(phase=Phase.READ)
        return [(sends[one.poll], one) for one in reads if name in one.poll.element]


@pytest.fixture(scope="module")
def trips(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trips]:
    accounts = [servers.account() for _ in READS]
    with Running.open(tmp_path_factory.mktemp("trips")) as running:
        senders = {queue: running.worker("lab", queue=queue) for queue in ("probe.lab", "read.lab")}
        beat = running.site.beat(running.profile(*_elements(servers, accounts)))
        count = len(ELEMENTS) * len(READERS)
        running.until(lambda: len(running.view.states()) == count, "state of every pair")
        running.until(lambda: _all_read(running), "three reads of every element")
        running.stop(beat)
        running.until(lambda: _sent(running) == _read(running), "read of every message")
        running.until(lambda: not any(map(servers.messages, accounts)), "empty mailbox")
        yield Trips(running, accounts, {queue: child.pid for queue, child in senders.items()})


def _sent(running: Running) -> set[Poll]:
    return {one.poll for one in running.results(phase=Phase.SEND) if one.level is Level.GOOD}


def _read(running: Running) -> set[Poll]:
    return {one.poll for one in running.results(phase=Phase.READ)}


def _all_read(running: Running) -> bool:
    return all(state.counts[Phase.READ].get(Level.GOOD, 0) >= 3 for state in running.view.states())


def _elements(servers: MailServers, accounts: list[Account]) -> Iterator[dict[str, Any]]:
    for account, (kind, security) in zip(accounts, READS, strict=True):
        reader = f"{kind}-{security}"
        yield servers.mailbox(kind, reader, account, security)
        common: dict[str, Any] = {"read": reader, "poll": 3, "delivertimeout": 20, "regions": "lab"}
        for send_security, login in SENDS:
            name = f"send-{send_security}-{login}.{reader}"
            yield servers.smtp(name, account, send_security, authenticationtype=login, **common)
        certified = {"port": servers.ports[CERTIFIED], "authenticationtype": "NONE"}
        common |= certified | servers.client_certificate()
        yield servers.smtp(f"send-certified.{reader}", account, "STARTTLS", **common)


def decisive(result: Result) -> Attempt:
    assert result.decisive is not None
    return result.decisive


@pytest.mark.parametrize("name", [*ELEMENTS, *READERS])
def test_every_message_is_accepted_and_found(trips: Trips, name: str) -> None:
    pairs = trips.all(name)
    assert len(pairs) >= 12
    for send, read in pairs:
        assert (send.level, send.message) == (Level.GOOD, "Message sent")
        assert read.level is Level.GOOD
        assert read.message in FOUND
        assert decisive(send).status == 250


def test_the_process_that_reads_is_not_the_one_that_sends(trips: Trips) -> None:
    for phase, queue in ((Phase.SEND, "probe.lab"), (Phase.READ, "read.lab")):
        workers = {result.worker for result in trips.running.results(phase=phase)}
        assert {worker.rpartition("/")[2] for worker in workers} == {str(trips.pids[queue])}


@pytest.mark.parametrize("name", ELEMENTS)
def test_the_times_of_a_send_are_there_and_add_up(trips: Trips, name: str) -> None:
    for send, _ in trips.all(name):
        attempt = decisive(send)
        secured = {"SSLHandshakeTime"} if attempt.tls else set()
        assert attempt.times_us.keys() == TIMES | secured
        assert all(0 < took_us < 5_000_000 for took_us in attempt.times_us.values() if took_us)
        # The handshake lies within the time to the 354, all else comes one after the other.
        one_by_one = [attempt.times_us[time] for time in TIMES]
        assert sum(one_by_one) <= attempt.total_us
        assert attempt.times_us.get("SSLHandshakeTime", 0) < attempt.times_us["responseTime"]
        assert attempt.bytes_transferred > 500


@pytest.mark.parametrize("name", ELEMENTS)
def test_what_was_negotiated_is_told(trips: Trips, name: str) -> None:
    for send, _ in trips.all(name):
        tls = decisive(send).tls
        if "NONE" in name:
            assert tls is None
        else:
            assert tls is not None
            assert (tls.version, tls.verified) == ("TLSv1.3", True)


@pytest.mark.parametrize("name", READERS)
def test_the_time_to_deliver_lies_between_acceptance_and_sight(trips: Trips, name: str) -> None:
    for send, read in trips.all(name):
        delivery, accepted_at_us = read.delivery, decisive(send).accepted_at_us
        assert delivery is not None
        assert accepted_at_us is not None
        assert 0 <= delivery.resolution_us <= delivery.to_deliver_us
        # On a busy machine it may be seen before its sender has read that it was accepted.
        assert (delivery.resolution_us > 0) is (delivery.to_deliver_us > 0)
        # Both processes take their time from the same clock.
        assert accepted_at_us + delivery.to_deliver_us <= read.at_us + 5_000
        assert delivery.hop_count == 2  # Postfix, and Dovecot's LMTP
    assert any(read.delivery and read.delivery.to_deliver_us for _, read in trips.all(name))


@pytest.mark.parametrize("name", [*ELEMENTS, *READERS])
def test_servers_that_are_warm_deliver_in_less_than_a_second(trips: Trips, name: str) -> None:
    took_us = []
    for _, read in trips.all(name):
        assert read.delivery is not None
        took_us.append(read.delivery.to_deliver_us)
    assert {read.poll.element for _, read in trips.all(name)} == {
        f"{one}.{reader}" for one in ELEMENTS for reader in READERS if name in (one, reader)
    }
    # A quarter of them: other tests may have the machine now and then, and what we add would be in all.
    assert quantiles(took_us, n=4)[0] < 1_000_000


def test_the_status_command_shows_every_pair_with_its_times(trips: Trips) -> None:
    states = trips.running.command("status")
    assert len(states) == len(ELEMENTS) * len(READERS)
    for state in states:
        assert (state["level"], state["message"] in FOUND) == ("GOOD", True), state
        for name in ("responseTime", "uploadTime", "totalTime"):
            assert 0 < state[name] < 5, (name, state)
        assert 0 <= state["timeToDeliver"] < 5, state


def test_no_poll_has_more_than_one_result_of_a_phase(trips: Trips) -> None:
    results = trips.running.results()
    assert len({(result.poll, result.phase) for result in results}) == len(results)


def test_postfix_saw_the_logins_that_the_profile_names(trips: Trips, servers: MailServers) -> None:
    log = servers.log("postfix")
    for account in trips.accounts:
        for login in ("PLAIN", "CRAM-MD5"):
            assert f"sasl_method={login}, sasl_username={account.name}" in log

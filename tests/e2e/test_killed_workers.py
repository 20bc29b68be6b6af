"""Workers are killed under load: what they had in hand is UNKNOWN, nothing FAILED, nothing counted twice."""

from __future__ import annotations

import socketserver
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from postbeat import slots
from postbeat.model import FaultCode, Level, Pair, Phase
from postbeat.results import Result
from tests.e2e.running import Running, doubled, kill
from tests.listening import TcpServer, serving
from tests.mailservers import MailServers

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

POLL_S = 1
SLOW, MAILED = 12, 4
HELD_S = 0.8  # how long each poll of a slow server is under way, so that a killed worker has some in hand


class _SlowSmtp(socketserver.StreamRequestHandler):
    """An SMTP server that greets late."""

    def handle(self) -> None:
        time.sleep(HELD_S)
        self.wfile.write(b"220 slow.test ESMTP\r\n")
        for line in self.rfile:
            self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 slow.test\r\n")


@dataclass(frozen=True)
class Killed:
    """A site of which one of two workers of region ``twin``, and the only one of ``single`` were killed."""

    running: Running
    pairs: list[Pair]
    killed_at_us: int

    def of(self, region: str) -> list[Result]:
        return [result for result in self.running.results() if result.poll.region == region]

    def silent_in(self, region: str) -> list[Result]:
        return [result for result in self.of(region) if result.level is Level.UNKNOWN]

    def missing(self, region: str) -> set[tuple[Pair, int]]:
        """The polls without a result, from each pair's first one to those that followed the killing."""
        found = {pair: set[int]() for pair in self.pairs if pair.region == region}
        for result in self.of(region):
            if result.phase is Phase.SEND:
                found[result.poll.pair].add(result.poll.slot)
        return {
            (pair, slot)
            for pair, seen in found.items()
            for slot in range(min(seen), slots.slot_at(pair, POLL_S, self.killed_at_us + 2_000_000) + 1)
            if slot not in seen
        }


@pytest.fixture(scope="module")
def killed(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    account = servers.account()
    common: dict[str, Any] = {"poll": POLL_S, "timeout": 5, "regions": ["twin", "single"]}
    with (
        serving(TcpServer(("127.0.0.1", 0), _SlowSmtp)) as server,
        Running.open(tmp_path_factory.mktemp("killed")) as running,
    ):
        slow = {"type": "smtp", "server": "127.0.0.1", "port": server.server_address[1]}
        elements = [slow | common | {"name": f"slow{number}"} for number in range(SLOW)]
        mailed = common | {"read": "box", "delivertimeout": 30}
        elements += [servers.smtp(f"mailed{number}", account, **mailed) for number in range(MAILED)]
        names = [str(element["name"]) for element in elements]
        doomed = [running.worker("twin", "twin-1"), running.worker("single")]
        running.worker("twin", "twin-2")
        running.site.beat(running.profile(servers.mailbox("imap4", "box", account), *elements))
        running.until(lambda: len({one.worker for one in running.results()}) == 3, "result of every worker")
        running.until(lambda: _all_good(running, "", 2 * len(names)), "good level of every pair")
        for child in doomed:
            kill(child)
        pairs = [Pair(name, region) for name in names for region in ("twin", "single")]
        yield Killed(running, pairs, time.time_ns() // 1000)


def _all_good(running: Running, region: str, count: int) -> bool:
    states = [state for state in running.view.states() if region in ("", state.pair.region)]
    return len(states) == count and all(state.level is Level.GOOD for state in states)


def test_the_polls_that_the_killed_worker_had_in_hand_become_unknown(killed: Killed) -> None:
    killed.running.until(lambda: not killed.missing("twin"), "result of every poll of region twin")
    silent = killed.silent_in("twin")
    assert silent
    assert {result.fault.code for result in silent if result.fault} == {FaultCode.SILENT}
    # Only what was under way when it died, and no poll since.
    assert len(silent) <= SLOW + MAILED


def test_the_other_worker_of_the_region_goes_on(killed: Killed) -> None:
    killed.running.until(
        lambda: _all_good(killed.running, "twin", SLOW + MAILED), "good level in region twin"
    )
    later = [one for one in killed.of("twin") if one.at_us > killed.killed_at_us and one.level is Level.GOOD]
    assert {result.poll.pair for result in later} == {pair for pair in killed.pairs if pair.region == "twin"}


def test_a_region_whose_only_worker_was_killed_becomes_unknown(killed: Killed) -> None:
    def all_unknown() -> bool:
        states = [state for state in killed.running.view.states() if state.pair.region == "single"]
        return all(state.level is Level.UNKNOWN for state in states)

    killed.running.until(all_unknown, "unknown level of every pair of region single")
    messages = {result.message for result in killed.silent_in("single") if result.phase is Phase.SEND}
    assert messages == {"No result from region single: is a worker running for queue probe.single?"}


def test_it_is_good_again_with_a_new_worker(killed: Killed) -> None:
    def all_back() -> bool:
        turns: dict[Pair, list[Level]] = {pair: [] for pair in killed.pairs if pair.region == "single"}
        for event in killed.running.events():
            if event.pair in turns:
                turns[event.pair].append(event.level)
        return all(levels[-2:] == [Level.UNKNOWN, Level.GOOD] for levels in turns.values())

    killed.running.worker("single", "single-again")
    killed.running.until(all_back, "way back from unknown to good in region single")


def test_nothing_has_failed_and_nothing_was_counted_twice(killed: Killed) -> None:
    results = killed.running.results()
    assert not [result.message for result in results if result.level is Level.FAILED]
    assert doubled(results) == []

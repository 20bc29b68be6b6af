"""One reader at a time sits at a mailbox's desk; whoever has lost the lease writes no result."""

from __future__ import annotations

import asyncio

import pytest

from postbeat.model import Level, Phase
from postbeat.probes.session import Memory, Place, Seen
from postbeat.store import desk as desks
from postbeat.store import keys
from postbeat.store.desk import LEASE_MS
from postbeat.store.worker import LeaseLostError
from tests.redis.site import BOX, Site, result


def test_a_mailbox_has_one_desk(site: Site) -> None:
    desk = site.desk()
    assert site.run(site.worker.desk(BOX.mailbox)) is None
    assert site.run(desk.release())
    site.desk()


def test_of_many_readers_that_come_at_once_one_gets_the_desk(site: Site) -> None:
    async def all_at_once() -> list[object]:
        return list(await asyncio.gather(*(site.worker.desk(BOX.mailbox) for _ in range(20))))

    desks = site.run(all_at_once())
    assert sum(desk is not None for desk in desks) == 1


def test_a_lease_ends_by_itself(site: Site) -> None:
    site.desk()
    assert 0 < int(site.redis.pttl(keys.lease(BOX.mailbox))) <= LEASE_MS


def test_a_reader_that_keeps_its_lease_renews_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "RENEW_S", 0.01)
    desk = site.desk()
    site.redis.pexpire(keys.lease(BOX.mailbox), 1000)

    async def keep_for_a_while() -> None:
        keeper = asyncio.create_task(desk.keep())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.shield(keeper)
        assert int(site.redis.pttl(keys.lease(BOX.mailbox))) > 1000
        site.lose_lease()
        await keeper

    site.run(keep_for_a_while())


@pytest.mark.parametrize("successor", [True, False])
def test_a_result_without_the_lease_is_refused_and_nothing_is_written(site: Site, successor: bool) -> None:
    site.send(1)
    desk = site.desk()
    site.lose_lease()
    if successor:
        site.desk()
    before = site.dump()
    with pytest.raises(LeaseLostError):
        site.run(desk.record(result(1, Phase.READ, Level.FAILED, 1)))
    assert site.dump() == before


@pytest.mark.parametrize("force", [True, False])
def test_a_lost_lease_is_not_taken_from_its_new_holder(site: Site, force: bool) -> None:
    site.send(1)
    desk = site.desk()
    site.lose_lease()
    successor = site.desk()
    assert site.run(desk.release(force=force))
    site.run(successor.record(result(1, Phase.READ, Level.GOOD, 1)))
    assert site.level() is Level.GOOD


def test_a_reader_that_failed_gives_the_lease_back_whatever_is_pending(site: Site) -> None:
    site.send(1)
    desk = site.desk()
    assert not site.run(desk.release())
    assert site.run(desk.release(force=True))
    assert site.pending() == {"mail@lab#1"}
    site.desk()


@pytest.mark.parametrize(
    "memory",
    [
        Memory(),
        Memory({"INBOX": Seen("7", 4711)}, again=frozenset({Place("Junk", "3")})),
        Memory(count=3, tail={"a": 1, "b c": 2}, others=frozenset({"a", "b c", "ü", '"'})),
    ],
)
def test_what_a_reader_remembers_the_next_one_knows(site: Site, memory: Memory) -> None:
    desk = site.desk()
    assert site.run(desk.memory()) == Memory()
    site.run(desk.remember(memory))
    site.run(desk.release())
    assert site.run(site.desk().memory()) == memory


def test_a_memory_of_a_mailbox_that_nobody_reads_any_more_is_forgotten(site: Site) -> None:
    site.run(site.desk().remember(Memory(count=1)))
    assert 0 < int(site.redis.ttl(keys.memory(BOX.mailbox))) <= desks.MEMORY_S

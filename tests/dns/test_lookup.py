"""What names stand for, asked of real name servers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.rdata
import pytest

from postbeat.model import AddressFamily, FaultCode, FaultError, Side
from postbeat.resolve import Resolver
from tests.dns.clock import Clock
from tests.dns.world import World
from tests.ports import free_port
from tests.servers.conftest import Run


async def fault_of(resolver: Resolver, name: str, family: AddressFamily = AddressFamily.ANY) -> FaultError:
    with pytest.raises(FaultError) as caught:
        await resolver.addresses(name, family)
    return caught.value


def test_a_name_has_the_addresses_of_the_family_asked_for(run: Run, resolver: Resolver) -> None:
    async def test() -> None:
        assert set((await resolver.addresses("both.plain.test")).hosts) == {"127.0.0.1", "::1"}
        assert (await resolver.addresses("both.plain.test", AddressFamily.IPV4)).hosts == ("127.0.0.1",)
        assert (await resolver.addresses("both.plain.test", AddressFamily.IPV6)).hosts == ("::1",)

    run(test())


def test_aliases_are_followed(run: Run, resolver: Resolver) -> None:
    async def test() -> None:
        assert (await resolver.addresses("ALIAS.plain.test")).hosts == ("127.0.0.1",)

    run(test())


@pytest.mark.parametrize(
    ("name", "family", "words"),
    [
        ("missing.plain.test", AddressFamily.ANY, "does not exist"),
        ("empty.plain.test", AddressFamily.ANY, "no address for"),
        ("six.plain.test", AddressFamily.IPV4, "no IPv4 address for"),
    ],
)
def test_a_name_without_address_is_the_fault_of_the_service(
    run: Run, resolver: Resolver, name: str, family: AddressFamily, words: str
) -> None:
    async def test() -> None:
        fault = await fault_of(resolver, name, family)
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.LOOKUP)
        assert words in fault.message

    run(test())


@pytest.mark.parametrize("name", ["a..b.test", f"{'a' * 64}.test", f"{'a.' * 130}test"])
def test_what_is_no_name_is_our_fault(run: Run, resolver: Resolver, name: str) -> None:
    async def test() -> None:
        fault = await fault_of(resolver, name)
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.LOOKUP)

    run(test())


def test_a_name_server_that_refuses_is_our_fault_and_is_named(run: Run, world: World) -> None:
    async def test() -> None:
        resolver = Resolver([world.servers.authoritative], hosts="/nonexistent")
        fault = await fault_of(resolver, "mail.example.com")
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.RESOLVER)
        assert "127.0.0.1 answered REFUSED" in fault.message

    run(test())


def test_a_failure_of_the_name_server_is_our_fault(run: Run, resolver: Resolver) -> None:
    async def test() -> None:
        fault = await fault_of(resolver, "loop.plain.test")
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.RESOLVER)
        assert "SERVFAIL" in fault.message

    run(test())


def test_the_next_name_server_answers_for_one_that_is_away(run: Run, world: World) -> None:
    async def test() -> None:
        resolver = Resolver([("127.0.0.1", free_port()), world.servers.validating], hosts="/nonexistent")
        assert (await resolver.addresses("mx.plain.test")).hosts == ("127.0.0.1",)

    run(test())


def test_an_answer_is_kept_as_long_as_its_time_to_live_and_says_so(run: Run, world: World) -> None:
    async def test() -> None:
        clock = Clock()
        resolver = Resolver([world.servers.authoritative], hosts="/nonexistent", clock=clock)
        assert (await resolver.addresses("mx.plain.test")).source == ""
        clock.now_s = 299
        assert (await resolver.addresses("mx.plain.test")).source == "cached, 1 s left"
        clock.now_s = 300
        assert (await resolver.addresses("mx.plain.test")).source == ""

    run(test())


def test_that_a_name_does_not_exist_is_kept_for_the_time_of_its_zone(run: Run, world: World) -> None:
    async def test() -> None:
        clock = Clock()
        resolver = Resolver([world.servers.authoritative], hosts="/nonexistent", clock=clock)
        assert not (await resolver.ask("missing.plain.test", "A")).cached
        clock.now_s = 59
        assert (await resolver.ask("missing.plain.test", "A")).cached
        clock.now_s = 60
        assert not (await resolver.ask("missing.plain.test", "A")).cached

    run(test())


def test_lookups_of_one_name_at_the_same_time_share_one_question(run: Run, resolver: Resolver) -> None:
    async def test() -> None:
        answers = await asyncio.gather(*(resolver.ask("mx.plain.test", "A") for _ in range(50)))
        assert all(answer is answers[0] for answer in answers)

    run(test())


def test_one_who_gives_up_does_not_take_the_answer_from_the_others(run: Run, resolver: Resolver) -> None:
    async def test() -> None:
        first = asyncio.ensure_future(resolver.ask("mx.plain.test", "A"))
        second = asyncio.ensure_future(resolver.ask("mx.plain.test", "A"))
        await asyncio.sleep(0)
        first.cancel()
        assert [record.to_text() for record in (await second).records] == ["127.0.0.1"]

    run(test())


def test_the_hosts_file_comes_first_and_is_taken_up_when_it_changes(
    run: Run, world: World, tmp_path: Path
) -> None:
    async def test() -> None:
        hosts = tmp_path / "hosts"
        hosts.write_text("192.0.2.7 mx.plain.test box # the old one\n::7 box\nnonsense mx.plain.test\n")
        resolver = Resolver([world.servers.validating], hosts=str(hosts))
        assert (await resolver.addresses("MX.plain.test")).hosts == ("192.0.2.7",)
        assert (await resolver.addresses("box")).hosts == ("192.0.2.7", "::7")
        assert (await resolver.addresses("box", AddressFamily.IPV6)).hosts == ("::7",)
        hosts.write_text("192.0.2.8 other\n")
        assert (await resolver.addresses("mx.plain.test")).hosts == ("127.0.0.1",)

    run(test())


def test_the_search_list_counts_for_names_without_a_dot_only(run: Run, world: World, tmp_path: Path) -> None:
    async def test() -> None:
        conf = tmp_path / "resolv.conf"
        conf.write_text("search missing.plain.test plain.test test\n")
        resolver = Resolver([world.servers.validating], hosts="/nonexistent", resolv_conf=str(conf))
        assert (await resolver.addresses("mx")).hosts == ("127.0.0.1",)
        await fault_of(resolver, "mx.plain")

    run(test())


def test_an_answer_is_secure_where_the_name_server_has_validated_it(run: Run, resolver: Resolver) -> None:
    async def test() -> None:
        assert (await resolver.ask("mx.signed.test", "A")).secure
        assert not (await resolver.ask("mx.plain.test", "A")).secure

    run(test())


def test_an_answer_that_is_too_large_for_one_packet_is_whole(run: Run, resolver: Resolver) -> None:
    async def test() -> None:
        assert len((await resolver.ask("large.plain.test", "TXT")).records) == 20

    run(test())


def test_records_of_every_kind_can_be_asked_for(run: Run, resolver: Resolver) -> None:
    async def test() -> None:
        (record,) = (await resolver.ask("empty.plain.test", "TXT")).records
        assert isinstance(record, dns.rdata.Rdata)
        assert record.to_text() == '"nothing"'

    run(test())

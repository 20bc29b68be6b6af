"""Which mail exchanger a domain's mail goes to, and what is said of the others."""

from __future__ import annotations

import pytest

from postbeat.model import FaultCode, Level, Side
from tests.dns.delivering import PLAIN_SESSION, poll_domain
from tests.dns.world import World
from tests.servers.conftest import Run
from tests.servers.scripted import scripted

pytestmark = pytest.mark.usefixtures("resolver")


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("two.plain.test", "mx.plain.test"),
        ("implicit.plain.test", "implicit.plain.test"),
        ("bücher.plain.test", "mx.plain.test"),
    ],
)
def test_mail_goes_to_the_mail_exchanger_of_the_domain_or_to_the_domain_itself(
    run: Run, world: World, domain: str, host: str
) -> None:
    async def test() -> None:
        async with scripted(PLAIN_SESSION) as server:
            result = await poll_domain(world, server, domain)
        assert (result.level, result.fault) == (Level.GOOD, None)
        assert result.decisive is not None
        assert result.decisive.host == host
        assert result.decisive.address == f"127.0.0.1:{server.port}"
        names = [stage.name for stage in result.decisive.stages]
        assert names == ["mx", "mta-sts", "lookup", "dane", "connect", "greeting", "ehlo", "quit"]

    run(test())


def test_the_next_mail_exchanger_takes_over_and_the_result_is_marginal(run: Run, world: World) -> None:
    async def test() -> None:
        async with scripted(PLAIN_SESSION) as server:
            result = await poll_domain(world, server, "preferred.plain.test")
        assert result.level is Level.MARGINAL
        assert f"refused while connecting to 127.0.0.2:{server.port}" in result.message
        assert result.decisive is not None
        assert result.decisive.host == "mx.plain.test"
        assert result.decisive.stages[0].reply == "dead.plain.test mx.plain.test"

    run(test())


@pytest.mark.parametrize(
    ("domain", "code", "words"),
    [
        ("null.plain.test", FaultCode.NULL_MX, "takes no mail"),
        ("odd.plain.test", FaultCode.LOOKUP, "No MX record of odd.plain.test names a host"),
        ("missing.plain.test", FaultCode.LOOKUP, "The mail domain missing.plain.test does not exist"),
        ("nowhere.plain.test", FaultCode.LOOKUP, "missing.plain.test: the name does not exist"),
        ("empty.plain.test", FaultCode.LOOKUP, "No address for empty.plain.test"),
        ("dead.plain.test", FaultCode.REFUSED, "127.0.0.2"),
    ],
)
def test_a_domain_that_no_mail_can_reach_is_failed(
    run: Run, world: World, domain: str, code: FaultCode, words: str
) -> None:
    async def test() -> None:
        async with scripted(PLAIN_SESSION) as server:
            result = await poll_domain(world, server, domain)
        assert result.level is Level.FAILED
        assert result.fault is not None
        assert (result.fault.side, result.fault.code) == (Side.REMOTE, code)
        assert words in result.message
        assert server.connections == 0

    run(test())


@pytest.mark.parametrize("domain", ["loop.plain.test", "half.plain.test"])
def test_a_name_server_that_fails_says_nothing_of_the_domain(run: Run, world: World, domain: str) -> None:
    async def test() -> None:
        async with scripted(PLAIN_SESSION) as server:
            result = await poll_domain(world, server, domain)
        assert result.level is Level.UNKNOWN
        assert result.fault is not None
        assert result.fault.code is FaultCode.RESOLVER

    run(test())

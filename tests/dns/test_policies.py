"""What MTA-STS and DANE say of a delivery, with data that is right, wrong, expired or missing."""

from __future__ import annotations

import pytest

from postbeat.model import FaultCode, Level
from postbeat.mtasts import PolicyError, PolicyStore, parse
from postbeat.resolve import Resolver
from postbeat.results import PolicyVerdict, Result
from tests.dns.clock import Clock
from tests.dns.delivering import (
    PLAIN_SESSION,
    policy,
    poll_domain,
    secured_session,
    unsecured_session,
    verdict,
)
from tests.dns.world import ENFORCE, TESTING, World, policy_host
from tests.servers.conftest import Run
from tests.servers.scripted import Step, scripted

pytestmark = pytest.mark.usefixtures("resolver")

STS = "MTA-STS"
DANE = "DANE"


async def polled(world: World, domain: str, certificate: str, script: list[Step]) -> Result:
    async with scripted(script, tls=world.contexts[certificate]) as server:
        return await poll_domain(world, server, domain)


def forbidden(result: Result, kind: str, words: str) -> None:
    assert result.level is Level.FAILED
    assert result.fault is not None
    assert result.fault.code is FaultCode.POLICY
    assert words in result.fault.message
    assert verdict(result, kind) is PolicyVerdict.FAILED


def test_a_policy_that_is_met_is_passed_over_a_verified_connection(run: Run, world: World) -> None:
    async def test() -> None:
        async with policy_host(world):
            result = await polled(world, "plain.test", "right", secured_session())
        assert (result.level, result.fault) == (Level.GOOD, None)
        assert (policy(result, STS).mode, verdict(result, STS)) == ("enforce", PolicyVerdict.PASSED)
        assert verdict(result, DANE) is PolicyVerdict.NONE
        assert result.decisive is not None
        assert result.decisive.tls is not None
        assert result.decisive.tls.verified

    run(test())


@pytest.mark.parametrize("certificate", ["expired", "misnamed", "stranger"])
def test_an_enforced_policy_forbids_a_certificate_that_does_not_verify(
    run: Run, world: World, certificate: str
) -> None:
    async def test() -> None:
        async with policy_host(world):
            result = await polled(world, "plain.test", certificate, secured_session())
        forbidden(result, STS, "the MTA-STS policy of plain.test forbids the delivery")

    run(test())


def test_an_enforced_policy_forbids_a_server_without_tls(run: Run, world: World) -> None:
    async def test() -> None:
        async with policy_host(world):
            result = await polled(world, "plain.test", "right", PLAIN_SESSION)
        forbidden(result, STS, "does not offer STARTTLS")

    run(test())


def test_an_enforced_policy_forbids_a_mail_exchanger_that_it_does_not_name(run: Run, world: World) -> None:
    async def test() -> None:
        async with policy_host(world) as host:
            host.body = ENFORCE.replace(b"*.plain", b"*.mx.plain")
            result = await polled(world, "plain.test", "right", PLAIN_SESSION)
        forbidden(result, STS, "does not name its mail exchanger mx.plain.test")

    run(test())


@pytest.mark.parametrize("certificate", ["expired", "misnamed", "stranger"])
def test_a_policy_in_testing_mode_is_told_and_the_message_goes_out(
    run: Run, world: World, certificate: str
) -> None:
    async def test() -> None:
        async with policy_host(world) as host:
            host.body = TESTING
            scripts = secured_session(), unsecured_session()
            async with scripted(*scripts, tls=world.contexts[certificate]) as server:
                result = await poll_domain(world, server, "plain.test")
        assert (result.level, result.fault) == (Level.MARGINAL, None)
        assert verdict(result, STS) is PolicyVerdict.TESTING
        assert "in testing mode, is not met" in result.message

    run(test())


@pytest.mark.parametrize("certificate", ["expired", "misnamed", "stranger"])
def test_a_policy_host_whose_certificate_does_not_verify_has_no_policy(
    run: Run, world: World, certificate: str
) -> None:
    async def test() -> None:
        async with policy_host(world, certificate):
            result = await polled(world, "plain.test", "right", unsecured_session())
        assert (result.level, verdict(result, STS)) == (Level.MARGINAL, PolicyVerdict.UNUSABLE)
        assert "cannot be fetched from mta-sts.plain.test" in result.message

    run(test())


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (b"404 Not Found", ENFORCE, "answers 404"),
        (b"301 Moved", ENFORCE, "answers 301"),
        (b"200 OK", b"", "does not begin with version"),
        (b"200 OK", ENFORCE.replace(b"enforce", b"maybe"), "no valid mode"),
        (b"200 OK", ENFORCE.replace(b"86400", b"long"), "no valid max_age"),
        (b"200 OK", ENFORCE.replace(b"mx:", b"xm:"), "names no mx"),
        (b"200 OK", ENFORCE + b"x" * 65536, "larger than 65536 bytes"),
        (b"\0\0\0", ENFORCE, "not HTTP"),
    ],
)
def test_a_policy_that_cannot_be_read_makes_the_result_marginal(
    run: Run, world: World, status: bytes, body: bytes, words: str
) -> None:
    async def test() -> None:
        async with policy_host(world) as host:
            host.status, host.body = status, body
            result = await polled(world, "plain.test", "right", unsecured_session())
        assert (result.level, verdict(result, STS)) == (Level.MARGINAL, PolicyVerdict.UNUSABLE)
        assert words in result.message

    run(test())


@pytest.mark.parametrize("domain", ["implicit.plain.test", "two.plain.test"])
def test_a_domain_without_exactly_one_record_has_no_policy(run: Run, world: World, domain: str) -> None:
    async def test() -> None:
        async with policy_host(world) as host:
            result = await polled(world, domain, "right", unsecured_session())
        assert (result.level, verdict(result, STS)) == (Level.GOOD, PolicyVerdict.NONE)
        assert host.requests == []

    run(test())


def test_a_policy_is_fetched_once_as_long_as_its_id_is_the_same(run: Run, world: World) -> None:
    async def test() -> None:
        async with policy_host(world) as host:
            for _ in range(3):
                result = await polled(world, "plain.test", "right", secured_session())
                assert verdict(result, STS) is PolicyVerdict.PASSED
        assert len(host.requests) == 1
        assert host.requests[0].startswith(
            b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.plain.test"
        )

    run(test())


@pytest.mark.parametrize("domain", ["full", "key", "digest", "anchor", "anchor-key", "rollover"])
def test_a_certificate_that_a_tlsa_record_names_is_passed(run: Run, world: World, domain: str) -> None:
    async def test() -> None:
        result = await polled(world, f"{domain}.signed.test", "right", secured_session())
        assert (result.level, result.fault) == (Level.GOOD, None)
        assert (policy(result, DANE).secure, verdict(result, DANE)) == (True, PolicyVerdict.PASSED)

    run(test())


@pytest.mark.parametrize(
    ("domain", "certificate", "words"),
    [
        ("wrong", "right", "is not that of the TLSA record (3 1 1)"),
        ("key", "stranger", "is not that of the TLSA record (3 1 1)"),
        ("anchor", "stranger", "no certificate of the chain is that of the TLSA record (2 0 1)"),
        ("anchor", "forged", "no certificate of the chain is that of the TLSA record (2 0 1)"),
        ("anchor", "expired", "out of date"),
        ("anchor", "misnamed", "is not for mx-anchor.signed.test"),
    ],
)
def test_a_certificate_that_no_tlsa_record_names_is_forbidden(
    run: Run, world: World, domain: str, certificate: str, words: str
) -> None:
    async def test() -> None:
        result = await polled(world, f"{domain}.signed.test", certificate, secured_session())
        forbidden(result, DANE, words)

    run(test())


def test_a_tlsa_record_forbids_a_server_without_tls(run: Run, world: World) -> None:
    async def test() -> None:
        result = await polled(world, "key.signed.test", "right", PLAIN_SESSION)
        forbidden(result, DANE, "does not offer STARTTLS")

    run(test())


@pytest.mark.parametrize(
    ("domain", "level", "words"),
    [
        ("unusable.signed.test", Level.MARGINAL, "no TLSA record is one that SMTP can use"),
        ("insecure.plain.test", Level.GOOD, "our name server has not validated them"),
    ],
)
def test_tlsa_records_that_cannot_be_used_forbid_nothing(
    run: Run, world: World, domain: str, level: Level, words: str
) -> None:
    async def test() -> None:
        result = await polled(world, domain, "right", unsecured_session())
        assert (result.level, verdict(result, DANE)) == (level, PolicyVerdict.UNUSABLE)
        assert words in policy(result, DANE).reason

    run(test())


def test_a_kept_policy_stays_in_force_until_its_age_and_no_longer(
    run: Run, world: World, resolver: Resolver
) -> None:
    async def test() -> None:
        clock = Clock()
        async with policy_host(world) as host:
            store = PolicyStore(host.port, world.authority_file, clock)
            assert (await store.of("plain.test")) == parse(ENFORCE)
            host.status = b"500 Broken"
            clock.now_s = 3599
            assert (await store.of("plain.test")) == parse(ENFORCE)
            clock.now_s = 3600
            assert (await error_of(store)).kept == parse(ENFORCE)
            clock.now_s = 86400
            assert (await error_of(store)).kept is None
            assert len(host.requests) == 3

    run(test())


async def error_of(store: PolicyStore) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        await store.of("plain.test")
    return caught.value

"""To a mail domain as other servers deliver to it: its mail exchangers, and its policies (MTA-STS, DANE)."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from dns.rdtypes.ANY.MX import MX

from postbeat import dial, policy, resolve
from postbeat.dial import Address
from postbeat.elements import SmtpElement
from postbeat.model import FaultCode, FaultError, LocalFault, RemoteFault, SecurityType, Side
from postbeat.policy import Dane, Policing, Sts
from postbeat.probes.readings import Readings

EXCHANGERS = 10  # of a domain that are tried

_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")  # what DNS may hold beside is no host name


@dataclass(frozen=True, slots=True)
class Securing:
    """How a connection is secured, for which server name, and what then checks the server's certificates."""

    type: SecurityType
    context: ssl.SSLContext | None
    server: str
    check: Callable[[Sequence[bytes]], None] | None = None


Session = Callable[[socket.socket, Securing], Awaitable[None]]
Context = Callable[[bool], ssl.SSLContext]  # the element's, with or without verification


@dataclass(frozen=True, slots=True)
class Exchangers:
    """The mail exchangers of a domain, best first, and whether our name server has validated that."""

    hosts: tuple[str, ...]
    secure: bool


async def exchangers(domain: str) -> Exchangers:
    """Where mail for a domain goes (RFC 5321 section 5.1).

    Raises:
        RemoteFault: the domain does not exist, or takes no mail (RFC 7505).
        LocalFault: our name servers did not answer.
    """
    answer = await resolve.shared().ask(domain, "MX")
    if not answer.exists:
        raise RemoteFault(FaultCode.LOOKUP, f"the mail domain {domain} does not exist")
    records = [record for record in answer.records if isinstance(record, MX)]
    if not records:
        return Exchangers((domain,), answer.secure)  # the implicit MX
    # Equals in random order, to spread the load.
    records.sort(key=lambda record: (record.preference, random.random()))  # noqa: S311
    hosts = [record.exchange.to_text(omit_final_dot=True) for record in records]
    if not any(host.strip(".") for host in hosts):
        raise RemoteFault(FaultCode.NULL_MX, f"{domain} says that it takes no mail (its MX record is null)")
    named = tuple(host for host in hosts if _HOST.fullmatch(host))
    if not named:
        raise RemoteFault(FaultCode.LOOKUP, f"no MX record of {domain} names a host: {hosts[0][:100]}")
    return Exchangers(named[:EXCHANGERS], answer.secure)


async def send(element: SmtpElement, context: Context, session: Session, readings: Readings) -> None:
    """Has ``session`` deliver to the best mail exchanger that can be reached, under the domain's policies.

    Raises:
        RemoteFault, LocalFault: why it could not; code POLICY where a policy forbids it.
    """
    timeline = readings.timeline
    with timeline.stage("mx"):
        domain = resolve.ascii_name(element.server)
        found = await exchangers(domain)
        timeline.reply(" ".join(found.hosts))
    with timeline.stage("mta-sts"):
        sts = await policy.sts_of(domain, element.timeout / 3)
        timeline.reply(sts.facts(found.hosts[0]).reason)
    passed_over: list[FaultError] = []
    for index, host in enumerate(found.hosts):
        share = 1 if index + 1 == len(found.hosts) else len(found.hosts)
        try:
            way = await _way(element, host, sts, readings, share=share, secure=found.secure)
        except FaultError as fault:
            timeline.end()
            passed_over.append(fault)
            continue
        # Mail arrives, but not as it should where a better mail exchanger did wrong.
        readings.warnings += [fault.message for fault in passed_over if fault.side is Side.REMOTE]
        await _deliver(element, way, context, session, readings)
        return
    readings.policies = Policing(found.hosts[0], sts, Dane()).facts
    raise min(passed_over, key=_telling)


def _telling(fault: FaultError) -> int:
    """The order in which faults speak for all: a host that could not be looked up might have worked."""
    return 0 if fault.code is FaultCode.RESOLVER else 1 if fault.side is Side.REMOTE else 2


@dataclass(frozen=True, slots=True)
class _Way:
    """A connection to a mail exchanger, and the policies for it."""

    sock: socket.socket
    address: Address
    policing: Policing


async def _way(
    element: SmtpElement, host: str, sts: Sts, readings: Readings, *, share: int, secure: bool
) -> _Way:
    """The way to one mail exchanger, found in a ``share``-th of the attempt's time."""
    sts.admit(host)
    timeline = readings.timeline
    try:
        async with asyncio.timeout(element.timeout / share if share > 1 else None):
            addresses = await dial.lookup(host, element.port, timeline, dial.family_of(element))
            with timeline.stage("dane"):
                tlsa = await policy.dane_of(host, element.port, secure=secure)
                timeline.reply(tlsa.facts().reason)
            sock, address = await dial.connect(addresses, timeline, element.sourceaddress, element.timeout)
    except TimeoutError as error:
        if timeline.open_stage != "connect":
            raise LocalFault(FaultCode.RESOLVER, f"could not look up {host} in time") from error
        raise RemoteFault(FaultCode.TIMEOUT, f"no answer while connecting to {host}") from error
    return _Way(sock, address, Policing(host, sts, tlsa))


async def _deliver(
    element: SmtpElement, way: _Way, context: Context, session: Session, readings: Readings
) -> None:
    policing = way.policing
    readings.host = policing.host
    readings.connected(str(way.address))
    try:
        with closing(way.sock):
            await session(way.sock, _securing(element, policing, context))
    except RemoteFault as fault:
        # What goes wrong on the way to TLS is where an attacker would sit.
        unsecured = readings.timeline.open_stage in ("starttls", "tls")
        if fault.code is FaultCode.POLICY or not (unsecured and policing.encrypts):
            raise
        policing.not_secured(fault)
        # In testing mode senders deliver all the same.
        securing = _securing(element, policing, context)
        sock, address = await dial.connect([way.address], readings.timeline, element.sourceaddress)
        readings.connected(str(address))
        await session(sock, securing)
    finally:
        readings.policies = policing.facts
        readings.warnings += policing.warnings()


def _securing(element: SmtpElement, policing: Policing, context: Context) -> Securing:
    """TLS where the element or a policy asks for it, verified where one of them does."""
    asked = element.securitytype is SecurityType.STARTTLS
    if not (asked or policing.encrypts):
        return Securing(SecurityType.NONE, None, policing.host)
    verify = policing.verifies or (asked and element.tlsverify)
    return Securing(SecurityType.STARTTLS, context(verify), policing.host, policing.secured)

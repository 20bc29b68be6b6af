"""What a mail domain's policies, MTA-STS and DANE, ask of a delivery, and whether it is met.

Each is judged on its own: where a sender that honours one of them would not deliver, mail is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dns.rdtypes.ANY.TLSA import TLSA

from postbeat import dane, mtasts, resolve
from postbeat.dane import Tlsa
from postbeat.model import FaultCode, FaultError, RemoteFault
from postbeat.mtasts import PolicyError, StsPolicy
from postbeat.results import PolicyFacts, PolicyVerdict

STS = "MTA-STS"
DANE = "DANE"
RECORDS = 20  # TLSA records of a name that are looked at


@dataclass(frozen=True, slots=True)
class Sts:
    """The MTA-STS policy that is in force for a domain, and what kept us from seeing it today.

    ``ours`` is whether that was a fault of ours.
    """

    domain: str
    policy: StsPolicy | None = None
    problem: str = ""
    ours: bool = False

    @property
    def applies(self) -> bool:
        """Whether it asks for anything."""
        return self.policy is not None and self.policy.mode != "none"

    @property
    def enforced(self) -> bool:
        """Whether senders must not deliver where it is not met."""
        return self.policy is not None and self.policy.mode == "enforce"

    def admit(self, host: str) -> None:
        """Raises RemoteFault where the policy forbids to deliver to this mail exchanger at all."""
        if self.enforced and self.policy and not self.policy.allows(host):
            raise RemoteFault(
                FaultCode.POLICY,
                f"the MTA-STS policy of {self.domain} does not name its mail exchanger {host}",
            )

    def facts(self, host: str) -> PolicyFacts:
        """What can be said before there is a connection."""
        if self.policy is None:
            verdict = PolicyVerdict.UNUSABLE if self.problem else PolicyVerdict.NONE
            return PolicyFacts(STS, verdict, self.problem or "the domain has no MTA-STS policy")
        mode = self.policy.mode
        if not self.applies:
            return PolicyFacts(STS, PolicyVerdict.NONE, "the policy asks for nothing", mode)
        if not self.policy.allows(host):
            verdict = PolicyVerdict.FAILED if self.enforced else PolicyVerdict.TESTING
            return PolicyFacts(STS, verdict, f"the policy does not name {host}", mode)
        return PolicyFacts(STS, PolicyVerdict.UNTRIED, f"the policy names {host}", mode)


@dataclass(frozen=True, slots=True)
class Dane:
    """The TLSA records of a mail exchanger; ``broken`` where the domain's DNS itself is wrong."""

    records: tuple[Tlsa, ...] = ()
    secure: bool = False
    problem: str = ""
    broken: bool = False

    @property
    def applies(self) -> bool:
        """Whether senders check certificates against the records."""
        return self.secure and any(record.usable for record in self.records)

    def facts(self) -> PolicyFacts:
        """What can be said before there is a connection."""
        if self.applies:
            kinds = ", ".join(str(record) for record in self.records)
            return PolicyFacts(DANE, PolicyVerdict.UNTRIED, f"TLSA records: {kinds}", secure=True)
        verdict = PolicyVerdict.UNUSABLE if self.problem else PolicyVerdict.NONE
        reason = self.problem or "the mail exchanger has no TLSA records"
        return PolicyFacts(DANE, verdict, reason, secure=self.secure)


async def sts_of(domain: str, timeout_s: float) -> Sts:
    """The MTA-STS policy that is in force for a domain; never raises for what is wrong with it."""
    try:
        return Sts(domain, await mtasts.shared().of(domain, timeout_s))
    except PolicyError as error:
        return Sts(domain, error.kept, str(error), error.ours)


async def dane_of(host: str, port: int, *, secure: bool) -> Dane:
    """The TLSA records of a mail exchanger (RFC 7672 section 2.2); never raises for what is wrong with them.

    ``secure`` is whether the way to the host is validated: DANE rests on the MX record, the addresses and the
    TLSA records together.
    """
    resolver = resolve.shared()
    try:
        secure = secure and (await resolver.addresses(host)).secure
        answer = await resolver.ask(f"_{port}._tcp.{host}", "TLSA")
    except FaultError as error:
        # The same name servers have just validated the rest: it is the domain's DNS that does not answer,
        # and senders wait (RFC 7672 section 2.1.2).
        return Dane(secure=secure, problem=f"the TLSA records cannot be had: {error.message}", broken=secure)
    records = tuple(
        Tlsa(item.usage, item.selector, item.mtype, item.cert)
        for item in answer.records[:RECORDS]
        if isinstance(item, TLSA)
    )
    if not records:
        return Dane(secure=secure and answer.secure)
    if not (secure and answer.secure):
        return Dane(records, problem="there are TLSA records, and our name server has not validated them")
    if not any(record.usable for record in records):
        return Dane(records, secure=True, problem="no TLSA record is one that SMTP can use", broken=True)
    return Dane(records, secure=True)


class Policing:
    """The policies for the delivery to one mail exchanger, and how they are met as it goes on.

    ``verifies`` is whether the certificate has to be verified by authorities, for MTA-STS.
    """

    def __init__(self, host: str, sts: Sts, tlsa: Dane) -> None:
        self.host = host
        self.verifies = sts.applies
        self._sts, self._tlsa = sts, tlsa
        self._sts_facts, self._dane_facts = sts.facts(host), tlsa.facts()

    @property
    def encrypts(self) -> bool:
        """Whether a policy asks for TLS."""
        return self.verifies or self._tlsa.applies

    @property
    def facts(self) -> tuple[PolicyFacts, ...]:
        """Both policies, as far as they are judged."""
        return self._sts_facts, self._dane_facts

    def secured(self, chain: Sequence[bytes]) -> None:
        """There is TLS, with this chain of certificates in DER, verified where that was asked for.

        Raises:
            RemoteFault: DANE forbids to deliver.
        """
        if self.verifies and self._sts_facts.verdict is PolicyVerdict.UNTRIED:
            self._sts_facts = replace(
                self._sts_facts, verdict=PolicyVerdict.PASSED, reason="the certificate is verified"
            )
        if not self._tlsa.applies:
            return
        names = (self.host, self._sts.domain)
        reason = dane.mismatch(self._tlsa.records, chain, names, datetime.now(UTC))
        if reason:
            self._forbid_by_dane(reason)
        reason = "the certificate is that of a TLSA record"
        self._dane_facts = replace(self._dane_facts, verdict=PolicyVerdict.PASSED, reason=reason)

    def not_secured(self, fault: RemoteFault) -> None:
        """There is no TLS, or no verified one. Returns where a sender would go on without verification.

        Raises:
            RemoteFault: a policy forbids to deliver.
        """
        if not self.verifies:
            self._forbid_by_dane(fault.message)
        self.verifies = False
        verdict = PolicyVerdict.FAILED if self._sts.enforced else PolicyVerdict.TESTING
        self._sts_facts = replace(self._sts_facts, verdict=verdict, reason=fault.message)
        if self._sts.enforced:
            text = f"the MTA-STS policy of {self._sts.domain} forbids the delivery: {fault.message}"
            raise RemoteFault(FaultCode.POLICY, text, status=fault.status)

    def _forbid_by_dane(self, reason: str) -> None:
        self._dane_facts = replace(self._dane_facts, verdict=PolicyVerdict.FAILED, reason=reason)
        raise RemoteFault(FaultCode.POLICY, f"DANE forbids the delivery to {self.host}: {reason}")

    def warnings(self) -> list[str]:
        """What is wrong with the policies though mail is delivered."""
        found = []
        domain, sts, tlsa = self._sts.domain, self._sts_facts, self._dane_facts
        if sts.verdict is PolicyVerdict.TESTING:
            found.append(f"the MTA-STS policy of {domain}, in testing mode, is not met: {sts.reason}")
        if self._sts.problem and not self._sts.ours:
            found.append(f"the MTA-STS policy of {domain} cannot be had: {self._sts.problem}")
        if tlsa.verdict is PolicyVerdict.UNUSABLE and self._tlsa.broken:
            found.append(f"DANE cannot be used for {self.host}: {tlsa.reason}")
        return found

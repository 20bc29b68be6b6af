"""What polls measured, as types: results with their attempts and stages, and the events they bring about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from postbeat.delivery import Bounce, Delivery, MailboxFacts, Outcome
from postbeat.model import (
    AuthenticationType,
    Fault,
    Kind,
    Level,
    LoginType,
    Pair,
    Phase,
    Poll,
    SecurityType,
)
from postbeat.verdict import LEVELS_WORST_FIRST, Verdict


@dataclass(frozen=True, slots=True)
class Stage:
    """A timed part of a probe. ``took_us`` runs to the deadline or the fault where ``ended`` is false."""

    name: str
    at_us: int
    took_us: int
    reply: str = ""
    ended: bool = True


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What was negotiated, and what the server's certificate says.

    ``verified`` is false where tlsverify is off. ``names`` are the first of the certificate's names.
    ``expires_at_us`` is the earliest end in the chain, ``expiring`` the subject of the certificate that it is
    of; where ``whole_chain`` is false, only the server's own certificate was seen. ``certificate_asked`` is
    whether the server asked for a client certificate, None where that cannot be seen.
    """

    version: str
    cipher: str
    verified: bool
    subject: str = ""
    issuer: str = ""
    names: tuple[str, ...] = ()
    expires_at_us: int | None = None
    expiring: str = ""
    whole_chain: bool = False
    certificate_asked: bool | None = None


class PolicyVerdict(StrEnum):
    """What a policy of a mail domain says of the delivery that was tried."""

    NONE = "none"  # the domain has no such policy
    UNTRIED = "untried"  # the delivery ended before it was of account
    PASSED = "passed"
    FAILED = "failed"  # senders that honour the policy do not deliver
    TESTING = "testing"  # the policy is not met, and only asks for reports
    UNUSABLE = "unusable"  # the policy cannot be used: senders deliver as if there were none, or wait


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """A policy of a mail domain, ``MTA-STS`` (RFC 8461) or ``DANE`` (RFC 7672), and how it was met.

    ``mode`` is that of the MTA-STS policy. ``secure`` is whether our name server has validated what DANE
    rests on.
    """

    kind: str
    verdict: PolicyVerdict
    reason: str
    mode: str = ""
    secure: bool = False


_ENHANCED = re.compile(r"([245])[0-9]{2}[ -](\1\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")


def enhanced_code(reply: str) -> str:
    """The enhanced status code of a reply (RFC 2034 section 4), or "": its class is that of the status."""
    match = _ENHANCED.match(reply)
    return match[2] if match is not None else ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a poll: its stages, and the figures of design decision "what a timing means".

    ``warnings`` are what is wrong with a service that works all the same: they make it MARGINAL. ``host`` is
    the mail exchanger that was probed, where the domain's MX records named it.
    """

    number: int
    started_at_us: int
    total_us: int
    stages: tuple[Stage, ...] = ()
    times_us: Mapping[str, int] = field(default_factory=dict)
    bytes_transferred: int = 0
    status: int | None = None
    reply: str = ""
    address: str = ""
    host: str = ""
    policies: tuple[PolicyFacts, ...] = ()
    tls: TlsFacts | None = None
    fault: Fault | None = None
    warnings: tuple[str, ...] = ()
    accepted_at_us: int | None = None
    loop_lag_us: int = 0

    @property
    def enhanced(self) -> str:
        """The enhanced status code of the last reply, such as ``5.7.1`` (RFC 2034, RFC 3463), or ""."""
        return enhanced_code(self.reply)


@dataclass(frozen=True, slots=True)
class Service:
    """What an element asked for when it was polled: what no poll measures of the page's Table 3."""

    port: int
    security: SecurityType
    authentication: AuthenticationType | LoginType
    user: str = ""
    email: str = ""
    host: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Grading:
    """How a result got its level, where its element has service levels or retests.

    ``classification`` is the text of the one that decided, "" where none did. ``consecutive_failures`` is the
    number of failed attempts in a row at the end of the poll, 0 where the last did not fail after others had,
    None where none failed or the element asks for no retests. ``last_level`` and ``failing_for_us`` are how
    the pair stood before the poll, None where that was not asked for.
    """

    classification: str = ""
    failure_retests: int = 0
    consecutive_failures: int | None = None
    last_level: Level | None = None
    failing_for_us: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one phase of a poll measured. There is at most one for each poll and phase.

    ``service`` stands in the results of sends and checks, ``outcome`` in those of reads and of what comes
    after them, ``mailbox`` in those of checks.
    """

    poll: Poll
    phase: Phase
    kind: Kind
    level: Level
    message: str
    at_us: int
    attempts: tuple[Attempt, ...] = ()
    fault: Fault | None = None
    delivery: Delivery | None = None
    worker: str = ""
    service: Service | None = None
    outcome: Outcome | None = None
    bounce: Bounce | None = None
    mailbox: MailboxFacts | None = None
    grading: Grading | None = None

    @property
    def decisive(self) -> Attempt | None:
        """The attempt that the result speaks of: the last."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a pair's level, or an outcome that changes what was said before.

    With the result that brought it about, and its fault. ``was`` and ``level`` are the same where only the
    outcome is news. ``id`` is that of the entry in the stream of events.
    """

    pair: Pair
    was: Level
    level: Level
    at_us: int
    poll: Poll
    phase: Phase
    message: str
    outcome: Outcome | None = None
    id: str = ""
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a region has the level that counts for the verdict.

    From its newest result of that level: ``stage``, ``code`` and ``side`` are those of the fault ("" for
    none), ``phase`` is None where no result ever came. A long ``message`` is cut.
    """

    level: Level
    phase: Phase | None
    stage: str
    code: str
    side: str
    message: str


def region_texts(
    levels: Mapping[str, str], said: Mapping[str, tuple[str | None, str | None, str | None]]
) -> list[str]:
    """Each region in one line, such as ``eu-west: FAILED (data) 452 no space``.

    Those of the worst level come first, and those of one level by name.

    Args:
        levels: the level of each region.
        said: level, stage and message of the reasons that are known. What was said of another level is left
            out.
    """

    def text(region: str) -> str:
        level = levels[region]
        of_level, stage, message = said.get(region, (None, None, None))
        reason = f"({stage}) {message}" if stage else message or ""
        return " ".join(f"{region}: {level} {reason if of_level == level else ''}".split())

    order = sorted(levels, key=lambda region: (LEVELS_WORST_FIRST.index(Level(levels[region])), region))
    return [text(region) for region in order]


@dataclass(frozen=True, slots=True)
class VerdictEvent:
    """A change of the verdict on an element, with the poll that brought it about.

    ``regions`` has the confirmed level of each region, after the change, ``reasons`` why those are not GOOD
    that are not, of the ten worst. ``message`` and ``fault`` are those of the worst region. An event that was
    written before there were reasons has none, no fault, and the message of the poll.
    """

    element: str
    was: Verdict
    verdict: Verdict
    at_us: int
    poll: Poll
    regions: Mapping[str, Level]
    message: str
    id: str = ""
    fault: Fault | None = None
    reasons: Mapping[str, Reason] = field(default_factory=dict)

    @property
    def region_texts(self) -> list[str]:
        """Each region in one line, with its reason, the worst first."""
        said = {region: (it.level, it.stage, it.message) for region, it in self.reasons.items()}
        return region_texts(self.regions, said)


AnyEvent = Event | VerdictEvent

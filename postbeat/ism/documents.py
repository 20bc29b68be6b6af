"""The JSON documents of results, as types that say what is wrong with one.

The names, and their meaning, are those that :mod:`postbeat.plain` writes: seconds, bytes, epoch seconds.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from postbeat.delivery import Outcome
from postbeat.model import FaultCode, Kind, Level, Phase, SecurityType, Side
from postbeat.results import PolicyVerdict

# Instants too: a certificate may end with the year 9999, at 253402300799 (RFC 5280 section 4.1.2.5).
Seconds = Annotated[float, Field(ge=-1e12, le=1e12)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Part(BaseModel):
    """What of a document is not known here is left aside."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class FaultPart(Part):
    """A fault, as it was said."""

    side: Side
    code: FaultCode
    stage: str = ""
    message: str = ""


class StagePart(Part):
    """A stage of an attempt; times in seconds."""

    name: str
    at: Seconds = 0
    took: Seconds = 0
    reply: str = ""
    ended: bool = True


class TlsPart(Part):
    """What TLS came to."""

    version: str = ""
    cipher: str = ""
    verified: bool = False
    subject: str = ""
    issuer: str = ""
    names: list[str] = []
    notAfter: Seconds | None = None
    expiring: str = ""
    wholeChain: bool = False
    certificateAsked: bool | None = None


class PolicyPart(Part):
    """A policy of the mail domain."""

    kind: str
    verdict: PolicyVerdict
    reason: str = ""
    mode: str = ""
    secure: bool = False


class AttemptPart(Part):
    """One attempt of the poll."""

    number: Count
    startTime: Seconds | None = None
    address: str = ""
    host: str = ""
    status: int | None = None
    totalTime: Seconds = 0
    loopLag: Seconds = 0
    tls: TlsPart | None = None
    policies: list[PolicyPart] = []
    warnings: list[str] = []
    fault: FaultPart | None = None
    stages: list[StagePart] = []


class HopPart(Part):
    """A host that took the message over."""

    by: str | None = None
    sender: str | None = Field(None, alias="from")
    protocol: str | None = None
    at: Seconds | None = None
    took: Seconds | None = None
    skew: Seconds | None = None


class VerdictPart(Part):
    """A verdict on the message."""

    result: str
    by: str = ""
    reason: str | None = None


class BouncePart(Part):
    """What a notification says."""

    action: str
    status: str | None = None
    text: str | None = None
    recipient: str | None = None
    reportedBy: str | None = None
    remote: str | None = None


class ResultDocument(Part):
    """What :func:`postbeat.plain.result_as_data` writes, as far as a result can be made of it again."""

    poll: str
    phase: Phase
    kind: Kind
    level: Level
    message: str
    at: Seconds
    outcome: Outcome | None = None
    classification: str | None = None
    worker: str = ""
    fault: FaultPart | None = None
    attempts: list[AttemptPart] = []

    description: str | None = None
    host: str | None = None
    failureRetests: Count | None = None
    consecutiveFailures: Count | None = None
    lastServiceLevel: Annotated[int, Field(ge=0, le=3)] | None = None
    timeSinceFirstFailure: Seconds | None = None
    authentication: str | None = None
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    security: SecurityType | None = None
    user: str | None = None
    email: str | None = None

    lookupTime: Seconds | None = None
    connectTime: Seconds | None = None
    SSLHandshakeTime: Seconds | None = None
    loginTime: Seconds | None = None
    responseTime: Seconds | None = None
    uploadTime: Seconds | None = None
    bytesTransferred: Count | None = None

    messages: Count | None = None
    size: Count | None = None
    quotaUsed: Count | None = None
    quotaLimit: Count | None = None
    folders: dict[str, Count] | None = None
    tally: dict[str, Count] | None = None

    bounce: BouncePart | None = None
    timeToDeliver: Seconds | None = None
    timeToDeliverResolution: Seconds | None = None
    timeToDeliverUncertainty: Seconds | None = None
    pushed: bool | None = None
    hopCount: Count | None = None
    hops: list[HopPart] | None = None
    folder: str | None = None
    copies: Count | None = None
    altered: list[str] | None = None
    outOfOrder: bool | None = None
    verdicts: dict[str, VerdictPart | None] | None = None
    serverSkew: Seconds | None = None
    serverSkewUncertainty: Seconds | None = None

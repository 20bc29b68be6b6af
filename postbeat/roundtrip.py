"""A round trip as one: both halves of a poll, seen under the ISM's element names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from postbeat.elements import SmtpElement
from postbeat.grade import days_left, merged
from postbeat.model import Fault, Level, Pair, Phase, Poll
from postbeat.profile import Profile
from postbeat.results import Attempt, PolicyFacts, Result, TlsFacts

# The timings of the reference page's Table 3, in the order in which they pass.
TIMES = ("lookupTime", "connectTime", "SSLHandshakeTime", "responseTime", "uploadTime")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The send of a pair and the read that belongs to it.

    ``read`` is None while it is under way, and where nothing is read; ``reads`` tells which.
    """

    pair: Pair
    reads: bool
    send: Result | None = None
    read: Result | None = None

    @property
    def level(self) -> Level:
        """The level of both halves together."""
        send = self.send.level if self.send else Level.UNKNOWN
        read = self.read.level if self.read else Level.UNKNOWN
        comes = self.reads and (self.read is not None or not self.complete)
        return merged(send, read if comes else None)

    @property
    def complete(self) -> bool:
        """Whether nothing more comes: the read is there, or the send put no message on its way."""
        return self.read is not None or (
            self.send is not None and (not self.reads or self.send.fault is not None)
        )

    @property
    def message(self) -> str:
        """The text of the half that decides the level."""
        return next((half.message for half in self._halves() if half.level is self.level), "No result yet")

    def _halves(self) -> Iterable[Result]:
        return (half for half in (self.read, self.send) if half is not None)

    def as_data(self) -> dict[str, Any]:
        """Plain data: times in seconds, ``at`` in seconds since the epoch; what was not measured is None."""
        send = self.send.decisive if self.send else None
        data: dict[str, Any] = {
            "element": self.pair.element,
            "region": self.pair.region,
            "level": self.level,
            "message": self.message,
            "at": max((half.at_us for half in self._halves()), default=0) / 1e6 or None,
        }
        data |= elements_as_data(self.send)
        data |= _delivered(self.read)
        data["totalTime"] = seconds(send.total_us) if send else None
        data["send"] = half_as_data(self.send) if self.send else None
        data["read"] = half_as_data(self.read) if self.read else None
        return data


class RoundTrips:
    """Puts the halves of each poll together as they come, and gives each round trip once it is complete.

    Halves may come in any order; one whose other half never comes is forgotten after LIMIT later polls.
    """

    LIMIT = 10_000

    def __init__(self) -> None:
        self._open: dict[Poll, RoundTrip] = {}

    def add(self, result: Result, profile: Profile) -> RoundTrip | None:
        """Takes a result; returns the round trip that it completes, if any."""
        element = profile.elements.get(result.poll.element)
        reads = isinstance(element, SmtpElement) and element.read is not None
        trip = self._open.pop(result.poll, None) or RoundTrip(result.poll.pair, reads)
        trip = replace(trip, send=result) if result.phase is Phase.SEND else replace(trip, read=result)
        if trip.complete and trip.send is not None:
            return trip
        self._open[result.poll] = trip
        if len(self._open) > self.LIMIT:
            del self._open[next(iter(self._open))]
        return None


def seconds(time_us: int | None) -> float | None:
    """Microseconds as seconds, None as None."""
    return None if time_us is None else time_us / 1e6


def elements_as_data(send: Result | None) -> dict[str, Any]:
    """The elements of the page's Table 3 but for ``message``: times in seconds, None for what is unknown."""
    attempt = send.decisive if send else None
    service = send.service if send else None
    data: dict[str, Any] = {
        "authentication": service.authentication if service else None,
        "email": (service.email or None) if service else None,
        "port": service.port if service else None,
        "security": service.security if service else None,
        "user": (service.user or None) if service else None,
        "status": attempt.status if attempt else None,
    }
    data |= {name: seconds(attempt.times_us.get(name)) if attempt else None for name in TIMES}
    return data | _transferred(attempt)


def _transferred(attempt: Attempt | None) -> dict[str, Any]:
    count = attempt.bytes_transferred if attempt else 0
    took_us = attempt.times_us.get("uploadTime") if attempt else None
    per_second = round(count * 1e6 / took_us) if count and took_us else None
    return {"bytesTransferred": count or None, "bytesPerSec": per_second}


def _delivered(read: Result | None) -> dict[str, Any]:
    delivery = read.delivery if read else None
    return {
        "timeToDeliver": seconds(delivery.to_deliver_us) if delivery else None,
        "timeToDeliverResolution": seconds(delivery.resolution_us) if delivery else None,
        "hopCount": delivery.hop_count if delivery else None,
    }


def half_as_data(result: Result) -> dict[str, Any]:
    """One half as plain data, with its attempts."""
    return {
        "poll": str(result.poll),
        "phase": result.phase,
        "kind": result.kind,
        "level": result.level,
        "message": result.message,
        "at": result.at_us / 1e6,
        "worker": result.worker,
        "fault": fault_as_data(result.fault),
        "attempts": [
            {
                "number": attempt.number,
                "address": attempt.address,
                "host": attempt.host,
                "status": attempt.status,
                "enhanced": attempt.enhanced or None,
                "totalTime": seconds(attempt.total_us),
                "loopLag": seconds(attempt.loop_lag_us),
                "tls": _tls_as_data(attempt.tls, result.at_us),
                "policies": [_policy_as_data(policy) for policy in attempt.policies],
                "warnings": list(attempt.warnings),
                "fault": fault_as_data(attempt.fault),
                "stages": [
                    {
                        "name": stage.name,
                        "at": seconds(stage.at_us),
                        "took": seconds(stage.took_us),
                        "reply": stage.reply,
                        "ended": stage.ended,
                    }
                    for stage in attempt.stages
                ],
            }
            for attempt in result.attempts
        ],
    }


def fault_as_data(fault: Fault | None) -> dict[str, str] | None:
    """A fault as plain data; None for none."""
    if fault is None:
        return None
    return {"side": fault.side, "code": fault.code, "stage": fault.stage, "message": fault.message}


def _policy_as_data(policy: PolicyFacts) -> dict[str, Any]:
    return {
        "kind": policy.kind,
        "verdict": policy.verdict,
        "reason": policy.reason,
        "mode": policy.mode,
        "secure": policy.secure,
    }


def _tls_as_data(tls: TlsFacts | None, at_us: int) -> dict[str, Any] | None:
    if tls is None:
        return None
    return {
        "version": tls.version,
        "cipher": tls.cipher,
        "verified": tls.verified,
        "subject": tls.subject,
        "issuer": tls.issuer,
        "names": list(tls.names),
        "notAfter": None if tls.expires_at_us is None else tls.expires_at_us / 1e6,
        "daysLeft": days_left(tls, at_us),
        "expiring": tls.expiring,
        "wholeChain": tls.whole_chain,
        "certificateAsked": tls.certificate_asked,
    }

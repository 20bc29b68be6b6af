"""Results as plain data, under the ISM's element names: what ``--json`` prints. Pure.

Times are in seconds, sizes in bytes, and instants in seconds since the epoch. What was not measured is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postbeat.delivery import Bounce, Delivery, Hop, MailboxFacts, Verdict
from postbeat.grade import days_left
from postbeat.model import Fault, Level, Phase
from postbeat.results import (
    AnyEvent,
    Attempt,
    Event,
    PolicyFacts,
    Reason,
    Result,
    Service,
    TlsFacts,
    VerdictEvent,
)

# The timings of the reference page's Table 3, in the order in which they pass.
TIMES = ("lookupTime", "connectTime", "SSLHandshakeTime", "responseTime", "uploadTime")
CHECK_TIMES = ("lookupTime", "connectTime", "SSLHandshakeTime", "loginTime", "responseTime")
METHODS = ("spf", "dkim", "dmarc", "arc")

# The ISM's numbers of the levels.
LEVEL_NUMBERS = {Level.UNKNOWN: 0, Level.GOOD: 1, Level.MARGINAL: 2, Level.FAILED: 3}
LEVELS_BY_NUMBER: Mapping[object, Level] = {number: level for level, number in LEVEL_NUMBERS.items()}


def seconds(time_us: int | None) -> float | None:
    """Microseconds as seconds, None as None."""
    return None if time_us is None else time_us / 1e6


def result_as_data(result: Result) -> dict[str, Any]:
    """One result with its attempts and all that belongs to its phase."""
    data = half_as_data(result) | common_as_data(result)
    if result.phase is Phase.SEND:
        return data | elements_as_data(result)
    if result.phase is Phase.CHECK:
        return data | check_as_data(result)
    return data | delivery_as_data(result)


def elements_as_data(send: Result | None) -> dict[str, Any]:
    """The elements of the page's Table 3 but for ``message``."""
    attempt = send.decisive if send else None
    service = send.service if send else None
    data = _service_as_data(send)
    data["email"] = (service.email or None) if service else None
    data["status"] = attempt.status if attempt else None
    return data | _times(attempt, TIMES) | _transferred(attempt)


def common_as_data(result: Result | None) -> dict[str, Any]:
    """The ISM's elements that are common to all monitors, but for ``message``."""
    service = result.service if result else None
    grading = result.grading if result else None
    last = grading.last_level if grading else None
    return {
        "identifier": result.poll.element if result else None,
        "description": _title(result, service) if result and service else None,
        "host": (service.host or None) if service else None,
        "monitorHost": (result.worker.rpartition("/")[0] or None) if result else None,
        "serviceLevel": LEVEL_NUMBERS[result.level] if result else None,
        "failureRetests": (grading.failure_retests if grading else 0) if service else None,
        "consecutiveFailures": grading.consecutive_failures if grading else None,
        "lastServiceLevel": None if last is None else LEVEL_NUMBERS[last],
        "timeSinceFirstFailure": seconds(grading.failing_for_us) if grading else None,
    }


def classification_of(result: Result | None) -> str | None:
    """The service level classification that decided a result's level; None where none did."""
    return (result.grading.classification or None) if result and result.grading else None


def _title(result: Result, service: Service) -> str | None:
    """The description, or the ISM's default for one: monitor, server, element."""
    default = f"{result.kind} {service.host} {result.poll.element}" if service.host else None
    return service.description or default


def _service_as_data(result: Result | None) -> dict[str, Any]:
    """What the element asked for when it was polled."""
    service = result.service if result else None
    return {
        "authentication": service.authentication if service else None,
        "port": service.port if service else None,
        "security": service.security if service else None,
        "user": (service.user or None) if service else None,
    }


def _times(attempt: Attempt | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: seconds(attempt.times_us.get(name)) if attempt else None for name in names}


def _transferred(attempt: Attempt | None) -> dict[str, Any]:
    count = attempt.bytes_transferred if attempt else 0
    took_us = attempt.times_us.get("uploadTime") if attempt else None
    per_second = round(count * 1e6 / took_us) if count and took_us else None
    return {"bytesTransferred": count or None, "bytesPerSec": per_second}


def check_as_data(check: Result | None) -> dict[str, Any]:
    """What a mailbox's service test measured: its times, and what the server tells of the mailbox."""
    attempt = check.decisive if check else None
    data = _service_as_data(check) | _times(attempt, CHECK_TIMES)
    data["totalTime"] = seconds(attempt.total_us) if attempt else None
    return data | facts_as_data(check.mailbox if check else None)


def facts_as_data(facts: MailboxFacts | None) -> dict[str, Any]:
    """What a server tells of a mailbox; ``tally`` counts what readers met since the check before."""
    return {
        "messages": facts.messages if facts else None,
        "size": facts.size_bytes if facts else None,
        "quotaUsed": facts.quota_used_bytes if facts else None,
        "quotaLimit": facts.quota_limit_bytes if facts else None,
        "folders": dict(facts.folders) if facts else None,
        "tally": dict(facts.tally) if facts else None,
    }


def delivery_as_data(result: Result | None) -> dict[str, Any]:
    """What became of a message: its outcome, how long it took, its path and the verdicts on it."""
    delivery = result.delivery if result else None
    slowest = delivery.slowest_hop if delivery else None
    attempt = result.decisive if result else None
    return {
        "outcome": result.outcome if result else None,
        "bounce": bounce_as_data(result.bounce) if result else None,
        "timeToDeliver": seconds(delivery.to_deliver_us) if delivery else None,
        "timeToDeliverResolution": seconds(delivery.resolution_us) if delivery else None,
        "timeToDeliverUncertainty": seconds(delivery.uncertainty_us) if delivery else None,
        "pushed": delivery.pushed if delivery else None,
        "hopCount": delivery.hop_count if delivery else None,
        "slowestHop": hop_as_data(slowest) if slowest else None,
        "hops": [hop_as_data(hop) for hop in delivery.hops] if delivery else None,
        "folder": (delivery.folder or None) if delivery else None,
        "copies": delivery.copies if delivery else None,
        "altered": list(delivery.altered) if delivery else None,
        "outOfOrder": delivery.out_of_order if delivery else None,
        "verdicts": _verdicts(delivery) if delivery else None,
        "serverSkew": seconds(delivery.server_skew_us) if delivery else None,
        "serverSkewUncertainty": seconds(delivery.server_skew_uncertainty_us) if delivery else None,
        "totalTime": seconds(attempt.total_us) if attempt else None,
    }


def hop_as_data(hop: Hop) -> dict[str, Any]:
    """One host of a message's path; ``at`` is by that host's own clock."""
    return {
        "by": hop.by or None,
        "from": hop.sender or None,
        "protocol": hop.protocol or None,
        "at": seconds(hop.at_us),
        "took": seconds(hop.took_us),
        "skew": seconds(hop.skew_us),
    }


def bounce_as_data(bounce: Bounce | None) -> dict[str, Any] | None:
    """What a delivery status notification says; None for none."""
    if bounce is None:
        return None
    return {
        "action": bounce.action,
        "status": bounce.status or None,
        "text": bounce.text,
        "recipient": bounce.recipient or None,
        "reportedBy": bounce.reported_by or None,
        "remote": bounce.remote or None,
    }


def _verdicts(delivery: Delivery) -> dict[str, Any]:
    found = {verdict.method: _verdict_as_data(verdict) for verdict in reversed(delivery.verdicts)}
    return {method: found.get(method) for method in METHODS}


def _verdict_as_data(verdict: Verdict) -> dict[str, Any]:
    return {"result": verdict.result, "by": verdict.by, "reason": verdict.reason or None}


def half_as_data(result: Result) -> dict[str, Any]:
    """What all results have: what was polled, what came of it, and the attempts."""
    return {
        "poll": str(result.poll),
        "phase": result.phase,
        "kind": result.kind,
        "level": result.level,
        "outcome": result.outcome,
        "message": result.message,
        "classification": classification_of(result),
        "at": result.at_us / 1e6,
        "worker": result.worker,
        "fault": fault_as_data(result.fault),
        "attempts": [_attempt_as_data(attempt, result.at_us) for attempt in result.attempts],
    }


def _attempt_as_data(attempt: Attempt, at_us: int) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "startTime": attempt.started_at_us / 1e6,
        "address": attempt.address,
        "host": attempt.host,
        "status": attempt.status,
        "enhanced": attempt.enhanced or None,
        "totalTime": seconds(attempt.total_us),
        "loopLag": seconds(attempt.loop_lag_us),
        "tls": _tls_as_data(attempt.tls, at_us),
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


def fault_as_data(fault: Fault | None) -> dict[str, str] | None:
    """A fault as plain data; None for none."""
    if fault is None:
        return None
    return {"side": fault.side, "code": fault.code, "stage": fault.stage, "message": fault.message}


def event_kind(event: AnyEvent) -> str:
    """What an event is news of: ``verdict``, ``level``, or ``outcome`` where the level stays."""
    if isinstance(event, VerdictEvent):
        return "verdict"
    return "level" if event.was is not event.level else "outcome"


def event_as_data(event: AnyEvent) -> dict[str, Any]:
    """A change of level or of a verdict, or of what is said of a message: ``kind`` says which."""
    data: dict[str, Any] = {
        "kind": event_kind(event),
        "id": event.id,
        "at": event.at_us / 1e6,
        "element": event.pair.element if isinstance(event, Event) else event.element,
        "region": None,
        "was": event.was,
        "level": None,
        "verdict": None,
        "regions": None,
        "outcome": None,
        "poll": str(event.poll),
        "phase": None,
        "message": event.message,
        "fault": fault_as_data(event.fault),
        "reasons": None,
    }
    if isinstance(event, VerdictEvent):
        reasons = {region: reason_as_data(reason) for region, reason in event.reasons.items()}
        return data | {"verdict": event.verdict, "regions": dict(event.regions), "reasons": reasons}
    return data | {
        "region": event.pair.region,
        "level": event.level,
        "outcome": event.outcome,
        "phase": event.phase,
    }


def reason_as_data(reason: Reason) -> dict[str, Any]:
    """Why a region has its level, as plain data."""
    return {
        "level": reason.level,
        "phase": reason.phase,
        "stage": reason.stage or None,
        "code": reason.code or None,
        "side": reason.side or None,
        "message": reason.message,
    }


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

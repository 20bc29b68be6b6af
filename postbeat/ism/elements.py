"""A result as the ISM's elements: what its log, its datalog and its rules call ``$name``. Pure and quick.

NAMES (:mod:`postbeat.ism.names`) has every name that can occur. Measured times are seconds to the
millisecond, sizes bytes, instants whole seconds since the epoch. What is not known is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from postbeat import plain
from postbeat.delivery import Delivery, MailboxFacts, Tally
from postbeat.elements import AnyElement, Imap4Element, Pop3Element
from postbeat.grade import days_left
from postbeat.ism.names import NAMES, ElementName, Origin
from postbeat.ism.values import Value, as_text
from postbeat.model import AuthenticationType, Kind, Level, LoginType, Phase
from postbeat.results import Attempt, Result
from postbeat.servicelevels import service_of

__all__ = ["NAMES", "ElementName", "Origin", "Surroundings", "as_lines", "of_result"]

_POLLED = (Phase.SEND, Phase.CHECK)
_FETCH = "fetch"  # the stage in which messages are downloaded
# The words of $authentication that are those of authenticationtype; every other is a login with a username.
_AS_IT_IS = {str(AuthenticationType.NONE): "NONE", str(LoginType.APOP): "APOP"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a result does not say of itself; what is empty or None is not known.

    ``monitor_region`` is the only region that the monitor probes from, "" where it is none or all.
    ``last_level`` is that of the pair's previous result of the same phase. What a result itself tells is the
    level when its poll began; other polls may have ended since.
    ``element`` is the one that was polled, as the profile has it; ``mailbox`` the one by which the mailbox of
    a read was read.
    """

    profile: str = ""
    monitor_host: str = ""
    monitor_domain: str = ""
    datalog_path: str = ""
    last_level: Level | None = None
    element: AnyElement | None = None
    mailbox: Imap4Element | Pop3Element | None = None
    monitor_region: str = ""


NOTHING_AROUND = Surroundings()

_Found = dict[str, Value | None]


def of_result(result: Result, around: Surroundings = NOTHING_AROUND) -> dict[str, Value]:
    """The ISM elements of a result of any phase, by name without ``$``, with ``message`` first."""
    is_poll = result.phase in _POLLED
    tested = around.element if is_poll else around.mailbox
    if tested is not None and tested.kind is not result.kind:
        tested = None
    if result.service is None and tested is not None:
        result = replace(result, service=service_of(tested))
    found = _common(result, around) | _service(result)
    if is_poll:
        found |= _retests(result, tested)
    if tested is not None:
        found["timeout"] = _whole(tested.timeout)
    if (attempt := result.decisive) is not None:
        found |= _attempt(attempt, result)
    if result.kind is Kind.SMTP:
        found |= _sent(result)
    else:
        found |= _read(result, around)
    return {name: value for name, value in found.items() if value is not None and value != ""}


def as_lines(elements: Mapping[str, Value]) -> str:
    """Elements for people, a line ``$name = value`` for each; what cannot be printed is a ``?``."""
    return "\n".join(f"${name} = {_printable(as_text(value))}" for name, value in elements.items())


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in text)


def _common(result: Result, around: Surroundings) -> _Found:
    common = plain.common_as_data(result)
    host = common["monitorHost"] or around.monitor_host
    last, fault, element = around.last_level, result.fault, around.element
    described = common["description"] if result.phase in _POLLED else None
    return {
        "message": result.message,
        "monitor": str(result.kind),
        "phase": str(result.phase),
        "identifier": result.poll.element,
        "description": described or (element.title if element is not None else None),
        "host": common["host"],
        "profile": around.profile,
        "region": result.poll.region,
        "poll": str(result.poll),
        "time": result.at_us // 1_000_000,
        "startTime": result.attempts[0].started_at_us // 1_000_000 if result.attempts else None,
        "serviceLevel": common["serviceLevel"],
        "lastServiceLevel": common["lastServiceLevel"] if last is None else plain.LEVEL_NUMBERS[last],
        "pollInterval": _whole(element.poll) if element is not None else None,
        "datalogPath": around.datalog_path,
        "monitorHost": host,
        "monitorDomain": host.partition(".")[2] or around.monitor_domain,
        "classification": plain.classification_of(result),
        "timeSinceFirstFailure": _rounded(common["timeSinceFirstFailure"]),
        "outcome": str(result.outcome or ""),
        "fault": str(fault.code) if fault is not None else None,
        "stage": fault.stage if fault is not None else None,
        "side": str(fault.side) if fault is not None else None,
    }


def _retests(result: Result, element: AnyElement | None) -> _Found:
    """Of a result that was never judged only the element can tell how many retests there would have been."""
    grading = result.grading
    if grading is None:
        retests, failures = (element.failureretests if element is not None else 0), None
    else:
        retests, failures = grading.failure_retests, grading.consecutive_failures
    if failures is not None and failures > retests:
        failures = 1  # as the ISM's does: the last retest of a poll that failed throughout begins anew
    interval_s = element.retestinterval if element is not None and element.failureretests else None
    return {
        "failureRetests": retests if grading is not None or result.service is not None else None,
        "consecutiveFailures": failures if retests else None,
        "retestInterval": _whole(interval_s),
        "attempts": len(result.attempts),
    }


def _service(result: Result) -> _Found:
    service = result.service
    if service is None:
        return {}
    method = str(service.authentication)
    return {
        "authentication": _AS_IT_IS.get(method, "Standard"),
        "authenticationType": method,
        "port": service.port,
        "security": str(service.security),
        "user": service.user,
    }


def _attempt(attempt: Attempt, result: Result) -> _Found:
    tls, times_us = attempt.tls, attempt.times_us
    names = plain.TIMES if result.kind is Kind.SMTP else plain.CHECK_TIMES
    found: _Found = {name: _seconds(times_us[name]) for name in names if name in times_us}
    found |= {"totalTime": _seconds(attempt.total_us), "address": attempt.address}
    if tls is not None:
        found |= {
            "certificateDays": days_left(tls, result.at_us),
            "tlsVersion": tls.version,
            "tlsCipher": tls.cipher,
            "verified": _truth(tls.verified),
        }
    return found


def _sent(result: Result) -> _Found:
    shown = plain.elements_as_data(result)
    found: _Found = {name: shown[name] for name in ("email", "status", "bytesTransferred", "bytesPerSec")}
    if (attempt := result.decisive) is not None:
        found |= {"enhanced": attempt.enhanced, "reply": attempt.reply, "exchanger": attempt.host}
    return found


def _read(result: Result, around: Surroundings) -> _Found:
    attempt, delivery, facts = result.decisive, result.delivery, result.mailbox
    found: _Found = {"mailbox": around.mailbox.name if around.mailbox is not None else None}
    if attempt is not None:
        fetches = [stage.took_us for stage in attempt.stages if stage.name == _FETCH]
        found["totaltime"] = _seconds(attempt.total_us)
        found["downloadTime"] = _seconds(sum(fetches)) if fetches else None
    if delivery is not None:
        found |= _delivered(delivery)
    if facts is not None:
        found |= _told(facts)
    return found


def _delivered(delivery: Delivery) -> _Found:
    words = {one.method: one.result for one in reversed(delivery.verdicts)}
    return {
        "timeToDeliver": _seconds(delivery.to_deliver_us),
        "hopCount": delivery.hop_count,
        "folder": delivery.folder,
        "copies": delivery.copies,
        "pushed": _truth(delivery.pushed),
        "outOfOrder": _truth(delivery.out_of_order),
        "altered": "; ".join(delivery.altered),
        "timeToDeliverResolution": _seconds(delivery.resolution_us),
        "timeToDeliverUncertainty": _seconds(delivery.uncertainty_us),
        "serverSkew": _seconds(delivery.server_skew_us),
        **{method: words.get(method) for method in plain.METHODS},
    }


def _told(facts: MailboxFacts) -> _Found:
    return {
        "downloaded": facts.tally.get(Tally.FOUND),
        "messages": facts.messages,
        "size": facts.size_bytes,
        "quotaUsed": facts.quota_used_bytes,
        "quotaLimit": facts.quota_limit_bytes,
    }


def _seconds(time_us: int | None) -> float | None:
    return _rounded(plain.seconds(time_us))


def _rounded(time_s: float | None) -> float | None:
    return None if time_s is None else round(time_s, 3) + 0.0  # which makes 0.0 of -0.0


def _whole(time_s: float | None) -> int | float | None:
    """A configured time as people write it: without a point where it is whole."""
    return int(time_s) if time_s is not None and time_s == int(time_s) else time_s


def _truth(value: bool) -> str:
    return "true" if value else "false"

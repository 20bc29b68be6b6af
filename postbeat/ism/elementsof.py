"""The ISM's elements of a result that stands in a JSON document, as our commands print it. Pure.

A document is one of three: an object of ISM elements (``postbeat results --ism --json``), a result
(``postbeat results --json``), or what belongs together of several results (``postbeat probe --json``).
The latter two become a :class:`~postbeat.results.Result` again, and this has its elements as every other has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from pydantic import ValidationError

from postbeat.delivery import Bounce, Delivery, Hop, MailboxFacts, Outcome, Verdict
from postbeat.ism.documents import BouncePart, FaultPart, ResultDocument, TlsPart
from postbeat.ism.elements import Surroundings, of_result
from postbeat.ism.values import Value
from postbeat.model import (
    AuthenticationType,
    Fault,
    Kind,
    LoginType,
    Phase,
    Poll,
    SecurityType,
)
from postbeat.plain import CHECK_TIMES, LEVELS_BY_NUMBER, TIMES
from postbeat.results import Attempt, Grading, PolicyFacts, Result, Service, Stage, TlsFacts

_HALVES = ("send", "read", "after", "check")
_FOUND = frozenset({Phase.READ, Phase.AFTER})
_TIMES = {Phase.SEND: TIMES, Phase.CHECK: CHECK_TIMES}
_SHOWN = 5  # faults of a document; one wrong thing often brings others with it


class DocumentError(ValueError):
    """A document is none of the three; the message says where, and what was expected."""


def element_sets(data: object) -> Iterator[dict[str, Value]]:
    """The ISM's elements of each result in a document, at least one: a round trip has several.

    Raises:
        DocumentError: it is no document of ours, or a round trip without a result.
    """
    if not isinstance(data, Mapping):
        raise DocumentError("expected a JSON object: a result, or ISM elements")
    if isinstance(data.get("attempts"), list):
        yield _of_result(data)
        return
    halves = [data[name] for name in _HALVES if isinstance(data.get(name), Mapping)]
    if halves:
        for half in halves:
            yield _of_result(data | half | _not_of(half, data))
    elif any(name in data for name in _HALVES):
        raise DocumentError("there is no result in it yet")
    else:
        yield _as_they_are(data)


def _not_of(half: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, None]:
    """What a round trip says of its message, where another of its results has found it."""
    after = data.get("after")
    told = (
        isinstance(after, Mapping)
        and after.get("poll") == half.get("poll")
        and after.get("outcome") != Outcome.DUPLICATED
    )
    found_elsewhere = told if half is not after else not told and isinstance(data.get("read"), Mapping)
    return {"timeToDeliver": None, "bounce": None} if found_elsewhere else {}


def _as_they_are(data: Mapping[str, Any]) -> dict[str, Value]:
    """An object of ISM elements; null is what was not measured."""
    if not data:
        raise DocumentError("expected a result, or ISM elements; the object is empty")
    found: dict[str, Value] = {}
    for name, value in data.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise DocumentError(f"{name}: expected a text or a number, got {_type_text(value)}")
        if isinstance(value, float) and not isfinite(value):
            raise DocumentError(f"{name}: expected a finite number")
        if value is not None:
            found[name.removeprefix("$")] = value
    return found


def _type_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a list" if isinstance(value, list) else "an object"


def _of_result(data: Mapping[str, Any]) -> dict[str, Value]:
    return of_result(result_of_document(data), Surroundings())


def result_of_document(data: Mapping[str, Any]) -> Result:
    """The result of a document that :func:`postbeat.plain.result_as_data` wrote.

    What the document does not have is as it is by default. Where it does not say when an attempt began, it is
    taken to have begun as the one before it ended, and the last one to have ended with the poll.

    Raises:
        DocumentError: it is no such document.
    """
    try:
        document = ResultDocument.model_validate(data)
        poll = Poll.parse(document.poll)
        service = _service(document)
    except ValidationError as error:
        raise DocumentError("; ".join(_fault_text(fault) for fault in error.errors()[:_SHOWN])) from None
    except ValueError as error:
        raise DocumentError(str(error)) from None
    return Result(
        poll,
        document.phase,
        document.kind,
        document.level,
        document.message,
        _us(document.at),
        tuple(_attempts(document)),
        fault=_fault(document.fault),
        delivery=_delivery(document),
        worker=document.worker,
        service=service,
        outcome=document.outcome,
        bounce=_bounce(document.bounce),
        mailbox=_mailbox(document),
        grading=_grading(document),
    )


def _fault_text(fault: Mapping[str, Any]) -> str:
    """``attempts.0.number: Field required``."""
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def _us(time_s: float) -> int:
    return round(time_s * 1e6)


def _us_or_none(time_s: float | None) -> int | None:
    return None if time_s is None else _us(time_s)


def _fault(part: FaultPart | None) -> Fault | None:
    return None if part is None else Fault(part.side, part.code, part.message, part.stage)


def _service(document: ResultDocument) -> Service | None:
    """What the element asked for.

    Raises:
        ValueError: the method of authentication is none of the monitor's.
    """
    if document.port is None or document.phase in _FOUND:
        return None
    methods = AuthenticationType if document.kind is Kind.SMTP else LoginType
    default = AuthenticationType.NONE if document.kind is Kind.SMTP else LoginType.STANDARD
    return Service(
        document.port,
        document.security or SecurityType.NONE,
        methods(document.authentication or default),
        document.user or "",
        document.email or "",
        document.host or "",
        document.description or "",
    )


def _grading(document: ResultDocument) -> Grading | None:
    if document.phase in _FOUND:
        return None if not document.classification else Grading(document.classification)
    last = document.lastServiceLevel
    grading = Grading(
        document.classification or "",
        document.failureRetests or 0,
        document.consecutiveFailures,
        None if last is None else LEVELS_BY_NUMBER[last],
        _us_or_none(document.timeSinceFirstFailure),
    )
    return None if grading == Grading() else grading


def _attempts(document: ResultDocument) -> Iterator[Attempt]:
    """The attempts; the figures of a document are those of the last, which is the one that it speaks of."""
    names = _TIMES.get(document.phase, ())
    times = {name: _us(time_s) for name in names if (time_s := getattr(document, name)) is not None}
    began_us = _us(document.at) - sum(_us(part.totalTime) for part in document.attempts)
    for index, part in enumerate(document.attempts):
        began_us = began_us if part.startTime is None else _us(part.startTime)
        last = index == len(document.attempts) - 1
        replies = [stage.reply for stage in part.stages if stage.reply and stage.name != "quit"]
        yield Attempt(
            part.number,
            began_us,
            _us(part.totalTime),
            tuple(Stage(it.name, _us(it.at), _us(it.took), it.reply, it.ended) for it in part.stages),
            times if last else {},
            (document.bytesTransferred or 0) if last else 0,
            part.status,
            replies[-1] if replies else "",
            part.address,
            part.host,
            tuple(PolicyFacts(it.kind, it.verdict, it.reason, it.mode, it.secure) for it in part.policies),
            _tls(part.tls),
            _fault(part.fault),
            tuple(part.warnings),
            loop_lag_us=_us(part.loopLag),
        )
        began_us += _us(part.totalTime)


def _tls(part: TlsPart | None) -> TlsFacts | None:
    if part is None:
        return None
    return TlsFacts(
        part.version,
        part.cipher,
        part.verified,
        part.subject,
        part.issuer,
        tuple(part.names),
        _us_or_none(part.notAfter),
        part.expiring,
        part.wholeChain,
        part.certificateAsked,
    )


def _delivery(document: ResultDocument) -> Delivery | None:
    if document.timeToDeliver is None or document.phase not in _FOUND:
        return None
    hops = [
        Hop(
            hop.by or "",
            hop.sender or "",
            hop.protocol or "",
            _us_or_none(hop.at),
            _us_or_none(hop.took),
            _us_or_none(hop.skew),
        )
        for hop in document.hops or ()
    ]
    verdicts = [
        Verdict(method, it.result, it.by, it.reason or "")
        for method, it in (document.verdicts or {}).items()
        if it is not None
    ]
    return Delivery(
        _us(document.timeToDeliver),
        _us(document.timeToDeliverResolution or 0),
        document.hopCount if document.hopCount is not None else len(hops),
        _us(document.timeToDeliverUncertainty or 0),
        document.pushed or False,
        document.folder or "",
        document.copies or 1,
        document.outOfOrder or False,
        tuple(document.altered or ()),
        tuple(hops),
        tuple(verdicts),
        _us_or_none(document.serverSkew),
        _us_or_none(document.serverSkewUncertainty),
    )


def _bounce(part: BouncePart | None) -> Bounce | None:
    if part is None:
        return None
    return Bounce(
        part.action,
        part.status or "",
        part.text or "",
        part.recipient or "",
        part.reportedBy or "",
        part.remote or "",
    )


def _mailbox(document: ResultDocument) -> MailboxFacts | None:
    if document.messages is None or document.phase is not Phase.CHECK:
        return None
    return MailboxFacts(
        document.messages,
        document.size,
        document.quotaUsed,
        document.quotaLimit,
        document.folders or {},
        document.tally or {},
    )

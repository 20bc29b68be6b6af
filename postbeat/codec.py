"""Results and elements as JSON: the form in which they are stored, and travel."""

from __future__ import annotations

import functools
import json
from dataclasses import MISSING, fields
from typing import Any

from pydantic import TypeAdapter

from postbeat import shorttext
from postbeat.classification import Classification
from postbeat.delivery import Bounce, Delivery, Hop, MailboxFacts, Outcome, Verdict
from postbeat.elements import ELEMENT_TYPES, AnyElement, Expectation
from postbeat.model import (
    AuthenticationType,
    Fault,
    FaultCode,
    Kind,
    Level,
    LoginType,
    Phase,
    Poll,
    Secret,
    SecurityType,
    Side,
)
from postbeat.results import Attempt, Grading, PolicyFacts, PolicyVerdict, Result, Service, Stage, TlsFacts
from postbeat.windows import Window


def encode(result: Result) -> str:
    """A result as one line of JSON; times in integer microseconds."""
    return json.dumps(as_data(result), separators=(",", ":"))


def pack(result: Result) -> bytes:
    """A result as it is stored, in a quarter of the size of its JSON."""
    return shorttext.shorten(encode(result))


def as_data(result: Result) -> dict[str, Any]:
    """A result as plain data; what is empty is left out."""
    data: dict[str, Any] = {
        "poll": str(result.poll),
        "phase": result.phase,
        "kind": result.kind,
        "level": result.level,
        "message": result.message,
        "at_us": result.at_us,
        "worker": result.worker,
        "attempts": [_attempt_data(attempt) for attempt in result.attempts],
    }
    if result.fault is not None:
        data["fault"] = _fault_data(result.fault)
    if result.delivery is not None:
        data["delivery"] = _delivery_data(result.delivery)
    if result.outcome is not None:
        data["outcome"] = result.outcome
    if result.bounce is not None:
        data["bounce"] = _sparse(result.bounce)
    if result.mailbox is not None:
        data["mailbox"] = _sparse(result.mailbox)
    if (service := result.service) is not None:
        data["service"] = [
            service.port,
            service.security,
            service.authentication,
            service.user,
            service.email,
            service.host,
            service.description,
        ]
    if result.grading is not None:
        data["grading"] = _sparse(result.grading)
    return data


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    data: dict[str, Any] = {
        "number": attempt.number,
        "started_at_us": attempt.started_at_us,
        "total_us": attempt.total_us,
        "times_us": dict(attempt.times_us),
        "bytes": attempt.bytes_transferred,
        "status": attempt.status,
        "reply": attempt.reply,
        "address": attempt.address,
        "lag_us": attempt.loop_lag_us,
        "stages": [[s.name, s.at_us, s.took_us, s.reply, s.ended] for s in attempt.stages],
    }
    if attempt.accepted_at_us is not None:
        data["accepted_at_us"] = attempt.accepted_at_us
    if attempt.tls is not None:
        data["tls"] = _tls_data(attempt.tls)
    if attempt.host:
        data["host"] = attempt.host
    if attempt.policies:
        data["policies"] = [[p.kind, p.verdict, p.reason, p.mode, p.secure] for p in attempt.policies]
    if attempt.warnings:
        data["warnings"] = list(attempt.warnings)
    if attempt.fault is not None:
        data["fault"] = _fault_data(attempt.fault)
    return data


def _delivery_data(delivery: Delivery) -> dict[str, Any]:
    data = _sparse(delivery)
    if delivery.hops:
        data["hops"] = [[h.by, h.sender, h.protocol, h.at_us, h.took_us, h.skew_us] for h in delivery.hops]
    if delivery.verdicts:
        data["verdicts"] = [[v.method, v.result, v.by, v.reason] for v in delivery.verdicts]
    return data


def _delivery(data: dict[str, Any] | None) -> Delivery | None:
    if data is None:
        return None
    data["altered"] = tuple(data.get("altered", ()))
    data["hops"] = tuple(Hop(*hop) for hop in data.get("hops", ()))
    data["verdicts"] = tuple(Verdict(*verdict) for verdict in data.get("verdicts", ()))
    return Delivery(**data)


# The fields of what mostly is as it is by default, and their defaults; MISSING where there is none.
_DEFAULTS: dict[type[Any], dict[str, Any]] = {
    kind: {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(kind)
    }
    for kind in (Delivery, Bounce, MailboxFacts, Grading)
}


def _sparse(record: Delivery | Bounce | MailboxFacts | Grading) -> dict[str, Any]:
    """The fields of a record that are not what they are by default."""
    defaults = _DEFAULTS[type(record)].items()
    return {name: value for name, default in defaults if (value := getattr(record, name)) != default}


def _tls_data(tls: TlsFacts) -> dict[str, Any]:
    """What was negotiated; what is empty is left out."""
    return {name: value for name in TlsFacts.__slots__ if (value := getattr(tls, name)) not in ("", (), None)}


def _tls(data: dict[str, Any] | None) -> TlsFacts | None:
    if data is None:
        return None
    return TlsFacts(**({"version": "", "cipher": ""} | data | {"names": tuple(data.get("names", ()))}))


def encode_fault(fault: Fault) -> str:
    """A fault as one line of JSON."""
    return json.dumps(_fault_data(fault))


def decode_fault(text: str) -> Fault:
    """The fault of what :func:`encode_fault` wrote.

    Raises:
        ValueError, KeyError: the text is no fault.
    """
    return _fault_of(json.loads(text))


def _fault_data(fault: Fault) -> dict[str, str]:
    return {"side": fault.side, "code": fault.code, "message": fault.message, "stage": fault.stage}


def decode(text: str | bytes) -> Result:
    """The result of what :func:`encode` or :func:`pack` wrote.

    Raises:
        ValueError, KeyError: the text is no result.
    """
    data = json.loads(shorttext.lengthened(text))
    kind = Kind(data["kind"])
    return Result(
        poll=Poll.parse(data["poll"]),
        phase=Phase(data["phase"]),
        kind=kind,
        level=Level(data["level"]),
        message=data["message"],
        at_us=data["at_us"],
        worker=data["worker"],
        attempts=tuple(_attempt(item) for item in data["attempts"]),
        fault=_fault(data.get("fault")),
        delivery=_delivery(data.get("delivery")),
        service=_service(kind, *data["service"]) if "service" in data else None,
        outcome=Outcome(data["outcome"]) if "outcome" in data else None,
        bounce=Bounce(**data["bounce"]) if "bounce" in data else None,
        mailbox=MailboxFacts(**data["mailbox"]) if "mailbox" in data else None,
        grading=_grading(data.get("grading")),
    )


def _attempt(data: dict[str, Any]) -> Attempt:
    return Attempt(
        number=data["number"],
        started_at_us=data["started_at_us"],
        total_us=data["total_us"],
        times_us=data["times_us"],
        bytes_transferred=data["bytes"],
        status=data["status"],
        reply=data["reply"],
        address=data["address"],
        host=data.get("host", ""),
        policies=tuple(_policy(*item) for item in data.get("policies", ())),
        warnings=tuple(data.get("warnings", ())),
        loop_lag_us=data["lag_us"],
        stages=tuple(Stage(*item) for item in data["stages"]),
        accepted_at_us=data.get("accepted_at_us"),
        tls=_tls(data.get("tls")),
        fault=_fault(data.get("fault")),
    )


def _policy(kind: str, verdict: str, reason: str, mode: str, secure: bool) -> PolicyFacts:
    return PolicyFacts(kind, PolicyVerdict(verdict), reason, mode, secure)


def _service(kind: Kind, port: int, security: str, authentication: str, *texts: str) -> Service:
    method = AuthenticationType if kind is Kind.SMTP else LoginType
    return Service(port, SecurityType(security), method(authentication), *texts)


def _grading(data: dict[str, Any] | None) -> Grading | None:
    if data is None:
        return None
    if "last_level" in data:
        data["last_level"] = Level(data["last_level"])
    return Grading(**data)


def _fault(data: dict[str, str] | None) -> Fault | None:
    return None if data is None else _fault_of(data)


def _fault_of(data: dict[str, str]) -> Fault:
    return Fault(Side(data["side"]), FaultCode(data["code"]), data["message"], data["stage"])


@functools.cache
def adapter(kind: Kind) -> TypeAdapter[AnyElement]:
    """What makes a valid element of a kind out of plain data."""
    return TypeAdapter(ELEMENT_TYPES[kind])


def encode_element(element: AnyElement) -> str:
    """An element as one line of JSON, without what is default."""
    data: dict[str, Any] = {"type": element.kind.value}
    for field in fields(element):
        value = getattr(element, field.name)
        if field.default is MISSING or value != field.default:
            data[field.name] = value
    return json.dumps(data, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Secret | Expectation):
        return value.plain()
    if isinstance(value, Classification | Window):
        return str(value)
    raise TypeError(f"no field of an element has a {type(value).__name__}")


@functools.lru_cache(maxsize=65536)
def decode_element(text: str) -> AnyElement:
    """The element of a line that :func:`encode_element` wrote; the same text gives the same object.

    Raises:
        ValueError: the text is no element.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not an element")
    return adapter(Kind(data.pop("type", ""))).validate_python(data)

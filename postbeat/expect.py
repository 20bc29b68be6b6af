"""What a refusal means: whether it is only for now, and whether it is what the element expects. Pure."""

from __future__ import annotations

import re

from postbeat.elements import Expectation
from postbeat.model import FaultCode, RemoteFault
from postbeat.results import enhanced_code

_DELIVERY = ("mail", "rcpt", "data", "upload")
_CLOSING = 421  # the service shuts down, which is no matter of this mail (RFC 5321 section 4.2.2)
_GREYLIST = re.compile(r"gr[ae]y-? ?list", re.IGNORECASE)
_PUT_OFF = (450, 451, 452)


def refusal_code(stage: str, status: int, reply: str) -> FaultCode:
    """What kind of refusal a reply is.

    A 4xx to the sender, the recipient or the message is one for now. It is greylisting (RFC 6647) where the
    text says so, or where a 450, 451 or 452 has the enhanced code 4.7.1.
    """
    if stage not in _DELIVERY or status // 100 != 4 or status == _CLOSING:
        return FaultCode.REPLY
    put_off = status in _PUT_OFF and enhanced_code(reply) == "4.7.1"
    return FaultCode.GREYLISTED if put_off or _GREYLIST.search(reply) else FaultCode.TEMPORARY


def accepted(stage: str) -> RemoteFault:
    """The fault of a server that let pass what it should refuse in a stage."""
    text = f"the server accepted what it should have refused in stage {stage}"
    return RemoteFault(FaultCode.ACCEPTED, text)


def unmet(expected: Expectation, fault: RemoteFault, stage: str) -> RemoteFault | None:
    """The fault of a service that should refuse: None where ``fault``, in a stage, is that refusal.

    What is no refusal stays as it is: a connection that broke, an answer outside the protocol, an acceptance.
    """
    if expected.stage == "tls" and fault.code is FaultCode.TLS:
        return None  # with TLS 1.3 its alert may come in a later stage
    if fault.status is None or fault.code is FaultCode.PROTOCOL:
        return fault
    if stage == expected.stage and expected.allows(fault.status):
        return None
    return RemoteFault(FaultCode.UNEXPECTED, f"expected {expected}, and {fault.message}", status=fault.status)

"""The service test of a mailbox, as a result: the ISM's summary of a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from postbeat.delivery import MailboxFacts, Tally
from postbeat.elements import MailboxElement
from postbeat.grade import level_of
from postbeat.mailbox.desk import Tools
from postbeat.model import Fault, FaultCode, Phase, Poll, Side
from postbeat.results import Attempt, Result
from postbeat.sending import describe


def checked(
    element: MailboxElement,
    poll: Poll,
    tools: Tools,
    made: tuple[Attempt, ...],
    facts: MailboxFacts | None,
    tally: Mapping[str, int] | None,
) -> Result:
    """What a check has measured; ``tally`` is what readers met since the last one, None where none reads."""
    last = made[-1]
    text = describe(last.fault) if last.fault is not None else ""
    if last.fault is None and facts is not None:
        text = "; ".join((_summary(facts, tally), *last.warnings))
    return Result(
        poll=poll,
        phase=Phase.CHECK,
        kind=element.kind,
        level=level_of(last.fault, last.warnings),
        message=text,
        at_us=tools.clock.now_us(),
        attempts=made,
        fault=last.fault,
        worker=tools.worker,
        service=element.service,
        mailbox=replace(facts, tally=dict(tally or {})) if facts is not None else None,
    )


def kept_away(element: MailboxElement, poll: Poll, tools: Tools, fault: Fault) -> Result:
    """A check that could not be made, by a fault of ours."""
    return Result(
        poll=poll,
        phase=Phase.CHECK,
        kind=element.kind,
        level=level_of(fault),
        message=describe(fault),
        at_us=tools.clock.now_us(),
        fault=fault,
        worker=tools.worker,
        service=element.service,
    )


def never_its_turn(element: MailboxElement, poll: Poll, tools: Tools) -> Result:
    """A check for which the mailbox was never free: a fault of ours."""
    text = "our other readers did not give the mailbox away in time"
    return kept_away(element, poll, tools, Fault(Side.LOCAL, FaultCode.IN_USE, text))


def _summary(facts: MailboxFacts, tally: Mapping[str, int] | None) -> str:
    if tally is None:
        return f"The mailbox can be read; {facts.messages} message{'' if facts.messages == 1 else 's'} in it"
    found = tally.get(Tally.FOUND, 0)
    return f"{found} message{'' if found == 1 else 's'} downloaded; {facts.messages} in the mailbox"

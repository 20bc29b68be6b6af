"""The service test of a mailbox, as a result: the ISM's summary of a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from postbeat.delivery import MailboxFacts, Tally
from postbeat.elements import MailboxElement
from postbeat.grade import level_of
from postbeat.mailbox.desk import Tools
from postbeat.model import Fault, FaultCode, Phase, Poll, Side
from postbeat.results import Attempt, Result
from postbeat.sending import describe
from postbeat.servicelevels import service_of


def checked(
    element: MailboxElement,
    poll: Poll,
    tools: Tools,
    made: tuple[Attempt, ...],
    facts: MailboxFacts | None,
    tally: Mapping[str, int] | None,
) -> Result:
    """What a check has measured, by the built-in levels.

    ``tally`` is what readers met since the last one, None where none reads.
    """
    last = made[-1]
    if last.fault is not None or facts is None:
        text = describe(last.fault) if last.fault is not None else ""
    else:
        text = "; ".join((_summary(facts, tally), *last.warnings))
    told = replace(facts, tally=dict(tally or {})) if facts is not None else None
    return replace(_check(element, poll, tools, text, last.fault, last.warnings), attempts=made, mailbox=told)


def kept_away(element: MailboxElement, poll: Poll, tools: Tools, fault: Fault) -> Result:
    """A check that could not be made, by a fault of ours."""
    return _check(element, poll, tools, describe(fault), fault)


def _check(
    element: MailboxElement,
    poll: Poll,
    tools: Tools,
    text: str,
    fault: Fault | None,
    warnings: Sequence[str] = (),
) -> Result:
    return Result(
        poll=poll,
        phase=Phase.CHECK,
        kind=element.kind,
        level=level_of(fault, warnings),
        message=text,
        at_us=tools.clock.now_us(),
        fault=fault,
        worker=tools.worker,
        service=service_of(element),
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

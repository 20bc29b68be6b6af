"""The send half of a poll: builds the tracked message, runs the SMTP test, makes the result."""

from __future__ import annotations

from dataclasses import dataclass

from postbeat import attempts, message
from postbeat.clock import Clock
from postbeat.grade import level_of
from postbeat.lag import LagMeter
from postbeat.model import Attempt, Fault, Phase, Poll, Result, SmtpElement
from postbeat.probes import smtp
from postbeat.probes.credentials import access
from postbeat.probes.readings import Readings
from postbeat.secrets import Keys


@dataclass(frozen=True, slots=True)
class Sender:
    """What all polls of a worker share."""

    keys: Keys
    clock: Clock
    lag: LagMeter
    originator: str
    helo_name: str
    worker: str

    async def poll(self, element: SmtpElement, poll: Poll) -> Result:
        """Runs one poll: at most 1 + failureretests attempts, and one result that lists them."""

        async def body(readings: Readings, number: int) -> None:
            outgoing = self._outgoing(element, poll, number, readings.started_at_us)
            await smtp.send(element, access(element, self.keys), outgoing, self.helo_name, readings)

        made = await attempts.run(element, body, self.clock, self.lag)
        last = made[-1]
        return Result(
            poll=poll,
            phase=Phase.SEND,
            kind=element.kind,
            level=level_of(last.fault),
            message=_message(element, made),
            at_us=self.clock.now_us(),
            attempts=made,
            fault=last.fault,
            worker=self.worker,
        )

    def _outgoing(
        self, element: SmtpElement, poll: Poll, number: int, sent_at_us: int
    ) -> smtp.Outgoing | None:
        """The message of one attempt, or None for an element that only checks the connection.

        The sender is the login where that is an address, as submission servers ask for it; else the
        mailbox sends to itself.
        """
        if element.email is None:
            return None
        sender = element.username if "@" in element.username else element.email
        token = message.Token(poll, number, sent_at_us)
        envelope = message.Envelope(sender, element.email, self.helo_name, self.originator)
        data = message.build(token, envelope, self.keys.signing[0])
        return smtp.Outgoing(sender, element.email, data)


def _message(element: SmtpElement, made: tuple[Attempt, ...]) -> str:
    fault = made[-1].fault
    tries = f" (attempt {len(made)} of {1 + element.failureretests})" if element.failureretests else ""
    if fault is not None:
        return describe(fault) + tries
    if element.email is None:
        return "The service accepts connections" + tries
    return "Message sent" + tries


def describe(fault: Fault) -> str:
    """A fault as a sentence of ``$message``."""
    return fault.message[:1].upper() + fault.message[1:]

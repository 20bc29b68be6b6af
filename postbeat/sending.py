"""The send half of a poll: builds the tracked message, runs the SMTP test, makes the result."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from postbeat import attempts, dkimsign, mailtext, message
from postbeat.clock import Clock
from postbeat.elements import EMAIL_PATTERN, Element, SmtpElement
from postbeat.grade import level_of
from postbeat.lag import LagMeter
from postbeat.model import Fault, Pair, Phase, Poll
from postbeat.probes import smtp
from postbeat.probes.credentials import access
from postbeat.probes.readings import Readings
from postbeat.results import Attempt, Result
from postbeat.secrets import Keys
from postbeat.servicelevels import NOTHING_KNOWN, Judge, Standing, asks_for_history, service_of
from postbeat.settings import Settings
from postbeat.tls.options import TlsDefaults

TEMPLATES = 20_000  # elements whose messages are kept ready; protects memory

AskStanding = Callable[[Pair], Awaitable[Standing]]


@dataclass(frozen=True, slots=True)
class Sender:
    """What all polls of a worker share.

    ``standing`` tells how a pair stands, for the service levels that ask; None where nobody knows.
    """

    keys: Keys
    clock: Clock
    lag: LagMeter
    originator: str
    helo_name: str
    worker: str
    mail_message: str = ""
    use_body: bool = False
    tls: TlsDefaults = field(default_factory=TlsDefaults)
    standing: AskStanding | None = None
    _templates: dict[str, _Made] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        config: Settings,
        keys: Keys,
        clock: Clock,
        lag: LagMeter,
        worker: str,
        standing: AskStanding | None = None,
    ) -> Self:
        """A sender with the settings of its process."""
        return cls(
            keys=keys,
            clock=clock,
            lag=lag,
            originator=config.originator,
            helo_name=config.helo_name,
            worker=worker,
            mail_message=config.mail_message,
            use_body=config.use_body,
            tls=config.tls_defaults(),
            standing=standing,
        )

    async def poll(self, element: SmtpElement, poll: Poll) -> Result:
        """Runs one poll: at most 1 + failureretests attempts, and one result that lists them."""
        judge = await judge_of(element, poll, self.standing)
        judged: Result | None = None

        async def body(readings: Readings, number: int) -> None:
            outgoing = self._outgoing(element, poll, number, readings.started_at_us)
            helo_name = element.heloname or self.helo_name
            way = await access(element, self.keys, readings.timeline, self.tls)
            await smtp.send(element, way, outgoing, helo_name, readings)

        def fails(made: tuple[Attempt, ...]) -> bool:
            nonlocal judged
            judged = self._result(element, poll, made)
            return judge.fails(judged)

        made = await attempts.run(
            element, body, self.clock, self.lag, fails if judge.needed else attempts.has_fault
        )
        return judge.graded(judged or self._result(element, poll, made))

    def _result(self, element: SmtpElement, poll: Poll, made: tuple[Attempt, ...]) -> Result:
        """What the attempts come to by the built-in levels."""
        last = made[-1]
        return Result(
            poll=poll,
            phase=Phase.SEND,
            kind=element.kind,
            level=level_of(last.fault, last.warnings),
            message=_message(element, made),
            at_us=self.clock.now_us(),
            attempts=made,
            fault=last.fault,
            worker=self.worker,
            service=service_of(element),
        )

    def _outgoing(
        self, element: SmtpElement, poll: Poll, number: int, sent_at_us: int
    ) -> message.Outgoing | None:
        """The message of one attempt, or None for an element that only checks the connection.

        Raises:
            LocalFault: a file that the message is made of cannot be used.
        """
        if element.email is None:
            return None
        text = mailtext.of(element.mailmessage or self.mail_message)
        key = dkimsign.key_of(element.dkimkeyfile) if element.dkimkeyfile else None
        made = self._templates.get(element.name)
        # The same objects as before: nothing has changed.
        if made is None or made.element is not element or made.text is not text or made.key is not key:
            if len(self._templates) >= TEMPLATES:
                self._templates.clear()
            made = _Made(element, text, key, self._template(element, text, key))
            self._templates[element.name] = made
        return made.template.outgoing(message.Token(poll, number, sent_at_us), self.keys.signing[0])

    def _template(
        self, element: SmtpElement, text: mailtext.MailText, key: dkimsign.Key | None
    ) -> message.Template:
        recipient = element.email or ""
        envelope = message.Envelope(
            sender_of(element),
            recipient,
            element.heloname or self.helo_name,
            element.originator or self.originator,
        )
        signer = dkimsign.Signer(element.dkimdomain, element.dkimselector, key) if key else None
        in_body = self.use_body if element.usebody is None else element.usebody == 1
        return message.Template(envelope, text, payload=element.payload, in_body=in_body, signer=signer)


@dataclass(frozen=True, slots=True)
class _Made:
    """A template, and what it was made of."""

    element: SmtpElement
    text: mailtext.MailText
    key: dkimsign.Key | None
    template: message.Template


async def judge_of(element: Element, poll: Poll, ask: AskStanding | None) -> Judge:
    """Who judges the attempts of a poll; asks how the pair stands only where a service level needs it."""
    standing = NOTHING_KNOWN
    if ask is not None and element.servicelevels and asks_for_history(element.servicelevels):
        standing = await ask(poll.pair)
    return Judge(element.servicelevels, element.failureretests, standing)


def sender_of(element: SmtpElement) -> str:
    """The sender of the envelope: the element's own, which may be empty (the null sender).

    Else the login where that is an address, as submission servers ask for it, or the mailbox itself.
    """
    if element.sender is not None:
        return element.sender
    return element.username if re.fullmatch(EMAIL_PATTERN, element.username) else element.email or ""


def _message(element: SmtpElement, made: tuple[Attempt, ...]) -> str:
    fault = made[-1].fault
    tries = f" (attempt {len(made)} of {1 + element.failureretests})" if element.failureretests else ""
    if fault is not None:
        return describe(fault) + tries
    done = "The service accepts connections" if element.email is None else "Message sent"
    if element.expect is not None:
        reply = f": {made[-1].reply}" if element.expect.statuses else ""
        done = f"Refused in stage {element.expect.stage}, as expected{reply}"
    return "; ".join((done, *made[-1].warnings)) + tries


def describe(fault: Fault) -> str:
    """A fault as a sentence of ``$message``."""
    return fault.message[:1].upper() + fault.message[1:]

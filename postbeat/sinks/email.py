"""The sink ``email``: a mail through a relay that, where there is a choice, is not the server that failed."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
)
from redis.exceptions import RedisError

from postbeat.model import SecurityType
from postbeat.sinks.channel import Channel, NotDeliveredError, revealed
from postbeat.sinks.config import EmailSink, Relay
from postbeat.sinks.notice import Notice, moment
from postbeat.sinks.template import BODY, SUBJECT, Template

Hosts = Callable[[Notice], Awaitable[Collection[str]]]

_REPLY_LIMIT = 200
_QUIT_S = 2.0
_TRIES = 5  # for recipients that are refused for now, while the others have the mail and wait for the next


class EmailChannel(Channel):
    """Sends mails; ``helo_name`` is how we call ourselves.

    ``hosts`` tells the servers that a notice may be about, beside its own. It may raise ``RedisError``.
    """

    def __init__(self, sink: EmailSink, helo_name: str, hosts: Hosts) -> None:
        self._sink = sink
        self._helo_name = helo_name
        self._hosts = hosts
        self._subject = Template(sink.subject, SUBJECT)
        self._body = Template(sink.body, BODY)
        self._event = ""  # that is being told
        self._served: set[str] = set()  # who has it, and does not get it again where the others do
        self._tries = 0  # since somebody has it

    async def deliver(self, notice: Notice) -> None:
        """Sends a mail through the first relay that takes it; whom one refuses, the next may not."""
        if notice.id != self._event:
            self._event, self._served, self._tries = notice.id, set(), 0
        message = self._message(notice)
        try:
            hosts = await self._hosts(notice)
        except RedisError as error:
            raise NotDeliveredError(
                f"Redis does not tell what may have failed ({type(error).__name__})"
            ) from None
        failures = []
        for relay in in_order(self._sink.relays, notice, hosts):
            try:
                await self._sent(relay, message)
            except NotDeliveredError as error:
                failures.append(error)
            else:
                self._event = ""  # where it comes again after all, it is for everybody
                return
        self._tries += bool(self._served)
        permanent = self._tries >= _TRIES or all(failure.permanent for failure in failures)
        raise NotDeliveredError("; ".join(map(str, failures)), permanent=permanent)

    def _message(self, notice: Notice) -> bytes:
        sink = self._sink
        message = EmailMessage(SMTP_POLICY)
        message["From"] = sink.sender
        message["To"] = ", ".join(sink.to)
        message["Subject"] = self._subject.line(notice)
        message["Date"] = format_datetime(moment(notice.at_us))
        message["Message-ID"] = self._message_id(notice.id)
        if notice.told_id:
            message["In-Reply-To"] = message["References"] = self._message_id(notice.told_id)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's vacation answers
        message.set_content(self._body.render(notice), cte="quoted-printable")
        return message.as_bytes()

    def _message_id(self, event: str) -> str:
        """The same for the same event, so that a mail that came twice is known as one."""
        return f"<{event}.{self._sink.name}@{self._sink.sender.rpartition('@')[2]}>"

    async def _sent(self, relay: Relay, message: bytes) -> None:
        """Sends the mail to the recipients that do not have it yet.

        Raises:
            NotDeliveredError: one of them does not have it yet.
        """
        recipients = [address for address in self._sink.to if address not in self._served]
        where = f"{relay.server}:{relay.port}"
        client = SMTP(
            hostname=relay.server,
            port=relay.port,
            username=relay.username or None,
            password=revealed(relay.password) or None,
            local_hostname=self._helo_name,
            timeout=self._sink.timeout,
            use_tls=relay.securitytype is SecurityType.SSL,
            start_tls=relay.securitytype is SecurityType.STARTTLS,
        )
        try:
            async with asyncio.timeout(self._sink.timeout):
                await client.connect()
                refused, _ = await client.sendmail(self._sink.sender, recipients, message)
            # The mail is taken: whatever comes now changes nothing.
            with contextlib.suppress(SMTPException, OSError):
                await client.quit(timeout=_QUIT_S)
        except SMTPRecipientsRefused as error:
            raise self._refusal(where, {it.recipient: it.code for it in error.recipients}) from None
        except SMTPAuthenticationError as error:  # what it says may repeat what was sent
            raise NotDeliveredError(f"{where} refused the login ({error.code})") from None
        except SMTPResponseException as error:
            said = re.sub(r"\s+", " ", error.message)[:_REPLY_LIMIT]
            raise NotDeliveredError(
                f"{where} answered {error.code} {said}", permanent=error.code >= 500
            ) from None
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            reason = getattr(cause, "strerror", None) or type(error).__name__
            raise NotDeliveredError(f"{where}: {reason}") from None
        finally:
            client.close()
        self._served.update(set(recipients) - refused.keys())
        if refused:
            raise self._refusal(where, {address: reply.code for address, reply in refused.items()})

    def _refusal(self, where: str, codes: Mapping[str, int]) -> NotDeliveredError:
        who = "every recipient" if not self._served else ", ".join(codes)
        said = ", ".join(map(str, codes.values()))
        permanent = all(code >= 500 for code in codes.values())
        return NotDeliveredError(f"{where} refused {who} ({said})", permanent=permanent)


def in_order(relays: tuple[Relay, ...], notice: Notice, hosts: Collection[str] = ()) -> list[Relay]:
    """The relays in the order in which they are tried.

    First those on other hosts than the servers that the event may be about, its own and ``hosts``, then other
    ports of these, then themselves: a mail that the failing server may take after all is better than none.
    """
    failing = {_host(host) for host in (notice.server, *hosts) if host}

    def nearness(relay: Relay) -> int:
        if _host(relay.server) not in failing:
            return 0
        return 2 if relay.port == notice.port else 1

    return sorted(relays, key=nearness)


def _host(name: str) -> str:
    return name.casefold().strip("[]").removesuffix(".")

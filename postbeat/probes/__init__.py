"""One module for each protocol; each runs one service test."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from postbeat.elements import Imap4Element, MailboxElement, Pop3Element
from postbeat.probes import imap4, pop3
from postbeat.probes.login import Login
from postbeat.probes.session import MailboxSession
from postbeat.timeline import Timeline


async def open_session(
    element: MailboxElement,
    login: Login,
    tls: ssl.SSLContext | None,
    timeline: Timeline,
    fields: Sequence[str],
) -> MailboxSession:
    """A logged-in session on the element's mailbox that will show these header fields.

    Raises:
        RemoteFault, LocalFault: it cannot be had.
    """
    if isinstance(element, Imap4Element):
        return await imap4.open_session(element, login, timeline, fields, tls)
    if isinstance(element, Pop3Element):
        return await pop3.open_session(element, login, timeline, fields, tls)
    raise TypeError(f"{element.name} is the element of no reader")

"""Opening sessions against a scripted server, and the beginnings of their scripts."""

from __future__ import annotations

import ssl
from typing import Any

from postbeat.elements import Imap4Element, Pop3Element
from postbeat.model import LoginType, SecurityType
from postbeat.probes.imap4 import Imap4Session
from postbeat.probes.imap4 import open_session as imap4_session
from postbeat.probes.login import Login
from postbeat.probes.pop3 import Pop3Session
from postbeat.probes.pop3 import open_session as pop3_session
from postbeat.timeline import Timeline
from tests.servers.scripted import ScriptedServer, Step, dialogue

LOGIN = Login("user", "hunter2", "")
FIELDS = ("X-Postbeat", "Received")

IMAP4_IN = """
    S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=CRAM-MD5 UIDPLUS] ready
    C: {tag} LOGIN user hunter2
    S: {tag} OK [CAPABILITY IMAP4rev1 UIDPLUS] in
"""
POP3_IN = """
    S: +OK ready <1@x>
    C: CAPA
    S: +OK
    S: USER
    S: TOP
    S: UIDL
    S: SASL PLAIN CRAM-MD5
    S: .
    C: USER user
    S: +OK
    C: PASS hunter2
    S: +OK in
"""


def imap4_script(rest: str = "", *, exists: int = 0, uidnext: int = 1, validity: int = 7) -> list[Step]:
    """An IMAP4 session from its greeting to its SELECT, and then the rest."""
    return dialogue(f"""{IMAP4_IN}
        C: {{tag}} SELECT INBOX
        S: * {exists} EXISTS
        S: * OK [UIDVALIDITY {validity}] valid
        S: * OK [UIDNEXT {uidnext}] next
        S: {{tag}} OK [READ-WRITE] selected
        {rest}""")


def pop3_script(rest: str = "") -> list[Step]:
    """A POP3 session from its greeting to its login, and then the rest."""
    return dialogue(POP3_IN + rest)


async def open_imap4(
    server: ScriptedServer,
    timeline: Timeline | None = None,
    login: Login = LOGIN,
    tls: ssl.SSLContext | None = None,
    **fields: Any,
) -> Imap4Session:
    """An IMAP4 session on the scripted server, without a spam folder if no other is asked for."""
    given = {"server": "127.0.0.1", "spamfolder": "", **fields}
    element = Imap4Element(name="box", port=server.port, **given)
    return await imap4_session(element, login, timeline or Timeline(), FIELDS, tls)


async def open_pop3(
    server: ScriptedServer,
    timeline: Timeline | None = None,
    login: Login = LOGIN,
    tls: ssl.SSLContext | None = None,
    **fields: Any,
) -> Pop3Session:
    """A POP3 session on the scripted server."""
    element = Pop3Element(name="box", port=server.port, **{"server": "127.0.0.1", **fields})
    return await pop3_session(element, login, timeline or Timeline(), FIELDS, tls)


OPENERS: dict[str, Any] = {"imap4": open_imap4, "pop3": open_pop3}
CRAM_MD5: dict[str, Any] = {"authenticationtype": LoginType.CRAM_MD5}
PLAIN: dict[str, Any] = {"authenticationtype": LoginType.PLAIN}
APOP: dict[str, Any] = {"authenticationtype": LoginType.APOP}
STARTTLS: dict[str, Any] = {"securitytype": SecurityType.STARTTLS}
SSL: dict[str, Any] = {"securitytype": SecurityType.SSL}


def stages(timeline: Timeline) -> list[str]:
    """The names of the stages, in order."""
    return [stage.name for stage in timeline.stages()]

"""Polls of a mail domain against scripted mail exchangers."""

from __future__ import annotations

from typing import Any

from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import Poll
from postbeat.results import PolicyFacts, PolicyVerdict, Result
from postbeat.secrets import Keys
from postbeat.sending import Sender
from tests.dns.world import World
from tests.servers.scripted import ScriptedServer, StartTls, Step, dialogue

PLAIN_SESSION = dialogue("""
    S: 220 mx
    C: EHLO probe.test
    S: 250 mx
    C: QUIT
    S: 221 bye
""")


def secured_session() -> list[Step]:
    """A session that offers STARTTLS, and goes on over it."""
    before = dialogue("S: 220 mx\nC: EHLO probe.test\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go")
    return [*before, StartTls(), *dialogue("C: EHLO probe.test\nS: 250 mx\nC: QUIT\nS: 221 bye")]


def unsecured_session() -> list[Step]:
    """A session that offers STARTTLS and is not asked for it."""
    return dialogue("S: 220 mx\nC: EHLO probe.test\nS: 250-mx\nS: 250 STARTTLS\nC: QUIT\nS: 221 bye")


async def poll_domain(world: World, server: ScriptedServer, domain: str, **fields: Any) -> Result:
    """One poll of a domain whose mail exchangers all listen on the scripted server's port."""
    given = {"port": server.port, "tlscafile": world.authority_file, "timeout": 5, **fields}
    element = SmtpElement(name="mail", server=domain, mx=True, **given)
    sender = Sender(Keys.new(), Clock(), LagMeter(), "SMTP-Monitor", "probe.test", "worker")
    return await sender.poll(element, Poll("mail", "eu", 1))


def policy(result: Result, kind: str) -> PolicyFacts:
    """What the result says of a policy."""
    assert result.decisive is not None
    (found,) = [facts for facts in result.decisive.policies if facts.kind == kind]
    return found


def verdict(result: Result, kind: str) -> PolicyVerdict:
    return policy(result, kind).verdict

"""The stages of attempts: whose they are, in which results they stand, and what each times. Pure."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from postbeat.model import Kind, Phase


@dataclass(frozen=True, slots=True)
class StageKind:
    """A stage by its name: it stands in the results of ``phases`` that probes of ``kinds`` make."""

    kinds: frozenset[Kind]
    phases: frozenset[Phase]
    says: str


_SEND = frozenset({Phase.SEND})
_CHECK = frozenset({Phase.CHECK})
_LOOK = frozenset({Phase.READ, Phase.AFTER, Phase.CHECK})


def _any(says: str) -> StageKind:
    return StageKind(frozenset(Kind), frozenset(Phase), says)


def _smtp(says: str) -> StageKind:
    return StageKind(frozenset({Kind.SMTP}), _SEND, says)


def _mailbox(says: str, phases: frozenset[Phase] = _LOOK) -> StageKind:
    return StageKind(frozenset({Kind.IMAP4, Kind.POP3}), phases, says)


def _imap4(says: str) -> StageKind:
    return StageKind(frozenset({Kind.IMAP4}), _LOOK, says)


GOODBYE = "quit"  # the test itself is over by then: what goes wrong in it is no fault

# In about the order in which they come.
STAGES: dict[str, StageKind] = {
    "token": _any("an access token is fetched from the token endpoint"),
    "mx": _smtp("with `mx`: the mail exchangers of the domain are looked up"),
    "mta-sts": _smtp("with `mx`: the domain's MTA-STS policy is fetched"),
    "lookup": _any("the addresses of the server are looked up"),
    "dane": _smtp("with `mx`: the TLSA records of a mail exchanger are looked up"),
    "connect": _any("the connection is made, once for each address that is tried"),
    "greeting": _any("the server's greeting"),
    "ehlo": _smtp("EHLO, or HELO or LHLO in its place, before and after STARTTLS"),
    "capability": _mailbox("CAPABILITY or CAPA, where the server does not tell its capabilities unasked"),
    "starttls": _any("the command STARTTLS or STLS and its answer"),
    "tls": _any("the TLS handshake"),
    "auth": _smtp("the login"),
    "login": _mailbox("the login"),
    "enable": _imap4("ENABLE, where the server offers what it is for"),
    "select": _imap4("the folder is opened"),
    "mail": _smtp("MAIL FROM"),
    "rcpt": _smtp("RCPT TO"),
    "data": _smtp("DATA, to the reply that allows the message"),
    "upload": _smtp("the message, to the reply to its end"),
    "find": _mailbox("the look for messages; of what became of a message, too"),
    "fetch": _mailbox("messages of ours, and bounces, are fetched"),
    "facts": _mailbox("the number of messages, sizes and quota are asked for", _CHECK),
    GOODBYE: StageKind(frozenset(Kind), _SEND | _CHECK, "the goodbye; what goes wrong in it is no fault"),
}


def of_faults(kinds: Set[Kind], phases: Set[Phase]) -> tuple[str, ...]:
    """The stages that a fault may have in results of some phases, by probes of some kinds."""
    return tuple(
        name
        for name, stage in STAGES.items()
        if name != GOODBYE and stage.kinds & kinds and stage.phases & phases
    )

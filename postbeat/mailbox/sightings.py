"""What a reader saw in a mailbox: messages of ours, and what their text tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from postbeat import message
from postbeat.arrival import body, bounce, dkimcheck, fields, hops, verdicts
from postbeat.delivery import Bounce, Verdict
from postbeat.elements import MailboxElement
from postbeat.mailbox.desk import Txt
from postbeat.message import Token
from postbeat.probes.session import MESSAGE_LIMIT, Place
from postbeat.store.records import Pending

DKIM_S = 2.0  # for our own look at DKIM signatures, the lookup of their keys included

# The header fields that tell whether a message concerns us.
FIELDS = (message.FIELD, "Message-ID", "Content-Type", "Return-Path", "Auto-Submitted")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A message in the mailbox that carries a token of ours which verifies, or a notice about one.

    ``original`` is whether it is the message that we sent, by its Message-ID. ``seen_at_us`` is when a look
    showed it first, ``looked_before_us`` when the look before began: it was not there then. ``number`` counts
    the sightings of a visit: what lies behind another message in a folder, or came into it later, has a
    higher one. ``notice`` is set where it is a notice.
    """

    place: Place
    token: Token
    original: bool
    seen_at_us: int
    looked_before_us: int
    number: int = 0
    pushed: bool = False
    spam: bool = False
    notice: Bounce | None = None

    @property
    def poll(self) -> str:
        """The id of the poll that sent it."""
        return str(self.token.poll)


@dataclass(frozen=True, slots=True)
class Details:
    """What the whole text of a message tells."""

    path: hops.Path
    verdicts: tuple[Verdict, ...] = ()
    altered: tuple[str, ...] = ()


NO_DETAILS = Details(hops.Path())


async def details(
    text: bytes, sighting: Sighting, expected: Pending, element: MailboxElement, txt: Txt | None
) -> Details:
    """Reads the whole text of a message: its path, the verdicts on it, and what was changed."""
    complete = len(text) < MESSAGE_LIMIT
    header, rest = fields.split(text)
    received = tuple(fields.values(header, "received"))
    path = hops.path(
        received,
        accepted_at_us=expected.accepted_at_us,
        seen_at_us=sighting.seen_at_us,
        uncertainty_us=expected.uncertainty_us,
        sent_at_us=sighting.token.sent_at_us,
    )
    trusted = element.authservids or verdicts.own_names(received, element.server)
    found = verdicts.verdicts(fields.values(header, "authentication-results"), trusted)
    if complete and txt is not None and not any(verdict.method == "dkim" for verdict in found):
        checked = await _dkim(text, txt, min(DKIM_S, element.timeout / 4))
        found += (checked,) if checked is not None else ()
    return Details(path, found, body.changes(header, rest, sighting.token, complete=complete))


async def _dkim(text: bytes, txt: Txt, longest_s: float) -> Verdict | None:
    """What our own look at the signatures says; slow name servers must not be the mailbox's fault."""
    try:
        async with asyncio.timeout(longest_s):
            return await dkimcheck.check(text, txt, asyncio.to_thread)
    except TimeoutError:
        return Verdict("dkim", "temperror", dkimcheck.BY, f"no key within {longest_s:g} s")


def notice(text: bytes, keys: Sequence[bytes]) -> tuple[Token, Bounce] | None:
    """The message of ours that a bounce speaks of, and what it says; None where it concerns none of ours."""
    read = bounce.read(text)
    if read is None:
        return None
    for part in read.texts:
        token = message.tokens_in(part, keys)
        if token is not None:
            return token, read.bounce
    return None


def place_text(place: Place) -> str:
    """A place as one text, for the store."""
    return f"{place.folder}/{place.uid}"

"""What became of a message, as types: its outcome, its path, the verdicts on it, and the mailbox it lies in.

Instants (``at``) are microseconds since the epoch on our one clock, unless a field says whose clock it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What happened to a message. A read has one; what comes after it (late, lost, duplicated) another."""

    DELIVERED = "delivered"
    OUT_OF_ORDER = "out-of-order"  # a later message of the same element and region came before it
    ALTERED = "altered"  # it arrived, and not as it was sent
    SPAM = "spam"  # it arrived in the spam folder
    LATE = "late"  # it arrived after delivertimeout
    BOUNCED = "bounced"  # a delivery status notification says that it will not arrive
    OVERDUE = "overdue"  # it was not there when delivertimeout was over; it may still come
    LOST = "lost"  # it was not there when losttimeout was over
    DUPLICATED = "duplicated"  # it arrived once more
    UNREADABLE = "unreadable"  # the mailbox could not be looked into


@dataclass(frozen=True, slots=True)
class Hop:
    """One host that took the message over, as its Received field says (RFC 5321 section 4.4).

    ``at_us`` is by that host's own clock. ``took_us`` is the time since the hop before, by the two clocks
    concerned, and may be negative. ``skew_us`` is how far the host's clock is off at least: positive where it
    is fast, 0 where its time is possible, None where it told none.
    """

    by: str
    sender: str = ""
    protocol: str = ""
    at_us: int | None = None
    took_us: int | None = None
    skew_us: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of a message's authentication: ``spf``, ``dkim``, ``dmarc`` or ``arc`` (RFC 8601).

    ``result`` is the RFC's word: pass, fail, none, softfail, temperror, ... ``by`` is the authserv-id of the
    host that says so, or ``postbeat`` where we have verified it ourselves.
    """

    method: str
    result: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a delivery status notification says of our message (RFC 3464).

    ``action`` is ``failed`` or ``delayed``; ``status`` the enhanced status code (RFC 3463), ``text`` what the
    remote host said, bounded and printable.
    """

    action: str
    status: str = ""
    text: str = ""
    recipient: str = ""
    reported_by: str = ""
    remote: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message travelled: from its acceptance by the server until it was seen in the mailbox.

    ``to_deliver_us`` is at most ``resolution_us`` too long, and ``uncertainty_us`` too long or too short:
    the former is the time in which nobody had looked, the latter what the clocks of the hosts that sent and
    read may differ. ``pushed`` is whether the server announced it unasked. ``copies`` is how many there were
    when it was found. ``altered`` says what was changed on the way.

    ``server_skew_us`` is how far the mailbox server's clock is fast (negative: slow) by the topmost Received
    field, give or take ``server_skew_uncertainty_us``; None where there is no such field.
    """

    to_deliver_us: int
    resolution_us: int
    hop_count: int
    uncertainty_us: int = 0
    pushed: bool = False
    folder: str = ""
    copies: int = 1
    out_of_order: bool = False
    altered: tuple[str, ...] = ()
    hops: tuple[Hop, ...] = ()  # in the order of the journey: the first took the message from us
    verdicts: tuple[Verdict, ...] = ()
    server_skew_us: int | None = None
    server_skew_uncertainty_us: int | None = None

    @property
    def slowest_hop(self) -> Hop | None:
        """The hop that took longest, or None where no hop tells how long it took."""
        timed = [hop for hop in self.hops if hop.took_us is not None]
        return max(timed, key=lambda hop: hop.took_us or 0, default=None)


@dataclass(frozen=True, slots=True)
class MailboxFacts:
    """What a server tells of a mailbox; None is what it does not tell.

    ``folders`` has the number of messages in each folder that is searched (POP3: one, named ``""``).
    ``quota_used_bytes`` and ``quota_limit_bytes`` are from RFC 9208.
    ``tally`` counts what readers met since the poll before, by the names of :class:`Tally`.
    """

    messages: int
    size_bytes: int | None = None
    quota_used_bytes: int | None = None
    quota_limit_bytes: int | None = None
    folders: Mapping[str, int] = field(default_factory=dict)
    tally: Mapping[str, int] = field(default_factory=dict)


class Tally(StrEnum):
    """What readers count in a mailbox."""

    FOUND = "found"  # messages of ours that were found for the first time
    DUPLICATES = "duplicates"  # further copies of them
    BOUNCES = "bounces"  # delivery status notifications on messages of ours
    ORPHANS = "orphans"  # old messages of ours that nobody waited for; removed
    FORGED = "forged"  # tokens whose signature does not verify; left alone
    DAMAGED = "damaged"  # tokens that are none; left alone
    REPLAYED = "replayed"  # valid tokens in messages that are not ours; left alone
    FOREIGN = "foreign"  # other people's messages; left alone
    LOOKS = "looks"  # looks into the mailbox
    LOGINS = "logins"  # sessions that were opened
    CONFLICTS = "conflicts"  # refusals because the mailbox was in use, or logins too many

"""The level of a result. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from postbeat.elements import Element
from postbeat.model import Fault, FaultCode, Level, Side
from postbeat.results import TlsFacts

# Refusals that a sending server answers by trying again later: the mail is late, not lost.
_PASSING = (FaultCode.GREYLISTED, FaultCode.TEMPORARY)


def level_of(fault: Fault | None, warnings: Sequence[str] = ()) -> Level:
    """GOOD without a fault, FAILED for a REMOTE one; a LOCAL one says nothing of the service: UNKNOWN.

    Warnings make MARGINAL what would be GOOD; a refusal for now (greylisting, say) is MARGINAL too.
    """
    if fault is None:
        return Level.MARGINAL if warnings else Level.GOOD
    if fault.side is Side.LOCAL:
        return Level.UNKNOWN
    return Level.MARGINAL if fault.code in _PASSING else Level.FAILED


_DAY_US = 86_400_000_000


def days_left(tls: TlsFacts, at_us: int) -> int | None:
    """Whole days until the first certificate of the chain expires, negative once it has; None if unknown."""
    return None if tls.expires_at_us is None else (tls.expires_at_us - at_us) // _DAY_US


def expiry_warning(element: Element, tls: TlsFacts | None, at_us: int) -> str:
    """That a certificate expires within the element's ``certificatewarndays``, or ""."""
    days = days_left(tls, at_us) if tls is not None else None
    if tls is None or tls.expires_at_us is None or days is None or not element.certificatewarndays:
        return ""
    if days > element.certificatewarndays:
        return ""
    date = datetime.fromtimestamp(tls.expires_at_us / 1e6, UTC).date()
    what = "the server's certificate"
    if tls.expiring != tls.subject:
        what = f"the certificate {tls.expiring}, which the server's hangs on,"
    if tls.expires_at_us < at_us:
        return f"{what} expired on {date}"
    return f"{what} expires in {days} day{'' if days == 1 else 's'}, on {date}"


def worst(levels: Iterable[Level]) -> Level:
    """The worst of some levels; GOOD where there are none."""
    return max(levels, key=_SEVERITY.__getitem__, default=Level.GOOD)


_SEVERITY = {Level.GOOD: 0, Level.MARGINAL: 1, Level.UNKNOWN: 2, Level.FAILED: 3}


def merged(send: Level, read: Level | None) -> Level:
    """The level of a round trip from those of its halves; ``read`` is None where nothing is read.

    What was not sent cannot be read: an UNKNOWN send makes the whole UNKNOWN, whatever the mailbox said of
    earlier messages. Otherwise the worse half counts, and FAILED is the worst.
    """
    if read is None or send is Level.UNKNOWN:
        return send
    return worst((send, read))

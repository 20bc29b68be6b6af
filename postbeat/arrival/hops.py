"""The path of a message by its Received fields (RFC 5321 section 4.4), and what they tell of clocks.

A field's date has a resolution of one second: the host's clock showed a time in [t, t + 1 s) when it wrote t.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from postbeat.arrival.fields import VALUE_LIMIT, printable
from postbeat.arrival.words import without_comments
from postbeat.delivery import Hop

HOPS_LIMIT = (
    100  # hops that are looked at, as many as a mail server lets a message make (RFC 5321 section 6.3)
)
NAME_LIMIT = 255  # characters of a host's name, or of a protocol's
DATE_LIMIT = 100  # characters in which a date is looked for
RESOLUTION_US = 1_000_000  # of a date

# "tls" is Exim's.
_CLAUSES = frozenset(("from", "by", "via", "with", "id", "for", "tls"))
_BRACKETS = re.compile(r'[()"]')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Only what tells the time beyond doubt: RFC 5322 section 4.3 would have any other zone taken for UTC, and the
# host's clock would then seem to be hours off.
_ZONES_H = {
    **dict.fromkeys(("ut", "utc", "gmt", "z"), 0),
    **{"edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8},
}
_DATE = re.compile(
    r"""\b(?P<day>\d{1,2})[ -](?P<month>[a-z]{3})[a-z]{0,6}[ -](?P<year>\d{2,4})[ ]
        (?P<hour>\d{1,2})[ ]?:[ ]?(?P<minute>\d\d)(?:[ ]?:[ ]?(?P<second>\d\d)(?:\.\d{1,9})?)?
        [ ]?(?P<zone>[+-]\d\d:?\d\d|[a-z]{1,4})(?![a-z0-9])
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Path:
    """The hops of a message in the order of the journey: the first took it from us.

    ``hop_count`` is the number of Received fields, also of those that are not among ``hops`` because there
    are more than HOPS_LIMIT. The skew is that of the mailbox server's clock, as in
    :class:`postbeat.delivery.Delivery`.
    """

    hops: tuple[Hop, ...] = ()
    hop_count: int = 0
    server_skew_us: int | None = None
    server_skew_uncertainty_us: int | None = None


def path(
    received: Sequence[str],
    *,
    accepted_at_us: int,
    seen_at_us: int,
    uncertainty_us: int = 0,
    sent_at_us: int | None = None,
) -> Path:
    """The path by the values of the Received fields, from the top: the newest first.

    A hop can have stamped the message at any time T from ``earliest`` to ``latest``: from ``accepted_at_us``,
    or ``sent_at_us`` where given, less the uncertainty of our clock, to ``seen_at_us`` plus the uncertainty.
    (``sent_at_us`` is when the transfer to the server began: most servers stamp a message before they have
    all of it.)

    * ``Hop.took_us`` is the difference between the dates of a hop and of the one before, if both have one.
    * ``Hop.skew_us`` is the smallest shift that brings the date t of a hop into what is possible:
      t - latest where that is positive, t + 1 s - earliest where that is negative, and else 0.
    * The server's skew lies between t - latest and t + 1 s - earliest, for the date t of the topmost
      field that has one. ``server_skew_us`` is the middle, ``server_skew_uncertainty_us`` half the
      difference: half of latest - earliest + 1 s.

    A field that makes no sense is a hop without a name or time. Nothing raises.
    """
    earliest_us = (accepted_at_us if sent_at_us is None else min(sent_at_us, accepted_at_us)) - uncertainty_us
    latest_us = max(seen_at_us + uncertainty_us, earliest_us)
    found = [hop_of(value) for value in reversed(received[:HOPS_LIMIT])]
    timed = [replace(hop, skew_us=_skew(hop.at_us, earliest_us, latest_us)) for hop in found]
    hops = [*timed[:1], *(replace(hop, took_us=_between(before, hop)) for before, hop in pairwise(timed))]
    topmost_us = next((hop.at_us for hop in reversed(hops) if hop.at_us is not None), None)
    if topmost_us is None:
        return Path(tuple(hops), len(received))
    least_us, most_us = topmost_us - latest_us, topmost_us + RESOLUTION_US - earliest_us
    return Path(tuple(hops), len(received), (least_us + most_us) // 2, (most_us - least_us + 1) // 2)


def _skew(at_us: int | None, earliest_us: int, latest_us: int) -> int | None:
    if at_us is None:
        return None
    return max(0, at_us - latest_us) + min(0, at_us + RESOLUTION_US - earliest_us)


def _between(before: Hop, hop: Hop) -> int | None:
    return None if before.at_us is None or hop.at_us is None else hop.at_us - before.at_us


def hop_of(value: str) -> Hop:
    """The hop that a Received field tells of: what it does not tell is ""."""
    value = value[:VALUE_LIMIT]
    text, closed = without_comments(value)
    if not closed:
        text = _BRACKETS.sub(" ", value)
    before, semicolon, date = text.rpartition(";")
    clauses = _clauses(before if semicolon else text)
    return Hop(
        by=_name(clauses.get("by", ())[:1]),
        sender=_name(clauses.get("from", ())[:1]),
        protocol=_name(clauses.get("with", ())),
        at_us=instant_us(date[:DATE_LIMIT] if semicolon else date[-DATE_LIMIT:]),
    )


def _clauses(text: str) -> dict[str, list[str]]:
    """The words after each keyword where it occurs first."""
    clauses: dict[str, list[str]] = {}
    words: list[str] = []
    for word in text.split():
        key = word.lower()
        if key in _CLAUSES and key not in clauses:
            words = clauses[key] = []
        else:
            words.append(word)
    return clauses


def _name(words: Sequence[str]) -> str:
    return printable(" ".join(words)[:NAME_LIMIT].encode("utf-8", "replace"), NAME_LIMIT)


def instant_us(text: str) -> int | None:
    """Microseconds since the epoch by a date (RFC 5322 sections 3.3 and 4.3); None where it is none."""
    match = _DATE.search(" ".join(text[:DATE_LIMIT].split()))
    if match is None or match["month"].lower() not in _MONTHS:
        return None
    offset = _offset(match["zone"].lower())
    year = int(match["year"])
    if len(match["year"]) < 4:  # section 4.3: 49 is 2049, 50 is 1950, 103 is 2003
        year += 2000 if len(match["year"]) == 2 and year < 50 else 1900
    second = int(match["second"] or 0)
    if offset is None or not 1970 <= year <= 9998 or second > 60:
        return None
    month = _MONTHS.index(match["month"].lower()) + 1
    try:
        minute = datetime(
            year, month, int(match["day"]), int(match["hour"]), int(match["minute"]), tzinfo=UTC
        )
    except ValueError:
        return None
    return (minute - _EPOCH - offset + timedelta(seconds=second)) // timedelta(microseconds=1)


def _offset(zone: str) -> timedelta | None:
    """How far a zone is before UTC; None where it is not known."""
    if zone[0] not in "+-":
        return timedelta(hours=_ZONES_H[zone]) if zone in _ZONES_H else None
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return (-offset if zone[0] == "-" else offset) if hours < 24 and minutes < 60 else None

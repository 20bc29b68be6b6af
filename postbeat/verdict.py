"""The verdict on an element over all its regions: quorum. Pure.

Regions vote with the levels that are confirmed. UNKNOWN is no news, and has no vote: a region whose worker is
away neither hides an outage that the others see nor makes one. FAILED needs as many failed regions as
the quorum asks for: a share of the fresh ones, or a number of regions, which fewer fresh regions cannot
reach. Less than that, or a region that is MARGINAL, makes the element DEGRADED.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from postbeat.model import Level

Quorum = str | int  # any, majority, all, or how many regions must agree


class Verdict(StrEnum):
    """How an element stands over all its regions."""

    GOOD = "GOOD"
    DEGRADED = "DEGRADED"  # some regions fail, or some are MARGINAL: not enough for FAILED
    FAILED = "FAILED"  # as many fresh regions as the quorum asks for
    UNKNOWN = "UNKNOWN"  # no region has fresh news


# How levels and verdicts are told wherever they are shown: by sign and word, so that colour is not needed.
SIGNS = {"GOOD": "✓", "MARGINAL": "!", "DEGRADED": "~", "FAILED": "✗", "UNKNOWN": "?"}
WORST_FIRST = (Verdict.FAILED, Verdict.DEGRADED, Verdict.UNKNOWN, Verdict.GOOD)
LEVELS_WORST_FIRST = (Level.FAILED, Level.MARGINAL, Level.UNKNOWN, Level.GOOD)  # UNKNOWN has no vote


def verdict_of(levels: Mapping[str, Level], quorum: Quorum) -> Verdict:
    """The verdict from the confirmed level of each region; UNKNOWN ones are not fresh and have no vote."""
    fresh = [level for level in levels.values() if level is not Level.UNKNOWN]
    if not fresh:
        return Verdict.UNKNOWN
    failed = fresh.count(Level.FAILED)
    if failed >= needed(quorum, len(fresh)):
        return Verdict.FAILED
    return Verdict.GOOD if all(level is Level.GOOD for level in fresh) else Verdict.DEGRADED


def needed(quorum: Quorum, fresh: int) -> int:
    """How many of so many fresh regions must fail for FAILED: ``majority`` is more than half."""
    if isinstance(quorum, int):
        return quorum
    return {"any": 1, "majority": fresh // 2 + 1, "all": fresh}[quorum]


def concerned(levels: Mapping[str, str]) -> list[str]:
    """The regions that a verdict is about: those that voted against GOOD, or all where none did."""
    against = (Level.MARGINAL, Level.FAILED)
    return [region for region, level in levels.items() if level in against] or list(levels)


def disagreeing(levels: Mapping[str, Level], verdict: Verdict) -> tuple[str, ...]:
    """The regions that see another level than most of the fresh ones do, sorted by name.

    Where two levels have as many regions each, FAILED ones disagree, unless that is the verdict; of GOOD and
    MARGINAL it is the MARGINAL ones.
    """
    votes: Counter[Level] = Counter(level for level in levels.values() if level is not Level.UNKNOWN)
    if not votes:
        return ()
    order: tuple[Level, ...] = (Level.GOOD, Level.MARGINAL, Level.FAILED)
    if verdict is Verdict.FAILED:
        order = order[::-1]
    most = max(order, key=lambda level: votes[level])  # the first of equals
    return tuple(sorted(name for name, level in levels.items() if level not in (most, Level.UNKNOWN)))

"""What the store tells in short: of pairs, of elements, and of what is monitored. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import filter as matching
from fnmatch import fnmatchcase
from typing import Any

from postbeat.delivery import Outcome
from postbeat.model import Kind, Level, Pair, Phase
from postbeat.results import Reason
from postbeat.store.streams import reasons_of
from postbeat.verdict import Quorum, Verdict, concerned
from postbeat.windows import Window


@dataclass(slots=True)  # not frozen: that would take half of the time in which many thousands are read
class PairSummary:
    """Where an element stands in a region. Nobody changes it.

    ``why`` is told by the result that the level is from, whose phase and fault stand beside it ("" for no
    fault). ``at_us`` is when the last result came. The times are of the newest send or check and of the
    newest read; ``expires_at_us`` is the first end of a certificate of the server and of the mailbox's
    server. ``failures`` polls in a row failed, the first of them at ``failed_since_us``. ``confirmed`` is the
    level that counts for the verdict.
    """

    pair: Pair
    kind: Kind
    level: Level
    since_us: int | None
    at_us: int | None
    why: str
    phase: Phase | None
    stage: str
    code: str
    side: str
    outcome: Outcome | None
    response_us: int | None
    upload_us: int | None
    deliver_us: int | None
    total_us: int | None
    failures: int
    failed_since_us: int | None
    confirmed: Level
    expires_at_us: int | None
    polls: int


@dataclass(slots=True)  # not frozen, for the same reason
class ElementVerdict:
    """The verdict on an element, and the confirmed level of each region. Nobody changes it.

    ``reasons`` are why regions are not GOOD, of the ten worst; one that nobody knows any more is left out.
    """

    element: str
    verdict: Verdict
    since_us: int | None
    regions: Mapping[str, Level]
    quorum: Quorum
    reasons: Mapping[str, Reason] = field(default_factory=dict)

    def is_excused(self, in_maintenance: Callable[[Pair], bool]) -> bool:
        """Whether it is not GOOD, and what is wrong is all in regions that are in maintenance."""
        return self.verdict is not Verdict.GOOD and self.is_covered(in_maintenance)

    def is_covered(self, in_maintenance: Callable[[Pair], bool]) -> bool:
        """Whether each region that the verdict is about is in maintenance."""
        return all(in_maintenance(Pair(self.element, region)) for region in concerned(self.regions))


def reason_of(pair: PairSummary, reasons: Mapping[str, Reason]) -> Reason | None:
    """Why a pair has the level that counts for the verdict; where that is GOOD, why it has the one of now.

    None where nobody knows any more: a newer result has another level, which does not count yet.

    Args:
        pair: what is asked about.
        reasons: those of the verdict on its element.
    """
    if pair.confirmed in (pair.level, Level.GOOD):
        return Reason(pair.level, pair.phase, pair.stage, pair.code, pair.side, pair.why)
    reason = reasons.get(pair.pair.region)
    return reason if reason is not None and reason.level is pair.confirmed else None


@dataclass(frozen=True, slots=True)
class ElementFacts:
    """What may be known of an element of the profile in force: nothing secret, and no user's name.

    ``poll`` is None for a mailbox that is only read, ``read`` names the mailbox that an smtp element's mail
    is read from, or is "". ``mailbox`` is the same for all elements of one mailbox, "" for those of none
    (:func:`postbeat.publicfacts.mailbox_digest`).
    """

    name: str
    type: Kind
    server: str
    port: int
    description: str
    group: str
    regions: tuple[str, ...]
    poll: float | None
    read: str
    email: str
    quorum: Quorum
    confirmpolls: int
    availabilitytarget: float
    maintenance: tuple[Window, ...]
    servicelevels: tuple[str, ...]
    active: bool
    mailbox: str = ""


_KINDS = {kind.value: kind for kind in Kind}
_LEVELS = {level.value: level for level in Level}
_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_PHASES: dict[str | None, Phase | None] = {None: None} | {phase.value: phase for phase in Phase}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


def outcome_of(text: str | None) -> Outcome | None:
    """The outcome of its name; None for none, and for one that only a later version knows."""
    return _OUTCOMES.get(text or "")


def first_text(kind: Kind) -> str:
    """The stored text of a pair that has no result yet."""
    times = [None] * 4
    row = [kind.value, Level.UNKNOWN.value, None, None, "No result yet", None, "", "", "", None, *times]
    return json.dumps([*row, 0, None, Level.UNKNOWN.value, None, 0], separators=(",", ":"))


def summaries(stored: Mapping[str, str]) -> list[PairSummary]:
    """Those of the stored texts, by pair; what the script puts in is in the order of the fields."""
    rows = json.loads(f"[{','.join(stored.values())}]")  # at once: there may be many thousands
    return [_summary(name, row) for name, row in zip(stored, rows, strict=True)]


@functools.lru_cache(maxsize=65536)
def _pair(name: str) -> Pair:
    return Pair.parse(name)


def _summary(name: str, row: list[Any]) -> PairSummary:
    """That of a row, whose instants are texts or None."""
    kind, level, since_us, at_us, why, phase, stage, code, side, outcome, *numbers = row
    response_us, upload_us, deliver_us, total_us, failures, failed_since_us, *rest = numbers
    confirmed, expires_at_us, polls = rest
    return PairSummary(
        _pair(name),
        _KINDS[kind],
        _LEVELS[level],
        since_us and int(since_us),
        at_us and int(at_us),
        why,
        _PHASES[phase],
        stage,
        code,
        side,
        outcome_of(outcome),
        response_us,
        upload_us,
        deliver_us,
        total_us,
        failures,
        failed_since_us and int(failed_since_us),
        _LEVELS[confirmed],
        expires_at_us and int(expires_at_us),
        polls,
    )


def by_element(stored: Mapping[str, str]) -> dict[str, Callable[[], list[PairSummary]]]:
    """What tells the summaries of an element, by element: of many thousands, few are looked at."""
    found: dict[str, dict[str, str]] = {}
    for name, text in stored.items():
        found.setdefault(name[: name.rindex("@")], {})[name] = text
    return {element: functools.partial(summaries, texts) for element, texts in found.items()}


def first_verdict_text(regions: Iterable[str], quorum: Quorum) -> str:
    """The stored text of the verdict on an element that has no result yet."""
    levels = dict.fromkeys(regions, Level.UNKNOWN.value)
    return json.dumps({"verdict": Verdict.UNKNOWN, "since_us": None, "quorum": quorum, "regions": levels})


def element_verdicts(stored: Mapping[str, str]) -> list[ElementVerdict]:
    """Those of the stored texts, by element."""
    rows = json.loads(f"[{','.join(stored.values())}]")  # at once: there may be many thousands
    return [_verdict(element, row) for element, row in zip(stored, rows, strict=True)]


def _verdict(element: str, data: dict[str, Any]) -> ElementVerdict:
    regions = {region: _LEVELS[level] for region, level in sorted(data["regions"].items())}
    verdict, reasons = _VERDICTS[data["verdict"]], reasons_of(data.get("reasons", {}))
    return ElementVerdict(element, verdict, data["since_us"], regions, data["quorum"], reasons)


@functools.lru_cache(maxsize=65536)  # they change with the profile only, and are asked for all the time
def element_facts(text: str) -> ElementFacts:
    """The facts of a stored text, without those that only a later version knows.

    The same text gives the same object.
    """
    stored: dict[str, Any] = json.loads(text)
    data = {name: stored[name] for name in ElementFacts.__slots__ if name in stored}
    return ElementFacts(
        **data
        | {
            "type": Kind(data["type"]),
            "regions": tuple(data["regions"]),
            "maintenance": tuple(map(Window.parse, data["maintenance"])),
            "servicelevels": tuple(data["servicelevels"]),
        }
    )


def any_named(profile: Mapping[str, ElementFacts], element: str, region: str) -> bool:
    """Whether globs of an element's and of a region's name fit some element of a profile."""
    fits = functools.cache(lambda one: fnmatchcase(one, region))  # thousands of elements share a few regions
    return any(any(map(fits, profile[name].regions)) for name in matching(profile, element))


class StoredFacts(Mapping[str, ElementFacts]):
    """Facts by name, in the order of names; each text is read when it is asked for."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {name: texts[name] for name in sorted(texts)}

    def __getitem__(self, name: str) -> ElementFacts:
        return element_facts(self._texts[name])

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

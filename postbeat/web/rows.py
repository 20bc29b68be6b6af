"""The rows of the overview: one for each element, worst first; how they are searched and paged. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from postbeat.model import Level
from postbeat.results import Reason
from postbeat.store.maintenance import Calendar
from postbeat.store.summary import ElementFacts, ElementVerdict, PairSummary, reason_of
from postbeat.verdict import LEVELS_WORST_FIRST, WORST_FIRST, Verdict, verdict_of

IN_MAINTENANCE = "MAINTENANCE"  # what an element counts as whose verdict is excused by maintenance
COUNTED_AS = (*map(str, WORST_FIRST[:-1]), IN_MAINTENANCE, str(WORST_FIRST[-1]))  # what is GOOD comes last
_RANK = {word: rank for rank, word in enumerate(COUNTED_AS)}
_LEVEL_RANK = {level: rank for rank, level in enumerate(LEVELS_WORST_FIRST)}


@dataclass(slots=True)
class Row:
    """An element over all its regions. What is not needed to find it is read when it is first asked for.

    ``in_maintenance`` is whether every region that is FAILED or MARGINAL is in maintenance, and there is one.
    ``reasons`` are those of the verdict.
    """

    element: str
    verdict: Verdict
    since_us: int | None
    _summaries: Callable[[], list[PairSummary]]
    _facts: Mapping[str, ElementFacts]
    in_maintenance: bool = False
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    _pairs: list[PairSummary] = field(default_factory=list)
    _text: str = ""

    @property
    def pairs(self) -> list[PairSummary]:
        """Its regions, worst first: by what counts for the verdict, then by what they are now."""
        if not self._pairs:
            found = self._summaries()
            found.sort(
                key=lambda pair: (_LEVEL_RANK[pair.confirmed], _LEVEL_RANK[pair.level], pair.pair.region)
            )
            self._pairs = found
        return self._pairs

    @property
    def facts(self) -> ElementFacts | None:
        """What the profile says of it; None before beat told it."""
        return self._facts.get(self.element)

    @property
    def text(self) -> str:
        """What is searched; made when it is first asked for, as most overviews are not searched."""
        if not self._text:
            regions = " ".join(pair.pair.region for pair in self.pairs)
            said = {f"{pair.why} {pair.stage} {pair.code}" for pair in self.pairs}
            said |= {f"{one.message} {one.stage} {one.code}" for one in self.reasons.values()}
            self._text = f"{self.element} {_named(self.facts)} {regions} {' '.join(said)}".casefold()
        return self._text

    def reason(self, pair: PairSummary) -> Reason | None:
        """Why one of its regions is as it is (:func:`postbeat.store.summary.reason_of`)."""
        return reason_of(pair, self.reasons)

    @property
    def why(self) -> Reason | None:
        """What is wrong in the worst region of which that is known; None where nothing is."""
        told = (reason for pair in self.pairs if (reason := self.reason(pair)) is not None)
        return next((reason for reason in told if reason.level is not Level.GOOD), None)

    @property
    def counted_as(self) -> str:
        """Its verdict, or ``IN_MAINTENANCE`` where that excuses it."""
        return IN_MAINTENANCE if self.in_maintenance else self.verdict

    @property
    def response_us(self) -> int | None:
        """The response time of the slowest region."""
        return max((pair.response_us for pair in self.pairs if pair.response_us is not None), default=None)

    @property
    def deliver_us(self) -> int | None:
        """The time to deliver of the slowest region."""
        return max((pair.deliver_us for pair in self.pairs if pair.deliver_us is not None), default=None)

    @property
    def group(self) -> str:
        """The group, "" for none."""
        return self.facts.group if self.facts else ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched: every word of ``q`` in an element's names and messages; the rest by equality."""

    q: str = ""
    verdict: str = ""
    level: str = ""
    region: str = ""
    group: str = ""
    kind: str = ""

    def fits(self, row: Row) -> bool:
        """Whether a row is wanted. A verdict is what it counts as; a level is its verdict or a region's."""
        if self.verdict not in ("", row.counted_as) or self.group not in ("", row.group):
            return False
        pairs = [pair for pair in row.pairs if not self.region or pair.pair.region == self.region]
        if not pairs or (self.kind and pairs[0].kind != self.kind):
            return False
        whole = not self.region and row.verdict == self.level
        if self.level and not whole and all(pair.level != self.level for pair in pairs):
            return False
        return self._says(row.text)

    def fits_unpolled(self, facts: ElementFacts) -> bool:
        """Whether an element of the profile is wanted that nobody polls: it has no level and no message."""
        text = f"{facts.name} {_named(facts)} {' '.join(facts.regions)}".casefold()
        return (
            not self.verdict
            and not self.level
            and self.group in ("", facts.group)
            and self.kind in ("", facts.type)
            and (not self.region or self.region in facts.regions)
            and self._says(text)
        )

    def _says(self, text: str) -> bool:
        return all(word in text for word in self.q.casefold().split())


@dataclass(slots=True)
class Board:
    """Everything that is monitored, worst first, as it was at ``at_us``.

    Where beat is silent (:meth:`postbeat.store.facts.BeatFacts.silent_since_us`), as it was when that began.
    """

    at_us: int
    rows: list[Row]
    facts: Mapping[str, ElementFacts]
    silent_since_us: int | None = None
    by_name: dict[str, Row] = field(init=False)
    tally: dict[str, int] = field(init=False)  # of all

    def __post_init__(self) -> None:
        self.by_name = {row.element: row for row in self.rows}
        self.tally = tally(self.rows)

    @property
    def groups(self) -> list[str]:
        """The names of all groups."""
        return sorted({row.group for row in self.rows} - {""})

    @property
    def regions(self) -> list[str]:
        """The names of all regions."""
        return sorted({pair.pair.region for row in self.rows for pair in row.pairs})

    def find(self, wanted: Wanted) -> list[Row]:
        """The rows that are wanted, worst first."""
        return self.rows if wanted == Wanted() else [row for row in self.rows if wanted.fits(row)]

    def find_elements(self, wanted: Wanted) -> list[str]:
        """The names of the elements of the profile that are wanted, those too that nobody polls, by name."""
        if wanted == Wanted():
            return list(self.facts)
        found = []
        for name, facts in self.facts.items():
            row = self.by_name.get(name)
            if wanted.fits_unpolled(facts) if row is None else wanted.fits(row):
                found.append(name)
        return found


def tally(rows: Collection[Row]) -> dict[str, int]:
    """How many rows count as each verdict, and as being in maintenance, worst first."""
    counts = dict.fromkeys(COUNTED_AS, 0)
    for row in rows:
        counts[row.counted_as] += 1
    return counts


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows; a page that does not exist becomes the last one. Pages count from 1."""

    rows: Sequence[Row]
    number: int
    pages: int
    total: int

    @classmethod
    def of(cls, rows: Sequence[Row], number: int, size: int) -> Page:
        """The page of that number."""
        pages = max(1, -(-len(rows) // size))
        number = min(max(1, number), pages)
        return cls(rows[(number - 1) * size : number * size], number, pages, len(rows))


def board(
    summaries: Mapping[str, Callable[[], list[PairSummary]]],
    verdicts: Iterable[ElementVerdict],
    facts: Mapping[str, ElementFacts],
    at_us: int,
    silent_since_us: int | None = None,
    calendar_of: Callable[[Mapping[str, ElementFacts | None]], Calendar] | None = None,
) -> Board:
    """Puts together what Redis holds of elements, pairs and verdicts.

    Args:
        summaries: what tells those of an element, by element.
        verdicts: of elements; what none is told of gets one from its regions.
        facts: what the profile says, by element.
        at_us: as of when this is.
        silent_since_us: since when beat is silent.
        calendar_of: gives the maintenance of elements; it is asked for those that are not GOOD. None where
            there is none.
    """
    known = {verdict.element: verdict for verdict in verdicts}
    rows = [_row(name, found, known.get(name), facts) for name, found in summaries.items()]
    if calendar_of is not None:
        bad = [row for row in rows if row.verdict is not Verdict.GOOD]
        in_maintenance = calendar_of({row.element: row.facts for row in bad}).covering(at_us)
        for row in bad:
            row.in_maintenance = (known.get(row.element) or _told(row)).is_excused(in_maintenance)
    # What changed last comes first among equals: it is the news.
    rows.sort(key=lambda row: (_RANK[row.counted_as], -(row.since_us or 0), row.element))
    return Board(at_us, rows, facts, silent_since_us)


def _named(facts: ElementFacts | None) -> str:
    return f"{facts.description} {facts.group} {facts.server}" if facts else ""


def _row(
    name: str,
    summaries: Callable[[], list[PairSummary]],
    verdict: ElementVerdict | None,
    facts: Mapping[str, ElementFacts],
) -> Row:
    row = Row(name, Verdict.UNKNOWN, None, summaries, facts)
    told = verdict or _told(row)
    row.verdict, row.since_us, row.reasons = told.verdict, told.since_us, told.reasons
    return row


def _told(row: Row) -> ElementVerdict:
    """The verdict that nobody has told, from the regions."""
    levels = {pair.pair.region: pair.confirmed for pair in row.pairs}
    quorum = row.facts.quorum if row.facts else "majority"
    return ElementVerdict(row.element, verdict_of(levels, quorum), row.pairs[0].since_us, levels, quorum)

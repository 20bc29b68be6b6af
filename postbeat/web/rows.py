"""The rows of the overview: one for each element, worst first; how they are searched and paged. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from postbeat.model import Level
from postbeat.store.summary import ElementFacts, ElementVerdict, PairSummary
from postbeat.verdict import Verdict, verdict_of

WORST_FIRST = (Verdict.FAILED, Verdict.DEGRADED, Verdict.UNKNOWN, Verdict.GOOD)
_LEVELS = (Level.FAILED, Level.UNKNOWN, Level.MARGINAL, Level.GOOD)
_VERDICT_RANK = {verdict: rank for rank, verdict in enumerate(WORST_FIRST)}
_LEVEL_RANK = {level: rank for rank, level in enumerate(_LEVELS)}


@dataclass(slots=True)
class Row:
    """An element over all its regions. What is not needed to find it is read when it is first asked for."""

    element: str
    verdict: Verdict
    since_us: int | None
    _summaries: Callable[[], list[PairSummary]]
    _facts: Mapping[str, ElementFacts]
    _pairs: list[PairSummary] = field(default_factory=list)
    _text: str = ""

    @property
    def pairs(self) -> list[PairSummary]:
        """Its regions, worst first."""
        if not self._pairs:
            found = self._summaries()
            found.sort(key=lambda pair: (_LEVEL_RANK[pair.level], pair.pair.region))
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
            facts = self.facts
            named = f"{facts.description} {facts.group} {facts.server}" if facts else ""
            regions = " ".join(pair.pair.region for pair in self.pairs)
            said = " ".join({f"{pair.why} {pair.stage} {pair.code}" for pair in self.pairs})
            self._text = f"{self.element} {named} {regions} {said}".casefold()
        return self._text

    @property
    def worst(self) -> PairSummary:
        """The region that is worst off: its message says what is wrong."""
        return self.pairs[0]

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
    level: str = ""
    region: str = ""
    group: str = ""
    kind: str = ""

    def fits(self, row: Row) -> bool:
        """Whether a row is wanted. A level is the verdict, or that of a (wanted) region."""
        if self.group and row.group != self.group:
            return False
        pairs = [pair for pair in row.pairs if not self.region or pair.pair.region == self.region]
        if not pairs or (self.kind and pairs[0].kind != self.kind):
            return False
        whole = not self.region and row.verdict == self.level
        if self.level and not whole and all(pair.level != self.level for pair in pairs):
            return False
        return all(word in row.text for word in self.q.casefold().split())


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
    counts: dict[Verdict, int] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name = {row.element: row for row in self.rows}
        self.counts = dict.fromkeys(WORST_FIRST, 0)
        for row in self.rows:
            self.counts[row.verdict] += 1

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
) -> Board:
    """Puts together what Redis holds of elements, pairs and verdicts."""
    known = {verdict.element: verdict for verdict in verdicts}
    rows = [_row(name, found, known.get(name), facts) for name, found in summaries.items()]
    # What changed last comes first among equals: it is the news.
    rows.sort(key=lambda row: (_VERDICT_RANK[row.verdict], -(row.since_us or 0), row.element))
    return Board(at_us, rows, facts, silent_since_us)


def _row(
    name: str,
    summaries: Callable[[], list[PairSummary]],
    verdict: ElementVerdict | None,
    facts: Mapping[str, ElementFacts],
) -> Row:
    if verdict is not None:
        return Row(name, verdict.verdict, verdict.since_us, summaries, facts)
    row = Row(name, Verdict.UNKNOWN, None, summaries, facts)
    levels = {pair.pair.region: pair.confirmed for pair in row.pairs}
    row.verdict = verdict_of(levels, row.facts.quorum if row.facts else "majority")
    row.since_us = row.worst.since_us
    return row

"""Lookup tables: from the rules file itself, or from a file with tabs or with quoted columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from postbeat.ism.rules.errors import Limits, RulesError
from postbeat.ism.rules.texts import text_of
from postbeat.ism.values import Value, as_text

# A line in quotes: "key", "value" with braces around or not; columns are apart by a comma, a tab or blanks.
_QUOTED_COLUMN = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BETWEEN = re.compile(r"[ \t]*,?[ \t]*")


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A table: under each key a row of values, all of the same number of columns.

    ``default`` is the row of keys that are not there; without one it has as many empty texts. Of rows with
    the same key the last counts. ``columns`` is 0 where it is not known: no rows and no default.
    """

    name: str
    columns: int
    rows: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    default: tuple[Value, ...] = ()

    def row(self, key: Value) -> tuple[Value, ...]:
        """The values of a key."""
        return self.rows.get(key if isinstance(key, str) else as_text(key), self.default)


def table_of(
    name: str, rows: Sequence[Sequence[Value]], default: Sequence[Value], columns: int
) -> LookupTable:
    """The table of rows that have their key first; ``columns`` counts the values, without the key."""
    filled = (*default, *[""] * columns)[: max(columns, 1)] or ("",)
    return LookupTable(name, columns, {as_text(row[0]): tuple(row[1:]) for row in rows}, filled)


def read_rows(name: str, text: str, limits: Limits) -> tuple[list[tuple[str, ...]], list[RulesError]]:
    """The rows of a table's file, and what is wrong with it; after the first error of form it stops.

    A line has its columns apart by tabs, or each in quotes. Empty lines and lines that begin with ``#`` are
    not rows. All rows have the same number of columns, two at least.
    """
    rows: list[tuple[str, ...]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if len(rows) >= limits.table_rows:
            return rows, [RulesError(name, number, 1, f"more than {limits.table_rows:,} rows")]
        try:
            row = _row(line)
        except ValueError as error:
            return rows, [RulesError(name, number, 1, str(error))]
        if len(row) < 2:
            return rows, [RulesError(name, number, 1, "expected a key and a value with a tab between them")]
        if rows and len(row) != len(rows[0]):
            message = f"expected {len(rows[0])} columns, as in the first row, got {len(row)}"
            return rows, [RulesError(name, number, 1, message)]
        rows.append(row)
    return rows, []


def _row(line: str) -> tuple[str, ...]:
    text = line.strip()
    braced = text.startswith("{")
    if not braced and not text.startswith('"'):
        return tuple(column.strip(" ") for column in line.split("\t"))
    if braced:
        text = text.rstrip(", \t").removeprefix("{").removesuffix("}").strip()
    return tuple(_quoted_columns(text.rstrip(", \t")))


def _quoted_columns(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _QUOTED_COLUMN.match(text, at)
        if found is None:
            raise ValueError(f"expected a text in quotes in column {len(text[:at].split(chr(34))) // 2 + 1}")
        yield text_of(found[0])
        between = _BETWEEN.match(text, found.end())
        at = between.end() if between else found.end()

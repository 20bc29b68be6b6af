"""Tables that can be read on a narrow terminal, too."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_GAP = 2  # between two columns, and before a text that stands below its row
_ENOUGH = 20  # columns of a terminal for the text at the end of a row
_FOLDED = 30  # columns of a terminal for a cell that may have several lines


class FittedTable:
    """A table whose last column is a text, which may have several lines.

    Where there is no room for that text, the columns with these ``spare`` titles are left out, in their
    order, and then the text stands below its row. ``right`` columns have their cells at the right, and the
    cells of ``folded`` ones may have several lines.
    """

    def __init__(
        self,
        *titles: str,
        right: Collection[str] = (),
        folded: Collection[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        self._titles = titles
        self._right = right
        self._folded = folded
        self._spare = spare
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Adds a row, with a cell for each title."""
        self._rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        *columns, last = range(len(self._titles))
        widths = [max(map(cell_len, (title, *cells))) for title, cells in self._columns()]
        for index, title in enumerate(self._titles):
            if title in self._folded:
                widths[index] = min(widths[index], _FOLDED)
        needed = min(_ENOUGH, widths[last])

        def has_room() -> bool:
            taken = sum(widths[index] + _GAP for index in columns)
            return options.max_width - taken >= needed

        for title in self._spare:
            if not has_room():
                columns.remove(self._titles.index(title))
        if has_room():
            yield self._table([*columns, last])
        else:
            yield from self._stacked(columns, [widths[index] for index in columns])

    def _columns(self) -> Iterator[tuple[str, list[str]]]:
        for index, title in enumerate(self._titles):
            yield title, [row[index].plain for row in self._rows]

    def _table(self, columns: Sequence[int]) -> Table:
        table = Table(box=None, pad_edge=False)
        for index in columns:
            title = self._titles[index]
            table.add_column(
                title,
                justify="right" if title in self._right else "left",
                no_wrap=index != columns[-1] and title not in self._folded,
                overflow="fold",
            )
        for row in self._rows:
            table.add_row(*(row[index] for index in columns))
        return table

    def _stacked(self, columns: Sequence[int], widths: Sequence[int]) -> Iterator[Text | Padding]:
        """Each row with its text below it."""
        titles = [Text(title, style="table.header") for title in self._titles]
        yield self._line(titles, columns, widths)
        for row in self._rows:
            yield self._line(row, columns, widths)
            if row[-1]:
                yield Padding(row[-1], (0, 0, 0, _GAP))

    def _line(self, cells: Sequence[Text], columns: Sequence[int], widths: Sequence[int]) -> Text:
        padded = []
        for index, width in zip(columns, widths, strict=True):
            cell = cells[index].copy()
            missing = max(0, width - cell.cell_len)
            (cell.pad_left if self._titles[index] in self._right else cell.pad_right)(missing)
            padded.append(cell)
        line = Text(" " * _GAP).join(padded)
        line.rstrip()
        return line

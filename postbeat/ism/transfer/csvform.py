"""The CSV form: a header of field names, and a line for each element."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import NoReturn

from postbeat.ism.transfer import fields
from postbeat.ism.transfer.fields import MONITOR, PROFILE, REPEATABLE
from postbeat.ism.transfer.report import Effect, TransferError
from postbeat.ism.transfer.rows import VALUE_LIMIT, Given, Reading, Said, hint
from postbeat.ism.transfer.values import encoded, is_said

_DELIMITERS = (",", ";", "\t")
_RECORD_LIMIT = 200_000
_COLUMN_LIMIT = 1000


def read(data: bytes, file: str) -> Reading:
    """What a CSV file holds.

    Raises:
        TransferError: it is no CSV with such a header, or has too many faults.
    """
    reading = Reading(file)
    text = _decoded(data, reading)
    records = _records(text, reading)
    header = _header(records, reading)
    filled: set[str] = set()
    for first, last, record in records:
        cells = list(zip(header, record, strict=False))
        if any(cell.strip() for cell in record[len(header) :]):
            reading.fault(first, "", f"expected {len(header)} columns, as the header has, got {len(record)}")
        if any(cell.strip() and not label.strip() for label, cell in cells):
            reading.fault(first, "", "there is a value in a column without a name")
        given = [Given(label, cell, first) for label, cell in cells if label.strip()]
        reading.element(first, last, given, "", "")
        filled.update(cell.label for cell in given if is_said(cell.text))
    for label in dict.fromkeys(header):
        if label.strip() and fields.field_of(label) is None and label not in filled:
            reading.note(Effect.REMARK, 1, label, f"an empty column that no field has{hint(label)}")
    return reading


def write(profile: str, elements: Sequence[Said]) -> str:
    """A CSV text of the elements of a profile."""
    ours = [column for element in elements for column in element.extension]
    columns = list(dict.fromkeys([*map(fields.ism_name, fields.ISM_FIELDS), *ours]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([MONITOR, PROFILE, *columns])
    for element in elements:
        cells = element.given | element.extension
        writer.writerow([element.kind, encoded(profile), *(cells.get(column, "") for column in columns)])
    return out.getvalue()


def _decoded(data: bytes, reading: Reading) -> str:
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 if utf16 else data.count(b"\n", 0, error.start) + 1
        reading.fault(line, "", "not text in UTF-8: save it again as CSV UTF-8")
        raise TransferError(reading.faults) from error
    if "\0" in text:
        reading.fault(text.count("\n", 0, text.index("\0")) + 1, "", "there is a zero byte in the text")
        raise TransferError(reading.faults)
    return text


def _dialect(text: str) -> tuple[str, bool]:
    """What parts the columns, and whether blanks after it are no part of them, as the header has it.

    Of the usual signs it is the one that finds the most fields.
    """
    header = next((line for line in text.splitlines() if line.strip() and not _is_comment(line)), "")
    sign = max(_DELIMITERS, key=lambda sign: sum(_is_known(part) for part in header.split(sign)))
    return sign, f"{sign} " in header


def _is_comment(line: str) -> bool:
    return line.lstrip(" ").startswith("#")


def _is_known(label: str) -> bool:
    return fields.field_of(label) is not None


def _records(text: str, reading: Reading) -> Iterator[tuple[int, int, list[str]]]:
    """The records with their first and last lines; blank ones and comments are only accounted for.

    Raises:
        TransferError: the text is no CSV, or too long.
    """
    csv.field_size_limit(VALUE_LIMIT + 1)
    sign, skips = _dialect(text)
    lines = enumerate(io.StringIO(text, newline=""), 1)
    for count, (first, line) in enumerate(lines, 1):
        if count > _RECORD_LIMIT:
            _beyond_limits(first, reading)
        if _is_comment(line):
            reading.span(first, first, "comment")
            continue
        # A reader for each record: it takes further lines only where a quote goes over them.
        rest = itertools.chain([line], (more for _, more in lines))
        # A quote behind a blank begins a cell, whatever the header has.
        skips_here = skips or f'{sign} "' in line
        reader = csv.reader(rest, delimiter=sign, strict=True, skipinitialspace=skips_here)
        try:
            record = next(reader)
        except csv.Error as error:
            reading.fault(first, "", f"not CSV: {error}")
            raise TransferError(reading.faults) from error
        if len(record) > _COLUMN_LIMIT:
            _beyond_limits(first, reading)
        last = first + reader.line_num - 1
        if any(cell.strip() for cell in record):
            yield first, last, record
        else:
            reading.span(first, last, "blank")


def _beyond_limits(line: int, reading: Reading) -> NoReturn:
    reading.fault(line, "", f"expected at most {_RECORD_LIMIT} lines and {_COLUMN_LIMIT} columns")
    raise TransferError(reading.faults)


def _header(records: Iterator[tuple[int, int, list[str]]], reading: Reading) -> list[str]:
    first, last, header = next(records, (1, 1, []))
    reading.span(first, last, "header")
    seen: set[str] = set()
    for label in header:
        name = fields.field_of(label)
        if name is None:
            continue
        if name in seen and fields.form_of(name) not in REPEATABLE:
            reading.fault(first, label, f"the column {name} is there a second time")
        seen.add(name)
    if MONITOR not in seen:
        reading.fault(first, MONITOR, "expected a header with this column, and one for each field")
    if reading.faults:
        raise TransferError(reading.faults)
    return header

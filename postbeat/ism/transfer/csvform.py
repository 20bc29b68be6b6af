"""The CSV form: a header of field names, and a line for each element."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence

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
    records = _records(text, _delimiter(text), reading)
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


def _delimiter(text: str) -> str:
    """What parts the columns: of the usual signs, the one that finds the most fields in the header."""
    header = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    return max(_DELIMITERS, key=lambda sign: sum(_is_known(part) for part in header.split(sign)))


def _is_known(label: str) -> bool:
    return fields.field_of(label) is not None


def _records(text: str, delimiter: str, reading: Reading) -> Iterator[tuple[int, int, list[str]]]:
    """The records with their first and last lines; blank ones and comments are only accounted for.

    Raises:
        TransferError: the text is no CSV, or too long.
    """
    csv.field_size_limit(VALUE_LIMIT + 1)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    count = 0
    while True:
        first = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reading.fault(first, "", f"not CSV: {error}")
            raise TransferError(reading.faults) from error
        count += 1
        if count > _RECORD_LIMIT or len(record) > _COLUMN_LIMIT:
            limits = f"{_RECORD_LIMIT} lines and {_COLUMN_LIMIT} columns"
            reading.fault(first, "", f"expected at most {limits}")
            raise TransferError(reading.faults)
        if not any(cell.strip() for cell in record):
            reading.span(first, reader.line_num, "blank")
        elif record[0].startswith("#"):
            reading.span(first, reader.line_num, "comment")
        else:
            yield first, reader.line_num, record


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

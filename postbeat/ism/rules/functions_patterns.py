"""Functions of texts and regular expressions."""

from __future__ import annotations

from collections.abc import Callable

from postbeat.ism.rules.functions_form import Function
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.regexes import BadPatternError, compiled
from postbeat.ism.values import Value, as_text

_SHOWN = 60  # characters of a pattern in a message


def _regmatch(machine: Machine, values: list[Value]) -> Value:
    text, pattern = values
    try:
        return 1 if compiled(as_text(pattern)).found(as_text(text), machine.spend) else 0
    except BadPatternError as error:
        machine.fault(_says(as_text(pattern), error))


def _extract(machine: Machine, values: list[Value]) -> Value:
    text, pattern = values
    try:
        return compiled(as_text(pattern)).first_group(as_text(text), machine.spend) or ""
    except BadPatternError as error:
        machine.fault(_says(as_text(pattern), error))


def _regreplace(machine: Machine, values: list[Value]) -> Value:
    text, pattern, replacement = values
    try:
        replaced = compiled(as_text(pattern)).replaced(as_text(text), as_text(replacement), machine.spend)
    except BadPatternError as error:
        machine.fault(_says(as_text(pattern), error))
    return machine.text(replaced)


def _wrong_pattern(position: int, value: Value) -> str | None:
    return _wrong(compiled, as_text(value)) if position == 1 else None


def _wrong_to_extract(position: int, value: Value) -> str | None:
    return (
        _wrong(lambda pattern: compiled(pattern).first_group(""), as_text(value)) if position == 1 else None
    )


def _wrong(use: Callable[[str], object], pattern: str) -> str | None:
    try:
        use(pattern)
    except BadPatternError as error:
        return _says(pattern, error)
    return None


def _says(pattern: str, error: BadPatternError) -> str:
    shown = pattern if len(pattern) <= _SHOWN else pattern[: _SHOWN - 3] + "..."
    return f'regular expression "{shown}": {error.message}'


PATTERNS = (
    Function("regmatch", 2, 2, _regmatch, "1 where a part of the text matches, else 0", _wrong_pattern),
    Function(
        "extract",
        2,
        2,
        _extract,
        "what the first part in parentheses matches, or the empty text",
        _wrong_to_extract,
    ),
    Function(
        "regreplace",
        3,
        3,
        _regreplace,
        r"the text with each match replaced; \1 to \9 are the parts in parentheses",
        _wrong_pattern,
    ),
)

"""Functions of texts and regular expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from postbeat.ism.rules.functions_form import Function, Make
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.regexes import BadPatternError, Pattern, compiled
from postbeat.ism.values import Value, as_text

_SHOWN = 60  # characters of a pattern in a message


def _regmatch(machine: Machine, values: list[Any]) -> Value:
    text, pattern = values
    try:
        return 1 if pattern.found(as_text(text), machine.spend) else 0
    except BadPatternError as error:
        machine.fault(_says(pattern.source, error))


def _extract(machine: Machine, values: list[Any]) -> Value:
    text, pattern = values
    try:
        found: str | None = pattern.first_group(as_text(text), machine.spend)
    except BadPatternError as error:
        machine.fault(_says(pattern.source, error))
    return found or ""


def _regreplace(machine: Machine, values: list[Any]) -> Value:
    text, pattern, replacement = values
    try:
        replaced = pattern.replaced(as_text(text), as_text(replacement), machine.spend)
    except BadPatternError as error:
        machine.fault(_says(pattern.source, error))
    return machine.text(replaced)


def _compiled_for(use: Callable[[Pattern], object]) -> Make:
    """What makes a regular expression that ``use`` can do with."""

    def make(machine: Machine, value: Value) -> Pattern:
        source = as_text(value)
        try:
            pattern = compiled(source)
            pattern.settle(machine.spend)
            use(pattern)
        except BadPatternError as error:
            machine.fault(_says(source, error))
        return pattern

    return make


def _says(pattern: str, error: BadPatternError) -> str:
    shown = pattern if len(pattern) <= _SHOWN else pattern[: _SHOWN - 3] + "..."
    return f'regular expression "{shown}": {error.message}'


PATTERNS = (
    Function(
        "regmatch",
        2,
        2,
        _regmatch,
        "1 where a part of the text matches, else 0",
        (1, _compiled_for(lambda pattern: pattern)),
    ),
    Function(
        "extract",
        2,
        2,
        _extract,
        "what the first part in parentheses matches, or the empty text",
        (1, _compiled_for(lambda pattern: pattern.first_group(""))),
    ),
    Function(
        "regreplace",
        3,
        3,
        _regreplace,
        r"the text with each match replaced; \1 to \9 are the parts in parentheses",
        (1, _compiled_for(lambda pattern: pattern.groups)),
    ),
)

"""Finds the case of a switch that a value fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from postbeat.ism.rules import tree
from postbeat.ism.rules.scope import Act
from postbeat.ism.values import Value, as_number


def choosing(cases: Sequence[tuple[tuple[tree.Literal, ...], Act]]) -> Callable[[Value], Act]:
    """What finds the first case of a value, as ``==`` compares; in the same time for any number of cases."""
    texts: dict[str, int] = {}
    numbers: dict[int | float, int] = {}  # of labels that are numbers: a text that is the number fits
    numerals: dict[int | float, int] = {}  # of labels that are texts but read as numbers: a number fits
    default = len(cases)
    acts: list[Act] = [act for _labels, act in cases]
    for position, (labels, _act) in enumerate(cases):
        if not labels:
            default = min(default, position)
        for label in labels:
            number = as_number(label.value)
            if isinstance(label.value, str):
                texts.setdefault(label.value, position)
                if number is not None:
                    numerals.setdefault(number, position)
            elif number is not None:
                numbers.setdefault(number, position)
    acts.append(lambda _machine: None)

    nowhere = len(cases) + 1

    def choose(value: Value) -> Act:
        if isinstance(value, str):
            position = texts.get(value, nowhere)
            number = as_number(value) if numbers else None
            if number is not None:
                position = min(position, numbers.get(number, nowhere))
        else:
            position = min(numbers.get(value, nowhere), numerals.get(value, nowhere))
        return acts[default if position == nowhere else position]

    return choose

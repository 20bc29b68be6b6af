"""What runs operators in a row."""

from __future__ import annotations

from postbeat.ism.rules.errors import Place, RulesFaultError
from postbeat.ism.rules.machine import CHARS_PER_STEP, Machine
from postbeat.ism.rules.operators import OPERATORS, Operator
from postbeat.ism.rules.scope import Code, Run
from postbeat.ism.values import Value, is_true


def truth(value: Value) -> bool:
    """Whether a value counts as true; nearly all that conditions give are integers."""
    return value != 0 if value.__class__ is int else is_true(value)


def all_of(runs: tuple[Run, ...]) -> Run:
    """``a && b``: 1 or 0; what is not needed is not asked."""

    def run(machine: Machine) -> Value:
        for part in runs:
            value = part(machine)
            if not (value if value.__class__ is int else is_true(value)):
                return 0
        return 1

    return run


def any_of(runs: tuple[Run, ...]) -> Run:
    """``a || b``: 1 or 0; what is not needed is not asked."""

    def run(machine: Machine) -> Value:
        for part in runs:
            value = part(machine)
            if value if value.__class__ is int else is_true(value):
                return 1
        return 0

    return run


def odd_of(runs: tuple[Run, ...]) -> Run:
    """``a xor b``."""
    return lambda machine: sum(truth(part(machine)) for part in runs) % 2


def sum_of(codes: list[Code], place: Place) -> Run:
    """``a + b + c``: nearly always texts, and nearly always constants and variables, so these are lean."""
    add = OPERATORS["+"]
    parts = [(one.plain[0], one.plain[1], one.constant, one.run) for one in codes]

    def run(machine: Machine) -> Value:
        total: Value = ""
        begun = False
        try:
            for sign, name, known, part in parts:
                if known is not None:
                    value = known
                elif sign == "$":
                    value = machine.elements.get(name, "")
                elif sign == "@":
                    value = machine.fields.get(name, "")
                else:
                    value = part(machine)
                if not begun:
                    total, begun = value, True
                elif total.__class__ is str and value.__class__ is str:
                    total += value
                else:
                    total = add(total, value)
                if total.__class__ is str and len(total) > CHARS_PER_STEP:
                    machine.text(total)
        except RulesFaultError as fault:
            raise fault.at(place) from None
        return total

    return run


def pair_of(sign: str, left: Code, right: Code, place: Place) -> Run:
    """``a - b``, and every other operator that stands alone."""
    operator, a, b = OPERATORS[sign], left.run, right.run
    if sign in {"==", "!="} and isinstance(right.constant, str):
        return _against(right.constant, a, operator, int(sign == "=="))

    def run(machine: Machine) -> Value:
        try:
            return operator(a(machine), b(machine))
        except RulesFaultError as fault:
            raise fault.at(place) from None

    return run


def _against(text: str, a: Run, operator: Operator, same: int) -> Run:
    """``a == "text"`` and ``a != "text"``; two texts need no more than Python's own comparison."""
    other = 1 - same

    def run(machine: Machine) -> Value:
        value = a(machine)
        if value.__class__ is str:
            return same if value == text else other
        return operator(value, text)

    return run


def several_of(runs: tuple[Run, ...], operations: list[tuple[Operator, Place]]) -> Run:
    """Operators of one rank in a row, from left to right."""
    first, *rest = runs
    steps = [(operator, part, place) for (operator, place), part in zip(operations, rest, strict=True)]

    def run(machine: Machine) -> Value:
        total = first(machine)
        for operator, part, place in steps:
            try:
                total = operator(total, part(machine))
                if total.__class__ is str and len(total) > CHARS_PER_STEP:
                    machine.text(total)
            except RulesFaultError as fault:
                raise fault.at(place) from None
        return total

    return run

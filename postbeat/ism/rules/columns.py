"""Fields of an alert that are numbers: what else rules give them is an error, or ends the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from postbeat.alerts import BOUNDS
from postbeat.ism.rules import tree
from postbeat.ism.rules.errors import RulesFaultError
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.scope import NOTHING, Code, Scope
from postbeat.ism.rules.texts import quoted
from postbeat.ism.values import Value, as_number, as_text

_TIMES = ("FirstOccurrence", "LastOccurrence")


def why_unfit(name: str, value: Value) -> str:
    """Why a field cannot have a value; "" where it can.

    The empty text fits: as in OMNIbus, the field is then as if it had not been set.
    """
    if name not in BOUNDS or value == "":
        return ""
    (least, most), number = BOUNDS[name], as_number(value)
    if number is not None and least <= int(number) <= most:
        return ""
    takes = "seconds since the epoch" if name in _TIMES else f"a whole number from {least} to {most}"
    return f"@{name} takes {takes}, got {quoted(value) if isinstance(value, str) else as_text(value)}"


def checking(scope: Scope, field: tree.Variable) -> Callable[[Value], Value] | None:
    """What gives back a value that the field can have, and ends the run at any other; None: it takes all."""
    name, place = field.name, scope.place(field)
    if name not in BOUNDS:
        return None

    def check(value: Value) -> Value:
        wrong = why_unfit(name, value)
        if wrong:
            raise RulesFaultError(wrong).at(place)
        return value

    return check


def fitting(scope: Scope, field: tree.Variable, code: Code) -> Code:
    """The code of a field's value, with :func:`checking`; a constant is checked at once."""
    if code.constant is not None:
        wrong = why_unfit(field.name, code.constant)
        if wrong:
            scope.error(field, wrong)
            return NOTHING
        return code
    check, run = checking(scope, field), code.run
    if check is None:
        return code

    def checked(machine: Machine) -> Value:
        return check(run(machine))

    return replace(code, run=checked, plain=("", ""))

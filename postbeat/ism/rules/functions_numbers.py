"""Functions of numbers."""

from __future__ import annotations

from postbeat.ism.rules.functions_form import Function
from postbeat.ism.rules.machine import Machine
from postbeat.ism.values import Value, as_int, as_number, as_real

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _int(_machine: Machine, values: list[Value]) -> Value:
    return as_int(values[0])


def _real(_machine: Machine, values: list[Value]) -> Value:
    return as_real(values[0])


def _to_base(_machine: Machine, values: list[Value]) -> Value:
    base, number = as_int(values[0]), as_int(values[1])
    digits = ""
    rest = abs(number)
    while rest or not digits:
        rest, digit = divmod(rest, base)
        digits = _DIGITS[digit] + digits
    return "-" + digits if number < 0 else digits


def _base(machine: Machine, value: Value) -> int:
    base = as_number(value)
    if not (isinstance(base, int) and 2 <= base <= len(_DIGITS)):
        machine.fault("toBase: the base, which stands first, is a whole number from 2 to 36")
    return base


NUMBERS = (
    Function("int", 1, 1, _int, "the whole number that the value begins with, cut towards 0; 0 without one"),
    Function("real", 1, 1, _real, "the number that the value begins with, as a real; 0.0 without one"),
    Function("toBase", 2, 2, _to_base, "the second, a whole number, written in base the first", (0, _base)),
)

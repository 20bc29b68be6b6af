"""Values of the rules language, and how texts and numbers become one another. Pure and total.

A value is a text, an integer or a real; never a truth value and never nothing (what is not there is the empty
text). Nothing here raises, whatever it is given. Integers have 64 bits, as in the alerts table they go to.
"""

from __future__ import annotations

import re
from math import isfinite, isnan
from sys import float_info

from postbeat.alerts import Value, decimal

__all__ = [
    "INTEGER_LEAST",
    "INTEGER_MOST",
    "Value",
    "as_int",
    "as_number",
    "as_real",
    "as_text",
    "bounded",
    "compare",
    "is_true",
]

INTEGER_MOST = 2**63 - 1
INTEGER_LEAST = -(2**63)
_EXACT_DIGITS = 18  # so many always fit into 64 bits
_NUMBER_CHARS = 400  # of a longer text no more is looked at: it is no number that anybody meant

_INTEGER = re.compile(r"[ \t\r\n]*([+-]?[0-9]+)[ \t\r\n]*", re.ASCII)
_NUMBER = re.compile(
    r"[ \t\r\n]*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?)[ \t\r\n]*", re.ASCII
)


def as_text(value: Value) -> str:
    """``value`` as a text: integers in decimal, reals as the shortest decimal that reads back as the same.

    There is no exponent, however small or great a real is.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(bounded(value))
    return decimal(value)


def bounded(value: int) -> int:
    """``value``, or the nearest integer that 64 bits hold."""
    return min(max(value, INTEGER_LEAST), INTEGER_MOST)


def as_number(value: Value) -> int | float | None:
    """The number that ``value`` is. None for a text that is not wholly one, and for what is not finite.

    A text of up to 400 characters may have blanks around the number, a sign, a fraction and an exponent. A
    whole number that needs more than 64 bits becomes a real.
    """
    if not isinstance(value, str):
        return value if isinstance(value, int) or isfinite(value) else None
    if len(value) <= _EXACT_DIGITS and value.isdigit() and value.isascii():  # what most of them are
        return int(value)
    if len(value) > _NUMBER_CHARS:
        return None
    if found := _INTEGER.fullmatch(value):
        return _integer(found[1])
    return _real(found[1]) if (found := _NUMBER.fullmatch(value)) else None


def as_int(value: Value) -> int:
    """``value`` as an integer: the number it starts with, cut towards zero, held within 64 bits; else 0."""
    number = _leading(value) if isinstance(value, str) else value
    if isinstance(number, int):
        return bounded(number)
    if isfinite(number):
        return bounded(int(number))
    return INTEGER_MOST if number > 0 else INTEGER_LEAST if number < 0 else 0


def as_real(value: Value) -> float:
    """``value`` as a real: the number that it starts with, held within what a real can be; else 0.0."""
    number = _leading(value) if isinstance(value, str) else value
    if isinstance(number, int):
        return float(bounded(number))
    if isnan(number):
        return 0.0
    return min(max(number, -float_info.max), float_info.max)


def is_true(value: Value) -> bool:
    """Whether ``value`` counts as true: a number that is not 0, or a text that is neither empty nor a 0."""
    if isinstance(value, str):
        return bool(value) and as_number(value) != 0
    return value != 0


def compare(a: Value, b: Value) -> int:
    """-1, 0 or 1: ``a`` is less than, equal to, or more than ``b``.

    Two numbers, or a number and a text that is one, are compared as numbers; anything else as texts, by code
    point. So two texts are always compared as texts: ``"10"`` is less than ``"9"``, ``"1"`` is not ``"1.0"``.
    """
    if not (isinstance(a, str) and isinstance(b, str)):
        left, right = as_number(a), as_number(b)
        if left is not None and right is not None:
            return (left > right) - (left < right)
        a, b = as_text(a), as_text(b)
    return (a > b) - (a < b)


def _leading(text: str) -> int | float:
    """The number that ``text`` starts with, else 0. A real may be infinite."""
    if len(text) <= _EXACT_DIGITS and text.isdigit() and text.isascii():
        return int(text)
    found = _NUMBER.match(text[:_NUMBER_CHARS])
    if found is None:
        return 0
    digits = found[1]
    number = _integer(digits) if _INTEGER.fullmatch(digits) else None
    return float(digits) if number is None else number


def _integer(digits: str) -> int | float | None:
    if len(digits) <= _EXACT_DIGITS:
        return int(digits)
    nearest = float(digits)  # int() refuses thousands of digits, float() never does
    if abs(nearest) < 2.0**64:
        exact = int(digits.lstrip("+-0")[: _EXACT_DIGITS + 4] or "0") * (-1 if digits[0] == "-" else 1)
        if INTEGER_LEAST <= exact <= INTEGER_MOST:
            return exact
    return nearest if isfinite(nearest) else None


def _real(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None

"""What the operators of the rules language make of two values. Pure; docs/rules.md has the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import fmod, isfinite

from postbeat.ism.rules.errors import RulesFaultError
from postbeat.ism.values import INTEGER_LEAST, INTEGER_MOST, Value, as_number, as_text, compare

Operator = Callable[[Value, Value], Value]

_SHIFT_MOST = 63  # bits


def add(a: Value, b: Value) -> Value:
    """The sum of two numbers; with a text on either side, both as one text."""
    if isinstance(a, str) or isinstance(b, str):
        return as_text(a) + as_text(b)
    return _checked(a + b, "+")


def negative(a: Value) -> Value:
    """``-a``."""
    return _checked(-_number(a, "-"), "-")


def _checked(result: int | float, sign: str) -> int | float:
    """``result``, where it is one that 64 bits or a real can hold."""
    if isinstance(result, int):
        if INTEGER_LEAST <= result <= INTEGER_MOST:
            return result
        result = float(result)
    if not isfinite(result):
        raise RulesFaultError(f"{sign} gives more than a number can be")
    return result


def _number(value: Value, sign: str) -> int | float:
    """The number of a value. The empty text is 0, as it is to int(): what was not measured stops no run."""
    if value.__class__ is int:
        return value
    number = as_number(value or 0)
    if number is None:
        raise RulesFaultError(f"{sign} takes numbers, got {_shown(value)}")
    return number


def _whole(value: Value, sign: str) -> int:
    number = as_number(value or 0)
    if number is None or number != int(number):
        raise RulesFaultError(f"{sign} takes whole numbers, got {_shown(value)}")
    return min(max(int(number), INTEGER_LEAST), INTEGER_MOST)


def _shown(value: Value) -> str:
    text = as_text(value)
    return repr(text if len(text) <= 40 else f"{text[:40]}...") if isinstance(value, str) else text


def _minus(a: Value, b: Value) -> Value:
    return _checked(_number(a, "-") - _number(b, "-"), "-")


def _times(a: Value, b: Value) -> Value:
    return _checked(_number(a, "*") * _number(b, "*"), "*")


def _over(a: Value, b: Value) -> Value:
    left, right = _number(a, "/"), _number(b, "/")
    if right == 0:
        raise RulesFaultError("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        return _checked(_cut(left, right), "/")
    return _checked(left / right, "/")


def _remainder(a: Value, b: Value) -> Value:
    left, right = _number(a, "%"), _number(b, "%")
    if right == 0:
        raise RulesFaultError("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        return left - right * _cut(left, right)
    return _checked(fmod(left, right), "%")


def _cut(left: int, right: int) -> int:
    """The quotient, cut towards zero."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _left(a: Value, b: Value) -> Value:
    bits = _bits(b, "<<")
    shifted = (_whole(a, "<<") << bits) & (2**64 - 1)
    return shifted - 2**64 if shifted > INTEGER_MOST else shifted


def _right(a: Value, b: Value) -> Value:
    return _whole(a, ">>") >> _bits(b, ">>")


def _bits(value: Value, sign: str) -> int:
    bits = _whole(value, sign)
    if not 0 <= bits <= _SHIFT_MOST:
        raise RulesFaultError(f"{sign} takes 0 to {_SHIFT_MOST} bits, got {bits}")
    return bits


OPERATORS: Mapping[str, Operator] = {
    "+": add,
    "-": _minus,
    "*": _times,
    "/": _over,
    "%": _remainder,
    "<<": _left,
    ">>": _right,
    "&": lambda a, b: _whole(a, "&") & _whole(b, "&"),
    "|": lambda a, b: _whole(a, "|") | _whole(b, "|"),
    "^": lambda a, b: _whole(a, "^") ^ _whole(b, "^"),
    "==": lambda a, b: 1 if compare(a, b) == 0 else 0,
    "!=": lambda a, b: 1 if compare(a, b) != 0 else 0,
    "<": lambda a, b: 1 if compare(a, b) < 0 else 0,
    "<=": lambda a, b: 1 if compare(a, b) <= 0 else 0,
    ">": lambda a, b: 1 if compare(a, b) > 0 else 0,
    ">=": lambda a, b: 1 if compare(a, b) >= 0 else 0,
}

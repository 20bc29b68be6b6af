"""Functions of texts."""

from __future__ import annotations

import re
from typing import Any

from postbeat.ism.rules.functions_form import Function
from postbeat.ism.rules.machine import CHARS_PER_STEP, Machine
from postbeat.ism.rules.scanning import BadScanError, Part, scan_format, scanned, wanted
from postbeat.ism.values import Value, as_int, as_text

_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
_MEANS = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
}


def _match(_machine: Machine, values: list[Value]) -> Value:
    a, b = values
    return 1 if as_text(a) == as_text(b) else 0


def _nmatch(_machine: Machine, values: list[Value]) -> Value:
    text, start = values
    return 1 if as_text(text).startswith(as_text(start)) else 0


def _substr(machine: Machine, values: list[Value]) -> Value:
    text = as_text(values[0])
    start, length = as_int(values[1]), as_int(values[2])
    if start < 1:
        machine.fault(f"substr: characters count from 1, there is none at {start}")
    if length < 0:
        machine.fault(f"substr: {length} is no number of characters")
    return text[start - 1 : start - 1 + length]


def _scan(machine: Machine, values: list[Any]) -> list[Value]:
    text, parts = as_text(values[0]), values[1]
    machine.spend(len(parts) // 4 + len(text) * len(parts) // 1024)
    found = scanned(parts, text)
    return found + [""] * (wanted(parts) - len(found))


def _scanformat(machine: Machine, values: list[Any]) -> Value:
    return next(iter(_scan(machine, values)), "")


def _scan_format(machine: Machine, value: Value) -> tuple[Part, ...]:
    try:
        return scan_format(as_text(value))
    except BadScanError as error:
        machine.fault(f"scanformat: {error.message}")


def _lower(machine: Machine, values: list[Value]) -> Value:
    return machine.text(as_text(values[0]).lower())


def _upper(machine: Machine, values: list[Value]) -> Value:
    return machine.text(as_text(values[0]).upper())


def _ltrim(machine: Machine, values: list[Value]) -> Value:
    return _counted(machine, values[0]).lstrip()


def _rtrim(machine: Machine, values: list[Value]) -> Value:
    return _counted(machine, values[0]).rstrip()


def _charcount(_machine: Machine, values: list[Value]) -> Value:
    return len(as_text(values[0]))


def _length(machine: Machine, values: list[Value]) -> Value:
    return len(_counted(machine, values[0]).encode(errors="replace"))


def _printable(machine: Machine, values: list[Value]) -> Value:
    text = _counted(machine, values[0])
    if text.isprintable():
        return text
    machine.spend(len(text) // 32)
    return "".join(char if char.isprintable() else " " for char in text)


def _expand(machine: Machine, values: list[Value]) -> Value:
    text = as_text(values[0])
    machine.spend(text.count("\\") // 4)
    return machine.text(_ESCAPE.sub(_expanded, text))


def _counted(machine: Machine, value: Value) -> str:
    """The text of a value, each character of which is looked at."""
    text = as_text(value)
    machine.spend(len(text) // CHARS_PER_STEP)
    return text


def _expanded(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code, 8)) if code[0] in "01234567" else _MEANS.get(code, escape[0])


TEXTS = (
    Function("match", 2, 2, _match, "1 where two texts are the same, else 0"),
    Function("nmatch", 2, 2, _nmatch, "1 where the first text begins with the second, else 0"),
    Function("substr", 3, 3, _substr, "a part: from which character (the first is 1), and how many"),
    Function(
        "scanformat",
        2,
        2,
        _scanformat,
        "what stands in the text where the format has %s, %d and so on: for [$a, $b] = scanformat(...)",
        (1, _scan_format),
        _scan,
    ),
    Function("lower", 1, 1, _lower, "the text in small letters"),
    Function("upper", 1, 1, _upper, "the text in capital letters"),
    Function("ltrim", 1, 1, _ltrim, "the text without the blanks before it"),
    Function("rtrim", 1, 1, _rtrim, "the text without the blanks after it"),
    Function("charcount", 1, 1, _charcount, "how many characters the text has"),
    Function("length", 1, 1, _length, "how many bytes the text has in UTF-8"),
    Function(
        "printable", 1, 1, _printable, "the text with a blank for each character that cannot be printed"
    ),
    Function("expand", 1, 1, _expand, r"the text with \a \b \e \f \n \r \t \v \\ \" and octal \NNN replaced"),
)

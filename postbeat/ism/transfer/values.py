"""The values of fields as single texts, as a cell or an attribute holds them, and back. Pure.

A text that would not come back as it is (with blanks at its ends, or empty), and one that a spreadsheet
would take for a formula, is written in quotes, as a string of JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from postbeat.classification import Classification, number_text
from postbeat.elements import Expectation
from postbeat.ism import levels
from postbeat.ism.transfer.fields import Form
from postbeat.model import (
    AddressFamily,
    AuthenticationType,
    Level,
    LoginType,
    Secret,
    SecurityType,
    TlsVersion,
)
from postbeat.windows import Window

# What YAML can say of a field.
Plain: TypeAlias = str | int | float | bool | list[str] | dict[str, str | list[str]]

NO_VALUE = '""'  # says that there is none, where a default would be filled in

_INTEGER = re.compile(r"[0-9]{1,18}", re.ASCII)
_DECIMAL = re.compile(
    r"[0-9]+\.[0-9]*(?:e[-+]?[0-9]+)?|[0-9]+e[-+]?[0-9]+|\.[0-9]+", re.ASCII | re.IGNORECASE
)
_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False}
_TRUTHS |= {"0": False}
_WORDS = {
    str(word).casefold(): str(word)
    for words in (AddressFamily, SecurityType, AuthenticationType, LoginType, TlsVersion, Level)
    for word in words
}
_FORMULA = ("=", "+", "-", "@", "#")  # the last begins a comment, where it begins a line
_WHOLE_LIMIT = 1e15  # beyond it a float is not written as a whole number


def decoded(cell: str) -> str:
    """The text of a cell: without blanks at its ends, and out of its quotes."""
    text = cell.strip()
    if len(text) < len('""') or text[0] != '"' or text[-1] != '"':
        return text
    try:
        found: str = json.loads(text)
        found.encode()
    except ValueError:  # a text with quotation marks at both ends, or half a character
        return text
    return found


def encoded(text: str) -> str:
    """A text as a cell that :func:`decoded` reads back."""
    if text.isprintable() and text == text.strip() and text and not text.startswith(('"', *_FORMULA)):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def is_said(cell: str) -> bool:
    """Whether a cell says something; ``""`` in quotes says that there is no value."""
    return bool(cell.strip())


def secret_of(cell: str) -> Secret | None:
    """The secret of a cell: ``env:NAME``, ``file:PATH``, ``literal:TEXT``, or itself; None for no secret."""
    for source in ("env", "file"):
        if cell.lstrip().startswith(f"{source}:"):
            value = decoded(cell.lstrip().removeprefix(f"{source}:"))
            return Secret(source, value) if value else None
    if "\n" in cell:  # as XML has it in a line of its own
        cell = cell.strip()
    text = cell.removeprefix("literal:")
    return Secret("literal", text) if text and text != NO_VALUE else None


def secret_text(secret: Secret) -> str:
    """A reference as a cell; only for secrets that are references."""
    return f"{secret.source}:{encoded(secret.value)}"


def value_of(form: Form, cell: str) -> Plain:
    """The value of a cell; what is none stays a text, for a message.

    Those of secrets and service levels depend on their elements: see :mod:`postbeat.ism.transfer.references`
    and :mod:`postbeat.ism.transfer.servicelevels`.
    """
    return _READERS[form](cell)


def text_of(form: Form, value: object) -> str:
    """A value of an element as a cell that :func:`value_of` reads back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number_text(value)
    if isinstance(value, Expectation):
        return " ".join((value.stage, *value.statuses))
    if isinstance(value, tuple):
        return _list_text(form, value)
    return encoded(str(value))


def _number_text(value: int | float) -> str:
    return number_text(value) if isinstance(value, int) or abs(value) < _WHOLE_LIMIT else repr(value)


def _list_text(form: Form, values: Sequence[object]) -> str:
    if form is Form.LEVELS:
        return "; ".join(levels.text_of(it) for it in values if isinstance(it, Classification))
    if form is Form.WINDOWS:
        return "; ".join(it.text for it in values if isinstance(it, Window))
    texts = [str(value) for value in values]
    joined = " ".join(texts)
    if joined == encoded(joined) and value_of(form, joined) == texts:
        return joined
    return json.dumps(texts, ensure_ascii=not joined.isprintable())


def _number(cell: str) -> Plain:
    text = decoded(cell)
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _truth(cell: str) -> Plain:
    text = decoded(cell)
    return _TRUTHS.get(text.casefold(), text)


def _switch(cell: str) -> Plain:
    found = _truth(cell)
    return int(found) if isinstance(found, bool) else found


def _word(cell: str) -> Plain:
    text = decoded(cell)
    return _WORDS.get(text.casefold(), text)


def _json_list(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            return None
        "".join(found).encode()
    except (ValueError, RecursionError):
        return None
    return found


def _split_by(pattern: str) -> Callable[[str], Plain]:
    def read(cell: str) -> Plain:
        text = decoded(cell)
        found = _json_list(text)
        parts = [part.strip() for part in re.split(pattern, text)]
        return [part for part in parts if part] if found is None else found

    return read


def _folders(cell: str) -> Plain:
    found = _json_list(cell.strip())
    return [decoded(cell)] if found is None else found


def _expectation(cell: str) -> Plain:
    stage, *statuses = decoded(cell).split() or [""]
    found: dict[str, str | list[str]] = {"stage": stage}
    return found | {"status": statuses} if statuses else found


_READERS: Mapping[Form, Callable[[str], Plain]] = {
    Form.TEXT: decoded,
    Form.NUMBER: _number,
    Form.TRUTH: _truth,
    Form.SWITCH: _switch,
    Form.WORD: _word,
    Form.NAMES: _split_by(r"[\s,;]+"),
    Form.FOLDERS: _folders,
    Form.WINDOWS: _split_by(r"[;\n]+"),
    Form.EXPECTATION: _expectation,
}

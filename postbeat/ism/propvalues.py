"""What texts become as values of properties, and how values are shown."""

from __future__ import annotations

import functools
import re
from typing import get_type_hints
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from postbeat.ism.datalogformat import Format, FormatError
from postbeat.ism.properties import PROPERTIES, Property, PropertyType
from postbeat.ism.values import Value
from postbeat.model import LocalFault
from postbeat.settings import Settings
from postbeat.tls import ciphers

# Whatever the settings take for a truth value, as both are read from the same variables.
_TRUTHS = dict.fromkeys(("0", "false", "f", "no", "n", "off"), 0) | dict.fromkeys(
    ("1", "true", "t", "yes", "y", "on"), 1
)
_SAME = {"warn": "warning"}  # OMNIbus has the short form
_HIDDEN = "(set)"


def value_of(it: Property, text: str) -> Value:
    """The value of a text that is not empty.

    Raises:
        ValueError: the property does not take it; the message says what was expected.
    """
    value = _typed(it, text)
    if value is not None and it.name == "DatalogFormat":
        try:
            Format.parse(text)
        except FormatError as error:
            lines = str(error).splitlines()
            raise ValueError("; ".join(line.removeprefix(f"{it.name}: ") for line in lines)) from error
    if value is None:
        got = "" if it.secret else f", got {text[:80]!r}"
        raise ValueError(f"expected {it.expected}{got}")
    return value


def _typed(it: Property, text: str) -> Value | None:
    """The value of a text, or None where it is not what the property takes."""
    if it.type is PropertyType.FLAG:
        return _TRUTHS.get(text.lower())
    if it.type is PropertyType.INT:
        number = int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else -1
        return number if it.least <= number <= it.most else None
    if it.choices:
        word = _SAME.get(text.lower(), text.lower())
        return word if word in it.choices else None
    if re.search(r"[\x00-\x1f\x7f]", text) or not re.fullmatch(it.pattern, text):
        return None
    return text if _setting_takes(it, text) else None


def _setting_takes(it: Property, text: str) -> bool:
    try:
        if it.name == "SSLCipherSuite":
            ciphers.fitted(text)
        if it.setting:
            _adapter(it.setting).validate_python(text)
    except (ValidationError, LocalFault):
        return False
    return True


@functools.cache
def _adapter(setting: str) -> TypeAdapter[object]:
    return TypeAdapter(get_type_hints(Settings, include_extras=True)[setting])


def is_hidden(name: str, value: Value) -> bool:
    """Whether a value is a secret of which nothing may be shown; of Redis' address, the login may not."""
    return PROPERTIES[name].secret and value != "" and shown(name, value) == _HIDDEN


def shown(name: str, value: Value) -> Value:
    """A value as it may be shown: of a secret only that it is set, and of Redis' address no login."""
    if not PROPERTIES[name].secret or value == "":
        return value
    return _without_login(str(value)) if name == "RedisUrl" else _HIDDEN


def _without_login(address: str) -> str:
    try:
        parts = urlsplit(address)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return _HIDDEN
    return f"{parts.scheme}://{host}{port}{parts.path}"

"""Name-value pairs in one text, as they stand in ExtendedAttr: ``name="value";name="value"``. Pure.

A quote in a value is doubled. Names keep letters, digits and ``_ . -``; anything else becomes ``_``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# All possessive or atomic: the time is in proportion to the text. Possessive groups go wrong before
# Python 3.11.5, atomic ones do not.
_VALUE = r'"((?>[^"]*(?:""[^"]*)*))"'
_PIECE = re.compile(rf'[;\s]*+(?:([^=;"\s]++)\s*+=\s*+{_VALUE}|[^;]*+)')
_PAIRS = re.compile(rf'(?>(?:[^=;"\s]++={_VALUE}(?:;|\Z))+)')  # a text as it is made here
_NO_NAME = re.compile(r"[^\w.-]")


def pairs_of(text: str) -> dict[str, str]:
    """The pairs of a text, which may have blanks around them and around their ``=``.

    What is no pair is left out, up to the next ``;``. Of pairs with the same name the last counts.
    """
    return {piece[1]: piece[2].replace('""', '"') for piece in _PIECE.finditer(text) if piece[1]}


def text_of(pairs: Mapping[str, str]) -> str:
    """Pairs as one text."""
    return ";".join([_pair(name, value) for name, value in pairs.items()])


def added(text: str, name: str, value: str) -> str:
    """``text`` with one more pair; where the name is there, in its place."""
    pair = _pair(name, value)
    if not text:
        return pair
    if text[-1] == '"' and pair[: pair.index("=") + 2] not in text and _PAIRS.fullmatch(text):
        return f"{text};{pair}"  # nearly always
    return text_of({**pairs_of(text), _named(name): value})


def removed(text: str, names: Iterable[str]) -> str:
    """``text`` without the pairs of these names."""
    without = {_named(name) for name in names}
    return text_of({name: value for name, value in pairs_of(text).items() if name not in without})


def _pair(name: str, value: str) -> str:
    if '"' in value:
        value = value.replace('"', '""')
    return f'{_named(name)}="{value}"'


def _named(name: str) -> str:
    return name if name.isidentifier() else _NO_NAME.sub("_", name) or "_"

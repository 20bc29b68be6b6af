"""Texts as they stand in a rules file, and what a file's text says of a statement. Pure."""

from __future__ import annotations

import re

_ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\t": "\t"}
_ESCAPE = re.compile(r"\\.")
_SHOWN = 120  # characters of a statement


def text_of(quoted: str) -> str:
    r"""The text that a quoted one stands for: ``\"``, ``\\``, ``\n`` and ``\t`` are known, ``\.`` stays."""
    inner = quoted[1:-1]
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[0], found[0]), inner) if "\\" in inner else inner


def quoted(text: str) -> str:
    """A text as it is written in a rules file, cut where it is long; for messages."""
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    for escape, char in (("\\\\", "\\"), ('\\"', '"'), ("\\n", "\n"), ("\\t", "\t")):
        shown = shown.replace(char, escape)
    return f'"{shown}"' if shown.isprintable() else ascii(shown)


def head(text: str, line_starts: list[int], line: int, column: int, stop: int) -> str:
    """The head of a statement on one line, cut where it is long."""
    start = line_starts[line - 1] + column - 1
    words = " ".join(text[start : min(stop, start + 10 * _SHOWN)].split())
    return words if len(words) <= _SHOWN else f"{words[: _SHOWN - 3]}..."


def line_starts(text: str) -> list[int]:
    """The offset at which each line begins."""
    return [0, *(found.end() for found in re.finditer("\n", text))]

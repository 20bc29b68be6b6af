"""Structured header fields taken apart: comments left out, quoted strings whole (RFC 5322 section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# None of these patterns can fail half-way, so none goes back over the text: the time is linear.
_MARK = re.compile(r'\\.?|[()"]', re.DOTALL)
_WORD = re.compile(r'(?P<gap>\s+)|(?P<end>;)|"(?P<quoted>(?:[^"\\]|\\.?)*)"?|(?P<atom>[^\s;"]+)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Word:
    """A word: ``quoted`` if it stood in quotes, ``glued`` if nothing is between it and the word before."""

    text: str
    quoted: bool = False
    glued: bool = False


def without_comments(text: str) -> tuple[str, bool]:
    """The text with a space for each comment, and whether all comments and quotes are closed.

    What is not closed goes on to the end of the text.
    """
    kept: list[str] = []
    depth = start = 0
    quoted = False
    for mark in _MARK.finditer(text):
        if mark[0] == '"' and not depth:
            quoted = not quoted
        elif mark[0] == "(" and not quoted:
            if not depth:
                kept.append(text[start : mark.start()])
            depth += 1
        elif mark[0] == ")" and depth:
            depth -= 1
            start = mark.end()
    kept.append("" if depth else text[start:])
    return " ".join(kept), not depth and not quoted


def sections(text: str) -> Iterator[list[Word]]:
    """The words between the semicolons of a text without comments; there is one section at least."""
    section: list[Word] = []
    glued = False
    for match in _WORD.finditer(text):
        if match["end"]:
            yield section
            section = []
        elif not match["gap"]:
            quoted = match["quoted"]
            word = match["atom"] if quoted is None else _ESCAPE.sub(r"\1", quoted)
            section.append(Word(word, quoted is not None, glued))
        glued = not (match["end"] or match["gap"])
    yield section

"""The text of a rules file, laid out: its lines are indented by its blocks, and nothing else is touched.

Tokens, comments and lines stay as they are and where they are, so the file means the same. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lark import Token

from postbeat.ism.rules.errors import Limits, RulesErrors
from postbeat.ism.rules.parsing import parse, tokens

INDENT = "    "
_BLANKS = " \t\r\f"  # those of the language; a text may hold others
_LIMITS = Limits()
_BRACKETS = {"_LPAR": 1, "LSQB": 1, "_RPAR": -1, "_RSQB": -1}
# What leaves a line unfinished where it stands at its end; commas stand in brackets, or between rows.
_UNFINISHED = frozenset(
    ["_ASSIGN", "OR", "XOR", "AND", "NOT", "PIPE", "CARET", "AMPERSAND", "EQUALITY", "RELATION"]
) | {"SHIFT", "PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "BANG"}
_TWO_BLANK_LINES = re.compile(r"\n{3,}")


def formatted(name: str, text: str, limits: Limits = _LIMITS) -> str:
    """The text with its lines indented; ends of lines are LF, and blank lines in a row are one.

    Raises:
        RulesErrors: its form is wrong; ``name`` is what they call the file.
    """
    _, errors = parse(name, text, limits)
    if errors:
        raise RulesErrors(errors)
    by_line: dict[int, list[Token]] = {}
    for token in tokens(text):
        by_line.setdefault(token.line or 1, []).append(token)
    layout = _Layout()
    lines = (
        f"{INDENT * depth}{line.strip(_BLANKS)}".rstrip(" ")
        for line, depth in zip(text.split("\n"), layout.depths(text, by_line), strict=True)
    )
    return _TWO_BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n") + "\n"


@dataclass
class _Block:
    """Braces that are open. ``has_case`` is whether a case has begun in it, which indents what follows."""

    has_case: bool = False


@dataclass
class _Layout:
    """How deep each line stands."""

    blocks: list[_Block] = field(default_factory=lambda: [_Block()])
    brackets: int = 0
    unfinished: bool = False

    def depths(self, text: str, by_line: dict[int, list[Token]]) -> Iterator[int]:
        """The depth of each line, by its tokens."""
        for number, _ in enumerate(text.split("\n"), start=1):
            yield self._line(by_line.get(number, []))

    def _line(self, found: list[Token]) -> int:
        depth = len(self.blocks) - 1 + sum(block.has_case for block in self.blocks)
        if found and found[0].type == "RBRACE":
            closed = self.blocks[-1]
            depth -= 1 + closed.has_case
        elif _is_label(found) and self.blocks[-1].has_case:
            depth -= 1
        elif self.brackets or self.unfinished:
            depth += 1
        for place, token in enumerate(found):
            self._take(token, found[place:])
        self.unfinished = (bool(found) and found[-1].type in _UNFINISHED) or (self.unfinished and not found)
        return max(depth, 0)

    def _take(self, token: Token, rest: list[Token]) -> None:
        if token.type == "LBRACE":
            self.blocks.append(_Block())
        elif token.type == "RBRACE" and len(self.blocks) > 1:
            self.blocks.pop()
        elif _is_label(rest):
            self.blocks[-1].has_case = True
        self.brackets = max(self.brackets + _BRACKETS.get(token.type, 0), 0)


def _is_label(found: list[Token]) -> bool:
    """Whether a case begins there; the default of a table has no colon."""
    if not found or found[0].type not in ("CASE", "DEFAULT"):
        return False
    return found[0].type == "CASE" or found[1:2] == [] or found[1].type == "_COLON"

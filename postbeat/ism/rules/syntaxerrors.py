"""What to say where a token fits nowhere: in people's words, not the grammar's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lark import Token

if TYPE_CHECKING:
    from lark.parsers.lalr_interactive_parser import InteractiveParser

_OPERATORS = frozenset(
    [
        "OR",
        "XOR",
        "AND",
        "EQUALITY",
        "RELATION",
        "SHIFT",
        "PIPE",
        "CARET",
        "AMPERSAND",
        "PLUS",
        "MINUS",
        "STAR",
        "SLASH",
        "PERCENT",
    ]
)
_VALUES = frozenset(
    [
        "STRING",
        "REAL",
        "INTEGER",
        "ELEMENT",
        "FIELD",
        "PROPERTY",
        "EVERYTHING",
        "NAME",
        "NOT",
        "BANG",
        "MINUS",
        "_LPAR",
    ]
)
STATEMENTS = frozenset(
    [
        "ELEMENT",
        "FIELD",
        "PROPERTY",
        "NAME",
        "LSQB",
        "OPENING",
        "IF",
        "SWITCH",
        "FOREACH",
        "INCLUDE",
        "ARRAY",
        "TABLE",
        "BREAK",
        "DISCARD",
        "RECOVER",
    ]
)
_NUMBERS = frozenset({"REAL", "INTEGER"})
_LITERALS = _NUMBERS | {"STRING"}
_TARGETS = frozenset({"ELEMENT", "FIELD", "PROPERTY", "NAME"})
_SAID = {
    "$END": "the end of the file",
    "_ASSIGN": "=",
    "_LPAR": "(",
    "_RPAR": ")",
    "LSQB": "[",
    "OPENING": "[",
    "_RSQB": "]",
    "LBRACE": "{",
    "RBRACE": "}",
    "_COMMA": "a comma",
    "_COLON": ":",
    "_IN": "in",
    "IF": "if",
    "ELSE": "else",
    "CASE": "case",
    "DEFAULT": "default",
    "NAME": "a name",
    "STRING": "a text in quotes",
    "PIPE": "|",
    "MINUS": "-",
}
_NEVER = frozenset({"BROKEN", "UNCLOSED", "STRANGE", "_SEMICOLON"})


def message(parser: InteractiveParser, token: Token, following: Token) -> str:
    """What is wrong at a token at which the parser stopped. ``following`` is the token after it."""
    accepted = frozenset(parser.accepts()) - _NEVER  # type: ignore[no-untyped-call]
    return (
        _no_token(token)
        or _no_statement(token, following, accepted)
        or _no_assignment(token, accepted)
        or _unfinished(parser, token)
        or _no_call(parser, token, accepted)
        or f"expected {_said(accepted)}, got {_shown(token)}"
    )


def _no_token(token: Token) -> str:
    if token.type == "UNCLOSED":
        return "the text has no closing quote on its line"
    if token.type == "STRANGE":
        return f"unexpected character {_shown(token)}"
    return ""


def _no_statement(token: Token, following: Token, accepted: frozenset[str]) -> str:
    """What begins like no statement, where one was expected."""
    if "IF" not in accepted:
        return ""
    if token.type in _LITERALS and following.type == "_ASSIGN":
        what = "a text" if token.type == "STRING" else "a number"
        return f"{what} cannot be assigned to: expected $element, @Field, %Property or array[key] before ="
    return {
        "ELSE": "else without an if before it",
        "CASE": "case stands only in a switch",
        "DEFAULT": "default: stands only in a switch",
        "EVERYTHING": "$* stands only in details, nvp_add and foreach",
    }.get(token.type, "")


def _no_assignment(token: Token, accepted: frozenset[str]) -> str:
    if token.type == "_ASSIGN" and "EQUALITY" in accepted and "IF" not in accepted:
        return "= assigns: to compare, write =="
    if token.type in {"LSQB", "_LPAR"} and accepted == {"_ASSIGN"}:
        return f"expected =, got {_shown(token)}"
    return ""


def _no_call(parser: InteractiveParser, token: Token, accepted: frozenset[str]) -> str:
    if accepted != {"_LPAR", "_ASSIGN", "LSQB"}:
        return ""
    word = parser.parser_state.value_stack[-1]
    return f"{word} alone is no statement: expected ( or = or [, got {_shown(token)}"


def _unfinished(parser: InteractiveParser, token: Token) -> str:
    if token.type != "$END":
        return ""
    opened = [value for value in parser.parser_state.value_stack if getattr(value, "type", "") == "LBRACE"]
    if not opened:
        return ""
    return f"the file ends before the }} that closes the {{ of line {opened[-1].line}"


def _said(accepted: Iterable[str]) -> str:
    """What would have fitted, in a few words: at most four."""
    left = set(accepted)
    words = []
    if "IF" in left:
        words.append("a statement")
        left -= STATEMENTS | {"CASE", "DEFAULT"}
    if {"STRING", "ELEMENT"} <= left:
        words.append("a value")
        left -= _VALUES
    elif left >= _LITERALS:
        words.append("a text or a number")
        left -= _LITERALS | {"MINUS"}
    elif left == _NUMBERS:
        words.append("a number")
        left = set()
    if {"ELEMENT", "FIELD"} <= left:
        words.append("$element, @Field, %Property or array[key]")
        left -= _TARGETS
    if "PLUS" in left:
        words.append("an operator")
        left -= _OPERATORS
    words += sorted(_SAID.get(kind, kind.lower()) for kind in left - {"$END"})
    if not words:
        return _SAID["$END"]
    return " or ".join(words)


def _shown(token: Token) -> str:
    if token.type == "$END":
        return "the end of the file"
    text = str(token) if len(token) <= 30 else f"{token[:30]}..."
    return text if text.isprintable() else ascii(text)[1:-1]

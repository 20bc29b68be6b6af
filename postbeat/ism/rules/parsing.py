"""Reads the text of a rules file: tokens, statements, and all that is wrong with its form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.resources import files
from math import isinf
from threading import Lock
from typing import TYPE_CHECKING

from lark import Lark, Token, UnexpectedToken

from postbeat.ism.rules import syntaxerrors
from postbeat.ism.rules.building import Builder
from postbeat.ism.rules.errors import Limits, RulesError
from postbeat.ism.rules.tree import Source

if TYPE_CHECKING:
    from lark.parsers.lalr_interactive_parser import InteractiveParser

ERRORS_LIMIT = 20  # of form, in one file: after so many it is another language

_OPENS = frozenset({"_LPAR", "LSQB", "OPENING", "LBRACE"})
_CLOSES = frozenset({"_RPAR", "_RSQB", "RBRACE"})
_SIGNS = frozenset({"BANG", "NOT", "MINUS"})
_ENDS = frozenset({"ELEMENT", "FIELD", "PROPERTY", "NAME", "INTEGER", "REAL", "_RPAR", "_RSQB"})  # of a value
_BEGINS = syntaxerrors.STATEMENTS - {"LSQB", "OPENING"}  # a bracket may as well be the key of an array
_lock = Lock()  # there is one parser, and its builder has a state


def parse(name: str, text: str, limits: Limits) -> tuple[Source, list[RulesError]]:
    """The statements of a file, without those that are none, and what is wrong with these.

    Never raises, whatever the text; takes time in proportion to its length.
    """
    with _lock:
        lark, builder = _parser()
        reading = _Reading(lark, builder, name, text, limits.nesting)
        return reading.result(), reading.errors


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, in their order; comments are none."""
    with _lock:
        yield from list(_parser()[0].lex(text))


@cache
def _parser() -> tuple[Lark, Builder]:
    """The parser. Building it takes a fifth of a second."""
    grammar = files("postbeat.ism.rules").joinpath("grammar.lark").read_text(encoding="utf-8")
    builder = Builder()
    return Lark(grammar, parser="lalr", lexer="basic", transformer=builder, maybe_placeholders=False), builder


class _Reading:
    """One file on its way through the parser.

    Where a token fits nowhere the parser goes back to the innermost block that was begun and passes over what
    follows, until a line begins like a statement at the same depth of braces (what yacc does for ``error``).
    """

    def __init__(self, lark: Lark, builder: Builder, name: str, text: str, nesting: int) -> None:
        self._builder = builder
        self._name, self._text = name, text
        self._nesting = nesting
        self._parser: InteractiveParser = lark.parse_interactive()
        self._tokens = lark.lex(text)
        self._end = self._end_token()
        self._token = self._before = Token("$START", "", 0, 0, 0, 0, 0, 0)
        self._next = next(self._tokens, self._end)
        self._open = self._braces = self._signs = 0
        self._begins = self._before_begins = True  # whether it is the first on its line
        self._failed: Token | None = None  # the token at which reading went on after the last error
        self.errors: list[RulesError] = []

    def result(self) -> Source:
        """Reads it all."""
        self._builder.end = 0
        self._advance()
        while len(self.errors) < ERRORS_LIMIT and not self._too_deep():
            if self._braces < 0:  # the parser would take it for the end of all that came before
                self._note("} without a { before it")
                self._braces = 0
                self._advance()
                continue
            if self._token.type == "REAL" and isinf(float(self._token)):
                self._note("this is more than a number can be")
            try:
                read = self._parser.feed_token(self._token)
            except UnexpectedToken:
                if not self._noted_remainder():
                    said = self._unfinished() or syntaxerrors.message(self._parser, self._token, self._next)
                    self._note(said)
                if self._token is self._end:
                    break
                self._recover()
                continue
            if self._token is self._end:
                statements, cases = read
                return Source(self._name, self._text, statements, cases)
            self._builder.end = self._token.end_pos or 0
            self._advance()
        return self._as_far_as_read()

    def _as_far_as_read(self) -> Source:
        """What was read before the error at which reading ended, without blocks that were not closed."""
        states, values = self._parser.parser_state.state_stack, self._parser.parser_state.value_stack
        while depth := len(values):
            if self._marked_broken():
                with suppress(UnexpectedToken):
                    return Source(self._name, self._text, *self._parser.feed_token(self._end))
            del states[depth:], values[depth - 1 :]  # there is one state more than there are values
        return Source(self._name, self._text, (), ())

    def _end_token(self) -> Token:
        text = self._text.rstrip()
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        return Token("$END", "", len(text), line, column, line, column, len(text))

    def _advance(self) -> None:
        self._before_begins = self._begins
        self._before, self._token = self._token, self._next
        self._begins = self._token.line != self._before.end_line
        if self._token is not self._end:
            self._next = next(self._tokens, self._end)
        if self._token.type == "LSQB" and self._begins:
            self._token = Token.new_borrow_pos("OPENING", self._token, self._token)
        kind = self._token.type
        change = (kind in _OPENS) - (kind in _CLOSES)
        self._open = max(self._open + change, 0)
        self._braces += change if kind in {"LBRACE", "RBRACE"} else 0
        self._signs = self._signs + 1 if kind in _SIGNS else 0

    def _too_deep(self) -> bool:
        """Whether brackets and signs are nested too deep; the parser's stack grows with them."""
        if self._open <= self._nesting and self._signs <= self._nesting:
            return False
        self._note(f"nested deeper than {self._nesting}")
        return True

    def _note(self, message: str, at: Token | None = None) -> None:
        at = at or self._token
        self.errors.append(RulesError(self._name, at.line or 1, at.column or 1, message))

    def _unfinished(self) -> str:
        """What to say where an expression went on into the next line, and took an assignment's target."""
        if self._token.type != "_ASSIGN" or not self._before_begins or self._before.type == "NAME":
            return ""
        return f"got = after {self._before}: the statement on the line before is not finished"

    def _noted_remainder(self) -> bool:
        """Notes a property that was to be a remainder: the ``%b`` of ``$a%b``, which begins a statement."""
        at = self._token
        if at.type != "PROPERTY" or self._before.type not in _ENDS or at.start_pos != self._before.end_pos:
            at = self._before
            if at.type != "PROPERTY" or self._before_begins or self._parser.accepts() != {"_ASSIGN"}:  # type: ignore[no-untyped-call]
                return False
        self._note(f"{at} is a property: for the remainder put a blank after the %, as in % {at[1:]}", at)
        return True

    def _recover(self) -> None:
        """Goes back to the innermost block, and on to where a statement may begin."""
        state = self._parser.parser_state
        while not self._marked_broken():
            state.state_stack.pop()
            state.value_stack.pop()
        depth = sum(getattr(value, "type", "") == "LBRACE" for value in state.value_stack)
        if self._failed is self._token:  # it was tried already: what can begin something did not here
            self._advance()
        while self._token is not self._end and not self._may_go_on(depth):
            if self._token.type == "RBRACE":
                self._braces = max(self._braces, depth)  # one too many closes nothing
            self._advance()
        self._failed = self._token
        self._open = self._braces

    def _marked_broken(self) -> bool:
        try:
            self._parser.feed_token(Token("BROKEN", ""))
        except (UnexpectedToken, KeyError):
            return False
        return True

    def _may_go_on(self, depth: int) -> bool:
        kind = self._token.type
        if kind == "RBRACE":
            return depth > 0 and self._braces == depth - 1
        if self._braces != depth or not self._begins:
            return False
        if kind in {"CASE", "DEFAULT"}:
            return kind in self._parser.choices()  # type: ignore[no-untyped-call]
        return kind in _BEGINS

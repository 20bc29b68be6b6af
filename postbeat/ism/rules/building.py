"""Makes the nodes of the tree out of what the parser has recognised."""

from __future__ import annotations

from typing import Any

from lark import Token, Transformer

from postbeat.ism.rules import tree
from postbeat.ism.rules.texts import text_of
from postbeat.ism.rules.tree import Expression, Statement
from postbeat.ism.values import INTEGER_MOST, Value

_WORDS = {"or": "||", "OR": "||", "and": "&&", "AND": "&&", "xor": "xor", "XOR": "xor", "<>": "!="}


class Builder(Transformer[Token, Any]):
    """One method for each rule of the grammar; the parser calls them from the inside out.

    ``end`` is the offset at which the last token ended: the parser calls a method when it sees what follows.
    """

    end = 0

    def start(self, parts: list[Any]) -> tuple[tuple[Statement, ...], tuple[tree.Case, ...]]:
        """A file."""
        return parts[0], tuple(parts[1:])

    def body(self, parts: list[Any]) -> tuple[Statement, ...]:
        """Statements one after the other."""
        return tuple(part for part in parts if part is not None)

    def broken(self, _parts: list[Any]) -> None:
        """What was passed over after an error."""

    def assign(self, parts: list[Any]) -> Statement:
        """``target = value``."""
        return tree.Assign(*self._head(parts[0]), parts[0], parts[1])

    def assign_name(self, parts: list[Any]) -> Statement:
        """``Name = value``."""
        return tree.AssignName(*self._head(parts[0]), str(parts[0]), parts[1])

    def assign_list(self, parts: list[Any]) -> Statement:
        """``[target, target] = value``; the bracket stands before the first."""
        return tree.AssignList(*self._head(parts[0]), tuple(parts[1:-1]), parts[-1])

    def do(self, parts: list[Any]) -> Statement:
        """A call that stands alone."""
        return tree.Do(*self._head(parts[0]), parts[0])

    def word(self, parts: list[Token]) -> Statement:
        """``discard`` or ``recover``."""
        call = tree.Call(str(parts[0]), (), *_at(parts[0]))
        return tree.Do(*self._head(parts[0]), call)

    def leave(self, parts: list[Token]) -> Statement:
        """``break``."""
        return tree.Break(*self._head(parts[0]))

    def choice(self, parts: list[Any]) -> Statement:
        """``if``, ``else if`` and ``else``."""
        words = [number for number, part in enumerate(parts) if getattr(part, "type", "") == "IF"]
        branches = tuple((parts[number + 1][0], parts[number + 2]) for number in words)
        after = words[-1] + 3
        otherwise = parts[after + 1] if len(parts) > after else ()
        return tree.If(*_at(parts[0]), parts[1][1], branches, otherwise)

    def condition(self, parts: list[Any]) -> tuple[Expression, int]:
        """What stands in brackets after ``if`` or ``switch``, and where it ends."""
        return parts[0], self.end

    def block(self, parts: list[Any]) -> tuple[Statement, ...]:
        """Statements in braces."""
        body: tuple[Statement, ...] = parts[1]
        return body

    def switch(self, parts: list[Any]) -> Statement:
        """``switch (subject) { ... }``."""
        subject, stop = parts[1]
        return tree.Switch(*_at(parts[0]), stop, subject, parts[3], tuple(parts[4:-1]))

    def label(self, parts: list[Any]) -> tuple[Any, ...]:
        """``case "a" | "b":`` or ``default:`` without what follows, and where it ends."""
        labels = tuple(part for part in parts if isinstance(part, tree.Literal))
        return (*_at(parts[0]), self.end, labels)

    def case(self, parts: list[Any]) -> tree.Case:
        """A label and the statements that follow."""
        line, column, stop, labels = parts[0]
        return tree.Case(line, column, stop, labels, parts[1])

    def foreach(self, parts: list[Any]) -> Statement:
        """``foreach (name in sources) { ... }``."""
        name, sources, stop = parts[1]
        return tree.Foreach(*_at(parts[0]), stop, name, sources, parts[2])

    def loop(self, parts: list[Any]) -> tuple[str, tuple[Expression, ...], int]:
        """What stands in brackets after ``foreach``, and where it ends."""
        return str(parts[0]), tuple(parts[1:]), self.end

    def include(self, parts: list[Token]) -> Statement:
        """``include "path"``."""
        return tree.Include(*self._head(parts[0]), self.literal(parts[1:]))

    def array(self, parts: list[Token]) -> Statement:
        """``array name``."""
        return tree.Array(*self._head(parts[0]), str(parts[1]))

    def table(self, parts: list[Any]) -> Statement:
        """``table name = rows``, with or without a default."""
        rows, path = ((), self.literal([parts[2]])) if isinstance(parts[2], Token) else (parts[2], None)
        default = parts[4] if len(parts) > 4 else ()
        if isinstance(default, tree.Literal):
            default = (default,)
        return tree.Table(*self._head(parts[0]), str(parts[1]), rows, path, default)

    def rows(self, parts: list[Any]) -> tuple[tuple[tree.Literal, ...], ...]:
        """The rows of a table in braces."""
        return tuple(part for part in parts if isinstance(part, tuple))

    def row(self, parts: list[Any]) -> tuple[tree.Literal, ...]:
        """One row in braces."""
        return tuple(parts[1:-1])

    def variable(self, parts: list[Token]) -> tree.Variable:
        """``$name``, ``$(any name)``, ``@Name`` or ``%Name``."""
        name = str(parts[0])[1:]
        return tree.Variable(str(parts[0])[0], name.strip("()").strip(), *_at(parts[0]))

    everything = variable

    def index(self, parts: list[Any]) -> tree.Index:
        """``array[key]``."""
        return tree.Index(str(parts[0]), parts[2], *_at(parts[0]))

    def call(self, parts: list[Any]) -> tree.Call:
        """``function(arguments)``."""
        return tree.Call(str(parts[0]), tuple(parts[1:]), *_at(parts[0]))

    def name(self, parts: list[Token]) -> tree.Name:
        """A bare word."""
        return tree.Name(str(parts[0]), *_at(parts[0]))

    def literal(self, parts: list[Token]) -> tree.Literal:
        """A text or a number."""
        return tree.Literal(_value(parts[0]), *_at(parts[0]))

    def negative(self, parts: list[Token]) -> tree.Literal:
        """A number with a minus before it, where no expression may stand."""
        return tree.Literal(-_value(parts[1]), *_at(parts[0]))  # type: ignore[operator]

    def unary(self, parts: list[Any]) -> tree.Unary:
        """``!x``, ``not x`` or ``-x``."""
        return tree.Unary("-" if parts[0] == "-" else "!", parts[1], *_at(parts[0]))

    def chain(self, parts: list[Any]) -> tree.Chain:
        """Operators of one rank in a row."""
        pairs = zip(parts[1::2], parts[2::2], strict=True)
        rest = tuple(tree.Operation(_WORDS.get(sign, str(sign)), right, *_at(sign)) for sign, right in pairs)
        return tree.Chain(parts[0], rest, *_at(parts[0]))

    def _head(self, first: Any) -> tuple[int, int, int]:  # noqa: ANN401  a token or a node
        return (*_at(first), self.end)


def _at(first: Any) -> tuple[int, int]:  # noqa: ANN401  a token or a node
    return first.line, first.column


def _value(token: Token) -> Value:
    if token.type == "STRING":
        return text_of(token)
    if token.type == "REAL":
        return float(token)
    digits = token.lstrip("0")[:20]  # so many are more than 64 bits in any case
    return min(int(digits or "0"), INTEGER_MOST)

"""Service level classifications in the ISM's form: ``totalTime > 5 Marginal``. Pure.

Such a statement and a rule of a profile (:mod:`postbeat.classification`) are the same thing in two forms:
this one has no arrow, and its levels are Good, Marginal and Failed. What reads either reads both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from postbeat.classification import Classification, NeverFits
from postbeat.elements import ITEM_LIMIT

T = TypeVar("T")

_ARROW = re.compile(r"->\s*[A-Za-z]+\s*\Z")


def parse(text: str) -> Classification:
    """The classification of one statement. Operands may have a ``$``, and the level an arrow before it.

    Raises:
        ValueError: it is none; the message says what was expected.
    """
    return Classification.parse(text)


def text_of(classification: Classification) -> str:
    """A classification as a statement, which :func:`parse` reads back.

    One on ``message`` keeps its arrow, as its texts are ours (:func:`is_of_a_profile`).
    """
    operands = [condition.operand for condition in classification.conditions]
    conditions = " and ".join(map(str, classification.conditions))
    arrow = " ->" if "message" in operands else ""
    return f"{conditions}{arrow} {classification.level.capitalize()}"


def is_of_a_profile(statement: str) -> bool:
    """Whether a statement has an arrow: then it was written for us, and its texts are ours."""
    return _ARROW.search(statement) is not None


def parse_all(
    text: str, parse_one: Callable[[str], T], unfit: Callable[[str, NeverFits], None] | None = None
) -> tuple[T, ...]:
    """What is made of the statements of a text; each ends at a ``;`` outside quotes, or with its line.

    ``parse_one`` makes it of one, and raises what :func:`parse` does. ``unfit`` takes statements that fit no
    result here, with the reason; without it they are errors, too.

    Raises:
        ValueError: some are none, or they are too many; the message has a line for each, with its number.
    """
    statements = [part for line in text.splitlines() for part in _parts(line) if part.strip()]
    if len(statements) > ITEM_LIMIT:
        raise ValueError(f"expected at most {ITEM_LIMIT} statements, got {len(statements)}")
    found, wrong = [], []
    for number, statement in enumerate(statements, 1):
        try:
            found.append(parse_one(statement.strip()))
        except ValueError as error:
            if unfit is not None and isinstance(error, NeverFits):
                unfit(statement.strip(), error)
                continue
            wrong.append(f"statement {number}: {error}")
    if wrong:
        raise ValueError("\n".join(wrong))
    return tuple(found)


def _parts(line: str) -> Iterator[str]:
    """The parts of a line between ``;`` that do not stand in quotes; there a backslash hides a sign."""
    begin, quote, hidden = 0, "", False
    for at, sign in enumerate(line):
        if hidden:
            hidden = False
        elif quote:
            hidden = sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == ";":
            yield line[begin:at]
            begin = at + 1
    yield line[begin:]

"""Service level classifications: the rules by which an element's results get their level. Pure.

A rule is ``OPERAND OP VALUE [and OPERAND OP VALUE ...] -> LEVEL``. Operands are the elements of results, as
:mod:`postbeat.plain` spells them; OPERANDS has them all. In the ISM's form there is no arrow, operands may
have a ``$``, and SPELLINGS has those that are spelled otherwise: it is read as the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import reduce
from typing import Self

from postbeat.delivery import Outcome
from postbeat.model import (
    AuthenticationType,
    FaultCode,
    Kind,
    Level,
    LoginType,
    Phase,
    SecurityType,
    Side,
    TlsVersion,
)
from postbeat.stages import of_faults

LENGTH_LIMIT = 200  # characters of a rule, as it is given and as it is written out
CONDITIONS_LIMIT = 8
_NUMBER_LIMIT = 1e15  # greater ones are no figure of a test


class OperandKind(StrEnum):
    """What an operand is compared with."""

    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Operand:
    """An element of a result that a condition may name.

    It exists in results of ``phases``. ``says`` is its unit, or what it is. ``words`` are all that it may be,
    where that is a closed list. A condition on an operand that ``tells_failure`` may decide the level of a
    test that failed.
    """

    kind: OperandKind
    phases: frozenset[Phase]
    says: str
    words: tuple[str, ...] = ()
    tells_failure: bool = False


_SEND = frozenset({Phase.SEND})
_CHECK = frozenset({Phase.CHECK})
_POLLED = frozenset({Phase.SEND, Phase.CHECK})
_FOUND = frozenset({Phase.READ, Phase.AFTER})
_ALL = frozenset(Phase)
_TRUTH = ("true", "false")


def _number(phases: frozenset[Phase], says: str, *, tells_failure: bool = False) -> Operand:
    return Operand(OperandKind.NUMBER, phases, says, tells_failure=tells_failure)


def _text(
    phases: frozenset[Phase], says: str, words: tuple[str, ...] = (), *, tells_failure: bool = False
) -> Operand:
    return Operand(OperandKind.TEXT, phases, says, words, tells_failure)


OPERANDS: dict[str, Operand] = {
    "lookupTime": _number(_POLLED, "seconds"),
    "connectTime": _number(_POLLED, "seconds"),
    "SSLHandshakeTime": _number(_POLLED, "seconds"),
    "loginTime": _number(_CHECK, "seconds"),
    "responseTime": _number(_POLLED, "seconds"),
    "uploadTime": _number(_SEND, "seconds"),
    "totalTime": _number(_POLLED, "seconds"),
    "bytesTransferred": _number(_SEND, "bytes"),
    "bytesPerSec": _number(_SEND, "bytes per second"),
    "status": _number(_SEND, "the status code of the last reply", tells_failure=True),
    "enhanced": _text(_SEND, "the enhanced status code, such as 5.7.1", tells_failure=True),
    "reply": _text(_SEND, "the text of the last reply", tells_failure=True),
    "certificateDays": _number(_POLLED, "whole days until a certificate of the chain expires"),
    "tlsVersion": _text(_POLLED, "the version of TLS", tuple(TlsVersion)),
    "tlsCipher": _text(_POLLED, "the cipher suite"),
    "verified": _text(_POLLED, "whether the certificate was verified", _TRUTH),
    "attempts": _number(_POLLED, "attempts of this poll"),
    "timeToDeliver": _number(_FOUND, "seconds"),
    "timeToDeliverResolution": _number(_FOUND, "seconds"),
    "timeToDeliverUncertainty": _number(_FOUND, "seconds"),
    "hopCount": _number(_FOUND, "hosts that took the message over"),
    "copies": _number(_FOUND, "copies of the message"),
    "folder": _text(_FOUND, "the folder in which it lay"),
    "outcome": _text(_FOUND, "what became of the message", tuple(Outcome), tells_failure=True),
    "pushed": _text(_FOUND, "whether the server announced it", _TRUTH),
    "outOfOrder": _text(_FOUND, "whether a later message came before it", _TRUTH),
    "altered": _text(_FOUND, "what was changed on the way"),
    "spf": _text(_FOUND, "the word of the verdict"),
    "dkim": _text(_FOUND, "the word of the verdict"),
    "dmarc": _text(_FOUND, "the word of the verdict"),
    "arc": _text(_FOUND, "the word of the verdict"),
    "serverSkew": _number(_FOUND, "seconds"),
    "messages": _number(_CHECK, "messages in the mailbox"),
    "size": _number(_CHECK, "bytes"),
    "quotaUsed": _number(_CHECK, "bytes"),
    "quotaLimit": _number(_CHECK, "bytes"),
    "message": _text(_ALL, "the sentence that says what came of it", tells_failure=True),
    # A fault of ours never gets here: it is UNKNOWN whatever the rules say.
    "fault": _text(_ALL, "the code of the fault", tuple(FaultCode), tells_failure=True),
    "stage": _text(_ALL, "the stage of the fault", of_faults(frozenset(Kind), _ALL), tells_failure=True),
    "side": _text(_ALL, "whose fault it was", (Side.REMOTE,), tells_failure=True),
    "consecutiveFailures": _number(_POLLED, "failed attempts of this poll in a row", tells_failure=True),
    "failureRetests": _number(_POLLED, "retests that the element asks for"),
    "timeSinceFirstFailure": _number(_POLLED, "seconds"),
    "lastServiceLevel": _number(_POLLED, "0 Unknown, 1 Good, 2 Marginal, 3 Failed"),
    "identifier": _text(_ALL, "the element's name"),
    "description": _text(_POLLED, "the element's description"),
    "host": _text(_POLLED, "the element's server"),
    "port": _number(_POLLED, "the element's port"),
    "user": _text(_POLLED, "the element's username"),
    "email": _text(_SEND, "the element's email"),
    "security": _text(_POLLED, "the element's securitytype", tuple(SecurityType)),
    "authentication": _text(
        _POLLED,
        "the element's authenticationtype",
        tuple(dict.fromkeys([*map(str, AuthenticationType), *map(str, LoginType)])),
    ),
}

# The ISM's names of operands, where they are not ours: its mail readers have the first, and the list that its
# service levels are chosen from the second.
SPELLINGS = {"totaltime": "totalTime", "reponseTime": "responseTime"}

_ORDERS = ("<", "<=", ">", ">=")
_CONTAINS = ("contains", "!contains")
_OPERATORS = ("=", "!=", *_ORDERS, *_CONTAINS)
_LEVELS = (Level.GOOD, Level.MARGINAL, Level.FAILED)

_TOKEN = {
    "operand": re.compile(r"(?:(?!->)[^\s=!<>\"'])+"),
    "operator": re.compile(r"!?contains\b|[=!<>]=|[=<>]", re.IGNORECASE),
    "quoted": re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'"),
    "bare": re.compile(r"(?:(?!->)[^\s\"'])+"),
    "rest": re.compile(r"->|and\b", re.IGNORECASE),
}
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_SAFE = re.compile(r"[\w.@/:+-]+", re.ASCII)  # texts that need no quotes, where they have no arrow in them


class NeverFits(ValueError):
    """A rule that is none on any result: it names what no result has, or has together, or ever says."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: an element of a result by name, an operator, and a text or a number."""

    operand: str
    operator: str
    value: str | float

    def __str__(self) -> str:
        return f"{self.operand} {self.operator} {self.value_text}"

    @property
    def value_text(self) -> str:
        """The value as it is written in a rule."""
        if isinstance(self.value, str):
            return _quoted(self.value)
        return number_text(self.value)

    def holds(self, measured: str | float | None) -> bool:
        """Whether it is true of what was measured; of what was not measured nothing is true.

        Texts are the same in upper and lower case.
        """
        if measured is None:
            return False
        if isinstance(self.value, str):
            return _text_holds(self.operator, str(measured).casefold(), self.value.casefold())
        return not isinstance(measured, str) and _number_holds(self.operator, measured, self.value)


def _text_holds(operator: str, measured: str, value: str) -> bool:
    found = value in measured if operator in _CONTAINS else value == measured
    return not found if operator.startswith("!") else found


def _number_holds(operator: str, measured: float, value: float) -> bool:
    order = (measured > value) - (measured < value)
    return order in {"=": (0,), "!=": (-1, 1), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[operator]


@dataclass(frozen=True, slots=True)
class Classification:
    """Where all conditions hold, the result has this level. The first of an element's that fits decides."""

    conditions: tuple[Condition, ...]
    level: Level

    @classmethod
    def parse(cls, raw: object) -> Self:
        """The classification of a text such as ``responseTime > 2 -> MARGINAL``.

        Raises:
            NeverFits: it is none on any result.
            ValueError: it is none; the message says what was expected.
        """
        if isinstance(raw, cls):
            return raw
        if not isinstance(raw, str) or not raw.strip():
            raise ValueError("expected OPERAND OP VALUE -> LEVEL, such as responseTime > 2 -> MARGINAL")
        if len(raw) > LENGTH_LIMIT:
            raise ValueError(f"expected at most {LENGTH_LIMIT} characters, got {len(raw)}")
        if not raw.isprintable():
            raise ValueError("expected a text of one line, without control characters")
        found = cls(*_parsed(_Scanner(raw)))
        if not found.phases:
            names = " and ".join(dict.fromkeys(condition.operand for condition in found.conditions))
            raise NeverFits(f"{names} never stand in the same result")
        if len(str(found)) > LENGTH_LIMIT:
            raise ValueError(f"written out it has more than {LENGTH_LIMIT} characters: {found}")
        return found

    @property
    def phases(self) -> frozenset[Phase]:
        """The phases whose results have all of its operands."""
        return reduce(frozenset.intersection, (OPERANDS[one.operand].phases for one in self.conditions))

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.conditions))} -> {self.level}"


class _Scanner:
    """Reads a rule from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def take(self, token: str) -> re.Match[str] | None:
        """The next token, if it is of this kind."""
        self._skip()
        match = _TOKEN[token].match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    @property
    def rest(self) -> str:
        """What has not been read."""
        self._skip()
        return self._text[self._at :]

    def _skip(self) -> None:
        while self._text.startswith(" ", self._at):
            self._at += 1


def _parsed(scanner: _Scanner) -> tuple[tuple[Condition, ...], Level]:
    conditions = tuple(_conditions(scanner))
    level = _level(scanner.rest)
    if level is None:
        raise ValueError(f"expected GOOD, MARGINAL or FAILED after ->, got {_shown(scanner.rest.strip())}")
    return conditions, level


def _level(text: str) -> Level | None:
    word = text.strip().upper()
    return next((level for level in _LEVELS if level == word), None)


def _conditions(scanner: _Scanner) -> Iterator[Condition]:
    for number in range(CONDITIONS_LIMIT + 1):
        if number == CONDITIONS_LIMIT:
            raise ValueError(f"expected at most {CONDITIONS_LIMIT} conditions")
        condition = _condition(scanner)
        yield condition
        link = scanner.take("rest")
        if link is None and _level(scanner.rest) is None:
            raise ValueError(_no_link(scanner.rest, condition))
        if link is None or link[0] == "->":
            return


def _condition(scanner: _Scanner) -> Condition:
    name = scanner.take("operand")
    if name is None:
        raise ValueError(f"expected the name of an element of results, got {_shown(scanner.rest)}")
    known = name[0].removeprefix("$")
    known = SPELLINGS.get(known, known)
    operand = OPERANDS.get(known)
    operator = scanner.take("operator")
    if operand is None:
        error = ValueError if operator is None else NeverFits
        raise error(f"{_shown(name[0])} is no element of results{_hint(known, OPERANDS)}")
    if operator is None:
        expected = f"expected one of {' '.join(_OPERATORS)} after {name[0]}"
        raise ValueError(f"{expected}, got {_shown(scanner.rest)}")
    sign = "=" if operator[0] == "==" else operator[0].lower()
    return Condition(known, sign, _value(scanner, known, operand, sign))


def _value(scanner: _Scanner, name: str, operand: Operand, operator: str) -> str | float:
    quoted = scanner.take("quoted")
    bare = scanner.take("bare") if quoted is None else None
    if quoted is None and bare is None:
        raise ValueError(f"expected a value after {name} {operator}, got {_shown(scanner.rest)}")
    if operand.kind is OperandKind.NUMBER:
        if operator in _CONTAINS:
            raise ValueError(f"{operator} is for texts, and {name} is a number")
        return _number_of(bare[0] if bare else "", (bare or quoted or [""])[0], name, operand)
    if operator in _ORDERS:
        raise ValueError(f"{operator} is for numbers, and {name} is a text: use = != contains !contains")
    text = re.sub(r"\\(.)", r"\1", quoted[1] or quoted[2] or "") if quoted else bare[0] if bare else ""
    known = {word.casefold() for word in operand.words}
    if known and operator not in _CONTAINS and text.casefold() not in known:
        told = _hint(text, operand.words) or f": it is {listed(operand.words)}"
        raise NeverFits(f"{name} is never {_shown(text)}{told}")
    if not text and operator in _CONTAINS:
        raise ValueError(f"every text contains an empty one: expected a value after {name} {operator}")
    return text


def _number_of(text: str, shown: str, name: str, operand: Operand) -> float:
    if not _NUMBER.fullmatch(text) or not float(text) < _NUMBER_LIMIT:
        raise ValueError(f"{name} is a number ({operand.says}): expected 0 or more, got {_shown(shown)}")
    return float(text)


def _no_link(rest: str, condition: Condition) -> str:
    if re.match(r"or\b|\|\|", rest, re.IGNORECASE):
        return "there is no or: write one classification for each, in the order in which they are tried"
    if rest and isinstance(condition.value, str):
        return (
            f"expected and, or -> LEVEL, after {condition}, got {_shown(rest)}; a text of words needs quotes"
        )
    return f"expected and, or -> LEVEL, after {condition}, got {_shown(rest)}"


def _hint(text: str, known: Iterable[str]) -> str:
    names = {name.casefold(): str(name) for name in known}
    found = get_close_matches(text.casefold(), names, n=1)
    return f"; did you mean {names[found[0]]}?" if found else ""


def listed(words: Iterable[object]) -> str:
    """``true or false``, ``a, b or c``."""
    *most, last = map(str, words)
    return f"{', '.join(most)} or {last}" if most else last


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...") if text else "nothing"


def _quoted(text: str) -> str:
    if _SAFE.fullmatch(text) and "->" not in text:
        return text
    escaped = re.sub(r"([\"\\])", r"\\\1", text)
    return f'"{escaped}"'


def number_text(value: float) -> str:
    """A number as it is written in a rule: whole ones without a point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))

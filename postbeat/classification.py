"""Service level classifications: the rules by which an element's results get their level. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from postbeat.model import Level


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: an element of a result by name, an operator, and a text or a number."""

    operand: str
    operator: str
    value: str | float


@dataclass(frozen=True, slots=True)
class Classification:
    """Where all conditions hold, the result has this level. The first of an element's that fits decides."""

    conditions: tuple[Condition, ...]
    level: Level

    @classmethod
    def parse(cls, raw: object) -> Self:
        """The classification of a text such as ``responseTime > 2 -> MARGINAL``.

        Raises:
            ValueError: it is none; the message says what was expected.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError

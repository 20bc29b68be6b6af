"""What a function of the rules language is. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from postbeat.ism.rules.machine import Machine
from postbeat.ism.values import Value

Make = Callable[[Machine, Value], Any]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that takes values.

    ``call`` takes the machine and as many values as ``least`` and ``most`` allow (``most`` None: any number).
    It gives a value or raises RulesFaultError, whatever the values are. ``says`` is what the function does.
    ``makes`` has the position (from 0) of an argument that is no use as it stands, and what makes of it what
    ``call`` takes, such as a compiled regular expression, or raises RulesFaultError. Of a constant that is
    made once, before the rules run. ``several`` gives all results of a function that has more than one, for
    ``[$a, $b] = name(...)``; ``call`` then gives the first.
    """

    name: str
    least: int
    most: int | None
    call: Callable[[Machine, list[Any]], Value]
    says: str
    makes: tuple[int, Make] | None = None
    several: Callable[[Machine, list[Any]], list[Value]] | None = None

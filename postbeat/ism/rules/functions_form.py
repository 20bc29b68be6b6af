"""What a function of the rules language is. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from postbeat.ism.rules.machine import Machine
from postbeat.ism.values import Value


@dataclass(frozen=True, slots=True)
class Function:
    """A function that takes values.

    ``call`` takes the machine and as many values as ``least`` and ``most`` allow (``most`` None: any number).
    It gives a value or raises RulesFaultError, whatever the values are. ``says`` is what the function does.
    ``wrong`` tells of a constant argument (its position from 0, its value) what is wrong with it, or None, so
    that a file can be refused before it runs. ``several`` gives all results of a function that has more than
    one, for ``[$a, $b] = name(...)``; ``call`` then gives the first.
    """

    name: str
    least: int
    most: int | None
    call: Callable[[Machine, list[Value]], Value]
    says: str
    wrong: Callable[[int, Value], str | None] | None = None
    several: Callable[[Machine, list[Value]], list[Value]] | None = None

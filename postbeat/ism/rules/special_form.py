"""What a function that takes names is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from postbeat.ism.rules import tree
from postbeat.ism.rules.scope import Code, Scope

Compile = Callable[[Scope, tree.Expression], Code]


@dataclass(frozen=True, slots=True)
class Special:
    """One of them: how many arguments it takes, whether it gives a value, and what makes its code."""

    least: int
    most: int | None
    gives: bool
    compile: Callable[[Scope, tree.Call, Compile], Code]


def arguments_error(name: str, got: int, least: int, most: int | None) -> str:
    """What is wrong with a number of arguments; empty where nothing is."""
    if got >= least and (most is None or got <= most):
        return ""
    if most is None:
        takes = f"at least {least}"
    elif least == most:
        takes = str(least) if least else "no"
    else:
        takes = f"{least} to {most}"
    return f"{name} takes {takes} argument{'' if takes in {'1', 'at least 1'} else 's'}, got {got}"

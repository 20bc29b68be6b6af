"""All functions of the rules language that take values, and those that there are not.

What takes names of fields, arrays, tables or targets is the compiler's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from postbeat.ism.rules.functions_form import Function
from postbeat.ism.rules.functions_loads import LOADS
from postbeat.ism.rules.functions_numbers import NUMBERS
from postbeat.ism.rules.functions_patterns import PATTERNS
from postbeat.ism.rules.functions_site import SITE
from postbeat.ism.rules.functions_texts import TEXTS
from postbeat.ism.rules.functions_times import TIMES

__all__ = ["FUNCTIONS", "UNSUPPORTED", "Function"]

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {function.name: function for function in (*TEXTS, *PATTERNS, *NUMBERS, *TIMES, *SITE, *LOADS)}
)

_NO_LOOKUP = "it would ask the DNS, and wait for it, at every result; use a table and lookup(), or $host"

UNSUPPORTED: Mapping[str, str] = MappingProxyType(
    {
        "gethostaddr": _NO_LOOKUP,
        "gethostname": _NO_LOOKUP,
        "setlog": "the property MessageLevel says what is logged",
    }
)

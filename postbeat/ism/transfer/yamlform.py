"""A profile as YAML: written so that the loader reads the same values back. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from postbeat.ism.transfer.values import Plain

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_SAFE = re.compile(r"[A-Za-z/][A-Za-z0-9/._@:, -]*", re.ASCII)


class _ProfileDumper(_Dumper):  # type: ignore[misc]
    """Writes each value of an element in one line."""


class _Elements(list[object]):
    """The list of elements, one below the other."""


class _Element(dict[str, Plain]):
    """An element, in a line for each key."""


def _text(dumper: Any, text: str) -> Any:  # noqa: ANN401
    # What may be taken for a number, a truth value or nothing by one reader or another is put in quotes.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if _SAFE.fullmatch(text) else '"')


def _sequence(dumper: Any, values: list[object]) -> Any:  # noqa: ANN401
    is_inner = not isinstance(values, _Elements)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_inner)


def _mapping(dumper: Any, values: dict[str, object]) -> Any:  # noqa: ANN401
    is_inner = not isinstance(values, _Element)
    return dumper.represent_mapping("tag:yaml.org,2002:map", values.items(), flow_style=is_inner)


_ProfileDumper.add_representer(str, _text)
_ProfileDumper.add_representer(list, _sequence)
_ProfileDumper.add_representer(_Elements, _sequence)
_ProfileDumper.add_representer(dict, _mapping)
_ProfileDumper.add_representer(_Element, _mapping)


def profile_text(
    elements: Sequence[Mapping[str, Plain]], regions: Sequence[str], comments: Sequence[str]
) -> str:
    """The YAML of a profile of elements. ``regions`` are for elements that name none; comments come first."""
    parts = [f"# {comment}\n" for comment in comments]
    if regions:
        parts.append(f"\nregions: {_dumped(list(regions))}")
    body = textwrap.indent(_dumped(_Elements(map(_Element, elements))), "  ")
    # No value goes over a line, so that such a line always begins an element.
    parts.append("\nelements:\n" + re.sub(r"\n(?=  - )", "\n\n", body))
    return "".join(parts)


def _dumped(data: object) -> str:
    text: str = yaml.dump(data, Dumper=_ProfileDumper, sort_keys=False, allow_unicode=True, width=1 << 30)
    return text

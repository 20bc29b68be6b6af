"""YAML as plain data that remembers the line of every value.

Only what a configuration needs: ``true`` and ``false`` are the only truth values (a region may be called
``no``), numbers are decimal, and a key may stand only once in its mapping.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

NODE_LIMIT = 2_000_000  # values after aliases are expanded: a few lines of YAML could otherwise fill memory
DEPTH_LIMIT = 50  # of values inside values: far more than any profile needs, far less than Python's stack
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Lines:
    """The line, from 1, of each key path."""

    of: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest one above it that exists."""
        while path and path not in self.of:
            path = path[:-1]
        return self.of.get(path, 1)


class YamlError(Exception):
    """The text is not usable YAML; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def load(text: str) -> tuple[Any, Lines]:
    """The data of a YAML text, and its lines.

    Raises:
        YamlError: the text is not YAML, repeats a key, or grows beyond NODE_LIMIT values.
    """
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(text, error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, "not YAML: the text holds a control character") from error
    except yaml.YAMLError as error:
        raise YamlError(1, f"not YAML: {error}") from error
    if root is None:
        return None, Lines()
    reading = _Reading()
    return reading.value(root, (), set()), reading.lines


def _not_yaml(text: str, error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return YamlError(1, f"not YAML: {error.problem}")
    context = error.context or ""
    if context and error.context_mark and error.context_mark.line != mark.line:
        context += f" that begins in line {error.context_mark.line + 1}"
    message = ", ".join(part for part in (context, error.problem) if part)
    here = "".join(text.split("\n")[mark.line : mark.line + 1])
    hint = "; YAML is indented with blanks, not with tabs" if "\t" in here[: mark.column + 1] else ""
    return YamlError(mark.line + 1, f"not YAML: {message}{hint}")


class _Reading:
    def __init__(self) -> None:
        self.lines = Lines()
        self._count = 0

    def value(self, node: Any, path: Path, above: set[int]) -> Any:
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > NODE_LIMIT or id(node) in above:
            raise YamlError(line, "the aliases of this file expand without end")
        self.lines.of.setdefault(path, line)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        above = _with(node, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index), above) for index, item in enumerate(node.value)]
        return {key: self.value(item, (*path, key), above) for key, item in self._items(node, path, above)}

    def _items(self, node: Any, path: Path, above: set[int]) -> Iterator[tuple[str, Any]]:
        """The keys of a mapping and their nodes; what ``<<`` merges in comes after the mapping's own."""
        own: set[str] = set()
        merged: list[Any] = []
        for key_node, item in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError(line, "a key must be a word")
            if key_node.value in own:
                raise YamlError(line, f"the key {key_node.value!r} stands here a second time")
            own.add(key_node.value)
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged.append(item)
                continue
            # What is merged in comes last: the line of an own key stands.
            self.lines.of.setdefault((*path, key_node.value), line)
            yield key_node.value, item
        for item in merged:
            if not isinstance(item, yaml.MappingNode) or id(item) in above:
                raise YamlError(item.start_mark.line + 1, "<<: needs a mapping")
            for key, inner in self._items(item, path, _with(item, above)):
                if key not in own:
                    own.add(key)
                    yield key, inner


def _with(node: Any, above: set[int]) -> set[int]:
    if len(above) == DEPTH_LIMIT:
        raise YamlError(node.start_mark.line + 1, "the values of this file are nested too deeply")
    return above | {id(node)}


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.style or node.tag == "tag:yaml.org,2002:str":
        return text
    plain = {"": None, "~": None, "null": None, "true": True, "false": False}
    if text in plain:
        return plain[text]
    if _INTEGER.fullmatch(text) and len(text) <= 18:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def dotted(path: Path) -> str:
    """A path as messages have it, such as ``elements[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def unknown(key: str, known: Sequence[str]) -> str:
    """What is said of a key that a mapping does not take."""
    close = difflib.get_close_matches(key, known, 1)
    return f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known are {', '.join(known)}"


def shown(value: object) -> str:
    """A value as messages have it: as YAML writes it, and not too long."""
    text = "nothing" if value is None else json.dumps(value) if isinstance(value, bool) else repr(value)
    return text[:80]

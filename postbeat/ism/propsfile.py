"""The syntax of a properties file, ``Name : "value"``: read and written back without losing a byte. Pure.

The form of a line is that of the ISM's files: a name, blanks, a colon, and a value in double quotes, in
which environment variables may stand; numbers and single words need no quotes. What its pages do not tell
(comments, escapes) is ours: docs/props.md has all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from postbeat.ism.values import Value

FILE_LIMIT = 1 << 18  # characters
LINE_LIMIT = 4096  # characters
FAULTS_LIMIT = 100  # of one file: whoever gives us another kind of file needs no more
_BOM = "\ufeff"

# Possessive, so that no line, however hostile, is gone through twice.
_LINE = re.compile(
    r"(?P<head>[ \t]*+(?P<name>[A-Za-z][A-Za-z0-9_]*+)[ \t]*+:[ \t]*+)"
    r"(?:\"(?P<quoted>(?:[^\"\\]|\\.)*+)\"|(?P<bare>[^\s\"'#][^\s\"]*+))?+"
    r"(?P<tail>[ \t]*+(?:\#.*)?+)"
)
_NOTHING = re.compile(r"[ \t]*+(?:\#.*)?+")
_START = re.compile(
    r"[ \t]*+(?P<name>[A-Za-z][A-Za-z0-9_]*+)(?=[ \t:\"']|$)[ \t]*+(?P<colon>:?)[ \t]*+(?P<value>[\"']?)"
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9_./:@+-]+")  # what with_value leaves without quotes
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PART = re.compile(
    r"\\(?P<escaped>[\"\\$])|\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\})"
)
_BAD_BRACES = re.compile(r"(?>(?:[^\\$]|\\.|\$(?!\{)|\$\{[A-Za-z_][A-Za-z0-9_]*+\})*)\$")


@dataclass(frozen=True, slots=True)
class PropsFault:
    """What is wrong, and where: a file and its line, or in place of the file what else was read (line 0)."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class PropsError(Exception):
    """Properties cannot be used; ``faults`` has all that is wrong with them, one a line in the text."""

    def __init__(self, faults: Sequence[PropsFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class UndefinedVariableError(Exception):
    """A value names an environment variable that is not set; the text is its name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of the file: its name as it is written there, its line from 1, and what stands for it.

    ``raw`` is the text as it is written, without the quotes around it.
    """

    name: str
    raw: str = field(repr=False)
    line: int
    quoted: bool = True

    @property
    def value(self) -> str:
        """The text, with its variables as they are written."""
        return self._with(None)

    def expanded(self, environ: Mapping[str, str]) -> str:
        """The text, with what the variables stand for.

        Raises:
            UndefinedVariableError: one of them is not set.
        """
        return self._with(environ)

    def _with(self, environ: Mapping[str, str] | None) -> str:
        def part(match: re.Match[str]) -> str:
            if match["escaped"]:
                return match["escaped"]
            name = match["plain"] or match["braced"]
            if environ is None:
                return match[0]
            if name not in environ:
                raise UndefinedVariableError(name)
            return environ[name]

        return _PART.sub(part, self.raw) if self.quoted else self.raw


@dataclass(frozen=True, slots=True)
class PropsFile:
    """A properties file; ``str()`` is its text, to the byte.

    ``values`` are its entries by their names as they are written; two that differ in case alone are the same
    name. ``faults`` is what is wrong with its syntax: of a file that was parsed, nothing.
    """

    name: str
    lines: tuple[str, ...] = field(repr=False)
    values: Mapping[str, Entry]
    faults: tuple[PropsFault, ...] = ()

    def __str__(self) -> str:
        return "".join(self.lines)

    def entry(self, name: str) -> Entry | None:
        """The entry of a name, in whatever case it is written."""
        return next((it for it in self.values.values() if it.name.casefold() == name.casefold()), None)

    def with_value(self, name: str, value: Value) -> PropsFile:
        """The same file with this value: its line is changed and keeps its comment, or a new one comes last.

        The value is meant as it is: a ``$`` in it is no variable.

        Raises:
            ValueError: the name or the value cannot stand in a properties file.
        """
        text = str(value)
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a property")
        if _CONTROL.search(text):
            raise ValueError(f"the value of {name} has a control character or a line end")
        lines = list(self.lines)
        entry = self.entry(name)
        bare = not isinstance(value, str)
        if entry is not None:
            lines[entry.line - 1] = _changed(lines[entry.line - 1], text, bare=bare)
        else:
            ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
            if lines and not lines[-1].endswith("\n") and lines[-1] != _BOM:
                lines[-1] += ending
            lines.append(f"{name} : {_written(text, bare=bare)}{ending}")
        made = scan("".join(lines), self.name)
        if len(made.faults) > len(self.faults):
            raise ValueError(f"the value of {name} is too long")
        return made


def _changed(line: str, text: str, *, bare: bool) -> str:
    body, ending = _split(line)
    mark = _BOM if body.startswith(_BOM) else ""
    match = _LINE.fullmatch(body.removeprefix(_BOM))
    if match is None:
        raise ValueError("a line of a file that was not parsed")
    # A word would take a comment right behind it for a part of itself.
    as_word = (bare or match["bare"] is not None) and not match["tail"].startswith("#")
    return f"{mark}{match['head']}{_written(text, bare=as_word)}{match['tail']}{ending}"


def _written(text: str, *, bare: bool) -> str:
    if bare and _WORD.fullmatch(text):
        return text
    escaped = re.sub(r"([\"\\$])", r"\\\1", text)
    return f'"{escaped}"'


def parse(text: str, name: str) -> PropsFile:
    """The properties of a text; ``name`` is what messages call the file.

    Raises:
        PropsError: with every line that is none of a properties file, and every name that stands there twice.
    """
    found = scan(text, name)
    if found.faults:
        raise PropsError(found.faults)
    return found


def scan(text: str, name: str) -> PropsFile:
    """The same, but with what is wrong in ``faults``, for those who go on to look for more."""
    if len(text) > FILE_LIMIT:
        fault = PropsFault(name, 0, f"larger than {FILE_LIMIT} characters")
        return PropsFile(name, (text,), {}, (fault,))
    lines = tuple(re.findall(r"[^\n]*\n|[^\n]+", text))
    values: dict[str, Entry] = {}
    first: dict[str, int] = {}
    faults: list[PropsFault] = []
    for number, line in enumerate(lines, 1):
        if len(faults) == FAULTS_LIMIT:
            break
        body = _split(line)[0]
        found = _entry(body.removeprefix(_BOM) if number == 1 else body, number)
        if isinstance(found, str):
            faults.append(PropsFault(name, number, found))
        elif found is not None:
            before = first.setdefault(found.name.casefold(), number)
            if before == number:
                values[found.name] = found
            else:
                message = f"{found.name} stands here a second time; the first is in line {before}"
                faults.append(PropsFault(name, number, message))
    return PropsFile(name, lines, values, tuple(faults))


def _split(line: str) -> tuple[str, str]:
    """A line and its end."""
    body = line.removesuffix("\n").removesuffix("\r")
    return body, line[len(body) :]


def _entry(body: str, number: int) -> Entry | str | None:
    """The entry of a line, what is wrong with it, or None for one that has only a comment."""
    if len(body) > LINE_LIMIT:
        return f"longer than {LINE_LIMIT} characters"
    if _NOTHING.fullmatch(body):
        return None
    match = _LINE.fullmatch(body)
    if match is None:
        return _wrong(body)
    quoted = match["quoted"] is not None
    raw = match["quoted"] if quoted else match["bare"] or ""
    fault = _wrong_value(raw, quoted=quoted)
    return f"the value of {match['name']} {fault}" if fault else Entry(match["name"], raw, number, quoted)


# What is said of a value never shows it: it may be a password.


def _wrong_value(raw: str, *, quoted: bool) -> str:
    if _CONTROL.search(raw):
        return "has a control character"
    if not quoted and "$" in raw:
        return "has a $: expected quotes around it"
    if quoted and _BAD_BRACES.match(raw):
        return "has a ${ that begins no variable: expected ${NAME}, or \\$ for a dollar sign"
    return ""


def _wrong(body: str) -> str:
    """What is wrong with a line that is none of a properties file."""
    start = _START.match(body)
    if start is None:
        return 'expected a line such as Name : "value", or a comment that begins with #'
    name, rest = start["name"], body[start.end() :]
    if not start["colon"]:
        return f"expected a colon and a value after {name}"
    if start["value"] == '"':
        return _wrong_quotes(name, rest)
    if start["value"] == "'":
        return f"expected double quotes around the value of {name}"
    if re.match(r"[^\s\"]+\"", rest):
        return f"expected quotes around the whole value of {name}"
    return f"expected quotes around the value of {name}, as it has blanks"


def _wrong_quotes(name: str, rest: str) -> str:
    if not re.fullmatch(r"(?:[^\"\\]|\\.)*+\\?", rest):
        return rf"expected nothing but a comment after the value of {name}; a quote within it is written \""
    hint = r"; \" is a quote within the value, and \\ a backslash" if '\\"' in rest else ""
    return f"the quotes around the value of {name} are not closed{hint}"

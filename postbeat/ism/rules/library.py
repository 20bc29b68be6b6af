"""The files of one program: the main one, those that it includes, and those of its tables."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from postbeat.ism.rules import tree
from postbeat.ism.rules.errors import Limits, RulesError
from postbeat.ism.rules.parsing import parse
from postbeat.ism.rules.scope import Scope
from postbeat.ism.rules.tables import read_rows
from postbeat.ism.rules.texts import quoted
from postbeat.ism.values import Value, as_text

_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


class UnreadableError(Exception):
    """A file cannot be had; the message says why, after the file's name where there is one."""

    def __init__(self, message: str, path: Path | None = None) -> None:
        self.message = message
        super().__init__(f"{path} {message}" if path else message)


def read(path: Path, most: int) -> bytes:
    """What a file has, of up to ``most`` bytes.

    Raises:
        UnreadableError: it cannot be read, is no file, or is larger.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableError("is not a file", path)
        # Should it be a named pipe by now, without O_NONBLOCK this would wait for whoever writes to it.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}", path) from error
    if len(data) > most:
        raise UnreadableError(f"has more than {most:,} bytes", path)
    return data


def text_of(path: Path, data: bytes) -> str:
    """The text of a file: UTF-8, with a mark of the byte order or none. The end of each line becomes LF.

    Raises:
        UnreadableError: it is not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8: line {line} has the byte 0x{data[error.start]:02x}"
        raise UnreadableError(message, path) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Library:
    """Reads each file once. How often files are included, how deep, and how much that is together is limited.

    ``files`` are all that were read, ``errors`` what is wrong with their form. What is wrong with a path is
    noted in the scope, at the statement that has it.
    """

    def __init__(self, environ: Mapping[str, str], limits: Limits) -> None:
        self._environ = environ
        self._limits = limits
        self._texts: dict[Path, str] = {}
        self._sources: dict[Path, tree.Source] = {}
        self._rows: dict[Path, Sequence[tuple[Value, ...]]] = {}
        self._stack: list[Path] = []
        self._bytes = self._count = 0
        self._full = False  # too much was included: that is told once
        self.files: list[Path] = []
        self.errors: list[RulesError] = []

    def main(self, path: Path) -> tree.Source | None:
        """The main file; None where it cannot be read."""
        try:
            return self._source(path, self._text(path))
        except UnreadableError as error:
            self.errors.append(RulesError(str(path), 0, 0, error.message))
            return None

    def start(self, path: Path) -> None:
        """Begins to compile the main file."""
        self._stack = [path]
        self._bytes = self._count = 0

    def included(self, scope: Scope, path: tree.Literal) -> tree.Source | None:
        """The file that an include names; after it was compiled comes :meth:`leave`."""
        if self._full:
            return None
        try:
            file = self._resolved(path.value)
            self._check(file)
            text = self._text(file)
            self._bytes += len(text)
            if self._bytes > self._limits.file_bytes:
                self._full = True
                raise UnreadableError(f"the included files have more than {self._limits.file_bytes:,} bytes")
        except UnreadableError as error:
            scope.error(path, str(error))
            scope.incomplete = True
            return None
        source = self._source(file, text)
        scope.incomplete |= bool(self.errors)
        self._stack.append(file)
        return source

    def leave(self) -> None:
        """The file that was included last is done."""
        self._stack.pop()

    def rows(self, scope: Scope, path: tree.Literal) -> Sequence[tuple[Value, ...]] | None:
        """The rows of the file that a table names; None where there are none to be had."""
        try:
            file = self._resolved(path.value)
            text = self._text(file)
        except UnreadableError as error:
            scope.error(path, str(error))
            scope.incomplete = True
            return None
        if file not in self._rows:
            self._rows[file], errors = read_rows(str(file), text, self._limits)
            self.errors += errors
        return self._rows[file]

    def in_order(self, errors: Iterable[RulesError]) -> list[RulesError]:
        """Errors without repetitions: file by file as they were read, and from the top."""
        order = {str(path): number for number, path in enumerate(self.files)}
        return sorted(
            dict.fromkeys(errors), key=lambda error: (order.get(error.file, 0), error.line, error.column)
        )

    def _source(self, path: Path, text: str) -> tree.Source:
        if path not in self._sources:
            self._sources[path], errors = parse(str(path), text, self._limits)
            self.errors += errors
        return self._sources[path]

    def _check(self, path: Path) -> None:
        if len(self._stack) > self._limits.include_depth:
            raise UnreadableError(f"included deeper than {self._limits.include_depth}")
        same = os.path.realpath(path)
        if any(os.path.realpath(one) == same for one in self._stack):
            way = " includes ".join(one.name for one in (*self._stack, path))
            raise UnreadableError(f"a file cannot include itself: {way}")
        self._count += 1
        if self._count > self._limits.files:
            self._full = True
            raise UnreadableError(f"more than {self._limits.files:,} files are included")

    def _resolved(self, path: Value) -> Path:
        """A path with its variables, relative to the file that names it."""

        def expanded(found: re.Match[str]) -> str:
            name = found[1] if found[1] is not None else found[2]
            if name not in self._environ:
                raise UnreadableError(f"there is no environment variable {name}")
            return self._environ[name]

        text = _VARIABLE.sub(expanded, as_text(path))
        if not text or "\0" in text:
            raise UnreadableError(f"expected the path of a file, got {quoted(text)}")
        return self._stack[-1].parent / text

    def _text(self, path: Path) -> str:
        if path in self._texts:
            return self._texts[path]
        self.files.append(path)
        self._texts[path] = text_of(path, read(path, self._limits.file_bytes))
        return self._texts[path]

r"""Regular expressions of the rules language: RE2's, which take a time that is linear in the text. Pure.

The syntax is what POSIX extended expressions and Perl's have in common, with the classes of both
(``[[:digit:]]``, ``\d``) and without what would need backtracking (``\1``, look-around). As in POSIX, ``.``
is any character, the end of a line too, and ``^`` and ``$`` are the ends of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from time import thread_time
from typing import Protocol, cast

import re2

PATTERN_CHARS = 1_000
CACHED = 512  # patterns from data that are kept compiled
WORK_LIMIT = 4_000_000  # bytes of text times instructions of the pattern: 100 ms, where all goes badly
RESULT_CHARS = 1 << 20  # of a replacement, while it grows; a run's own limit is less
_MEMORY = 1 << 18  # bytes for each of the two programs of a pattern
_WORK_PER_STEP = 128
_PLAIN_PER_STEP = 512  # characters, where no program is needed
_TIMED_WORK = 1 << 9  # from here on the clock tells what it was, as mostly it is far less than it could be
_STEPS_PER_S = 500_000

_PLAIN = re.compile(r"(?:[^\\.^$*+?()\[\]{}|]|\\[!-/:;=?@\[-^`{-~])*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_REFERENCE = re.compile(r"\\([0-9\\])")


class BadPatternError(Exception):
    """A regular expression that cannot be used at all, or not on this text. ``message`` says why."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class _Match(Protocol):
    def start(self) -> int: ...
    def end(self) -> int: ...
    def __getitem__(self, group: int) -> str | bytes | None: ...


class _Program(Protocol):
    """What is used here of RE2's objects, which have no types.

    Searches in bytes cost a third of those in texts.
    """

    groups: int
    programsize: int

    def search(self, text: bytes) -> _Match | None: ...
    def finditer(self, text: str | bytes) -> Iterator[_Match]: ...


def no_bill(_steps: int) -> None:
    """For whoever does not count what matching costs."""


class Pattern:
    """A compiled regular expression.

    ``bill`` of the methods is told how many steps of a run (some 2 us each) the matching was worth, and may
    raise. Where a text holds half of a surrogate pair, ``?`` is read in its place.
    """

    __slots__ = ("_full", "_full_size", "_groups", "_owed", "_size", "_test", "literal", "source")

    def __init__(self, source: str) -> None:
        if len(source) > PATTERN_CHARS:
            raise BadPatternError(f"it has more than {PATTERN_CHARS:,} characters")
        since_s = thread_time()
        self.source = source
        # Where nothing in it is special, a search for the plain text does, at a tenth of the cost.
        self.literal = _ESCAPED.sub(r"\1", source) if _PLAIN.fullmatch(source) else None
        self._test = _program("" if self.literal is not None else source, captures=False)
        self._size = self._test.programsize
        self._full: _Program | None = None
        self._full_size = self._groups = 0
        # Compiling is billed to the first who settles it, and twice: the other program takes as long.
        self._owed = int(2 * (thread_time() - since_s) * _STEPS_PER_S)

    @property
    def groups(self) -> int:
        """How many parts in parentheses it has that can be taken out.

        Raises:
            BadPatternError: it is too big for that.
        """
        self._complete()
        return self._groups

    def found(self, text: str, bill: Callable[[int], None] = no_bill) -> bool:
        """Whether some part of ``text`` matches.

        Raises:
            BadPatternError: ``text`` is too long for so big a pattern.
        """
        if self.literal is not None:
            bill(len(text) // _PLAIN_PER_STEP)
            return self.literal in text
        data = _bytes(text)
        if (work := len(data) * self._size) >= _TIMED_WORK:
            return _timed_search(self._test, data, work, bill) is not None
        bill(work // _WORK_PER_STEP)
        return self._test.search(data) is not None

    def first_group(self, text: str, bill: Callable[[int], None] = no_bill) -> str | None:
        """What the first part in parentheses is in the first match. None without a match.

        A part that had no share in the match is the empty text.

        Raises:
            BadPatternError: ``text`` is too long for so big a pattern, or it has no parentheses.
        """
        if not self.groups:
            raise BadPatternError("it has no part in parentheses that could be taken out")
        found = self._search_groups(text, bill)
        return None if found is None else _decoded(found[1])

    def all_groups(self, text: str) -> list[str] | None:
        """What all parts in parentheses are in the first match, as first_group() gives one of them.

        Raises:
            BadPatternError: ``text`` is too long for so big a pattern.
        """
        found = self._search_groups(text, no_bill)
        return None if found is None else [_decoded(found[group]) for group in range(1, self.groups + 1)]

    def replaced(self, text: str, replacement: str, bill: Callable[[int], None] = no_bill) -> str:
        r"""``text`` with every match replaced.

        In the replacement ``\1`` to ``\9`` are the groups, ``\0`` is the match and ``\\`` is ``\``.

        Raises:
            BadPatternError: ``text`` is too long for so big a pattern, the result grows too long, or the
                replacement names a group that is not there.
        """
        parts = self._parts(replacement)
        if self.literal is not None:
            bill((len(text) + text.count(self.literal) * len(parts)) // _PLAIN_PER_STEP)
            return _plainly_replaced(text, self.literal, parts)
        data = _bytes(text)
        text = data.decode()
        program = self._complete()
        _check_work(len(data) * self._full_size)
        pieces: list[str] = []
        size, end, since_s = 0, 0, thread_time()
        ended = -1  # where the match before did
        for found in program.finditer(data if len(data) == len(text) else text):
            if found.start() == found.end() == ended:
                continue  # nothing, directly behind a match, is none; so it is in POSIX
            piece = "".join(part if isinstance(part, str) else _decoded(found[part]) for part in parts)
            pieces += (text[end : found.start()], piece)
            end = ended = found.end()
            size += len(pieces[-2]) + len(piece)
            if size > RESULT_CHARS:
                raise _too_long()
            # Each search may go to the end of the text, so that together they may take its square.
            since_s = _billed(since_s, bill)
        _billed(since_s, bill)  # the search that finds no more
        return "".join(pieces) + text[end:]

    def _search_groups(self, text: str, bill: Callable[[int], None]) -> _Match | None:
        data, program = _bytes(text), self._complete()
        if (work := len(data) * self._full_size) >= _TIMED_WORK:
            return _timed_search(program, data, work, bill)
        bill(work // _WORK_PER_STEP)
        return program.search(data)

    def settle(self, bill: Callable[[int], None]) -> None:
        """Bills what the compiling cost, where nobody was billed for it yet.

        To be called before a pattern that comes from data is used.
        """
        if self._owed:
            owed, self._owed = self._owed, 0
            bill(owed)

    def _parts(self, replacement: str) -> list[str | int]:
        """The texts and the numbers of groups that a replacement consists of."""
        parts: list[str | int] = []
        end = 0
        for found in _REFERENCE.finditer(replacement):
            parts += (replacement[end : found.start()], "\\" if found[1] == "\\" else int(found[1]))
            end = found.end()
        wanted = max((part for part in parts if isinstance(part, int)), default=0)
        if wanted > (groups := self.groups):
            has = {0: "no part", 1: "one part"}.get(groups, f"{groups} parts")
            raise BadPatternError(f"the replacement has \\{wanted}, but it has {has} in parentheses")
        return [*parts, replacement[end:]]

    def _complete(self) -> _Program:
        """The program that also tells where the groups are: made when it is first wanted."""
        if self._full is None:
            self._full = _program(self.source, captures=True)
            self._full_size, self._groups = self._full.programsize, self._full.groups
        return self._full


@lru_cache(CACHED)
def compiled(pattern: str) -> Pattern:
    """The compiled ``pattern``, of up to PATTERN_CHARS characters.

    Raises:
        BadPatternError: it is none, or is one that RE2 cannot do.
    """
    return Pattern(pattern)


def _timed_search(program: _Program, data: bytes, work: int, bill: Callable[[int], None]) -> _Match | None:
    _check_work(work)
    since_s = thread_time()
    found = program.search(data)
    _billed(since_s, bill)
    return found


def _check_work(work: int) -> None:
    if work > WORK_LIMIT:
        raise BadPatternError("the text is too long for so big a regular expression")


def _billed(since_s: float, bill: Callable[[int], None]) -> float:
    """Bills the processor's time since ``since_s``, and tells from when on the rest counts."""
    now_s = thread_time()
    if not (steps := int((now_s - since_s) * _STEPS_PER_S)):
        return since_s
    bill(steps)
    return now_s


def _plainly_replaced(text: str, literal: str, parts: list[str | int]) -> str:
    replacement = "".join(part if isinstance(part, str) else literal for part in parts)
    if len(text) + text.count(literal) * (len(replacement) - len(literal)) > RESULT_CHARS:
        raise _too_long()
    return text.replace(literal, replacement)


def _too_long() -> BadPatternError:
    return BadPatternError(f"the result has more than {RESULT_CHARS:,} characters")


def _decoded(part: str | bytes | None) -> str:
    return part if isinstance(part, str) else (part or b"").decode(errors="replace")


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace")


def _program(source: str, *, captures: bool) -> _Program:
    for escaped in _ESCAPED.findall(source):
        if advice := _NOT_MEANT.get(escaped):
            raise BadPatternError(advice)
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = not captures
    try:
        return cast(_Program, re2.compile(_bytes(source), options))
    except re2.error as error:
        raise BadPatternError(_in_words(error.args[0])) from None


# RE2 takes the first two for < and >, where the original takes them for the edges of a word. The third reads
# single bytes, which would tear characters apart.
_NOT_MEANT = {
    "<": r"\< is not known here: write \b for the edge of a word, or < for the character",
    ">": r"\> is not known here: write \b for the edge of a word, or > for the character",
    "C": r"\C is not known here: write . for any character",
    "Z": r"\Z is not known here: write $ for the end of the text",
}

_WORDS = {
    "missing )": "a ( is not closed; for the character itself write \\(",
    "unexpected )": "a ) has no (; for the character itself write \\)",
    "missing ]": "a [ is not closed; for the character itself write \\[",
    "no argument for repetition operator": "nothing stands before the {0} that could be repeated; "
    "for the character itself write \\{0}",
    "bad repetition operator": "{0} repeats a repetition; put what is repeated into ( )",
    "invalid repetition size": "{0} is no count: up to 1000, the lesser first, 1000 in all where they nest",
    "invalid character class range": "{0} is no range or class of characters",
    "trailing \\": "the \\ at its end has no character after it",
    "invalid named capture group": "{0} is no name of a group",
    "pattern too large": "it is too big: too many repetitions of too much",
    "expression nesting depth": "its parentheses are too deep",
}


def _in_words(told: bytes) -> str:
    """What RE2 tells of a bad pattern, in words that say what to do."""
    text = told.decode(errors="replace")
    kind, _, of = text.partition(": ")
    if kind == "invalid escape sequence":
        if of[1:2].isdigit():
            return f"{of} would mean what a group matched before, which is not possible here"
        return f"{of} means nothing; for the character \\ write \\\\"
    if kind == "invalid perl operator":
        if of.startswith(("(?=", "(?!", "(?<")):
            return f"{of} looks around, which is not possible here; make two tests of it"
        return f"{of} is not known here"
    for start, words in _WORDS.items():
        if kind.startswith(start):
            return words.format(of)
    return text

"""What trusted hosts found of a message's authentication: Authentication-Results (RFC 8601)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from postbeat.arrival.fields import printable
from postbeat.arrival.hops import hop_of
from postbeat.arrival.words import Word, sections, without_comments
from postbeat.delivery import Verdict

FIELDS_LIMIT = 100  # fields that are looked at
FIELD_LIMIT = 64 * 1024  # characters of one
TEXT_LIMIT = 255  # characters of a name or a reason

METHODS = ("spf", "dkim", "dmarc", "arc")
# Where there are several signatures, one that verifies is enough; without one, what may still change counts
# more than what will not.
_DKIM_RESULTS = ("pass", "temperror", "fail", "policy", "permerror", "neutral", "none")
_RESULT = re.compile(r"[a-z][a-z0-9-]{0,31}")
# The properties that tell whose identity a result is about (RFC 8601 section 2.7), and how we call them.
_SHOWN = {
    "spf": {"smtp.mailfrom": "mailfrom", "smtp.helo": "helo"},
    "dkim": {"header.d": "d", "header.s": "s", "header.i": "i"},
    "dmarc": {"header.from": "from"},
    "arc": {},
}


def verdicts(fields: Iterable[str], trusted: Collection[str]) -> tuple[Verdict, ...]:
    """The verdicts in the values of Authentication-Results fields, from the top: at most one of a method.

    Only fields whose authserv-id is among ``trusted`` count: anybody can write such a field. Of several
    results the topmost counts, and of ``dkim`` the best, as each signature has one. Nothing raises.
    """
    names = {_folded(name) for name in trusted}
    found: dict[str, Verdict] = {}
    for value in islice(fields, FIELDS_LIMIT):
        for verdict in _of_field(value[:FIELD_LIMIT], names):
            known = found.get(verdict.method)
            if known is None or (verdict.method == "dkim" and dkim_rank(verdict) < dkim_rank(known)):
                found[verdict.method] = verdict
    return tuple(found[method] for method in METHODS if method in found)


def dkim_rank(verdict: Verdict) -> int:
    """The place of a verdict on a signature: the smaller, the more it counts among others."""
    ranks = _DKIM_RESULTS
    return ranks.index(verdict.result) if verdict.result in ranks else len(ranks)


def own_names(received: Sequence[str], server: str) -> tuple[str, ...]:
    """The authserv-ids to trust where nobody has said which: the mailbox server, and the host that delivered.

    ``received`` are the values of the Received fields from the top; the topmost is the delivering host's own.
    """
    last = hop_of(received[0]).by if received else ""
    return tuple(dict.fromkeys(name for name in (_folded(last), _folded(server)) if name))


def _folded(name: str) -> str:
    return name.rstrip(".").lower()


def _of_field(value: str, trusted: Collection[str]) -> Iterator[Verdict]:
    text, _ = without_comments(value)
    parts = sections(text)
    first = next(parts)  # authserv-id and version
    if not first or _folded(first[0].text) not in trusted:
        return
    by = _shown(first[0].text)
    for part in parts:
        if (verdict := _of_result(part, by)) is not None:
            yield verdict


def _of_result(words: Sequence[Word], by: str) -> Verdict | None:
    """The verdict of a ``resinfo`` (section 2.2), None where it is of no method that counts here."""
    pairs = _pairs(words)
    name, result = next(pairs, ("", ""))
    method, _, version = name.partition("/")
    if method not in METHODS or version not in ("", "1") or not _RESULT.fullmatch(result.lower()):
        return None
    said: dict[str, str] = {}
    for key, text in pairs:
        said.setdefault(key, text)
    shown = [f"{ours}={said[key]}" for key, ours in _SHOWN[method].items() if said.get(key)]
    reason = ", ".join(filter(None, (said.get("reason", ""), " ".join(shown))))
    return Verdict(method, result.lower(), by, _shown(reason))


def _pairs(words: Sequence[Word]) -> Iterator[tuple[str, str]]:
    """The keys, in small letters and without blanks, and values of what is like ``header.d = example.com``.

    Values may go beyond the grammar: addresses with ``=`` in them are common, and nobody quotes them.
    """
    key, value = "", ""
    reading = False  # a value; it may have several pieces where a part of it is quoted
    for word in words:
        if reading and (not value or word.glued):
            value = (value + word.text)[:TEXT_LIMIT]
            continue
        if reading:
            yield key, value
            key, reading = "", False
        left, equals, right = word.text.partition("=")
        if word.quoted:
            key = ""
            continue
        joined = key.endswith((".", "/")) or left.startswith((".", "/")) or not left
        key = (key * joined + left.lower())[:TEXT_LIMIT]
        if equals:
            value, reading = right[:TEXT_LIMIT], True
    if reading:
        yield key, value


def _shown(text: str) -> str:
    return printable(text[:TEXT_LIMIT].encode("utf-8", "replace"), TEXT_LIMIT)

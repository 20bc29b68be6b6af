"""What was changed in a message on the way, told from the digests in its token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from postbeat.arrival import canonical, mime
from postbeat.arrival.canonical import BODY_LIMIT
from postbeat.arrival.fields import Field, printable, split, values
from postbeat.token import Token

SHOWN_LIMIT = 80  # characters of a message that are shown
PARTS_SHOWN = 5  # parts of a message that are named
# Lines before ours that a gateway may have put there while it also put some after ours; each costs a hash.
BANNER_LINES = 20

# Fields of a message of ours; what else looks like a field may be a gateway's text ("Note: ...").
_OURS = (
    "from",
    "to",
    "subject",
    "auto-submitted",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
)


def changes(fields: Sequence[Field], body: bytes, token: Token, *, complete: bool) -> tuple[str, ...]:
    """What was changed on the way, each in some words for people; nothing where only the form was.

    ``fields`` and ``body`` are the message as :func:`postbeat.arrival.fields.split` gives it.
    ``complete`` is whether the message is all there: of one that was cut off, only what is there is judged.
    What the token says nothing of is not judged.
    """
    found = (_subject(fields, token.subject), _body(fields, body, token.body, complete))
    return tuple(text for text in found if text)


def _subject(fields: Sequence[Field], digest: str) -> str:
    if not digest:
        return ""
    subject = next(values(fields, "subject"), "")
    if canonical.subject_digest(subject) == digest:
        return ""
    shown = _shown(canonical.subject_text(subject).encode("utf-8", "replace"))
    return f'the subject was changed to "{shown}"' if shown else "the subject was removed"


def _body(fields: Sequence[Field], body: bytes, digest: str, complete: bool) -> str:
    if not digest:
        return ""
    parts = list(mime.parts(fields, body))
    texts = list(map(canonical.part_text, parts))
    text = b"".join(texts)
    sent = _Sent(digest)
    if sent.covers(text):
        return ""
    if len(text) < sent.length and not complete:
        return ""
    at_least = "" if complete else "at least "
    return (
        _wrapped(sent, parts, texts)
        or _header_in_body(sent, body)
        or _surrounded(sent, text, at_least)
        or _rewritten(sent, text, at_least)
    )


class _Sent:
    """The text that was sent, as far as its digest tells: its length and whether another one is the same."""

    def __init__(self, digest: str) -> None:
        self._digest = digest
        self.length = int(digest.partition(":")[0])
        self.more = self.length == BODY_LIMIT  # there may have been more that the digest does not cover

    def is_long_as(self, length: int) -> bool:
        """Whether a text of this length may be the one that was sent."""
        return length == self.length or (self.more and length > self.length)

    def covers(self, text: bytes) -> bool:
        """Whether this is the text; of the longest texts the beginning counts."""
        return canonical.body_digest(text) == self._digest

    def ends_in(self, text: bytes, start: int) -> int | None:
        """Where the text ends if it begins at ``start``; a gateway may have gone on in its last line."""
        end = start + self.length
        if end <= len(text) and self.covers(text[start:end]):
            return end
        if end - 2 <= len(text) and self.length > 2 and self.covers(text[start : end - 2] + b"\r\n"):
            return end - 2
        return None


def _wrapped(sent: _Sent, parts: Sequence[mime.Part], texts: Sequence[bytes]) -> str:
    """Whether some neighbouring parts are the text that was sent, and others were put around them."""
    ends = [0, *accumulate(map(len, texts))]
    for first, start in enumerate(ends[:-1]):
        # Neighbours of that length; others with empty parts more are the same text.
        last = next((at for at in range(first, len(texts)) if sent.is_long_as(ends[at + 1] - start)), None)
        if last is not None and sent.covers(b"".join(texts[first : last + 1])):
            added = [*parts[:first], *parts[last + 1 :]]
            return f"the body was put into a multipart; added: {_named(added)}"
    return ""


def _named(parts: Sequence[mime.Part]) -> str:
    named = [_name(part) for part in parts[:PARTS_SHOWN]]
    more = len(parts) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named)


def _name(part: mime.Part) -> str:
    words = part.filename or (printable(part.content, SHOWN_LIMIT) if part.kind == "text/plain" else "")
    shown = _shown(words.encode("utf-8", "replace"))
    return f'{part.kind[:SHOWN_LIMIT]} "{shown}"' if shown else part.kind[:SHOWN_LIMIT]


def _surrounded(sent: _Sent, text: bytes, at_least: str) -> str:
    """Whether the text that was sent is there, with something before or after it."""
    for start in _starts(sent, text):
        end = sent.ends_in(text, start)
        if end is None:
            continue
        said = []
        if start:
            said.append(f"{start} bytes were put before the text{_beginning(text[:start])}")
        if not sent.more and (rest := text[end:].strip()):
            said.append(f"{at_least}{len(rest)} bytes were added to the text{_beginning(rest)}")
        return "; ".join(said)
    return ""


def _starts(sent: _Sent, text: bytes) -> Iterator[int]:
    """Where the text that was sent may begin: at the start, right before the end, after a few lines."""
    yield 0
    if len(text) > sent.length:
        yield len(text) - sent.length
    at = 0
    for _ in range(BANNER_LINES):
        at = text.find(b"\r\n", at) + 2
        if at < 2 or at + sent.length - 2 > len(text):
            return
        yield at


def _header_in_body(sent: _Sent, body: bytes) -> str:
    """Whether an empty line came into the header: the rest of it is then in the body, and has no effect."""
    fields, rest = split(body)
    if any(field.name in _OURS for field in fields) and sent.covers(canonical.text(mime.parts(fields, rest))):
        return f"{len(fields)} fields of the header are in the body{_beginning(body)}"
    return ""


def _rewritten(sent: _Sent, text: bytes, at_least: str) -> str:
    many = f"{sent.length} bytes or more" if sent.more else f"{sent.length} bytes"
    if not text:
        return f"the text is gone: {many} were sent"
    return f"the text was rewritten: {many} were sent, {at_least}{len(text)} are there{_beginning(text)}"


def _beginning(text: bytes) -> str:
    shown = _shown(text)
    return f': "{shown}"' if shown else ""


def _shown(text: bytes) -> str:
    return printable(text[: 4 * SHOWN_LIMIT], SHOWN_LIMIT)

"""What a delivery status notification, a bounce, says: in the form of RFC 3464, or in a server's own words.

Whose message it is about is not decided here, as anybody can write a bounce: the caller looks for a token of
ours that verifies in :attr:`Notice.texts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from postbeat.arrival import mime
from postbeat.arrival.fields import Field, printable, split, values
from postbeat.delivery import Bounce

SIZE_LIMIT = 128 * 1024  # bytes of a message that are looked at
RECIPIENTS_LIMIT = 50  # of one notification; protects the loop's time
TEXT_LIMIT = 300  # characters of what a server says to people
NAME_LIMIT = 255  # characters of an address or a host's name

# RFC 3464 section 2.3.3, the worst first.
_ACTIONS = ("failed", "delayed", "expanded", "relayed", "delivered")
_ACTION_OF_CLASS = {"5": "failed", "4": "delayed", "2": "delivered"}

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
# Parts that hold the message that is reported on, or its header (RFC 6522 section 3, RFC 6533 section 4).
_RETURNED_TYPES = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
# Reports of another kind: on reading (RFC 8098), on abuse (RFC 5965).
_OTHER_REPORTS = ("message/disposition-notification", "message/feedback-report")

_TYPE = re.compile(r"\A[A-Za-z][A-Za-z0-9-]{0,40} ?;")
_HEXED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
# A status code of RFC 3463, and not a part of a host's address or of some version.
_DETAIL = r"\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9]|\.[0-9])"
_STATUS = re.compile(rf"(?<![0-9.])[245]{_DETAIL}")
# In the words of a server: the same of a refusal, or a reply code of SMTP alone.
_REFUSED = re.compile(rf"(?<![0-9.])[45]{_DETAIL}")
_CODE = re.compile(r"(?<![\w.:#-])([45])[0-5][0-9](?=[ \t-])", re.ASCII)
_ADDRESS = re.compile(r"<([!-;=?A-~]{1,64}@[!-;=?A-~]{1,255})>")
# Where the words of a server end, and the message that it returns begins.
_RETURNED = re.compile(
    r"^(?:> ?)?(?:Return-Path|Received|Message-ID|X-Postbeat):", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notification says, and where it may name our message.

    Of several recipients, ``bounce`` has the one that fared worst. ``texts`` are the returned messages or
    headers, or all texts where nothing was returned as such: without their transfer encodings, and together
    not longer than the notification.
    """

    bounce: Bounce
    texts: tuple[bytes, ...]


def read(message: bytes) -> Notice | None:
    """The notice of a message; None where it is no notification of what became of a delivery.

    What is not in the form of RFC 3464 or 6533 counts where it comes from the null return path or a mailer
    daemon, and names a code of SMTP or of RFC 3463, or failed recipients. Answers of people's vacation
    programs (RFC 3834) and notifications of reading (RFC 8098) are none.
    """
    fields, body = split(message[:SIZE_LIMIT])
    parts = list(mime.parts(fields, body))
    reports = [part.content for part in parts if part.kind in _STATUS_TYPES]
    bounce = _structured(reports)
    if bounce is None:
        if any(part.kind in _OTHER_REPORTS for part in parts) or not _from_a_server(fields):
            return None
        bounce = _unstructured(fields, parts)
    if bounce is None:
        return None
    returned = [part.content for part in parts if part.kind in _RETURNED_TYPES]
    return Notice(bounce, tuple(returned or (part.content for part in parts)))


def _structured(reports: Sequence[bytes]) -> Bounce | None:
    """The worst of what these reports say of recipients (RFC 3464 section 2), or None if they say nothing."""
    found = []
    for report in reports:
        reported_by = ""
        for fields in _groups(report):
            told = {field.name: field.value for field in reversed(fields)}
            reported_by = _after_type(told.get("reporting-mta", "")) or reported_by
            if "action" in told or "status" in told:
                found.append(_recipient(told, reported_by))
    return min(found, key=lambda bounce: _ACTIONS.index(bounce.action), default=None)


def _groups(report: bytes) -> Iterator[list[Field]]:
    """The groups of fields of a report: of the message, and of each recipient, with empty lines between."""
    for _ in range(RECIPIENTS_LIMIT + 1):
        report = report.lstrip(b"\r\n")
        if not report:
            return
        fields, report = split(report)
        yield fields


def _recipient(told: dict[str, str], reported_by: str) -> Bounce:
    diagnostic = _after_type(told.get("diagnostic-code", ""))
    status = _status(told.get("status", ""), diagnostic)
    action = (told.get("action", "").lower().split() or [""])[0]
    if action not in _ACTIONS:
        action = _ACTION_OF_CLASS.get(status[:1], "failed")
    recipient = _address(told.get("original-recipient", "")) or _address(told.get("final-recipient", ""))
    return Bounce(
        action,
        status,
        diagnostic[:TEXT_LIMIT],
        recipient,
        reported_by[:NAME_LIMIT],
        _after_type(told.get("remote-mta", ""))[:NAME_LIMIT],
    )


def _status(field: str, diagnostic: str) -> str:
    """The status of a recipient; the remote host's own where the reporting host has nothing but a class."""
    found = _STATUS.search(field)
    if found is None or found[0][1:] == ".0.0":
        more = _STATUS.search(diagnostic)
        if more is not None and (found is None or found[0][0] == more[0][0]):
            return more[0]
    return found[0] if found else ""


def _after_type(value: str) -> str:
    """What follows the type in a field of the form ``smtp; 550 no`` or ``dns; mail.example.com``."""
    return _TYPE.sub("", value).strip()


def _address(value: str) -> str:
    """An address without type and brackets; hexadecimal numbers are characters (RFC 6533 section 3)."""
    return _HEXED.sub(_character, _after_type(value)).strip("<> ")[:NAME_LIMIT]


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    character = chr(code) if code <= 0x10FFFF else ""
    return character if character.isprintable() else "?"


def _from_a_server(fields: Sequence[Field]) -> bool:
    """Whether a message comes from a mail server, and is not the answer of somebody's vacation program."""
    answered = any(value.lower().startswith("auto-replied") for value in values(fields, "auto-submitted"))
    if answered and not any(values(fields, "x-failed-recipients")):
        return False
    null = any(value.replace(" ", "") == "<>" for value in values(fields, "return-path"))
    return null or any("mailer-daemon" in value.lower() for value in values(fields, "from"))


def _unstructured(fields: Sequence[Field], parts: Sequence[mime.Part]) -> Bounce | None:
    """What a server says in its own words: the line with the first code is its text."""
    content = next((part.content for part in parts if part.kind.startswith("text/")), b"")
    text = content.decode("utf-8", "replace")
    returned = _RETURNED.search(text)
    text = text[: returned.start()] if returned else text
    refusals = ((line, _refusal(line)) for line in text.splitlines())
    line, status = next(filter(itemgetter(1), refusals), ("", ""))
    failed = next(values(fields, "x-failed-recipients"), "").partition(",")[0].strip()
    if not line and not failed:
        return None
    address = _ADDRESS.search(text)
    return Bounce(
        "failed" if failed else _ACTION_OF_CLASS[status[0]],
        status,
        printable(line.encode("utf-8", "replace"), TEXT_LIMIT),
        failed[:NAME_LIMIT] or (address[1] if address else ""),
    )


def _refusal(line: str) -> str:
    """The status code of a refusal in a line, or ""; of a reply code alone, only its class is known."""
    status = _REFUSED.search(line)
    code = _CODE.search(line)
    return status[0] if status else f"{code[1]}.0.0" if code else ""

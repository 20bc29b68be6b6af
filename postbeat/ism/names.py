"""The names of the ISM elements that a result can have: what each is, and where its name comes from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from postbeat.model import Kind


class Origin(StrEnum):
    """Where the name of an element comes from."""

    TABLE_3 = "Table 3"  # of the reference page, the SMTP monitor's
    READERS = "IMAP4 and POP3"  # what the ISM's pages on its mail readers name
    COMMON = "common elements"  # what all of the ISM's monitors have
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class ElementName:
    """One ISM element. It can stand in results of monitors of ``kinds``.

    ``unit`` is ``seconds``, ``bytes``, ``seconds since the epoch``, ...; ``a number`` where it has none, and
    otherwise what kind of text it is. ``common`` is whether it does not depend on the monitor at all.
    """

    says: str
    unit: str
    kinds: frozenset[Kind]
    origin: Origin
    common: bool = False


_ALL = frozenset(Kind)
_SMTP = frozenset({Kind.SMTP})
_READERS = _ALL - _SMTP
_COMMON, _TABLE_3, _OURS = Origin.COMMON, Origin.TABLE_3, Origin.OURS
_TRUTH = "true or false"
_WORD = "a word"
_NAME = "a name"
_TEXT = "a text"
_NUMBER = "a number"
_SECONDS = "seconds"
_BYTES = "bytes"
_INSTANT = "seconds since the epoch"


def _common(says: str, unit: str, origin: Origin = _OURS) -> ElementName:
    return ElementName(says, unit, _ALL, origin, common=True)


_COMMON_NAMES = {
    "message": _common("What came of the test, as a sentence.", _TEXT, _COMMON),
    "monitor": _common("Whose result it is: `smtp`, `imap4` or `pop3`.", _WORD),
    "phase": _common("What it is of: `send`, `read`, `after` or `check`.", _WORD),
    "identifier": _common("The element that was polled.", _NAME, _COMMON),
    "description": _common("Its description; monitor, server and name where it has none.", _TEXT, _COMMON),
    "host": _common("The server that was tested.", "a name or an address", _COMMON),
    "profile": _common("The profile that has the element.", _NAME),
    "region": _common("Where it was tested from.", _NAME),
    "poll": _common("The poll, different from every other.", "an id"),
    "time": _common("When the result was there.", _INSTANT),
    "startTime": _common("When the first attempt began.", _INSTANT),
    "serviceLevel": _common("The level: 0 Unknown, 1 Good, 2 Marginal, 3 Failed.", _NUMBER),
    "lastServiceLevel": _common("The level of the poll before, as `serviceLevel`.", _NUMBER, _COMMON),
    "consecutiveFailures": _common(
        "Failed attempts in a row at the end of this poll. There only where there are retests and an attempt "
        "failed; 0 once one succeeds, and 1 again when there are more than `failureRetests`.",
        _NUMBER,
        _COMMON,
    ),
    "failureRetests": _common(
        "How many failures must be exceeded before the result is Failed: the element's `failureretests`.",
        _NUMBER,
        _COMMON,
    ),
    "retestInterval": _common(
        "Between an attempt and its retest; there only with retests.", _SECONDS, _COMMON
    ),
    "attempts": _common("Attempts of this poll, the first one included.", _NUMBER),
    "pollInterval": _common("Between two polls: the element's `poll`.", _SECONDS),
    "timeout": _common("How long one attempt may take: the element's `timeout`.", _SECONDS),
    "datalogPath": _common("The datalog file that has the result.", "a path", _COMMON),
    "monitorHost": _common("The host that the monitor runs on.", _NAME, _COMMON),
    "monitorDomain": _common("Its DNS domain.", _NAME, _COMMON),
    "classification": _common("The service level classification that decided.", "a rule"),
    "timeSinceFirstFailure": _common("How long it had been failing before this poll.", _SECONDS),
    "outcome": _common("What became of the message: `delivered`, `late`, `bounced`, ...", _WORD),
    "fault": _common("What went wrong, in a word that does not change: `timeout`, `refused`, ...", _WORD),
    "stage": _common("In which stage it went wrong.", _WORD),
    "side": _common("Whose fault it was: `REMOTE` the service's, `LOCAL` ours.", _WORD),
}


def _number(says: str, unit: str, kinds: frozenset[Kind] = _ALL, origin: Origin = _TABLE_3) -> ElementName:
    return ElementName(says, unit, kinds, origin)


_TESTS = {
    "authentication": _number("`Standard` for a login with a username, `APOP`, or `NONE`.", _WORD),
    "authenticationType": _number("The element's `authenticationtype` itself.", _WORD, origin=_OURS),
    "bytesPerSec": _number("How fast the message went up.", "bytes per second", _SMTP),
    "bytesTransferred": _number("The message as it went over the wire.", _BYTES, _SMTP),
    "connectTime": _number("The time to connect.", _SECONDS),
    "email": _number("The mailbox to which the message goes.", "an address", _SMTP),
    "lookupTime": _number("The time to look up the server's addresses.", _SECONDS),
    "port": _number("The port on which the service is tested.", _NUMBER),
    "responseTime": _number(
        "From the established connection until the message may be sent, or the mailbox is open.", _SECONDS
    ),
    "security": _number("`NONE`, `STARTTLS` or `SSL`: the element's `securitytype`.", _WORD),
    "SSLHandshakeTime": _number("The TLS handshake.", _SECONDS),
    "status": _number("The status code that the server returned last.", _NUMBER, _SMTP),
    "uploadTime": _number("From the first byte of the message to the reply to its end.", _SECONDS, _SMTP),
    "user": _number("The username that the monitor logs in with.", _NAME),
    "totalTime": _number("The last attempt, or look, from beginning to end.", _SECONDS, origin=_OURS),
    "address": _number("The address that was connected to.", "an address and a port", origin=_OURS),
    "exchanger": _number("The mail exchanger, where the domain's MX records named it.", _NAME, _SMTP, _OURS),
    "enhanced": _number("The enhanced status code (RFC 3463), such as `5.7.1`.", "a code", _SMTP, _OURS),
    "reply": _number("The server's last reply.", _TEXT, _SMTP, _OURS),
    "certificateDays": _number("Until a certificate of the chain expires.", "whole days", origin=_OURS),
    "tlsVersion": _number("The version of TLS.", _WORD, origin=_OURS),
    "tlsCipher": _number("The cipher suite.", _NAME, origin=_OURS),
    "verified": _number("Whether the certificate was verified.", _TRUTH, origin=_OURS),
}


def _read(says: str, unit: str, origin: Origin = _OURS) -> ElementName:
    return ElementName(says, unit, _READERS, origin)


_READS = {
    "timeToDeliver": _read(
        "From the acceptance by the server until the message was seen in the mailbox.",
        _SECONDS,
        Origin.READERS,
    ),
    "hopCount": _read("How many hosts took the message over.", _NUMBER, Origin.READERS),
    "totaltime": _read("The same as `totalTime`, as the ISM spells it here.", _SECONDS, Origin.READERS),
    "downloadTime": _read("How long the messages of the look took to download.", _SECONDS),
    "loginTime": _read("From the first command of the login to the answer to the last.", _SECONDS),
    "mailbox": _read("The element by which the mailbox was read.", _NAME),
    "folder": _read("The folder in which the message lay.", _NAME),
    "copies": _read("Copies of the message.", _NUMBER),
    "pushed": _read("Whether the server announced it unasked.", _TRUTH),
    "outOfOrder": _read("Whether a later message came before it.", _TRUTH),
    "altered": _read("What was changed on the way.", _TEXT),
    "spf": _read("The verdict on SPF, in the word of RFC 8601.", _WORD),
    "dkim": _read("The verdict on DKIM.", _WORD),
    "dmarc": _read("The verdict on DMARC.", _WORD),
    "arc": _read("The verdict on ARC.", _WORD),
    "timeToDeliverResolution": _read("How much too long `timeToDeliver` may be.", _SECONDS),
    "timeToDeliverUncertainty": _read("How much it may be off either way.", _SECONDS),
    "serverSkew": _read("How far the clock of the mailbox's server is fast.", _SECONDS),
    "downloaded": _read("Messages that were found since the check before.", _NUMBER),
    "messages": _read("Messages in the mailbox.", _NUMBER),
    "size": _read("Their size.", _BYTES),
    "quotaUsed": _read("What of the quota is used.", _BYTES),
    "quotaLimit": _read("The quota.", _BYTES),
}

# In the order in which people are shown them.
NAMES: Mapping[str, ElementName] = _COMMON_NAMES | _TESTS | _READS

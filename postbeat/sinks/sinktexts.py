"""What each key of a sink takes, in words: what messages say, and docs/events.md. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from postbeat.fieldtexts import EXPECTED as ELEMENT_TEXTS

_SECRET_TEXT = "a text, {env: NAME} or {file: PATH}"  # noqa: S105
_ADDRESS_TEXT = "an address that begins with http:// or https://, {env: NAME} or {file: PATH}"
_GLOBS_TEXT = "a name or a list of names, in which * and ? may stand for anything"
_TEMPLATE_TEXT = "a template of Jinja2"

# A key means the same for all types of sinks, but where it stands here after a type.
EXPECTED: Mapping[str, str] = {
    "type": "webhook, alertmanager, email, slack, command or jsonlines",
    "name": ELEMENT_TEXTS["name"],
    "active": "true or false",
    "elements": _GLOBS_TEXT,
    "regions": _GLOBS_TEXT,
    "groups": "a name or a list of names",
    "levels": "GOOD, MARGINAL, DEGRADED, FAILED or UNKNOWN, or a list of them",
    "kinds": "level, outcome or verdict (alertmanager: level or verdict), or a list of them; or alert alone",
    "repeats": "true or false",
    "timeout": "seconds, more than 0 and at most 300",
    "retryfirst": "seconds, more than 0 and at most 3600",
    "retrylongest": "seconds, more than 0 and at most 3600",
    "giveup": "seconds, more than 0 and at most 604800",
    "url": _ADDRESS_TEXT,
    "secret": _SECRET_TEXT,
    "headers": "a mapping of at most 50 names of headers, each to a text, {env: NAME} or {file: PATH}",
    "labels": "a mapping of at most 20 names of labels, each to a text in one line",
    "resend": "seconds from 1 to 3600",
    "text": _TEMPLATE_TEXT,
    "subject": _TEMPLATE_TEXT,
    "body": _TEMPLATE_TEXT,
    "to": "a mailbox address such as ops@example.com, or a list of at most 50",
    "jsonlines.to": "an absolute path, tcp://HOST:PORT or unix:/PATH",
    "sender": "a mailbox address such as postbeat@example.com",
    "relays": "a list of at most 10 mail servers, each a mapping with server",
    "relays.server": ELEMENT_TEXTS["server"],
    "relays.port": ELEMENT_TEXTS["port"],
    "relays.securitytype": ELEMENT_TEXTS["securitytype"],
    "relays.username": ELEMENT_TEXTS["username"],
    "relays.password": _SECRET_TEXT,
    "command": "a list of texts: a program and its arguments",
}


def expected(kind: str, key: str) -> str:
    """What a key takes in a sink of a type."""
    return EXPECTED.get(f"{kind}.{key}") or EXPECTED[key]

"""The fields of both sides: how those of the ISM are spelled, and which field each is here. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum

from postbeat.elements import ELEMENT_TYPES, Element
from postbeat.model import Kind


class Form(StrEnum):
    """How the value of a field is written in one text; see :mod:`postbeat.ism.transfer.values`."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"
    SWITCH = "switch"
    WORD = "word"
    SECRET = "secret"  # noqa: S105
    NAMES = "names"
    FOLDERS = "folders"
    WINDOWS = "windows"
    LEVELS = "levels"
    EXPECTATION = "expectation"


_SPECIAL: Mapping[Form, tuple[str, ...]] = {
    Form.NUMBER: (
        *("port", "timeout", "failureretests", "retestinterval", "certificatewarndays", "confirmpolls"),
        *("availabilitytarget", "quorum", "poll", "proxyprotocol", "delivertimeout", "losttimeout"),
        *("payload", "logininterval"),
    ),
    Form.TRUTH: ("active", "tlsverify", "tlslegacy", "plaintextlogin", "mx", "lmtp"),
    Form.SWITCH: ("ssldisabletls", "usebody"),
    Form.WORD: (
        *("addressfamily", "securitytype", "authenticationtype", "tlsminversion", "tlsmaxversion"),
        *("alteredlevel", "duplicatelevel", "spamlevel"),
    ),
    Form.SECRET: Element.SECRETS,
    Form.NAMES: ("regions", "authservids"),
    Form.FOLDERS: ("folders",),
    Form.WINDOWS: ("maintenance",),
    Form.LEVELS: ("servicelevels",),
    Form.EXPECTATION: ("expect",),
}
_FORMS = {name: form for form, names in _SPECIAL.items() for name in names}

FIELDS: Mapping[Kind, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(type_)) for kind, type_ in ELEMENT_TYPES.items()
}
_KNOWN = tuple(dict.fromkeys(name for names in FIELDS.values() for name in names))

REPEATABLE = (Form.NAMES, Form.WINDOWS, Form.LEVELS)  # several texts in a row are a longer list

# What the ISM calls a field, where its name is another one here.
ISM_NAMES: Mapping[str, str] = {"name": "identifier", "sourceaddress": "localip"}

# The fields that the ISM has: those of the page's Table 2, what its sibling monitors have in common with it,
# the certificate that the page allows for each element, and the service level classifications.
ISM_FIELDS: tuple[str, ...] = (
    *("name", "server", "description", "port", "securitytype", "username", "password"),
    *("authenticationtype", "sharedsecret", "email", "timeout", "poll", "failureretests", "retestinterval"),
    *("active", "sourceaddress", "sslcertificatefile", "sslkeyfile", "sslkeypassword", "servicelevels"),
)

# The ways to log in that the ISM's pages name.
ISM_LOGINS: Mapping[Kind, tuple[str, ...]] = {
    Kind.SMTP: ("NONE", "PLAIN", "CRAM-MD5"),
    Kind.IMAP4: ("STANDARD",),
    Kind.POP3: ("STANDARD", "APOP"),
}

MONITOR = "monitor"  # the two columns that are no fields of an element
PROFILE = "profile"

# What else a field may be called; upper and lower case and signs do not count.
ALIASES: Mapping[str, tuple[str, ...]] = {
    MONITOR: ("monitortype", "type", "protocol"),
    PROFILE: ("profilename",),
    "name": ("identifier", "element", "elementname", "id"),
    "server": ("host", "hostname", "servername"),
    "description": ("desc",),
    "securitytype": ("security",),
    "username": ("user", "login", "smtpuser"),
    "password": ("pass", "passwd"),
    "authenticationtype": ("authentication", "auth", "authtype"),
    "sharedsecret": ("secret",),
    "email": ("emailaddress", "mail", "recipient"),
    "poll": ("pollinterval", "interval"),
    "failureretests": ("failureretest", "retests"),
    "retestinterval": ("failureretestinterval", "failureinterval"),
    "active": ("enabled",),
    "sourceaddress": ("localip", "localaddress"),
    "sslcertificatefile": ("certificatefile", "sslcertificate", "clientcertificate"),
    "sslkeyfile": ("keyfile",),
    "sslkeypassword": ("keypassword",),
    "sslciphersuite": ("ciphersuite", "ciphers"),
    "ssldisabletls": ("disabletls",),
    "servicelevels": (
        *("servicelevel", "classification", "classifications", "slc"),
        *("servicelevelclassification", "servicelevelclassifications"),
    ),
    "folder": ("foldername",),
}
_BY_SPELLING = {name: name for name in (*_KNOWN, MONITOR, PROFILE)} | {
    spelling: name for name, spellings in ALIASES.items() for spelling in spellings
}
SPELLINGS: tuple[str, ...] = tuple(_BY_SPELLING)

# The ISM's other monitors: their elements are no mistakes, and have no counterpart here.
_OTHER_MONITORS = (
    *("dhcp", "dns", "ftp", "http", "https", "icmp", "ldap", "nntp", "ntp", "radius", "rping", "rtsp", "saa"),
    *("sip", "snmp", "soap", "tcpport", "tftp", "transx"),
)


def form_of(name: str) -> Form:
    """How the value of a field is written."""
    return _FORMS.get(name, Form.TEXT)


def normalised(label: str) -> str:
    """A name as it is compared: in small letters, without what is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "", label.casefold())


@functools.lru_cache(maxsize=4096)
def field_of(label: str) -> str | None:
    """The field, or ``monitor`` or ``profile``, that a label of a file means; None for no such."""
    return _BY_SPELLING.get(normalised(label))


def ism_name(name: str) -> str:
    """The ISM's name of a field of ours."""
    return ISM_NAMES.get(name, name)


@functools.lru_cache(maxsize=4096)
def kind_of(monitor: str) -> Kind | None:
    """The kind of a monitor's name, such as ``SMTP``, ``nco_m_imap4`` or ``pop``; None for no such."""
    word = _monitor_word(monitor)
    return next((kind for kind in Kind if word in (kind, kind.rstrip("34"))), None)


def is_other_monitor(monitor: str) -> bool:
    """Whether the ISM has a monitor of that name, which has no counterpart here."""
    return _monitor_word(monitor) in _OTHER_MONITORS


def _monitor_word(monitor: str) -> str:
    return normalised(monitor).removeprefix("ncom").removesuffix("element").removesuffix("monitor")

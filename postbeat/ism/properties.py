"""The properties of the monitors: one definition for the file, the environment and the command line. Pure.

Those of the reference page's Table 4 keep its names and defaults; the readers' are its counterparts, as their
own tables are not public; the rest is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from postbeat.ism.values import Value
from postbeat.message import ORIGINATOR
from postbeat.model import Kind
from postbeat.settings import REDIS_URL_TAKES

LEGACY_CIPHERS = "RC4:3DES:DES:+EXP"  # the page's default: of its time, and no OpenSSL of today has them


class PropertyType(StrEnum):
    """The types of the page, of which a path is a string and a flag an integer."""

    STR = "string"
    INT = "integer"
    PATH = "path"
    FLAG = "flag"


_ALL = frozenset(Kind)
_TAKES = {PropertyType.PATH: "a path in one line", PropertyType.FLAG: "0 or 1"}


@dataclass(frozen=True, slots=True)
class Property:
    """One property.

    ``takes`` is what is expected of its text, and ``default`` the value where none is given. ``setting`` is
    the setting of the process that it becomes, "" for none. A ``secret`` is never shown. Integers are from
    ``least`` to ``most``; strings match ``pattern``, and are one of ``choices`` where there are any.
    ``at_home`` is where it is by default under ``$ISHOME``, with ``{kind}`` for the monitor; what is
    ``written`` need not be there yet. ``in_table`` is whether it is in the page's Table 4. ``synonym`` is a
    further option.
    """

    name: str
    type: PropertyType
    default: Value
    says: str
    takes: str = ""
    monitors: frozenset[Kind] = _ALL
    setting: str = ""
    secret: bool = False
    least: int = 0
    most: int = 0
    pattern: str = ".*"
    choices: tuple[str, ...] = ()
    at_home: str = ""
    written: bool = False
    in_table: bool = False
    synonym: str = ""

    @property
    def expected(self) -> str:
        """What it takes, in words."""
        if self.choices:
            return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        if self.type is PropertyType.INT:
            return f"a whole number from {self.least} to {self.most}"
        return self.takes or _TAKES[self.type]

    @property
    def options(self) -> tuple[str, ...]:
        """Its options, without what negates a flag; each with one dash, and taken with two as well."""
        names = (self.name.lower(), self.synonym)
        return tuple(f"-{name}" for name in names if name)

    @property
    def variables(self) -> tuple[str, str]:
        """Its environment variables: as the settings are named, and with the name in one word."""
        words = self.setting or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name)
        return f"POSTBEAT_{words.upper()}", f"POSTBEAT_{self.name.upper()}"


_STR, _INT, _PATH, _FLAG = PropertyType

_TABLE_4 = (
    Property(
        "MailMessage",
        _PATH,
        "",
        "A file with the text of the test message, or a whole message. Without it our own text is sent.",
        monitors=frozenset({Kind.SMTP}),
        setting="mail_message",
        in_table=True,
    ),
    Property(
        "Originator",
        _STR,
        ORIGINATOR,
        "The display name in the From of test messages. The readers take it too, but need no string that "
        "matches: they know a message by its signature, whatever its From says.",
        "a text of at most 64 characters in one line",
        setting="originator",
        in_table=True,
    ),
    Property(
        "SSLCertificateFile",
        _PATH,
        "",
        "The client certificate, in PEM, of elements that name none. A relative path is taken from "
        "$ISHOME/platform/ARCH/bin where $ISHOME is set, else from the working directory.",
        setting="ssl_certificate_file",
        in_table=True,
    ),
    Property(
        "SSLCipherSuite",
        _STR,
        LEGACY_CIPHERS,
        "The ciphers up to TLSv1.2, as OpenSSL writes them, of elements that name none. Where it is not set, "
        "the safe choice of today's OpenSSL is used in place of the old default. Where it is set, what this "
        "OpenSSL still has of it is used, and a warning names the rest.",
        "ciphers as OpenSSL writes them, in at most 200 characters, of which it has at least one",
        pattern=".{1,200}",
        setting="ssl_cipher_suite",
        in_table=True,
    ),
    Property(
        "SSLDisableTLS",
        _FLAG,
        0,
        "1 leaves TLSv1 out where the lowest version of an element would allow it.",
        setting="ssl_disable_tls",
        in_table=True,
    ),
    Property(
        "SSLKeyFile",
        _PATH,
        "",
        "The key of that certificate, in PEM, where it is not in the same file. A relative path is as for "
        "SSLCertificateFile.",
        setting="ssl_key_file",
        in_table=True,
    ),
    Property(
        "SSLKeyPassword",
        _STR,
        "",
        "The password of that key. It is never shown. A command line can be read by others: better a file.",
        "a text in one line",
        setting="ssl_key_password",
        secret=True,
        in_table=True,
    ),
    Property(
        "UseBody",
        _FLAG,
        0,
        "Where the tracking data is written, and looked for: 0 is the header, 1 the body.",
        setting="use_body",
        in_table=True,
    ),
)

_FILES = (
    Property(
        "PropsFile",
        _PATH,
        "",
        "The properties file. It is an option or an environment variable, and cannot stand in the file.",
        at_home="etc/props/{kind}.props",
    ),
    Property(
        "RulesFile",
        _PATH,
        "",
        "The rules file, by which results become alerts. Without it the monitor's default rules are used.",
        at_home="etc/rules/{kind}.rules",
    ),
    Property(
        "MessageLog",
        _PATH,
        "",
        "The log file. Without it the log goes to standard error.",
        at_home="log/{kind}.log",
        written=True,
    ),
    Property(
        "MessageLevel",
        _STR,
        "info",
        "The least level that is logged.",
        choices=("debug", "info", "warning", "error", "fatal"),
    ),
    Property(
        "MaxLogFileSize",
        _INT,
        1 << 20,
        "The bytes after which a new log file is begun; 0 is never.",
        most=1 << 40,
    ),
    Property(
        "MaxLogFiles",
        _INT,
        5,
        "How many full log files are kept beside the one that is written.",
        least=1,
        most=1000,
    ),
    Property(
        "Datalog", _FLAG, 0, "1 writes the datalog: the results as XML, a file for each element and day."
    ),
    Property(
        "DatalogDir",
        _PATH,
        "datalogs",
        "The folder of the datalog.",
        at_home="datalogs",
        written=True,
    ),
    Property(
        "DatalogFormat",
        _STR,
        "default",
        "Which elements of a result the datalog has: default, all, their names with commas between them, or "
        "a file that lists them, as a path with a / in it.",
        "default, all, names of elements, or a path",
    ),
    Property(
        "DatalogKeepDays",
        _INT,
        30,
        "After how many days files of the datalog are removed.",
        least=1,
        most=4000,
    ),
)

_SITE = (
    Property(
        "Profile",
        _PATH,
        "",
        "The profile, a file or a folder, where the command line names none.",
        setting="profile",
    ),
    Property(
        "Region",
        _STR,
        "",
        "The region to probe from. Without it the monitor works for each region that its elements name.",
        "a region of at most 32 small letters, digits and -",
        setting="region",
    ),
    Property(
        "RedisUrl",
        _STR,
        "",
        "The Redis of the site. Without it the monitor starts one of its own.",
        REDIS_URL_TAKES,
        pattern=r"(?:rediss?|unix)://\S+",
        setting="redis_url",
        secret=True,
        synonym="redis",
    ),
    Property("KeyFile", _PATH, "", "The file of the site's key; see postbeat key.", setting="key_file"),
    Property(
        "SSLKeyPasswordFile",
        _PATH,
        "",
        "A file with the password of the key, in place of SSLKeyPassword.",
        setting="ssl_key_password_file",
    ),
    Property(
        "HeloName",
        _STR,
        "",
        "The name in EHLO. Without it the name of the host is used.",
        "a host name, or an address such as [192.0.2.1]",
        monitors=frozenset({Kind.SMTP}),
        setting="helo_name",
    ),
    Property(
        "Resolver",
        _STR,
        "",
        "The name servers to ask, with commas between them. Without it they are those of /etc/resolv.conf.",
        "addresses such as 192.0.2.53 or 192.0.2.53:5353",
        setting="resolver",
    ),
    Property(
        "Concurrency",
        _INT,
        1000,
        "How many polls are in flight at most.",
        setting="concurrency",
        least=1,
        most=20_000,
    ),
)

_ALERTS = (
    Property(
        "Manager",
        _STR,
        "Postbeat",
        "Who manages the alerts. Rules read it as %Manager.",
        "a text of at most 64 characters in one line",
        pattern=".{1,64}",
    ),
    Property(
        "Server",
        _STR,
        "NCOMS",
        "The target of alerts, for registertarget in rules, which read it as %Server.",
        "a text of at most 64 characters in one line",
        pattern=".{1,64}",
    ),
    Property(
        "ServerBackup",
        _STR,
        "",
        "The second target, for registertarget in rules, which read it as %ServerBackup.",
        "a text of at most 64 characters in one line",
        pattern=".{1,64}",
    ),
)

PROPERTIES: Mapping[str, Property] = {it.name: it for it in (*_TABLE_4, *_FILES, *_SITE, *_ALERTS)}
"""Every property by its name: first the page's Table 4, then ours."""

NAMES: Mapping[str, str] = {name.casefold(): name for name in PROPERTIES}
"""The names by how they are compared: files, and options, may write them in any case."""

# Names of the ISM that are no property here, and what is in their place.
ELSEWHERE: Mapping[str, str] = {"ipaddress": "the sourceaddress of an element has its place"}


def of_kind(kind: Kind) -> dict[str, Property]:
    """The properties of one monitor, by name."""
    return {name: it for name, it in PROPERTIES.items() if kind in it.monitors}

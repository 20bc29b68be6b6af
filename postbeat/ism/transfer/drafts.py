"""What a row of the input becomes: the values of an element, with what had to be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from postbeat.ism.transfer import fields
from postbeat.ism.transfer.fields import Form
from postbeat.ism.transfer.report import Effect
from postbeat.ism.transfer.rows import Reading, Row
from postbeat.ism.transfer.values import Plain, decoded, value_of
from postbeat.model import REVEALING_METHODS, Kind, LocalFault
from postbeat.tls import ciphers

POLL_S = 300  # the ISM's default, which its configuration shows

_EMPTY_IS_A_VALUE = ("sender", "spamfolder")  # the null sender, and no spam folder
_PORTS = {Kind.SMTP: (25, 465), Kind.IMAP4: (143, 993), Kind.POP3: (110, 995)}  # plain, and with SSL
_SUBMISSIONS_PORT = 465  # RFC 8314
_OLD_TLS = {"sslv2": "SSLv2", "sslv3": "SSLv3", "sslv23": "SSLv2 and SSLv3", "sslv2sslv3": "SSLv2 and SSLv3"}
_OLD_TLS |= {"tlsv1": "TLSv1", "tlsv10": "TLSv1"}
_NEW_TLS = ("tls", "ssltls", "tlsv11", "tlsv12", "tlsv13", "tls12", "tls13")
_PATHS = ("tlscafile", "sslcertificatefile", "sslkeyfile", "mailmessage", "dkimkeyfile")


@dataclass(slots=True)
class Draft:
    """An element in the making. ``values`` is what its mapping in the profile will be, without the name."""

    row: Row
    reading: Reading
    name: str = ""
    values: dict[str, Plain] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """The monitor that it belongs to."""
        return self.row.kind

    def text(self, name: str) -> str:
        """The text that was given for a field; "" for none."""
        cell = self.row.given.get(name)
        return decoded(cell.text) if cell is not None else ""

    def note(self, effect: Effect, name: str, text: str) -> None:
        """Something to be known of a field of it."""
        self.reading.note(effect, self.line(name), self.label(name), text)

    def fault(self, name: str, message: str) -> None:
        """Something that is wrong with a field of it."""
        self.reading.fault(self.line(name), self.label(name), message)

    def line(self, name: str) -> int:
        """Where a field stands, or should."""
        cell = self.row.given.get(name)
        return cell.line if cell is not None else self.row.line

    def label(self, name: str) -> str:
        """What the input calls a field."""
        cell = self.row.given.get(name)
        return cell.label if cell is not None else fields.ism_name(name)


def draft_of(row: Row, reading: Reading, *, legacy: bool) -> Draft:
    """A draft with all but its name, its service levels and its secrets.

    ``legacy`` accepts servers of the ISM's time.
    """
    draft = Draft(row, reading)
    for name, cell in row.given.items():
        if name in ("name", "email") and not (name == "email" and draft.kind is Kind.SMTP):
            continue
        _take(draft, name, cell.text)
    _security(draft, legacy=legacy)
    _login(draft)
    _port(draft)
    _paths(draft)
    if draft.kind is not Kind.SMTP and "poll" not in row.given:
        apart = draft.values.get("logininterval", 0)
        draft.values["poll"] = max(POLL_S, apart) if isinstance(apart, int | float) else POLL_S
    return draft


def _take(draft: Draft, name: str, cell: str) -> None:
    """One value, as it is; those come later that depend on the names or the pairs of elements."""
    form = fields.form_of(name)
    if form in (Form.SECRET, Form.LEVELS):
        return
    if decoded(cell):
        draft.values[name] = value_of(form, cell)
    elif name in _EMPTY_IS_A_VALUE:
        draft.values[name] = ""


def _security(draft: Draft, *, legacy: bool) -> None:
    """What has become of the ISM's SSL and STARTTLS."""
    values = draft.values
    asked = values.get("securitytype", "NONE")
    word = fields.normalised(str(asked))
    if word in _OLD_TLS or word in _NEW_TLS:
        values["securitytype"] = "SSL"
        draft.note(Effect.CHANGES, "securitytype", f"{asked} is SSL here, TLS from the first byte")
    elif asked not in ("SSL", "STARTTLS"):
        return
    if (word in _OLD_TLS or legacy) and "tlslegacy" not in draft.row.given:
        values["tlslegacy"] = True
        text = f"{_OLD_TLS.get(word, asked)}: there is no SSLv2 and SSLv3 any more; tlslegacy accepts TLSv1"
        draft.note(Effect.CHANGES, "securitytype", text)
    elif not draft.row.given.keys() & {"tlslegacy", "tlsminversion"}:
        was = "TLSv1" if asked == "STARTTLS" else "SSLv2, SSLv3 or TLSv1"
        text = f"{values['securitytype']} was {was}, and is TLSv1.2 or later; --tlslegacy accepts TLSv1, too"
        draft.note(Effect.CHANGES, "securitytype", text)
    if "tlsverify" not in draft.row.given:
        text = "the server's certificate must be valid, unless tlsverify is false"
        draft.note(Effect.REMARK, "securitytype", text)
    if values.get("ssldisabletls") == 1 and "tlslegacy" not in values:
        text = "it has an effect only where TLSv1 is accepted, as with tlslegacy"
        draft.note(Effect.REMARK, "ssldisabletls", text)
    _ciphers(draft)


def _ciphers(draft: Draft) -> None:
    asked = draft.values.get("sslciphersuite")
    if not isinstance(asked, str):
        return
    try:
        note = ciphers.fitted(asked).note
    except LocalFault as fault:
        draft.note(Effect.REMARK, "sslciphersuite", fault.message)
        return
    if note:
        draft.note(Effect.CHANGES, "sslciphersuite", note)


def _login(draft: Draft) -> None:
    """Ways to log in that need a word more here."""
    values = draft.values
    method = values.get("authenticationtype")
    if draft.kind is not Kind.SMTP:
        if method == "NONE":
            values["authenticationtype"] = "STANDARD"
            text = "a mailbox is not read without a login: NONE is STANDARD here"
            draft.note(Effect.CHANGES, "authenticationtype", text)
        return
    secured = values.get("securitytype", "NONE") != "NONE"
    if not secured and method in REVEALING_METHODS and "plaintextlogin" not in draft.row.given:
        values["plaintextlogin"] = True
        text = f"{method} without TLS shows the password to the network: plaintextlogin allows it here"
        draft.note(Effect.CHANGES, "authenticationtype", text)


def _port(draft: Draft) -> None:
    """Ports that do not go with the kind of security."""
    plain, with_ssl = _PORTS[draft.kind]
    port = draft.values.get("port", plain)
    is_ssl = draft.values.get("securitytype") == "SSL"
    text = ""
    if is_ssl and port == plain:
        text = f"SSL on port {plain}: servers have TLS from the first byte at {with_ssl}"
    elif port == _SUBMISSIONS_PORT and draft.kind is not Kind.SMTP:
        text = f"465 is the port of submission; {draft.kind} with SSL has {with_ssl}"
    elif port == _SUBMISSIONS_PORT and is_ssl:
        text = "TLS from the first byte, as port 465 has it (RFC 8314); there is no SSLv2 hello any more"
    elif port == _SUBMISSIONS_PORT:
        text = "port 465 has TLS from the first byte: securitytype SSL may be meant"
    if text:
        draft.note(Effect.REMARK, "port", text)


def _paths(draft: Draft) -> None:
    """Paths that the ISM completed."""
    for name in _PATHS:
        path = draft.values.get(name)
        if not isinstance(path, str) or path.startswith("/"):
            continue
        text = (
            "no absolute path: the ISM took it from $ISHOME/platform/<arch>/bin, a worker from where it runs"
        )
        if path.startswith("$"):
            text = "variables in paths are not replaced in a profile: write the path itself"
        draft.note(Effect.REMARK, name, text)


def needs_password(kind: Kind, values: Mapping[str, object]) -> bool:
    """Whether the login of an element needs a password, or a shared secret, that it has not."""
    method = values.get("authenticationtype", "NONE" if kind is Kind.SMTP else "STANDARD")
    if method in ("STANDARD", "PLAIN", "LOGIN"):
        return "password" not in values
    if method in ("CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "APOP"):
        return "password" not in values and "sharedsecret" not in values
    return False

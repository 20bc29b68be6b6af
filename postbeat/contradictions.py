"""What no single field of an element shows: fields that need each other, or exclude each other. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from ipaddress import ip_address

from postbeat import stages
from postbeat.classification import OPERANDS, Classification, listed
from postbeat.elements import AnyElement, Expectation, Imap4Element, SmtpElement
from postbeat.model import (
    REVEALING_METHODS,
    TOKEN_METHODS,
    AuthenticationType,
    Kind,
    LoginType,
    Phase,
    SecurityType,
)

_DKIM = ("dkimdomain", "dkimselector", "dkimkeyfile")

# The fields that each contradiction is about: where one of them is wrong itself, nothing more is said.
INVOLVED: Mapping[str, tuple[str, ...]] = {
    "sslkeyfile": ("sslkeyfile", "sslcertificatefile"),
    "tlsmaxversion": ("tlsmaxversion", "tlsminversion", "tlslegacy", "ssldisabletls"),
    "read": ("read", "email"),
    "expect": ("expect", "read", "email", "authenticationtype", "securitytype", "mx"),
    "address": ("address", "addressfamily"),
    "sourceaddress": ("sourceaddress", "addressfamily", "address"),
    "lmtp": ("lmtp", "port"),
    "mx": ("mx", "address", "lmtp", "tlsservername", "proxyprotocol", "securitytype"),
    "server": ("mx", "server"),
    "dkimdomain": _DKIM,
    "dkimselector": _DKIM,
    "dkimkeyfile": _DKIM,
    "username": ("username", "authenticationtype"),
    "password": ("password", "sharedsecret", "authenticationtype"),
    "token": ("token", "tokenurl", "authenticationtype"),
    "tokenurl": ("token", "tokenurl", "authenticationtype"),
    "clientid": ("clientid", "tokenurl", "authenticationtype"),
    "clientsecret": ("clientsecret", "refreshtoken", "tokenurl", "authenticationtype"),
    "plaintextlogin": ("plaintextlogin", "securitytype", "authenticationtype"),
    "losttimeout": ("losttimeout", "delivertimeout"),
    "folders": ("folders", "folder"),
    "spamfolder": ("spamfolder", "folder", "folders"),
    "movetofolder": ("movetofolder", "spamfolder", "folder", "folders"),
    "logininterval": ("logininterval", "poll"),
    "servicelevels": ("servicelevels", "read", "email", "failureretests"),
}

# Methods that need the password itself; the others can do with a secret of their own.
_PASSWORD_METHODS = ("STANDARD", "PLAIN", "LOGIN")


def of(element: AnyElement) -> dict[str, str]:
    """What no single field shows: fields that need each other, or exclude each other, by name."""
    faults = {}
    if element.sslkeyfile and not element.sslcertificatefile:
        faults["sslkeyfile"] = "a key needs its certificate: set sslcertificatefile too"
    if element.tlsmaxversion.rank < element.tls_lowest.rank:
        faults["tlsmaxversion"] = (
            f"{element.tlsmaxversion} is below the lowest version that is accepted, {element.tls_lowest}:"
            " see tlsminversion, tlslegacy and ssldisabletls"
        )
    faults |= _address_contradictions(element) | _level_contradictions(element)
    if isinstance(element, SmtpElement):
        faults |= _route_contradictions(element) | _message_contradictions(element)
    elif isinstance(element, Imap4Element):
        faults |= _folder_contradictions(element)
    elif element.poll is not None and element.poll < element.logininterval:
        faults["logininterval"] = f"each poll is a login: at most poll, which is {element.poll:g}"
    if element.authenticationtype is not AuthenticationType.NONE:
        faults |= _login_contradictions(element)
    return faults


def of_settled(element: AnyElement) -> dict[str, str]:
    """What shows when the poll and the regions of an element are settled, which other elements may do."""
    if element.poll is None:
        why = "they are for tests of the mailbox itself: set poll, or give them to the elements that read it"
        return {"servicelevels": why} if element.servicelevels else {}
    regions = len(element.regions)
    if isinstance(element.quorum, int) and element.quorum > regions:
        return {"quorum": f"{element.quorum} regions can never fail: the element has {regions}"}
    return {}


def _message_contradictions(element: SmtpElement) -> dict[str, str]:
    faults = {}
    if element.read and not element.email:
        faults["read"] = "nothing can be read where nothing is sent: set email too"
    if element.expect is not None and (fault := _no_such_refusal(element, element.expect)):
        faults["expect"] = fault
    if element.losttimeout < element.delivertimeout:
        faults["losttimeout"] = (
            "a message cannot be lost before it is late: at least delivertimeout,"
            f" which is {element.delivertimeout:g}"
        )
    given = [name for name in _DKIM if getattr(element, name)]
    if given and len(given) < len(_DKIM):
        faults[given[0]] = f"a signature needs all of {', '.join(_DKIM)}"
    return faults


def _level_contradictions(element: AnyElement) -> dict[str, str]:
    for level in element.servicelevels:
        if why := why_unfit(element, level):
            return {"servicelevels": f"{level}: {why}"}
    return {}


def why_unfit(element: AnyElement, level: Classification) -> str:
    """Why no result of an element can fit a classification, or "": it names what none has, or never is so."""
    smtp = isinstance(element, SmtpElement)
    phases = {Phase.SEND} if smtp else {Phase.CHECK}
    if isinstance(element, SmtpElement) and element.read:
        phases |= {Phase.READ, Phase.AFTER}
    for condition in level.conditions:
        name = condition.operand
        where = OPERANDS[name].phases
        if where.isdisjoint(phases):
            who = "tests of mailboxes" if smtp else "smtp elements"
            if smtp and Phase.READ in where:
                who = "messages that are read: set read"
            return f"{name} is only known of {who}"
        if name == "consecutiveFailures" and not element.failureretests:
            return f"{name} is only known of tests that are repeated: set failureretests"
        values = _all_values(element, name, phases & level.phases)
        if values and not any(_allows(level, name, value) for value in values):
            return f"it never fits, as {name} is {_listed(values)}"
    return ""


def _all_values(element: AnyElement, operand: str, phases: Set[Phase]) -> Sequence[str | int]:
    """What an operand may be in results of these phases; nothing where that is no closed list."""
    if operand == "authentication":
        if element.kind is Kind.SMTP:
            return tuple(AuthenticationType)
        return [method for method in LoginType if method is not LoginType.APOP or element.kind is Kind.POP3]
    if operand == "stage":
        # What becomes of a message may be seen by a reader of either kind.
        kinds = frozenset(Kind if element.kind is Kind.SMTP else {element.kind})
        return stages.of_faults(kinds, phases)
    if operand == "lastServiceLevel":
        return range(4)
    if operand in ("attempts", "consecutiveFailures"):
        return range(1, element.failureretests + 2)
    return OPERANDS[operand].words


def _allows(level: Classification, operand: str, value: str | int) -> bool:
    """Whether an operand of this value leaves it open that a classification fits."""
    return all(condition.holds(value) for condition in level.conditions if condition.operand == operand)


def _listed(values: Sequence[str | int]) -> str:
    """``1 to 4``, ``1 or 2``, ``true or false``."""
    if isinstance(values, range) and len(values) > 2:
        return f"{values[0]} to {values[-1]}"
    return listed(values)


def _address_contradictions(element: AnyElement) -> dict[str, str]:
    faults = {}
    family = element.addressfamily
    for name in ("address", "sourceaddress"):
        address = getattr(element, name)
        if address and not family.includes(address):
            faults[name] = f"{address} is no {family} address, as addressfamily has it"
    ours, theirs = element.sourceaddress, element.address
    if ours and theirs and (":" in ours) is not (":" in theirs):
        faults["sourceaddress"] = f"there is no way from {ours} to {theirs}: one is IPv4 and the other IPv6"
    return faults


def _route_contradictions(element: SmtpElement) -> dict[str, str]:
    faults = {}
    if element.lmtp and element.port == 25:
        faults["lmtp"] = "LMTP is not spoken on port 25 (RFC 2033 section 5): set port"
    if not element.mx:
        return faults
    others = {
        "address": element.address,
        "lmtp": element.lmtp,
        "tlsservername": element.tlsservername,
        "proxyprotocol": element.proxyprotocol,
    }
    given = [name for name, value in others.items() if value]
    if given:
        faults["mx"] = f"a mail exchanger is found by its name, as other servers see it: leave out {given[0]}"
    elif element.securitytype is SecurityType.SSL:
        faults["mx"] = "mail exchangers have no TLS from the first byte: securitytype is NONE or STARTTLS"
    elif _is_address(element.server):
        faults["server"] = "mx needs a mail domain, and this is an IP address"
    return faults


def _folder_contradictions(element: Imap4Element) -> dict[str, str]:
    faults = {}
    searched = [_folder(element.folder)]
    for name in element.folders:
        if _folder(name) in searched:
            faults["folders"] = f"the folder {name} is looked into already"
        searched.append(_folder(name))
    if _folder(element.spamfolder) in searched:
        faults["spamfolder"] = (
            f"{element.spamfolder} cannot be the spam folder and another that is looked into"
        )
    if element.movetofolder and _folder(element.movetofolder) in (*searched, _folder(element.spamfolder)):
        faults["movetofolder"] = (
            "the messages would be found there again: name a folder that is not looked into"
        )
    return faults


def _folder(name: str) -> str:
    """A folder's name for comparison: that of INBOX may be in any case (RFC 3501 section 5.1)."""
    return "INBOX" if name.upper() == "INBOX" else name


def _no_such_refusal(element: SmtpElement, expect: Expectation) -> str:
    """Why the refusal that an element expects cannot come, or ""."""
    stage, security = expect.stage, element.securitytype
    securing = stage in ("starttls", "tls")
    reasons = {
        "nothing arrives where a refusal is expected: leave out read": element.read,
        f"stage {stage} needs a recipient: set email": (
            stage in ("mail", "rcpt", "data", "upload") and not element.email
        ),
        "stage auth needs an authenticationtype": (
            stage == "auth" and element.authenticationtype is AuthenticationType.NONE
        ),
        f"with mx the policies of the domain judge stage {stage}: leave out mx": securing and element.mx,
        f"stage {stage} needs a securitytype other than NONE": securing and security is SecurityType.NONE,
        "there is no stage starttls where securitytype is SSL": (
            stage == "starttls" and security is SecurityType.SSL
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _login_contradictions(element: AnyElement) -> dict[str, str]:
    method = element.authenticationtype
    faults = {}
    if not element.username:
        faults["username"] = f"{method} needs a username"
    if method in TOKEN_METHODS:
        faults |= _token_contradictions(element)
    elif method in _PASSWORD_METHODS and element.password is None:
        faults["password"] = f"{method} needs a password"
    elif not (element.password or element.sharedsecret):
        faults["password"] = f"{method} needs a password or a sharedsecret"
    if (
        isinstance(element, SmtpElement)
        and method in REVEALING_METHODS
        and element.securitytype is SecurityType.NONE
        and not element.plaintextlogin
    ):
        what = "token" if method in TOKEN_METHODS else "password"
        faults["plaintextlogin"] = (
            f"without TLS {method} shows the {what} to the network: set securitytype, or allow it here"
        )
    return faults


def _token_contradictions(element: AnyElement) -> dict[str, str]:
    if element.tokenurl is None:
        if element.token is None:
            return {"token": f"{element.authenticationtype} needs a token or a tokenurl"}
        return {}
    faults = {}
    if element.token is not None:
        faults["tokenurl"] = "a token is given or fetched: leave out token or tokenurl"
    if not element.clientid:
        faults["clientid"] = "a tokenurl needs a clientid"
    if element.clientsecret is None and element.refreshtoken is None:
        faults["clientsecret"] = "a tokenurl needs a clientsecret or a refreshtoken"
    return faults


def _is_address(server: str) -> bool:
    """Whether a server is given by its IP address."""
    try:
        ip_address(server.strip("[]"))
    except ValueError:
        return False
    return True

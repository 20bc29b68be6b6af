"""What an element needs to get in: its login and its TLS context, with the secrets resolved."""

from __future__ import annotations

import functools
import ssl
from dataclasses import dataclass, field, replace

from postbeat.elements import MailboxElement, SmtpElement
from postbeat.model import TOKEN_METHODS, SecurityType
from postbeat.oauth import Grant, Tokens
from postbeat.probes.login import Login
from postbeat.secrets import Keys, resolve
from postbeat.timeline import Timeline
from postbeat.tls.context import tls_context
from postbeat.tls.options import TlsDefaults, TlsOptions, options_of

# The share of an attempt's time that a token may take to be fetched: the rest belongs to the service.
TOKEN_SHARE = 0.5
_TOKENS = Tokens()


@dataclass(frozen=True, slots=True)
class Access:
    """A login and, for SSL and STARTTLS, the context of the handshake."""

    login: Login
    tls: ssl.SSLContext | None
    options: TlsOptions = field(default_factory=TlsOptions)

    def context(self, verify: bool) -> ssl.SSLContext:
        """The context of a handshake that a policy asks for, with or without verification."""
        return tls_context(replace(self.options, verify=verify))


async def access(
    element: SmtpElement | MailboxElement, keys: Keys | None, timeline: Timeline, defaults: TlsDefaults
) -> Access:
    """The access that an element asks for. Where a token has to be fetched first, that is stage ``token``.

    ``defaults`` are the monitor's own, for what the element does not say of TLS.

    Raises:
        LocalFault: a secret cannot be resolved or fetched, or a file is missing or not usable.
    """
    login = await _login(element, keys, timeline)
    by_policy = isinstance(element, SmtpElement) and element.mx
    if element.securitytype is SecurityType.NONE and not by_policy:
        return Access(login, None)
    password = element.sslkeypassword if element.sslcertificatefile else defaults.key_password
    options = options_of(element, resolve(password, keys), defaults)
    return Access(login, None if by_policy else tls_context(options), options)


async def _login(element: SmtpElement | MailboxElement, keys: Keys | None, timeline: Timeline) -> Login:
    if element.authenticationtype not in TOKEN_METHODS:
        return Login(element.username, resolve(element.password, keys), resolve(element.sharedsecret, keys))
    token, refused = resolve(element.token, keys), None
    if element.tokenurl is not None:
        grant = _grant(element, element.tokenurl, keys)
        token = _TOKENS.held(grant)
        if not token:
            with timeline.stage("token"):
                token = await _TOKENS.fetched(grant, element.timeout * TOKEN_SHARE)
        refused = functools.partial(_TOKENS.refused, grant, token)
    return Login(element.username, "", token=token, server=element.server, port=element.port, refused=refused)


def _grant(element: SmtpElement | MailboxElement, url: str, keys: Keys | None) -> Grant:
    secret, refresh = resolve(element.clientsecret, keys), resolve(element.refreshtoken, keys)
    return Grant(url, element.clientid, secret, refresh, element.scope)

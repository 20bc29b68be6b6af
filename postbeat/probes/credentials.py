"""What an element needs to get in: its login and its TLS context, with the secrets resolved."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from postbeat.dial import TlsOptions, tls_context
from postbeat.model import Element, SecurityType
from postbeat.probes.session import Login
from postbeat.secrets import Keys, resolve


@dataclass(frozen=True, slots=True)
class Access:
    """A login and, for SSL and STARTTLS, the context of the handshake."""

    login: Login
    tls: ssl.SSLContext | None


def access(element: Element, keys: Keys | None) -> Access:
    """The access that an element asks for.

    Raises:
        LocalFault: a secret cannot be resolved, or a file is missing or not usable.
    """
    login = Login(
        element.username,
        resolve(element.password, keys),
        resolve(element.sharedsecret, keys),
    )
    if element.securitytype is SecurityType.NONE:
        return Access(login, None)
    options = TlsOptions(
        verify=element.tlsverify,
        ca_file=element.tlscafile,
        certificate_file=element.sslcertificatefile,
        key_file=element.sslkeyfile,
        key_password=resolve(element.sslkeypassword, keys),
    )
    return Access(login, tls_context(options))

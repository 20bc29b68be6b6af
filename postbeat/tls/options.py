"""What an element asks of TLS, and what a monitor's settings add where it asks for nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from postbeat.elements import Element
from postbeat.model import Secret, TlsVersion


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """The options of one context. Paths are as the element names them; empty means not given.

    ``legacy`` accepts what OpenSSL refuses today: small keys, SHA-1 signatures, servers without RFC 5746.
    """

    verify: bool = True
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    key_password: str = field(default="", repr=False)
    ciphers: str = ""
    lowest: TlsVersion = TlsVersion.V1_2
    highest: TlsVersion = TlsVersion.V1_3
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class TlsDefaults:
    """The monitor's properties for elements that name none of their own (the page's Table 4, ``SSL...``)."""

    certificate_file: str = ""
    key_file: str = ""
    key_password: Secret | None = None
    ciphers: str = ""
    disable_tls1: bool = False


def options_of(element: Element, key_password: str, defaults: TlsDefaults) -> TlsOptions:
    """The options of an element; certificate, key and password of the defaults stand and fall together."""
    own = bool(element.sslcertificatefile)
    lowest = element.tls_lowest
    if defaults.disable_tls1 and lowest is TlsVersion.V1:
        lowest = TlsVersion.V1_1
    return TlsOptions(
        verify=element.tlsverify,
        ca_file=element.tlscafile,
        certificate_file=element.sslcertificatefile if own else defaults.certificate_file,
        key_file=element.sslkeyfile if own else defaults.key_file,
        key_password=key_password,
        ciphers=element.sslciphersuite or defaults.ciphers,
        lowest=lowest,
        highest=element.tlsmaxversion,
        legacy=element.tlslegacy,
    )

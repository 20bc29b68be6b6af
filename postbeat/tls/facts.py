"""What was negotiated, and what the server's certificate says."""

from __future__ import annotations

import _ssl
import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from postbeat.results import TlsFacts
from postbeat.tls.handshake import OBSERVED, TimedObject
from postbeat.tls.recent import Recent

# Bounds of what a result repeats of a certificate; they protect the store.
TEXT_LIMIT = 200
NAMES_LIMIT = 10
CHAIN_LIMIT = 10  # certificates looked at

_PARSED_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class _Certificates:
    """What a chain of certificates says, the server's own first."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    expires_at_us: int | None
    expiring: str


_PARSED: Recent[bytes, _Certificates] = Recent(_PARSED_LIMIT)


def tls_facts(transport: asyncio.BaseTransport) -> TlsFacts | None:
    """What was negotiated on a transport, or None on one without TLS."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if not isinstance(tls, TimedObject):
        return None
    if tls.facts is None:
        tls.facts = _facts(tls)
    return tls.facts


def _facts(tls: TimedObject) -> TlsFacts:
    version, cipher = tls.negotiated
    verified = tls.context.verify_mode is ssl.CERT_REQUIRED
    chain, whole = _chain(tls, verified=verified)
    said = _said_by(chain)
    return TlsFacts(
        version=version,
        cipher=cipher,
        verified=verified,
        subject=said.subject,
        issuer=said.issuer,
        names=said.names,
        expires_at_us=said.expires_at_us,
        expiring=said.expiring,
        whole_chain=whole,
        certificate_asked=tls.certificate_asked if OBSERVED else None,
    )


def certificates(transport: asyncio.BaseTransport) -> Sequence[bytes]:
    """The certificates that the server sent, in DER, its own first; none on a transport without TLS."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    return _chain(tls, verified=False)[0] if tls is not None else ()


def _chain(tls: ssl.SSLObject, *, verified: bool) -> tuple[list[bytes], bool]:
    """The certificates in DER, and whether they are the whole chain or the server's own alone.

    A verified chain is what was verified, with its root; an unverified one is what the server sent. Python
    has public methods for both from 3.13 on, and the same ones on its inner object before.
    """
    inner: Any = getattr(tls, "_sslobj", None)
    try:
        found = inner.get_verified_chain() if verified else inner.get_unverified_chain()
        return [item.public_bytes(_ssl.ENCODING_DER) for item in (found or ())[:CHAIN_LIMIT]], True
    except AttributeError:
        leaf = tls.getpeercert(binary_form=True)
        return [leaf] if leaf else [], False


def _said_by(chain: Sequence[bytes]) -> _Certificates:
    digest = hashlib.sha256()
    for certificate in chain:
        digest.update(certificate)
    key = digest.digest()
    return _PARSED.get(key) or _PARSED.put(key, _parsed(chain))


def _parsed(chain: Sequence[bytes]) -> _Certificates:
    certificates = [_certificate(der) for der in chain]
    ends = [(end, it) for it in certificates if it is not None and (end := _end_us(it)) is not None]
    end_us, first = min(ends, key=lambda pair: pair[0], default=(None, None))
    expiring = _text(first.subject) if first is not None else ""
    leaf = certificates[0] if certificates else None
    if leaf is None:
        return _Certificates("", "", (), end_us, expiring)
    return _Certificates(_text(leaf.subject), _text(leaf.issuer), _names(leaf), end_us, expiring)


def _certificate(der: bytes) -> x509.Certificate | None:
    """A certificate, or None where OpenSSL is more tolerant than we can be."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def _end_us(certificate: x509.Certificate) -> int | None:
    try:
        return int(certificate.not_valid_after_utc.timestamp()) * 1_000_000
    except ValueError:
        return None


def _text(name: x509.Name) -> str:
    return _shown(name.rfc4514_string())


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    if not isinstance(found, x509.SubjectAlternativeName):
        return ()
    names = [_shown(str(name.value)) for name in found if isinstance(name, x509.DNSName | x509.IPAddress)]
    return tuple(names[:NAMES_LIMIT])


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:TEXT_LIMIT])

"""DANE for SMTP (RFC 7672): whether a server's certificates are those that its TLSA records name. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TRUST_ANCHOR = 2  # DANE-TA: an authority in the server's chain
END_ENTITY = 3  # DANE-EE: the server's own certificate
CHAIN_LIMIT = 10  # certificates of a chain that are looked at

_DIGESTS = {0: None, 1: "sha256", 2: "sha512"}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def usable(self) -> bool:
        """Whether SMTP can use it: usages 0 and 1 rest on authorities that SMTP has not (RFC 7672 3.1.3)."""
        sizes = {0: len(self.data) or -1, 1: 32, 2: 64}
        return (
            self.usage in (TRUST_ANCHOR, END_ENTITY)
            and self.selector in (0, 1)
            and sizes.get(self.matching) == len(self.data)
        )

    def names(self, certificate: x509.Certificate) -> bool:
        """Whether this record is about that certificate."""
        if self.selector == 0:
            part = certificate.public_bytes(Encoding.DER)
        else:
            part = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = _DIGESTS[self.matching]
        return (hashlib.new(digest, part).digest() if digest else part) == self.data

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching}"


def mismatch(records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> str:
    """Why no usable record matches the chain (DER, the server's own first), or "" where one does.

    DANE-EE asks for neither name nor date (RFC 7672 section 3.1.1). DANE-TA asks for a chain up to the
    authority that is in date, and for one of ``names`` in the server's certificate (section 3.1.2).
    """
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain[:CHAIN_LIMIT]]
        reasons = [_mismatch(record, certificates, names, now) for record in records if record.usable]
    except (ValueError, UnsupportedAlgorithm):
        return "a certificate of the server cannot be read"
    return "" if "" in reasons else reasons[0] if reasons else "there is no usable record"


def _mismatch(
    record: Tlsa, certificates: Sequence[x509.Certificate], names: Sequence[str], now: datetime
) -> str:
    if record.usage == END_ENTITY:
        if certificates and record.names(certificates[0]):
            return ""
        return f"the certificate is not that of the TLSA record ({record})"
    path = _path_to(record, certificates)
    if not path:
        return f"no certificate of the chain is that of the TLSA record ({record})"
    if any(not at.not_valid_before_utc <= now <= at.not_valid_after_utc for at in path):
        return "a certificate below the authority of the TLSA record is out of date"
    if not any(_is_for(path[0], name) for name in names):
        return f"the certificate is not for {names[0]}, as a TLSA record of usage 2 asks for"
    return ""


def _path_to(record: Tlsa, certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates from the server's own up to the one that the record names, each issued by the next."""
    path = list(certificates[:1])
    while path and len(path) <= len(certificates):
        if len(path) > 1 and record.names(path[-1]):
            return path
        issuer = next((at for at in certificates[1:] if at not in path and _issued(at, path[-1])), None)
        if issuer is None:
            return []
        path.append(issuer)
    return []


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    return True


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        patterns = found.value.get_values_for_type(x509.DNSName)
    except (ValueError, x509.ExtensionNotFound):
        return False
    return any(matches(pattern, name) for pattern in patterns)


def matches(pattern: str, name: str) -> bool:
    """Whether a name is the pattern's, whose ``*.`` stands for exactly one label (RFC 6125, RFC 8461 4.1)."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:] and not name.startswith(".")
    return name == pattern

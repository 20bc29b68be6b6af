"""The files that TLS needs of us, and what is wrong with one that cannot be used: always a LOCAL fault."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from postbeat.model import FaultCode, LocalFault
from postbeat.tls.handshake import reason_of
from postbeat.tls.options import TlsOptions

SIZE_LIMIT = 4 << 20  # bytes of a file; a bundle of all public authorities has a tenth of that

_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_DER_SEQUENCE = b"\x30"
_TOO_WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")


def load_authorities(context: ssl.SSLContext, path: str) -> None:
    """Has a context trust the certificates of a file, and no other.

    Raises:
        LocalFault: the file cannot be used.
    """
    data = _read(path, "tlscafile")
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        if not _CERTIFICATE.search(data):
            raise _not_pem(path, data, "certificate") from error
        raise _fault(f"the certificates in {path} cannot be read: {reason_of(error)}") from error


def load_certificate(context: ssl.SSLContext, options: TlsOptions) -> None:
    """Gives a context the client certificate of the options, with its key.

    Raises:
        LocalFault: a file cannot be used, the key's password is wrong, or the key is another certificate's.
    """
    certificate = _read(options.certificate_file, "sslcertificatefile")
    key = _read(options.key_file, "sslkeyfile") if options.key_file else certificate
    try:
        # A password must always be given, even an empty one: without it OpenSSL asks on the terminal.
        context.load_cert_chain(
            options.certificate_file, options.key_file or None, password=options.key_password
        )
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _why(options, certificate, key, error) from error


def _read(path: str, field: str) -> bytes:
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            raise _fault(f"cannot read {path}, which {field} names: it is no ordinary file")
        with file.open("rb") as opened:
            data = opened.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise _fault(f"cannot read {path}, which {field} names: {error.strerror}") from error
    if len(data) > SIZE_LIMIT:
        raise _fault(f"{path}, which {field} names, is larger than {SIZE_LIMIT} bytes")
    return data


def _why(options: TlsOptions, certificate: bytes, key: bytes, error: Exception) -> LocalFault:
    """What keeps OpenSSL from using a client certificate; it says itself little more than that it cannot."""
    path, key_path = options.certificate_file, options.key_file or options.certificate_file
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return _fault(
            f"the key in {key_path} does not belong to the client certificate in {path};"
            " give the key that the certificate was made for"
        )
    if reason in _TOO_WEAK:
        return _fault(f"the client certificate in {path} is too weak for OpenSSL; tlslegacy: true accepts it")
    if not _CERTIFICATE.search(certificate):
        return _not_pem(path, certificate, "certificate")
    if not _KEY.search(key):
        return _not_pem(key_path, key, "key")
    return _key_fault(key_path, key, options.key_password) or _fault(
        f"cannot use the client certificate in {path}: {reason_of(error)}"
    )


def _key_fault(path: str, key: bytes, password: str) -> LocalFault | None:
    try:
        serialization.load_pem_private_key(key, password.encode() or None)
    except TypeError:
        if not password:
            return _fault(f"the key in {path} is encrypted: set sslkeypassword")
    except ValueError:
        if password and b"ENCRYPTED" in key:
            return _fault(f"the key in {path} does not open with the password that sslkeypassword gives")
        return _fault(f"the key in {path} is damaged")
    except UnsupportedAlgorithm:
        return _fault(
            f"the key in {path} is encrypted in a way that OpenSSL does not do any more;"
            " encrypt it anew: openssl pkcs8 -topk8"
        )
    return None


def _not_pem(path: str, data: bytes, what: str) -> LocalFault:
    if not data.startswith(_DER_SEQUENCE):
        return _fault(f"{path} holds no {what} in PEM")
    if _is_der(data, what):
        tool = "x509" if what == "certificate" else "pkey"
        how = f"is in DER; convert it: openssl {tool} -inform DER -in {path} -out {Path(path).stem}.pem"
    else:
        how = f"is not in PEM, perhaps in PKCS #12; convert it: openssl pkcs12 -in {path}"
        how += f" -out {Path(path).stem}.pem"
    return _fault(f"the {what} in {path} {how}")


def _is_der(data: bytes, what: str) -> bool:
    try:
        if what == "certificate":
            x509.load_der_x509_certificate(data)
        else:
            serialization.load_der_private_key(data, None)
    except TypeError:
        return True  # an encrypted key
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _fault(text: str) -> LocalFault:
    return LocalFault(FaultCode.FILE, text)

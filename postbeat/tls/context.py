"""TLS contexts: made once for each set of options, and again when one of their files has changed."""

from __future__ import annotations

import functools
import logging
import os
import ssl
import warnings

from postbeat.model import FaultCode, LocalFault, TlsVersion
from postbeat.tls import ciphers, files
from postbeat.tls.handshake import TimedObject, observe, tls_fault
from postbeat.tls.options import TlsOptions
from postbeat.tls.recent import Recent

log = logging.getLogger(__name__)

LIMIT = 256  # contexts; one with the system's authorities takes about 1 MB

Mark = tuple[int, int, int]

_CONTEXTS: Recent[TlsOptions, tuple[tuple[Mark, ...], ssl.SSLContext]] = Recent(LIMIT)
_OLD = (TlsVersion.V1, TlsVersion.V1_1)
_VERSIONS = {
    TlsVersion.V1: ssl.TLSVersion.TLSv1,
    TlsVersion.V1_1: ssl.TLSVersion.TLSv1_1,
    TlsVersion.V1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.V1_3: ssl.TLSVersion.TLSv1_3,
}
_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT; Python names it from 3.12 on
# A cipher without authentication has no certificate, so that nothing would be verified.
_AUTHENTICATED = ":!aNULL:!eNULL"


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """The context for these options; cached, as loading the system's authorities costs 20 ms of CPU.

    Raises:
        LocalFault: a file of ours is missing or cannot be used, or no cipher is left.
    """
    marks = tuple(
        _mark(path)
        for path in (options.ca_file or _system_authorities(), options.certificate_file, options.key_file)
        if path
    )
    known = _CONTEXTS.get(options)
    if known is not None and known[0] == marks:
        return known[1]
    return _CONTEXTS.put(options, (marks, _made(options)))[1]


@functools.cache
def _system_authorities() -> str:
    return ssl.get_default_verify_paths().cafile or ""


def _mark(path: str) -> Mark:
    """Changes when a file is renewed, whether it is written anew or replaced."""
    try:
        stat = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _made(options: TlsOptions) -> ssl.SSLContext:
    # Not ssl.create_default_context(): from Python 3.13 on it refuses authorities that others accept.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslobject_class = TimedObject
    observe(context)
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _limit_versions(context, options)
    _choose_ciphers(context, options)
    if options.certificate_file:
        files.load_certificate(context, options)
    if options.ca_file:
        files.load_authorities(context, options.ca_file)
        # Whatever stands in the file is trusted, a server's own certificate too.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    elif options.verify:
        context.load_default_certs()
    _check_offer(context)
    return context


def _check_offer(context: ssl.SSLContext) -> None:
    """Begins a handshake with nobody: a loop whose OpenSSL refuses to begin loses track of its socket."""
    beginning = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    try:
        beginning.do_handshake()
    except ssl.SSLWantReadError:
        return
    except ssl.SSLError as error:
        raise tls_fault(error) from error


def _limit_versions(context: ssl.SSLContext, options: TlsOptions) -> None:
    with warnings.catch_warnings():
        # The old versions are deprecated, which is why somebody has to watch them.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            context.maximum_version = _VERSIONS[options.highest]
            context.minimum_version = _VERSIONS[options.lowest]
        except (ValueError, ssl.SSLError) as error:
            text = f"{ssl.OPENSSL_VERSION} cannot do {options.lowest} to {options.highest}"
            raise LocalFault(FaultCode.OPTION, text) from error
    if options.legacy:
        context.options |= _LEGACY_SERVER_CONNECT


def _choose_ciphers(context: ssl.SSLContext, options: TlsOptions) -> None:
    # OpenSSL 3 does the versions before 1.2 at security level 0 only.
    weak = options.legacy or options.lowest in _OLD
    if not options.ciphers and not weak:
        return
    text = "ALL"
    if options.ciphers:
        suite = ciphers.fitted(options.ciphers)
        if suite.note:
            log.warning("sslciphersuite %s: %s", options.ciphers, suite.note)
        text = suite.text
    if options.verify:
        text += _AUTHENTICATED
    if weak and "@SECLEVEL" not in text:
        text += ":@SECLEVEL=0"
    try:
        context.set_ciphers(text)
    except ssl.SSLError as error:
        raise LocalFault(
            FaultCode.OPTION, f"sslciphersuite {options.ciphers!r} leaves no cipher that can be verified"
        ) from error

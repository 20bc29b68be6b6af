"""A SASL exchange over a connection, whatever the protocol: channel binding, and heavy work off the loop."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Collection

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from postbeat.probes.login import Login
from postbeat.wire.sasl import Exchange, offered_mechanism


def exchange_for(
    name: str, offered: Collection[str], login: Login, transport: asyncio.BaseTransport | None
) -> Exchange:
    """The exchange of a mechanism on this connection, if the server offers it (in capitals).

    Raises:
        RemoteFault: it does not.
        LocalFault: the credentials do not fit it.
    """
    return Exchange(offered_mechanism(name, offered, login, lambda: channel_binding(transport)))


async def answered(exchange: Exchange, challenge: bytes) -> bytes:
    """The answer to a challenge, both in base64. What takes long happens in a thread.

    Raises:
        RemoteFault, LocalFault: there is none; the login is to be given up.
    """
    if exchange.mechanism.heavy:
        return await asyncio.to_thread(exchange.respond, challenge)
    return exchange.respond(challenge)


def channel_binding(transport: asyncio.BaseTransport | None) -> bytes:
    """The data of ``tls-server-end-point``, or nothing where there is no TLS or no such data."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object") if transport is not None else None
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return _end_point(certificate) if certificate else b""


@functools.lru_cache(maxsize=1024)
def _end_point(certificate: bytes) -> bytes:
    """The hash of a certificate (RFC 5929 section 4.1); undefined where its signature has no hash."""
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (
        ValueError
    ):  # what OpenSSL takes for a certificate and cryptography does not, or an unknown algorithm
        return b""
    if algorithm is None:
        return b""
    if algorithm.name in ("md5", "sha1"):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return digest.finalize()

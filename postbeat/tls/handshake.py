"""The handshake: its time, what is seen of it, and why it failed."""

from __future__ import annotations

import _ssl
import functools
import ssl
from contextvars import ContextVar
from typing import Any

from postbeat.model import FaultCode, FaultError, LocalFault, RemoteFault
from postbeat.results import TlsFacts
from postbeat.timeline import Timeline

# The loops end a handshake after 60 s with an error that looks like the server's. An attempt has a deadline
# of its own, of an hour at most, which names the stage that hung.
HANDSHAKE_S = 7200.0

_HANDSHAKE: ContextVar[tuple[Timeline, str] | None] = ContextVar("handshake", default=None)
_HANDSHAKE_RECORD = 22  # RFC 8446 section 5.1
_CERTIFICATE_REQUEST = 13  # RFC 8446 section 4
# The one below ssl.SSLContext's own, which makes an enum of each number: half of what it costs.
_CALLBACK: Any = getattr(_ssl._SSLContext, "_msg_callback", None)
OBSERVED = _CALLBACK is not None
_ANY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_ASKED = "The server had asked for a client certificate."


def time_handshake(timeline: Timeline, then: str = "") -> None:
    """Has the next handshake of this task written into the timeline as its stage ``tls``.

    The stage begins with the first byte that TLS writes and ends the open one; when the handshake is
    complete the stage ``then`` begins, if one is named.
    """
    _HANDSHAKE.set((timeline, then))


class TimedObject(ssl.SSLObject):
    """Marks its own handshake in the timeline of the task that asked for it.

    ``certificate_asked`` is whether the server asked for a client certificate; see :func:`observe`.
    ``negotiated`` are version and cipher, which OpenSSL forgets with a connection that breaks. ``facts``
    keeps what :func:`postbeat.tls.facts.tls_facts` has found out.
    """

    certificate_asked = False
    negotiated = ("", "")
    facts: TlsFacts | None = None
    _marks: tuple[Timeline, str] | None = None
    _started = False

    def do_handshake(self) -> None:
        """Makes the handshake as far as the bytes that have come allow."""
        if not self._started:
            self._started = True
            self._marks = _HANDSHAKE.get()
            if self._marks is not None:
                self._marks[0].switch("tls")
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if self.certificate_asked:
                error.add_note(_ASKED)
            raise
        cipher = self.cipher()
        self.negotiated = (self.version() or "", cipher[0] if cipher else "")
        if self._marks is not None:
            timeline, then = self._marks
            timeline.reply(" ".join(self.negotiated))
            timeline.switch(then)
            self._marks = None


@functools.lru_cache(maxsize=4096)
def asked_name(name: str) -> str:
    """A server's name or address, fit to be asked for in SNI and to be looked for in a certificate.

    Raises:
        LocalFault: it is neither.
    """
    try:
        _ANY.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except (ValueError, ssl.SSLError) as error:
        raise LocalFault(FaultCode.OPTION, f"{name!r} is no name that a certificate can be for") from error
    return name


def observe(context: ssl.SSLContext) -> None:
    """Has the handshakes of a context note whether the server asks for a client certificate.

    Python has no public way to see that. Where its private one is gone, nothing is noted.
    """
    if OBSERVED:
        _CALLBACK.__set__(context, _note)


def _note(conn: Any, direction: str, _version: int, content: int, message: int, _data: bytes) -> None:  # noqa: ANN401
    if direction == "read" and content == _HANDSHAKE_RECORD and message == _CERTIFICATE_REQUEST:
        conn.certificate_asked = True


_NOT_TLS = "what the server sent is not TLS; the port may want another securitytype"
_NO_VERSION = "the server has no TLS version that the element accepts; see tlsminversion and tlslegacy"
_NO_CIPHER = "the server accepts none of our ciphers; see sslciphersuite and tlslegacy"
_NEEDED = "the server requires a client certificate; see sslcertificatefile"
_REFUSED = "the server refuses our client certificate"
_WEAK = "what the server offers is too weak for OpenSSL; tlslegacy: true accepts it"

# What OpenSSL's reasons mean for somebody who looks after a mail service.
_MEANINGS = {
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
    "RECORD_LAYER_FAILURE": _NOT_TLS,
    "UNKNOWN_PROTOCOL": _NOT_TLS,
    "HTTP_REQUEST": _NOT_TLS,
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "WRONG_SSL_VERSION": _NO_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _NO_CIPHER,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _NO_CIPHER,
    "WRONG_CIPHER_RETURNED": _NO_CIPHER,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _NEEDED,
    "SSLV3_ALERT_NO_CERTIFICATE": _NEEDED,
    "SSLV3_ALERT_BAD_CERTIFICATE": _REFUSED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _REFUSED,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": _REFUSED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _REFUSED,
    "TLSV1_ALERT_UNKNOWN_CA": _REFUSED,
    "TLSV1_ALERT_ACCESS_DENIED": _REFUSED,
    "TLSV1_UNRECOGNIZED_NAME": "the server does not know the name that it is asked for; see tlsservername",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": _WEAK,
    "DH_KEY_TOO_SMALL": _WEAK,
    "BAD_ECPOINT": _WEAK,
    "EE_KEY_TOO_SMALL": _WEAK,
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED": _WEAK,
    "WRONG_SIGNATURE_TYPE": _WEAK,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": _WEAK,
}
# Said by our own OpenSSL before anything is sent.
_OURS = ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE")

# X509_V_ERR_... of OpenSSL's x509_vfy.h. Other errors speak for themselves.
_UNTRUSTED = "its authority is not trusted here; see tlscafile"
_CERTIFICATE_MEANINGS = {
    2: _UNTRUSTED,
    18: "it is signed by itself and not trusted here; see tlscafile",
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: "the server does not send the certificate of its authority, or that is not trusted here",
    62: "it is for other names; see tlsservername",
    64: "it is for other names; see tlsservername",
    66: _WEAK,
    67: _WEAK,
    68: _WEAK,
}


def tls_fault(error: ssl.SSLError) -> FaultError:
    """The fault that an error of TLS stands for, with OpenSSL's own words and what they mean."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = f"the server's certificate does not verify: {error.verify_message.rstrip('.')}"
        meaning = _CERTIFICATE_MEANINGS.get(error.verify_code, "")
        return RemoteFault(FaultCode.CERTIFICATE, _joined(said, meaning))
    reason = error.reason or ""
    if reason in _OURS:
        text = "the element's TLS versions and ciphers leave nothing to offer to the server"
        return LocalFault(FaultCode.OPTION, f"{text}: {reason_of(error)}")
    if reason == "SSLV3_ALERT_CERTIFICATE_EXPIRED":
        return LocalFault(FaultCode.FILE, "the server says that our client certificate has expired")
    meaning = _MEANINGS.get(reason, "")
    if meaning is _NO_CIPHER and _ASKED in getattr(error, "__notes__", ()):
        meaning = _NEEDED  # before TLS 1.3 there is no alert of its own for that
    return RemoteFault(FaultCode.TLS, _joined(f"the TLS handshake failed: {reason_of(error)}", meaning))


def reason_of(error: Exception) -> str:
    """What OpenSSL or the system says, in small letters."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).replace("_", " ").lower()


def _joined(said: str, meaning: str) -> str:
    return f"{said}; {meaning}" if meaning else said

"""The login of the SMTP test: one AUTH command (RFC 4954) with the configured mechanism, whatever it is."""

from __future__ import annotations

import aiosmtplib
from aiosmtplib import SMTPResponse

from postbeat.elements import SmtpElement
from postbeat.model import REVEALING_METHODS, FaultCode, LocalFault, RemoteFault
from postbeat.probes.exchange import answered, exchange_for
from postbeat.probes.login import Login
from postbeat.probes.readings import Readings
from postbeat.wire.sasl import Exchange

LINE_LIMIT = 512  # bytes of a command with its end (RFC 5321 section 4.5.3.1.4); answers may be longer
_GRANTED = 235
_CHALLENGE = 334
_OTHER_MECHANISM = (504, 534, 538)  # not this one, or not without TLS (RFC 4954 section 6)
_REFUSED = (535, 530, 550, 553, 554)  # the first is the right one; the others are seen


async def authenticate(
    client: aiosmtplib.SMTP, element: SmtpElement, login: Login, readings: Readings
) -> None:
    """Logs in, once: a wrong password counts once at the server.

    Raises:
        RemoteFault: AUTH, or NO_MECHANISM where the mechanism is not offered.
        LocalFault: the mechanism would show the secret on a connection without TLS.
    """
    name = element.authenticationtype
    with readings.timeline.stage("auth"), login.hiding():
        transport, protocol = client.transport, client.protocol
        if protocol is None or transport is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        if (
            name in REVEALING_METHODS
            and not element.plaintextlogin
            and transport.get_extra_info("ssl_object") is None
        ):
            raise LocalFault(FaultCode.NO_MECHANISM, f"{name} is not used on a connection without TLS")
        offered = {method.upper() for method in client.server_auth_methods}
        exchange = exchange_for(name, offered, login, transport)
        response = await _exchanged(protocol, exchange)
        readings.replied(response)
        if response.code != _GRANTED:
            raise _refusal(response.code, readings.reply, exchange.mechanism.refusal)
        exchange.finish()


async def _exchanged(protocol: aiosmtplib.protocol.SMTPProtocol, exchange: Exchange) -> SMTPResponse:
    """The reply that ends the exchange; one that we give up is cancelled with ``*`` (RFC 4954 section 4)."""
    command = b"AUTH " + exchange.mechanism.name.encode("ascii")
    initial = exchange.opening(LINE_LIMIT - len(command) - len(b" \r\n"))
    response = await protocol.execute_command(command if initial is None else command + b" " + initial)
    while response.code == _CHALLENGE:
        try:
            answer = await answered(exchange, response.message.encode("utf-8", "surrogateescape"))
        except (RemoteFault, LocalFault):
            protocol.write(b"*\r\n")  # its reply is not waited for: the server might never give it
            raise
        response = await protocol.execute_command(answer)
    return response


def _refusal(code: int, reply: str, details: str) -> RemoteFault:
    said = f"{reply} ({details})" if details else reply
    if code in _OTHER_MECHANISM:
        return RemoteFault(FaultCode.NO_MECHANISM, f"the server refused the mechanism: {said}", status=code)
    if details or code in _REFUSED:
        return RemoteFault(FaultCode.AUTH, f"the server refused the login: {said}", status=code)
    if 400 <= code < 600:
        return RemoteFault(FaultCode.REPLY, f"the server could not log us in: {said}", status=code)
    return RemoteFault(FaultCode.PROTOCOL, f"the server's answer to AUTH is none: {said}", status=code)

"""Messages sent to a real Postfix with each kind of security, client certificate and age of TLS."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from postbeat.elements import SmtpElement
from postbeat.embedded.processes import Processes
from postbeat.model import FaultCode, Side
from postbeat.probing import Prober
from postbeat.profile import load
from postbeat.results import Result, TlsFacts
from postbeat.settings import Settings
from tests import mailservers
from tests.conftest import not_installed
from tests.mailservers import Account, MailServers
from tests.ports import free_port

pytestmark = pytest.mark.mailservers

WITH_TLS = ("STARTTLS", "SSL")
OLD = """
127.0.0.1:{old} inet n - n - - smtpd
  -o {{ smtpd_tls_protocols = >=TLSv1, <=TLSv1 }}
  -o smtpd_tls_ciphers=low
  -o tls_low_cipherlist=ALL:@SECLEVEL=0
"""
CERTIFIED_SSL = """
127.0.0.1:{certifieds} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_tls_req_ccert=yes
  -o smtpd_sasl_auth_enable=no
"""
SOON = """
127.0.0.1:{soon} inet n - n - - smtpd
  -o smtpd_tls_chain_files={root}/tls/soon.pem
"""


class TlsServers(MailServers):
    """Servers with more ports.

    One speaks TLSv1 alone, one wants a client certificate over SSL, and one has a certificate that ends soon.
    """

    def _configure(self) -> None:
        self.ports = {**self.ports, **{name: free_port() for name in ("old", "certifieds", "soon")}}
        super()._configure()
        with (self.root / "postfix/etc/master.cf").open("a") as file:
            file.write((OLD + CERTIFIED_SSL + SOON).format(root=self.root, **self.ports))
        authority = trustme.CA()
        with (self.root / "tls/ca.pem").open("ab") as trusted:
            trusted.write(authority.cert_pem.bytes())
        soon = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=5.5))
        soon.private_key_and_cert_chain_pem.write_to_path(self.root / "tls/soon.pem")


@pytest.fixture(scope="module")
def servers() -> Iterator[TlsServers]:
    missing = mailservers.missing()
    if missing is not None:
        not_installed(*missing)
    with tempfile.TemporaryDirectory(prefix="postbeat-tls-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        with Processes() as processes:
            made = TlsServers(processes, root)
            made.start()
            yield made


@pytest.fixture(scope="module")
def account(servers: TlsServers) -> Account:
    return servers.account()


class Sending:
    """Sends one message, and returns what that measured."""

    def __init__(self, servers: TlsServers, account: Account, folder: Path) -> None:
        self._servers = servers
        self._account = account
        self._folder = folder

    def __call__(self, security: str, service: str = "", **fields: Any) -> Result:
        element = self._servers.smtp("mail", self._account, security, **fields)
        if service:
            element |= {"port": self._servers.ports[service]}
        if service.startswith("certified") or security == "NONE":
            element["authenticationtype"] = "NONE"
        profile = self._folder / "profile.yaml"
        profile.write_text(json.dumps({"elements": [element]}))
        loaded = load(profile).elements["mail"]
        assert isinstance(loaded, SmtpElement)
        sent = asyncio.run(Prober(Settings()).round_trip(loaded, None, "default")).send
        assert sent is not None
        return sent


@pytest.fixture
def sending(servers: TlsServers, account: Account, tmp_path: Path) -> Sending:
    return Sending(servers, account, tmp_path)


def tls_of(result: Result) -> TlsFacts:
    assert (result.level, result.message) == ("GOOD", "Message sent")
    assert result.decisive is not None
    assert result.decisive.tls is not None
    return result.decisive.tls


def fault_of(result: Result) -> tuple[Side, FaultCode, str]:
    assert result.fault is not None
    return result.fault.side, result.fault.code, result.fault.stage


def test_a_message_is_sent_without_security(sending: Sending) -> None:
    result = sending("NONE")
    assert (result.level, result.fault) == ("GOOD", None)
    assert result.decisive is not None
    assert result.decisive.tls is None
    assert "SSLHandshakeTime" not in result.decisive.times_us


@pytest.mark.parametrize("security", WITH_TLS)
@pytest.mark.parametrize("key", ["none", "plain", "encrypted"])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_message_is_sent_with_security(
    servers: TlsServers, sending: Sending, security: str, key: str, version: str
) -> None:
    certificate = {} if key == "none" else servers.client_certificate(key)
    tls = tls_of(sending(security, tlsmaxversion=version, **certificate))
    assert (tls.version, tls.verified, tls.certificate_asked) == (version, True, False)
    assert tls.names == ("127.0.0.1", "localhost", "mail.test")


@pytest.mark.parametrize(("security", "service"), [("STARTTLS", "certified"), ("SSL", "certifieds")])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("key", ["plain", "encrypted"])
def test_a_client_certificate_is_let_in(
    servers: TlsServers, sending: Sending, security: str, service: str, version: str, key: str
) -> None:
    tls = tls_of(sending(security, service, tlsmaxversion=version, **servers.client_certificate(key)))
    assert (tls.version, tls.certificate_asked) == (version, True)


@pytest.mark.parametrize(("security", "service"), [("STARTTLS", "certified"), ("SSL", "certifieds")])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_the_want_of_a_client_certificate_is_told(
    sending: Sending, security: str, service: str, version: str
) -> None:
    result = sending(security, service, tlsmaxversion=version)
    assert result.fault is not None
    assert result.fault.side is Side.REMOTE
    assert "client certificate" in result.fault.message
    if security == "STARTTLS":
        assert fault_of(result) == (Side.REMOTE, FaultCode.REPLY, "ehlo")
        assert result.decisive is not None
        assert result.decisive.status == 421


@pytest.mark.parametrize("fields", [{"tlslegacy": True}, {"tlsminversion": "TLSv1"}])
def test_a_server_that_speaks_tls_1_alone_is_reached(sending: Sending, fields: dict[str, Any]) -> None:
    assert tls_of(sending("STARTTLS", "old", **fields)).version == "TLSv1"


@pytest.mark.parametrize("fields", [{}, {"tlslegacy": True, "ssldisabletls": 1}])
def test_a_server_that_speaks_tls_1_alone_is_told(sending: Sending, fields: dict[str, Any]) -> None:
    result = sending("STARTTLS", "old", **fields)
    assert fault_of(result) == (Side.REMOTE, FaultCode.TLS, "tls")
    assert "the server has no TLS version that the element accepts" in result.message


def test_a_port_with_another_kind_of_security_is_told(sending: Sending) -> None:
    clear = sending("SSL", "smtp")
    assert fault_of(clear) == (Side.REMOTE, FaultCode.TLS, "tls")
    assert "what the server sent is not TLS" in clear.message
    covered = sending("STARTTLS", "smtps", timeout=3)
    assert fault_of(covered) == (Side.REMOTE, FaultCode.TIMEOUT, "greeting")


def test_the_authority_of_nobody_here_is_not_trusted(sending: Sending) -> None:
    result = sending("SSL", tlscafile="")
    assert fault_of(result) == (Side.REMOTE, FaultCode.CERTIFICATE, "tls")


def test_a_wrong_password_of_our_own_key_blames_nobody_else(servers: TlsServers, sending: Sending) -> None:
    result = sending("SSL", **{**servers.client_certificate("encrypted"), "sslkeypassword": "wrong"})
    assert result.level == "UNKNOWN"
    assert fault_of(result)[:2] == (Side.LOCAL, FaultCode.FILE)


def test_a_certificate_that_ends_soon_makes_the_service_marginal(sending: Sending) -> None:
    result = sending("STARTTLS", "soon")
    assert (result.level, result.fault) == ("MARGINAL", None)
    assert result.message.startswith("Message sent; the server's certificate expires in 5 days, on ")
    assert tls_of(sending("STARTTLS", "soon", certificatewarndays=4)).whole_chain

"""Each way to log in, on a real Postfix and Dovecot, with the right secret and with a wrong one."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postbeat.elements import SmtpElement
from postbeat.embedded.processes import Processes
from postbeat.model import FaultCode, Side
from postbeat.probing import Prober
from postbeat.profile import load
from postbeat.results import Result
from postbeat.settings import Settings
from tests import mailservers
from tests.conftest import not_installed
from tests.mailservers import Account, MailServers

pytestmark = pytest.mark.mailservers

KEY = b"the key that tokens are signed with"
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER")
TOKENS = ("XOAUTH2", "OAUTHBEARER")
KINDS = ("smtp", "imap4", "pop3")

PASSDB = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {root}/dovecot/oauth2.conf.ext
}}
"""
OAUTH2 = """
introspection_mode = local
username_attribute = sub
local_validation_key_dict = fs:posix:prefix={root}/dovecot/keys/
"""


class LoginServers(MailServers):
    """Servers that know all mechanisms; tokens are checked with a key of their own (RFC 7519)."""

    def _configure(self) -> None:
        super()._configure()
        config = self.root / "dovecot/dovecot.conf"
        every = " ".join(mechanism.lower() for mechanism in MECHANISMS)
        text = config.read_text().replace("plain login cram-md5", every)
        # Before the passwords: a token that is wrong must be refused as a token.
        config.write_text(text.replace("passdb {", PASSDB.format(root=self.root).strip() + "\npassdb {", 1))
        (self.root / "dovecot/oauth2.conf.ext").write_text(OAUTH2.format(root=self.root).lstrip())
        key = self.root / "dovecot/keys/default/HS256/default"
        key.parent.mkdir(parents=True)
        key.write_bytes(base64.b64encode(KEY))


@pytest.fixture(scope="module")
def servers() -> Iterator[LoginServers]:
    missing = mailservers.missing()
    if missing is not None:
        not_installed(*missing)
    with tempfile.TemporaryDirectory(prefix="postbeat-logins-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        with Processes() as processes:
            made = LoginServers(processes, root)
            made.start()
            yield made


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(account: Account, key: bytes = KEY, *, lives_s: int = 600) -> str:
    """A token as the servers take it (RFC 7519)."""
    claims = {"sub": account.name, "exp": int(time.time()) + lives_s, "iat": int(time.time()) - 10}
    head = segment(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{segment(json.dumps(claims).encode())}"
    return f"{signed}.{segment(hmac.digest(key, signed.encode(), 'sha256'))}"


def probed(servers: LoginServers, folder: Path, kind: str, account: Account, **fields: Any) -> Result:
    """What one probe measures: a login at a mailbox, or a message that is sent after one."""
    if kind == "smtp":
        element = servers.smtp("mail", account, "STARTTLS", **fields)
    else:
        element = servers.mailbox(kind, "mail", account, "STARTTLS", **fields)
    profile = folder / "profile.yaml"
    profile.write_text(json.dumps({"elements": [element]}))
    loaded = load(profile).elements["mail"]
    prober = Prober(Settings())
    if isinstance(loaded, SmtpElement):
        result = asyncio.run(prober.round_trip(loaded, None, "default")).send
    else:
        result = asyncio.run(prober.check(loaded, "default")).check
    assert result is not None
    return result


def refused_logins(servers: LoginServers, kind: str) -> int:
    """The logins that the server has refused so far, as it logs them."""
    if kind == "smtp":
        return servers.log("postfix").count("authentication failed")
    refusals = re.findall(rf"{kind[:4]}-login: .*\(auth failed, (\d+) attempts", servers.log("dovecot"))
    return sum(int(attempts) for attempts in refusals)


@pytest.fixture(scope="module")
def account(servers: LoginServers) -> Account:
    return servers.account()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_right_secret_is_let_in(
    servers: LoginServers, account: Account, tmp_path: Path, kind: str, mechanism: str
) -> None:
    secret = {"token": token(account)} if mechanism in TOKENS else {}
    result = probed(servers, tmp_path, kind, account, authenticationtype=mechanism, **secret)
    assert (result.level, result.fault) == ("GOOD", None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_secret_is_refused_and_counts_once_at_the_server(
    servers: LoginServers, account: Account, tmp_path: Path, kind: str, mechanism: str
) -> None:
    secret = {"token": token(account, b"another key")} if mechanism in TOKENS else {"password": "hunter2"}
    before = refused_logins(servers, kind)
    fault = probed(servers, tmp_path, kind, account, authenticationtype=mechanism, **secret).fault
    assert fault is not None
    assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.AUTH)
    assert ("(status " in fault.message) is (mechanism in TOKENS)
    assert "hunter2" not in fault.message
    deadline_s = time.monotonic() + 5  # the servers write their logs a little later
    while (after := refused_logins(servers, kind)) == before and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert after == before + 1


@pytest.mark.parametrize("mechanism", TOKENS)
def test_a_token_that_has_expired_is_refused(
    servers: LoginServers, account: Account, tmp_path: Path, mechanism: str
) -> None:
    expired = {"authenticationtype": mechanism, "token": token(account, lives_s=-60)}
    fault = probed(servers, tmp_path, "smtp", account, **expired).fault
    assert fault is not None
    assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.AUTH)

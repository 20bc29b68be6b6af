"""Every security with every login and every kind of client certificate, at a real Postfix and Dovecot."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pytest

from postbeat.elements import SmtpElement
from postbeat.embedded.processes import Processes
from postbeat.probing import Prober
from postbeat.profile import ProfileError, load
from postbeat.results import Result
from postbeat.settings import Settings
from tests import mailservers
from tests.conftest import not_installed
from tests.e2e.waiting import until
from tests.mailservers import Account, MailServers

pytestmark = pytest.mark.mailservers

SECURITY = ("NONE", "STARTTLS", "SSL")
LOGINS = ("NONE", "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256")
KEYS = ("none", "plain", "encrypted")
SHOWING = ("PLAIN", "LOGIN")  # what shows the password to who listens
ASKING = """
smtpd_tls_ask_ccert = yes
smtpd_tls_received_header = yes
smtpd_sasl_authenticated_header = yes
"""


@dataclass(frozen=True)
class Cell:
    """One place of the matrix."""

    security: str
    login: str
    key: str

    def __str__(self) -> str:
        return f"{self.security}-{self.login}-{self.key}".lower()

    @property
    def is_allowed(self) -> bool:
        return self.security != "NONE" or self.login not in SHOWING

    @property
    def protocol(self) -> str:
        """What the server calls it in the message (RFC 3848)."""
        return "ESMTP" + ("" if self.security == "NONE" else "S") + ("" if self.login == "NONE" else "A")


CELLS = [Cell(*place) for place in product(SECURITY, LOGINS, KEYS)]
ALLOWED = [cell for cell in CELLS if cell.is_allowed]
REFUSED = [cell for cell in CELLS if not cell.is_allowed]


class AskingServers(MailServers):
    """Servers that ask for a client certificate, and write into each message what they saw of its sender."""

    def _configure(self) -> None:
        super()._configure()
        with (self.root / "postfix/etc/main.cf").open("a") as file:
            file.write(ASKING)
        config = self.root / "dovecot/dovecot.conf"
        config.write_text(
            config.read_text().replace("plain login cram-md5", "plain login cram-md5 scram-sha-256")
        )


class Sending:
    """Sends the messages of many cells at once; each goes to a mailbox that is named after its cell."""

    def __init__(self, servers: AskingServers, account: Account, folder: Path) -> None:
        self.account = account
        self._servers = servers
        self._folder = folder

    def element(self, cell: Cell, *, plaintextlogin: bool = False) -> SmtpElement:
        profile = self._folder / f"{cell}.yaml"
        element = self._servers.smtp(
            "mail",
            self.account,
            cell.security,
            authenticationtype=cell.login,
            plaintextlogin=plaintextlogin,
            email=f"{cell}@{mailservers.DOMAIN}",
            **({} if cell.key == "none" else self._servers.client_certificate(cell.key)),
        )
        profile.write_text(json.dumps({"elements": [element]}))
        loaded = load(profile).elements["mail"]
        assert isinstance(loaded, SmtpElement)
        return loaded

    def sent(self, *elements: SmtpElement) -> list[Result | None]:
        async def send() -> list[Result | None]:
            prober = Prober(Settings())
            trips = (prober.round_trip(element, None, "default") for element in elements)
            return [trip.send for trip in await asyncio.gather(*trips)]

        return asyncio.run(send())

    def received(self, cell: Cell) -> str:
        """The way that the cell's message took, as the server wrote it at the message's head."""
        mailbox = replace(self.account, name=str(cell))
        (message,) = until(lambda: self._servers.messages(mailbox))
        hops = re.findall(rb"^Received: .*\n(?:[ \t].*\n)*", message, re.M)
        return b" ".join(hops[-1].split()).decode()

    def login_of(self, received: str) -> tuple[str, str]:
        """The method and the user of the session in which a message came, as the server logs them."""
        queued = re.search(r" id (\w+)", received)
        assert queued is not None
        session = until(lambda: re.search(rf"{queued[1]}: client=\S+(.*)", self._servers.log("postfix")))
        login = re.fullmatch(r" sasl_method=(\S+), sasl_username=(\S+)", session[1])
        return (login[1], login[2]) if login else ("NONE", session[1])


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sending]:
    missing = mailservers.missing()
    if missing is not None:
        not_installed(*missing)
    with tempfile.TemporaryDirectory(prefix="postbeat-matrix-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        with Processes() as processes:
            servers = AskingServers(processes, root)
            servers.start()
            yield Sending(servers, servers.account(), tmp_path_factory.mktemp("profiles"))


@pytest.fixture(scope="module")
def results(sending: Sending) -> dict[Cell, Result | None]:
    """What all cells that a profile may hold measured."""
    return dict(zip(ALLOWED, sending.sent(*map(sending.element, ALLOWED)), strict=True))


@pytest.mark.parametrize("cell", ALLOWED, ids=str)
def test_a_message_goes_out_with_the_security_the_login_and_the_certificate_that_are_set(
    sending: Sending, results: dict[Cell, Result | None], cell: Cell
) -> None:
    result = results[cell]
    assert result is not None
    assert (result.level, result.message, result.fault) == ("GOOD", "Message sent", None)
    assert result.decisive is not None
    tls = result.decisive.tls
    assert (tls is not None and tls.verified) is (cell.security != "NONE")
    received = sending.received(cell)
    assert f" with {cell.protocol} id " in received
    assert ("(verified OK)" in received) is (cell.security != "NONE" and cell.key != "none")
    user = "" if cell.login == "NONE" else sending.account.name
    assert sending.login_of(received) == (cell.login, user)


@pytest.mark.parametrize("cell", REFUSED, ids=str)
def test_a_password_is_shown_to_the_network_only_where_the_profile_says_so(
    sending: Sending, cell: Cell
) -> None:
    with pytest.raises(ProfileError, match=f"without TLS {cell.login} shows the password to the network"):
        sending.element(cell)
    (result,) = sending.sent(sending.element(cell, plaintextlogin=True))
    assert result is not None
    assert (result.level, result.fault) == ("GOOD", None)
    assert sending.login_of(sending.received(cell)) == (cell.login, sending.account.name)

"""Every property of the page's Table 4 and every file of its Table 1, with the monitor run as it was run."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from postbeat.embedded.processes import Child
from postbeat.ism.properties import PROPERTIES as DEFINED
from postbeat.model import SecurityType
from tests.cli.conftest import Run
from tests.e2e.running import Running
from tests.ism.tables import FILES, PROPERTIES
from tests.mailservers import CERTIFIED, KEY_PASSWORD, Account, MailServers
from tests.servers.tlsservers import Authority, alerting, between

pytestmark = pytest.mark.mailservers

CIPHER = "ECDHE-ECDSA-CHACHA20-POLY1305"
TEXT = "A message of the site's own."
RULES = """
@Node = $host
@AlertGroup = "page"
@AlertKey = $identifier
@Severity = 4
@Type = 1
@Summary = "By the rules of this file: " + $message
"""


@dataclass
class Monitor:
    """``nco_m_smtp`` in a folder that is laid out as ``$ISHOME`` was."""

    running: Running
    home: Path

    def write(self, place: str, text: str) -> Path:
        path = self.home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *elements: dict[str, Any]) -> Child:
        """Starts it for a profile of these elements, with no option but where Redis is."""
        site = self.running.site
        profile = self.running.profile(*elements)
        executable = Path(sys.executable).with_name(FILES["executable"])
        (self.home / "log").mkdir()
        child = site.processes.start(
            FILES["executable"],
            [str(executable), "-redis", site.redis_url, "-state", str(self.home / "state"), str(profile)],
            env=site.environment() | {"ISHOME": str(self.home)},
            log=self.home / "output.log",
            grace_s=40.0,
        )
        child.wait_for(lambda: "Running ..." in self.log or None, 30)
        return child

    @property
    def log(self) -> str:
        path = self.home / FILES["log"]
        return path.read_text() if path.exists() else ""

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        return self.running.until(
            condition, f"{what}: {self.log}\n{(self.home / 'output.log').read_text()}", 60
        )

    def send(self, element: str) -> dict[str, Any]:
        """The newest send of an element, as ``postbeat status`` has it."""
        (row,) = self.running.command("status", "--element", element)
        found: dict[str, Any] = row["send"]
        return found


@pytest.fixture
def monitor(running: Running, tmp_path: Path) -> Monitor:
    home = tmp_path / "ishome"
    home.mkdir()
    return Monitor(running, home)


def test_every_property_of_the_page_is_defined_with_its_default() -> None:
    for name, default in PROPERTIES.items():
        assert DEFINED[name].in_table
        if default is not ...:
            assert DEFINED[name].default == default


def test_the_monitor_works_with_its_properties_rules_and_log(servers: MailServers, monitor: Monitor) -> None:
    account = servers.account()
    monitor.write("message.txt", f"{TEXT}\n")
    folder = monitor.home / "platform" / "linux2x86" / "bin"
    folder.mkdir(parents=True)
    for name in ("client.pem", "encrypted.key"):
        shutil.copy(servers.root / "tls" / name, folder)
    monitor.write(
        FILES["properties"],
        f"""# Of the site's own
Originator         : "The Site's Monitor"
MailMessage        : "$ISHOME/message.txt"
UseBody            : 1
SSLCertificateFile : "client.pem"     # from the working directory, as on the page
SSLKeyFile         : "encrypted.key"
SSLKeyPassword     : "{KEY_PASSWORD}"
SSLCipherSuite     : "{CIPHER}"
SSLDisableTLS      : 1
""",
    )
    monitor.write(FILES["rules"], RULES)
    modern = {"tlsmaxversion": "TLSv1.2", "regions": "lab"}
    certified = servers.smtp("certified", account, "STARTTLS", **modern) | {"port": servers.ports[CERTIFIED]}
    child = monitor.start(
        servers.smtp("mail", account, "STARTTLS", **modern),
        certified | {"authenticationtype": "NONE", "email": f"lost@{account.address.partition('@')[2]}"},
    )
    message = monitor.until(lambda: newest(servers, account), "message in the mailbox")
    assert message["From"].addresses[0].display_name == "The Site's Monitor"
    assert TEXT in message.get_content()
    assert tracking_in_body(message)
    monitor.until(lambda: re.search(r" smtp mail@lab#\d+ send GOOD ", monitor.log), "line in the log")
    monitor.until(lambda: re.search(r" smtp certified@lab#\d+ send GOOD ", monitor.log), "its client's line")
    (tls,) = {one["tls"]["cipher"] for one in monitor.send("mail")["attempts"]}
    assert tls == CIPHER
    rows = monitor.until(lambda: of_page(monitor.running), "alert by the rules")
    assert rows["mail"]["Summary"].startswith("By the rules of this file: Message sent")
    monitor.running.stop(child)
    assert child.exit_code == 0
    assert KEY_PASSWORD not in monitor.log + (monitor.home / "output.log").read_text()


def test_what_the_file_does_not_say_is_as_the_page_has_it(servers: MailServers, monitor: Monitor) -> None:
    account = servers.account()
    child = monitor.start(servers.smtp("mail", account, regions="lab"))
    message = monitor.until(lambda: newest(servers, account), "message in the mailbox")
    assert message["From"].addresses[0].display_name == PROPERTIES["Originator"]
    assert not tracking_in_body(message)
    monitor.running.stop(child)


@pytest.mark.parametrize("disabled", ["0", "1"])
def test_ssldisabletls_keeps_an_element_of_the_old_time_from_tlsv1(
    inside: Run, tmp_path: Path, disabled: str
) -> None:
    authority = Authority.new(tmp_path)
    context = between(authority.server(), ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1)
    with alerting(context, SecurityType.SSL, b"220 old.test\r\n") as server:
        element = {"name": "old", "type": "smtp", "server": "127.0.0.1", "port": server.port, "timeout": 2}
        element |= {"securitytype": "SSL", "tlslegacy": True, "tlscafile": str(authority.file)}
        (tmp_path / "profile.yaml").write_text(json.dumps({"elements": [element]}))
        done = inside(
            *("probe", tmp_path / "profile.yaml", "old", "--json"),
            env={"POSTBEAT_SSL_DISABLE_TLS": disabled},
        )
    (attempt,) = json.loads(done.stdout)["send"]["attempts"]
    # The server greets, and says no more; with the property it is not even met.
    assert attempt["status"] == (220 if disabled == "0" else None)
    assert attempt["fault"]["stage"] == ("ehlo" if disabled == "0" else "tls")


def newest(servers: MailServers, account: Account) -> EmailMessage | None:
    found = servers.messages(account)
    return message_from_bytes(found[-1], policy=policy.default) if found else None


def tracking_in_body(message: EmailMessage) -> bool:
    """Whether the body tells of which poll the message is, and not a field of the header."""
    in_body = re.search(r"mail@lab#\d+", message.get_content()) is not None
    in_header = any(re.search(r"mail@lab#\d+", str(value)) for value in message.values())
    assert in_body is not in_header
    return in_body


def of_page(running: Running) -> dict[str, dict[str, Any]]:
    """The alerts by the test's own rules, by element."""
    rows = running.command("ism", "alerts", "--all")
    return {row["AlertKey"]: row for row in rows if row["AlertGroup"] == "page"}

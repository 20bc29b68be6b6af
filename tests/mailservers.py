"""A private Postfix and Dovecot, as an operator would run them: accounts, TLS, SASL, LMTP between the two.

Postfix wants root and the system's users ``postfix`` and ``mail``; both servers run in a temporary folder on
free ports of 127.0.0.1, beside whatever else the machine has.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization

from postbeat.embedded.processes import Child, Processes
from tests.ports import free_port

DOMAIN = "mail.test"
ACCOUNTS = 250
SHAPED = "shaped.test"  # what comes for this domain goes to tests.e2e.shaper instead of to Dovecot
LOST = f"lost@{DOMAIN}"  # accepted, and never delivered
JUNK = "Junk"
QUOTA_BYTES = 1 << 30
CERTIFIED = "certified"  # the service that asks for a client certificate
KEY_PASSWORD = "the-keys-own-password"
START_S = 20.0
LIFE_S = "3600"  # Postfix changes users, after which the kernel does not end it any more with a killed parent
PROGRAMS = {"postfix": "postfix", "dovecot": "dovecot-imapd dovecot-pop3d dovecot-lmtpd"}
_POSTFIX = ("smtp", "smtps", CERTIFIED)
_DOVECOT = ("imap4", "imap4s", "pop3", "pop3s")

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {root}/postfix/spool
data_directory = {root}/postfix/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {root}/postfix/mail.log
maillog_file_prefixes = {root}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = {domain}
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {domain} {shaped}
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:unix:{root}/dovecot/run/lmtp
transport_maps = inline:{{ {{ {lost} = discard: }}, {{ {shaped} = lmtp:inet:127.0.0.1:{shaper} }} }}
lmtp_destination_concurrency_limit = 20
default_process_limit = 100
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = {root}/tls/server.pem
smtpd_tls_key_file = {root}/tls/server.key
smtpd_tls_CAfile = {root}/tls/ca.pem
tls_random_source = dev:/dev/urandom
smtpd_sasl_type = dovecot
smtpd_sasl_path = unix:{root}/dovecot/run/postfix-auth
smtpd_sasl_auth_enable = yes
smtpd_sasl_security_options = noanonymous
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
disable_dns_lookups = yes
"""

MASTER_CF = """
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{smtps} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
127.0.0.1:{certified} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_req_ccert=yes
  -o smtpd_sasl_auth_enable=no
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

# pop3_lock_session: a second session on a mailbox is refused, as most POP3 servers do (RFC 1939 section 8).
# anvil-auth-penalty: one test's wrong password must not slow down the logins of the others.
DOVECOT_CONF = r"""
protocols = imap pop3 lmtp
base_dir = {root}/dovecot/run
state_dir = {root}/dovecot/run
log_path = {root}/dovecot/dovecot.log
auth_verbose = yes
listen = 127.0.0.1
ssl = yes
ssl_cert = <{root}/tls/server.pem
ssl_key = <{root}/tls/server.key
ssl_dh =
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:~/Maildir
namespace inbox {{
  inbox = yes
  mailbox {junk} {{
    special_use = \Junk
  }}
}}
plugin {{
  quota = count:Mail
  quota_vsizes = yes
  quota_rule = *:bytes={quota}
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {root}/dovecot/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={root}/dovecot/mail/%n allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap4}
  }}
  inet_listener imaps {{
    port = {imap4s}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener postfix-auth {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
protocol imap {{
  mail_plugins = quota imap_quota
  mail_max_userip_connections = 200
}}
protocol pop3 {{
  mail_max_userip_connections = 200
  pop3_lock_session = yes
}}
"""

_numbers = itertools.count()


def missing() -> tuple[str, str] | None:
    """What this machine lacks, and the packages that bring it."""
    if os.geteuid() != 0:
        return "root, which Postfix wants,", "sudo"
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    for program, packages in PROGRAMS.items():
        if shutil.which(program, path=path) is None:
            return program.capitalize(), packages
    return None


@dataclass(frozen=True)
class Account:
    """A mailbox with a password of its own."""

    name: str
    password: str = field(repr=False)

    @property
    def address(self) -> str:
        return f"{self.name}@{DOMAIN}"


class MailServers:
    """Both servers; accounts are handed out one after the other, so that tests do not share them."""

    def __init__(self, processes: Processes, root: Path) -> None:
        self.root = root
        self.ports: Mapping[str, int] = {name: free_port() for name in (*_POSTFIX, *_DOVECOT, "shaper")}
        self._processes = processes
        self._accounts = [
            Account(f"probe{number}", secrets.token_hex(12)) for number in range(1, ACCOUNTS + 1)
        ]
        self._unused = iter(self._accounts)
        self._running: dict[str, Child] = {}
        _write_certificates(root / "tls")
        self._configure()

    def start(self) -> None:
        """Starts what does not run, and waits until every port answers."""
        commands = {
            "dovecot": ["/usr/sbin/dovecot", "-F", "-c", f"{self.root}/dovecot/dovecot.conf"],
            "postfix": ["/usr/lib/postfix/sbin/master", "-s", "-e", LIFE_S, "-c", f"{self.root}/postfix/etc"],
        }
        for name, command in commands.items():
            if name not in self._running:
                log = self.root / name / "output.log"
                self._running[name] = self._processes.start(name, command, env=os.environ, log=log)
        for name, services in (("postfix", _POSTFIX), ("dovecot", _DOVECOT)):
            for service in services:
                self._running[name].wait_for(partial(_accepts, self.ports[service]), START_S)

    def stop(self, name: str) -> None:
        """Ends ``postfix`` or ``dovecot``."""
        self._processes.end(self._running.pop(name))

    def log(self, name: str) -> str:
        """The log of ``postfix`` or ``dovecot``."""
        file = {"postfix": "mail.log", "dovecot": "dovecot.log"}[name]
        return (self.root / name / file).read_text(errors="replace")

    def account(self) -> Account:
        """An account whose mailbox is empty and nobody else's."""
        return next(self._unused)

    def messages(self, account: Account, folder_name: str = "") -> list[bytes]:
        """The messages of a mailbox, or of a folder of it, as they lie on the disk."""
        folder = self._maildir(account, folder_name)
        while True:
            # A server may rename a message, or delete it, between the two steps; then all are read again.
            with contextlib.suppress(FileNotFoundError):
                found = [*(folder / "new").glob("*"), *(folder / "cur").glob("*")]
                return [path.read_bytes() for path in found]

    def put(self, account: Account, messages: Iterable[bytes], folder_name: str = "") -> None:
        """Puts messages of other people into a mailbox, or into a folder of it."""
        folder = self.folder(account, folder_name)
        for number, message in enumerate(messages):
            path = folder / "new" / f"{1_700_000_000 + number}.foreign{number}.{DOMAIN}"
            path.write_bytes(message)
            shutil.chown(path, "mail", "mail")

    def deliver(self, account: Account, message: bytes, folder_name: str = "", *, copies: int = 1) -> int:
        """Delivers a message as an agent of the system does; the instant since which it is there, in us.

        Several copies come at the same time, as far as a reader can tell.
        """
        folder = self.folder(account, folder_name)
        written = []
        for _ in range(copies):
            path = folder / "tmp" / f"{time.time_ns() // 10**9}.delivered{next(_numbers)}.{DOMAIN}"
            path.write_bytes(message)
            shutil.chown(path, "mail", "mail")
            written.append(path)
        if copies == 1:
            written[0].rename(folder / "new" / written[0].name)
        else:  # one process does nothing else meanwhile; threads of ours might be held up in between
            subprocess.run(["mv", "-t", folder / "new", *written], check=True, timeout=START_S)
        return time.time_ns() // 1000

    def folder(self, account: Account, name: str = "") -> Path:
        """A folder of a mailbox, made if it is not there: the mailbox itself where it has no name."""
        folder = self._maildir(account, name)
        if not (folder / "new").exists():
            for part in ("tmp", "new", "cur"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            if name:
                (folder / "maildirfolder").touch()
            maildir = self._maildir(account)
            for path in (maildir.parent, maildir, folder, *folder.glob("*")):
                shutil.chown(path, "mail", "mail")
        return folder

    def sessions(self, account: Account, log: str) -> list[tuple[str, bool]]:
        """The sessions on a mailbox by Dovecot's log, in its order: an id, and whether it began or ended."""
        name = re.escape(account.name)
        began = rf"-login: Info: Login: user=<{name}>.* session=<(?P<began>[^>]+)>"
        ended = rf"(?:imap|pop3)\({name}\)<[0-9]+><(?P<ended>[^>]+)>: Info: Disconnected"
        return [
            (match["began"] or match["ended"], match["began"] is not None)
            for match in re.finditer(f"{began}|{ended}", log)
        ]

    def smtp(self, name: str, account: Account, security: str = "NONE", **changes: Any) -> dict[str, Any]:
        """A profile's element that sends to an account, logged in as its owner."""
        port = self.ports["smtps" if security == "SSL" else "smtp"]
        element = self._element("smtp", name, account, security, port)
        element |= {"authenticationtype": "PLAIN", "email": account.address, "poll": 1}
        element |= {"plaintextlogin": True} if security == "NONE" else {}
        return element | changes

    def mailbox(
        self, kind: str, name: str, account: Account, security: str = "NONE", **changes: Any
    ) -> dict[str, Any]:
        """A profile's element that reads the mailbox of an account over ``imap4`` or ``pop3``."""
        port = self.ports[f"{kind}s" if security == "SSL" else kind]
        return self._element(kind, name, account, security, port) | changes

    def _element(self, kind: str, name: str, account: Account, security: str, port: int) -> dict[str, Any]:
        element = {
            "type": kind,
            "name": name,
            "server": "127.0.0.1",
            "port": port,
            "securitytype": security,
            "username": account.name,
            "password": account.password,
            "timeout": 5,
        }
        return element | ({} if security == "NONE" else {"tlscafile": f"{self.root}/tls/ca.pem"})

    def client_certificate(self, key: str = "encrypted") -> dict[str, str]:
        """The fields of an element that has a certificate, whose key is ``encrypted`` or ``plain``."""
        fields = {
            "sslcertificatefile": f"{self.root}/tls/client.pem",
            "sslkeyfile": f"{self.root}/tls/{key}.key",
        }
        return fields | ({"sslkeypassword": KEY_PASSWORD} if key == "encrypted" else {})

    def _maildir(self, account: Account, folder_name: str = "") -> Path:
        maildir = self.root / "dovecot" / "mail" / account.name / "Maildir"
        return maildir / f".{folder_name}" if folder_name else maildir

    def _configure(self) -> None:
        texts = {
            "postfix/etc/main.cf": MAIN_CF,
            "postfix/etc/master.cf": MASTER_CF,
            "dovecot/dovecot.conf": DOVECOT_CONF,
        }
        for folder in ("postfix/etc", "postfix/spool", "postfix/data", "dovecot/run", "dovecot/mail"):
            (self.root / folder).mkdir(parents=True)
        shutil.chown(self.root / "postfix/data", "postfix")
        shutil.chown(self.root / "dovecot/mail", "mail", "mail")
        for path, text in texts.items():
            names = {"domain": DOMAIN, "shaped": SHAPED, "lost": LOST, "junk": JUNK, "quota": QUOTA_BYTES}
            filled = text.format(root=self.root, **names, **self.ports)
            (self.root / path).write_text(filled.lstrip())
        users = "".join(f"{account.name}:{account.password}\n" for account in self._accounts)
        (self.root / "dovecot/users").write_text(users)
        # Makes the queue's folders. What ``postfix start`` does beyond is to put its master where no
        # supervisor can end it.
        command = ["/usr/sbin/postfix", "-c", f"{self.root}/postfix/etc", "check"]
        subprocess.run(command, check=True, timeout=START_S)


@contextlib.contextmanager
def running() -> Iterator[MailServers]:
    """Both servers; nothing of them is left afterwards, neither processes nor files."""
    # Not below pytest's folders, which only their owner may enter: the servers work as several users.
    with tempfile.TemporaryDirectory(prefix="postbeat-mail-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        with Processes() as processes:
            servers = MailServers(processes, root)
            servers.start()
            yield servers


def _accepts(port: int) -> bool | None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return None


def _write_certificates(folder: Path) -> None:
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert("127.0.0.1", "localhost", DOMAIN)
    server.private_key_pem.write_to_path(folder / "server.key")
    _write_chain(server, folder / "server.pem")
    client = authority.issue_cert(f"client@{DOMAIN}")
    _write_chain(client, folder / "client.pem")
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(KEY_PASSWORD.encode()),
    )
    (folder / "encrypted.key").write_bytes(encrypted)
    client.private_key_pem.write_to_path(folder / "plain.key")


def _write_chain(certificate: trustme.LeafCert, path: Path) -> None:
    path.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))

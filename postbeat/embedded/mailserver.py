"""The embedded mail server as a process: SMTP, IMAP4 and POP3 on one mailbox for each user, in memory.

``python -m postbeat.embedded.mailserver --user alice --user bob`` takes the passwords from the environment,
as a command line can be read by everybody on the machine. :mod:`postbeat.embedded.mail` starts it as a child.
"""

# Large parts of Twisted have no types.
# mypy: disable-error-code="no-untyped-call, misc"

from __future__ import annotations

import argparse
import hmac
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import CramMD5Credentials, IUsernameHashedPassword, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory
from twisted.logger import globalLogBeginner
from twisted.mail import pop3
from twisted.mail.imap4 import IAccount
from twisted.mail.interfaces import IMessageDelivery
from zope.interface import implementer

from postbeat.embedded.mail import PASSWORDS_VARIABLE
from postbeat.embedded.maildrop import Mailbox
from postbeat.embedded.mailimap4 import Account, Imap4Session
from postbeat.embedded.mailpop3 import Maildrop, Pop3Session
from postbeat.embedded.mailsmtp import Delivery, SmtpSession


@implementer(ICredentialsChecker)
class Passwords:
    """Checks a password, or the answer to a challenge that was made with it (CRAM-MD5, APOP)."""

    credentialInterfaces = (IUsernamePassword, IUsernameHashedPassword)

    def __init__(self, users: Mapping[bytes, bytes]) -> None:
        self._users = users

    def requestAvatarId(self, credentials: Any) -> bytes:
        """The name of the user. Raises UnauthorizedLogin."""
        name: bytes = credentials.username
        password = self._users.get(name)
        if password is None or not _fits(credentials, password):
            raise UnauthorizedLogin
        return name


def _fits(credentials: Any, password: bytes) -> bool:
    if IUsernamePassword.providedBy(credentials):
        return hmac.compare_digest(credentials.password, password)
    return bool(credentials.checkPassword(password))


@implementer(IRealm)
class Realm:
    """The mailboxes of the users, by name, and what a login gives to each protocol."""

    def __init__(self, users: Mapping[bytes, bytes], delay_s: float) -> None:
        self._mailboxes = {name: Mailbox() for name in users}
        self.delivery = Delivery(self._mailboxes.get, delay_s)

    def requestAvatar(
        self, name: bytes, mind: object, *interfaces: object
    ) -> tuple[object, Any, Callable[[], None]]:
        """What the protocol asks for: (interface, object, what to call at the end)."""
        mailbox = self._mailboxes[name]
        avatars: dict[object, Callable[[], Any]] = {
            IMessageDelivery: lambda: self.delivery,
            IAccount: lambda: Account(mailbox),
            pop3.IMailbox: lambda: Maildrop(mailbox),
        }
        asked = next(interface for interface in interfaces if interface in avatars)
        return asked, avatars[asked](), _nothing


def _nothing() -> None:
    pass


class Sessions(ServerFactory):
    """Makes the sessions of one protocol."""

    noisy = False
    # Twisted's POP3 looks for the mechanisms of AUTH here.
    challengers: ClassVar[dict[bytes, type]] = {b"CRAM-MD5": CramMD5Credentials}

    def __init__(self, portal: Portal, make: Callable[[], Any]) -> None:
        self._portal = portal
        self._make = make

    def buildProtocol(self, address: object) -> Any:
        """A session for a new connection."""
        session = self._make()
        session.factory = self
        session.portal = self._portal
        return session


def listen(users: Mapping[str, str], host: str, ports: Mapping[str, int], delay_s: float) -> dict[str, int]:
    """Has the reactor serve the users at these ports (0: any that is free): the ports by protocol.

    Raises:
        CannotListenError: a port is taken, or the host is none of ours.
    """
    known = {name.encode(): password.encode() for name, password in users.items()}
    realm = Realm(known, delay_s)
    portal = Portal(realm, [Passwords(known)])
    makers: dict[str, Callable[[], Any]] = {
        "smtp": lambda: SmtpSession(realm.delivery),
        "imap4": Imap4Session,
        "pop3": Pop3Session,
    }
    return {
        name: reactor.listenTCP(ports[name], Sessions(portal, make), interface=host).getHost().port
        for name, make in makers.items()
    }


def report(event: Mapping[str, Any]) -> None:
    """Writes where a fault of ours happened. Its message is left out, as it may quote what a client sent."""
    failure = event.get("log_failure") or event.get("failure")
    if failure is not None:
        where = "".join(f" in {name} ({path}:{line})" for name, path, line, *_ in failure.frames[-1:])
        sys.stderr.write(f"{failure.type.__name__}{where}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        passwords = json.loads(os.environ.pop(PASSWORDS_VARIABLE, "{}"))
        users = {name: str(passwords[name]) for name in options.user}
    except (ValueError, TypeError, KeyError):
        parser.error(f"{PASSWORDS_VARIABLE} must hold a JSON object with the password of every user")
    ports = {name: getattr(options, name) for name in ("smtp", "imap4", "pop3")}
    globalLogBeginner.beginLoggingTo([report], redirectStandardIO=False)
    try:
        chosen = listen(users, options.host, ports, options.delay)
    except CannotListenError as error:
        sys.exit(f"cannot listen at {error.interface}, port {error.port}: {error.socketError}")
    reactor.callWhenRunning(print, json.dumps(chosen), flush=True)
    reactor.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m postbeat.embedded.mailserver",
        description="A mail server in memory. Prints its ports as one line of JSON once it listens.",
        epilog=f'The passwords come from the environment: {PASSWORDS_VARIABLE}=\'{{"NAME": "PASSWORD"}}\'.',
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (%(default)s)")
    for name in ("smtp", "imap4", "pop3"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="PORT", help="0: any that is free")
    parser.add_argument("--user", action="append", required=True, metavar="NAME", help="may be repeated")
    parser.add_argument(
        "--delay", type=float, default=0.0, metavar="SECONDS", help="hold every delivery back by that long"
    )
    return parser


if __name__ == "__main__":
    main()

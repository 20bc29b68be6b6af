"""A mail server of our own: on 127.0.0.1, in memory, for as long as its parent lives."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from postbeat.embedded.processes import Child, EmbeddedError, Processes

PASSWORDS_VARIABLE = "POSTBEAT_MAIL_PASSWORDS"
HOST = "127.0.0.1"
# Twisted asks for the host's full name as it is imported, and a name server that is away takes its time.
DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where the server listens."""

    host: str
    smtp: int
    imap4: int
    pop3: int


def mail_server(
    processes: Processes, folder: Path, users: Mapping[str, str], delay_s: float = 0
) -> MailServer:
    """Starts a mail server for these users (name and password) and waits until it listens.

    ``folder`` holds its log, and is made where it does not exist. A message is seen in its mailbox
    ``delay_s`` seconds after it was accepted.

    Raises:
        EmbeddedError: Twisted is not installed, or the server does not start within 30 seconds.
    """
    if importlib.util.find_spec("twisted") is None:
        raise EmbeddedError("the mail server needs Twisted: pip install 'postbeat[demo]'")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(f"cannot set up the mail server in {folder}: {error}") from error
    arguments = [f"--host={HOST}", f"--delay={delay_s}", *(f"--user={name}" for name in users)]
    child = processes.start(
        "mail server",
        # -P: what lies in the current directory is not ours to import.
        [sys.executable, "-P", "-m", "postbeat.embedded.mailserver", *arguments],
        env={**os.environ, PASSWORDS_VARIABLE: json.dumps(dict(users))},
        log=folder / "mail.log",
    )
    try:
        return child.wait_for(lambda: _listening(child), DEADLINE_S)
    except EmbeddedError:
        processes.end(child)
        raise


def _listening(child: Child) -> MailServer | None:
    """Where it listens, once it has said so in its log."""
    for line in child.last_lines().splitlines():
        if line.startswith('{"smtp": ') and line.endswith("}"):
            return MailServer(HOST, **json.loads(line))
    return None

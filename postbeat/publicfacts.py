"""What may be shown of an element to everybody who sees the pages: never a secret, nor a username. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from postbeat.elements import AnyElement, MailboxElement, SmtpElement


def mailbox_digest(mailbox: str) -> str:
    """What stands for the identity of a mailbox, which has a username in it."""
    return blake2b(mailbox.encode(), digest_size=8).hexdigest()


def public_facts(element: AnyElement) -> dict[str, Any]:
    """The public facts of an element, ready for JSON: what is not named here is not shown.

    ``poll`` is None for a mailbox that is only read for smtp elements; ``mailbox`` is "" for an smtp element.
    """
    read, email = (element.read, element.email) if isinstance(element, SmtpElement) else (None, None)
    return {
        "name": element.name,
        "type": element.kind.value,
        "server": element.server,
        "port": element.port,
        "description": element.description,
        "group": element.group,
        "regions": list(element.regions),
        "poll": element.poll,
        "read": read or "",
        "email": email or "",
        "quorum": element.quorum,
        "confirmpolls": element.confirmpolls,
        "availabilitytarget": element.availabilitytarget,
        "maintenance": [str(window) for window in element.maintenance],
        "servicelevels": [str(level) for level in element.servicelevels],
        "active": element.active,
        "mailbox": mailbox_digest(element.mailbox) if isinstance(element, MailboxElement) else "",
    }

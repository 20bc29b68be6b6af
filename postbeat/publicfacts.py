"""What may be shown of an element to everybody who sees the pages: never a secret, nor a username. Pure."""

from __future__ import annotations

from typing import Any

from postbeat.elements import AnyElement, SmtpElement


def public_facts(element: AnyElement) -> dict[str, Any]:
    """The public facts of an element, ready for JSON: what is not named here is not shown.

    ``poll`` is None for a mailbox that is only read for smtp elements.
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
    }

"""Which mailbox an smtp element delivers to: the ISM's monitors know nothing of each other, and ours do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from postbeat.ism.transfer.drafts import Draft
from postbeat.ism.transfer.report import Effect
from postbeat.model import Kind


def pair(drafts: Sequence[Draft], names: Mapping[str, str]) -> None:
    """Gives smtp elements their ``read``, where they name none. ``names`` has the new names by the old ones.

    A mailbox fits whose ``email`` or login is the address; or whose login is what stands before its @, on
    the same server or one of the address's domain. One on the same server, or of the same profile, is
    preferred.
    """
    readers = _by_login([draft for draft in drafts if draft.kind is not Kind.SMTP])
    used: set[str] = set()
    for draft in drafts:
        if draft.kind is not Kind.SMTP:
            continue
        if "read" in draft.row.given:
            wanted = draft.text("read")
            if wanted:
                draft.values["read"] = names.get(wanted, wanted)
        elif draft.text("email"):
            used |= _pair(draft, readers)
    for draft in drafts:
        if draft.kind is not Kind.SMTP and "email" in draft.row.given:
            _account_for_email(draft, used)


def _by_login(readers: Sequence[Draft]) -> dict[str, list[Draft]]:
    found = defaultdict[str, list[Draft]](list)
    for reader in readers:
        for login in {reader.text("username").casefold(), reader.text("email").casefold()} - {""}:
            found[login].append(reader)
    return found


def _pair(draft: Draft, readers: Mapping[str, list[Draft]]) -> set[str]:
    """Settles one element; returns the name of the mailbox, if there is one."""
    email = draft.text("email").casefold()
    local, _, domain = email.rpartition("@")
    found = list(readers.get(email, []))
    if not found:
        found = [it for it in readers.get(local, []) if _server(it) == _server(draft) or _is_of(it, domain)]
    for preferred in (_same_server, _same_profile):
        found = [reader for reader in found if preferred(reader, draft)] or found
    if not found:
        text = "no mailbox of the file belongs to it: only the sending is tested; name one in read"
        draft.note(Effect.REMARK, "email", text)
        return set()
    if len(found) > 1:
        text = f"it fits {_names(found)}: only the sending is tested; name one of them in read"
        draft.note(Effect.REMARK, "email", text)
        return set()
    (reader,) = found
    draft.values["read"] = reader.name
    draft.note(Effect.CHANGES, "email", f"its messages are looked for in {reader.name}, the same mailbox")
    return {reader.name}


def _account_for_email(draft: Draft, used: set[str]) -> None:
    if draft.name in used:
        draft.note(Effect.CHANGES, "email", "it told whose messages come here; a mailbox has none itself")
    else:
        text = "a mailbox has none, and no smtp element was paired with it"
        draft.note(Effect.LEFT_OUT, "email", text)


def _server(draft: Draft) -> str:
    return draft.text("server").casefold().rstrip(".")


def _is_of(draft: Draft, domain: str) -> bool:
    return bool(domain) and f".{_server(draft)}".endswith(f".{domain}")


def _same_server(reader: Draft, sender: Draft) -> bool:
    return _server(reader) == _server(sender)


def _same_profile(reader: Draft, sender: Draft) -> bool:
    return reader.row.profile == sender.row.profile


def _names(readers: Sequence[Draft]) -> str:
    shown = [reader.name for reader in readers[:4]]
    return " and ".join([*shown, "others"] if len(readers) > len(shown) else shown)

"""Which mailbox an smtp element delivers to: the ISM's monitors know nothing of each other, and ours do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from postbeat.ism.transfer.drafts import Draft
from postbeat.ism.transfer.report import Effect
from postbeat.model import Kind
from postbeat.yamllines import shown


def pair(drafts: Sequence[Draft]) -> None:
    """Gives smtp elements their ``read``: the mailbox that they name, or else one that fits.

    One that is named is looked for in the same profile first. A mailbox fits whose ``email`` or login is the
    address; or whose login is what stands before its @, on the same server or one of the address's domain.
    One on the same server, or of the same profile, is preferred.
    """
    mailboxes = [draft for draft in drafts if draft.kind is not Kind.SMTP]
    by_name = _by(mailboxes, lambda it: {it.text("name")})
    by_login = _by(mailboxes, lambda it: {it.text("username").casefold(), it.text("email").casefold()})
    used: set[str] = set()
    for draft in drafts:
        if draft.kind is not Kind.SMTP:
            continue
        if "read" in draft.row.given:
            _find(draft, by_name)
        elif draft.text("email"):
            used |= _pair(draft, by_login)
    for mailbox in mailboxes:
        if "email" in mailbox.row.given:
            _account_for_email(mailbox, used)


def _by(mailboxes: Sequence[Draft], keys: Callable[[Draft], set[str]]) -> dict[str, list[Draft]]:
    found = defaultdict[str, list[Draft]](list)
    for mailbox in mailboxes:
        for key in keys(mailbox) - {""}:
            found[key].append(mailbox)
    return found


def _find(draft: Draft, mailboxes: Mapping[str, list[Draft]]) -> None:
    """Settles an element that names its mailbox, which may have another name now."""
    wanted = draft.text("read")
    found = mailboxes.get(wanted, [])
    found = [it for it in found if _same_profile(it, draft)] or found
    if len(found) > 1:
        draft.fault("read", f"expected the name of one mailbox, got {shown(wanted)}, which {len(found)} have")
    elif found and found[0].name != wanted:
        draft.values["read"] = found[0].name
        draft.note(Effect.CHANGES, "read", f"{wanted} is {found[0].name} here")


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
        del draft.row.given["email"]


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

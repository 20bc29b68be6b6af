"""Which folders of an IMAP4 mailbox are looked into beside the main one, and what is counted in them."""

from __future__ import annotations

from postbeat.delivery import MailboxFacts
from postbeat.elements import Imap4Element
from postbeat.probes.imap4folder import Folder
from postbeat.probes.imap4talk import Imap4Conversation
from postbeat.wire.imap4args import Argument, folder_name, folder_text, string_of
from postbeat.wire.imap4data import (
    STORAGE_UNIT,
    Listed,
    Quota,
    listing,
    namespaces,
    quotas,
    status_items,
)

AUTO = "auto"  # the spam folder that is found without being named

# What spam folders are called where the server does not say which one it is, the likeliest first, in small
# letters. Only the last part of a name counts: [Gmail]/Spam is among them.
SPAM_NAMES = (
    *("junk", "spam", "junk e-mail", "junk email", "junk-e-mail", "junk mail", "bulk mail", "bulk"),
    *("spamverdacht", "courrier indésirable", "pourriel", "correo no deseado", "posta indesiderata"),
)
_NOT_FOR_MAIL = frozenset({"\\NOSELECT", "\\NONEXISTENT"})


async def others(talk: Imap4Conversation, element: Imap4Element, item: bytes) -> list[Folder]:
    """The folders of the element beside its main one; whether they exist is not asked.

    Raises:
        RemoteFault: the server ends the session, or answers out of the protocol.
    """
    known = {_key(element.folder)}
    found = []
    spam = await _spam_folder(talk, element.spamfolder)
    named = [(name, _wire(talk, name)) for name in element.folders]
    for name, wire in [*named, *([spam] if spam is not None else [])]:
        if _key(name) not in known:
            known.add(_key(name))
            is_spam = spam is not None and _key(name) == _key(spam[0])
            found.append(Folder(talk, name, wire, item, spam=is_spam))
    return found


def _key(name: str) -> str:
    """INBOX is the only name whose case does not matter (RFC 3501 section 5.1)."""
    return "INBOX" if name.upper() == "INBOX" else name


def _wire(talk: Imap4Conversation, name: str) -> Argument:
    return folder_name(name, utf8=talk.client.rev2)


async def _spam_folder(talk: Imap4Conversation, wanted: str) -> tuple[str, Argument] | None:
    if wanted != AUTO:
        return (wanted, _wire(talk, wanted)) if wanted else None
    prefix = b""
    foreign: list[bytes] = []
    if talk.offers("NAMESPACE"):
        personal, foreign = namespaces((await talk.run(b"NAMESPACE"))[1])
        prefix = personal[0] if personal else b""
    words: list[Argument] = [b"LIST", b'""', string_of(prefix + b"*")]
    if talk.offers("SPECIAL-USE") and talk.offers("LIST-EXTENDED"):
        words += [b"RETURN", b"(SPECIAL-USE)"]  # RFC 6154 section 2; others tell it unasked, or not at all
    _, told = await talk.run(*words)
    strangers = tuple(filter(None, foreign))
    ours = [listed for listed in listing(told) if not listed.name.startswith(strangers)]
    spam = choose_spam([listed for listed in ours if listed.name.startswith(prefix)], utf8=talk.client.rev2)
    # Its name goes back exactly as it came: not every server writes modified UTF-7 as everybody does.
    return None if spam is None else (folder_text(spam.name, utf8=talk.client.rev2), string_of(spam.name))


def choose_spam(listed: list[Listed], *, utf8: bool = False) -> Listed | None:
    """The spam folder among these: the one that says so (RFC 6154 section 2), else the likeliest by name."""
    folders = [folder for folder in listed if not folder.attributes & _NOT_FOR_MAIL]
    for folder in folders:
        if "\\JUNK" in folder.attributes:
            return folder

    def likelihood(folder: Listed) -> tuple[int, int]:
        name = folder_text(folder.name, utf8=utf8).lower()
        parts = name.split(folder.delimiter.decode("ascii", "replace")) if folder.delimiter else [name]
        return SPAM_NAMES.index(parts[-1]) if parts[-1] in SPAM_NAMES else len(SPAM_NAMES), len(parts)

    best = min(folders, key=likelihood, default=None)
    return best if best is not None and likelihood(best)[0] < len(SPAM_NAMES) else None


async def status(talk: Imap4Conversation, folder: Folder, items: bytes) -> dict[str, int] | None:
    """These items of a folder's STATUS (RFC 3501 section 6.3.10), or None where the server does not tell."""
    answer, told = await talk.run(b"STATUS", folder.wire, b"(%b)" % items)
    return status_items(told) if answer.ok else None


async def facts(talk: Imap4Conversation, main: Folder, further: list[Folder]) -> MailboxFacts:
    """Messages and bytes of all these folders together, and the quota that matters to the main one.

    The main folder is open. Extras that are refused are left out.

    Raises:
        RemoteFault: the server ends the session, or answers out of the protocol.
    """
    with_size = talk.offers("STATUS=SIZE")
    counts = {main.name: talk.client.folder.exists}
    size: int | None = 0
    for folder in [main, *further] if with_size else further:
        told = await status(talk, folder, b"MESSAGES SIZE" if with_size else b"MESSAGES")
        if told is None and folder is not main:
            continue
        told = told or {}
        counts[folder.name] = told.get("MESSAGES", counts.get(folder.name, 0))
        size = size + told["SIZE"] if size is not None and "SIZE" in told else None
    quota = await _quota(talk, main)
    return MailboxFacts(
        messages=sum(counts.values()),
        size_bytes=size if with_size else None,
        quota_used_bytes=None if quota is None else quota.used * STORAGE_UNIT,
        quota_limit_bytes=None if quota is None else quota.limit * STORAGE_UNIT,
        folders=counts,
    )


async def _quota(talk: Imap4Conversation, folder: Folder) -> Quota | None:
    """The storage quota with the smallest limit of those that the folder is under (RFC 9208 section 5.1)."""
    if not talk.offers("QUOTA"):
        return None
    answer, told = await talk.run(b"GETQUOTAROOT", folder.wire)
    storage = [quota for quota in quotas(told) if quota.resource == "STORAGE"] if answer.ok else []
    return min(storage, key=lambda quota: quota.limit, default=None)

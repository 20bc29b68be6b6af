"""How messages leave a folder of an IMAP4 mailbox: these and no others (RFC 3501, RFC 4315, RFC 6851)."""

from __future__ import annotations

from collections.abc import Collection

from postbeat.model import FaultCode, RemoteFault
from postbeat.probes.imap4folder import WINDOW, windows
from postbeat.probes.imap4talk import Imap4Conversation, refusal
from postbeat.wire.imap4args import Argument, uid_set
from postbeat.wire.imap4data import search_result
from postbeat.wire.imap4reply import Status


async def remove(talk: Imap4Conversation, uids: Collection[int], into: Argument | None = None) -> None:
    """Deletes these messages of the open folder, or moves them into another one, which is made if need be.

    With UIDPLUS they are expunged by UID (RFC 4315 section 2.1). Without it EXPUNGE would take all that
    anybody flagged: it is sent only if nothing else is flagged, otherwise ours stay flagged.

    Raises:
        RemoteFault: the folder is read-only, or the server refuses.
    """
    if talk.client.folder.read_only:
        raise RemoteFault(FaultCode.REPLY, "the folder is read-only: nothing can be deleted from it")
    for some in windows(uids, WINDOW):
        if into is not None:
            await _transfer(talk, some, into)
            if talk.offers("MOVE"):
                continue
        await talk.succeed(
            "the server refused to flag our messages",
            *(b"UID STORE", uid_set(some), b"+FLAGS.SILENT", b"(\\Deleted)"),
        )
        if talk.offers("UIDPLUS"):
            await talk.succeed("the server refused to expunge our messages", b"UID EXPUNGE", uid_set(some))
    if not talk.offers("UIDPLUS") and (into is None or not talk.offers("MOVE")):
        await _expunge_if_all_are(talk, set(uids))


async def _transfer(talk: Imap4Conversation, uids: list[int], into: Argument) -> None:
    """UID MOVE (RFC 6851), or UID COPY where that is all that there is."""
    command = b"UID MOVE" if talk.offers("MOVE") else b"UID COPY"
    answer = await _run(talk, command, uid_set(uids), into)
    if answer.code == "TRYCREATE":
        await talk.succeed("the server refused to make the folder to move to", b"CREATE", into)
        answer = await _run(talk, command, uid_set(uids), into)
    if not answer.ok:
        raise refusal("the server refused to move our messages", answer)


async def _run(talk: Imap4Conversation, *words: Argument) -> Status:
    answer, _ = await talk.run(*words)
    return answer


async def _expunge_if_all_are(talk: Imap4Conversation, ours: set[int]) -> None:
    search = (b"UID SEARCH", b"RETURN", b"(ALL)") if talk.offers("ESEARCH") else (b"UID SEARCH",)
    answer, told = await talk.run(*search, b"DELETED")
    if not answer.ok:
        raise refusal("the server refused to search", answer)
    found = search_result(told)
    # A range is not spelled out before it is known to be no longer than our own list.
    if all(len(uids) <= len(ours) and ours.issuperset(uids) for uids in found):
        await talk.succeed("the server refused to expunge our messages", b"EXPUNGE")

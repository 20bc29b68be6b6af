"""Scripts for IMAP4 sessions: what a server with these capabilities is asked, and what it answers."""

from __future__ import annotations

from postbeat.probes.session import Found, Memory, Place, Seen
from tests.servers.scripted import Step, dialogue

ITEM = "(UID BODY.PEEK[HEADER.FIELDS (X-Postbeat Received)]<0.65536>)"
NOOP = "C: {tag} NOOP\nS: {tag} OK nothing"
LOGOUT = "C: {tag} LOGOUT\nS: * BYE see you\nS: {tag} OK done"
STATUS_ITEMS = "(MESSAGES UIDNEXT UIDVALIDITY)"


def opened(
    folder: str, *, exists: int = 0, uidnext: int = 1, validity: int = 7, command: str = "SELECT"
) -> str:
    """A SELECT or EXAMINE and its answer."""
    mode = "READ-ONLY" if command == "EXAMINE" else "READ-WRITE"
    return f"""C: {{tag}} {command} {folder}
        S: * {exists} EXISTS
        S: * OK [UIDVALIDITY {validity}] valid
        S: * OK [UIDNEXT {uidnext}] next
        S: {{tag}} OK [{mode}] opened"""


def logged_in(capabilities: str, *rest: str, exists: int = 0, uidnext: int = 1) -> list[Step]:
    """A session with these capabilities from its greeting to the SELECT of INBOX, and then the rest."""
    beginning = f"""
        S: * OK [CAPABILITY IMAP4rev1] ready
        C: {{tag}} LOGIN user hunter2
        S: {{tag}} OK [CAPABILITY IMAP4rev1 {capabilities}] in"""
    return dialogue("\n".join([beginning, opened("INBOX", exists=exists, uidnext=uidnext), *rest]))


def shown(number: int, uid: int) -> str:
    """A line that shows a message with the header field ``A`` holding its UID."""
    return f'S: * {number} FETCH (UID {uid} BODY[HEADER.FIELDS (X-POSTBEAT RECEIVED)]<0> "A: {uid}")'


def fetch(messages: str, *lines: str) -> str:
    """A UID FETCH of headers and its answer."""
    return "\n".join([f"C: {{tag}} UID FETCH {messages} {ITEM}", *lines, "S: {tag} OK fetched"])


def status(folder: str, messages: int, uidnext: int, validity: int = 8) -> str:
    """A STATUS and its answer."""
    told = f"(MESSAGES {messages} UIDNEXT {uidnext} UIDVALIDITY {validity})"
    return f"C: {{tag}} STATUS {folder} {STATUS_ITEMS}\nS: * STATUS {folder} {told}\nS: {{tag}} OK told"


def place(uid: int, folder: str = "INBOX") -> Place:
    return Place(folder, str(uid))


def found(*uids: int, folder: str = "INBOX", spam: bool = False) -> list[Found]:
    """What a scan finds of :func:`shown`."""
    return [Found(place(uid, folder), f"A: {uid}".encode(), spam) for uid in uids]


def knowing(highest: int, validity: int = 7, **folders: int) -> Memory:
    """A memory of INBOX, and of other folders with the UIDVALIDITY 8."""
    others = {name: Seen("8", seen) for name, seen in folders.items()}
    return Memory({"INBOX": Seen(str(validity), highest), **others})

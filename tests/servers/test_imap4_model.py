"""Whatever others do in a mailbox between two looks, a message is shown once, and only ours are deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.probes import imap4, imap4folder
from postbeat.probes.session import Memory, Place
from tests.servers.openings import open_imap4
from tests.servers.scripted import ScriptedServer

FOLDERS = ("INBOX", "Junk")


@dataclass
class Box:
    """A folder: the UIDs in it, oldest first."""

    validity: int = 1
    uidnext: int = 1
    uids: list[int] = field(default_factory=list)

    def deliver(self) -> int:
        self.uids.append(self.uidnext)
        self.uidnext += 1
        return self.uids[-1]


class Server:
    """An IMAP4 server with just what a session asks of it; it tells what others did when it is asked to."""

    def __init__(self) -> None:
        self.boxes = {name: Box() for name in FOLDERS}
        self.clients: list[asyncio.StreamWriter] = []
        self._box = self.boxes["INBOX"]
        self._told: list[int] = []
        self._flagged: set[int] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
            while True:
                line = (await reader.readuntil(b"\r\n")).decode().rstrip()
                tag, command, *words = line.replace("UID ", "UID", 1).split(" ", 3)
                said = [*getattr(self, f"on_{command.lower()}")(*words), f"{tag} OK done"]
                writer.write("".join(f"{each}\r\n" for each in said).encode())

    def on_login(self, *words: str) -> list[str]:
        return ["* CAPABILITY IMAP4rev1 UIDPLUS"]

    def on_select(self, name: str) -> list[str]:
        self._box = box = self.boxes[name]
        self._told = list(box.uids)
        numbers = f"* OK [UIDVALIDITY {box.validity}] ok", f"* OK [UIDNEXT {box.uidnext}] ok"
        return [f"* {len(box.uids)} EXISTS", *numbers]

    on_examine = on_select

    def on_logout(self) -> list[str]:
        return ["* BYE see you"]

    def on_noop(self) -> list[str]:
        said = []
        for uid in [uid for uid in self._told if uid not in self._box.uids]:
            said.append(f"* {self._told.index(uid) + 1} EXPUNGE")
            self._told.remove(uid)
        if len(self._box.uids) > len(self._told):
            said.append(f"* {len(self._box.uids)} EXISTS")
        self._told = list(self._box.uids)
        return said

    def on_status(self, name: str, *words: str) -> list[str]:
        box = self.boxes[name]
        counts = f"MESSAGES {len(box.uids)} UIDNEXT {box.uidnext} UIDVALIDITY {box.validity}"
        return [f"* STATUS {name} ({counts})"]

    def on_fetch(self, numbers: str, *words: str) -> list[str]:
        first, _, last = numbers.partition(":")
        return self._shown(set(self._told[int(first) - 1 : int(last or first)]))

    def on_uidfetch(self, uids: str, *words: str) -> list[str]:
        if not uids.endswith(":*"):
            return self._shown(set(map(int, uids.split(","))))
        return self._shown({uid for uid in self._told if uid >= int(uids[:-2])} | set(self._told[-1:]))

    def _shown(self, uids: set[int]) -> list[str]:
        there = [(n, uid) for n, uid in enumerate(self._told, 1) if uid in uids and uid in self._box.uids]
        return [f'* {number} FETCH (UID {uid} BODY[HEADER.FIELDS (X)] "X: {uid}")' for number, uid in there]

    def on_uidstore(self, uids: str, *words: str) -> list[str]:
        self._flagged = set(map(int, uids.split(",")))
        return []

    def on_uidexpunge(self, uids: str) -> list[str]:
        gone = self._flagged & set(map(int, uids.split(",")))
        self._box.uids = [uid for uid in self._box.uids if uid not in gone]
        return self.on_noop()


@contextlib.asynccontextmanager
async def listening(server: Server) -> AsyncIterator[ScriptedServer]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        yield ScriptedServer(listener.sockets[0].getsockname()[1])
        for client in server.clients:
            client.close()
            with contextlib.suppress(ConnectionError):
                await client.wait_closed()


# What happens: to a folder (a delivery, a deletion by others at that place, a new UIDVALIDITY), or of ours.
THINGS = st.one_of(
    st.tuples(st.sampled_from(FOLDERS), st.sampled_from(["deliver", "deliver", "deliver", "renew"])),
    st.tuples(st.sampled_from(FOLDERS), st.integers(0, 5)),
    st.tuples(st.just("us"), st.sampled_from(["look", "glance", "delete", "reopen"])),
)


class Story:
    """What a reader has seen, beside what there was to see."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.memory = Memory()
        self.seen: list[tuple[int, Place]] = []  # with the UIDVALIDITY
        self.present: set[tuple[int, Place]] = set()

    def others_do(self, folder: str, what: str | int) -> None:
        box = self.server.boxes[folder]
        if what == "deliver":
            self.present.add((box.validity, Place(folder, str(box.deliver()))))
        elif what == "renew" and folder == "Junk":  # a folder that is open is not replaced
            box.validity += 1
            self.present = {(v, place) for v, place in self.present if place.folder != folder}
            self.present |= {(box.validity, Place(folder, str(uid))) for uid in box.uids}
        elif isinstance(what, int) and what < len(box.uids):
            gone = Place(folder, str(box.uids.pop(what)))
            self.present -= {(box.validity, gone)}

    async def look(self, session: imap4.Imap4Session, *, everywhere: bool) -> None:
        found, self.memory = await session.scan(self.memory, everywhere=everywhere)
        for each in found:
            assert each.header == f"X: {each.place.uid}".encode()
            self.seen.append((self.server.boxes[each.place.folder].validity, each.place))

    async def delete(self, session: imap4.Imap4Session) -> None:
        """Deletes half of what was seen; by places that mean nothing any more, too."""
        boxes = self.server.boxes
        known = {place for validity, place in self.seen if validity == boxes[place.folder].validity}
        unaware = {
            place
            for _, place in self.seen
            if self.memory.folders[place.folder].validity != str(boxes[place.folder].validity)
        }
        before = {(name, uid) for name, box in boxes.items() for uid in box.uids}
        await session.delete([place for place in sorted(known | unaware) if int(place.uid) % 2])
        gone = before - {(name, uid) for name, box in boxes.items() for uid in box.uids}
        ours = {place for place in known if int(place.uid) % 2}
        assert {Place(name, str(uid)) for name, uid in gone} == {
            place for place in ours if (place.folder, int(place.uid)) in before
        }
        self.present = {entry for entry in self.present if entry[1] not in ours}


RENEWED: list[tuple[str, str | int]] = [("Junk", "deliver"), ("us", "look"), ("Junk", "renew")]


@settings(max_examples=60)
@given(st.lists(THINGS, max_size=40), st.integers(1, 3))
@example(RENEWED, 1)
@example([*RENEWED, ("us", "delete")], 1)
@example([*RENEWED, ("us", "reopen"), ("us", "delete")], 1)
def test_every_message_is_shown_once_and_no_other_is_deleted(
    things: list[tuple[str, str | int]], window: int
) -> None:
    async def test() -> None:
        server = Server()
        story = Story(server)
        async with listening(server) as port:
            session = await open_imap4(port, spamfolder="Junk")
            for who, what in [*things, *[("us", "look")] * 40]:
                if who != "us":
                    story.others_do(who, what)
                elif what == "reopen":
                    await session.finish()
                    session = await open_imap4(port, spamfolder="Junk")
                    await story.look(session, everywhere=False)
                elif what == "delete":
                    await story.delete(session)
                else:
                    await story.look(session, everywhere=what == "look")
            await session.finish()
        assert len(story.seen) == len(set(story.seen))
        assert story.present <= set(story.seen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imap4folder, "WINDOW", window)
        patch.setattr(imap4folder, "SCAN_LIMIT", 2)
        patch.setattr(imap4, "SCAN_LIMIT", 2)
        asyncio.run(test())

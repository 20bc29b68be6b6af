"""Mail servers that cost as little as possible: what is measured is Postbeat, not its counterpart.

``python -m benchmarks.sinks`` listens on two ports of 127.0.0.1, which it prints. What the SMTP sink takes
lies in the mailbox of the recipient's local part, where the IMAP4 sink shows it to whoever logs in by that
name. They speak what a well-behaved client needs and check nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import cast

import uvloop

HOST = "127.0.0.1"
_CAPABILITIES = b"[CAPABILITY IMAP4rev1 UIDPLUS]"
_RECIPIENT = re.compile(rb"<([^@>]*)")
_FIELD = re.compile(
    rb"^(?:X-Postbeat|Message-ID|Content-Type|Auto-Submitted):.*\r\n", re.MULTILINE | re.IGNORECASE
)


@dataclass(slots=True)
class Box:
    """A mailbox: of each message the header fields that a reader asks for, and its text. UIDs ascend."""

    uids: list[int] = field(default_factory=list)
    headers: dict[int, bytes] = field(default_factory=dict)
    texts: dict[int, bytes] = field(default_factory=dict)
    uidnext: int = 1

    def deliver(self, message: bytes) -> None:
        """Takes a message."""
        text = b"Received: from client by sink; Wed, 25 Nov 2026 10:00:00 +0000\r\n" + message + b"\r\n"
        header = text.partition(b"\r\n\r\n")[0] + b"\r\n"
        self.headers[self.uidnext] = b"".join(_FIELD.findall(header)) + b"\r\n"
        self.texts[self.uidnext] = text
        self.uids.append(self.uidnext)
        self.uidnext += 1


_boxes: defaultdict[bytes, Box] = defaultdict(Box)


class SmtpSink(asyncio.Protocol):
    """Accepts every message (RFC 5321)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets."""
        self._transport = cast(asyncio.Transport, transport)
        self._unread = b""
        self._box: Box | None = None
        self._in_data = False
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answers all complete commands in one write."""
        self._unread += data
        answers = b""
        while True:
            taken, mark, rest = self._unread.partition(b"\r\n.\r\n" if self._in_data else b"\r\n")
            if not mark:
                break
            self._unread = rest
            answers += self._message(taken) if self._in_data else self._command(taken)
        if answers:
            self._transport.write(answers)

    def _message(self, text: bytes) -> bytes:
        if self._box is not None:
            self._box.deliver(text)
        self._in_data = False
        return b"250 2.0.0 taken\r\n"

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"DATA":
            self._in_data = True
            return b"354 go ahead\r\n"
        if verb == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n"
        if verb == b"QUIT":
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
            return b""
        if verb == b"RCPT" and (match := _RECIPIENT.search(line)):
            self._box = _boxes[match[1]]
        return b"250 2.0.0 ok\r\n"


class Imap4Sink(asyncio.Protocol):
    """One session on a mailbox (RFC 3501). It relies on being the only one there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets."""
        self._transport = cast(asyncio.Transport, transport)
        self._unread = b""
        self._box = Box()
        self._exists = 0
        self._transport.write(b"* OK " + _CAPABILITIES + b" ready\r\n")

    def data_received(self, data: bytes) -> None:
        """Answers all complete commands."""
        self._unread += data
        *lines, self._unread = self._unread.split(b"\r\n")
        for line in lines:
            tag, _, rest = line.partition(b" ")
            by_uid = rest.startswith(b"UID ")
            verb, _, arguments = rest.removeprefix(b"UID ").partition(b" ")
            answer = self._answer(verb, arguments, by_uid=by_uid)
            self._transport.write(
                answer + tag + b" OK " + (b"" if verb != b"LOGIN" else _CAPABILITIES) + b" done\r\n"
            )
            if verb == b"LOGOUT":
                self._transport.close()

    def _answer(self, verb: bytes, arguments: bytes, *, by_uid: bool) -> bytes:
        if verb == b"LOGIN":
            self._box = _boxes[arguments.split()[0].strip(b'"').partition(b"@")[0]]
        elif verb == b"SELECT":
            return (
                self._news() + b"* OK [UIDVALIDITY 1] valid\r\n* OK [UIDNEXT %d] next\r\n" % self._box.uidnext
            )
        elif verb == b"NOOP":
            return self._news()
        elif verb == b"FETCH":
            return self._fetch(arguments, by_uid=by_uid)
        elif verb == b"EXPUNGE":
            return self._expunge(arguments)
        elif verb == b"LOGOUT":
            return b"* BYE bye\r\n"
        return b""

    def _news(self) -> bytes:
        if self._exists == len(self._box.uids):
            return b""
        self._exists = len(self._box.uids)
        return b"* %d EXISTS\r\n" % self._exists

    def _fetch(self, arguments: bytes, *, by_uid: bool) -> bytes:
        wanted, _, items = arguments.partition(b" ")
        indices = (index for part in wanted.split(b",") for index in self._indices(part, by_uid=by_uid))
        return b"".join(self._shown(index, items) for index in indices)

    def _indices(self, part: bytes, *, by_uid: bool) -> range:
        """The messages of a number, or of a range of them, as indices."""
        first, _, last = part.partition(b":")
        if not by_uid:
            return range(
                int(first) - 1, self._exists if last == b"*" else min(self._exists, int(last or first))
            )
        uids = self._box.uids
        end = self._exists if last == b"*" else bisect_right(uids, int(last or first))
        return range(bisect_left(uids, int(first)), min(end, self._exists))

    def _shown(self, index: int, items: bytes) -> bytes:
        uid = self._box.uids[index]
        if b"HEADER" in items:
            item, text = b"BODY[HEADER.FIELDS (X-POSTBEAT)]<0>", self._box.headers[uid]
        elif b"BODY" in items:
            item, text = b"BODY[]<0>", self._box.texts[uid]
        else:
            return b"* %d FETCH (UID %d)\r\n" % (index + 1, uid)
        return b"* %d FETCH (UID %d %b {%d}\r\n%b)\r\n" % (index + 1, uid, item, len(text), text)

    def _expunge(self, arguments: bytes) -> bytes:
        box = self._box
        answer = b""
        for uid in map(int, arguments.split(b",")):
            if uid in box.headers:
                index = bisect_left(box.uids, uid)
                del box.uids[index], box.headers[uid], box.texts[uid]
                self._exists -= 1
                answer += b"* %d EXPUNGE\r\n" % (index + 1)
        return answer


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(SmtpSink, HOST, 0, backlog=4096)
    imap4 = await loop.create_server(Imap4Sink, HOST, 0, backlog=4096)
    ports = {"smtp": smtp.sockets[0].getsockname()[1], "imap4": imap4.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    await asyncio.gather(smtp.serve_forever(), imap4.serve_forever())


if __name__ == "__main__":
    uvloop.run(_serve())

"""The conversation below an IMAP4 session: commands, their answers, and IDLE (RFC 3501)."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable

from postbeat.dial import Stream
from postbeat.model import FaultCode, FaultError, LocalFault, RemoteFault
from postbeat.probes.opening import next_reply, our_doing, throttled
from postbeat.wire import imap4
from postbeat.wire.imap4 import Imap4Client
from postbeat.wire.imap4args import Argument
from postbeat.wire.imap4reply import Continuation, Data, Fetch, Reply, Status, Value
from postbeat.wire.line import TEXT_LIMIT

# Memory that the answer to one command may take, roughly, in bytes. Protects the worker from a server that
# answers for ever; a window of messages with the largest headers stays below half of it.
ANSWER_LIMIT = 16 << 20
_OBJECT_SIZE = 64  # what Python adds to each small object, roughly

# Untagged data that answers a question of ours; the client itself keeps what is told of the folder.
_ANSWERS = frozenset({"SEARCH", "ESEARCH", "LIST", "STATUS", "NAMESPACE", "QUOTA"})


class _Idle(enum.Enum):
    """How far an IDLE is (RFC 2177)."""

    NONE = enum.auto()
    ASKED = enum.auto()  # the server has not agreed yet
    ON = enum.auto()
    ENDING = enum.auto()  # DONE was sent


class Imap4Conversation:
    """A connection on which one command at a time is under way.

    Every method that waits raises RemoteFault DISCONNECTED where the server says BYE or closes.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.client = Imap4Client()
        self.can_idle = True  # until the server refuses
        self._idle = _Idle.NONE

    def offers(self, capability: str) -> bool:
        """Whether the server has this capability, given in capitals."""
        return self.client.offers(capability)

    async def succeed(self, failure: str, *words: Argument) -> Status:
        """Runs a command that has to succeed.

        Raises:
            RemoteFault: REPLY, with ``failure`` and what the server said.
            LocalFault: THROTTLED where the server says that we ask for too much.
        """
        answer, _ = await self.run(*words)
        if not answer.ok:
            raise refusal(failure, answer)
        return answer

    async def run(
        self, *words: Argument, respond: Callable[[bytes], Awaitable[bytes]] | None = None
    ) -> tuple[Status, list[Reply]]:
        """Runs a command: its answer, and the untagged data before it that answers a question.

        ``respond`` answers challenges, in base64. Where it cannot, the command is cancelled with ``*`` (RFC
        3501 section 6.2.2).

        Raises:
            RemoteFault: the server answers out of the protocol, or without end.
        """
        await self._end_idle()
        told: list[Reply] = []
        size = 0
        self.stream.write(self.client.send(*words))
        while True:
            reply = await self._reply()
            if isinstance(reply, Continuation):
                await self._proceed(reply, respond)
            elif isinstance(reply, Status) and reply.tag:
                return reply, told
            elif isinstance(reply, Fetch) or (isinstance(reply, Data) and reply.word in _ANSWERS):
                size += _size(reply)
                told.append(reply)
                if size > ANSWER_LIMIT:
                    raise RemoteFault(FaultCode.PROTOCOL, "the server's answer does not end")

    async def _proceed(
        self, reply: Continuation, respond: Callable[[bytes], Awaitable[bytes]] | None
    ) -> None:
        literal = self.client.proceed()
        if literal is not None:
            self.stream.write(literal)
        elif respond is not None:
            try:
                self.stream.write(await respond(reply.text) + b"\r\n")
            except FaultError:
                self.stream.write(b"*\r\n")
                raise
        else:
            raise RemoteFault(FaultCode.PROTOCOL, "the server wants more of a command that is complete")

    async def idle(self, longest_s: float, patience_s: float, has_news: Callable[[], bool]) -> None:
        """One IDLE (RFC 2177), until there is news, the time is over, or the server does not want it.

        ``patience_s`` is how long the server may take to end it. After a cancellation the next command
        ends it first.

        Raises:
            RemoteFault: TIMEOUT where the server does not end it.
        """
        await self._end_idle()
        self.stream.write(self.client.send(b"IDLE"))
        self._idle = _Idle.ASKED
        try:
            async with asyncio.timeout(longest_s):
                while self._idle is not _Idle.NONE and not has_news():
                    await self._idle_step()
        except TimeoutError:
            pass  # as intended
        try:
            async with asyncio.timeout(patience_s):
                await self._end_idle()
        except TimeoutError:
            text = f"the server did not end IDLE within {patience_s:g} s"
            raise RemoteFault(FaultCode.TIMEOUT, text) from None

    async def _idle_step(self) -> None:
        """Takes in one reply of an IDLE."""
        reply = await self._reply()
        if isinstance(reply, Continuation) and self._idle is _Idle.ASKED:
            self._idle = _Idle.ON
        elif self.client.is_answer(reply):
            # Refused, or ended unasked: such a server is not asked again.
            self.can_idle = self._idle is _Idle.ENDING
            self._idle = _Idle.NONE

    async def _end_idle(self) -> None:
        """Ends an IDLE that is on, whatever it has come to. May be cancelled and called again."""
        while self._idle is not _Idle.NONE:
            if self._idle is _Idle.ON:
                self.stream.write(b"DONE\r\n")
                self._idle = _Idle.ENDING
            await self._idle_step()

    async def log_out(self) -> None:
        """Logs out (RFC 3501 section 6.1.3) and closes the connection.

        Raises:
            RemoteFault: the server did not confirm it.
        """
        said_goodbye = False
        try:
            await self._end_idle()
            self.stream.write(self.client.send(b"LOGOUT"))
            answered = False
            while not answered:
                reply: Reply = await next_reply(self.stream, self.client)
                said_goodbye = said_goodbye or imap4.goodbye(reply) is not None
                answered = self.client.is_answer(reply)
        except FaultError as error:
            # Some servers close after BYE without the tagged answer; nothing is lost by that.
            if not said_goodbye or error.code is not FaultCode.DISCONNECTED:
                raise
        finally:
            self.abort()

    async def _reply(self) -> Reply:
        reply: Reply = await next_reply(self.stream, self.client)
        goodbye = imap4.goodbye(reply)
        if goodbye is not None:
            raise goodbye
        return reply

    def abort(self) -> None:
        """Closes the connection at once."""
        self.stream.close()


def in_use(answer: Status) -> bool:
    """Whether a refusal is the doing of our own sessions (RFC 5530 section 3, or by its text)."""
    return answer.code == "INUSE" or our_doing(answer.text)


def refusal(what: str, answer: Status) -> FaultError:
    """The fault of a command that was refused: the server's, unless it says that we ask for too much."""
    text = f"{what}: {said(answer)}"
    if throttled(answer.text):
        return LocalFault(FaultCode.THROTTLED, text)
    return RemoteFault(FaultCode.REPLY, text)


def said(answer: Status) -> str:
    """What a server said, with its response code, bounded."""
    code = f"[{answer.code}] " if answer.code else ""
    return f"{code}{answer.text}"[:TEXT_LIMIT]


def _size(reply: Fetch | Data) -> int:
    if isinstance(reply, Fetch):
        return _OBJECT_SIZE + len(reply.header or b"") + len(reply.text) + len(reply.message)
    return _size_of(reply.values)


def _size_of(value: Value) -> int:
    # As deep as the parser lets it be, which is not deep.
    if isinstance(value, tuple):
        return _OBJECT_SIZE + sum(map(_size_of, value))
    return _OBJECT_SIZE + len(value or b"")

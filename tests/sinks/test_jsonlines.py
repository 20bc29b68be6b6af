"""Lines at the end of a file and by sockets: in order, whole, and none lost while their receiver is away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import pytest

from postbeat.sinks.addresses import Target
from postbeat.sinks.channel import NotDeliveredError
from postbeat.sinks.jsonlines import FileChannel, SocketChannel
from postbeat.sinks.notice import samples
from tests.ports import free_port
from tests.sinks.rig import Rig

NOTICE = next(samples())


def documents(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def ids(path: Path) -> list[str]:
    return [document["id"] for document in documents(path)]


def appended(path: Path) -> None:
    """Appends one line, by a channel of its own."""

    async def run() -> None:
        channel = FileChannel(path)
        try:
            await channel.deliver(NOTICE)
        finally:
            await channel.close()

    asyncio.run(run())


@dataclass
class Collector:
    """Reads lines from connections, if it ``reads``.

    ``lines_each`` is after how many it ends one: it closes its direction and reads on, or (``rude``) goes.
    """

    lines_each: int | None = None
    reads: bool = True
    rude: bool = False
    connections: int = 0
    lines: list[bytes] = field(default_factory=list)
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def up(self, target: str) -> AsyncIterator[Self]:
        if target.startswith("unix:"):
            server = await asyncio.start_unix_server(self._take, target.removeprefix("unix:"))
        else:
            server = await asyncio.start_server(self._take, "127.0.0.1", int(target.rpartition(":")[2]))
        try:
            yield self
        finally:
            server.close()
            for writer in self._open:
                writer.transport.abort()
            await server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        if not self.reads:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            return
        count = 0
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                if line.endswith(b"\n"):  # else the connection has ended in it
                    self.lines.append(line)
                count += 1
                if count == self.lines_each and self.rude:
                    break
                if count == self.lines_each:
                    writer.write_eof()
            writer.close()

    def ids(self) -> list[str]:
        return [json.loads(line)["id"] for line in self.lines]


@pytest.fixture(params=["tcp", "unix"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"tcp://127.0.0.1:{free_port()}" if request.param == "tcp" else f"unix:{tmp_path}/socket"


def test_a_file_gets_the_document_of_each_event_in_a_line(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    async def run() -> None:
        async with rig.serving({"name": "lines", "type": "jsonlines", "to": str(path)}):
            rig.level("GOOD", "FAILED", message="452 4.2.2 full\nüber \u2028 all")
            rig.verdict("GOOD", "FAILED")
            rig.level("GOOD", "MARGINAL", element="other")
            await rig.settled("lines")

    asyncio.run(run())
    assert ids(path) == rig.events()
    first, second, _ = documents(path)
    assert (first["state"], first["region"], first["kind"]) == ("problem", "lab", "level")
    assert first["message"].startswith("452 4.2.2 full\nüber")
    assert (second["kind"], second["regions"]) == ("verdict", {"lab": "FAILED"})
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_file_that_is_moved_away_or_deleted_is_begun_anew(rig: Rig, tmp_path: Path) -> None:
    path, moved = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"

    async def run() -> None:
        async with rig.serving({"name": "lines", "type": "jsonlines", "to": str(path)}):
            for change in (lambda: path.rename(moved), path.unlink, lambda: None):
                rig.flip()
                await rig.settled("lines")
                change()

    asyncio.run(run())
    assert ids(moved) + ids(path) == [rig.events()[0], rig.events()[2]]


def test_a_folder_that_is_not_there_is_waited_for(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "later" / "events.jsonl"

    async def run() -> None:
        async with rig.serving({"name": "lines", "type": "jsonlines", "to": str(path)}):
            for _ in range(3):
                rig.flip()
            await rig.until(lambda: len(rig.clock.slept_s) > 5)
            assert not path.parent.exists()
            path.parent.mkdir()
            await rig.settled("lines")

    asyncio.run(run())
    assert ids(path) == rig.events()


FULL = """
import asyncio, resource, sys
from pathlib import Path
from tests.sinks.test_jsonlines import appended
from postbeat.sinks.channel import NotDeliveredError

path, room = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, resource.RLIM_INFINITY))
try:
    appended(path)
except NotDeliveredError as error:
    print(error)
"""


@pytest.mark.parametrize(("room", "reason"), [(0, "File too large"), (100, "No space left on device")])
def test_a_line_that_finds_no_room_leaves_nothing_behind(tmp_path: Path, room: int, reason: str) -> None:
    path = tmp_path / "events.jsonl"
    appended(path)
    before = path.read_bytes()
    command = [sys.executable, "-c", FULL, str(path), str(room)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == f"{path}: {reason}\n"
    assert path.read_bytes() == before
    appended(path)
    assert path.read_bytes() == before * 2


def test_a_line_that_was_left_unfinished_stays_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"id": "1-0", "ki')
    appended(path)
    appended(path)
    first, *others = path.read_bytes().splitlines()
    assert first == b'{"id": "1-0", "ki'
    assert [json.loads(line)["id"] for line in others] == [NOTICE.id] * 2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "not a file"),
        (lambda path: path.symlink_to("/dev/null"), "not a file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_not_written_to(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "events.jsonl"
    make(path)
    with pytest.raises(NotDeliveredError, match=f"{path}: {reason}"):
        appended(path)


def test_a_socket_gets_a_line_for_each_event_over_one_connection(rig: Rig, target: str) -> None:
    collector = Collector()

    async def run() -> None:
        sink = {"name": "lines", "type": "jsonlines", "to": target}
        async with collector.up(target), rig.serving(sink):
            for _ in range(300):
                rig.flip()
            await rig.settled("lines")

    asyncio.run(run())
    assert collector.ids() == rig.events()
    assert collector.connections == 1
    assert not rig.letters("lines")


def test_nothing_is_lost_or_out_of_order_while_a_receiver_is_away(rig: Rig, target: str) -> None:
    before, after = Collector(), Collector()

    async def run() -> None:
        async with rig.serving({"name": "lines", "type": "jsonlines", "to": target}):
            async with before.up(target):
                for _ in range(3):
                    rig.flip()
                await rig.settled("lines")
            for _ in range(3):
                rig.flip()
            await rig.until(lambda: len(rig.clock.slept_s) > 3)
            _removed(target)
            async with after.up(target):
                await rig.settled("lines")

    asyncio.run(run())
    assert before.ids() == rig.events()[:3]
    assert after.ids() == rig.events()[3:]


def _removed(target: str) -> None:
    """The socket of a server of this machine that has ended may still be there."""
    if target.startswith("unix:"):
        Path(target.removeprefix("unix:")).unlink(missing_ok=True)


@pytest.mark.parametrize("lines_each", [1, 2, 7])
def test_a_receiver_that_ends_connections_in_order_misses_nothing(
    rig: Rig, target: str, lines_each: int
) -> None:
    _ending(rig, target, Collector(lines_each))


# What its system has confirmed, a receiver by TCP that goes may not have read: docs/events.md.
@pytest.mark.parametrize("lines_each", [1, 2, 7])
def test_a_receiver_of_this_machine_may_go_at_any_moment(rig: Rig, tmp_path: Path, lines_each: int) -> None:
    _ending(rig, f"unix:{tmp_path}/socket", Collector(lines_each, rude=True))


def _ending(rig: Rig, target: str, collector: Collector) -> None:
    async def run() -> None:
        sink = {"name": "lines", "type": "jsonlines", "to": target}
        async with collector.up(target), rig.serving(sink):
            for _ in range(40):
                rig.flip()
            await rig.settled("lines")

    asyncio.run(run())
    # A line may come again: where a connection failed, nobody can tell whether it was read.
    assert [name for name, _ in groupby(collector.ids())] == rig.events()
    assert collector.lines_each
    assert collector.connections >= 40 // collector.lines_each


def test_a_line_that_a_receiver_of_this_machine_has_not_read_is_not_delivered(tmp_path: Path) -> None:
    target = Target(socket=f"{tmp_path}/socket")

    async def run() -> None:
        channel = SocketChannel(target, 0.3)
        async with Collector(reads=False).up(str(target)):
            with pytest.raises(NotDeliveredError, match=f"^{target} did not take it in time$"):
                await channel.deliver(NOTICE)
        _removed(str(target))
        async with Collector().up(str(target)) as collector:
            await channel.deliver(NOTICE)
            assert collector.ids() == [NOTICE.id]
        await channel.close()

    asyncio.run(run())


def test_nobody_there_is_said_with_the_address() -> None:
    async def run(target: Target) -> None:
        with pytest.raises(NotDeliveredError, match=f"^{target}: "):
            await SocketChannel(target, 5).deliver(NOTICE)

    asyncio.run(run(Target(host="127.0.0.1", port=free_port())))
    asyncio.run(run(Target(socket="/nowhere/at/all")))
    asyncio.run(run(Target(host="a..b", port=1)))

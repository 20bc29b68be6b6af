"""What is news comes by itself."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as AwayError

from postbeat.model import Level
from postbeat.web import stream
from postbeat.web.settings import WebSettings
from postbeat.web.stream import BACKLOG, Broadcast, Listener, message
from tests.web.filling import Filling
from tests.web.serving import Client, served

Message = dict[str, Any]


@contextmanager
def listening(client: Client, query: str = "", after: str = "") -> Iterator[Iterator[Message]]:
    """The messages of the stream, as they come."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    headers = {"authorization": f"Bearer {client.token}"} if client.token else {}
    headers |= {"last-event-id": after} if after else {}
    connection.request("GET", f"/events/stream{query}", headers=headers)
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")

    def messages() -> Iterator[Message]:
        fields: Message = {}
        over_s = time.monotonic() + 30  # the server sends comments for ever
        for line in iter(response.readline, b""):
            assert time.monotonic() < over_s
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = json.loads(value) if name == "data" else value
            elif fields:
                if "data" in fields:
                    yield fields
                fields = {}

    try:
        assert response.readline() == b"retry: 3000\n"
        yield messages()
    finally:
        response.close()
        connection.close()


def test_a_change_is_told_with_what_it_is_about(viewer: Client, filled: Filling) -> None:
    with listening(viewer) as messages:
        filled.send("us", 11, Level.FAILED)
        changes = [next(messages), next(messages)]
    assert {one["event"] for one in changes} == {"change"}
    level = next(one["data"] for one in changes if one["data"]["kind"] == "level")
    assert (level["element"], level["region"], level["was"], level["level"]) == (
        "mail",
        "us",
        "GOOD",
        "FAILED",
    )
    verdict = next(one["data"] for one in changes if one["data"]["kind"] == "verdict")
    assert (verdict["was"], verdict["verdict"]) == ("DEGRADED", "FAILED")


def test_results_are_told_to_those_who_look_at_their_element(viewer: Client, filled: Filling) -> None:
    with listening(viewer, "?element=pop") as pop:
        filled.send("eu", 12)
        filled.check("eu", 12)
        first = next(pop)
    assert (first["event"], first["data"]["poll"]) == ("result", "pop@eu#12")


def test_who_comes_back_is_told_what_they_missed(viewer: Client, filled: Filling) -> None:
    known = filled.redis.xrevrange("postbeat:events", count=1)[0][0]  # type: ignore[index]
    filled.check("eu", 13, Level.UNKNOWN)
    with listening(viewer, after=str(known)) as messages:
        missed = next(messages)
    assert missed["data"]["element"] == "pop"
    assert missed["id"] > str(known)
    assert viewer.get("/events/stream", {"last-event-id": "yesterday"}).status == 400


def test_who_is_too_slow_is_told_to_look_anew() -> None:
    async def slow() -> str:
        listener = Listener("")
        for number in range(BACKLOG + 1):
            listener.tell(message("change", number))
        await asyncio.sleep(0)
        return await anext(listener.messages())

    assert asyncio.run(slow()) == message("reset", {})


class Away:
    """Stands for the store of a Redis that is away at first."""

    def __init__(self, _url: str) -> None:
        self.left = 5
        self.follows = threading.Event()

    def last_entry(self, _key: str) -> str:
        self.left -= 1
        if self.left >= 0:
            raise AwayError("it is away")
        return "0-0"

    def follow_results(self, _after: str) -> Iterator[None]:
        while True:
            self.follows.set()
            time.sleep(0.01)
            yield None

    follow_events = follow_results

    def close(self) -> None:
        assert self.follows.is_set()


def test_that_redis_is_away_and_that_it_is_back_are_told_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    views: list[Away] = []

    def view(url: str) -> Away:
        views.append(Away(url))
        return views[-1]

    monkeypatch.setattr(stream, "ViewStore", view)
    monkeypatch.setattr(stream, "AGAIN_S", 0.01)

    async def told() -> list[str]:
        broadcast, listener = Broadcast("redis://127.0.0.1:1/"), Listener("")
        assert broadcast.enter(listener)
        await asyncio.to_thread(broadcast.start)
        for one in views:
            assert await asyncio.to_thread(one.follows.wait, 20)
        await asyncio.to_thread(broadcast.stop)
        messages = listener.messages()
        return [await anext(messages) for _ in range(4)]

    # Each of both streams of Redis is followed by itself.
    assert sorted(asyncio.run(told())) == [message("away", {})] * 2 + [message("reset", {})] * 2


def test_the_server_ends_while_somebody_listens(redis_server: str) -> None:
    with ExitStack() as late, served(WebSettings(redis_url=redis_server)) as client:
        late.enter_context(listening(client))
        assert client.get("/").status == 200

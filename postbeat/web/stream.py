"""Server-sent events: what is news, to all who look. One thread follows each stream for everybody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from redis.exceptions import RedisError

from postbeat import plain
from postbeat.results import AnyEvent, Result
from postbeat.store import keys
from postbeat.store.view import ViewStore
from postbeat.web.site import element_of

log = logging.getLogger(__name__)

MOST = 200  # who look at the same time; each holds a connection
BACKLOG = 200  # messages that wait for a slow reader before it is told to look anew
AGAIN_S = 1.0  # after Redis did not answer
ALIVE_S = 15.0  # a comment at least so often: proxies close what is silent
LONGEST_S = 900.0  # then the reader comes back, and has to be let in anew
REPLAYED = 500  # events at most that are told after a break

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class News:
    """One message: its element, and its text as it goes out."""

    element: str
    text: str


class Listener:
    """One who looks. ``element`` narrows what is told; results are told of one element only."""

    def __init__(self, element: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._element = element
        self._queue: asyncio.Queue[str] = asyncio.Queue(BACKLOG)

    def wants(self, news: News, *, is_result: bool) -> bool:
        """Whether it should hear of this."""
        return news.element == self._element or (not self._element and not is_result)

    def tell(self, text: str) -> None:
        """Hands a message over, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._put, text)
        except RuntimeError:  # the loop is closed: nobody listens any more
            return

    def _put(self, text: str) -> None:
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            text = message("reset", {})
        self._queue.put_nowait(text)

    async def messages(self) -> AsyncIterator[str]:
        """The messages as they come; a comment now and then while none comes. Ends after LONGEST_S."""
        over_s = self._loop.time() + LONGEST_S
        while self._loop.time() < over_s:
            try:
                async with asyncio.timeout(ALIVE_S):
                    text = await self._queue.get()
            except TimeoutError:
                text = ":\n\n"
            yield text


class Broadcast:
    """Follows results and events, and tells every listener."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._ends = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins to follow, from now on: whoever comes to listen later misses nothing."""
        for key, tell in ((keys.RESULTS, self._result), (keys.EVENTS, self._event)):
            view, after = ViewStore(self._url), ""
            with contextlib.suppress(RedisError):  # then it is tried again
                after = view.last_entry(key)
            thread = threading.Thread(target=self._follow, args=(view, key, after, tell), name=key)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ends, within a second."""
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def enter(self, listener: Listener) -> bool:
        """Adds a listener; False where there are too many."""
        with self._lock:
            if len(self._listeners) >= MOST:
                return False
            self._listeners.add(listener)
            return True

    def leave(self, listener: Listener) -> None:
        """Removes a listener."""
        with self._lock:
            self._listeners.discard(listener)

    def _follow(self, view: ViewStore, key: str, after: str, tell: Callable[[ViewStore, str], None]) -> None:
        is_away = False
        try:
            while not self._ends.is_set():
                try:
                    after = after or view.last_entry(key)
                    if is_away:
                        self._tell_all(message("reset", {}))
                        is_away = False
                    tell(view, after)
                except Exception as error:
                    if not isinstance(error, RedisError):
                        log.exception("cannot tell what came in %s", key)
                    if not is_away:
                        self._tell_all(message("away", {}))
                    # What came meanwhile is not told one by one: everybody looks anew once it goes on.
                    after, is_away = "", True
                    self._ends.wait(AGAIN_S)
        finally:
            view.close()

    def _result(self, view: ViewStore, after: str) -> None:
        for result in self._until_end(view.follow_results(after)):
            self._tell(News(result.poll.element, message("result", _in_short(result))), is_result=True)

    def _event(self, view: ViewStore, after: str) -> None:
        events: Iterator[AnyEvent] = self._until_end(view.follow_events(after))
        for event in events:
            self._tell(event_news(event), is_result=False)

    def _until_end(self, coming: Iterator[T | None]) -> Iterator[T]:
        for item in coming:
            if self._ends.is_set():
                return
            if item is not None:
                yield item

    def _tell(self, news: News, *, is_result: bool) -> None:
        with self._lock:
            for listener in self._listeners:
                if listener.wants(news, is_result=is_result):
                    listener.tell(news.text)

    def _tell_all(self, text: str) -> None:
        with self._lock:
            for listener in self._listeners:
                listener.tell(text)


def message(name: str, data: object, entry: str = "") -> str:
    """One message of the event stream (the HTML standard, section 9.2)."""
    number = f"id: {entry}\n" if entry else ""
    return f"{number}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def event_news(event: AnyEvent) -> News:
    """A change as a message; its id is that of the entry, from which a reader may go on."""
    return News(element_of(event), message("change", plain.event_as_data(event), event.id))


def missed(view: ViewStore, after: str, element: str) -> list[str]:
    """The changes after an entry, for a reader that comes back."""
    number = entry_number(after)

    def wanted(event: AnyEvent) -> bool:
        return entry_number(event.id) > number and element in ("", element_of(event))

    return [event_news(event).text for event in view.events(REPLAYED, wanted)]


def entry_number(entry: str) -> tuple[int, int]:
    """The id of an entry of a stream as numbers.

    Raises:
        ValueError: it is none.
    """
    milliseconds, _, sequence = entry.partition("-")
    if not (milliseconds.isascii() and milliseconds.isdigit() and len(entry) <= 40):
        raise ValueError("expected the id of an event, such as 1764151200000-0")
    return int(milliseconds), int(sequence or 0)


def _in_short(result: Result) -> dict[str, object]:
    return {
        "poll": str(result.poll),
        "element": result.poll.element,
        "region": result.poll.region,
        "phase": result.phase,
        "level": result.level,
        "message": result.message,
        "at": result.at_us / 1e6,
    }

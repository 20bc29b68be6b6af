"""Each event reaches its receiver once and in order, whatever happens to receivers and to ourselves."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as NoConnectionError

from postbeat.embedded.processes import Processes
from postbeat.model import Secret
from postbeat.sinks.channel import Channel, NotDeliveredError
from postbeat.sinks.config import WebhookSink
from postbeat.sinks.notice import Notice
from postbeat.sinks.runner import Runner
from postbeat.sinks.surroundings import StoredSurroundings
from postbeat.store import keys
from postbeat.store.outbox import Letters, Move, Outbox, connect
from tests.redis.restarting import Server
from tests.sinks.rig import Receiver, Rig

SECRET = "canary-secret-5d1c"


def hook(receiver: Receiver, name: str = "hook", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "webhook", "url": receiver.url, **more}


def changes(rig: Rig, count: int) -> list[str]:
    """Adds so many changes of a level, each from what the one before led to; their ids."""
    return [rig.flip() for _ in range(count)]


def test_every_event_comes_once_and_in_order(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            sent = changes(rig, 30)
            sent.append(rig.verdict("GOOD", "FAILED"))
            sent.append(rig.level("GOOD", "GOOD", outcome="duplicated"))
            await rig.settled("hook")
            assert receiver.ids() == sent
            assert [document["kind"] for document in receiver.taken[-2:]] == ["verdict", "outcome"]

    asyncio.run(run())


def test_a_receiver_that_was_down_gets_everything_once_and_in_order(rig: Rig) -> None:
    async def run() -> None:
        receiver = Receiver(answer=lambda number: 503 if number in (0, 1, 4) else 200)
        async with rig.serving(hook(receiver)):
            sent = changes(rig, 10)
            await rig.until(lambda: rig.redis.hget(keys.sink("hook"), "error"))
            async with receiver.up():
                sent += changes(rig, 10)
                await rig.until(lambda: len(receiver.taken) >= 5)
            sent += changes(rig, 10)
            await rig.until(lambda: rig.redis.hget(keys.sink("hook"), "error"))
            async with receiver.up():
                await rig.settled("hook")
            assert receiver.ids() == sent
            assert rig.redis.xlen(keys.sink_dead("hook")) == 0

    asyncio.run(run())


def test_a_sink_that_stays_down_does_not_hold_another(rig: Rig) -> None:
    async def run() -> None:
        down = Receiver()
        async with Receiver().up() as receiver, rig.serving(hook(down, "down"), hook(receiver)):
            sent = changes(rig, 5)
            await rig.settled("hook")
            assert receiver.ids() == sent
            assert rig.cursor("down") < sent[0]

    asyncio.run(run())


def test_pauses_grow_up_to_the_longest_and_a_receiver_may_ask_for_a_longer_one(rig: Rig) -> None:
    async def run() -> None:
        receiver = Receiver(answer=lambda number: 503 if number < 6 else 429 if number == 6 else 200)
        receiver.headers = {"Retry-After": "4"}
        async with receiver.up(), rig.serving(hook(receiver, retryfirst=1.5, retrylongest=6)):
            changes(rig, 1)
            await rig.settled("hook")
        pauses = [pause for pause in rig.clock.slept_s if pause != 1.0]
        assert pauses == [4, 4, 6, 6, 6, 6, 6]

    asyncio.run(run())


def test_what_a_receiver_refuses_for_good_goes_to_the_letters_and_the_next_event_follows(rig: Rig) -> None:
    async def run() -> None:
        receiver = Receiver(answer=lambda number: 404 if number == 0 else 200)
        async with receiver.up(), rig.serving(hook(receiver)):
            refused, taken = changes(rig, 2)
            await rig.settled("hook")
        assert receiver.ids() == [taken]
        (letter,) = rig.letters("hook")
        assert json.loads(letter["notice"])["id"] == refused
        assert letter["reason"] == f"http://127.0.0.1:{receiver.port} answered 404"

    asyncio.run(run())


def test_what_nobody_takes_is_given_up_in_the_end_and_can_be_delivered_again(rig: Rig) -> None:
    async def run() -> None:
        receiver = Receiver()
        async with rig.serving(hook(receiver, giveup=3600)):
            sent = changes(rig, 2)
            await rig.settled("hook")
            assert rig.clock.ahead_us > 7000e6
            assert [json.loads(letter["notice"])["id"] for letter in rig.letters("hook")] == sent
            async with receiver.up():
                store = Letters(rig.redis_url)
                assert store.requeue("hook") == 2
                store.close()
                await rig.until(lambda: len(receiver.taken) == 2)
                sent += changes(rig, 1)
                await rig.settled("hook")
            assert receiver.ids() == sent
            assert not rig.letters("hook")

    asyncio.run(run())


def test_a_signature_is_that_of_the_body_and_the_time(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver:
            headers = {"X-Team": "mail", "content-type": "text/plain"}
            async with rig.serving(hook(receiver, secret=SECRET, headers=headers)):
                (sent,) = changes(rig, 1)
                await rig.settled("hook")
        ((headers, body),) = receiver.requests
        parts = dict(part.split("=") for part in headers["Postbeat-Signature"].split(","))
        signed = parts["t"].encode() + b"." + body
        assert parts["v1"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert abs(int(parts["t"]) - rig.clock.now_us() / 1e6) < 60
        assert headers["Postbeat-Event-Id"] == sent
        assert (headers["X-Team"], headers["Content-Type"]) == ("mail", "application/json")

    asyncio.run(run())


def test_of_two_processes_each_event_comes_from_one(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver:
            async with rig.serving(hook(receiver)), rig.serving(hook(receiver)):
                sent = changes(rig, 20)
                await rig.settled("hook")
            assert receiver.ids() == sent

    asyncio.run(run())


def test_a_second_process_takes_over_where_the_first_ended(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver:
            async with rig.serving(hook(receiver)):
                sent = changes(rig, 3)
                await rig.settled("hook")
            sent += changes(rig, 3)
            async with rig.serving(hook(receiver)):
                sent += changes(rig, 3)
                await rig.settled("hook")
            assert receiver.ids() == sent

    asyncio.run(run())


def test_a_process_killed_after_a_delivery_repeats_that_event_with_its_id(
    rig: Rig, processes: Processes
) -> None:
    async def run() -> None:
        receiver = Receiver()

        def kill(number: int) -> int:
            if number == 2:
                os.kill(child.pid, signal.SIGKILL)
            return 200

        receiver.answer = kill
        rig.write(hook(receiver))
        command = [sys.executable, "-m", "postbeat", "notify", str(rig.path), "--redis", rig.redis_url]
        log = rig.folder / "notify.log"
        async with receiver.up():
            child = processes.start("notify", command, env=os.environ, log=log)
            await rig.until(lambda: rig.cursor("hook"))
            sent = changes(rig, 5)
            await rig.until(lambda: child.exit_code is not None)
            rig.redis.delete(keys.sink_lease("hook"))  # what the passing of time does
            async with rig.serving(hook(receiver)):
                await rig.settled("hook")
        assert receiver.ids() == [*sent[:3], *sent[2:]]

    asyncio.run(run())


def test_an_entry_that_is_no_event_is_passed_over(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            rig.redis.xadd(keys.EVENTS, {"kind": "of a later version"})
            (sent,) = changes(rig, 1)
            await rig.settled("hook")
            assert receiver.ids() == [sent]

    asyncio.run(run())


def test_a_change_of_the_file_is_taken_and_a_faulty_one_is_not(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            (first,) = changes(rig, 1)
            await rig.settled("hook")
            rig.path.write_text("sinks: [nonsense]")
            await rig.until(lambda: "not valid" in caplog.text)
            (second,) = changes(rig, 1)
            await rig.settled("hook")
            rig.write(hook(receiver, headers={"X-New": "1"}), hook(receiver, "other"))
            await rig.until(lambda: rig.cursor("other"))
            (third,) = changes(rig, 1)
            await rig.settled("hook", "other")
            assert receiver.ids() == [first, second, third, third]
            assert sum("X-New" in headers for headers, _ in receiver.requests) == 1

    asyncio.run(run())


def test_while_redis_is_away_after_a_delivery_nothing_is_repeated(
    rig: Rig, processes: Processes, tmp_path: Path
) -> None:
    server = Server(processes, tmp_path)

    async def run(rig: Rig) -> None:
        receiver = Receiver()

        def stop_redis(number: int) -> int:
            if number == 1:
                server.stop()
            return 200

        receiver.answer = stop_redis
        async with receiver.up(), rig.serving(hook(receiver)):
            sent = changes(rig, 3)
            await rig.until(lambda: len(receiver.taken) == 2)
            before = len(rig.clock.slept_s)
            await rig.until(lambda: len(rig.clock.slept_s) > before)
            server.start()
            await rig.settled("hook")
            assert receiver.ids() == sent

    with Rig.open(server.url, tmp_path) as there:
        asyncio.run(run(there))
    server.stop()


def test_the_end_of_a_problem_that_was_lost_with_its_event_is_told_in_the_end(rig: Rig) -> None:
    async def run() -> None:
        receiver = Receiver()
        async with receiver.up(), rig.serving(hook(receiver)):
            over = rig.level("GOOD", "FAILED", element="over")
            still = rig.verdict("GOOD", "FAILED", element="still")
            await rig.settled("hook")
        rig.level("FAILED", "GOOD", element="over")
        newest = rig.level("UNKNOWN", "GOOD", element="other")
        rig.redis.xtrim(keys.EVENTS, maxlen=1, approximate=False)
        rig.redis.hset(keys.pair("over@lab"), "level", "GOOD")
        failed = {"verdict": "FAILED", "since_us": 1, "quorum": "any", "regions": {"lab": "FAILED"}}
        rig.redis.hset(keys.VERDICTS, "still", json.dumps(failed))
        async with receiver.up(), rig.serving(hook(receiver)):
            await rig.until(lambda: len(receiver.taken) == 4)
            assert receiver.ids() == [over, still, newest, f"{over}-ended"]
            assert (receiver.taken[-1]["state"], receiver.taken[-1]["ends"]) == ("recovery", over)
            await rig.until(lambda: rig.redis.hkeys(keys.sink_open("hook")) == ["verdict:still"])

    asyncio.run(run())


def test_a_redis_that_is_full_is_said_once_with_what_it_answers(
    rig: Rig, processes: Processes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(processes, tmp_path)

    async def run(rig: Rig) -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            sent = changes(rig, 3)
            rig.redis.config_set("maxmemory", 1)
            await rig.until(lambda: len(rig.clock.slept_s) >= 3)
            rig.redis.config_set("maxmemory", 0)
            await rig.settled("hook")
            assert receiver.ids() == sent

    with Rig.open(server.url, tmp_path) as there:
        asyncio.run(run(there))
    server.stop()
    said = [it.getMessage() for it in caplog.records if "Redis" in it.getMessage()]
    assert said == [
        "Sink hook: Redis is full, nothing was written: see its maxmemory; it is tried again",
        "Sink hook: Redis answers again",
    ]


def test_what_comes_after_redis_was_emptied_is_told_once_and_in_order(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver, rig.serving(hook(receiver)):
            sent = changes(rig, 1)
            await rig.settled("hook")
            fields: Any = {"pair": "mail@lab", "was": "GOOD", "level": "GOOD", "at_us": rig.clock.now_us()}
            fields |= {"poll": "mail@lab#1", "phase": "after", "message": "twice", "outcome": "duplicated"}
            with rig.redis.pipeline(transaction=True) as pipe:
                pipe.flushall()
                for _ in range(4):
                    pipe.xadd(keys.EVENTS, fields)
                sent += pipe.execute()[1:]
            await rig.settled("hook")
            assert receiver.ids() == sent
            assert rig.redis.hget(keys.sink("hook"), "stream") == keys.EVENTS

    asyncio.run(run())


class Unheard(Outbox):
    """The answer to each move is lost when it comes for the first time."""

    _moved: Move | None = None

    async def commit(self, before: str, move: Move, now_us: int) -> None:
        await super().commit(before, move, now_us)
        if move is not self._moved:
            self._moved = move
            raise NoConnectionError("the answer is lost")


class Closed(Channel):
    async def deliver(self, notice: Notice) -> None:
        raise NotDeliveredError("never", permanent=True)


@asynccontextmanager
async def unheard(rig: Rig) -> AsyncIterator[None]:
    """Serves a sink that takes nothing."""
    redis = connect(rig.redis_url)
    surroundings = StoredSurroundings(redis, rig.redis_url, lambda: 0, rig.clock)
    sink = WebhookSink(name="hook", url=Secret("literal", "http://127.0.0.1/"))
    runner = Runner(sink, Unheard(redis, "hook"), Closed(), surroundings, rig.clock.world())
    task = asyncio.create_task(runner.run())
    await rig.until(lambda: rig.cursor("hook"))
    yield
    runner.stop()
    await task
    surroundings.close()
    await redis.aclose()


def test_a_move_whose_answer_is_lost_is_made_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with unheard(rig):
            sent = changes(rig, 2)
            await rig.settled("hook")
            with closing(Letters(rig.redis_url)) as letters:
                before = letters.listing("hook")
                assert [json.loads(letter.notice)["id"] for letter in before] == sent
                letters.requeue("hook")
                await rig.until(lambda: not rig.redis.hexists(keys.sink("hook"), "again"))
                after = letters.listing("hook")
            assert [letter.notice for letter in after] == [letter.notice for letter in before]
            assert not {letter.id for letter in after} & {letter.id for letter in before}

    asyncio.run(run())
    assert "another process" not in caplog.text


def test_a_sink_that_redis_has_forgotten_begins_where_its_process_had_it(rig: Rig) -> None:
    async def run() -> None:
        redis = connect(rig.redis_url)
        outbox = Outbox(redis, "hook")
        first, second = changes(rig, 2)
        assert await outbox.begin() == (second, False)
        rig.redis.delete(keys.sink("hook"))
        assert await outbox.begin(first) == (first, False)
        assert await outbox.begin(second) == (first, False)
        await redis.aclose()

    asyncio.run(run())

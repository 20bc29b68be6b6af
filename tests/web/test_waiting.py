"""While Redis hangs, nobody waits longer than one call of it, and what needs no Redis does not wait."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from redis.exceptions import ConnectionError as AwayError
from starlette.concurrency import run_in_threadpool

from postbeat.store.summary import ElementFacts
from postbeat.web.site import Site
from postbeat.web.waiting import AGAIN_S, TRY_S, Stores


def away() -> str:
    raise AwayError("it hangs")


def asked(stores: Stores, question: Callable[[], str]) -> str:
    return asyncio.run(stores.ask(question))


def waiting_for_another() -> int:
    """How many threads wait for what another is asking for."""
    stacks = [traceback.walk_stack(frame) for frame in sys._current_frames().values()]
    return sum(any(frame.f_code is Future.result.__code__ for frame, _ in stack) for stack in stacks)


def test_files_and_the_login_are_served_while_everybody_else_waits_for_redis() -> None:
    async def waits() -> int:
        stores, over = Stores(), threading.Event()
        asking = [asyncio.create_task(stores.ask(over.wait)) for _ in range(100)]
        try:
            await asyncio.sleep(0)
            async with asyncio.timeout(20):
                return await run_in_threadpool(lambda: 1)
        finally:
            over.set()
            await asyncio.gather(*asking)

    assert asyncio.run(waits()) == 1


def test_after_redis_was_away_one_tries_anew_and_the_others_are_told_at_once() -> None:
    now_s = 0.0
    stores = Stores(lambda: now_s)
    with pytest.raises(AwayError, match="it hangs"):
        asked(stores, away)
    with pytest.raises(AwayError, match="a moment ago"):
        asked(stores, lambda: "not asked")
    now_s += AGAIN_S

    def first() -> str:
        for _ in range(3):
            with pytest.raises(AwayError, match="a moment ago"):
                asked(stores, lambda: "not asked")
        return "it is back"

    assert asked(stores, first) == "it is back"
    assert asked(stores, lambda: "for all") == "for all"


def test_only_an_answer_tells_that_redis_is_back() -> None:
    now_s = 0.0
    stores = Stores(lambda: now_s)
    with pytest.raises(AwayError, match="it hangs"):
        asked(stores, away)
    now_s += AGAIN_S

    def wrong() -> str:
        raise ValueError("that was no question")

    with pytest.raises(ValueError, match="no question"):
        asked(stores, wrong)

    def next_one() -> str:
        with pytest.raises(AwayError, match="a moment ago"):
            asked(stores, lambda: "not asked")
        return "it is back"

    assert asked(stores, next_one) == "it is back"


def test_who_tries_for_too_long_is_not_the_only_one() -> None:
    now_s = 0.0
    stores = Stores(lambda: now_s)
    with pytest.raises(AwayError):
        asked(stores, away)
    now_s += AGAIN_S

    def slow() -> str:
        nonlocal now_s
        now_s += TRY_S
        return asked(stores, lambda: "it is back")

    assert asked(stores, slow) == "it is back"


def test_those_who_wait_for_an_overview_wait_for_one_call_together(monkeypatch: pytest.MonkeyPatch) -> None:
    site, calls, waiting = Site("redis://127.0.0.1:1/"), [], threading.Event()

    def hangs() -> dict[str, ElementFacts]:
        calls.append(1)
        assert waiting.wait(20)
        raise AwayError("it hangs")

    monkeypatch.setattr(site.view, "profile", hangs)
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(site.board) for _ in range(3)]
        over_s = time.monotonic() + 20
        while len(calls) + waiting_for_another() < 3 and time.monotonic() < over_s:
            time.sleep(0.01)
        waiting.set()
        assert [str(one.exception(20)) for one in asking] == ["it hangs"] * 3
    assert len(calls) == 1
    site.close()

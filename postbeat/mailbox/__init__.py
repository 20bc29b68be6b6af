"""The reader: the one session on a mailbox that resolves everything pending in it.

It looks (:mod:`looking`), says what happened to each message (:mod:`outcomes`), and deletes only messages
whose signature verifies, only after their result is recorded (:mod:`visit`). Between looks it waits: briefly
at first, longer the longer nothing comes (:mod:`pace`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from postbeat.elements import MailboxElement
from postbeat.mailbox.checks import checked, never_its_turn
from postbeat.mailbox.desk import Desk, Tools
from postbeat.mailbox.visit import Visit
from postbeat.model import Poll
from postbeat.results import Result

__all__ = ["Desk", "Tools", "check", "checked", "never_its_turn", "read"]

log = logging.getLogger(__name__)

E = TypeVar("E", bound=MailboxElement)


async def read(element: MailboxElement, desk: Desk, tools: Tools) -> None:
    """Reads until nothing is pending, under the desk's lease; ends at once when the lease is lost.

    Raises:
        LeaseLostError, redis.exceptions.RedisError: what the desk raises.
    """
    await _under_lease(_with_body(element, tools), desk, tools, Visit.run)


async def check(
    element: MailboxElement,
    poll: Poll,
    desk: Desk,
    tools: Tools,
    record: Callable[[Result], Awaitable[object]],
) -> None:
    """Tests the mailbox as a service, gives the result to ``record``, and goes on as its reader.

    Raises:
        LeaseLostError, redis.exceptions.RedisError: what the desk and ``record`` raise.
    """

    async def stay(visit: Visit) -> None:
        await record(await visit.check(poll))
        await visit.run()

    await _under_lease(_with_body(element, tools), desk, tools, stay)


def _with_body(element: E, tools: Tools) -> E:
    return replace(element, usebody=1) if tools.use_body and element.usebody is None else element


async def _under_lease(
    element: MailboxElement, desk: Desk, tools: Tools, stay: Callable[[Visit], Awaitable[None]]
) -> None:
    visit = Visit(element, desk, tools)
    keeper = asyncio.ensure_future(desk.keep())
    work = asyncio.ensure_future(stay(visit))
    try:
        await asyncio.wait((keeper, work), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        else:
            log.warning("the lease of %s was lost", element.mailbox)
    finally:
        for task in (work, keeper):
            task.cancel()
        await asyncio.gather(work, keeper, return_exceptions=True)
        visit.abort()
        if not visit.over:
            with contextlib.suppress(Exception):
                await desk.release(force=True)

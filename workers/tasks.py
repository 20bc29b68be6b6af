"""The tasks ``smtp.send``, ``mailbox.read`` and ``mailbox.check``. Thin: what they do is in postbeat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from postbeat import codec, mailbox, queues
from postbeat.elements import Imap4Element, Pop3Element, SmtpElement
from postbeat.model import Poll
from postbeat.results import Result
from postbeat.store.connecting import trouble_text
from postbeat.store.wake import wake_text
from postbeat.store.worker import LeaseLostError
from workers import context
from workers.app import app
from workers.pool import await_
from workers.readers import send_reader

log = logging.getLogger(__name__)

EXPIRED = "expired"
RECORD_WAITS_S = (0.5, 1.0, 2.0, 4.0)  # a result outlives a Redis that is away for a moment


@app.task(name=queues.SEND)
def smtp_send(element: str, reader: str, poll: str, expires_us: int) -> str:
    """Runs one poll of an smtp element, records it, and sends a reader after the message.

    Args:
        element: the smtp element as JSON, its secrets sealed or by reference.
        reader: the paired mailbox element as JSON, or "".
        poll: the poll's id.
        expires_us: when the next poll speaks for this one, by the one clock: it is not run any more then.

    Returns:
        The level, for Flower's eyes.
    """
    level, wake = await_(_send(element, reader, Poll.parse(poll), expires_us))
    if wake:
        send_reader(app, wake)
    return level


@app.task(name=queues.READ)
def mailbox_read(mailbox_id: str, element: str) -> str:
    """Reads a mailbox until nothing is pending in it; ends at once when another reader is there."""
    return await_(_read(mailbox_id, element))


@app.task(name=queues.CHECK)
def mailbox_check(element: str, poll: str, expires_us: int) -> str:
    """Runs one poll of a mailbox element, in its turn, and goes on as the mailbox's reader.

    Args:
        element: the imap4 or pop3 element as JSON, its secrets sealed or by reference.
        poll: the poll's id.
        expires_us: as for ``smtp.send``.
    """
    return await_(_check(element, Poll.parse(poll), expires_us))


def _mailbox_element(text: str) -> Imap4Element | Pop3Element:
    element = codec.decode_element(text)
    if isinstance(element, SmtpElement):
        raise TypeError(f"{element.name} is not a mailbox element")
    return element


async def _send(element_text: str, reader_text: str, poll: Poll, expires_us: int) -> tuple[str, str]:
    element = codec.decode_element(element_text)
    if not isinstance(element, SmtpElement):
        raise TypeError(f"{element.name} is not an smtp element")
    shared = await context.current()
    # Not Celery's own expiry, which compares with this host's time: a clock that is off would drop all polls.
    if shared.tools.clock.now_us() > expires_us:
        shared.meter.expired += 1
        return EXPIRED, ""
    shared.meter.begins(element, poll, expires_us)
    result = await shared.sender.poll(element, poll)
    mailbox_id = wake = ""
    if reader_text:
        mailbox_id = _mailbox_element(reader_text).mailbox
        wake = wake_text(poll.region, mailbox_id, reader_text)
    should_wake = await _record(element, result, mailbox_id, wake)
    return result.level, wake if should_wake else ""


async def _record(element: SmtpElement, result: Result, mailbox_id: str, wake: str) -> bool:
    shared = await context.current()
    uncertainty_us = shared.tools.clock.worst_us()

    async def record() -> bool:
        return await shared.store.record_send(
            element, result, mailbox_id, wake, uncertainty_us=uncertainty_us
        )

    return await _insisting(result, record)


async def _insisting(result: Result, record: Callable[[], Awaitable[bool]]) -> bool:
    """Records a result; a Redis that stays away costs the result, which is then seen as silence."""
    for wait_s in RECORD_WAITS_S:
        try:
            return await record()
        except RedisError as error:
            log.warning(
                "cannot record %s: %s; trying again in %g s", result.poll, trouble_text(error), wait_s
            )
            await asyncio.sleep(wait_s)
    return await record()


async def _read(mailbox_id: str, element_text: str) -> str:
    element = _mailbox_element(element_text)
    shared = await context.current()
    desk = await shared.store.desk(mailbox_id)
    if desk is None:
        return "another reader is there"
    return await _to_its_end(mailbox_id, mailbox.read(element, desk, shared.tools)) or "read"


async def _to_its_end(mailbox_id: str, stay: Awaitable[None]) -> str:
    """A reader's stay in a mailbox; what ended it early, or "" where nothing did."""
    try:
        await stay
    except LeaseLostError:
        return "another reader took over"
    except RedisError as error:
        trouble = trouble_text(error)
        log.warning("the reader of %s ends, beat will send another: %s", mailbox_id, trouble)
        return trouble
    return ""


async def _check(element_text: str, poll: Poll, expires_us: int) -> str:
    element = _mailbox_element(element_text)
    shared = await context.current()
    tools, store = shared.tools, shared.store
    left_us = expires_us - tools.clock.now_us()
    if left_us < 0:
        shared.meter.expired += 1
        return EXPIRED
    level = ""

    async def record(result: Result) -> None:
        nonlocal level
        level = result.level
        await _insisting(result, lambda: store.record_check(element, result))

    shared.meter.begins(element, poll, expires_us)
    desk = await store.turn(element.mailbox, left_us / 1e6)
    if desk is None:
        await record(mailbox.never_its_turn(element, poll, tools))
        return level
    early = await _to_its_end(element.mailbox, mailbox.check(element, poll, desk, tools, record))
    return level or early

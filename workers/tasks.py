"""The two tasks: ``smtp.send`` and ``mailbox.read``. Thin: everything they do is in postbeat."""

from __future__ import annotations

import asyncio
import logging

from redis.exceptions import RedisError

from postbeat import codec, mailbox, queues
from postbeat.elements import MailboxElement, SmtpElement
from postbeat.model import Poll
from postbeat.results import Result
from postbeat.store.wake import wake_text
from postbeat.store.worker import LeaseLostError
from workers import context
from workers.app import app
from workers.pool import await_
from workers.readers import send_reader

log = logging.getLogger(__name__)

RECORD_WAITS_S = (0.5, 1.0, 2.0, 4.0)  # a result outlives a Redis that is away for a moment


@app.task(name=queues.SEND)
def smtp_send(element: str, reader: str, poll: str) -> str:
    """Runs one poll of an smtp element, records it, and sends a reader after the message.

    Args:
        element: the smtp element as JSON, its secrets sealed or by reference.
        reader: the paired mailbox element as JSON, or "".
        poll: the poll's id.

    Returns:
        The level, for Flower's eyes.
    """
    result, wake = await_(_send(element, reader, Poll.parse(poll)))
    if wake:
        send_reader(app, wake)
    return result.level


@app.task(name=queues.READ)
def mailbox_read(mailbox_id: str, element: str) -> str:
    """Reads a mailbox until nothing is pending in it; ends at once when another reader is there."""
    return await_(_read(mailbox_id, element))


async def _send(element_text: str, reader_text: str, poll: Poll) -> tuple[Result, str]:
    element = codec.decode_element(element_text)
    if not isinstance(element, SmtpElement):
        raise TypeError(f"{element.name} is not an smtp element")
    shared = await context.current()
    result = await shared.sender.poll(element, poll)
    mailbox_id = wake = ""
    if reader_text:
        reader = codec.decode_element(reader_text)
        if isinstance(reader, MailboxElement):
            mailbox_id = reader.mailbox
            wake = wake_text(poll.region, mailbox_id, reader_text)
    should_wake = await _record(element, result, mailbox_id, wake)
    return result, wake if should_wake else ""


async def _record(element: SmtpElement, result: Result, mailbox_id: str, wake: str) -> bool:
    """Records a send; a Redis that stays away costs the result, which is then seen as silence."""
    store = (await context.current()).store
    for wait_s in RECORD_WAITS_S:
        try:
            return await store.record_send(element, result, mailbox_id, wake)
        except RedisError as error:
            log.warning("cannot record %s: %s; trying again in %g s", result.poll, error, wait_s)
            await asyncio.sleep(wait_s)
    return await store.record_send(element, result, mailbox_id, wake)


async def _read(mailbox_id: str, element_text: str) -> str:
    element = codec.decode_element(element_text)
    if not isinstance(element, MailboxElement):
        raise TypeError(f"{element.name} is not a mailbox element")
    shared = await context.current()
    desk = await shared.store.desk(mailbox_id)
    if desk is None:
        return "another reader is there"
    try:
        await mailbox.read(element, desk, shared.tools)
    except LeaseLostError:
        return "another reader took over"
    return "read"

"""A poll's message is what Celery itself would send, and holds no secret that can be read."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest
from celery.worker.request import Request

from postbeat import codec, queues, secrets, settings
from postbeat import profile as profiles
from postbeat.elements import Imap4Element, Pop3Element, SmtpElement
from postbeat.model import Poll, Secret
from tests.beat.beats import Beats, profile

SECRET = "correct horse battery staple"
WITH_SECRETS = f"""
regions: [lab]
elements:
  - name: mail
    type: smtp
    server: 127.0.0.1
    authenticationtype: PLAIN
    securitytype: STARTTLS
    username: probe
    password: {SECRET}
    email: probe@example.test
    read: box
  - name: box
    type: imap4
    server: 127.0.0.1
    username: probe
    password: {SECRET}
    sharedsecret: {{env: BOX_SECRET}}
"""


def request(beats: Beats, message: Any) -> Request:
    """The message as a worker takes it."""

    @beats.app.task(name=queues.SEND)
    def send(element: str, reader: str, poll: str, expires_us: int) -> None: ...

    return Request(message, app=beats.app, task=send, hostname="worker")


def test_a_worker_understands_it(beats: Beats) -> None:
    beats.write(WITH_SECRETS)
    beats.start().tick()
    (message,) = beats.taken()
    taken = request(beats, message)
    assert taken.name == queues.SEND
    assert isinstance(taken.args, list | tuple)
    element, reader, poll, expires_us = taken.args
    assert taken.id == poll
    assert Poll.parse(poll).pair == next(profiles.load(beats.path).active())[0]
    assert isinstance(codec.decode_element(element), SmtpElement)
    assert isinstance(codec.decode_element(reader), Imap4Element)
    assert taken.kwargs == {}
    assert message.headers["expires"] is None  # Celery would judge it by the clock of the worker's host
    assert expires_us > beats.now_us()


def test_the_check_of_a_mailbox_is_a_task_of_its_own(beats: Beats) -> None:
    beats.write(
        "elements:\n  - {name: box, type: pop3, server: 127.0.0.1, username: probe, "
        "password: {env: BOX_PASSWORD}, poll: 60, regions: [lab]}\n"
    )
    beats.start().tick()
    (message,) = beats.taken()
    element, poll, expires_us = message.payload[0]
    assert message.headers["task"] == queues.CHECK
    assert message.headers["id"] == poll
    assert (Poll.parse(poll).element, Poll.parse(poll).region) == ("box", "lab")
    assert isinstance(codec.decode_element(element), Pop3Element)
    assert expires_us > beats.now_us()


def test_an_element_without_a_reader_travels_alone(beats: Beats) -> None:
    beats.write(profile())
    beats.start().tick()
    (message,) = beats.taken()
    assert request(beats, message).args[1] == ""


def test_it_is_the_message_that_celery_would_send(beats: Beats) -> None:
    beats.write(WITH_SECRETS)
    beats.start().tick()
    (ours,) = beats.taken()
    args, kwargs, _ = ours.payload
    beats.app.send_task(
        queues.SEND,
        args,
        kwargs,
        task_id=ours.headers["id"],
        queue=queues.probe("lab"),
        argsrepr=ours.headers["argsrepr"],
        kwargsrepr="{}",
        ignore_result=True,
    )
    (theirs,) = beats.taken()
    assert ours.payload == theirs.payload
    assert ours.headers == theirs.headers
    assert (ours.content_type, ours.content_encoding) == (theirs.content_type, theirs.content_encoding)
    same = ("correlation_id", "delivery_info", "priority", "body_encoding")
    assert {key: ours.properties.get(key) for key in same} == {
        key: theirs.properties.get(key) for key in same
    }


def test_secrets_travel_sealed_or_by_reference(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    beats.write(WITH_SECRETS)
    beats.start().tick()
    raw = beats.redis.lrange("probe.lab", 0, -1)[0]
    body = base64.b64decode(json.loads(raw)["body"]).decode()
    assert SECRET not in raw
    assert SECRET not in body
    element, reader = (codec.decode_element(text) for text in json.loads(body)[0][:2])
    keys = settings.load().needed_keys()
    assert secrets.resolve(element.password, keys) == SECRET
    assert secrets.resolve(reader.password, keys) == SECRET
    assert reader.sharedsecret == Secret("env", "BOX_SECRET")


def test_no_secret_stands_anywhere_in_redis(beats: Beats) -> None:
    beats.write(WITH_SECRETS)
    beats.start().tick()
    words = (SECRET, base64.b64encode(SECRET.encode()).decode(), os.environ["POSTBEAT_KEY"])
    dump = b"".join(beats.redis.dump(key) or b"" for key in beats.redis.scan_iter())
    assert not any(word.encode() in dump for word in words)


def test_readers_that_mailboxes_lack_are_sent_for(beats: Beats) -> None:
    from postbeat.store import keys as names
    from postbeat.store.wake import wake_text

    beats.write(profile())
    beat = beats.start()
    beats.redis.hset(names.MAILBOXES, "a mailbox", wake_text("lab", "a mailbox", "its element"))
    beats.redis.hset(names.pending("a mailbox"), "m0@lab#1", "pending")
    for _ in range(3):
        beat.tick()
    (message,) = beats.taken(queues.read("lab"))
    assert (message.headers["task"], message.payload[0]) == (queues.READ, ["a mailbox", "its element"])

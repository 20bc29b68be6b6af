"""Publishes polls in batches: each element's message is built once, through Celery's own code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from celery import Celery

from beat_schedule.grid import Due
from postbeat import codec, queues
from postbeat.elements import SmtpElement
from postbeat.profile import Profile
from postbeat.slots import Polled
from workers.readers import send_reader

BATCH = 500


class Publisher:
    """Publishes the tasks of due polls of one (sealed) profile: ``smtp.send`` and ``mailbox.check``.

    One connection, opened when needed. When a poll expires is an argument, for the worker to judge by the one
    clock; Celery would judge the header ``expires`` by the clock of the worker's host.
    """

    def __init__(self, app: Celery, sealed: Profile) -> None:
        self._app = app
        self._profile = sealed
        self._bodies: dict[str, str] = {}
        self._headers: dict[str, dict[str, Any]] = {}
        for task in (queues.SEND, queues.CHECK):
            message = app.amqp.as_task_v2("", task, argsrepr="", kwargsrepr="{}", ignore_result=True)
            self._headers[task] = message.headers
        self._embed = json.dumps(message.body[2])
        self._connection: Any = None
        self._producer: Any = None

    def publish(self, polls: Iterable[Due]) -> int:
        """Publishes polls to the queues of their regions. Returns their number.

        Raises:
            Exception: what the broker's client raises; polls of the failed batch may or may not be out, and
                are not sent again (at most once).
        """
        count = 0
        try:
            producer = self._connected()
            with producer.batch(max_size=BATCH):
                for due in polls:
                    self._one(producer, due)
                    count += 1
        except Exception:
            self.close()
            raise
        return count

    def send_reader(self, wake: str) -> None:
        """Publishes one ``mailbox.read``."""
        send_reader(self._app, wake)

    def close(self) -> None:
        """Closes the connection; the next poll opens another."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.release()

    def _connected(self) -> Any:  # noqa: ANN401  kombu is untyped
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)
        return self._producer

    def _one(self, producer: Any, due: Due) -> None:  # noqa: ANN401
        poll = str(due.poll)
        task = queues.SEND if isinstance(due.element, SmtpElement) else queues.CHECK
        headers = {**self._headers[task], "id": poll, "root_id": poll, "argsrepr": f"({poll!r},)"}
        producer.publish(
            f'{self._elements(due.element)}, "{poll}", {due.expires_us}], {{}}, {self._embed}]',
            routing_key=queues.probe(due.poll.region),
            exchange="",
            content_type="application/json",
            content_encoding="utf-8",
            headers=headers,
            correlation_id=poll,
            delivery_mode=1,
        )

    def _elements(self, element: Polled) -> str:
        """The beginning of a message: the element, and the one that reads the mailbox of an smtp element."""
        begin = self._bodies.get(element.name)
        if begin is None:
            texts = [codec.encode_element(self._profile.elements[element.name])]
            if isinstance(element, SmtpElement):
                reader = self._profile.reader_of(element)
                texts.append(codec.encode_element(reader) if reader else "")
            begin = self._bodies[element.name] = "[[" + ", ".join(json.dumps(text) for text in texts)
        return begin

"""Publishes polls in batches: each element's message is built once, through Celery's own code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from celery import Celery

from beat_schedule.grid import Due
from postbeat import codec, queues
from postbeat.elements import SmtpElement
from postbeat.profile import Profile
from workers.readers import send_reader

BATCH = 500


class Publisher:
    """Publishes ``smtp.send`` for due polls of one (sealed) profile. One connection, opened when needed."""

    def __init__(self, app: Celery, sealed: Profile) -> None:
        self._app = app
        self._profile = sealed
        self._bodies: dict[str, str] = {}
        message = app.amqp.as_task_v2("", queues.SEND, argsrepr="", kwargsrepr="{}", ignore_result=True)
        self._headers: dict[str, Any] = message.headers
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
        expires = datetime.fromtimestamp(due.expires_us / 1e6, UTC).isoformat()
        headers = {
            **self._headers,
            "id": poll,
            "root_id": poll,
            "expires": expires,
            "argsrepr": f"({poll!r},)",
        }
        producer.publish(
            self._body(due.element, poll),
            routing_key=queues.probe(due.poll.region),
            exchange="",
            content_type="application/json",
            content_encoding="utf-8",
            headers=headers,
            correlation_id=poll,
            delivery_mode=1,
        )

    def _body(self, element: SmtpElement, poll: str) -> str:
        begin = self._bodies.get(element.name)
        if begin is None:
            sealed = self._profile.elements[element.name]
            reader = self._profile.reader_of(element)
            texts = [codec.encode_element(sealed), codec.encode_element(reader) if reader else ""]
            begin = self._bodies[element.name] = "[[" + ", ".join(json.dumps(text) for text in texts)
        return f'{begin}, "{poll}"], {{}}, {self._embed}]'

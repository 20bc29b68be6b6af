"""The sink ``webhook``: a JSON document by HTTP POST, signed so that its receiver knows whom it is from."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

from postbeat.sinks.channel import Channel, revealed
from postbeat.sinks.config import WebhookSink
from postbeat.sinks.http import Poster
from postbeat.sinks.notice import Notice

SIGNATURE = "Postbeat-Signature"
EVENT_ID = "Postbeat-Event-Id"


class WebhookChannel(Channel):
    """Posts to a webhook."""

    def __init__(self, sink: WebhookSink) -> None:
        self._sink = sink
        self._poster = Poster(sink.url, sink.headers, sink.timeout)

    async def deliver(self, notice: Notice) -> None:
        """Posts the document of the event."""
        body = json.dumps(notice.as_data(), ensure_ascii=False).encode()
        headers = {EVENT_ID: notice.id}
        if self._sink.secret is not None:
            # This host's time, as receivers compare it with theirs: Redis may keep another.
            headers[SIGNATURE] = signature(revealed(self._sink.secret), body, int(time.time()))
        await self._poster.post(body, headers)

    async def close(self) -> None:
        """Closes the connections."""
        await self._poster.close()


def signature(secret: str, body: bytes, at_s: int) -> str:
    """The header by which a receiver knows a body: ``t=TIME,v1=HMAC-SHA256(secret, "TIME." + body)``.

    The time is signed too, so that a receiver can refuse what is old.
    """
    mac = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256)
    return f"t={at_s},v1={mac.hexdigest()}"

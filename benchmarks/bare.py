"""The yardstick: what it costs to send a ready message with aiosmtplib on uvloop and do nothing else.

``python -m benchmarks.bare`` prints how many messages it sent and the CPU time that it took, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import time

import aiosmtplib
import click
import uvloop

from benchmarks.sinks import HOST
from postbeat.message import Envelope, Token, build
from postbeat.model import Poll

WARM_UP_S = 0.5
SENDER = "probe@sink.test"
RECIPIENT = "bare@sink.test"
MESSAGE = build(Token(Poll("bare", "bench", 1), 1, 1), Envelope(SENDER, RECIPIENT, "sink.test"), b"key")


class _Senders:
    """Send until they are told to end. They are not cancelled: wait_for of Python 3.11 may swallow that."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent = 0
        self.over = False

    async def send(self) -> None:
        """Sends one message after the other, each over a connection of its own."""
        while not self.over:
            client = aiosmtplib.SMTP(
                hostname=HOST, port=self._port, local_hostname="sink.test", start_tls=False
            )
            await client.connect()
            await client.sendmail(SENDER, [RECIPIENT], MESSAGE)
            await client.quit()
            self.sent += 1


async def _measure(port: int, concurrency: int, seconds: float) -> dict[str, float]:
    senders = _Senders(port)
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(senders.send())
        await asyncio.sleep(WARM_UP_S)
        sent, cpu_s = senders.sent, time.process_time()
        await asyncio.sleep(seconds)
        figures = {"sent": senders.sent - sent, "cpu_s": time.process_time() - cpu_s}
        senders.over = True
    return figures


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--concurrency", type=int, required=True)
@click.option("--seconds", type=float, required=True)
def main(port: int, concurrency: int, seconds: float) -> None:
    """Sends to the sink on PORT for so many seconds."""
    click.echo(json.dumps(uvloop.run(_measure(port, concurrency, seconds))))


if __name__ == "__main__":
    main()

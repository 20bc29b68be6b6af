"""The sink ``command``: a program of this machine that gets the event; there is no shell."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping

from postbeat.sinks.channel import Channel, NotDeliveredError
from postbeat.sinks.config import CommandSink
from postbeat.sinks.notice import Notice

# What the program gets of our environment, in which secrets may stand.
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class CommandChannel(Channel):
    """Runs the program, once for each event."""

    def __init__(self, sink: CommandSink) -> None:
        self._sink = sink

    async def deliver(self, notice: Notice) -> None:
        """Runs it; exit code 0 says that the event is taken."""
        data = notice.as_data()
        program = self._sink.command[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._sink.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(data),
                start_new_session=True,  # so that what it starts ends with it
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NotDeliveredError(f"cannot run {program}: {reason}") from None
        try:
            async with asyncio.timeout(self._sink.timeout):
                await process.communicate(json.dumps(data, ensure_ascii=False).encode() + b"\n")
        except TimeoutError:
            raise NotDeliveredError(f"{program} did not end within {self._sink.timeout:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if process.returncode:
            raise NotDeliveredError(f"{program} ended with exit code {process.returncode}")


def environment(data: Mapping[str, object]) -> dict[str, str]:
    """The program's environment: the event's texts and numbers as ``POSTBEAT_NAME``."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    event = {
        f"POSTBEAT_{name.upper()}": str(value).replace("\0", "")
        for name, value in data.items()
        if isinstance(value, str | int | float)
    }
    return passed | event

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvloop

from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.lag import LagMeter
from postbeat.model import AuthenticationType, Level, Poll, Secret, SecurityType
from postbeat.results import Attempt
from postbeat.secrets import Keys
from postbeat.sending import Sender
from postbeat.settings import Settings
from tests.servers.scripted import Certificates

Send: TypeAlias = Callable[..., Attempt]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def send(certificates: Certificates) -> Send:
    """Makes one poll on the loop that workers use, and returns its only attempt.

    ``stand_still`` are seconds after its begin, and seconds for which the loop then stands still.
    """

    def sent(
        port: int, security: SecurityType, stand_still: tuple[float, float] | None = None, **fields: Any
    ) -> Attempt:
        element = _element(port, security, certificates.authority_file, fields)
        return uvloop.run(_poll(element, stand_still))

    return sent


def _element(port: int, security: SecurityType, authority: Path, fields: dict[str, Any]) -> SmtpElement:
    about: dict[str, Any] = {
        "name": "out",
        "server": "127.0.0.1",
        "port": port,
        "securitytype": security,
        "authenticationtype": AuthenticationType.PLAIN,
        "plaintextlogin": True,
        "username": "probe",
        "password": Secret("literal", "secret"),
        "email": "probe@mail.test",
        "tlscafile": str(authority),
        "timeout": 10,
    }
    return SmtpElement(**about | fields)


async def _poll(element: SmtpElement, stand_still: tuple[float, float] | None) -> Attempt:
    loop = asyncio.get_running_loop()
    lag = LagMeter()
    lag.start(loop)
    sender = Sender.of(Settings(helo_name="probe.test"), Keys.new(), Clock(), lag, "here")
    if stand_still is not None:
        after_s, for_s = stand_still
        loop.call_later(after_s, time.sleep, for_s)
    result = await sender.poll(element, Poll("out", "here", 1))
    lag.stop()
    await asyncio.sleep(0)  # the loop closes what the attempt has dropped
    await asyncio.sleep(0)
    assert result.level is Level.GOOD, result.message
    (attempt,) = result.attempts
    return attempt

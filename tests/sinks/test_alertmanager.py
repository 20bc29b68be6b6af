"""Alerts in a real Alertmanager: they begin, change and end with the problems."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from postbeat.embedded.processes import EmbeddedError, Processes
from tests.conftest import not_installed
from tests.ports import free_port
from tests.sinks.rig import Receiver, Rig

CONFIGURATION = """
route: {receiver: none, group_wait: 0s}
receivers: [{name: none}]
"""


class Alertmanager:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def alerts(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The alerts that are active, by element and level."""
        async with self._session.get(f"{self.url}/api/v2/alerts") as response:
            found = await response.json()
        return {(it["labels"]["element"], it["labels"]["level"]): it for it in found}

    async def has(self, *expected: tuple[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
        """The alerts, once they are just those that are expected."""
        async with asyncio.timeout(20):
            while set(found := await self.alerts()) != set(expected):  # noqa: ASYNC110  Alertmanager changes
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[Alertmanager]:
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        not_installed("Alertmanager", "prometheus-alertmanager")
    (folder / "alertmanager.yml").write_text(CONFIGURATION)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        program,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with Processes() as processes:
        child = processes.start("alertmanager", command, env=os.environ, log=folder / "alertmanager.log")
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(30):
                while not await answers(session, url):
                    if child.exit_code is not None:
                        raise EmbeddedError(child.how_it_ended())
                    await asyncio.sleep(0.05)
            yield Alertmanager(url, session)


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/-/ready") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def test_alerts_begin_change_and_end_in_a_real_alertmanager(rig: Rig, tmp_path: Path) -> None:
    async def run() -> None:
        async with alertmanager(tmp_path) as am:
            sink = {"name": "am", "type": "alertmanager", "url": am.url, "kinds": ["level", "verdict"]}
            async with rig.serving({**sink, "labels": {"team": "mail"}}):
                rig.verdict("GOOD", "FAILED", element="out")
                rig.level("GOOD", "MARGINAL", element="in")
                found = await am.has(("out", "FAILED"), ("in", "MARGINAL"))
                assert found["out", "FAILED"]["labels"] == {
                    "alertname": "PostbeatServiceProblem",
                    "element": "out",
                    "level": "FAILED",
                    "severity": "critical",
                    "team": "mail",
                }
                assert found["in", "MARGINAL"]["labels"]["region"] == "lab"
                assert found["out", "FAILED"]["annotations"]["summary"] == "FAILED: out"
                rig.verdict("FAILED", "UNKNOWN", element="out")
                rig.level("MARGINAL", "GOOD", element="in")
                found = await am.has(("out", "UNKNOWN"))
                assert found["out", "UNKNOWN"]["labels"]["alertname"] == "PostbeatMonitorProblem"
                rig.verdict("UNKNOWN", "GOOD", element="out")
                await am.has()
                await rig.settled("am")
                assert not rig.letters("am")

    asyncio.run(run())


def test_what_is_open_is_sent_again_until_it_is_over(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver:
            sink = {"name": "am", "type": "alertmanager", "url": f"http://127.0.0.1:{receiver.port}/am/"}
            async with rig.serving({**sink, "resend": 1}):
                rig.verdict("GOOD", "FAILED", element="out")
                await rig.until(lambda: len(receiver.requests) >= 3)
                assert {body for _, body in receiver.requests} == {receiver.requests[0][1]}
                rig.verdict("FAILED", "GOOD", element="out")
                await rig.settled("am")
                count = len(receiver.requests)
            async with rig.serving({**sink, "resend": 1}):
                rig.verdict("GOOD", "FAILED", element="other")
                await rig.settled("am")
            elements = {alert["labels"]["element"] for body in bodies(receiver, count) for alert in body}
            assert elements == {"other"}
            assert "endsAt" in bodies(receiver, count - 1)[0][0]

    asyncio.run(run())


def test_an_alert_of_a_verdict_says_which_regions_disagree_and_at_which_stage(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver:
            sink = {"name": "am", "type": "alertmanager", "url": f"http://127.0.0.1:{receiver.port}/am/"}
            async with rig.serving(sink):
                reason = ["FAILED", "send", "data", "reply", "REMOTE", "452 no space"]
                regions = {"eu": "GOOD", "lab": "FAILED"}
                rig.verdict("GOOD", "DEGRADED", element="out", regions=regions, reasons={"lab": reason})
                await rig.settled("am")
            annotations = bodies(receiver, 0)[0][0]["annotations"]
            assert (annotations["description"], annotations["stage"]) == ("452 no space", "data")
            assert annotations["regions"] == "lab: FAILED (data) 452 no space\neu: GOOD"

    asyncio.run(run())


def bodies(receiver: Receiver, first: int) -> list[list[dict[str, Any]]]:
    return [json.loads(body) for _, body in receiver.requests[first:]]

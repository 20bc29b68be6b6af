"""The secrets of sinks are seen by their receivers alone."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from postbeat.cli import main
from tests.ports import free_port
from tests.sinks.rig import Receiver, Rig

CANARY = "canary-91fe27"


def test_no_secret_is_in_redis_logs_or_messages(
    rig: Rig, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SINK_SECRET", CANARY)
    (tmp_path / "url").write_text(f"http://me:{CANARY}@127.0.0.1:{free_port()}/{CANARY}?key={CANARY}\n")
    closed = f"http://127.0.0.1:{free_port()}/{CANARY}"
    relay = {"server": "127.0.0.1", "port": free_port(), "securitytype": "STARTTLS", "username": "me"}
    sinks: list[dict[str, Any]] = [
        {"name": "from-file", "type": "webhook", "url": {"file": str(tmp_path / "url")}},
        {"name": "nowhere", "type": "slack", "kinds": "level", "url": closed},
        {"name": "bad-url", "type": "alertmanager", "kinds": "level", "url": {"env": "SINK_SECRET"}},
        {"name": "no-file", "type": "webhook", "url": closed, "secret": {"file": f"{tmp_path}/none"}},
        {
            "name": "mail",
            "type": "email",
            "kinds": "level",
            "to": "a@example.test",
            "sender": "b@example.test",
            "relays": [{**relay, "password": CANARY}],
        },
    ]

    async def run() -> None:
        async with Receiver(answer=lambda number: 403).up() as receiver:
            refusing = {
                "name": "refusing",
                "type": "webhook",
                "url": receiver.url + "/" + CANARY,
                "secret": {"env": "SINK_SECRET"},
                "headers": {"Authorization": {"env": "SINK_SECRET"}},
            }
            every = [{**sink, "giveup": 60} for sink in [*sinks, refusing]]
            async with rig.serving(*every):
                rig.level("GOOD", "FAILED")
                await rig.settled(*(str(sink["name"]) for sink in every))
        ((headers, _),) = receiver.requests
        assert headers["Authorization"] == CANARY
        assert CANARY not in headers["Postbeat-Signature"]
        assert all(len(rig.letters(str(sink["name"]))) == 1 for sink in every)

    asyncio.run(run())
    kept = {str(key): rig.redis.dump(key) or b"" for key in rig.redis.scan_iter()}
    assert not [key for key, dump in kept.items() if CANARY.encode() in dump or CANARY in key]
    assert len(caplog.records) >= 12
    assert CANARY not in caplog.text
    for name in ("from-file", "refusing"):
        shown = CliRunner().invoke(main, ["notify", "dead", name, "--json", "--redis", rig.redis_url])
        assert '"reason"' in shown.output
        assert CANARY not in shown.output


def test_letters_are_shown_delivered_again_and_thrown_away(rig: Rig) -> None:
    def dead(*options: str) -> str:
        done = CliRunner().invoke(main, ["notify", "dead", "hook", *options, "--redis", rig.redis_url])
        assert done.exit_code == 0, done.output
        return done.output

    async def run() -> None:
        refuses = True
        receiver = Receiver(answer=lambda number: 404 if refuses else 200)
        sink = {"name": "hook", "type": "webhook", "url": receiver.url}
        async with receiver.up(), rig.serving(sink):
            sent = [rig.flip() for _ in range(3)]
            await rig.settled("hook")
            assert dead().count(f"http://127.0.0.1:{receiver.port} answered 404") == 3
            letters = [json.loads(line) for line in dead("--json").splitlines()]
            assert [letter["event"]["id"] for letter in letters] == sent
            refuses = False
            assert "3 events will be delivered again" in dead("--requeue")
            await rig.until(lambda: not rig.letters("hook"))
            assert receiver.ids() == sent
            refuses = True
            rig.flip()
            await rig.settled("hook")
            assert '"dropped": 1' in dead("--drop", "--json")
            assert not rig.letters("hook")

    asyncio.run(run())
    unknown = CliRunner().invoke(main, ["notify", "dead", "nobody", "--redis", rig.redis_url])
    assert (unknown.exit_code, "no sink 'nobody'" in unknown.output) == (1, True)

"""The other types of sinks, each with a real receiver."""

from __future__ import annotations

import asyncio
import email
import email.policy
import imaplib
import importlib.util
import json
import sys
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import psutil
import pytest

from postbeat.embedded.mail import MailServer, mail_server
from postbeat.embedded.processes import Processes
from postbeat.sinks.config import Relay
from postbeat.sinks.email import in_order
from postbeat.sinks.notice import samples
from tests.conftest import not_installed
from tests.ports import free_port
from tests.sinks.rig import Receiver, Rig

PASSWORD = "canary-7f3a91"


@pytest.fixture(scope="module")
def mail(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> MailServer:
    if importlib.util.find_spec("twisted") is None:
        not_installed("Twisted", "python3-twisted")
    return mail_server(processes, tmp_path_factory.mktemp("mail"), {"ops": PASSWORD})


def mails(server: MailServer) -> list[EmailMessage]:
    """What lies in the mailbox."""
    client = imaplib.IMAP4(server.host, server.imap4, timeout=10)
    try:
        client.login("ops", PASSWORD)
        client.select()
        _, (numbers,) = client.search(None, "ALL")
        raw = [client.fetch(number.decode(), "(BODY[])")[1][0][1] for number in numbers.split()]  # type: ignore[index]
    finally:
        client.shutdown()
    return [email.message_from_bytes(it, policy=email.policy.default) for it in raw]  # type: ignore[arg-type]


def test_mail_goes_through_the_next_relay_and_people_are_told_of_verdicts_only(
    rig: Rig, mail: MailServer
) -> None:
    async def run() -> None:
        relays = [{"server": "127.0.0.1", "port": port} for port in (free_port(), mail.smtp)]
        sink = {"name": "ops", "type": "email", "to": "ops@example.test", "sender": "postbeat@example.test"}
        async with rig.serving({**sink, "relays": relays}):
            rig.level("GOOD", "FAILED")
            failed = rig.verdict("GOOD", "FAILED")
            unknown = rig.verdict("FAILED", "UNKNOWN", regions={"lab": "UNKNOWN"})
            good = rig.verdict("UNKNOWN", "GOOD")
            await rig.settled("ops")
        found = mails(mail)
        assert [message["Subject"] for message in found] == [
            "[postbeat] FAILED: mail",
            "[postbeat] Monitor problem: nothing is known of mail",
            "[postbeat] GOOD again: mail",
        ]
        identities = [f"<{event}.ops@example.test>" for event in (failed, unknown, good)]
        assert [message["Message-ID"] for message in found] == identities
        assert [message["In-Reply-To"] for message in found] == [None, *identities[:2]]
        assert "FAILED" not in found[1]["Subject"]
        assert "lab: FAILED" in found[0].get_content()
        assert found[0]["Auto-Submitted"] == "auto-generated"

    asyncio.run(run())


REGIONS = {"eu": "GOOD", "lab": "FAILED", "us": "UNKNOWN"}
REASONS = {
    "lab": ["FAILED", "send", "data", "reply", "REMOTE", "452 <no> space"],
    "us": ["UNKNOWN", "send", "connect", "resources", "LOCAL", "too many open files"],
}


def test_people_are_told_which_regions_disagree_at_which_stage_and_why(rig: Rig, mail: MailServer) -> None:
    before = len(mails(mail))

    async def run() -> list[str]:
        relay = {"server": "127.0.0.1", "port": mail.smtp}
        sender = {"sender": "postbeat@example.test", "relays": [relay]}
        ops = {"name": "ops", "type": "email", "to": "ops@example.test", **sender}
        async with Receiver().up() as receiver:
            async with rig.serving(ops, {"name": "chat", "type": "slack", "url": receiver.url}):
                rig.verdict("GOOD", "FAILED", regions=REGIONS, reasons=REASONS)
                rig.verdict("FAILED", "GOOD", regions={"eu": "GOOD", "lab": "GOOD"}, reasons={})
                await rig.settled("ops", "chat")
            return receiver.taken_texts()

    failed, recovered = (text.splitlines()[:-1] for text in asyncio.run(run()))
    assert failed == [
        "*FAILED: mail*",
        "452 &lt;no&gt; space (stage data)",
        "lab: FAILED (data) 452 &lt;no&gt; space",
        "us: UNKNOWN (connect) too many open files",
        "eu: GOOD",
    ]
    assert recovered == ["*GOOD again: mail*", "GOOD in eu, lab", "eu: GOOD", "lab: GOOD"]
    told, end = ([line.strip() for line in it.get_content().splitlines()] for it in mails(mail)[before:])
    assert told[:3] == ["FAILED: mail", "", "452 <no> space"]
    assert "Stage:    data" in told
    where = told.index("lab: FAILED (data) 452 <no> space")
    assert told[where + 1 : where + 3] == ["us: UNKNOWN (connect) too many open files", "eu: GOOD"]
    assert end[:3] == ["GOOD again: mail", "", "GOOD in eu, lab"]
    assert not any("452" in line or line.startswith("Stage") for line in end)


def test_mail_that_every_relay_refuses_for_good_is_a_letter(rig: Rig, mail: MailServer) -> None:
    async def run() -> None:
        relay = {"server": "127.0.0.1", "port": mail.smtp}
        sink = {"name": "ops", "type": "email", "to": "nobody@example.test", "relays": [relay]}
        async with rig.serving({**sink, "sender": "postbeat@example.test"}):
            rig.verdict("GOOD", "FAILED")
            await rig.settled("ops")
        (letter,) = rig.letters("ops")
        assert letter["reason"] == f"127.0.0.1:{mail.smtp} refused every recipient (550)"

    asyncio.run(run())


def test_the_server_that_fails_is_the_last_relay_that_is_tried() -> None:
    failing = replace(next(samples()), server="MX.example.com.", port=25)
    same = Relay(server="mx.example.com", port=25)
    other_port = Relay(server="mx.example.com", port=587)
    elsewhere = Relay(server="relay.example.net", port=25)
    assert in_order((same, other_port, elsewhere), failing) == [elsewhere, other_port, same]
    assert in_order((same, elsewhere), replace(failing, server="")) == [same, elsewhere]


def test_slack_gets_a_text_in_which_a_server_cannot_call_the_channel(rig: Rig) -> None:
    async def run() -> None:
        async with Receiver().up() as receiver:
            sink = {"name": "chat", "type": "slack", "url": receiver.url, "kinds": "level"}
            async with rig.serving({**sink, "text": "{{ level }} <{{ message }}>"}):
                rig.level("GOOD", "FAILED", message="<!channel> & co")
                await rig.settled("chat")
        assert receiver.taken_texts() == ["FAILED <&lt;!channel&gt; &amp; co>"]

    asyncio.run(run())


SCRIPT = """
import json, os, sys
event = json.load(sys.stdin)
names = sorted(name for name in os.environ if name.startswith("POSTBEAT_"))
with open(sys.argv[1], "a") as file:
    told = [event["id"], os.environ["POSTBEAT_ID"], os.environ["POSTBEAT_LEVEL"], names]
    print(json.dumps(told), file=file)
if os.path.exists(sys.argv[1] + ".fail"):
    os.remove(sys.argv[1] + ".fail")
    sys.exit(3)
"""


def test_a_command_gets_the_event_and_none_of_our_secrets(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTBEAT_KEY", PASSWORD)
    output = tmp_path / "output"
    Path(f"{output}.fail").touch()

    async def run() -> str:
        command = [sys.executable, "-c", SCRIPT, str(output)]
        async with rig.serving({"name": "script", "type": "command", "command": command}):
            sent = rig.level("GOOD", "FAILED")
            await rig.settled("script")
            return sent

    sent = asyncio.run(run())
    first, second = map(json.loads, output.read_text().splitlines())
    assert first == second
    assert first[:3] == [sent, sent, "FAILED"]
    assert "POSTBEAT_KEY" not in first[3]


def test_a_command_that_does_not_end_is_ended_with_all_it_started(rig: Rig, tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = ["/bin/sh", "-c", f"sleep 60 & echo $! >> {started}; sleep 60"]

    async def run() -> None:
        sink = {"name": "script", "type": "command", "command": command, "timeout": 0.2, "giveup": 0.5}
        async with rig.serving(sink):
            rig.level("GOOD", "FAILED")
            await rig.settled("script")

    asyncio.run(run())
    (letter,) = rig.letters("script")
    assert letter["reason"] == "given up after 0.5 s: /bin/sh did not end within 0.2 s"
    pids = started.read_text().split()
    assert pids
    assert not any(is_running(int(pid)) for pid in pids)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

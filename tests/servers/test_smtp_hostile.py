"""Servers that break off, say what no server says, flood us, or try to seem good: each is found out."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, create_server, socket

import pytest

from postbeat.model import FaultCode, SecurityType, Side
from tests.servers.conftest import Run
from tests.servers.conversations import EXCHANGES, STAGES, fault_of, poll, up_to, whole
from tests.servers.scripted import Cut, ExpectBytes, Hang, Repeat, Send, Step, scripted

AT_EVERY_STAGE = pytest.mark.parametrize("stage", STAGES)
CLIENT_HELLO = ExpectBytes(b"\x16\x03\x01")
BEFORE_TLS: dict[SecurityType, list[Step]] = {
    SecurityType.SSL: [],
    SecurityType.STARTTLS: up_to("starttls", Send(b"220 go ahead\r\n")),
}


def after(stage: str) -> str:
    """The stage that comes after one in a conversation without TLS."""
    plain = [name for name in EXCHANGES if name != "starttls"]
    return plain[plain.index(stage) + 1]


@AT_EVERY_STAGE
@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_server_that_goes_away_is_told_with_the_stage(run: Run, stage: str, reset: bool) -> None:
    async def test() -> None:
        fault = await fault_of(up_to(stage, Cut(reset=reset)), stage)
        assert fault.code is FaultCode.DISCONNECTED
        assert fault.message.startswith("the server closed the connection ")
        assert fault.message.endswith(f"in stage {stage}")

    run(test())


@AT_EVERY_STAGE
def test_a_server_that_goes_away_within_a_reply_has_not_replied(run: Run, stage: str) -> None:
    async def test() -> None:
        answer = EXCHANGES[stage][1].removesuffix(b"\r\n")
        assert (await fault_of(up_to(stage, Send(answer), Cut()), stage)).code is FaultCode.DISCONNECTED

    run(test())


@AT_EVERY_STAGE
@pytest.mark.parametrize(
    "steps",
    [
        [Hang()],
        [Repeat(b"2", every_s=0.05)],
        [Send(b"220-"), Repeat(b"and so on ", every_s=0.05)],
        [Repeat(b"220-slowly\r\n", every_s=0.05)],
        [Send(b"220 only a CR\r"), Hang()],
    ],
    ids=["nothing", "digits", "an unfinished line", "continuation lines", "a bare CR"],
)
def test_a_server_that_does_not_come_to_the_end_of_a_reply_hung_in_its_stage(
    run: Run, stage: str, steps: list[Step]
) -> None:
    async def test() -> None:
        fault = await fault_of(up_to(stage, *steps), stage, timeout=0.2)
        assert fault.code is FaultCode.TIMEOUT
        assert fault.message == f"no answer within 0.2 s in stage {stage}"

    run(test())


@AT_EVERY_STAGE
def test_421_may_come_at_any_stage(run: Run, stage: str) -> None:
    async def test() -> None:
        fault = await fault_of(up_to(stage, Send(b"421 4.3.2 going down\r\n"), Cut()), stage)
        assert fault.code is FaultCode.REPLY
        assert fault.message.endswith(": 421 4.3.2 going down")

    run(test())


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "auth", "mail", "rcpt", "data"])
def test_421_that_comes_unasked_is_the_answer_to_what_we_say_next(run: Run, stage: str) -> None:
    async def test() -> None:
        replies = EXCHANGES[stage][1] + b"421-4.3.2 going\r\n421 down\r\n"
        fault = await fault_of(up_to(stage, Send(replies), Hang()), after(stage))
        assert fault.code is FaultCode.REPLY
        assert fault.message.endswith(": 421 4.3.2 going down")

    run(test())


@AT_EVERY_STAGE
def test_a_refusal_is_quoted(run: Run, stage: str) -> None:
    async def test() -> None:
        fault = await fault_of(up_to(stage, Send(b"554-5.7.1 not\r\n554 you\r\n")), stage)
        assert fault.code is (FaultCode.AUTH if stage == "auth" else FaultCode.REPLY)
        assert fault.message.endswith(": 554 5.7.1 not you")

    run(test())


@pytest.mark.parametrize(
    "greeting",
    [
        "SSH-2.0-OpenSSH_9.2p1",
        "HTTP/1.1 400 Bad Request",
        "* OK [CAPABILITY IMAP4rev1] ready",
        "+OK POP3 ready",
        "RFB 003.008",
    ],
)
def test_another_protocol_is_shown(run: Run, greeting: str) -> None:
    async def test() -> None:
        fault = await fault_of([Send(f"{greeting}\r\n".encode()), Hang()], "greeting")
        assert fault.code is FaultCode.PROTOCOL
        assert fault.message == f"the server's answer is not SMTP: {greeting}"

    run(test())


@AT_EVERY_STAGE
@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"\r\n", "the server's answer is not SMTP: "),
        (b"\n", "the server's answer is not SMTP: "),
        (b"ok\r\n", "the server's answer is not SMTP: ok"),
        (b"25\r\n", "the server's answer is not SMTP: 25"),
        (b"+25 ok\r\n", "the server's answer is not SMTP: +25 ok"),
        (b"2_5 ok\r\n", "the server's answer is not SMTP: 2_5 ok"),
        (b"250ok\r\n", "the server's answer is not SMTP: 250ok"),
        (b"2500 ok\r\n", "the server's answer is not SMTP: 2500 ok"),
        (b"150 wait\r\n", "the server's answer is not SMTP: 150 wait"),
        (b"650 what\r\n", "the server's answer is not SMTP: 650 what"),
        ("٢٥٠ ok\r\n".encode(), "the server's answer is not SMTP: ٢٥٠ ok"),
        (b"\x00250 ok\r\n", "the server's answer is not SMTP: ?250 ok"),
        (b"250-a\r\n550 b\r\n", "the server's answer begins with 250 and goes on: 550 b"),
        (b"550-a\r\n250 b\r\n", "the server's answer begins with 550 and goes on: 250 b"),
        (b"250-a\r\n\r\n250 b\r\n", "the server's answer is not SMTP: "),
    ],
)
def test_what_is_no_reply_is_no_answer(run: Run, stage: str, reply: bytes, message: str) -> None:
    async def test() -> None:
        fault = await fault_of(up_to(stage, Send(reply), Hang()), stage)
        assert (fault.code, fault.message) == (FaultCode.PROTOCOL, message)

    run(test())


@AT_EVERY_STAGE
@pytest.mark.parametrize("more", [b"250 ok\r\n", b"250-", b"354 go ahead\r\n", b"2", b"\r\n", b"junk"])
def test_a_reply_that_answers_the_next_command_is_refused(run: Run, stage: str, more: bytes) -> None:
    async def test() -> None:
        fault = await fault_of(up_to(stage, Send(EXCHANGES[stage][1] + more), Hang()), stage)
        assert (fault.code, fault.message) == (
            FaultCode.PROTOCOL,
            "the server sent more than one answer to a command",
        )

    run(test())


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("starttls", "upload")])
def test_a_reply_that_comes_a_second_time_is_never_taken_for_acceptance(run: Run, stage: str) -> None:
    script: list[Step] = []
    for step in whole():
        script += [step] * (2 if step == Send(EXCHANGES[stage][1]) else 1)

    async def test() -> None:
        async with scripted(script) as server:
            result = await poll(server)
        assert result.fault is not None
        assert (result.fault.side, result.fault.code) == (Side.REMOTE, FaultCode.PROTOCOL)
        assert result.attempts[-1].accepted_at_us is None

    run(test())


@pytest.mark.parametrize("stage", ["auth", "mail", "upload"])
@pytest.mark.parametrize("reply", [b"hunter2", b"250-hunter2\r\n550 hunter2", b"550 AHVzZXIAaHVudGVyMg=="])
def test_a_secret_that_comes_back_is_shown_nowhere(run: Run, stage: str, reply: bytes) -> None:
    async def test() -> None:
        async with scripted(up_to(stage, Send(reply + b"\r\n"), Hang())) as server:
            result = await poll(server)
        assert result.fault is not None
        assert "***" in result.fault.message
        assert "hunter2" not in repr(result)
        assert "aHVudGVyMg" not in repr(result)

    run(test())


def test_all_replies_at_once_are_no_conversation(run: Run) -> None:
    async def test() -> None:
        replies = b"".join(answer for stage, (_, answer) in EXCHANGES.items() if stage != "starttls")
        assert (await fault_of([Send(replies), Hang()], "greeting")).code is FaultCode.PROTOCOL

    run(test())


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("greeting", "250 ok"),
        ("ehlo", "220 ready"),
        ("starttls", "250 ok"),
        ("auth", "250 ok"),
        ("mail", "354 go ahead"),
        ("rcpt", "354 go ahead"),
        ("data", "250 ok"),
        ("data", "200 ok"),
        ("upload", "354 go ahead"),
        ("upload", "251 elsewhere"),
    ],
)
def test_a_reply_that_means_nothing_here_is_no_success(run: Run, stage: str, reply: str) -> None:
    async def test() -> None:
        fault = await fault_of(up_to(stage, Send(f"{reply}\r\n".encode()), Hang()), stage)
        assert fault.code is FaultCode.PROTOCOL
        assert fault.message.endswith(f": {reply}")

    run(test())


@pytest.mark.parametrize("security", BEFORE_TLS)
@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([CLIENT_HELLO, Send(b"220 mx.test ready\r\n"), Hang()], FaultCode.TLS),
        ([CLIENT_HELLO, Repeat(bytes(65536))], FaultCode.TLS),
        ([CLIENT_HELLO, Send(b"\x15\x03\x03\x00\x02\x02\x50"), Hang()], FaultCode.TLS),
        ([CLIENT_HELLO, Send(b"\x16\x03\x03\x40\x00\x02"), Hang()], FaultCode.TIMEOUT),
        ([CLIENT_HELLO, Send(b"\x16\x03\x03\x40\x00\x02"), Repeat(b"\0", every_s=0.05)], FaultCode.TIMEOUT),
        ([CLIENT_HELLO, Send(b"\x16\x03\x03\x40\x00\x02"), Cut()], FaultCode.DISCONNECTED),
        ([CLIENT_HELLO, Send(b"\x16\x03\x03\x40\x00\x02"), Cut(reset=True)], FaultCode.DISCONNECTED),
    ],
    ids=["SMTP", "zeros", "an alert", "half a record", "a slow record", "a cut record", "a reset record"],
)
def test_what_comes_in_the_middle_of_the_handshake_ends_it(
    run: Run, security: SecurityType, steps: list[Step], code: FaultCode
) -> None:
    async def test() -> None:
        timeout_s = 0.2 if code is FaultCode.TIMEOUT else 5
        fault = await fault_of(
            [*BEFORE_TLS[security], *steps], "tls", securitytype=security, timeout=timeout_s
        )
        assert fault.code is code

    run(test())


def test_no_misbehaviour_costs_a_descriptor(run: Run) -> None:
    async def test() -> None:
        last: list[Step] = [Cut(), Cut(reset=True), Hang(), Send(b"junk\r\n"), Send(b"421 no\r\n")]
        counts: set[int] = set()
        for stage, step in itertools.product(STAGES, last):
            async with scripted(up_to(stage, step)) as server:
                await poll(server, stage, timeout=0.1)
                await server.gone()
                counts.add(len(os.listdir("/proc/self/fd")))
        assert max(counts) - min(counts) < 3  # the loop closes the server's own a little later

    run(test())


FLOODS = {
    "continuation lines": ("greeting", b"220-and\r\n" * 7000),
    "an endless EHLO": ("ehlo", b"250-X-EXTENSION\r\n" * 4000),
    "a line without end": ("greeting", b"220 " + b"x" * 65536),
    "NULs": ("greeting", bytes(65536)),
    "replies": ("mail", b"250 ok\r\n" * 8192),
    "replies to DATA": ("data", b"354 go ahead\r\n" * 4096),
    "short lines": ("ehlo", b"250-\n" * 13000),
}
GROWTH_LIMIT_MIB = 16
POLLS = 20  # at the same time

# The process that is flooded is one of its own, so that nothing but the probe is measured.
FLOODED = """
import asyncio, json, re, sys
from pathlib import Path
import uvloop
from postbeat.lag import LagMeter
from postbeat.model import Poll
from tests.servers.conversations import element, sender

async def polls(port, count):
    lag = LagMeter()
    lag.start(asyncio.get_running_loop())
    by = sender(lag)
    tasks = [by.poll(element(port, timeout=10), Poll("mail", "eu", n)) for n in range(count)]
    return await asyncio.gather(*tasks)

def peak_mib():
    # What getrusage() tells begins with the peak of the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

async def main(port, count):
    await polls(1, 1)
    before = peak_mib()
    results = await polls(port, count)
    print(json.dumps({
        "growth_mib": peak_mib() - before,
        "lag_ms": max(result.attempts[-1].loop_lag_us for result in results) / 1000,
        "took_ms": max(result.attempts[-1].total_us for result in results) / 1000,
        "faults": sorted({(r.fault.side, r.fault.code, r.fault.stage) for r in results}),
    }))

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""


@contextmanager
def flooding(stage: str, flood: bytes) -> Iterator[int]:
    """A server in threads that answers as it should until the stage, and then never stops."""
    names = [name for name in EXCHANGES if name != "starttls"]

    def serve(sock: socket) -> None:
        with sock, suppress(OSError):
            for name in names[: names.index(stage)]:
                sock.sendall(EXCHANGES[name][1])
                sock.recv(4096)
            while True:
                sock.sendall(flood)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with create_server(("127.0.0.1", 0), backlog=POLLS) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_costs_neither_memory_nor_the_time_of_others(kind: str) -> None:
    stage, flood = FLOODS[kind]
    for _ in range(3):  # a busy machine may stop the loop, too, but not each time
        with flooding(stage, flood) as port:
            command = [sys.executable, "-c", FLOODED, str(port), str(POLLS)]
            done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        seen = json.loads(done.stdout)
        print(kind, seen)
        if seen["lag_ms"] < 250 and seen["took_ms"] < 5000:
            break
    assert seen["faults"] == [[Side.REMOTE, FaultCode.PROTOCOL, stage]]
    assert seen["growth_mib"] < GROWTH_LIMIT_MIB
    assert seen["lag_ms"] < 250
    assert seen["took_ms"] < 5000

"""What reading a mailbox costs, and how many round trips go through: ``python -m benchmarks.mailbox``.

It runs a private Postfix and Dovecot. One mailbox has as many messages of other people as ``--foreign``
says, another has none; once a reader has looked at all, a pass over the one should cost little more than a
pass over the other. A pass is a session of its own: login, look, logout.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import uvloop

from benchmarks.rig import Rig, answer, json_option, rig, show
from benchmarks.worker import ELEMENTS, POLL_S, READY_S, REGION, Load
from benchmarks.worker import profile as sinks_profile
from postbeat import mailbox
from postbeat.clock import Clock
from postbeat.elements import ELEMENT_TYPES, Imap4Element, MailboxElement, SmtpElement
from postbeat.lag import LagMeter
from postbeat.mailbox.desk import Tools
from postbeat.mailbox.looking import Looker
from postbeat.message import Envelope, Token, build
from postbeat.model import Kind, Level, Phase, Poll, Secret
from postbeat.probes.session import Memory
from postbeat.profile import Profile
from postbeat.results import Attempt, Result
from postbeat.store import keys
from postbeat.store.records import Expected
from postbeat.store.worker import WorkerStore
from tests import mailservers
from tests.mailservers import Account, MailServers

PASSES = 21
EACH = 10  # messages that lie in the mailbox when a reader comes
CHECKS = 5  # runs of a program that is started anew for each
BOXES = 8  # mailboxes that the round trips share
IN_FLIGHT = 30  # sends and readers at once: more only pile up before Postfix
NOTHING = Expected({}, {}, wanted=False)
PEER = Path("/usr/lib/nagios/plugins/check_email_delivery")
FOREIGN = b"From: friend@example.org\nTo: you@example.org\nSubject: hello\n\nHow are you?\n"
LINES = FOREIGN.count(b"\n")


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass has cost: bytes on the wire in both directions, and CPU time of our process."""

    wire_bytes: int
    cpu_ms: float


def _element(kind: Kind, servers: MailServers, account: Account) -> MailboxElement:
    element = ELEMENT_TYPES[kind](
        name="box",
        server="127.0.0.1",
        port=servers.ports[kind],
        username=account.name,
        password=Secret("literal", account.password),
        timeout=600,  # the first pass over a large mailbox
    )
    assert isinstance(element, MailboxElement)
    return element


def _fill(servers: MailServers, account: Account, count: int) -> None:
    """Puts messages of other people into a mailbox, as if they had been there for long."""
    folder = servers.folder(account) / "cur"
    size = f"S={len(FOREIGN)},W={len(FOREIGN) + LINES}"
    for number in range(count):
        path = folder / f"1700000000.foreign{number},{size}:2,S"
        path.write_bytes(FOREIGN)
        shutil.chown(path, "mail", "mail")


class Passes:
    """Passes over one mailbox, each with the memory of the one before."""

    def __init__(self, element: MailboxElement, tools: Tools) -> None:
        self._element = element
        self._tools = tools
        self._memory = Memory()

    async def first(self) -> None:
        """Looks at every message that is there."""
        before = None
        while before != self._memory:
            before = self._memory
            await self.one()

    async def one(self) -> Pass:
        """One pass, and what it has cost."""
        begin = time.process_time()
        looker = Looker(self._element, self._tools, Counter())
        looker.memory = self._memory
        made = await looker.look(NOTHING)
        if made[-1].fault is not None or looker.session is None:
            raise click.ClickException(f"a pass failed, so that the figures mean nothing: {made[-1].fault}")
        stream = looker.session.stream
        await looker.finish()
        self._memory = looker.kept()
        cpu_ms = (time.process_time() - begin) * 1000
        return Pass(stream.read_bytes + stream.written_bytes, cpu_ms)


async def _passes(full: MailboxElement, empty: MailboxElement, tools: Tools) -> dict[str, float]:
    """Passes over both mailboxes in turn, as both should meet the same machine: of each the median."""
    both = Passes(full, tools), Passes(empty, tools)
    took_s = time.perf_counter()
    for one in both:
        await one.first()
    took_s = time.perf_counter() - took_s
    made = [[await one.one() for one in both] for _ in range(PASSES)]
    fulls, empties = zip(*made, strict=True)
    return {
        "pass_bytes": round(median(one.wire_bytes for one in fulls)),
        "pass_cpu_ms": round(median(one.cpu_ms for one in fulls), 3),
        "empty_pass_bytes": round(median(one.wire_bytes for one in empties)),
        "empty_pass_cpu_ms": round(median(one.cpu_ms for one in empties), 3),
        "first_pass_s": round(took_s, 2),
    }


async def _finding(
    element: MailboxElement, servers: MailServers, account: Account, site: Rig, tools: Tools, count: int
) -> float:
    """The CPU time of our process for each message that a reader finds, records and deletes, in ms."""
    sender = SmtpElement(name=f"to-{element.kind}", server="127.0.0.1", email=account.address, read="box")
    envelope = Envelope(account.address, account.address, "bench.test")
    store = WorkerStore(site.site.redis_url)
    used_s = 0.0
    for first in range(0, count, EACH):
        for number in range(first, min(first + EACH, count)):
            now_us = tools.clock.now_us()
            poll = Poll(sender.name, REGION, number)
            servers.deliver(account, build(Token(poll, 1, now_us), envelope, tools.keys.signing[0]))
            await store.record_send(sender, _sent(poll, now_us), element.mailbox, "wake")
        desk = await store.desk(element.mailbox)
        assert desk is not None
        begin = time.process_time()
        await mailbox.read(element, desk, tools)
        used_s += time.process_time() - begin
    await store.close()
    good = site.redis.hget(keys.pair(f"{sender.name}@{REGION}"), f"n:{Phase.READ}:{Level.GOOD}")
    if int(good or 0) != count:
        raise click.ClickException(f"not all messages are GOOD, so that the figures mean nothing: {good!r}")
    return used_s * 1000 / count


def _sent(poll: Poll, now_us: int) -> Result:
    attempt = Attempt(1, now_us, 0, accepted_at_us=now_us)
    return Result(poll, Phase.SEND, Kind.SMTP, Level.GOOD, "Message sent", now_us, (attempt,))


async def _reading(
    kind: Kind, servers: MailServers, site: Rig, foreign: int, messages: int
) -> dict[str, float]:
    lag = LagMeter()
    lag.start(asyncio.get_running_loop())
    tools = Tools(site.keys, Clock(), lag, "bench")
    accounts = [servers.account() for _ in range(3)]
    full, empty, finding = (_element(kind, servers, account) for account in accounts)
    _fill(servers, accounts[0], foreign)
    cpu_ms = await _finding(finding, servers, accounts[2], site, tools, messages)
    return {"cpu_ms_per_message": round(cpu_ms, 3)} | await _passes(full, empty, tools)


def _real_profile(servers: MailServers) -> Profile:
    """Elements that send through Postfix and read in Dovecot; some share a mailbox."""
    elements: dict[str, Any] = {}
    for box in (servers.account() for _ in range(BOXES)):
        password = Secret("literal", box.password)
        elements[box.name] = Imap4Element(
            name=box.name,
            server="127.0.0.1",
            port=servers.ports["imap4"],
            username=box.name,
            password=password,
        )
        for number in range(ELEMENTS // BOXES):
            elements[f"{box.name}-{number}"] = SmtpElement(
                name=f"{box.name}-{number}",
                server="127.0.0.1",
                port=servers.ports["smtp"],
                email=box.address,
                poll=POLL_S,
                regions=(REGION,),
                read=box.name,
            )
    return Profile(elements)


def _round_trips(site: Rig, profile: Profile, seconds: float) -> dict[str, float]:
    """What a worker gets through that is kept busy: round trips per second, and its CPU time for each."""
    site.redis.flushall()
    load = Load(site, profile, Phase.READ)
    worker = site.site.worker(REGION)
    try:
        load.keep(0.05)
        worker.wait_for(lambda: load.counts().total() or None, READY_S)
        load.keep(1.0)
        window = load.window(worker, seconds)
        bad = {level: count for level, count in load.counts().items() if level != Level.GOOD}
        if bad:
            raise click.ClickException(f"polls failed, so that the figures mean nothing: {bad}")
        return {"per_s": round(window.polls / window.seconds, 1), "cpu_ms": round(window.cpu_ms, 3)}
    finally:
        load.stop()
        load.close()
        site.processes.end(worker)


@contextmanager
def _children_cpu() -> Iterator[list[float]]:
    """The CPU time in seconds of the programs that are run meanwhile."""
    used: list[float] = []
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield used
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    used.append(end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime)


def _peer(servers: MailServers) -> dict[str, float] | None:
    """What check_email_delivery takes for one message, or None where it is not there."""
    if not PEER.exists():
        return None
    account = servers.account()
    where = "-H 127.0.0.1 --timeout 20 -w 15 -c 20"
    send = (
        f"{PEER.parent}/check_smtp_send {where} --port {servers.ports['smtp']} --mailfrom {account.address}"
    )
    send += f" --mailto {account.address} --header 'Subject: bench %TOKEN1%.'"
    receive = f"{PEER.parent}/check_imap_receive {where} --port {servers.ports['imap4']} -U {account.name}"
    receive += f" -P {account.password} -s SUBJECT -s 'bench %TOKEN1%.' --search-critical-min 1"
    command = [str(PEER), "-p", send, "-p", receive, "--wait", "1", "-w", "15", "-c", "20"]
    begin = time.perf_counter()
    with _children_cpu() as used_s:
        for _ in range(CHECKS):
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            if ended.returncode != 0:
                raise click.ClickException(f"check_email_delivery failed: {ended.stdout}{ended.stderr}")
    took_s = time.perf_counter() - begin
    return {"cpu_ms": round(used_s[0] * 1000 / CHECKS, 3), "seconds": round(took_s / CHECKS, 2)}


def measure(foreign: int, messages: int, seconds: float) -> dict[str, Any]:
    """All figures."""
    missing = mailservers.missing()
    if missing is not None:
        raise click.ClickException(f"{missing[0]} is not there: apt install {missing[1]}")
    with rig(concurrency=IN_FLIGHT) as site, mailservers.running() as servers:
        figures: dict[str, Any] = {
            kind: uvloop.run(_reading(Kind(kind), servers, site, foreign, messages))
            for kind in ("imap4", "pop3")
        }
        ports = answer(site.start("sinks"), READY_S)
        figures["round_trips"] = {
            "postfix_dovecot": _round_trips(site, _real_profile(servers), seconds),
            "sinks": _round_trips(site, sinks_profile("roundtrip", ports, BOXES), seconds),
        }
        peer = _peer(servers)
        figures["peers"] = {} if peer is None else {"check_email_delivery": peer}
        return figures


@click.command()
@click.option(
    "--foreign", type=click.IntRange(0), default=2000, show_default=True, help="Messages of other people."
)
@click.option(
    "--messages", type=click.IntRange(1), default=100, show_default=True, help="Messages that are found."
)
@click.option("--seconds", type=click.FloatRange(0.1), default=4.0, show_default=True, help="Round trips.")
@json_option
def main(foreign: int, messages: int, seconds: float, as_json: bool) -> None:
    """Measures what a mailbox's reader costs."""
    figures = measure(foreign, messages, seconds)
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name in ("imap4", "pop3"):
        show(f"mailbox, {name}", figures[name], as_json=False)
    for title in ("round_trips", "peers"):
        flat = {f"{name} {key}": value for name, row in figures[title].items() for key, value in row.items()}
        show(title.replace("_", " "), flat, as_json=False)


if __name__ == "__main__":
    main()

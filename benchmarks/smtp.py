"""What a complete send costs, beside aiosmtplib alone and beside other probes: ``python -m benchmarks.smtp``.

Ours is a whole poll: the message built and signed, sent, every stage timed, and the result made. Bare is
aiosmtplib with ready bytes on the same loop. The two take turns in one process; the servers are in another.
check_smtp and blackbox_exporter, where they are installed, greet, log in where they can, and send nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib
import click
import uvloop

from benchmarks.bare import MESSAGE, RECIPIENT, SENDER
from benchmarks.rig import cpu_s, json_option, show
from benchmarks.sinks import HOST
from postbeat.clock import Clock
from postbeat.elements import SmtpElement
from postbeat.embedded.processes import Child, Processes
from postbeat.lag import LagMeter
from postbeat.model import AuthenticationType, Level, Poll, Secret, SecurityType
from postbeat.secrets import Keys
from postbeat.sending import Sender
from postbeat.settings import Settings

READY_S = 30.0
ROUNDS = 5  # turns that the runs are split into: both sides meet the same machine
CHECKS = 20  # runs of a program that is started anew for each: its figure needs no more
CHECK_SMTP = Path("/usr/lib/nagios/plugins/check_smtp")
BLACKBOX = ("prometheus-blackbox-exporter", "blackbox_exporter")
PASSWORD = "secret"


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to log in, and what the peers are told to come near to it; blackbox speaks no AUTH."""

    name: str
    sink: str
    security: SecurityType
    method: AuthenticationType
    check_smtp: tuple[str, ...] | None
    blackbox: str


MODES = (
    Mode("plaintext", "smtp", SecurityType.NONE, AuthenticationType.NONE, (), "smtp"),
    Mode(
        "STARTTLS + CRAM-MD5",
        "starttls",
        SecurityType.STARTTLS,
        AuthenticationType.CRAM_MD5,
        ("-S", "-A", "LOGIN", "-U", SENDER, "-P", PASSWORD),
        "smtp_starttls",
    ),
    Mode("SSL + PLAIN", "ssl", SecurityType.SSL, AuthenticationType.PLAIN, None, "smtp_ssl"),
)


@dataclass(frozen=True, slots=True)
class Site:
    """Where the sinks are, and the certificate of their authority."""

    ports: dict[str, int]
    authority: Path
    blackbox_url: str = ""
    blackbox: Child | None = None


def _poller(mode: Mode, site: Site) -> Callable[[], Awaitable[None]]:
    """One poll of ours, as a worker makes it."""
    element = SmtpElement(
        name="bench",
        server=HOST,
        port=site.ports[mode.sink],
        securitytype=mode.security,
        authenticationtype=mode.method,
        username=SENDER if mode.method is not AuthenticationType.NONE else "",
        password=Secret("literal", PASSWORD),
        email=RECIPIENT,
        tlscafile=str(site.authority),
    )
    lag = LagMeter()
    lag.start(asyncio.get_running_loop())
    sender = Sender.of(Settings(helo_name="sink.test"), Keys.new(), Clock(), lag, "bench")
    slots = iter(range(1, sys.maxsize))

    async def poll() -> None:
        result = await sender.poll(element, Poll("bench", "bench", next(slots)))
        if result.level is not Level.GOOD:
            raise click.ClickException(f"a poll failed, so that the figures mean nothing: {result.message}")

    return poll


def _bare(mode: Mode, site: Site) -> Callable[[], Awaitable[None]]:
    """The same with aiosmtplib alone, with ready bytes and a ready context."""
    context = ssl.create_default_context(cafile=str(site.authority))

    async def send() -> None:
        client = aiosmtplib.SMTP(
            hostname=HOST,
            port=site.ports[mode.sink],
            local_hostname="sink.test",
            use_tls=mode.security is SecurityType.SSL,
            start_tls=mode.security is SecurityType.STARTTLS,
            tls_context=None if mode.security is SecurityType.NONE else context,
        )
        await client.connect()
        if mode.method is not AuthenticationType.NONE:
            await client.ehlo()
        if mode.method is AuthenticationType.CRAM_MD5:
            await client.auth_crammd5(SENDER, PASSWORD)
        elif mode.method is AuthenticationType.PLAIN:
            await client.auth_plain(SENDER, PASSWORD)
        await client.sendmail(SENDER, [RECIPIENT], MESSAGE)
        await client.quit()

    return send


async def _cpu_ms(send: Callable[[], Awaitable[None]], runs: int) -> float:
    """The CPU time of one run in milliseconds."""
    begin = time.process_time()
    for _ in range(runs):
        await send()
    return (time.process_time() - begin) * 1000 / runs


async def _side_by_side(mode: Mode, site: Site, runs: int) -> tuple[float, float]:
    """Ours and bare, in milliseconds: of all rounds the ones in the middle."""
    poll, bare = _poller(mode, site), _bare(mode, site)
    each = max(1, runs // ROUNDS)
    for warm_up in (poll, bare):
        await _cpu_ms(warm_up, min(20, each))
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(await _cpu_ms(poll, each))
        theirs.append(await _cpu_ms(bare, each))
    return sorted(ours)[ROUNDS // 2], sorted(theirs)[ROUNDS // 2]


def _check_smtp(mode: Mode, site: Site) -> float | None:
    """The CPU time of check_smtp in milliseconds, or None where it is not there or cannot do this."""
    if mode.check_smtp is None or not CHECK_SMTP.exists():
        return None
    command = [str(CHECK_SMTP), "-H", HOST, "-p", str(site.ports[mode.sink]), "-f", SENDER, *mode.check_smtp]
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(CHECKS):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if ended.returncode != 0:
            raise click.ClickException(f"check_smtp failed: {ended.stdout.strip()}")
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    return used_s * 1000 / CHECKS


def _blackbox(mode: Mode, site: Site, runs: int) -> float | None:
    """The CPU time of one probe of blackbox_exporter in milliseconds, or None where it is not there."""
    if site.blackbox is None:
        return None
    url = f"{site.blackbox_url}/probe?module={mode.blackbox}&target={HOST}:{site.ports[mode.sink]}"
    begin_s = cpu_s(site.blackbox)
    for _ in range(runs):
        with urllib.request.urlopen(url, timeout=30) as answer:
            if b"probe_success 1" not in answer.read():
                raise click.ClickException(f"blackbox_exporter failed: {url}")
    return (cpu_s(site.blackbox) - begin_s) * 1000 / runs


def _blackbox_modules(authority: Path) -> dict[str, object]:
    """Its own example of an SMTP probe: greeting, EHLO, STARTTLS, QUIT."""
    hello = [{"expect": "^220"}, {"send": "EHLO sink.test\r"}]
    bye = [{"expect": "^250 "}, {"send": "QUIT\r"}]
    secured = [{"expect": "^250 "}, {"send": "STARTTLS\r"}, {"expect": "^220"}, {"starttls": True}]
    trust = {"tls_config": {"ca_file": str(authority), "server_name": HOST}}
    probes: dict[str, dict[str, object]] = {
        "smtp": {"query_response": hello + bye},
        "smtp_starttls": {"query_response": [*hello, *secured, hello[1], *bye], **trust},
        "smtp_ssl": {"query_response": hello + bye, "tls": True, **trust},
    }
    return {"modules": {name: {"prober": "tcp", "tcp": tcp} for name, tcp in probes.items()}}


def _start_blackbox(processes: Processes, folder: Path, authority: Path) -> tuple[str, Child | None]:
    program = next((found for name in BLACKBOX if (found := shutil.which(name))), None)
    if program is None:
        return "", None
    (folder / "blackbox.yml").write_text(json.dumps(_blackbox_modules(authority)))  # JSON is YAML
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    command = [program, f"--config.file={folder}/blackbox.yml", f"--web.listen-address={HOST}:{port}"]
    child = processes.start("blackbox", command, env=os.environ, log=folder / "blackbox.log")

    def answers() -> bool | None:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0 or None

    child.wait_for(answers, READY_S)
    return f"http://{HOST}:{port}", child


def _sinks(processes: Processes, folder: Path) -> dict[str, int]:
    ports: dict[str, int] = {}
    for module, arguments in (("sinks", ()), ("tlssinks", (str(folder),))):
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        child = processes.start(module, command, env=os.environ, log=folder / f"{module}.log")
        ports |= _said(child)
    return ports


def _said(child: Child) -> dict[str, int]:
    said: dict[str, int] = json.loads(child.wait_for(lambda: child.last_lines() or None, READY_S))
    return said


def measure(runs: int) -> list[dict[str, object]]:
    """The figures of each mode."""
    modes: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="postbeat-bench-") as name, Processes() as processes:
        folder = Path(name)
        authority = folder / "authority.pem"
        ports = _sinks(processes, folder)
        site = Site(ports, authority, *_start_blackbox(processes, folder, authority))
        for mode in MODES:
            ours, bare = uvloop.run(_side_by_side(mode, site, runs))
            peers = {"check_smtp": _check_smtp(mode, site), "blackbox_exporter": _blackbox(mode, site, runs)}
            modes.append(
                {
                    "mode": mode.name,
                    "cpu_ms": round(ours, 3),
                    "bare_cpu_ms": round(bare, 3),
                    "ratio": round(ours / bare, 2),
                    "peers": {peer: round(ms, 3) for peer, ms in peers.items() if ms is not None},
                }
            )
    return modes


@click.command()
@click.option("--runs", type=click.IntRange(1), default=500, show_default=True, help="Sends of each side.")
@json_option
def main(runs: int, as_json: bool) -> None:
    """Measures the CPU that a complete send costs the probe alone."""
    modes = measure(runs)
    if as_json:
        click.echo(json.dumps({"modes": modes}))
        return
    for figures in modes:
        show(str(figures.pop("mode")), figures, as_json=False)


if __name__ == "__main__":
    main()

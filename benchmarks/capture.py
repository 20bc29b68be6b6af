"""Are the figures true? Polls beside a capture of their packets: ``python -m benchmarks.capture``.

A process polls at a steady rate, in turns without TLS, with STARTTLS and with TLS from the first byte. This
one compares what each poll reports with the kernel's times of its packets (see :mod:`benchmarks.packets`).
What remains is our own delay, between the kernel having a packet and the probe having seen it. The process
that polls goes ahead of all others: how long a busy machine lets one wait for a CPU is not asked here. What a
hypervisor takes away nobody is ahead of: ``stolen`` is its share of the CPUs' time meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.bare import RECIPIENT, SENDER
from benchmarks.packets import Capture, CaptureError, Shape, times_us
from benchmarks.polling import Measured, Plan
from benchmarks.rig import answer, json_option, show
from benchmarks.sinks import HOST
from postbeat.embedded.processes import Processes

READY_S = 30.0
EACH = 50  # elements of a mode, each with an address of its own to connect from
NEAR_US = 1000
STAGES = ("connectTime", "SSLHandshakeTime", "responseTime", "uploadTime")


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to secure the session and to log in, and what it looks like on the wire."""

    sink: str
    security: str
    method: str
    shape: Shape


MODES = (
    Mode("smtp", "NONE", "NONE", Shape(implicit_tls=False, tls=False, commands=4)),
    Mode("starttls", "STARTTLS", "CRAM-MD5", Shape(implicit_tls=False, tls=True, commands=6)),
    Mode("ssl", "SSL", "PLAIN", Shape(implicit_tls=True, tls=True, commands=5)),
)


def _elements(ports: dict[str, int], authority: Path) -> list[dict[str, Any]]:
    """Neighbours differ in mode; the name of an element is the address that it connects from."""
    return [
        {
            "name": f"127.7.{mode_number}.{number}",
            "sourceaddress": f"127.7.{mode_number}.{number}",
            "server": HOST,
            "port": ports[mode.sink],
            "securitytype": mode.security,
            "authenticationtype": mode.method,
            "username": "" if mode.method == "NONE" else SENDER,
            "password": "secret",
            "email": RECIPIENT,
            "tlscafile": str(authority),
        }
        for number in range(1, EACH + 1)
        for mode_number, mode in enumerate(MODES)
    ]


def _mode_of(element: str) -> Mode:
    return MODES[int(element.split(".")[2])]


def measure(rate: float, seconds: float, *, ahead: bool) -> dict[str, object]:
    """The figures of all stages.

    Raises:
        ClickException: a poll failed.
        CaptureError: the capture does not have every poll.
    """
    with tempfile.TemporaryDirectory(prefix="postbeat-bench-") as name, Processes() as processes:
        folder = Path(name)
        ports: dict[str, int] = {}
        for module, arguments in (("sinks", ()), ("tlssinks", (str(folder),))):
            command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
            child = processes.start(module, command, env=os.environ, log=folder / f"{module}.log")
            ports |= answer(child, READY_S)
        plan = Plan(_elements(ports, folder / "authority.pem"), rate, max(1, int(rate * seconds)), ahead)
        with Capture(list(ports.values())) as capture:
            before = psutil.cpu_times()
            measured = _polled(plan)
            after = psutil.cpu_times()
    stolen = (after.steal - before.steal) / (sum(after) - sum(before))
    return {**_compared(measured, capture), "stolen": round(stolen, 4)}


def _polled(plan: Plan) -> list[Measured]:
    command = [sys.executable, "-m", "benchmarks.polling", json.dumps(asdict(plan))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    measured = [Measured(**one) for one in json.loads(done.stdout)]
    for one in measured:
        if not one.good:
            raise click.ClickException(f"a poll failed, so that the figures mean nothing: {one.message}")
    return measured


def _compared(measured: Sequence[Measured], capture: Capture) -> dict[str, object]:
    connections = capture.connections()
    taken: Counter[str] = Counter()
    errors_us: defaultdict[str, list[int]] = defaultdict(list)
    for one in measured:
        if taken[one.element] >= len(connections.get(one.element, ())):
            raise CaptureError(f"a poll of {one.element} was not seen on the wire")
        packets = connections[one.element][taken[one.element]]
        taken[one.element] += 1
        true_us = times_us(packets, _mode_of(one.element).shape)
        if true_us.keys() != one.times_us.keys() - {"lookupTime"}:
            raise CaptureError(f"a poll reports {sorted(one.times_us)}, the wire {sorted(true_us)}")
        for name, took_us in true_us.items():
            errors_us[name].append(abs(one.times_us[name] - took_us))
    return {
        **{stage: _figures(errors_us[stage]) for stage in STAGES if errors_us[stage]},
        "max_loop_lag_ms": round(max(one.lag_us for one in measured) / 1000, 3),
    }


def _figures(errors_us: Iterable[int]) -> dict[str, float]:
    ordered = sorted(errors_us)
    size = len(ordered)
    return {
        "p50_error_ms": ordered[size // 2] / 1000,
        "p99_error_ms": ordered[min(size - 1, size * 99 // 100)] / 1000,
        "max_error_ms": ordered[-1] / 1000,
        "within_1_ms": round(sum(error <= NEAR_US for error in ordered) / size, 4),
        "n": size,
    }


class SpoiltCapture(click.ClickException):
    """Says nothing of the polls: the machine was too busy to capture all packets. Try again."""

    exit_code = 3


@click.command()
@click.option(
    "--rate", type=click.FloatRange(1, 1000), default=50.0, show_default=True, help="Polls a second."
)
@click.option("--seconds", type=click.FloatRange(0.1), default=20.0, show_default=True, help="How long.")
@click.option(
    "--ahead/--among-others", default=True, help="Poll ahead of all other processes of the machine, or not."
)
@json_option
def main(rate: float, seconds: float, ahead: bool, as_json: bool) -> None:
    """Compares the reported times of polls with those of their packets.

    Exit code 3: packets were not captured, as the machine was too busy.
    """
    try:
        figures = measure(rate, seconds, ahead=ahead)
    except PermissionError as error:
        raise click.ClickException("only root may capture packets") from error
    except CaptureError as error:
        raise SpoiltCapture(str(error)) from error
    if as_json:
        click.echo(json.dumps(figures))
        return
    flat = {
        f"{name} {key}" if isinstance(value, dict) else name: number
        for name, value in figures.items()
        for key, number in (value.items() if isinstance(value, dict) else [("", value)])
    }
    show("capture", flat, as_json=False)


if __name__ == "__main__":
    main()

"""What polls report is what went over the wire, and a real Postfix is not made slow by us."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from postbeat.model import Secret, SecurityType
from tests.conftest import not_installed
from tests.mailservers import MailServers
from tests.truth.conftest import Send

STAGES = {"connectTime", "SSLHandshakeTime", "responseTime", "uploadTime"}
TRIES = 8  # other load on the machine may spoil some, and not each
SPOILT = 3  # the exit code of a capture that does not have all packets


def may_capture() -> bool:
    if not hasattr(socket, "AF_PACKET"):
        return False
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM).close()
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        return False
    return True


def captured() -> dict[str, Any] | None:
    """The figures of a capture, or nothing where the machine was too busy to capture all packets."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks.capture", "--rate=50", "--seconds=4", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, SPOILT), done.stderr
    if done.returncode == SPOILT:
        return None
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def test_99_of_100_figures_are_within_a_millisecond_of_the_packets() -> None:
    if not may_capture():
        not_installed("root, which captures packets,", "sudo")
    off = dict.fromkeys(STAGES, float("inf"))
    for _ in range(TRIES):
        figures = captured()
        if figures is None:
            continue
        assert figures.keys() >= STAGES
        assert all(figures[stage]["n"] >= 100 for stage in STAGES)
        # Where the hypervisor takes the CPU away, it delays either end of a figure.
        excused = 2 * figures["stolen"]
        for stage, share in off.items():
            off[stage] = min(share, 1 - figures[stage]["within_1_ms"] - excused)
        if max(off.values()) < 0.01:
            return
    pytest.fail(f"in each of {TRIES} captures too many figures are off: {off}, at last {figures}")


@pytest.mark.mailservers
@pytest.mark.parametrize(
    ("security", "name"), [(SecurityType.SSL, "greeting"), (SecurityType.STARTTLS, "ehlo")]
)
def test_what_postfix_says_after_the_handshake_does_not_wait_for_a_delayed_acknowledgement(
    send: Send, servers: MailServers, security: SecurityType, name: str
) -> None:
    account = servers.account()
    took_us = []
    for _ in range(20):
        made = send(
            servers.ports["smtps" if security is SecurityType.SSL else "smtp"],
            security,
            username=account.name,
            password=Secret("literal", account.password),
            email=account.address,
            tlscafile=f"{servers.root}/tls/ca.pem",
        )
        took_us.append([stage.took_us for stage in made.stages if stage.name == name][-1])
    assert statistics.median(took_us) < 20_000, sorted(took_us)

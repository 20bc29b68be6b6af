"""A server that is slow in one stage moves the figure of that stage, by as much, and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import pytest

from postbeat.model import SecurityType
from tests.servers.scripted import Certificates
from tests.truth.conftest import Send
from tests.truth.delaying import DELAY_S, slow_in, slow_to_connect

NONE, STARTTLS, SSL = SecurityType.NONE, SecurityType.STARTTLS, SecurityType.SSL
DELAY_US = int(DELAY_S * 1e6)
# A quarter of a delay: what a busy machine may add to a stage, and far from what is looked for.
TOLERANCE_US = DELAY_US // 4
TRIES = 3  # a busy machine may hold up one of them; a figure that moves wrongly does so each time
MESSAGE = ["auth", "mail", "rcpt", "data", "upload", "quit"]
STAGES = {
    NONE: ["connect", "greeting", "ehlo", *MESSAGE],
    STARTTLS: ["connect", "greeting", "ehlo", "starttls", "tls", "ehlo", *MESSAGE],
    SSL: ["connect", "tls", "greeting", "ehlo", *MESSAGE],
}
# responseTime is all between the connection and the reply that allows the message; what else moves with it.
FIGURES = {"tls": {"SSLHandshakeTime", "responseTime"}, "upload": {"uploadTime"}, "quit": set[str]()}
CASES = [(security, stage) for security, stages in STAGES.items() for stage in dict.fromkeys(stages[1:])]


@pytest.mark.parametrize(("security", "slow"), CASES)
def test_a_slow_stage_moves_its_own_figure_alone(
    send: Send, certificates: Certificates, security: SecurityType, slow: str
) -> None:
    expected = {slow: True, "total": True} | dict.fromkeys(FIGURES.get(slow, {"responseTime"}), True)
    for _ in range(TRIES):
        with slow_in(slow, security, certificates.server) as port:
            made = send(port, security)
        took_us = [(stage.name, stage.took_us) for stage in made.stages if stage.name != "lookup"]
        assert [name for name, _ in took_us] == STAGES[security]
        found = moved([*took_us, *made.times_us.items(), ("total", made.total_us)])
        if found == expected:
            break
    assert found == expected


def moved(times_us: Iterable[tuple[str, int]]) -> dict[str, bool]:
    """What took long, and whether by as much as the delay."""
    return {name: abs(us - DELAY_US) < TOLERANCE_US for name, us in times_us if us > TOLERANCE_US}


def test_a_slow_connect_moves_connect_time_alone(send: Send) -> None:
    with slow_to_connect() as port:
        made = send(port, NONE)
    assert {name for name, us in made.times_us.items() if us > TOLERANCE_US} == {"connectTime"}
    assert 900_000 < made.times_us["connectTime"] < 1_800_000  # the kernel's timer is of a second, roughly


def test_what_the_figures_leave_out_is_little(send: Send, certificates: Certificates) -> None:
    """responseTime, uploadTime and the goodbye follow each other without a gap that hides something."""
    gaps_us = []
    for _ in range(5):
        with slow_in("", STARTTLS, certificates.server) as port:
            made = send(port, STARTTLS)
        times_us = made.times_us
        (goodbye,) = [stage for stage in made.stages if stage.name == "quit"]
        counted_us = sum(
            times_us[name] for name in ("lookupTime", "connectTime", "responseTime", "uploadTime")
        )
        gaps_us.append(made.total_us - counted_us - goodbye.took_us)
    assert statistics.median(gaps_us) < 5_000

"""The units of deploy/systemd, as systemd itself judges them."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import not_installed
from tests.deploy.compose import ROOT, documented_file_sink

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
WRITERS = ("notify", "bridge")
EXPOSURE_LIMIT = 20  # of 100; what systemd calls "OK" ends at 50, and a service without any of it has 96


def analyzed(what: list[str], unit: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs systemd-analyze on a unit whose command is this environment's."""
    if shutil.which("systemd-analyze") is None:
        not_installed("systemd-analyze", "systemd")
    here = folder / unit.name
    here.write_text(unit.read_text().replace("/opt/postbeat/bin", sysconfig.get_path("scripts")))
    return subprocess.run(
        ["systemd-analyze", *what, str(here)], capture_output=True, text=True, timeout=60, check=False
    )


def service(unit: Path) -> dict[str, list[str]]:
    """The settings of a unit's service; one may stand there several times."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().partition("[Service]")[2].partition("[Install]")[0].splitlines():
        name, separator, value = line.partition("=")
        if separator:
            found.setdefault(name, []).append(value)
    return found


def variables(settings: dict[str, list[str]]) -> dict[str, str]:
    """The environment that the settings of a service give it."""
    return dict(word.split("=") for line in settings["Environment"] for word in line.split())


def hardening(unit: Path) -> str:
    return unit.read_text().partition("\n\nNoNewPrivileges")[2]


def test_there_is_a_unit_for_each_kind_of_process() -> None:
    assert [unit.name for unit in UNITS] == [
        "postbeat-beat.service",
        "postbeat-bridge.service",
        "postbeat-flower.service",
        "postbeat-metrics.service",
        "postbeat-monitor@.service",
        "postbeat-notify.service",
        "postbeat-web.service",
        "postbeat-worker@.service",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault(unit: Path, tmp_path: Path) -> None:
    ran = analyzed(["verify"], unit, tmp_path)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_little_of_the_machine_is_exposed_to_it(unit: Path, tmp_path: Path) -> None:
    ran = analyzed(["security", "--offline=yes", f"--threshold={EXPOSURE_LIMIT}"], unit, tmp_path)
    assert ran.returncode == 0, ran.stdout


def test_all_are_hardened_in_the_same_way() -> None:
    assert len({hardening(unit) for unit in UNITS}) == 1


@pytest.mark.parametrize("name", ["postbeat-worker@", "postbeat-monitor@"])
def test_systemd_waits_longer_for_a_worker_than_the_worker_for_its_polls(name: str) -> None:
    settings = service(next(unit for unit in UNITS if unit.stem == name))
    assert float(settings["TimeoutStopSec"][0]) >= float(variables(settings)["POSTBEAT_GRACE"]) + 10


def test_sinks_and_the_bridge_may_write_to_the_folder_of_their_logs() -> None:
    notify, bridge = (service(ROOT / "deploy" / "systemd" / f"postbeat-{it}.service") for it in WRITERS)
    assert [f"/var/log/{name}" for name in notify["LogsDirectory"]] == [str(documented_file_sink().parent)]
    folder = Path(variables(bridge)["POSTBEAT_DATALOG_DIR"]).parent
    assert [f"/var/log/{name}" for name in bridge["LogsDirectory"]] == [str(folder)]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_secret_is_in_a_unit(unit: Path) -> None:
    values = [value for values in service(unit).values() for value in values]
    assert any(value == "/etc/postbeat/redis.env" for value in values)
    assert "redis://" not in unit.read_text()

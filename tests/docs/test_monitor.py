"""docs/monitor.md is true: its monitor runs as it is written there, and says what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from postbeat.embedded.mail import MailServer
from postbeat.ism.properties import PROPERTIES
from tests.cli.conftest import mail

__all__ = ["mail"]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "monitor.md").read_text(encoding="utf-8")
PORT = "port: 2525"  # of the page's server


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def tried(mail: MailServer, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What the script of the page prints, with a mail server where the page has one."""
    folder = tmp_path_factory.mktemp("try")
    assert PORT in block("yaml")
    (folder / "profile.yaml").write_text(block("yaml").replace(PORT, f"port: {mail.smtp}"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTBEAT_")}
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-u", "-c", block("sh")],
        cwd=folder,
        env=clean | {"PATH": path, "XDG_STATE_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_the_monitor_of_the_page_runs(tried: subprocess.CompletedProcess[str]) -> None:
    lines = tried.stdout.splitlines()
    assert re.fullmatch(r"\S+Z INFO smtp submission@here#\d+ send GOOD \S+s: .+", lines[0])
    assert any(re.fullmatch(r"\d{8}\.xml", line) for line in lines)
    assert lines[-1].endswith("Going Down ...")


def test_it_says_at_its_start_what_the_page_shows(tried: subprocess.CompletedProcess[str]) -> None:
    shown = block("text")
    told = re.sub(r"(?<=a private one in ).*/monitor-smtp", "state/monitor-smtp", tried.stderr)
    assert shown in told, told


def test_every_option_with_one_dash_is_one() -> None:
    known = {option for it in PROPERTIES.values() for option in it.options}
    known |= {f"-no{option[1:]}" for option in known} | {"-state", "-help", "-version", "-kinds"}
    named = set(re.findall(r"(?<![\w-])-[a-z]{3,}", DOCUMENT))
    assert named - known == set()

"""How commands end whose output nobody reads, or that are broken off by Ctrl-C."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import command, environment, unread


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text("elements: [{name: a, type: smtp, server: 127.0.0.1, port: 1}]")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("ism", "props", "--help"),
        ("ism", "props", "smtp", "--explain"),
        ("ism", "props", "--json"),
        ("ism", "rules", "show", "smtp"),
        ("key",),
    ],
    ids=" ".join,
)
def test_that_nobody_reads_on_is_no_failure_of_any_command(arguments: tuple[str, ...]) -> None:
    assert unread(*arguments) == (0, b"")


@pytest.mark.parametrize("what", [("report", "--format", "json"), ("metrics", "--once")], ids=" ".join)
def test_nor_is_it_where_output_is_kept_until_the_end(redis_url: str, what: tuple[str, ...]) -> None:
    code, said = unread(*what, "--redis", redis_url)
    assert (code, b"Exception" in said, b"Traceback" in said) == (0, False, False)


def test_the_level_of_a_poll_is_told_and_a_fault_of_a_profile_too_where_nobody_reads(
    profile: Path,
) -> None:
    assert [unread("probe", profile, "a", *more) for more in ((), ("--explain",), ("--json",))] == [
        (2, b"")
    ] * 3
    assert unread("check", "--json", profile) == (0, b"")
    profile.write_text("elements: 1")
    code, _ = unread("check", profile)
    assert code == 1


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        (("import",), "monitor,server,port\nsmtp,h,0\n", 2),
        (("import", "--json"), "monitor,server,port\nsmtp,h,0\n", 2),
        (("import", "--strict"), "monitor,server,serviceleveltest\nsmtp,h,x\n", 1),
        (("import", "--strict", "--json"), "monitor,server,serviceleveltest\nsmtp,h,x\n", 1),
        (("rules", "check"), "x y z", 1),
        (("rules", "try"), 'array a\n@Severity = "x" + $y', 2),
        (("rules", "try", "--json"), 'array a\n@Severity = "x" + $y', 2),
    ],
    ids=str,
)
def test_nor_does_a_wrong_file_of_the_ism_seem_right_where_nobody_reads(
    tmp_path: Path, arguments: tuple[str, ...], text: str, expected: int
) -> None:
    file = tmp_path / "f.csv"
    file.write_text(text)
    code, said = unread("ism", *arguments, file)
    assert (code, b"Traceback" in said) == (expected, False)


@pytest.mark.parametrize("what", ["probe", "status", "report"])
def test_what_is_broken_off_is_not_said_to_be_invalid_or_marginal(tmp_path: Path, what: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        port = silent.getsockname()[1]
        profile = tmp_path / "p.yaml"
        profile.write_text(
            f"elements: [{{name: a, type: smtp, server: 127.0.0.1, port: {port}, timeout: 60}}]"
        )
        more = [profile, "a"] if what == "probe" else ["--redis", f"redis://127.0.0.1:{port}/0"]
        with subprocess.Popen(
            command(what, *more), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                asked, _ = silent.accept()
                with asked:
                    process.send_signal(signal.SIGINT)
                    told = process.communicate(timeout=60)
            finally:
                process.kill()
    assert (process.returncode, *told) == (130, "", "Interrupted.\n")

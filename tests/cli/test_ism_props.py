"""``postbeat ism props``: what it shows, what it refuses, and what it writes."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from postbeat.ism import props
from postbeat.ism.properties import PROPERTIES, of_kind
from postbeat.ism.propsfile import parse
from postbeat.model import Kind
from tests.cli.conftest import Run

CANARY = "canary-51b2"
FILE = f"""\
# ours
Originator     : "Mail Check"    # as in the readers
SSLKeyPassword : "{CANARY}"
SSLCipherSuite : "RC4:3DES:DES:+EXP"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the current folder: its path must leave room in a table."""
    monkeypatch.chdir(tmp_path)
    path = Path("smtp.props")
    path.write_text(FILE)
    return path


def test_explain_shows_each_value_and_where_it_came_from(inside: Run, file: Path) -> None:
    done = inside(
        *("ism", "props", "smtp", "-propsfile", file, "--explain", "-nousebody", "--messagelevel", "debug"),
        env={"POSTBEAT_MAILMESSAGE": "/etc/message.txt"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert rows[0] == "property value from where"
    assert [row.split()[0] for row in rows[1 : 1 + len(of_kind(Kind.SMTP))]] == list(of_kind(Kind.SMTP))
    for row in (
        "MailMessage /etc/message.txt environment POSTBEAT_MAILMESSAGE",
        f"Originator Mail Check file {file}:2",
        f"SSLKeyPassword (set) file {file}:3",
        "UseBody 0 command line -usebody",
        "MessageLevel debug command line -messagelevel",
        "MaxLogFiles 5 default",
    ):
        assert row in rows
    assert any(row.startswith("SSLCipherSuite: RC4, 3DES, DES, +EXP: unknown to OpenSSL") for row in rows)
    assert CANARY not in done.stdout


def test_json_has_each_value_its_source_and_no_secret(inside: Run, file: Path) -> None:
    address = f"redis://postbeat:{CANARY}@redis.example.com/0"
    done = inside("ism", "props", "smtp", "--propsfile", file, "--json", "--redis", address)
    data = json.loads(done.stdout)
    assert data["monitor"] == "smtp"
    assert list(data["properties"]) == list(of_kind(Kind.SMTP))
    found = data["properties"]
    assert found["Originator"] == {"value": "Mail Check", "source": "file", "where": f"{file}:2", "note": ""}
    assert found["UseBody"] == {"value": 0, "source": "default", "where": "", "note": ""}
    assert (found["SSLKeyPassword"]["value"], found["SSLKeyPassword"]["source"]) == (None, "file")
    assert found["RedisUrl"]["value"] == "redis://redis.example.com/0"
    assert CANARY not in done.stdout + done.stderr


def test_what_is_printed_is_a_properties_file_that_means_the_same(inside: Run, tmp_path: Path) -> None:
    path = tmp_path / "imap4.props"
    arguments = ["-originator", 'A "$B"', "-usebody", "-maxlogfiles=7", "-sslkeypassword", CANARY]
    done = inside("ism", "props", "imap4", *arguments)
    assert CANARY not in done.stdout + done.stderr
    path.write_text(done.stdout)
    again = inside("ism", "props", "imap4", "-propsfile", path, "--json")
    found = {name: it["value"] for name, it in json.loads(again.stdout)["properties"].items()}
    given = props.split_arguments(Kind.IMAP4, arguments)[0] | {"PropsFile": str(path), "SSLKeyPassword": ""}
    resolved = props.resolve(Kind.IMAP4, arguments=given, environ={}, file=None)
    assert found == {name: it.value for name, it in resolved.items()}


def test_ciphers_that_are_no_more_are_warned_of_where_they_were_set(inside: Run, file: Path) -> None:
    warned = inside("ism", "props", "-propsfile", file).stderr
    assert warned.startswith("SSLCipherSuite: RC4, 3DES, DES, +EXP: unknown to OpenSSL")
    assert inside("ism", "props").stderr == ""
    assert "# SSLCipherSuite : " in inside("ism", "props").stdout


def test_the_file_under_the_home_of_the_ism_is_found(inside: Run, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "props" / "pop3.props"
    path.parent.mkdir(parents=True)
    path.write_text('MessageLog : "$ISHOME/pop3.log"\n')
    done = inside("ism", "props", "pop3", "--json", env={"ISMHOME": str(tmp_path)})
    found = json.loads(done.stdout)["properties"]
    log = found["MessageLog"]
    assert (log["value"], log["where"]) == (str(tmp_path / "pop3.log"), f"{path}:1")
    assert found["PropsFile"]["where"] == "$ISHOME/etc/props/pop3.props"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-usebody=2"], "-usebody: expected 0 or 1, got '2'"),
        (["-originator"], "-originator: expected a text of at most 64 characters in one line after it"),
        (["pop3", "-mailmessage", "/m"], "-mailmessage: MailMessage is a property of smtp, not of pop3"),
        (["-messagelog", "--explain"], "-messagelog: expected a path in one line after it"),
        (["-propsfile", "none.props"], "none.props: cannot read it: No such file or directory"),
        (["--write", "x.props", "-usebody"], "--write writes the defaults, and takes no properties"),
    ],
)
def test_what_is_wrong_is_said_and_the_exit_code_is_2(
    inside: Run, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = inside("ism", "props", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].removeprefix("Error: ") == message
    assert not list(tmp_path.iterdir())


def test_an_unknown_option_is_refused_with_a_hint(inside: Run) -> None:
    done = inside("ism", "props", "-originater", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean -originator?" in done.stderr


def test_all_faults_of_a_file_are_said_at_once(inside: Run, tmp_path: Path) -> None:
    path = tmp_path / "smtp.props"
    path.write_text("UseBody : 2\nOriginater : A\nManager : a b\n")
    done = inside("ism", "props", "--propsfile", path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"{path}:1: UseBody: expected 0 or 1, got '2'",
        f"{path}:2: Originater is no property of smtp; did you mean Originator?",
        f"{path}:3: expected quotes around the value of Manager, as it has blanks",
    ]


@pytest.mark.parametrize("kind", Kind)
def test_a_file_to_begin_with_is_written_and_never_over_another(
    inside: Run, kind: Kind, tmp_path: Path
) -> None:
    path = tmp_path / "new.props"
    assert inside("ism", "props", kind, "--write", path).returncode == 0
    text = path.read_text(encoding="utf-8")
    assert parse(text, "new.props").values == {}
    assert all(f"\n#{name} : " in text for name in of_kind(kind) if name != "PropsFile")
    path.write_text("UseBody : 1\n")
    again = inside("ism", "props", kind, "--write", path)
    assert (again.returncode, again.stderr.strip()) == (2, f"{path} exists, and is left as it is")
    assert path.read_text() == "UseBody : 1\n"
    lost = inside("ism", "props", kind, "--write", tmp_path / "none" / "x.props")
    assert (lost.returncode, "No such file or directory" in lost.stderr) == (2, True)


def test_where_a_file_to_begin_with_cannot_be_written_whole_there_is_none(
    inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "new.props"
    done = inside("ism", "props", "--write", path)
    assert (done.returncode, done.stderr.strip()) == (2, f"cannot write {path}: No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_value_that_no_file_can_have_is_shown_as_a_comment(inside: Run) -> None:
    done = inside("ism", "props", env={"POSTBEAT_RESOLVER": ",".join(["192.0.2.53"] * 500)})
    assert (done.returncode, "\n# the value of Resolver is too long\n" in done.stdout) == (0, True)
    assert "Resolver" not in parse(done.stdout, "smtp.props").values


def test_help_names_every_property(inside: Run) -> None:
    shown = inside("ism", "props", "--help").stdout
    assert all(f"-{name.lower()}" in shown for name in PROPERTIES)

"""``postbeat ism import`` and ``export``: files, exit codes, and what is said where."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from postbeat import profile as profiles
from postbeat.ism.transfer import exporting
from tests.cli.conftest import Run

GOOD = """monitor,identifier,server,email,username,password,colour
smtp,out,mail.example.com,probe@example.com,,,
imap4,inbox,mail.example.com,,probe@example.com,canary-1,
"""
LEFT_OUT = GOOD.replace("example.com,,,\n", "example.com,,,blue\n")
BAD = "monitor,server,port\nsmtp,h,0\nsmtp,,25\n"
PROFILE = """
elements:
  - {name: out, type: smtp, server: mail.example.com, email: probe@example.com, read: inbox, payload: 9}
  - {name: inbox, type: imap4, server: mail.example.com, username: u, password: canary-1, folders: [Lists]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "office.csv"
    path.write_text(GOOD)
    return path


def test_a_profile_goes_to_stdout_and_its_report_to_stderr(inside: Run, file: Path, tmp_path: Path) -> None:
    done = inside("ism", "import", file)
    assert done.returncode == 0
    assert done.stdout.startswith("# Made by postbeat ism import from office.csv\n")
    assert "  INBOX_PASSWORD: password of inbox\n" in done.stderr
    assert "canary" not in done.stdout + done.stderr
    (tmp_path / "p.yaml").write_text(done.stdout)
    assert profiles.load(tmp_path / "p.yaml").elements["out"].name == "out"


def test_a_profile_that_is_written_passes_check(inside: Run, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "office.yaml"
    done = inside("ism", "import", file, "-o", target, "--region", "eu", "--region", "us")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{file}: 1 smtp, 1 imap4\n" in done.stdout
    checked = inside("check", target)
    assert checked.returncode == 0
    assert "4 pairs of element and region" in checked.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["office.csv", "office.yaml"]


def test_a_file_that_exists_is_left_as_it_is(inside: Run, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "office.yaml"
    target.write_text("mine")
    for arguments in (("import", file), ("export", tmp_path / "p.yaml")):
        (tmp_path / "p.yaml").write_text(PROFILE)
        done = inside("ism", *arguments, "-o", target)
        assert done.returncode == 2
        assert done.stderr == f"{target} exists, and is left as it is; --force writes over it\n"
        assert target.read_text() == "mine"
    assert inside("ism", "import", file, "-o", target, "--force").returncode == 0
    assert target.read_text().startswith("# Made by")


def test_a_folder_that_is_missing_is_told(inside: Run, file: Path, tmp_path: Path) -> None:
    done = inside("ism", "import", file, "-o", tmp_path / "none" / "p.yaml")
    assert done.returncode == 2
    assert done.stderr == f"cannot write {tmp_path}/none/p.yaml: No such file or directory\n"


def test_passwords_go_into_a_file_that_only_its_owner_may_read(
    inside: Run, file: Path, tmp_path: Path
) -> None:
    target = tmp_path / "office.yaml"
    assert inside("ism", "import", file, "-o", target, "--passwords", "literal").returncode == 0
    assert "password: canary-1\n" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_strict_is_for_what_was_left_out(inside: Run, file: Path) -> None:
    assert inside("ism", "import", file, "--strict").returncode == 0
    file.write_text(LEFT_OUT)
    assert inside("ism", "import", file).returncode == 0
    done = inside("ism", "import", file, "--strict")
    assert done.returncode == 1
    assert "left out:\n  line 2: colour: no field has this name\n" in done.stderr
    assert done.stdout.startswith("# Made by")


def test_a_statement_that_could_judge_nothing_is_left_out(inside: Run, file: Path) -> None:
    file.write_text("monitor,server,servicelevels\nsmtp,h,downloadTime > 5 Marginal\n")
    assert inside("ism", "import", file).returncode == 0
    done = inside("ism", "import", file, "--strict")
    assert done.returncode == 1
    assert "left out:\n  line 2: servicelevels: downloadTime > 5 Marginal: " in done.stderr


def test_faults_are_said_all_at_once_and_nothing_is_written(inside: Run, file: Path, tmp_path: Path) -> None:
    file.write_text(BAD)
    done = inside("ism", "import", file, "-o", tmp_path / "p.yaml")
    assert done.returncode == 2
    assert done.stdout == (
        f"{file}:2: port: expected a whole number from 1 to 65535, got 0\n"
        f"{file}:3: server: required: a host name or an IP address\n"
    )
    assert done.stderr == f"2 faults in {file}\n"
    assert not (tmp_path / "p.yaml").exists()
    faults = json.loads(inside("ism", "import", file, "--json").stdout)
    assert not faults["valid"]
    assert [(fault["line"], fault["field"]) for fault in faults["faults"]] == [(2, "port"), (3, "server")]


def test_the_report_in_json_accounts_for_lines_and_fields(inside: Run, file: Path, tmp_path: Path) -> None:
    file.write_text(LEFT_OUT)
    report = json.loads(inside("ism", "import", file, "--json").stdout)
    assert report["valid"]
    assert report["profile"].startswith("# Made by")
    assert report["elements"][0] == {
        "name": "out",
        "type": "smtp",
        "line": 2,
        "fields": {"name": "identifier", "server": "server", "email": "email"},
    }
    assert report["variables"] == [{"name": "INBOX_PASSWORD", "element": "inbox", "field": "password"}]
    assert [(it["first"], it["what"]) for it in report["lines"]] == [
        (1, "header"),
        (2, "element out"),
        (3, "element inbox"),
    ]
    left_out = [note for note in report["notes"] if note["effect"] == "left out"]
    assert left_out == [
        {
            "effect": "left out",
            "field": "colour",
            "text": "no field has this name",
            "lines": [2],
            "elements": [],
        }
    ]
    written = json.loads(inside("ism", "import", file, "--json", "-o", tmp_path / "p.yaml").stdout)
    assert written["profile"] is None


def test_a_region_that_is_none_is_refused(inside: Run, file: Path) -> None:
    done = inside("ism", "import", file, "--region", "Europe West")
    assert done.returncode == 2
    assert "--region: expected at most 32 small letters, digits and -, got 'Europe West'" in done.stderr


@pytest.mark.parametrize("suffix", [".csv", ".xml"])
def test_an_export_is_imported_as_the_same_elements(inside: Run, tmp_path: Path, suffix: str) -> None:
    source, target, again = tmp_path / "office.yaml", tmp_path / f"office{suffix}", tmp_path / "again.yaml"
    source.write_text(PROFILE.replace("canary-1", "{env: P}"))
    done = inside("ism", "export", source, "-o", target)
    assert done.returncode == 0
    assert "  payload: the ISM has no such field (out)\n" in done.stdout
    assert target.read_text().startswith("<?xml" if suffix == ".xml" else "monitor,profile,identifier,")
    assert inside("ism", "import", target, "-o", again).returncode == 0
    assert profiles.load(again) == profiles.load(source)


def test_an_export_has_no_passwords_and_says_which_variables_stand_for_them(
    inside: Run, tmp_path: Path
) -> None:
    source = tmp_path / "office.yaml"
    source.write_text(PROFILE)
    for form in ("csv", "xml"):
        done = inside("ism", "export", source, "--format", form)
        assert done.returncode == 0
        assert "canary" not in done.stdout + done.stderr
        assert "env:INBOX_PASSWORD" in done.stdout
        assert "  INBOX_PASSWORD: password of inbox\n" in done.stderr


def test_an_export_of_a_profile_with_faults_says_them(inside: Run, tmp_path: Path) -> None:
    source = tmp_path / "office.yaml"
    source.write_text("elements:\n  - {name: a, type: smtp, server: h, port: 0}\n")
    done = inside("ism", "export", source)
    assert done.returncode == 2
    assert f"{source}:2: elements[0].port: expected a whole number from 1 to 65535, got 0" in done.stderr


def test_a_profile_that_is_too_large_for_a_file_is_not_exported(
    inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "office.yaml"
    source.write_text(PROFILE)
    monkeypatch.setattr(exporting, "ELEMENT_LIMIT", 1)
    done = inside("ism", "export", source, "-o", tmp_path / "office.xml")
    assert done.returncode == 2
    assert done.stderr.startswith("a file has at most 1 elements, ")
    assert not (tmp_path / "office.xml").exists()

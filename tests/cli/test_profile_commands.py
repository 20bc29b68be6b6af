"""``postbeat check``, ``schedule`` and ``key``."""

from __future__ import annotations

import json
import time
from pathlib import Path

from cryptography.fernet import Fernet

from tests.cli.conftest import Run

VALID = """
regions: [north, south]
elements:
  - {name: a, type: smtp, server: mail.example.com, poll: 60}
  - {name: b, type: smtp, server: mail.example.com, poll: 60, regions: east}
  - {name: c, type: smtp, server: mail.example.com, active: false}
  - {name: box, type: imap4, server: mail.example.com, username: u, password: p, poll: 100, regions: east}
"""


def test_check_says_what_a_valid_profile_holds(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(VALID)
    done = inside("check", file)
    assert done.returncode == 0
    expected = f"{file} is valid: 3 smtp, 1 imap4; 4 pairs of element and region, 0.06 polls per second\n"
    assert done.stdout == expected
    assert json.loads(inside("check", "--json", file).stdout) == {
        "valid": True,
        "elements": {"smtp": 3, "imap4": 1, "pop3": 0},
        "regions": ["east", "north", "south"],
        "pairs": 4,
        "pollsPerSecond": 0.06,
        "warnings": [],
    }


def test_check_warns_of_what_is_allowed_and_may_not_be_meant(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("""
elements:
  - {name: open, type: smtp, server: h, securitytype: SSL, tlsverify: false}
  - {name: old, type: smtp, server: h, securitytype: SSL, sslciphersuite: "NONSENSE:AES256-SHA"}
  - {name: none, type: smtp, server: h, securitytype: SSL, sslciphersuite: NONSENSE}
  - {name: plain, type: smtp, server: h, tlsverify: false}
""")
    done = inside("check", file)
    assert done.returncode == 0
    first, second, third = done.stderr.splitlines()
    assert first == "warning: open: the server's certificate is not verified"
    assert second.startswith("warning: old: NONSENSE: unknown to OpenSSL")
    assert third.startswith("warning: none: sslciphersuite 'NONSENSE' selects no cipher that OpenSSL")
    warnings = json.loads(inside("check", "--json", file).stdout)["warnings"]
    assert [f"warning: {warning}" for warning in warnings] == done.stderr.splitlines()


def test_check_says_all_that_is_wrong_with_file_line_and_key(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("elements:\n  - {name: a, type: smtp, server: x, prot: 1}\n  - {name: a!, type: smtp}\n")
    done = inside("check", file)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{file}:2: elements[0].prot: unknown key; did you mean port?",
        f"{file}:3: elements[1].name: expected a name of at most 64 letters, digits, '.', '_' and '-',"
        " got 'a!'",
        f"{file}:3: elements[1].server: required: a host name or an IP address",
    ]
    assert done.stderr == f"3 faults in {file}\n"
    document = json.loads(inside("check", "--json", file).stdout)
    assert not document["valid"]
    assert [(fault["line"], fault["path"]) for fault in document["faults"]] == [
        (2, "elements[0].prot"),
        (3, "elements[1].name"),
        (3, "elements[1].server"),
    ]


def test_a_profile_that_does_not_exist_is_said_at_once(inside: Run, tmp_path: Path) -> None:
    done = inside("check", tmp_path / "nowhere.yaml")
    assert done.returncode == 2
    assert "nowhere.yaml' does not exist" in done.stderr


def test_schedule_shows_the_next_poll_of_each_active_pair_and_its_queue(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(VALID)
    rows = json.loads(inside("schedule", "--json", file).stdout)
    assert sorted((row["element"], row["region"], row["queue"], row["task"]) for row in rows) == [
        ("a", "north", "probe.north", "smtp.send"),
        ("a", "south", "probe.south", "smtp.send"),
        ("b", "east", "probe.east", "smtp.send"),
        ("box", "east", "probe.east", "mailbox.check"),
    ]
    for row in rows:
        slot = int(row["poll"].partition("#")[2])
        assert abs(row["next"] - (slot * row["every"] + row["phase"])) < 1e-5
        assert -20 < row["next"] - time.time() <= row["every"]
    assert rows == sorted(rows, key=lambda row: row["next"])
    again = json.loads(inside("schedule", "--json", "--region", "east", file).stdout)
    assert [(row["element"], row["phase"]) for row in again] == [
        (row["element"], row["phase"]) for row in rows if row["region"] == "east"
    ]
    assert "probe.north" in inside("schedule", file).stdout


def test_key_makes_a_new_key_each_time(inside: Run) -> None:
    one, other = inside("key").stdout.strip(), inside("key").stdout.strip()
    assert one != other
    Fernet(one)


def test_the_schedule_of_a_region_that_is_not_there_names_those_that_are(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(VALID)
    for more, shown in (((), ""), (("--json",), "[]\n")):
        done = inside("schedule", file, "--region", "nrth", *more)
        assert (done.returncode, done.stdout) == (0, shown)
        assert done.stderr == "No element is polled in a region nrth; did you mean north?\n"
    file.write_text("elements: [{name: a, type: smtp, server: h, active: false}]")
    assert inside("schedule", file).stderr == "No element of the profile is polled.\n"


def test_a_profile_that_is_not_valid_is_an_answer_of_check_and_stops_others(
    inside: Run, tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("elements: []")
    assert [inside(name, file).returncode for name in ("check", "schedule", "up")] == [1, 2, 2]


def test_help_names_every_command_and_each_has_help_of_its_own(inside: Run, postbeat: Run) -> None:
    text = postbeat("--help").stdout
    for name in [
        "demo",
        "up",
        "check",
        "schedule",
        "key",
        "probe",
        "worker",
        "beat",
        "status",
        "results",
        "events",
        "mailboxes",
        "report",
        "maintenance",
        "notify",
        "metrics",
        "web",
        "user",
    ]:
        assert f"\n  {name} " in text
        assert inside(name, "--help").stdout.startswith(f"Usage: python -m postbeat {name}")
    assert postbeat("status", "-h").stdout.startswith("Usage: python -m postbeat status")
    assert inside("--version").stdout.startswith("postbeat, version ")


def test_worker_and_beat_say_what_they_lack(postbeat: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(VALID)
    done = postbeat("worker", "--region", "north")
    assert (done.returncode, done.stderr) == (
        2,
        "no Redis: set POSTBEAT_REDIS_URL or give --redis, as redis://host:6379/0\n",
    )
    url = {"POSTBEAT_REDIS_URL": "redis://127.0.0.1:1/0"}
    assert "no site key" in postbeat("worker", "--region", "north", env=url).stderr
    key = {"POSTBEAT_KEY": Fernet.generate_key().decode()}
    assert "no region: give --region" in postbeat("worker", env=url | key).stderr
    assert "POSTBEAT_REGION: " in postbeat("worker", "--region", "No!", env=url | key).stderr
    assert "no Redis" in postbeat("beat", file).stderr


def test_beat_does_not_start_with_an_invalid_profile(postbeat: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("elements: []\n")
    done = postbeat("beat", file, "--redis", "redis://127.0.0.1:1/0")
    assert done.returncode == 2
    assert f"{file}:1: elements: expected a list of elements" in done.stderr
    assert "Traceback" not in done.stderr

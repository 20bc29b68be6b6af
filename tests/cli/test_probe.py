"""``postbeat probe``: one poll now, and its exit code."""

from __future__ import annotations

import imaplib
import json
import re
from pathlib import Path

import pytest

from postbeat.embedded.mail import MailServer
from tests.cli.conftest import PASSWORD, Run


def mailbox_size(mail: MailServer) -> int:
    client = imaplib.IMAP4(mail.host, mail.imap4, timeout=10)
    try:
        client.login("other", PASSWORD)
        return int(client.select()[1][0] or b"")
    finally:
        client.shutdown()


@pytest.mark.parametrize("element", ["out-imap4", "out-pop3"])
def test_a_round_trip_is_good_and_leaves_nothing_in_the_mailbox(
    postbeat: Run, mail: MailServer, profile: Path, element: str
) -> None:
    done = postbeat("probe", profile, element, "--json")
    assert done.returncode == 0, done.stderr
    trip = json.loads(done.stdout)
    assert (trip["element"], trip["region"], trip["level"]) == (element, "north", "GOOD")
    assert trip["message"] == "Message Successfully Downloaded"
    assert trip["status"] == 250
    for name in ("connectTime", "responseTime", "uploadTime", "timeToDeliver", "totalTime"):
        assert 0 < trip[name] < 5
    assert trip["SSLHandshakeTime"] is None
    assert trip["bytesPerSec"] == pytest.approx(trip["bytesTransferred"] / trip["uploadTime"], rel=0.01)
    assert trip["hopCount"] == 1
    assert trip["read"]["attempts"][-1]["address"].startswith("127.0.0.1:")
    assert mailbox_size(mail) == 0


def test_explain_shows_each_stage_with_its_reply_and_no_secret(postbeat: Run, profile: Path) -> None:
    done = postbeat("probe", profile, "out-imap4", "--explain")
    assert done.returncode == 0
    stages = ["lookup", "connect", "greeting", "ehlo", "auth", "mail", "rcpt", "data", "upload", "quit"]
    stages += ["lookup", "connect", "greeting", "login", "capability", "select", "find", "fetch"]
    rows = [line.split() for line in done.stdout.splitlines() if " ms  " in line and " ms " in line[:12]]
    assert [row[4] for row in rows if len(row) > 4 and row[1] == row[3] == "ms"] == stages
    assert "354 " in done.stdout
    assert re.search(r"^by +from +with", done.stdout, re.MULTILINE)
    assert "timeToDeliver" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr


def test_send_only_leaves_the_mailbox_alone(inside: Run, mail: MailServer, profile: Path) -> None:
    before = mailbox_size(mail)
    trip = json.loads(inside("probe", profile, "out-imap4", "--send-only", "--json").stdout)
    assert (trip["level"], trip["read"], trip["timeToDeliver"]) == ("GOOD", None, None)
    assert mailbox_size(mail) == before + 1
    client = imaplib.IMAP4(mail.host, mail.imap4, timeout=10)
    client.login("other", PASSWORD)
    client.select()
    client.store("1:*", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.shutdown()


@pytest.mark.parametrize("element", ["in-imap4", "in-pop3"])
def test_a_mailbox_is_tested_by_a_login(inside: Run, profile: Path, element: str) -> None:
    done = inside("probe", profile, element)
    assert done.returncode == 0
    first, times, facts = done.stdout.splitlines()
    assert first.startswith(f"✓ GOOD  {element}@default check: ")
    assert "loginTime" in times
    assert re.fullmatch(r"\d+ messages?(, [\d.]+ k?B)?", facts)
    checked = json.loads(inside("probe", profile, element, "--json").stdout)
    assert (checked["level"], checked["check"]["phase"], checked["user"]) == ("GOOD", "check", "other")
    explained = inside("probe", profile, element, "--explain").stdout
    assert "login" in explained
    assert PASSWORD not in explained
    profile.write_text(profile.read_text().replace(PASSWORD, "wrong"))
    refused = inside("probe", profile, element)
    assert refused.returncode == 2
    assert "✗ FAILED" in refused.stdout
    assert "The login was refused" in refused.stdout


def test_a_refused_connection_is_failed(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "elements: [{name: a, type: smtp, server: 127.0.0.1, port: 1, failureretests: 2, retestinterval: 0}]"
    )
    done = inside("probe", file, "a", "--json", "--region", "east")
    assert done.returncode == 2
    trip = json.loads(done.stdout)
    assert (trip["region"], trip["level"]) == ("east", "FAILED")
    assert trip["message"] == "The connection was refused while connecting to 127.0.0.1:1 (attempt 3 of 3)"
    assert trip["send"]["fault"]["side"] == "REMOTE"
    assert [attempt["number"] for attempt in trip["send"]["attempts"]] == [1, 2, 3]


def test_a_file_of_ours_that_is_missing_is_unknown(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "elements: [{name: a, type: smtp, server: 127.0.0.1, port: 1, securitytype: SSL,"
        " sslcertificatefile: /nowhere.pem}]"
    )
    done = inside("probe", file, "a")
    assert done.returncode == 3
    assert "? UNKNOWN" in done.stdout
    assert "Cannot read /nowhere.pem, which sslcertificatefile names" in done.stdout


def test_an_unknown_element_is_said_with_the_one_that_was_meant(inside: Run, profile: Path) -> None:
    done = inside("probe", profile, "out-imap5")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "the profile has no element 'out-imap5'; did you mean out-imap4?\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("probe", "nowhere.yaml", "x"),
        ("probe", "PROFILE"),
        ("probe", "PROFILE", "x", "--wrong"),
        ("demo", "--on"),
    ],
)
def test_a_command_line_that_is_not_understood_says_nothing_of_the_service(
    inside: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("elements: []")
    done = inside(*(file if word == "PROFILE" else word for word in arguments))
    assert (done.returncode, done.stdout) == (3, "")
    assert "Error: " in done.stderr


def test_an_invalid_profile_says_nothing_of_the_service(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("elements: []")
    assert inside("probe", file, "a").returncode == 3

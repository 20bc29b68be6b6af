"""``postbeat user`` and ``postbeat web``."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from postbeat.cli import main
from postbeat.settings import SettingsError
from postbeat.web import settings
from postbeat.web.users import MAX_TOKENS, Role, User, Users, read, verify, write
from tests.ports import free_port
from tests.web.serving import Client

PASSWORD = "a long password"


def run(file: Path, *arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(main, ["user", *arguments, "--users", str(file)], input=text)


def test_users_are_added_listed_given_tokens_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    added = run(file, "add", "otto", "--role", "operator", "--password-stdin", text=f"{PASSWORD}\n")
    assert added.exit_code == 0, added.output
    assert run(file, "add", "proxied", "--no-password").exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()
    token = run(file, "token", "otto").output.strip()
    assert token not in file.read_text()
    assert json.loads(run(file, "list", "--json").output) == [
        {"name": "otto", "role": "operator", "password": True, "tokens": 1},
        {"name": "proxied", "role": "viewer", "password": False, "tokens": 0},
    ]
    users = Users(str(file))
    assert verify(users.get("otto"), PASSWORD)
    assert not verify(users.get("proxied"), "")
    found = users.of_token(token)
    assert found is not None
    assert found.role is Role.OPERATOR
    file.chmod(0o640)  # so that the page's own user may read it
    assert run(file, "remove", "otto").exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert users.get("otto") is None
    assert users.of_token(token) is None


def test_one_token_too_many_cannot_be_had_and_a_user_may_not_be_there(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    write(file, {"otto": User("otto", Role.VIEWER, tokens=("0" * 64,) * MAX_TOKENS)})
    full, absent = (run(file, "token", name) for name in ("otto", "anna"))
    assert (full.exit_code, f"otto has {MAX_TOKENS} tokens" in full.output) == (2, True)
    assert (absent.exit_code, absent.output) == (1, "there is no user 'anna'; there are: otto\n")


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (["add", "no name", "--password-stdin"], PASSWORD, "expected a name"),
        (["add", "otto", "--password-stdin"], "short", "at least 10 characters"),
        (["remove", "otto"], "", "cannot read the file of users"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], text: str, said: str) -> None:
    done = run(tmp_path / "users.yaml", *arguments, text=text)
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- otto", "a list under the only key users"),
        ("users: [otto]", r"users\[0\]: expected a mapping"),
        ("users: [{name: otto, role: king}]", r"users\[0\].role: expected viewer or operator"),
        (
            "users: [{name: otto, role: viewer, password: secret}]",
            r"users\[0\].password: expected an argon2 hash",
        ),
        (
            "users: [{name: a, role: viewer}, {name: a, role: viewer}]",
            r"users\[1\].name: a stands here a second",
        ),
        ("users: [{name: a, role: viewer, tokens: [x]}]", r"users\[0\].tokens: expected"),
        ("a: [", "expected YAML"),
    ],
)
def test_a_file_that_is_none_of_users_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        read(file)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"POSTBEAT_WEB_PORT": "http"}, "POSTBEAT_WEB_PORT: .* got 'http'"),
        ({"POSTBEAT_PUBLIC_GROUPS": "a/b"}, "POSTBEAT_PUBLIC_GROUPS"),
        ({"POSTBEAT_WEB_TRUSTED_PROXIES": "proxy"}, "POSTBEAT_WEB_TRUSTED_PROXIES"),
        ({"POSTBEAT_WEB_SECRET": "too-short"}, "POSTBEAT_WEB_SECRET: .*at least 32 characters$"),
    ],
)
def test_a_setting_that_is_wrong_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings.load(environ)


def test_settings_come_from_the_environment() -> None:
    found = settings.load(
        {"POSTBEAT_REDIS_URL": "redis://redis/", "POSTBEAT_PUBLIC_GROUPS": "a, b", "POSTBEAT_WEB_HOST": "::1"}
    )
    assert (found.redis_url, found.public_groups, found.host) == ("redis://redis/", ("a", "b"), "::1")


def test_the_page_serves_until_it_is_interrupted(redis_url: str) -> None:
    port = free_port()
    words = [sys.executable, "-m", "postbeat", "web", "--port", str(port), "--redis", redis_url]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTBEAT_")}
    with subprocess.Popen(words, env=clean, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said: list[str] = []
            while not any("running on" in line for line in said):
                said.append(process.stderr.readline())
                assert said[-1], said
            answer = Client(port).get("/")
            assert answer.status == 200
            assert "server" not in answer.headers
            assert "Nothing is monitored in this Redis yet" in answer.text
        finally:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_page_does_not_start_where_everybody_could_look() -> None:
    done = CliRunner().invoke(
        main, ["web", "--host", "0.0.0.0", "--redis", "redis://127.0.0.1:1/"], env={"POSTBEAT_WEB_USERS": ""}
    )
    assert done.exit_code == 2
    assert "does not listen on 0.0.0.0" in done.output

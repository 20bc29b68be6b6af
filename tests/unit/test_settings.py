from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from postbeat import settings
from postbeat.model import Kind
from postbeat.secrets import Keys, new_key
from postbeat.settings import Settings, SettingsError

VALUES: dict[str, tuple[str, Any]] = {
    "REDIS_URL": ("redis://127.0.0.1:6380/1", "redis://127.0.0.1:6380/1"),
    "KEY": ("a key", "a key"),
    "KEY_FILE": ("/etc/postbeat/key", "/etc/postbeat/key"),
    "PROFILE": ("/etc/postbeat/profile", "/etc/postbeat/profile"),
    "MONITORS": ("smtp, pop3", (Kind.SMTP, Kind.POP3)),
    "REGION": ("eu-1", "eu-1"),
    "ORIGINATOR": ("Mail Check", "Mail Check"),
    "HELO_NAME": ("worker.example.com", "worker.example.com"),
    "MAIL_MESSAGE": ("/etc/postbeat/message.txt", "/etc/postbeat/message.txt"),
    "USE_BODY": ("1", True),
    "SSL_CERTIFICATE_FILE": ("/etc/postbeat/client.pem", "/etc/postbeat/client.pem"),
    "SSL_KEY_FILE": ("/etc/postbeat/client.key", "/etc/postbeat/client.key"),
    "SSL_KEY_PASSWORD": ("swordfish", "swordfish"),
    "SSL_KEY_PASSWORD_FILE": ("/etc/postbeat/password", "/etc/postbeat/password"),
    "SSL_CIPHER_SUITE": ("RC4:3DES:DES:+EXP", "RC4:3DES:DES:+EXP"),
    "SSL_DISABLE_TLS": ("1", True),
    "RESOLVER": (
        "127.0.0.1, 192.0.2.1:5353 [::1]:54 ::1",
        (("127.0.0.1", 53), ("192.0.2.1", 5353), ("::1", 54), ("::1", 53)),
    ),
    "CONCURRENCY": ("20", 20),
    "GRACE": ("2.5", 2.5),
    "TASK_EVENTS": ("false", False),
    "KEEP_RAW": ("48", 48),
    "KEEP_HOURS": ("70", 70),
    "KEEP_DAYS": ("800", 800),
}
WRONG = {
    "MONITORS": ["http", "SMTP", "smtp;imap4"],
    "REGION": ["EU", "eu west", "-eu", "r" * 33, "eu\n"],
    "ORIGINATOR": ["a\r\nBcc: x", "x" * 65],
    "HELO_NAME": ["a b", "a\r\nRCPT", "h" * 254, "büro", "a..b", "a>"],
    "USE_BODY": ["2"],
    "SSL_DISABLE_TLS": ["2"],
    "RESOLVER": ["dns.example.com", "127.0.0.1:0", "127.0.0.1:99999", "[::1", "127.0.0.1;::1"],
    "CONCURRENCY": ["0", "20001", "many", "1.5"],
    "GRACE": ["-1", "3601", "long", "nan"],
    "TASK_EVENTS": ["maybe", "2"],
    "KEEP_RAW": ["0", "169", "1.5", "a day"],
    "KEEP_HOURS": ["0", "401"],
    "KEEP_DAYS": ["0", "4001"],
}


def keys_with(**environ: str) -> Keys | None:
    return settings.load({f"POSTBEAT_{name}": value for name, value in environ.items()}).keys()


def test_every_setting_is_tested_here() -> None:
    assert {name.upper() for name in Settings.__dataclass_fields__} == set(VALUES)


@pytest.mark.parametrize("name", VALUES)
def test_a_setting_comes_from_its_variable(name: str) -> None:
    text, value = VALUES[name]
    assert getattr(settings.load({}), name.lower()) != value
    assert getattr(settings.load({f"POSTBEAT_{name}": text}), name.lower()) == value


@pytest.mark.parametrize("name", VALUES)
def test_an_empty_variable_is_as_good_as_none(name: str) -> None:
    assert settings.load({f"POSTBEAT_{name}": ""}) == settings.load({})


def test_what_is_given_wins_over_the_environment() -> None:
    environ = {"POSTBEAT_REGION": "eu", "POSTBEAT_CONCURRENCY": "7"}
    config = settings.load(environ, region="us", concurrency=None)
    assert (config.region, config.concurrency) == ("us", 7)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_named_and_shown(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load({f"POSTBEAT_{name}": text})
    assert str(caught.value).startswith(f"POSTBEAT_{name}: ")
    assert str(caught.value).endswith(f", got {text!r}")


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    new, old = new_key(), new_key()
    path = tmp_path / "key"
    path.write_text(f"# newest first\n{new}\n{old}\n", encoding="ascii")
    keys = keys_with(KEY_FILE=str(path))
    assert keys is not None
    assert keys.signing == Keys.parse([new, old], "x").signing


def test_keys_come_from_the_environment_with_commas_between_them() -> None:
    new, old = new_key(), new_key()
    keys = keys_with(KEY=f"{new}, {old}")
    assert keys is not None
    assert keys.signing == Keys.parse([new, old], "x").signing


def test_the_file_wins_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text := new_key(), encoding="ascii")
    keys = keys_with(KEY_FILE=str(tmp_path / "key"), KEY=new_key())
    assert keys is not None
    assert keys.signing == Keys.parse([text], "x").signing


def test_without_a_key_there_are_none_and_who_needs_them_is_told_how_to_make_one() -> None:
    assert settings.load({}).keys() is None
    with pytest.raises(
        SettingsError, match=r"^no site key: set POSTBEAT_KEY_FILE .* made with: postbeat key$"
    ):
        settings.load({}).needed_keys()


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = f"cannot read the key file {tmp_path}/none: No such file or directory"
    with pytest.raises(SettingsError) as caught:
        keys_with(KEY_FILE=f"{tmp_path}/none")
    assert str(caught.value) == message


@pytest.mark.parametrize("data", [b"hunter2\n", b"hunter2\xff\n", b"", b"# nothing\n"])
def test_a_key_file_that_is_not_usable_is_named_and_not_shown(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        keys_with(KEY_FILE=f"{tmp_path}/key")
    assert f"{tmp_path}/key holds" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_key_in_the_environment_that_is_not_usable_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        keys_with(KEY="hunter2")
    assert str(caught.value).startswith("POSTBEAT_KEY holds something that is not a key")
    assert "hunter2" not in repr(settings.load({"POSTBEAT_KEY": "hunter2"}))


def test_who_needs_redis_is_told_how_to_name_it() -> None:
    url = "redis://127.0.0.1:6379/0"
    assert settings.load({"POSTBEAT_REDIS_URL": url}).needed_redis_url() == url
    with pytest.raises(SettingsError, match="set POSTBEAT_REDIS_URL or give --redis"):
        settings.load({}).needed_redis_url()


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis.example.com:6379/0",
        "redis://127.0.0.1",
        "redis://[::1]:6379/3",
        "redis://probe:a%2Fb%23c%3Fd%40e@127.0.0.1:6379/0",
        "redis://127.0.0.1:6379/0?socket_timeout=3",
        "rediss://:word@redis.example.com/0?ssl_cert_reqs=none",
        "unix:///run/redis/redis.sock?db=1",
        "unix://:word@/run/redis/redis.sock",
    ],
)
def test_every_address_of_a_redis_is_taken(url: str) -> None:
    assert settings.load({}, redis_url=url).needed_redis_url() == url


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "hunter2.example.com:6379",
        "http://hunter2/",
        "redis://127.0.0.1:hunter2/0",
        "redis://127.0.0.1:6379/hunter2",
        "redis://127.0.0.1:6379/0?db=hunter2",
        "redis://127.0.0.1:6379/0?hunter2=1",
        "redis://127.0.0.1:99999/0?name=hunter2",
        "rediss://127.0.0.1/0?ssl_cert_reqs=hunter2",
        "unix://hunter2/redis.sock",
        "unix://:hunter2@",
        # A password that is not encoded: what is left of it may look like a host and its port.
        *(f"redis://:hunter2{sign}more@127.0.0.1:6379/0" for sign in "/#?"),
        *(f"redis://:12{sign}hunter2@127.0.0.1:6379/0" for sign in "/#?"),
        *(f"redis://probe:12{sign}hunter2@127.0.0.1:6379/0" for sign in "/#?"),
        "redis://probe:12?word=hunter2@127.0.0.1:6379/0",
    ],
)
def test_what_is_no_address_of_a_redis_is_said_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load({"POSTBEAT_REDIS_URL": url})
    assert str(caught.value).startswith("--redis / POSTBEAT_REDIS_URL: expected redis://host:6379/0, ")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_the_settings_do_not_show_the_address_of_the_redis() -> None:
    assert "hunter2" not in repr(settings.load({}, redis_url="redis://:hunter2@127.0.0.1:6379/0"))

"""The settings of a Postbeat process: command line, then environment, then default."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from annotated_types import Ge, Le, MinLen
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from redis import ConnectionPool, RedisError

from postbeat.elements import HOST_PATTERN, REGION_PATTERN, HeloName, OriginatorName
from postbeat.message import ORIGINATOR
from postbeat.model import Kind, Secret
from postbeat.secrets import Keys, SiteKeyError
from postbeat.tls.options import TlsDefaults

PREFIX = "POSTBEAT_"
KEEP_HOURS_LIMIT = 400  # days, as the next one: both protect the memory of Redis
KEEP_DAYS_LIMIT = 4000


def _list(raw: object) -> object:
    return raw.replace(",", " ").split() if isinstance(raw, str) else raw


def _name_server(raw: object) -> object:
    """``ip`` or ``ip:port``, with IPv6 in brackets where a port follows, as ``(ip, port)``."""
    if not isinstance(raw, str):
        return raw
    match = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})", raw)
    host, port = (match[1] or match[3], match[2] or match[4]) if match else (raw, None)
    return str(ip_address(host)), int(port or 53)


def _redis_url(url: str) -> str:
    """The address of a Redis, or ""; a password with a ``/`` makes none, whatever its parts look like."""
    try:
        if url and _is_whole(urlsplit(url)):
            ConnectionPool.from_url(url).make_connection()  # which is not connected yet
        elif url:
            raise ValueError(url)
    except (ValueError, TypeError, RedisError):
        raise ValueError("not the address of a Redis") from None
    return url


def _is_whole(parts: SplitResult) -> bool:
    """Whether each part of an address is what it looks like.

    Raises:
        ValueError: the options in it are none.
    """
    if parts.query:
        parse_qs(parts.query, strict_parsing=True)
    if parts.scheme == "unix":
        return bool(parts.path) and not parts.hostname and not parts.fragment
    has_host = bool(parts.hostname) or not parts.netloc
    return has_host and re.fullmatch(r"(/[0-9]*)?", parts.path) is not None and not parts.fragment


RedisUrl = Annotated[str, AfterValidator(_redis_url)]
REDIS_URL_TAKES = (
    "redis://host:6379/0, with rediss:// for TLS, or unix:///path/of/the/socket; in a password write"
    " %2F for /, %23 for #, %3F for ? and %40 for @"
)
REDIS_URL_EXPECTED = f"--redis / POSTBEAT_REDIS_URL: expected {REDIS_URL_TAKES}"
NameServer = Annotated[tuple[str, Annotated[int, Ge(1), Le(65535)]], BeforeValidator(_name_server)]


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and says what was expected."""


def _host_name() -> str:
    name = socket.gethostname()
    return name if re.fullmatch(HOST_PATTERN, name) else "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process needs beyond its profile. Each is read from ``POSTBEAT_<NAME>``."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    redis_url: RedisUrl = field(default="", repr=False)
    key: str = field(default="", repr=False)
    key_file: str = ""
    profile: str = ""
    monitors: Annotated[tuple[Kind, ...], BeforeValidator(_list)] = ()  # whose polls beat fires; () is all
    region: Annotated[str, StringConstraints(pattern=rf"{REGION_PATTERN}|^$")] = ""
    originator: Annotated[OriginatorName, MinLen(1)] = ORIGINATOR
    helo_name: Annotated[HeloName, MinLen(1)] = field(default_factory=_host_name)
    mail_message: str = ""
    use_body: bool = False
    ssl_certificate_file: str = ""
    ssl_key_file: str = ""
    ssl_key_password: str = field(default="", repr=False)
    ssl_key_password_file: str = ""
    ssl_cipher_suite: str = ""
    ssl_disable_tls: bool = False
    resolver: Annotated[tuple[NameServer, ...], BeforeValidator(_list)] = ()
    concurrency: Annotated[int, Ge(1), Le(20000)] = 1000
    grace: Annotated[float, Ge(0), Le(3600)] = 10.0
    task_events: bool = True
    keep_raw: Annotated[int, Ge(1), Le(168)] = 24  # hours of single results
    keep_hours: Annotated[int, Ge(1), Le(KEEP_HOURS_LIMIT)] = 35  # days of hourly rollups
    keep_days: Annotated[int, Ge(1), Le(KEEP_DAYS_LIMIT)] = 400  # days of daily rollups

    def keys(self) -> Keys | None:
        """The site's keys, or None where neither POSTBEAT_KEY nor POSTBEAT_KEY_FILE is set.

        Raises:
            SettingsError: the key or its file is not usable.
        """
        try:
            if self.key_file:
                text = Path(self.key_file).read_text(encoding="utf-8", errors="replace")
                return Keys.parse(text.splitlines(), self.key_file)
            if self.key:
                return Keys.parse(self.key.replace(",", "\n").splitlines(), f"{PREFIX}KEY")
        except OSError as error:
            raise SettingsError(f"cannot read the key file {self.key_file}: {error.strerror}") from error
        except SiteKeyError as error:
            raise SettingsError(str(error)) from error
        return None

    def needed_keys(self) -> Keys:
        """The site's keys.

        Raises:
            SettingsError: none is set.
        """
        keys = self.keys()
        if keys is None:
            raise SettingsError(
                "no site key: set POSTBEAT_KEY_FILE (or POSTBEAT_KEY) to a key made with: postbeat key"
            )
        return keys

    def tls_defaults(self) -> TlsDefaults:
        """What elements that name none of their own take for TLS (the page's Table 4, ``SSL...``)."""
        password = None
        if self.ssl_key_password_file:
            password = Secret("file", self.ssl_key_password_file)
        elif self.ssl_key_password:
            password = Secret("literal", self.ssl_key_password)
        return TlsDefaults(
            certificate_file=self.ssl_certificate_file,
            key_file=self.ssl_key_file,
            key_password=password,
            ciphers=self.ssl_cipher_suite,
            disable_tls1=self.ssl_disable_tls,
        )

    def needed_redis_url(self) -> str:
        """The URL of Redis.

        Raises:
            SettingsError: none is set.
        """
        if not self.redis_url:
            raise SettingsError("no Redis: set POSTBEAT_REDIS_URL or give --redis, as redis://host:6379/0")
        return self.redis_url


_ADAPTER = TypeAdapter(Settings)
_NAMES = tuple(Settings.__dataclass_fields__)


def load(environ: Mapping[str, str] = os.environ, **given: Any) -> Settings:  # noqa: ANN401
    """The settings of this process; what is ``given`` (and not None) wins over the environment.

    Raises:
        SettingsError: a value is not what its setting takes.
    """
    values: dict[str, Any] = {}
    for name in _NAMES:
        text = environ.get(PREFIX + name.upper(), "")
        if text:
            values[name] = text
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][0])
        if name == "redis_url":
            raise SettingsError(REDIS_URL_EXPECTED) from None  # the value may hold a password
        raise SettingsError(f"{PREFIX}{name.upper()}: {problem['msg']}, got {values.get(name)!r}") from error

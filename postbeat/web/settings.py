"""The settings of ``postbeat web``: command line, then environment, then default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from postbeat.elements import NAME_PATTERN
from postbeat.settings import PREFIX, REDIS_URL_EXPECTED, RedisUrl, SettingsError

Network = IPv4Network | IPv6Network
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _list(raw: object) -> object:
    return raw.replace(",", " ").split() if isinstance(raw, str) else raw


def _networks(raw: object) -> object:
    listed = _list(raw)
    return tuple(ip_network(one) for one in listed) if isinstance(listed, list | tuple) else listed


def _not_short(secret: str) -> str:
    if secret and len(secret) < 32:
        raise ValueError("expected at least 32 characters")
    return secret


Group = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z][A-Za-z0-9-]{0,63})?$")]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """What the page needs. Each is read from ``POSTBEAT_WEB_<NAME>``; some from the variable in VARIABLES.

    ``users`` is the file of users; ``proxy_header`` is the header in which an authenticating proxy at one of
    ``trusted_proxies`` names the user. ``secret`` signs the sessions: without one they end with the process.
    ``profile`` is what "probe now" polls; without it there is none.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    redis_url: RedisUrl = field(default="", repr=False)
    profile: str = ""
    public_groups: Annotated[tuple[Group, ...], BeforeValidator(_list)] = ()
    host: str = "127.0.0.1"
    port: Annotated[int, Ge(0), Le(65535)] = 8025
    users: str = ""
    proxy_header: HeaderName = ""
    trusted_proxies: Networks = ()
    secret: Annotated[str, AfterValidator(_not_short)] = field(default="", repr=False)

    @property
    def has_login(self) -> bool:
        """Whether anybody has to say who they are."""
        return bool(self.users or self.proxy_header)

    def is_trusted(self, address: str) -> bool:
        """Whether a peer is one of the proxies whose headers are believed."""
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self.trusted_proxies)

    def check(self) -> None:
        """Refuses what would be open to everybody.

        Raises:
            SettingsError: what is missing, and how to set it.
        """
        if not self.redis_url:
            raise SettingsError("no Redis: set POSTBEAT_REDIS_URL or give --redis, as redis://host:6379/0")
        if self.proxy_header and not self.trusted_proxies:
            raise SettingsError(
                "POSTBEAT_WEB_PROXY_HEADER needs POSTBEAT_WEB_TRUSTED_PROXIES, the addresses of the proxy "
                "that sets it: from anybody else it is not believed"
            )
        if not self.has_login and self.host not in LOOPBACK:
            raise SettingsError(
                f"without users the page is for this machine only, and does not listen on {self.host}: make "
                "a file of users (postbeat user add) and set POSTBEAT_WEB_USERS, or set "
                "POSTBEAT_WEB_PROXY_HEADER"
            )


# What other processes of a site are told by the same variable.
VARIABLES = {"redis_url": "REDIS_URL", "profile": "PROFILE", "public_groups": "PUBLIC_GROUPS"}
_ADAPTER = TypeAdapter(WebSettings)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + VARIABLES.get(name, f"WEB_{name.upper()}")


def load(environ: Mapping[str, str] = os.environ, **given: Any) -> WebSettings:  # noqa: ANN401
    """The settings; what is ``given`` (and not None) wins over the environment.

    Raises:
        SettingsError: a value is not what its setting takes.
    """
    found = {name: environ.get(variable(name), "") for name in WebSettings.__dataclass_fields__}
    values: dict[str, Any] = {name: text for name, text in found.items() if text}
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = str(problem["loc"][0])
        if name == "redis_url":
            raise SettingsError(REDIS_URL_EXPECTED) from None
        got = "" if name == "secret" else f", got {values.get(name)!r}"
        raise SettingsError(f"{variable(name)}: {problem['msg']}{got}") from error

"""Who asks, and what they may do: sessions, tokens, an authenticating proxy's header, and CSRF tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from postbeat.web.settings import LOOPBACK, WebSettings
from postbeat.web.users import TOKEN_PREFIX, Role, Users, is_name, same

COOKIE = "postbeat_session"
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
SESSION_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """What the cookie holds, signed: who logged in, by which password (its mark), and the CSRF token."""

    name: str = ""
    mark: str = ""
    csrf: str = ""

    @classmethod
    def new(cls, name: str = "", mark: str = "") -> Session:
        """A session with a CSRF token of its own."""
        return cls(name, mark, secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. ``by_token``: with an API token, which no other page can have their browser send."""

    name: str
    role: Role
    by_token: bool = False
    by_login: bool = False

    @property
    def is_operator(self) -> bool:
        """Whether they may probe and announce maintenance."""
        return self.role is Role.OPERATOR


class Gate:
    """Tells who asks. Without any login everybody on this machine may look, and change nothing."""

    def __init__(self, settings: WebSettings, users: Users) -> None:
        self._settings = settings
        self._users = users
        self._signer = URLSafeTimedSerializer(
            settings.secret or secrets.token_hex(32), salt="postbeat.session"
        )

    def identity(self, connection: HTTPConnection) -> Identity | None:
        """Who asks, or None for somebody who has not said so."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        named = self._named_by_proxy(connection)
        # A proxy may pass its own token on; its word for who that is then counts.
        if scheme.lower() == "bearer" and (not named or token.strip().startswith(TOKEN_PREFIX)):
            user = self._users.of_token(token.strip())
            return Identity(user.name, user.role, by_token=True) if user else None
        if not self._settings.has_login:
            return Identity("", Role.VIEWER)
        if is_name(named):
            user = self._users.get(named)
            return Identity(named, user.role if user else Role.VIEWER)
        session = self.session(connection)
        user = self._users.get(session.name) if session.name else None
        if user is None or not user.password or not same(user.mark, session.mark):
            return None
        return Identity(user.name, user.role, by_login=True)

    def session(self, connection: HTTPConnection) -> Session:
        """The session of the cookie; an empty one where it is missing, false or over."""
        try:
            raw: Any = self._signer.loads(connection.cookies.get(COOKIE, ""), max_age=SESSION_S)
            return Session(*(str(part) for part in raw))
        except (BadData, TypeError):
            return Session()

    def keep(self, response: Response, connection: HTTPConnection, session: Session) -> None:
        """Puts the session into the response's cookie."""
        value = self._signer.dumps([session.name, session.mark, session.csrf])
        response.set_cookie(
            COOKIE,
            value if isinstance(value, str) else value.decode(),
            max_age=SESSION_S,
            httponly=True,
            samesite="lax",
            secure=self.is_https(connection),
        )

    def csrf_is_right(self, connection: HTTPConnection, given: str) -> bool:
        """Whether a form or a script of our own pages sends this."""
        wanted = self.session(connection).csrf
        return bool(wanted) and same(wanted, given)

    def is_https(self, connection: HTTPConnection) -> bool:
        """Whether the user's own connection is secure, as the trusted proxy says where there is one."""
        if self._settings.is_trusted(_peer(connection)):
            said = connection.headers.get("x-forwarded-proto", "")
            if said:
                return said.strip().lower() == "https"
        return connection.url.scheme in ("https", "wss")

    def address(self, connection: HTTPConnection) -> str:
        """The address of the user: the last one that no trusted proxy is at."""
        address = _peer(connection)
        header = connection.headers.get("x-forwarded-for", "")
        said = [part for part in map(str.strip, header.split(",")) if part]
        while said and self._settings.is_trusted(address):
            address = said.pop()[:64]
        return address

    def host_is_ours(self, connection: HTTPConnection) -> bool:
        """Whether no foreign page has led a browser here by a name of its own (DNS rebinding)."""
        if self._settings.has_login:
            return True
        host = connection.headers.get("host", "")
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return name.lower() in LOOPBACK

    def misnamed(self, connection: HTTPConnection) -> str:
        """What the proxy names the user by where that is no name; else ""."""
        named = self._named_by_proxy(connection)
        return "" if is_name(named) else named

    def _named_by_proxy(self, connection: HTTPConnection) -> str:
        header = self._settings.proxy_header
        if not header or not self._settings.is_trusted(_peer(connection)):
            return ""
        return ", ".join(connection.headers.getlist(header))


def with_csrf(session: Session) -> Session:
    """The session, with a CSRF token if it had none."""
    return session if session.csrf else replace(session, csrf=Session.new().csrf)


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""

"""The file of users: names, hashes of passwords and tokens, and roles. Nothing in it lets anybody in."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from pathlib import Path
from typing import Any

import yaml
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from postbeat.settings import SettingsError
from postbeat.wholefiles import PRIVATE_MODE, mode_of, write_text

LIMIT = 1 << 20  # bytes of the file: thousands of users
LONGEST = 1024  # characters of a password: hashing must not become work for others
TOKEN_PREFIX = "pb_"  # noqa: S105  so that a token that was leaked can be found
MAX_TOKENS = 20
# Such as vera, vera+ops@example.com and ACME\vera.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+\\-]{0,127}")
NAMES = r"letters, digits, and any of . _ @ + \ -"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HASHER = PasswordHasher(type=Type.ID)
# Checked where there is no such user, so that the time tells nothing of who exists.
_NOBODY = _HASHER.hash(secrets.token_hex(16))


class Role(StrEnum):
    """What a user may do: look, or also probe and announce maintenance."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class User:
    """One user. Without a ``password`` (an argon2 hash) nobody logs in by this name, but a proxy may name it.

    ``tokens`` are SHA-256 digests: tokens are long and random, so nothing slower is needed.
    """

    name: str
    role: Role
    password: str = ""
    tokens: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """Changes with the password: sessions that began with another one are over."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:16]


def verify(user: User | None, password: str) -> bool:
    """Whether this is the user's password; takes the same time where there is no such user."""
    known = user is not None and bool(user.password)
    try:
        _HASHER.verify(user.password if user is not None and known else _NOBODY, password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
    return known and len(password) <= LONGEST


def hashed(password: str) -> str:
    """The hash of a password, as it stands in the file."""
    return _HASHER.hash(password)


def new_token() -> tuple[str, str]:
    """A new token, and its digest for the file."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).hexdigest()


def read(path: Path) -> dict[str, User]:
    """The users of a file, by name.

    Raises:
        SettingsError: the file cannot be read, or is not a file of users.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LIMIT + 1)
    except OSError as error:
        raise SettingsError(f"cannot read the file of users {path}: {error.strerror}") from error
    if len(text) > LIMIT:
        raise SettingsError(f"{path}: expected a file of users of at most {LIMIT} bytes")
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: expected YAML") from error
    listed = raw.get("users") if isinstance(raw, dict) and set(raw) == {"users"} else None
    if not isinstance(listed, list):
        raise SettingsError(f"{path}: expected a list under the only key users")
    users: dict[str, User] = {}
    for index, one in enumerate(listed):
        user = _user(one, f"{path}: users[{index}]")
        if user.name in users:
            raise SettingsError(f"{path}: users[{index}].name: {user.name} stands here a second time")
        users[user.name] = user
    return users


def write(path: Path, users: Mapping[str, User]) -> None:
    """Writes the file at once or not at all. A new one is for its owner only; one that exists keeps its mode.

    Raises:
        SettingsError: it cannot be written.
    """
    text = yaml.safe_dump({"users": [_plain(user) for user in users.values()]}, sort_keys=False)
    try:
        # The page may read one that exists as another user.
        write_text(path, text, force=True, mode=mode_of(path, PRIVATE_MODE))
    except OSError as error:
        raise SettingsError(f"cannot write the file of users {path}: {error.strerror}") from error


class Users:
    """The users of a file as it is now: a change of the file needs no restart. Safe for threads."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._lock = threading.Lock()
        self._version: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}
        self._tokens: dict[str, User] = {}
        if self._path is not None:
            self._load(self._path)

    def get(self, name: str) -> User | None:
        """The user of that name."""
        self._refresh()
        return self._users.get(name)

    def of_token(self, token: str) -> User | None:
        """The user whose token this is."""
        self._refresh()
        digest = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        return self._tokens.get(digest)

    def _refresh(self) -> None:
        if self._path is None:
            return
        # A file that was just broken by hand locks nobody in or out: the users stay what they were.
        with suppress(SettingsError, OSError), self._lock:
            if self._stat(self._path) != self._version:
                self._load(self._path)

    def _load(self, path: Path) -> None:
        self._version = self._stat(path)
        users = read(path)
        self._users = users
        self._tokens = {digest: user for user in users.values() for digest in user.tokens}

    @staticmethod
    def _stat(path: Path) -> tuple[int, int, int]:
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


def is_name(name: str) -> bool:
    """Whether a user may have this name."""
    return _NAME.fullmatch(name) is not None


def same(one: str, other: str) -> bool:
    """Compares secrets in a time that tells nothing of them."""
    return compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _user(raw: object, where: str) -> User:
    if not isinstance(raw, dict) or not {"name", "role"} <= set(raw) <= {
        "name",
        "role",
        "password",
        "tokens",
    }:
        raise SettingsError(f"{where}: expected a mapping with name and role, and password or tokens")
    name, role, password = raw["name"], raw["role"], raw.get("password", "")
    tokens = raw.get("tokens", [])
    if not isinstance(name, str) or not is_name(name):
        raise SettingsError(f"{where}.name: expected {NAMES}")
    if role not in list(Role):
        raise SettingsError(f"{where}.role: expected {' or '.join(Role)}")
    if not isinstance(password, str) or (password and not password.startswith("$argon2")):
        raise SettingsError(f"{where}.password: expected an argon2 hash; make it with: postbeat user add")
    if (
        not isinstance(tokens, list)
        or len(tokens) > MAX_TOKENS
        or not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in tokens)
    ):
        raise SettingsError(f"{where}.tokens: expected at most {MAX_TOKENS} SHA-256 digests")
    return User(name, Role(role), password, tuple(tokens))


def _plain(user: User) -> dict[str, Any]:
    data: dict[str, Any] = {"name": user.name, "role": user.role.value}
    if user.password:
        data["password"] = user.password
    if user.tokens:
        data["tokens"] = list(user.tokens)
    return data

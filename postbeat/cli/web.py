"""``postbeat web``, the page and the JSON API; and ``postbeat user``, who may see them."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
from dataclasses import replace
from pathlib import Path

import click

from postbeat.cli.common import NOT_THERE, errors_exit, fail, json_option, print_json, redis_option, say
from postbeat.settings import SettingsError
from postbeat.web.users import MAX_TOKENS, NAMES, Role, User, hashed, is_name, new_token, read, write

_SHORTEST = 10  # characters of a password

users_option = click.option(
    "--users",
    type=click.Path(path_type=Path),
    envvar="POSTBEAT_WEB_USERS",
    required=True,
    help="The file of users [default: POSTBEAT_WEB_USERS].",
)


@click.command()
@click.option("--host", metavar="ADDRESS", help="Where to listen [default: POSTBEAT_WEB_HOST, or 127.0.0.1].")
@click.option("--port", type=int, metavar="N", help="The port [default: POSTBEAT_WEB_PORT, or 8025].")
@click.option("--users", metavar="FILE", help="The file of users [default: POSTBEAT_WEB_USERS].")
@click.option("--profile", metavar="PROFILE", help="What may be probed now [default: POSTBEAT_PROFILE].")
@redis_option
@errors_exit()
def web(
    host: str | None, port: int | None, users: str | None, profile: str | None, redis_url: str | None
) -> None:
    """Serves the page, the JSON API under /api/v1 and /metrics.

    Without users it is for this machine only, and nothing can be changed. See docs/web.md.
    """
    # Here, as the other commands of this module need none of it.
    import uvicorn  # noqa: PLC0415

    from postbeat.web import settings  # noqa: PLC0415
    from postbeat.web.app import make_app  # noqa: PLC0415

    # An overview of thousands of elements is many small objects at once, none of them garbage.
    gc.set_threshold(50_000, 20, 20)
    given = settings.load(host=host, port=port, users=users, profile=profile, redis_url=redis_url)
    config = uvicorn.Config(
        make_app(given),
        host=given.host,
        port=given.port,
        proxy_headers=False,  # whom to believe is a setting of ours
        server_header=False,
        timeout_graceful_shutdown=3,  # those who follow the stream of events never leave by themselves
    )
    # Once it has stopped, uvicorn raises again what it was stopped by: a SIGTERM, too, is no failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run()


@click.group()
def user() -> None:
    """Who may see the page: adds, lists and removes users. A change needs no restart."""


@user.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="Viewers look; operators also probe and announce maintenance.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin, and do not ask for it.")
@click.option("--no-password", is_flag=True, help="For tokens, or for names that a proxy tells.")
@users_option
@errors_exit()
def add(name: str, role: str, password_stdin: bool, no_password: bool, users: Path) -> None:
    """Adds the user NAME, or gives one that exists another role and password."""
    if not is_name(name):
        raise SettingsError(f"expected a name of {NAMES}, got {name!r}")
    known = read(users) if users.exists() else {}
    password = "" if no_password else _password(from_stdin=password_stdin)
    before = known.get(name, User(name, Role(role)))
    known[name] = replace(before, role=Role(role), password=hashed(password) if password else "")
    write(users, known)
    say(f"{name} is {role} in {users}")


@user.command()
@click.argument("name")
@users_option
@errors_exit()
def token(name: str, users: Path) -> None:
    """Prints a new API token of the user NAME. It is shown this once."""
    known = read(users)
    found = _known(known, name)
    if len(found.tokens) >= MAX_TOKENS:
        fail(f"{name} has {MAX_TOKENS} tokens: remove the user and add it anew")
    text, digest = new_token()
    known[name] = replace(found, tokens=(*found.tokens, digest))
    write(users, known)
    click.echo(text)


@user.command(name="list")
@json_option
@users_option
@errors_exit()
def list_users(as_json: bool, users: Path) -> None:
    """Lists the users."""
    known = read(users)
    data = [
        {"name": one.name, "role": one.role, "password": bool(one.password), "tokens": len(one.tokens)}
        for one in known.values()
    ]
    if as_json:
        print_json(data)
        return
    for one in data:
        ways = [word for word, given in (("password", one["password"]), ("tokens", one["tokens"])) if given]
        click.echo(f"{one['name']}  {one['role']}  {' and '.join(ways) or 'by a proxy only'}")


@user.command()
@click.argument("name")
@users_option
@errors_exit()
def remove(name: str, users: Path) -> None:
    """Removes the user NAME; its sessions and tokens end at once."""
    known = read(users)
    _known(known, name)
    del known[name]
    write(users, known)
    say(f"{name} is removed from {users}")


def _known(users: dict[str, User], name: str) -> User:
    if name not in users:
        fail(f"there is no user {name!r}; there are: {', '.join(users) or 'none'}", NOT_THERE)
    return users[name]


def _password(*, from_stdin: bool) -> str:
    password: str = (
        sys.stdin.readline().rstrip("\r\n")
        if from_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    if len(password) < _SHORTEST:
        raise SettingsError(f"expected a password of at least {_SHORTEST} characters")
    return password

"""What the commands share: options, and how errors become messages and exit codes."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from redis.exceptions import RedisError

from postbeat import profile as profiles
from postbeat.cli.render import plural
from postbeat.embedded.processes import EmbeddedError
from postbeat.model import Level
from postbeat.profile import Profile, ProfileError
from postbeat.settings import SettingsError

F = TypeVar("F", bound=Callable[..., Any])

# What a command for one poll says to scripts; the numbers are those of monitoring plugins.
EXIT_CODES = {Level.GOOD: 0, Level.MARGINAL: 1, Level.FAILED: 2, Level.UNKNOWN: 3}

profile_argument = click.argument("profile", type=click.Path(path_type=Path, exists=True))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else.")
redis_option = click.option(
    "--redis", "redis_url", metavar="URL", help="The Redis to use [default: POSTBEAT_REDIS_URL]."
)


def say(text: str) -> None:
    """Tells people something, on stderr."""
    click.echo(text, err=True)


def fail(text: str, code: int = 1) -> NoReturn:
    """Ends the command with a message for people."""
    click.secho(text, err=True, fg="red")
    sys.exit(code)


def faults_exit(error: ProfileError, path: Path, *, as_json: bool) -> NoReturn:
    """Ends a command that validates a file with all that is wrong with it."""
    if as_json:
        faults = [
            {"file": fault.file, "line": fault.line, "path": fault.path, "message": fault.message}
            for fault in error.faults
        ]
        print_json({"valid": False, "faults": faults})
    else:
        click.echo("\n".join(str(fault) for fault in error.faults))
        say(f"{plural(len(error.faults), 'fault')} in {path}")
    sys.exit(1)


def errors_exit(code: int) -> Callable[[F], F]:
    """Decorates a command: an error that the user can mend ends it with its message and this exit code."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            with explained(code):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]

    return decorate


@contextmanager
def explained(code: int) -> Iterator[None]:
    """Turns the errors that a user can mend into their messages."""
    try:
        yield
    except (ProfileError, SettingsError, EmbeddedError) as error:
        fail(str(error), code)
    except RedisError as error:
        fail(f"Redis does not answer: {error}", code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has enough; Python would complain at its exit
        sys.exit(0)


def load(path: Path) -> Profile:
    """The profile of a file or folder.

    Raises:
        ProfileError: with all that is wrong.
    """
    return profiles.load(path)


def print_json(data: object, *, indent: int | None = 2) -> None:
    """One JSON document on stdout; with ``indent=None`` one line."""
    click.echo(json.dumps(data, indent=indent, ensure_ascii=False))

"""What the commands share: options, and how errors become messages and exit codes."""

from __future__ import annotations

import difflib
import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from redis.exceptions import RedisError

from postbeat import profile as profiles
from postbeat.cli.ending import while_read
from postbeat.cli.render import plural
from postbeat.embedded.processes import EmbeddedError
from postbeat.model import Level
from postbeat.profile import Profile, ProfileError
from postbeat.settings import SettingsError
from postbeat.store.connecting import trouble_text

NAMES_SHOWN = 20
F = TypeVar("F", bound=Callable[..., Any])

NOT_VALID = 1  # the exit code where what is checked is not valid
NOT_THERE = 1  # and where what is named is not there
WRONG = 2  # the exit code of a command that could not do what it was asked to, or not begin
# What a command for one poll says to scripts; the numbers are those of monitoring plugins.
EXIT_CODES = {Level.GOOD: 0, Level.MARGINAL: 1, Level.FAILED: 2, Level.UNKNOWN: 3}

profile_argument = click.argument("profile", type=click.Path(path_type=Path, exists=True))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else.")
redis_option = click.option(
    "--redis", "redis_url", metavar="URL", help="The Redis to use [default: POSTBEAT_REDIS_URL]."
)


class PluginCommand(click.Command):
    """A command with the exit codes of monitoring plugins: one that is not understood says UNKNOWN.

    Click's own exit code for that is 2, which says that the service FAILED.
    """

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> click.Context:
        """Reads the command line."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            error.exit_code = EXIT_CODES[Level.UNKNOWN]  # type: ignore[misc]  # of this one
            raise


def say(text: str) -> None:
    """Tells people something, on stderr."""
    click.echo(text, err=True)


def fail(text: str, code: int = WRONG) -> NoReturn:
    """Ends the command with a message for people."""
    click.secho(text, err=True, fg="red")
    sys.exit(code)


def faults_exit(error: ProfileError, path: Path, *, as_json: bool) -> NoReturn:
    """Ends a command that validates a file with all that is wrong with it."""
    names = {name: name for name in ("file", "line", "path", "message")}
    invalid_exit("fault", error.faults, names, path, as_json=as_json)


def invalid_exit(
    word: str,
    faults: Sequence[object],
    names: Mapping[str, str],
    path: Path,
    *,
    as_json: bool,
    code: int = NOT_VALID,
) -> NoReturn:
    """Ends a command that was given a file that is not valid, also where nobody reads what is wrong with it.

    Args:
        word: what one of them is called.
        faults: what is wrong; its text is a line for people.
        names: what of each JSON has, and by which name.
        path: the file.
        as_json: whether they are told in JSON.
        code: the exit code.
    """
    with while_read():
        if as_json:
            rows = [{name: getattr(fault, own) for name, own in names.items()} for fault in faults]
            print_json({"valid": False, f"{word}s": rows})
        else:
            click.echo("\n".join(map(str, faults)))
            say(f"{plural(len(faults), word)} in {path}")
    sys.exit(code)


def meant(name: str, names: Iterable[str]) -> str:
    """What is said to who gave a name that is none of these."""
    known = sorted(set(names))
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"did you mean {close[0]}?"
    more = f" and {len(known) - NAMES_SHOWN} more" if len(known) > NAMES_SHOWN else ""
    return f"there are: {', '.join(known[:NAMES_SHOWN])}{more}"


def errors_exit(code: int = WRONG) -> Callable[[F], F]:
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
        fail(trouble_text(error), code)
    except click.FileError as error:
        fail(error.format_message(), code)


def load(path: Path) -> Profile:
    """The profile of a file or folder.

    Raises:
        ProfileError: with all that is wrong.
    """
    return profiles.load(path)


def print_json(data: object, *, indent: int | None = 2) -> None:
    """One JSON document on stdout; with ``indent=None`` one line."""
    takes_all = (sys.stdout.encoding or "").lower().startswith("utf")
    click.echo(json.dumps(data, indent=indent, ensure_ascii=not takes_all))

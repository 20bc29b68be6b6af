"""How a command ends whose output nobody reads any more, or that is broken off."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from postbeat.cli.lazy import Lazy

INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it


@contextmanager
def while_read() -> Iterator[None]:
    """Leaves its block where the reader of our output has enough, such as ``head``: that is no failure."""
    try:
        yield
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BrokenPipeError:  # nor can Python flush at its exit what is left in there
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Main(Lazy):
    """The command that all others are of, which says how they end.

    By itself Click has exit code 1 for both, which says that something is not valid or MARGINAL.
    """

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> click.Context:
        """Reads the command line; prints the help where that is asked for."""
        with _ended():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Runs the command that is called."""
        with _ended():
            return super().invoke(ctx)


@contextmanager
def _ended() -> Iterator[None]:
    try:
        with while_read():
            try:
                yield
            finally:
                sys.stdout.flush()
            return
        sys.exit(0)
    except (KeyboardInterrupt, click.Abort):
        click.secho("Interrupted.", err=True, fg="red")
        sys.exit(INTERRUPTED)

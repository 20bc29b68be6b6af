"""Commands that take the properties of monitors as options."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import click

from postbeat.ism import props as properties
from postbeat.ism.properties import PROPERTIES, Property, PropertyType, of_kind
from postbeat.ism.propsfile import PropsError
from postbeat.model import Kind

_META = "postbeat.properties"


class WithProperties(click.Command):
    """A command that takes properties as options beside its own, with one dash or two."""

    monitor: Kind | None = None  # whose properties they are, None for all

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes the properties out first: click would read ``-originator`` as many short options."""
        try:
            ctx.meta[_META], left = properties.split_arguments(self.monitor, args, self._names(ctx))
        except PropsError as error:
            raise click.UsageError(str(error), ctx) from error
        end = left.index("--") if "--" in left else len(left)
        return super().parse_args(ctx, [self._own(word, ctx) for word in left[:end]] + left[end:])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the properties after the options."""
        super().format_options(ctx, formatter)
        rows = [(_usage(it), it.says.partition(". ")[0].rstrip(".") + ".") for it in self.known.values()]
        with formatter.section("Properties (docs/props.md; postbeat ism props shows their values)"):
            formatter.write_dl(rows)

    @property
    def known(self) -> Mapping[str, Property]:
        """The properties of its monitor; without one those that no worker and no beat has as settings."""
        if self.monitor is not None:
            return of_kind(self.monitor)
        settings_here = ("", "redis_url", "profile")
        return {name: it for name, it in PROPERTIES.items() if it.setting in settings_here}

    def _names(self, ctx: click.Context) -> list[str]:
        """The names of our own options, without dashes."""
        options = [it for it in self.get_params(ctx) if isinstance(it, click.Option)]
        return [option.lstrip("-") for it in options for option in it.opts]

    def _own(self, word: str, ctx: click.Context) -> str:
        """An option of ours, which may have one dash too.

        Raises:
            UsageError: it is none.
        """
        if not word.startswith("-") or word == "-":
            return word
        name, sign, value = word.lstrip("-").partition("=")
        own = self._names(ctx)
        if name in own:
            return f"--{name}{sign}{value}" if len(name) > 1 else word
        options = [*own, *(option.lstrip("-") for it in self.known.values() for option in it.options)]
        close = difflib.get_close_matches(name.lower(), options, 1)
        hint = f"did you mean -{close[0]}?" if close else f"{ctx.info_name} -help lists all"
        # Without its value, which may be a password.
        raise click.UsageError(f"no such option: {word.partition('=')[0]}; {hint}", ctx)


def properties_given(ctx: click.Context) -> dict[str, str]:
    """The properties that the command line of a command has, as texts by their names."""
    given: dict[str, str] = ctx.meta[_META]
    return given


def _usage(it: Property) -> str:
    if it.type is PropertyType.FLAG:
        return f"{it.options[0]} [0|1], -no{it.name.lower()}"
    return f"{', '.join(it.options)} {it.type.upper()}"

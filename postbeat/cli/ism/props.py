"""``postbeat ism props``: the properties of a monitor, and where each came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from postbeat.cli.common import fail, json_option, print_json, say
from postbeat.cli.properties import WithProperties, properties_given
from postbeat.cli.render import console
from postbeat.ism import props as properties
from postbeat.ism.properties import PROPERTIES, Property
from postbeat.ism.props import Resolved, Source
from postbeat.ism.propsfile import PropsError, parse
from postbeat.ism.propvalues import is_hidden, shown
from postbeat.ism.values import Value
from postbeat.model import Kind
from postbeat.wholefiles import write_text


class _WithAllProperties(WithProperties):
    """Takes, and lists, the properties of all monitors: which one it is stands among the arguments."""

    @property
    def known(self) -> Mapping[str, Property]:
        """Every property."""
        return PROPERTIES


@click.command(cls=_WithAllProperties)
@click.argument("monitor", type=click.Choice([kind.value for kind in Kind]), default=Kind.SMTP.value)
@click.option("--explain", is_flag=True, help="Show where each value came from.")
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a properties file to begin with; never over one that exists.",
)
@json_option
@click.pass_context
def props(ctx: click.Context, monitor: str, explain: bool, write: Path | None, as_json: bool) -> None:
    """Shows the properties of a monitor: smtp, imap4 or pop3.

    A value is that of the command line, else of the environment (POSTBEAT_ORIGINATOR), else of the
    properties file (-propsfile FILE, or $ISHOME/etc/props/smtp.props), else the default. What is printed is
    itself a properties file. Passwords are not shown.

    Exit code 2: a property or its file is wrong; the message says where.
    """
    kind = Kind(monitor)
    arguments = properties_given(ctx)
    if write is not None:
        if arguments:
            fail("--write writes the defaults, and takes no properties")
        _write(kind, write)
        return
    try:
        found = properties.load(kind, arguments=arguments, environ=os.environ)
    except PropsError as error:
        fail(str(error))
    if as_json:
        data = {name: _data(name, it) for name, it in found.items()}
        print_json({"monitor": kind.value, "properties": data})
        return
    if explain:
        _explain(found)
    else:
        click.echo(_as_file(found), nl=False)
        for name, it in found.items():
            if it.note and it.source is not Source.DEFAULT:
                say(f"{name}: {it.note}")


def _data(name: str, found: Resolved) -> dict[str, Value | None]:
    """A property for scripts; the value of a secret that is set is null."""
    value = None if is_hidden(name, found.value) else shown(name, found.value)
    return {"value": value, "source": found.source.value, "where": found.where, "note": found.note}


def _explain(found: Mapping[str, Resolved]) -> None:
    out = console()
    table = Table(box=None, pad_edge=False)
    for title in ("property", "value", "from", "where"):
        table.add_column(title, overflow="fold")
    for name, it in found.items():
        style = "dim" if it.source is Source.DEFAULT else ""
        cells = (name, str(shown(name, it.value)), it.source.value, it.where)
        table.add_row(*map(Text, cells), style=style)
    out.print(table)
    for name, it in found.items():
        if it.note:
            out.print(Text(f"{name}: {it.note}"))


def _as_file(found: Mapping[str, Resolved]) -> str:
    """The properties as the text of a file; a comment is what would mean something else there."""
    lines = []
    for name, it in found.items():
        try:
            line = str(parse("", "").with_value(name, shown(name, it.value)))
        except ValueError as error:  # the environment may have what no file can
            lines.append(f"# {error}\n")
            continue
        hidden = PROPERTIES[name].secret and it.value != ""
        unset = it.note and it.source is Source.DEFAULT
        lines.append(f"# {line}" if hidden or unset or name == "PropsFile" else line)
    return "".join(lines)


def _write(kind: Kind, path: Path) -> None:
    text = resources.files("postbeat.ism").joinpath(f"{kind.value}.props").read_text(encoding="utf-8")
    try:
        write_text(path, text, force=False)
    except FileExistsError:
        fail(f"{path} exists, and is left as it is")
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}")
    say(f"Wrote {path}")

"""``postbeat ism import`` and ``export``: from the ISM's elements to a profile, and back."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn, TypedDict, Unpack

import click

from postbeat.cli.common import (
    WRONG,
    errors_exit,
    fail,
    invalid_exit,
    json_option,
    load,
    print_json,
    profile_argument,
)
from postbeat.cli.ending import while_read
from postbeat.cli.render import plural
from postbeat.elements import REGION_PATTERN
from postbeat.ism.transfer import exporting, importing
from postbeat.ism.transfer.exporting import Export, FileForm, TooLarge
from postbeat.ism.transfer.importing import Options
from postbeat.ism.transfer.report import TransferError
from postbeat.ism.transfer.rows import SIZE_LIMIT
from postbeat.wholefiles import PRIVATE_MODE, write_text

_LEFT_OUT = 1


class _Chosen(TypedDict):
    """The options that say how elements are made."""

    regions: tuple[str, ...]
    passwords: str
    tlslegacy: bool


_force_option = click.option("--force", is_flag=True, help="Write over a file that exists.")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="PROFILE", help="Where to [default: stdout]."
)
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="R",
    help="A region of elements that name none.",
)
@click.option(
    "--passwords",
    type=click.Choice(["env", "literal"]),
    default="env",
    show_default=True,
    help="Name environment variables in the profile, or write passwords into it as they are.",
)
@click.option("--tlslegacy", is_flag=True, help="Accept servers of the time of TLSv1, as the ISM did.")
@click.option("--strict", is_flag=True, help="Exit code 1 when something was left out.")
@_force_option
@json_option
def import_command(
    file: Path,
    output: Path | None,
    *,
    strict: bool,
    force: bool,
    as_json: bool,
    **chosen: Unpack[_Chosen],
) -> None:
    """Makes a profile of elements of the ISM in FILE, in CSV or XML.

    A report says what maps, what changes, what is left out, and which variables must be set for the workers.
    It is on stderr where the profile is on stdout. docs/ism-transfer.md has the forms.

    Exit code 0: done; 1: with --strict, something was left out; 2: the file is wrong, and nothing is written.
    """
    try:
        made = importing.read(_read(file), str(file), _options(chosen))
    except TransferError as error:
        _faults_exit(error, file, as_json=as_json)
    if output is not None:
        _write(output, made.text, force=force, private=made.has_literals)
    with while_read():
        if as_json:
            print_json({"valid": True, "profile": None if output else made.text, **made.report.as_data()})
        else:
            if output is None:
                click.echo(made.text, nl=False)
            _tell(made.report.lines(), aside=output is None)
    if strict and made.report.left_out:
        sys.exit(_LEFT_OUT)


@click.command()
@profile_argument
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in FileForm]),
    help="The form of the file [default: by the name of FILE, else xml].",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to [default: stdout]."
)
@_force_option
@errors_exit()
def export(profile: Path, form: str | None, output: Path | None, force: bool) -> None:
    """Writes PROFILE with the ISM's fields, in CSV or XML.

    What the ISM's fields cannot say is kept beside them, and listed: an import of the file makes the same
    elements again. Passwords are never written, only where they are found.

    Exit code 2: the profile is not valid, or too large for one file, or the file cannot be written.
    """
    csv = output is not None and output.suffix.lower() == ".csv"
    chosen = FileForm(form) if form else FileForm.CSV if csv else FileForm.XML
    loaded = load(profile)
    try:
        made = exporting.write(loaded, profile.resolve().stem, chosen)
    except TooLarge as error:
        fail(str(error), WRONG)
    if output is None:
        click.echo(made.text, nl=False)
    else:
        _write(output, made.text, force=force, private=False)
    _tell(_lines(made, len(loaded.elements)), aside=output is None)


def _options(chosen: _Chosen) -> Options:
    regions = chosen["regions"]
    wrong = [region for region in regions if not re.fullmatch(REGION_PATTERN, region)]
    if wrong:
        raise click.UsageError(f"--region: expected at most 32 small letters, digits and -, got {wrong[0]!r}")
    return Options(tuple(dict.fromkeys(regions)), chosen["passwords"] == "literal", chosen["tlslegacy"])


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(SIZE_LIMIT + 1)
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}", WRONG)


def _write(path: Path, text: str, *, force: bool, private: bool) -> None:
    try:
        write_text(path, text, force=force, mode=PRIVATE_MODE if private else None)
    except FileExistsError:
        fail(f"{path} exists, and is left as it is; --force writes over it", WRONG)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}", WRONG)


def _tell(lines: Iterable[str], *, aside: bool) -> None:
    """Prints lines for people: on stderr where stdout has a file."""
    for line in lines:
        click.echo(line, err=aside)


def _lines(made: Export, count: int) -> Iterable[str]:
    yield plural(count, "element")
    if made.notes:
        yield "kept beside the ISM's fields:"
        yield from (f"  {note}" for note in made.notes)
    if made.variables:
        yield "in the place of passwords that stand in the profile:"
        yield from (f"  {it.name}: {it.field} of {it.element}" for it in made.variables)


def _faults_exit(error: TransferError, file: Path, *, as_json: bool) -> NoReturn:
    names = {"file": "file", "line": "line", "field": "path", "message": "message"}
    invalid_exit("fault", error.faults, names, file, as_json=as_json, code=WRONG)

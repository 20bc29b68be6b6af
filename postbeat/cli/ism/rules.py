"""``postbeat ism rules``: rules files, checked, tried on results, and shown to begin with."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from postbeat import clock
from postbeat.alerts import COLUMNS, inserted
from postbeat.cli.common import NOT_VALID, fail, invalid_exit, json_option, print_json
from postbeat.cli.ending import while_read
from postbeat.cli.render import plural
from postbeat.ism import props
from postbeat.ism.elementsof import element_sets
from postbeat.ism.lane import About
from postbeat.ism.props import seen_by_rules
from postbeat.ism.propsfile import PropsError
from postbeat.ism.rules.errors import Limits, RulesError, RulesErrors
from postbeat.ism.rules.formatting import formatted
from postbeat.ism.rules.library import UnreadableError, read, text_of
from postbeat.ism.rules.loading import DEFAULTS, WRAPPER, load
from postbeat.ism.rules.program import Outcome, Program, RuleEvent
from postbeat.ism.values import Value, as_int, as_number, as_text
from postbeat.model import Kind, Pair
from postbeat.plain import LEVELS_BY_NUMBER
from postbeat.wholefiles import PRIVATE_MODE, mode_of, write_text

_RESULT_BYTES = 64 << 20
_PLACE = ("file", "line", "column", "message")  # what JSON has of an error
_FAULTED = 2
_NO_NOTES: Mapping[str, str] = {}
_BLANKS = re.compile(r"[ \t\r\n]*")

_SHIPPED = {str(kind): path for kind, path in DEFAULTS.items()} | {"ism": WRAPPER}
_rules_file = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group()
def rules() -> None:
    """Rules files: what becomes of a result as an alert. docs/rules.md has the language."""


@rules.command()
@_rules_file
@json_option
def check(file: Path, as_json: bool) -> None:
    """Reads FILE, a rules file, and those that it includes, and says all that is wrong.

    What is valid and does nothing is said as well. Exit code 0: valid; 1: not valid.
    """
    program = _load(file, as_json=as_json)
    if as_json:
        files = list(map(str, program.files))
        print_json({"valid": True, "files": files, "warnings": _errors_as_data(program.warnings)})
        return
    for warning in program.warnings:
        click.echo(str(warning))
    included = len(program.files) - 1
    click.echo(f"{file} is valid" + (f", with {plural(included, 'included file')}" if included else ""))


@rules.command("format")
@_rules_file
@click.option("--write", is_flag=True, help="Change the file, and print nothing.")
@click.option(
    "--check", "only_check", is_flag=True, help="Change and print nothing: exit code 1 if it would."
)
def format_rules(file: Path, write: bool, only_check: bool) -> None:
    """Prints FILE, a rules file, with its lines indented by its blocks.

    Nothing else is touched: no line is broken or joined, comments stay, and the file means the same. The ends
    of its lines become LF, and a mark of the byte order goes. Files that it includes are not looked at.

    Exit code 1: its form is wrong.
    """
    try:
        data = read(file, Limits().file_bytes)
        laid_out = formatted(str(file), text_of(file, data))
    except UnreadableError as error:
        fail(str(error), NOT_VALID)
    except RulesErrors as error:
        _errors_exit(error, file, as_json=False)
    is_other = laid_out.encode() != data
    if only_check:
        sys.exit(is_other)
    if not write:
        click.echo(laid_out, nl=False)
    elif is_other:
        try:
            write_text(file, laid_out, force=True, mode=mode_of(file, PRIVATE_MODE))
        except OSError as error:
            fail(f"cannot write {file}: {error.strerror}")


@rules.command()
@click.argument("name", type=click.Choice(list(_SHIPPED)))
def show(name: str) -> None:
    """Prints the rules that a monitor has by default, to begin with: smtp, imap4, pop3, or ism for all."""
    click.echo(_SHIPPED[name].read_text(encoding="utf-8"), nl=False)


@rules.command("try")
@_rules_file
@click.option(
    "--result",
    "results",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="JSON|-",
    help="A file (- is stdin) of what `postbeat results --json` (with or without --ism) or `postbeat probe"
    " --json` prints. Of several results each is tried, one after another.",
)
@click.option("--element", "elements", multiple=True, metavar="NAME=VALUE", help="Sets $NAME.")
@click.option(
    "-propsfile",
    "--propsfile",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="The properties file of the first result's monitor. The others, or without it all, have that of"
    " $ISHOME, as a monitor has it.",
)
@click.option("--property", "changes", multiple=True, metavar="NAME=VALUE", help="Sets %NAME.")
@click.option("--trace/--no-trace", default=True, show_default=True, help="Show the statements that ran.")
@json_option
def try_rules(
    file: Path,
    results: str | None,
    elements: Sequence[str],
    propsfile: Path | None,
    changes: Sequence[str],
    trace: bool,
    as_json: bool,
) -> None:
    """Tries FILE, a rules file, on results, and shows the alerts and the path taken. Nothing is sent.

    Properties are those of the result's monitor: of its properties file, of the environment, or defaults, and
    --property on top. An alert is shown as it would be stored: (default) is what no statement set.

    Arrays and assigned properties keep what they hold from one result to the next, as they do in a monitor.
    With --json there is one document per result and line.

    Exit code 0: the rules ran; 1: the file, a property or the result is not valid; 2: the rules were stopped
    by a fault.
    """
    set_elements = _pairs(elements, "--element")
    properties = _Properties(propsfile, _pairs(changes, "--property"))
    program = _load(file, as_json=as_json)
    faulted = False
    for number, of_result in enumerate(_element_sets(results), start=1):
        found = of_result | set_elements
        seen = properties.of_monitor(found.get("monitor", ""))
        outcome = program.run(found, seen, trace=trace)
        if outcome.fault is None:
            seen |= outcome.properties
        faulted |= outcome.fault is not None
        about = _about(found)
        with while_read():
            if as_json:
                print_json(_as_data(outcome, about), indent=None)
            else:
                _print(outcome, about, number)
    sys.exit(_FAULTED if faulted else 0)


class _Properties:
    """The properties of each monitor whose results are tried; what rules assign stays for the next result.

    A file is that of one monitor: of the first that is asked for.
    """

    def __init__(self, file: Path | None, changes: Mapping[str, Value]) -> None:
        self._file_of_next = {} if file is None else {"PropsFile": str(file)}
        self._changes = changes
        self._known: dict[Value, dict[str, Value]] = {}

    def of_monitor(self, monitor: Value) -> dict[str, Value]:
        """Those of a monitor by its name. Of what is none of ours only what the command line has is known."""
        if monitor not in self._known:
            self._known[monitor] = {**self._loaded(monitor), **self._changes}
        return self._known[monitor]

    def _loaded(self, monitor: Value) -> dict[str, Value]:
        kind = next((kind for kind in Kind if kind == monitor), None)
        if kind is None:
            return {}
        arguments, self._file_of_next = self._file_of_next, {}
        try:
            return seen_by_rules(props.load(kind, arguments=arguments, environ=os.environ))
        except PropsError as error:
            fail(str(error), NOT_VALID)


def _about(elements: Mapping[str, Value]) -> About:
    """What a monitor knows of a result besides its rules; what its elements do not have is not known."""
    name, region, time_s = (elements.get(name, "") for name in ("identifier", "region", "time"))
    level = LEVELS_BY_NUMBER.get(elements.get("serviceLevel"))
    return About(
        agent=as_text(elements.get("monitor", "")),
        at_us=as_int(time_s) * 1_000_000 or clock.own_us(),
        level=level,
        pair=Pair(as_text(name), as_text(region)) if name else None,
        poll=as_text(elements.get("poll", "")),
    )


def _load(file: Path, *, as_json: bool) -> Program:
    try:
        return load(file)
    except RulesErrors as error:
        _errors_exit(error, file, as_json=as_json)


def _errors_exit(error: RulesErrors, file: Path, *, as_json: bool) -> NoReturn:
    names = {name: name for name in _PLACE}
    invalid_exit("error", error.errors, names, file, as_json=as_json)


def _errors_as_data(errors: Iterable[RulesError]) -> list[dict[str, Any]]:
    return [{key: getattr(one, key) for key in _PLACE} for one in errors]


def _pairs(texts: Iterable[str], option: str) -> dict[str, Value]:
    """``NAME=VALUE`` by name; a value that is written as a number is one."""
    found: dict[str, Value] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().lstrip("$%")
        if not equals or not name:
            raise click.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint=option)
        number = as_number(value)
        found[name] = value if number is None or as_text(number) != value else number
    return found


def _element_sets(file: str | None) -> Iterator[dict[str, Value]]:
    """The ISM elements of each result in a file; without a file, none at all, once."""
    if file is None:
        yield {}
        return
    name = "stdin" if file == "-" else file
    try:
        with click.open_file(file, "rb") as stream:
            data = stream.read(_RESULT_BYTES + 1)
        if len(data) > _RESULT_BYTES:
            fail(f"{name}: larger than {_RESULT_BYTES} bytes", NOT_VALID)
        for document in _documents(data.decode("utf-8", "strict")):
            yield from element_sets(document)
    except json.JSONDecodeError as error:
        fail(f"{name}:{error.lineno}:{error.colno}: expected JSON: {error.msg}", NOT_VALID)
    except UnicodeDecodeError:
        fail(f"{name}: not UTF-8", NOT_VALID)
    except RecursionError:
        fail(f"{name}: nested too deeply", NOT_VALID)
    except ValueError as error:  # of DocumentError, and of a number with thousands of digits
        fail(f"{name}: {error}", NOT_VALID)


def _documents(text: str) -> Iterator[object]:
    """The JSON documents of a text, one after another; those of a list each.

    Raises:
        json.JSONDecodeError: there is none, or something else.
    """
    decoder = json.JSONDecoder()
    at = _after_blanks(text, 0)
    while True:
        document, end = decoder.raw_decode(text, at)
        yield from document if isinstance(document, list) else [document]
        at = _after_blanks(text, end)
        if at == len(text):
            return


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _as_data(outcome: Outcome, about: About) -> dict[str, Any]:
    fault = outcome.fault
    return {
        "events": [
            {
                "target": event.target,
                "fields": dict(event.fields),
                "details": dict(event.details),
                "updates": sorted(event.update_on_dedup),
                "row": _row(event, about),
            }
            for event in outcome.events
        ],
        "discarded": outcome.discarded,
        "services": [{"service": state.service, "level": state.level} for state in outcome.services],
        "properties": dict(outcome.properties),
        "log": [{"level": line.level, "text": line.text} for line in outcome.log],
        "path": [{"file": step.file, "line": step.line, "text": step.text} for step in outcome.path],
        "fault": None
        if fault is None
        else {"file": fault.file, "line": fault.line, "column": fault.column, "message": fault.message},
    }


def _row(event: RuleEvent, about: About) -> dict[str, Any]:
    """The row of the table of alerts that an event makes."""
    return inserted(about.occurrence(event).alert).as_data()


def _print(outcome: Outcome, about: About, number: int) -> None:
    if number > 1:
        click.echo()
    for step in outcome.path:
        click.echo(f"{step.file}:{step.line}: {_shown(step.text)}")
    if outcome.path:
        click.echo()
    for line in outcome.log:
        click.echo(f"log {line.level}: {_shown(line.text)}")
    for state in outcome.services:
        click.echo(f"service {_shown(state.service)}: {state.level}")
    _print_values("%", outcome.properties)
    if outcome.discarded:
        click.echo("discarded: there is no alert")
    for event in outcome.events:
        _print_event(event, about)
    if outcome.fault is not None:
        click.secho(f"stopped: {outcome.fault}", fg="red")


def _print_event(event: RuleEvent, about: About) -> None:
    """The row, first what rules have set; what it says of the result anyway is not shown again."""
    click.echo(f"alert for {_shown(event.target)}:" if event.target else "alert:")
    row = _row(event, about)
    defaults = [name for name in COLUMNS if event.fields.get(name, "") == "" != row[name]]
    stored = [name for name in event.fields if name in row and name not in defaults]
    notes = dict.fromkeys(event.update_on_dedup, "  (updated)") | dict.fromkeys(defaults, "  (default)")
    _print_values("  @", {name: row[name] for name in (*stored, *defaults)}, notes)
    _print_values("  detail ", event.details)


def _print_values(prefix: str, values: Mapping[str, Value], notes: Mapping[str, str] = _NO_NOTES) -> None:
    for name, value in values.items():
        shown = _quoted(value) if isinstance(value, str) else as_text(value)
        click.echo(f"{prefix}{name} = {shown}{notes.get(name, '')}")


def _shown(text: str) -> str:
    """A text as it is where it is printable; else escaped, so that no terminal obeys it."""
    return text if text.isprintable() else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())

"""Makes the table of docs/props.md and the properties files to begin with, from the definitions.

``python -m docs.properties`` writes them.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import postbeat.ism
from postbeat.ism.properties import PROPERTIES, Property, PropertyType, of_kind
from postbeat.ism.propsfile import parse
from postbeat.model import Kind

DOCUMENT = Path(__file__).parent / "props.md"
FILES = {kind: Path(postbeat.ism.__file__).parent / f"{kind.value}.props" for kind in Kind}
_BEGIN, _END = "<!-- begin: python -m docs.properties -->", "<!-- end -->"

_HEAD = """\
# The properties of the {kind} monitor. Each stands here at its default: take its # away and change it.
#
# Order: the command line ({option} X), the environment ({variable}), this file, the default.
# $NAME and ${{NAME}} in quotes are environment variables. docs/props.md has the whole of it.
"""


def file_text(kind: Kind) -> str:
    """The properties file of a monitor, each property commented out at its default."""
    originator = PROPERTIES["Originator"]
    head = _HEAD.format(kind=kind, option=originator.options[0], variable=originator.variables[0])
    parts = [head]
    for it in of_kind(kind).values():
        if it.name != "PropsFile":
            says = "\n".join(textwrap.wrap(it.says, 100, initial_indent="# ", subsequent_indent="# "))
            line = str(parse("", "").with_value(it.name, it.default))
            parts.append(f"\n{says}\n#{line}")
    return "".join(parts)


def document_text(text: str) -> str:
    """The text of props.md with the table as it is now."""
    rows = [
        "| property | type | takes | default | option | environment | monitors | what it does | from |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(_row, PROPERTIES.values()),
    ]
    before, _, rest = text.partition(_BEGIN)
    table = "\n".join(rows)
    return f"{before}{_BEGIN}\n{table}\n{_END}{rest.partition(_END)[2]}"


def _row(it: Property) -> str:
    default = f"`{it.default}`" if it.default != "" else "none"
    if it.at_home:
        default += f"; under `$ISHOME`: `{it.at_home.replace('{kind}', 'MONITOR')}`"
    options = [f"`{option}`" for option in it.options]
    if it.type is PropertyType.FLAG:
        options.append(f"`-no{it.name.lower()}`")
    variables = " ".join(f"`{name}`" for name in dict.fromkeys(it.variables))
    monitors = "all" if len(it.monitors) == len(Kind) else ", ".join(sorted(it.monitors))
    origin = "Table 4" if it.in_table else "ours"
    cells = (
        f"`{it.name}`",
        it.type.value,
        it.expected,
        default,
        " ".join(options),
        variables,
        monitors,
        it.says,
        origin,
    )
    return f"| {' | '.join(cells)} |"


def write() -> None:
    """Writes all of them."""
    DOCUMENT.write_text(document_text(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    for kind, path in FILES.items():
        path.write_text(file_text(kind), encoding="utf-8")


if __name__ == "__main__":
    write()

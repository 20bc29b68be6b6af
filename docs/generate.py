"""Makes the generated parts of the documents: the list of commands, and pictures of real output.

``python -m docs.generate`` writes everything; one picture is that of a demo that ran for 16 seconds. The one
of the page can be made alone, by ``python -m docs.page``.
"""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from docs import page, properties
from postbeat.cli import main
from postbeat.embedded.mail import mail_server
from postbeat.embedded.processes import Processes
from postbeat.metrics import names

FOLDER = Path(__file__).parent
COMMANDS = FOLDER / "commands.md"
METRICS = FOLDER / "metrics.md"
IMAGES = FOLDER / "images"
WIDTH = 118
_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfhlnsu]|\r")


def commands_text() -> str:
    """The text of commands.md: what ``--help`` says of every command."""
    parts = ["# Commands\n", "What `postbeat --help` and `postbeat COMMAND --help` say.\n"]
    context = click.Context(main, info_name="postbeat", **main.context_settings)
    parts += _helps(main, context, "")
    return "\n".join(parts)


def _helps(command: click.Command, context: click.Context, name: str) -> Iterator[str]:
    """What a command says, and those of a group after it."""
    context.max_content_width = context.terminal_width = 100
    if name:
        yield f"{'#' * (1 + len(name.split()))} postbeat {name}\n"
    yield f"```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            if inner is not None:
                yield from _helps(
                    inner, click.Context(inner, context, info_name=word), f"{name} {word}".strip()
                )


def metrics_text(text: str) -> str:
    """The text of metrics.md with the table of all metrics as it is now."""
    rows = ["| name | type | labels | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for metric in names.METRICS:
        labels = " ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} | {metric.help} |")
    begin, end = "<!-- begin: make docs -->", "<!-- end: make docs -->"
    before, _, rest = text.partition(begin)
    table = "\n".join(rows)
    return f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"


def on_terminal(argv: Sequence[str], env: Mapping[str, str], seconds: float | None = None) -> str:
    """What a command prints on a terminal of WIDTH columns; after ``seconds`` it gets a Ctrl-C.

    Raises:
        CalledProcessError: it failed.
    """
    main_end, its_end = pty.openpty()
    process = subprocess.Popen(argv, stdin=its_end, stdout=its_end, stderr=subprocess.DEVNULL, env=env)
    os.close(its_end)
    deadline = time.monotonic() + (seconds or 60)
    os.set_blocking(main_end, False)
    output = io.BytesIO()
    interrupted = False
    while process.poll() is None or _drain(main_end, output):
        if seconds is not None and not interrupted and time.monotonic() > deadline:
            process.send_signal(signal.SIGINT)
            interrupted = True
        _drain(main_end, output)
        time.sleep(0.05)
    os.close(main_end)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return output.getvalue().decode()


def _drain(descriptor: int, output: io.BytesIO) -> int:
    try:
        return output.write(os.read(descriptor, 65536))
    except OSError:  # nothing there, or the other end is closed
        return 0


def picture(command: str, ansi: str) -> str:
    """An SVG of a terminal with a command and its output."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ ", style="dim") + Text(command, style="bold"))
    for line in _MOVES.sub("", ansi).rstrip().split("\n"):
        console.print(Text.from_ansi(line), overflow="crop", no_wrap=True)
    return console.export_svg(title="postbeat", unique_id=re.sub(r"\W+", "-", command))


def _environment() -> dict[str, str]:
    return os.environ | {"COLUMNS": str(WIDTH), "LINES": "40", "TERM": "xterm-256color"}


def _demo() -> str:
    output = on_terminal([sys.executable, "-m", "postbeat", "demo"], _environment(), seconds=16)
    # The last frame is the whole of it.
    begin, headline, frame = output.rpartition("Postbeat demo")
    return begin[begin.rfind("\x1b[") :] + headline + frame


def _explain() -> str:
    template = resources.files("postbeat.cli").joinpath("demo.yaml").read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder, Processes() as processes:
        server = mail_server(processes, Path(folder), {"probe": "secret"})
        ports = {"smtp": server.smtp, "imap4": server.imap4, "pop3": server.pop3}
        profile = Path(folder) / "profile.yaml"
        profile.write_text(string.Template(template).substitute(ports), encoding="utf-8")
        command = ["probe", str(profile), "mail-imap4", "--explain"]
        env = _environment() | {"POSTBEAT_DEMO_PASSWORD": "secret"}
        for _ in range(2):  # the first run warms the server up
            output = on_terminal([sys.executable, "-m", "postbeat", *command], env)
        return output


def write() -> None:
    """Writes all generated parts."""
    COMMANDS.write_text(commands_text(), encoding="utf-8")
    METRICS.write_text(metrics_text(METRICS.read_text(encoding="utf-8")), encoding="utf-8")
    properties.write()
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "demo.svg").write_text(picture("make demo", _demo()), encoding="utf-8")
    explained = picture("postbeat probe profile.yaml mail-imap4 --explain", _explain())
    (IMAGES / "explain.svg").write_text(explained, encoding="utf-8")
    page.write()


if __name__ == "__main__":
    write()

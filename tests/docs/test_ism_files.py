"""docs/ism-files.md is true: its shell commands print what it shows of them, of files that we wrote."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from postbeat.ism.datalog import Datalog
from postbeat.ism.datalogformat import Format
from postbeat.ism.logfile import LogFile
from postbeat.ism.values import Value

DOCUMENT = (Path(__file__).parents[2] / "docs" / "ism-files.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", DOCUMENT, re.DOTALL)
COMMANDS = [
    (command.splitlines()[0], command.partition("\n")[2])
    for block in BLOCKS
    for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
]


def us(moment: str) -> int:
    return int(datetime.fromisoformat(f"2026-11-26T{moment}+00:00").timestamp() * 1000) * 1000


def sent(slot: int, level: int, total_s: float, message: str = "Message sent") -> dict[str, Value]:
    elements: dict[str, Value] = {"message": message, "monitor": "smtp", "phase": "send"}
    elements |= {"poll": f"mail@eu#{slot}", "serviceLevel": level, "totalTime": total_s}
    return elements if level == 3 else elements | {"status": 250}


RESULTS = [
    ("10:00:00.412", sent(5958000, 1, 0.412)),
    ("10:05:05.300", sent(5958001, 2, 5.3)),
    ("10:10:30.000", sent(5958002, 3, 30.0, "No answer within 30 s in stage connect")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    datalog = Datalog(folder / "datalogs", "site", Format.parse("message serviceLevel status totalTime"))
    with LogFile(folder / "smtp.log") as log:
        log.write("INFO", "Running ...", us("10:00:00.000"))
        for moment, elements in RESULTS:
            log.result(elements, us(moment))
            datalog.append("mail", elements, us(moment), f"{us(moment) // 1000}-0")
        refused = sent(0, 3, 0.02, "554 go away\x1b[2J\r\nnow") | {"poll": "relay@us#5958003"}
        log.result(refused, us("10:15:00.020"))
    program = next(shown for command, shown in COMMANDS if command == "cat slowest.py")
    (folder / "slowest.py").write_text(program, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_prints_what_the_document_shows(folder: Path, command: str, shown: str) -> None:
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == shown


def test_the_line_about_missing_lines_is_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "smtp.log"
    path.symlink_to("/dev/full")
    with LogFile(path) as log:
        for _ in range(12):
            log.write("INFO", "a line")
        path.unlink()
        log.write("INFO", "a line")
    told = path.read_text().splitlines()[0]
    assert told.partition(" ")[2] in DOCUMENT


FORMATS = re.findall(r"^\| `([^`]*)` \|", DOCUMENT.partition("| DatalogFormat |")[2], re.MULTILINE)


def test_the_formats_that_are_shown_are_formats(tmp_path: Path) -> None:
    assert len(FORMATS) == 5
    (tmp_path / "short.format").write_text("message # all that people want\n")
    for text in FORMATS:
        Format.parse(text.replace("/etc/postbeat", str(tmp_path)))

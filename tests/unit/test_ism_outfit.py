"""What SIGHUP changes of a monitor, and what it leaves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from postbeat.ism import props
from postbeat.ism.monitoring import surroundings
from postbeat.ism.outfit import Outfit
from postbeat.model import Kind


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The properties of a monitor whose rules, log and datalog are in the same folder."""
    (tmp_path / "first.rules").write_text('@Summary = "first"\n')
    (tmp_path / "second.rules").write_text('@Summary = "second"\n')
    file = tmp_path / "smtp.props"
    write(file, RulesFile="first.rules", MessageLog="first.log", DatalogFormat="time")
    return file


def write(file: Path, **names: str) -> None:
    lines = [
        f'{name} : "{text if name == "DatalogFormat" else file.parent / text}"\n'
        for name, text in {"DatalogDir": "datalogs", **names}.items()
    ]
    file.write_text("".join(["Datalog : 1\n", *lines]))


def outfit(file: Path, told: list[str]) -> Outfit:
    arguments = {"PropsFile": str(file)}
    return Outfit(
        Kind.SMTP, partial(props.load, Kind.SMTP, arguments=arguments, environ={}), "mail", told.append
    )


def used(made: Outfit, folder: Path) -> tuple[str, list[str], str]:
    """What the rules say, the logs that have it, and the format of the datalog."""
    for log in folder.glob("*.log"):
        log.write_bytes(b"")
    (occurrence,) = made.lane.watched("hello", surroundings("mail"), 0)
    assert made.lane.datalog is not None
    return occurrence.alert.summary, logs_with("hello", folder), str(made.lane.datalog.format)


def logs_with(word: str, folder: Path) -> list[str]:
    return [log.name for log in folder.glob("*.log") if word in log.read_text()]


def test_changed_properties_are_all_used(file: Path) -> None:
    told: list[str] = []
    made = outfit(file, told)
    before = used(made, file.parent)
    write(file, RulesFile="second.rules", MessageLog="second.log", DatalogFormat="time,message")
    made.reload()
    assert told == []
    assert all(old != new for old, new in zip(before, used(made, file.parent), strict=True))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"MessageLog": "first.rules/log"}, "cannot open the log"),
        ({"RulesFile": "none.rules"}, "none.rules"),
        ({"DatalogFormat": "nonsense"}, "nonsense"),
    ],
)
def test_what_is_not_valid_changes_nothing(file: Path, names: dict[str, str], message: str) -> None:
    told: list[str] = []
    made = outfit(file, told)
    before = used(made, file.parent)
    others = {"RulesFile": "second.rules", "MessageLog": "second.log", "DatalogFormat": "time,message"}
    write(file, **{**others, **names})
    made.reload()
    assert "The properties stay as they were" in told[0]
    assert message in told[0]
    assert used(made, file.parent) == before

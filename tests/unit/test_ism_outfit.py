"""What SIGHUP changes of a monitor, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from postbeat.ism import props
from postbeat.ism.lane import Lane
from postbeat.ism.monitoring import surroundings
from postbeat.ism.outfit import Outfit
from postbeat.model import Kind, Phase


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


@contextmanager
def outfit(file: Path, told: list[str]) -> Iterator[Outfit]:
    load = partial(props.load, Kind.SMTP, arguments={"PropsFile": str(file)}, environ={})
    with closed(Outfit(Kind.SMTP, load, "mail", told.append)) as made:
        yield made


@contextmanager
def closed(made: Outfit) -> Iterator[Outfit]:
    """The same; its log is closed at the end."""
    try:
        yield made
    finally:
        if made.lane.log is not None:
            made.lane.log.close()


def used(made: Outfit, folder: Path) -> tuple[str, list[str], str]:
    """What the rules say, the logs that have it, and the format of the datalog."""
    for log in folder.glob("*.log"):
        log.write_bytes(b"")
    (occurrence,) = made.lane.watched("hello", surroundings("mail"), 0)
    assert made.lane.datalog is not None
    return occurrence.alert.summary, logs_with("hello", folder), str(made.lane.datalog.format)


def of_installation(home: Path, kind: Kind, told: list[str]) -> AbstractContextManager[Outfit]:
    load = partial(props.load, kind, arguments={}, environ={"ISHOME": str(home)})
    return closed(Outfit(kind, load, "mail", told.append))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation as the ISM has one, whose monitors have logs and datalogs."""
    for folder in ("etc/props", "etc/rules", "log"):
        (tmp_path / folder).mkdir(parents=True)
    for kind in Kind:
        props_of(tmp_path, kind).write_text("Datalog : 1\n")
    return tmp_path


def props_of(home: Path, kind: Kind) -> Path:
    return home / "etc" / "props" / f"{kind}.props"


def logs_with(word: str, folder: Path) -> list[str]:
    return [log.name for log in folder.glob("*.log") if word in log.read_text()]


def test_changed_properties_are_all_used(file: Path) -> None:
    told: list[str] = []
    with outfit(file, told) as made:
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
    with outfit(file, told) as made:
        before = used(made, file.parent)
        others = {"RulesFile": "second.rules", "MessageLog": "second.log", "DatalogFormat": "time,message"}
        write(file, **{**others, **names})
        made.reload()
        assert "The properties stay as they were" in told[0]
        assert message in told[0]
        assert used(made, file.parent) == before


def test_the_properties_of_a_lane_beside_are_read_again_as_well(home: Path) -> None:
    told: list[str] = []
    with of_installation(home, Kind.SMTP, told) as made:
        _read_again(home, made, told)


def _read_again(home: Path, made: Outfit, told: list[str]) -> None:
    load = partial(props.load, Kind.IMAP4, arguments={}, environ={"ISHOME": str(home)})
    made.add(Kind.IMAP4, load, frozenset({Phase.READ}))
    beside = made.lanes[1]
    (home / "own.rules").write_text('@Summary = "own " + %Originator\n')
    text = f'Datalog : 1\nRulesFile : "{home}/own.rules"\nOriginator : "Changed"\n'
    props_of(home, Kind.IMAP4).write_text(text)
    made.reload()
    assert told == []
    assert summary(beside) == "own Changed"
    props_of(home, Kind.IMAP4).write_text(text.replace("Changed", "Again") + "Nonsense : 1\n")
    (home / "etc/rules/smtp.rules").write_text('@Summary = "smtp"\n')
    made.reload()
    assert "Nonsense is no property" in told[0]
    assert summary(beside) == "own Changed"
    # Both write where the monitor's own properties say.
    props_of(home, Kind.IMAP4).write_text(text)
    props_of(home, Kind.SMTP).write_text(f'Datalog : 0\nMessageLog : "{home}/second.log"\n')
    made.reload()
    assert (beside.log, beside.datalog) == (made.lane.log, None)
    assert logs_with("were read again", home) == ["second.log"]


def summary(lane: Lane) -> str:
    (occurrence,) = lane.watched("hello", surroundings("mail"), 0)
    return occurrence.alert.summary


def test_trouble_of_a_datalog_is_told_in_the_log_of_its_monitor_alone(home: Path) -> None:
    (home / "datalogs").write_text("not a folder")
    with ExitStack() as ends:
        outfits = [ends.enter_context(of_installation(home, kind, [])) for kind in Kind]
        for made in outfits:
            assert made.lane.datalog is not None
            made.lane.datalog.append("mail", {"message": "x"}, 1_795_687_200_000_000, "1-0")
    for kind in Kind:
        log = (home / "log" / f"{kind}.log").read_text()
        assert f"ERROR {kind}: cannot write the datalog" in log
        assert log.count("cannot write") == 1


@pytest.mark.parametrize("kind", Kind)
def test_a_wrapper_with_the_tables_of_all_monitors_is_the_rules_file_of_each(
    home: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISHOME", str(home))
    monkeypatch.delenv("ISMHOME", raising=False)
    cases = [f'case "{it}": include "$ISMHOME/etc/rules/{it}.rules"\n' for it in Kind]
    tables = 'table sites = {{"mail", "Berlin"}}\n'
    (home / "etc/rules/objectserver.rules").write_text(f"{tables}switch ($monitor) {{\n{''.join(cases)}}}\n")
    for it in Kind:
        (home / f"etc/rules/{it}.rules").write_text(f'@Summary = "{it} in " + lookup($identifier, sites)\n')
    props_of(home, kind).write_text('RulesFile : "$ISHOME/etc/rules/objectserver.rules"\n')
    with of_installation(home, kind, []) as made:
        (occurrence,) = made.lane.watched("hello", surroundings("mail"), 0)
    assert occurrence.alert.summary == f"{kind} in Berlin"

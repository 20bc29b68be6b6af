"""The monitors' log: one line for each entry, whatever happens to the file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.ism.logfile import LogFile, LogFileError
from postbeat.ism.logline import TEXT_LIMIT
from postbeat.ism.values import Value

AT_US = 1_790_000_000_123_456  # 2026-09-21T14:13:20.123456Z
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR|FATAL) ([^:]+): (.*)")
RESULT: dict[str, Value] = {
    "message": "Message sent",
    "monitor": "smtp",
    "phase": "send",
    "poll": "mail@eu#123",
    "time": AT_US // 1_000_000,
    "serviceLevel": 1,
    "totalTime": 0.1234,
}


OpenLog = Callable[..., LogFile]


@pytest.fixture
def open_log() -> Iterator[OpenLog]:
    with ExitStack() as stack:
        yield lambda *args, **given: stack.enter_context(LogFile(*args, **given))


def lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text.split("\n")[:-1]


def texts(path: Path) -> list[str]:
    found = [LINE.fullmatch(line) for line in lines(path)]
    assert all(found)
    return [match[3] for match in found if match]


def unescaped(text: str) -> str:
    return re.sub(
        r"\\(?:\\|n|r|t|x..|u....|U........)", lambda found: found[0].encode().decode("unicode_escape"), text
    )


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_an_entry_is_a_line_with_its_time_level_and_monitor(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log(tmp_path / "smtp.log")
    log.write("WARN", "rules read again", AT_US)
    assert lines(tmp_path / "smtp.log") == ["2026-09-21T14:13:20.123Z WARNING smtp: rules read again"]


def test_an_entry_without_a_time_is_of_now(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log(tmp_path / "smtp.log")
    log.write("INFO", "a")
    log.write("INFO", "b", 0)
    first, second = lines(tmp_path / "smtp.log")
    assert first > "2026-"
    assert second.startswith("1970-01-01T00:00:00.000Z")


def test_a_result_is_a_line_with_its_poll_level_and_seconds(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log(tmp_path / "smtp.log")
    log.result(RESULT)
    log.result(RESULT | {"serviceLevel": 3, "message": "no answer"}, AT_US)
    assert lines(tmp_path / "smtp.log") == [
        "2026-09-21T14:13:20.000Z INFO smtp mail@eu#123 send GOOD 0.123s: Message sent",
        "2026-09-21T14:13:20.123Z ERROR smtp mail@eu#123 send FAILED 0.123s: no answer",
    ]


@pytest.mark.parametrize(
    ("changed", "head"),
    [
        ({"serviceLevel": 2}, "WARNING smtp mail@eu#123 send MARGINAL 0.123s"),
        ({"serviceLevel": 0}, "WARNING smtp mail@eu#123 send UNKNOWN 0.123s"),
        ({"serviceLevel": 1, "timeToDeliver": 2}, "INFO smtp mail@eu#123 send GOOD 2.000s"),
        ({"serviceLevel": "?", "poll": "a b\n"}, "WARNING smtp a_b\\n send UNKNOWN 0.123s"),
    ],
)
def test_the_level_of_a_line_is_that_of_the_result(
    tmp_path: Path, open_log: OpenLog, changed: dict[str, Value], head: str
) -> None:
    open_log(tmp_path / "smtp.log").result(RESULT | changed, AT_US)
    assert lines(tmp_path / "smtp.log") == [f"2026-09-21T14:13:20.123Z {head}: Message sent"]


def test_a_result_of_which_nothing_is_known_is_still_a_line(tmp_path: Path, open_log: OpenLog) -> None:
    open_log(tmp_path / "smtp.log").result({}, 0)
    assert lines(tmp_path / "smtp.log") == ["1970-01-01T00:00:00.000Z WARNING - - - UNKNOWN -: "]


@pytest.mark.parametrize(
    ("least", "written"),
    [
        ("debug", ["DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]),
        ("warn", ["WARNING", "ERROR", "FATAL"]),
        ("Fatal", ["FATAL"]),
    ],
)
def test_what_is_below_the_level_is_not_written(
    tmp_path: Path, open_log: OpenLog, least: str, written: list[str]
) -> None:
    log = open_log(tmp_path / "smtp.log", least)
    for level in ("DEBUG", "INFO", "WARNING", "ERROR", "FATAL"):
        log.write(level, level)
    assert texts(tmp_path / "smtp.log") == written


def test_an_unknown_level_is_named(tmp_path: Path, open_log: OpenLog) -> None:
    message = "^'loud' is no level: expected DEBUG, INFO, WARNING, ERROR or FATAL$"
    with pytest.raises(ValueError, match=message):
        open_log(tmp_path / "smtp.log", "loud")
    with pytest.raises(ValueError, match=message):
        open_log(tmp_path / "smtp.log").write("loud", "text")


@given(text=st.text(st.characters(), max_size=200))
def test_any_text_is_one_printable_line_from_which_it_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "smtp.log"
    with LogFile(path) as log:
        log.write("INFO", text)
    (line,) = lines(path)
    assert line.isprintable()
    assert unescaped(texts(path)[0]) == text


def test_what_a_hostile_server_writes_moves_no_terminal_and_makes_no_line(
    tmp_path: Path, open_log: OpenLog
) -> None:
    log = open_log(tmp_path / "smtp.log")
    log.result(RESULT | {"message": "550 \x1b[2J\r\n2026-09-21T14:13:20.123Z INFO smtp: all is well\u202e"})
    assert texts(tmp_path / "smtp.log") == [
        "550 \\x1b[2J\\r\\n2026-09-21T14:13:20.123Z INFO smtp: all is well\\u202e"
    ]


def test_a_text_that_is_too_long_is_cut(tmp_path: Path, open_log: OpenLog) -> None:
    open_log(tmp_path / "smtp.log").write("INFO", "\U0010fffd" * 100_000)
    (text,) = texts(tmp_path / "smtp.log")
    assert text == "\\U0010fffd" * TEXT_LIMIT + " [cut]"


def test_a_moment_that_is_in_no_calendar_costs_its_line_only(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log(tmp_path / "smtp.log")
    log.write("INFO", "a", 10**30)
    log.write("INFO", "b")
    told, text = texts(tmp_path / "smtp.log")
    assert told.startswith("lines missing here: 1 (")
    assert text == "b"


def test_the_file_may_be_read_by_its_group_and_its_folder_is_made(tmp_path: Path, open_log: OpenLog) -> None:
    path = tmp_path / "ism" / "log" / "smtp.log"
    before = os.umask(0)
    try:
        open_log(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o750


def test_a_log_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path, open_log: OpenLog) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, why in [("", "Is a directory"), ("file/smtp.log", "File exists"), ("pipe", "No such device")]:
        with pytest.raises(LogFileError, match=f"^cannot open the log {tmp_path / name}: {why}"):
            open_log(tmp_path / name)


def test_without_a_path_the_log_is_standard_error(
    capsys: pytest.CaptureFixture[str], open_log: OpenLog
) -> None:
    log = open_log(None, "warn", monitor="smtp")
    log.write("INFO", "fine")
    log.result(RESULT | {"serviceLevel": 3, "message": "no\nanswer"}, AT_US)
    log.reopen()
    log.close()
    log.write("ERROR", "bad", AT_US)
    assert capsys.readouterr().err.splitlines() == [
        "2026-09-21T14:13:20.123Z ERROR smtp mail@eu#123 send FAILED 0.123s: no\\nanswer",
        "2026-09-21T14:13:20.123Z ERROR smtp: bad",
    ]


def test_standard_error_that_is_gone_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, open_log: OpenLog
) -> None:
    with suppress(OSError), open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        log = open_log(None, monitor="smtp")
        log.write("INFO", "lost")
        assert log.lost == 1


def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, open_log: OpenLog) -> None:
    for max_bytes, keep in [(-1, 1), (1000, 0)]:
        with pytest.raises(ValueError, match="rotated"):
            open_log(tmp_path / "smtp.log", max_bytes=max_bytes, keep=keep)


def test_a_file_that_is_full_is_rotated_and_the_newest_are_kept(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log(tmp_path / "smtp.log", max_bytes=1000, keep=3)
    for number in range(200):
        log.write("INFO", f"line {number}")
    files = [tmp_path / name for name in ("smtp.log.3", "smtp.log.2", "smtp.log.1", "smtp.log")]
    assert sorted(os.listdir(tmp_path)) == sorted(file.name for file in files)
    assert all(file.stat().st_size < 1000 for file in files)
    found = [text for file in files for text in texts(file)]
    assert found == [f"line {number}" for number in range(200 - len(found), 200)]
    assert len(found) > 60


def test_a_line_that_is_longer_than_a_file_may_be_is_written_all_the_same(
    tmp_path: Path, open_log: OpenLog
) -> None:
    log = open_log(tmp_path / "smtp.log", max_bytes=100, keep=2)
    for letter in "abc":
        log.write("INFO", letter * 200)
    names = ("smtp.log.2", "smtp.log.1", "smtp.log")
    assert [texts(tmp_path / name) for name in names] == [[letter * 200] for letter in "abc"]


def test_a_log_goes_on_where_it_was_after_a_restart(tmp_path: Path, open_log: OpenLog) -> None:
    for number in range(3):
        log = open_log(tmp_path / "smtp.log")
        log.write("INFO", f"start {number}")
        log.close()
    assert texts(tmp_path / "smtp.log") == ["start 0", "start 1", "start 2"]


def test_a_file_that_was_moved_away_is_left_alone(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log(tmp_path / "smtp.log")
    log.write("INFO", "old")
    (tmp_path / "smtp.log").rename(tmp_path / "moved")
    log.write("INFO", "new")
    assert texts(tmp_path / "moved") == ["old"]
    assert texts(tmp_path / "smtp.log") == ["new"]


def test_reopening_lets_go_of_the_old_file_and_makes_the_new_one(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log(tmp_path / "smtp.log")
    (tmp_path / "smtp.log").rename(tmp_path / "moved")
    log.reopen()
    assert (tmp_path / "smtp.log").read_bytes() == b""
    handed = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert str(tmp_path / "smtp.log") in handed
    assert str(tmp_path / "moved") not in handed


def test_a_full_disk_stops_nothing_and_the_file_tells_what_is_missing(
    tmp_path: Path, open_log: OpenLog, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "smtp.log"
    path.symlink_to("/dev/full")
    log = open_log(path)
    for number in range(3):
        log.write("INFO", f"lost {number}")
    assert log.lost == 3
    assert capsys.readouterr().err == f"cannot write the log {path}: No space left on device\n"
    path.unlink()
    log.write("INFO", "room again")
    assert texts(path) == ["lines missing here: 3 (No space left on device)", "room again"]
    assert log.lost == 0


FULL = """
import resource, sys
from pathlib import Path
from postbeat.ism.logfile import LogFile
log = LogFile(Path(sys.argv[1]), max_bytes=0)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
for number in range(5):
    log.write("INFO", "x" * 40)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.write("INFO", "whole again")
"""


def test_a_line_that_was_cut_off_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    run(FULL, tmp_path / "smtp.log")
    found = lines(tmp_path / "smtp.log")
    assert len(found) == 4
    assert LINE.fullmatch(found[0])
    assert len(found[1]) < len(found[0])
    assert [line.partition("smtp: ")[2] for line in found[2:]] == [
        "lines missing here: 4 (File too large)",
        "whole again",
    ]


def test_a_folder_that_is_lost_is_made_again(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log(tmp_path / "log" / "smtp.log")
    shutil.rmtree(tmp_path / "log")
    log.write("INFO", "still here")
    assert texts(tmp_path / "log" / "smtp.log") == ["still here"]


def test_a_folder_that_cannot_be_made_again_is_waited_for(
    tmp_path: Path, open_log: OpenLog, capsys: pytest.CaptureFixture[str]
) -> None:
    log = open_log(tmp_path / "log" / "smtp.log")
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "log").touch()
    log.write("INFO", "lost")
    log.reopen()
    log.write("INFO", "lost")
    assert len(capsys.readouterr().err.splitlines()) == 1
    (tmp_path / "log").unlink()
    log.write("INFO", "here")
    told, text = texts(tmp_path / "log" / "smtp.log")
    assert told.startswith("lines missing here: 2 (")
    assert text == "here"


def test_a_log_that_cannot_be_rotated_goes_on_and_says_so_once(tmp_path: Path, open_log: OpenLog) -> None:
    (tmp_path / "smtp.log.1" / "in the way").mkdir(parents=True)
    log = open_log(tmp_path / "smtp.log", max_bytes=300, keep=1)
    for number in range(20):
        log.write("INFO", f"line {number}")
    found = texts(tmp_path / "smtp.log")
    assert [text for text in found if text.startswith("line")] == [f"line {n}" for n in range(20)]
    assert len([text for text in found if text.startswith("the log cannot be rotated: ")]) == 1


WRITER = """
import sys
from pathlib import Path
from postbeat.ism.logfile import LogFile
log = LogFile(Path(sys.argv[1]), max_bytes=20_000, keep=500)
for number in range(1500):
    log.write("INFO", f"{sys.argv[2]} {number} " + "\\x1b\\N{SNOWMAN}" * (number % 90))
assert log.lost == 0
"""


def test_two_processes_write_and_rotate_one_log_and_every_line_is_whole_and_there(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "smtp.log"), name]) for name in "ab"
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    found: dict[str, list[int]] = {"a": [], "b": []}
    for file in tmp_path.iterdir():
        for text in texts(file):
            name, number, rest = text.split(" ")
            assert rest == "\\x1b\N{SNOWMAN}" * (int(number) % 90)
            found[name].append(int(number))
    assert {name: sorted(numbers) for name, numbers in found.items()} == {
        name: [*range(1500)] for name in "ab"
    }
    assert len(list(tmp_path.iterdir())) > 10

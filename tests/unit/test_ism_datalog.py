"""The datalog: XML that is well-formed at every moment, and has each result once."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from postbeat.ism import datalog as module
from postbeat.ism.datalog import Datalog, safe_name
from postbeat.ism.datalogfile import ENTRY_LIMIT
from postbeat.ism.datalogformat import DEFAULT, FILE_LIMIT, Format, FormatError, Style
from postbeat.ism.elements import NAMES
from postbeat.ism.values import Value

AT_US = 1_790_000_000_123_456  # 2026-09-21T14:13:20.123456Z
DAY_US = 86_400_000_000
BAD = Path(__file__).parents[1] / "datalog" / "bad"
SENT: dict[str, Value] = {"message": "Message sent", "serviceLevel": 1, "status": 250, "totalTime": 0.123}
ALL = Format.parse("all")

Values = st.one_of(
    st.text(st.characters(), max_size=300), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)
)


def entries(path: Path) -> list[Element]:
    root: Element = fromstring(path.read_bytes())
    assert root.tag == "datalog"
    return list(root)


def ids(path: Path) -> list[str]:
    return [entry.attrib["id"] for entry in entries(path)]


def as_xml_holds(value: Value) -> str:
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", str(value))


def test_the_file_is_of_the_profile_the_element_and_the_day(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site")
    path = datalog.append("mail", SENT, AT_US, "mail@eu#1/send")
    assert path == datalog.path_of("mail", AT_US) == tmp_path / "site" / "mail" / "20260921.xml"
    root = fromstring(path.read_bytes())
    assert root.attrib == {"version": "1", "profile": "site", "element": "mail", "day": "2026-09-21"}
    midnight_us = 1_790_035_200_000_000
    assert datalog.append("mail", SENT, midnight_us - 1, "a").name == "20260921.xml"
    assert datalog.append("mail", SENT, midnight_us, "b").name == "20260922.xml"
    assert datalog.append("other", SENT, AT_US, "c").parent.name == "other"
    assert ids(path) == ["mail@eu#1/send", "a"]


def test_an_entry_has_what_the_format_names(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site", Format.parse("status totalTime, $message"))
    (entry,) = entries(datalog.append("mail", SENT, AT_US, "k"))
    assert list(entry.attrib.items()) == [
        ("id", "k"),
        ("at", "2026-09-21T14:13:20.123456Z"),
        ("status", "250"),
        ("totalTime", "0.123"),
        ("message", "Message sent"),
    ]


def test_elements_can_stand_as_children(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site", Format.parse("children: status message"))
    (entry,) = entries(datalog.append("mail", SENT | {"message": "a <b> & c"}, AT_US, "k"))
    assert set(entry.attrib) == {"id", "at"}
    assert [(child.tag, child.text) for child in entry] == [("status", "250"), ("message", "a <b> & c")]


def test_the_format_may_change_within_a_day(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site", Format(("status",)))
    datalog.append("mail", SENT, AT_US, "a")
    datalog.format = Format(("message",), Style.CHILDREN)
    first, second = entries(datalog.append("mail", SENT, AT_US, "b"))
    assert first.attrib["status"] == "250"
    assert second.findtext("message") == "Message sent"


@given(
    results=st.lists(st.dictionaries(st.sampled_from(sorted(NAMES)), Values, max_size=5), max_size=4),
    style=st.sampled_from(Style),
)
def test_what_was_appended_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, results: list[dict[str, Value]], style: Style
) -> None:
    datalog = Datalog(tmp_path_factory.mktemp("datalog"), "site", Format(ALL.names, style))
    for number, elements in enumerate(results):
        path = datalog.append("mail", elements, AT_US, f"k{number}")
        found = entries(path)
        assert len(found) == number + 1
        read = (
            {name: value for name, value in found[-1].attrib.items() if name not in ("id", "at")}
            if style is Style.ATTRIBUTES
            else {child.tag: child.text or "" for child in found[-1]}
        )
        written = {name: as_xml_holds(value) for name, value in elements.items()}
        assert read.keys() == written.keys()
        for name, text in written.items():
            # An entry has a limit. Five texts of characters that take ten bytes each exceed it.
            assert read[name] == text or (read[name].endswith("...") and len(text) > 50)


@given(text=st.text(st.characters(), max_size=5000))
def test_a_file_moves_no_terminal_and_has_a_line_for_each_entry(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    datalog = Datalog(tmp_path_factory.mktemp("datalog"), text[:9], ALL)
    path = datalog.append(text, {"message": text, "reply": text}, AT_US, "k")
    found = path.read_text(encoding="utf-8")
    assert len(found.splitlines()) == 5
    assert all(line.isprintable() or "\ufffd" in line for line in found.split("\n"))
    assert "?>" not in found.split("\n")[3].removeprefix("<?next -->")


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("value", [-(2**63), -1.2345678901234567e-300, "\U0010fffd" * 5000])
def test_the_longest_entry_fits(tmp_path: Path, style: Style, value: Value) -> None:
    datalog = Datalog(tmp_path, "site", Format(ALL.names, style))
    for number in range(5):
        path = datalog.append("mail", dict.fromkeys(NAMES, value), AT_US, f"{number:0200}")
    assert len(ids(path)) == 5
    assert max(map(len, path.read_bytes().splitlines())) < 2 * (ENTRY_LIMIT + 100)


def test_the_same_key_is_not_written_twice(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site")
    keys = [f"mail@eu#{number}/send" for number in range(300)]
    for key in [*keys, *keys]:
        path = datalog.append("mail", SENT, AT_US, key)
    again = Datalog(tmp_path, "site")
    for key in [*keys, "new", *keys, "new"]:
        again.append("mail", SENT, AT_US, key)
    assert ids(path) == [*keys, "new"]


def test_what_is_remembered_is_bounded_and_a_key_is_still_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEYS_LIMIT", 20)
    datalog = Datalog(tmp_path, "site")
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        for element in range(300):
            for key in ("a", "b"):
                path = datalog.append(f"mail{element}", SENT, AT_US, key)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert ids(path) == ["a", "b"]
    assert ids(datalog.path_of("mail0", AT_US)) == ["a", "b"]


@pytest.mark.parametrize("key", ["", 'a"', "a b", "a\n", "ü", "k" * 201])
def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match=r"^not a key: "):
        Datalog(tmp_path, "site").append("mail", SENT, AT_US, key)


WRITER = """
import sys
from pathlib import Path
from postbeat.ism.datalog import Datalog
folder, first = Path(sys.argv[1]), int(sys.argv[2])
datalog = Datalog(folder, "site")
for number in range(first, 10**9):
    datalog.append("mail", {"message": "x" * (number * 37 % 1500)}, 1_790_000_000_000_000, f"k{number}")
    print(number, flush=True)
"""


def start(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_leaves_well_formed_xml_and_loses_nothing(
    tmp_path: Path,
) -> None:
    path = Datalog(tmp_path, "site").path_of("mail", 1_790_000_000_000_000)
    chance = random.Random(7)
    written = 0
    for _ in range(12):
        writer = start(tmp_path, max(written - 5, 0))  # what it wrote last comes once more
        assert writer.stdout is not None
        assert writer.stdout.readline()
        time.sleep(chance.random() * 0.2)
        writer.send_signal(signal.SIGKILL)
        told = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        found = ids(path)
        assert found == [f"k{number}" for number in range(len(found))]
        written = max(written, *map(int, told), 0)
        assert len(found) > written
    assert written > 100


def test_who_reads_a_file_in_pieces_while_it_is_written_always_has_well_formed_xml(tmp_path: Path) -> None:
    path = Datalog(tmp_path, "site").path_of("mail", 1_790_000_000_000_000)
    chance = random.Random(7)
    code = WRITER.replace("10**9", "2000")
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), "0"], stdout=subprocess.DEVNULL)
    counts: list[int] = []
    try:
        while writer.poll() is None or not counts:
            if path.exists():
                found = [entry.attrib["id"] for entry in fromstring(b"".join(pieces(path, chance)))]
                assert found == [f"k{number}" for number in range(len(found))]
                counts.append(len(found))
    finally:
        writer.kill()
        writer.wait()
    assert counts == sorted(counts)
    assert len(ids(path)) == 2000


def pieces(path: Path, chance: random.Random) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        size = chance.choice([4096, 8192, 65536])
        while piece := file.read(size):
            yield piece
            if chance.random() < 0.1:
                time.sleep(0.001)  # so that the file grows in between


@pytest.mark.parametrize("size", [4096, 1 << 20])
def test_what_is_appended_between_two_pieces_that_are_read_does_no_harm(tmp_path: Path, size: int) -> None:
    datalog = Datalog(tmp_path, "site")
    chance = random.Random(7)
    keys = (f"k{number}" for number in range(10**6))

    def more() -> Path:
        return datalog.append("mail", {"message": "x" * chance.randrange(2000)}, AT_US, next(keys))

    for count in range(40):
        path = more()
        data = b""
        with open(path, "rb", buffering=0) as file:
            for _ in range(count + 4):  # the file grows as quickly as it is read
                data += file.read(size)
                more()
            while piece := file.read(size):
                data += piece
        found = [entry.attrib["id"] for entry in fromstring(data)]
        assert found == [f"k{number}" for number in range(len(found))]
        assert found


def test_an_entry_that_was_written_but_not_shown_is_shown_after_a_restart(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site")
    for key in "abc":
        path = datalog.append("mail", SENT, AT_US, key)
    shown = path.read_bytes()
    before, seam, after = shown.rpartition(b"<!--talog>")
    path.write_bytes(before + b"</datalog>" + after)  # as it is between the two writes
    assert seam
    assert ids(path) == ["a", "b"]
    Datalog(tmp_path, "site").append("mail", SENT, AT_US, "c")
    assert path.read_bytes() == shown


@given(cut=st.integers(1, 3000), junk=st.sampled_from([b"", b"\0" * 50, b"<entry/>", b" " * 10, b"x\n"]))
def test_a_damaged_file_is_kept_and_what_can_be_read_of_it_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("datalog")
    datalog = Datalog(folder, "site")
    for number in range(10):
        path = datalog.append("mail", SENT, AT_US, f"k{number}")
    whole = path.read_bytes()
    left = whole[: max(len(whole) - cut, 200)]
    damaged = left + junk
    path.write_bytes(damaged)
    datalog.append("mail", SENT, AT_US, "next")
    found = ids(path)
    assert found == [*(f"k{number}" for number in range(left.count(b"/>\n"))), "next"]
    assert [file.read_bytes() for file in path.parent.glob("*.damaged*")] in ([damaged], [])
    assert datalog.lost == 0


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    datalog = Datalog(tmp_path, "site", tell=lambda *said: told.append(said))
    path = datalog.append("mail", SENT, AT_US, "a")
    for number in (1, 2):
        path.write_bytes(path.read_bytes() + b"junk")
        datalog.append("mail", SENT, AT_US, f"b{number}")
    assert told == [
        ("WARNING", f"{path} was damaged; what could not be read of it is in {path}.damaged{number}")
        for number in (1, 2)
    ]
    assert ids(path) == ["a", "b1", "b2"]


@pytest.mark.parametrize(
    "theirs",
    [
        b"",
        b"notes",
        b"<datalog/>",
        b'<?xml version="1.0" encoding="UTF-8"?>\n<datalog version="2">\n</datalog>\n',
    ],
)
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, theirs: bytes) -> None:
    told: list[tuple[str, str]] = []
    datalog = Datalog(tmp_path, "site", tell=lambda *said: told.append(said))
    path = datalog.path_of("mail", AT_US)
    path.parent.mkdir(parents=True)
    path.write_bytes(theirs)
    datalog.append("mail", SENT, AT_US, "a")
    assert path.read_bytes() == theirs
    assert datalog.lost == 1
    assert told == [("ERROR", f"cannot write the datalog {path}: it is no datalog of ours")]


def test_nothing_is_written_through_a_link_or_into_a_pipe(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site")
    path = datalog.path_of("mail", AT_US)
    path.parent.mkdir(parents=True)
    target = tmp_path / "target"
    target.write_bytes(Datalog(tmp_path, "other").append("mail", SENT, AT_US, "a").read_bytes())
    path.symlink_to(target)
    datalog.append("mail", SENT, AT_US, "b")
    assert ids(target) == ["a"]
    path.unlink()
    os.mkfifo(path)
    datalog.append("mail", SENT, AT_US, "b")
    assert datalog.lost == 2


def test_a_folder_that_is_lost_is_made_again(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path / "datalogs", "site")
    datalog.append("mail", SENT, AT_US, "a")
    shutil.rmtree(tmp_path / "datalogs")
    assert ids(datalog.append("mail", SENT, AT_US, "b")) == ["b"]


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site")
    path = datalog.append("mail", SENT, AT_US, "a")
    path.rename(tmp_path / "moved.xml")
    datalog.append("mail", SENT, AT_US, "b")
    assert (ids(tmp_path / "moved.xml"), ids(path)) == (["a"], ["b"])


def test_trouble_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    datalog = Datalog(tmp_path / "datalogs", "site", tell=lambda *said: told.append(said))
    (tmp_path / "datalogs").touch()
    for number in range(3):
        for element in ("mail", "other"):
            datalog.append(element, SENT, AT_US, f"k{number}")
    assert datalog.lost == 6
    path = datalog.path_of("mail", AT_US)
    assert told == [("ERROR", f"cannot write the datalog {path}: Not a directory")]
    told.clear()
    (tmp_path / "datalogs").unlink()
    for element in ("mail", "mail", "other"):
        datalog.append(element, SENT, AT_US, f"new@{element}")
    assert told == [
        ("WARNING", f"the datalog of {element} is written again; entries missing: 3 (Not a directory)")
        for element in ("mail", "other")
    ]
    assert ids(path) == ["new@mail"]


FULL = """
import resource, sys
from pathlib import Path
from postbeat.ism.datalog import Datalog
datalog = Datalog(Path(sys.argv[1]), "site")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for number in range(100):
    resource.setrlimit(resource.RLIMIT_FSIZE, (number * 50 + 1, hard))
    path = datalog.append("mail", {"message": "x" * 300}, 1_790_000_000_000_000, f"k{number}")
    print(datalog.lost)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    if path.exists():
        Path(sys.argv[1], f"state{number}.xml").write_bytes(path.read_bytes())
datalog.append("mail", {"message": "room"}, 1_790_000_000_000_000, "last")
"""


def test_a_disk_that_is_full_at_any_byte_leaves_well_formed_xml(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, check=True)
    lost = int(done.stdout.split()[-1])
    found = ids(tmp_path / "site" / "mail" / "20260921.xml")
    states = [ids(path) for path in tmp_path.glob("state*.xml")]
    assert len(states) > 80
    assert all(state == found[: len(state)] for state in states)
    assert found[-1] == "last"
    assert len(found) == 100 - lost + 1
    assert 10 < lost < 100


def test_two_processes_write_one_file_and_each_entry_is_there_once(tmp_path: Path) -> None:
    code = WRITER.replace("10**9", "300")
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), "0"]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    found = ids(tmp_path / "site" / "mail" / "20260921.xml")
    assert sorted(found) == sorted(f"k{number}" for number in range(300))


def test_an_entry_costs_the_same_however_long_the_file_is(tmp_path: Path) -> None:
    def moved_bytes() -> tuple[int, int]:
        figures = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(figures["rchar"]), int(figures["wchar"])

    def cost(first: int) -> tuple[int, int]:
        before = moved_bytes()
        for number in range(first, first + 100):
            datalog.append("mail", SENT, AT_US, f"mail@eu#{number}/send")
        after = moved_bytes()
        return after[0] - before[0], after[1] - before[1]

    datalog = Datalog(tmp_path, "site")
    datalog.append("mail", SENT, AT_US, "first")
    at_first = cost(1000)
    for number in range(2000, 7000):
        datalog.append("mail", SENT, AT_US, f"mail@eu#{number}/send")
    later = cost(8000)
    assert later[0] <= at_first[0] + 4096
    assert later[1] <= at_first[1] + 4096
    assert datalog.path_of("mail", AT_US).stat().st_size > 800_000


def test_files_that_are_too_old_are_removed_and_nothing_else(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site", keep_days=3, now_s=lambda: AT_US / 1e6)
    old = Datalog(tmp_path, "site", keep_days=1000)
    for age in range(7):
        old.append("mail", SENT, AT_US - age * DAY_US, "k")
    gone = old.append("gone", SENT, AT_US - 10 * DAY_US, "k")
    stranger = Datalog(tmp_path, "another site").append("mail", SENT, AT_US - 10 * DAY_US, "k")
    folder = datalog.path_of("mail", AT_US).parent
    kept = {"20200101.xml": b"notes", "20200101.xml.bak": b"", "notes.xml": b"", "2020010.xml": b""}
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    (folder / ".20200101.xml.77.new").touch()
    (folder / "20200102.xml").symlink_to(stranger)
    (folder / "20200103.xml").mkdir()
    datalog.append("new", SENT, AT_US, "k")
    assert sorted(os.listdir(folder)) == sorted(
        [*kept, "20200102.xml", "20200103.xml", *(f"202609{day}.xml" for day in (18, 19, 20, 21))]
    )
    assert not gone.parent.exists()
    assert stranger.exists()


def test_files_are_removed_when_a_day_begins(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site", keep_days=1)
    paths = [datalog.append("mail", SENT, AT_US + day * DAY_US, "k") for day in range(-400, -396)]
    assert [path.exists() for path in paths] == [False, False, True, True]


def test_a_result_of_a_wrong_clock_does_not_make_everything_old(tmp_path: Path) -> None:
    datalog = Datalog(tmp_path, "site", keep_days=1, now_s=lambda: AT_US / 1e6)
    path = datalog.append("mail", SENT, AT_US, "k")
    assert datalog.append("mail", SENT, AT_US + 5000 * DAY_US, "k").exists()
    assert path.exists()


def test_a_result_of_a_wrong_clock_does_not_keep_what_grows_old(tmp_path: Path) -> None:
    today_us = AT_US
    datalog = Datalog(tmp_path, "site", keep_days=1, now_s=lambda: today_us / 1e6)
    path = datalog.append("mail", SENT, AT_US, "k")
    datalog.append("mail", SENT, AT_US + 5000 * DAY_US, "k")
    today_us += 2 * DAY_US
    datalog.append("mail", SENT, today_us, "k")
    assert not path.exists()


def test_a_datalog_that_keeps_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one day or more"):
        Datalog(tmp_path, "site", keep_days=0)


@given(
    names=st.sets(
        st.one_of(
            st.text(st.characters()),
            st.text("./%a-"),
            st.text(min_size=1, max_size=3).map(lambda text: text * 200),
        ),
        min_size=2,
    )
)
def test_any_name_is_a_folder_of_its_own_within_its_parent(names: set[str]) -> None:
    found = {safe_name(name) for name in names}
    assert len(found) == len(names)
    for name in found:
        assert re.fullmatch(r"[A-Za-z0-9_@+=,%-][A-Za-z0-9_@+=,%.-]*", name)
        assert len(name) <= 255


def test_names_of_the_longest_kind_fit(tmp_path: Path) -> None:
    name = "\U0010fffd" * 500
    for key in ("a", "b"):
        path = Datalog(tmp_path, name).append(name, SENT, AT_US - 40 * DAY_US, key)
    assert ids(path) == ["a", "b"]
    Datalog(tmp_path, name, now_s=lambda: AT_US / 1e6).append("other", SENT, AT_US, "c")
    assert not path.exists()


def test_a_name_of_a_profile_is_its_folder(tmp_path: Path) -> None:
    assert safe_name("mail-1.eu_x") == "mail-1.eu_x"
    assert safe_name("..") == "%2E."
    datalog = Datalog(tmp_path / "datalogs", "../..")
    path = datalog.append("../../etc/passwd", SENT, AT_US, "k")
    assert path.parts[-4:] == ("datalogs", "%2E.%2F..", "%2E.%2F..%2Fetc%2Fpasswd", "20260921.xml")
    assert ids(path) == ["k"]


def test_the_default_format_names_elements() -> None:
    assert set(DEFAULT.names) <= set(NAMES)
    assert Format.parse("default") == Format.parse("attributes: default") == DEFAULT
    assert Format.parse(" children: all ") == Format(tuple(NAMES), Style.CHILDREN)


def test_a_format_can_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "short.format"
    file.write_text("\ufeff# what people look at\r\nchildren:\r\nmessage, $status\n\n  totalTime # seconds")
    assert Format.parse(str(file)) == Format(("message", "status", "totalTime"), Style.CHILDREN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "DatalogFormat: expected default, all, or the names of elements"),
        ("children:", "DatalogFormat: expected default, all, or the names of elements"),
        ("rows: message", "DatalogFormat: expected attributes: or children:, got 'rows:'"),
        ("all status", "DatalogFormat: 'all' must stand alone"),
        ("message message", "DatalogFormat: 'message' is there twice"),
        (
            "mesage, x\x1b",
            "DatalogFormat: unknown element 'mesage', did you mean message?\n"
            "DatalogFormat: unknown element 'x\\x1b'",
        ),
        ("./nowhere", "DatalogFormat: cannot read ./nowhere: No such file or directory"),
        ("/dev/null", "DatalogFormat: /dev/null is not a file"),
        ("a/\0", "DatalogFormat: cannot read a/\\x00: not a path"),
    ],
)
def test_a_format_that_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        Format.parse(text)
    assert str(caught.value) == message


MESSAGES = {
    "unknown.format": "{}:2: unknown element 'totalTme', did you mean totalTime?\n"
    "{}:3: unknown element 'nothingLikeIt'",
    "twice.format": "{}:3: '$message' is there twice",
    "style.format": "{}:1: expected attributes: or children:, got 'columns:'",
    "empty.format": "DatalogFormat: expected default, all, or the names of elements",
    "encoding.format": "DatalogFormat: {} is not UTF-8",
    "default.format": "{}:1: 'default' must stand alone",
}


@pytest.mark.parametrize("name", sorted(file.name for file in BAD.iterdir()))
def test_a_format_file_that_is_wrong_is_named_with_the_line(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        Format.parse(str(BAD / name))
    assert str(caught.value) == MESSAGES[name].replace("{}", str(BAD / name))


def test_a_format_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.format"
    file.write_text("message\n" * (FILE_LIMIT // 8 + 1))
    with pytest.raises(FormatError, match=f"large.format is larger than {FILE_LIMIT} bytes$"):
        Format.parse(str(file))

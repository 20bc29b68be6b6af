"""The syntax of properties files: what is read, what is written back, and what is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from postbeat.ism.propsfile import (
    FILE_LIMIT,
    LINE_LIMIT,
    PropsError,
    UndefinedVariableError,
    parse,
    scan,
)
from tests.conftest import MANY

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,12}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\"\\$#{}' \t"), max_size=40)
BLANKS = st.text(" \t", max_size=3)
WORDS = st.text("abcXYZ059/._:@#-", min_size=1, max_size=10).filter(lambda word: word[0] != "#")
COMMENTS = st.builds("#{}".format, TEXTS)
ENDINGS = st.sampled_from(["\n", "\r\n"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, str, str]:
    """A name, its value, and a line that says so, without its end."""
    name, blanks = draw(NAMES), [draw(BLANKS) for _ in range(4)]
    word = draw(st.booleans())
    value = draw(WORDS) if word else draw(TEXTS)
    # A comment right behind a word would be a part of it.
    tail = draw(st.just("") | COMMENTS.map(" {}".format if word else "{}".format))
    written = value if word else _quoted(value)
    return name, value, f"{blanks[0]}{name}{blanks[1]}:{blanks[2]}{written}{blanks[3]}{tail}"


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, str], str]:
    """Values by name, and a file that has them."""
    values: dict[str, str] = {}
    lines = []
    for name, value, line in draw(st.lists(entries(), max_size=6, unique_by=lambda it: it[0].casefold())):
        lines += draw(st.lists(BLANKS | COMMENTS, max_size=2))
        values[name] = value
        lines.append(line)
    lines += draw(st.lists(BLANKS | COMMENTS, max_size=2))
    text = "".join(line + draw(ENDINGS) for line in lines)
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return values, mark + (text.rstrip("\r\n") if draw(st.booleans()) else text)


@settings(max_examples=MANY // 10)
@given(files())
def test_a_file_is_read_and_written_back_to_the_byte(case: tuple[dict[str, str], str]) -> None:
    values, text = case
    found = parse(text, "smtp.props")
    assert {entry.name: entry.expanded({}) for entry in found.values.values()} == values
    assert str(found) == text


@settings(max_examples=MANY // 2)
@given(
    st.text(st.sampled_from("aB1_:\"\\$#{}'\ufeff\x00\u2028\x85 \t\r\n"), max_size=60) | st.text(max_size=60)
)
@example('A : "${A')
@example('A : "\\')
@example("A : 1\r")
def test_any_text_is_taken_as_it_is_or_refused_with_its_lines(text: str) -> None:
    found = scan(text, "f")
    assert str(found) == text
    lines = text.count("\n") + 1
    assert all(1 <= fault.line <= lines for fault in found.faults)
    if found.faults:
        with pytest.raises(PropsError) as caught:
            parse(text, "f")
        assert caught.value.faults == found.faults
    else:
        assert parse(text, "f") == found


@settings(max_examples=MANY // 10)
@given(files(), st.data())
def test_a_changed_value_changes_its_line_alone_and_keeps_the_comment(
    case: tuple[dict[str, str], str], data: st.DataObject
) -> None:
    values, text = case
    assume(values)
    name, value = data.draw(st.sampled_from(sorted(values))), data.draw(TEXTS | st.integers(0, 10**9))
    before = parse(text, "f")
    after = before.with_value(name.swapcase(), value)
    at = before.values[name].line - 1
    assert after.values[name].expanded({}) == str(value)
    assert [line for i, line in enumerate(after.lines) if i != at] == [
        line for i, line in enumerate(before.lines) if i != at
    ]
    old = before.lines[at]
    written = _quoted(values[name]) if before.values[name].quoted else values[name]
    assert after.lines[at].endswith(old.partition(":")[2].partition(written)[2])
    assert parse(str(after), "f") == after


@settings(max_examples=MANY // 10)
@given(files(), NAMES, TEXTS | st.integers(0, 10**9))
def test_a_new_value_comes_last(case: tuple[dict[str, str], str], name: str, value: str | int) -> None:
    values, text = case
    assume(name.casefold() not in {known.casefold() for known in values})
    after = parse(text, "f").with_value(name, value)
    assert {entry.name: entry.expanded({}) for entry in after.values.values()} == values | {name: str(value)}
    assert str(after).startswith(text)
    assert list(after.values)[-1] == name


def test_the_forms_of_values() -> None:
    text = """\
Quoted : "two words"   # and a comment
Empty : ""
Nothing :
NothingButAComment : # here
Number: 25
Path:/dev/null
Word : a#b
Quotes : "say \\"yes\\""
Backslashes : "C:\\temp\\\\new"
Dollars : "5 $ or \\$NAME"
Sharp : "#1"
"""
    found = parse(text, "smtp.props").values
    assert {name: entry.expanded({}) for name, entry in found.items()} == {
        "Quoted": "two words",
        "Empty": "",
        "Nothing": "",
        "NothingButAComment": "",
        "Number": "25",
        "Path": "/dev/null",
        "Word": "a#b",
        "Quotes": 'say "yes"',
        "Backslashes": "C:\\temp\\new",
        "Dollars": "5 $ or $NAME",
        "Sharp": "#1",
    }
    assert [entry.line for entry in found.values()] == list(range(1, 12))


def test_variables_are_expanded_within_quotes_only_when_asked_for() -> None:
    entry = parse('MailMessage : "$ISHOME/${A}b/$C.txt"', "f").values["MailMessage"]
    assert entry.value == "$ISHOME/${A}b/$C.txt"
    assert entry.expanded({"ISHOME": "/opt/ism", "A": "$C", "C": '"\\'}) == '/opt/ism/$Cb/"\\.txt'
    with pytest.raises(UndefinedVariableError, match=r"^C$"):
        entry.expanded({"ISHOME": "/opt/ism", "A": ""})


def test_names_are_found_in_any_case() -> None:
    found = parse("useBODY : 1", "f")
    entry = found.entry("UseBody")
    assert entry is not None
    assert (entry.name, entry.value) == ("useBODY", "1")
    assert found.entry("Body") is None


def test_a_number_stays_a_number_and_a_text_gets_the_quotes_it_needs() -> None:
    file = parse('UseBody : 0 # header\nOriginator : "A" # us\r\nManager :#none\nLevel : info', "f")
    changed = file.with_value("UseBody", 1).with_value("originator", "B").with_value("Manager", 5)
    assert str(changed.with_value("level", "very loud")) == (
        'UseBody : 1 # header\nOriginator : "B" # us\r\nManager :"5"#none\nLevel : "very loud"'
    )
    assert str(file.with_value("Level", "")).endswith('Level : ""')
    assert str(file.with_value("Server", "$A")).endswith('Level : info\nServer : "\\$A"\n')


def test_a_new_line_ends_as_the_others_do() -> None:
    assert str(parse("A : 1\r\nB : 2", "f").with_value("C", 3)) == "A : 1\r\nB : 2\r\nC : 3\r\n"
    assert str(parse("", "f").with_value("C", 3)) == "C : 3\n"
    assert str(parse("\ufeff", "f").with_value("C", 3)) == "\ufeffC : 3\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [("Use Body", "1"), ("", "1"), ("A", "a\nB : 1"), ("A", "a\r"), ("A", "\0"), ("A", "x" * LINE_LIMIT)],
)
def test_what_no_file_can_hold_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name or "no name"):
        parse("A : 1\n", "f").with_value(name, value)


def test_a_file_that_is_too_large_is_not_gone_through() -> None:
    found = scan('"' * (FILE_LIMIT + 1), "f")
    assert [str(fault) for fault in found.faults] == [f"f: larger than {FILE_LIMIT} characters"]


@pytest.mark.parametrize(
    "piece", ['A:"\\', "A : ", 'A:"$', "A: #", "A:x ", '"', "A", "\t", "${", "A:a\n", "\n"]
)
def test_no_text_takes_long(piece: str) -> None:
    lines = [(piece * LINE_LIMIT)[:LINE_LIMIT]] * (FILE_LIMIT // (LINE_LIMIT + 1))
    begin = time.process_time()
    scan("\n".join(lines), "f")
    assert time.process_time() - begin < 5  # a quadratic one takes minutes

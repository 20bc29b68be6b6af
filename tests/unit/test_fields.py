from __future__ import annotations

from email.generator import BytesGenerator
from email.message import EmailMessage
from email.policy import SMTP
from io import BytesIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.arrival.fields import FIELDS_LIMIT, VALUE_LIMIT, Field, printable, split, values
from tests.conftest import MANY
from tests.growth import is_linear


def test_a_message_is_its_fields_from_the_top_and_its_body() -> None:
    fields, body = split(b"Subject: one\r\nX-A:two\r\nSubject : three\r\n\r\nbody: x\r\n\r\ny")
    assert fields == [Field("subject", "one"), Field("x-a", "two"), Field("subject", "three")]
    assert list(values(fields, "subject")) == ["one", "three"]
    assert body == b"body: x\r\n\r\ny"


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_any_line_end_ends_a_line(end: bytes) -> None:
    fields, body = split(end.join([b"A: 1", b" 2", b"B: 3", b"", b"body", b""]))
    assert fields == [Field("a", "1 2"), Field("b", "3")]
    assert body == b"body" + end


def test_a_folded_value_is_one_line_with_single_blanks() -> None:
    fields, _ = split(b"A:\r\n\t1;\r\n  2  3\r\n \t\r\n 4\r\n")
    assert fields == [Field("a", "1; 2 3 4")]


def test_what_is_no_field_is_passed_over_with_its_continuation() -> None:
    fields, _ = split(b" lost\r\nA: 1\r\nFrom me Mon Jan 1\r\n lost\r\n: x\r\nB\xfc: y\r\n lost\r\nC: 2\r\n")
    assert fields == [Field("a", "1"), Field("c", "2")]


@pytest.mark.parametrize("data", [b"", b"A", b"A: 1", b"A: 1\r\n"])
def test_without_an_empty_line_there_is_no_body(data: bytes) -> None:
    assert split(data)[1] == b""


def test_a_body_may_stand_alone() -> None:
    assert split(b"\r\nA: 1\r\n") == ([], b"A: 1\r\n")


def test_values_are_printable_and_bounded() -> None:
    fields, _ = split(b"A: x\x1b[2J\0y\xff\r\nB: " + b"z" * 3 * VALUE_LIMIT + b"\r\n")
    assert fields == [Field("a", "x?[2J?y\ufffd"), Field("b", "z" * VALUE_LIMIT)]


def test_fields_beyond_a_limit_are_left_out_and_the_body_is_not() -> None:
    fields, body = split(b"A: 1\r\n" * (FIELDS_LIMIT + 5) + b" 2\r\n\r\nbody")
    assert fields == [Field("a", "1")] * FIELDS_LIMIT
    assert body == b"body"


@given(
    st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=200),
    st.text(max_size=50),
)
def test_what_the_standard_library_writes_is_read(value: str, body: str) -> None:
    mail = EmailMessage()
    mail["X-Value"] = value
    mail.set_content(body)
    file = BytesIO()
    BytesGenerator(file, policy=SMTP).flatten(mail)
    fields, rest = split(file.getvalue())
    assert "".join(next(values(fields, "x-value")).split()) == value
    assert rest == file.getvalue().partition(b"\r\n\r\n")[2]


PIECES = st.lists(
    st.sampled_from(b"A: |B:|:|\r\n|\n|\r| |\t|x|\0|\xff|\xc3\xbc|\xe2\x80\xa8".split(b"|")), max_size=30
)


@settings(max_examples=MANY)
@given(st.one_of(st.binary(max_size=200), PIECES.map(b"".join)))
@example(b"A: \xe2\x80\xae\r\n")
def test_whatever_comes_gives_printable_fields_and_the_end_of_the_input(data: bytes) -> None:
    fields, body = split(data)
    assert data.endswith(body)
    for field in fields:
        assert field.name == field.name.lower()
        assert (field.name + field.value).isprintable()


@given(st.binary(max_size=100), st.integers(0, 50))
def test_shown_text_is_printable_and_not_longer_than_asked(data: bytes, limit: int) -> None:
    shown = printable(data, limit)
    assert shown.isprintable()
    assert len(shown) <= limit


@pytest.mark.parametrize(
    "piece", [b"\n", b" \n", b"A", b"A:", b"A:\r\n", b"A: b\r\n c\r\n", b"A: \xff\r\n", b" ", b"\r "]
)
def test_the_time_follows_the_length(piece: bytes) -> None:
    data = b"A: b\r\n" + piece * (128 * 1024 // len(piece))
    assert is_linear(split, data[: len(data) // 4], data)

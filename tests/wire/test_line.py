from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire import line
from postbeat.wire.line import HELD_LIMIT, LineBuffer, argument, shown
from tests.wire.feeding import splits

LIMIT = 20


def lines_of(pieces: list[bytes], *, cut: bool = False) -> list[bytes]:
    buffer = LineBuffer()
    found = []
    for piece in pieces:
        buffer.receive(piece)
        while (text := buffer.line(LIMIT, cut=cut)) is not None:
            found.append(text)
    return found


def test_a_line_ends_with_crlf_or_with_lf_alone() -> None:
    assert lines_of([b"one\r\ntwo\nthree"]) == [b"one", b"two"]


def test_a_carriage_return_inside_a_line_belongs_to_it() -> None:
    assert lines_of([b"a\rb\r\r\n"]) == [b"a\rb\r"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_of_just_the_limit_is_taken(end: bytes) -> None:
    assert lines_of([b"x" * LIMIT + end]) == [b"x" * LIMIT]


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\nmore\r\n"])
def test_a_longer_line_is_the_servers_fault_and_is_shown_in_part(tail: bytes) -> None:
    with pytest.raises(RemoteFault) as caught:
        lines_of([b"y" * (LIMIT + 2) + tail])
    assert caught.value.code is FaultCode.PROTOCOL
    assert "yyy" in caught.value.message


@given(st.data(), st.lists(st.integers(0, 3 * LIMIT), max_size=8))
def test_long_lines_can_be_cut_and_give_the_same_in_any_split(data: st.DataObject, sizes: list[int]) -> None:
    sent = b"".join(b"z" * size + b"\r\n" for size in sizes)
    expected = [b"z" * min(size, LIMIT) for size in sizes]
    assert lines_of(data.draw(splits(sent)), cut=True) == expected


@given(st.data(), st.lists(st.binary(max_size=LIMIT).filter(lambda text: not set(text) & set(b"\r\n"))))
def test_lines_are_the_same_in_any_split(data: st.DataObject, texts: list[bytes]) -> None:
    sent = b"".join(text + b"\r\n" for text in texts)
    assert lines_of(data.draw(splits(sent))) == texts


def test_a_literal_is_exactly_its_size_and_may_hold_line_ends() -> None:
    buffer = LineBuffer()
    buffer.receive(b"a\r\nb")
    assert buffer.take(5) is None
    buffer.receive(b"c\r\n")
    assert buffer.take(5) == b"a\r\nbc"
    assert buffer.line(LIMIT) == b""


def test_what_lies_unread_is_bounded() -> None:
    buffer = LineBuffer()
    buffer.receive(b"x" * HELD_LIMIT)
    with pytest.raises(RemoteFault, match="were not asked for"):
        buffer.receive(b"x")
    assert len(buffer) == HELD_LIMIT


def test_a_line_that_is_skipped_is_not_held() -> None:
    buffer = LineBuffer()
    for _ in range(100):
        buffer.receive(b"x" * 1000)
        buffer.line(LIMIT, cut=True)
        assert len(buffer) <= 1000


@given(st.binary(max_size=1000), st.integers(10, 100))
def test_whatever_is_shown_is_printable_and_short(text: bytes, limit: int) -> None:
    assert shown(text, limit).isprintable()
    assert len(shown(text, limit)) <= limit


def test_utf_8_is_shown_as_it_is_and_controls_are_not() -> None:
    assert shown("Zugriff verweigert: Schlüssel\x1b[31m\0".encode()) == "Zugriff verweigert: Schlüssel?[31m?"


@pytest.mark.parametrize("char", ["\r", "\n", "\0"])
def test_an_argument_that_would_end_its_line_is_our_fault_and_is_not_repeated(char: str) -> None:
    with pytest.raises(LocalFault) as caught:
        argument(f"hunter2{char}DELE 1", "the password")
    assert caught.value.code is FaultCode.SECRET
    assert "the password" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_an_argument_that_is_no_text_is_our_fault() -> None:
    with pytest.raises(LocalFault, match="the password holds a character"):
        argument("\ud800", "the password")


def test_a_malformed_line_is_shown_bounded() -> None:
    fault = line.malformed("what is this", b"\xff" * 10_000)
    assert len(fault.message) < 150

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.model import FaultCode, RemoteFault
from postbeat.wire.smtp import LINE_LIMIT, LINES_LIMIT, REPLY_LIMIT, Replies, Reply
from tests.conftest import MANY
from tests.wire.feeding import fault_in, replies, splits

SESSION = (
    b"220-mx.test\r\n220-\r\n220 ready\r\n250-mx.test\n250-SIZE 1000\r\n250 AUTH PLAIN\r\r\n"
    b"334 \xff\xfe=\r\n250\r\n354 \x00\r\n221 a\rb\r\n"
)
SAID = [
    Reply(220, "mx.test\n\nready"),
    Reply(250, "mx.test\nSIZE 1000\nAUTH PLAIN"),
    Reply(334, "\udcff\udcfe="),
    Reply(250, ""),
    Reply(354, "\0"),
    Reply(221, "a\rb"),
]
# Pieces of replies put together wrongly find more than bytes at random do.
WORDS = b"220|250|554|25|2|-| |ok|\r\n|\n|\r|\0|\xff|+|250-a\r\n|250 b\r\n|421 bye\r\n".split(b"|")
PIECES = st.lists(st.sampled_from(WORDS), max_size=12)


@settings(max_examples=MANY)
@given(splits(SESSION))
def test_a_whole_session_is_the_same_in_any_split(pieces: list[bytes]) -> None:
    wire = Replies()
    assert replies(wire, pieces) == SAID
    assert wire.unread == 0


@settings(max_examples=MANY)
@given(PIECES)
@example([b"250-a\r\n", b"2"])
def test_garbage_gives_the_same_replies_or_the_same_fault_in_any_split(pieces: list[bytes]) -> None:
    garbage = b"".join(pieces)
    apart, whole = Replies(), Replies()
    one_by_one = [garbage[at : at + 1] for at in range(len(garbage))]
    faults = [fault_in(lambda: replies(apart, one_by_one)), fault_in(lambda: replies(whole, [garbage]))]
    assert str(faults[0]) == str(faults[1])
    for fault in filter(None, faults):
        assert fault.code is FaultCode.PROTOCOL
        assert fault.message.isprintable()
        assert len(fault.message) < 200
    assert apart.unread <= len(garbage)


@pytest.mark.parametrize("end", range(1, len(SESSION)))
def test_a_session_may_be_cut_in_two_anywhere(end: int) -> None:
    assert replies(Replies(), [SESSION[:end], SESSION[end:]]) == SAID


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"250-" + b"x" * LINE_LIMIT, f"the server sent a line of more than {LINE_LIMIT} bytes: 250-x"),
        (
            b"250-" + b"x" * 100 + b"\r\n250-" * REPLY_LIMIT,
            f"the server's answer has more than {LINES_LIMIT} lines: 250-",
        ),
        (
            (b"250-" + b"x" * 100 + b"\r\n") * 1000,
            f"the server's answer has more than {REPLY_LIMIT} bytes: 250-x",
        ),
        (b"250-\n" * REPLY_LIMIT, f"the server's answer has more than {LINES_LIMIT} lines: 250-"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_an_endless_reply_ends_and_nothing_is_kept_of_it(data: bytes, message: str, size: int) -> None:
    wire = Replies()
    with pytest.raises(RemoteFault) as caught:
        replies(wire, [data[at : at + size] for at in range(0, len(data), size)])
    assert caught.value.code is FaultCode.PROTOCOL
    assert caught.value.message.startswith(message)


def test_what_nobody_reads_does_not_pile_up() -> None:
    wire = Replies()
    for _ in range(1000):
        wire.receive(b"250 ok\r\n" * 100)
    assert wire.unread <= REPLY_LIMIT + 800


@pytest.mark.parametrize(
    ("data", "begins"),
    [(b"", True), (b"4", True), (b"42", True), (b"421", True), (b"421-bye\r\n", True), (b"422", False)],
)
def test_the_beginning_of_a_reply_is_seen_before_its_end(data: bytes, begins: bool) -> None:
    wire = Replies()
    wire.receive(data)
    assert wire.begins(b"421") is begins
    wire.next_reply()
    assert wire.begins(b"421") is begins

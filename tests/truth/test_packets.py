"""What a capture says of a session does not depend on how the packets came to it."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.packets import CaptureError, Packet, Shape, times_us

SHAPE = Shape(implicit_tls=False, tls=False, commands=4)
SYN = 0x02
NEAR_THE_END = (1 << 32) - 40  # sequence numbers begin again within the session
LINES = (
    ("server", b"220 sink ESMTP\r\n"),
    ("client", b"EHLO probe.test\r\n"),
    ("server", b"250 sink\r\n"),
    ("client", b"MAIL FROM:<a@sink.test>\r\n"),
    ("server", b"250 2.0.0 ok\r\n"),
    ("client", b"RCPT TO:<b@sink.test>\r\n"),
    ("server", b"250 2.0.0 ok\r\n"),
    ("client", b"DATA\r\n"),
    ("server", b"354 go ahead\r\n"),
    ("client", b"Subject: x\r\n\r\n.\r\n"),
    ("server", b"250 2.0.0 taken\r\n"),
    ("client", b"QUIT\r\n"),
    ("server", b"221 2.0.0 bye\r\n"),
)
EXPECTED_US = {"connectTime": 1, "responseTime": 9, "uploadTime": 1}


def session() -> list[Packet]:
    """A packet each microsecond."""
    sent = {"client": NEAR_THE_END, "server": 7}
    packets = [
        Packet(0, SYN, sent["client"], 0, b"", True),
        Packet(1000, SYN, sent["server"], sent["client"] + 1, b"", False),
    ]
    sent = {side: number + 1 for side, number in sent.items()}
    for number, (side, line) in enumerate(LINES, 2):
        other = "server" if side == "client" else "client"
        packet = Packet(
            number * 1000, 0, sent[side] % (1 << 32), sent[other] % (1 << 32), line, side == "client"
        )
        sent[side] = packet.end
        packets.append(packet)
    return packets


def sent_again(packets: Iterable[Packet], by_ns: int) -> list[Packet]:
    return [
        Packet(one.at_ns + by_ns, one.flags, one.seq, one.ack, one.payload, one.from_client)
        for one in packets
    ]


def test_a_session_is_timed_by_its_packets() -> None:
    assert times_us(session(), SHAPE) == EXPECTED_US


@given(st.randoms(use_true_random=False))
def test_the_order_in_which_packets_are_captured_does_not_matter(random: Random) -> None:
    packets = session()
    random.shuffle(packets)
    assert times_us(packets, SHAPE) == EXPECTED_US


@given(st.sets(st.integers(0, len(LINES) + 1)), st.integers(0, 9000))
def test_packets_that_are_sent_again_count_once(which: set[int], by_ns: int) -> None:
    packets = session()
    assert times_us([*packets, *sent_again((packets[one] for one in which), by_ns)], SHAPE) == EXPECTED_US


@pytest.mark.parametrize("missing", [0, 1, 3, 10, 12, 13])
def test_a_session_that_lacks_a_packet_is_no_session(missing: int) -> None:
    packets = session()
    del packets[missing]
    with pytest.raises(CaptureError):
        times_us(packets, SHAPE)

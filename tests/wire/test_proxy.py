from __future__ import annotations

from postbeat.wire.proxy import header

OURS, THEIRS = ("192.0.2.1", 40000), ("192.0.2.25", 25)
OURS_6, THEIRS_6 = ("2001:db8::1", 40000), ("2001:db8::25", 25)


def test_version_1_is_a_line_of_text() -> None:
    assert header(1, OURS, THEIRS) == b"PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\n"
    assert header(1, OURS_6, THEIRS_6) == b"PROXY TCP6 2001:db8::1 2001:db8::25 40000 25\r\n"


def test_version_2_is_binary() -> None:
    signature = bytes.fromhex("0d0a0d0a000d0a515549540a")
    four = bytes.fromhex("21 11 000c c0000201 c0000219 9c40 0019")
    assert header(2, OURS, THEIRS) == signature + four
    six = header(2, OURS_6, THEIRS_6)[12:]
    assert six[:4] == bytes.fromhex("21 21 0024")
    assert (six[4:6], six[19:20], six[35:]) == (b"\x20\x01", b"\x01", bytes.fromhex("25 9c40 0019"))

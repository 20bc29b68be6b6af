"""Results are stored in a quarter of the room of their JSON."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat import codec
from postbeat.results import Result
from tests.unit.some_results import BOUNCED, CHECK, COPY, LATE, OVERDUE, READ, SENT


@pytest.mark.parametrize("result", [SENT, READ, OVERDUE, BOUNCED, LATE, COPY, CHECK])
def test_a_stored_result_is_read_back_as_it_was(result: Result) -> None:
    data = codec.pack(result)
    text = data.decode(errors="surrogateescape")
    assert codec.decode(data) == codec.decode(text) == codec.decode(codec.encode(result)) == result
    assert len(data) < 0.6 * len(codec.encode(result))


@given(message=st.text())
def test_whatever_a_server_said_is_stored(message: str) -> None:
    assert codec.decode(codec.pack(replace(SENT, message=message))).message == message


@given(junk=st.binary(max_size=100))
def test_what_is_no_stored_result_is_refused(junk: bytes) -> None:
    for text in (b"z" + junk, junk):
        with pytest.raises((ValueError, KeyError, TypeError)):
            codec.decode(text)


def test_a_result_that_would_take_all_memory_is_refused() -> None:
    deflater = zlib.compressobj(wbits=-15)
    packed = deflater.compress(bytes(20 << 20)) + deflater.flush()
    with pytest.raises(ValueError, match="far too long"):
        codec.decode(b"z" + packed)

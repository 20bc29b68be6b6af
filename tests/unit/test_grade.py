from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.grade import level_of, merged
from postbeat.model import Fault, FaultCode, Level, LocalFault, RemoteFault, Side

CODES = st.sampled_from(FaultCode)
PASSING = (FaultCode.GREYLISTED, FaultCode.TEMPORARY)
# From the mildest to the worst.
SEVERITY = [Level.GOOD, Level.MARGINAL, Level.UNKNOWN, Level.FAILED]


def test_without_a_fault_it_is_good() -> None:
    assert level_of(None) is Level.GOOD


@pytest.mark.parametrize("code", PASSING)
def test_a_refusal_for_now_makes_mail_late_and_does_not_fail_the_service(code: FaultCode) -> None:
    assert level_of(Fault(Side.REMOTE, code, "450 later")) is Level.MARGINAL


@given(CODES.filter(lambda code: code not in PASSING), st.text())
def test_a_fault_of_the_service_fails_it(code: FaultCode, text: str) -> None:
    assert level_of(Fault(Side.REMOTE, code, text)) is Level.FAILED
    assert level_of(RemoteFault(code, text).fault("greeting")) is Level.FAILED


@given(CODES, st.text())
def test_a_fault_of_ours_says_nothing_of_the_service(code: FaultCode, text: str) -> None:
    assert level_of(Fault(Side.LOCAL, code, text)) is Level.UNKNOWN
    assert level_of(LocalFault(code, text).fault("greeting")) is Level.UNKNOWN


@pytest.mark.parametrize("send", Level)
def test_where_nothing_is_read_the_send_decides(send: Level) -> None:
    assert merged(send, None) is send


@pytest.mark.parametrize("read", Level)
def test_what_was_not_sent_cannot_be_read(read: Level) -> None:
    assert merged(Level.UNKNOWN, read) is Level.UNKNOWN


@pytest.mark.parametrize("send", [Level.GOOD, Level.MARGINAL, Level.FAILED])
@pytest.mark.parametrize("read", Level)
def test_otherwise_the_worse_half_counts(send: Level, read: Level) -> None:
    assert merged(send, read) is SEVERITY[max(SEVERITY.index(send), SEVERITY.index(read))]


def test_a_local_fault_on_either_half_never_fails_a_service() -> None:
    local = level_of(Fault(Side.LOCAL, FaultCode.RESOURCES, "no sockets"))
    assert Level.FAILED not in {merged(local, read) for read in Level}
    assert merged(Level.GOOD, local) is Level.UNKNOWN

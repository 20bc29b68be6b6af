from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat import codec
from postbeat.model import AuthenticationType, Fault, FaultCode, Kind, Level, Phase, Poll, SecurityType, Side
from postbeat.results import Attempt, Delivery, PolicyFacts, PolicyVerdict, Result, Service, Stage, TlsFacts

times = st.integers(0, 2**53)
texts = st.text(max_size=20)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
regions = st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}", fullmatch=True)
faults = st.builds(
    Fault, side=st.sampled_from(Side), code=st.sampled_from(FaultCode), message=texts, stage=texts
)
tls_facts = st.builds(
    TlsFacts,
    version=texts,
    cipher=texts,
    verified=st.booleans(),
    subject=texts,
    issuer=texts,
    names=st.lists(texts, max_size=3).map(tuple),
    expires_at_us=st.none() | st.integers(-(10**17), 10**17),
    expiring=texts,
    whole_chain=st.booleans(),
    certificate_asked=st.none() | st.booleans(),
)
stages = st.builds(Stage, name=texts, at_us=times, took_us=times, reply=texts, ended=st.booleans())
policies = st.builds(
    PolicyFacts,
    kind=texts,
    verdict=st.sampled_from(PolicyVerdict),
    reason=texts,
    mode=texts,
    secure=st.booleans(),
)
attempts = st.builds(
    Attempt,
    number=st.integers(1, 21),
    started_at_us=times,
    total_us=times,
    stages=st.lists(stages, max_size=3).map(tuple),
    times_us=st.dictionaries(texts, times, max_size=3),
    bytes_transferred=times,
    status=st.none() | st.integers(200, 599),
    reply=texts,
    address=texts,
    host=texts,
    policies=st.lists(policies, max_size=2).map(tuple),
    warnings=st.lists(texts, max_size=2).map(tuple),
    tls=st.none() | tls_facts,
    fault=st.none() | faults,
    accepted_at_us=st.none() | times,
    loop_lag_us=times,
)
results = st.builds(
    Result,
    poll=st.builds(Poll, element=names, region=regions, slot=st.integers(0, 10**15 - 1)),
    phase=st.sampled_from(Phase),
    kind=st.sampled_from(Kind),
    level=st.sampled_from(Level),
    message=texts,
    at_us=times,
    attempts=st.lists(attempts, max_size=3).map(tuple),
    fault=st.none() | faults,
    delivery=st.none() | st.builds(Delivery, to_deliver_us=times, resolution_us=times, hop_count=times),
    worker=texts,
    service=st.none()
    | st.builds(
        Service,
        port=st.integers(1, 65535),
        security=st.sampled_from(SecurityType),
        authentication=st.sampled_from(AuthenticationType),
        user=texts,
        email=texts,
    ),
)


@given(results)
def test_a_result_comes_back_as_it_was(result: Result) -> None:
    text = codec.encode(result)
    assert codec.decode(text) == codec.decode(text.encode()) == result
    assert "\n" not in text
    assert text.isascii()


@given(results)
def test_the_types_come_back_too(result: Result) -> None:
    back = codec.decode(codec.encode(result))
    assert [type(back.phase), type(back.kind), type(back.level)] == [Phase, Kind, Level]
    assert [type(fault.code) for attempt in back.attempts if (fault := attempt.fault)] == [
        FaultCode for attempt in result.attempts if attempt.fault
    ]


def test_what_is_empty_is_left_out() -> None:
    result = Result(Poll("mail", "eu", 1), Phase.SEND, Kind.SMTP, Level.GOOD, "Message sent", 5)
    assert codec.as_data(result) == {
        "poll": "mail@eu#1",
        "phase": "send",
        "kind": "smtp",
        "level": "GOOD",
        "message": "Message sent",
        "at_us": 5,
        "worker": "",
        "attempts": [],
    }


@pytest.mark.parametrize("text", ["", "{}", '{"poll": "no poll"}', '{"poll": "mail@eu#1", "phase": "sent"}'])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        codec.decode(text)

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat import codec
from postbeat.delivery import Bounce, Delivery, Hop, MailboxFacts, Outcome, Tally, Verdict
from postbeat.model import (
    AuthenticationType,
    Fault,
    FaultCode,
    Kind,
    Level,
    LoginType,
    Phase,
    Poll,
    SecurityType,
    Side,
)
from postbeat.results import Attempt, Grading, PolicyFacts, PolicyVerdict, Result, Service, Stage, TlsFacts

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
maybe_times = st.none() | times
differences = st.none() | st.integers(-(2**53), 2**53)
hops = st.builds(
    Hop, by=texts, sender=texts, protocol=texts, at_us=maybe_times, took_us=differences, skew_us=differences
)
verdicts = st.builds(Verdict, method=texts, result=texts, by=texts, reason=texts)
deliveries = st.builds(
    Delivery,
    to_deliver_us=times,
    resolution_us=times,
    hop_count=times,
    uncertainty_us=times,
    pushed=st.booleans(),
    folder=texts,
    copies=st.integers(1, 100),
    out_of_order=st.booleans(),
    altered=st.lists(texts, max_size=2).map(tuple),
    hops=st.lists(hops, max_size=3).map(tuple),
    verdicts=st.lists(verdicts, max_size=3).map(tuple),
    server_skew_us=differences,
    server_skew_uncertainty_us=maybe_times,
)
bounces = st.builds(
    Bounce, action=texts, status=texts, text=texts, recipient=texts, reported_by=texts, remote=texts
)
mailboxes = st.builds(
    MailboxFacts,
    messages=times,
    size_bytes=maybe_times,
    quota_used_bytes=maybe_times,
    quota_limit_bytes=maybe_times,
    folders=st.dictionaries(texts, times, max_size=2),
    tally=st.dictionaries(st.sampled_from(Tally), times, max_size=3),
)


def services(kind: Kind) -> st.SearchStrategy[Service]:
    return st.builds(
        Service,
        port=st.integers(1, 65535),
        security=st.sampled_from(SecurityType),
        authentication=st.sampled_from(AuthenticationType if kind is Kind.SMTP else LoginType),
        user=texts,
        email=texts,
        host=texts,
        description=texts,
    )


gradings = st.builds(
    Grading,
    classification=texts,
    failure_retests=st.integers(0, 20),
    consecutive_failures=st.none() | st.integers(0, 21),
    last_level=st.none() | st.sampled_from(Level),
    failing_for_us=maybe_times,
)


def results_of(kind: Kind) -> st.SearchStrategy[Result]:
    return st.builds(
        Result,
        poll=st.builds(Poll, element=names, region=regions, slot=st.integers(0, 10**15 - 1)),
        phase=st.sampled_from(Phase),
        kind=st.just(kind),
        level=st.sampled_from(Level),
        message=texts,
        at_us=times,
        attempts=st.lists(attempts, max_size=3).map(tuple),
        fault=st.none() | faults,
        delivery=st.none() | deliveries,
        worker=texts,
        service=st.none() | services(kind),
        outcome=st.none() | st.sampled_from(Outcome),
        bounce=st.none() | bounces,
        mailbox=st.none() | mailboxes,
        grading=st.none() | gradings,
    )


results = st.sampled_from(Kind).flatmap(results_of)


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
    assert type(back.outcome) is type(result.outcome)
    if back.grading and result.grading:
        assert type(back.grading.last_level) is type(result.grading.last_level)
    if back.service and result.service:
        assert type(back.service.authentication) is type(result.service.authentication)
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


def test_what_is_as_it_mostly_is_in_a_delivery_or_a_mailbox_is_left_out() -> None:
    read = Result(
        Poll("mail", "eu", 1),
        Phase.READ,
        Kind.POP3,
        Level.GOOD,
        "found",
        5,
        delivery=Delivery(1, 2, 3),
        outcome=Outcome.DELIVERED,
    )
    data = codec.as_data(read)
    assert data["delivery"] == {"to_deliver_us": 1, "resolution_us": 2, "hop_count": 3}
    assert data["outcome"] == "delivered"
    check = Result(Poll("box", "eu", 1), Phase.CHECK, Kind.POP3, Level.GOOD, "", 5, mailbox=MailboxFacts(7))
    assert codec.as_data(check)["mailbox"] == {"messages": 7}


def test_a_result_that_was_stored_before_there_were_service_levels_can_be_read() -> None:
    service = Service(25, SecurityType.NONE, AuthenticationType.NONE, "u", "p@example.com")
    sent = Result(
        Poll("mail", "eu", 1), Phase.SEND, Kind.SMTP, Level.GOOD, "Message sent", 5, service=service
    )
    data = codec.as_data(sent)
    assert data["service"][5:] == ["", ""]
    data["service"] = data["service"][:5]
    assert codec.decode(json.dumps(data)) == sent


def test_a_plain_read_takes_less_than_a_kilobyte_and_a_half() -> None:
    """It is stored for every message: what it takes, Redis must hold."""
    name = "mx1.frankfurt.example.com"
    stages = tuple(
        Stage(stage, 123_456, 23_456, "+OK Logged in, 12 messages (34567 octets)") for stage in "ab"
    )
    attempt = Attempt(1, 1_700_000_000_000_000, 123_456, stages, {"lookupTime": 123}, address="192.0.2.1:993")
    at_us = 1_700_000_000_000_000
    hops = tuple(Hop(name, f"{name} [192.0.2.{i}]", "ESMTPS", at_us, 1_000_000, 0) for i in range(4))
    verdicts = tuple(
        Verdict(method, "pass", "mx.example.com", "d=example.com") for method in ("spf", "dkim", "dmarc")
    )
    delivery = Delivery(
        1_234_567, 40_123, 4, 1234, hops=hops, verdicts=verdicts, folder="INBOX", server_skew_us=-123_456
    )
    read = Result(
        Poll("submission-frankfurt", "eu-west", 5_666_666),
        Phase.READ,
        Kind.IMAP4,
        Level.GOOD,
        "Message Successfully Downloaded",
        at_us,
        (attempt,),
        delivery=delivery,
        worker="eu-west/probe-1.example.com:12345",
        outcome=Outcome.DELIVERED,
    )
    assert len(codec.encode(read)) < 1500


@pytest.mark.parametrize("text", ["", "{}", '{"poll": "no poll"}', '{"poll": "mail@eu#1", "phase": "sent"}'])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        codec.decode(text)

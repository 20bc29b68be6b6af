"""ISM elements of JSON documents: the same as those of the results that the documents were written of."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat import plain
from postbeat.ism.elements import of_result
from postbeat.ism.elementsof import DocumentError, element_sets
from postbeat.ism.values import Value
from postbeat.model import AuthenticationType, Fault, FaultCode, Level, Pair, SecurityType, Side
from postbeat.results import Attempt, Grading, Result, Service, Stage, TlsFacts
from postbeat.roundtrip import RoundTrip
from tests.unit.some_results import AT_US, BOUNCED, CHECK, COPY, LATE, OVERDUE, READ, SENT
from tests.unit.test_codec import results


def elements_of(document: object) -> dict[str, Value]:
    """Those of a document of one result."""
    (found,) = element_sets(document)
    return found


FAULT = Fault(Side.REMOTE, FaultCode.REPLY, "550 5.7.1 go away", "rcpt")
REFUSED = replace(
    SENT,
    level=Level.FAILED,
    message="The server refused",
    at_us=AT_US + 150_000,
    worker="probe-1.example.net/eu-1",
    attempts=(
        Attempt(1, AT_US, 90_000, (Stage("connect", 0, 10_000),), fault=FAULT),
        Attempt(
            2,
            AT_US + 90_000,
            60_000,
            (
                Stage("connect", 0, 9000),
                Stage("rcpt", 9000, 100, "550 5.7.1 go away"),
                Stage("quit", 1, 1, "221"),
            ),
            {"lookupTime": 1500, "connectTime": 9000, "SSLHandshakeTime": 20_000},
            1234,
            550,
            "550 5.7.1 go away",
            "192.0.2.1:25",
            tls=TlsFacts("TLSv1.3", "AES", verified=True, expires_at_us=AT_US + 10**13, whole_chain=True),
            fault=FAULT,
        ),
    ),
    fault=FAULT,
    service=Service(
        587,
        SecurityType.STARTTLS,
        AuthenticationType.PLAIN,
        "probe",
        "probe@example.com",
        "mx.example.com",
        "Submission",
    ),
    grading=Grading("status = 550 -> FAILED", 1, 2, Level.GOOD, 5_000_000),
)
RECORDED = [SENT, REFUSED, READ, OVERDUE, BOUNCED, LATE, COPY, CHECK]


def through_json(data: object) -> Any:
    return json.loads(json.dumps(data))


@pytest.mark.parametrize("result", RECORDED, ids=lambda result: f"{result.phase} {result.message[:12]}")
def test_a_document_has_the_elements_of_its_result(result: Result) -> None:
    (found,) = element_sets(through_json(plain.result_as_data(result)))
    assert found == of_result(result)
    assert elements_of(through_json(plain.result_as_data(result))) == found


def test_a_retest_that_waited_does_not_move_the_beginning() -> None:
    first, second = REFUSED.attempts
    began_us = AT_US + first.total_us + 60_000_000
    retested = replace(
        REFUSED,
        attempts=(first, replace(second, started_at_us=began_us)),
        at_us=began_us + second.total_us,
    )
    data = through_json(plain.result_as_data(retested))
    assert elements_of(data)["startTime"] == AT_US // 1_000_000
    for attempt in data["attempts"]:  # as it was before attempts said when they began
        del attempt["startTime"]
    assert elements_of(data)["startTime"] == AT_US // 1_000_000 + 60


def test_a_certificate_that_never_expires_can_be_read_back() -> None:
    """Its end is 99991231235959Z (RFC 5280 section 4.1.2.5)."""
    first, second = REFUSED.attempts
    forever = TlsFacts("TLSv1.3", "AES", verified=True, expires_at_us=253_402_300_799_000_000)
    result = replace(REFUSED, attempts=(first, replace(second, tls=forever)))
    assert elements_of(through_json(plain.result_as_data(result))) == of_result(result)


@pytest.mark.parametrize("result", RECORDED, ids=lambda result: f"{result.phase} {result.message[:12]}")
def test_elements_that_were_printed_are_taken_as_they_are(result: Result) -> None:
    elements = of_result(result)
    assert list(element_sets(through_json(elements))) == [elements]
    assert elements_of({f"${name}": value for name, value in elements.items()}) == elements


def test_what_was_not_measured_is_left_out() -> None:
    assert elements_of({"host": "mx", "uploadTime": None}) == {"host": "mx"}


@pytest.mark.parametrize("after", [None, LATE, COPY], ids=["nothing after", "late", "copy"])
def test_of_a_round_trip_each_result_has_its_own(after: Result | None) -> None:
    read = OVERDUE if after is LATE else READ
    trip = RoundTrip(Pair("mail", "eu"), True, send=REFUSED, read=read, after=after)
    found = list(element_sets(through_json(trip.as_data())))
    parts = [part for part in (REFUSED, read, after) if part is not None]
    assert [(one["phase"], one["message"]) for one in found] == [(part.phase, part.message) for part in parts]
    for one, part in zip(found, parts, strict=True):
        assert one == {name: value for name, value in of_result(part).items() if name in one}
        assert ("timeToDeliver" in one) is (part.delivery is not None)
    (checked,) = element_sets(through_json(RoundTrip(CHECK.poll.pair, False, check=CHECK).as_data()))
    assert checked == of_result(CHECK)


@given(results)
def test_no_result_makes_another_error(result: Result) -> None:
    data = through_json(plain.result_as_data(result))
    elements = elements_of(data)
    assert elements["message" if result.message else "identifier"] == (result.message or result.poll.element)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(json_values, st.dictionaries(st.sampled_from(sorted(plain.result_as_data(READ))), json_values))
def test_whatever_the_document_is_the_error_is_ours(data: Any, altered: dict[str, Any]) -> None:
    for document in (data, altered, plain.result_as_data(READ) | altered, {"send": altered, "at": 1}):
        found: list[dict[str, Value]] = []
        with suppress(DocumentError):
            found = list(element_sets(document))
        assert all(isinstance(value, str | int | float) for one in found for value in one.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poll": "mail"}, "not a poll id: 'mail'"),
        ({"phase": "sent"}, "phase: Input should be 'send', 'read', 'after' or 'check'"),
        ({"port": 70_000}, "port: Input should be less than or equal to 65535"),
        ({"attempts": [{}]}, "attempts.0.number: Field required"),
        ({"authentication": "NTLM"}, "'NTLM' is not a valid AuthenticationType"),
        ({"at": 1e300}, "at: Input should be less than or equal to 1000000000000"),
    ],
)
def test_what_is_wrong_with_a_document_is_said(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        elements_of(plain.result_as_data(REFUSED) | change)
    assert str(caught.value) == message


def test_of_many_faults_the_first_are_said() -> None:
    with pytest.raises(DocumentError) as caught:
        elements_of({"attempts": [{}] * 1000})
    assert str(caught.value).count("Field required") == 5

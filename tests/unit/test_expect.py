"""What a refusal means: for now or for good, expected or not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat import expect
from postbeat.elements import Expectation, SmtpElement
from postbeat.grade import level_of
from postbeat.model import FaultCode, Kind, Level, Phase, Poll, RemoteFault
from postbeat.results import Attempt, Result, enhanced_code
from postbeat.roundtrip import RoundTrip

DELIVERY = ("mail", "rcpt", "data", "upload")
OTHERS = tuple(stage for stage in Expectation.STAGES if stage not in DELIVERY)


def refusal(status: int, code: FaultCode = FaultCode.REPLY) -> RemoteFault:
    return RemoteFault(code, f"the server refused the recipient: {status} no", status=status)


@pytest.mark.parametrize("stage", DELIVERY)
@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("450 4.2.0 <a@b>: Recipient address rejected: Greylisted, see http://example.com", "greylisted"),
        ("451 graylisting in action", "greylisted"),
        ("454 4.2.0 Grey-listed for 300 s", "greylisted"),
        ("451 4.7.1 Please try again later", "greylisted"),
        ("454 4.7.1 Relay access denied", "temporary"),
        ("451 4.7.10 later", "temporary"),
        ("452 4.2.2 Mailbox full", "temporary"),
        ("451 4.3.0 Error: queue file write error", "temporary"),
        ("450 4.1.1 User unknown", "temporary"),
        ("421 4.7.1 Greylisted", "reply"),
        ("550 5.7.1 Greylisted once too often", "reply"),
        ("554 5.7.1 Relay access denied", "reply"),
    ],
)
def test_a_4xx_to_the_mail_is_a_refusal_for_now(stage: str, reply: str, code: str) -> None:
    assert expect.refusal_code(stage, int(reply[:3]), reply) == code


@pytest.mark.parametrize("stage", OTHERS)
def test_a_4xx_before_the_mail_lets_nobody_through(stage: str) -> None:
    assert expect.refusal_code(stage, 454, "454 4.7.1 greylisted") is FaultCode.REPLY


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("550 5.7.1 no", "5.7.1"),
        ("250 2.1.5", "2.1.5"),
        ("452-4.2.2 full", "4.2.2"),
        ("451 4.999.999 x", "4.999.999"),
        ("550 4.7.1 of another class", ""),
        ("354 3.0.0 there is no such class", ""),
        ("550 5.7.1000 no", ""),
        ("550 5.7.1no", ""),
        ("550 5.7", ""),
        ("550 see 5.7.1", ""),
        ("", ""),
    ],
)
def test_an_enhanced_code_stands_first_and_is_of_the_class_of_its_status(reply: str, code: str) -> None:
    assert enhanced_code(reply) == code
    assert Attempt(1, 0, 0, reply=reply).enhanced == code


@given(st.text())
def test_no_reply_is_too_odd_to_look_for_an_enhanced_code_in(reply: str) -> None:
    assert enhanced_code(reply) == "" or reply[4:].startswith(enhanced_code(reply))


@pytest.mark.parametrize("raw", [{"stage": "rcpt"}, {"stage": "rcpt", "status": "5xx"}])
def test_any_permanent_refusal_is_meant_where_no_status_is_named(raw: dict[str, Any]) -> None:
    expected = Expectation.parse(raw)
    assert [status for status in range(200, 600) if expected.allows(status)] == list(range(500, 600))


def test_statuses_are_codes_and_classes_together() -> None:
    expected = Expectation.parse({"stage": "auth", "status": [535, "4xx"]})
    assert all(map(expected.allows, (535, 400, 454, 499)))
    assert not any(map(expected.allows, (534, 536, 500, 235, 334)))
    assert str(expected) == "535 or 4xx in stage auth"


@pytest.mark.parametrize("stage", Expectation.STAGES)
def test_what_is_written_is_what_was_read(stage: str) -> None:
    expected = Expectation.parse({"stage": stage} if stage == "tls" else {"stage": stage, "status": [550]})
    assert Expectation.parse(expected.plain()) == expected


def test_only_that_refusal_in_that_stage_is_the_expected_one() -> None:
    expected = Expectation("rcpt", ("550",))
    assert expect.unmet(expected, refusal(550), "rcpt") is None
    for status, stage in ((550, "mail"), (554, "rcpt"), (450, "rcpt")):
        fault = expect.unmet(expected, refusal(status), stage)
        assert fault is not None
        assert (fault.code, fault.status) == (FaultCode.UNEXPECTED, status)
        assert fault.message == (
            f"expected 550 in stage rcpt, and the server refused the recipient: {status} no"
        )
        assert level_of(fault.fault(stage)) is Level.FAILED


@pytest.mark.parametrize(
    "fault",
    [
        RemoteFault(FaultCode.DISCONNECTED, "closed"),
        RemoteFault(FaultCode.TIMEOUT, "no answer"),
        RemoteFault(FaultCode.NO_MECHANISM, "not offered"),
        refusal(250, FaultCode.PROTOCOL),
        expect.accepted("rcpt"),
    ],
)
def test_what_is_no_refusal_stays_what_it_is(fault: RemoteFault) -> None:
    assert expect.unmet(Expectation("rcpt", ("5xx",)), fault, "rcpt") is fault


def test_a_handshake_is_refused_by_an_alert_in_whichever_stage_it_comes_and_by_no_certificate() -> None:
    expected = Expectation("tls")
    alert = RemoteFault(FaultCode.TLS, "handshake failure")
    assert [expect.unmet(expected, alert, stage) for stage in ("tls", "greeting")] == [None, None]
    stranger = RemoteFault(FaultCode.CERTIFICATE, "unknown authority")
    assert expect.unmet(expected, stranger, "tls") is stranger
    assert expect.unmet(Expectation("rcpt", ("550",)), alert, "tls") is alert


def test_a_send_that_was_put_off_makes_a_round_trip_marginal_and_complete() -> None:
    fault = RemoteFault(FaultCode.GREYLISTED, "later", status=450).fault("rcpt")
    element = SmtpElement(name="mail", server="h")
    poll = Poll("mail", "eu", 1)
    send = Result(
        poll, Phase.SEND, Kind.SMTP, level_of(fault), "Later", 5, fault=fault, service=element.service
    )
    trip = RoundTrip(poll.pair, True, send)
    assert (trip.level, trip.complete, trip.message) == (Level.MARGINAL, True, "Later")

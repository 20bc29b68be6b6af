from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire import sasl
from postbeat.wire.sasl import Exchange
from tests.wire.accounts import Account
from tests.wire.feeding import fault_in

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))
ROOM = 512
TOKENS = ("XOAUTH2", "OAUTHBEARER")
REFUSED = b'{"status":"invalid_token","scope":"mail"}'


def exchange(name: str, account: Account | None = None) -> Exchange:
    return Exchange(sasl.mechanism(name, account or Account()))


def opened(name: str, account: Account | None = None) -> Exchange:
    """An exchange whose initial response is out."""
    made = exchange(name, account)
    made.opening(1 << 20)
    return made


def said(made: Exchange, challenge: bytes) -> bytes:
    return sasl.decoded(made.respond(sasl.encoded(challenge)))


def chosen(name: str, *offered: str, binding: bytes = b"") -> str:
    return sasl.offered_mechanism(name, offered, Account(), lambda: binding).name


def test_plain_gives_the_message_of_rfc_4616() -> None:
    assert exchange("PLAIN").opening(ROOM) == sasl.encoded(b"\0tim\0tanstaaftanstaaf")


@given(TEXT, TEXT)
def test_plain_keeps_name_and_password_apart(username: str, password: str) -> None:
    message = sasl.mechanism("PLAIN", Account(username, password)).initial
    assert message is not None
    assert message.decode().split("\0") == ["", username, password]


def test_login_gives_the_name_and_then_the_password_whatever_the_prompts_say() -> None:
    made = exchange("LOGIN")
    assert made.opening(ROOM) is None
    assert [said(made, b"Password:"), said(made, b"")] == [b"tim", b"tanstaaftanstaaf"]
    made.finish()


def test_cram_md5_gives_the_answer_of_rfc_2195() -> None:
    made = exchange("CRAM-MD5")
    assert made.opening(ROOM) is None
    answer = made.respond(b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+")
    assert answer == b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"


def test_cram_md5_prefers_the_shared_secret() -> None:
    other = exchange("CRAM-MD5", Account(password="wrong", sharedsecret="tanstaaftanstaaf"))
    assert said(other, b"<1@x>") == said(exchange("CRAM-MD5"), b"<1@x>")


def test_oauthbearer_gives_the_message_of_rfc_7628() -> None:
    assert exchange("OAUTHBEARER", Account("user@example.com")).opening(ROOM) == (
        b"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbV"
        b"RjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    )


def test_oauthbearer_writes_signs_of_the_protocol_in_another_way() -> None:
    message = sasl.mechanism("OAUTHBEARER", Account("a=b,c")).initial
    assert message is not None
    assert message.startswith(b"n,a=a=3Db=2Cc,\x01")


def test_xoauth2_gives_the_message_that_google_documents() -> None:
    account = Account("someuser@example.com", token="ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
    assert exchange("XOAUTH2", account).opening(ROOM) == (
        b"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRX"
        b"VZMjl0Q2cBAQ=="
    )


@pytest.mark.parametrize(("name", "answer"), [("XOAUTH2", b""), ("OAUTHBEARER", b"\x01")])
def test_a_token_that_is_refused_is_given_up_as_the_server_expects(name: str, answer: bytes) -> None:
    made = opened(name)
    assert said(made, REFUSED) == answer
    assert made.mechanism.refusal == "status invalid_token"


@pytest.mark.parametrize("name", TOKENS)
def test_a_login_that_is_granted_after_it_was_refused_does_not_count(name: str) -> None:
    made = opened(name)
    said(made, REFUSED)
    with pytest.raises(RemoteFault, match="after it had refused it: status invalid_token"):
        made.finish()


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("challenge", [b"", b"[]", b"401", b"[" * 6000, b"\xff", b'"' + b"x" * 6000])
def test_a_refusal_that_is_no_json_object_is_the_servers_fault(name: str, challenge: bytes) -> None:
    with pytest.raises(RemoteFault) as caught:
        said(opened(name), challenge)
    assert caught.value.code is FaultCode.PROTOCOL
    assert len(caught.value.message) < 250


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("token", ["", "a b", "a\x01auth=Bearer b", "a\r\nb", "ä", "="])
def test_a_token_that_cannot_be_one_is_our_fault_and_not_shown(name: str, token: str) -> None:
    with pytest.raises(LocalFault, match=r"the token is empty or holds a character that no token has$"):
        sasl.mechanism(name, Account(token=token))


@pytest.mark.parametrize("name", TOKENS)
def test_a_user_name_cannot_add_to_the_message(name: str) -> None:
    with pytest.raises(LocalFault):
        sasl.mechanism(name, Account("me\x01auth=Bearer other"))


@pytest.mark.parametrize("name", ["PLAIN", *TOKENS])
def test_an_initial_response_that_does_not_fit_is_the_first_answer(name: str) -> None:
    made, other = exchange(name), exchange(name)
    response = other.opening(ROOM) or b""
    assert made.opening(len(response) - 1) is None
    assert made.respond(b"") == response
    made.finish()


@pytest.mark.parametrize("name", sasl.MECHANISMS)
def test_a_login_that_is_granted_before_we_said_who_we_are_does_not_count(name: str) -> None:
    made = exchange(name)
    assert made.opening(0) is None
    with pytest.raises(RemoteFault, match="before it was asked for") as caught:
        made.finish()
    assert caught.value.code is FaultCode.PROTOCOL


def test_a_login_that_is_granted_before_the_password_does_not_count() -> None:
    made = exchange("LOGIN")
    said(made, b"Username:")
    with pytest.raises(RemoteFault, match="in the middle of LOGIN"):
        made.finish()


@pytest.mark.parametrize("name", sasl.MECHANISMS)
@pytest.mark.parametrize("challenge", [b"", REFUSED, b"<1@x>"])
def test_no_server_gets_more_than_a_few_answers(name: str, challenge: bytes) -> None:
    made = exchange(name)
    fault = fault_in(lambda: [said(made, challenge) for _ in range(4)])
    assert fault is not None
    assert fault.code is FaultCode.PROTOCOL


@given(st.sampled_from(sorted(sasl.MECHANISMS)), st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_any_challenge_is_answered_or_is_the_servers_fault(name: str, challenges: list[bytes]) -> None:
    made = opened(name)
    fault = fault_in(lambda: [made.respond(challenge) for challenge in challenges])
    assert fault is None or fault.code in (FaultCode.PROTOCOL, FaultCode.AUTH)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=200)), st.text(max_size=300))
def test_a_status_is_shown_in_one_short_line(details: dict[str, str], status: str) -> None:
    made = opened("XOAUTH2")
    said(made, json.dumps({**details, "status": status}).encode())
    assert made.mechanism.refusal.isprintable()
    assert len(made.mechanism.refusal) <= 110


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"])
@pytest.mark.parametrize("account", [Account(username="a\0b"), Account(password="a\nb")])
def test_credentials_with_controls_are_our_fault(name: str, account: Account) -> None:
    with pytest.raises(LocalFault):
        sasl.mechanism(name, account)


def test_a_mechanism_that_we_do_not_speak_is_our_fault() -> None:
    with pytest.raises(LocalFault, match="does not speak GSSAPI"):
        sasl.mechanism("GSSAPI", Account())


def test_no_mechanism_takes_the_place_of_another() -> None:
    with pytest.raises(RemoteFault, match=r"does not offer AUTH CRAM-MD5; it offers LOGIN, PLAIN$") as caught:
        chosen("CRAM-MD5", "PLAIN", "LOGIN")
    assert caught.value.code is FaultCode.NO_MECHANISM


def test_scram_is_bound_to_the_channel_where_the_server_offers_it() -> None:
    both = ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
    assert chosen("SCRAM-SHA-256", *both, binding=b"x") == "SCRAM-SHA-256-PLUS"
    assert chosen("SCRAM-SHA-256", *both[1:], binding=b"x") == "SCRAM-SHA-256-PLUS"
    assert chosen("SCRAM-SHA-256", *both) == "SCRAM-SHA-256"
    assert chosen("SCRAM-SHA-256", *both[:1], binding=b"x") == "SCRAM-SHA-256"


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "PLAIN"])
def test_an_offer_that_only_begins_with_the_same_name_is_none(name: str) -> None:
    with pytest.raises(RemoteFault, match="does not offer"):
        chosen(name, f"{name}-PLUS")


@given(st.binary())
def test_base64_round_trips(data: bytes) -> None:
    assert sasl.decoded(sasl.encoded(data)) == data


@given(st.binary(max_size=200))
def test_any_challenge_is_decoded_or_is_the_servers_fault(challenge: bytes) -> None:
    fault = fault_in(lambda: sasl.decoded(challenge))
    assert fault is None or fault.code is FaultCode.PROTOCOL


def test_a_challenge_is_bounded() -> None:
    with pytest.raises(RemoteFault, match="more than 8192 bytes"):
        sasl.decoded(b"A" * 10_000)

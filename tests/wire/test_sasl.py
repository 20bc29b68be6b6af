from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire import sasl
from tests.wire.feeding import fault_in

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))


@dataclass
class Keys:
    username: str = "tim"
    password: str = "tanstaaftanstaaf"
    sharedsecret: str = ""


def test_plain_gives_the_message_of_rfc_4616() -> None:
    assert sasl.mechanism("PLAIN", Keys()).initial == b"\0tim\0tanstaaftanstaaf"


def test_plain_answers_an_empty_challenge_where_it_could_not_speak_first() -> None:
    assert sasl.mechanism("PLAIN", Keys()).respond(b"") == b"\0tim\0tanstaaftanstaaf"


@given(TEXT, TEXT)
def test_plain_keeps_name_and_password_apart(username: str, password: str) -> None:
    message = sasl.mechanism("PLAIN", Keys(username, password)).initial
    assert message is not None
    assert message.decode().split("\0") == ["", username, password]


def test_cram_md5_gives_the_answer_of_rfc_2195() -> None:
    mechanism = sasl.mechanism("CRAM-MD5", Keys())
    assert mechanism.initial is None
    challenge = sasl.decoded(b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+")
    assert challenge == b"<1896.697170952@postoffice.reston.mci.net>"
    answer = mechanism.respond(challenge)
    assert answer == b"tim b913a602c7eda7a495b4e6e7334d3890"
    assert sasl.encoded(answer) == b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"


def test_cram_md5_prefers_the_shared_secret() -> None:
    other = sasl.mechanism("CRAM-MD5", Keys(password="wrong", sharedsecret="tanstaaftanstaaf"))
    assert other.respond(b"<1@x>") == sasl.mechanism("CRAM-MD5", Keys()).respond(b"<1@x>")


@pytest.mark.parametrize("name", sasl.MECHANISMS)
def test_a_server_gets_one_answer_only(name: str) -> None:
    mechanism = sasl.mechanism(name, Keys())
    mechanism.respond(b"")
    with pytest.raises(RemoteFault, match="a second") as caught:
        mechanism.respond(b"")
    assert caught.value.code is FaultCode.PROTOCOL


@pytest.mark.parametrize("name", sasl.MECHANISMS)
@pytest.mark.parametrize("keys", [Keys(username="a\0b"), Keys(password="a\nb")])
def test_credentials_with_controls_are_our_fault(name: str, keys: Keys) -> None:
    with pytest.raises(LocalFault):
        sasl.mechanism(name, keys)


def test_a_mechanism_that_we_do_not_speak_is_our_fault() -> None:
    with pytest.raises(LocalFault, match="does not speak GSSAPI"):
        sasl.mechanism("GSSAPI", Keys())


def test_an_empty_initial_response_is_an_equals_sign() -> None:
    assert sasl.encoded_initial(b"") == b"="


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

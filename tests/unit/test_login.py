from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import FaultCode, RemoteFault
from postbeat.probes.login import Login

SECRET = "correct-horse-battery"
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40)
AROUND = st.binary(max_size=40)


def parts(secret: str) -> set[str]:
    """What a text that gives a secret away would hold: four of its characters in a row."""
    return {secret[start : start + 4] for start in range(len(secret) - 3)}


@pytest.mark.parametrize(
    "login",
    [Login("user", SECRET), Login("user", "", sharedsecret=SECRET), Login("user", "", token=SECRET)],
    ids=["password", "sharedsecret", "token"],
)
@given(before=WORDS, after=WORDS)
def test_a_secret_is_hidden_wherever_it_stands(login: Login, before: str, after: str) -> None:
    assert login.hidden_in(before + SECRET + after) == f"{before}***{after}"


@given(AROUND, AROUND, WORDS)
def test_a_secret_is_hidden_in_the_base64_of_any_message(before: bytes, after: bytes, text: str) -> None:
    encoded = base64.b64encode(before + SECRET.encode() + after).decode()
    hidden = Login("user", SECRET).hidden_in(f"{text} {encoded} {text}")
    assert hidden == f"{text} *** {text}"


def test_a_secret_is_hidden_where_it_was_quoted() -> None:
    assert Login("user", 'a"b\\c').hidden_in(r'LOGIN user "a\"b\\c"') == 'LOGIN user "***"'


@given(st.integers(4, len(SECRET) - 1), st.sampled_from(["", "..."]))
def test_the_beginning_of_a_secret_that_was_cut_off_is_hidden(size: int, end: str) -> None:
    text = "." * 150 + SECRET[:size] + end
    assert not parts(SECRET) & parts(Login("user", SECRET).hidden_in(text))


def test_a_text_without_a_secret_stays_as_it_is() -> None:
    text = "2.7.0 Authentication successful " * 10
    assert Login("user", SECRET, "shared", "token5").hidden_in(text) == text
    assert Login("user", "").hidden_in(text) == text


def test_a_refusal_of_the_credentials_is_told_and_another_fault_is_not() -> None:
    told: list[str] = []
    login = Login("user", SECRET, refused=lambda: told.append("refused"))
    for code in (FaultCode.REPLY, FaultCode.AUTH, FaultCode.NO_MECHANISM):
        with pytest.raises(RemoteFault) as caught, login.hiding():
            raise RemoteFault(code, f"no {SECRET}", status=535)
        assert (caught.value.code, caught.value.message, caught.value.status) == (code, "no ***", 535)
    assert told == ["refused"]


def test_no_secret_is_in_the_repr() -> None:
    assert SECRET not in repr(Login("user", SECRET, SECRET, SECRET))

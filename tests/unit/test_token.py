from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from postbeat.message import Envelope, Recognised, build, recognise, tokens_in
from postbeat.model import Poll
from postbeat.secrets import new_key
from postbeat.settings import load
from postbeat.token import (
    TOKENS_LIMIT,
    Token,
    claim,
    claims,
    field_value,
    is_original,
    message_id,
    parse_value,
)
from tests.conftest import MANY

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
TOKEN = Token(Poll("mail", "eu", 5666666), 2, 1_700_000_000_123_456, "156:QAaFMNwIqouOhmAV", "4YLZMGiF")
VALUE = field_value(TOKEN, KEY)
LETTERS = string.ascii_letters + string.digits + "-_"

tokens = st.builds(
    Token,
    st.builds(
        Poll,
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
        st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
        st.integers(0, 10**15 - 1),
    ),
    st.integers(0, 999),
    st.integers(0, 10**17 - 1),
    st.just("") | st.from_regex(r"[0-9]{1,6}:[A-Za-z0-9_-]{16}", fullmatch=True),
    st.just("") | st.from_regex(r"[A-Za-z0-9_-]{8}", fullmatch=True),
)


def token_in(value: str, *keys: bytes) -> Token | None:
    return parse_value(value, keys or (KEY,))


@given(tokens, st.binary(min_size=1, max_size=64))
def test_any_token_is_read_as_it_was_written(token: Token, key: bytes) -> None:
    assert parse_value(field_value(token, key), [OTHER_KEY, key]) == token


@given(tokens, tokens)
def test_the_signature_covers_all_that_a_token_says(token: Token, other: Token) -> None:
    assume(token != other)
    signature = field_value(other, KEY).rpartition("sig=")[2]
    assert token_in(f"{token}; sig={signature}") is None


@settings(max_examples=2000)
@given(st.data(), st.characters(codec="utf-8"))
def test_any_changed_character_makes_it_a_strangers(data: st.DataObject, char: str) -> None:
    place = data.draw(st.integers(0, len(VALUE) - 1))
    changed = VALUE[:place] + char + VALUE[place + 1 :]
    assume(changed.split() != VALUE.split())
    assert token_in(changed) is None


@settings(max_examples=2000)
@given(st.data(), st.sampled_from(LETTERS + ";:=#@\u0661"))
def test_any_added_character_makes_it_a_strangers(data: st.DataObject, char: str) -> None:
    place = data.draw(st.integers(0, len(VALUE)))
    assert token_in(VALUE[:place] + char + VALUE[place:]) is None


@pytest.mark.parametrize("count", range(1, len(VALUE)))
def test_a_value_that_was_cut_off_makes_no_claim(count: int) -> None:
    assert claim(VALUE[:count]) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("attempt=2", "attempt=02"),
        ("sent=", "sent=0"),
        ("#5666666", "#05666666"),
        ("v=2", "v=1"),
        ("2;", "2 ;"),
    ],
)
def test_another_writing_of_the_same_is_no_claim(old: str, new: str) -> None:
    assert claim(VALUE.replace(old, new, 1)) is None


PIECES = [
    "v=2; ",
    "poll=",
    "a@b#1; ",
    "attempt=1; ",
    "sent=1; ",
    "body=; ",
    "subject=; ",
    "sig=",
    "A" * 43,
    " ",
]


@settings(max_examples=MANY)
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=14).map("".join)))
@example("v=2; poll=a@b#1; attempt=1; sent=1; body=; subject=; sig=" + "A" * 43)
@example("v=2; poll=a#1; attempt=1; sent=1; body=; subject=; sig=" + "A" * 43)
@example("v=2; poll=\ud800@b#1; attempt=1; sent=1; body=; subject=; sig=" + "A" * 43)
def test_no_strangers_value_is_ours(value: str) -> None:
    assert token_in(value) is None
    assert all(one.verifies([KEY]) is False for one in claims(value))


def test_claims_are_found_anywhere_and_folded_up_to_a_limit() -> None:
    text = f"> {VALUE.replace(' ', chr(10))}<br>{VALUE}{VALUE}"
    assert [one.token for one in claims(text)] == [TOKEN] * 3
    assert len(list(claims(f"{VALUE} " * (TOKENS_LIMIT + 50)))) == TOKENS_LIMIT


def test_the_message_id_is_that_of_the_token_and_of_a_key() -> None:
    name = message_id(TOKEN, KEY)
    for written in (name, f"<{name}@host>", f" <{name}@another.host> "):
        assert is_original(written, TOKEN, [OTHER_KEY, KEY])
    assert not is_original(name, TOKEN, [OTHER_KEY])
    assert not is_original(name, Token(TOKEN.poll, 3, TOKEN.sent_at_us), [KEY])


@given(st.text(max_size=60))
@example("")
@example("<@>")
@example("\ud800")
def test_no_strangers_message_id_is_ours(name: str) -> None:
    assert not is_original(name, TOKEN, [KEY])


def keys_of(path: Path, *lines: str) -> tuple[bytes, ...]:
    """The signing keys of a process whose key file has these lines."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return load({}, key_file=str(path)).needed_keys().signing


def test_keys_are_exchanged_without_losing_a_message_that_is_under_way(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    before = keys_of(tmp_path / "keys", old)
    during = keys_of(tmp_path / "keys", "# the new key signs", new, "# the old one still verifies", old)
    after = keys_of(tmp_path / "keys", new)
    envelope = Envelope("a@example.com", "b@example.com", "h")
    first, second = (build(TOKEN, envelope, keys[0]) for keys in (before, during))
    assert recognise(first, during) == recognise(second, during) == recognise(second, after)
    assert recognise(first, during).original
    assert tokens_in(first, during) == TOKEN
    assert recognise(first, after) == recognise(second, before) == Recognised(forged=True)
    assert tokens_in(first, after) is None

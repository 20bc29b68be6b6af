from __future__ import annotations

from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import FaultCode, LocalFault, Secret
from postbeat.secrets import SECRET_LIMIT, Keys, SiteKeyError, new_key, resolve

KEYS = Keys.new()
SEAL = KEYS.seal(Secret("literal", "hunter2")).value
texts = st.text(st.characters(codec="utf-8"), min_size=1)


def fault_of(secret: Secret, keys: Keys | None = None) -> LocalFault:
    with pytest.raises(LocalFault) as caught:
        resolve(secret, keys, {})
    assert caught.value.code is FaultCode.SECRET
    return caught.value


def in_file(folder: Path, data: bytes) -> Secret:
    path = folder / "secret"
    path.write_bytes(data)
    return Secret("file", str(path))


def test_no_secret_is_an_empty_text() -> None:
    assert resolve(None, None) == ""


def test_a_literal_secret_is_its_text() -> None:
    assert resolve(Secret("literal", "hunter2"), None) == "hunter2"


def test_a_secret_comes_from_the_environment() -> None:
    assert resolve(Secret("env", "PASSWORD"), None, {"PASSWORD": " hunter2 "}) == " hunter2 "


def test_a_variable_that_is_not_set_is_named() -> None:
    assert fault_of(Secret("env", "PASSWORD")).message == "the environment variable PASSWORD is not set"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b" hunter2 \n\n", " hunter2 \n"),
        ("Schlüssel\n".encode(), "Schlüssel"),
        (b"", ""),
    ],
)
def test_a_secrets_file_is_taken_without_its_last_line_end(tmp_path: Path, data: bytes, value: str) -> None:
    assert resolve(in_file(tmp_path, data), None) == value


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none"
    message = f"cannot read the secret's file {path}: No such file or directory"
    assert fault_of(Secret("file", str(path))).message == message
    assert "Is a directory" in fault_of(Secret("file", str(tmp_path))).message


def test_a_file_that_is_no_text_is_named_and_not_shown(tmp_path: Path) -> None:
    fault = fault_of(in_file(tmp_path, b"hunter2\xff"))
    assert fault.message == f"the secret's file {tmp_path}/secret is not text in UTF-8"
    assert "hunter2" not in str(fault)


def test_a_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    assert len(resolve(in_file(tmp_path, b"x" * SECRET_LIMIT), None)) == SECRET_LIMIT
    assert "is larger than" in fault_of(in_file(tmp_path, b"x" * (SECRET_LIMIT + 1))).message
    assert "is larger than" in fault_of(Secret("file", "/dev/zero")).message


@given(texts)
def test_a_sealed_secret_opens_to_the_same_and_does_not_show_it(text: str) -> None:
    sealed = KEYS.seal(Secret("literal", text))
    assert sealed.source == "sealed"
    assert resolve(sealed, KEYS) == text
    assert Secret.parse(sealed.plain()) == sealed


def test_only_literal_secrets_are_sealed() -> None:
    for secret in (Secret("env", "A"), Secret("file", "/b"), KEYS.seal(Secret("literal", "c"))):
        assert KEYS.seal(secret) is secret


@given(st.data())
def test_a_seal_that_was_changed_does_not_open(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(SEAL) - 4))  # the last two bits before the padding mean nothing
    char = data.draw(st.sampled_from("ABxyz019-_").filter(lambda char: char != SEAL[place]))
    changed = SEAL[:place] + char + SEAL[place + 1 :]
    assert "hunter2" not in fault_of(Secret("sealed", changed), KEYS).message


def test_a_seal_of_another_site_or_without_a_key_says_so() -> None:
    sealed = KEYS.seal(Secret("literal", "hunter2"))
    assert fault_of(sealed, Keys.new()).message == "a secret is sealed with a key that this worker lacks"
    assert "this worker has no key (POSTBEAT_KEY_FILE)" in fault_of(sealed, None).message


def test_a_key_can_be_exchanged_without_losing_what_is_under_way() -> None:
    old, new = new_key(), new_key()
    before, during = Keys.parse([old], "x"), Keys.parse([new, old], "x")
    after = Keys.parse([new], "x")
    sealed_before = before.seal(Secret("literal", "hunter2"))
    sealed_during = during.seal(Secret("literal", "hunter2"))
    assert resolve(sealed_before, during) == resolve(sealed_during, after) == "hunter2"
    assert during.signing == (*after.signing, *before.signing)
    fault_of(sealed_before, after)
    fault_of(sealed_during, before)


def test_the_signing_key_is_not_the_sealing_key() -> None:
    text = new_key()
    signing = Keys.parse([text], "x").signing[0]
    assert len(signing) == 32
    assert signing != urlsafe_b64decode(text)
    assert Keys.parse([text], "x").signing[0] == signing


def test_keys_are_read_from_lines_with_comments() -> None:
    old, new = new_key(), new_key()
    keys = Keys.parse(["# the new one", "", f"  {new} ", "# the old one", old], "x")
    assert keys.signing == Keys.parse([new, old], "x").signing


@pytest.mark.parametrize("lines", [[], [""], ["# nothing"]])
def test_no_key_is_an_error_that_says_how_to_make_one(lines: list[str]) -> None:
    with pytest.raises(SiteKeyError, match=r"^keys.txt holds no key; make one with: postbeat key$"):
        Keys.parse(lines, "keys.txt")


@pytest.mark.parametrize("line", ["hunter2", "A" * 43, "A" * 44, "ü" * 44, "A" * 40 + "===="])
def test_what_is_no_key_is_refused_and_not_shown(line: str) -> None:
    with pytest.raises(SiteKeyError) as caught:
        Keys.parse([new_key(), line], "keys.txt")
    assert str(caught.value) == "keys.txt holds something that is not a key; make one with: postbeat key"


def test_keys_are_not_shown() -> None:
    text = new_key()
    keys = Keys.parse([text], "x")
    assert text not in repr(keys)
    assert repr(keys.signing[0]) not in repr(keys)

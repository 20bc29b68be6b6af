"""DKIM signatures, checked by an independent verifier."""

from __future__ import annotations

from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from postbeat import dkimsign, mailtext
from postbeat.dkimsign import Key, Signer
from postbeat.message import Envelope, Template, Token, padding
from postbeat.model import FaultCode, LocalFault, Poll
from tests.unit.dkimkeys import record

KEY = b"k" * 32
TOKEN = Token(Poll("mail", "eu", 5666666), 2, 1_700_000_000_123_456)
ENVELOPE = Envelope("sender@example.com", "probe@example.com", "worker.example.com", "Prüfer")
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
BOTH = pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
TEXTS = {
    "ours": b"",
    "empty": b"Subject: x\n\n",
    "empty lines at the end": b"Hello\n\n\n\n",
    "dots and spaces": b".\n..\n a  b \t\n",
    "repeated fields": b"Subject: x\nX-A: 1\nX-A:  2\n 3\n\nHello\n",
    "utf-8": "Grüße\n".encode(),
}


def verifies(data: bytes, key: Key) -> bool:
    asked = []

    def txt(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return record(key)

    good = dkim.verify(data, dnsfunc=txt)
    assert asked == [b"probe._domainkey.example.com."]
    return bool(good)


def signed(key: Key, text: bytes = b"", *, payload: int = 0, in_body: bool = False) -> bytes:
    template = Template(
        ENVELOPE,
        mailtext.parse(text) if text else mailtext.OURS,
        payload=payload,
        in_body=in_body,
        signer=Signer("example.com", "probe", key),
    )
    made = template.outgoing(TOKEN, KEY)
    return made.data + b"".join(padding(made.padding))


def pem(path: Path, key: Key | ec.EllipticCurvePrivateKey, password: bytes = b"") -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    return str(path)


def fault_of(path: str) -> str:
    with pytest.raises(LocalFault) as caught:
        dkimsign.key_of(path)
    assert caught.value.code is FaultCode.FILE
    return caught.value.message


@BOTH
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("in_body", [False, True], ids=["in header", "in body"])
@pytest.mark.parametrize("payload", [0, 1, 100_000])
def test_a_signature_verifies(key: Key, text: bytes, in_body: bool, payload: int) -> None:
    assert verifies(signed(key, text, payload=payload, in_body=in_body), key)


@BOTH
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"SMTP Monitor Test", b"SMTP Monitor Best"),
        (b"attempt=2", b"attempt=3"),
        (b"This message tests", b"This message rests"),
        (b"probe@example.com", b"prove@example.com"),
    ],
)
def test_whatever_is_changed_breaks_the_signature(key: Key, old: bytes, new: bytes) -> None:
    data = signed(key)
    assert old in data
    assert not verifies(data.replace(old, new), key)


@BOTH
def test_spaces_that_a_server_adds_to_the_header_do_not_break_it(key: Key) -> None:
    changed = signed(key).replace(b"\r\nSubject: SMTP Monitor", b"\r\nsubject:  SMTP\r\n\tMonitor")
    assert verifies(changed, key)


def test_the_signature_of_another_key_does_not_verify() -> None:
    assert not verifies(signed(RSA), rsa.generate_private_key(65537, 2048))


@BOTH
def test_a_key_is_loaded_once(key: Key, tmp_path: Path) -> None:
    path = pem(tmp_path / "key.pem", key)
    assert dkimsign.key_of(path) is dkimsign.key_of(path)


def test_a_key_that_cannot_be_used_is_our_own_fault(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no key\n")
    (tmp_path / "long").write_bytes(b"-" * (dkimsign.KEY_LIMIT + 1))
    curve = ec.generate_private_key(ec.SECP256R1())
    assert "no private key in PEM" in fault_of(str(tmp_path / "text"))
    assert "without a password" in fault_of(pem(tmp_path / "locked", ED25519, b"secret"))
    assert "neither Ed25519 nor RSA" in fault_of(pem(tmp_path / "ec", curve))
    assert "larger than" in fault_of(str(tmp_path / "long"))
    assert "No such file" in fault_of(str(tmp_path / "missing"))


def test_a_signer_does_not_show_its_key() -> None:
    assert "key" not in repr(Signer("example.com", "probe", ED25519))

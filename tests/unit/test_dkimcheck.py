"""DKIM signatures, verified by ourselves."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
import sys
import time

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat import mailtext
from postbeat.arrival.dkimcheck import KEY_LIMIT, REASON_LIMIT, SIGNATURES_LIMIT, Txt, check
from postbeat.delivery import Verdict
from postbeat.dkimsign import Key, Signer
from postbeat.message import Envelope, Template, Token
from postbeat.model import FaultCode, LocalFault, Poll, RemoteFault
from tests.growth import is_linear
from tests.unit.dkimkeys import record

RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
BOTH = pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
TOKEN = Token(Poll("mail", "eu", 5666666), 1, 1_700_000_000_123_456)
ENVELOPE = Envelope("sender@example.com", "probe@example.com", "worker.example.com", "Prüfer")
WHOSE = "d=example.com s=probe"
HELLO = base64.b64encode(hashlib.sha256(b"Hello\r\n").digest()).decode()  # the hash of a body


def rsa_key(modulus_bytes: int, exponent_bytes: int) -> bytes:
    """A key with numbers of these lengths, in PKCS #1 and base64, as nobody would make it."""

    def der(tag: int, content: bytes) -> bytes:
        return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content

    numbers = der(2, b"\x7b" * modulus_bytes) + der(2, b"\x7b" * exponent_bytes)
    return base64.b64encode(der(0x30, numbers))


def ours(key: Key = RSA) -> bytes:
    """A message as we send it."""
    signer = Signer("example.com", "probe", key)
    return Template(ENVELOPE, mailtext.OURS, signer=signer).outgoing(TOKEN, b"k" * 32).data


def theirs(body: bytes, canonical: bytes = b"relaxed", *, length: bool = False, algorithm: str = "") -> bytes:
    """A message that another implementation has signed."""
    message = b"From: a@example.com\r\nSubject:  Hello \r\n\r\n" + body
    pem = RSA.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    field = dkim.sign(
        message,
        b"probe",
        b"example.com",
        pem,
        canonicalize=(canonical, canonical),
        signature_algorithm=algorithm.encode() or b"rsa-sha256",
        length=length,
    )
    return bytes(field) + message


def answering(answers: dict[str, bytes | Exception], asked: list[str] | None = None) -> Txt:
    async def txt(name: str) -> bytes | None:
        if asked is not None:
            asked.append(name)
        answer = answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return txt


def checked(message: bytes, answer: bytes | Exception | None = None) -> Verdict | None:
    answers = {} if answer is None else {"probe._domainkey.example.com": answer}
    return asyncio.run(check(message, answering(answers)))


def signature(**tags: str) -> bytes:
    """A signature field with these tags among good ones; "" takes a tag out."""
    good = {
        "v": "1",
        "a": "rsa-sha256",
        "d": "example.com",
        "s": "probe",
        "h": "from",
        "bh": "AAAA",
        "b": "AAAA",
    }
    text = "; ".join(f"{name}={value}" for name, value in (good | tags).items() if value)
    return f"DKIM-Signature: {text}\r\n".encode()


@BOTH
def test_a_message_that_we_signed_passes(key: Key) -> None:
    assert checked(ours(key), record(key)) == Verdict("dkim", "pass", "postbeat", WHOSE)


@BOTH
def test_what_was_added_above_the_signature_does_not_matter(key: Key) -> None:
    message = b"Return-Path: <a@b.test>\r\nReceived: by mx.test;\r\n\tsoon\r\n" + ours(key)
    assert checked(message, record(key)) == Verdict("dkim", "pass", "postbeat", WHOSE)


@BOTH
def test_a_message_with_another_body_fails(key: Key) -> None:
    verdict = checked(ours(key) + b"-- \r\nScanned by mx.test\r\n", record(key))
    assert verdict == Verdict("dkim", "fail", "postbeat", f"{WHOSE}: the body was changed")


@BOTH
def test_a_message_with_another_header_fails(key: Key) -> None:
    message = ours(key).replace(b"Subject: ", b"Subject: [EXTERNAL] ")
    verdict = checked(message, record(key))
    assert verdict is not None
    assert verdict.result == "fail"
    assert verdict.reason.startswith(f"{WHOSE}: the header was changed")


def test_a_message_fails_with_a_key_that_did_not_sign_it() -> None:
    verdict = checked(ours(RSA), record(OTHER))
    assert verdict is not None
    assert verdict.result == "fail"


@pytest.mark.parametrize(
    "message", [b"", b"Subject: x\r\n\r\nDKIM-Signature: v=1", b"\r\nDKIM-Signature: v=1"]
)
def test_a_message_without_a_signature_has_no_verdict(message: bytes) -> None:
    assert checked(message) is None


@pytest.mark.parametrize("canonical", [b"simple", b"relaxed"])
@pytest.mark.parametrize("body", [b"", b"a  b \t\r\n \r\n\r\n", b"a\r\n", b" " * 1000 + b"x\r\n\t\r\n"])
def test_a_message_that_others_signed_passes_in_either_form(canonical: bytes, body: bytes) -> None:
    assert checked(theirs(body, canonical), record(RSA)) == Verdict("dkim", "pass", "postbeat", WHOSE)


def test_a_body_that_is_signed_in_part_is_said_to_be() -> None:
    verdict = checked(theirs(b"Hello\r\n", length=True) + b"more\r\n", record(RSA))
    reason = f"{WHOSE} (of the body, only 7 bytes are signed)"
    assert verdict == Verdict("dkim", "pass", "postbeat", reason)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (LocalFault(FaultCode.RESOLVER, "no name server answers"), "temperror"),
        (RemoteFault(FaultCode.LOOKUP, "the aliases have no end"), "permerror"),
        (LocalFault(FaultCode.LOOKUP, "it is no valid name"), "permerror"),
        (TimeoutError("it took too long"), "temperror"),
    ],
)
def test_a_key_that_cannot_be_looked_up_is_an_error(error: Exception, result: str) -> None:
    assert checked(ours(), error) == Verdict("dkim", result, "postbeat", f"{WHOSE}: {error}")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "there is no key"),
        (b"", "there is no key"),
        (b"p=" + b"A" * KEY_LIMIT, "the key is too large"),
        (b"v=DKIM1; p=", "the key makes no sense: could not parse RSA public key"),
        (b"v=DKIM1; p=AAAA", "the key makes no sense: could not parse RSA public key"),
        (b"v=DKIM1; p=A", "the key makes no sense: "),
        (b"v=DKIM1; k=ed25519; p=AAAA", "the key makes no sense: "),
        (b"v=DKIM1; k=x; p=AAAA", "the key makes no sense: unknown algorithm in k= tag"),
        (b"v=DKIM2; p=AAAA", "the key makes no sense: bad version"),
        (b"\xff\xfe\0", "the key makes no sense: "),
        (b"v=DKIM1; p=" + rsa_key(1, 600), "the key makes no sense: its exponent is too large"),
    ],
)
def test_a_bad_key_is_an_error_that_will_last(answer: bytes | None, why: str) -> None:
    verdict = checked(ours(), answer)
    assert verdict is not None
    assert verdict.result == "permerror"
    assert verdict.reason.startswith(f"{WHOSE}: {why}")


@pytest.mark.parametrize(
    "field",
    [
        signature(v="2"),
        signature(a="rsa-sha1"),
        signature(a="dsa"),
        signature(b=""),
        signature(bh=""),
        signature(h=""),
        signature(d=""),
        signature(s=""),
        signature(d="\xff"),
        signature(t="tomorrow"),
        signature(x="1"),
        signature(i="@other.test"),
        signature(b="!"),
        signature(h="from:" * 2000),
        signature(b="AAAA" + " " * 200),
        b"DKIM-Signature: garbage\r\n",
        b"DKIM-Signature:\r\n",
        b"DKIM-Signature : v=1\r\n",
        b" folded\r\nDKIM-Signature: v=1\r\n",
        b"no field\r\nDKIM-Signature: v=1\r\n",
        b"X: y\r\n" * 3000 + signature(),
        b"X: " + b"y" * 70_000 + b"\r\n" + signature(),
    ],
)
def test_a_bad_signature_is_an_error_that_will_last(field: bytes) -> None:
    verdict = checked(field + b"From: a@example.com\r\n\r\nHello\r\n", record(RSA))
    assert verdict is not None
    assert verdict.result == "permerror"
    assert verdict.reason.isprintable()
    assert 0 < len(verdict.reason) <= REASON_LIMIT


def test_one_signature_that_passes_is_enough() -> None:
    asked: list[str] = []
    message = signature(s="old") + signature(s="gone") + ours()
    answers: dict[str, bytes | Exception] = {
        "old._domainkey.example.com": record(RSA),
        "probe._domainkey.example.com": record(RSA),
    }
    verdict = asyncio.run(check(message, answering(answers, asked)))
    assert verdict == Verdict("dkim", "pass", "postbeat", WHOSE)
    assert asked == [f"{selector}._domainkey.example.com" for selector in ("old", "gone", "probe")]


def test_without_one_that_passes_the_most_open_result_counts() -> None:
    message = signature(s="gone") + signature(s="old") + signature(s="away") + b"From: a@b.test\r\n\r\n"
    answers: dict[str, bytes | Exception] = {"old._domainkey.example.com": record(RSA)}
    for answer, result in ((b"", "fail"), (LocalFault(FaultCode.RESOLVER, "silence"), "temperror")):
        answers["away._domainkey.example.com"] = answer
        verdict = asyncio.run(check(message, answering(answers)))
        assert verdict is not None
        assert verdict.result == result


def test_no_more_than_a_few_signatures_are_looked_at() -> None:
    asked: list[str] = []
    asyncio.run(check(signature() * 50 + ours(), answering({}, asked)))
    assert len(asked) == SIGNATURES_LIMIT


@settings(max_examples=1_000)
@given(
    st.dictionaries(st.sampled_from("vacdhsbtxqli"), st.text(max_size=8)),
    st.binary(max_size=40) | st.sampled_from([record(RSA), record(ED25519)]),
    st.binary(max_size=40),
)
def test_whatever_a_signature_and_its_key_are_there_is_a_verdict(
    tags: dict[str, str], answer: bytes, more: bytes
) -> None:
    text = "; ".join(f"{name}={value}" for name, value in tags.items())
    message = f"DKIM-Signature: {text}\r\n".encode("utf-8", "replace") + more + ours()
    verdict = asyncio.run(check(message, answering({"probe._domainkey.example.com": answer})))
    assert verdict is not None
    assert verdict.reason.isprintable()
    assert verdict.result in ("pass", "fail", "permerror")


@settings(max_examples=500)
@given(st.data())
def test_no_change_of_a_character_of_our_message_goes_unseen(data: st.DataObject) -> None:
    good = ours(ED25519)
    begin = good.index(b"From:")  # white space in the header does not count in the relaxed form
    at = data.draw(st.sampled_from([at for at in range(begin, len(good)) if good[at] > 32]))
    bad = good[:at] + bytes([good[at] ^ 0x04]) + good[at + 1 :]
    verdict = checked(bad, record(ED25519))
    assert verdict is not None
    assert verdict.result in ("fail", "permerror")


@pytest.mark.parametrize("body", [b" " * 120_000 + b"x", b" \t" * 60_000, b"\r\n" * 60_000, b" \r" * 60_000])
@pytest.mark.parametrize("form", ["simple", "relaxed"])
def test_a_hostile_body_takes_no_longer_than_it_is(body: bytes, form: str) -> None:
    header = signature(c=f"relaxed/{form}") * SIGNATURES_LIMIT + b"From: a@b.test\r\n\r\n"

    def check(body: bytes) -> None:
        checked(header + body, record(RSA))

    assert is_linear(check, body[-len(body) // 4 :], body)


@pytest.mark.parametrize(
    "header",
    [
        signature(bh=HELLO, h=":".join(f"x{number}" for number in range(700))) * 3 + b"X:\r\n" * 1900,
        b"X: y\r\n" + b" \r\n" * 1900 + signature(),
        signature(bh=HELLO, b="AAAA" + "\r\n " * 30 + "!") * 3,
        signature(bh=HELLO, z=("b" + "\r\n " * 30 + "x ") * 40) * 3,
        signature(bh=HELLO, z="b;b" * 1200) * 3,
    ],
)
def test_a_hostile_header_is_dealt_with_in_time(header: bytes) -> None:
    began = time.process_time()
    checked(header + b"From: a@b.test\r\n\r\nHello\r\n", record(RSA))
    assert time.process_time() - began < 3.0


def test_the_largest_key_is_dealt_with_in_time() -> None:
    answer = b"v=DKIM1; p=" + rsa_key(1500, 8)
    assert len(answer) <= KEY_LIMIT
    message = signature(bh=HELLO, b="A5cd" * 500) * 3 + b"From: a@b.test\r\n\r\nHello\r\n"
    began = time.process_time()
    verdict = checked(message, answer)
    assert verdict is not None
    assert verdict.result == "fail"
    assert time.process_time() - began < 1.0


def test_dkimpy_is_not_loaded_before_there_is_a_signature() -> None:
    code = "import sys, postbeat.arrival.dkimcheck; sys.exit('dkim' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

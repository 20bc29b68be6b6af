from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.model import FaultCode, FaultError, LocalFault, RemoteFault, Side
from postbeat.wire import scram
from postbeat.wire.scram import ROUNDS_LIMIT, Scram, ScramSha1, ScramSha256
from tests.wire.accounts import Account
from tests.wire.feeding import fault_in
from tests.wire.scramserver import ScramServer

PENCIL = Account("user", "pencil")
BOTH = pytest.mark.parametrize(("kind", "digest"), [(ScramSha1, "sha1"), (ScramSha256, "sha256")])


def sha1(**how: Any) -> ScramSha1:
    """The client of the example of RFC 5802 section 5."""
    return ScramSha1(PENCIL, nonce=lambda: "fyko+d2lbbFgONRv9qkxdawL", **how)


def sha256() -> ScramSha256:
    """The client of the example of RFC 7677 section 3."""
    return ScramSha256(PENCIL, nonce=lambda: "rOprNGfwEbeRWgbNEkqO")


def log_in(client: Scram, server: ScramServer) -> None:
    """A whole login."""
    assert client.initial is not None
    answer = client.respond(server.challenge(client.initial))
    assert client.respond(server.verdict(answer)) == b""
    client.finish()


def refusal(client: Scram, challenge: bytes) -> FaultError:
    with pytest.raises(FaultError) as caught:
        client.respond(challenge)
    return caught.value


def test_scram_sha_1_speaks_as_rfc_5802_has_it() -> None:
    client = sha1()
    assert client.initial == b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
    challenge = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
    assert client.respond(challenge) == (
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    )
    assert client.respond(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=") == b""
    client.finish()


def test_scram_sha_256_speaks_as_rfc_7677_has_it() -> None:
    client = sha256()
    assert client.initial == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    challenge = b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert client.respond(challenge) == b"c=biws,r=" + nonce + b",p=" + proof
    assert client.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == b""
    client.finish()


@BOTH
def test_a_server_that_knows_the_password_lets_us_in(kind: type[Scram], digest: str) -> None:
    log_in(kind(PENCIL), ScramServer(b"pencil", digest))


def test_each_login_has_a_nonce_of_its_own() -> None:
    assert ScramSha256(PENCIL).initial != ScramSha256(PENCIL).initial


def test_the_shared_secret_goes_before_the_password() -> None:
    log_in(ScramSha256(Account("user", "wrong", "pencil")), ScramServer(b"pencil"))


def test_a_name_with_signs_of_the_protocol_is_written_in_another_way() -> None:
    initial = ScramSha256(Account("a=b,c", "p"), nonce=lambda: "x").initial
    assert initial == b"n,,n=a=3Db=2Cc,r=x"


@BOTH
def test_a_server_with_another_password_refuses_us(kind: type[Scram], digest: str) -> None:
    with pytest.raises(RemoteFault, match="refused the login: invalid-proof") as caught:
        log_in(kind(PENCIL), ScramServer(b"ink", digest))
    assert caught.value.code is FaultCode.AUTH


@BOTH
def test_a_server_that_does_not_know_the_password_is_found_out(kind: type[Scram], digest: str) -> None:
    with pytest.raises(RemoteFault, match="signature is wrong") as caught:
        log_in(kind(PENCIL), ScramServer(b"pencil", digest, signature_of=b"a guess"))
    assert caught.value.code is FaultCode.PROTOCOL


@pytest.mark.parametrize("challenges", [0, 1])
def test_a_login_that_is_granted_without_the_servers_proof_does_not_count(challenges: int) -> None:
    client = ScramSha256(PENCIL)
    for _ in range(challenges):
        client.respond(ScramServer(b"pencil").challenge(client.initial or b""))
    with pytest.raises(RemoteFault, match="without the proof"):
        client.finish()


def test_a_third_challenge_is_not_answered() -> None:
    client = ScramSha256(PENCIL)
    log_in(client, ScramServer(b"pencil"))
    assert refusal(client, b"").code is FaultCode.PROTOCOL


def test_the_login_is_bound_to_the_channel_where_that_is_asked_for() -> None:
    client = ScramSha256(PENCIL, binding=b"the server's certificate", plus=True)
    assert client.name == "SCRAM-SHA-256-PLUS"
    assert (client.initial or b"").startswith(b"p=tls-server-end-point,,")
    log_in(client, ScramServer(b"pencil", binding=b"the server's certificate", offered_plus=True))


def test_a_man_in_the_middle_with_a_certificate_of_his_own_is_found_out() -> None:
    client = ScramSha256(PENCIL, binding=b"his certificate", plus=True)
    with pytest.raises(RemoteFault, match="somebody stands between") as caught:
        log_in(client, ScramServer(b"pencil", binding=b"the server's certificate", offered_plus=True))
    assert caught.value.code is FaultCode.PROTOCOL


def test_a_man_in_the_middle_who_hides_the_offer_of_a_binding_is_found_out() -> None:
    client = ScramSha256(PENCIL, binding=b"his certificate")
    assert (client.initial or b"").startswith(b"y,,")
    with pytest.raises(RemoteFault, match="somebody stands between"):
        log_in(client, ScramServer(b"pencil", binding=b"the server's certificate", offered_plus=True))


def test_a_binding_that_we_do_not_have_is_our_fault() -> None:
    client = ScramSha256(PENCIL, binding=b"certificate", plus=True)
    fault = refusal(client, b"e=unsupported-channel-binding-type")
    assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.NO_MECHANISM)


@pytest.mark.parametrize("rounds", [1, 999, ROUNDS_LIMIT + 1, 10**9, 10**12])
def test_rounds_that_are_too_few_or_too_many_are_not_made(rounds: int) -> None:
    client = ScramSha256(PENCIL)
    started_s = time.process_time()
    fault = refusal(client, ScramServer(b"pencil", rounds=rounds).challenge(client.initial or b""))
    assert fault.code is FaultCode.PROTOCOL
    assert time.process_time() - started_s < 0.2


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=another,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",  # the server adds nothing of its own
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf9,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92",
        b"m=ext,r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4096",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ],
)
def test_a_first_message_that_is_not_scram_is_the_servers_fault(challenge: bytes) -> None:
    fault = refusal(sha1(), challenge)
    assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.PROTOCOL)


CHALLENGES = st.lists(st.one_of(st.binary(max_size=300), st.text(max_size=50).map(str.encode)), max_size=4)


@given(CHALLENGES)
def test_whatever_the_server_says_is_answered_or_is_its_fault(challenges: list[bytes]) -> None:
    client = sha1()
    fault = fault_in(lambda: [client.respond(challenge) for challenge in challenges])
    assert fault is None or fault.code in (FaultCode.PROTOCOL, FaultCode.AUTH)
    assert fault_in(client.finish) is not None, "a server without the password was believed"


@given(st.binary(min_size=3, max_size=40))
def test_no_signature_that_is_made_up_is_believed(signature: bytes) -> None:
    client = sha1()
    client.respond(ScramServer(b"pencil", "sha1").challenge(client.initial or b""))
    assert refusal(client, b"v=" + base64.b64encode(signature)).code is FaultCode.PROTOCOL


def test_the_costly_rounds_are_announced_and_remembered() -> None:
    server = ScramServer(b"pencil", rounds=ROUNDS_LIMIT)
    times_s = []
    for _ in range(2):
        client = ScramSha256(PENCIL)
        assert client.heavy
        started_s = time.process_time()
        client.respond(server.challenge(client.initial or b""))
        times_s.append(time.process_time() - started_s)
        assert not client.heavy
    assert times_s[1] < times_s[0] / 5


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
    ],
)
def test_texts_are_prepared_as_rfc_4013_shows(text: str, prepared: str) -> None:
    assert scram.prepared(text, "the password") == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u06271"])
def test_what_rfc_4013_prohibits_is_our_fault_and_not_shown(text: str) -> None:
    with pytest.raises(LocalFault) as caught:
        ScramSha1(Account("user", f"hunter2{text}" if text == "\u0007" else text))
    assert caught.value.code is FaultCode.SECRET
    assert "hunter2" not in caught.value.message

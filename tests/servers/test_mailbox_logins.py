"""The logins of the readers, by each mechanism, on scripted servers."""

from __future__ import annotations

import base64

import pytest

from postbeat.model import FaultCode, FaultError, LocalFault, LoginType, RemoteFault, Side
from postbeat.probes.login import Login
from postbeat.timeline import Timeline
from postbeat.wire.scram import ScramSha256
from tests.servers.conftest import Run
from tests.servers.openings import OPENERS
from tests.servers.scripted import Step, dialogue, scripted
from tests.wire.scramserver import ScramServer

LOGIN = Login("user", "hunter2", token="ya29.hunter2", server="mail.example.com", port=993)
XOAUTH2 = base64.b64encode(b"user=user\x01auth=Bearer ya29.hunter2\x01\x01").decode()
OAUTHBEARER = base64.b64encode(
    b"n,a=user,\x01host=mail.example.com\x01port=993\x01auth=Bearer ya29.hunter2\x01\x01"
).decode()
EXPIRED = base64.b64encode(b'{"status":"invalid_token"}').decode()
IMAP4 = {
    "offer": "S: * OK [CAPABILITY IMAP4rev1 SASL-IR{mechanisms}] ready\n",
    "mechanism": " AUTH={}",
    "auth": "C: {tag} AUTHENTICATE ",
    "ok": "S: A1 OK [CAPABILITY X] in",
    "no": "S: A1 NO [AUTHENTICATIONFAILED] no",
    "bye": "C: {tag} SELECT INBOX\nS: * 0 EXISTS\nS: * OK [UIDVALIDITY 7] v\nS: * OK [UIDNEXT 1] n\n"
    "S: {tag} OK selected\nC: {tag} LOGOUT\nS: * BYE\nS: {tag} OK bye",
}
POP3 = {
    "offer": "S: +OK ready\nC: CAPA\nS: +OK\nS: USER\nS: TOP\nS: UIDL\nS: SASL{mechanisms}\nS: .\n",
    "mechanism": " {}",
    "auth": "C: AUTH ",
    "ok": "S: +OK in",
    "no": "S: -ERR [AUTH] no",
    "bye": "C: QUIT\nS: +OK bye",
}
PROTOCOLS = {"imap4": IMAP4, "pop3": POP3}
BOTH = pytest.mark.parametrize("kind", PROTOCOLS)


def offer(kind: str, *mechanisms: str) -> str:
    protocol = PROTOCOLS[kind]
    return protocol["offer"].replace(
        "{mechanisms}", "".join(protocol["mechanism"].format(m) for m in mechanisms)
    )


def script(kind: str, method: str, initial: str, *rest: str) -> list[Step]:
    """The offer, the command with its initial response, and the rest with its words filled in."""
    protocol = PROTOCOLS[kind]
    command = protocol["auth"] + f"{method} {initial}".rstrip()
    return dialogue("\n".join([offer(kind, method) + command, *(protocol.get(line, line) for line in rest)]))


async def log_in(kind: str, steps: list[Step], method: str, login: Login = LOGIN) -> Timeline:
    """Opens a session and ends it."""
    timeline = Timeline()
    async with scripted(steps) as server:
        session = await OPENERS[kind](server, timeline, login, authenticationtype=LoginType(method))
        await session.finish()
        await server.gone()
    return timeline


async def refused(kind: str, steps: list[Step], method: str, login: Login = LOGIN) -> FaultError:
    """The fault of a login, which shows no secret."""
    with pytest.raises((RemoteFault, LocalFault)) as caught:
        await log_in(kind, steps, method, login)
    assert "hunter2" not in caught.value.message
    return caught.value


@BOTH
@pytest.mark.parametrize(
    ("method", "initial", "rest"),
    [
        ("LOGIN", "", ["S: + VXNlcm5hbWU6", "C: dXNlcg==", "S: + UGFzc3dvcmQ6", "C: aHVudGVyMg=="]),
        ("XOAUTH2", XOAUTH2, []),
        ("PLAIN", "AHVzZXIAaHVudGVyMg==", []),
        ("OAUTHBEARER", OAUTHBEARER, []),
    ],
)
def test_each_mechanism_logs_in_once(run: Run, kind: str, method: str, initial: str, rest: list[str]) -> None:
    async def test() -> None:
        await log_in(kind, script(kind, method, initial, *rest, "ok", "bye"), method)

    run(test())


@BOTH
@pytest.mark.parametrize(
    ("method", "initial", "answer"), [("XOAUTH2", XOAUTH2, ""), ("OAUTHBEARER", OAUTHBEARER, "AQ==")]
)
def test_the_status_of_a_refused_token_is_shown(
    run: Run, kind: str, method: str, initial: str, answer: str
) -> None:
    async def test() -> None:
        dropped: list[str] = []
        login = Login(
            "user", "", "", LOGIN.token, "mail.example.com", 993, refused=lambda: dropped.append(method)
        )
        steps = script(kind, method, initial, f"S: + {EXPIRED}", f"C: {answer}", "no")
        fault = await refused(kind, steps, method, login)
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.AUTH)
        assert fault.message.endswith("no (status invalid_token)")
        assert dropped == [method]

    run(test())


@BOTH
@pytest.mark.parametrize(
    ("method", "initial", "rest"),
    [
        ("LOGIN", "", ["S: + ", "C: ...", "S: + ", "C: ...", "S: + "]),
        ("CRAM-MD5", "", ["S: + ?"]),
        ("CRAM-MD5", "", ["S: + PDFAeD4=", "C: ...", "S: + PDFAeD4="]),
        ("XOAUTH2", XOAUTH2, [f"S: + {EXPIRED}", "C: ", f"S: + {EXPIRED}"]),
        ("SCRAM-SHA-256", "...", ["S: + cj14"]),
    ],
)
def test_an_exchange_that_we_give_up_is_cancelled(
    run: Run, kind: str, method: str, initial: str, rest: list[str]
) -> None:
    async def test() -> None:
        fault = await refused(kind, script(kind, method, initial, *rest, "C: *"), method)
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.PROTOCOL)

    run(test())


@BOTH
@pytest.mark.parametrize(
    ("method", "initial", "rest"),
    [
        ("SCRAM-SHA-1", "...", []),
        ("CRAM-MD5", "", []),
        ("LOGIN", "", ["S: + ", "C: dXNlcg=="]),
        ("XOAUTH2", XOAUTH2, [f"S: + {EXPIRED}", "C: "]),
    ],
)
def test_a_login_that_is_granted_too_early_does_not_count(
    run: Run, kind: str, method: str, initial: str, rest: list[str]
) -> None:
    async def test() -> None:
        fault = await refused(kind, script(kind, method, initial, *rest, "ok"), method)
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.PROTOCOL)
        assert "granted the login" in fault.message

    run(test())


@BOTH
def test_no_mechanism_takes_the_place_of_the_configured_one(run: Run, kind: str) -> None:
    async def test() -> None:
        fault = await refused(kind, dialogue(offer(kind, "PLAIN", "LOGIN")), "SCRAM-SHA-256")
        assert (fault.side, fault.code) == (Side.REMOTE, FaultCode.NO_MECHANISM)

    run(test())


@BOTH
def test_a_token_that_is_none_is_our_fault(run: Run, kind: str) -> None:
    async def test() -> None:
        login = Login("user", "", token="hunter2 hunter2")
        fault = await refused(kind, dialogue(offer(kind, "XOAUTH2")), "XOAUTH2", login)
        assert (fault.side, fault.code) == (Side.LOCAL, FaultCode.SECRET)

    run(test())


@BOTH
def test_scram_logs_in_where_the_server_proves_itself(
    run: Run, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a nonce that is known, both sides of the exchange can be written down beforehand.
    monkeypatch.setattr("postbeat.wire.scram.secrets.token_urlsafe", lambda _size: "nonce")
    client, server = ScramSha256(LOGIN), ScramServer(b"hunter2")
    first = client.initial or b""
    challenge = server.challenge(first)
    answer = client.respond(challenge)
    lines = [base64.b64encode(text).decode() for text in (first, challenge, answer, server.verdict(answer))]

    async def test() -> None:
        rest = [f"S: + {lines[1]}", f"C: {lines[2]}", f"S: + {lines[3]}", "C: ", "ok", "bye"]
        await log_in(kind, script(kind, "SCRAM-SHA-256", lines[0], *rest), "SCRAM-SHA-256")

    run(test())

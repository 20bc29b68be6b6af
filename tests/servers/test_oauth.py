"""Fetching access tokens from an endpoint on a real socket, however it behaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest

from postbeat import oauth
from postbeat.elements import SmtpElement
from postbeat.model import AuthenticationType, FaultCode, LocalFault, Secret
from postbeat.oauth import Grant, Tokens
from postbeat.probes import credentials
from postbeat.timeline import Timeline
from postbeat.tls.options import TlsDefaults
from tests.servers.conftest import Run

SECRETS = ("cl1ent-s3cret", "r3fresh-t0ken", "r0tated-t0ken")
WAIT_S = 10.0


def answer(body: object, status: str = "200 OK", headers: str = "") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def token(number: int = 1, **more: object) -> bytes:
    return answer({"access_token": f"token{number}", "token_type": "Bearer", "expires_in": 3600, **more})


@dataclass
class Endpoint:
    """Gives these answers, the last one again and again; keeps what it was asked."""

    answers: list[bytes]
    port: int = 0
    forms: list[dict[str, str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def grant(self, **how: str) -> Grant:
        return Grant(
            f"http://127.0.0.1:{self.port}/token", "postbeat", **{"client_secret": SECRETS[0], **how}
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = int(
                next(line for line in head.lower().split("\r\n") if "content-length" in line).split()[1]
            )
            self.heads.append(head)
            self.forms.append(dict(parse_qsl((await reader.readexactly(size)).decode())))
            self.asked.set()
            await self.may_answer.wait()
            writer.write(self.answers[min(len(self.forms), len(self.answers)) - 1])
            await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def endpoint(*answers: bytes, silent: bool = False) -> AsyncIterator[Endpoint]:
    made = Endpoint(list(answers))
    if not silent:
        made.may_answer.set()
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(made.serve(reader, writer))
        tasks.add(task)
        await asyncio.wait([task])

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listener.close()
        made.may_answer.set()
        await asyncio.gather(*tasks)


async def failure(made: Endpoint, timeout_s: float = WAIT_S, **how: str) -> str:
    """The message of a fetch that must be our fault, and shows no secret."""
    with pytest.raises(LocalFault) as caught:
        await Tokens().fetched(made.grant(**how), timeout_s)
    assert caught.value.code is FaultCode.SECRET
    assert not any(secret in caught.value.message for secret in SECRETS)
    assert caught.value.message.startswith(f"no token from 127.0.0.1:{made.port}: ")
    return caught.value.message.partition(": ")[2]


def test_a_client_asks_with_its_own_credentials(run: Run) -> None:
    async def test() -> None:
        async with endpoint(token()) as made:
            assert await Tokens().fetched(made.grant(scope="mail.send"), WAIT_S) == "token1"
        assert made.forms == [
            {
                "grant_type": "client_credentials",
                "client_id": "postbeat",
                "client_secret": SECRETS[0],
                "scope": "mail.send",
            }
        ]
        assert made.heads[0].startswith("POST /token HTTP/1.1\r\n")
        assert "Accept-Encoding: identity" in made.heads[0]

    run(test())


def test_a_refresh_token_is_used_where_there_is_one_and_a_rotated_one_from_then_on(run: Run) -> None:
    async def test() -> None:
        tokens = Tokens()
        async with endpoint(token(1, refresh_token=SECRETS[2]), token(2)) as made:
            grant = made.grant(client_secret="", refresh_token=SECRETS[1])
            for _ in range(3):
                tokens.refused(grant, await tokens.fetched(grant, WAIT_S))
        assert made.forms[0] == {
            "grant_type": "refresh_token",
            "client_id": "postbeat",
            "refresh_token": SECRETS[1],
        }
        assert [form["refresh_token"] for form in made.forms] == [SECRETS[1], SECRETS[2], SECRETS[2]]

    run(test())


def test_polls_that_need_the_same_token_wait_for_one_fetch(run: Run) -> None:
    async def test() -> None:
        tokens = Tokens()
        async with endpoint(token(), silent=True) as made:
            polls = [asyncio.ensure_future(tokens.fetched(made.grant(), WAIT_S)) for _ in range(50)]
            await made.asked.wait()
            polls[0].cancel()  # one that is given up does not take the others with it
            await asyncio.sleep(0)
            made.may_answer.set()
            assert await asyncio.gather(*polls[1:]) == ["token1"] * 49
        assert len(made.forms) == 1

    run(test())


def test_grants_that_differ_are_fetched_side_by_side(run: Run) -> None:
    async def test() -> None:
        tokens = Tokens()
        async with endpoint(token()) as made:
            grants = [made.grant(scope=f"scope{number}") for number in range(5)]
            await asyncio.gather(*(tokens.fetched(grant, WAIT_S) for grant in grants))
        assert {form["scope"] for form in made.forms} == {grant.scope for grant in grants}

    run(test())


@pytest.mark.parametrize(
    ("expires_in", "used_s"),
    [
        (3600, 3540),
        ("3600", 3540),
        (3600.5, 3540.5),
        (100, 90),
        (0, 0),
        (-5, 0),
        (10**400, 270),
        (1e308, 86340),
        ("soon", 270),
        (None, 270),
        (True, 270),
        ([3600], 270),
        ("inf", 270),
        ("nan", 270),
    ],
)
def test_a_token_is_used_until_shortly_before_it_expires(run: Run, expires_in: Any, used_s: float) -> None:
    async def test() -> None:
        now_s = 1000.0
        tokens = Tokens(lambda: now_s)
        async with endpoint(token(expires_in=expires_in)) as made:
            assert await tokens.fetched(made.grant(), WAIT_S) == "token1"
        if used_s:
            now_s += used_s - 1
            assert tokens.held(made.grant()) == "token1"
            now_s += 1
        assert tokens.held(made.grant()) == ""

    run(test())


def test_a_token_that_a_server_refused_is_not_used_again(run: Run) -> None:
    async def test() -> None:
        tokens = Tokens()
        async with endpoint(token(1), token(2)) as made:
            grant = made.grant()
            await tokens.fetched(grant, WAIT_S)
            tokens.refused(grant, "token1")
            assert tokens.held(grant) == ""
            await tokens.fetched(grant, WAIT_S)
            tokens.refused(grant, "token1")  # the refusal of the one before comes late
            assert tokens.held(grant) == "token2"

    run(test())


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answer({"error": "invalid_grant", "error_description": SECRETS[1]}, "400 Bad"), "400 invalid_grant"),
        (answer({"error": "invalid_client"}, "401 Unauthorized"), "401 invalid_client"),
        (answer({"error": f"bad-{SECRETS[0]}"}, "400 Bad"), "400"),
        (answer({"error": "two words\r\n"}, "400 Bad"), "400"),
        (answer({"error": {"code": 5}}, "400 Bad"), "400"),
        (answer(b"<html>" + SECRETS[0].encode(), "503 Busy"), "503"),
        (answer(b"", "302 Found", "Location: http://127.0.0.1:9/\r\n"), "302"),
        (answer(b"access_token=token1"), "its answer is not a JSON object"),
        (answer(b"[" * 60_000), "its answer is not a JSON object"),
        (answer(b"\xff\xfe"), "its answer is not a JSON object"),
        (answer(["token1"]), "its answer is not a JSON object"),
        (answer({"token_type": "Bearer"}), "its answer holds no access_token"),
        (answer({"access_token": 5}), "its answer holds no access_token"),
        (answer({"access_token": "t", "token_type": "mac"}), "its token is not of the type Bearer"),
        (answer(b" " * 70_000), "its answer has more than 65536 bytes"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "ClientResponseError"),
        (b"220 mail.example.com ESMTP\r\n", "ClientResponseError"),
        (b"", "ServerDisconnectedError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "ClientPayloadError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_an_endpoint_answers_is_our_fault_with_its_reason(
    run: Run, reply: bytes, message: str
) -> None:
    async def test() -> None:
        async with endpoint(reply) as made:
            assert (await failure(made, refresh_token=SECRETS[1])).startswith(message)

    run(test())


def test_an_endpoint_that_does_not_answer_costs_the_time_that_the_attempt_gives_it(run: Run) -> None:
    async def test() -> None:
        async with endpoint(token(), silent=True) as made:
            assert (await failure(made, 0.05)).endswith("no answer within 0.05 s")

    run(test())


def test_a_fetch_ends_though_nobody_waits_for_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "FETCH_S", 0.1)

    async def test() -> None:
        async with endpoint(token(), silent=True) as made:
            assert (await failure(made)).endswith("no answer within 0.1 s")

    run(test())


def test_an_endpoint_that_sends_without_end_is_left_at_the_limit(run: Run) -> None:
    async def test() -> None:
        flood = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b" " * 4096 + b"\r\n" * 1
        )
        async with endpoint(flood + (b"1000\r\n" + b" " * 4096 + b"\r\n") * 100) as made:
            assert (await failure(made)).endswith("its answer has more than 65536 bytes")

    run(test())


def test_an_endpoint_where_nobody_listens_is_our_fault(run: Run) -> None:
    async def test() -> None:
        async with endpoint(token()) as made:
            pass
        assert "ClientConnectorError" in await failure(made)

    run(test())


def test_a_grant_shows_no_secret() -> None:
    assert not any(secret in repr(Grant("https://h/t", "c", *SECRETS[:2])) for secret in SECRETS)


def element(made: Endpoint, **fields: Any) -> SmtpElement:
    return SmtpElement(
        name="mail",
        server="mail.example.com",
        authenticationtype=AuthenticationType.XOAUTH2,
        plaintextlogin=True,
        username="user",
        **{
            "tokenurl": f"http://127.0.0.1:{made.port}/token",
            "clientid": "postbeat",
            "clientsecret": Secret("literal", SECRETS[0]),
            **fields,
        },
    )


def stage_names(timeline: Timeline) -> list[str]:
    return [stage.name for stage in timeline.stages()]


def test_an_element_gets_its_token_in_a_stage_of_its_own_and_keeps_it(run: Run) -> None:
    async def test() -> None:
        async with endpoint(token()) as made:
            names = []
            for _ in range(2):
                timeline = Timeline()
                way = await credentials.access(element(made), None, timeline, TlsDefaults())
                assert (way.login.token, way.login.server, way.login.port) == (
                    "token1",
                    "mail.example.com",
                    25,
                )
                names.append(stage_names(timeline))
            assert names == [["token"], []]
            assert way.login.refused is not None
            way.login.refused()
            await credentials.access(element(made), None, timeline, TlsDefaults())
            assert stage_names(timeline) == ["token"]
        assert len(made.forms) == 2

    run(test())


def test_a_token_that_is_given_is_not_fetched(run: Run) -> None:
    async def test() -> None:
        async with endpoint(token()) as made:
            given = element(made, tokenurl=None, token=Secret("literal", "given"))
            way = await credentials.access(given, None, Timeline(), TlsDefaults())
            assert (way.login.token, way.login.refused) == ("given", None)
        assert made.forms == []

    run(test())


def test_a_slow_endpoint_takes_half_of_the_attempt_at_most_and_is_no_fault_of_the_service(run: Run) -> None:
    async def test() -> None:
        async with endpoint(token(), silent=True) as made:
            timeline = Timeline()
            with pytest.raises(LocalFault, match=r"no answer within 0\.05 s"):
                await credentials.access(element(made, timeout=0.1), None, timeline, TlsDefaults())
            assert timeline.open_stage == "token"

    run(test())

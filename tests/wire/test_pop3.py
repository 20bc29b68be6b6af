from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.model import FaultCode, LocalFault, RemoteFault
from postbeat.wire import pop3
from postbeat.wire.pop3 import Pop3Client, Reply, State
from tests.conftest import MANY
from tests.wire.feeding import fault_in, replies, splits

GREETING = b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n"
KEPT = 4096


def client(*commands: pop3.Command) -> Pop3Client:
    """A client whose greeting has come, with these commands sent."""
    made = Pop3Client()
    made.receive(GREETING)
    assert made.next_reply() is not None
    made.send(*commands)
    return made


def only(made: Pop3Client, data: bytes) -> Reply:
    (reply,) = replies(made, [data])
    return reply


def test_the_greeting_comes_without_a_command() -> None:
    reply = only(Pop3Client(), GREETING)
    assert reply.ok
    assert reply.text == "POP3 server ready <1896.697170952@dbc.mtview.ca.us>"


def test_apop_gives_the_digest_of_rfc_1939() -> None:
    greeting = only(Pop3Client(), GREETING)
    stamp = pop3.timestamp(greeting)
    assert stamp == b"<1896.697170952@dbc.mtview.ca.us>"
    assert pop3.apop("mrose", stamp, b"tanstaaf").line == b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n"


@pytest.mark.parametrize("greeting", [b"+OK ready\r\n", b"+OK <no-at-sign>\r\n", b"+OK <\xff\xfe@x>\r\n"])
def test_a_greeting_without_a_message_id_offers_no_apop(greeting: bytes) -> None:
    assert pop3.timestamp(only(Pop3Client(), greeting)) is None


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        (b"-ERR [IN-USE] Do you have another POP session running?", "IN-USE", "Do you have another"),
        (b"-ERR [login-delay] wait", "LOGIN-DELAY", "wait"),
        (b"-ERR [SYS/TEMP] later", "SYS/TEMP", "later"),
        (b"-ERR [AUTH]", "AUTH", ""),
        (b"-ERR", "", ""),
        (b"-err no such message", "", "no such message"),
        (b"-ERR brackets [inside] the text", "", "brackets [inside] the text"),
    ],
)
def test_a_refusal_tells_its_response_code(line: bytes, code: str, text: str) -> None:
    reply = only(client(pop3.QUIT), line + b"\r\n")
    assert reply.state is State.ERR
    assert reply.code == code
    assert reply.text.startswith(text)


def test_a_challenge_is_kept_in_base64() -> None:
    reply = only(client(pop3.auth("CRAM-MD5", None)), b"+ PDE4OT==\r\n")
    assert reply == Reply(State.CHALLENGE, challenge=b"PDE4OT==")
    assert only(client(pop3.auth("PLAIN", None)), b"+\r\n").challenge == b""


def test_capabilities_are_read_with_their_arguments() -> None:
    reply = only(client(pop3.CAPA), b"+OK\r\nTOP\r\nSASL PLAIN CRAM-MD5\r\nimplementation x\r\n\r\n.\r\n")
    assert pop3.capabilities(reply.lines) == {
        "TOP": (),
        "SASL": ("PLAIN", "CRAM-MD5"),
        "IMPLEMENTATION": ("X",),
    }


@pytest.mark.parametrize(
    ("line", "delay_s", "varies"),
    [
        (b"LOGIN-DELAY 900", 900.0, False),
        (b"login-delay 60 user", 60.0, True),
        (b"LOGIN-DELAY", 0.0, False),
        (b"LOGIN-DELAY -1", 0.0, False),
        (b"LOGIN-DELAY 99999999999", 0.0, False),
        (b"EXPIRE 0", 0.0, False),
    ],
)
def test_the_delay_between_logins_is_told_by_the_capabilities(
    line: bytes, delay_s: float, varies: bool
) -> None:
    told = pop3.capabilities([line])
    assert pop3.login_delay_s(told) == delay_s
    assert pop3.varies_by_user(told) == varies


@pytest.mark.parametrize("line", [b"+OK 2 320", b"+OK 2 320 octets in the mailbox"])
def test_the_statistics_are_the_number_and_the_bytes(line: bytes) -> None:
    assert pop3.statistics(only(client(pop3.STAT), line + b"\r\n")) == (2, 320)


@pytest.mark.parametrize("line", [b"+OK", b"+OK 2", b"+OK two 320", b"+OK 9999999999 1", b"+OK 1 -1"])
def test_statistics_out_of_the_protocol_are_the_servers_fault(line: bytes) -> None:
    reply = only(client(pop3.STAT), line + b"\r\n")
    with pytest.raises(RemoteFault, match="STAT"):
        pop3.statistics(reply)


@pytest.mark.parametrize(
    ("answer", "ids"),
    [
        (b"+OK 2 QhdPYR:00WBw1Ph7x7\r\n", [(2, "QhdPYR:00WBw1Ph7x7")]),
        (b"+OK ids follow\r\n1 a\r\n2 b\r\n.\r\n", [(1, "a"), (2, "b")]),
        (b"-ERR no such message\r\n", []),
    ],
)
def test_one_unique_id_comes_in_one_line_unless_the_server_lists_them_all(
    answer: bytes, ids: list[tuple[int, str]]
) -> None:
    made = client(pop3.uidl(2), pop3.QUIT)
    first, bye = replies(made, [answer + b"+OK bye\r\n"])
    assert pop3.unique_ids(first.lines) == ids
    assert bye.text == "bye"


@given(st.data(), st.integers(2, 40), st.lists(st.binary(max_size=9).map(bytes.hex), max_size=9))
def test_of_a_message_no_more_is_kept_than_asked_for(
    data: st.DataObject, keep: int, texts: list[str]
) -> None:
    lines = [text.encode() for text in texts]
    made = client(pop3.top(1, 9, keep))
    sent = b"+OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b".\r\n"
    (reply,) = replies(made, data.draw(splits(sent)))
    whole = b"".join(line + b"\r\n" for line in lines)
    kept = b"".join(line + b"\r\n" for line in reply.lines)
    assert len(kept) <= keep
    assert whole.startswith(kept[:-2])
    assert len(kept) == len(whole) or len(kept) >= keep - 2


def test_a_refused_listing_has_one_line() -> None:
    made = client(pop3.CAPA, pop3.QUIT)
    assert [reply.state for reply in replies(made, [b"-ERR what?\r\n+OK bye\r\n"])] == [State.ERR, State.OK]


def test_unique_ids_keep_the_servers_order() -> None:
    reply = only(client(pop3.UIDL), b"+OK\r\n1 whqtswO00WBw418f9t5JxYwZ\r\n2 QhdPYR:00WBw1Ph7x7\r\n.\r\n")
    assert pop3.unique_ids(reply.lines) == [(1, "whqtswO00WBw418f9t5JxYwZ"), (2, "QhdPYR:00WBw1Ph7x7")]


@pytest.mark.parametrize("line", [b"", b"1", b"x y", b"1 \xff", b"1 a b", b"1 " + b"a" * 300])
def test_a_unique_id_out_of_the_protocol_is_the_servers_fault(line: bytes) -> None:
    with pytest.raises(RemoteFault, match="UIDL line"):
        pop3.unique_ids([line])


@given(st.data(), st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"\n", b".").strip(b"\r"))))
def test_dot_stuffing_is_undone_in_any_split(data: st.DataObject, lines: list[bytes]) -> None:
    stuffed = b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)
    made = client(pop3.top(1, 0, KEPT), pop3.QUIT)
    first, last = replies(made, data.draw(splits(b"+OK\r\n" + stuffed + b".\r\n+OK bye\r\n")))
    assert first.lines == tuple(lines)
    assert last == Reply(State.OK, text="bye")


@given(st.data())
def test_a_whole_session_is_the_same_in_any_split(data: st.DataObject) -> None:
    sent = (
        b"+OK ready\r\n+OK\r\nTOP\r\nUIDL\r\n.\r\n+ Y2hhbGxlbmdl\r\n+OK in\r\n"
        b"+OK\r\n1 a\r\n2 b\r\n.\r\n+OK\r\nSubject: x\r\n..\r\n\r\n.\r\n-ERR [SYS/TEMP] no\r\n"
    )

    def listen(pieces: list[bytes]) -> list[Reply]:
        made = Pop3Client()
        made.send(
            pop3.CAPA,
            pop3.auth("CRAM-MD5", None),
            pop3.answer(b""),
            pop3.UIDL,
            pop3.top(1, 0, KEPT),
            pop3.QUIT,
        )
        return replies(made, pieces)

    assert listen(data.draw(splits(sent))) == listen([sent])
    assert len(listen([sent])) == 7


@settings(max_examples=MANY)
@given(
    st.binary(max_size=300),
    st.lists(st.sampled_from([pop3.CAPA, pop3.top(1, 0, KEPT), pop3.uidl(1), pop3.STAT]), max_size=4),
)
@example(b"+OK\r\n" * 5, [pop3.CAPA])
def test_garbage_gives_replies_or_a_remote_fault_and_nothing_else(
    garbage: bytes, commands: list[pop3.Command]
) -> None:
    made = Pop3Client()
    made.send(*commands)

    def listen() -> None:
        for reply in replies(made, [garbage]):
            pop3.capabilities(reply.lines)
            pop3.timestamp(reply)
            pop3.login_delay_s(pop3.capabilities(reply.lines))
            pop3.unique_ids(reply.lines)
            pop3.statistics(reply)

    fault = fault_in(listen)
    assert fault is None or fault.code is FaultCode.PROTOCOL
    assert fault is None or (len(fault.message) < 200 and fault.message.isprintable())


def test_an_answer_to_no_command_is_the_servers_fault() -> None:
    made = client()
    made.receive(b"+OK surprise\r\n")
    with pytest.raises(RemoteFault, match=r"an answer to no command: \+OK surprise"):
        made.next_reply()


def test_a_line_of_another_protocol_is_shown() -> None:
    made = Pop3Client()
    made.receive(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(RemoteFault, match=r"neither \+OK nor -ERR: SSH-2.0-OpenSSH_9.2"):
        made.next_reply()


def test_of_a_huge_header_only_the_beginning_is_kept() -> None:
    made = client(pop3.top(1, 0, KEPT), pop3.QUIT)
    made.receive(b"+OK\r\nX-First: 1\r\n")
    for _ in range(200):
        made.receive(b"X-Long: " + b"y" * 100_000 + b"\r\n" + b"X-Many: z\r\n" * 1000)
        assert made.next_reply() is None
        assert made.unread < 200
    header, bye = replies(made, [b"\r\n.\r\n+OK\r\n"])
    assert header.lines[0] == b"X-First: 1"
    assert sum(map(len, header.lines)) <= KEPT
    assert bye.ok


@pytest.mark.parametrize(
    ("line", "count"),
    [(b"1 " + b"u" * 5000 + b"\r\n", pop3.LISTING_LIMIT // 5000), (b"\n", pop3.LISTING_LINES)],
)
def test_a_listing_without_end_is_the_servers_fault(line: bytes, count: int) -> None:
    made = client(pop3.UIDL)
    made.receive(b"+OK\r\n")

    def flood() -> None:
        for _ in range(count // 10 + 1):
            made.receive(line * 10)
            made.next_reply()

    with pytest.raises(RemoteFault, match="a listing of more than"):
        flood()


def test_an_initial_response_has_room_up_to_the_limit_of_a_line() -> None:
    assert pop3.auth("PLAIN", b"AGEAYg==").line == b"AUTH PLAIN AGEAYg==\r\n"
    assert pop3.auth("PLAIN", None).line == b"AUTH PLAIN\r\n"
    assert len(pop3.auth("PLAIN", b"A" * pop3.initial_room("PLAIN")).line) == pop3.COMMAND_LIMIT


@pytest.mark.parametrize("make", [pop3.user, pop3.password])
def test_no_second_command_can_be_injected(make: Callable[[str], pop3.Command]) -> None:
    with pytest.raises(LocalFault):
        make("a\r\nDELE 1")


def test_commands_may_be_sent_together() -> None:
    made = client()
    assert made.send(pop3.dele(1), pop3.dele(2), pop3.QUIT) == b"DELE 1\r\nDELE 2\r\nQUIT\r\n"
    assert len(replies(made, [b"+OK 1\r\n+OK 2\r\n+OK 3\r\n"])) == 3

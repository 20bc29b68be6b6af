"""Everything that parses what others wrote, as functions of bytes: for the fuzzer, and for tests of its cost.

A target raises nothing but what its module declares: RemoteFault for a server that does not keep to its
protocol, LocalFault where the documentation of the function says so, ValueError for what a profile or Redis
holds. Anything else is a defect.
"""

from __future__ import annotations

import base64
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from postbeat import figurelog, message, packing
from postbeat.arrival import body, bounce, dkimcheck, fields, hops, verdicts
from postbeat.classification import Classification
from postbeat.figures import Figures
from postbeat.ism import propsfile
from postbeat.ism.propsfile import PropsError
from postbeat.ism.rules.errors import Limits, RulesErrors
from postbeat.ism.rules.loading import load
from postbeat.ism.transfer import importing
from postbeat.ism.transfer.report import TransferError
from postbeat.message import Token
from postbeat.model import FaultCode, FaultError, Level, Phase, Poll, RemoteFault, Side
from postbeat.profile import ProfileError
from postbeat.rollup import Rollup
from postbeat.sinks import loading
from postbeat.windows import Window
from postbeat.wire import imap4, imap4args, imap4data, pop3, sasl, scram, smtp
from postbeat.wire.imap4args import Literal
from postbeat.wire.imap4reply import Reply
from postbeat.wire.line import LineBuffer
from tests.unit.bounces import BOUNCES, EXCHANGE
from tests.wire.accounts import Account

KEY = b"k" * 32
SENT_US = 1_795_514_401_000_000
TOKEN = Token(Poll("mail", "eu", 5666666), 2, SENT_US, "156:QAaFMNwIqouOhmAV", "4YLZMGiF")
SIGNED = b"X-Postbeat: " + message.field_value(TOKEN, KEY).encode()
_LIMIT = 1000  # bytes of a line in the target ``line``


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, examples of what it is for, and where in its input hostile text may stand.

    Without ``frames``, its time is only promised to have a limit.
    """

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    frames: tuple[tuple[bytes, bytes], ...] = ((b"", b""),)


def pieces(data: bytes) -> Iterator[bytes]:
    """What a connection brings, bit by bit: the first byte says how much comes at a time."""
    size = 1 + 8 * data[0] if data else 1
    for at in range(1, len(data), size):
        yield data[at : at + size]


def line(data: bytes) -> None:
    """Lines of a limited length, lines that are cut, and literals, in turns."""
    buffer = LineBuffer()
    with suppress(RemoteFault):
        for piece in pieces(data):
            buffer.receive(piece)
            while buffer.line(_LIMIT) is not None:
                buffer.line(_LIMIT, cut=True)
                buffer.take(5)


def smtp_replies(data: bytes) -> None:
    """An SMTP server's answers."""
    wire = smtp.Replies()
    with suppress(RemoteFault):
        for piece in pieces(data):
            wire.receive(piece)
            wire.begins(b"421")
            while wire.next_reply() is not None:
                pass


def imap4_replies(data: bytes) -> None:
    """An IMAP4 server's answers to one command after the other, and what they amount to."""
    client = imap4.Imap4Client()
    client.send(b"LOGIN", Literal(b"name"), Literal(b"secret"))
    found: list[Reply] = []
    with suppress(RemoteFault):
        for piece in pieces(data):
            client.receive(piece)
            while (reply := client.next_reply()) is not None:
                found.append(reply)
                client.proceed()
                imap4.goodbye(reply)
                if client.is_answer(reply):
                    client.send(b"NOOP")
    readers = (imap4data.search_result, imap4data.status_items, imap4data.namespaces, imap4data.quotas)
    for read in readers:
        with suppress(RemoteFault):
            read(found)
    with suppress(RemoteFault):
        for listed in imap4data.listing(found):
            imap4args.folder_text(listed.name)


def pop3_replies(data: bytes) -> None:
    """A POP3 server's greeting, and its answers to commands of each shape."""
    client = pop3.Pop3Client()
    asked = (pop3.CAPA, pop3.UIDL, pop3.top(1, 0, 4096), pop3.auth("PLAIN", None), pop3.uidl(1), pop3.STAT)
    client.send(*asked, pop3.QUIT)
    with suppress(RemoteFault):
        for piece in pieces(data):
            client.receive(piece)
            while (reply := client.next_reply()) is not None:
                pop3.timestamp(reply)
                pop3.login_delay_s(pop3.capabilities(reply.lines))
                with suppress(RemoteFault):
                    pop3.unique_ids(reply.lines)
                with suppress(RemoteFault):
                    pop3.statistics(reply)


def sasl_exchanges(data: bytes) -> None:
    """Challenges, one a line, to every mechanism."""
    for name in sasl.MECHANISMS:
        exchange = sasl.Exchange(sasl.mechanism(name, Account()))
        exchange.opening(100)
        with suppress(FaultError):
            for challenge in data.split(b"\n"):
                exchange.respond(challenge)
        with suppress(RemoteFault):
            exchange.finish()


def scram_exchange(data: bytes) -> None:
    """Challenges, one a line, without base64; and names and passwords that are nobody's."""
    client = scram.ScramSha256(Account(), nonce=lambda: "rOprNGfwEbeRWgbNEkqO")
    with suppress(FaultError):
        for challenge in data.split(b"\n"):
            client.respond(challenge)
    with suppress(FaultError):
        scram.prepared(data.decode("utf-8", "replace"), "the password")


def received(data: bytes) -> None:
    """The path of a message, as its Received fields have it."""
    header, _ = fields.split(data)
    found = tuple(fields.values(header, "received"))
    hops.path(found, accepted_at_us=SENT_US, seen_at_us=SENT_US + 60_000_000, uncertainty_us=1000)
    verdicts.own_names(found, "mail.example.com")
    hops.instant_us(data.decode("utf-8", "replace"))


def authenticated(data: bytes) -> None:
    """The verdicts in Authentication-Results fields, trusted ones and others."""
    header, _ = fields.split(data)
    verdicts.verdicts(fields.values(header, "authentication-results"), ("mx.test",))


def changed(data: bytes) -> None:
    """What was changed in a message, whole and cut off."""
    for complete in (True, False):
        body.changes(*fields.split(data), TOKEN, complete=complete)


def tokens(data: bytes) -> None:
    """A token, wherever it may stand; what nobody signed is never taken for one."""
    text = data.decode("utf-8", "replace")
    found = (
        message.parse_value(text, [KEY]),
        message.tokens_in(data, [KEY]),
        message.recognise(data, [KEY]).token,
    )
    assert all(token in (None, TOKEN) for token in found)
    message.is_original(text, TOKEN, [KEY])


def dkim_signatures(data: bytes) -> None:
    """A message with signatures, whose key is always the same."""

    async def txt(_: str) -> bytes:
        return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(KEY)

    with suppress(StopIteration):
        dkimcheck.check(data, txt).send(None)


def classification(data: bytes) -> None:
    """A service level; what it is written out as means the same."""
    with suppress(ValueError):
        found = Classification.parse(data.decode("utf-8", "replace"))
        assert Classification.parse(str(found)) == found


def window(data: bytes) -> None:
    """A maintenance window; what it is written out as means the same."""
    with suppress(ValueError):
        found = Window.parse(data.decode("utf-8", "replace"))
        assert Window.parse(str(found)) == found
        found.covers(SENT_US)


def stored_figures(data: bytes) -> None:
    """The figures of one result, and a stretch of a log: as it is, and behind its compression."""
    with suppress(ValueError):
        found = Figures.loads(data)
        assert Figures.loads(found.dumps()) == found
    deflater = zlib.compressobj(1, wbits=-15)
    for stretch in (data, deflater.compress(data) + deflater.flush()):
        with suppress(ValueError):
            figurelog.unpack(stretch)


def packed_rollups(data: bytes) -> None:
    """Packed rollups: as they are, and as chunks with the checksum that fits."""
    value = ROLLUPS[:1] + data
    for packed in (data, value + zlib.crc32(value).to_bytes(4, "big")):
        with suppress(ValueError):
            packing.unpack(packed)


def sinks(data: bytes) -> None:
    """A file of sinks."""
    with tempfile.NamedTemporaryFile() as file, suppress(ProfileError):
        file.write(data)
        file.flush()
        loading.load(Path(file.name))


def properties(data: bytes) -> None:
    """A properties file, whose text comes back as it was."""
    text = data.decode("utf-8", "replace")
    with suppress(PropsError):
        assert str(propsfile.parse(text, "a.props")) == text


def rules(data: bytes) -> None:
    """A rules file, compiled and run; what stops it is a fault of its own."""
    with tempfile.NamedTemporaryFile(suffix=".rules") as file, suppress(RulesErrors):
        file.write(data)
        file.flush()
        program = load(Path(file.name), environ={}, limits=Limits(steps=10_000))
        program.run({"message": "550 no", "serviceLevel": 3, "monitor": "smtp"}, {"Manager": "Postbeat"})


def elements_file(data: bytes) -> None:
    """A file of the ISM's elements, as CSV or XML."""
    with suppress(TransferError):
        importing.read(data, "elements")


FRAMES = tuple(
    (name + b": ", b"\r\n\r\ntext") for name in (b"Content-Type", b"Return-Path", b"Auto-Submitted", b"From")
)
MIME = b"MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=b1\r\nContent-Transfer-Encoding: "
REPORT = MIME + b"7bit\r\n\r\n--b1\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n"
BODIES = (
    (b"\r\n", b""),
    (MIME + b"7bit\r\n\r\n--b1\r\n", b"\r\n--b1--\r\n"),
    (b"Content-Transfer-Encoding: base64\r\n\r\n", b""),
    (b"Content-Transfer-Encoding: quoted-printable\r\n\r\n", b""),
)
FIGURES = (
    Figures(SENT_US, Phase.SEND, 7, Level.GOOD, False, times_us={"connectTime": 900, "responseTime": 20_000}),
    Figures(SENT_US + 1, Phase.READ, 7, Level.GOOD, True, times_us={"timeToDeliver": 2_000_000}, hop_count=3),
    Figures(SENT_US + 2, Phase.SEND, 8, Level.FAILED, True, Side.REMOTE, FaultCode.TIMEOUT, "data"),
)


def _rollups() -> bytes:
    """Some hours, of which each has one poll more than that before."""
    rollups = {}
    for hour in range(30):
        rollups[hour] = Rollup()
        for figures in FIGURES * hour:
            rollups[hour].add(figures)
    return packing.pack(rollups)


ROLLUPS = _rollups()

TARGETS: Mapping[str, Target] = {
    "line": Target(line, (b"\0a\r\nb\nhello", b"\xffx" * _LIMIT)),
    "smtp": Target(
        smtp_replies,
        (b"\x00220-mx.test\r\n220 ready\r\n250-mx.test\n250-SIZE 1000\r\n250 AUTH PLAIN\r\r\n",),
        ((b"\xff", b""), (b"\xff220-", b"\r\n"), (b"\xff250 ok\r\n", b"")),
    ),
    "imap4": Target(
        imap4_replies,
        (
            b"\x01* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n+ go on\r\n+ more\r\nA1 OK [READ-WRITE] done\r\n",
            b"\x01* 3 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* SEARCH 1 2 3\r\n* 2 EXPUNGE\r\n",
            b"\x01* 1 FETCH (UID 5 BODY[HEADER.FIELDS (X)] {8}\r\nX: {9}\r\n FLAGS (\\Seen))\r\n",
            b'\x01* LIST (\\Junk) "/" "Junk &AOk-"\r\n* NAMESPACE (("" "/")) NIL NIL\r\n',
            b'\x01* STATUS "a b" (MESSAGES 1 UIDNEXT 2)\r\n* QUOTA "" (STORAGE 10 5000000000000)\r\n',
            b'\x01* ESEARCH (TAG "A1") UID ALL 1:3,5\r\n* BYE over\r\n',
        ),
        tuple(
            (b"\xff" + before, after)
            for before, after in (
                (b"", b"\r\n"),
                (b"* OK [", b"\r\n"),
                (b"* 1 FETCH (UID 1 BODY[HEADER] ", b")\r\n"),
                (b"* LIST (", b"\r\n"),
                (b"* SEARCH ", b"\r\n"),
                (b"* ESEARCH ", b"\r\n"),
                (b'* LIST () "/" ', b"\r\n"),
                (b"* QUOTA x (", b")\r\n"),
            )
        ),
    ),
    "pop3": Target(
        pop3_replies,
        (
            b"\x01+OK ready <1.2@test>\r\n+OK\r\nUIDL\r\nSASL PLAIN\r\nLOGIN-DELAY 60 USER\r\n.\r\n"
            b"+OK\r\n1 abc\r\n2 def\r\n.\r\n+OK\r\nX: y\r\n..\r\n.\r\n+ YQ==\r\n-ERR [IN-USE] locked\r\n",
        ),
        ((b"\xff", b"\r\n"), (b"\xff+OK <", b"\r\n"), (b"\xff+OK\r\n+OK\r\n", b"\r\n.\r\n")),
    ),
    "sasl": Target(
        sasl_exchanges,
        (b"\nPDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+", b"\neyJzdGF0dXMiOiJpbnZhbGlkIn0=\n"),
    ),
    "scram": Target(
        scram_exchange,
        (
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096\n"
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=\n",
            b"e=invalid-proof",
        ),
        ((b"", b""), (b"r=rOprNGfwEbeRWgbNEkqO", b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), (b"e=", b"")),
    ),
    "fields": Target(fields.split, tuple(message for message, _ in BOUNCES.values()), (*FRAMES, (b"", b""))),
    "bounce": Target(
        bounce.read,
        tuple(message for message, _ in BOUNCES.values()),
        (
            *FRAMES,
            *BODIES,
            (b"Return-Path: <>\r\n\r\n", b""),
            (REPORT + b"Diagnostic-Code: ", b"\r\n--b1--\r\n"),
            (REPORT + b"Status: ", b"\r\n--b1--\r\n"),
            (REPORT, b"\r\n--b1--\r\n"),
        ),
    ),
    "hops": Target(
        received,
        (
            b"Received: from a.test (a.test [192.0.2.7]) by mx.test (Postfix (3.9)) with ESMTPS id 4F\r\n"
            b"\tfor <b@test>; Tue, 24 Nov 2026 10:00:00 +0000 (UTC)\r\n\r\n",
            b"Received: by mx.test; 24 Nov 26 10:00 EST\r\nReceived: (qmail 1 invoked); 1 Jan 1970\r\n",
        ),
        (
            (b"Received: ", b"\r\n\r\n"),
            (b"Received: from a by b (", b"); Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n"),
            (b"Received: by b; Tue, ", b"\r\n\r\n"),
            (b"", b""),
        ),
    ),
    "verdicts": Target(
        authenticated,
        (
            b'Authentication-Results: mx.test 1; spf=pass (a "b") smtp.mailfrom=a@b;\r\n'
            b' dkim/1=fail reason="no key" header.d=a.test; dmarc=none\r\n\r\n',
            b"Authentication-Results: mx.test; none\r\n\r\n",
        ),
        (
            (b"Authentication-Results: ", b"\r\n\r\n"),
            (b"Authentication-Results: mx.test; ", b"\r\n\r\n"),
            (b"Authentication-Results: mx.test; spf=pass reason=", b"\r\n\r\n"),
        ),
    ),
    "body": Target(
        changed,
        (
            message.build(TOKEN, message.Envelope("a@example.com", "b@example.com", "lab.test"), KEY),
            b"Subject: =?utf-8?q?a_=3D?= =?utf-8?b?YQ==?=\r\n\r\ntext",
            EXCHANGE,
        ),
        ((b"Subject: ", b"\r\n\r\ntext"), (b"Subject: =?utf-8?q?", b"?=\r\n\r\ntext"), *BODIES),
    ),
    "token": Target(
        tokens,
        (
            SIGNED + b"\r\nMessage-ID: <0123456789abcdef01234567.postbeat@lab.test>\r\n\r\n",
            b"\r\n" + SIGNED + b"\r\n",
            b"> " + SIGNED.replace(b"; ", b";\r\n> \t"),
            SIGNED.removeprefix(b"X-Postbeat: "),
            base64.encodebytes(SIGNED),
        ),
        (
            (b"", b""),
            (b"X-Postbeat: ", b"\r\n\r\n"),
            (b"X-Postbeat: v=2; poll=", b"; attempt=1\r\n\r\n"),
            (b"Message-ID: ", b"\r\n\r\n"),
            *FRAMES,
            *BODIES,
        ),
    ),
    "dkim": Target(
        dkim_signatures,
        (
            b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/simple; d=a.test; s=x; h=from:to; l=4;\r\n"
            b" bh=YWJj; t=1; x=9999999999; b=YWJj\r\nFrom: a@a.test\r\nTo: b@b.test\r\n\r\ntext\r\n",
        ),
        frames=(),
    ),
    "classification": Target(
        classification,
        (
            b"responseTime > 2 -> MARGINAL",
            b"status != 250 and message contains 'a \\' b' -> FAILED",
            b"certificateDays < 1.5e1 -> UNKNOWN",
        ),
    ),
    "window": Target(
        window,
        (
            b"Mon-Fri,Sun 22:00-06:00 Europe/Berlin",
            b"daily 00:00-24:00",
            b"2026-12-01T02:00Z/2026-12-01T04:00:59+01:00",
        ),
    ),
    "figures": Target(
        stored_figures, (*(one.dumps() for one in FIGURES), figurelog.pack(FIGURES)), frames=()
    ),
    "packing": Target(packed_rollups, (ROLLUPS, ROLLUPS[1:-4]), frames=()),
    "sinks": Target(
        sinks,
        (
            b"sinks:\n  - {name: a, type: webhook, url: http://a.test/b, secret: {env: A}, timeout: 5}\n",
            b"sinks:\n  - name: b\n    type: email\n    to: [a@b.test]\n    sender: b@b.test\n"
            b"    relays: [{server: mx.test, port: 25}]\n    subject: '{{ headline }}'\n",
            b"sinks: [{name: c, type: command, command: [/bin/true], elements: 'a*', levels: FAILED}]\n",
        ),
        frames=(),  # templates and YAML have limits of their own
    ),
    "properties": Target(
        properties,
        (
            b'Originator : "A B"  # who\r\nUseBody: 1\nSSLKeyFile : "${ISHOME}/x\\"y"\n',
            b"\xef\xbb\xbf# only\nMessageLevel:debug",
        ),
    ),
    "rules": Target(
        rules,
        (
            b'array a;\ntable t = {{"x","1"},{"y","2"}} default = "0"\n'
            b'foreach (e in $*) { a[e] = $e }\n@Summary = lookup($monitor, t) + "b" * 2\n',
            b'switch (int($serviceLevel) % 2) { case "1" | "3": discard default: @Type = 1 - -2 }\n',
            b'table t = {{-1, "x"}} default = -2.5\r@A = nvp_add($a, "b", 1) # no pairs\r\n'
            b"switch ($b) { case -1 | - 2.5: @B = $a%b }",
            b'if (regmatch($message, "^5(.*)") && !exists(@A)) { [$a, @B] = scanformat($message, "%d %s") }',
        ),
        frames=(),  # a file of statements is read in seconds, its size is limited, and a run has its limits
    ),
    "elements_file": Target(
        elements_file,
        (
            b"monitor,server,port,securitytype,email\nsmtp,mail.a.test,25,SSL,a@a.test\n",
            b'<profile name="p"><smtp server="mail.a.test"><port>25</port></smtp></profile>',
        ),
        frames=(),
    ),
}

from __future__ import annotations

import base64
import binascii
import email
import email.policy
import email.utils
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat import codec, message
from postbeat.elements import SmtpElement
from postbeat.message import Envelope, Recognised, Template, Token, recognise
from postbeat.model import Poll
from postbeat.sending import sender_of
from postbeat.settings import SettingsError, load
from tests.conftest import MANY
from tests.growth import is_linear

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
TOKEN = Token(Poll("mail", "eu", 5666666), 2, 1_700_000_000_123_456)
ENVELOPE = Envelope("sender@example.com", "probe@example.com", "worker.example.com")
FIELD_NAMES = [
    "Date",
    "Message-ID",
    "X-Postbeat",
    "From",
    "To",
    "Subject",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
]


def parsed(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)


def built(token: Token = TOKEN, envelope: Envelope = ENVELOPE) -> bytes:
    return message.build(token, envelope, KEY)


# The token of that message, with what it says of the text.
SENT = Token(TOKEN.poll, TOKEN.attempt, TOKEN.sent_at_us, "156:QAaFMNwIqouOhmAV", "4YLZMGiF")


def header(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[0] + b"\r\n"


def test_a_message_is_valid_for_the_parser_of_the_standard_library() -> None:
    mail = parsed(built())
    assert mail.keys() == FIELD_NAMES
    assert mail.defects == []
    assert [defect for name in FIELD_NAMES for defect in mail[name].defects] == []
    assert mail["From"].addresses[0].addr_spec == "sender@example.com"
    assert mail["From"].addresses[0].display_name == message.ORIGINATOR
    assert mail["To"].addresses[0].addr_spec == "probe@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "A monitor sent it" in mail.get_content()


@given(st.integers(0, 4_000_000_000 * 10**6))
def test_the_date_is_that_of_the_sending(sent_at_us: int) -> None:
    date = parsed(built(Token(TOKEN.poll, 1, sent_at_us)))["Date"]
    sent_at = datetime.fromtimestamp(sent_at_us / 1e6, UTC)
    assert date.defects == ()
    assert timedelta(0) <= sent_at - date.datetime < timedelta(seconds=1)


def test_every_message_has_an_id_of_its_own_that_only_the_key_makes() -> None:
    tokens = [Token(TOKEN.poll, attempt, sent_at_us) for attempt in (1, 2, 3) for sent_at_us in range(300)]
    found = [message.build(token, ENVELOPE, key) for token in tokens for key in (KEY, OTHER_KEY)]
    names = {str(parsed(data)["Message-ID"]) for data in found}
    assert len(names) == len(found)
    assert all(re.fullmatch(r"<[0-9a-f]{24}\.postbeat@worker\.example\.com>", name) for name in names)


def test_the_lines_are_such_that_no_server_has_to_change_them() -> None:
    data = built()
    assert data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n")
    assert all(len(line) <= 998 and not line.startswith(b".") for line in data.split(b"\r\n"))
    assert data.isascii()


def test_our_message_is_recognised() -> None:
    assert recognise(header(built()), [KEY]).token == SENT


@given(st.integers(1, 60))
def test_our_message_is_recognised_when_servers_have_folded_its_field(width: int) -> None:
    value = message.field_value(SENT, KEY)
    folded, line = "X-POSTBEAT:", ""
    for word in value.split():
        line = f"{line} {word}"
        if len(line) > width:
            folded, line = f"{folded}{line}\r\n\t", ""
    assert recognise(f"{folded}{line}\r\n".encode(), [KEY]).token == SENT


@pytest.mark.parametrize("keys", [(), (OTHER_KEY,)])
def test_the_message_of_another_site_is_forged(keys: tuple[bytes, ...]) -> None:
    assert recognise(header(built()), keys) == Recognised(forged=True)


@pytest.mark.parametrize(
    "value",
    ["", "v=1; poll=mail@eu#1; attempt=1; sent=1; sig=" + "A" * 43, "v=2; poll=mail@eu#1; att", "\xff"],
)
def test_a_field_of_ours_without_a_token_is_damaged(value: str) -> None:
    assert recognise(f"X-Postbeat: {value}\r\n".encode("latin-1"), [KEY]) == Recognised(damaged=True)


def test_the_first_field_that_verifies_counts() -> None:
    forged = f"X-Postbeat: {message.field_value(Token(Poll('other', 'eu', 1), 1, 1), OTHER_KEY)}\r\n"
    found = recognise(b"X-Postbeat: v=2; poll=\r\n" + forged.encode() + header(built()), [KEY])
    assert (found.token, found.forged, found.damaged) == (SENT, False, False)


def test_a_forged_field_beside_a_damaged_one_is_forged() -> None:
    assert recognise(b"X-Postbeat: ?\r\n" + header(built()), [OTHER_KEY]) == Recognised(forged=True)


def test_only_the_message_that_was_sent_is_original() -> None:
    data = header(built())
    assert recognise(data, [OTHER_KEY, KEY]).original
    replayed = re.sub(rb"Message-ID: <[0-9a-f]{24}", b"Message-ID: <" + b"0" * 24, data)
    for changed in (replayed, data.replace(b"Message-ID", b"X-Old-ID")):
        found = recognise(changed, [KEY])
        assert (found.token, found.original) == (SENT, False)


def test_a_server_may_write_the_message_id_in_other_form() -> None:
    data = header(built())
    changed = data.replace(b"Message-ID: <", b"message-id:\r\n <").replace(
        b"@worker.example.com>", b"@other>"
    )
    assert recognise(changed, [KEY]).original


@pytest.mark.parametrize(
    "data",
    [
        b'Content-Type: multipart/report;\r\n report-type=delivery-status; boundary="b"',
        b"content-type: Multipart/Report",
        b"Return-Path: <>",
        b"Return-path: < >",
        b"Return-Path:",
        b"Auto-Submitted: auto-replied",
        b"Auto-Submitted: auto-generated (failure)",
    ],
)
def test_a_notice_may_be_about_ours_unless_it_bears_our_field(data: bytes) -> None:
    assert recognise(data + b"\r\n", [KEY]) == Recognised(may_be_bounce=True)
    assert recognise(data + b"\r\n" + header(built()), [KEY]).token == SENT
    assert not recognise(data + b"\r\n" + header(built()), [OTHER_KEY]).may_be_bounce


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Auto-Submitted: no",
        b"Auto-Submitted: No (by hand)",
        b"Auto-Submitted: no; x=y",
        b"Content-Type: multipart/mixed; boundary=report",
        b"Return-Path: <a@example.com>",
    ],
)
def test_the_mail_of_people_is_no_notice(data: bytes) -> None:
    assert recognise(data + b"\r\n", [KEY]) == Recognised()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_spelling_of_a_fields_name_and_the_line_ends_do_not_matter(end: bytes) -> None:
    data = header(built()).replace(b"X-Postbeat:", b"x-POSTBEAT :")
    assert recognise(data.replace(b"\r\n", end), [KEY]).token == SENT


WORDS = (
    b"X-Postbeat:| |\r\n|\n|\t|v=2; |poll=mail@eu#1; |attempt=1; |sent=1; |body=; |subject=; |sig=|=?|--b|> "
    b"|Message-ID: <|@|>|Content-Type: multipart/report|Return-Path: <>|Auto-Submitted: |no|\xff|\0|QUJD"
).split(b"|")
PIECES = st.lists(st.sampled_from([*WORDS, b"A" * 43]), max_size=30).map(b"".join)


@st.composite
def overwritten(draw: st.DrawFn) -> bytes:
    """A message of ours in which something was overwritten."""
    data = draw(st.sampled_from(EXAMPLES))
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 100)))
    return data[:start] + draw(st.one_of(PIECES, st.binary(max_size=20))) + data[end:]


EXAMPLES = [built(), Template(ENVELOPE, in_body=True).outgoing(TOKEN, KEY).data]


@settings(max_examples=MANY)
@given(st.one_of(st.binary(max_size=300), PIECES, overwritten()))
def test_whatever_comes_is_ours_as_it_was_sent_or_not_at_all(data: bytes) -> None:
    found = recognise(data, [KEY])
    assert found.token in (None, SENT)
    assert [found.token is not None, found.forged, found.damaged, found.may_be_bounce].count(True) <= 1
    assert message.tokens_in(data, [KEY]) in (None, SENT)


@pytest.mark.parametrize(
    "piece",
    [
        b"X-Postbeat:",
        b"X-Postbeat: v=2; poll=a\r\n",
        b"v=2; poll=",
        b"v=2;" + b" " * 50,
        b" \r\n",
        b"> ",
        b"--b\r\n",
        b"=\r\n",
        b"A" * 76 + b"\r\n",
        f"X-Postbeat: {message.field_value(TOKEN, OTHER_KEY)}\r\n".encode(),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\r\n"], ids=["header", "body"])
def test_long_headers_take_a_time_that_follows_their_length(piece: bytes, before: bytes) -> None:
    data = before + piece * (64 * 1024 // len(piece))
    for work in (recognise, message.tokens_in):
        assert is_linear(partial(work, keys=[KEY]), data[: len(data) // 4], data)


def quoted(data: bytes) -> bytes:
    return b"".join(b"> " + line for line in data.splitlines(keepends=True))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: data,
        lambda data: data.replace(b"; ", b";\r\n\t"),
        quoted,
        lambda data: quoted(quoted(data.replace(b"; ", b";\r\n "))),
        base64.encodebytes,
        binascii.b2a_qp,
        lambda data: quoted(binascii.b2a_qp(data)),
        lambda data: binascii.b2a_qp(quoted(data)),
        lambda data: quoted(base64.encodebytes(data)),
        lambda data: base64.encodebytes(quoted(data)),
    ],
)
def test_a_token_is_found_in_what_a_notice_returns(wrap: Callable[[bytes], bytes]) -> None:
    returned = b"Your message did not arrive.\r\n\r\n" + wrap(header(built())) + b"\r\n-- \r\nthe server\r\n"
    assert message.tokens_in(returned, [OTHER_KEY, KEY]) == SENT
    assert message.tokens_in(returned, [OTHER_KEY]) is None


def envelope_of(fields: dict[str, str]) -> Envelope | None:
    """What a profile and the settings make of these texts; None where they refuse them."""
    host, originator = fields.pop("helo_name"), fields.pop("default originator")
    data = {"type": "smtp", "name": "mail", "server": "h", **fields}
    if not data["sender"]:
        del data["sender"]
    try:
        element = codec.decode_element(json.dumps(data))
        config = load({}, helo_name=host, originator=originator)
    except (ValueError, SettingsError):
        return None
    assert isinstance(element, SmtpElement)
    return Envelope(
        sender_of(element),
        element.email or "",
        element.heloname or config.helo_name,
        element.originator or config.originator,
    )


TEXTS = {
    "email": "probe@example.com",
    "username": "sender@example.com",
    "helo_name": "worker.example.com",
    "default originator": "SMTP-Monitor",
    "sender": "",
    "heloname": "",
    "originator": "",
}
CONTROLS = st.characters(codec="utf-8", categories=("Cc", "Zl", "Zp"))


@given(st.sampled_from(sorted(TEXTS)), st.data(), st.one_of(st.text(max_size=5), CONTROLS))
@example("email", None, "\r\nBcc: all@example.com")
@example("username", None, "\nBcc: all@example.com")
@example("helo_name", None, "\r\n\r\nbody")
@example("originator", None, "\rBcc: all@example.com")
@example("sender", None, "a@example.com>\r\nRCPT TO:<all@example.com")
@example("originator", None, "Prüfer \u2028" * 6)
def test_no_text_of_a_profile_or_of_the_settings_adds_a_field(
    name: str, data: st.DataObject | None, added: str
) -> None:
    text = TEXTS[name]
    place = data.draw(st.integers(0, len(text))) if data else len(text)
    envelope = envelope_of({**TEXTS, name: text[:place] + added + text[place:]})
    if envelope is None:
        return
    lines = re.sub(rb"\r\n[ \t]", b"", header(built(envelope=envelope))).split(b"\r\n")
    assert [line.partition(b":")[0].decode() for line in lines[:-1]] == FIELD_NAMES
    assert b"\r" not in b"".join(lines)
    assert b"\n" not in b"".join(lines)


@pytest.mark.parametrize("name", sorted(TEXTS))
@pytest.mark.parametrize("added", ["\r\nBcc: all@example.com", "\nBcc: x", "\r", "\0", "\x7f"])
def test_a_text_with_a_control_character_is_refused(name: str, added: str) -> None:
    assert envelope_of(dict(TEXTS)) is not None
    assert envelope_of({**TEXTS, name: TEXTS[name] + added}) is None

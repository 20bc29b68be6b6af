from __future__ import annotations

import email
import email.policy
import email.utils
import json
import re
import string
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from postbeat import codec, message, settings
from postbeat.elements import SmtpElement
from postbeat.message import Envelope, Token, recognise
from postbeat.model import Poll
from postbeat.sending import sender_of

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
RECEIVED = b"Received: from a by b\r\n\twith ESMTP;\r\n Mon, 1 Jan 2024 00:00:00 +0000\r\n"


def parsed(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)


def built(token: Token = TOKEN, envelope: Envelope = ENVELOPE) -> bytes:
    return message.build(token, envelope, KEY)


def header(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[0] + b"\r\n"


def token_in(value: str, *keys: bytes) -> Token | None:
    return message.parse_value(value, keys or (KEY,))


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


def test_every_message_has_an_id_of_its_own() -> None:
    found = {parsed(built())["Message-ID"] for _ in range(1000)}
    assert len(found) == 1000
    assert all(name.endswith(".postbeat@worker.example.com>") for name in found)


def test_the_lines_are_such_that_no_server_has_to_change_them() -> None:
    data = built()
    assert data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n")
    assert all(len(line) <= 998 and not line.startswith(b".") for line in data.split(b"\r\n"))
    assert data.isascii()


def test_our_message_is_recognised() -> None:
    assert recognise(header(built()), [KEY]).token == TOKEN


@given(st.integers(1, 60))
def test_our_message_is_recognised_when_servers_have_folded_its_field(width: int) -> None:
    value = message.field_value(TOKEN, KEY)
    folded, line = "X-POSTBEAT:", ""
    for word in value.split():
        line = f"{line} {word}"
        if len(line) > width:
            folded, line = f"{folded}{line}\r\n\t", ""
    assert recognise(f"{folded}{line}\r\n".encode(), [KEY]).token == TOKEN


def test_the_message_of_another_site_is_not_ours() -> None:
    assert recognise(header(built()), [OTHER_KEY]).token is None
    assert recognise(header(built()), []).token is None


def test_an_old_key_still_verifies_while_the_new_one_signs() -> None:
    assert recognise(header(built()), [OTHER_KEY, KEY]).token == TOKEN
    assert token_in(message.field_value(TOKEN, OTHER_KEY), OTHER_KEY, KEY) == TOKEN


@given(st.data(), st.characters(codec="utf-8"))
def test_any_changed_character_makes_it_a_strangers(data: st.DataObject, char: str) -> None:
    value = message.field_value(TOKEN, KEY)
    place = data.draw(st.integers(0, len(value) - 1))
    changed = value[:place] + char + value[place + 1 :]
    assume(changed.split() != value.split())
    assert token_in(changed) is None


@given(st.data(), st.sampled_from(string.digits + string.ascii_letters + ";=-_#@\u0661"))
def test_any_added_character_makes_it_a_strangers(data: st.DataObject, char: str) -> None:
    value = message.field_value(TOKEN, KEY)
    place = data.draw(st.integers(0, len(value)))
    assert token_in(value[:place] + char + value[place:]) is None


@pytest.mark.parametrize(
    ("old", "new"), [("attempt=2", "attempt=02"), ("sent=", "sent=0"), ("#5666666", "#05666666")]
)
def test_another_writing_of_the_same_number_is_not_ours(old: str, new: str) -> None:
    assert token_in(message.field_value(TOKEN, KEY).replace(old, new)) is None


@given(st.integers(1, 150))
def test_a_field_that_was_cut_off_is_not_ours(count: int) -> None:
    assert token_in(message.field_value(TOKEN, KEY)[:-count]) is None


@given(st.binary(max_size=300))
@example(b"X-Postbeat: v=1; poll=mail@eu#1; attempt=1; sent=1; sig=" + b"A" * 43)
@example(b"X-Postbeat: v=1; poll=mail#1; attempt=1; sent=1; sig=" + b"A" * 43)
def test_no_strangers_header_is_ours(data: bytes) -> None:
    assert recognise(data, [KEY]).token is None


def test_the_first_field_that_verifies_counts() -> None:
    forged = b"X-Postbeat: v=1; poll=other@eu#1; attempt=1; sent=1; sig=" + b"A" * 43 + b"\r\n"
    assert recognise(forged + header(built()), [KEY]).token == TOKEN


@pytest.mark.parametrize("count", [0, 1, 7])
def test_hops_are_the_received_fields_folded_or_not(count: int) -> None:
    data = RECEIVED * count + b"X-Received: from x\r\nSubject: Received: no\r\n" + header(built())
    assert recognise(data, [KEY]).hop_count == count


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_spelling_of_a_fields_name_and_the_line_ends_do_not_matter(end: bytes) -> None:
    data = RECEIVED.replace(b"Received:", b"RECEIVED :") + b"received: from c\r\n" + header(built())
    found = recognise(data.replace(b"\r\n", end), [KEY])
    assert (found.hop_count, found.token) == (2, TOKEN)


def envelope_of(fields: dict[str, str]) -> Envelope | None:
    """What a profile and the settings make of these texts; None where they refuse them."""
    host, originator = fields.pop("helo_name"), fields.pop("default originator")
    data = {"type": "smtp", "name": "mail", "server": "h", **fields}
    if not data["sender"]:
        del data["sender"]
    try:
        element = codec.decode_element(json.dumps(data))
        config = settings.load({}, helo_name=host, originator=originator)
    except (ValueError, settings.SettingsError):
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

"""The fields of a profile that say what is sent, and what they mean for those who read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbeat.elements import MailboxElement, SmtpElement
from postbeat.profile import load
from postbeat.sending import sender_of

GOOD = Path(__file__).parents[1] / "profiles" / "good" / "message.yaml"


@pytest.mark.parametrize(
    ("name", "usebody"), [("inbox", 1), ("same-mailbox", 1), ("outside", None), ("never", 0)]
)
def test_who_reads_a_mailbox_looks_into_bodies_where_a_sender_writes_there(
    name: str, usebody: int | None
) -> None:
    reader = load(GOOD).elements[name]
    assert isinstance(reader, MailboxElement)
    assert reader.usebody == usebody


def test_an_empty_sender_is_another_thing_than_none() -> None:
    elements = load(GOOD).elements
    senders = [sender_of(element) for element in elements.values() if isinstance(element, SmtpElement)]
    assert senders == ["", "probe@example.com"]


@pytest.mark.parametrize("username", ["probe", "a b@example.com", "a@b@c", "x>y@example.com", "@", "a@"])
def test_a_login_that_is_no_address_is_not_the_sender(username: str) -> None:
    element = SmtpElement(name="m", server="h", email="probe@example.com", username=username)
    assert sender_of(element) == "probe@example.com"

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.elements import NAME_PATTERN, REGION_PATTERN, Imap4Element, SmtpElement
from postbeat.model import Pair, Poll, Secret

names = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda text: text.isascii())
regions = st.from_regex(REGION_PATTERN, fullmatch=True).filter(lambda text: not text.endswith("\n"))


@given(names, regions, st.integers(0, 10**15 - 1))
def test_a_poll_is_read_back_from_its_id(element: str, region: str, slot: int) -> None:
    poll = Poll(element.removesuffix("\n"), region, slot)
    assert Poll.parse(str(poll)) == poll
    assert Pair.parse(str(poll.pair)) == poll.pair == Pair(poll.element, region)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mail@eu",
        "mail#1",
        "@eu#1",
        "mail@#1",
        "mail@eu#",
        "mail@eu#-1",
        "mail@eu#1.5",
        "mail@EU#1",
        "mail@eu@us#1",
        "-mail@eu#1",
        " mail@eu#1",
        "mail@eu#1\n",
        "mail@eu#1\r\nX: y",
        "mail@eu#\u0661",
        "n" * 65 + "@eu#1",
        "mail@" + "r" * 33 + "#1",
        "mail@eu#" + "1" * 16,
    ],
)
def test_what_is_no_poll_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a poll id"):
        Poll.parse(text)


@pytest.mark.parametrize("raw", ["hunter2", {"env": "NAME"}, {"file": "/run/secret"}, {"sealed": "gAAA"}])
def test_a_secret_is_read_back_from_its_plain_form(raw: object) -> None:
    secret = Secret.parse(raw)
    assert Secret.parse(secret.plain()) == secret
    assert Secret.parse(secret) is secret


@pytest.mark.parametrize(
    "raw", ["", None, 5, [], {}, {"env": ""}, {"env": 5}, {"vault": "x"}, {"env": "A", "file": "b"}]
)
def test_what_is_no_secret_is_refused_and_not_repeated(raw: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a text, \{env: NAME\} or \{file: PATH\}$"):
        Secret.parse(raw)


@pytest.mark.parametrize("show", [repr, str, "{!r}".format, "{}".format])
def test_a_secret_is_never_shown(show: object) -> None:
    element = Imap4Element(name="box", server="h", username="u", password=Secret("literal", "hunter2"))
    assert callable(show)
    assert "hunter2" not in show(element.password)
    assert "hunter2" not in show(element)


def test_a_title_is_the_description_or_says_what_the_element_is() -> None:
    assert SmtpElement(name="mail", server="h", description="Head office").title == "Head office"
    assert SmtpElement(name="mail", server="h").title == "smtp h mail"


def test_the_longest_poll_runs_every_attempt_to_its_deadline() -> None:
    element = SmtpElement(name="mail", server="h", timeout=30, failureretests=3, retestinterval=5)
    assert element.longest_s == 4 * 30 + 3 * 5

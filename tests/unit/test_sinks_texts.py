"""Templates of what people read, and the texts that sinks make of an event."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbeat.sinks.command import environment
from postbeat.sinks.notice import samples
from postbeat.sinks.template import BODY, OUTPUT_LIMIT, SLACK_TEXT, SUBJECT, Template, check
from postbeat.sinks.webhook import signature


@pytest.mark.parametrize("text", [SUBJECT, BODY, SLACK_TEXT])
def test_the_default_templates_fit_every_event(text: str) -> None:
    assert check(text) == text


def test_the_default_body_says_what_where_and_since_when() -> None:
    problem, _, recovery, *_ = samples()
    body = Template(BODY, BODY).render(problem)
    for part in ("FAILED: mail@lab", "452 4.2.2 The mailbox is full", "Region:   lab", "Stage:    data"):
        assert part in body
    assert "The problem began at 2026-01-01T00:00:00.000Z" in Template(BODY, BODY).render(recovery)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% for %}", "line 1: "),
        ("a\n{{ ", "line 2: "),
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ element.__class__.__mro__ }}", "unsafe"),
        ("{{ 'x' * 10000000000 }}", "is for numbers"),
        ("{{ '%9999999999d' % 1 }}", "is for numbers"),
        ("{{ 9 ** 9 ** 9 }}", "not available"),
        ("{% include 'x' %}", "no loader"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "not available"),
        ("{% for i in range(1000000) %}x{% endfor %}", "Range too big"),
    ],
)
def test_a_template_that_does_not_work_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check(text)


def test_the_text_of_a_template_is_bounded() -> None:
    endless = "{% for i in range(9999) %}{% for j in range(9999) %}xxxx{% endfor %}{% endfor %}"
    text = Template(check(endless), BODY).render(next(samples()))
    assert len(text) == OUTPUT_LIMIT


def test_a_template_that_fails_on_an_event_is_replaced_by_the_default() -> None:
    only_known = "{{ {'FAILED': 1, 'UNKNOWN': 2, 'GOOD': 3}[level] }}"
    unusual = replace(next(samples()), level="MARGINAL")
    assert Template(check(only_known), SUBJECT).render(unusual) == "[postbeat] MARGINAL: mail@lab"


def test_a_line_stays_one_line_whatever_a_server_says() -> None:
    hostile = replace(next(samples()), message="550 no\r\nBcc: all@example.com\x00\x1b[2J")
    line = Template("{{ message }}", SUBJECT).line(hostile)
    assert line == "550 no Bcc: all@example.com[2J"


def test_a_signature_is_the_one_of_the_documentation() -> None:
    # Computed with: printf '%s' '1767225600.{"id":"1-0"}' | openssl dgst -sha256 -hmac secret
    assert signature("secret", b'{"id":"1-0"}', 1767225600) == (
        "t=1767225600,v1=e9a56831dc9c317e24790c5e6f4788d732d5ac6cebcf14120791c9c6b456ca7b"
    )


def test_a_program_gets_texts_and_numbers_and_no_zero_byte() -> None:
    variables = environment({"id": "1-0", "message": "a\0b", "at": 1.5, "fault": None, "regions": {}})
    own = {name: value for name, value in variables.items() if name.startswith("POSTBEAT_")}
    assert own == {"POSTBEAT_ID": "1-0", "POSTBEAT_MESSAGE": "ab", "POSTBEAT_AT": "1.5"}

from __future__ import annotations

import operator
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.classification import (
    CONDITIONS_LIMIT,
    LENGTH_LIMIT,
    OPERANDS,
    Classification,
    Condition,
    NeverFits,
    OperandKind,
)
from postbeat.model import FaultCode, Level, Phase

LEVELS = st.sampled_from([Level.GOOD, Level.MARGINAL, Level.FAILED])
NUMBERS = st.integers(0, 10**14) | st.floats(0, 1e14)
LINES = st.text(st.characters(codec="utf-8"), max_size=30).filter(str.isprintable)
ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
SAME = {"=": operator.eq, "!=": operator.ne}


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """One condition, in any of the ways in which it can be written."""
    name = draw(st.sampled_from(sorted(OPERANDS)))
    space = draw(st.sampled_from(["", " ", "  "]))
    if OPERANDS[name].kind is OperandKind.NUMBER:
        sign = draw(st.sampled_from([*ORDERS, "=", "==", "!="]))
        return f"{name}{space}{sign}{space}{draw(NUMBERS)}"
    sign = draw(st.sampled_from(["=", "!=", " contains ", " !contains "]))
    words = OPERANDS[name].words
    text = draw(st.sampled_from(words) if words else LINES.filter(bool))
    quote = draw(st.sampled_from(["'", '"']))
    escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    return f"{name}{sign}{quote}{escaped}{quote}"


@st.composite
def rules(draw: st.DrawFn) -> str:
    parts = draw(st.lists(conditions(), min_size=1, max_size=3))
    level = draw(LEVELS)
    arrow = draw(st.sampled_from([" -> ", "->", " "]))
    return f"{' and '.join(parts)}{arrow}{draw(st.sampled_from([level, level.lower(), level.title()]))}"


@given(rules())
def test_what_is_written_out_means_the_same(text: str) -> None:
    try:
        rule = Classification.parse(text)
    except ValueError as error:
        if not re.search(r"characters|never stand in the same result", str(error)):
            raise
        return
    assert Classification.parse(str(rule)) == rule
    assert str(Classification.parse(str(rule))) == str(rule)
    assert len(str(rule)) <= LENGTH_LIMIT


@given(
    st.text(max_size=LENGTH_LIMIT + 1)
    | st.lists(st.sampled_from(["status", "=", "<", ">", "-", " ", "a", "1", "'", '"', "\\"])).map("".join)
)
def test_any_text_is_a_rule_or_is_refused_in_one_line(text: str) -> None:
    said = ""
    try:
        rule = Classification.parse(text)
        assert Classification.parse(str(rule)) == rule
    except ValueError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 2 * LENGTH_LIMIT


@given(NUMBERS, NUMBERS, st.sampled_from([*ORDERS, *SAME]))
def test_numbers_are_compared_as_numbers(measured: float, value: float, sign: str) -> None:
    condition = Condition("responseTime", sign, float(value))
    assert condition.holds(measured) is (ORDERS | SAME)[sign](measured, float(value))


@given(LINES, LINES)
def test_each_text_operator_is_the_opposite_of_its_negation(measured: str, value: str) -> None:
    for sign, opposite in (("=", "!="), ("contains", "!contains")):
        held = Condition("message", sign, value).holds(measured)
        assert Condition("message", opposite, value).holds(measured) is not held


def test_texts_are_the_same_in_upper_and_lower_case() -> None:
    assert (
        Classification.parse("message contains GREYlisted -> GOOD")
        .conditions[0]
        .holds("450 Greylisted, wait")
    )
    assert Classification.parse("security = starttls -> GOOD").conditions[0].holds("STARTTLS")


@given(st.sampled_from(sorted(OPERANDS)), st.sampled_from([*ORDERS, *SAME, "contains", "!contains"]))
def test_of_what_was_not_measured_nothing_is_true(name: str, sign: str) -> None:
    assert not Condition(name, sign, 1.0 if OPERANDS[name].kind is OperandKind.NUMBER else "x").holds(None)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("responseTime>2->marginal", "responseTime > 2 -> MARGINAL"),
        ("status == 250 -> Good", "status = 250 -> GOOD"),
        (
            "lookupTime >= 0.50 AND connectTime < 1e-1 -> FAILED",
            "lookupTime >= 0.5 and connectTime < 0.1 -> FAILED",
        ),
        ("message !CONTAINS 'it''s' -> GOOD", None),
        ("message contains 'it\\'s \"so\"' -> GOOD", 'message contains "it\'s \\"so\\"" -> GOOD'),
        ("enhanced = 5.7.1 -> GOOD", "enhanced = 5.7.1 -> GOOD"),
        ('reply contains "-> and" -> GOOD', 'reply contains "-> and" -> GOOD'),
        ("message = and and status = 1 -> GOOD", "message = and and status = 1 -> GOOD"),
        ("message = good good", "message = good -> GOOD"),
        ("$totaltime>2 failed", "totalTime > 2 -> FAILED"),
        ("email = a@example.com -> GOOD", "email = a@example.com -> GOOD"),
        ('email = "" -> GOOD', 'email = "" -> GOOD'),
    ],
)
def test_a_rule_is_written_out_in_one_way(text: str, written: str | None) -> None:
    if written is None:
        with pytest.raises(ValueError, match="a text of words needs quotes"):
            Classification.parse(text)
    else:
        assert str(Classification.parse(text)) == written


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (3, "expected OPERAND OP VALUE -> LEVEL, such as responseTime > 2 -> MARGINAL"),
        ("  ", "expected OPERAND OP VALUE -> LEVEL, such as responseTime > 2 -> MARGINAL"),
        ("x" * 201, "expected at most 200 characters, got 201"),
        ("status = 1\n-> GOOD", "expected a text of one line, without control characters"),
        ("-> GOOD", "expected the name of an element of results, got '-> GOOD'"),
        ("responsetime > 2 -> GOOD", "'responsetime' is no element of results; did you mean responseTime?"),
        ("$$status = 2 -> GOOD", "'$$status' is no element of results; did you mean status?"),
        ("$ = 2 -> GOOD", "'$' is no element of results"),
        ("zzz = 2 -> GOOD", "'zzz' is no element of results"),
        (
            "status ~ 3 -> GOOD",
            "expected one of = != < <= > >= contains !contains after status, got '~ 3 -> GOOD'",
        ),
        ("status = -> GOOD", "expected a value after status =, got '-> GOOD'"),
        ("message = 'open -> GOOD", 'expected a value after message =, got "\'open -> GOOD"'),
        ("responseTime > fast -> GOOD", "responseTime is a number (seconds): expected 0 or more, got 'fast'"),
        ("responseTime > 2s -> GOOD", "responseTime is a number (seconds): expected 0 or more, got '2s'"),
        ("responseTime > -1 -> GOOD", "responseTime is a number (seconds): expected 0 or more, got '-1'"),
        ("size > 1e999 -> GOOD", "size is a number (bytes): expected 0 or more, got '1e999'"),
        ("size > '5' -> GOOD", "size is a number (bytes): expected 0 or more, got \"'5'\""),
        ("status contains 5 -> GOOD", "contains is for texts, and status is a number"),
        ("message < 3 -> GOOD", "< is for numbers, and message is a text: use = != contains !contains"),
        ("outcome = delivred -> GOOD", "outcome is never 'delivred'; did you mean delivered?"),
        ("side = LOCAL -> FAILED", "side is never 'LOCAL': it is REMOTE"),
        ("fault = time-out -> GOOD", "fault is never 'time-out'; did you mean timeout?"),
        ("stage = helo -> MARGINAL", "stage is never 'helo'; did you mean ehlo?"),
        (
            "stage != xyz -> GOOD",
            "stage is never 'xyz': it is token, mx, mta-sts, lookup, dane, connect, greeting, ehlo,"
            " capability, starttls, tls, auth, login, enable, select, mail, rcpt, data, upload, find, fetch"
            " or facts",
        ),
        (
            'message contains "" -> GOOD',
            "every text contains an empty one: expected a value after message contains",
        ),
        ("status = 250", "expected and, or -> LEVEL, after status = 250, got nothing"),
        ("status = 250 UNKNOWN", "expected and, or -> LEVEL, after status = 250, got 'UNKNOWN'"),
        ("status = 250 GOOD GOOD", "expected and, or -> LEVEL, after status = 250, got 'GOOD GOOD'"),
        (
            "status = 1 or status = 2 -> GOOD",
            "there is no or: write one classification for each, in the order in which they are tried",
        ),
        ("status = 250 -> UNKNOWN", "expected GOOD, MARGINAL or FAILED after ->, got 'UNKNOWN'"),
        ("status = 250 -> ", "expected GOOD, MARGINAL or FAILED after ->, got nothing"),
        ("status = 250 -> GOOD -> GOOD", "expected GOOD, MARGINAL or FAILED after ->, got 'GOOD -> GOOD'"),
        (f"{' and '.join(['status = 1'] * 9)} -> GOOD", f"expected at most {CONDITIONS_LIMIT} conditions"),
        (
            "responseTime > 1 and timeToDeliver > 2 -> GOOD",
            "responseTime and timeToDeliver never stand in the same result",
        ),
    ],
)
def test_what_is_no_rule_is_told_why(raw: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Classification.parse(raw)


def test_a_fault_code_that_is_none_is_told_with_all_that_there_are() -> None:
    with pytest.raises(NeverFits) as caught:
        Classification.parse("fault = foo -> GOOD")
    *most, last = FaultCode
    assert str(caught.value) == f"fault is never 'foo': it is {', '.join(most)} or {last}"


def test_a_rule_that_is_too_long_when_written_out_is_refused() -> None:
    text = " and ".join(["responseTime>1e14"] * 8)
    assert len(text) <= LENGTH_LIMIT
    with pytest.raises(ValueError, match=r"^written out it has more than 200 characters"):
        Classification.parse(f"{text}->GOOD")


def test_a_rule_knows_in_which_results_all_of_its_elements_stand() -> None:
    assert Classification.parse("uploadTime > 1 and fault = timeout -> GOOD").phases == {Phase.SEND}
    assert Classification.parse("fault = timeout -> GOOD").phases == set(Phase)
    assert Classification.parse("hopCount > 5 -> GOOD").phases == {Phase.READ, Phase.AFTER}

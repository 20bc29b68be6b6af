"""Service level classifications in the ISM's form."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.classification import LENGTH_LIMIT, OPERANDS, Classification
from postbeat.elements import ITEM_LIMIT
from postbeat.ism import levels
from postbeat.ism.levels import parse, text_of
from tests.unit.test_classification import rules

DOCUMENT = Path(__file__).parents[2] / "docs" / "ism-elements.md"


def parse_all(text: str) -> tuple[Classification, ...]:
    return levels.parse_all(text, parse)


def valid(text: str) -> bool:
    try:
        Classification.parse(text)
    except ValueError:
        return False
    return True


CLASSIFICATIONS = rules().filter(valid).map(Classification.parse)


@given(CLASSIFICATIONS)
def test_what_is_written_as_a_statement_reads_back_as_the_same(classification: Classification) -> None:
    text = text_of(classification)
    assert parse(text) == classification
    assert text_of(parse(text)) == text
    assert text.endswith((" Good", " Marginal", " Failed"))


@given(CLASSIFICATIONS)
def test_both_forms_are_one(classification: Classification) -> None:
    assert parse(str(classification)) == Classification.parse(text_of(classification)) == classification


@given(st.lists(CLASSIFICATIONS, max_size=5), st.sampled_from([";", "; ", "\n", "\r\n", " ;\n\n"]))
def test_several_statements_of_one_text_keep_their_order(found: list[Classification], between: str) -> None:
    assert parse_all(between.join(map(text_of, found))) == tuple(found)


@given(st.text(max_size=2 * LENGTH_LIMIT) | st.text(st.sampled_from("status=250 Good;\"'\\\n$>-")))
def test_any_text_is_statements_or_is_refused_with_a_line_for_each(text: str) -> None:
    try:
        found = parse_all(text)
    except ValueError as error:
        for line in str(error).split("\n"):
            assert re.match(r"statement \d+: |expected at most \d+ statements", line)
            assert line.isprintable()
    else:
        assert parse_all("\n".join(map(text_of, found))) == found


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("totalTime > 5 Marginal", "totalTime > 5 -> MARGINAL"),
        ("$totaltime >= 5 Marginal", "totalTime >= 5 -> MARGINAL"),
        ("reponseTime > 2.5 failed", "responseTime > 2.5 -> FAILED"),
        ('message contains "refused" Failed', "message contains refused -> FAILED"),
        ("message !contains 'it is; late' GOOD", 'message !contains "it is; late" -> GOOD'),
        ("message = Good Good", "message = Good -> GOOD"),
        ("message = and Failed", "message = and -> FAILED"),
        ("$status = 250 and $uploadTime < 2 Good", "status = 250 and uploadTime < 2 -> GOOD"),
        ("status != 250 -> Failed", "status != 250 -> FAILED"),
        ("timeToDeliver > 60 Failed", "timeToDeliver > 60 -> FAILED"),
        ("security = SSL Good", "security = SSL -> GOOD"),
    ],
)
def test_a_statement_is_a_rule_without_an_arrow(text: str, rule: str) -> None:
    assert str(parse(text)) == rule
    assert parse_all(f" {text} ;; {text}\n") == (parse(rule),) * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected OPERAND OP VALUE -> LEVEL, such as responseTime > 2 -> MARGINAL"),
        ("totalTime > 5", "expected and, or -> LEVEL, after totalTime > 5, got nothing"),
        ("totalTime > 5 Bad", "expected and, or -> LEVEL, after totalTime > 5, got 'Bad'"),
        ("totalTime > 5 Unknown", "expected and, or -> LEVEL, after totalTime > 5, got 'Unknown'"),
        ("totalTime > 5 Good Failed", "expected and, or -> LEVEL, after totalTime > 5, got 'Good Failed'"),
        ("totalTime > 5 and Failed", "'Failed' is no element of results; did you mean altered?"),
        ("totalTime > -5 Failed", "totalTime is a number (seconds): expected 0 or more, got '-5'"),
        ("totalTime > Failed", "totalTime is a number (seconds): expected 0 or more, got 'Failed'"),
        ("$totalTimes > 5 Failed", "'$totalTimes' is no element of results; did you mean totalTime?"),
        ("$ > 5 Failed", "'$' is no element of results"),
        (
            "totalTime is 5 Failed",
            "expected one of = != < <= > >= contains !contains after totalTime, got 'is 5 Failed'",
        ),
        (
            "message contains mailbox full Failed",
            "expected and, or -> LEVEL, after message contains mailbox, got 'full Failed'; "
            "a text of words needs quotes",
        ),
        ("message contains Failed", "expected and, or -> LEVEL, after message contains Failed, got nothing"),
        ("message > 5 Failed", "> is for numbers, and message is a text: use = != contains !contains"),
        ("message = 'so Failed", 'expected a value after message =, got "\'so Failed"'),
        (
            "status = 1 or status = 2 Failed",
            "there is no or: write one classification for each, in the order in which they are tried",
        ),
    ],
)
def test_what_is_no_statement_is_told_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse(text)


def test_every_bad_statement_of_a_text_is_named_by_its_number() -> None:
    text = "status = 250 Good; status = 250\nmessage = 'a;b' Failed\nfoo = 1 Good; hopCount > 9 Marginal"
    with pytest.raises(ValueError, match=r"^statement 2: ") as caught:
        parse_all(text)
    assert str(caught.value) == (
        "statement 2: expected and, or -> LEVEL, after status = 250, got nothing\n"
        "statement 4: 'foo' is no element of results"
    )


def test_no_more_statements_are_read_than_an_element_may_have() -> None:
    one = "status = 250 Good;"
    assert len(parse_all(one * ITEM_LIMIT)) == ITEM_LIMIT
    with pytest.raises(ValueError, match=r"^expected at most 32 statements, got 33$"):
        parse_all(one * (ITEM_LIMIT + 1))
    assert parse_all(" ;\n; ") == ()


@pytest.mark.parametrize("sign", ['"', '\\"', "'\\", ";", "\n", '"\\', "a=1 Good;"])
def test_a_hostile_text_takes_time_in_proportion_to_its_length(sign: str) -> None:
    def took_s(count: int) -> float:
        begin = time.process_time()
        with pytest.raises(ValueError, match=r"expected|no element"):
            parse_all(f"x {sign * count} ;y")
        return time.process_time() - begin

    took_s(100)
    assert min(took_s(100_000) for _ in range(3)) < 2  # quadratic it would be many minutes


def test_the_operands_have_no_level_s_name_and_no_dollar() -> None:
    assert not {"good", "marginal", "failed"} & {name.casefold() for name in OPERANDS}
    assert not any("$" in name for name in OPERANDS)


def test_the_statements_of_the_document_are_some() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").partition("## Service levels\n")[2]
    block = section.partition("```text\n")[2].partition("```")[0]
    assert [text_of(one) for one in parse_all(block)] == [
        "totalTime > 5 Failed",
        "totalTime > 2 and status = 250 Marginal",
        "message contains greylisted -> Good",
    ]

"""The regular expressions of the rules language."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.ism.rules.errors import Limits, RulesErrors
from postbeat.ism.rules.loading import load
from postbeat.ism.rules.program import Program
from postbeat.ism.rules.regexes import CACHED, RESULT_CHARS, BadPatternError, compiled
from tests.conftest import MANY

LONG = 65_536


# --- what is understood


@pytest.mark.parametrize(
    ("pattern", "text", "group"),
    [
        ("([[:digit:]]+)", "port 25", "25"),
        ("([[:alpha:]]+)[[:space:]]([[:alpha:]]+)", "1 to me", "to"),
        (r"(\d+)\s(\w+)", "25 open", "25"),
        (r"(\pL+)", "1 Grüße", "Grüße"),
        ("(?i)(REFUSED)", "refused", "refused"),
        ("a(.)b", "a\nb", "\n"),
        ("^(b)$", "a\nb\nc", None),
        ("(a+?)a*$", "aaa", "a"),
        ("(a|ab)(c|bcd)?", "abcd", "a"),
        (r"\b(at)\b", "bat at", "at"),
        ("(x)?y", "y", ""),
        ("(.)", "\ud800", "?"),
        ("(☂)", "a☂b", "☂"),
        (r"(\x{2602})", "a☂b", "☂"),
        ("(a.{3})", "aé☂ß.", "aé☂ß"),
        ("(?:x)(y)", "xy", "y"),
        (r"(\.)", "a.b", "."),
    ],
)
def test_the_first_group_of_the_first_match_is_taken_out(pattern: str, text: str, group: str | None) -> None:
    assert compiled(pattern).first_group(text) == group
    assert compiled(pattern).found(text) == (group is not None)


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "result"),
    [
        (r"\.", " ", "mail.example.com", "mail example com"),
        ("[0-9]+", r"<\0>", "port 25, 465", "port <25>, <465>"),
        ("([a-z]+)@([a-z]+)", r"\2 \1 \\1 \n", "to me@home", r"to home me \1 \n"),
        ("", "-", "aé", "-a-é-"),
        ("x*", "-", "éa", "-é-a-"),
        ("$", "!", "a", "a!"),
        ("^a", "b", "aaa", "baa"),
        ("^|$", "_", "a", "_a_"),
        (r"\ba", "b", "aa a", "ba b"),
        ("x*", "-", "axxa", "-a-a-"),
        ("b*|c", "-", "abc", "-a-c-"),
        (r"\\+", r"\\", r"a\\\b", r"a\b"),
        ("(a)|(b)", r"[\1\2]", "ab", "[a][b]"),
        ("a", r"\0\0", "aba", "aabaa"),
        ("e", "\\", "e", "\\"),
        ("[b]", "c", "\ud800b", "?c"),
    ],
)
def test_every_match_is_replaced(pattern: str, replacement: str, text: str, result: str) -> None:
    assert compiled(pattern).replaced(text, replacement) == result


# --- what is refused


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"a ( is not closed; for the character itself write \("),
        ("a)", r"a ) has no (; for the character itself write \)"),
        ("[a", r"a [ is not closed; for the character itself write \["),
        ("*a", r"nothing stands before the * that could be repeated; for the character itself write \*"),
        ("a|+", r"nothing stands before the + that could be repeated; for the character itself write \+"),
        ("a++", "++ repeats a repetition; put what is repeated into ( )"),
        ("x{1000}{1000}", "{1000}{1000} repeats a repetition; put what is repeated into ( )"),
        ("(x{1000}){1000}", "{1000} is no count: up to 1000, the lesser first, 1000 in all where they nest"),
        ("a{2,1}", "{2,1} is no count: up to 1000, the lesser first, 1000 in all where they nest"),
        ("[z-a]", "z-a is no range or class of characters"),
        ("[[:letter:]]", "[:letter:] is no range or class of characters"),
        ("a\\", "the \\ at its end has no character after it"),
        (r"(a)\1", r"\1 would mean what a group matched before, which is not possible here"),
        ("(?=a)", "(?= looks around, which is not possible here; make two tests of it"),
        ("(?<!a)", "(?<! looks around, which is not possible here; make two tests of it"),
        ("(?>a)", "(?> is not known here"),
        (r"\y", r"\y means nothing; for the character \ write \\"),
        (r"\<a", r"\< is not known here: write \b for the edge of a word, or < for the character"),
        (r"a\>", r"\> is not known here: write \b for the edge of a word, or > for the character"),
        (r"a\Z", r"\Z is not known here: write $ for the end of the text"),
        (r"\C", r"\C is not known here: write . for any character"),
        ("(?P<a-b>x)", "(?P<a-b> is no name of a group"),
        (r"\pL{300}", "it is too big: too many repetitions of too much"),
        ("a" * 1001, "it has more than 1,000 characters"),
    ],
)
def test_a_bad_pattern_is_told_in_words(pattern: str, message: str) -> None:
    with pytest.raises(BadPatternError) as caught:
        compiled(pattern)

    assert caught.value.message == message


def test_without_parentheses_nothing_can_be_taken_out() -> None:
    with pytest.raises(BadPatternError) as caught:
        compiled("a[bc]").first_group("ab")

    assert caught.value.message == "it has no part in parentheses that could be taken out"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("ab", r"the replacement has \1, but it has no part in parentheses"),
        ("(a)b", r"the replacement has \2, but it has one part in parentheses"),
        ("(a)(b)", r"the replacement has \3, but it has 2 parts in parentheses"),
    ],
)
def test_a_group_that_is_not_there_cannot_be_put_in(pattern: str, message: str) -> None:
    with pytest.raises(BadPatternError) as caught:
        compiled(pattern).replaced("ab", message[20:22])

    assert caught.value.message == message


# --- it does what other programs do

letters = st.sampled_from("abc")
patterns = st.recursive(
    st.one_of(letters, st.sampled_from([".", "[ab]", "[^a]", r"\w", "^", "$"])),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        # How often what may be empty is repeated, RE2 and Python see in two ways.
        st.tuples(
            inner.filter(lambda it: not re.fullmatch(it, "")), st.sampled_from(["*", "+", "?", "*?", "{1,2}"])
        ).map(lambda two: f"(?:{two[0]}){two[1]}"),
    ),
    max_leaves=6,
)


@settings(max_examples=MANY // 4)
@given(patterns, st.text("abc\né", max_size=8))
def test_it_matches_what_pythons_expressions_match(pattern: str, text: str) -> None:
    # In Python $ also matches before a line's end; \Z is what $ is here.
    expected = re.search(f"({pattern})".replace("$", r"\Z"), text, re.DOTALL | re.ASCII)

    assert compiled(f"({pattern})").first_group(text) == (expected[1] if expected else None)


@settings(max_examples=MANY // 4)
@given(st.text("ab.\\-_/@é (", max_size=4), st.text("ab.\\-_/@é (", max_size=8), st.text("x\\0", max_size=3))
def test_a_pattern_without_anything_special_does_what_the_same_does_in_parentheses(
    pattern: str, text: str, replacement: str
) -> None:
    try:
        plain, other = compiled(pattern), compiled(f"(?:{pattern})")
    except BadPatternError:
        return
    assert plain.found(text) == other.found(text)
    assert plain.replaced(text, replacement) == other.replaced(text, replacement)


@settings(max_examples=MANY)
@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_pattern_is_compiled_or_refused(pattern: str, text: str) -> None:
    with suppress(BadPatternError):
        made = compiled(pattern)
        made.found(text)
        made.replaced(text, text)
        made.first_group(text)


# --- hostile patterns and texts

HOSTILE = [
    "(a+)+$",
    "(a|aa)+$",
    "(.*a){20}",
    "((a*)*)*$",
    "((((((((((a*)*)*)*)*)*)*)*)*)*)b?$",
    "(x+x+)+y",
    "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x",
    "([ab]*a[ab]{12})c",
    "([ab]*a[ab]{50})(.*)$",
    "([ab]*a[ab]{500})(.*)$",
    "(.{1000})y",
    "(?:a?){500}(a{500})b",
    r"(\w{900}\W)",
    r"(\pL{10})z",
    "(" * 490 + ")" * 490,
    "(a|" * 240 + "b" + ")" * 240,
]
TEXTS = ["a" * LONG, "ab" * (LONG // 2), "a" * (LONG - 1) + "x", "é" * (LONG // 2), "a" * 1000 + "!"]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_hostile_pattern_ends_soon_or_is_refused(pattern: str) -> None:
    for text in TEXTS:
        started_s = thread_time()
        with suppress(BadPatternError):
            compiled(pattern).found(text)
            compiled(pattern).first_group(text)
        assert thread_time() - started_s < 0.5


def test_a_big_pattern_does_for_texts_that_are_not_so_long() -> None:
    pattern = compiled("(.{1000})y")

    assert not pattern.found("a" * 400)
    with pytest.raises(BadPatternError) as caught:
        pattern.found("a" * LONG)
    assert caught.value.message == "the text is too long for so big a regular expression"


@pytest.mark.parametrize(
    ("pattern", "text", "replacement"),
    [("", "a" * LONG, "b" * 1000), ("a", "a" * LONG, "b" * 1000), ("[ab]", "a" * LONG, "b" * 1000)],
)
def test_a_replacement_that_grows_too_long_is_stopped(pattern: str, text: str, replacement: str) -> None:
    with pytest.raises(BadPatternError) as caught:
        compiled(pattern).replaced(text, replacement)

    assert caught.value.message == f"the result has more than {RESULT_CHARS:,} characters"


class Stopped(Exception):
    """What a bill is, when it is too much."""


def test_replacing_is_billed_while_it_goes_on() -> None:
    """Each search goes to the end of the text here: all of them together would take minutes."""
    left = 100_000

    def bill(steps: int) -> None:
        nonlocal left
        left -= steps
        if left < 0:
            raise Stopped

    started_s = thread_time()
    with pytest.raises(Stopped):
        compiled("a.*z|a").replaced("a" * LONG, "b", bill)

    assert thread_time() - started_s < 1


def test_compiling_is_billed_once() -> None:
    bills: list[int] = []
    pattern = compiled(r"[\pL]{5}billed once" + "|x{500}")

    pattern.settle(bills.append)
    first = sum(bills)
    pattern.settle(bills.append)

    assert 0 < first == sum(bills)


def test_patterns_are_kept_up_to_a_number() -> None:
    made = [compiled(f"kept {number}") for number in range(CACHED + 1)]

    assert compiled(f"kept {CACHED}") is made[-1]
    assert compiled("kept 0") is not made[0]
    assert compiled.cache_info().currsize == CACHED


def test_a_run_with_a_hostile_expression_is_stopped_and_says_where(tmp_path: Path) -> None:
    file = tmp_path / "hostile.rules"
    file.write_text('@Severity = 1\n@Summary = regreplace($message, "a.*z|a", "b")\n')
    program = load(file)

    started_s = thread_time()
    fault = program.run({"message": "a" * LONG}).fault

    assert thread_time() - started_s < 1
    assert fault is not None
    assert (fault.line, fault.message) == (2, "stopped after 150 ms of computing")


def rules_of(folder: Path, statements: int, pattern: str) -> Program:
    """Rules with as many tests, each of an expression of its own: $n in ``pattern`` is its number."""
    file = folder / "many.rules"
    lines = [
        f'if (regmatch($message, "{pattern.replace("$n", str(number))}")) {{ @A = 1 }}\n'
        for number in range(statements)
    ]
    file.write_text("".join(lines))
    return load(file)


def test_a_short_text_is_billed_what_it_costs_and_not_what_it_might(tmp_path: Path) -> None:
    """By the size of the expressions these could be 100,000 steps; they take a millisecond."""
    pattern = "(?i)(user|host|code) $n [^ ]{1,64}@[^ ]{1,255}: (refused|reset|timed out)"
    program = rules_of(tmp_path, 120, pattern)

    assert program.run({"message": "Connection refused by mail.example.com"}).fault is None


def test_no_result_pays_for_what_was_compiled_when_the_file_was_read(tmp_path: Path) -> None:
    """What is compiled here is in no other test, so that it was not compiled before."""
    pattern = "(?i)(user|host|code) of $n [^ ]{1,64}@[^ ]{1,255}: (refused|reset|timed out)"
    dates = tmp_path / "dates.rules"
    dates.write_text('@A = timetodate(0, "EEEE MMMM EEEE MMM yyyy z")\n')

    program = rules_of(tmp_path, 120, pattern)
    dated = load(dates, limits=Limits(steps=40))

    assert program.run({"message": "Connection refused by mail.example.com " * 2}).fault is None
    assert dated.run({}).fault is None


def test_a_file_may_have_more_expressions_than_are_kept_of_data(tmp_path: Path) -> None:
    program = rules_of(tmp_path, CACHED + 100, "(code|status) $n[0-9]+ (refused|reset)")
    program.run({"message": "x"})
    compiled.cache_clear()

    program.run({"message": "Connection refused by mail.example.com"})

    assert compiled.cache_info().misses == 0


def test_a_file_has_so_many_expressions_and_no_more(tmp_path: Path) -> None:
    file = tmp_path / "many.rules"
    file.write_text(
        '@A = regmatch($m, "a.") + regmatch($m, "a.") + regmatch($m, "b.")\n@B = extract($m, "(c)")'
    )

    assert load(file, limits=Limits(patterns=3))
    with pytest.raises(RulesErrors) as caught:
        load(file, limits=Limits(patterns=1))

    assert [(one.line, one.column, one.message) for one in caught.value.errors] == [
        (1, 61, "more than 1 different regular expressions and formats")
    ]


def test_a_pattern_that_comes_from_data_and_is_bad_stops_the_run(tmp_path: Path) -> None:
    file = tmp_path / "data.rules"
    file.write_text("@Summary = extract($message, $pattern)\n")

    fault = load(file).run({"message": "a", "pattern": "(?=" + "x" * 100}).fault

    assert fault is not None
    assert fault.message == (
        f'regular expression "(?={"x" * 54}...": '
        "(?= looks around, which is not possible here; make two tests of it"
    )

"""Rules files that nobody would write: each is refused with a place, or runs to an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbeat.ism.rules import nvp
from postbeat.ism.rules.errors import Limits, RulesErrors
from postbeat.ism.rules.functions import FUNCTIONS
from postbeat.ism.rules.loading import DEFAULTS, load
from postbeat.ism.rules.program import Outcome, Program
from postbeat.ism.rules.special import SPECIAL
from postbeat.ism.values import Value

LIMITS = Limits(steps=3_000, array_entries=20, all_entries=30, events=5, log_lines=20, nesting=30)
BEFORE = """T = registertarget(%Server, "", "alerts.status")
table one = {{"a", 1}, {"b", "two"}} default = "none"
table two = {{1, "x", "y"}, {"a", "", -3}}
array a
array b
"""
WORDS = [
    *["$a", "$b", "$c-d", "$*", "@A", "@Severity", "%P", "a", "b", "one", "two", "T", "0", "2.5", "9" * 20],
    *["if", "else", "switch", "case", "default", "foreach", "in", "include", "array", "table", "break"],
    *["discard", "recover", "TRUE", "FALSE", "DEBUG", "GOOD", "and", "or", "not", "xor"],
    *["(", ")", "[", "]", "{", "}", ",", ";", ":", "|", "&", "^", "+", "-", "*", "/", "%", "!", "=", "#"],
    *["&&", "||", "==", "!=", "<", "<=", ">", ">=", "<<", ">>", "<>"],
    *['"a"', '"x.rules"', '"(a|b)*"', '"%s %d"', '"', "\\", "\n", "\x00", "é", "'", "$(x y)"],
    *sorted(FUNCTIONS),
    *sorted(SPECIAL),
]

values: st.SearchStrategy[Value] = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "0", "1", "2.5", " 7 ", "a", "b", "nan", "1e400", "(", "x" * 3000]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
elements = st.dictionaries(st.sampled_from(["a", "b", "c-d", "x y"]), values, max_size=4)


def quoted(text: str) -> str:
    for char, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        text = text.replace(char, escape)
    return f'"{text}"'


literals = st.one_of(
    st.sampled_from(
        ["0", "1", "2", "3.5", "9223372036854775807", '""', '"a"', '"b"', '"1"', '"(a)(b)?"', '"%s"']
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(quoted),
)
leaves = st.one_of(
    literals, st.sampled_from(["$a", "$b", "$c-d", "$(x y)", "@A", "@B", "%P", 'a["k"]', "b[$a]", "getdate"])
)
OPERATORS = [
    *["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"],
    *["==", "!=", "<", "<=", ">", ">=", "&&", "||", "and", "or", "xor"],
]


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    plain = st.sampled_from(sorted(FUNCTIONS)).flatmap(
        lambda name: st.lists(
            inner,
            min_size=FUNCTIONS[name].least,
            max_size=4 if FUNCTIONS[name].most is None else FUNCTIONS[name].most,
        ).map(lambda arguments: f"{name}({', '.join(arguments)})")
    )
    special = st.one_of(
        inner.map(lambda x: f"lookup({x}, one)"),
        inner.map(lambda x: f"lookup({x}, two)"),
        st.tuples(inner, inner).map(lambda x: f"split({x[0]}, b, {x[1]})"),
        st.tuples(inner, inner, inner).map(lambda x: f"nvp_add({', '.join(x)})"),
        st.tuples(inner, inner).map(lambda x: f"nvp_remove({', '.join(x)})"),
        st.sampled_from(["nvp_add($*)", "exists($a)", "exists(@A)", 'exists(a["k"])']),
    )
    return st.one_of(plain, special)


expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(" ".join),
        st.tuples(st.sampled_from(["!", "- ", "not "]), inner).map("".join),
        inner.map(lambda x: f"({x})"),
        calls(inner),
    ),
    max_leaves=8,
)
targets = st.one_of(
    st.sampled_from(["$a", "$b", "$new", "@A", "@Severity", "@Summary", "%P"]),
    expressions.map(lambda x: f"a[{x}]"),
)
simple = st.one_of(
    st.tuples(targets, expressions).map(" = ".join),
    st.tuples(targets, targets, expressions).map(lambda x: f"[{x[0]}, {x[1]}] = lookup({x[2]}, two)"),
    st.sampled_from(
        ["discard", "recover", "break", "details($*)", "update(@A)", "clear(a)", "remove($a)", "remove(@A)"]
    ),
    expressions.map(lambda x: f"log(WARNING, {x})"),
    expressions.map(lambda x: f"genevent(T, @A, {x})"),
    st.tuples(expressions, expressions).map(lambda x: f"service({x[0]}, {x[1]})"),
    st.sampled_from(["settarget(T)", "setdefaulttarget(T)", 'include "y.rules"']),
)


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("\n".join)
    return st.one_of(
        st.tuples(expressions, body, body).map(lambda x: f"if ({x[0]}) {{ {x[1]} }} else {{ {x[2]} }}"),
        st.tuples(expressions, expressions, body).map(
            lambda x: f"if ({x[0]}) {{ }} else if ({x[1]}) {{ {x[2]} }}"
        ),
        st.tuples(expressions, literals, body, body).map(
            lambda x: f"switch ({x[0]}) {{ case {x[1]} | 3 | -2.5: {x[2]}\ndefault: {x[3]} }}"
        ),
        st.tuples(st.sampled_from(["a", "b", "$*", "$a, $b"]), body).map(
            lambda x: f"foreach (e in {x[0]}) {{ {x[1]} }}"
        ),
        body.map(lambda x: f"foreach (e in $*) {{ $e = $e + e\n {x} }}"),
    )


statements = st.recursive(simple, blocks, max_leaves=10)
programs = st.lists(statements, max_size=8).map(lambda parts: BEFORE + "\n".join(parts))
soups = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules")
    (path / "y.rules").write_text('@Y = "y"\nif (exists($a)) { $b = $a }\n', encoding="utf-8")
    return path


def loaded(folder: Path, text: str) -> Program | RulesErrors:
    path = folder / "x.rules"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        return load(path, environ={}, limits=LIMITS, now_s=lambda: 1_700_000_000.0)
    except RulesErrors as errors:
        refused = errors
    assert refused.errors
    for error in refused.errors:
        assert error.message
        assert error.file.startswith(str(folder))
        assert 1 <= error.line <= text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
        assert error.column >= 1
    return refused


def outcome_of(folder: Path, text: str, given_elements: Mapping[str, Value]) -> Outcome | None:
    """What a text gives, where it is valid; with a trace and without one it is the same."""
    rules, again = loaded(folder, text), loaded(folder, text)
    if isinstance(rules, RulesErrors):
        assert isinstance(again, RulesErrors)
        assert again.errors == rules.errors
        return None
    assert isinstance(again, Program)
    for _ in range(2):
        plain, traced = rules.run(given_elements), again.run(given_elements, trace=True)
        assert plain.events == traced.events
        assert (plain.discarded, plain.log, plain.services) == (traced.discarded, traced.log, traced.services)
        assert plain.fault == traced.fault or "ms of computing" in str((plain.fault, traced.fault))
    return plain


def check(outcome: Outcome) -> None:
    """What holds of every outcome."""
    assert len(outcome.events) <= LIMITS.events
    for event in outcome.events:
        for field in (*event.fields.values(), *event.details.values()):
            assert isinstance(field, str | int | float)
            assert not isinstance(field, bool)
            assert not isinstance(field, str) or len(field) <= LIMITS.text_chars
    assert len(outcome.log) <= LIMITS.log_lines
    if outcome.fault is not None:
        assert outcome.events == ()
        assert outcome.fault.message


patient = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(patient, max_examples=100)
@given(text=programs, given_elements=elements)
def test_a_valid_program_runs_to_an_outcome(
    folder: Path, text: str, given_elements: dict[str, Value]
) -> None:
    outcome = outcome_of(folder, text, given_elements)
    if outcome is not None:
        check(outcome)


@settings(patient, max_examples=100)
@given(text=soups, given_elements=elements)
def test_words_in_any_order_are_refused_with_a_place_or_run(
    folder: Path, text: str, given_elements: dict[str, Value]
) -> None:
    outcome = outcome_of(folder, BEFORE + text, given_elements)
    if outcome is not None:
        check(outcome)


@settings(patient, max_examples=100)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_is_refused_with_a_place_or_runs(folder: Path, text: str) -> None:
    outcome_of(folder, text, {})


@settings(patient, max_examples=40)
@given(data=st.data(), path=st.sampled_from(sorted(DEFAULTS.values())))
def test_a_default_file_with_a_piece_cut_out_or_put_in_is_refused_with_a_place_or_runs(
    folder: Path, data: st.DataObject, path: Path
) -> None:
    text = path.read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(start + 40, len(text))))
    put = data.draw(st.one_of(st.just(""), soups))
    outcome = outcome_of(
        folder, text[:start] + put + text[stop:], {"host": "mail.example.com", "serviceLevel": 3}
    )
    if outcome is not None:
        check(outcome)


@settings(patient, max_examples=50)
@given(text=st.text(max_size=20))
def test_a_text_that_is_written_with_its_escapes_is_read_as_it_was(folder: Path, text: str) -> None:
    written = text.encode("utf-8", "replace").decode().replace("\r", "").replace("\n", "\\n")
    rules = loaded(folder, f"@A = {quoted(written)}")
    assert isinstance(rules, Program)
    assert rules.run({}).events[0].fields == {"A": written}


names = st.text(st.sampled_from("abcXYZ019_.-"), min_size=1, max_size=8)


@given(st.dictionaries(names, st.text(max_size=30), max_size=8))
def test_name_value_pairs_are_read_as_they_were_written(pairs: dict[str, str]) -> None:
    text = ""
    for name, value in pairs.items():
        text = nvp.added(text, name, value)
    assert nvp.pairs_of(text) == pairs
    assert text == nvp.text_of(pairs)


@given(st.text(max_size=60), st.text(max_size=8), st.text(max_size=8))
def test_pairs_can_be_added_to_and_removed_from_any_text(text: str, name: str, value: str) -> None:
    added = nvp.added(text, name, value)
    assert value in nvp.pairs_of(added).values()
    assert name not in nvp.pairs_of(nvp.removed(added, [name]))

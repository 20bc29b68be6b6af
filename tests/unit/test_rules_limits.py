"""How far a rules file, and a run of one, may go: whatever is in it, it ends soon and stays small."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import pytest

from postbeat.ism.rules import nvp
from postbeat.ism.rules.errors import Limits, RulesErrors
from postbeat.ism.rules.loading import load
from postbeat.ism.rules.program import Outcome, Program
from postbeat.ism.values import Value

# What a stopped run may use of the processor. The rest is for a machine that is busy with other things, too.
MOST_CPU_S = 0.2
LEEWAY = 2
MANY = '$t = "' + "x " * 49 + 'x"\n'


def program(folder: Path, text: str, limits: Limits | None = None) -> Program:
    path = folder / "x.rules"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={}, limits=limits or Limits())


def stopped(folder: Path, text: str, limits: Limits | None = None) -> tuple[Outcome, str]:
    """The outcome of a run that is stopped, and what is said of it."""
    rules = program(folder, text, limits)
    began_s = time.process_time()
    outcome = rules.run({"x": "x", "long": "y" * 60_000})
    used_s = time.process_time() - began_s
    assert outcome.fault is not None
    assert outcome.events == ()
    assert used_s < MOST_CPU_S * LEEWAY
    return outcome, str(outcome.fault).replace(f"{folder}/", "")


def wrong(folder: Path, text: str, limits: Limits | None = None) -> list[str]:
    with pytest.raises(RulesErrors) as raised:
        program(folder, text, limits)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


NUMBERS = f'array a\narray b\n{MANY}split($t, a, " ")\n'


def nested_loops(depth: int, body: str) -> str:
    opened = "".join(f"foreach (i{number} in a) {{ " for number in range(depth))
    return f"{NUMBERS}{opened}{body}{'}' * depth}"


def test_loops_in_loops_are_stopped_after_so_many_steps(folder: Path) -> None:
    _outcome, said = stopped(folder, nested_loops(5, "@A = @A + 1 @A = 1"), Limits(cpu_ms=10_000))
    assert said.startswith("x.rules:5:")
    assert said.endswith(": stopped after 100,000 steps")


def test_what_is_slow_for_its_steps_is_stopped_after_its_time_on_the_processor(folder: Path) -> None:
    limits = Limits(steps=10**9, cpu_ms=30)
    _outcome, said = stopped(folder, nested_loops(6, "@A = upper($long)"), limits)
    assert said.endswith(": stopped after 30 ms of computing")


@pytest.mark.parametrize(
    "statement",
    [
        '@A = nvp_add($long, "a", 1)',
        '@A = nvp_remove($long, "a")',
        "@A = ltrim($blanks)",
        '@A = regreplace($ab, $pattern, "")',
    ],
)
def test_statements_one_after_the_other_are_held_to_the_time_as_loops_are(
    folder: Path, statement: str
) -> None:
    rules = program(folder, f"{statement}\n" * 3_000, Limits(steps=10**9, cpu_ms=20))
    began_s = time.process_time()
    texts: dict[str, Value] = {"long": "y" * 60_000, "blanks": " " * 60_000}
    fault = rules.run(texts | {"ab": "ab" * 250, "pattern": "([ab]{0,20}a[ab]{0,20}){45}c"}).fault
    assert time.process_time() - began_s < MOST_CPU_S * LEEWAY
    assert fault is not None
    assert fault.message == "stopped after 20 ms of computing"


@pytest.mark.parametrize("piece", [";", " ", '"', "a", 'a="', 'a="x;', 'a=""";', 'a="1" ; ', "; a ="])
def test_any_text_is_taken_apart_into_pairs_in_a_time_in_proportion_to_it(piece: str) -> None:
    began_s = time.process_time()
    nvp.added(piece * (65_536 // len(piece)) + '"', "b", "1")
    assert time.process_time() - began_s < 2


@pytest.mark.parametrize("statement", ['nvp_add($long, "a", 1)', 'nvp_remove($long, "a")'])
def test_taking_pairs_apart_counts_as_many_steps(folder: Path, statement: str) -> None:
    _outcome, said = stopped(folder, f"@A = {statement}\n" * 3_000)
    assert "stopped after" in said


def test_all_elements_as_pairs_are_added_up_before_the_text_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = program(folder, "@A = nvp_add($*)")
    made: list[object] = []
    monkeypatch.setattr("postbeat.ism.rules.nvp.text_of", made.append)
    fault = rules.run({f"e{number}": "y" * 1_000 for number in range(100)}).fault
    assert fault is not None
    assert (fault.message, made) == ("a text of more than 65,536 characters", [])


def test_so_many_properties_can_be_assigned_and_no_more(folder: Path) -> None:
    rules = program(folder, "%A = 1\n%B = 1\n%C = 1\n", Limits(properties=2))
    assert rules.run({}, {"A": 0, "B": 0}).fault is not None
    fault = rules.run({}, {"B": 0}).fault
    assert fault is not None
    assert (fault.line, fault.column, fault.message) == (3, 1, "more than 2 properties")


def test_the_next_run_has_all_its_steps_again(folder: Path) -> None:
    text = f"{NUMBERS}if ($x) {{ foreach (i in a) {{ foreach (j in a) {{ @A = 1 }} }} }}"
    rules = program(folder, text, Limits(steps=1000))
    assert rules.run({"x": 1}).fault is not None
    assert rules.run({"x": 0}).fault is None


def test_a_text_that_doubles_is_stopped(folder: Path) -> None:
    text = '$t = "0123456789"\n' + "$t = $t + $t\n" * 30
    _outcome, said = stopped(folder, text)
    assert said == "x.rules:14:9: a text of more than 65,536 characters"


def test_constants_are_held_to_the_same_limits_and_have_steps_of_their_own(folder: Path) -> None:
    text = f'@A = "{"x" * 4000}" + "{"y" * 4000}"\n' * 200
    assert program(folder, text, Limits(steps=1000)).run({}).fault is None
    assert (
        wrong(folder, text, Limits(text_chars=5000))[0]
        == "x.rules:1:4009: a text of more than 5,000 characters"
    )


def test_long_texts_count_as_many_steps(folder: Path) -> None:
    _outcome, said = stopped(folder, nested_loops(4, '@A = $long + "!"'), Limits(cpu_ms=10_000))
    assert said.endswith(": stopped after 100,000 steps")


def test_a_long_expression_counts_as_many_steps(folder: Path) -> None:
    body = "@A = " + " + ".join(["$x"] * 5000)
    _outcome, said = stopped(folder, f"{NUMBERS}foreach (i in a) {{ foreach (j in a) {{ {body} }} }}")
    assert "stopped after" in said


def test_an_array_has_a_largest_size(folder: Path) -> None:
    text = f"{NUMBERS}foreach (i in a) {{ foreach (j in a) {{ foreach (k in a) {{ b[i + j + k] = 1 }} }} }}"
    _outcome, said = stopped(folder, text, Limits(array_entries=500))
    assert said == "x.rules:5:58: array b has more than 500 entries"


def test_split_is_held_to_the_size_of_an_array(folder: Path) -> None:
    _outcome, said = stopped(folder, 'array a\nsplit($long, a, "y")')
    assert said == "x.rules:2:1: array a has more than 10,000 entries"


def test_all_arrays_together_have_a_largest_size(folder: Path) -> None:
    _outcome, said = stopped(folder, f"{NUMBERS}foreach (i in a) {{ b[i] = 1 }}", Limits(all_entries=60))
    assert said == "x.rules:5:20: the arrays have more than 60 entries"
    _outcome, said = stopped(folder, "array a\na[1] = $long a[2] = $long", Limits(array_chars=100_000))
    assert said == "x.rules:2:14: the arrays have more than 100,000 characters"


def test_entries_that_are_replaced_or_removed_do_not_count(folder: Path) -> None:
    text = """array a
    clear(a)
    a["k"] = $long
    a["k"] = "b"
    remove(a["k"])
    a["x"] = $long
    clear(a)
    a["y"] = $long"""
    rules = program(folder, text, Limits(array_chars=60_100, all_entries=1))
    for _ in range(3):
        assert rules.run({"long": "y" * 60_000}).fault is None


def test_a_run_makes_so_many_events(folder: Path) -> None:
    text = f'T = registertarget("a")\n{NUMBERS}foreach (i in a) {{ genevent(T, @A, i) genevent(T, @B, i) }}'
    _outcome, said = stopped(folder, text)
    assert said == "x.rules:6:39: more than 100 events"


def test_a_run_writes_so_many_lines_to_the_log(folder: Path) -> None:
    outcome, said = stopped(folder, nested_loops(2, "log(DEBUG, i0)"), Limits(log_lines=100))
    assert said.endswith(": more than 100 lines for the log")
    assert len(outcome.log) == 100


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("@A = " + "(" * 200_000, 106),
        ("@A = " + "!" * 200_000 + "1", 106),
        ("@A = " + "- " * 200_000 + "1", 206),
        ("@A = " + "lower(" * 500 + '"a"' + ")" * 500, 611),
        ("if (1) {" * 5000, 400),
    ],
)
def test_a_file_is_nested_so_deep_and_no_deeper(folder: Path, text: str, column: int) -> None:
    said = wrong(folder, text)
    assert len(said) == 1
    assert said[0].endswith(": nested deeper than 100")
    assert abs(int(said[0].split(":")[2]) - column) <= 410


def test_nesting_is_counted_over_blocks_expressions_and_files(folder: Path) -> None:
    (folder / "a.rules").write_text(
        "if (1) {" * 60 + "@A = " + "(1+" * 50 + "1" + ")" * 50 + "}" * 60, encoding="utf-8"
    )
    said = wrong(folder, 'if (1) { include "a.rules" }')
    assert [line.split(": ", 1)[1] for line in said] == ["nested deeper than 100"]


def test_what_is_nested_as_deep_as_may_be_runs(folder: Path) -> None:
    rules = program(folder, "if (1) {" * 49 + "@A = " + "(1+" * 48 + "1" + ")" * 48 + "}" * 49)
    assert rules.run({}).events[0].fields == {"A": 49}


def test_a_row_of_operators_may_be_long(folder: Path) -> None:
    rules = program(folder, "@A = " + " - ".join(["1"] * 3_000) + "\n@B = " + " && ".join(["$x"] * 3_000))
    assert rules.run({"x": 1}).events[0].fields == {"A": -2_998, "B": 1}


def test_a_row_of_else_if_may_be_long(folder: Path) -> None:
    text = "if ($x == 0) { @A = 0 }" + "".join(f" else if ($x == {n}) {{ @A = {n} }}" for n in range(1, 1000))
    assert program(folder, text).run({"x": 999}).events[0].fields == {"A": 999}


def test_includes_are_nested_so_deep(folder: Path) -> None:
    for number in range(12):
        text = f'include "{number + 1}.rules"'
        (folder / f"{number}.rules").write_text(text, encoding="utf-8")
    assert wrong(folder, 'include "0.rules"') == ["9.rules:1:9: included deeper than 10"]


def test_includes_that_multiply_are_refused_soon(folder: Path) -> None:
    for number in range(9):
        (folder / f"{number}.rules").write_text(f'include "{number + 1}.rules"\n' * 10, encoding="utf-8")
    (folder / "9.rules").write_text("@A = 1", encoding="utf-8")
    said = wrong(folder, 'include "0.rules"')
    assert len(said) == 1
    assert said[0].endswith("more than 1,000 files are included")


def test_files_and_tables_have_a_largest_size(folder: Path) -> None:
    limits = Limits(file_bytes=1000, table_rows=3)
    assert wrong(folder, "#" * 1001, limits) == ["x.rules: has more than 1,000 bytes"]
    (folder / "t.tab").write_text("a\tb\n" * 4, encoding="utf-8")
    assert wrong(folder, 'table t = "t.tab"', limits) == ["t.tab:4:1: more than 3 rows"]
    rows = ", ".join(['{"a", "b"}'] * 4)
    assert wrong(folder, f"table t = {{{rows}}}", limits) == ["x.rules:1:1: more than 3 rows"]
    (folder / "a.rules").write_text("#" * 600, encoding="utf-8")
    assert wrong(folder, 'include "a.rules" include "a.rules"', limits) == [
        "x.rules:1:27: the included files have more than 1,000 bytes"
    ]


def test_a_named_pipe_is_no_file_to_wait_for(folder: Path) -> None:
    os.mkfifo(folder / "p")
    assert wrong(folder, 'include "p"') == ["x.rules:1:9: p is not a file"]


@pytest.mark.parametrize(
    "text", ["@" * 50_000, '"' * 50_000, "a[" * 50_000, "} " * 50_000, "@A 1\n" * 50_000]
)
def test_a_long_file_of_another_kind_is_refused_soon(folder: Path, text: str) -> None:
    began_s = time.process_time()
    assert 1 <= len(wrong(folder, text)) <= 20
    assert time.process_time() - began_s < 10


def collections(rules: Program) -> int:
    """How often garbage is collected about a run, where that is done for every object."""
    began: list[str] = []
    before = gc.get_threshold()
    gc.callbacks.append(lambda phase, _: began.append(phase))
    gc.set_threshold(1)
    try:
        rules.run({"pairs": 'a = "1"'})
    finally:
        gc.set_threshold(*before)
        gc.callbacks.pop()
    return began.count("start")


def test_no_garbage_is_collected_in_the_time_of_a_run(folder: Path) -> None:
    statement = '@A = nvp_add($pairs, "b", "c")\n'
    few, many = (collections(program(folder, statement * count, Limits())) for count in (1, 200))
    assert many < few + 20
    assert gc.isenabled()


def test_hostile_patterns_and_texts_end_a_run_soon(folder: Path) -> None:
    body = 'if (regmatch($long, "(y|y)*z") || regmatch($long, "(.*)*(.*)*(.*)*!")) { @A = 1 }'
    _outcome, said = stopped(folder, nested_loops(3, body))
    assert "stopped after" in said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path

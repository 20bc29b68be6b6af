"""The rules language: what each construct does, and what is said of files that are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from postbeat.ism.rules.errors import RulesErrors
from postbeat.ism.rules.functions import UNSUPPORTED
from postbeat.ism.rules.loading import Reloader, load
from postbeat.ism.rules.program import Outcome, Program
from postbeat.ism.values import Value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def program(folder: Path, text: str, /, **files: str) -> Program:
    """The program of a text; other files by their names, with _ for the dot."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content, encoding="utf-8")
    path = folder / "x.rules"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={"FOLDER": str(folder), "HERE": "."}, now_s=lambda: 1_700_000_000.0)


def ran(folder: Path, text: str, elements: Mapping[str, Value] | None = None, /, **files: str) -> Outcome:
    outcome = program(folder, text, **files).run(elements or {})
    assert outcome.fault is None, outcome.fault
    return outcome


def fields(
    folder: Path, text: str, elements: Mapping[str, Value] | None = None, /, **files: str
) -> Mapping[str, Value]:
    return ran(folder, text, elements, **files).events[0].fields


def value(folder: Path, expression: str, elements: Mapping[str, Value] | None = None, /) -> Value:
    return fields(folder, f"@A = {expression}", elements)["A"]


ELSEWHERE = "; if another file includes this one, check that one"


def wrong(folder: Path, text: str, /, **files: str) -> list[str]:
    """What is said of a text; the folder is left out."""
    with pytest.raises(RulesErrors) as raised:
        program(folder, text, **files)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2", 3),
        ("1 + 2.5", 3.5),
        ('"a" + 1 + 2', "a12"),
        ('1 + 2 + "a"', "3a"),
        ('"5" + 1', "51"),
        ('"5" - 1', 4),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7.0 / 2", 3.5),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 3 - 2", 5),
        ("- 3 + 5", 2),
        ("6 & 3", 2),
        ("6 | 3", 7),
        ("6 ^ 3", 5),
        ("1 << 4", 16),
        ("256 >> 4", 16),
        ("1 == 1.0", 1),
        ('"1" == "1.0"', 0),
        ('"1" == 1.0', 1),
        ('"abc" < "abd"', 1),
        ('"10" < "9"', 1),
        ('10 < "9"', 0),
        ("1 != 2", 1),
        ("1 <> 2", 1),
        ("2 >= 2", 1),
        ("2 <= 1", 0),
        ("1 && 0", 0),
        ("1 and 1", 1),
        ("0 || 2", 1),
        ("0 OR 0", 0),
        ("1 xor 1", 0),
        ("1 XOR 0 XOR 0", 1),
        ("!1 == 0", 1),
        ("not 1 == 0", 1),
        ("not not 2", 1),
        ("!0", 1),
        ('!""', 1),
        ("TRUE", 1),
        ("FALSE", 0),
        ("1 == 1 ^ 2 == 2", 0),
        (r'"a\"b\\c\n\t\.\d"', 'a"b\\c\n\t\\.\\d'),
        ("1.50", 1.5),
        ("9999999999999999999999", 2**63 - 1),
    ],
)
def test_an_expression_has_the_value_that_its_operators_give(
    folder: Path, expression: str, expected: Value
) -> None:
    got = value(folder, expression)
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "elements", "expected"),
    [
        ("$a + $b", {"a": 1, "b": 2}, 3),
        ("$a + $b", {"a": "1", "b": "2"}, "12"),
        ("$a + 1.5", {"a": 1}, 2.5),
        ('"took " + $a', {"a": 0.25}, "took 0.25"),
        ("$nothing", {}, ""),
        ("$a-1", {"a": 5, "a-1": 9}, 4),
        ("$specific-trap + 1", {"specific-trap": 5}, 6),
        ("$(labels.pod name)", {"labels.pod name": "x"}, "x"),
        ("$1", {"1": "first"}, "first"),
        ('$a == "x"', {"a": "x"}, 1),
        ('$a == "3"', {"a": 3}, 1),
        ('$a != "3"', {"a": 3.0}, 0),
        ('match($a, "3")', {"a": 3}, 1),
        ("$a && $b", {"a": "x", "b": "0"}, 0),
        ("$a || $b", {"a": "0.0", "b": "false"}, 1),
        ("$a * $b - $c / 2", {"a": "2", "b": 3, "c": 4}, 4),
        ("- $a", {"a": "2.5"}, -2.5),
        ("- $none", {}, 0),
        ("$none * 1000", {}, 0),
        ("$a - $none", {"a": 2.5}, 2.5),
        ("$none / 2 + 1", {}, 1),
        ("$none & 3 | 4", {}, 4),
        ("1 << $none", {}, 1),
        ("$none + 1", {}, "1"),
        ("exists($a) + exists($b)", {"a": ""}, 1),
        ("getdate", {}, 1_700_000_000),
    ],
)
def test_an_expression_of_elements_has_the_value_that_its_operators_give(
    folder: Path, expression: str, elements: Mapping[str, Value], expected: Value
) -> None:
    got = value(folder, expression, elements)
    assert (got, type(got)) == (expected, type(expected))


def test_the_second_side_of_and_and_or_is_not_asked_in_vain(folder: Path) -> None:
    text = "if (0 && 1 / $zero) { @A = 1 }\nif (1 || 1 / $zero) { @B = 1 }"
    assert fields(folder, text, {"zero": 0}) == {"B": 1}


def test_statements_need_no_end_and_may_share_a_line(folder: Path) -> None:
    assert fields(folder, "@A = 1 @B = $x; @C = 3 ; # a comment @D = 4\n@E = 5", {"x": 2}) == {
        "A": 1,
        "B": 2,
        "C": 3,
        "E": 5,
    }


def test_a_bracket_at_the_start_of_a_line_is_no_key_of_the_name_before_it(folder: Path) -> None:
    text = 'table t = {{"a", 1, 2}}\n$now = getdate\n[@A, @B] = lookup("a", t) [@C] = lookup("a", t)'
    assert fields(folder, text) == {"A": 1, "B": 2, "C": 1}


def test_fields_that_were_there_before_can_be_read_and_removed(folder: Path) -> None:
    outcome = program(folder, '@A = @A + "!"\nremove(@B)').run({}, fields={"A": "a", "B": "b"})
    assert outcome.events[0].fields == {"A": "a!"}


def test_the_elements_that_were_given_stay_as_they_are(folder: Path) -> None:
    given: dict[str, Value] = {"a": 1}
    program(folder, "$a = 2 $b = 3 remove($a)").run(given)
    assert given == {"a": 1}


def test_elements_of_one_run_are_not_there_in_the_next(folder: Path) -> None:
    rules = program(folder, "@A = exists($x)\n$x = 1\n@B = exists($x)\nremove($x)\n@C = exists($x)\n$x = 1")
    for _ in range(2):
        assert rules.run({}).events[0].fields == {"A": 0, "B": 1, "C": 0}


def test_a_field_that_rules_cannot_set_is_warned_of(folder: Path) -> None:
    text = """T = registertarget("a")
    @Severity = 5 @Tally = 1
    [@Region, @A] = scanformat($x, "%s %s")
    genevent(T, @Summary, @Tally, @PollId, 2)
    @B = @Tally
    """
    said = [str(warning).replace(f"{folder}/", "") for warning in program(folder, text).warnings]
    assert said == [
        "x.rules:2:19: @Tally is set by Postbeat: what rules give it is not taken",
        "x.rules:3:6: @Region is set by Postbeat: what rules give it is not taken",
        "x.rules:4:35: @PollId is set by Postbeat: what rules give it is not taken",
    ]


def test_properties_are_read_and_those_that_were_assigned_are_told(folder: Path) -> None:
    outcome = program(
        folder, "@A = %Server + %None\n%RawCapture = 1\n@B = %RawCapture\n@C = exists(%Server)"
    ).run({}, {"Server": "NCOMS"})
    assert outcome.events[0].fields == {"A": "NCOMS", "B": 1, "C": 1}
    assert outcome.properties == {"RawCapture": 1}


@pytest.mark.parametrize(("n", "expected"), [(1, "one"), ("2", "two"), (3, "many"), ("", "many")])
def test_the_first_condition_that_is_true_has_its_block_run(folder: Path, n: Value, expected: str) -> None:
    text = 'if ($n == 1) { @A = "one" } else if ($n == 2) { @A = "two" } else { @A = "many" }'
    assert fields(folder, text, {"n": n}) == {"A": expected}


def test_without_else_nothing_is_done(folder: Path) -> None:
    assert fields(folder, "if (0) { @A = 1 } else if (0) { @A = 2 }\n@B = 3") == {"B": 3}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a", 1),
        ("b", 1),
        ("c", 2),
        (3, 3),
        ("3", 3),
        (3.0, 3),
        (4, 4),
        ("4", 4),
        ("4.0", 0),
        ("", 0),
        ("A", 0),
    ],
)
def test_a_switch_takes_the_case_that_is_equal(folder: Path, given: Value, expected: int) -> None:
    text = """
    @A = 0
    switch ($x) {
        case "a" | "b": @A = 1
        case "c": @A = 2
        case 3: @A = 3
        case "4": @A = 4
        case "a": @A = 5
    }"""
    assert fields(folder, text, {"x": given}) == {"A": expected}


@pytest.mark.parametrize(("given", "expected"), [(-1, 1), ("-1", 1), ("-2.5", 1), (-2, 2), (1, 0)])
def test_a_number_of_a_case_may_be_negative(folder: Path, given: Value, expected: int) -> None:
    text = "switch ($x) { case -1 | - 2.5: @A = 1 case -2: @A = 2 default: @A = 0 }"
    assert fields(folder, text, {"x": given}) == {"A": expected}


def test_numbers_of_a_table_may_be_negative(folder: Path) -> None:
    text = 'table t = {{"a", -1}, {-2, 3}} default = -9\n@A = lookup($x, t)'
    given: list[Value] = ["a", -2, "b"]
    assert [fields(folder, text, {"x": x})["A"] for x in given] == [-1, 3, -9]


def test_a_case_does_not_fall_through_and_default_is_for_the_rest(folder: Path) -> None:
    text = 'switch ($x) { case "a": @A = 1 default: @B = 2 case "c": @C = 3 }'
    rules = program(folder, text)
    assert rules.run({"x": "a"}).events[0].fields == {"A": 1}
    assert rules.run({"x": "c"}).events[0].fields == {"C": 3}
    assert rules.run({"x": "z"}).events[0].fields == {"B": 2}


def test_break_leaves_the_switch_or_the_loop_around_it(folder: Path) -> None:
    text = """
    array a
    a["1"] = 1 a["2"] = 2 a["3"] = 3
    foreach (i in a) { if (i == 2) { break } @Seen = @Seen + i }
    switch (1) { case 1: @A = 1 break @A = 2 }
    @B = 3
    """
    assert fields(folder, text) == {"Seen": "1", "A": 1, "B": 3}


def test_break_outside_of_both_ends_the_run(folder: Path) -> None:
    assert fields(folder, "@A = 1\nif (1) { break }\n@A = 2") == {"A": 1}


def test_foreach_over_an_array_gives_its_keys_in_the_order_in_which_they_came(folder: Path) -> None:
    text = """
    array hosts
    hosts["b"] = 1
    hosts["a"] = 2
    foreach (host in hosts) {
        @A = @A + host + "=" + hosts[host] + " "
        remove(hosts["b"])
        hosts["c"] = 3
    }
    @B = exists(hosts["b"]) + exists(hosts["c"])
    """
    assert fields(folder, text) == {"A": "b=1 a=2 ", "B": 1}


def test_foreach_over_elements_gives_names_and_values(folder: Path) -> None:
    text = 'foreach (e in $a, $b, $none) { @A = @A + e + "=" + $e + " " $e = 7 }\n@B = $a + $b'
    assert fields(folder, text, {"a": 1, "b": "x"}) == {"A": "a=1 b=x none= ", "B": 14}


def test_foreach_over_all_elements_may_remove_them(folder: Path) -> None:
    text = 'foreach (e in $*) { if (exists($e) && match($e, "")) { remove($e) } }\ndetails($*)'
    outcome = ran(folder, text, {"a": 1, "b": "", "c": "x"})
    assert outcome.events[0].details == {"a": 1, "c": "x"}


def test_loops_in_loops_have_each_their_own_name(folder: Path) -> None:
    text = """
    array a
    array b
    a["x"] = 1 a["y"] = 2 b["p"] = 3
    foreach (i in a) { foreach (j in b) { foreach (e in $n) { @A = @A + i + j + e + $e + " " } } }
    """
    assert fields(folder, text, {"n": 0}) == {"A": "xpn0 ypn0 "}


def test_arrays_persist_from_run_to_run_and_are_cleared_by_clear(folder: Path) -> None:
    text = """
    array seen;
    seen[$host] = seen[$host] + 1
    @Count = seen[$host]
    @Known = exists(seen["a"])
    if ($host == "stop") { clear(seen) }
    """
    rules = program(folder, text)
    counts = [rules.run({"host": host}).events[0].fields["Count"] for host in ("a", "b", "a", "stop", "a")]
    assert counts == ["1", "1", "11", "1", "1"]


def test_split_fills_an_array_and_tells_how_many_parts_there_are(folder: Path) -> None:
    text = """
    array parts
    parts["old"] = 1
    $n = split($x, parts, ", ")
    @A = $n + ":" + parts["1"] + parts["3"] + exists(parts["old"])
    split("whole", parts, "")
    @B = parts[1]
    """
    assert fields(folder, text, {"x": "a, b, c"}) == {"A": "3:ac0", "B": "whole"}


NO_TARGET = "cannot be assigned to: expected $element, @Field, %Property or array[key] before ="
TABLE = 'table t = {{"a", "A", 1}, {"b", "B", 2}, {3, "three", 3}}'


def test_a_lookup_gives_the_first_value_or_the_empty_text(folder: Path) -> None:
    text = f'{TABLE}\n@A = lookup($x, t)\n@B = lookup("z", "t")\n@C = lookup(3, t) @D = lookup(3.0, t)'
    assert fields(folder, text, {"x": "b"}) == {"A": "B", "B": "", "C": "three", "D": ""}


def test_a_lookup_into_a_list_gives_each_its_column(folder: Path) -> None:
    text = f"""array n
    {TABLE} default = {{"none", 0}}
    [@A, $n] = lookup($x, t)
    @B = $n
    [@C, n["k"]] = lookup("z", t)
    @D = n["k"]"""
    assert fields(folder, text, {"x": "b"}) == {"A": "B", "B": 2, "C": "none", "D": 0}


def test_a_default_of_one_value_fills_the_other_columns_with_nothing(folder: Path) -> None:
    assert fields(folder, f'{TABLE} default = "?"\n[@A, @B] = lookup("z", t)') == {"A": "?", "B": ""}


def test_of_rows_with_the_same_key_the_last_counts(folder: Path) -> None:
    assert fields(folder, 'table t = {{"a", 1}, {"a", 2},}\n@A = lookup("a", t)') == {"A": 2}


def test_a_table_comes_from_a_file_with_tabs(folder: Path) -> None:
    text = 'table t = "$FOLDER/t.tab"\n[@A, @B] = lookup("b c", t)'
    assert fields(folder, text, t_tab="# comment\n\na\tA\t1\r\nb c\tB\t 2 \n") == {"A": "B", "B": "2"}


def test_a_table_comes_from_a_file_with_quotes(folder: Path) -> None:
    content = '{"a", "A \\"x\\"", "1"},\n"b"\t"B"\t"2"\n  "c" "C" "3"\n'
    text = 'table t = "${HERE}/t.tab"\n[@A, @B] = lookup("a", t)\n@C = lookup("b", t)\n@D = lookup("c", t)'
    assert fields(folder, text, t_tab=content) == {"A": 'A "x"', "B": "1", "C": "B", "D": "C"}


def test_a_table_may_be_an_empty_file(folder: Path) -> None:
    assert fields(folder, 'table t = "t.tab"\n[@A, @B] = lookup("a", t)', t_tab="") == {"A": "", "B": ""}


def test_a_table_with_a_hyphen_in_its_name_is_found(folder: Path) -> None:
    assert fields(folder, 'table cisco-ios_sev = {{"1", 5}}\n@A = lookup(1, cisco-ios_sev)') == {"A": 5}


def test_a_function_with_several_results_fills_a_list(folder: Path) -> None:
    text = '[$name, $n] = scanformat("vlan 12", "%s %d")\n@A = $name + $n'
    assert fields(folder, text) == {"A": "vlan12"}


def test_included_statements_are_as_if_they_stood_there(folder: Path) -> None:
    text = '@A = 1\ninclude "a.rules"\n@C = @B + 1'
    assert fields(folder, text, a_rules="@B = @A + 1\n") == {"A": 1, "B": 2, "C": 3}


def test_a_file_of_tables_may_be_included_before_the_first_statement(folder: Path) -> None:
    text = 'include "a.rules"\n@A = lookup("a", t)'
    assert fields(folder, text, a_rules=f"{TABLE}\n") == {"A": "A"}


def test_an_include_is_found_beside_the_file_that_has_it(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "b.rules").write_text("@A = 2", encoding="utf-8")
    (folder / "sub" / "a.rules").write_text('include "b.rules"', encoding="utf-8")
    rules = program(folder, 'include "sub/a.rules"')
    assert rules.run({}).events[0].fields == {"A": 2}
    assert rules.files == (folder / "x.rules", folder / "sub" / "a.rules", folder / "sub" / "b.rules")


def test_a_file_of_cases_is_included_between_the_cases_of_a_switch(folder: Path) -> None:
    text = 'switch ($x) { include "a.rules" case "m": @A = "main"\n include "b.rules" default: @A = "none" }'
    rules = program(
        folder,
        text,
        a_rules='case "a": @A = "first"',
        b_rules='@B = "also main"\ncase "b": @A = "second"\ncase "m": @A = "never"',
    )
    assert [rules.run({"x": x}).events[0].fields for x in ("a", "m", "b", "z")] == [
        {"A": "first"},
        {"A": "main", "B": "also main"},
        {"A": "second"},
        {"A": "none"},
    ]


def test_a_discarded_alert_is_no_event_and_recover_takes_it_back(folder: Path) -> None:
    rules = program(folder, "@A = 1\ndiscard\nif ($back) { recover }")
    assert rules.run({"back": 0}).events == ()
    assert rules.run({"back": 0}).discarded
    assert [event.fields for event in rules.run({"back": 1}).events] == [{"A": 1}]
    assert not program(folder, "discard() recover()").run({}).discarded


TARGETS = """One = registertarget(%Server, "", "alerts.status")
Two = registertarget("B", %Backup, "alerts.status")
"""


def test_an_event_is_for_the_first_target_unless_another_is_set(folder: Path) -> None:
    rules = program(folder, f"{TARGETS}if ($n == 2) {{ settarget(Two) }}")
    assert [rules.run({"n": n}).events[0].target for n in (1, 2, 1)] == ["One", "Two", "One"]
    assert program(folder, "@A = 1").run({}).events[0].target == ""


def test_a_default_target_stays_for_the_runs_that_follow(folder: Path) -> None:
    rules = program(folder, f"{TARGETS}if ($n == 2) {{ setdefaulttarget(Two) }}")
    assert [rules.run({"n": n}).events[0].target for n in (1, 2, 1)] == ["One", "Two", "Two"]


def test_genevent_makes_further_events_even_where_the_alert_is_discarded(folder: Path) -> None:
    text = f"""{TARGETS}
    @Summary = "own"
    genevent(Two, @Identifier, "x" + $n, @Severity, 3)
    if ($n) {{ discard }}
    update(@Severity)"""
    rules = program(folder, text)
    own, other = rules.run({"n": 0}).events
    assert (own.fields, own.target) == ({"Summary": "own"}, "One")
    assert own.update_on_dedup == {"Severity"}
    assert (other.fields, other.target) == ({"Identifier": "x0", "Severity": 3}, "Two")
    assert other.update_on_dedup == {"Severity"}
    assert [event.fields["Identifier"] for event in rules.run({"n": 1}).events] == ["x1"]


def test_update_marks_fields_for_deduplication(folder: Path) -> None:
    text = "update(@A)\nupdate(@B, TRUE)\nupdate(@C)\nupdate(@C, FALSE)\nupdate(@D, $d)"
    assert ran(folder, text, {"d": 1}).events[0].update_on_dedup == {"A", "B", "D"}


def test_details_are_the_elements_that_were_named_and_exist(folder: Path) -> None:
    assert ran(folder, "details($a, $none, $b)", {"a": 1, "b": "x", "c": 2}).events[0].details == {
        "a": 1,
        "b": "x",
    }


def test_name_value_pairs_are_added_replaced_and_removed(folder: Path) -> None:
    text = r"""
    @E = nvp_add("", "Region", $region, "say", "a\"b")
    @E = nvp_add(@E, "Region", "EMEA", "n n", 1.5)
    @F = nvp_remove(@E, "say", "none")
    @G = nvp_add($*)
    @H = nvp_add("z=\"1\"", $*)
    """
    got = fields(folder, text, {"region": "eu"})
    assert got["E"] == 'Region="EMEA";say="a""b";n_n="1.5"'
    assert got["F"] == 'Region="EMEA";n_n="1.5"'
    assert got["G"] == 'region="eu"'
    assert got["H"] == 'z="1";region="eu"'


def test_log_and_service_are_told_in_their_order(folder: Path) -> None:
    outcome = ran(
        folder,
        'log(WARN, "a" + $x)\nlog(DEBUG, "b")\nlog("c")\nservice($x, marginal)\nservice("s", $state)',
        {"x": 1, "state": "BAD"},
    )
    assert [(line.level, line.text) for line in outcome.log] == [
        ("WARNING", "a1"),
        ("DEBUG", "b"),
        ("INFO", "c"),
    ]
    assert [(state.service, state.level) for state in outcome.services] == [("1", "marginal"), ("s", "bad")]


def test_a_traced_run_has_the_statements_that_were_run(folder: Path) -> None:
    text = """array seen
if ($x == 1) {
    @A   =
        2
} else { @A = 3 }
switch ($x) { case "1": seen["a"] = 1 default: discard }
foreach (i in seen) { @B = i }
include "a.rules"
"""
    rules = program(folder, text, a_rules='log(DEBUG, "in a")')
    outcome = rules.run({"x": 1}, trace=True)
    assert [str(step).replace(f"{folder}/", "") for step in outcome.path] == [
        "x.rules:2: if ($x == 1)",
        "x.rules:3: @A = 2",
        "x.rules:6: switch ($x)",
        'x.rules:6: case "1":',
        'x.rules:6: seen["a"] = 1',
        "x.rules:7: foreach (i in seen)",
        "x.rules:7: @B = i",
        'a.rules:1: log(DEBUG, "in a")',
    ]
    assert rules.run({"x": 1}).path == ()
    assert rules.run({"x": 1}).events == outcome.events


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@A = 1 / $zero", "x.rules:1:8: division by zero"),
        ("\n  @A = 2 + (3 - $word)", "x.rules:2:15: - takes numbers, got 'abc'"),
        ("@A = 1 & 2.5 * (1 - $zero)", "x.rules:1:8: & takes whole numbers, got 2.5"),
        ("@A = 1 << 64 * (1 - $zero)", "x.rules:1:8: << takes 0 to 63 bits, got 64"),
        ("@A = - $word", "x.rules:1:6: - takes numbers, got 'abc'"),
        ("@A = $most * $most", "x.rules:1:12: * gives more than a number can be"),
        ('@A = regmatch("a", $bad)', "x.rules:1:6: "),
        ('service("a", $word)', "x.rules:1:1: expected GOOD, MARGINAL or BAD, got 'abc'"),
        ('include "a.rules"', "a.rules:2:7: division by zero"),
        ("if (1) { foreach (e in $word) { @A = 1 % $zero } }", "x.rules:1:40: division by zero"),
    ],
)
def test_a_fault_of_a_run_is_told_with_its_place_and_there_are_no_events(
    folder: Path, text: str, expected: str
) -> None:
    rules = program(folder, text, a_rules="\n@A = 1/ $zero")
    outcome = rules.run({"zero": 0, "word": "abc", "most": 1e308, "bad": "("})
    assert outcome.events == ()
    assert str(outcome.fault).replace(f"{folder}/", "").startswith(expected)
    assert rules.run({"zero": 1, "word": 1, "most": 1, "bad": "a"}).fault is None or "service" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@A =", ["1:5: expected a value, got the end of the file"]),
        ('@A = "abc\n@B = 1', ["1:6: the text has no closing quote on its line"]),
        ("if ($x = 1) { @A = 2 }", ["1:8: = assigns: to compare, write =="]),
        ("@A = $x +\n@B = 1", ["2:4: got = after @B: the statement on the line before is not finished"]),
        ("@A = 1 2", ["1:8: expected a statement or an operator, got 2"]),
        ("if ($x == 1 { @A = 2 }", ["1:13: expected an operator or ), got {"]),
        ("if $x { }", ["1:4: expected (, got $x"]),
        ("if ($x) @A = 1", ["1:9: expected {, got @A"]),
        ("}\n@A = 1", ["1:1: } without a { before it"]),
        ("else { @A = 1 }", ["1:1: else without an if before it"]),
        ("if (1) {\n@A = 1\n", ["2:7: the file ends before the } that closes the { of line 1"]),
        (
            '"a" = 1',
            [f"1:1: a text {NO_TARGET}"],
        ),
        (
            "5 = 1",
            [f"1:1: a number {NO_TARGET}"],
        ),
        (
            "a = 1",
            [f"1:1: a {NO_TARGET}"],
        ),
        ("$* = 1", ["1:1: $* stands only in details, nvp_add and foreach"]),
        ("@A = $*", ["1:6: $* stands only in details, nvp_add and foreach"]),
        ("hello\n@A = 1", ["2:1: hello alone is no statement: expected ( or = or [, got @A"]),
        ("@A ? 1", ["1:4: unexpected character ?"]),
        ("@A == 1", ["1:4: expected =, got =="]),
        ("switch ($x) { case $y: @A = 1 }", ["1:20: expected a text or a number, got $y"]),
        (
            "switch ($x) { @A = 1 case 1: }",
            ["1:15: expected case or default: a switch has nothing before its first case"],
        ),
        ("switch ($x) { default: default: }", ["1:24: a second default: in the same switch"]),
        ("case 1: @A = 1", ["1:1: case stands only in a switch"]),
        ("if (1) { case 1: @A = 1 }", ["1:10: case stands only in a switch"]),
        ("foreach (e on $*) { }", ["1:12: expected in, got on"]),
        ("foreach (e in @A) { }", ["1:15: foreach goes over an array, over $elements, or over $*"]),
        (
            "foreach (e in a) { }",
            [f"1:15: there is no array a: declare it with array a before the first statement{ELSEWHERE}"],
        ),
        ("include a", ["1:9: expected a text in quotes, got a"]),
        (
            '@A = 1\ntable t = {{"a", "b"}}',
            ["2:1: a table must stand before the first statement, in the file that includes the others"],
        ),
        (
            "@A = 1\narray a\na[1] = 1",
            ["2:1: an array must stand before the first statement, in the file that includes the others"],
        ),
        (
            '@A = 1\nT = registertarget("a")',
            ["2:1: a target must stand before the first statement, in the file that includes the others"],
        ),
        ("array a\narray a", ["2:1: a is an array already"]),
        ('array a\ntable a = {{"a", "b"}}', ["2:1: a is an array already"]),
        ('table t = {{"a"}}', ["1:13: expected a key and a value"]),
        ('table t = {{"a", "b"}, {"c", "d", "e"}}', ["1:25: expected 2 columns, as in the first row, got 3"]),
        ('table t = {{"a", "b"}} default = {"a", "b"}', ["1:35: expected 1 values for the default, got 2"]),
        ('table t = {{"a", "b"} {"c", "d"}}', ["1:23: expected a comma or }, got {"]),
        (
            'table t = {{"a", "b"}}\n[@A, @B] = lookup("a", t)',
            ["2:6: table t gives 1 value, and there are 2 names"],
        ),
        ("[@A] = 1", ["1:8: [...] = takes what lookup or scanformat gives"]),
        ('[@A] = lookup("a")', ["1:8: lookup takes 2 arguments, got 1"]),
        (
            "a[1] = 2",
            [f"1:1: there is no array a: declare it with array a before the first statement{ELSEWHERE}"],
        ),
        ("array hosts\n@A = host[1]", ["2:6: there is no array host; did you mean hosts?"]),
        (
            '@A = lookup("a", t)',
            [
                "1:18: there is no table t: declare it with table t = ... before the first statement"
                + ELSEWHERE
            ],
        ),
        ('@A = lookup("a", $t)', ["1:18: expected the name of a table"]),
        ("array a\n@A = a", ["2:6: a is an array: expected a[key]"]),
        ('table t = {{"a", "b"}}\n@A = t', ["2:6: t is a table: expected lookup(key, t)"]),
        ("@A = lower", ["1:6: lower is a function: expected lower(...)"]),
        ("@A = critical", ["1:6: critical is no value: a text needs quotes, an element the sign $"]),
        ("@A = regmach($a, $b)", ["1:6: there is no function regmach; did you mean regmatch?"]),
        ("@A = RegMatch($a, $b)", ["1:6: there is no function RegMatch; did you mean regmatch?"]),
        ("quux(1)", ["1:1: there is no function quux"]),
        ("@A = match($a)", ["1:6: match takes 2 arguments, got 1"]),
        ("@A = exists($a, $b)", ["1:6: exists takes 1 argument, got 2"]),
        ('@A = exists("a")', ["1:13: exists takes $element, @Field, %Property or array[key]"]),
        ("discard(1)", ["1:9: expected ), got 1"]),
        ('@A = log(DEBUG, "x")', ["1:6: log gives no value: it is a statement of its own"]),
        ('log(LOUD, "x")', ["1:5: expected a level: DEBUG, INFO, WARNING, ERROR or FATAL"]),
        ('service("x", SICK)', ["1:14: expected GOOD, MARGINAL or BAD, got SICK"]),
        ("update($a)", ["1:8: update takes a @Field, and TRUE or FALSE"]),
        ("remove(%P)", ["1:8: remove takes $element, @Field or array[key]"]),
        ("details(@A)", ["1:9: details takes $elements or $*"]),
        ("clear($a)", ["1:7: clear takes the name of an array"]),
        ('split($a, "b", ",")', ["1:11: split takes a text, the name of an array, and a separator"]),
        (
            '@A = nvp_add(@E, "a")',
            ["1:6: nvp_add takes $*, or a text of pairs and then name, value, name, value, ..."],
        ),
        (
            "settarget(Old)",
            [f"1:11: there is no target Old: expected Old = registertarget(...) before it{ELSEWHERE}"],
        ),
        ('T = registertarget("a")\ngenevent(T, @A)', ["2:1: genevent takes at least 3 arguments, got 2"]),
        (
            'T = registertarget("a")\ngenevent(T, @A, 1, @B)',
            ["2:1: genevent takes a target, and then @Field, value, @Field, value, ..."],
        ),
        ('T = registertarget("a")\ngenevent(T, "A", 1)', ["2:13: expected a @Field"]),
        ("T = registertarget($a)", ["1:20: registertarget takes texts and %Properties"]),
        (
            'registertarget("a")',
            ["1:1: registertarget gives a target its name: expected Name = registertarget(...)"],
        ),
        (
            "@A = gethostaddr($a)",
            [f"1:6: gethostaddr is not supported: {UNSUPPORTED['gethostaddr']}"],
        ),
        ("@A = 1 / 0", ["1:8: division by zero"]),
        ('@A = "a" - 1', ["1:10: - takes numbers, got 'a'"]),
        ('include "none.rules"', ["1:9: none.rules cannot be read: No such file or directory"]),
        ('include "$NONE/a"', ["1:9: there is no environment variable NONE"]),
        ('include "."', ["1:9: {folder} is not a file"]),
        ('include ""', ['1:9: expected the path of a file, got ""']),
        (
            'table t = "none.tab"\n@A = lookup(1, t)',
            ["1:11: none.tab cannot be read: No such file or directory"],
        ),
        ('include "x.rules"', ["1:9: a file cannot include itself: x.rules includes x.rules"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(folder: Path, text: str, expected: list[str]) -> None:
    told = [line.replace(str(folder), "{folder}") for line in wrong(folder, text)]
    assert told == [f"x.rules:{one}" for one in expected]


def test_a_bad_constant_pattern_is_an_error_of_the_file(folder: Path) -> None:
    (told,) = wrong(folder, '@A = 1\nif (regmatch($a, "(a")) { @A = 2 }')
    assert told.startswith('x.rules:2:18: regular expression "(a": ')


def test_all_that_is_wrong_is_told_at_once_and_in_order(folder: Path) -> None:
    text = """array a
if ($x {
    @A = 1
}
@B = nothing($x)
@C 3
foreach (e in $*) {
    @D = )
    @E = upper(1, 2)
}
include "a.rules"
@F = "open
"""
    assert wrong(folder, text, a_rules="@A = lower()\n@B 1\n") == [
        "x.rules:2:8: expected an operator or ), got {",
        "x.rules:5:6: there is no function nothing",
        "x.rules:6:4: expected =, got 3",
        "x.rules:8:10: expected a value, got )",
        "x.rules:9:10: upper takes 1 argument, got 2",
        "x.rules:12:6: the text has no closing quote on its line",
        "a.rules:1:6: lower takes 1 argument, got 0",
        "a.rules:2:4: expected =, got 1",
    ]


def test_after_an_error_of_form_no_name_is_called_undeclared(folder: Path) -> None:
    assert wrong(folder, "array 1\na[1] = 2\n@A = lookup(1, t)\nremove(%P)") == [
        "x.rules:1:7: expected a name, got 1",
        "x.rules:4:8: remove takes $element, @Field or array[key]",
    ]


def test_an_error_in_a_file_that_is_included_twice_is_told_once(folder: Path) -> None:
    assert wrong(folder, 'include "a.rules" include "a.rules"', a_rules="@A = quux()\n@B 1") == [
        "a.rules:1:6: there is no function quux",
        "a.rules:2:4: expected =, got 1",
    ]


def test_tables_in_a_file_that_is_included_late_are_refused(folder: Path) -> None:
    assert wrong(folder, 'switch ($x) { case 1: include "a.rules" }', a_rules=TABLE) == [
        "a.rules:1:1: a table must stand before the first statement, in the file that includes the others"
    ]


def test_a_case_that_is_none_is_told_once(folder: Path) -> None:
    assert wrong(folder, "switch ($x) {\n case $a:\n @A = 1\n case 1: @B = 1\n}") == [
        "x.rules:2:7: expected a text or a number, got $a"
    ]


def test_a_file_of_cases_outside_of_a_switch_is_refused(folder: Path) -> None:
    assert wrong(folder, 'include "a.rules"', a_rules="case 1: @A = 1") == [
        "a.rules:1:1: case stands only in a switch: a file with cases is included between the cases of one"
    ]


def test_files_that_include_one_another_are_refused(folder: Path) -> None:
    told = wrong(
        folder, 'include "a.rules"', a_rules='include "b.rules"', b_rules='@A = 1\ninclude "a.rules"'
    )
    assert told == [
        "b.rules:2:9: a file cannot include itself: "
        "x.rules includes a.rules includes b.rules includes a.rules"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a\tb\nc\td\te\n", "2:1: expected 2 columns, as in the first row, got 3"),
        ("a b\n", "1:1: expected a key and a value with a tab between them"),
        ('"a", "b"\n\n"c", d\n', "3:1: expected a text in quotes in column 2"),
    ],
)
def test_what_is_wrong_with_a_tables_file_is_told_with_its_line(
    folder: Path, content: str, expected: str
) -> None:
    assert wrong(folder, 'table t = "t.tab"\n@A = lookup(1, t)', t_tab=content) == [f"t.tab:{expected}"]


def test_a_main_file_that_is_missing_is_told(folder: Path) -> None:
    with pytest.raises(RulesErrors) as raised:
        load(folder / "none.rules")
    assert str(raised.value) == f"{folder}/none.rules: cannot be read: No such file or directory"


def test_a_file_that_is_not_utf_8_is_told_with_its_line(folder: Path) -> None:
    path = folder / "x.rules"
    path.write_bytes(b"# first\n# caf\xe9\n")
    with pytest.raises(RulesErrors, match=r"x\.rules: is not UTF-8: line 2 has the byte 0xe9"):
        load(path)


def test_a_byte_order_mark_and_dos_lines_are_allowed(folder: Path) -> None:
    path = folder / "x.rules"
    path.write_bytes(b"\xef\xbb\xbf# first\r\n@A = 1\r\n@B = 2\r\n")
    assert load(path).run({}).events[0].fields == {"A": 1, "B": 2}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"ISHOME": "one"}, ("one", "one")),
        ({"ISMHOME": "two"}, ("two", "two")),
        ({"ISHOME": "one", "ISMHOME": "two"}, ("one", "two")),
        ({"ISHOME": "one", "ISMHOME": ""}, ("one", "one")),
    ],
)
def test_the_two_homes_of_the_ism_stand_for_each_other(
    folder: Path, environ: dict[str, str], expected: tuple[str, str]
) -> None:
    for home in ("one", "two"):
        (folder / home).mkdir()
        (folder / home / "more.rules").write_text(f'@Included = @Included + "{home} "')
        (folder / home / "words.tab").write_text(f"key\t{home}\n")
    path = folder / "x.rules"
    path.write_text(
        'table first = "$ISHOME/words.tab"\ntable second = "${ISMHOME}/words.tab"\n'
        'include "$ISHOME/more.rules"\ninclude "${ISMHOME}/more.rules"\n'
        '@Table = lookup("key", first) + " " + lookup("key", second) + " "\n'
        '@Variables = getenv("ISHOME") + " " + getenv("ISMHOME") + " "\n'
    )
    both = " ".join(expected) + " "
    found = load(path, environ=environ).run({}).events[0].fields
    assert found == {"Included": both, "Table": both, "Variables": both}


def test_what_an_included_file_does_not_declare_is_not_looked_for_in_another(folder: Path) -> None:
    statement = "@A = lookup($host, sites)"
    (alone,) = wrong(folder, statement)
    assert alone.endswith(ELSEWHERE)
    (included,) = wrong(folder, 'include "part.rules"', **{"part.rules": statement})
    assert ELSEWHERE not in included
    assert "there is no table sites" in included


def test_a_reload_takes_a_valid_file_and_keeps_the_old_one_where_it_is_not(folder: Path) -> None:
    path = folder / "x.rules"
    path.write_text("@A = 1", encoding="utf-8")
    reloader = Reloader(path)
    path.write_text("@A = 2", encoding="utf-8")
    assert reloader.reload() is None
    assert reloader.current.run({}).events[0].fields == {"A": 2}
    path.write_text("@A = ", encoding="utf-8")
    errors = reloader.reload()
    assert errors is not None
    assert [error.message for error in errors.errors] == ["expected a value, got the end of the file"]
    assert reloader.current.run({}).events[0].fields == {"A": 2}

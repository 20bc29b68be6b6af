"""The functions of the rules language, and the page about them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from time import thread_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbeat.ism.rules.errors import RulesErrors
from postbeat.ism.rules.functions import FUNCTIONS, UNSUPPORTED, Function
from postbeat.ism.rules.loading import load
from postbeat.ism.rules.machine import Machine, RulesFaultError
from postbeat.ism.rules.program import Outcome, Program
from postbeat.ism.values import (
    INTEGER_LEAST,
    INTEGER_MOST,
    Value,
    as_int,
    as_number,
    as_real,
    as_text,
    compare,
    is_true,
)
from tests.conftest import MANY
from tests.documents import section

PAGE = Path("docs/rules-functions.md").read_text()
MESSAGE = "The connection was refused while connecting to 192.0.2.25:25"
NOW_S = 1_700_000_000.0  # Tuesday, 14 November 2023, 22:13:20 UTC
LONG = 65_536

Run = Callable[..., Outcome]
Get = Callable[..., Value]


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], Program]:
    """Makes a program of rules."""

    def compiled(rules: str) -> Program:
        file = tmp_path / "test.rules"
        file.write_text(rules, encoding="utf-8")
        return load(file, environ={"TZ": "Europe/Berlin"}, now_s=lambda: NOW_S)

    return compiled


@pytest.fixture
def run(compiled: Callable[[str], Program]) -> Run:
    """Runs rules, with elements given by name."""

    def run(rules: str, /, **elements: Value) -> Outcome:
        return compiled(rules).run(elements)

    return run


@pytest.fixture
def get(run: Run) -> Get:
    """What an expression gives, with elements given by name."""

    def get(expression: str, /, **elements: Value) -> Value:
        outcome = run(f"@Result = {expression}", **elements)
        assert outcome.fault is None
        return outcome.events[0].fields["Result"]

    return get


def fault_of(outcome: Outcome) -> str:
    assert outcome.fault is not None
    return outcome.fault.message


def machine(now_s: float = NOW_S, zone: str = "Europe/Berlin") -> Machine:
    made = Machine(environ={"TZ": zone}, now_s=lambda: now_s, hostname="monitor")
    made.begin({}, {}, {})
    return made


def taken(function: Function, on: Machine, values: Iterable[Value]) -> list[Any]:
    """What a function takes for values, once of one of them was made what it needs."""
    arguments: list[Any] = list(values)
    if function.makes is not None:
        position, make = function.makes
        arguments[position] = make(on, arguments[position])
    return arguments


def call(name: str, *values: Value, on: Machine | None = None) -> Value:
    function, on = FUNCTIONS[name], on or machine()
    return function.call(on, taken(function, on, values))


def several(name: str, *values: Value) -> list[Value]:
    function, on = FUNCTIONS[name], machine()
    assert function.several is not None
    return function.several(on, taken(function, on, values))


# --- the page


def rows(heading: str) -> list[list[str]]:
    """The rows of the tables of a section of the page, by cells."""
    lines = [line for line in section(PAGE, heading).splitlines() if line.startswith("| ")]
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines
    ]


def in_code(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


EXAMPLES = [
    (in_code(row[0])[0], in_code(row[1])[0] if row[1].startswith("`") else None)
    for heading in ("Texts", "Regular expressions", "Numbers", "Dates and times", "The machine", "Loads")
    for row in rows(heading)
    if len(row) == 3 and re.match(r"`\w+\(", row[0])
]


@pytest.mark.parametrize(("example", "gives"), EXAMPLES, ids=[example for example, _ in EXAMPLES])
def test_an_example_of_the_page_gives_what_the_page_says(get: Get, example: str, gives: str | None) -> None:
    got = as_text(get(example, message=MESSAGE))

    assert gives is None or got == gives


def test_the_page_has_an_example_of_every_function() -> None:
    assert {example.split("(")[0] for example, _ in EXAMPLES} == set(FUNCTIONS)


def test_the_page_names_what_is_not_there() -> None:
    assert {name for row in rows("Not there") for name in in_code(row[0])} == set(UNSUPPORTED)


@pytest.mark.parametrize(
    "row", [row for row in rows("Dates and times") if "`yyyy`" in row[0] or row[0].count("`") >= 4]
)
def test_the_letters_of_the_page_give_what_the_page_says(row: list[str]) -> None:
    at = datetime(2023, 2, 7, 7, 5, 2, 250_000, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()

    assert [call("timetodate", at, letters) for letters in in_code(row[0])] == in_code(row[2])


def test_every_percent_letter_of_the_page_is_known() -> None:
    letters = re.search(r"`(%a[^`]*)`", PAGE)
    assert letters is not None

    assert all(call("timetodate", 0, f"{letter} %Y") for letter in letters[1].split())


def test_the_pages_example_of_a_load_lets_twenty_events_through(tmp_path: Path) -> None:
    example = PAGE.split("## Loads")[1].split("\n    array", 1)[1].split("\n\n")[0]
    file = tmp_path / "load.rules"
    file.write_text("array" + example)
    now_s = NOW_S
    program = load(file, now_s=lambda: now_s)

    first = [program.run({}).discarded for _ in range(25)]
    now_s += 61

    assert first == [False] * 20 + [True] * 5
    assert not program.run({}).discarded


# --- texts


def test_match_compares_to_the_letter_and_numbers_by_their_digits(get: Get) -> None:
    assert get('match("Refused", "refused")') == 0
    assert get('match($code, "550")', code=550) == 1
    assert get('match($none, "")') == 1


def test_substr_gives_what_there_is_of_the_part(get: Get) -> None:
    assert get("substr($text, 5, 10)", text="abcdef") == "ef"
    assert get("substr($text, 7, 1)", text="abcdef") == ""


def test_substr_counts_from_one(run: Run) -> None:
    assert fault_of(run('@R = substr("abc", 0, 1)')) == "substr: characters count from 1, there is none at 0"
    assert fault_of(run('@R = substr("abc", 1, -1)')) == "substr: -1 is no number of characters"


def test_a_text_that_grows_too_long_stops_the_run(run: Run) -> None:
    outcome = run("@R = upper($text)", text="ß" * 40_000)

    assert fault_of(outcome) == "a text of more than 65,536 characters"


def test_expand_leaves_what_it_does_not_know(get: Get) -> None:
    assert get("expand($text)", text="a\\101\\q\\\\n\\") == "aA\\q\\n\\"


def test_printable_has_a_blank_for_every_other_character(get: Get) -> None:
    assert get("printable($text)", text="a\r\n\x00\x1b\ud800é ☂") == "a     é ☂"


# --- scanformat


def test_scanformat_gives_all_that_the_format_names(run: Run) -> None:
    outcome = run(
        '[$a, @B, $c] = scanformat("Lou is 7.5 of 0x1F, said Max", "%s is %f of %x,")\n@A = $a\n@C = $c'
    )

    assert outcome.events[0].fields == {"A": "Lou", "B": 7.5, "C": 31}


@pytest.mark.parametrize(
    ("text", "form", "values"),
    [
        ("{Kind:Pod, Name:x-1, UID:7}", "{Kind:%s, Name:%s, UID:%d}", ["Pod", "x-1", 7]),
        ("up 41 days", "up %d hours %d", [41, ""]),
        ("down", "up %d", [""]),
        ("12:34:56", "%2d:%*d:%2d", [12, 56]),
        ("  a   b", "%s %s", ["a", "b"]),
        ("abc", "%2c%c", ["ab", "c"]),
        ("key-1=va lue;rest", "%[a-z0-9-]=%[^;];", ["key-1", "va lue"]),
        ("]^-", "%[]^-]", ["]^-"]),
        ("93 % full", "%d %% %s", [93, "full"]),
        ("-17 017 ff", "%i %o %X", [-17, 15, 255]),
        ("1e3,", "%g,", [1000.0]),
        (",x", "%s,%s", ["", "x"]),
        ("99999999999999999999", "%d", [INTEGER_MOST]),
        ("f" * 30, "%x", [INTEGER_MOST]),
        ("", "%s", [""]),
        ("text", "text", []),
    ],
)
def test_scanformat_reads(text: str, form: str, values: list[Value]) -> None:
    assert several("scanformat", text, form) == values
    assert call("scanformat", text, form) == next(iter(values), "")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("%y", "%y is not known; known are %d %u %o %x %f %s %c %[...] and %%"),
        ("100%", "% is not known; known are %d %u %o %x %f %s %c %[...] and %%"),
        ("%[z-a]", "z-a is no range of characters"),
        ("%0d", "%0d would read nothing"),
        ("%[abc", "%[ is not known; known are %d %u %o %x %f %s %c %[...] and %%"),
        ("x" * 501, "it has more than 500 characters"),
    ],
)
def test_a_bad_scan_format_is_told(form: str, message: str) -> None:
    with pytest.raises(RulesFaultError) as caught:
        call("scanformat", "text", form)

    assert caught.value.message == f"scanformat: {message}"


words = st.text("abcXYZ-_.éß☂", min_size=1)


@given(words, st.integers(INTEGER_LEAST, INTEGER_MOST), words)
def test_scanformat_reads_back_what_was_written(name: str, number: int, rest: str) -> None:
    assert several("scanformat", f"{name};\t{number} ({rest})", "%s; %d (%s)") == [name, number, rest]


# --- values and numbers


@given(st.one_of(st.integers(INTEGER_LEAST, INTEGER_MOST), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_is_the_same_after_having_been_a_text(number: int | float) -> None:
    text = as_text(number)

    assert as_number(text) == number
    assert as_number(f" {text}\n") == number
    assert as_real(text) == float(number)
    assert compare(text, number) == 0


@pytest.mark.parametrize(
    ("text", "whole", "real", "number"),
    [
        ("", 0, 0.0, None),
        ("12 ms", 12, 12.0, None),
        (" -3.9", -3, -3.9, -3.9),
        ("+.5e1", 5, 5.0, 5.0),
        ("1e", 1, 1.0, None),
        ("0x1F", 0, 0.0, None),
        ("1_000", 1, 1.0, None),
        ("٣", 0, 0.0, None),
        ("²", 0, 0.0, None),
        ("nan", 0, 0.0, None),
        ("inf", 0, 0.0, None),
        ("007", 7, 7.0, 7),
        ("9223372036854775807", INTEGER_MOST, 2.0**63, INTEGER_MOST),
        ("-9223372036854775808", INTEGER_LEAST, -(2.0**63), INTEGER_LEAST),
        ("9223372036854775808", INTEGER_MOST, 2.0**63, 2.0**63),
        ("000000000000000000000000000001", 1, 1.0, 1),
        ("1e400", INTEGER_MOST, 1.7976931348623157e308, None),
        ("9" * 400, INTEGER_MOST, 1.7976931348623157e308, None),
        ("1" * 5000, INTEGER_MOST, 1.7976931348623157e308, None),
        ("-1e400", INTEGER_LEAST, -1.7976931348623157e308, None),
    ],
)
def test_a_text_has_these_numbers(text: str, whole: int, real: float, number: int | float | None) -> None:
    assert as_int(text) == whole
    assert as_real(text) == pytest.approx(real)
    assert as_number(text) == number
    assert type(as_number(text)) is type(number)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.000012, "0.000012"), (-1.5e-7, "-0.00000015"), (1e16, "10000000000000000.0"), (0.25, "0.25")],
)
def test_a_number_is_written_in_digits_and_never_with_an_exponent(number: float, text: str) -> None:
    assert as_text(number) == text


def test_what_is_no_number_at_all_has_values_too() -> None:
    assert (as_int(math.nan), as_int(math.inf), as_int(-math.inf)) == (0, INTEGER_MOST, INTEGER_LEAST)
    assert (as_real(math.nan), as_number(math.inf)) == (0.0, None)
    assert as_text(10**5000) == str(INTEGER_MOST)


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (0, False),
        (0.0, False),
        ("", False),
        ("0", False),
        (" 0.00 ", False),
        (-1, True),
        ("no", True),
        ("0 ms", True),
    ],
)
def test_what_is_neither_empty_nor_zero_is_true(value: Value, truth: bool) -> None:
    assert is_true(value) is truth


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [
        ("10", "9", -1),
        (10, "9", 1),
        ("10", 9.5, 1),
        ("1", "1.0", -1),
        (1, "1.0", 0),
        ("abc", 5, 1),
        ("", 0, -1),
        (2, 2.0, 0),
        ("é", "z", 1),
        (math.nan, 1, 1),
    ],
)
def test_numbers_are_compared_as_numbers_and_texts_as_texts(a: Value, b: Value, order: int) -> None:
    assert compare(a, b) == order
    assert compare(b, a) == -order


@given(st.integers(2, 36), st.integers(INTEGER_LEAST, INTEGER_MOST))
def test_to_base_writes_what_reads_back(base: int, number: int) -> None:
    assert int(as_text(call("toBase", base, number)), base) == number


@pytest.mark.parametrize("base", [1, 37, "x", "", 2.5, "2.5"])
def test_to_base_says_which_bases_there_are(base: Value) -> None:
    with pytest.raises(RulesFaultError) as caught:
        call("toBase", base, 5)

    assert caught.value.message == "toBase: the base, which stands first, is a whole number from 2 to 36"


# --- dates and times


ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")
FORMATS = (
    "yyyy-MM-dd'T'HH:mm:ssXXX",
    "EEE MMM dd HH:mm:ss ZZZZ yyyy",
    "EEEE, d MMMM yyyy h:m:s a z",
    "yyyyMMddHHmmssZ",
    "D yyyy H:mm:s X",
    "%c %z",
    "%Y%j %I.%M.%S %p %Z",
    "''yyyy'' 'o''clock' ss:mm:HH d/M zzzz",
    "%b%e%H:%M:%S %Y %z",
    "%Y  %m-%e%H%M%S%z",
)


@given(st.integers(0, 4_000_000_000), st.sampled_from(ZONES), st.sampled_from(FORMATS))
def test_a_time_is_the_same_after_having_been_a_text(time_s: int, zone: str, form: str) -> None:
    text = call("timetodate", time_s, form, on=machine(zone=zone))

    assert call("datetotime", text, form, on=machine(zone="Asia/Tokyo")) == time_s


def test_two_quotes_are_one_inside_a_text_of_a_format_and_outside() -> None:
    assert call("timetodate", 0, "hh 'o''clock' a") == "01 o'clock AM"
    assert call("timetodate", 0, "''yy'' 'it''s'") == "'70' it's"


@given(st.integers(0, 4_000_000_000), st.sampled_from(ZONES), st.sampled_from("aAbBcdDeFhHIjmMpRSTyYz"))
def test_percent_signs_mean_what_they_mean_to_strftime(time_s: int, zone: str, letter: str) -> None:
    form = f"%{letter}%%"
    at = datetime.fromtimestamp(time_s, ZoneInfo(zone))

    assert call("timetodate", time_s, form, on=machine(zone=zone)) == at.strftime(form)


@pytest.mark.parametrize(
    ("text", "form", "utc"),
    [
        ("Tue Dec 19 18:33:11 GMT+00:00 2000", "EEE MMM dd HH:mm:ss ZZZZ yyyy", "2000-12-19T18:33:11"),
        ("Sun Jan 15 08:30:00 2006 +0500", "EEE MMM dd HH:mm:ss yyyy ZZZ", "2006-01-15T03:30:00"),
        ("2009-03-28:02:00PM", "yyyy-MM-dd:hh:mma", "2009-03-28T13:00:00"),
        ("12:05 am", "hh:mm a", "2023-11-13T23:05:00"),
        ("19/12/2000 8:3:1", "d/M/yyyy H:m:s", "2000-12-19T07:03:01"),
        ("Nov  6 07:08:09", "MMM d HH:mm:ss", "2023-11-06T06:08:09"),
        ("Nov 16 07:08:09", "MMM  d HH:mm:ss", "2023-11-16T06:08:09"),
        ("Nov 6 07:08:09", "%b  %e %H:%M:%S", "2023-11-06T06:08:09"),
        ("Tue Feb  7 07:05:02 2023", "%c", "2023-02-07T06:05:02"),
        ("NOVEMBER 6, 99", "MMM d, yy", "1999-11-05T23:00:00"),
        ("07:30", "HH:mm", "2023-11-14T06:30:00"),
        ("1700000000.25 EST", "yyyyMMddSS z", ""),
        ("20240229", "yyyyMMdd", "2024-02-28T23:00:00"),
        ("20230229", "yyyyMMdd", ""),
        ("2023-07-01 12:00 CEST", "yyyy-MM-dd HH:mm z", "2023-07-01T10:00:00"),
        ("2023-07-01 12:00", "yyyy-MM-dd HH:mm", "2023-07-01T10:00:00"),
        ("2023-07-01 12:00 XYZ", "yyyy-MM-dd HH:mm z", ""),
        ("2023-07-01 13:00 PM", "yyyy-MM-dd hh:mm a", ""),
        ("2023-07-01 12:00 +9999", "yyyy-MM-dd HH:mm Z", ""),
        ("0000-01-01", "yyyy-MM-dd", ""),
        ("2023-07-01 and more", "yyyy-MM-dd", ""),
        ("", "yyyy", ""),
        ("2" * 70_000, "yyyy", ""),
    ],
)
def test_a_date_is_read(text: str, form: str, utc: str) -> None:
    on = machine()

    got = call("datetotime", text, form, on=on)

    assert got == (int(datetime.fromisoformat(utc + "+00:00").timestamp()) if utc else 0)
    assert [level for level, _ in on.lines] == ([] if utc else ["WARNING"])


def test_what_is_no_time_is_told_in_the_log(run: Run) -> None:
    outcome = run('@A = datetotime($text, "HH:mm")\n@B = timetodate($text, "HH:mm")', text="soon")

    assert outcome.events[0].fields == {"A": 0, "B": ""}
    assert [(line.level, line.text) for line in outcome.log] == [
        ("WARNING", 'datetotime: "soon" is no time in the format "HH:mm"'),
        ("WARNING", 'timetodate: "soon" is no time in seconds'),
    ]


@pytest.mark.parametrize("time_s", ["", "x", 1e18, -1e18, INTEGER_MOST, math.inf, math.nan])
def test_what_cannot_be_a_time_gives_the_empty_text(time_s: Value) -> None:
    assert call("timetodate", time_s, "yyyy") == ""


@pytest.mark.parametrize("zone", ["", "No/Where", "../../etc/passwd", "CET-1CEST", "\x00"])
def test_without_a_known_zone_times_are_those_of_this_machine(zone: str) -> None:
    form = "yyyy-MM-dd HH:mm:ss"

    text = call("timetodate", NOW_S, form, on=machine(zone=zone))

    assert text == datetime.fromtimestamp(NOW_S).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006
    assert call("datetotime", text, form, on=machine(zone=zone)) == NOW_S


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("YYYY", "Y is not known; known are y M d D E a H h m s S z Z X. Texts stand between two '"),
        ("MMMMM", "MMMMM is not known; M may stand 4 times at most"),
        ("yyy", "yyy is not known; y may stand 4 times at most"),
        ("yyyy'at", "a text in it is not closed: two ' are needed around it"),
        (
            "%Q",
            "%Q is not known; known are % and one of a A b h B c d D e F H I j m M p r R S T x X y Y z Z "
            "n t %",
        ),
        (
            "%Y %",
            "% is not known; known are % and one of a A b h B c d D e F H I j m M p r R S T x X y Y z Z "
            "n t %",
        ),
        ("'text'", "it has no part of a date or a time, such as yyyy or %Y"),
        ("-" * 101, "it has more than 100 characters"),
        ("MMMM " * 20, "it has too many parts"),
    ],
)
def test_a_bad_date_format_is_told(form: str, message: str) -> None:
    with pytest.raises(RulesFaultError) as caught:
        call("timetodate", NOW_S, form)

    assert caught.value.message.endswith(f'": {message}')


# --- the machine, and what is not there


def test_a_variable_that_is_not_set_is_empty(get: Get) -> None:
    assert get("getenv($name)", name="NO_SUCH\x00\ud800") == ""


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_a_function_that_is_not_there_is_named_with_its_line_and_why(run: Run, name: str) -> None:
    with pytest.raises(RulesErrors) as caught:
        run(f'@Severity = 1\n@Node = {name}("x")')

    error = caught.value.errors[0]
    assert (error.line, error.message) == (2, f"{name} is not supported: {UNSUPPORTED[name]}")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            '@R = regmatch($m, "(")',
            'regular expression "(": a ( is not closed; for the character itself write \\(',
        ),
        (
            '@R = extract($m, "ab")',
            'regular expression "ab": it has no part in parentheses that could be taken out',
        ),
        ('@R = timetodate(1, "Q")', 'timetodate: format "Q": Q is not known; known are'),
        ('@R = scanformat($m, "%q")', "scanformat: %q is not known; known are"),
        ("@R = toBase(1, 5)", "toBase: the base, which stands first, is a whole number from 2 to 36"),
    ],
)
def test_a_constant_that_cannot_be_is_an_error_of_the_file(run: Run, rules: str, message: str) -> None:
    with pytest.raises(RulesErrors) as caught:
        run(rules)

    assert caught.value.errors[0].line == 1
    assert message in caught.value.errors[0].message


# --- loads


@given(
    st.integers(1, 100),
    st.integers(1, 20),
    st.lists(st.integers(0, 30_000_000), max_size=40),
    st.integers(0, 200_000_000),
)
def test_a_load_counts_what_a_list_of_all_times_counts(
    window_s: int, most: int, gaps_us: list[int], after_us: int
) -> None:
    load: Value = f"{window_s}.{most}"
    now_us = int(NOW_S) * 1_000_000
    times_us: list[int] = []
    for gap_us in gaps_us:
        now_us += gap_us
        times_us.append(now_us)
        load = call("updateload", load, on=machine(now_us / 1_000_000))
    later = machine((now_us + after_us) / 1_000_000)

    kept = [time_us for time_us in times_us if now_us + after_us - time_us < window_s * 1_000_000][-most:]

    assert call("geteventcount", load, on=later) == len(kept)
    if len(kept) < most:
        assert call("getload", load, on=later) == pytest.approx(len(kept) / window_s)


def test_a_load_that_is_full_tells_the_rate_of_what_it_holds() -> None:
    load: Value = "60.3"
    for at_s in (0.0, 0.5, 1.0, 1.5):
        load = call("updateload", load, on=machine(NOW_S + at_s))

    assert load == "60.3:1700000001500000,500000,500000"
    assert call("getload", load, on=machine(NOW_S + 2.0)) == 2.0
    assert call("getload", load, on=machine(NOW_S + 100)) == 0.0


def test_a_clock_that_was_set_back_does_no_harm() -> None:
    load = call("updateload", "10.5:1800000000000000,1000000", on=machine())

    assert load == "10.5:1700000000000000,0,0"


@pytest.mark.parametrize("load", ["x", "2", "0.5", "2.0", "90000.5", "2.5:", "2.5:1,x", "2.50:" + "9" * 30])
def test_what_is_no_load_is_told(load: str) -> None:
    with pytest.raises(RulesFaultError) as caught:
        call("getload", load)

    assert caught.value.message == (
        f'getload: "{load}" is no load; it begins as "seconds.samples", such as "2.50", '
        "with up to 86,400 seconds and 1,000 samples"
    )


# --- whatever the values are

any_text = st.text(st.characters(exclude_categories=()))
values: st.SearchStrategy[Value] = st.one_of(
    any_text,
    st.integers(),
    st.floats(),
    st.text("yMdDEaHhmsSzZX'%-: 0123456789"),
    st.text("ab01()[]{}|*+?.^$\\-,:wdsPp<>="),
    st.text("%sdxofc[]^*50 ab,-"),
    st.text("0123456789.,:eE+- "),
    st.sampled_from(["a" * LONG, "é" * LONG, "\\1" * 1000, "2.50", "%s,%d", "(a)(b)?"]),
)


@settings(max_examples=MANY)
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(values, min_size=4, max_size=4))
def test_a_function_gives_a_value_or_a_fault_whatever_it_is_given(
    name: str, given_values: Sequence[Value]
) -> None:
    function = FUNCTIONS[name]
    on = machine()
    try:
        arguments = taken(function, on, given_values[: function.least])
        got = [function.call(on, arguments)]
        got += function.several(on, arguments) if function.several else []
    except RulesFaultError:
        return
    assert all(type(value) in (str, int, float) for value in got)
    assert all(len(value) <= LONG for value in got if isinstance(value, str))


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("printable($t)", "\x00" * LONG),
        ("expand($t)", "\\n" * (LONG // 2)),
        ("upper($t)", "é" * LONG),
        ("regreplace($t, $t, $t)", "a.*"),
        ('regreplace($t, "a.*z|a", "b")', "a" * LONG),
        ('regreplace($t, "", "b")', "a" * LONG),
        (f'scanformat($t, "{"%s," * 150}")', "a," * (LONG // 2)),
        ("int($t) + real($t)", "9" * LONG),
        ("updateload($t)", "2.50:" + ",".join("1" * 900)),
        ('datetotime($t, "yyyy")', "2" * LONG),
        ('timetodate($i, "EEEE MMMM EEEE MMMM")', "x"),
    ],
)
def test_hundreds_of_calls_on_long_texts_end_soon(
    compiled: Callable[[str], Program], expression: str, text: str
) -> None:
    """They may come to the end or be stopped; 100,000 steps are some 0.2 s."""
    program = compiled(f"@R = {expression}\n" * 300)

    started_s = thread_time()
    program.run({"t": text})

    assert thread_time() - started_s < 1

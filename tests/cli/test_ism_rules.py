"""``postbeat ism rules``: check, try and show."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from postbeat import plain
from postbeat.cli import main
from postbeat.ism.elements import of_result
from postbeat.ism.rules.loading import DEFAULTS, WRAPPER
from postbeat.model import Kind, Level, Pair
from postbeat.roundtrip import RoundTrip
from tests.cli.conftest import Run, RunningSite
from tests.unit.some_results import CHECK, READ, SENT

RULES = """table words = {{"1", "good"}, {"3", "bad"}}
array seen;
@Summary = $identifier + " is " + lookup($serviceLevel, words)
seen["n"] = int(seen["n"]) + 1
@Tally = seen["n"]
if (int($serviceLevel) == 1)
{
    discard
}
else
{
    details($monitor)
    update(@Summary)
    log(WARNING, $message)
}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "my.rules"
    path.write_text(RULES)
    return path


def written(folder: Path, *documents: Any, name: str = "result.json") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


@pytest.mark.parametrize("name", ["smtp", "imap4", "pop3", "ism"])
def test_show_prints_rules_to_begin_with_that_are_valid(inside: Run, tmp_path: Path, name: str) -> None:
    done = inside("ism", "rules", "show", name)
    assert done.returncode == 0
    shipped = WRAPPER if name == "ism" else DEFAULTS[Kind(name)]
    assert done.stdout == shipped.read_text()
    assert inside("ism", "rules", "check", shipped).returncode == 0
    if name != "ism":
        copy = tmp_path / "copy.rules"
        copy.write_text(done.stdout)
        assert inside("ism", "rules", "check", copy).stdout == f"{copy} is valid\n"


def test_check_names_what_was_included(inside: Run) -> None:
    assert inside("ism", "rules", "check", WRAPPER).stdout == f"{WRAPPER} is valid, with 3 included files\n"
    document = json.loads(inside("ism", "rules", "check", WRAPPER, "--json").stdout)
    assert document["valid"]
    assert {Path(name).name for name in document["files"]} == {
        "ism.rules",
        "smtp.rules",
        "imap4.rules",
        "pop3.rules",
    }


def test_check_says_all_that_is_wrong_with_file_line_and_column(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "my.rules"
    file.write_text("@A = lower()\n@B = regmach($a)\n")
    done = inside("ism", "rules", "check", file)
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{file}:1:6: ")
    assert second.startswith(f"{file}:2:6: ")
    assert "regmatch" in second
    assert done.stderr == f"2 errors in {file}\n"
    as_json = inside("ism", "rules", "check", file, "--json")
    assert as_json.returncode == 1
    document = json.loads(as_json.stdout)
    assert not document["valid"]
    assert [(error["file"], error["line"], error["column"]) for error in document["errors"]] == [
        (str(file), 1, 6),
        (str(file), 2, 6),
    ]
    tried = inside("ism", "rules", "try", file)
    assert (tried.returncode, tried.stdout) == (1, done.stdout)


def test_a_file_that_is_none_is_said_at_once(inside: Run, tmp_path: Path) -> None:
    for file in (tmp_path / "nothere.rules", tmp_path):
        assert inside("ism", "rules", "check", file).returncode == 2


def test_try_prints_the_event_and_the_path_taken(inside: Run, rules: Path, tmp_path: Path) -> None:
    failed = replace(SENT, level=Level.FAILED, message="Connection refused")
    result = written(tmp_path, plain.result_as_data(failed))
    done = inside("ism", "rules", "try", rules, "--result", result)
    assert done.returncode == 0, done.stderr
    path, _, event = done.stdout.partition("\n\n")
    assert [line.split(": ")[0] for line in path.splitlines()] == [
        f"{rules}:{number}" for number in (3, 4, 5, 6, 12, 13, 14)
    ]
    assert path.splitlines()[1] == f'{rules}:4: seen["n"] = int(seen["n"]) + 1'
    assert event.splitlines() == [
        "log WARNING: Connection refused",
        "alert:",
        '  @Summary = "mail is bad"  (updated)',
        "  @Tally = 1",
        '  @Identifier = "mailmail@eu0smtpPostbeat"  (default)',
        '  @Node = "mail"  (default)',
        '  @Manager = "Postbeat"  (default)',
        '  @Agent = "smtp"  (default)',
        '  @AlertKey = "mail@eu"  (default)',
        "  @Severity = 5  (default)",
        "  @Type = 0  (default)",
        '  detail monitor = "smtp"',
    ]
    silent = inside("ism", "rules", "try", rules, "--result", result, "--no-trace")
    assert silent.stdout == event


def test_try_prints_json_of_each_result_and_keeps_arrays(inside: Run, rules: Path, tmp_path: Path) -> None:
    failed = replace(SENT, level=Level.FAILED, message="Connection refused")
    result = written(tmp_path, plain.result_as_data(SENT), plain.result_as_data(failed))
    done = inside("ism", "rules", "try", rules, "--result", result, "--json", "--no-trace")
    good, bad = map(json.loads, done.stdout.splitlines())
    assert (good["discarded"], good["events"]) == (True, [])
    row = bad["events"][0].pop("row")
    assert row["Summary"] == "mail is bad"
    assert (row["Severity"], row["Tally"], row["Element"], row["PollId"]) == (5, 1, "mail", str(SENT.poll))
    assert row["FirstOccurrence"] == SENT.at_us // 1_000_000
    assert bad == {
        "events": [
            {
                "target": "",
                "fields": {"Summary": "mail is bad", "Tally": 2},
                "details": {"monitor": "smtp"},
                "updates": ["Summary"],
            }
        ],
        "discarded": False,
        "services": [],
        "properties": {},
        "log": [{"level": "WARNING", "text": "Connection refused"}],
        "path": [],
        "fault": None,
    }
    traced = inside("ism", "rules", "try", rules, "--result", result, "--json")
    steps = json.loads(traced.stdout.splitlines()[0])["path"]
    assert steps[0] == {
        "file": str(rules),
        "line": 3,
        "text": '@Summary = $identifier + " is " + lookup($serviceLevel, words)',
    }


@pytest.mark.parametrize("result", [SENT, READ, CHECK], ids=lambda result: str(result.phase))
def test_a_result_and_its_ism_elements_come_to_the_same(inside: Run, tmp_path: Path, result: Any) -> None:
    as_result = written(tmp_path, plain.result_as_data(result), name="a.json")
    as_elements = written(tmp_path, of_result(result), name="b.json")
    found = [
        inside("ism", "rules", "try", WRAPPER, "--result", path, "--json").stdout
        for path in (as_result, as_elements)
    ]
    assert found[0] == found[1]
    assert json.loads(found[0])["events"][0]["fields"]["Agent"] == result.kind


def test_of_a_round_trip_each_result_is_tried(inside: Run, tmp_path: Path) -> None:
    trip = RoundTrip(Pair("mail", "eu"), True, send=SENT, read=READ)
    path = tmp_path / "trip.json"
    path.write_text(json.dumps(trip.as_data(), indent=2))
    done = inside("ism", "rules", "try", WRAPPER, "--result", path, "--json")
    events = [json.loads(line)["events"][0]["fields"] for line in done.stdout.splitlines()]
    assert [event["Agent"] for event in events] == ["smtp", "imap4"]
    nothing = written(tmp_path, RoundTrip(Pair("mail", "eu"), True).as_data(), name="none.json")
    done = inside("ism", "rules", "try", WRAPPER, "--result", nothing)
    assert (done.returncode, done.stderr) == (1, f"{nothing}: there is no result in it yet\n")


def test_a_result_may_come_from_stdin(rules: Path) -> None:
    def tried(text: str) -> Result:
        return CliRunner().invoke(
            main, ["ism", "rules", "try", str(rules), "--result", "-", "--no-trace"], input=text
        )

    assert '@Summary = "box is bad"' in tried('{"identifier": "box", "serviceLevel": 3}').stdout
    bad = tried("{")
    assert (bad.exit_code, bad.stderr[:11]) == (1, "stdin:1:2: ")


def test_elements_and_properties_can_be_given_and_changed(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "my.rules"
    file.write_text('@A = $port + 1\n@B = $zip\n@C = %Manager\n@D = $host\n%Seen = "yes"\n')
    result = written(tmp_path, {"host": "mx", "port": 25})
    words = ["--element", "port=587", "--element", "$zip=007", "--property", "Manager=M=1", "--no-trace"]
    done = inside("ism", "rules", "try", file, "--result", result, *words)
    assert done.stdout.splitlines() == [
        '%Seen = "yes"',
        "alert:",
        "  @A = 588",
        '  @B = "007"',
        '  @C = "M=1"',
        '  @D = "mx"',
        '  @Identifier = "0Postbeat"  (default)',
        '  @Manager = "Postbeat"  (default)',
        "  @Severity = 1  (default)",
        "  @Type = 0  (default)",
    ]
    assert inside("ism", "rules", "try", file, *words).returncode == 0
    for word in ("port", "=1", "$=1"):
        done = inside("ism", "rules", "try", file, "--element", word)
        assert done.returncode == 2
        assert f"expected NAME=VALUE, got '{word}'" in done.stderr


def test_try_keeps_assigned_properties_as_a_monitor_does(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "my.rules"
    file.write_text("%Seen = int(%Seen) + 1\n@Seen = %Seen\n@A = 1 / $n\n")
    result = written(tmp_path, *({"n": n} for n in (1, 1, 0, 1)))
    done = inside("ism", "rules", "try", file, "--result", result, "--json", "--property", "Seen=4")
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["properties"]["Seen"] for one in outcomes] == [5, 6, 7, 7]
    assert [bool(one["fault"]) for one in outcomes] == [False, False, True, False]


def test_try_has_the_properties_that_the_monitor_of_the_result_has(inside: Run, tmp_path: Path) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text('@Severity = 5\n@Summary = %Manager + " " + %Originator + " " + %SSLKeyPassword\n')
    result = written(tmp_path, {"monitor": "smtp"}, {"monitor": "imap4"}, {"host": "mx"})
    props = tmp_path / "home" / "etc" / "props"
    props.mkdir(parents=True)
    (props / "smtp.props").write_text('Originator : "Mail Check"\nSSLKeyPassword : "canary"\n')
    other = tmp_path / "other.props"
    other.write_text('Manager : "Other"\n')

    def summaries(*words: str | Path, env: dict[str, str] | None = None) -> list[str]:
        done = inside("ism", "rules", "try", rules, "--result", result, "--json", *words, env=env)
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["events"][0]["fields"]["Summary"] for line in done.stdout.splitlines()]

    assert summaries() == ["Postbeat SMTP-Monitor ", "Postbeat SMTP-Monitor ", "  "]
    for home in ("ISHOME", "ISMHOME"):
        assert summaries(env={home: str(tmp_path / "home")})[:2] == [
            "Postbeat Mail Check ",
            "Postbeat SMTP-Monitor ",
        ]
    for option in ("-propsfile", "--propsfile"):
        assert summaries(option, other)[0] == "Other SMTP-Monitor "
    assert summaries("--propsfile", other, "--property", "Manager=Mine") == [
        "Mine SMTP-Monitor ",
        "Mine SMTP-Monitor ",
        "Mine  ",
    ]


def test_try_takes_a_properties_file_for_the_monitor_of_the_first_result_only(
    inside: Run, tmp_path: Path
) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text('@Severity = 5\n@Summary = %Manager + " " + %MailMessage\n')
    round_trip = RoundTrip(Pair("mail", "eu"), True, send=SENT, read=READ).as_data()
    result = written(tmp_path, round_trip, round_trip)
    sends = tmp_path / "smtp.props"
    sends.write_text('Manager : "Sends"\nMailMessage : "hello"\n')
    props = tmp_path / "home" / "etc" / "props"
    props.mkdir(parents=True)
    (props / "imap4.props").write_text('Manager : "Reads"\n')
    words = ("ism", "rules", "try", rules, "--result", result, "--json", "-propsfile", sends)
    for env, manager in ((None, "Postbeat"), ({"ISHOME": str(tmp_path / "home")}, "Reads")):
        done = inside(*words, env=env)
        assert done.returncode == 0, done.stderr
        summaries = [json.loads(line)["events"][0]["fields"]["Summary"] for line in done.stdout.splitlines()]
        assert summaries == ["Sends hello", f"{manager} "] * 2


def test_try_says_what_is_wrong_with_a_properties_file(inside: Run, rules: Path, tmp_path: Path) -> None:
    props = tmp_path / "my.props"
    props.write_text("Originater : x\n")
    result = written(tmp_path, {"monitor": "smtp", "serviceLevel": 3})
    absent = inside("ism", "rules", "try", rules, "--result", result, "-propsfile", tmp_path / "nowhere")
    assert (absent.returncode, absent.stdout) == (2, "")
    done = inside("ism", "rules", "try", rules, "--result", result, "-propsfile", props)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{props}:1: Originater is no property of smtp")


def test_try_shows_an_alert_as_it_would_be_stored(inside: Run, tmp_path: Path) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text('@Severity = "4.6"\n@Type = ""\n@FirstOccurrence = 1790000000.5\n')
    done = inside("ism", "rules", "try", rules, "--no-trace")
    assert "  @Severity = 4" in done.stdout.splitlines()
    assert "  @Type = 0  (default)" in done.stdout.splitlines()
    assert "  @FirstOccurrence = 1790000000" in done.stdout.splitlines()
    rules.write_text("@Severity = 1\n@Type = 2\n")
    assert "  @Severity = 0" in inside("ism", "rules", "try", rules, "--no-trace").stdout.splitlines()


def test_check_warns_of_rules_that_set_no_severity(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "my.rules"
    file.write_text('@Summary = $message\ngenevent("", @Severity, 3)\n')
    done = inside("ism", "rules", "check", file)
    warning, valid = done.stdout.splitlines()
    assert warning == (
        f"{file}: no statement sets @Severity of the alert itself: unless that is discarded, it is 5 where"
        " the result is Failed, 3 Marginal, 2 Unknown and 1 Good"
    )
    assert (done.returncode, valid) == (0, f"{file} is valid")
    file.write_text('table t = {{"a", 5}}\n[@Severity] = lookup($message, t)\n')
    assert inside("ism", "rules", "check", file).stdout == f"{file} is valid\n"


def test_check_says_what_does_nothing(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "my.rules"
    file.write_text("@Severity = 5\n@Tally = 7\n")
    message = "@Tally is set by Postbeat: what rules give it is not taken"
    done = inside("ism", "rules", "check", file)
    assert (done.returncode, done.stdout) == (0, f"{file}:2:1: {message}\n{file} is valid\n")
    document = json.loads(inside("ism", "rules", "check", file, "--json").stdout)
    assert document["warnings"] == [{"file": str(file), "line": 2, "column": 1, "message": message}]


def test_a_fault_ends_with_2_after_what_came_before_it(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "my.rules"
    file.write_text("@A = 1\n@B = 1 / $n\n")
    done = inside("ism", "rules", "try", file, "--element", "n=0")
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1].startswith(f"stopped: {file}:2:")
    as_json = inside("ism", "rules", "try", file, "--element", "n=0", "--json")
    assert as_json.returncode == 2
    fault = json.loads(as_json.stdout)["fault"]
    assert (fault["file"], fault["line"]) == (str(file), 2)


def test_nothing_of_a_result_reaches_the_terminal_raw(inside: Run, rules: Path, tmp_path: Path) -> None:
    result = written(tmp_path, {"identifier": "\x1b]0;mine\x07", "serviceLevel": 3, "message": "a\u202e\nb"})
    done = inside("ism", "rules", "try", rules, "--result", result)
    assert done.returncode == 0
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "\\u001b]0;mine" in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1:1: expected JSON: Expecting value"),
        ('{"a": 1}\n{"b": \n', ":3:1: expected JSON: Expecting value"),
        ("[" * 100_000, ": nested too deeply"),
        ("7", ": expected a JSON object: a result, or ISM elements"),
        ("{}", ": expected a result, or ISM elements; the object is empty"),
        ('{"host": ["mx"]}', ": host: expected a text or a number, got a list"),
        ('{"host": true}', ": host: expected a text or a number, got true"),
        ('{"time": Infinity}', ": time: expected a finite number"),
        (
            '{"attempts": [], "phase": "sent"}',
            ": poll: Field required; phase: Input should be 'send', 'read', 'after' or 'check';"
            " kind: Field required; level: Field required; message: Field required",
        ),
    ],
)
def test_what_is_no_result_is_said(inside: Run, rules: Path, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    done = inside("ism", "rules", "try", rules, "--result", path, "--json", "--no-trace")
    assert done.returncode == 1
    assert done.stderr == f"{path}{message}\n"


def test_a_result_that_is_not_utf_8_is_said(inside: Run, rules: Path, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(b'{"a": "\xff"}')
    done = inside("ism", "rules", "try", rules, "--result", path)
    assert (done.returncode, done.stderr) == (1, f"{path}: not UTF-8\n")


def test_as_a_process(postbeat: Run, rules: Path) -> None:
    done = postbeat("ism", "rules", "try", rules, "--element", "identifier=a", "--element", "serviceLevel=3")
    assert done.returncode == 0, done.stderr
    assert '@Summary = "a is bad"' in done.stdout


def test_what_probe_prints_can_be_tried(inside: Run, profile: Path, tmp_path: Path) -> None:
    result = tmp_path / "trip.json"
    result.write_text(inside("probe", profile, "out-imap4", "--json").stdout)
    done = inside("ism", "rules", "try", WRAPPER, "--result", result, "--json", "--no-trace")
    assert done.returncode == 0, done.stderr
    sent, read = (json.loads(line)["events"][0]["fields"] for line in done.stdout.splitlines())
    assert (sent["Summary"], sent["Type"]) == ("SMTP: out-imap4@north is good: Message sent", 2)
    assert read["Summary"] == "IMAP4: out-imap4@north is good: Message Successfully Downloaded"
    assert 'connectTime="' in sent["ExtendedAttr"]
    assert 'timeToDeliver="' in read["ExtendedAttr"]


def test_what_results_prints_can_be_tried(inside: Run, site: RunningSite, tmp_path: Path) -> None:
    result = tmp_path / "results.jsonl"
    result.write_text(inside("results", "--json", "--redis", site.redis_url).stdout)
    documents = [json.loads(line) for line in result.read_text().splitlines()]
    done = inside("ism", "rules", "try", WRAPPER, "--result", result, "--json", "--no-trace")
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == len(documents) > 0
    assert {document["level"] for document in documents} >= {"GOOD", "FAILED"}
    for document, outcome in zip(documents, outcomes, strict=True):
        fields = outcome["events"][0]["fields"]
        expected = 13 if document["phase"] == "after" else 2 if document["level"] == "GOOD" else 1
        assert (fields["Agent"], fields["Type"]) == (document["kind"], expected)
        assert str(fields["Summary"]).endswith(document["message"])


def test_format_says_where_it_cannot_write(
    inside: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "my.rules"
    file.write_text("if (1) {\n@A = 1\n}\n")
    monkeypatch.setattr(os, "fsync", full)
    done = inside("ism", "rules", "format", file, "--write")
    assert (done.returncode, done.stderr.strip()) == (2, f"cannot write {file}: No space left on device")


def test_format_prints_writes_or_only_looks(inside: Run, tmp_path: Path) -> None:
    file = tmp_path / "my.rules"
    file.write_text("if (1) {\n@A = 1 # why\n}\n")
    laid_out = "if (1) {\n    @A = 1 # why\n}\n"
    assert inside("ism", "rules", "format", file, "--check").returncode == 1
    assert inside("ism", "rules", "format", file).stdout == laid_out
    assert file.read_text() != laid_out
    file.chmod(0o640)
    done = inside("ism", "rules", "format", file, "--write")
    assert (done.returncode, done.stdout, file.read_text()) == (0, "", laid_out)
    assert file.stat().st_mode & 0o777 == 0o640
    assert inside("ism", "rules", "format", file, "--check").returncode == 0
    file.write_text("if (")
    wrong = inside("ism", "rules", "format", file, "--write")
    assert (wrong.returncode, file.read_text()) == (1, "if (")
    assert wrong.stdout == f"{file}:1:5: expected a value, got the end of the file\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfif (1) {\n    @A = 1\n}\n",
        b"if (1) {\r\n    @A = 1\r\n}\r\n",
        b"if (1) {\r    @A = 1\r}\r",
    ],
    ids=["BOM", "CR LF", "CR"],
)
def test_format_reads_a_file_as_check_does_and_ends_its_lines_with_lf(
    inside: Run, tmp_path: Path, data: bytes
) -> None:
    file = tmp_path / "my.rules"
    file.write_bytes(data)
    assert inside("ism", "rules", "check", file).returncode == 0
    assert inside("ism", "rules", "format", file, "--check").returncode == 1
    assert inside("ism", "rules", "format", file, "--write").returncode == 0
    assert file.read_bytes() == b"if (1) {\n    @A = 1\n}\n"
    assert inside("ism", "rules", "format", file, "--check").returncode == 0


@pytest.mark.parametrize("data", [b'@A = "a\rb"\n', b"@A = 1 # a comment\r@B = \n", b"@A = \xff\n"])
def test_format_says_of_a_file_what_check_says(inside: Run, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "my.rules"
    file.write_bytes(data)
    checked, laid_out = inside("ism", "rules", "check", file), inside("ism", "rules", "format", file)
    said = (checked.stdout + checked.stderr).splitlines()[0]
    assert (checked.returncode, laid_out.returncode) == (1, 1)
    assert (laid_out.stdout + laid_out.stderr).splitlines()[0].replace(f"{file} ", f"{file}: ") in said


def test_format_writes_what_a_link_leads_to(inside: Run, tmp_path: Path) -> None:
    file, link = tmp_path / "my.rules", tmp_path / "link.rules"
    file.write_text("if (1) {\n@A = 1\n}\n")
    link.symlink_to(file.name)
    assert inside("ism", "rules", "format", link, "--write").returncode == 0
    assert link.is_symlink()
    assert file.read_text() == "if (1) {\n    @A = 1\n}\n"

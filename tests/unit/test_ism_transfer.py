"""Import and export of the ISM's elements: what becomes of files, and that nothing is lost on the way."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from postbeat import profile as profiles
from postbeat.elements import ELEMENT_TYPES
from postbeat.ism.transfer import exporting, importing, rows, xmltree
from postbeat.ism.transfer.exporting import FileForm
from postbeat.ism.transfer.fields import FIELDS, ISM_FIELDS, Form, field_of, form_of
from postbeat.ism.transfer.importing import Import, Options
from postbeat.ism.transfer.naming import is_valid, name_from
from postbeat.ism.transfer.report import Effect, TransferError
from postbeat.ism.transfer.rows import ELEMENT_LIMIT, SIZE_LIMIT
from postbeat.ism.transfer.values import Plain, decoded, encoded, text_of, value_of
from postbeat.ism.transfer.yamlform import profile_text
from postbeat.model import Phase
from postbeat.profile import Profile, ProfileError
from tests.conftest import MANY
from tests.unit.some_elements import lines, profile_elements, words

FILES = Path(__file__).parents[1] / "transfer"
GOOD = sorted(path for path in (FILES / "good").iterdir() if path.suffix in (".csv", ".xml"))
BAD = sorted(path for path in (FILES / "bad").iterdir() if path.suffix in (".csv", ".xml"))


def beside(path: Path, suffix: str) -> str:
    return path.with_name(path.name + suffix).read_text(encoding="utf-8")


def imported(text: str, **chosen: Any) -> Import:
    return importing.read(text.encode(), "input", Options(**chosen))


def faults(data: bytes | str) -> str:
    with pytest.raises(TransferError) as caught:
        importing.read(data.encode() if isinstance(data, str) else data, "input")
    return str(caught.value)


def loaded(text: str, folder: Path) -> Profile:
    file = folder / "profile.yaml"
    file.write_text(text, encoding="utf-8")
    return profiles.load(file)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_a_good_file_makes_its_profile_and_its_report(path: Path, tmp_path: Path) -> None:
    made = importing.read(path.read_bytes(), path.name)
    assert made.text == beside(path, ".yaml")
    report = "\n".join(made.report.lines()) + "\n"
    assert re.sub(r"OpenSSL [0-9.]+", "OpenSSL", report) == beside(path, ".report")
    assert loaded(made.text, tmp_path) == made.profile


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_every_line_of_a_good_file_is_accounted_for(path: Path) -> None:
    report = importing.read(path.read_bytes(), path.name).report
    told = {line for span in report.spans for line in range(span.first, span.last + 1)}
    told |= {line for note in report.notes for line in note.lines}
    lines = path.read_text(encoding="latin-1").splitlines()
    # In XML, words between elements are told of with the element that they stand in.
    bare = {
        at for at, line in enumerate(lines, 1) if path.suffix == ".xml" and re.match("[^<]+$|<.xml", line)
    }
    assert told | bare == set(range(1, len(lines) + 1))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_a_bad_file_is_refused_with_all_that_is_wrong(path: Path) -> None:
    with pytest.raises(TransferError) as caught:
        importing.read(path.read_bytes(), path.name)
    assert f"{caught.value}\n" == beside(path, ".faults")


def test_no_password_of_the_corpus_is_in_a_profile_or_a_report() -> None:
    for path in GOOD:
        made = importing.read(path.read_bytes(), path.name)
        everything = made.text + json.dumps(made.report.as_data()) + "\n".join(made.report.lines())
        assert "canary" not in everything
        assert not made.profile.has_literal_secrets()


def test_passwords_are_written_as_they_are_on_wish() -> None:
    made = imported("monitor,server,username,password\npop3,h,u,' x:1\n", literal=True)
    (element,) = made.profile.elements.values()
    assert element.password is not None
    assert (element.password.source, element.password.value) == ("literal", "' x:1")
    assert made.has_literals
    assert not made.report.variables


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("monitor,server,username,password\npop3,h,u, secret \n", " secret "),
        ("monitor, server, username, password\npop3, h, u, secret\n", "secret"),
        ('monitor, server, username, password\npop3, h, u, " secret "\n', " secret "),
        ('monitor,server,username,password\npop3, h, u, "se""cret"\n', 'se"cret'),
        ('<ism><pop3 server="h" username="u" password=" secret "/></ism>', " secret "),
        ('<ism><pop3 server="h" username="u">\n<password>\n  secret\n</password></pop3></ism>', "secret"),
        (
            '<ism><pop3 server="h" username="u"><field name="password"> secret </field></pop3></ism>',
            " secret ",
        ),
    ],
)
def test_blanks_belong_to_a_password_where_they_part_nothing(text: str, password: str) -> None:
    (element,) = imported(text, literal=True).profile.elements.values()
    assert element.password is not None
    assert element.password.value == password


def test_a_quote_behind_a_blank_begins_a_cell_whatever_the_header_has() -> None:
    (element,) = imported('monitor,server,description\nsmtp, h, "one, two"\n').profile.elements.values()
    assert (element.server, element.description) == ("h", "one, two")


def test_a_blank_behind_a_comma_counts_by_its_own_record_and_no_other() -> None:
    text = 'monitor,server,username,password\npop3, h, u, "quoted"\npop3,h,u, secret\n'
    passwords = [element.password for element in imported(text, literal=True).profile.elements.values()]
    assert [it.value for it in passwords if it is not None] == ["quoted", " secret"]


def test_a_line_is_a_comment_only_where_a_record_begins() -> None:
    head = 'monitor,identifier,server,description\n# old, "ones\n # more\n'
    assert list(imported(f"{head}smtp,a,h,#1\n").profile.elements) == ["a"]
    told = "description: expected a text of at most 200 characters in one line, got 'first\\n#second'"
    assert faults(f'{head}smtp,a,h,"first\n#second"\n') == f"input:4: {told}"


def test_an_element_whose_first_cell_is_a_number_sign_in_quotes_is_no_comment() -> None:
    report = imported('identifier,monitor,server\n#1,smtp,h\n"#2 relay",smtp,h\n').report
    assert [element.name for element in report.elements] == ["2-relay"]
    assert [(span.first, span.last, span.what) for span in report.spans] == [
        (1, 1, "header"),
        (2, 2, "comment"),
        (3, 3, "element 2-relay"),
    ]


def test_a_name_that_no_field_has_is_compared_with_theirs_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(word: str, *_: object) -> list[str]:
        compared.append(word)
        return []

    monkeypatch.setattr(rows, "get_close_matches", compare)
    imported("monitor,server,unheard-of\n" + "smtp,h,x\n" * 50)
    assert compared == ["unheardof"]


def test_a_label_counts_as_mapped_only_where_something_of_its_value_is_left() -> None:
    text = "monitor,identifier,server,username,password,email,servicelevels\n"
    rows_ = "imap4,i,h,u,env:P,p@b.c,hopCount > 3 Failed\nsmtp,s,h,,,q@b.c,status = 250 Good\n"
    report = imported(text + rows_).report
    assert [("email" in it.fields, "servicelevels" in it.fields) for it in report.elements] == [
        (False, False),
        (True, True),
    ]


def test_a_statement_of_a_mailbox_on_messages_is_added_to_those_of_its_senders_only_once() -> None:
    text = "monitor,identifier,server,username,password,email,servicelevels\n"
    made = imported(
        f"{text}imap4,i,h,p@b.c,env:P,,hopCount > 3 Failed; timeToDeliver > 60 Failed\n"
        "smtp,a,h,,,p@b.c,timeToDeliver > 60 Failed; timeToDeliver > 60 Failed\nsmtp,b,h,,,p@b.c,\n"
    )
    late, far = "timeToDeliver > 60 -> FAILED", "hopCount > 3 -> FAILED"
    levels = {name: list(map(str, it.servicelevels)) for name, it in made.profile.elements.items()}
    assert levels == {"i": [], "a": [late, late, far], "b": [far, late]}
    assert not made.report.left_out


MESSAGES = "monitor,identifier,server,username,password,email,servicelevels\n"


def test_a_statement_on_the_message_of_a_send_judges_no_read() -> None:
    made = imported(
        f"{MESSAGES}smtp,a,h,,,p@b.c,message contains refused Failed\nimap4,i,h,p@b.c,env:P,,\n"
        "smtp,alone,h,,,,message contains refused Failed\n"
    )
    levels = {name: it.servicelevels for name, it in made.profile.elements.items()}
    assert [str(rule) for rule in levels["a"]] == ["message contains refused and attempts > 0 -> FAILED"]
    assert levels["a"][0].phases.isdisjoint({Phase.READ, Phase.AFTER})
    assert [str(rule) for rule in levels["alone"]] == ["message contains refused -> FAILED"]
    remarks = {(note.lines, "Postbeat's own" in note.text) for note in made.report.of(Effect.REMARK)}
    assert remarks == {((2,), True), ((4,), True)}
    assert not made.report.left_out


@pytest.mark.parametrize("kind", ["smtp", "imap4"])
@pytest.mark.parametrize("operator", ["!=", "!contains"])
def test_a_statement_that_any_text_but_the_ism_s_fits_is_left_out(kind: str, operator: str) -> None:
    statements = f"message {operator} Success Failed; totalTime > 5 Failed"
    made = imported(f"{MESSAGES}{kind},a,h,u,env:P,,{statements}\n")
    assert [str(rule) for rule in made.profile.elements["a"].servicelevels] == ["totalTime > 5 -> FAILED"]
    (note,) = made.report.of(Effect.LEFT_OUT)
    assert note.text.startswith(f"message {operator} Success Failed: the texts of message are Postbeat's own")


def test_a_statement_on_a_message_that_cannot_be_kept_to_sends_is_left_out() -> None:
    conditions = "message contains refused" + " and identifier = a" * 7
    made = imported(f"{MESSAGES}smtp,a,h,,,p@b.c,{conditions} Failed\nimap4,i,h,p@b.c,env:P,,\n")
    assert made.profile.elements["a"].servicelevels == ()
    (note,) = made.report.of(Effect.LEFT_OUT)
    assert "expected at most 8 conditions" in note.text


@pytest.mark.parametrize(
    ("rows_", "why"),
    [
        ("smtp,a,h,,,p@b.c,message contains refused and attempts > 1 Failed", "it never fits"),
        ("smtp,a,h,,,p@b.c,message contains refused and authentication = standard Failed", "PLAIN"),
        ("imap4,o,h,o,env:P,,message contains late and hopCount > 3 Failed", "no smtp element has its own"),
    ],
)
def test_of_a_statement_on_a_message_that_is_left_out_nothing_else_is_said(rows_: str, why: str) -> None:
    made = imported(f"{MESSAGES}{rows_}\nimap4,i,h,p@b.c,env:P,,\n")
    (note,) = (note for note in made.report.notes if "message contains" in note.text)
    assert note.effect is Effect.LEFT_OUT
    assert why in note.text


def test_a_statement_with_an_arrow_is_a_profile_s_and_is_taken_as_it_is() -> None:
    text = 'message !contains "sent" -> Failed'
    made = imported(f"{MESSAGES}smtp,a,h,,,p@b.c,{text}\nimap4,i,h,p@b.c,env:P,,\n")
    assert [str(rule) for rule in made.profile.elements["a"].servicelevels] == [
        "message !contains sent -> FAILED"
    ]
    assert "Postbeat's own" not in "".join(note.text for note in made.report.notes)


def test_profiles_that_differ_in_signs_only_are_different_groups() -> None:
    text = "monitor,profile,identifier,server\nsmtp,a b,1,h\nsmtp,a-b,2,h\nsmtp,,3,h\n"
    elements = imported(text).profile.elements
    assert [element.group for element in elements.values()] == ["a-b", "a-b-2", ""]


def test_regions_are_for_elements_that_name_none() -> None:
    text = "monitor,identifier,server,regions\nsmtp,a,h,\nsmtp,b,h,asia\n"
    elements = imported(text, regions=("eu", "us")).profile.elements
    assert [element.regions for element in elements.values()] == [("eu", "us"), ("asia",)]


def test_tlslegacy_is_for_elements_with_tls_that_do_not_say_otherwise() -> None:
    text = "monitor,securitytype,server,tlslegacy\nsmtp,SSL,h,\nsmtp,STARTTLS,h,no\nsmtp,NONE,h,\n"
    elements = imported(text, legacy=True).profile.elements
    assert [element.tlslegacy for element in elements.values()] == [True, False, False]


def test_each_byte_order_mark_and_delimiter_is_understood() -> None:
    expected = imported("monitor,server,description\nsmtp,h,Büro\n").profile
    for sign in ",;\t":
        text = f"monitor{sign}server{sign}description\nsmtp{sign}h{sign}Büro\n"
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            assert importing.read(text.encode(encoding), "input").profile == expected
    xml = '<ism><smtp server="h" description="Büro"/></ism>'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert importing.read(xml.encode(encoding), "input").profile == expected


def test_each_field_of_an_element_has_its_form_and_its_label() -> None:
    for kind, type_ in ELEMENT_TYPES.items():
        assert FIELDS[kind] == tuple(field.name for field in fields(type_))
        for field in fields(type_):
            assert field_of(field.name.upper()) == field.name
            default = field.default
            if default is not MISSING and default not in (None, (), ""):
                cell = text_of(form_of(field.name), default)
                assert value_of(form_of(field.name), cell) in (
                    default,
                    list(default) if isinstance(default, tuple) else 0,
                )


def test_what_is_beyond_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(b" " * (SIZE_LIMIT + 1)) == f"input:1: expected at most {SIZE_LIMIT} bytes"
    row = "smtp,h\n"
    assert f"at most {ELEMENT_LIMIT} elements" in faults("monitor,server\n" + row * (ELEMENT_LIMIT + 1))
    assert "at most 200000 lines" in faults("monitor,server\n" + "#\n\n" * 100_001)
    assert "1000 columns" in faults("monitor" + "," * 1000 + "\n")
    assert "field larger than field limit" in faults(f'monitor,server\nsmtp,"{"x" * 100_002}"\n')
    assert "at most 100000 characters" in faults(f'<ism><smtp server="{"x" * 100_001}"/></ism>')
    monkeypatch.setattr(xmltree, "NODE_LIMIT", 100)
    assert "at most 100 elements" in faults("<ism " + " ".join(f'a{n}=""' for n in range(100)) + "/>")
    assert "the first 1000 faults are shown" in faults("monitor,server\n" + "smpt,h\n" * 2000)


def test_nothing_of_the_input_reaches_a_terminal_as_it_is() -> None:
    head = "monitor,server,profile,\x1b[2J" + "x" * 1000
    made = imported(f"{head}\nsmtp,h,\x1b[1m,y\nsmtp,i,other,y\nhttp,\x07,,\n")
    report = "".join(made.report.lines())
    assert report.isprintable()
    assert "\\u001b[2Jxxx" in report
    assert max(map(len, made.report.lines())) < 500
    assert faults("monitor,\x1b[2J,po\x07rt\nsmtp,,x\nsm\x1btp,,\n").replace("\n", "").isprintable()


def test_texts_that_a_spreadsheet_would_compute_are_written_in_quotes() -> None:
    profile = imported('monitor,server,description\nsmtp,h,"""=1+1"""\nsmtp,h,"""@SUM(1)"""\n').profile
    assert [element.description for element in profile.elements.values()] == ["=1+1", "@SUM(1)"]
    text = exporting.write(profile, "p", FileForm.CSV).text
    assert '"""=1+1"""' in text
    assert not re.search(r"(^|,)[=+@-]", text)


def test_a_secret_that_stands_in_the_profile_is_exported_as_a_variable() -> None:
    made = imported("monitor,server,username,password\npop3,h,u,canary\n", literal=True)
    for form in FileForm:
        exported = exporting.write(made.profile, "p", form)
        assert "canary" not in exported.text
        assert [(it.name, it.field) for it in exported.variables] == [("POP3_H_PASSWORD", "password")]
        assert "env:POP3_H_PASSWORD" in exported.text


@pytest.mark.parametrize("form", FileForm)
@pytest.mark.parametrize(
    ("regions", "poll", "said_of"),
    [("default", "300", ("a", "box")), ("eu", "300", ("a",)), ("eu", '""""""', ("a", "box"))],
)
def test_regions_are_kept_where_the_loader_would_give_others(
    form: FileForm, regions: str, poll: str, said_of: tuple[str, ...]
) -> None:
    text = "monitor,identifier,server,email,username,password,read,regions,poll\nsmtp,a,h,a@b.c,,,box,eu,\n"
    profile = imported(f"{text}imap4,box,h,,u,env:P,,{regions},{poll}\n").profile
    exported = exporting.write(profile, "p", form)
    assert imported(exported.text).profile == profile
    assert [note.elements for note in exported.notes if note.field == "regions"] == [said_of]


TWO = """\
monitor,identifier,server,port,securitytype,authenticationtype,username,password,email,read,regions
smtp,submission-00001,mail1.example.com,587,STARTTLS,PLAIN,p@example.com,env:P,p@example.com,box-00001,eu us
imap4,box-00001,mail1.example.com,993,SSL,,p@example.com,env:P,,,
"""


@pytest.mark.parametrize("form", FileForm)
def test_as_many_elements_as_an_import_takes_go_into_one_file(form: FileForm) -> None:
    text = exporting.write(imported(TWO).profile, "p", form).text
    assert len(text) * ELEMENT_LIMIT / 2 < SIZE_LIMIT
    assert len(re.findall(r"<[a-z]|=", text)) * ELEMENT_LIMIT / 2 < xmltree.NODE_LIMIT


@pytest.mark.parametrize("form", FileForm)
@pytest.mark.parametrize("limit", ["ELEMENT_LIMIT", "SIZE_LIMIT", "NODE_LIMIT"])
def test_what_an_import_would_refuse_as_too_much_is_not_exported(
    form: FileForm, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = imported(TWO).profile
    monkeypatch.setattr(exporting, limit, 1)
    with pytest.raises(exporting.TooLarge, match="a file has at most"):
        exporting.write(profile, "p", form)


def test_what_is_as_when_it_is_not_given_is_not_exported() -> None:
    text = (
        "monitor,identifier,server,username,password,port,timeout,poll,failureretests,retestinterval,active\n"
    )
    profile = imported(f"{text}smtp,a,h,,,25,30,300,0,10,yes\nimap4,b,h,u,env:P,143,31,300,0,10,no\n").profile
    exported = exporting.write(profile, "p", FileForm.XML).text
    login, told = 'username="u" password="env:P"', 'timeout="31" poll="300" active="false"'
    assert re.findall(r"<(?:smtp|imap4)[^>]*>", exported) == [
        '<smtp identifier="a" server="h" />',
        f'<imap4 identifier="b" server="h" {login} {told} />',
    ]


def test_what_the_ism_cannot_say_is_listed() -> None:
    text = "monitor,identifier,server,authenticationtype,username,password,securitytype,mx,payload\n"
    profile = imported(text + "smtp,a,h.example,LOGIN,u,env:P,STARTTLS,yes,10\nsmtp,b,h,,,,,,10\n").profile
    notes = exporting.write(profile, "p", FileForm.XML).notes
    assert {(note.field, note.text, note.elements) for note in notes} == {
        ("authenticationtype", "the ISM has no LOGIN", ("a",)),
        ("mx", "the ISM has no such field", ("a",)),
        ("payload", "the ISM has no such field", ("a", "b")),
    }


def reject_unless(is_expected: bool) -> NoReturn:
    """Elements that contradict themselves are no example; any other fault would be one of ours."""
    assert is_expected
    reject()


SLOW = settings(max_examples=MANY // 20, suppress_health_check=list(HealthCheck))


@SLOW
@given(profile_elements(), st.sampled_from(FileForm), words)
def test_export_and_import_give_the_same_elements_again(
    tmp_path_factory: pytest.TempPathFactory, elements: list[dict[str, Plain]], form: FileForm, name: str
) -> None:
    folder = tmp_path_factory.mktemp("transfer")
    try:
        profile = loaded(profile_text(elements, (), ()), folder)
    except ProfileError as error:
        reject_unless(all(fault.path.startswith("elements[") for fault in error.faults))
    exported = exporting.write(profile, name, form)
    made = importing.read(exported.text.encode(), "input")
    assert made.profile == profile
    assert not made.report.left_out
    assert loaded(made.text, folder) == profile
    assert exporting.write(made.profile, name, form) == exported


@SLOW
@given(
    st.lists(
        lines | st.sampled_from(["1e5", "0x1f", "1:30", "~", "null", "yes", "1_000", ".5", "-", "? x", "<<"])
    )
)
def test_what_is_written_as_yaml_is_read_as_the_same_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    assume(texts)
    elements: list[Mapping[str, Plain]] = [
        {"name": f"e{number}", "type": "smtp", "server": "h", "description": text}
        for number, text in enumerate(texts)
    ]
    profile = loaded(profile_text(elements, ("no", "1"), ("a comment",)), tmp_path_factory.mktemp("yaml"))
    assert [element.description for element in profile.elements.values()] == texts
    assert {element.regions for element in profile.elements.values()} == {("no", "1")}


@settings(max_examples=MANY // 4)
@given(st.text())
def test_a_text_comes_back_from_its_cell(text: str) -> None:
    assume(all(not 0xD800 <= ord(sign) <= 0xDFFF for sign in text))
    cell = encoded(text)
    assert decoded(cell) == text
    assert cell.isprintable()
    assert value_of(Form.TEXT, f"  {cell}\n") == text


@settings(max_examples=MANY // 4)
@given(st.text())
def test_a_name_that_is_made_is_valid(text: str) -> None:
    name = name_from(text)
    assert not name or is_valid(name)


MUTANTS = [path.read_bytes() for path in GOOD + BAD]


@SLOW
@given(st.sampled_from(MUTANTS), st.data())
def test_no_input_makes_another_error_than_its_own(original: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(original)))
    length = data.draw(st.integers(0, 20))
    put = data.draw(
        st.binary(max_size=8) | st.sampled_from([b'"', b"<", b">", b"&#0;", b"\xff", b"\n", b",,", b"]]>"])
    )
    mutant = original[:at] + put + original[at + length :]
    try:
        made = importing.read(mutant, "input")
    except TransferError:
        return
    assert made.profile.elements
    assert not made.profile.has_literal_secrets()


# Right values of fields that one kind of element has or another, and of columns that no field has.
CELLS: Mapping[str, st.SearchStrategy[str]] = {
    "description": lines.map(encoded),
    "Port": st.integers(1, 65535).map(str),
    "time-out": st.integers(1, 3600).map(str),
    "email": st.sampled_from(["probe@example.com", "other@example.com"]),
    "Folder": st.sampled_from(["Tests", "INBOX"]),
    "deliver timeout": st.integers(1, 60).map(str),
    "logininterval": st.integers(0, 60).map(str),
    "usebody": st.sampled_from(["0", "yes"]),
    "sslciphersuite": st.sampled_from(["RC4:3DES", "HIGH"]),
    "password": words.map(lambda word: f"canary{word}"),
    "colour": lines,
    "regexp1": lines,
}


@SLOW
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["smtp", "IMAP4", "nco_m_pop3", "http"]),
            st.fixed_dictionaries({}, optional=CELLS),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_every_value_is_mapped_or_noted(rows: list[tuple[str, dict[str, str]]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["monitor", "server", "user", *CELLS])
    writer.writerow(["smtp", "mail.example.com", "probe@example.com"])
    for monitor, row in rows:
        writer.writerow([monitor, "h", "probe@example.com", *(row.get(name, "") for name in CELLS)])
    report = imported(out.getvalue()).report
    noted = {(line, note.field) for note in report.of(Effect.LEFT_OUT) for line in note.lines}
    mapped = {(element.line, label) for element in report.elements for label in element.fields.values()}
    for number, (monitor, row) in enumerate(rows, 3):
        for name, value in row.items():
            accounted = (number, "monitor") if monitor == "http" else (number, name)
            assert accounted in noted | mapped or not value.strip()
    assert "canary" not in "".join(report.lines())


def test_the_fields_of_the_page_are_those_of_the_ism() -> None:
    table = "server description port securitytype username password authenticationtype sharedsecret email"
    assert {*table.split(), "timeout", "poll", "failureretests", "retestinterval"} < set(ISM_FIELDS)

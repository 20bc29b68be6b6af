"""The properties: where a value comes from, what is refused, and what becomes of it in the settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docs import properties as documents
from postbeat import settings
from postbeat.ism import props
from postbeat.ism.properties import LEGACY_CIPHERS, PROPERTIES, PropertyType, of_kind
from postbeat.ism.props import Resolved, Source, settings_of, split_arguments
from postbeat.ism.propsfile import FAULTS_LIMIT, FILE_LIMIT, PropsError, parse, scan
from postbeat.ism.propvalues import shown
from postbeat.ism.values import Value
from postbeat.model import Kind
from postbeat.settings import Settings
from postbeat.tls import ciphers
from postbeat.tls.options import TlsDefaults
from tests.conftest import MANY

BAD = Path(__file__).parents[1] / "props" / "bad"
CANARY = "canary"

# Typed from the reference page: property, its type there, and its default.
TABLE_4: dict[str, tuple[str, Value]] = {
    "MailMessage": ("string", ""),
    "Originator": ("string", "SMTP-Monitor"),
    "SSLCertificateFile": ("string", ""),
    "SSLCipherSuite": ("string", "RC4:3DES:DES:+EXP"),
    "SSLDisableTLS": ("integer", 0),
    "SSLKeyFile": ("string", ""),
    "SSLKeyPassword": ("string", ""),
    "UseBody": ("integer", 0),
}

# Of each property a text that is not its default, the value, and the setting it becomes.
VALUES: dict[str, tuple[str, Value, tuple[str, Any] | None]] = {
    "MailMessage": ("/etc/message.txt", "/etc/message.txt", ("mail_message", "/etc/message.txt")),
    "Originator": ("Mail Check", "Mail Check", ("originator", "Mail Check")),
    "SSLCertificateFile": ("/c.pem", "/c.pem", ("ssl_certificate_file", "/c.pem")),
    "SSLCipherSuite": ("AES256-SHA", "AES256-SHA", ("ssl_cipher_suite", "AES256-SHA")),
    "SSLDisableTLS": ("1", 1, ("ssl_disable_tls", True)),
    "SSLKeyFile": ("/k.pem", "/k.pem", ("ssl_key_file", "/k.pem")),
    "SSLKeyPassword": (CANARY, CANARY, ("ssl_key_password", CANARY)),
    "UseBody": ("1", 1, ("use_body", True)),
    "PropsFile": ("smtp.props", "smtp.props", None),
    "RulesFile": ("smtp.rules", "smtp.rules", None),
    "MessageLog": ("smtp.log", "smtp.log", None),
    "MessageLevel": ("Debug", "debug", None),
    "MaxLogFileSize": ("0", 0, None),
    "MaxLogFiles": ("7", 7, None),
    "Datalog": ("1", 1, None),
    "DatalogDir": ("/var/datalogs", "/var/datalogs", None),
    "DatalogFormat": ("message", "message", None),
    "DatalogKeepDays": ("7", 7, None),
    "Profile": ("profile.yaml", "profile.yaml", ("profile", "profile.yaml")),
    "Region": ("eu-west", "eu-west", ("region", "eu-west")),
    "RedisUrl": ("redis://h/1", "redis://h/1", ("redis_url", "redis://h/1")),
    "KeyFile": ("/etc/key", "/etc/key", ("key_file", "/etc/key")),
    "SSLKeyPasswordFile": ("/etc/pw", "/etc/pw", ("ssl_key_password_file", "/etc/pw")),
    "HeloName": ("mx.example.com", "mx.example.com", ("helo_name", "mx.example.com")),
    "Resolver": ("192.0.2.53", "192.0.2.53", ("resolver", (("192.0.2.53", 53),))),
    "Concurrency": ("7", 7, ("concurrency", 7)),
    "Manager": ("Mail", "Mail", None),
    "Server": ("AGG_P", "AGG_P", None),
    "ServerBackup": ("AGG_B", "AGG_B", None),
}
EACH = pytest.mark.parametrize("name", PROPERTIES)


def resolved(
    file: str = "",
    kind: Kind = Kind.SMTP,
    arguments: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Resolved]:
    found = parse(file, "smtp.props") if file else None
    return props.resolve(kind, arguments=arguments or {}, environ=environ or {}, file=found)


def faults(
    file: str = "",
    kind: Kind = Kind.SMTP,
    arguments: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    with pytest.raises(PropsError) as caught:
        resolved(file, kind, arguments, environ)
    return str(caught.value).splitlines()


def config(found: dict[str, Resolved]) -> Settings:
    return settings.load({}, **settings_of(found))


def test_every_property_is_tested_here() -> None:
    assert set(VALUES) == set(PROPERTIES)


@pytest.mark.parametrize("name", TABLE_4)
def test_a_property_of_the_page_has_its_type_and_its_default(name: str) -> None:
    it = PROPERTIES[name]
    kind, default = TABLE_4[name]
    numbers = (PropertyType.INT, PropertyType.FLAG)
    assert ("integer" if it.type in numbers else "string", it.in_table) == (kind, True)
    assert resolved()[name] == replace(resolved()[name], value=default, source=Source.DEFAULT, where="")
    assert resolved()[name].value == default


def test_no_other_property_claims_to_be_of_the_page() -> None:
    assert {name for name, it in PROPERTIES.items() if it.in_table} == set(TABLE_4)


@EACH
def test_a_property_comes_from_the_file(name: str) -> None:
    text, value, _ = VALUES[name]
    file = str(parse("# ours\n", "").with_value(name.upper(), text))
    if name == "PropsFile":
        assert faults(file) == ["smtp.props:2: PropsFile cannot stand in a properties file"]
        return
    for kind in PROPERTIES[name].monitors:
        found = resolved(file, kind)[name]
        assert (found.value, found.source, found.where) == (value, Source.FILE, "smtp.props:2")


@EACH
def test_a_property_comes_from_its_variables(name: str) -> None:
    text, value, _ = VALUES[name]
    for variable in PROPERTIES[name].variables:
        found = resolved(environ={variable: text})[name]
        assert (found.value, found.source, found.where) == (value, Source.ENVIRONMENT, variable)


@EACH
def test_a_property_comes_from_its_option_in_both_spellings(name: str) -> None:
    text, value, _ = VALUES[name]
    word = name.lower()
    flag = PROPERTIES[name].type is PropertyType.FLAG
    spellings = [[f"-{word}", text], [f"--{word}", text], [f"-{word}={text}"], [f"--{name}={text}"]]
    for argv in [*spellings, *([[f"-{word}"], [f"--{word}"]] if flag else [])]:
        arguments, left = split_arguments(Kind.SMTP, ["before", *argv, "after"])
        assert (arguments, left) == ({name: text}, ["before", "after"])
        found = resolved(arguments=arguments)[name]
        assert (found.value, found.source, found.where) == (value, Source.ARGUMENTS, f"-{word}")


@EACH
def test_a_property_becomes_its_setting(name: str) -> None:
    text, _, setting = VALUES[name]
    unset, given_ = config(resolved()), config(resolved(arguments={name: text}))
    if setting is None:
        assert given_ == unset == settings.load({})
    else:
        assert given_ == replace(settings.load({}), **{setting[0]: setting[1]}) != unset
        assert PROPERTIES[name].variables[0] == f"POSTBEAT_{setting[0].upper()}"


@pytest.mark.parametrize("name", sorted(name for name in PROPERTIES if name != "PropsFile"))
def test_the_first_of_command_line_environment_file_and_default_counts(name: str) -> None:
    it = PROPERTIES[name]
    text = VALUES[name][0]
    file = str(parse("", "").with_value(name, text))
    environ = {it.variables[0]: text}
    arguments = {name: text}
    assert resolved(file, arguments=arguments, environ=environ)[name].source is Source.ARGUMENTS
    assert resolved(file, environ=environ)[name].source is Source.ENVIRONMENT
    assert resolved(file)[name].source is Source.FILE
    assert resolved("# nothing")[name].source is Source.DEFAULT
    taken_back = resolved(file, arguments={name: ""}, environ=environ)[name]
    assert taken_back == replace(resolved()[name], where=it.options[0])


def test_an_empty_text_in_the_file_stands_for_the_default_and_an_empty_variable_for_nothing() -> None:
    found = resolved('Originator : ""\nUseBody :\nMailMessage : "/m"', environ={"POSTBEAT_MAIL_MESSAGE": ""})
    assert [found[name].value for name in ("Originator", "UseBody", "MailMessage")] == [
        "SMTP-Monitor",
        0,
        "/m",
    ]
    assert (found["Originator"].source, found["Originator"].where) == (Source.DEFAULT, "smtp.props:1")


def test_an_empty_option_takes_a_setting_back_that_the_environment_makes() -> None:
    environ = {"POSTBEAT_ORIGINATOR": "A", "POSTBEAT_SSL_CIPHER_SUITE": "AES256-SHA"}
    found = resolved(arguments={"Originator": "", "SSLCipherSuite": ""}, environ=environ)
    config = settings.load(environ, **settings_of(found))
    assert (config.originator, config.ssl_cipher_suite) == ("SMTP-Monitor", "")


def test_the_settings_of_a_properties_file_are_those_of_tls_too() -> None:
    found = resolved(
        f'SSLCertificateFile : "/c"\nSSLKeyFile : "/k"\nSSLKeyPassword : {CANARY}\nSSLDisableTLS : 1\n',
        Kind.POP3,
    )
    tls = config(found).tls_defaults()
    assert (tls.certificate_file, tls.key_file, tls.ciphers, tls.disable_tls1) == ("/c", "/k", "", True)
    assert tls.key_password is not None
    assert tls.key_password.value == CANARY


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({"arguments": {"SSLKeyPassword": CANARY}, "environ": {"POSTBEAT_SSLKEYPASSWORDFILE": "/p"}}, CANARY),
        ({"arguments": {"SSLKeyPasswordFile": "/p"}, "environ": {"POSTBEAT_SSLKEYPASSWORD": CANARY}}, "/p"),
        ({"environ": {"POSTBEAT_SSLKEYPASSWORD": CANARY}, "file": "SSLKeyPasswordFile : /p"}, CANARY),
        ({"file": f"SSLKeyPasswordFile : /p\nSSLKeyPassword : {CANARY}"}, "/p"),
        ({"arguments": {"SSLKeyPassword": ""}, "environ": {"POSTBEAT_SSLKEYPASSWORDFILE": "/p"}}, "/p"),
    ],
)
def test_of_a_password_and_its_file_the_one_that_comes_first_is_used(given: Any, used: str) -> None:
    found = resolved(**given)
    password = config(found).tls_defaults().key_password
    assert password is not None
    assert (password.source, password.value) == ("literal" if used == CANARY else "file", used)


def test_of_a_password_that_is_not_used_it_is_said_why() -> None:
    found = resolved(arguments={"SSLKeyPasswordFile": "/p"}, environ={"POSTBEAT_SSLKEYPASSWORD": CANARY})
    note = "not used, as SSLKeyPasswordFile (-sslkeypasswordfile) comes first"
    assert found["SSLKeyPassword"] == Resolved("", Source.DEFAULT, note=note)
    assert found["SSLKeyPasswordFile"].note == ""


def test_the_old_default_of_the_ciphers_is_used_only_where_somebody_set_it() -> None:
    unset = resolved()
    assert unset["SSLCipherSuite"].value == LEGACY_CIPHERS
    assert "safe ciphers of today's OpenSSL" in unset["SSLCipherSuite"].note
    assert config(unset).tls_defaults() == TlsDefaults()
    explicit = resolved(f'SSLCipherSuite : "{LEGACY_CIPHERS}"')
    assert config(explicit).ssl_cipher_suite == LEGACY_CIPHERS
    assert explicit["SSLCipherSuite"].note == ciphers.fitted(LEGACY_CIPHERS).note != ""
    assert resolved('SSLCipherSuite : "AES256-SHA"')["SSLCipherSuite"].note == ""


def test_flags_are_set_and_negated() -> None:
    assert split_arguments(Kind.SMTP, ["-usebody"]) == ({"UseBody": "1"}, [])
    assert split_arguments(Kind.SMTP, ["--nousebody"]) == ({"UseBody": "0"}, [])
    assert split_arguments(Kind.SMTP, ["-UseBody", "0", "-nossldisabletls"]) == (
        {"UseBody": "0", "SSLDisableTLS": "0"},
        [],
    )
    assert split_arguments(Kind.SMTP, ["-usebody", "profile.yaml"]) == ({"UseBody": "1"}, ["profile.yaml"])
    assert split_arguments(Kind.SMTP, ["-nousebody", "1", "-usebody=off"]) == ({"UseBody": "off"}, ["1"])


def test_what_is_no_property_is_left_on_the_command_line() -> None:
    argv = [
        "-v",
        "profile.yaml",
        "-originator=A=B",
        "--json",
        "-nooriginator",
        "-nousebody=1",
        "-",
        "---usebody",
    ]
    assert split_arguments(None, argv) == (
        {"Originator": "A=B"},
        ["-v", "profile.yaml", "--json", "-nooriginator", "-nousebody=1", "-", "---usebody"],
    )
    assert split_arguments(None, ["-usebody", "--", "-nousebody"]) == ({"UseBody": "1"}, ["--", "-nousebody"])


def test_of_two_options_the_later_one_counts() -> None:
    assert split_arguments(None, ["-originator", "A", "--originator", "B"])[0] == {"Originator": "B"}
    assert split_arguments(None, ["--redis", "redis://h", "-redisurl", ""])[0] == {"RedisUrl": ""}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-originator"], "-originator: expected a text of at most 64 characters in one line after it"),
        (["-mailmessage", "-usebody"], "-mailmessage: expected a path in one line after it"),
        (["--maxlogfiles"], "--maxlogfiles: expected a whole number from 1 to 1000 after it"),
        (["-messagelog", "--explain"], "-messagelog: expected a path in one line after it"),
        (["-messagelog", "-explain=1"], "-messagelog: expected a path in one line after it"),
    ],
)
def test_an_option_without_its_value_is_named(argv: list[str], message: str) -> None:
    with pytest.raises(PropsError) as caught:
        split_arguments(Kind.SMTP, argv, own=["explain"])
    assert str(caught.value) == message


def test_a_property_of_another_monitor_is_named_wherever_it_stands() -> None:
    says = "MailMessage is a property of smtp, not of pop3"
    with pytest.raises(PropsError) as caught:
        split_arguments(Kind.POP3, ["--mailmessage", "/m"])
    assert str(caught.value).startswith(f"--mailmessage: {says}")
    assert faults("MailMessage : /m", Kind.POP3) == [f"smtp.props:1: {says}"]
    assert faults(kind=Kind.POP3, arguments={"MailMessage": "/m"}) == [f"-mailmessage: {says}"]


@hypothesis_settings(max_examples=MANY // 10)
@given(
    st.lists(
        st.sampled_from(
            ["-usebody", "-nousebody", "--originator", "-", "--", "=", "0", "x", "-originator=", ""]
        )
        | st.text(max_size=5),
        max_size=8,
    )
)
def test_any_command_line_is_split_or_refused(argv: list[str]) -> None:
    try:
        arguments, left = split_arguments(Kind.SMTP, argv)
    except PropsError:
        return
    assert set(arguments) <= set(PROPERTIES)
    assert len(left) + len(arguments) <= len(argv)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.props")), ids=lambda path: path.stem)
def test_a_bad_file_gives_exactly_its_messages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    environ = {"ISHOME": "/nonexistent/ism"}
    with pytest.raises(PropsError) as caught:
        props.resolve(Kind.SMTP, arguments={}, environ=environ, file=props.read(Path(path.name)))
    assert str(caught.value) == path.with_suffix(".txt").read_text(encoding="utf-8").rstrip("\n")


def test_every_list_of_messages_has_its_file() -> None:
    assert {it.stem for it in BAD.glob("*.txt")} == {it.stem for it in BAD.glob("*.props")}


def test_an_unknown_property_is_named_with_its_line() -> None:
    assert faults("# ours\n\nOriginater : A") == [
        "smtp.props:3: Originater is no property of smtp; did you mean Originator?"
    ]


def test_all_that_is_wrong_is_said_in_the_order_of_the_sources() -> None:
    assert faults(
        "UseBody : 3\nMessageLevel : loud",
        arguments={"MaxLogFiles": "none"},
        environ={
            "POSTBEAT_MESSAGELEVEL": "louder",
            "POSTBEAT_USE_BODY": "0",
        },
    ) == [
        "POSTBEAT_MESSAGELEVEL: expected debug, info, warning, error or fatal, got 'louder'",
        "-maxlogfiles: expected a whole number from 1 to 1000, got 'none'",
        "smtp.props:1: UseBody: expected 0 or 1, got '3'",
        "smtp.props:2: MessageLevel: expected debug, info, warning, error or fatal, got 'loud'",
    ]


def test_two_variables_of_one_property_must_say_the_same() -> None:
    assert faults(environ={"POSTBEAT_MAIL_MESSAGE": "/a", "POSTBEAT_MAILMESSAGE": "/b"}) == [
        "POSTBEAT_MAILMESSAGE: not the same as POSTBEAT_MAIL_MESSAGE, which is the same property"
    ]
    same = resolved(environ={"POSTBEAT_MAIL_MESSAGE": "/a", "POSTBEAT_MAILMESSAGE": "/a"})
    assert (same["MailMessage"].value, same["MailMessage"].where) == ("/a", "POSTBEAT_MAIL_MESSAGE")


@pytest.mark.parametrize("text", ["1", "true", "Yes", "on", "t", "0", "False", "no", "off", "n"])
def test_flags_take_the_words_that_the_settings_take(text: str) -> None:
    assert (
        bool(resolved(environ={"POSTBEAT_USE_BODY": text})["UseBody"].value)
        is settings.load({"POSTBEAT_USE_BODY": text}).use_body
    )


def test_a_format_that_names_no_element_is_said_with_its_line() -> None:
    (fault,) = faults('DatalogFormat : "mesage"')
    assert fault.startswith("smtp.props:1: DatalogFormat: ")
    assert "mesage" in fault


def test_the_two_homes_stand_for_each_other() -> None:
    text = 'MailMessage : "$ISHOME/m"\nRulesFile : "${ISMHOME}/r"'
    for environ in ({"ISHOME": "/a"}, {"ISMHOME": "/a"}):
        found = resolved(text, environ=environ)
        assert (found["MailMessage"].value, found["RulesFile"].value) == ("/a/m", "/a/r")
    both = resolved(text, environ={"ISHOME": "/a", "ISMHOME": "/b"})
    assert (both["MailMessage"].value, both["RulesFile"].value) == ("/a/m", "/b/r")


def test_an_ip_address_that_is_empty_asks_for_nothing() -> None:
    assert resolved('IpAddress : ""\nOriginator : "x"')["Originator"].value == "x"
    assert resolved("IPADDRESS :")["Originator"].source is Source.DEFAULT
    (fault,) = faults('IpAddress : "$HOST"', environ={"HOST": ""})
    assert "sourceaddress" in fault


def test_a_relative_certificate_is_looked_for_where_the_monitors_ran(tmp_path: Path) -> None:
    folder = tmp_path / "platform" / "linux2x86" / "bin"
    folder.mkdir(parents=True)
    (folder / "client.pem").write_text("")
    home = {"ISMHOME": str(tmp_path)}
    text = "SSLCertificateFile : client.pem"
    assert resolved(text, environ=home)["SSLCertificateFile"].value == str(folder / "client.pem")
    assert resolved(text)["SSLCertificateFile"].value == "client.pem"
    assert resolved("SSLKeyFile : /k.pem", environ=home)["SSLKeyFile"].value == "/k.pem"
    other = tmp_path / "platform" / "solaris2" / "bin"
    other.mkdir(parents=True)
    (other / "client.pem").write_text("")
    assert faults(text, environ=home) == [
        "smtp.props:1: SSLCertificateFile: expected an absolute path, as 'client.pem' is in "
        f"{folder}/client.pem and in {other}/client.pem"
    ]
    assert faults(arguments={"SSLKeyFile": "none.pem"}, environ=home) == [
        f"-sslkeyfile: expected a file in {tmp_path}/platform/ARCH/bin, as $ISHOME is set, got 'none.pem'"
    ]


def test_what_cannot_be_looked_at_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "platform" / "linux2x86" / "bin").mkdir(parents=True)
    loop = tmp_path / "etc" / "rules" / "smtp.rules"
    loop.parent.mkdir(parents=True)
    loop.symlink_to(loop)
    assert faults(arguments={"SSLKeyFile": "k" * 300}, environ={"ISHOME": str(tmp_path)}) == [
        f"-sslkeyfile: cannot look for it in {tmp_path}/platform/ARCH/bin: File name too long",
        f"{loop}: cannot look at it: Too many levels of symbolic links",
    ]


def test_files_have_their_places_at_home_where_these_exist(tmp_path: Path) -> None:
    home = {"ISHOME": str(tmp_path)}
    names = ("PropsFile", "RulesFile", "MessageLog", "DatalogDir")
    before = resolved(kind=Kind.IMAP4, environ=home)
    assert [before[name].value for name in names] == ["", "", "", str(tmp_path / "datalogs")]
    places = [
        tmp_path / "etc/props/imap4.props",
        tmp_path / "etc/rules/imap4.rules",
        tmp_path / "log/imap4.log",
    ]
    for place in places:
        place.parent.mkdir(parents=True)
    for place in places[:2]:
        place.write_text("")
    after = resolved(kind=Kind.IMAP4, environ=home)
    assert [after[name].value for name in names[:3]] == [str(place) for place in places]
    assert (after["MessageLog"].source, after["MessageLog"].where) == (
        Source.DEFAULT,
        "$ISHOME/log/imap4.log",
    )
    assert resolved('MessageLog : "/l"', environ=home)["MessageLog"].value == "/l"


def test_the_file_is_that_of_the_option_the_variable_or_home(tmp_path: Path) -> None:
    files = {}
    for name in ("option", "variable", "home"):
        files[name] = tmp_path / "etc/props/smtp.props" if name == "home" else tmp_path / f"{name}.props"
        files[name].parent.mkdir(parents=True, exist_ok=True)
        files[name].write_text(f"Originator : {name}")

    def originator(arguments: Mapping[str, str], environ: Mapping[str, str]) -> object:
        return props.load(Kind.SMTP, arguments=arguments, environ=environ)["Originator"].value

    home, variable = {"ISHOME": str(tmp_path)}, {"POSTBEAT_PROPS_FILE": str(files["variable"])}
    assert originator({"PropsFile": str(files["option"])}, home | variable) == "option"
    assert originator({}, home | variable) == "variable"
    assert originator({}, home) == "home"
    assert originator({}, {}) == "SMTP-Monitor"


def test_a_file_that_cannot_be_read_is_an_error_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (FILE_LIMIT + 1))
    for name, says in {
        "none": "cannot read it: No such file or directory",
        "pipe": "not a file",
        "large": f"larger than {FILE_LIMIT} bytes",
        ".": "cannot read it: Is a directory",
    }.items():
        with pytest.raises(PropsError) as caught:
            props.load(Kind.SMTP, arguments={"PropsFile": str(tmp_path / name)}, environ={})
        assert str(caught.value) == f"{tmp_path / name}: {says}"


def test_a_file_of_nothing_but_faults_is_not_told_in_full() -> None:
    text = "\n".join(f"Nothing{number} : 1" for number in range(10_000))
    assert len(faults(text)) == FAULTS_LIMIT
    with pytest.raises(PropsError) as caught:
        parse('"\n' * 10_000, "f")
    assert len(caught.value.faults) == FAULTS_LIMIT


def test_secrets_are_not_shown() -> None:
    found = resolved(f"SSLKeyPassword : {CANARY}\nRedisUrl : redis://u:{CANARY}@h:6380/2?password={CANARY}")
    assert found["SSLKeyPassword"].value == CANARY
    assert shown("SSLKeyPassword", CANARY) == "(set)"
    assert shown("RedisUrl", found["RedisUrl"].value) == "redis://h:6380/2"
    assert shown("RedisUrl", f"redis://u:{CANARY}@[2001:db8::1]:bad") == "(set)"
    assert shown("RedisUrl", f"rediss://:{CANARY}@[2001:db8::1]:1/0") == "rediss://[2001:db8::1]:1/0"
    assert CANARY not in repr(found)
    assert CANARY not in repr(parse(f'SSLKeyPassword : "{CANARY}"', "f"))


@pytest.mark.parametrize("name", ["secrets", "syntax-and-values"])
def test_no_message_shows_a_secret(name: str) -> None:
    assert CANARY not in (BAD / f"{name}.txt").read_text(encoding="utf-8")


@hypothesis_settings(max_examples=MANY // 20)
@given(st.dictionaries(st.sampled_from(sorted(set(PROPERTIES) - {"PropsFile"})), st.text(max_size=12)))
def test_any_texts_are_values_or_faults(texts: dict[str, str]) -> None:
    try:
        found = props.resolve(Kind.SMTP, arguments=texts, environ={}, file=None)
    except PropsError:
        return
    config(found)  # the settings take what the properties took


@pytest.mark.parametrize("kind", Kind)
def test_the_file_to_begin_with_has_every_property_at_its_default(kind: Kind) -> None:
    text = documents.FILES[kind].read_text(encoding="utf-8")
    assert text == documents.file_text(kind), "run: python -m docs.properties"
    as_it_is = props.resolve(kind, arguments={}, environ={}, file=parse(text, "f"))
    assert as_it_is == props.resolve(kind, arguments={}, environ={}, file=None)
    all_on = parse(re.sub(r"(?m)^#(?=\w+ :)", "", text), "f")
    assert set(all_on.values) == set(of_kind(kind)) - {"PropsFile"}
    for name, found in props.resolve(kind, arguments={}, environ={}, file=all_on).items():
        assert found.value == PROPERTIES[name].default


def test_the_document_has_the_table_as_it_is() -> None:
    text = documents.DOCUMENT.read_text(encoding="utf-8")
    assert text == documents.document_text(text), "run: python -m docs.properties"
    assert all(f"| `{name}` |" in text for name in PROPERTIES)


def test_the_examples_of_the_document_are_true() -> None:
    text = documents.DOCUMENT.read_text(encoding="utf-8")
    good, bad, says = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    found = resolved(good, environ={"ISHOME": "/opt/ism", "CERTIFICATES": "/c"})
    assert found["SSLCertificateFile"].value == "/opt/ism/certs/us.pem"
    assert (found["UseBody"].value, found["SSLKeyFile"].value) == (1, "/c/us.key")
    assert found["SSLKeyPasswordFile"].source is Source.DEFAULT
    with pytest.raises(PropsError) as caught:
        props.resolve(Kind.SMTP, arguments={}, environ={"ISHOME": "/opt/ism"}, file=scan(bad, "smtp.props"))
    assert str(caught.value) == says.strip()

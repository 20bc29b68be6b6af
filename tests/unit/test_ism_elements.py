"""What the ISM's elements of a result are, and that docs/ism-elements.md has them all."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import isfinite
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.classification import OPERANDS, SPELLINGS
from postbeat.delivery import Outcome, Tally
from postbeat.elements import AnyElement, Imap4Element, Pop3Element, SmtpElement
from postbeat.ism.elements import NAMES, Origin, Surroundings, as_lines, of_result
from postbeat.model import (
    AuthenticationType,
    Fault,
    FaultCode,
    Kind,
    Level,
    LoginType,
    Phase,
    Secret,
    SecurityType,
    Side,
)
from postbeat.plain import result_as_data
from postbeat.results import Attempt, Grading, Result, Stage, TlsFacts
from tests.documents import section
from tests.unit.some_results import AT_US, BOUNCED, CHECK, COPY, LATE, OVERDUE, READ
from tests.unit.test_codec import results
from tests.unit.test_servicelevels import SENT

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "ism-elements.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")

# Table 3 of the page.
TABLE_3 = {
    "authentication": "Standard",
    "bytesPerSec": 2000,
    "bytesTransferred": 1000,
    "connectTime": 0.02,
    "email": "p@example.com",
    "lookupTime": 0.001,
    "port": 587,
    "responseTime": 2.31,
    "security": "STARTTLS",
    "SSLHandshakeTime": 0.03,
    "status": 250,
    "uploadTime": 0.5,
    "user": "probe",
}

CANARY = Secret("literal", "canary-9b1f")
SECRETS = dict.fromkeys(("password", "sharedsecret", "token", "clientsecret", "sslkeypassword"), CANARY)
ELEMENT = SmtpElement(
    name="mail",
    server="mx.example.com",
    description="Mail of the head office",
    poll=600.0,
    timeout=30.0,
    failureretests=3,
    retestinterval=0.5,
    read="box",
    authenticationtype=AuthenticationType.CRAM_MD5,
    username="probe",
    **SECRETS,  # type: ignore[arg-type]
)
READER = Imap4Element(
    name="box", server="imap.example.com", username="reader", timeout=20, securitytype=SecurityType.SSL
)
POP3_READER = Pop3Element(
    name="drop", server="pop.example.com", username="reader", authenticationtype=LoginType.APOP
)
AROUND = Surroundings("office", "watch", "example.net", "/var/d/20260101.xml", Level.GOOD, ELEMENT, READER)

FAULT = Fault(Side.LOCAL, FaultCode.RESOLVER, "the name server does not answer", "lookup")
UNSEEN = replace(SENT, level=Level.UNKNOWN, message="The name server does not answer", fault=FAULT)

surroundings = st.builds(
    Surroundings,
    profile=st.text(max_size=9),
    monitor_host=st.text(max_size=9),
    monitor_domain=st.text(max_size=9),
    datalog_path=st.text(max_size=9),
    last_level=st.none() | st.sampled_from(Level),
    element=st.sampled_from([None, ELEMENT, READER, POP3_READER]),
    mailbox=st.sampled_from([None, READER, POP3_READER]),
)


@given(results, surroundings)
def test_every_result_has_elements_that_are_known_and_of_its_monitor(
    result: Result, around: Surroundings
) -> None:
    found = of_result(result, around)
    for name, value in found.items():
        assert result.kind in NAMES[name].kinds, name
        assert type(value) in (str, int, float), name
        assert value != ""
        assert isinstance(value, str) or isfinite(value)
    assert (found["identifier"], found["region"]) == (result.poll.element, result.poll.region)
    assert found["serviceLevel"] == ["UNKNOWN", "GOOD", "MARGINAL", "FAILED"].index(result.level)
    assert CANARY.value not in str(found)
    assert of_result(result, around) == found
    assert json.loads(json.dumps(found)) == found


@given(results, surroundings)
def test_lines_for_people_are_one_for_each_element(result: Result, around: Surroundings) -> None:
    found = of_result(result, around)
    lines = as_lines(found).split("\n")
    assert [line.split(" = ")[0] for line in lines] == [f"${name}" for name in found]
    assert all(line.isprintable() for line in lines)


def test_a_send_has_the_elements_of_table_3() -> None:
    found = of_result(SENT)
    assert {name: found[name] for name in TABLE_3} == TABLE_3
    assert {name for name, known in NAMES.items() if known.origin is Origin.TABLE_3} == set(TABLE_3)
    assert all(Kind.SMTP in NAMES[name].kinds for name in TABLE_3)


def test_a_send_has_the_common_elements() -> None:
    result = replace(SENT, attempts=(Attempt(1, AT_US - 2_900_000, 3_000_000),))
    found = of_result(result, AROUND)
    assert next(iter(found)) == "message"
    common = {name: found[name] for name in found if NAMES[name].common}
    assert common == {
        "message": "Message sent",
        "monitor": "smtp",
        "phase": "send",
        "identifier": "mail",
        "description": "smtp mx.example.com mail",  # as it was when it was polled
        "host": "mx.example.com",
        "profile": "office",
        "region": "eu",
        "poll": "mail@eu#7",
        "time": 1_700_000_000,
        "startTime": 1_699_999_997,
        "serviceLevel": 1,
        "lastServiceLevel": 1,
        "failureRetests": 3,
        "retestInterval": 0.5,
        "attempts": 1,
        "pollInterval": 600,
        "timeout": 30,
        "datalogPath": "/var/d/20260101.xml",
        "monitorHost": "probe-1.example.com",
        "monitorDomain": "example.com",
    }


def test_a_found_message_is_the_ism_s_message_specific_event() -> None:
    found = of_result(READ, AROUND)
    assert found["message"] == "Message Successfully Downloaded"
    assert (found["timeToDeliver"], found["hopCount"], found["outcome"]) == (1.5, 3, "delivered")
    assert found["totaltime"] == found["totalTime"] == 0.012
    assert (found["monitor"], found["phase"], found["identifier"]) == ("imap4", "read", "mail")
    assert (found["spf"], found["dkim"], found["pushed"], found["outOfOrder"]) == (
        "pass",
        "fail",
        "true",
        "false",
    )
    assert "dmarc" not in found
    assert (found["folder"], found["copies"], found["serverSkew"]) == ("INBOX", 1, -0.25)


def test_a_read_tells_of_the_mailbox_by_which_it_was_read() -> None:
    found = of_result(READ, AROUND)
    assert (found["mailbox"], found["host"], found["port"]) == ("box", "imap.example.com", 143)
    assert (found["security"], found["user"], found["timeout"]) == ("SSL", "reader", 20)
    assert (found["description"], found["pollInterval"]) == ("Mail of the head office", 600)
    assert not {"failureRetests", "retestInterval", "attempts", "email"} & found.keys()
    of_other = of_result(READ, replace(AROUND, mailbox=POP3_READER))
    assert not {"host", "port", "user", "timeout"} & of_other.keys()


def test_a_look_tells_how_long_the_download_took() -> None:
    stages = (Stage("find", 0, 4_000), Stage("fetch", 4_000, 6_000), Stage("fetch", 11_000, 1_500))
    assert "downloadTime" not in of_result(READ)
    assert of_result(replace(READ, attempts=(Attempt(1, AT_US, 13_000, stages),)))["downloadTime"] == 0.007


def test_a_check_is_the_ism_s_summary_event() -> None:
    found = of_result(CHECK)
    assert found["message"] == "3 messages downloaded; 12 in the mailbox"
    assert (found["downloaded"], found["messages"], found["size"]) == (3, 12, 34_567)
    assert (found["totaltime"], found["connectTime"], found["loginTime"]) == (0.25, 0.01, 0.03)
    assert (found["quotaUsed"], found["quotaLimit"]) == (40_000, 10_000_000)
    assert (found["user"], found["port"], found["security"]) == ("probe", 993, "SSL")
    assert (found["monitor"], found["phase"], found["identifier"]) == ("imap4", "check", "box")


@pytest.mark.parametrize(
    ("result", "level", "outcome"),
    [(OVERDUE, 3, "overdue"), (BOUNCED, 3, "bounced"), (LATE, 2, "late"), (COPY, 2, "duplicated")],
)
def test_what_did_not_go_well_has_its_own_message_and_outcome(
    result: Result, level: int, outcome: str
) -> None:
    found = of_result(result)
    assert (found["message"], found["serviceLevel"], found["outcome"]) == (result.message, level, outcome)
    assert ("timeToDeliver" in found) is (result.delivery is not None)


def test_what_we_could_not_see_is_unknown_and_says_whose_fault_it_was() -> None:
    found = of_result(UNSEEN)
    assert found["serviceLevel"] == 0
    assert (found["side"], found["fault"], found["stage"]) == ("LOCAL", "resolver", "lookup")
    assert not {"side", "fault", "stage"} & of_result(SENT).keys()


def test_what_was_not_measured_is_not_there() -> None:
    bare = replace(SENT, attempts=(), service=None, worker="")
    assert of_result(bare) == {
        "message": "Message sent",
        "monitor": "smtp",
        "phase": "send",
        "identifier": "mail",
        "region": "eu",
        "poll": "mail@eu#7",
        "time": 1_700_000_000,
        "serviceLevel": 1,
        "attempts": 0,
    }


def test_what_the_result_does_not_say_is_taken_from_the_profile() -> None:
    found = of_result(replace(SENT, attempts=(), service=None, worker=""), AROUND)
    assert (found["host"], found["description"]) == ("mx.example.com", "Mail of the head office")
    assert (found["monitorHost"], found["monitorDomain"]) == ("watch", "example.net")
    assert (found["port"], found["authenticationType"], found["user"]) == (25, "CRAM-MD5", "probe")
    assert found["failureRetests"] == 3


@pytest.mark.parametrize(
    ("retests", "in_a_row", "shown"),
    [
        (0, None, None),
        (0, 1, None),  # without retests it is never made
        (3, None, None),  # none failed
        (3, 0, 0),  # it recovered
        (3, 1, 1),
        (3, 3, 3),
        (3, 4, 1),  # exceeded: it goes back to 1
        (1, 2, 1),
    ],
)
def test_consecutive_failures_counts_as_the_ism_s(
    retests: int, in_a_row: int | None, shown: int | None
) -> None:
    grading = Grading(failure_retests=retests, consecutive_failures=in_a_row)
    found = of_result(replace(SENT, grading=grading))
    assert found.get("consecutiveFailures") == shown
    assert found["failureRetests"] == retests


def test_a_retest_interval_is_there_only_with_retests() -> None:
    around = replace(AROUND, element=replace(ELEMENT, failureretests=0))
    assert "retestInterval" not in of_result(SENT, around)


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        (AuthenticationType.NONE, "NONE"),
        (AuthenticationType.PLAIN, "Standard"),
        (AuthenticationType.CRAM_MD5, "Standard"),
        (AuthenticationType.XOAUTH2, "Standard"),
        (LoginType.STANDARD, "Standard"),
        (LoginType.APOP, "APOP"),
    ],
)
def test_authentication_is_standard_for_every_login_by_username(
    method: AuthenticationType | LoginType, shown: str
) -> None:
    assert SENT.service is not None
    found = of_result(replace(SENT, service=replace(SENT.service, authentication=method)))
    assert (found["authentication"], found["authenticationType"]) == (shown, str(method))


@pytest.mark.parametrize(
    ("level", "number"), [(Level.UNKNOWN, 0), (Level.GOOD, 1), (Level.MARGINAL, 2), (Level.FAILED, 3)]
)
def test_the_last_level_is_a_number_and_that_of_the_result_before_is_known_best(
    level: Level, number: int
) -> None:
    around = Surroundings(last_level=level)
    assert of_result(SENT, around)["lastServiceLevel"] == number
    told = replace(SENT, grading=Grading(last_level=Level.MARGINAL))
    assert of_result(told, around)["lastServiceLevel"] == number
    assert of_result(told)["lastServiceLevel"] == 2
    assert "lastServiceLevel" not in of_result(SENT)


def test_times_are_to_the_millisecond() -> None:
    attempt = Attempt(1, AT_US, 1_234_567, times_us={"connectTime": 12_345, "lookupTime": 499})
    found = of_result(replace(SENT, attempts=(attempt,)))
    assert (found["totalTime"], found["connectTime"], found["lookupTime"]) == (1.235, 0.012, 0.0)
    assert READ.delivery is not None
    skewed = replace(READ.delivery, server_skew_us=-100)
    assert as_lines({"a": of_result(replace(READ, delivery=skewed))["serverSkew"]}) == "$a = 0.0"


@pytest.mark.parametrize("result", [SENT, READ, LATE, CHECK])
def test_elements_say_the_same_as_json_does(result: Result) -> None:
    shown = result_as_data(result)
    apart = {"authentication", "phase", "verdicts", "fault", "attempts", "pushed", "outOfOrder", "altered"}
    same = {name for name in of_result(result) if shown.get(name) is not None} - apart
    assert len(same) > 8
    for name in same:
        value = of_result(result)[name]
        assert value == (shown[name] if isinstance(value, str) else pytest.approx(shown[name], abs=0.0005))


def test_every_operand_of_service_levels_is_an_element_of_the_same_monitors() -> None:
    kinds = {Phase.SEND: {Kind.SMTP}, Phase.CHECK: {Kind.IMAP4, Kind.POP3}}
    for name, operand in OPERANDS.items():
        for phase in operand.phases:
            assert kinds.get(phase, {Kind.IMAP4, Kind.POP3}) <= NAMES[name].kinds, name


def full(result: Result, element: AnyElement) -> set[str]:
    """The names that a result has of which all is known."""
    tls = TlsFacts("TLSv1.3", "AES", verified=True, expires_at_us=AT_US)
    stages = (Stage("fetch", 0, 1),)
    names = ("lookupTime", "connectTime", "SSLHandshakeTime", "loginTime", "responseTime", "uploadTime")
    times_us = dict.fromkeys(names, 1_000)
    attempt = Attempt(
        1, AT_US, 5, stages, times_us, 10, 250, "250 2.0.0 Ok", "192.0.2.1:25", "mx1.example.com", tls=tls
    )
    grading = Grading("status = 1 -> GOOD", 1, 1, Level.GOOD, 5)
    whole = replace(result, attempts=(attempt,), grading=grading, fault=FAULT, outcome=Outcome.LATE)
    return set(of_result(whole, replace(AROUND, element=element)))


def test_every_name_occurs() -> None:
    delivery = LATE.delivery
    assert delivery is not None
    words = tuple(replace(delivery.verdicts[0], method=name) for name in ("spf", "dkim", "dmarc", "arc"))
    read = replace(READ, delivery=replace(delivery, verdicts=words, altered=("the body",)))
    names = full(SENT, ELEMENT) | full(read, ELEMENT) | full(CHECK, replace(READER, poll=60))
    assert names == set(NAMES)


def test_a_tally_without_found_messages_is_no_number_of_downloads() -> None:
    assert CHECK.mailbox is not None
    facts = replace(CHECK.mailbox, tally={Tally.LOOKS: 2})
    assert "downloaded" not in of_result(replace(CHECK, mailbox=facts))


def test_the_document_has_every_element_and_says_the_same_of_it() -> None:
    shown = re.findall(r"^\| `\$(\w+)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.*?) \|$", TEXT, re.MULTILINE)
    said = [
        (
            name,
            known.unit,
            "all" if known.kinds == set(Kind) else ", ".join(kind for kind in Kind if kind in known.kinds),
            known.says,
            str(known.origin),
            "yes" if SPELLINGS.get(name, name) in OPERANDS else "",
        )
        for name, known in NAMES.items()
    ]
    assert shown == said


STATUS_MESSAGES = section(TEXT, "Status messages")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "postbeat").rglob("*.py"))


@pytest.mark.parametrize("shown", re.findall(r"^\| `([^`$]+)` \|", STATUS_MESSAGES, re.MULTILINE))
def test_a_status_message_of_the_document_is_one_that_we_write(shown: str) -> None:
    """Of a refusal the text before the reply is looked for: the two are put together elsewhere."""
    made = r"\{[^\n]*?\}"
    fixed = map(re.escape, re.split(r"<\w+>", shown.removesuffix(": <reply>")))
    text = made.join(fixed).replace("messages", f"message{made}")
    text = re.sub(r"^[A-Z]", lambda first: f"(?i:{first[0]})", text)
    assert re.search(f"[\"']{text}", SOURCES)


def test_the_faults_of_status_messages_are_faults() -> None:
    rows = re.findall(r"^\| `[^$].*\|(.*)\|$", STATUS_MESSAGES, re.MULTILINE)
    named = {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}
    assert len(rows) > 20
    assert {"timeout", "refused", "auth"} <= named <= set(FaultCode)


def test_the_document_names_no_other_element() -> None:
    named = set(re.findall(r"\$(\w+)", TEXT))
    assert named == set(NAMES)

"""docs/elements.md says what the commands show, by the names of the reference page's Table 3 and ours."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from postbeat.classification import OPERANDS, Classification
from postbeat.cli.render import attempt_title
from postbeat.delivery import Tally
from postbeat.embedded.mail import MailServer
from postbeat.model import Kind, Level, Phase, Poll
from postbeat.plain import check_as_data, common_as_data, delivery_as_data, elements_as_data, half_as_data
from postbeat.results import Attempt, Result
from postbeat.stages import STAGES
from tests.cli.conftest import Run, RunningSite
from tests.documents import section
from tests.ism.tables import ELEMENTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "elements.md"
SECTIONS = {
    title: dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.MULTILINE))
    for title, text in re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
}
UNITS = SECTIONS["Sends"]

# Table 3 of the page, and $message of the section below it.
TABLE_3 = {*ELEMENTS, "message"}


def test_the_document_has_the_elements_of_the_reference_and_no_other() -> None:
    assert set(UNITS) == TABLE_3


def test_the_document_has_what_is_shown_of_reads_checks_and_mailboxes_and_nothing_else() -> None:
    assert set(SECTIONS["Reads, and what came after"]) == {"message", *delivery_as_data(None)}
    assert set(SECTIONS["Checks"]) == {"message", *check_as_data(None)}
    assert set(SECTIONS["Mailboxes"]) >= set(Tally)


def test_the_document_has_the_common_elements_and_the_rule_and_no_other() -> None:
    assert set(SECTIONS["All results"]) == {"classification", *common_as_data(None)}


SERVICE_LEVELS = section(DOCUMENT.read_text(encoding="utf-8"), "Service levels")


def test_the_document_has_every_element_that_a_rule_may_name_and_says_the_same_of_it() -> None:
    shown = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([\w, ]+) \| (.+) \| (yes|) \|$", SERVICE_LEVELS, re.MULTILINE
    )
    said = [
        (
            name,
            operand.kind.value,
            "all" if operand.phases == set(Phase) else ", ".join(p for p in Phase if p in operand.phases),
            operand.says,
            "yes" if operand.tells_failure else "",
        )
        for name, operand in OPERANDS.items()
    ]
    assert shown == said


def test_every_rule_that_is_shown_is_one() -> None:
    shown = re.findall(r"`([^`\n]+ -> [A-Z]+)`", SERVICE_LEVELS)
    assert len(shown) >= 10
    for text in shown:
        assert str(Classification.parse(text)) == text


def test_every_element_has_its_place_before_there_is_a_result() -> None:
    assert elements_as_data(None) == dict.fromkeys(TABLE_3 - {"message"})


def test_a_probe_shows_every_element_in_its_unit(postbeat: Run, mail: MailServer, profile: Path) -> None:
    trip = json.loads(postbeat("probe", profile, "out-imap4", "--json").stdout)
    assert trip.keys() >= TABLE_3 | set(SECTIONS["All results"])
    assert (trip["identifier"], trip["host"], trip["serviceLevel"]) == ("out-imap4", mail.host, 1)
    assert trip["monitorHost"] == socket.gethostname()
    assert (trip["port"], trip["security"], trip["user"]) == (mail.smtp, "NONE", "other")
    assert (trip["authentication"], trip["email"]) == ("CRAM-MD5", "other@example.com")
    assert trip["status"] == 250
    for name in (name for name, unit in UNITS.items() if unit == "seconds" and name != "SSLHandshakeTime"):
        assert 0 <= trip[name] < 5
    assert trip["bytesPerSec"] == pytest.approx(trip["bytesTransferred"] / trip["uploadTime"], rel=0.01)


def test_every_stage_of_what_is_stored_is_one_that_its_probe_has_there(
    postbeat: Run, site: RunningSite
) -> None:
    lines = postbeat("results", "--json", "--redis", site.redis_url).stdout.splitlines()
    seen = set()
    for result in map(json.loads, lines):
        for stage in (stage["name"] for attempt in result["attempts"] for stage in attempt["stages"]):
            assert Kind(result["kind"]) in STAGES[stage].kinds, stage
            assert Phase(result["phase"]) in STAGES[stage].phases, stage
            seen.add(stage)
    assert seen >= {"connect", "upload", "login", "select", "find", "fetch", "facts", "quit"}


def test_a_site_shows_every_element_of_what_is_stored(postbeat: Run, site: RunningSite) -> None:
    states = json.loads(
        postbeat("status", "--json", "--redis", site.redis_url, "--element", "out-imap4").stdout
    )
    lines = postbeat(
        "results", "--json", "--redis", site.redis_url, "--element", "out-imap4"
    ).stdout.splitlines()
    sends = [result for result in map(json.loads, lines) if result["phase"] == "send"]
    assert states
    assert sends
    for shown in (*states, *sends):
        assert shown.keys() >= TABLE_3 | set(SECTIONS["All results"])
        assert all(shown[name] is not None for name in TABLE_3 - {"SSLHandshakeTime"})
        assert (shown["security"], shown["user"]) == ("NONE", "probe")


@pytest.mark.parametrize(("reply", "code"), [("554 5.7.1 no", "5.7.1"), ("554 no", None)])
def test_an_enhanced_status_code_is_shown_where_the_server_gave_one(reply: str, code: str | None) -> None:
    attempt = Attempt(1, 0, 0, status=554, reply=reply)
    sent = Result(Poll("a", "b", 1), Phase.SEND, Kind.SMTP, Level.FAILED, reply, 0, (attempt,))
    assert half_as_data(sent)["attempts"][0]["enhanced"] == code
    assert ("status 554 5.7.1" in attempt_title(attempt, 1).plain) is (code is not None)

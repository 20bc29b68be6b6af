from __future__ import annotations

import json
from dataclasses import replace

import pytest

from postbeat.delivery import Outcome
from postbeat.model import Level, Pair, Phase
from postbeat.plain import event_as_data, result_as_data
from postbeat.results import Event, Result
from tests.unit.some_results import AT_US, BOUNCED, CHECK, COPY, LATE, OVERDUE, POLL, READ, SENT


def test_a_read_tells_how_the_message_travelled() -> None:
    data = result_as_data(READ)
    assert (data["phase"], data["outcome"], data["bounce"]) == ("read", "delivered", None)
    assert data["timeToDeliver"] == 1.5
    assert (data["timeToDeliverResolution"], data["timeToDeliverUncertainty"]) == (0.04, 0.0007)
    assert (data["pushed"], data["folder"], data["copies"], data["outOfOrder"]) == (True, "INBOX", 1, False)
    assert data["altered"] == []
    assert (data["serverSkew"], data["serverSkewUncertainty"]) == (-0.25, 0.5)
    assert data["totalTime"] == 0.012


def test_a_path_names_its_slowest_hop() -> None:
    data = result_as_data(READ)
    assert data["hopCount"] == 3
    first, second, third = data["hops"]
    assert first == {
        "by": "mx.example.com",
        "from": "probe.example.net",
        "protocol": "ESMTPS",
        "at": AT_US / 1e6,
        "took": None,
        "skew": 0.0,
    }
    assert data["slowestHop"] == second
    assert (second["took"], second["skew"]) == (2.0, 0.5)
    assert {value for name, value in third.items() if name != "by"} == {None}


def test_verdicts_have_all_four_methods() -> None:
    assert result_as_data(READ)["verdicts"] == {
        "spf": {"result": "pass", "by": "mx.example.com", "reason": None},
        "dkim": {"result": "fail", "by": "postbeat", "reason": "d=example.com"},
        "dmarc": None,
        "arc": None,
    }


def test_what_did_not_arrive_has_the_same_keys_and_no_figures() -> None:
    data = result_as_data(OVERDUE)
    assert data.keys() == result_as_data(READ).keys()
    assert (data["outcome"], data["level"]) == ("overdue", "FAILED")
    assert data["timeToDeliver"] is data["hops"] is data["verdicts"] is None


def test_a_bounce_has_its_status_and_the_text_of_the_remote_host() -> None:
    assert result_as_data(BOUNCED)["bounce"] == {
        "action": "failed",
        "status": "5.1.1",
        "text": "550 5.1.1 no such user",
        "recipient": None,
        "reportedBy": "mx.example.com",
        "remote": None,
    }


def test_a_check_has_the_ism_s_names_and_what_the_server_tells() -> None:
    data = result_as_data(CHECK)
    assert (data["port"], data["security"]) == (993, "SSL")
    assert (data["authentication"], data["user"]) == ("STANDARD", "probe")
    assert (data["connectTime"], data["loginTime"], data["totalTime"]) == (0.01, 0.03, 0.25)
    assert data["lookupTime"] is data["SSLHandshakeTime"] is None
    assert (data["messages"], data["size"]) == (12, 34_567)
    assert (data["quotaUsed"], data["quotaLimit"]) == (40_000, 10_000_000)
    assert (data["folders"], data["tally"]) == ({"INBOX": 12}, {"found": 3})
    assert "timeToDeliver" not in data


def test_a_check_that_failed_has_the_same_keys() -> None:
    failed = replace(CHECK, attempts=(), mailbox=None, service=None)
    assert result_as_data(failed).keys() == result_as_data(CHECK).keys()


@pytest.mark.parametrize("result", [SENT, READ, OVERDUE, BOUNCED, LATE, COPY, CHECK])
def test_every_result_can_be_written_as_json(result: Result) -> None:
    data = result_as_data(result)
    assert json.loads(json.dumps(data)) == data
    assert (data["poll"], data["message"]) == (str(result.poll), result.message)


def test_an_event_has_its_outcome() -> None:
    event = Event(
        Pair("mail", "eu"), Level.FAILED, Level.FAILED, 5, POLL, Phase.AFTER, "Lost", outcome=Outcome.LOST
    )
    data = event_as_data(event)
    assert (data["was"], data["level"], data["outcome"]) == ("FAILED", "FAILED", "lost")
    assert json.loads(json.dumps(data)) == data

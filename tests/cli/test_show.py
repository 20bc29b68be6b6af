"""``postbeat status``, ``results``, ``events`` and ``mailboxes`` of a site that is running."""

from __future__ import annotations

import json
import signal
import subprocess
import time

from tests.cli.conftest import Run, RunningSite, command, environment
from tests.cli.test_elements import SECTIONS

SHARED = {"mailbox", "element", "region", "messages", "size", "quotaUsed", "quotaLimit", "folders"}


def documents(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_status_shows_every_pair_worst_first(postbeat: Run, site: RunningSite) -> None:
    text = postbeat("status", "--redis", site.redis_url).stdout
    rows = [line.split() for line in text.splitlines()[1:]]
    assert [row[1] for row in rows] == ["FAILED"] * 2 + ["GOOD"] * 6
    assert "closed" in text.splitlines()[1]


def test_status_as_json_has_times_counts_and_halves(postbeat: Run, site: RunningSite) -> None:
    done = postbeat("status", "--json", env={"POSTBEAT_REDIS_URL": site.redis_url})
    assert (done.returncode, done.stderr) == (0, "")
    states = json.loads(done.stdout)
    assert [(state["element"], state["region"]) for state in states] == [
        (element, region)
        for element in ("closed", "out-imap4", "out-pop3", "tested")
        for region in ("north", "south")
    ]
    for state in states[2:6]:
        assert state["level"] == "GOOD"
        assert state["message"] == "Message Successfully Downloaded"
        assert 0 < state["timeToDeliver"] < 5
        assert state["counts"]["send"]["GOOD"] >= 1
        assert state["counts"]["read"]["FAILED"] == 0
        assert state["outcome"] == "delivered"
        assert state["outcomes"]["delivered"] == state["counts"]["read"]["GOOD"]
        assert state["outcomes"]["lost"] == 0
        assert state["send"]["worker"] != ""
        assert 0 < time.time() - state["since"] < 600
    for state in states[:2]:
        assert (state["level"], state["read"]) == ("FAILED", None)
        assert state["send"]["fault"]["code"] == "refused"


def test_status_shows_the_check_of_a_mailbox(postbeat: Run, site: RunningSite) -> None:
    done = postbeat("status", "--json", "--redis", site.redis_url, "--element", "tested")
    for state in json.loads(done.stdout):
        assert (state["level"], state["check"]["phase"]) == ("GOOD", "check")
        assert state["message"] == state["check"]["message"]
        assert state["counts"]["check"]["GOOD"] >= 1
        assert (state["user"], state["security"], state["authentication"]) == ("tested", "NONE", "STANDARD")
        assert state["messages"] >= 0
        assert 0 < state["loginTime"] <= state["responseTime"] < state["totalTime"] < 5


def test_each_phase_has_results_of_its_own(postbeat: Run, site: RunningSite) -> None:
    found = documents(postbeat("results", "--json", "--redis", site.redis_url, "-n", "1000").stdout)
    phases = {result["phase"] for result in found}
    assert phases == {"send", "read", "check"}
    reads = [result for result in found if result["phase"] == "read"]
    for read in reads:
        assert (read["outcome"], read["copies"], read["altered"]) == ("delivered", 1, [])
        assert 0 < float(str(read["timeToDeliver"])) < 5
        assert 0 <= float(str(read["timeToDeliverResolution"])) < 5
        assert read["hopCount"] == len(list(read["hops"]))  # type: ignore[call-overload]
    checks = [result for result in found if result["phase"] == "check"]
    assert {str(check["poll"]).partition("#")[0] for check in checks} == {"tested@north", "tested@south"}


def test_mailboxes_shows_who_reads_what(postbeat: Run, site: RunningSite) -> None:
    done = postbeat("mailboxes", "--json", "--redis", site.redis_url)
    boxes = {box["element"]: box for box in json.loads(done.stdout)}
    assert set(boxes) == {"in-imap4", "in-pop3", "tested"}
    for box in boxes.values():
        assert box.keys() == set(SECTIONS["Mailboxes"]) | SHARED
        assert 0 <= time.time() - box["lastLook"] < 60
        odd = ("forged", "damaged", "replayed", "duplicates")
        assert {name: box[name] for name in odd} == dict.fromkeys(odd, 0)
    assert boxes["in-imap4"]["found"] > 0
    assert boxes["in-pop3"]["mailbox"].startswith("pop3:probe@127.0.0.1:")
    assert isinstance(boxes["tested"]["messages"], int)
    text = postbeat("mailboxes", "--redis", site.redis_url, "--element", "in-*").stdout
    assert [line.split()[0].partition(":")[0] for line in text.splitlines()] == ["mailbox", "imap4", "pop3"]


def test_what_is_shown_can_be_narrowed(postbeat: Run, site: RunningSite) -> None:
    done = postbeat("status", "--json", "--redis", site.redis_url, "--element", "out-*", "--region", "south")
    assert [state["element"] for state in json.loads(done.stdout)] == ["out-imap4", "out-pop3"]
    done = postbeat("results", "--json", "--redis", site.redis_url, "--element", "closed", "-n", "3")
    found = documents(done.stdout)
    assert len(found) == 3
    assert {result["message"] for result in found} == {
        "The connection was refused while connecting to 127.0.0.1:1"
    }


def test_results_are_the_newest_oldest_first(postbeat: Run, site: RunningSite) -> None:
    found = documents(postbeat("results", "--json", "--redis", site.redis_url, "-n", "12").stdout)
    assert len(found) == 12
    times = [float(str(result["at"])) for result in found]
    assert times[0] <= times[-1]
    assert max(times) > time.time() - 60
    text = postbeat("results", "--redis", site.redis_url, "-n", "12").stdout
    assert len(text.splitlines()) == 12


def test_events_are_the_changes_of_level(postbeat: Run, site: RunningSite) -> None:
    found = documents(postbeat("events", "--json", "--redis", site.redis_url, "-n", "100").stdout)
    changes = {(event["element"], event["region"], event["was"], event["level"]) for event in found}
    assert changes >= {
        ("closed", "north", "UNKNOWN", "FAILED"),
        ("out-imap4", "south", "UNKNOWN", "GOOD"),
        ("out-pop3", "north", "UNKNOWN", "GOOD"),
    }
    assert all(event["was"] != event["level"] or event["outcome"] != "delivered" for event in found)
    assert "UNKNOWN -> ✓ GOOD" in postbeat("events", "--redis", site.redis_url).stdout


def test_follow_goes_on_until_ctrl_c(site: RunningSite) -> None:
    process = subprocess.Popen(
        command("results", "--json", "--follow", "-n", "0", "--redis", site.redis_url),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        found = [json.loads(process.stdout.readline()) for _ in range(5)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert len({(result["poll"], result["phase"]) for result in found}) == 5


def test_a_redis_that_does_not_answer_is_said(postbeat: Run) -> None:
    done = postbeat("status", "--redis", "redis://127.0.0.1:1/0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Redis does not answer: ")


def test_an_empty_redis_is_said_to_be_empty(postbeat: Run, redis_url: str) -> None:
    done = postbeat("status", "--redis", redis_url)
    assert (done.returncode, done.stdout) == (0, "")
    assert "start a beat" in done.stderr
    assert json.loads(postbeat("status", "--json", "--redis", redis_url).stdout) == []
    assert postbeat("results", "--redis", redis_url).stdout == ""
    assert "No mailbox was read" in postbeat("mailboxes", "--redis", redis_url).stderr
    assert json.loads(postbeat("mailboxes", "--json", "--redis", redis_url).stdout) == []

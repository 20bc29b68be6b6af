"""The metrics of a site as Redis has it: what is there from the first moment, and what results make of it."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from email.message import Message
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from postbeat import codec
from postbeat.delivery import Delivery, Outcome, Tally, Verdict
from postbeat.embedded.processes import Child, Processes
from postbeat.metrics import Exposition
from postbeat.metrics.collect import CAUSES
from postbeat.metrics.protobuf import CONTENT_TYPE as PROTOBUF
from postbeat.model import Level, Phase, Secret
from postbeat.profile import Profile
from postbeat.results import Attempt, Result, TlsFacts
from postbeat.store import keys
from postbeat.store.facts import BEAT_SILENT_US
from postbeat.store.maintenance import MaintenanceStore
from postbeat.store.wake import wake_text
from postbeat.windows import Window
from tests.cli.conftest import command, environment
from tests.metrics.prometheus import tool
from tests.ports import free_port
from tests.redis.site import BOX, BOX_PAIR, MAIL, PROFILE, WAKE, Site, result

CANARY = "canary-7f3a91"
PARSED: Any = openmetrics_parser.text_string_to_metric_families  # it has no types


@pytest.fixture
def site(redis_url: str) -> Iterator[Site]:
    with Site.open(redis_url) as site:
        site.beat.expect(PROFILE, site.now_us())
        site.beat.publish_profile(PROFILE)
        yield site


class Seen:
    """All series of one scrape."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._values = {
            (sample.name.removeprefix("postbeat_"), frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, frozenset(labels.items())))

    def states(self, name: str, label: str, **labels: str) -> set[str]:
        """The states that are 1."""
        wanted = set(labels.items())
        return {
            dict(own)[label]
            for (one, own), value in self._values.items()
            if one == name and wanted <= own and value == 1
        }

    def all(self, name: str) -> list[float]:
        return [value for (one, _), value in self._values.items() if one == name]


@pytest.fixture
def exposition(redis_url: str) -> Iterator[Exposition]:
    exposition = Exposition(redis_url)
    yield exposition
    exposition.close()


def scrape(exposition: Exposition) -> Seen:
    return Seen(exposition.render()[0])


PAIR = {"element": "mail", "region": "lab"}


@pytest.mark.usefixtures("site")
def test_all_series_of_a_pair_are_there_before_its_first_result(exposition: Exposition) -> None:
    seen = scrape(exposition)
    assert seen.states("level", "level", **PAIR) == {"UNKNOWN"}
    assert len(seen.all("level")) == 2 * len(Level)
    assert seen.states("verdict", "verdict", element="mail") == {"UNKNOWN"}
    assert seen.states("failing", "cause", **PAIR) == {"monitor"}
    assert len(seen.all("failing")) == 2 * len(CAUSES)
    assert seen("polls_total", **PAIR) == 0
    assert len(seen.all("phase_results_total")) == 3 * len(Level) + len(Level)  # three phases and a check
    assert len(seen.all("messages_total")) == len(Outcome)
    for stage in ("lookup", "connect", "response", "upload", "total", "deliver"):
        assert seen("stage_duration_seconds_count", **PAIR, stage=stage) == 0
    assert seen("last_result_timestamp_seconds", **PAIR) == 0
    assert seen("workers", region="lab") == 0
    assert seen("queue_length", region="lab", queue="probe") == 0
    assert seen("beat_missed_polls_total") == 0
    assert seen("availability_target_ratio", element="mail") == 0.999
    assert seen("availability_ratio", element="mail") is None
    assert seen("maintenance", **PAIR) == 0
    assert seen("verdict_maintenance", element="mail") == 0
    assert b"NaN" not in seen.body


def test_all_series_of_a_mailbox_are_there_before_anything_is_sent_to_it(
    site: Site, exposition: Exposition
) -> None:
    def told(name: str) -> float | None:
        return scrape(exposition)(f"mailbox_{name}", element="box")

    site.send(1, Level.FAILED)
    assert site.view.mailboxes() == []
    for name in ("pending_messages", "awaited_messages", "waiting_checks", "readers"):
        assert told(name) == 0
    assert told("last_look_timestamp_seconds") == 0
    for name in ("messages", "size_bytes", "quota_used_bytes", "quota_limit_bytes"):
        assert told(name) is None
    seen = scrape(exposition)
    assert {
        tally: seen("mailbox_events_total", element="box", event=tally) for tally in Tally
    } == dict.fromkeys(Tally, 0)
    assert seen("mailbox_readers", element="mail") is None
    site.send(2)
    assert told("pending_messages") == 1


WIDE = replace(MAIL, regions=("eu", "us"), read=None, quorum="any")
ALWAYS = Window.parse("daily 00:00-24:00")


def maintained(seen: Seen) -> set[tuple[str, str]]:
    """The pairs that are in maintenance."""
    return {
        (element, region)
        for element in ("mail", "box")
        for region in ("eu", "us", "lab")
        if seen("maintenance", element=element, region=region) == 1
    }


def put_in_force(site: Site, profile: Profile) -> None:
    site.beat.retire(profile)
    site.beat.expect(profile, site.now_us())
    site.beat.publish_profile(profile)


def test_maintenance_of_the_profile_and_announced_one_are_told_of_each_pair(
    site: Site, exposition: Exposition, windows: MaintenanceStore
) -> None:
    put_in_force(site, Profile({"mail": WIDE, "box": replace(BOX, poll=None, maintenance=(ALWAYS,))}))
    assert maintained(scrape(exposition)) == {("box", "lab")}
    now_us = windows.now_us()
    announced = windows.add("ma*", "eu", from_us=now_us, to_us=now_us + 3_600_000_000, why="disks")
    windows.add("*", "us", from_us=now_us - 20, to_us=now_us - 10, why="over")
    assert maintained(scrape(exposition)) == {("box", "lab"), ("mail", "eu")}
    assert scrape(exposition)("maintenance", element="mail", region="us") == 0
    windows.end(announced.id, windows.now_us())
    assert maintained(scrape(exposition)) == {("box", "lab")}


def test_a_verdict_is_in_maintenance_where_each_region_that_voted_against_good_is(
    site: Site, exposition: Exposition, windows: MaintenanceStore
) -> None:
    put_in_force(site, Profile({"mail": WIDE}))
    slots = count(1)

    def told(eu: Level, us: Level) -> tuple[set[str], float | None]:
        for region, level in (("eu", eu), ("us", us)):
            site.send(next(slots), level, element=WIDE, region=region)
        seen = scrape(exposition)
        return seen.states("verdict", "verdict", element="mail"), seen("verdict_maintenance", element="mail")

    now_us = windows.now_us()
    assert told(Level.FAILED, Level.GOOD) == ({"FAILED"}, 0)
    windows.add("mail", "eu", from_us=now_us, to_us=now_us + 3_600_000_000, why="disks")
    assert told(Level.FAILED, Level.GOOD) == ({"FAILED"}, 1)
    assert told(Level.FAILED, Level.MARGINAL) == ({"FAILED"}, 0)
    assert told(Level.FAILED, Level.UNKNOWN) == ({"FAILED"}, 1)
    assert told(Level.UNKNOWN, Level.UNKNOWN) == ({"UNKNOWN"}, 0)
    assert told(Level.GOOD, Level.GOOD) == ({"GOOD"}, 0)
    windows.add("mail", "us", from_us=now_us, to_us=now_us + 3_600_000_000, why="disks")
    assert told(Level.FAILED, Level.MARGINAL) == ({"FAILED"}, 1)
    assert told(Level.GOOD, Level.GOOD) == ({"GOOD"}, 1)


def test_what_counts_for_maintenance_is_the_level_that_counts_for_the_verdict(
    site: Site, exposition: Exposition, windows: MaintenanceStore
) -> None:
    damped = replace(WIDE, confirmpolls=3)
    put_in_force(site, Profile({"mail": damped}))
    now_us = windows.now_us()
    windows.add("mail", "eu", from_us=now_us, to_us=now_us + 3_600_000_000, why="disks")
    polls = [("eu", Level.FAILED), ("us", Level.FAILED), ("us", Level.GOOD)]
    for slot, (region, level) in enumerate(polls, 1):
        site.send(slot, level, element=damped, region=region)
    seen = scrape(exposition)
    assert seen.states("level", "level", element="mail", region="us") == {"GOOD"}
    assert seen.states("verdict", "verdict", element="mail") == {"FAILED"}
    assert seen("verdict_maintenance", element="mail") == 0


def sent(slot: int, at_us: int) -> Result:
    """A send over TLS with times, whose message went out."""
    times_us = {"lookupTime": 900, "connectTime": 400, "responseTime": 20_000, "uploadTime": 3000}
    facts = TlsFacts("TLSv1.3", "some", verified=True, expires_at_us=2_000_000_000_000_000)
    attempt = Attempt(1, at_us, 30_000, times_us=times_us, tls=facts, status=250, accepted_at_us=at_us)
    return replace(result(slot, Phase.SEND, Level.GOOD, at_us), attempts=(attempt,))


def read(slot: int, at_us: int) -> Result:
    verdicts = (Verdict("spf", "pass", "mx"), Verdict("dkim", "fail", "mx"), Verdict("iprev", "pass", "mx"))
    delivery = Delivery(to_deliver_us=700_000, resolution_us=10, hop_count=3, verdicts=verdicts)
    found = result(slot, Phase.READ, Level.GOOD, at_us, outcome=Outcome.DELIVERED)
    return replace(found, delivery=delivery)


def round_trip(site: Site, slot: int) -> None:
    site.run(site.worker.record_send(MAIL, sent(slot, site.now_us()), BOX.mailbox, WAKE))
    with site.reader() as desk:
        assert site.run(desk.record(read(slot, site.now_us())))


def test_a_round_trip_is_in_all_of_them(site: Site, exposition: Exposition) -> None:
    round_trip(site, 7)
    seen = scrape(exposition)
    assert seen.states("level", "level", **PAIR) == {"GOOD"}
    assert seen.states("verdict", "verdict", element="mail") == {"GOOD"}
    assert seen.states("failing", "cause", **PAIR) == set()
    assert seen("polls_total", **PAIR) == 1
    assert seen("phase_results_total", **PAIR, phase="read", level="GOOD") == 1
    assert seen("messages_total", **PAIR, outcome="delivered") == 1
    assert seen("stage_duration_seconds_sum", **PAIR, stage="response") == 0.02
    assert seen("stage_duration_seconds_bucket", **PAIR, stage="response", le="0.015625") == 0
    assert seen("stage_duration_seconds_bucket", **PAIR, stage="response", le="0.03125") == 1
    assert seen("stage_duration_seconds_sum", **PAIR, stage="deliver") == 0.7
    assert seen("last_duration_seconds", **PAIR, stage="total") == 0.03
    assert seen("certificate_expiry_timestamp_seconds", **PAIR) == 2_000_000_000
    assert seen("hops", **PAIR) == 3
    assert seen("message_passed", **PAIR, method="spf") == 1
    assert seen("message_passed", **PAIR, method="dkim") == 0
    assert seen("message_passed", **PAIR, method="iprev") is None
    assert seen("availability_ratio", element="mail") == 1
    assert seen("error_budget_remaining_ratio", element="mail") == 1
    assert seen("error_budget_burn_rate", element="mail", window="5m") == 0


def test_the_causes_of_failures_are_told_apart(site: Site, exposition: Exposition) -> None:
    def causes(element: str = "mail") -> set[str]:
        return scrape(exposition).states("failing", "cause", element=element)

    round_trip(site, 1)
    site.send(2, Level.FAILED)
    assert causes() == {"send"}
    assert scrape(exposition)("consecutive_failures", **PAIR) == 1
    site.send(3)
    site.read(3, Level.FAILED, Outcome.OVERDUE)
    assert causes() == {"delivery"}
    site.send(4)
    site.read(4, Level.FAILED, Outcome.UNREADABLE)
    assert causes() == {"mailbox"}
    site.send(5, Level.UNKNOWN)
    assert "monitor" in causes()
    assert causes("box") == {"monitor"}
    site.check(1, Level.FAILED)
    assert causes("box") == {"mailbox"}


def test_a_failing_element_burns_its_error_budget(site: Site, exposition: Exposition) -> None:
    for slot in range(10):
        site.send(slot, Level.FAILED if slot % 2 else Level.UNKNOWN)
    round_trip(site, 10)
    seen = scrape(exposition)
    assert seen("availability_ratio", element="mail") == pytest.approx(1 / 6)
    for window in ("5m", "30m", "1h", "6h", "3d"):
        assert seen("error_budget_burn_rate", element="mail", window=window) == pytest.approx(5 / 6 / 0.001)


def test_a_window_covers_three_polls_however_seldom_an_element_is_polled(
    site: Site, exposition: Exposition
) -> None:
    seldom = replace(MAIL, poll=600, read=None)
    site.beat.publish_profile(Profile({"mail": seldom}))
    now_us = site.now_us()
    for slot, minutes in enumerate((46, 36, 26, 16, 6)):
        level = Level.GOOD if minutes == 36 else Level.FAILED
        site.send(slot, level, element=seldom, at_us=now_us - minutes * 60_000_000)
    seen = scrape(exposition)
    told = {
        window: (
            seen("error_budget_failed_polls", element="mail", window=window),
            seen("error_budget_burn_rate", element="mail", window=window),
        )
        for window in ("5m", "30m", "1h")
    }
    assert told == {"5m": (3, 1000), "30m": (3, 1000), "1h": (4, 800)}


def test_all_pairs_are_without_news_once_beat_is_silent(site: Site, exposition: Exposition) -> None:
    def causes() -> set[str]:
        return scrape(exposition).states("failing", "cause", **PAIR)

    def beat_was_here(age_us: int) -> None:
        site.redis.hset(keys.BEAT, "at_us", site.now_us() - age_us)

    round_trip(site, 1)
    beat_was_here(0)
    assert causes() == set()
    beat_was_here(BEAT_SILENT_US + 1)
    assert causes() == {"monitor"}
    site.send(2, Level.FAILED)
    assert causes() == {"monitor", "send"}
    assert scrape(exposition).states("level", "level", **PAIR) == {"FAILED"}


def test_the_certificate_that_expires_first_counts_whether_it_is_the_servers_or_the_mailboxs(
    site: Site, exposition: Exposition
) -> None:
    def expires_at_s() -> float | None:
        return scrape(exposition)("certificate_expiry_timestamp_seconds", **PAIR)

    def read_over_tls(slot: int, expires_at_s: int) -> None:
        facts = TlsFacts("TLSv1.3", "some", verified=True, expires_at_us=expires_at_s * 1_000_000)
        found = replace(read(slot, site.now_us()), attempts=(Attempt(1, 0, 1, tls=facts),))
        with site.reader() as desk:
            assert site.run(desk.record(found))

    site.run(site.worker.record_send(MAIL, sent(7, site.now_us()), BOX.mailbox, WAKE))
    assert expires_at_s() == 2_000_000_000
    read_over_tls(7, 1_900_000_000)
    assert expires_at_s() == 1_900_000_000
    round_trip(site, 8)  # the read of which says nothing of it
    assert expires_at_s() == 1_900_000_000
    site.send(9)
    read_over_tls(9, 2_100_000_000)  # it was renewed
    assert expires_at_s() == 2_000_000_000


def test_an_exemplar_names_the_poll_that_took_so_long(site: Site, exposition: Exposition) -> None:
    round_trip(site, 7)
    body, content_type = exposition.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    exemplars = {
        sample.labels["stage"]: sample.exemplar
        for family in PARSED(body.decode())
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert set(exemplars) == {"lookup", "connect", "response", "upload", "total", "deliver"}
    assert {exemplar.labels["poll"] for exemplar in exemplars.values()} == {"mail@lab#7"}
    assert exemplars["response"].value == pytest.approx(0.02, rel=0.03)
    assert float(exemplars["response"].timestamp) == pytest.approx(site.now_us() / 1e6, abs=60)


def test_promtool_finds_nothing_to_complain_of(site: Site, exposition: Exposition) -> None:
    promtool = tool("promtool")
    round_trip(site, 7)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=exposition.render()[0], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_element_that_had_another_mailbox_before_has_one_series(
    site: Site, exposition: Exposition
) -> None:
    for slot, box in enumerate((BOX, replace(BOX, username="elsewhere"))):
        checked = result(slot, Phase.CHECK, Level.GOOD, site.now_us(), BOX_PAIR)
        site.run(site.worker.record_check(box, checked))
    assert len(site.view.mailboxes()) == 2
    seen = scrape(exposition)
    assert len(seen.all("mailbox_pending_messages")) == 1
    assert len(seen.all("mailbox_events_total")) == len(Tally)


def test_elements_that_share_a_mailbox_have_the_same_values_whoever_asks_for_a_reader(
    site: Site, exposition: Exposition
) -> None:
    other = replace(BOX, name="other")
    site.beat.publish_profile(Profile({"mail": MAIL, "box": BOX, "other": other}))
    for slot, box in enumerate((BOX, other, BOX), 1):
        wake = wake_text("lab", box.mailbox, codec.encode_element(box))
        site.run(site.worker.record_send(MAIL, sent(slot, site.now_us()), box.mailbox, wake))
        seen = scrape(exposition)
        for element in ("box", "other"):
            assert seen("mailbox_pending_messages", element=element) == slot


def test_nothing_private_is_in_any_format(site: Site, exposition: Exposition) -> None:
    private = replace(
        MAIL, username=CANARY, password=Secret("literal", CANARY), description=CANARY, server=f"{CANARY}.test"
    )
    profile = Profile({"mail": private, "box": replace(BOX, username=CANARY, server=f"{CANARY}.test")})
    site.beat.publish_profile(profile)
    round_trip(site, 7)
    for accept in ("", "application/openmetrics-text", PROTOBUF):
        body, _ = exposition.render(accept)
        assert b"mail" in body
        for word in (CANARY, "example.test", "127.0.0.1", BOX.mailbox):
            assert word.encode() not in body


@pytest.fixture
def served(site: Site, redis_url: str, processes: Processes, tmp_path: Path) -> Iterator[tuple[str, Child]]:
    """The address of ``postbeat metrics``, and its process."""
    round_trip(site, 7)
    port, log = free_port(), tmp_path / "metrics.log"
    argv = [*command("metrics", "--port", str(port)), "--redis", redis_url]
    child = processes.start("metrics", argv, env=environment(), log=log)
    child.wait_for(lambda: True if "Metrics are at" in log.read_text() else None, 30)
    yield f"http://127.0.0.1:{port}", child
    processes.end(child)


def asked(url: str, **headers: str) -> tuple[bytes, Message]:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): v for name, v in headers.items()})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read(), answer.headers


def test_the_command_serves_each_format_compressed_where_that_is_wanted(served: tuple[str, Child]) -> None:
    url, child = served
    body, headers = asked(f"{url}/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert Seen(body).states("level", "level", **PAIR) == {"GOOD"}
    packed, headers = asked(f"{url}/metrics", Accept=PROTOBUF, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Content-Type"] == PROTOBUF
    assert b"postbeat_level" in gzip.decompress(packed)
    assert b"/metrics" in asked(url)[0]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        asked(f"{url}/other")
    child.end()
    assert child.exit_code == 0


def test_scrapers_that_come_at_once_while_it_is_busy_are_answered_or_turned_away(
    served: tuple[str, Child],
) -> None:
    url, child = served
    address = ("127.0.0.1", urlsplit(url).port)
    os.kill(child.pid, signal.SIGSTOP)
    with ExitStack() as clients:
        try:
            waiting = [clients.enter_context(socket.create_connection(address, 5)) for _ in range(40)]
            for client in waiting:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        finally:
            os.kill(child.pid, signal.SIGCONT)
        answers = list(map(answer, waiting))
    assert any(answers)
    assert all(one.startswith(b"HTTP/1.0 200 ") for one in answers if one)


def answer(client: socket.socket) -> bytes:
    """What comes before the connection is closed, which it is where too many are answered already."""
    parts = []
    with suppress(ConnectionError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_a_scrape_fails_while_redis_does_not_answer(processes: Processes, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "metrics.log"
    argv = [*command("metrics", "--port", str(port)), "--redis", f"redis://127.0.0.1:{free_port()}"]
    child = processes.start("metrics", argv, env=environment(), log=log)
    child.wait_for(lambda: True if "Metrics are at" in log.read_text() else None, 30)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        asked(f"http://127.0.0.1:{port}/metrics")
    processes.end(child)


def test_the_command_prints_them_once(site: Site, redis_url: str) -> None:
    round_trip(site, 7)
    done = subprocess.run(
        command("metrics", "--once", "--redis", redis_url), env=environment(), capture_output=True, check=True
    )
    assert Seen(done.stdout)("polls_total", **PAIR) == 1

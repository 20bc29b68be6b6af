"""The bridge brings each result to the log, the datalog and the alerts, whatever happens meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from postbeat import codec
from postbeat.embedded.processes import Processes
from postbeat.ism import monitoring
from postbeat.ism.datalogformat import Format
from postbeat.ism.lane import GOING_DOWN, RUNNING
from postbeat.ism.monitoring import Plan, Signals
from postbeat.model import Kind, Level, Phase
from postbeat.profile import Profile
from postbeat.store import keys
from postbeat.store.following import KEPT
from tests.redis.bridging import AROUND, Rig
from tests.redis.restarting import Server
from tests.redis.site import PAIR, PROFILE, Site, result

COUNTING = """
array counts
counts["all"] = int(counts["all"]) + 1
@Node = "mail.example.test"
@AlertGroup = "polls"
@AlertKey = $identifier
@Severity = 4
@Type = 1
@Summary = $message
@Count = counts["all"]
update(@Count)
"""


@pytest.fixture
def rig(redis_url: str, tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as ends:
        yield Rig(redis_url, tmp_path, ends=ends)


def test_a_result_is_a_line_an_entry_and_an_alert(site: Site, rig: Rig) -> None:
    with rig.bridge() as bridge:
        assert bridge.begin()
        site.send(1, Level.FAILED)
        assert bridge.step(1) == 1
    (line,) = rig.lines()
    assert "smtp mail@lab#1 send FAILED" in line
    assert line.endswith(": 452 no space")
    (entry,) = rig.entries()
    assert (entry["message"], entry["serviceLevel"]) == ("452 no space", "3")
    (row,) = rig.table().values()
    assert "452 no space" in row.summary
    assert (row.element, row.region, row.poll, row.severity, row.type) == ("mail", "lab", "mail@lab#1", 5, 1)


def test_a_service_that_keeps_failing_counts_up_and_one_that_is_back_clears(site: Site, rig: Rig) -> None:
    with rig.bridge() as bridge:
        bridge.begin()
        for slot in range(4):
            site.send(slot, Level.FAILED)
            bridge.step(0)
        (row,) = rig.table().values()
        assert (row.tally, row.severity) == (4, 5)
        for slot in (4, 5):
            site.send(slot)
            bridge.step(0)
    problem = next(row for row in rig.table().values() if row.type == 1)
    assert (problem.tally, problem.severity) == (4, 0)
    assert {row.tally for row in rig.table().values() if row.type == 2} == {1}


def test_what_was_there_before_the_first_bridge_is_not_taken_but_is_known(site: Site, rig: Rig) -> None:
    site.send(1)
    lane = rig.lane()
    assert lane.datalog is not None
    lane.datalog.format = Format.parse("lastServiceLevel")
    with rig.bridge(lane) as bridge:
        bridge.begin()
        assert bridge.step(0) == 0
        site.send(2)
        assert bridge.step(0) == 1
    assert rig.logged() == ["mail@lab#2"]
    assert rig.table() == {}  # good, and it was before
    assert rig.entries()[0]["lastServiceLevel"] == "1"


def test_results_of_other_monitors_are_passed_over(site: Site, rig: Rig) -> None:
    with rig.bridge(rig.lane(Kind.POP3)) as bridge:
        bridge.begin()
        site.send(1, Level.FAILED)
        site.check(1, Level.FAILED)
        assert bridge.step(0) == 2
    assert rig.logged(Kind.POP3) == ["box@lab#1"]
    assert [row.element for row in rig.table().values()] == ["box"]


def test_a_lane_may_take_some_phases_alone(site: Site, rig: Rig) -> None:
    with rig.bridge(rig.lane(Kind.POP3, frozenset({Phase.READ}))) as bridge:
        bridge.begin()
        site.send(1)
        site.read(1, Level.FAILED)
        site.check(1, Level.FAILED)
        bridge.step(0)
    assert [row.poll for row in rig.table().values()] == ["mail@lab#1"]


def test_a_bridge_that_was_killed_goes_on_where_it_was(site: Site, rig: Rig) -> None:
    rig.rules.write_text(COUNTING)
    with rig.bridge() as killed:
        killed.begin()
        site.send(1, Level.FAILED)
        killed.step(0)
        rig.killed()
        site.send(2, Level.FAILED)
        with rig.bridge() as another:
            assert another.begin()
            assert another.step(0) == 1
            assert another.step(0) == 0
    assert rig.logged() == ["mail@lab#1", "mail@lab#2"]
    assert [row.tally for row in rig.table().values()] == [2]


def test_one_killed_before_its_results_counted_leaves_them_to_the_next(site: Site, rig: Rig) -> None:
    """The log may have them twice; the datalog and the alerts have them once."""
    with rig.bridge() as killed:
        killed.begin()
        site.send(1, Level.FAILED)
        killed._store.apply = _never  # type: ignore[method-assign, assignment]
        with pytest.raises(KeyboardInterrupt):
            killed.step(0)
        rig.killed()
        with rig.bridge() as another:
            another.begin()
            another.step(0)
    assert len(rig.entries()) == 1
    assert [row.tally for row in rig.table().values()] == [1]


def _never(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_second_bridge_stands_by_and_takes_over(site: Site, rig: Rig) -> None:
    with rig.bridge() as first, rig.bridge() as second:
        assert first.begin()
        assert not second.begin()
        site.send(1, Level.FAILED)
        assert second.step(0.5) == 0
        assert rig.naps == [0.5]
        assert rig.told == ["smtp: Another bridge of this monitor is at work; this one stands by"]
        assert first.step(0) == 1
        first.close()
        site.send(2, Level.FAILED)
        assert second.step(0) == 1
    assert [row.tally for row in rig.table().values()] == [2]


def test_one_that_lost_its_lease_does_no_harm(site: Site, rig: Rig) -> None:
    with rig.bridge() as slow, rig.bridge() as quick:
        slow.begin()
        rig.killed()
        quick.begin()
        site.send(1, Level.FAILED)
        assert quick.step(0) == 1
        assert slow.step(0) == 0
        rig.clock.now_us += 60_000_000
        assert slow.step(0) == 0
    assert [row.tally for row in rig.table().values()] == [1]


def test_one_whose_lease_ended_goes_on_at_once_where_nobody_took_it(site: Site, rig: Rig) -> None:
    with rig.bridge() as slow:
        slow.begin()
        rig.killed()
        rig.clock.now_us += 60_000_000
        site.send(1, Level.FAILED)
        assert slow.step(0) == 1
    assert [row.tally for row in rig.table().values()] == [1]


def test_a_monitor_that_stands_by_says_at_once_that_it_runs_and_that_it_ends(site: Site, rig: Rig) -> None:
    """Two of one Redis are restarted one after the other: each clears what it said of itself."""
    with ExitStack() as running:
        first = running.enter_context(rig.bridge(around=replace(AROUND, monitor_host="first")))
        second = running.enter_context(rig.bridge(around=replace(AROUND, monitor_host="second")))
        for bridge in (first, second):
            bridge.begin()
            bridge.announce(RUNNING)
        assert rig.open() == []
        first.announce(GOING_DOWN)
        first.close()
        assert second.step(0) == 0
        assert [row.node for row in rig.open()] == ["first"]
        again = running.enter_context(rig.bridge(around=replace(AROUND, monitor_host="first")))
        assert not again.begin()
        again.announce(RUNNING)
        assert rig.open() == []
        second.announce(GOING_DOWN)
        assert [row.node for row in rig.open()] == ["second"]
    assert set(site.redis.keys("postbeat:bridge*")) == {keys.bridge(Kind.SMTP)}


def test_monitors_of_two_regions_on_one_host_are_told_apart(site: Site, rig: Rig) -> None:
    with (
        rig.bridge(around=replace(AROUND, monitor_region="eu")) as eu,
        rig.bridge(around=replace(AROUND, monitor_region="us")) as us,
    ):
        eu.announce(GOING_DOWN)
        us.announce(GOING_DOWN)
        us.announce(RUNNING)
    assert [row.alert_key for row in rig.open()] == ["shop@eu"]


def test_what_a_monitor_says_of_itself_while_redis_is_away_is_not_lost(
    server: Server, tmp_path: Path
) -> None:
    with ExitStack() as ends:
        rig = Rig(server.url, tmp_path, ends=ends)
        server.stop()
        with rig.bridge() as bridge:
            bridge.announce(GOING_DOWN)
            server.start()
            bridge.step(0)
        assert list(rig.table()) == [GOING_DOWN]


def test_what_comes_in_while_a_monitor_ends_is_brought_in_meanwhile(
    site: Site, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ending:
        """A keeper whose workers take their time to end."""

        profile = PROFILE

        def __init__(self, *_: object) -> None:
            pass

        def tend(self) -> None:
            pass

        def end(self, meanwhile: Callable[[], object]) -> None:
            site.send(1, Level.FAILED)
            deadline_s = time.monotonic() + 30
            while rig.logged() != ["mail@lab#1"]:
                meanwhile()
                assert time.monotonic() < deadline_s

    monkeypatch.setattr(monitoring, "Keeper", Ending)
    plan = Plan(
        Kind.SMTP, rig.folder / "shop.yaml", rig.folder, "key", [rig.lane()], lambda: None, redis_url=rig.url
    )
    monitoring.run(plan, Signals(ending=True), rig.told.append)
    assert [line.rpartition(": ")[2] for line in rig.lines()] == [RUNNING, "452 no space", GOING_DOWN]
    assert {row.summary for row in rig.open()} == {GOING_DOWN, "SMTP: mail@lab failed: 452 no space"}


def test_the_rules_see_how_the_monitor_begins_and_ends(site: Site, rig: Rig) -> None:
    rig.rules.write_text(
        'if (match(@Manager, "ProbeWatch")) { @Identifier = @Agent + @Summary @Grade = %Manager + @Node }'
    )
    with rig.bridge() as bridge:
        bridge.begin()
        bridge.announce(RUNNING)
        assert [(row.identifier, row.severity, row.type) for row in rig.table().values()] == [
            ("smtpRunning ...", 0, 2)
        ]
        bridge.announce(GOING_DOWN)
    going = rig.table()[GOING_DOWN]
    assert (going.identifier, going.severity, going.type) == ("smtpGoing Down ...", 5, 1)
    assert going.others["Grade"] == "Postbeatprobe.example.test"
    assert [line.partition(": ")[2] for line in rig.lines()] == [RUNNING, GOING_DOWN]


def test_by_our_own_rules_a_monitor_that_runs_again_clears_that_it_was_down(site: Site, rig: Rig) -> None:
    with rig.bridge() as bridge:
        bridge.begin()
        bridge.announce(GOING_DOWN)
        (down,) = rig.table().values()
        assert (down.manager, down.agent, down.node) == ("ProbeWatch", "smtp", "probe.example.test")
        assert (down.severity, down.type, down.alert_key) == (5, 1, "shop")
        bridge.announce(RUNNING)
    assert {row.severity for row in rig.table().values()} == {0}


def test_a_fault_of_the_rules_is_told_once_a_minute_and_our_own_are_used(site: Site, rig: Rig) -> None:
    rig.rules.write_text("@Severity = 1\n@Summary = $message - 1\n")
    with rig.bridge() as bridge:
        bridge.begin()
        for slot in range(3):
            site.send(slot, Level.FAILED)
            bridge.step(0)
        (told,) = rig.told
        assert told.startswith(f"smtp: {rig.rules}:2:")
        assert told.endswith("; our own rules are used in their place")
        (row,) = rig.table().values()
        assert (row.tally, row.severity) == (3, 5)
        rig.clock.now_us += 61_000_000
        site.send(4, Level.FAILED)
        bridge.step(0)
    assert len(rig.told) == 2
    assert len([line for line in rig.lines() if str(rig.rules) in line]) == 2


def test_rules_that_are_not_valid_any_more_leave_those_before(site: Site, rig: Rig) -> None:
    rig.rules.write_text(COUNTING)
    lane = rig.lane()
    with rig.bridge(lane) as bridge:
        bridge.begin()
        rig.rules.write_text("@Summary = \n")
        lane.reload_rules()
        assert f"{rig.rules}:" in rig.told[0]
        site.send(1, Level.FAILED)
        bridge.step(0)
        rig.rules.write_text(COUNTING.replace("$message", '"another"'))
        lane.reload_rules()
        site.send(2, Level.FAILED)
        bridge.step(0)
    (row,) = rig.table().values()
    assert (row.summary, row.tally) == ("another", 2)
    assert any("The rules were read again" in line for line in rig.lines())


def test_lines_and_services_of_the_rules_go_to_the_log_and_properties_stay(site: Site, rig: Rig) -> None:
    rig.rules.write_text(
        'log(WARNING, "seen " + $message)\nservice("mail", good)\n'
        '%Seen = %Seen + "x"\n@Summary = %Seen\ndiscard\n'
    )
    lane = rig.lane()
    with rig.bridge(lane) as bridge:
        bridge.begin()
        for slot in (1, 2):
            site.send(slot)
        bridge.step(0)
    assert "WARNING smtp: seen send 1 went well" in rig.lines()
    assert "INFO smtp: Service mail is good" in rig.lines()
    assert lane.properties["Seen"] == "xx"


def test_one_result_may_become_several_alerts(site: Site, rig: Rig) -> None:
    rig.rules.write_text(
        'target = registertarget(%Server, "", "alerts.status")\n'
        '@Summary = "first"\n@AlertGroup = "a"\n'
        'genevent(target, @Summary, "second", @AlertGroup, "b", @Severity, 3)\n'
    )
    with rig.bridge() as bridge:
        bridge.begin()
        site.send(1)
        bridge.step(0)
    assert set(rig.table()) == {"first", "second"}
    assert {row.poll for row in rig.table().values()} == {"mail@lab#1"}


def test_results_that_are_gone_are_counted_and_told(site: Site, rig: Rig) -> None:
    with rig.bridge() as bridge:
        bridge.begin()
        site.send(1)
        bridge.step(0)
        text = codec.encode(result(2, Phase.CHECK, Level.GOOD, site.now_us()))
        with site.redis.pipeline(transaction=False) as pipe:
            for _ in range(KEPT + 500):
                pipe.xadd(keys.RESULTS, {"r": text}, maxlen=KEPT, approximate=False)
            pipe.execute()
        bridge.step(0)
    is_counted = "entries-added" in site.redis.xinfo_stream(keys.RESULTS)
    some = "500" if is_counted else "Some"
    assert rig.told == [f"smtp: {some} results were gone from Redis before they were read here"]


def test_what_only_the_profile_tells_is_there_where_it_is_known(site: Site, rig: Rig) -> None:
    rig.rules.write_text("@Summary = $pollInterval + $monitorHost + $profile\n")
    with rig.bridge() as bridge:
        bridge.begin()
        site.send(1)
        bridge.step(0)
    with rig.bridge(profile=None) as bridge:
        bridge.begin()
        site.send(2)
        bridge.step(0)
    with rig.bridge(profile=Profile({})) as bridge:
        bridge.begin()
        site.send(3)
        bridge.step(0)
    assert {"10probe.example.testshop", "probe.example.testshop"} >= set(rig.table())
    assert str(PAIR) == "mail@lab"


@pytest.fixture
def server(processes: Processes, tmp_path: Path) -> Iterator[Server]:
    server = Server(processes, tmp_path)
    yield server
    server.stop()


def test_while_redis_is_away_it_waits_and_then_nothing_is_lost_or_twice(
    server: Server, tmp_path: Path
) -> None:
    with ExitStack() as ends:
        _away_and_back(server, Rig(server.url, tmp_path, ends=ends))


def _away_and_back(server: Server, rig: Rig) -> None:
    with Site.open(server.url) as site, rig.bridge() as bridge:
        bridge.begin()
        site.send(1, Level.FAILED)
        bridge.step(0)
        site.send(2, Level.FAILED)
        page = bridge._stream.read(bridge._place)  # type: ignore[arg-type]
        bridge._batch = bridge._dealt_with(bridge._place, page)  # type: ignore[arg-type]
        server.stop()
        for _ in range(3):
            assert bridge.step(0) == 0
        (told,) = rig.told
        assert told.startswith("smtp: Redis does not answer: ")
        server.start()
        rig.killed()  # its lease ended meanwhile
        rig.clock.now_us += 60_000_000
        done = [bridge.step(0) for _ in range(3)]
        assert sum(done) == 1
        assert rig.told[1:] == ["smtp: Redis answers again"]
        site.send(3, Level.FAILED)
        assert bridge.step(0) == 1
    assert rig.logged() == [f"mail@lab#{slot}" for slot in (1, 2, 3)]
    assert [row.tally for row in rig.table().values()] == [3]


def test_a_redis_that_is_full_is_not_said_to_be_away(server: Server, tmp_path: Path) -> None:
    with ExitStack() as ends, Redis.from_url(server.url) as client:
        rig = Rig(server.url, tmp_path, ends=ends)
        client.config_set("maxmemory", 1)
        with rig.bridge() as bridge:
            assert not bridge.begin()
    assert rig.told == ["smtp: Redis is full, nothing was written: see its maxmemory; results wait"]

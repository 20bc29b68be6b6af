"""Alerts on their way out: problems and recoveries of rows, in order, by sinks of every type."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from postbeat.alerts import Occurrence, Value, alert_of
from postbeat.model import Pair
from postbeat.store import keys
from postbeat.store.alerts import AlertStore
from postbeat.store.maintenance import MaintenanceStore
from tests.sinks.rig import Receiver, Rig
from tests.sinks.test_alertmanager import alertmanager
from tests.sinks.test_jsonlines import documents
from tests.sinks.test_maintenance import element, publish

UPDATE = frozenset({"Severity", "Grade"})


@dataclass
class Board:
    """Brings alerts up in a table, each ``pause_s`` after the one before."""

    store: AlertStore
    rig: Rig
    pause_s: int = 60

    def down(self, name: str = "mail", *, severity: int = 5, region: str = "lab", **more: Value) -> None:
        self.up_comes({"Type": 1, "Severity": severity, "Summary": f"{name} is down", **more}, name, region)

    def up(self, name: str = "mail", *, region: str = "lab") -> None:
        self.up_comes({"Type": 2, "Severity": 1, "Summary": f"{name} is up"}, name, region)

    def up_comes(self, fields: Mapping[str, Value], name: str, region: str) -> None:
        self.rig.clock.ahead_us += self.pause_s * 1_000_000
        pair = Pair(name, region) if name else None
        row = alert_of(
            {"Node": "mx", "AlertGroup": "SMTP", **fields}, at_us=self.rig.clock.now_us(), pair=pair
        )
        cursor = self.store.cursor()
        self.store.apply(cursor, cursor, [Occurrence(row, UPDATE)])

    async def settled(self, *names: str, stream: str = keys.ALERTS) -> None:
        last: Any = self.rig.redis.xrevrange(stream, count=1)
        await self.rig.until(lambda: all(self.rig.cursor(name) == last[0][0] for name in names))


@pytest.fixture
def board(rig: Rig) -> Iterator[Board]:
    with closing(AlertStore(rig.redis_url)) as store:
        assert store.acquire()
        yield Board(store, rig)


@asynccontextmanager
async def told(rig: Rig, path: Path, **more: Any) -> AsyncIterator[None]:
    """Serves a sink of alerts, whose lines are in a file."""
    async with rig.serving({"name": "lines", "type": "jsonlines", "to": str(path), "kinds": "alert", **more}):
        yield


def words(path: Path) -> list[str]:
    return [f"{it['change']} {it['state']} {it['was']} {it['level']}" for it in documents(path)]


def test_a_problem_is_told_once_and_its_end_with_its_id(rig: Rig, board: Board, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"

    async def run() -> None:
        async with told(rig, path):
            board.down()
            board.down()
            board.down(severity=3)
            board.up()
            board.up()
            await board.settled("lines")

    asyncio.run(run())
    assert words(path) == [
        "inserted problem UNKNOWN FAILED",
        "changed problem FAILED MARGINAL",
        "inserted news UNKNOWN GOOD",
        "cleared recovery MARGINAL GOOD",
    ]
    first, second, _, last = documents(path)
    assert (first["ends"], second["ends"], last["ends"]) == (None, first["id"], second["id"])
    assert (first["kind"], first["element"], first["region"]) == ("alert", "mail", "lab")
    assert first["headline"] == "FAILED: mx SMTP mail@lab"
    assert first["message"] == "mail is down"
    assert last["headline"] == "Cleared: mx SMTP mail@lab"
    assert (last["alert"]["Tally"], last["alert"]["Severity"], last["alert"]["Node"]) == (3, 0, "mx")
    assert [row.as_data() for row in board.store.table() if row.type == 1] == [last["alert"]]


def test_repeats_are_told_where_they_are_wanted(rig: Rig, board: Board, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"

    async def run() -> None:
        async with told(rig, path, repeats=True):
            for _ in range(3):
                board.down()
            board.up()
            await board.settled("lines", stream=keys.ALERTS_ALL)

    asyncio.run(run())
    assert [it["alert"]["Tally"] for it in documents(path)] == [1, 2, 3, 1, 3]
    assert words(path)[1:3] == ["repeated news FAILED FAILED"] * 2


def test_a_sink_may_begin_or_end_to_want_repeats(rig: Rig, board: Board, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"

    async def run() -> None:
        for number in range(4):
            async with told(rig, path, repeats=number % 2 == 1):
                board.down()
                board.down(Grade=number)
                await board.settled("lines", stream=keys.ALERTS_ALL if number % 2 else keys.ALERTS)

    asyncio.run(run())
    tallies = [it["alert"]["Tally"] for it in documents(path)]
    assert tallies == [1, 2, 3, 4, 6, 7, 8]


def test_a_sink_that_wants_no_more_repeats_has_missed_nothing(
    rig: Rig, board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "alerts.jsonl"

    async def run() -> None:
        async with told(rig, path, repeats=True):
            board.down()
            board.down()
            await board.settled("lines", stream=keys.ALERTS_ALL)
        board.up()
        async with told(rig, path):
            await board.settled("lines")

    asyncio.run(run())
    assert [it["change"] for it in documents(path)] == ["inserted", "repeated", "inserted", "cleared"]
    assert "may be lost" not in caplog.text


def verdict(rig: Rig, was: str, now: str, name: str = "mail") -> str:
    """Adds the event of a verdict that is in force; its id."""
    row = {"verdict": now, "since_us": 1, "quorum": "any", "regions": {"lab": now}}
    rig.redis.hset(keys.VERDICTS, name, json.dumps(row))
    return rig.verdict(was, now, element=name)


def test_what_was_told_before_a_sink_turned_to_alerts_ends_when_it_is_over(
    rig: Rig, board: Board, tmp_path: Path
) -> None:
    path = tmp_path / "lines.jsonl"
    lines = {"name": "lines", "type": "jsonlines", "to": str(path)}

    async def run() -> tuple[str, str]:
        async with rig.serving({**lines, "kinds": "verdict"}):
            board.down("unseen")
            mail, box = (verdict(rig, "GOOD", "FAILED", name) for name in ("mail", "box"))
            await rig.settled("lines")
            rig.write({**lines, "kinds": "alert"})
            await rig.until(lambda: rig.redis.hget(keys.sink("lines"), "stream") == keys.ALERTS)
            verdict(rig, "FAILED", "GOOD", "box")
            await rig.until(lambda: len(documents(path)) == 3)
            board.down()
            await board.settled("lines")
            verdict(rig, "FAILED", "GOOD")
            await rig.until(lambda: len(documents(path)) == 5)
        return mail, box

    mail, box = asyncio.run(run())
    *problems, end, alert, last = documents(path)
    assert [it["id"] for it in problems] == [mail, box]
    assert [it["id"] for it in (end, last)] == [f"{box}-ended", f"{mail}-ended"]
    assert {(it["state"], it["level"]) for it in (end, last)} == {("recovery", "GOOD")}
    assert (alert["kind"], alert["state"], alert["element"]) == ("alert", "problem", "mail")


def test_what_ended_while_a_sink_wanted_other_kinds_is_told_when_it_turns_back(
    rig: Rig, tmp_path: Path
) -> None:
    path = tmp_path / "lines.jsonl"
    lines = {"name": "lines", "type": "jsonlines", "to": str(path), "kinds": "verdict"}

    async def run() -> list[str]:
        async with rig.serving(lines):
            failed = verdict(rig, "GOOD", "FAILED")
            await rig.settled("lines")
        rig.redis.hset(keys.sink("lines"), "stream", keys.ALERTS)  # as a process did that ended at once
        verdict(rig, "FAILED", "GOOD")
        async with rig.serving(lines):
            await rig.until(lambda: len(documents(path)) == 2)
            later = verdict(rig, "GOOD", "FAILED")
            await rig.settled("lines")
        return [failed, f"{failed}-ended", later]

    assert asyncio.run(run()) == [it["id"] for it in documents(path)]


def test_sinks_of_other_kinds_are_told_nothing_of_alerts(rig: Rig, board: Board, tmp_path: Path) -> None:
    events, alerts = tmp_path / "events.jsonl", tmp_path / "alerts.jsonl"

    async def run() -> None:
        others = {"name": "events", "type": "jsonlines", "to": str(events)}
        lines = {"name": "lines", "type": "jsonlines", "to": str(alerts), "kinds": ["alert"]}
        async with rig.serving(others, lines):
            board.down()
            rig.flip()
            await board.settled("lines")
            await rig.settled("events")

    asyncio.run(run())
    assert [it["kind"] for it in documents(events)] == ["level"]
    assert [it["kind"] for it in documents(alerts)] == ["alert"]


def test_filters_choose_alerts_by_element_region_and_level(rig: Rig, board: Board, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"

    async def run() -> None:
        async with told(rig, path, elements="mail*", regions="lab", levels="FAILED"):
            board.down("mail1")
            board.down("mail2", region="office")
            board.down("other")
            board.down("mail3", severity=3)
            board.up("mail1")
            board.up("mail3")
            await board.settled("lines")

    asyncio.run(run())
    assert [(it["element"], it["state"]) for it in documents(path)] == [
        ("mail1", "problem"),
        ("mail1", "recovery"),
    ]


def test_information_is_news_whatever_its_severity(rig: Rig, board: Board, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"

    async def run() -> None:
        async with told(rig, path):
            board.up_comes({"Type": 13, "Severity": 4, "Summary": "by the way"}, "mail", "lab")
            board.rig.clock.ahead_us += (
                3_600_000_000  # after which it is dropped, and nobody has to hear that
            )
            board.up_comes({"Type": 13, "Severity": 4, "Summary": "again"}, "mail", "lab")
            await board.settled("lines")

    asyncio.run(run())
    assert words(path) == ["inserted news UNKNOWN FAILED"] * 2


def test_an_alert_about_no_element_does_not_leave_with_the_profile(
    rig: Rig, board: Board, tmp_path: Path
) -> None:
    path = tmp_path / "alerts.jsonl"
    publish(rig, element("mail"), element("old"))

    async def run() -> None:
        async with told(rig, path):
            board.up_comes({"Type": 1, "Severity": 5, "AlertKey": "probe"}, "", "")
            board.down()
            board.down("old")
            await board.settled("lines")
            publish(rig, element("mail"))
            await rig.until(lambda: len(documents(path)) == 4)
            board.up()
            await board.settled("lines")

    asyncio.run(run())
    assert [(it["element"], it["state"], it["level"]) for it in documents(path)] == [
        ("", "problem", "FAILED"),
        ("mail", "problem", "FAILED"),
        ("old", "problem", "FAILED"),
        ("old", "recovery", "UNKNOWN"),
        ("mail", "news", "GOOD"),
        ("mail", "recovery", "GOOD"),
    ]


def test_maintenance_silences_an_alert_until_it_is_over(rig: Rig, board: Board, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    now_us, hour_us = rig.clock.now_us(), 3_600_000_000
    with closing(MaintenanceStore(rig.redis_url)) as maintenance:
        window = maintenance.add("mail", from_us=now_us, to_us=now_us + hour_us, why="a new disk")

        async def run() -> None:
            async with told(rig, path):
                board.down()
                board.down("other")
                await board.settled("lines")
                assert [it["element"] for it in documents(path)] == ["other"]
                maintenance.end(window.id, rig.clock.now_us())
                await rig.until(lambda: len(documents(path)) == 2)

        asyncio.run(run())
    assert [it["element"] for it in documents(path)] == ["other", "mail"]


def test_a_row_that_has_to_go_while_it_is_open_ends_its_problem(
    rig: Rig, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alerts.jsonl"

    async def run() -> None:
        async with told(rig, path):
            board.down("first")
            table = board.store._known()
            monkeypatch.setattr(table, "_limit", 1)
            board.down("second")
            board.up("second")
            await board.settled("lines")

    asyncio.run(run())
    assert [f"{it['element']} {it['state']}" for it in documents(path)] == [
        "first problem",
        "second problem",
        "first recovery",
        "second news",
        "second recovery",
    ]


def test_what_a_sink_missed_altogether_ends_when_the_table_says_so(
    rig: Rig, board: Board, tmp_path: Path
) -> None:
    path = tmp_path / "alerts.jsonl"

    async def run() -> None:
        async with told(rig, path):
            board.down("over")
            board.down("still")
            await board.settled("lines")
        board.up("over")
        board.down("new")
        last: Any = rig.redis.xrevrange(keys.ALERTS, count=1)
        rig.redis.xtrim(keys.ALERTS, minid=last[0][0], approximate=False)
        async with told(rig, path):
            await rig.until(lambda: len(documents(path)) == 4)

    asyncio.run(run())
    assert [(it["element"], it["state"]) for it in documents(path)] == [
        ("over", "problem"),
        ("still", "problem"),
        ("new", "problem"),
        ("over", "recovery"),
    ]


def test_a_receiver_that_was_away_gets_all_alerts_in_order(rig: Rig, board: Board) -> None:
    receiver = Receiver()

    async def run() -> None:
        hook = {"name": "hook", "type": "webhook", "url": receiver.url, "kinds": "alert"}
        async with rig.serving(hook):
            board.down()
            await rig.until(lambda: rig.clock.slept_s)
            board.up()
            board.down("other")
            async with receiver.up():
                await board.settled("hook")

    asyncio.run(run())
    assert [(it["change"], it["alert"]["Summary"]) for it in receiver.taken] == [
        ("inserted", "mail is down"),
        ("inserted", "mail is up"),
        ("cleared", "mail is down"),
        ("inserted", "other is down"),
    ]


def test_people_and_programs_are_told_of_alerts_too(rig: Rig, board: Board, tmp_path: Path) -> None:
    receiver, path = Receiver(), tmp_path / "program"

    async def run() -> None:
        text = "{{ headline }} {{ alert.Node }} {{ alert.get('Grade', '-') }} {{ alert.Tally }} {{ change }}"
        chat = {"name": "chat", "type": "slack", "url": receiver.url, "kinds": "alert", "text": text}
        script = f'cat >> {path}; echo "$POSTBEAT_CHANGE $POSTBEAT_LEVEL" >> {path}'
        program = {"name": "run", "type": "command", "command": ["sh", "-c", script], "kinds": "alert"}
        async with receiver.up(), rig.serving(chat, program):
            board.down(Grade="<b>")
            board.up()
            await board.settled("chat", "run")

    asyncio.run(run())
    assert receiver.taken_texts() == [
        "FAILED: mx SMTP mail@lab mx &lt;b&gt; 1 inserted",
        "Cleared: mx SMTP mail@lab mx &lt;b&gt; 1 cleared",
    ]
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[1::2] == ["inserted FAILED", "inserted GOOD", "cleared GOOD"]
    assert json.loads(lines[0])["alert"]["Grade"] == "<b>"


def test_an_alert_of_alertmanager_has_the_fields_that_stay_as_labels(rig: Rig, board: Board) -> None:
    receiver = Receiver()

    async def run() -> None:
        url = receiver.url.removesuffix("/hook")
        sink = {"name": "am", "type": "alertmanager", "url": url, "kinds": "alert"}
        async with receiver.up(), rig.serving(sink):
            board.down()
            board.down(Grade=2)
            board.down(severity=3)
            board.up()
            await board.settled("am")

    asyncio.run(run())
    posts = [[(it["labels"]["level"], "endsAt" in it) for it in document] for document in receiver.taken]
    failed, marginal = ("FAILED", False), ("MARGINAL", False)
    assert [post for post in posts if post != [failed]][:1] == [[("FAILED", True), marginal]]
    assert posts[-1] == [("MARGINAL", True)]
    assert receiver.taken[0][0]["labels"] == {
        "alertname": "PostbeatAlert",
        "element": "mail",
        "region": "lab",
        "severity": "critical",
        "level": "FAILED",
        "identifier": "mxmail@labSMTP1Postbeat",
        "node": "mx",
        "alertgroup": "SMTP",
        "alertkey": "mail@lab",
    }


def test_alerts_begin_change_and_end_in_a_real_alertmanager(rig: Rig, board: Board, tmp_path: Path) -> None:
    board.pause_s = 0  # what is not yet over by its own clock is active to Alertmanager

    async def run() -> None:
        async with alertmanager(tmp_path) as am:
            sink = {"name": "am", "type": "alertmanager", "url": am.url, "kinds": "alert", "resend": 1}
            async with rig.serving(sink):
                board.down()
                board.down("other")
                await am.has(("mail", "FAILED"), ("other", "FAILED"))
                board.down(Grade=2)  # another field, and the same labels: it goes on
                board.down("other", severity=3)
                found = await am.has(("mail", "FAILED"), ("other", "MARGINAL"))
                assert found["mail", "FAILED"]["labels"]["alertname"] == "PostbeatAlert"
                assert found["mail", "FAILED"]["annotations"]["description"] == "mail is down"
                board.up()
                board.up("other")
                await am.has()
                await board.settled("am")
                assert not rig.letters("am")

    asyncio.run(run())

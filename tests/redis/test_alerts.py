"""The table of alerts in Redis: exactly once over crashes, other bridges and answers that are lost."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from postbeat.alerts import Alert, Change, Occurrence, Value, alert_of
from postbeat.model import Pair
from postbeat.store import alerts as module
from postbeat.store import keys
from postbeat.store.alerts import AlertStore
from postbeat.store.alerttable import AlertTable
from postbeat.store.outbox import LeaseLostError

AT_US = 1_767_225_600_000_000


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def store(redis_url: str) -> Iterator[AlertStore]:
    with closing(AlertStore(redis_url)) as store:
        assert store.acquire()
        yield store


def occurrence(name: str = "mail", kind: int = 1, *, severity: int = 5, after_s: int = 0) -> Occurrence:
    fields: dict[str, Value] = {"Identifier": f"{name}-{kind}", "AlertKey": name, "Type": kind}
    fields["Severity"] = severity
    at_us = AT_US + after_s * 1_000_000
    return Occurrence(alert_of(fields, at_us=at_us, pair=Pair(name, "lab")), frozenset({"Severity"}))


def rows(store: AlertStore) -> dict[str, Alert]:
    return {row.identifier: row for row in store.table()}


def tallies(store: AlertStore) -> dict[str, int]:
    return {name: row.tally for name, row in rows(store).items()}


def entries(redis: Redis, key: str) -> list[tuple[str, str]]:
    found: Any = redis.xrange(key)
    return [(entry, fields["change"]) for entry, fields in found]


def test_rows_streams_and_cursor_move_together(store: AlertStore, redis: Redis) -> None:
    assert store.cursor() == ""
    changes = store.apply("", "5-0", [occurrence(), occurrence(after_s=1), occurrence(kind=2, after_s=2)])
    assert [(change, alert.identifier) for change, alert in changes] == [
        (Change.INSERTED, "mail-1"),
        (Change.REPEATED, "mail-1"),
        (Change.INSERTED, "mail-2"),
        (Change.CLEARED, "mail-1"),
    ]
    assert store.cursor() == "5-0"
    assert rows(store)["mail-1"] == changes[-1][1]
    everything = entries(redis, keys.ALERTS_ALL)
    assert [change for _, change in everything] == [str(change) for change, _ in changes]
    assert entries(redis, keys.ALERTS) == [it for it in everything if it[1] != "repeated"]
    assert store.newest() == everything[-1][0]
    assert store.apply("5-0", "6-0", []) == []
    assert store.cursor() == "6-0"


def test_every_key_of_alerts_is_in_the_table_of_keys(store: AlertStore, redis: Redis) -> None:
    store.apply("", "5-0", [occurrence()])
    table = dict(
        re.findall(r"^\| (postbeat:(?:alert|bridge)\S*) \| (\w+) \|", keys.__doc__ or "", re.MULTILINE)
    )
    found = {key.replace(":all", ":NAME"): redis.type(key) for key in redis.scan_iter()}
    assert found == table


def test_a_bridge_is_one_process_until_its_lease_ends(
    store: AlertStore, redis: Redis, redis_url: str
) -> None:
    with closing(AlertStore(redis_url)) as other, closing(AlertStore(redis_url, "pop3")) as another:
        assert not other.acquire()
        assert another.acquire()
        assert store.renew()
        redis.delete(keys.bridge_lease("all"))  # as if it had ended
        assert other.acquire()
        assert not store.renew()
        with pytest.raises(LeaseLostError):
            store.apply("", "5-0", [occurrence()])
        store.release()  # what is not ours stays
        assert other.renew()
        other.release()
        assert store.acquire()
        assert rows(store) == {}
        store.apply("", "5-0", [occurrence()])
        assert tallies(store) == {"mail-1": 1}


def test_what_another_process_has_done_is_not_done_again(store: AlertStore, redis_url: str) -> None:
    store.apply("", "5-0", [occurrence()])
    store.release()
    with closing(AlertStore(redis_url)) as other:
        assert other.acquire()
        other.apply("5-0", "6-0", [occurrence(after_s=1)])
        other.release()
    with pytest.raises(LeaseLostError):
        store.apply("5-0", "6-0", [occurrence(after_s=1)])
    store.apply(store.cursor(), "7-0", [occurrence(after_s=2)])
    assert tallies(store) == {"mail-1": 3}


def test_a_crash_between_reading_and_writing_changes_nothing(
    store: AlertStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.apply("", "5-0", [occurrence()])
    before = (rows(store), store.cursor(), entries(redis, keys.ALERTS_ALL))
    with monkeypatch.context() as patch:
        patch.setattr(store, "_run", _raising)
        with pytest.raises(RedisConnectionError):
            store.apply("5-0", "6-0", [occurrence(kind=2, after_s=1), occurrence(after_s=2)])
    assert (rows(store), store.cursor(), entries(redis, keys.ALERTS_ALL)) == before
    store.apply("5-0", "6-0", [occurrence(after_s=1)])
    assert tallies(store) == {"mail-1": 2}


def _raising(*_: object) -> None:
    raise RedisConnectionError


def test_an_answer_that_is_lost_is_no_second_time(store: AlertStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store._run

    def lost(name: str, names: Sequence[str], values: Sequence[Any]) -> None:
        run(name, names, values)
        raise RedisConnectionError

    def sent_twice(name: str, names: Sequence[str], values: Sequence[Any]) -> object:
        run(name, names, values)
        return run(name, names, values)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_run", lost)
        with pytest.raises(RedisConnectionError):
            store.apply("", "5-0", [occurrence()])
    assert store.cursor() == "5-0"
    with pytest.raises(LeaseLostError):
        store.apply("", "5-0", [occurrence()])
    with monkeypatch.context() as patch:
        patch.setattr(store, "_run", sent_twice)
        assert len(store.apply("5-0", "6-0", [occurrence(after_s=1)])) == 1
    store.apply("6-0", "7-0", [occurrence(after_s=2)])
    assert tallies(store) == {"mail-1": 3}


def test_a_place_that_stays_takes_occurrences_too(store: AlertStore) -> None:
    store.apply("", "", [occurrence("running", 0)])
    store.apply("", "", [occurrence("running", 0, after_s=1)])
    assert (tallies(store), store.cursor()) == ({"running-0": 2}, "")


steps = st.lists(
    st.tuples(
        st.integers(0, 2),  # which bridge
        st.lists(
            st.builds(
                occurrence,
                st.sampled_from("ab"),
                st.sampled_from([0, 1, 2]),
                severity=st.integers(0, 5),
                after_s=st.integers(0, 9000),
            ),
            max_size=4,
        ),
        st.booleans(),  # whether its process begins anew
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_bridges_that_take_turns_write_one_table(
    redis: Redis, redis_url: str, sequence: list[tuple[int, list[Occurrence], bool]]
) -> None:
    redis.flushall()
    expected = AlertTable()
    with ExitStack() as stack:
        stores: dict[int, AlertStore] = {}
        for number, (bridge, batch, anew) in enumerate(sequence):
            if anew or bridge not in stores:
                if bridge in stores:
                    stores[bridge].release()
                stores[bridge] = stack.enter_context(closing(AlertStore(redis_url, f"bridge{bridge}")))
                assert stores[bridge].acquire()
            changes = stores[bridge].apply(stores[bridge].cursor(), f"{number}-1", batch)
            events = [event for it in batch for event in expected.apply(it)]
            assert changes == [(event.change, event.alert) for event in events]
        with closing(AlertStore(redis_url)) as reader:
            assert rows(reader) == expected.rows


def test_a_bridge_that_was_away_for_long_reads_the_table_anew(
    store: AlertStore, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENTRIES_KEPT", 10)
    store.apply("", "1-0", [occurrence()])
    with closing(AlertStore(redis_url, "other")) as other:
        assert other.acquire()
        other.apply("", "1-0", [occurrence(f"n{number}") for number in range(500)])
        assert len(entries(redis, keys.ALERTS_ALL)) < 400
        other.apply("1-0", "2-0", [occurrence(after_s=1)])
    store.apply("1-0", "2-0", [occurrence(after_s=2), occurrence("n3", after_s=3)])
    found = tallies(store)
    assert (found["mail-1"], found["n3-1"], len(found)) == (3, 2, 501)


def test_changes_are_followed_as_they_come(store: AlertStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_MS", 20)
    begin = store.newest()
    store.apply("", "1-0", [occurrence(), occurrence(after_s=1), occurrence(kind=2, after_s=2)])
    for repeats, expected in (
        (False, ["inserted", "inserted", "cleared"]),
        (True, ["inserted", "repeated", "inserted", "cleared"]),
    ):
        found = list(itertools.takewhile(bool, store.follow(begin, repeats=repeats)))
        assert [str(event.change) for event in found if event] == expected
        assert [event.was for event in found if event][-1] == 5


def test_what_is_open_of_a_pair_that_is_not_polled_any_more_is_cleared(
    store: AlertStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    about_none = Occurrence(alert_of({"AlertKey": "x", "Severity": 5, "Type": 1}, at_us=AT_US))
    store.apply("", "1-0", [occurrence(), occurrence("other"), occurrence("checked"), about_none])
    assert store.apply("1-0", "2-0", []) == []  # no profile is in force
    redis.zadd(keys.EXPECTED, {"other@lab": 1, "checked@lab/read": 1, "mail@office": 1})
    ((change, row),) = store.apply("2-0", "3-0", [])
    assert (change, row.identifier, row.severity) == (Change.CLEARED, "mail-1", 0)
    assert row.state_change_us > AT_US
    assert store.apply("3-0", "4-0", []) == []
    assert sorted(name for name, row in rows(store).items() if row.is_open) == [
        "checked-1",
        "other-1",
        about_none.alert.identifier,
    ]


def test_what_another_version_wrote_is_as_if_it_were_not_there(store: AlertStore, redis: Redis) -> None:
    redis.hset(keys.ALERTS_TABLE, "mail-1", "[99]")
    redis.xadd(keys.ALERTS_ALL, {"change": "else", "was": "", "alert": "[99]"})
    store.apply("", "1-0", [occurrence()])
    redis.xadd(keys.ALERTS_ALL, {"change": "else", "was": "", "alert": "[99]"})
    store.apply("1-0", "2-0", [occurrence(after_s=1)])
    assert tallies(store) == {"mail-1": 2}

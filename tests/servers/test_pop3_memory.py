"""What a POP3 mailbox's memory is worth: every new message is shown once, at the price of the new ones."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.dial import Stream
from postbeat.model import FaultCode, RemoteFault
from postbeat.probes import pop3, pop3memory
from postbeat.probes.pop3 import Pop3Session
from postbeat.probes.session import TAIL_LIMIT, Memory, Place
from tests.servers.pop3drop import FIELDS, Drop, Singles, at_once, looked, places

SERVERS = st.builds(Drop, pipelining=st.booleans(), singles=st.sampled_from(Singles))


def strangers(count: int, name: str = "f") -> list[str]:
    return [f"{name}{number:06}" for number in range(count)]


def known(drop: Drop) -> Memory:
    """The memory after as many looks as it takes to see everything."""
    memory = Memory()
    found = drop.uids
    while found or memory.backlog:
        found, memory = looked(drop, memory)
    return memory


def price(drop: Drop, memory: Memory) -> tuple[int, int]:
    """The bytes and the commands of one look."""
    drop.traffic, drop.commands = 0, []
    looked(drop, memory)
    return drop.traffic, len(drop.commands)


@settings(max_examples=150)
@given(
    SERVERS,
    st.integers(0, 12),
    st.lists(
        st.tuples(st.integers(0, 6), st.sets(st.integers(0, 20)), st.sets(st.integers(0, 6))), max_size=8
    ),
)
@example(
    Drop(singles=Singles.TOLD),
    8,
    [(6, set(), set())] * 2 + [(0, set(range(14)), set()), (0, {0, 1, 5}, set()), (0, {2}, set())],
)
def test_every_new_message_is_shown_exactly_once_whatever_others_and_we_delete(
    drop: Drop, before: int, days: list[tuple[int, set[int], set[int]]]
) -> None:
    names = map(str, itertools.count())
    drop.uids = list(itertools.islice(names, before))
    shown, memory = looked(drop, Memory())
    ever = list(drop.uids)
    for new, by_others, by_us in days:
        drop.uids = [uid for place, uid in enumerate(drop.uids) if place not in by_others]
        arrived = list(itertools.islice(names, new))
        drop.uids += arrived
        ever += arrived
        mine = [uid for place, uid in enumerate(arrived) if place in by_us]
        found, memory = looked(drop, memory, mine)
        shown += found
    assert shown == ever
    assert not memory.others


@pytest.mark.parametrize("count", [1, TAIL_LIMIT, 3 * TAIL_LIMIT])
def test_messages_of_ours_that_stay_for_long_are_not_what_the_mailbox_is_known_by(count: int) -> None:
    drop = Drop()
    drop.uids = strangers(300)
    memory = known(drop)
    ours = strangers(count, "ours")
    drop.uids += ours
    found, memory = looked(drop, memory)
    assert found == ours
    for _ in range(3):
        drop.uids.append(f"news{len(drop.uids)}")
        found, memory = looked(drop, replace(memory, ours=frozenset(places(*ours))))
        assert found == drop.uids[-1:]
    drop.uids = [uid for uid in drop.uids if uid not in ours]
    assert looked(drop, memory)[0] == []


@settings(max_examples=100)
@given(
    SERVERS,
    st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 40), max_size=3)), min_size=1, max_size=8),
)
def test_a_backlog_is_looked_through_by_and_by_while_others_delete(
    drop: Drop, days: list[tuple[int, set[int]]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pop3memory, "SCAN_LIMIT", 5)
        names = map(str, itertools.count(100))
        drop.uids = list(itertools.islice(names, 40))
        shown, memory = looked(drop, Memory())
        assert shown == drop.uids[-5:]
        gone: set[str] = set()
        for new, by_others in days:
            gone |= {uid for place, uid in enumerate(drop.uids) if place in by_others}
            drop.uids = [uid for uid in drop.uids if uid not in gone]
            drop.uids += itertools.islice(names, new)
            found, memory = looked(drop, memory)
            assert len(found) <= 5
            shown += found
        while found or memory.backlog:
            found, memory = looked(drop, memory)
            shown += found
        assert sorted(set(shown) | gone) == sorted(set(drop.uids) | gone)
        assert len(shown) == len(set(shown))
        assert (memory.backlog, memory.edge) == (0, ())


@settings(max_examples=100)
@given(
    SERVERS, st.randoms(use_true_random=False), st.integers(1, 30), st.lists(st.integers(1, 4), max_size=8)
)
def test_a_server_that_puts_new_messages_anywhere_is_found_out_and_read_all_the_same(
    drop: Drop, random: object, before: int, days: list[int]
) -> None:
    names = map(str, itertools.count(100))
    drop.uids = list(itertools.islice(names, before))
    shown, memory = looked(drop, Memory())
    for new in days:
        for uid in itertools.islice(names, new):
            drop.uids.insert(random.randrange(len(drop.uids) + 1), uid)  # type: ignore[attr-defined]
        found, memory = looked(drop, memory)
        shown += found
    assert sorted(shown) == sorted(drop.uids)


def test_a_server_that_lists_the_newest_first_is_found_out_where_one_of_ours_replaced_another() -> None:
    drop = Drop(["ours1", *strangers(200)])
    _, memory = looked(drop, Memory(), ["ours1"])
    drop.uids.insert(0, "ours2")
    found, memory = looked(drop, memory, ["ours2"])
    assert "ours2" in found
    for number in range(3, 6):
        drop.uids.insert(0, f"ours{number}")
        assert looked(drop, memory, [f"ours{number}"])[0] == [f"ours{number}"]
        _, memory = looked(drop, memory)


def test_a_message_that_comes_a_little_out_of_order_is_no_reason_to_list_everything() -> None:
    drop = Drop(strangers(200))
    memory = known(drop)
    drop.uids.insert(197, "late")
    drop.commands = []
    found, memory = looked(drop, memory)
    assert found == ["late"]
    assert b"UIDL" not in drop.commands
    assert not memory.others


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_pass_costs_the_same_however_many_messages_of_strangers_there_are(pipelining: bool) -> None:
    empty = price(Drop(pipelining=pipelining), Memory())
    costs = {}
    for count in (10, 2000, 5000):
        drop = Drop(strangers(count), pipelining=pipelining)
        costs[count] = price(drop, known(drop))
    assert costs[5000][0] <= costs[10][0] + 30  # longer numbers
    assert costs[5000][0] <= empty[0] + 100
    assert costs[5000][1] == costs[10][1] == empty[1] + 2


def test_a_pass_with_one_new_message_asks_for_little_more_than_it() -> None:
    drop = Drop(strangers(2000))
    memory = known(drop)
    drop.uids += ["ours"]
    drop.commands = []
    found, memory = looked(drop, memory, ["ours"])
    assert found == ["ours"]
    drop.uids += ["next"]
    drop.commands = []
    assert looked(drop, memory)[0] == ["next"]
    assert [line for line in drop.commands if line[:4] in (b"UIDL", b"TOP ")] == [
        b"UIDL 2001",
        b"UIDL 2000",
        b"UIDL 1999",
        b"UIDL 1",
        b"TOP 2001 0",
    ]


def test_a_burst_of_ours_that_is_deleted_does_not_make_the_strangers_new() -> None:
    drop = Drop(strangers(300))
    memory = known(drop)
    first = strangers(TAIL_LIMIT * 2, "a")
    drop.uids += first
    _, memory = looked(drop, memory)  # and the deletion of them is lost with the session
    memory = memory.showing(places(*first))
    second = strangers(TAIL_LIMIT * 2, "b")
    drop.uids += second
    found, memory = looked(drop, memory, [*first, *second])
    assert sorted(found) == [*first, *second]
    drop.uids += ["new"]
    assert looked(drop, memory.showing([]))[0] == ["new"]


def test_the_memory_of_a_large_mailbox_is_small() -> None:
    drop = Drop(strangers(5000))
    memory = known(drop)
    assert len(memory.dumps()) < 3000
    assert known(drop) == memory


def test_a_mailbox_whose_unique_ids_have_all_changed_is_begun_anew_with_its_newest() -> None:
    drop = Drop(strangers(700))
    memory = known(drop).showing(places("f000001"))
    drop.uids = strangers(700, "g")
    found, memory = looked(drop, memory)
    assert found == drop.uids[200:]
    assert memory.again == frozenset()
    assert looked(drop, memory)[0] == drop.uids[:200]


def test_an_emptied_mailbox_is_remembered_as_empty() -> None:
    drop = Drop(strangers(3))
    memory = known(drop)
    drop.uids = []
    assert looked(drop, memory) == ([], Memory())
    drop.uids = ["new"]
    assert looked(drop, memory)[0] == ["new"]


@pytest.mark.parametrize("singles", Singles)
def test_messages_are_shown_again_as_long_as_they_are_there(singles: Singles) -> None:
    drop = Drop(strangers(300), singles=singles)
    memory = known(drop).showing(places("f000002", "f000299", "gone"))
    found, memory = looked(drop, memory)
    assert found == ["f000002", "f000299"]
    assert memory.again == {Place("", "f000002"), Place("", "f000299")}
    drop.uids.remove("f000002")
    assert looked(drop, memory)[0] == ["f000299"]


def test_a_message_that_cannot_be_shown_is_tried_again_and_blocks_nothing() -> None:
    drop = Drop(strangers(200))
    memory = known(drop)
    drop.uids += ["not-yet", "there"]
    drop.empty = {"not-yet"}
    found, memory = looked(drop, memory)
    assert found == ["there"]
    assert looked(drop, memory)[0] == []
    drop.empty = set()
    found, memory = looked(drop, memory)
    assert found == ["not-yet"]
    assert looked(drop, memory)[0] == []


def test_a_message_that_can_never_be_shown_is_given_up() -> None:
    drop = Drop([*strangers(3), "broken"], empty={"broken"})
    _, memory = looked(drop, Memory())
    tries = 1
    while memory.unread:
        _, memory = looked(drop, memory)
        tries += 1
    assert tries == pop3.TRIES_LIMIT
    drop.commands = []
    looked(drop, memory)
    assert not any(line.startswith(b"TOP") for line in drop.commands)


def test_more_new_messages_than_one_look_takes_are_taken_oldest_first() -> None:
    drop = Drop(strangers(100))
    memory = known(drop)
    new = strangers(1200, "n")
    drop.uids += new
    shown: list[str] = []
    for _ in range(3):
        found, memory = looked(drop, memory)
        shown += found
    assert shown == new


@pytest.mark.parametrize("count", [3, 300])
def test_commands_are_sent_together_only_where_the_server_takes_them(count: int) -> None:
    for pipelining in (True, False):
        drop = Drop(strangers(count), pipelining=pipelining)
        known(drop)
        assert (drop.most > 1) == pipelining
        assert drop.most <= 50


def test_identical_copies_that_share_a_unique_id_are_shown_once() -> None:
    drop = Drop(["a", "b", "a"])
    found, memory = looked(drop, Memory())
    assert sorted(found) == ["a", "b"]
    drop.uids += ["a", "c"]
    assert looked(drop, memory)[0] == ["c"]


class Babble:
    """A server that answers with these lines, whatever it is asked."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def write(self, data: bytes) -> None:
        pass

    async def read(self) -> bytes:
        if not self._lines:
            raise RemoteFault(FaultCode.DISCONNECTED, "gone")
        return self._lines.pop(0) + b"\r\n"


@settings(max_examples=1000)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"+OK", b"-ERR", b".", b"+OK 5 9", b"+OK 999999999 9", b"+ x"]),
            st.builds(
                b"%b%d %d".__mod__,
                st.tuples(st.sampled_from([b"", b"+OK "]), st.integers(0, 6), st.integers(0, 6)),
            ),
            st.binary(max_size=9),
        ),
        max_size=30,
    )
)
def test_a_babbling_server_is_at_fault_and_nothing_else_happens(lines: list[bytes]) -> None:
    session = Pop3Session(cast(Stream, Babble(lines)), FIELDS)
    memory = Memory(count=4, tail={"3": 3, "4": 4}, head="1").showing(places("2"))

    async def talk() -> None:
        await session.ask_capabilities()
        found, after = await session.scan(memory)
        await session.fetch([message.place for message in found])
        await session.delete([message.place for message in found])
        await session.scan(after)

    with contextlib.suppress(RemoteFault):
        at_once(talk())

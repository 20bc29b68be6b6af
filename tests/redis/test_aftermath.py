"""What becomes of a message after its read: said once, and the earlier result stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbeat.delivery import Outcome
from postbeat.model import Level, Phase, Poll
from postbeat.store import keys
from postbeat.store.records import Pending
from postbeat.store.worker import LeaseLostError
from tests.redis.site import BOX, PAIR, Site, awaited, result

OVERDUE = (Level.FAILED, Outcome.OVERDUE)
LATE = (Level.MARGINAL, Outcome.LATE)
LOST = (Level.FAILED, Outcome.LOST)
DUPLICATED = (Level.MARGINAL, Outcome.DUPLICATED)


def overdue(site: Site, *slots: int) -> None:
    for slot in slots:
        site.send(slot)
        site.read(slot, *OVERDUE, following=awaited(slot))


def told(site: Site) -> list[tuple[Phase, Outcome | None, Level, Level]]:
    return [(event.phase, event.outcome, event.was, event.level) for event in site.events()]


def test_a_message_that_is_overdue_is_awaited_and_one_that_was_found_is_settled(site: Site) -> None:
    overdue(site, 1)
    site.send(2)
    site.read(2, Level.GOOD, Outcome.DELIVERED)
    with site.reader() as desk:
        expected = site.run(desk.expected())
        assert (set(expected.pending), set(expected.awaited)) == (set(), {"mail@lab#1"})
        assert site.run(desk.settled()) == {"mail@lab#2": (1, "")}


def test_where_it_was_found_is_known_to_the_next_reader(site: Site) -> None:
    overdue(site, 1)
    site.send(2)
    with site.reader() as desk:
        site.run(desk.record(result(2, Phase.READ, Level.GOOD, 1), place="Junk mail 7"))
        late = result(1, Phase.AFTER, Level.MARGINAL, 1, outcome=Outcome.LATE)
        site.run(desk.record_after(late, 3, place="INBOX 4"))
    with site.reader() as desk:
        assert site.run(desk.settled()) == {
            "mail@lab#2": (1, "Junk mail 7"),
            "mail@lab#1": (3, "INBOX 4"),
        }


def test_what_was_told_of_a_message_is_kept_whole(site: Site) -> None:
    following = Pending(Poll("mail", "lab", 1), 2, 30, 40, 50, 6)
    site.send(1)
    with site.reader() as desk:
        site.run(desk.record(result(1, Phase.READ, Level.FAILED, 1, outcome=Outcome.OVERDUE), following))
        assert site.run(desk.expected()).awaited == {"mail@lab#1": following}
    with site.reader() as desk:
        assert site.run(desk.expected()).awaited == {"mail@lab#1": following}


def test_a_late_message_lifts_the_level_and_is_an_event(site: Site) -> None:
    overdue(site, 1)
    assert site.level() is Level.FAILED
    assert site.after(1, *LATE)
    assert site.level() is Level.MARGINAL
    assert told(site) == [
        (Phase.READ, Outcome.OVERDUE, Level.UNKNOWN, Level.FAILED),
        (Phase.AFTER, Outcome.LATE, Level.FAILED, Level.MARGINAL),
    ]
    assert [(found.phase, found.outcome) for found in site.results()][1:] == [
        (Phase.READ, Outcome.OVERDUE),
        (Phase.AFTER, Outcome.LATE),
    ]


def test_a_late_message_does_not_speak_against_a_later_read(site: Site) -> None:
    overdue(site, 1)
    site.send(2)
    site.read(2, Level.GOOD, Outcome.DELIVERED)
    site.after(1, *LATE)
    assert site.level() is Level.GOOD
    assert told(site)[-1] == (Phase.AFTER, Outcome.LATE, Level.GOOD, Level.GOOD)


def test_a_lost_message_is_news_though_the_level_stays(site: Site) -> None:
    overdue(site, 1)
    site.after(1, *LOST)
    assert told(site)[-1] == (Phase.AFTER, Outcome.LOST, Level.FAILED, Level.FAILED)
    with site.reader() as desk:
        assert site.run(desk.settled()) == {}


def test_a_message_is_late_or_lost_once_and_not_both(site: Site) -> None:
    overdue(site, 1)
    assert [site.after(1, *LATE), site.after(1, *LOST), site.after(1, *LATE)] == [True, False, False]
    assert site.state().outcomes == {Outcome.OVERDUE: 1, Outcome.LATE: 1}


@pytest.mark.parametrize("outcome", [Outcome.LATE, Outcome.LOST, Outcome.DELIVERED])
def test_of_a_message_that_nobody_awaits_nothing_comes_after(site: Site, outcome: Outcome) -> None:
    site.send(1)
    site.read(1, Level.GOOD, Outcome.DELIVERED)
    assert not site.after(1, Level.GOOD, outcome)


def test_each_copy_is_told_once_and_leaves_the_level(site: Site) -> None:
    site.send(1)
    site.read(1, Level.GOOD, Outcome.DELIVERED)
    names = ["INBOX 4", "INBOX 5", "INBOX 4"]
    assert [site.after(1, *DUPLICATED, copy=name) for name in names] == [True, True, False]
    assert site.level() is Level.GOOD
    assert [event.outcome for event in site.events()[1:]] == [Outcome.DUPLICATED] * 2


def test_an_outcome_that_is_new_is_an_event_and_one_that_stays_is_none(site: Site) -> None:
    for slot, outcome in enumerate([Outcome.SPAM, Outcome.SPAM, Outcome.ALTERED]):
        site.send(slot)
        site.read(slot, Level.MARGINAL, outcome)
    assert told(site) == [
        (Phase.READ, Outcome.SPAM, Level.UNKNOWN, Level.MARGINAL),
        (Phase.READ, Outcome.ALTERED, Level.MARGINAL, Level.MARGINAL),
    ]
    assert site.state().outcome is Outcome.ALTERED


def test_settled_messages_are_bounded_in_number(site: Site) -> None:
    now_s = site.now_us() // 1_000_000
    entries = [f"{now_s} mail@lab#{slot} 1 " for slot in range(100, 10_100)]
    site.redis.rpush(keys.settled(BOX.mailbox), *entries)
    site.send(99)
    site.read(99)
    with site.reader() as desk:
        settled = site.run(desk.settled())
    assert len(settled) == 10_000
    assert next(iter(settled)) == "mail@lab#101"
    assert list(settled)[-1] == "mail@lab#99"


def test_settled_messages_are_bounded_in_age(site: Site) -> None:
    old_s = site.now_us() // 1_000_000 - 3602
    site.redis.rpush(keys.settled(BOX.mailbox), *[f"{old_s} mail@lab#{slot} 1 " for slot in (0, 1)])
    with site.reader() as desk:
        assert site.run(desk.settled()) == {}
    site.send(2)
    site.read(2)
    assert site.redis.llen(keys.settled(BOX.mailbox)) == 1


@dataclass
class Model:
    """What the store should hold of each message: one read at most, one result after it at most."""

    sent: set[int] = field(default_factory=set)
    pending: set[int] = field(default_factory=set)
    awaited: set[int] = field(default_factory=set)
    reads: list[int] = field(default_factory=list)
    afters: list[tuple[int, Outcome]] = field(default_factory=list)
    copies: set[str] = field(default_factory=set)

    def take(self, what: str, slot: int) -> bool:
        if what == "send" and slot not in self.sent:
            self.sent.add(slot)
            self.pending.add(slot)
            return True
        if what in ("found", "overdue") and slot in self.pending:
            self.pending.remove(slot)
            self.reads.append(slot)
            if what == "overdue":
                self.awaited.add(slot)
            return True
        if what in ("late", "lost") and slot in self.awaited:
            self.awaited.remove(slot)
            self.afters.append((slot, Outcome(what)))
            return True
        if what == "copy" and str(slot) not in self.copies:
            self.copies.add(str(slot))
            self.afters.append((slot, Outcome.DUPLICATED))
            return True
        return False


WHAT = st.sampled_from(["send", "found", "overdue", "late", "lost", "copy"])


def do(site: Site, what: str, slot: int) -> bool:
    if what == "send":
        before = len(site.results())
        site.send(slot)
        return len(site.results()) > before
    if what == "found":
        return site.read(slot, Level.GOOD, Outcome.DELIVERED)
    if what == "overdue":
        return site.read(slot, *OVERDUE, following=awaited(slot))
    if what == "copy":
        return site.after(slot, *DUPLICATED, copy=str(slot))
    return site.after(slot, *(LATE if what == "late" else LOST))


def try_without_lease(site: Site, what: str, slot: int) -> None:
    """The same by a reader whose mailbox another has by now."""
    stale = site.desk()
    site.lose_lease()
    with site.reader():
        before = site.dump()
        phase = Phase.READ if what in ("found", "overdue") else Phase.AFTER
        wanted = result(slot, phase, Level.GOOD, 1, outcome=Outcome.LATE)
        with pytest.raises(LeaseLostError):
            site.run(stale.record(wanted) if phase is Phase.READ else stale.record_after(wanted))
        assert site.dump() == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(WHAT, st.integers(0, 4), st.booleans(), st.booleans()), max_size=25))
def test_whatever_comes_twice_or_without_a_lease_each_message_has_one_read_and_one_end(
    site: Site, steps: list[tuple[str, int, bool, bool]]
) -> None:
    site.redis.flushall()
    site.send(9, Level.FAILED)  # so that the pair is known, and its messages are of the past
    model = Model()
    for what, slot, again, stale in steps:
        if stale and what != "send":
            try_without_lease(site, what, slot)
        assert do(site, what, slot) == model.take(what, slot)
        if again:
            assert not do(site, what, slot)
    reads = [one.poll.slot for one in site.results() if one.phase is Phase.READ]
    afters = [(one.poll.slot, one.outcome) for one in site.results() if one.phase is Phase.AFTER]
    assert (reads, afters) == (model.reads, model.afters)
    assert site.awaited() == {f"{PAIR}#{slot}" for slot in model.awaited}
    assert site.pending() == {f"{PAIR}#{slot}" for slot in model.pending}
    told_after = [(event.poll.slot, event.outcome) for event in site.events() if event.phase is Phase.AFTER]
    assert told_after == afters
    assert sum(site.state().outcomes.values()) == len(reads) + len(afters)

"""What beat does with the store: claims the grid, and turns silence into UNKNOWN. Not asyncio."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, cast

from redis import Redis
from redis.client import Pipeline
from redis.commands.core import Script

from postbeat import queues, slots
from postbeat.delivery import Outcome
from postbeat.elements import MailboxElement, SmtpElement
from postbeat.model import Fault, FaultCode, Kind, Level, Pair, Phase, Poll, Side
from postbeat.profile import Profile
from postbeat.publicfacts import public_facts
from postbeat.results import Result
from postbeat.slots import Polled
from postbeat.store import keys, records, summary
from postbeat.store.connecting import client
from postbeat.store.maintenance import FORMER_KEPT_S, former_text
from postbeat.store.records import Pending
from postbeat.store.streams import readable
from postbeat.store.wake import needs_reader_call
from postbeat.windows import Window

QUEUE_SLACK = 10  # messages of a queue beyond those that may be of use
SWEEP_LIMIT = 500  # silences turned into results in one sweep; the rest waits for the next
BATCH = 500  # mailboxes asked about, or pairs forgotten, in one exchange
RAW_KEPT_S = 2 * 86_400  # the log of a pair that has left the profile; it is folded more often than that
ROLLUP_KEPT_S = 400 * 86_400  # and its rollups, where they have no end yet
PAUSES_KEPT = 20  # a poll that fell due in one of them may be asked about as long as its silence takes
CATCH_UP_US = 10_000_000  # polls that fell due while no beat ran are fired, unless they are older than this
_MONITORS = ("", *Kind)  # whose polls a beat fires: those of all monitors, or of one
LOST_KEPT_US = 86_400_000_000  # a message that was lost, and got no result, is forgotten so long after


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time that is one beat's to fire: after ``from_us``, up to and with ``to_us``.

    ``from_us`` is None when the grid was never fired before.
    """

    from_us: int | None
    to_us: int


@dataclass(frozen=True, slots=True)
class _Pause:
    """A time in which no beat fired polls, longer than is caught up."""

    from_us: int = 0
    to_us: int = 0

    def first_slot(self, element: Polled, pair: Pair) -> int:
        """The first slot of a pair that was fired again: of what is caught up, only the latest is."""
        poll_s = slots.poll_s(element)
        latest = slots.slot_at(pair, poll_s, self.to_us)
        return max(latest, slots.slot_at(pair, poll_s, self.to_us - CATCH_UP_US) + 1)

    def leaves_out(self, element: Polled, poll: Poll) -> bool:
        """Whether a poll fell due in it, and was not caught up."""
        due_us = slots.due_us(poll.pair, slots.poll_s(element), poll.slot)
        return self.from_us < due_us and poll.slot < self.first_slot(element, poll.pair)


@dataclass(frozen=True, slots=True)
class _Pauses:
    """The pauses of the polls of each kind, at least one, the last one last."""

    of: Mapping[Kind, Sequence[_Pause]]

    @property
    def resumed_us(self) -> int:
        """When the last of all was over: beats of several monitors do not come back at one moment."""
        return max(pauses[-1].to_us for pauses in self.of.values())

    def first_slot(self, element: Polled, pair: Pair) -> int:
        """The first slot of a pair that was fired after the last one."""
        return self.of[element.kind][-1].first_slot(element, pair)

    def leaves_out(self, element: Polled, poll: Poll) -> bool:
        """Whether no beat ever fired a poll."""
        return any(pause.leaves_out(element, poll) for pause in self.of[element.kind])


def _pauses(text: str) -> list[_Pause]:
    moments = [int(moment) for moment in text.split()]
    return [_Pause(*pause) for pause in zip(moments[::2], moments[1::2], strict=True)]


class BeatStore:
    """The store as seen from beat. Every method may raise ``redis.exceptions.RedisError``."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = client(url, decode_responses=True)
        self._claim = self._redis.register_script(keys.script("claim"))
        self._record = self._redis.register_script(keys.script("record"))
        self._wake = self._redis.register_script(keys.script("wake"))
        self._tidy = self._redis.register_script(keys.script("tidy"))
        self._retire = self._redis.register_script(keys.script("retire"))

    def now_us(self) -> int:
        """The one clock."""
        seconds, micros = self._redis.time()
        return seconds * 1_000_000 + micros

    def claim(self, monitor: str = "") -> Stretch:
        """Claims the time up to now: for the polls of a monitor, or ("") for all."""
        names = [keys.cursor(monitor), keys.pause(monitor), *(keys.cursor(other) for other in _MONITORS)]
        cursor, now_us = cast("list[str]", self._claim(keys=names, args=[CATCH_UP_US, PAUSES_KEPT]))
        return Stretch(int(cursor) if cursor else None, int(now_us))

    def fired_to_us(self, monitor: str = "") -> int | None:
        """The moment up to which the grid was fired, of a monitor or ("") of all; None where it never was."""
        cursor = cast("str | None", self._redis.get(keys.cursor(monitor)))
        return int(cursor) if cursor else None

    def has_profile(self) -> bool:
        """Whether a profile is published. Where one was, and is not any more, Redis has lost its data."""
        return bool(self._redis.exists(keys.PROFILE))

    def retire(self, profile: Profile, monitors: Collection[str] = ("",)) -> None:
        """Forgets the pairs of some monitors, or ("") of all, that are not in the profile any more.

        One that comes back begins anew, however soon: its problems are over for whoever is told of them.
        """
        members = cast("list[str]", self._redis.zrange(keys.EXPECTED, 0, -1))
        active = {str(pair) for pair, _ in profile.active()}
        left = {member: name for member in members if (name := member.partition("/")[0]) not in active}
        if left and "" not in monitors:
            kinds = self._kinds(set(left.values()))
            left = {member: name for member, name in left.items() if kinds.get(name) in monitors}
        self._leave(left)

    def expect(self, profile: Profile, now_us: int) -> None:
        """Expects a first result of every pair that has none yet: a region without workers is seen."""
        scores = {str(pair): now_us + records.silence_us(element) for pair, element in profile.active()}
        first = {str(pair): summary.first_text(element.kind) for pair, element in profile.active()}
        names = list(scores)
        for begin in range(0, len(names), 1000):
            part = names[begin : begin + 1000]
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.zadd(keys.EXPECTED, {name: scores[name] for name in part}, lt=True)
                for name in part:
                    pipe.hsetnx(keys.STATES, name, first[name])
                    pipe.hdel(keys.pair(name), "left")
                pipe.execute()

    def publish_profile(self, profile: Profile) -> None:
        """Tells views what may be known of the elements of the profile in force, and of no other.

        Where the windows of maintenance of an element change by it, the past keeps those that it had. What
        is stored and cannot be read is replaced.
        """
        facts = {name: json.dumps(public_facts(element)) for name, element in profile.elements.items()}
        verdicts = {
            name: summary.first_verdict_text(element.regions, element.quorum)
            for name, element in profile.elements.items()
            if element.active and element.poll is not None
        }

        def publish(pipe: Pipeline) -> None:
            texts = cast("dict[str, str]", pipe.hgetall(keys.PROFILE))
            former = cast("dict[str, str]", pipe.hgetall(keys.FORMER_MAINTENANCE))
            before = {
                name: readable(f"{name} in {keys.PROFILE}", _maintenance, it) for name, it in texts.items()
            }
            after = {name: element.maintenance for name, element in profile.elements.items()}
            now_us = self.now_us()
            kept = {
                name: former_text(former.get(name), before.get(name), after.get(name), now_us)
                for name in former.keys() | before.keys() | after.keys()
            }
            pipe.multi()
            _replace(pipe, keys.PROFILE, texts, facts)
            _replace(pipe, keys.FORMER_MAINTENANCE, former, kept)
            pipe.expire(keys.FORMER_MAINTENANCE, FORMER_KEPT_S)
            for name, text in verdicts.items():
                pipe.hsetnx(keys.VERDICTS, name, text)

        # Of two beats that publish a change at once, one sees what the other has published.
        self._redis.transaction(publish, keys.PROFILE, keys.FORMER_MAINTENANCE)

    def sweep(self, profile: Profile) -> int:
        """Turns silence into UNKNOWN results. Returns how many were recorded.

        Pairs that are not in the profile are forgotten, whosever they were: nothing is expected of them.
        Polls that no beat fired are expected of nobody: after a pause of beat each pair has its time anew.
        """
        now_us = self.now_us()
        pauses = self._pauses()
        recorded = 0
        for member in self._due(keys.EXPECTED, now_us):
            name, _, half = member.partition("/")
            pair = Pair.parse(name)
            element = _polled(profile, pair)
            if element is None:
                self._leave([member])
            elif half:
                recorded += self._unread(profile, element, pair, pauses, now_us)
            else:
                recorded += self._silent_pair(element, pair, pauses, now_us)
        for text in self._due(keys.OPEN, now_us):
            poll = Poll.parse(text)
            element = _polled(profile, poll.pair)
            if element is None or poll.slot > slots.slot_at(poll.pair, slots.poll_s(element), now_us):
                self._redis.zrem(keys.OPEN, text)  # the slot of a longer interval has not come yet
            elif pauses.leaves_out(element, poll):
                self._redis.zrem(keys.OPEN, text)
            else:
                recorded += self._silent(element, poll, now_us)
        return recorded

    def trim_queues(self, regions: Mapping[str, int], readers: int) -> None:
        """Bounds the queues of regions without workers: only a worker would throw away what has expired.

        The broker keeps a queue in a list, its newest message first. A poll lives for two intervals at most,
        so each pair has two that are worth keeping; a mailbox needs one reader.

        Args:
            regions: the number of pairs of each region.
            readers: the number of mailboxes, at most.
        """
        with self._redis.pipeline(transaction=False) as pipe:
            for region, pairs in regions.items():
                pipe.ltrim(queues.probe(region), 0, 2 * pairs + QUEUE_SLACK - 1)
                pipe.ltrim(queues.read(region), 0, readers + QUEUE_SLACK - 1)
            pipe.execute()

    def readers_to_wake(self) -> Iterator[str]:
        """How to wake the readers that mailboxes lack: see ``wake.lua`` for when they lack one."""
        known = self._mailboxes()
        calls = [needs_reader_call(mailbox) for mailbox in known]
        for wake, is_needed in zip(known.values(), self._run(self._wake, calls), strict=True):
            if is_needed:
                yield wake

    def tidy(self, profile: Profile) -> int:
        """Drops what nobody will ask for: messages lost long ago, and mailboxes that left the profile.

        A mailbox stays as long as something is to be found in it. Returns how many were forgotten.
        """
        in_profile = {
            element.mailbox for element in profile.elements.values() if isinstance(element, MailboxElement)
        }
        calls: list[records.Call] = []
        for mailbox in self._mailboxes():
            names = [keys.pending(mailbox), keys.awaited(mailbox), keys.lost_at(mailbox)]
            names += [keys.lease(mailbox), keys.turns(mailbox), keys.MAILBOXES]
            names += [keys.settled(mailbox), keys.copies(mailbox), keys.waking(mailbox)]
            names += [keys.memory(mailbox), keys.mailbox(mailbox)]
            calls.append((names, [mailbox, int(mailbox in in_profile), LOST_KEPT_US]))
        return sum(list(self._run(self._tidy, calls)))

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _mailboxes(self) -> dict[str, str]:
        return cast("dict[str, str]", self._redis.hgetall(keys.MAILBOXES))

    def _run(self, script: Script, calls: list[records.Call]) -> Iterator[int]:
        """Runs a script with many arguments, a batch of them in one exchange."""
        for begin in range(0, len(calls), BATCH):
            with self._redis.pipeline(transaction=False) as pipe:
                for names, values in calls[begin : begin + BATCH]:
                    script(keys=names, args=values, client=pipe)
                yield from cast("list[int]", pipe.execute())

    def _due(self, key: str, now_us: int) -> list[str]:
        return cast("list[str]", self._redis.zrangebyscore(key, 0, now_us, start=0, num=SWEEP_LIMIT))

    def _leave(self, members: Collection[str]) -> None:
        """Forgets what was expected of pairs that have left the profile, and the pairs."""
        reads = [member for member in members if "/" in member]
        if reads:
            self._redis.zrem(keys.EXPECTED, *reads)
        calls: list[records.Call] = []
        for pair in members:
            if "/" not in pair:
                names = [keys.pair(pair), keys.STATES, keys.notable(pair), keys.timing(pair), keys.raw(pair)]
                names += [keys.rollup(pair), keys.EXPECTED, keys.VERDICTS, keys.EVENTS]
                calls.append(([*names, *map(keys.latest, Phase)], [pair, RAW_KEPT_S, ROLLUP_KEPT_S]))
        list(self._run(self._retire, calls))

    def _kinds(self, names: Collection[str]) -> dict[str, Kind]:
        """The kinds of pairs, of those that are known."""
        texts = cast("list[str | None]", self._redis.hmget(keys.STATES, names))
        known = {name: text for name, text in zip(names, texts, strict=True) if text}
        return {str(one.pair): one.kind for one in summary.summaries(known)}

    def _pauses(self) -> _Pauses:
        texts = cast("list[str | None]", self._redis.mget([keys.pause(monitor) for monitor in _MONITORS]))
        of_all, *others = [_pauses(text or "") for text in texts]
        known = (sorted([_Pause(), *of_all, *own], key=attrgetter("to_us")) for own in others)
        return _Pauses(dict(zip(Kind, known, strict=True)))

    def _silent_pair(self, element: Polled, pair: Pair, pauses: _Pauses, now_us: int) -> int:
        """The poll after the last one did not come in time; if long silence was slept over, several."""
        fields = cast("list[str | None]", self._redis.hmget(keys.pair(str(pair)), ["slot", "interval_us"]))
        score = int(self._redis.zscore(keys.EXPECTED, str(pair)) or now_us)
        poll_s = slots.poll_s(element)
        interval_us = slots.interval_us(poll_s)
        is_other = fields[0] is not None and fields[1] != str(interval_us)
        # It was counted in the interval that the element had before: in this one it may be no silence yet.
        if is_other and (heard_at_us := self._heard_at_us(pair)) is not None:
            score = heard_at_us + records.silence_us(element)
        score = max(score, pauses.resumed_us + records.silence_us(element))
        if score > now_us:
            self._redis.zadd(keys.EXPECTED, {str(pair): score}, xx=True, gt=True)
            return 0
        more = (now_us - score) // interval_us
        # As of the moment when the poll should have come, so that the next silence counts an interval later.
        at_us = score + (1 + more) * interval_us - records.silence_us(element)
        slot = slots.slot_at(pair, poll_s, at_us)
        if fields[0] is None or is_other:
            more = 0  # nobody knows since when: no result ever came, or none of this interval
        else:
            slot = max(int(fields[0]) + 1 + more, pauses.first_slot(element, pair))
        return self._silent(element, Poll(pair.element, pair.region, slot), at_us, more)

    def _heard_at_us(self, pair: Pair) -> int | None:
        """When the last result of a pair came; None where there is none."""
        text = cast("str | None", self._redis.hget(keys.STATES, str(pair)))
        return summary.summaries({str(pair): text})[0].at_us if text else None

    def _silent(self, element: Polled, poll: Poll, at_us: int, more: int = 0) -> int:
        text = (
            f"No result from region {poll.region}: is a worker running for queue {queues.probe(poll.region)}?"
        )
        result = _unknown(poll, records.phase_of(element), element.kind, text, at_us)
        names, values = records.poll_call(element, result, silent_polls=more)
        return int(records.recorded(self._record(keys=names, args=values)))

    def _unread(self, profile: Profile, element: Polled, pair: Pair, pauses: _Pauses, now_us: int) -> int:
        """Messages whose time is long over, and no reader came to look: they are awaited from now on."""
        member = f"{pair}/read"
        self._redis.zrem(keys.EXPECTED, member)
        reader = profile.reader_of(element) if isinstance(element, SmtpElement) else None
        if reader is None:
            return 0
        text = (
            f"No reader looked into {reader.name}: is a worker running for queue {queues.read(pair.region)}?"
        )
        pending = cast("dict[str, str]", self._redis.hgetall(keys.pending(reader.mailbox)))
        recorded = 0
        later = []
        for message in map(Pending.loads, pending.values()):
            if message.poll.pair != pair:
                continue
            # Where no reader was there, it was beat's to wake one.
            silent_at_us = max(message.expires_at_us, pauses.resumed_us) + records.silence_us(element)
            result = _unknown(message.poll, Phase.READ, reader.kind, text, now_us, Outcome.UNREADABLE)
            names, values = records.message_call(result, reader.mailbox, "", following=message)
            if silent_at_us < now_us and records.recorded(self._record(keys=names, args=values)):
                recorded += 1
            else:
                later.append(silent_at_us)
        if later:
            self._redis.zadd(keys.EXPECTED, {member: min(later)}, lt=True)
        return recorded


def _polled(profile: Profile, pair: Pair) -> Polled | None:
    """The element of a pair that is polled in its region."""
    element = profile.elements.get(pair.element)
    if element is None or not element.active or element.poll is None or pair.region not in element.regions:
        return None
    return element


def _maintenance(text: str) -> tuple[Window, ...]:
    """The windows of an element in the text that is stored of it."""
    return tuple(map(Window.parse, json.loads(text)["maintenance"]))


def _replace(pipe: Pipeline, key: str, before: Mapping[str, str], after: Mapping[str, str | None]) -> None:
    """Has a hash hold what is not None of ``after``, and nothing else."""
    held: dict[Any, Any] = {name: text for name, text in after.items() if text is not None}
    if held:
        pipe.hset(key, mapping=held)
    if gone := before.keys() - held.keys():
        pipe.hdel(key, *gone)


def _unknown(
    poll: Poll, phase: Phase, kind: Kind, text: str, at_us: int, outcome: Outcome | None = None
) -> Result:
    fault = Fault(Side.LOCAL, FaultCode.SILENT, text)
    return Result(poll, phase, kind, Level.UNKNOWN, text, at_us, fault=fault, outcome=outcome)

"""What is kept of each result for a day: its figures, in a few bytes. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from postbeat.delivery import Outcome
from postbeat.model import FaultCode, Level, Phase, Side
from postbeat.results import Result

# Stored by place: append only.
TIMINGS: tuple[str, ...] = (
    "lookupTime",
    "connectTime",
    "SSLHandshakeTime",
    "loginTime",
    "responseTime",
    "uploadTime",
    "totalTime",
    "timeToDeliver",
)


def _buckets() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The largest value of each bucket, and the value that stands for all of it.

    Each bucket is as wide as it can be: its representative is at most 2 % above its smallest value, and at
    most 2 % below its largest.
    """
    tops: list[int] = []
    representatives: list[int] = []
    low = 1
    while low <= _LONGEST_US:
        representatives.append(low + low // 50)
        tops.append(representatives[-1] * 50 // 49)
        low = tops[-1] + 1
    return tuple(tops), tuple(representatives)


_LONGEST_US = 7 * 86_400_000_000
_TOPS, _REPRESENTATIVES = _buckets()
BUCKETS = len(_TOPS)


def bucket(us: int) -> int:
    """The logarithmic bucket of a time; what is below 1 us or above 7 days is in the one at that end."""
    return min(bisect_left(_TOPS, us), BUCKETS - 1)


def representative(bucket: int) -> int:
    """The time that stands for a bucket: within 2 % of all that are in it."""
    return _REPRESENTATIVES[bucket]


# The numbers under which enumerations are stored: append only, and never change the order.
PHASES = (Phase.SEND, Phase.READ, Phase.AFTER, Phase.CHECK)
LEVELS = (Level.GOOD, Level.MARGINAL, Level.FAILED, Level.UNKNOWN)
SIDES = (Side.REMOTE, Side.LOCAL)
OUTCOMES = (
    Outcome.DELIVERED,
    Outcome.OUT_OF_ORDER,
    Outcome.ALTERED,
    Outcome.SPAM,
    Outcome.LATE,
    Outcome.BOUNCED,
    Outcome.OVERDUE,
    Outcome.LOST,
    Outcome.DUPLICATED,
    Outcome.UNREADABLE,
)
FAULT_CODES = (
    FaultCode.LOOKUP,
    FaultCode.RESOLVER,
    FaultCode.REFUSED,
    FaultCode.UNREACHABLE,
    FaultCode.DISCONNECTED,
    FaultCode.TIMEOUT,
    FaultCode.CERTIFICATE,
    FaultCode.TLS,
    FaultCode.NO_STARTTLS,
    FaultCode.AUTH,
    FaultCode.NULL_MX,
    FaultCode.POLICY,
    FaultCode.NO_MECHANISM,
    FaultCode.NO_SMTPUTF8,
    FaultCode.NO_8BITMIME,
    FaultCode.TOO_LARGE,
    FaultCode.REPLY,
    FaultCode.GREYLISTED,
    FaultCode.TEMPORARY,
    FaultCode.ACCEPTED,
    FaultCode.UNEXPECTED,
    FaultCode.PROTOCOL,
    FaultCode.NOT_ARRIVED,
    FaultCode.SPAM,
    FaultCode.ALTERED,
    FaultCode.DUPLICATED,
    FaultCode.BOUNCED,
    FaultCode.IN_USE,
    FaultCode.THROTTLED,
    FaultCode.FILE,
    FaultCode.OPTION,
    FaultCode.SECRET,
    FaultCode.RESOURCES,
    FaultCode.OVERLOADED,
    FaultCode.SILENT,
    FaultCode.INTERNAL,
)

# Radices of what is stored: room for more members, instants to the year 2112, and bounds of the rest.
_PHASE_RADIX = 8
_LEVEL_RADIX = 4
_OUTCOME_RADIX = 32
_CODE_RADIX = 128
_TIME_RADIX = 1024
_INSTANT_RADIX = 1 << 52
_STATUS_RADIX = 1000
_HOP_RADIX = 128
_STAGE_LIMIT = 40
_SIZE_LIMIT = 128
_USUAL_STATUS = 250

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a result. Times are kept within 2 %: those of :func:`figures_of` are so already.

    ``terminal`` is whether nothing more of its poll comes: each poll has exactly one such result.
    """

    at_us: int
    phase: Phase
    slot: int
    level: Level
    terminal: bool
    side: Side | None = None
    code: FaultCode | None = None
    stage: str = ""
    outcome: Outcome | None = None
    status: int | None = None
    times_us: Mapping[str, int] = field(default_factory=dict)
    hop_count: int | None = None

    def dumps(self) -> bytes:
        """The figures as the digits of one number of mixed radix: about 20 bytes for a send, 15 for a read.

        Raises:
            ValueError: a number is out of the bounds of the format.
        """
        digits: list[tuple[int, int]] = [
            (PHASES.index(self.phase), _PHASE_RADIX),
            (LEVELS.index(self.level), _LEVEL_RADIX),
            (self.terminal, 2),
            (_place(OUTCOMES, self.outcome), _OUTCOME_RADIX),
            *_status_digits(self.status),
            *_optional(self.hop_count, _HOP_RADIX),
            *_fault_digits(self.side, self.code, self.stage),
            *_time_digits(self.times_us),
            (self.at_us, _INSTANT_RADIX),
        ]
        if self.slot < 0:
            raise ValueError(f"not storable: slot {self.slot}")
        number = self.slot + 1  # so that there is a first digit, which is not 0
        for digit, radix in reversed(digits):
            if not 0 <= digit < radix:
                raise ValueError(f"not storable: {digit} of {radix} in {self}")
            number = number * radix + digit
        return number.to_bytes((number.bit_length() + 7) // 8, "big")

    @classmethod
    def loads(cls, data: bytes) -> Figures:
        """The figures that :meth:`dumps` wrote.

        Raises:
            ValueError: the bytes are no figures.
        """
        if len(data) > _SIZE_LIMIT or data[:1] == b"\0":
            raise ValueError("not figures")
        digits = _Digits(int.from_bytes(data, "big"))
        phase = digits.member(PHASES, _PHASE_RADIX)
        level = digits.member(LEVELS, _LEVEL_RADIX)
        terminal = digits.take(2) == 1
        outcome = digits.optional_member(OUTCOMES, _OUTCOME_RADIX)
        status = digits.status()
        hop_count = digits.optional(_HOP_RADIX)
        side, code, stage = digits.fault()
        times_us = digits.times_us()
        at_us = digits.take(_INSTANT_RADIX)
        if not digits.number:
            raise ValueError("not figures")
        return cls(
            at_us=at_us,
            phase=phase,
            slot=digits.number - 1,
            level=level,
            terminal=terminal,
            side=side,
            code=code,
            stage=stage,
            outcome=outcome,
            status=status,
            times_us=times_us,
            hop_count=hop_count,
        )


def figures_of(result: Result, *, terminal: bool) -> Figures:
    """The figures of a result.

    A faulty attempt measured nothing of the service, so it has no times; those of reading are no times of
    the element but of its mailbox.
    """
    attempt, delivery, fault = result.decisive, result.delivery, result.fault
    times_us: dict[str, int] = {}
    if attempt is not None and attempt.fault is None and result.phase in (Phase.SEND, Phase.CHECK):
        times_us = {name: attempt.times_us[name] for name in TIMINGS if name in attempt.times_us}
        times_us["totalTime"] = attempt.total_us
    if delivery is not None:
        times_us["timeToDeliver"] = delivery.to_deliver_us
    status = attempt.status if attempt is not None else None
    return Figures(
        at_us=result.at_us,
        phase=result.phase,
        slot=result.poll.slot,
        level=result.level,
        terminal=terminal,
        side=fault.side if fault is not None else None,
        code=fault.code if fault is not None else None,
        stage=_short(fault.stage) if fault is not None else "",
        outcome=result.outcome,
        status=status if status is not None and 0 <= status < _STATUS_RADIX else None,
        times_us={name: representative(bucket(us)) for name, us in times_us.items()},
        hop_count=min(delivery.hop_count, _HOP_RADIX - 1) if delivery is not None else None,
    )


def _short(stage: str) -> str:
    return stage.encode()[:_STAGE_LIMIT].decode(errors="ignore")


def _place(members: Sequence[T], member: T | None) -> int:
    """The number of a member, from 1; 0 is none."""
    return 0 if member is None else members.index(member) + 1


def _optional(value: int | None, radix: int) -> list[tuple[int, int]]:
    return [(0, 2)] if value is None else [(1, 2), (value, radix)]


def _status_digits(status: int | None) -> list[tuple[int, int]]:
    if status is None:
        return [(0, 3)]
    return [(1, 3)] if status == _USUAL_STATUS else [(2, 3), (status, _STATUS_RADIX)]


def _fault_digits(side: Side | None, code: FaultCode | None, stage: str) -> list[tuple[int, int]]:
    if side is None and code is None and not stage:
        return [(0, 2)]
    text = stage.encode()
    return [
        (1, 2),
        (_place(SIDES, side), 3),
        (_place(FAULT_CODES, code), _CODE_RADIX),
        (len(text), _STAGE_LIMIT + 1),
        (int.from_bytes(text, "big"), 256 ** len(text)),
    ]


def _time_digits(times_us: Mapping[str, int]) -> Iterable[tuple[int, int]]:
    present = [name in times_us for name in TIMINGS]
    yield sum(there << place for place, there in enumerate(present)), 1 << len(TIMINGS)
    for name in TIMINGS:
        if name in times_us:
            yield bucket(times_us[name]), _TIME_RADIX


class _Digits:
    """A number, from which digits are taken in the order in which they were given to ``dumps``."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def take(self, radix: int) -> int:
        self.number, digit = divmod(self.number, radix)
        return digit

    def member(self, members: Sequence[T], radix: int) -> T:
        place = self.take(radix)
        if place >= len(members):
            raise ValueError("not figures: an unknown member")
        return members[place]

    def optional_member(self, members: Sequence[T], radix: int) -> T | None:
        return self.member((None, *members), radix)

    def optional(self, radix: int) -> int | None:
        return self.take(radix) if self.take(2) else None

    def status(self) -> int | None:
        known = self.take(3)
        return self.take(_STATUS_RADIX) if known == 2 else (None, _USUAL_STATUS)[known]

    def fault(self) -> tuple[Side | None, FaultCode | None, str]:
        if not self.take(2):
            return None, None, ""
        side = self.optional_member(SIDES, 3)
        code = self.optional_member(FAULT_CODES, _CODE_RADIX)
        size = self.take(_STAGE_LIMIT + 1)
        return side, code, self.take(256**size).to_bytes(size, "big").decode()

    def times_us(self) -> dict[str, int]:
        present = self.take(1 << len(TIMINGS))
        return {name: self._time_us() for place, name in enumerate(TIMINGS) if present >> place & 1}

    def _time_us(self) -> int:
        place = self.take(_TIME_RADIX)
        if place >= BUCKETS:
            raise ValueError("not figures: an unknown bucket")
        return representative(place)

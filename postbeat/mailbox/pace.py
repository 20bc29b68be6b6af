"""How long a reader waits before it looks again. Pure.

A look soon after a message was accepted costs little and measures its delivery exactly; later, a small part
of the time that it has taken already is exact enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from postbeat.model import FaultCode

# An open IMAP4 session: a NOOP each time.
_FIRST_S = 0.02  # in the first second: a local delivery takes a few hundredths
_EXACT_S = 0.04  # the delivery time is known to 50 ms ...
_EXACT_FOR_S = 10.0  # ... for so long
_SHARE = 0.02  # of the time that the message has taken, later
_LONGEST_S = 1.0
PUSH_AFTER_S = 60.0  # then the server is asked to tell, where it can
_PUSHED_S = 30.0  # and looked at all the same: servers forget, connections break without a sign
_UNPUSHED_S = 5.0

# POP3: each look is a login, and the mailbox is locked meanwhile.
_LOGIN_FIRST_S = 0.2
_LOGIN_SHARE = 0.1
_LOGIN_LONGEST_S = 30.0

# After a refusal because of our own sessions or logins, in seconds: first, longest; doubled each time.
BACK_OFF_S = {FaultCode.IN_USE: (1.0, 60.0), FaultCode.THROTTLED: (5.0, 300.0)}


@dataclass(frozen=True, slots=True)
class Wait:
    """Until when no look is needed, counted from the last one; ``pushed`` is whether news end it early."""

    longest_s: float
    pushed: bool = False


def live(age_s: float, *, pushes: bool) -> Wait:
    """Between two looks over an open session; ``age_s`` is that of the youngest message looked for."""
    if age_s < _EXACT_FOR_S:
        return Wait(_FIRST_S if age_s < 1 else _EXACT_S)
    if age_s < PUSH_AFTER_S:
        return Wait(min(age_s * _SHARE, _LONGEST_S))
    return Wait(_PUSHED_S, pushed=True) if pushes else Wait(_UNPUSHED_S)


def logins(age_s: float, interval_s: float) -> Wait:
    """Between two logins that need at least ``interval_s`` between them."""
    return Wait(max(interval_s, min(max(_LOGIN_FIRST_S, age_s * _LOGIN_SHARE), _LOGIN_LONGEST_S)))


def backing_off(times: int, range_s: tuple[float, float]) -> float:
    """After ``times`` refusals in a row, in seconds."""
    first, longest = range_s
    return float(min(first * 2.0 ** min(times - 1, 20), longest))

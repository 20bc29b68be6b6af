"""When a delivery that failed is tried again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential back-off: ``first_s``, then twice as long each time, up to ``longest_s``.

    After ``giveup_s`` since the first try the event is given up.
    """

    first_s: float = 1.0
    longest_s: float = 300.0
    giveup_s: float = 86400.0

    def pause_s(self, failures: int, random: Callable[[], float], asked_s: float = 0.0) -> float:
        """How long to wait after so many failures in a row (from 1).

        Between half and all of the time that follows from their number, so that those who failed together do
        not come again together. A receiver may ask (``asked_s``) for longer, up to ``longest_s``.
        """
        full_s = min(self.first_s * 2.0 ** min(failures - 1, 60), self.longest_s)
        return max(full_s * (0.5 + 0.5 * random()), min(asked_s, self.longest_s))

"""Whether the time that something takes follows the length of its input, as far as one can tell."""

from __future__ import annotations

import time
from collections.abc import Callable

# What four times the input may cost, as caches and the machine's other work distort it; where the cost grows
# with the square, it is sixteen times.
RATIO = 8.0
LEAST_S = 0.002  # below it, a measurement is mostly noise
TRIES = 12


def is_linear(run: Callable[[bytes], object], once: bytes, four_times: bytes) -> bool:
    """Whether the time of ``run`` is; the shortest of several measurements counts."""
    least_once = least_of_four = float("inf")
    for _ in range(TRIES):
        least_of_four = min(least_of_four, _seconds(run, four_times))
        if least_of_four <= RATIO * LEAST_S:
            return True
        least_once = min(least_once, _seconds(run, once))
        if least_of_four <= RATIO * least_once:
            return True
    return False


def _seconds(run: Callable[[bytes], object], data: bytes) -> float:
    began = time.process_time()
    run(data)
    return time.process_time() - began

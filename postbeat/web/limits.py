"""How often somebody may fail to log in. In memory, bounded."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Network, ip_address

from postbeat.web.users import is_name

Key = tuple[str, ...]

WINDOW_S = 300.0
PER_NAME_AND_ADDRESS = 5
PER_ADDRESS = 20
PER_NAME = 50  # from many addresses; high, so that nobody else keeps a user out with little effort
REMEMBERED = 20_000


class Failures:
    """Counts failures by key within a window, of the last REMEMBERED keys. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: OrderedDict[Key, deque[float]] = OrderedDict()

    def wait_s(self, address: str, name: str) -> int:
        """How long the next try has to wait, in whole seconds; 0 where it need not."""
        now_s = self._clock()
        with self._lock:
            return max(self._wait_s(key, limit, now_s) for key, limit in _keys(address, name))

    def add(self, address: str, name: str) -> None:
        """Notes a failure, and a try that is under way: it counts before its end is known."""
        now_s = self._clock()
        with self._lock:
            for key, limit in _keys(address, name):
                times = self._failed.setdefault(key, deque(maxlen=limit))
                times.append(now_s)
                self._failed.move_to_end(key)
            while len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)

    def forget(self, address: str, name: str) -> None:
        """A success: this name from this address begins anew."""
        (both, _), *others = _keys(address, name)
        with self._lock:
            self._failed.pop(both, None)
            for key, _ in others:
                if times := self._failed.get(key):
                    times.pop()

    def _wait_s(self, key: Key, limit: int, now_s: float) -> int:
        times = self._failed.get(key)
        if times is None or len(times) < limit:
            return 0
        return max(0, math.ceil(times[0] + WINDOW_S - now_s))


def _keys(address: str, name: str) -> Sequence[tuple[Key, int]]:
    address, name = _network(address), name if is_name(name) else ""  # what nobody may be called is one name
    return (
        (("both", address, name), PER_NAME_AND_ADDRESS),
        (("address", address), PER_ADDRESS),
        (("name", name), PER_NAME),
    )


def _network(address: str) -> str:
    """Of IPv6 a whole /64 is one site's, which may try from any of its addresses."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address) or found.ipv4_mapped:
        return address
    return str(IPv6Network((found, 64), strict=False))

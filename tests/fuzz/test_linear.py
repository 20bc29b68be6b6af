from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from tests.fuzz.targets import TARGETS, Target
from tests.growth import is_linear

SIZE = 16 * 1024  # four times of it are still within the limits of most parsers
MEASURED = 4 * 1024  # where memory is measured, which makes all of it slow
MEMORY_RATIO = 3.0  # what twice the input may cost; where it grows with the square, it is four times
LEAST_BYTES = 128 * 1024  # what Python keeps in reserve comes and goes


def nested(size: int) -> bytes:
    """A multipart in a multipart in a multipart, as deep as the size allows."""
    part = b"Content-Type: multipart/mixed; boundary=%x\r\n\r\n--%x\r\n"
    return b"".join(part % (level, level) for level in range(size // 60))


def repeated(text: bytes) -> Callable[[int], bytes]:
    return lambda size: text * (size // len(text))


# What has made parsers slow: it opens and does not close, or almost matches again and again.
TEXTS = (
    *rb"""( ) () (( )) " \ (\ "\ ' ; =? = { } {9} [ ] < > <a@ a@ @ : , . - -- 7 a & &AOk- \x{E9} YWJj
    =?utf-8?q?a?= =?utf-8?b?YQ==?=""".split(),
    *b" |\t|\r|\n|\r\n|\r\n |\0|\xff|a |5.1.1 |; a=b|; boundary=b1|a: b\r\n|1 a\r\n".split(b"|"),
    *b"{9}\r\n|--b1\r\n|--b1\r\n\r\n|Received: a\r\n|X-Postbeat: v=2\r\n".split(b"|"),
    b"> X-Postbeat: v=2; poll=\r\n",
)
FAMILIES = (*map(repeated, TEXTS), nested)


LINEAR = [name for name, target in TARGETS.items() if target.frames]


def hostile(target: Target, size: int) -> Iterator[bytes]:
    """Each family of hostile text in each place of the target's input."""
    for family in FAMILIES:
        for before, after in target.frames:
            yield before + family(size) + after


def peak_bytes(target: Target, data: bytes) -> int:
    tracemalloc.start()
    try:
        target.run(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", LINEAR)
def test_four_times_the_input_takes_about_four_times_the_time(name: str) -> None:
    target = TARGETS[name]
    for once, four_times in zip(hostile(target, SIZE), hostile(target, 4 * SIZE), strict=True):
        assert is_linear(target.run, once, four_times), once[:200]


@pytest.mark.parametrize("name", LINEAR)
def test_twice_the_input_takes_about_twice_the_memory(name: str) -> None:
    target = TARGETS[name]
    for once, twice in zip(hostile(target, MEASURED), hostile(target, 2 * MEASURED), strict=True):
        least = max(peak_bytes(target, once), LEAST_BYTES)
        assert peak_bytes(target, twice) <= MEMORY_RATIO * least, once[:200]


@pytest.mark.parametrize("name", TARGETS)
def test_an_example_of_each_target_is_taken(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)

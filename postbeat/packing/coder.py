"""Entropy coders: asymmetric numeral systems (Duda, arXiv:1311.2540). Pure.

Each symbol is a slice of a total; it makes a number larger by about ``log2(total / freq)`` bits, where
``freq`` is the width of its slice. There are two of them. For few symbols of all kinds the number simply
grows: nothing is rounded, and any total will do. For many symbols, that would take time by their square: the
number is kept below 2 ** 32, what is above leaves it in words of 16 bits, and the total is always TOTAL. In
both, what is put first is taken first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

BITS = 14
TOTAL = 1 << BITS
MASK = TOTAL - 1
WORD = 16
LOW = 1 << WORD  # the number is never below this one between symbols

_LEARNT = 24  # by how much a symbol becomes more frequent when it is met


class Encoder:
    """Collects symbols in the order in which they will be taken."""

    __slots__ = ("_slices",)

    def __init__(self) -> None:
        self._slices: list[tuple[int, int, int]] = []

    def put(self, start: int, freq: int, total: int) -> None:
        """A symbol, by its slice."""
        self._slices.append((start, freq, total))

    def put_uniform(self, value: int, radix: int) -> None:
        """A number from 0 up to a radix, all of them alike.

        Raises:
            ValueError: it is not in that range.
        """
        if not 0 <= value < radix:
            raise ValueError(f"cannot be packed: {value} is not within 0..{radix - 1}")
        self._slices.append((value, 1, radix))

    def finish(self) -> bytes:
        """The number, as bytes."""
        number = 1
        for start, freq, total in reversed(self._slices):
            above, rest = divmod(number, freq)
            number = above * total + start + rest
        return number.to_bytes((number.bit_length() + 7) // 8, "big")


class Decoder:
    """Takes symbols from a number. ``number`` may be worked on in place, and is 1 at the end."""

    __slots__ = ("number",)

    def __init__(self, data: bytes) -> None:
        self.number = int.from_bytes(data, "big")

    def take_uniform(self, radix: int) -> int:
        """A number that :meth:`Encoder.put_uniform` was given."""
        self.number, value = divmod(self.number, radix)
        return value


class Draws:
    """Collects many symbols, each a slice of TOTAL: ``put`` takes the pair of its start and its end."""

    __slots__ = ("_slices", "put")

    def __init__(self) -> None:
        self._slices: list[tuple[int, int]] = []
        self.put = self._slices.append

    def finish(self) -> bytes:
        """The number, and the words that left it."""
        state = LOW
        words: list[int] = []
        for start, end in reversed(self._slices):
            freq = end - start
            if state >= freq << (2 * WORD - BITS):
                words.append(state & (LOW - 1))
                state >>= WORD
            above, rest = divmod(state, freq)
            state = (above << BITS) + start + rest
        words.reverse()
        return struct.pack(f">I{len(words)}H", state, *words)


class Drawn:
    """What :class:`Draws` collected; symbols are taken in place, by who needs them quickly.

    ``at`` is the place of the next word.
    """

    __slots__ = ("at", "state", "words")

    def __init__(self, data: bytes) -> None:
        if len(data) < 4 or len(data) % 2:
            raise ValueError("damaged rollups")
        self.state, *self.words = struct.unpack(f">I{len(data) // 2 - 2}H", data)
        self.at = 0

    @property
    def is_finished(self) -> bool:
        """Whether all symbols have been taken."""
        return self.state == LOW and self.at == len(self.words)


class Adaptive:
    """Symbols 0, 1, 2, ..., whose frequencies are learnt on the way; the most frequent should be first."""

    __slots__ = ("_freqs", "_total")

    def __init__(self, freqs: Iterable[int]) -> None:
        self._freqs = list(freqs)
        self._total = sum(self._freqs)

    def put(self, encoder: Encoder, symbol: int) -> None:
        """Puts a symbol."""
        encoder.put(sum(self._freqs[:symbol]), self._freqs[symbol], self._total)
        self._learn(symbol)

    def take(self, decoder: Decoder) -> int:
        """Takes a symbol."""
        above, rest = divmod(decoder.number, self._total)
        symbol = 0
        for symbol, freq in enumerate(self._freqs):  # noqa: B007
            if rest < freq:
                break
            rest -= freq
        decoder.number = above * self._freqs[symbol] + rest
        self._learn(symbol)
        return symbol

    def _learn(self, symbol: int) -> None:
        self._freqs[symbol] += _LEARNT
        self._total += _LEARNT


class Signed:
    """Adaptive whole numbers of either sign, up to a limit; small ones cost less from the beginning."""

    __slots__ = ("_limit", "_symbols")

    def __init__(self, limit: int, halved: int) -> None:
        """``halved`` is how much larger a number is that is half as frequent."""
        self._limit = limit
        self._symbols = Adaptive(max(1, 64 >> (place + 1) // 2 // halved) for place in range(2 * limit + 1))

    def put(self, encoder: Encoder, value: int) -> None:
        """Puts a number from ``-limit`` to ``limit``."""
        self._symbols.put(encoder, 2 * value if value >= 0 else -2 * value - 1)

    def take(self, decoder: Decoder) -> int:
        """Takes a number."""
        place = self._symbols.take(decoder)
        return -(place + 1) // 2 if place % 2 else place // 2


def varint(number: int) -> bytes:
    """Seven bits in each byte, the lowest first; all but the last have the eighth bit set."""
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
    return bytes(data)


def taken_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place behind it.

    Raises:
        ValueError: there is none.
    """
    number = 0
    for place, byte in enumerate(data[at : at + 9]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, at + place + 1
    raise ValueError("damaged rollups")

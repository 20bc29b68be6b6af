"""The protobuf format: ``io.prometheus.client.MetricFamily`` messages, each after its length. Pure.

It alone carries native histograms. Field numbers are those of the published ``metrics.proto``; the wire
format is that of protocol buffers: a field is its number and wire type as a varint, then its value.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator

from postbeat import histogram
from postbeat.metrics.families import SCHEMA, Distribution, Exemplar, Family
from postbeat.metrics.names import Type

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_VARINT, _DOUBLE, _BYTES = 0, 1, 2  # wire types
_TYPES = {Type.COUNTER: 0, Type.GAUGE: 1, Type.HISTOGRAM: 4}
_FIELDS = {Type.GAUGE: 2, Type.COUNTER: 3, Type.HISTOGRAM: 7}  # of a Metric
_ZERO_THRESHOLD = 2.0**-128  # what is shorter is zero; ours are at least in the lowest bucket


def protobuf(families: Iterable[Family]) -> bytes:
    """The families, one message after another."""
    parts: list[bytes] = []
    for family in families:
        message = _family(family)
        parts += (_varint(len(message)), message)
    return b"".join(parts)


def _family(family: Family) -> bytes:
    metric = family.metric
    parts = [_text(1, metric.name), _text(2, metric.help), _number(3, _TYPES[metric.type])]
    begin = _tag(_FIELDS[metric.type], _BYTES) + _DOUBLE_SIZE + _tag(1, _DOUBLE)
    for labels, value in family.values.items():
        body = _labels(metric.labels, labels) + begin + _packed(value)
        parts.append(_METRIC + _varint(len(body)) + body)
    for labels, distribution in family.distributions.items():
        body = _labels(metric.labels, labels) + _message(7, _histogram(distribution))
        parts.append(_message(4, body))
    return b"".join(parts)


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> bytes:
    return b"".join([_label(name, value) for name, value in zip(names, values, strict=True)])


def _pair(name: str, value: str) -> bytes:
    return _message(1, _text(1, name) + _text(2, value))


_label = functools.lru_cache(maxsize=16_384)(_pair)  # the same few are in many series


def _histogram(distribution: Distribution) -> bytes:
    parts = [_number(1, distribution.count), _double(2, distribution.sum_us / 1e6)]
    exemplars = distribution.exemplar_of_buckets()
    told, counted, begin = -1, b"", b""
    for place, count in enumerate(distribution.cumulated()):
        if count != told:  # most buckets have no more than the one before
            told, counted = count, _COUNT + _varint(count)
            begin = _BUCKET + _varint(len(counted) + len(_UPPER[place])) + counted
        if place in exemplars:
            parts.append(_message(3, counted + _UPPER[place] + _message(3, _exemplar(exemplars[place]))))
        else:
            parts.append(begin + _UPPER[place])
    parts += (_number(5, _zigzag(SCHEMA)), _double(6, _ZERO_THRESHOLD))
    used = sorted(index for index, count in distribution.counts.items() if count)
    # A span without length tells an empty native histogram from a classic one.
    parts += [_span(offset, length) for offset, length in _spans(used)] or [_span(0, 0)]
    deltas, before = [], 0
    for index in used:
        deltas.append(_varint(_zigzag(distribution.counts[index] - before)))
        before = distribution.counts[index]
    parts.append(_message(13, b"".join(deltas)))
    return b"".join(parts)


def _spans(used: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of buckets that follow each other: how many are left out before the run, and its length.

    The first offset is the index of the first bucket itself.
    """
    begin = 0
    end = 0  # the bucket after the run before
    for place, index in enumerate(used):
        if place + 1 == len(used) or used[place + 1] != index + 1:
            yield used[begin] - end, place + 1 - begin
            begin, end = place + 1, index + 1


def _span(offset: int, length: int) -> bytes:
    return _message(12, _number(1, _zigzag(offset)) + _number(2, length))


def _exemplar(exemplar: Exemplar) -> bytes:
    seconds, micros = divmod(exemplar.at_us, 1_000_000)
    at = _number(1, seconds) + _number(2, micros * 1000)
    return _pair("poll", exemplar.poll) + _double(2, exemplar.us / 1e6) + _message(3, at)


def _message(number: int, body: bytes) -> bytes:
    return _tag(number, _BYTES) + _varint(len(body)) + body


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _number(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _tag(number, _DOUBLE) + _packed(value)


_packed = struct.Struct("<d").pack


@functools.cache
def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _zigzag(value: int) -> int:
    """A signed number as an unsigned one that is small where the number is near zero."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _ONE_BYTE[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_DOUBLE_SIZE = b"\x09"  # of a field with a number below 16
_ONE_BYTE = [bytes([value]) for value in range(0x80)]
_METRIC, _BUCKET, _COUNT = _tag(4, _BYTES), _tag(3, _BYTES), _tag(1, _VARINT)  # of what there is much
_UPPER = [_double(2, histogram.upper_s(index)) for index in histogram.CLASSIC]

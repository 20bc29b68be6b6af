"""The formats of metrics: what is written is what independent readers read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from postbeat import histogram
from postbeat.metrics import names
from postbeat.metrics.exposition import negotiated
from postbeat.metrics.families import Distribution, Exemplar, Families
from postbeat.metrics.protobuf import CONTENT_TYPE as PROTOBUF
from postbeat.metrics.protobuf import protobuf
from postbeat.metrics.text import OPENMETRICS, PLAIN, openmetrics, plain

LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.one_of(st.integers(0, 2**53), st.floats(0, 1e12))
INDEXES = st.integers(histogram.LOWEST, histogram.HIGHEST)
COUNTS = st.dictionaries(INDEXES, st.integers(1, 10**9), max_size=20)
EXEMPLARS = st.builds(
    Exemplar,
    poll=st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}#[0-9]{1,9}", fullmatch=True),
    us=st.integers(0, 10**9),
    at_us=st.integers(0, 2 * 10**15),
)
DISTRIBUTIONS = st.builds(
    Distribution, COUNTS, st.integers(0, 10**15), st.lists(EXEMPLARS, max_size=3).map(tuple)
)


@st.composite
def filled(draw: st.DrawFn) -> Families:
    """Some gauges, counters and histograms with any labels."""
    families = Families()
    for metric in (names.BEAT_PAIRS, names.HOPS, names.RESULTS):
        for _ in range(draw(st.integers(0, 3))):
            families.put(metric, draw(NUMBERS), *[draw(LABELS) for _ in metric.labels])
    for metric in (names.DURATION, names.BEAT_LATENESS):
        for _ in range(draw(st.integers(0, 3))):
            families.put_distribution(metric, draw(DISTRIBUTIONS), *[draw(LABELS) for _ in metric.labels])
    return families


Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def expected(families: Families) -> Series:
    """All series as the text formats have them."""
    series: Series = {}
    for family in families:
        name, labels = family.metric.name, family.metric.labels
        for values, number in family.values.items():
            series[name, frozenset(zip(labels, values, strict=True))] = number
        for values, distribution in family.distributions.items():
            own = frozenset(zip(labels, values, strict=True))
            bounds = [(repr(histogram.upper_s(bound)), bound) for bound in histogram.CLASSIC]
            for text, bound in [*bounds, ("+Inf", histogram.HIGHEST)]:
                below = sum(count for index, count in distribution.counts.items() if index <= bound)
                series[f"{name}_bucket", own | {("le", text)}] = below
            series[f"{name}_count", own] = sum(distribution.counts.values())
            series[f"{name}_sum", own] = distribution.sum_us / 1e6
    return series


def parsed(parse: Any, text: bytes) -> tuple[Series, list[Any]]:
    samples = [sample for family in parse(text.decode()) for sample in family.samples]
    series = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(series) == len(samples)
    return series, samples


@settings(max_examples=25)
@given(filled())
def test_the_text_is_what_prometheus_reads(families: Families) -> None:
    series, _ = parsed(text_string_to_metric_families, plain(families))
    assert series == expected(families)


@settings(max_examples=25)
@given(filled())
def test_openmetrics_is_what_its_parser_reads_exemplars_included(families: Families) -> None:
    series, samples = parsed(openmetrics_parser.text_string_to_metric_families, openmetrics(families))
    assert series == expected(families)
    given_ones = {
        one.poll
        for f in families
        for distribution in f.distributions.values()
        for one in distribution.exemplars
    }
    for sample in samples:
        if sample.exemplar is not None:
            assert sample.exemplar.labels["poll"] in given_ones
            assert sample.exemplar.value <= float(sample.labels["le"]) * 1.0001
    if given_ones:
        assert any(sample.exemplar for sample in samples)


def test_every_metric_has_its_help_and_type_before_there_is_a_value() -> None:
    lines = plain(Families()).decode().splitlines()
    assert len(lines) == 2 * len(names.METRICS)
    assert openmetrics(Families()).endswith(b"# EOF\n")


# -- protobuf, read by what knows the wire format and nothing of the writer -------------------------


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def message(data: bytes) -> dict[int, list[Any]]:
    """The fields of a message by number: integers, doubles, or bytes."""
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value: Any
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            (value,), at = struct.unpack("<d", data[at : at + 8]), at + 8
        else:
            assert tag & 7 == 2
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
            assert len(value) == size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def delimited(data: bytes) -> Iterator[dict[int, list[Any]]]:
    at = 0
    while at < len(data):
        size, at = varint(data, at)
        yield message(data[at : at + size])
        at += size


def signed(value: int) -> int:
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


def packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield signed(value)


def labels_of(metric: dict[int, list[Any]]) -> tuple[str, ...]:
    return tuple(message(pair)[2][0].decode() for pair in metric.get(1, []))


def native_counts(fields: dict[int, list[Any]]) -> dict[int, int]:
    """The counts of a native histogram by the index of the bucket."""
    assert signed(fields[5][0]) == 2
    assert fields[6][0] > 0
    deltas = packed(fields[13][0])
    found: dict[int, int] = {}
    index = count = 0
    for text in fields[12]:
        span = message(text)
        index += signed(span[1][0])
        for _ in range(span[2][0]):
            count += next(deltas)
            found[index] = count
            index += 1
    assert list(deltas) == []
    return found


@settings(max_examples=25)
@given(filled())
def test_protobuf_is_what_another_reader_reads(families: Families) -> None:
    read = {fields[1][0].decode(): fields for fields in delimited(protobuf(families))}
    for family in families:
        fields = read.pop(family.metric.name)
        assert fields[2][0].decode() == family.metric.help
        assert fields[3] == [{"counter": 0, "gauge": 1, "histogram": 4}[family.metric.type]]
        metrics = {labels_of(one): one for one in map(message, fields.get(4, []))}
        for labels, value in family.values.items():
            (body,) = metrics.pop(labels)[{"gauge": 2, "counter": 3}[family.metric.type]]
            assert message(body) == {1: [value]}
        for labels, distribution in family.distributions.items():
            body = message(metrics.pop(labels)[7][0])
            assert native_counts(body) == distribution.counts
            assert body[1] == [distribution.count]
            assert body[2] == [distribution.sum_us / 1e6]
            buckets = [message(bucket) for bucket in body[3]]
            assert [bucket[1][0] for bucket in buckets] == distribution.cumulated()
            assert [bucket[2][0] for bucket in buckets] == [2.0 ** (i / 4) for i in histogram.CLASSIC]
            told = {message(b[3][0])[2][0] for b in buckets if 3 in b}
            assert told <= {exemplar.us / 1e6 for exemplar in distribution.exemplars}
        assert not metrics
    assert not read


ASKED = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/plain", PLAIN),
        ("text/html, */*;q=0.1", PLAIN),
        ("application/openmetrics-text; version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS),
        ("application/openmetrics-text;q=0.1, text/plain", PLAIN),
        (f"{ASKED},application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1", PROTOBUF),
        (ASKED.replace("delimited", "text"), PLAIN),
        (f"{ASKED};q=0", PLAIN),
        ("application/openmetrics-text;q=much", PLAIN),
        ("APPLICATION/OPENMETRICS-TEXT", OPENMETRICS),
        (", ;;=,q", PLAIN),
    ],
)
def test_the_format_is_the_one_that_is_liked_best(accept: str, content_type: str) -> None:
    assert negotiated(accept) == content_type


@given(st.text())
def test_any_accept_header_has_an_answer(accept: str) -> None:
    assert negotiated(accept) in (PLAIN, OPENMETRICS, PROTOBUF)

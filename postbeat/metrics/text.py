"""The text formats: Prometheus's own (version 0.0.4) and OpenMetrics (1.0.0), with exemplars. Pure.

The numbers of a site with many elements are mostly buckets of histograms, so a series' labels are written
once and used for all of its lines.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from postbeat import histogram
from postbeat.metrics.families import Distribution, Exemplar, Family
from postbeat.metrics.names import Type

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_BOUNDS = [repr(histogram.upper_s(index)) for index in histogram.CLASSIC] + ["+Inf"]
# All lines of a histogram's buckets; a zero byte stands for what is before the bound.
_BUCKETS = "\n".join(f'\0le="{bound}"}} %s' for bound in _BOUNDS)


def plain(families: Iterable[Family]) -> bytes:
    """The text format, version 0.0.4."""
    lines: list[str] = []
    for family in families:
        metric = family.metric
        lines.append(f"# HELP {metric.name} {_help(metric.help)}")
        lines.append(f"# TYPE {metric.name} {metric.type}")
        _samples(lines, family, exemplars=False)
    return ("\n".join(lines) + "\n").encode()


def openmetrics(families: Iterable[Family]) -> bytes:
    """OpenMetrics: a counter's family is named without ``_total``."""
    lines: list[str] = []
    for family in families:
        metric = family.metric
        name = metric.name.removesuffix("_total")
        lines.append(f"# TYPE {name} {metric.type}")
        if metric.unit:
            lines.append(f"# UNIT {name} {metric.unit}")
        lines.append(f"# HELP {name} {escaped(metric.help)}")
        _samples(lines, family, exemplars=True)
    return ("\n".join(lines) + "\n# EOF\n").encode()


def escaped(text: str) -> str:
    """A label's value as it stands between quotes."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


_escaped = functools.lru_cache(maxsize=16_384)(escaped)  # the same few are in many series


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _samples(lines: list[str], family: Family, *, exemplars: bool) -> None:
    name = family.metric.name
    pairs = ",".join(f'{label}="%s"' for label in family.metric.labels)
    if family.metric.type is Type.HISTOGRAM:
        for labels, distribution in family.distributions.items():
            lines.append(
                _histogram(name, pairs % tuple(map(_escaped, labels)), distribution, exemplars=exemplars)
            )
        return
    series = f"{name}{{{pairs}}} " if pairs else f"{name} "
    lines += [f"{series % tuple(map(_escaped, labels))}{value!r}" for labels, value in family.values.items()]


def _histogram(name: str, pairs: str, distribution: Distribution, *, exemplars: bool) -> str:
    numbers: list[int | str] = [*distribution.cumulated(), distribution.count]
    if exemplars:
        for place, exemplar in distribution.exemplar_of_buckets().items():
            numbers[place] = f"{numbers[place]}{_exemplar(exemplar)}"
    begin = f"{name}_bucket{{{pairs}," if pairs else f"{name}_bucket{{"
    buckets = (_BUCKETS % tuple(numbers)).replace("\0", begin)
    braces = f"{{{pairs}}}" if pairs else ""
    return (
        f"{buckets}\n{name}_sum{braces} {distribution.sum_us / 1e6!r}\n"
        f"{name}_count{braces} {distribution.count}"
    )


def _exemplar(exemplar: Exemplar) -> str:
    return f' # {{poll="{escaped(exemplar.poll)}"}} {exemplar.us / 1e6!r} {exemplar.at_us / 1e6!r}'

"""The metrics of a whole site, read from Redis when they are asked for, in the format that is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import metadata

from postbeat.metrics import names
from postbeat.metrics.collect import Site, collect
from postbeat.metrics.families import Families
from postbeat.metrics.objectives import Objectives
from postbeat.metrics.protobuf import CONTENT_TYPE as PROTOBUF
from postbeat.metrics.protobuf import protobuf
from postbeat.metrics.text import OPENMETRICS, PLAIN, openmetrics, plain
from postbeat.store.facts import FactsView
from postbeat.store.maintenance import Calendar, MaintenanceStore
from postbeat.store.measures import MeasuresView
from postbeat.store.view import ViewStore

Writer = Callable[[Families], bytes]

_WRITERS: dict[str, Writer] = {PLAIN: plain, OPENMETRICS: openmetrics, PROTOBUF: protobuf}
_MEDIA = {
    "text/plain": PLAIN,
    "application/openmetrics-text": OPENMETRICS,
    "application/vnd.google.protobuf": PROTOBUF,
    "text/*": PLAIN,
    "*/*": PLAIN,
}
_NEEDED = {PROTOBUF: {"proto": "io.prometheus.client.metricfamily", "encoding": "delimited"}}
_ACCEPT_LENGTH = 2000


def negotiated(accept: str) -> str:
    """The content type for an ``Accept`` header (RFC 9110 section 12.5.1): the one that is liked best.

    Where none of ours is asked for, it is the plain text format.
    """
    best, best_quality = PLAIN, 0.0
    for choice in accept[:_ACCEPT_LENGTH].lower().split(","):
        media, *texts = (part.strip() for part in choice.split(";"))
        parameters = {name.strip(): value.strip(' "') for name, _, value in (t.partition("=") for t in texts)}
        ours = _MEDIA.get(media)
        if ours is None or any(parameters.get(n) != value for n, value in _NEEDED.get(ours, {}).items()):
            continue
        quality = _quality(parameters)
        if quality > best_quality:
            best, best_quality = ours, quality
    return best


def _quality(parameters: Mapping[str, str]) -> float:
    try:
        return min(max(float(parameters.get("q", "1")), 0.0), 1.0)
    except ValueError:
        return 0.0


class Exposition:
    """Reads the site and writes its metrics. Thread-safe.

    Args:
        redis_url: the site's Redis.
    """

    def __init__(self, redis_url: str) -> None:
        self._view = ViewStore(redis_url)
        self._facts = FactsView(redis_url)
        self._measures = MeasuresView(redis_url)
        self._maintenance = MaintenanceStore(redis_url)
        self._objectives = Objectives(redis_url, self._view, self._facts)
        self._version = metadata.version("postbeat")

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics as they are now, and their content type.

        Raises:
            RedisError: Redis does not answer.
        """
        began = time.perf_counter()
        families = collect(self._site(), self._version)
        families.put(names.SCRAPE, round(time.perf_counter() - began, 6))
        content_type = negotiated(accept)
        return _WRITERS[content_type](families), content_type

    def close(self) -> None:
        """Closes the connections."""
        self._objectives.close()
        self._view.close()
        self._facts.close()
        self._measures.close()
        self._maintenance.close()

    def _site(self) -> Site:
        profile = self._view.profile()
        summaries = sorted(self._view.overview(), key=lambda summary: str(summary.pair))
        measures = self._measures.of([summary.pair for summary in summaries])
        workers = self._facts.workers()
        regions = sorted(
            {summary.pair.region for summary in summaries}
            | {worker.region for worker in workers if worker.region}
        )
        beat, now_us = self._facts.beat(), self._facts.now_us()
        # Of what the windows were before only the past is judged.
        windows = {name: facts.maintenance for name, facts in profile.items()}
        calendar = Calendar(windows, self._maintenance.listing())
        return Site(
            profile=profile,
            verdicts={verdict.element: verdict for verdict in self._view.verdicts()},
            pairs=list(zip(summaries, measures, strict=True)),
            mailboxes=self._view.mailboxes(),
            workers=workers,
            regions=self._facts.regions(regions),
            queues=self._facts.queue_lengths(regions),
            beat=beat,
            silent=beat is not None and beat.silent_since_us(now_us) is not None,
            in_maintenance=calendar.covering(now_us),
            objectives=self._objectives.current(),
        )

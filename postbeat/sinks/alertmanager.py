"""The sink ``alertmanager``: alerts by Alertmanager's API v2.

An alert is known by its labels. One that is not sent again for a while counts as resolved, so what is open is
sent again and again. Where a problem changes its level, the old alert ends and another begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from postbeat.sinks.channel import Channel
from postbeat.sinks.config import AlertmanagerSink
from postbeat.sinks.http import Poster
from postbeat.sinks.notice import EventKind, Notice, State, timestamp

PATH = "/api/v2/alerts"
BATCH = 200  # alerts in a request
_SERVICE, _MONITOR, _ALERT = "PostbeatServiceProblem", "PostbeatMonitorProblem", "PostbeatAlert"
# The fields of an alert that are labels, as they do not change.
_FIELDS = {"Identifier": "identifier", "Node": "node", "AlertGroup": "alertgroup", "AlertKey": "alertkey"}


class AlertmanagerChannel(Channel):
    """Posts alerts."""

    def __init__(self, sink: AlertmanagerSink) -> None:
        self.resend_s = sink.resend
        self._labels = sink.labels or {}
        self._poster = Poster(sink.url, sink.headers, sink.timeout, PATH)

    async def deliver(self, notice: Notice) -> None:
        """Begins an alert, ends one, or both."""
        alerts = list(self._alerts(notice))
        if alerts:
            await self._post(alerts)

    async def still_open(self, notices: Sequence[Notice]) -> None:
        """Sends what is open again."""
        for begin in range(0, len(notices), BATCH):
            await self._post([self._alert(notice) for notice in notices[begin : begin + BATCH]])

    async def close(self) -> None:
        """Closes the connections."""
        await self._poster.close()

    async def _post(self, alerts: list[dict[str, Any]]) -> None:
        await self._poster.post(json.dumps(alerts).encode(), {})

    def _alerts(self, notice: Notice) -> Iterator[dict[str, Any]]:
        same = notice.state is State.PROBLEM and notice.told_level == notice.level
        if notice.told_id and not same:
            told = replace(
                notice, level=notice.told_level, at_us=notice.told_at_us, state=State.PROBLEM, told_id=""
            )
            # Alertmanager refuses an alert that ends before it begins.
            ends_us = max(notice.at_us, notice.told_at_us + 1000)
            yield self._alert(told) | {"endsAt": timestamp(ends_us)}
        if notice.state is State.PROBLEM:
            yield self._alert(notice)

    def _alert(self, notice: Notice) -> dict[str, Any]:
        labels = {
            **self._labels,
            "alertname": _name(notice),
            "element": notice.element,
            "severity": notice.severity,
            "level": notice.level,
        }
        if notice.region:
            labels["region"] = notice.region
        labels |= {label: str(notice.alert[name]) for name, label in _FIELDS.items() if notice.alert}
        annotations = {"summary": notice.headline, "description": notice.message, "poll": notice.poll}
        if notice.group:
            annotations["group"] = notice.group
        if notice.stage:
            annotations["stage"] = notice.stage
        if notice.regions:
            annotations["regions"] = "\n".join(notice.region_texts)
        return {"labels": labels, "annotations": annotations, "startsAt": timestamp(notice.at_us)}


def _name(notice: Notice) -> str:
    if notice.kind is EventKind.ALERT:
        return _ALERT
    return _MONITOR if notice.is_monitor else _SERVICE
